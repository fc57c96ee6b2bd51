"""What look-ups, lists and cursors conclude from answers that a venue may give, one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from messages.orders import Absent, Ended, EndKind, LookUpFailed, Order, Rested
from messages.reasons import Trouble
from messages.units import CONTRACT, SECOND, Money, Nanos, Price, Side
from tests.venues.making import AT, CONDITION, Hand, kalshi_rsa, order, polymarket_market, polymarket_wallet, resting
from venues import http
from venues.factory import capabilities
from venues.http import Response, WireError
from venues.kalshi.codec import client_order_id
from venues.kalshi.rest import KalshiTrading
from venues.polymarket.rest import PolymarketTrading
from venues.port import Failed, FillPage


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated reads wait hardly at all."""
    monkeypatch.setattr(http, "READ_PAUSE_MOST_S", 0.002)


class Place:
    dialect = "polymarket"
    rest = ws_market = ws_user = ""
    request_timeout_ms = connect_timeout_ms = late_arrival_ms = 1_000
    signature_type = 0


class Shelf:
    """A wire that answers by the beginning of the path; what it does not know is 404, what is None times out."""

    def __init__(self, **_: Any) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        self.asked.append(f"{method} {path}")
        for start, told in self.answers.items():
            if path.startswith(start):
                if told is None:
                    raise WireError(Trouble.TIMEOUT, "slow")
                return Response(200, {"date": "Thu, 18 Apr 2024 00:00:00 GMT"}, json.dumps(told).encode())
        return Response(404, {}, b'{"error":"not found"}')


IOC = order(market=CONDITION, price=Price(5_200), spend=Money(5_200_000))
SALE = order(market=CONDITION, side=Side.SELL, order="g.1.t1.0.1")
GTC = resting(market=CONDITION, order="g.1.t1.0.2")


def polymarket(at: Nanos = AT) -> tuple[PolymarketTrading, Shelf]:
    shelf = Shelf()
    trading = PolymarketTrading("p", "http://x", polymarket_wallet(), Hand(at), capabilities(Place()), wire=shelf)
    trading.load([polymarket_market()])
    return trading, shelf


