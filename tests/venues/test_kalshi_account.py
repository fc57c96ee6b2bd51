"""Kalshi requests and answers one by one: what is sent of an order, sub-accounts, the archive, and everything recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.markets import VenueMode
from messages.orders import Absent, Ended, Landed, LookUpFailed, Order, OrderSeen, Refused, Rested
from messages.reasons import Trouble
from messages.units import CONTRACT, ONE_DOLLAR, SECOND, Money, Nanos, Outcome, Price, Quantity, Side
from tests.venues.making import AT, Hand, kalshi_rsa, order, resting
from venues import http
from venues.credentials import KalshiCredentials, kalshi_credentials
from venues.factory import capabilities
from venues.http import Response, WireError
from venues.kalshi import codec, hours, markets
from venues.kalshi.acts import judge
from venues.kalshi.books import Books
from venues.kalshi.fees import fee_schedule, series_change
from venues.kalshi.outcome import classify
from venues.kalshi.private import KalshiAccountData
from venues.kalshi.rest import KalshiTrading
from venues.port import Denied, Done, Failed, Lifetime, NotReady, OrderGroup, Prepared, Terms, Unsure

SHARED = Path(os.environ.get("CROSSFILL_SHARED", Path(__file__).parents[3] / "shared"))
RECORDED = SHARED / "reference" / "kalshi" / "recorded"
DAY = 86_400 * SECOND


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_PAUSE_MOST_S", 0.002)
    monkeypatch.setattr("venues.kalshi.rest.REREAD_PAUSE_S", 0.0)


class Place:
    dialect = "kalshi"
    rest = ws_market = ws_user = ""
    request_timeout_ms = connect_timeout_ms = late_arrival_ms = 1_000
    signature_type = 0


class Shelf:
    """Answers by the beginning of method and path; a `WireError` is raised, everything else is 404."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[str] = []
        self.bodies: list[Any] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        self.asked.append(f"{method} {path}")
        self.bodies.append(None if body is None else json.loads(body))
        for start, told in self.answers.items():
            if f"{method} {path}".startswith(start):
                if isinstance(told, WireError):
                    raise told
                status, value = told if isinstance(told, tuple) else (200, told)
                return Response(status, {}, json.dumps(value).encode())
        return Response(404, {}, b'{"error":{"code":"not_found"}}')


def trading(subaccount: int | None = None, at: Nanos = AT) -> tuple[KalshiTrading, Shelf]:
    shelf, key = Shelf(), kalshi_rsa()
    credentials = KalshiCredentials(key.key_id, key.private_key_pem, subaccount)
    return KalshiTrading("k", "http://x/r", credentials, Hand(at), capabilities(Place()), wire=shelf), shelf


# What is sent.

orders = st.builds(
    lambda outcome, side, price, quantity, rests: (resting if rests else order)(
        outcome=outcome, side=side, price=Price(price), quantity=Quantity(quantity)
    ),
    st.sampled_from(Outcome),
    st.sampled_from(Side),
    st.integers(1, 9_999),
    st.integers(10_000, 10**12),
    st.booleans(),
)


def worth(body: Mapping[str, Any], asked: Order) -> None:
    """The venue is asked for no more contracts, and for no worse price, than the order has."""
    count, price = Decimal(body["count"]) * CONTRACT, Decimal(body["price"]) * ONE_DOLLAR
    assert 0 < count <= asked.quantity
    buys_yes = (asked.side is Side.BUY) is (asked.outcome is Outcome.YES)
    assert body["side"] == ("bid" if buys_yes else "ask")
    limit = asked.price if asked.outcome is Outcome.YES else ONE_DOLLAR - asked.price
    assert price <= limit if buys_yes else price >= limit


@given(orders)
def test_no_order_asks_for_more_than_was_asked(asked: Order) -> None:
    body = json.loads(codec.order_body(asked, "w"))
    worth(body, asked)
    assert asked.quantity - Decimal(body["count"]) * CONTRACT < codec.LOT


@given(orders, st.integers(1, 9_999), st.integers(10_000, 10**12))
def test_no_change_asks_for_more_than_was_asked(asked: Order, price: int, quantity: int) -> None:
    changed = asked.model_copy(update={"price": Price(price), "quantity": Quantity(quantity)})
    worth(json.loads(codec.amend_body(asked, "w", Price(price), Quantity(quantity))), changed)
    left = json.loads(codec.decrease_body(asked, Quantity(quantity)))["reduce_to"]
    assert 0 < Decimal(left) * CONTRACT <= quantity


