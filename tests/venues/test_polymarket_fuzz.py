"""Whatever the venue answers, to whatever it was asked: the adapter says something of the right kind and never raises."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messages.books import Book
from messages.markets import Market, VenueMode
from messages.orders import Absent, Ended, Landed, LookUpFailed, Lost, Order, Refused, Rested
from messages.reasons import Trouble
from messages.units import SECOND, Money, Nanos, Side
from tests.venues.making import AT, CONDITION, Hand, order, polymarket_market, polymarket_wallet, resting
from venues import http
from venues.calls import Calls
from venues.http import Response, WireError
from venues.polymarket import rest
from venues.polymarket.keys import ApiKey, Keys
from venues.polymarket.outcome import classify_batch
from venues.polymarket.preparing import Preparing
from venues.polymarket.rest import PolymarketTrading
from venues.polymarket.sign import Signer
from venues.polymarket.stream import PolymarketMarketData
from venues.port import Capabilities, Denied, Done, Failed, FillPage, Unsure

MARKET = polymarket_market()
YES, NO = MARKET.tokens or ("", "")
BUY = order(market=CONDITION, spend=Money(5_200_000))
SELL = order(market=CONDITION, side=Side.SELL, order="g.1.t1.0.1")
REST = resting(market=CONDITION, order="g.1.t1.0.2")
PROOFS = Capabilities(True, False, Nanos(3 * SECOND), True, True, False)
NAMING = Preparing(Signer(polymarket_wallet(), Hand()))
NAMING.load([MARKET])
HASHES = [NAMING.identify(asked) for asked in (BUY, SELL, REST)]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_PAUSE_LEAST_S", 0.0)
    monkeypatch.setattr(http, "READ_PAUSE_MOST_S", 0.0)
    monkeypatch.setattr(rest, "STALE_PAUSE_S", 0.0)


class Oracle:
    """A wire that says what the test drew, one thing after the other."""

    def __init__(self, answers: list[tuple[int, bytes, Mapping[str, str]] | None]) -> None:
        self.answers = answers
        self.asked = 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        self.asked += 1
        answer = self.answers[self.asked % len(self.answers)]
        if answer is None:
            raise WireError(Trouble.CONNECTION, "gone")
        return Response(answer[0], answer[2], answer[1])


FIELDS = (
    "id", "data", "next_cursor", "status", "size_matched", "market", "associate_trades", "taker_order_id", "price", "size",
    "side", "order_type", "match_time", "trader_side", "maker_orders", "order_id", "matched_amount", "owner", "bids", "asks",
    "asset_id", "timestamp", "hash", "balance", "allowances", "canceled", "not_canceled", "heartbeat_id", "success", "orderID",
    "errorMsg", "makingAmount", "takingAmount", "closed_only", "tier", "created_at", "condition_id", "outcome", "pagination",
    "markets", "conditionId", "apiKey", "secret", "passphrase", "error", "code", "mts", "mos", "t", "fd", "nr",
)  # fmt: skip
WORDS = (
    "", "0", "1", "10", "-1", "0.5", "1e9", "NaN", "MATCHED", "ORDER_STATUS_LIVE", "CANCELED_x", "live", "matched", "delayed",
    "BUY", "SELL", "MAKER", "TAKER", "FAK", "LTE=", "MA==", "1713398400", "Yes", "no", YES, NO, CONDITION, *HASHES,
    "Duplicated.", "not found", "unauthorized", "post_only_mode", "9" * 40,
)  # fmt: skip
leaf = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
value = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8),
    max_leaves=15,
)
body = st.builds(lambda told: json.dumps(told).encode(), value) | st.binary(max_size=30)
headers = st.dictionaries(
    st.sampled_from(
        ("date", "retry-after", "poly-ratelimit-remaining", "poly-ratelimit-reset", "poly-ratelimit-tier", "poly-ratelimit-warning")
    ),
    st.sampled_from(("", "-3", "7", "Gold", "Thu, 18 Apr 2024 00:00:09 GMT", "1" * 30)) | st.text(max_size=10),
)  # fmt: skip
status = st.sampled_from((200, 200, 200, 200, 201, 301, 400, 401, 403, 404, 408, 425, 429, 500, 503))
answers = st.lists(st.none() | st.tuples(status, body, headers), min_size=1, max_size=4)

BATCH = [(BUY, HASHES[0]), (SELL, HASHES[1]), (REST, HASHES[2])]


async def everything(oracle: Oracle) -> None:
    trading = PolymarketTrading("p", "http://x", polymarket_wallet(), Hand(), PROOFS, wire=oracle)
    trading.load([MARKET])
    prepared = [trading.prepare(asked) for asked in (BUY, SELL, REST)]
    judged = Rested, Ended, Refused, Landed, Lost
    looked = Rested, Ended, Absent, LookUpFailed
    for one in prepared:
        assert isinstance(await trading.submit(one), judged)
        for found in (
            await trading.look_up(one.order, None),
            await trading.look_up(one.order, one.wire),
            await trading.cancel(one.order, None),
        ):
            assert isinstance(found, looked)
            plausible(one.order, found)
    assert all(isinstance(found, judged) for found in await trading.submit_batch(prepared))
    assert all(isinstance(found, looked) for found in await trading.cancel_batch(list(BATCH)))
    fate, following = await trading.replace(REST, HASHES[2], prepared[0])
    assert isinstance(fate, looked)
    assert following is None or isinstance(fate, Ended)
    acted = Done, Denied, Unsure
    assert isinstance(await trading.cancel_all(), acted)
    assert isinstance(await trading.cancel_all(CONDITION), acted)
    assert isinstance(await trading.beat(), acted)
    for page in (await trading.fills_since(""), await trading.fills_since("1713398400", (BUY, None))):
        assert isinstance(page, (FillPage, Failed))
    for rows in (await trading.orders_since(AT), await trading.positions(), await trading.budgets()):
        assert isinstance(rows, (tuple, Failed))
    assert isinstance(await trading.cash(), (int, Failed))
    assert isinstance(await trading.spendable(SELL), (int, Failed))
    assert isinstance(await trading.closed_only(), (bool, Failed))
    assert isinstance(await trading.book(CONDITION), (Book, Failed))
    assert isinstance(trading.mode_told(), VenueMode)
    trading.traffic()
    await trading.close()


def plausible(asked: Order, found: Any) -> None:
    if isinstance(found, (Ended, Rested)) and asked is not BUY:
        assert found.matched <= asked.quantity * 3 // 2


@given(answers)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_order_entry_and_account_reads_never_raise(drawn: list[Any]) -> None:
    asyncio.run(everything(Oracle(drawn)))


@given(answers)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_public_data_never_raises(drawn: list[Any]) -> None:
    async def public() -> None:
        data = PolymarketMarketData("p", "http://x", "ws://x", Hand(), wire=Oracle(drawn))
        assert isinstance(await data.markets([CONDITION]), (tuple, Failed))
        assert isinstance(await data.describe([CONDITION]), (tuple, Failed))
        assert isinstance(await data.mode(), VenueMode)
        told: list[Market] = []
        await data._refresher._turn([CONDITION], told.append)
        await data._read_books([YES, NO])
        keys = Keys(Signer(polymarket_wallet(), Hand()), Calls(Oracle(drawn), _nothing, 1.0))
        assert isinstance(await keys.derive(), (ApiKey, Failed))
        assert isinstance(await keys.make(7), (ApiKey, Failed))

    asyncio.run(public())


async def _nothing(method: str, path: str, given: bytes) -> Mapping[str, str]:
    del method, path, given
    return {}


@given(status, body, headers)
def test_no_answer_to_a_batch_raises_or_makes_a_position(
    code: int, told: bytes, given_headers: Mapping[str, str]
) -> None:
    found = classify_batch(BATCH, code, given_headers, told, AT)
    assert len(found) == len(BATCH)
    for (asked, wire), (_, answer) in zip(BATCH, found, strict=True):
        assert answer.order == asked.order
        if isinstance(answer, (Ended, Rested)):
            assert answer.venue_order == wire
        plausible(asked, answer)
        if code >= 500:
            assert isinstance(answer, Lost)


def test_an_api_key_is_hidden_wherever_it_is_shown() -> None:
    key = ApiKey("key-1", "secret-1", "phrase-1")
    assert not any(part in repr(key) for part in ("key-1", "secret-1", "phrase-1"))