def page(*rows: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": list(rows), "next_cursor": "LTE="}


def trade(wire: str, size: str = "10", number: int = 1, status: str = "CONFIRMED", at: int = 0) -> dict[str, Any]:
    return {
        "id": f"t{number}", "taker_order_id": wire, "market": CONDITION, "side": "BUY", "size": size, "price": "0.52",
        "status": status, "match_time": str(AT // SECOND + at), "trader_side": "TAKER", "maker_orders": [],
    }  # fmt: skip


def shown(wire: str, status: str, size: str, **more: Any) -> dict[str, Any]:
    return {"id": wire, "status": f"ORDER_STATUS_{status}", "size_matched": size, "order_type": "FAK", **more}


@pytest.mark.parametrize(
    ("asked", "told", "trades", "expected"),
    [
        (IOC, ("MATCHED", "10", {"associate_trades": ["t1"]}), ["10"], (Ended, 10, EndKind.FILLED)),
        (IOC, ("MATCHED", "10", {"associate_trades": ["t1", "t2"]}), ["4", "6"], (Ended, 10, EndKind.FILLED)),
        (IOC, ("CANCELED", "4", {"associate_trades": ["t1"]}), ["4"], (Ended, 4, EndKind.KILLED)),
        # a part of its trades is not its size, whatever unit that is in
        (IOC, ("MATCHED", "10", {"associate_trades": ["t1", "t2"]}), ["4"], (LookUpFailed, 0, None)),
        (IOC, ("MATCHED", "10", {}), ["4"], (LookUpFailed, 0, None)),
        (IOC, ("MATCHED", "10", {}), ["10"], (Ended, 10, EndKind.FILLED)),
        (IOC, ("MATCHED", "5.2", {}), ["10"], (Ended, 10, EndKind.FILLED)),
        (IOC, ("MATCHED", "10", {}), [], (LookUpFailed, 0, None)),
        (IOC, ("MATCHED", "", {}), [], (LookUpFailed, 0, None)),
        (IOC, ("MATCHED", "100", {}), ["100"], (LookUpFailed, 0, None)),
        (IOC, ("CANCELED", "0", {}), [], (Ended, 0, EndKind.KILLED)),
        (IOC, ("UNMATCHED", "", {}), [], (Ended, 0, EndKind.KILLED)),
        (IOC, ("DELAYED", "", {}), [], (Rested, 0, None)),
        (SALE, ("MATCHED", "10", {}), [], (Ended, 10, EndKind.FILLED)),
        (SALE, ("CANCELED", "3", {}), [], (Ended, 3, EndKind.KILLED)),
        (SALE, ("MATCHED", "10000000", {}), [], (LookUpFailed, 0, None)),
        (SALE, ("MATCHED", "many", {}), [], (LookUpFailed, 0, None)),
        (GTC, ("LIVE", "2", {}), [], (Rested, 2, None)),
        (GTC, ("CANCELED", "2", {}), [], (Ended, 2, EndKind.CANCELLED)),
        (GTC, ("CANCELED_EXPIRED_ORDER", "2", {}), [], (Ended, 2, EndKind.EXPIRED)),
        (GTC, ("UNHEARD_OF", "2", {}), [], (LookUpFailed, 0, None)),
    ],
)
async def test_polymarket_an_order_that_is_shown(
    asked: Order, told: tuple[str, str, dict[str, Any]], trades: list[str], expected: tuple[type, int, EndKind | None]
) -> None:
    venue, shelf = polymarket()
    wire = venue.identify(asked)
    shelf.answers["/data/order/"] = shown(wire, told[0], told[1], **told[2])
    shelf.answers["/data/trades"] = page(*(trade(wire, size, n + 1) for n, size in enumerate(trades)))
    answer = await venue.look_up(asked, wire)
    assert isinstance(answer, expected[0]), answer
    if isinstance(answer, (Ended, Rested)):
        assert answer.matched == expected[1] * CONTRACT
    if isinstance(answer, Ended):
        assert answer.how is expected[2]


async def test_polymarket_no_order_and_no_trades_is_absence_as_of_the_older_time() -> None:
    venue, shelf = polymarket(Nanos(AT + 3 * SECOND))
    shelf.answers |= {"/data/trades": page(trade("0xother")), "/data/orders?": page(shown("0xother", "LIVE", "0"))}
    answer = await venue.look_up(IOC, None)
    assert isinstance(answer, Absent)
    assert answer.as_of == AT + 3 * SECOND
    shelf.answers["/data/order/"] = {}
    answer = await venue.look_up(SALE, None)
    assert isinstance(answer, Absent)
    assert answer.as_of == AT
    shelf.answers["/data/trades"] = None
    assert isinstance(await venue.look_up(IOC, None), LookUpFailed)


@pytest.mark.parametrize(
    ("size", "after_s", "expected"), [("10", 0, EndKind.FILLED), ("4", 1, None), ("4", 6, EndKind.KILLED)]
)
async def test_polymarket_trades_without_their_order(size: str, after_s: int, expected: EndKind | None) -> None:
    venue, shelf = polymarket(Nanos(AT + after_s * SECOND))
    shelf.answers |= {"/data/trades": page(trade(venue.identify(IOC), size)), "/data/orders?": page()}
    answer = await venue.look_up(IOC, None)
    if expected is None:
        assert isinstance(answer, LookUpFailed)
    else:
        assert isinstance(answer, Ended)
        assert answer.how is expected


async def test_polymarket_the_cursor_waits_for_what_is_not_final() -> None:
    venue, shelf = polymarket(Nanos(AT + 1_000 * SECOND))
    wire, began = venue.identify(IOC), AT // SECOND
    shelf.answers["/data/trades"] = page(trade(wire, number=1, at=100), trade(wire, number=2, at=500))
    done = await venue.fills_since("")
    assert isinstance(done, FillPage)
    assert done.cursor == str(began + 490)
    assert [seen.fill.fill for seen in done.fills] == ["t1", "t2"]
    shelf.answers["/data/trades"] = page(trade(wire, number=1, at=100, status="MINED"), trade(wire, number=2, at=500))
    open_ended = await venue.fills_since(done.cursor)
    assert isinstance(open_ended, FillPage)
    assert open_ended.cursor == str(began + 99)
    assert f"after={began + 490}" in shelf.asked[-1]
    shelf.answers["/data/trades"] = page({"id": "t"})
    assert isinstance(await venue.fills_since(""), Failed)
    shelf.answers["/data/trades"] = page()
    nothing = await venue.fills_since("7")
    assert nothing == FillPage(fills=(), cursor="7")


async def test_polymarket_reads_that_cannot_be_read_fail() -> None:
    venue, shelf = polymarket()
    for told in ({"data": [{}], "next_cursor": "LTE="}, None, [1]):
        shelf.answers = dict.fromkeys(("/data", "/v2", "/balance", "/book"), told)
        assert isinstance(await venue.orders_since(AT), Failed)
        assert isinstance(await venue.positions(), Failed)
        assert isinstance(await venue.cash(), Failed)
    shelf.answers = {"/book": {"bids": [{"price": "2", "size": "1"}]}, "/v2": {"data": None, "pagination": {}}}
    assert isinstance(await venue.book(CONDITION), Failed)
    assert isinstance(await venue.book("unknown"), Failed)
    assert await venue.positions() == ()
    venue.load([polymarket_market()])
    stranger = order(market="0xelse")
    assert isinstance(await venue.look_up(stranger, None), LookUpFailed)


# Kalshi.


def kalshi() -> tuple[KalshiTrading, Shelf]:
    shelf = Shelf()
    place = Place()
    place.dialect = "kalshi"
    return KalshiTrading("k", "http://x/r", kalshi_rsa(), Hand(), capabilities(place), wire=shelf), shelf


def listed(asked: Order, status: str = "executed", count: str = "10.00") -> dict[str, Any]:
    return {
        "order_id": "V1", "client_order_id": client_order_id(asked.order), "ticker": "M", "status": status,
        "fill_count_fp": count, "initial_count_fp": "10.00",
    }  # fmt: skip


FRESH = {"as_of_time": "2024-04-18T00:00:30Z"}
K_IOC, K_GTD = order(), resting()


@pytest.mark.parametrize(
    ("asked", "status", "count", "expected"),
    [
        (K_IOC, "executed", "10.00", (Ended, EndKind.FILLED)),
        (K_IOC, "canceled", "4.00", (Ended, EndKind.KILLED)),
        (K_IOC, "canceled", "10.00", (Ended, EndKind.FILLED)),
        (K_GTD, "canceled", "4.00", (Ended, EndKind.CANCELLED)),
        (K_GTD, "resting", "4.00", (Rested, None)),
        (K_GTD, "unknown", "4.00", (LookUpFailed, None)),
        (K_GTD, "canceled", "40.00", (LookUpFailed, None)),
    ],
)
@pytest.mark.parametrize("known", [True, False])
async def test_kalshi_an_order_that_is_shown(
    asked: Order, status: str, count: str, expected: tuple[type, EndKind | None], known: bool
) -> None:
    venue, shelf = kalshi()
    row = listed(asked, status, count)
    shelf.answers = {"/portfolio/orders?": {"orders": [row], "cursor": ""}, "/exchange": FRESH}
    shelf.answers["/portfolio/orders/V1"] = {"order": row}
    answer = await venue.look_up(asked, "V1" if known else None)
    assert isinstance(answer, expected[0]), answer
    if isinstance(answer, Ended):
        assert answer.how is expected[1]


async def test_kalshi_absence_needs_a_whole_list_and_says_how_fresh_it_is() -> None:
    venue, shelf = kalshi()
    shelf.answers = {
        "/portfolio/orders?": {"orders": [listed(order(order="another"))], "cursor": ""},
        "/exchange": FRESH,
    }
    answer = await venue.look_up(K_IOC, None)
    assert isinstance(answer, Absent)
    # never later than our own asking time, whatever the venue's clock says
    assert answer.as_of == AT
    shelf.answers["/exchange"] = {"as_of_time": "2024-04-17T23:59:59Z"}
    answer = await venue.look_up(K_IOC, "V9")
    assert isinstance(answer, Absent)
    assert answer.as_of == AT - SECOND
    shelf.answers["/exchange"] = {}
    assert isinstance(await venue.look_up(K_IOC, None), LookUpFailed)
    shelf.answers |= {"/exchange": FRESH, "/portfolio/orders?": {"orders": [{}], "cursor": "again"}}
    assert isinstance(await venue.look_up(K_IOC, None), LookUpFailed)


async def test_kalshi_a_cancel_is_followed_by_a_look() -> None:
    venue, shelf = kalshi()
    shelf.answers = {"/portfolio/orders/V1": {"order": listed(K_GTD, "canceled", "4.00")}}
    answer = await venue.cancel(K_GTD, "V1")
    assert isinstance(answer, Ended)
    assert answer.matched == 4 * CONTRACT
    assert shelf.asked[0] == "DELETE /portfolio/events/orders/V1?market_ticker=M"
    shelf.answers |= {
        "/portfolio/events/orders/V1": {"order_id": "V1", "reduced_by": "6.00"},
        "/portfolio/orders/V1": {"order": listed(K_GTD, "resting", "4.00")},
    }
    shelf.asked.clear()
    # a read that lags is repeated, a few times
    assert isinstance(await venue.cancel(K_GTD, "V1"), Rested)
    assert len(shelf.asked) == 5
    shelf.answers |= {"/exchange": FRESH, "/portfolio/orders?": {"orders": [], "cursor": ""}}
    assert isinstance(await venue.cancel(K_GTD, None), Absent)


async def test_kalshi_fills_of_an_order_whose_id_is_not_known() -> None:
    venue, shelf = kalshi()
    fill = {
        "fill_id": "f1", "trade_id": "f1", "order_id": "V1", "market_ticker": "M", "count_fp": "1.00",
        "yes_price_dollars": "0.5200", "is_taker": True, "fee_cost": "0.017500", "ts": 1_713_398_400,
    }  # fmt: skip
    shelf.answers = {
        "/portfolio/fills?": {"fills": [fill], "cursor": ""},
        "/portfolio/orders?": {"orders": [listed(K_IOC)], "cursor": ""},
        "/exchange": FRESH,
    }
    found = await venue.fills_since("", (K_IOC, None))
    assert isinstance(found, FillPage)
    assert [seen.fill.fill for seen in found.fills] == ["f1"]
    assert "order_id=V1" in shelf.asked[-1]
    everything = await venue.fills_since("")
    assert isinstance(everything, FillPage)
    assert everything.cursor == "1713398390"
    shelf.answers["/portfolio/orders?"] = {"orders": [], "cursor": ""}
    assert await venue.fills_since("c", (K_IOC, None)) == FillPage(fills=(), cursor="c")
    shelf.answers["/portfolio/orders?"] = None
    assert isinstance(await venue.fills_since("", (K_IOC, None)), Failed)
    shelf.answers["/portfolio/fills?"] = {"fills": [fill | {"fee_cost": "?"}], "cursor": ""}
    assert isinstance(await venue.fills_since(""), Failed)


async def test_kalshi_reads_that_cannot_be_read_fail() -> None:
    venue, shelf = kalshi()
    for told in ({"orders": [{}], "market_positions": [{}], "cursor": ""}, None, [1]):
        shelf.answers = dict.fromkeys(("/portfolio", "/markets"), told)
        assert isinstance(await venue.orders_since(AT), Failed)
        assert isinstance(await venue.positions(), Failed)
        assert isinstance(await venue.cash(), Failed)
        assert isinstance(await venue.book("M"), Failed)