@given(st.integers(0, 10**15))
def test_no_more_cash_is_moved_than_was_asked(amount: int) -> None:
    body = json.loads(codec.transfer_body(Money(amount), 0, 2, "name"))
    assert body["amount"] * 100 <= amount < (body["amount"] + 1) * 100


@given(st.integers(0, 10**9), st.integers(1, 9))
def test_a_fee_finer_than_we_count_is_never_less_than_was_charged(millionths: int, beyond: int) -> None:
    charged = f"{millionths // 10**6}.{millionths % 10**6:06d}{beyond}"
    told = {
        "trade_id": "t", "order_id": "V1", "market_ticker": "M", "count_fp": "1.00", "yes_price_dollars": "0.5200",
        "fee_cost": charged, "is_taker": True,
    }  # fmt: skip
    seen = codec.fill_seen("k", told, AT)
    assert seen is not None
    assert seen.fill.fee == millionths + 1 >= Decimal(charged) * 10**6


@pytest.mark.parametrize(
    ("asked", "terms", "sent"),
    [
        (order(), Terms(), {"time_in_force": "immediate_or_cancel"}),
        (order(), Terms(lifetime=Lifetime.FOK), {"time_in_force": "fill_or_kill"}),
        (order(), Terms(reduce_only=True), {"time_in_force": "immediate_or_cancel", "reduce_only": True}),
        (
            resting(),
            Terms(lifetime=Lifetime.GTC, post_only=True, cancel_on_pause=False),
            {"time_in_force": "good_till_canceled", "post_only": True, "cancel_order_on_pause": False},
        ),
        (
            resting(),
            Terms(group="g", shard=2),
            {
                "time_in_force": "good_till_canceled", "expiration_time": AT // SECOND + 2,
                "cancel_order_on_pause": True, "order_group_id": "g", "exchange_index": 2,
            },
        ),
    ],
)  # fmt: skip
def test_terms_in_the_venues_words(asked: Order, terms: Terms, sent: dict[str, Any]) -> None:
    plain = ("ticker", "client_order_id", "side", "count", "price", "self_trade_prevention_type")
    body = json.loads(codec.order_body(asked, "w", terms))
    assert {name: value for name, value in body.items() if name not in plain} == sent


async def test_a_repost_is_the_same_to_the_byte() -> None:
    venue, _ = trading(3)
    terms = Terms(group="g", lifetime=Lifetime.FOK)
    first, second = venue.prepare_with(order(), terms), venue.prepare_with(order(), terms)
    assert isinstance(first, Prepared)
    assert first == second
    assert json.loads(first.body)["subaccount"] == 3


# Sub-accounts.


