"""What the adapter does beside placing one order: batches, cancels, replacing, sweeping, the dead-man switch, modes, budgets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from messages.markets import VenueMode
from messages.orders import Absent, Ended, EndKind, LookUpFailed, Lost, Refused, Rested
from messages.reasons import Refusal, Trouble
from messages.units import CONTRACT, SECOND, Money, Nanos, Price, Quantity, Side
from tests.venues.making import AT, CONDITION, Hand, order, polymarket_market, polymarket_wallet, resting
from venues import http
from venues.http import Response, WireError
from venues.polymarket import rest
from venues.polymarket.rest import NO_ORDER, PolymarketTrading
from venues.port import (
    Allowance,
    Batching,
    Beating,
    Capabilities,
    Denied,
    Done,
    Failed,
    Lifetime,
    ModeTelling,
    Prepared,
    Replacing,
    Shaping,
    Sweeping,
    Terms,
    Trading,
    Unsure,
)

PROOFS = Capabilities(True, False, Nanos(3 * SECOND), True, True, False)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_PAUSE_MOST_S", 0.002)
    monkeypatch.setattr(rest, "STALE_PAUSE_S", 0.001)


Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]] | WireError


class Clerk:
    """A wire that answers by a function of method, path and body, and remembers what it was asked."""

    def __init__(self, answers: Callable[[str, str, Any], Answer | None]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, str, Any]] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        told = json.loads(body) if body else None
        self.asked.append((method, path, told))
        answer = self.answers(method, path, told)
        if isinstance(answer, WireError):
            raise answer
        status, text, *more = answer or (404, {"error": "not found"})
        given = text.encode() if isinstance(text, str) else json.dumps(text).encode()
        return Response(status, dict(more[0]) if more else {}, given)

    def at(self, start: str) -> list[Any]:
        return [body for method, path, body in self.asked if f"{method} {path}".startswith(start)]


def bench(answers: Callable[[str, str, Any], Answer | None]) -> tuple[PolymarketTrading, Clerk, Hand]:
    clerk, clock = Clerk(answers), Hand()
    trading = PolymarketTrading("p", "http://x", polymarket_wallet(), clock, PROOFS, wire=clerk)
    trading.load([polymarket_market()])
    return trading, clerk, clock


def gtc(number: int, **more: Any) -> Any:
    return resting(market=CONDITION, order=f"g.1.t{number}.0.0", **more)


def live(wire: str) -> dict[str, Any]:
    return {"success": True, "orderID": wire, "status": "live", "makingAmount": "", "takingAmount": "", "errorMsg": ""}


def shown(wire: str, status: str = "LIVE", matched: str = "0") -> dict[str, Any]:
    return {"id": wire, "status": f"ORDER_STATUS_{status}", "size_matched": matched, "order_type": "GTC"}


NOTHING = {"data": [], "next_cursor": "LTE="}


def test_the_adapter_is_what_the_port_calls_these() -> None:
    trading, _, _ = bench(lambda *_: None)
    for protocol in (Shaping, Batching, Replacing, Sweeping, Beating, ModeTelling):
        assert isinstance(trading, protocol)
    port: Trading = trading
    assert port.name == "p"


# Batches


async def test_a_batch_is_the_orders_own_bodies_in_requests_of_fifteen() -> None:
    trading, clerk, _ = bench(lambda *_: None)
    prepared = [trading.prepare(gtc(number)) for number in range(17)]
    wires = [one.wire for one in prepared]

    def answer(method: str, path: str, body: Any) -> Answer:
        del method, path
        return 200, [live(wires[first + n]) for n in range(len(body))]

    first = 0

    def counting(method: str, path: str, body: Any) -> Answer:
        nonlocal first
        told = answer(method, path, body)
        first += len(body)
        return told

    clerk.answers = counting
    found = await trading.submit_batch(prepared)
    assert [len(body) for body in clerk.at("POST /orders")] == [15, 2]
    assert [body for batch in clerk.at("POST /orders") for body in batch] == [json.loads(one.body) for one in prepared]
    assert [answer.order for answer in found] == [one.order.order for one in prepared]
    assert all(isinstance(answer, Rested) for answer in found)


async def test_a_batch_that_nobody_answered_is_lost_order_by_order() -> None:
    trading, clerk, _ = bench(lambda *_: WireError(Trouble.TIMEOUT, "slow"))
    prepared = [trading.prepare(gtc(number)) for number in range(3)]
    found = await trading.submit_batch(prepared)
    assert all(isinstance(answer, Lost) and answer.trouble is Trouble.TIMEOUT for answer in found)
    assert len(clerk.asked) == 1


async def test_a_batch_cancel_looks_every_order_up() -> None:
    fates: dict[str, dict[str, Any]] = {}

    def answers(method: str, path: str, body: Any) -> Answer | None:
        if method == "DELETE":
            kept = {body[1]: "Order already matched"}
            return 200, {"canceled": [body[0]], "not_canceled": kept}
        told = fates.get(path.rpartition("/")[2])
        return (200, told) if told else (200, NOTHING) if path.startswith("/data/trades") else None

    trading, clerk, _ = bench(answers)
    orders = [gtc(1), gtc(2), gtc(3)]
    wires = [trading.identify(one) for one in orders]
    fates |= {wires[0]: shown(wires[0], "CANCELED", "2"), wires[1]: shown(wires[1], "MATCHED", "10")}
    first, second, third = await trading.cancel_batch(list(zip(orders, wires, strict=True)))
    assert clerk.at("DELETE /orders") == [wires]
    assert isinstance(first, Ended)
    assert (first.matched, first.how) == (2 * CONTRACT, EndKind.CANCELLED)
    assert isinstance(second, Ended)
    assert second.how is EndKind.FILLED
    assert isinstance(third, Absent)


# Cancelling, with reads that lag


@pytest.mark.parametrize(("acknowledged", "stale", "reads"), [(True, 2, 3), (True, 9, 4), (False, 9, 1)])
async def test_a_read_that_still_shows_what_was_cancelled_is_repeated(
    acknowledged: bool, stale: int, reads: int
) -> None:
    looked = 0

    def answers(method: str, path: str, body: Any) -> Answer | None:
        nonlocal looked
        if method == "DELETE":
            name = body["orderID"]
            return 200, {
                "canceled": [name] if acknowledged else [],
                "not_canceled": {} if acknowledged else {name: "x"},
            }
        looked += 1
        return 200, shown(path.rpartition("/")[2], "LIVE" if looked <= stale else "CANCELED")

    trading, _, _ = bench(answers)
    answer = await trading.cancel(gtc(1), trading.identify(gtc(1)))
    assert isinstance(answer, Ended if stale < 4 and acknowledged else Rested)
    assert looked == reads


async def test_a_cancel_that_comes_in_the_taker_delay_leaves_the_order_in_doubt_and_not_absent() -> None:
    reason = "cannot cancel because the order is in pending/delayed status"

    def answers(method: str, path: str, body: Any) -> Answer | None:
        if method == "DELETE":
            return 200, {"canceled": [], "not_canceled": {body["orderID"]: reason}}
        return 200, shown(path.rpartition("/")[2], "DELAYED", "")

    trading, _, _ = bench(answers)
    asked = order(market=CONDITION, spend=Money(5_200_000))
    answer = await trading.cancel(asked, trading.identify(asked))
    assert isinstance(answer, Rested)


@pytest.mark.parametrize("kind", ["resting", "immediate"])
async def test_what_another_process_sent_is_found_although_tick_and_contract_changed_since(kind: str) -> None:
    asked = gtc(1) if kind == "resting" else order(market=CONDITION, spend=Money(5_200_000))
    before, _, _ = bench(lambda *_: None)
    wire = before.prepare(asked).wire
    row = {"id": "t1", "taker_order_id": wire, "market": CONDITION, "side": "BUY", "size": "10", "price": "0.52"}
    trades = {"data": [row] if kind == "immediate" else [], "next_cursor": "LTE="}

    def answers(method: str, path: str, body: Any) -> Answer | None:
        if method == "DELETE":
            return 200, {"canceled": [name for name in body if name == wire], "not_canceled": {}}
        if path.startswith("/data/orders?"):
            return 200, {"data": [shown(wire, "LIVE", "2")] if kind == "resting" else [], "next_cursor": "LTE="}
        return (200, trades) if path.startswith("/data/trades") else None

    after, clerk, _ = bench(answers)
    after.load([polymarket_market(tick=10, generation="neg_risk_v2")])
    assert after.identify(asked) != wire
    found = await after.look_up(asked, None)
    assert isinstance(found, Rested if kind == "resting" else Ended), found
    assert found.venue_order == wire
    assert found.matched == (2 if kind == "resting" else 10) * CONTRACT
    await after.cancel(asked, None)
    assert wire in clerk.at("DELETE /orders")[0]
    # what this process sent has one hash
    await before.submit(before.prepare(asked))
    before.load([polymarket_market(tick=10, generation="neg_risk_v2")])
    assert before._identities(asked) == (wire,)


# Replacing


@pytest.mark.parametrize(
    ("matched", "quantity", "sent"), [("0", 10, True), ("0", 12, True), ("4", 6, True), ("4", 7, False)]
)
async def test_a_replacement_is_sent_when_the_first_is_over_and_the_two_are_no_more_than_it_was(
    matched: str, quantity: int, sent: bool
) -> None:
    """PA-09, PA-10"""

    def answers(method: str, path: str, body: Any) -> Answer | None:
        if method == "DELETE":
            return 200, {"canceled": [body["orderID"]], "not_canceled": {}}
        if path == "/order":
            return 200, live(following.wire)
        return 200, shown(path.rpartition("/")[2], "CANCELED", matched)

    trading, clerk, _ = bench(answers)
    old, new = gtc(1), gtc(2, quantity=Quantity(quantity * CONTRACT), price=Price(5_100))
    following = trading.prepare(new)
    fate, answer = await trading.replace(old, trading.identify(old), following)
    assert isinstance(fate, Ended)
    assert (answer is not None) == sent == bool(clerk.at("POST /order"))


async def test_no_replacement_is_sent_while_the_first_may_live() -> None:
    """PA-10"""
    trading, clerk, _ = bench(lambda method, *_: WireError(Trouble.TIMEOUT, "slow") if method == "DELETE" else None)
    old = gtc(1)
    fate, answer = await trading.replace(old, trading.identify(old), trading.prepare(gtc(2)))
    assert isinstance(fate, (Absent, LookUpFailed))
    assert answer is None
    assert not clerk.at("POST /order")


# Sweeping


async def test_a_sweep_says_what_it_could_not_cancel() -> None:
    """PA-01, PA-02, PA-03, PA-04"""
    told: list[Answer] = [
        (200, {"canceled": ["0x1", "0x2"], "not_canceled": {}}),
        (200, {"canceled": ["0x1"], "not_canceled": {"0x2": "the order is in pending/delayed status"}}),
        (401, {"error": "Unauthorized/Invalid api key"}),
        (429, {"error": "slow"}, {"poly-ratelimit-remaining": "-4", "retry-after": "3"}),
        (429, "<html>"),
        (503, {"error": "Trading is currently disabled. Check polymarket.com for updates"}),
        (200, "<html>"),
        WireError(Trouble.TIMEOUT, "slow"),
    ]
    trading, clerk, clock = bench(lambda *_: told.pop(0))
    assert trading.swept_until() == 0
    done = await trading.cancel_all()
    assert done == Done(clock.at, "2 cancelled")
    assert trading.swept_until() == clock.at
    kept = await trading.cancel_all(CONDITION)
    assert isinstance(kept, Unsure)
    assert "pending/delayed" in kept.text
    assert isinstance(await trading.cancel_all(), Denied)
    limited = await trading.cancel_all()
    assert limited == Denied(Refusal.RATE_LIMIT, "HTTP 429", Nanos(3 * SECOND))
    for _ in range(4):
        clock.at = Nanos(clock.at + SECOND)
        assert isinstance(await trading.cancel_all(), Unsure)
        # it may arrive late, and would take new orders with it
        assert trading.swept_until() == clock.at + PROOFS.late_arrival
    assert clerk.at("DELETE /cancel-all")[0] is None
    assert clerk.at("DELETE /cancel-market-orders") == [{"market": CONDITION, "asset_id": ""}]


# The dead-man switch


async def test_each_beat_carries_the_last_ones_id() -> None:
    """PA-05, PA-06, PA-07, PA-08"""
    told: list[Answer] = [
        (200, {"heartbeat_id": "a"}),
        (200, {"heartbeat_id": "b"}),
        (400, {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": "z"}),
        (200, {"heartbeat_id": "c"}),
        (400, {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": ""}),
        (200, {"heartbeat_id": "d"}),
        WireError(Trouble.TIMEOUT, "slow"),
        (200, {"status": "ok"}),
        (401, {"error": "Unauthorized/Invalid api key"}),
        (429, {"error": "slow", "retry_after_seconds": 2}),
        (502, "<html>"),
    ]
    trading, clerk, clock = bench(lambda *_: told.pop(0))
    kinds = [type(await trading.beat()) for _ in range(11)]
    assert kinds == [Done, Done, Denied, Done, Denied, Done, Unsure, Done, Denied, Denied, Unsure]
    sent = [body["heartbeat_id"] for body in clerk.at("POST /v1/heartbeats")]
    assert sent == ["", "a", "b", "z", "c", "", "d", "d", "", "", ""]
    assert trading._heart.armed
    assert not trading._heart.lapsed()
    clock.at = Nanos(clock.at + 10 * SECOND)
    assert trading._heart.lapsed()
    await trading.close()


async def test_beats_never_overlap() -> None:
    under_way = most = 0

    class Slow(Clerk):
        async def request(
            self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
        ) -> Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.005)
            under_way -= 1
            return await super().request(method, path, headers, body, timeout_s)

    slow = Slow(lambda *_: (200, {"heartbeat_id": f"h{len(slow.asked)}"}))
    trading = PolymarketTrading("p", "http://x", polymarket_wallet(), Hand(), PROOFS, wire=slow)
    beats: list[Awaitable[Any]] = [trading.beat() for _ in range(4)]
    assert all(isinstance(answer, Done) for answer in await asyncio.gather(*beats))
    assert most == 1
    assert [body["heartbeat_id"] for body in slow.at("POST")] == ["", "h1", "h2", "h3"]
    await trading.close()


async def test_one_owner_feeds_the_switch_of_a_key() -> None:
    first, _, _ = bench(lambda *_: (200, {"heartbeat_id": "a"}))
    second, clerk, _ = bench(lambda *_: (200, {"heartbeat_id": "a"}))
    assert isinstance(await first.beat(), Done)
    refused = await second.beat()
    assert isinstance(refused, Denied)
    assert "another adapter" in refused.text
    assert not clerk.asked
    await first.close()
    assert isinstance(await second.beat(), Done)
    await second.close()


# Modes


async def test_a_restart_is_a_pause_then_two_minutes_of_post_only_then_open() -> None:
    phase = "open"

    def answers(method: str, path: str, body: Any) -> Answer | None:
        del path
        if phase == "restarting":
            return 425, {"error": "the matching engine is restarting"}
        if method == "DELETE":
            return 200, {"canceled": [], "not_canceled": {body["orderID"]: "Order not found or already canceled"}}
        return 200, live(trading.identify(asked))

    trading, clerk, clock = bench(answers)
    asked = gtc(1)
    assert trading.mode_told() is VenueMode.OPEN
    phase = "restarting"
    assert isinstance(await trading.submit(trading.prepare(asked)), Lost)
    assert trading.mode_told() is VenueMode.PAUSED
    clock.at = Nanos(clock.at + 3_600 * SECOND)
    assert trading.mode_told() is VenueMode.PAUSED
    # somebody has to ask: the adapter does, for an order that cannot exist
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rest, "PROBE_EVERY_S", 0.01)
        await trading.open()
        try:
            await asyncio.sleep(0.05)
            assert trading.mode_told() is VenueMode.PAUSED
            phase = "back"
            async with asyncio.timeout(2):
                while trading.mode_told() is VenueMode.PAUSED:  # noqa: ASYNC110 - a mode is asked for, it tells nobody
                    await asyncio.sleep(0.01)
            probes = clerk.at("DELETE /order")
            assert probes
            assert all(body == {"orderID": NO_ORDER} for body in probes)
            await asyncio.sleep(0.05)
            assert len(clerk.at("DELETE /order")) == len(probes)
        finally:
            await trading.close()
    assert trading.mode_told() is VenueMode.POST_ONLY
    clock.at = Nanos(clock.at + 119 * SECOND)
    assert trading.mode_told() is VenueMode.POST_ONLY
    clock.at = Nanos(clock.at + SECOND)
    assert trading.mode_told() is VenueMode.OPEN


@pytest.mark.parametrize(
    ("told", "headers", "mode", "lasts"),
    [
        ({"error": "post-only mode: only …", "code": "post_only_mode", "retry_after_seconds": 79}, {}, "post_only", 79),
        ({"error": "post-only mode", "code": "post_only_mode"}, {"retry-after": "7"}, "post_only", 7),
        ({"error": "Trading is currently cancel-only. New orders are not accepted."}, {}, "cancel_only", 60),
        ({"error": "Trading is currently disabled. Check polymarket.com for updates"}, {}, "closed", None),
        ({"error": "upstream"}, {}, "open", 0),
        ("<html>post-only mode</html>", {}, "open", 0),
    ],
)
async def test_restrictions_are_read_from_order_entry(
    told: Any, headers: Mapping[str, str], mode: str, lasts: int | None
) -> None:
    trading, _, clock = bench(lambda *_: (503, told, headers))
    assert isinstance(await trading.submit(trading.prepare(gtc(1))), Lost)
    assert trading.mode_told().value == mode
    if lasts is None:
        clock.at = Nanos(clock.at + 3_600 * SECOND)
        assert trading.mode_told() is VenueMode.CLOSED
    elif lasts:
        clock.at = Nanos(clock.at + lasts * SECOND - 1)
        assert trading.mode_told().value == mode
        clock.at = Nanos(clock.at + 1)
        assert trading.mode_told() is VenueMode.OPEN


async def test_only_a_plain_order_that_was_taken_proves_that_the_venue_is_open() -> None:
    told: list[Answer] = [(503, {"error": "post-only mode", "code": "post_only_mode"})]
    trading, clerk, _ = bench(lambda *_: told.pop(0))
    await trading.submit(trading.prepare(gtc(1)))
    makers = trading.prepare_with(gtc(2), Terms(post_only=True))
    assert isinstance(makers, Prepared)
    told.append((200, live(makers.wire)))
    assert isinstance(await trading.submit(makers), Rested)
    assert trading.mode_told() is VenueMode.POST_ONLY
    plain = trading.prepare(gtc(3))
    told.append((200, live(plain.wire)))
    assert isinstance(await trading.submit(plain), Rested)
    assert trading.mode_told() is VenueMode.OPEN
    assert clerk.at("POST /order")[1]["postOnly"] is True


async def test_a_leg_that_is_refused_for_the_mode_tells_the_mode() -> None:
    refusal = live("") | {"status": "", "errorMsg": "post-only mode: only post-only orders and cancels are allowed"}
    trading, _, _ = bench(lambda *_: (200, [refusal]))
    (answer,) = await trading.submit_batch([trading.prepare(gtc(1))])
    assert isinstance(answer, Refused)
    assert answer.reason is Refusal.MODE
    assert trading.mode_told() is VenueMode.POST_ONLY


# Budgets


async def test_headers_at_order_entry_tell_both_buckets() -> None:
    def answers(method: str, path: str, body: Any) -> Answer | None:
        del path, body
        left = "-12" if method == "DELETE" else "58"
        reset = str(AT // SECOND + 2)
        headers = {"poly-ratelimit-remaining": left, "poly-ratelimit-reset": reset, "poly-ratelimit-tier": "Standard"}
        return 200, {"canceled": [], "not_canceled": {}}, headers

    trading, _, _ = bench(answers)
    assert trading.traffic().allowances == ()
    await trading.submit(trading.prepare(gtc(1)))
    await trading.cancel_all()
    soon = Nanos(2 * SECOND)
    assert trading.traffic().allowances == (
        Allowance("orders", 60, 40, 58, soon),
        Allowance("cancels", 120, 80, -12, soon),
    )


@pytest.mark.parametrize(
    ("headers", "body", "wait_s"),
    [
        ({"retry-after": "5"}, {}, 5),
        ({"retry-after": "Thu, 18 Apr 2024 00:00:09 GMT", "date": "Thu, 18 Apr 2024 00:00:02 GMT"}, {}, 7),
        ({"retry-after": "Thu, 18 Apr 2024 00:00:09 GMT"}, {"retry_after_seconds": 4}, 4),
        ({}, {"error": "Too Many Requests", "retry_after_seconds": 3}, 3),
        ({"retry-after": "-1"}, {}, 0),
        ({"retry-after": "9" * 9}, {}, 3_600),
        ({"retry-after": "soon"}, "<html>", 0),
    ],
)
async def test_how_long_to_wait_is_passed_on(headers: Mapping[str, str], body: Any, wait_s: int) -> None:
    trading, _, _ = bench(lambda *_: (429, body, headers))
    await trading.submit(trading.prepare(gtc(1)))
    assert trading.traffic().rate_limited == 1
    assert trading.traffic().retry_after == wait_s * SECOND
    failed = await trading.cash()
    assert isinstance(failed, Failed)
    assert failed.rate_limited
    assert failed.retry_after == wait_s * SECOND


@pytest.mark.parametrize("told", ['"Gold"', {"tier": "gold"}, {"tier_name": "GOLD"}])
async def test_the_tier_says_the_budgets(told: Any) -> None:
    trading, _, _ = bench(lambda *_: (200, told))
    assert await trading.budgets() == (
        Allowance("orders", 600, 400, None, None),
        Allowance("cancels", 1_200, 800, None, None),
    )


async def test_reads_of_the_account_that_cannot_be_read_fail() -> None:
    trading, _, _ = bench(lambda *_: (200, {}))
    assert isinstance(await trading.budgets(), Failed)
    assert isinstance(await trading.closed_only(), Failed)
    assert isinstance(await trading.spendable(gtc(1)), Failed)
    trading, _, _ = bench(lambda *_: (200, {"closed_only": True}))
    assert await trading.closed_only() is True


# Funds


async def test_a_refusal_for_funds_renews_the_venues_cache_once_a_second() -> None:
    def answers(method: str, path: str, body: Any) -> Answer | None:
        del body
        if method == "POST":
            return 400, {"error": "not enough balance / allowance"}
        return 200, {} if path.startswith("/balance-allowance/update") else {"balance": "7"}

    trading, clerk, clock = bench(answers)
    sale = order(market=CONDITION, side=Side.SELL)
    for number in range(3):
        assert isinstance(await trading.submit(trading.prepare(gtc(number))), Refused)
    clock.at = Nanos(clock.at + SECOND)
    assert isinstance(await trading.submit(trading.prepare(sale)), Refused)
    await asyncio.sleep(0.02)
    updates = [path for _, path, _ in clerk.asked if path.startswith("/balance-allowance/update")]
    token = (polymarket_market().tokens or ("",))[0]
    assert updates == [
        "/balance-allowance/update?asset_type=COLLATERAL&signature_type=0",
        f"/balance-allowance/update?asset_type=CONDITIONAL&token_id={token}&signature_type=0",
    ]
    await trading.close()


async def test_the_tokens_of_the_third_exchange_are_asked_for_under_their_own_name() -> None:
    trading, clerk, _ = bench(
        lambda *_: (200, {"balance": "9000000", "allowances": {"0xa": "4000000", "0xb": str(2**256 - 1)}})
    )
    trading.load([polymarket_market(generation="exchange_v3")])
    assert await trading.spendable(order(market=CONDITION, side=Side.SELL)) == 4_000_000
    assert "asset_type=CONDITIONAL-V2&" in clerk.asked[0][1]
    assert await trading.spendable(gtc(1)) == 4_000_000


async def test_a_fill_or_kill_that_was_killed_is_over_and_had_nothing() -> None:
    killed = {"error": "order couldn't be fully filled. FOK orders are fully filled or killed."}
    trading, clerk, _ = bench(lambda *_: (400, killed))
    prepared = trading.prepare_with(order(market=CONDITION, spend=Money(5_200_000)), Terms(lifetime=Lifetime.FOK))
    assert isinstance(prepared, Prepared)
    answer = await trading.submit(prepared)
    assert isinstance(answer, Ended)
    assert (answer.matched, answer.how) == (0, EndKind.KILLED)
    assert clerk.at("POST /order")[0]["orderType"] == "FOK"