async def test_everything_is_about_our_sub_account() -> None:
    venue, shelf = trading(3)
    shelf.answers = {
        "GET /portfolio/orders?": {"orders": [], "cursor": ""},
        "GET /portfolio/fills?": {"fills": [], "cursor": ""},
        "GET /portfolio/positions?": {"market_positions": [], "cursor": ""},
        "GET /portfolio/settlements?": {"settlements": [], "cursor": ""},
        "GET /portfolio/balance": {"balance_dollars": "1.0000"},
        "GET /portfolio/order_groups": {"order_groups": []},
        "GET /exchange/user_data_timestamp": {"as_of_time": "2024-04-18T00:00:00Z"},
        "DELETE /portfolio/events/orders": {},
        "PUT /portfolio/order_groups": {},
        "POST /portfolio/order_groups/create": (201, {"order_group_id": "g", "subaccount": 3}),
    }
    await venue.orders_since(AT)
    await venue.fills_since("")
    await venue.fills_since(str(AT // SECOND))
    await venue.positions()
    await venue.settled_since(AT)
    await venue.cash()
    await venue.groups()
    await venue.cancel(order(), "V1")
    await venue.cancel_all()
    await venue.trigger_group("g", 2)
    await venue.make_group(Quantity(CONTRACT), 2)
    await venue.cancel_batch([(order(), "V1")])
    by_query = [asked for asked in shelf.asked if "/exchange/" not in asked and not asked.startswith("POST")]
    others = [asked for asked in by_query if "subaccount=3" not in asked]
    # one order is found by its id alone; batches say it for each order
    assert set(others) == {"GET /portfolio/orders/V1", "DELETE /portfolio/events/orders/batched"}
    assert "PUT /portfolio/order_groups/g/trigger?exchange_index=2&subaccount=3" in shelf.asked
    made = shelf.bodies[shelf.asked.index("POST /portfolio/order_groups/create")]
    assert made == {"contracts_limit_fp": "1.00", "exchange_index": 2, "subaccount": 3}
    batch = shelf.bodies[shelf.asked.index("DELETE /portfolio/events/orders/batched")]
    assert batch == {"orders": [{"order_id": "V1", "market_ticker": "M", "subaccount": 3}]}
    assert isinstance(await venue.move_cash(Money(100), 0, 1, "n"), Denied)


@pytest.mark.parametrize(("told", "kept"), [(3, True), (0, False), (None, True)])
def test_the_private_stream_is_about_our_sub_account(told: int | None, kept: bool) -> None:
    key = kalshi_rsa()
    account = KalshiAccountData("k", "ws://x/y", KalshiCredentials(key.key_id, key.private_key_pem, 3), Hand())
    seen = {"order_id": "V1", "ticker": "M", "status": "resting", "fill_count_fp": "0.00", "subaccount_number": told}
    fill = {
        "trade_id": "t", "order_id": "V1", "market_ticker": "M", "count_fp": "1.00", "yes_price_dollars": "0.5200",
        "fee_cost": "0.01", "is_taker": True, "subaccount": told,
    }  # fmt: skip
    for kind, message in (("user_order", seen), ("fill", fill)):
        assert (account.event({"type": kind, "msg": message}) is not None) is kept
    assert account.skipped == 0


@pytest.mark.parametrize(("text", "found"), [('"subaccount":0', 0), ('"subaccount":63', 63), ('"other":1', None)])
def test_a_key_may_name_its_sub_account(text: str, found: int | None) -> None:
    told = f'{{"key_id":"id","private_key_pem":"pem",{text}}}'
    assert kalshi_credentials("main", "x", lambda _: told).subaccount == found


@pytest.mark.parametrize("value", ["64", "-1", '"x"', "1.5", "true"])
def test_a_sub_account_that_cannot_be_is_refused(value: str) -> None:
    told = f'{{"key_id":"id","private_key_pem":"pem","subaccount":{value}}}'
    with pytest.raises(NotReady, match="subaccount"):
        kalshi_credentials("main", "x", lambda _: told)


# Reads that lag, and reads that have moved to the archive.


def listed(asked: Order, status: str = "executed", count: str = "10.00") -> dict[str, Any]:
    return {
        "order_id": "V1", "client_order_id": codec.client_order_id(asked.order), "ticker": "M", "status": status,
        "fill_count_fp": count, "initial_count_fp": "10.00",
    }  # fmt: skip


def stamp(at: int) -> str:
    return datetime.fromtimestamp(at // SECOND, UTC).isoformat()


NOTHING = {"orders": [], "fills": [], "cursor": ""}


def archived(edge: int) -> dict[str, Any]:
    return {
        "GET /exchange/user_data_timestamp": {"as_of_time": stamp(AT + 30 * DAY)},
        "GET /historical/cutoff": {"orders_updated_ts": stamp(edge), "trades_created_ts": stamp(edge)},
        "GET /historical/orders?": {"orders": [listed(order())], "cursor": ""},
        "GET /portfolio/orders?": NOTHING,
    }


async def test_an_old_order_that_left_the_list_is_in_the_archive() -> None:
    venue, shelf = trading(at=Nanos(AT + 20 * DAY))
    shelf.answers = archived(AT + 6 * DAY)
    assert isinstance(await venue.look_up(order(), None), Ended)
    # behind the edge it is absent, and where the edge is unknown nobody knows
    shelf.answers = archived(AT - DAY)
    assert isinstance(await venue.look_up(order(), None), Absent)
    shelf.answers = archived(AT + 6 * DAY) | {"GET /historical/cutoff": {}}
    assert isinstance(await venue.look_up(order(), None), LookUpFailed)
    shelf.answers = archived(AT + 6 * DAY) | {"GET /historical/orders?": {"orders": [1]}}
    assert isinstance(await venue.look_up(order(), None), LookUpFailed)


async def test_a_young_order_does_not_ask_for_the_archive() -> None:
    venue, shelf = trading()
    shelf.answers = archived(AT)
    assert isinstance(await venue.look_up(order(), None), Absent)
    assert not any("historical" in asked for asked in shelf.asked)


async def test_old_fills_of_one_order_are_picked_from_the_archive() -> None:
    venue, shelf = trading(at=Nanos(AT + 20 * DAY))
    row = {
        "fill_id": "f", "market_ticker": "M", "count_fp": "1.00", "yes_price_dollars": "0.5200", "is_taker": True,
        "fee_cost": "0.017500", "ts": AT // SECOND,
    }  # fmt: skip
    both = [row | {"order_id": "V1"}, row | {"order_id": "V2", "fill_id": "g"}]
    shelf.answers = archived(AT + 6 * DAY) | {
        "GET /portfolio/fills?": NOTHING,
        "GET /historical/fills?": {"fills": both, "cursor": ""},
    }
    page = await venue.fills_since("", (order(), "V1"))
    assert not isinstance(page, Failed), page
    assert [seen.fill.fill for seen in page.fills] == ["f"]
    since = await venue.fills_since(str(AT // SECOND))
    assert not isinstance(since, Failed), since
    assert [seen.fill.fill for seen in since.fills] == ["f", "g"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("resting", Rested),
        ("RESTING", Rested),
        ("canceled", Ended),
        ("cancelled", Ended),
        ("Canceled: by the exchange", Ended),
        ("executed", Ended),
        ("canceled_pending", LookUpFailed),
        ("cancel", LookUpFailed),
        ("pending", LookUpFailed),
        ("unknown", LookUpFailed),
        ("", LookUpFailed),
    ],
)
async def test_a_status_is_its_first_word_or_unknown(status: str, kind: type) -> None:
    venue, shelf = trading()
    shelf.answers = {"GET /portfolio/orders/V1": {"order": listed(resting(), status, "4.00")}}
    assert isinstance(await venue.look_up(resting(), "V1"), kind)


# Acts whose answers do not come, or not as they should.

SLOW = WireError(Trouble.TIMEOUT, "slow")


async def test_a_change_is_believed_when_the_order_is_seen() -> None:
    venue, shelf = trading()
    changing: list[Callable[[], Any]] = [
        lambda: venue.amend(resting(), "V1", price=Price(4_000), quantity=Quantity(12 * CONTRACT)),
        lambda: venue.decrease(resting(), "V1", left=Quantity(3 * CONTRACT)),
    ]
    for change in changing:
        another = {"order_id": "V9", "remaining_count": "0.00", "ts_ms": 1}
        shelf.answers = {
            "POST /portfolio/events/orders/V1": another,
            "GET /portfolio/orders/V1": {"order": listed(resting(), "resting", "4.00")},
        }
        assert await change() == Rested(order=resting().order, at=AT, venue_order="V1", matched=Quantity(4 * CONTRACT))
        shelf.answers.pop("GET /portfolio/orders/V1")
        assert isinstance(await change(), Unsure)
        for answer in (SLOW, (500, {}), (409, {"error": {"code": "new"}})):
            shelf.answers = {"POST /portfolio/events/orders/V1": answer}
            shelf.asked.clear()
            assert isinstance(await change(), Unsure)
            assert len(shelf.asked) == 1


async def test_an_amended_order_may_fill_more_than_it_was_made_for() -> None:
    venue, shelf = trading()
    shelf.answers = {
        "POST /portfolio/events/orders/V1": {"order_id": "V1", "ts_ms": 1},
        "GET /portfolio/orders/V1": {"order": listed(resting(), "executed", "30.00")},
    }
    answer = await venue.amend(resting(), "V1", price=Price(4_000), quantity=Quantity(30 * CONTRACT))
    assert isinstance(answer, Ended)
    assert answer.matched == 30 * CONTRACT
    unsure = await venue.amend(resting(), "V1", price=Price(4_000), quantity=Quantity(12 * CONTRACT))
    assert isinstance(unsure, Unsure)


async def test_a_sweep_that_nobody_answered_may_still_go_on() -> None:
    venue, shelf = trading()
    shelf.answers = {"DELETE /portfolio/events/orders": SLOW}
    assert isinstance(await venue.cancel_all(), Unsure)
    assert venue.swept_until() == AT + 60 * SECOND
    shelf.answers = {"DELETE /portfolio/events/orders": (403, {"error": {"code": "forbidden"}})}
    assert isinstance(await trading()[0].cancel_all(), Denied)
    # a second request that is refused does not undo the first
    assert isinstance(await venue.cancel_all(), Denied)
    assert venue.swept_until() == AT + 60 * SECOND


async def test_a_market_is_swept_only_as_far_as_the_venue_says() -> None:
    venue, shelf = trading()
    rows = {"orders": [{"order_id": "V1"}, {"order_id": "V2"}], "cursor": ""}
    ok = {"order_id": "V1", "reduced_by": "1.00", "error": None}
    shelf.answers = {"GET /portfolio/orders?": rows, "DELETE /portfolio/events/orders/batched": {"orders": [ok]}}
    assert isinstance(await venue.cancel_all("M"), Unsure)
    shelf.answers["DELETE /portfolio/events/orders/batched"] = {"orders": [ok, ok | {"order_id": "V2"}]}
    assert await venue.cancel_all("M") == Done(AT, "2 cancelled")
    shelf.answers["GET /portfolio/orders?"] = (500, {})
    assert isinstance(await venue.cancel_all("M"), Unsure)


async def test_a_group_without_a_name_is_unsure_and_one_without_words_is_unknown() -> None:
    venue, shelf = trading()
    shelf.answers = {"POST /portfolio/order_groups/create": (201, {})}
    assert isinstance(await venue.make_group(Quantity(CONTRACT)), Unsure)
    unreadable: list[Any] = [[1], {"order_groups": [1]}, {"order_groups": [{}]}]
    for told in unreadable:
        shelf.answers = {"GET /portfolio/order_groups": told}
        assert isinstance(await venue.groups(), Failed)
    shelf.answers = {"GET /portfolio/order_groups/g": {"is_auto_cancel_enabled": "perhaps", "orders": ["V1", 2]}}
    assert await venue.group("g") == OrderGroup("g", None, None, ("V1",))


async def test_what_cannot_be_read_is_failed_and_never_nothing() -> None:
    venue, shelf = trading()
    unreadable: list[Any] = [[1], {}, {"read": {"bucket_capacity": 0, "refill_rate": 1}}, {"balance_breakdown": [{}]}]
    for told in unreadable:
        shelf.answers = dict.fromkeys(("GET /account", "GET /portfolio"), told)
        assert isinstance(await venue.limits(), Failed)
        assert isinstance(await venue.costs(), Failed)
        assert isinstance(await venue.shard_cash(), Failed)
        assert isinstance(await venue.settled_since(AT), Failed)
        assert isinstance(await venue.queue_ahead("V1"), Failed)
    assert venue.traffic().allowances == ()


# Everything that was recorded.


def parses(name: str, told: Any) -> object:
    """What our codec makes of a recorded answer; None where it makes nothing of it."""
    group, _, which = name.partition("__")
    about = json.loads((RECORDED / f"{name}.meta.json").read_text()) if name != "markets__high_temp" else {}
    status = about.get("status", about.get("http_status", 200))
    body = json.dumps(told).encode()
    if status >= 400:
        if about.get("method", "GET") == "POST":
            row, answer = classify(order(), "w", status, {}, body, AT)
            return answer if isinstance(answer, (Refused, Landed)) and row != "K-24" else None
        row, said = judge(Response(status, {}, body), AT)
        return said if isinstance(said, Denied) else None
    return READERS[group](which, told)


def _order_answer(which: str, told: Any) -> object:
    if "order" in told:
        return codec.order_seen("k", told["order"], AT)
    if "reduced_by" in told:
        said = judge(Response(200, {}, json.dumps(told).encode()), AT)[1]
        return said if isinstance(said, Done) else None
    rests = told["remaining_count"] != "0.00"
    asked = (resting if rests else order)(quantity=Quantity(1_000 * CONTRACT))
    answer = classify(asked, told["client_order_id"], 201, {}, json.dumps(told).encode(), AT)[1]
    return answer if isinstance(answer, (Rested, Ended)) else None


def _market_answer(which: str, told: Any) -> object:
    fees = fee_schedule({}, {"fee_type": "quadratic", "fee_multiplier": 1}, AT)
    rows = told["markets"] if "markets" in told else [told["market"]] if "market" in told else None
    if rows is None:
        return None
    found = [(markets.market("k", row, {}, fees, AT), markets.description(row, {}, {})) for row in rows]
    return found if all(market is not None and about is not None for market, about in found) else None


def _all(read: Callable[[Mapping[str, Any]], object], rows: list[Any]) -> object:
    found = [read(row) for row in rows]
    return found if None not in found else None


READERS: dict[str, Callable[[str, Any], object]] = {
    "orders": _order_answer,
    "cleanup": _order_answer,
    "markets": _market_answer,
    "auth": lambda _, told: codec.cash(told),
    "exchange": lambda _, told: hours.state_of(told, frozenset()) if hours.mode_of(told) is VenueMode.OPEN else None,
    "fills": lambda _, told: _all(lambda row: codec.fill_seen("k", row, AT), told["fills"]),
    "orderbook": lambda _, told: codec.rest_book(told),
    "portfolio": lambda which, told: (
        _all(codec.position, told["market_positions"])
        if which == "positions"
        else _all(lambda row: codec.order_seen("k", row, AT), told["orders"])
    ),
    "series": lambda _, told: _all(series_change, told["series_fee_change_arr"]),
    "settlements": lambda _, told: _all(codec.settled, told["settlements"]),
}
ELSEWHERE = {"trades__public_recorded": "public trades are not read", "session__manifest": "the recorder's own notes"}

answers = sorted(path.stem for path in RECORDED.glob("*.json") if not path.stem.endswith(".meta"))


@pytest.mark.skipif(not answers, reason=f"no recorded answers in {RECORDED}")
async def test_every_recorded_answer_is_understood() -> None:
    assert len(answers) > 40
    for name in answers:
        if name in ELSEWHERE:
            continue
        told = json.loads((RECORDED / f"{name}.json").read_text())
        if name.startswith("account__"):
            venue, shelf = trading()
            shelf.answers = {"GET /account": told}
            found: object = await (venue.limits() if name.endswith("limits") else venue.costs())
            assert not isinstance(found, Failed), name
        else:
            assert parses(name, told) is not None, name


# Anything at all.

KEYS = (
    "order_id", "ticker", "market_ticker", "fill_count_fp", "status", "trade_id", "yes_price_dollars", "count_fp",
    "fee_cost", "balance_breakdown", "exchange_index", "balance", "settled_time", "revenue", "yes_count_fp",
    "no_count_fp", "type", "msg", "subaccount", "orders", "order_groups", "id", "is_auto_cancel_enabled", "order",
    "cursor", "fills", "markets", "error", "code", "as_of_time",
)  # fmt: skip
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(("1.00", "0.5200", "V1", "resting", "canceled", "fill", "user_order", "2024-04-18T00:00:00Z"))
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=16,
)


@cache
def the_same() -> tuple[KalshiTrading, Shelf]:
    """Loading a key takes longer than all that is asked with it."""
    return trading()


@cache
def the_same_account() -> KalshiAccountData:
    return KalshiAccountData("k", "ws://x/y", kalshi_rsa(), Hand())


@given(anything)
async def test_no_answer_to_any_request_raises_or_makes_a_position(told: Any) -> None:
    venue, shelf = the_same()
    shelf.answers = {"": told}
    asked = resting()
    for answer in (await venue.look_up(asked, "V1"), await venue.cancel(asked, "V1")):
        if isinstance(answer, (Rested, Ended)):
            assert answer.matched <= asked.quantity * 3 // 2
    await venue.submit_batch([venue.prepare(asked)])
    await venue.cancel_batch([(asked, "V1")])
    await venue.amend(asked, "V1", price=Price(4_000), quantity=asked.quantity)
    await venue.cancel_all("M")
    await venue.make_group(Quantity(CONTRACT))
    for read in (
        venue.groups, venue.limits, venue.costs, venue.shard_cash, venue.cash, venue.positions,
    ):  # fmt: skip
        await read()
    await venue.group("g")
    await venue.settled_since(AT)
    await venue.queue_ahead("V1")
    await venue.fills_since("")
    await venue.orders_since(AT)


@given(anything)
def test_no_private_message_raises(told: Any) -> None:
    account = the_same_account()
    if isinstance(told, dict):
        event = account.event(told)
        assert event is None or isinstance(event, OrderSeen) or event.fill.quantity > 0
    Books(["M"]).take(json.dumps(told), AT)
