"""Kalshi's order entry against the simulated venue, over real sockets: terms, batches, changes, groups, sweeps, shards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from messages.markets import VenueMode
from messages.orders import Absent, Ended, EndKind, Landed, Order, Refused, Rested
from messages.reasons import Refusal
from messages.units import CONTRACT, SECOND, Money, Nanos, Outcome, Price, Quantity, Side
from tests.venues.running import Bench, bench
from venues.kalshi.rest import KalshiTrading
from venues.kalshi.stream import KalshiMarketData
from venues.port import (
    Amending,
    Batching,
    Budgeted,
    Denied,
    Describing,
    Done,
    Failed,
    Grouping,
    Lifetime,
    OrderGroup,
    Prepared,
    SelfTrade,
    Settling,
    Shaping,
    Sharding,
    Sweeping,
    Terms,
    Timetabled,
)

LAG_S = 0.15
"""Reads of the simulated venue are 50 ms late."""


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench("kalshi", tmp_path) as found:
        yield found


def entry(desk: Bench) -> KalshiTrading:
    assert isinstance(desk.trading, KalshiTrading)
    return desk.trading


def shaped(desk: Bench, order: Order, **terms: object) -> Prepared:
    prepared = entry(desk).prepare_with(order, Terms(**terms))  # type: ignore[arg-type]
    assert isinstance(prepared, Prepared), prepared
    return prepared


async def resting(
    desk: Bench, market: str, price: int = 200, contracts: int = 10, **terms: object
) -> tuple[Order, str]:
    """An order far from the market, and the venue's id of it."""
    order = desk.order(market, Outcome.YES, Side.BUY, price, contracts, rest_s=60)
    answer = await desk.trading.submit(shaped(desk, order, **terms))
    assert isinstance(answer, Rested), answer
    return order, answer.venue_order


async def seen(desk: Bench, order: Order, venue_order: str | None = None) -> object:
    await asyncio.sleep(LAG_S)
    return await desk.trading.look_up(order, venue_order)


def test_the_adapter_says_what_it_can(desk: Bench) -> None:
    abilities: tuple[type, ...] = (Shaping, Batching, Amending, Grouping, Sweeping, Sharding, Settling, Budgeted)
    assert [ability for ability in abilities if not isinstance(desk.trading, ability)] == []
    of_data: tuple[type, ...] = (Describing, Timetabled)
    assert [ability for ability in of_data if not isinstance(desk.data, ability)] == []


# Terms.


async def test_all_or_nothing_is_filled_or_killed(desk: Bench) -> None:
    book = await desk.first_book()
    price, size = book.yes_asks[0]
    beyond = desk.order(book.market, Outcome.YES, Side.BUY, price, size // CONTRACT + 50)
    killed = await desk.trading.submit(shaped(desk, beyond, lifetime=Lifetime.FOK))
    assert isinstance(killed, Ended), killed
    assert (killed.matched, killed.how) == (0, EndKind.KILLED)
    # its name is used up, as of an order that was accepted
    again = await desk.trading.submit(shaped(desk, beyond, lifetime=Lifetime.FOK), repost=True)
    assert isinstance(again, (Landed, Ended)), again
    within = desk.order(book.market, Outcome.YES, Side.BUY, price, 1)
    filled = await desk.trading.submit(shaped(desk, within, lifetime=Lifetime.FOK))
    assert isinstance(filled, Ended), filled
    assert (filled.matched, filled.how) == (CONTRACT, EndKind.FILLED)


async def test_a_post_only_order_that_would_take_is_refused_and_another_rests(desk: Bench) -> None:
    book = await desk.first_book()
    taking = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 1, rest_s=30)
    answer = await desk.trading.submit(shaped(desk, taking, post_only=True))
    assert isinstance(answer, Refused), answer
    assert answer.reason is Refusal.INVALID
    await resting(desk, book.market, post_only=True)


async def test_an_order_without_end_has_no_expiry(desk: Bench) -> None:
    book = await desk.first_book()
    order, venue_order = await resting(desk, book.market, lifetime=Lifetime.GTC)
    assert desk.venue.exchange.orders[venue_order].expires_ns is None
    assert isinstance(await seen(desk, order, venue_order), Rested)


async def test_reduce_only_never_sells_more_than_there_is(desk: Bench) -> None:
    book = await desk.first_book()
    await desk.trading.submit(
        desk.trading.prepare(desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 2))
    )
    sale = desk.order(book.market, Outcome.YES, Side.SELL, book.yes_bids[0][0], 5)
    answer = await desk.trading.submit(shaped(desk, sale, reduce_only=True))
    assert isinstance(answer, Ended), answer
    assert answer.matched <= 2 * CONTRACT
    await asyncio.sleep(LAG_S)
    positions = await desk.trading.positions()
    assert not isinstance(positions, Failed)
    assert all(position.no == 0 for position in positions)


@pytest.mark.parametrize("stays", SelfTrade)
async def test_an_order_does_not_meet_our_own(tmp_path: Path, stays: SelfTrade) -> None:
    async with bench("kalshi", tmp_path, quiet=True) as desk:
        maker, venue_order = await resting(desk, desk.markets[0].market, price=3_000, contracts=3)
        crossing = desk.order(maker.market, Outcome.NO, Side.BUY, 7_000, 3)
        answer = await desk.trading.submit(shaped(desk, crossing, self_trade=stays))
        assert isinstance(answer, Ended), answer
        assert answer.matched == 0
        found = await seen(desk, maker, venue_order)
        assert isinstance(found, Rested if stays is SelfTrade.TAKER else Ended), found
        assert desk.venue.exchange.fills == []


@pytest.mark.parametrize(
    ("rest_s", "terms"),
    [
        (0, {"post_only": True}),
        (30, {"reduce_only": True}),
        (0, {"lifetime": Lifetime.GTC}),
        (30, {"lifetime": Lifetime.FOK}),
        (0, {"lifetime": Lifetime.FOK, "reduce_only": True}),
    ],
)
async def test_terms_that_contradict_are_not_sent(desk: Bench, rest_s: int, terms: dict[str, object]) -> None:
    order = desk.order(desk.markets[0].market, Outcome.YES, Side.BUY, 200, 1, rest_s=rest_s)
    assert isinstance(entry(desk).prepare_with(order, Terms(**terms)), Denied)  # type: ignore[arg-type]


# Batches.


async def test_a_batch_answers_for_each_of_its_orders(desk: Bench) -> None:
    book = await desk.first_book()
    trading = entry(desk)
    taking = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 1)
    rests = desk.order(book.market, Outcome.YES, Side.BUY, 200, 4, rest_s=30)
    off_grid = desk.order(book.market, Outcome.YES, Side.BUY, 201, 4, rest_s=30)
    sent = [trading.prepare(order) for order in (taking, rests, off_grid, rests)]
    filled, resting_one, refused, twice = await trading.submit_batch(sent)
    assert isinstance(filled, Ended), filled
    assert filled.matched == CONTRACT
    assert isinstance(resting_one, Rested), resting_one
    assert isinstance(refused, Refused), refused
    assert refused.reason is Refusal.PRICE
    assert isinstance(twice, Landed), twice
    await asyncio.sleep(LAG_S)
    gone, was_over = await trading.cancel_batch([(rests, resting_one.venue_order), (taking, filled.venue_order)])
    assert isinstance(gone, Ended), gone
    assert (gone.matched, gone.how) == (0, EndKind.CANCELLED)
    assert isinstance(was_over, Ended), was_over
    assert was_over.matched == CONTRACT


async def test_a_batch_beyond_the_budget_goes_in_parts(desk: Bench) -> None:
    trading = entry(desk)
    assert trading.batch_most == 10
    limits = await trading.limits()
    assert not isinstance(limits, Failed), limits
    write = next(told for told in limits if told.scope == "write")
    assert write.most is not None
    assert trading.batch_most == write.most // 10
    assert trading.traffic().allowances == limits
    costs = await trading.costs()
    assert not isinstance(costs, Failed), costs
    assert costs[""] == 10
    assert costs["DELETE /portfolio/events/orders/:order_id"] == 2


# Changes in place.


async def test_a_resting_order_is_amended_and_decreased(desk: Bench) -> None:
    book = await desk.first_book()
    trading = entry(desk)
    order, venue_order = await resting(desk, book.market)
    await asyncio.sleep(LAG_S)
    changed = await trading.amend(order, venue_order, price=Price(300), quantity=Quantity(12 * CONTRACT))
    assert isinstance(changed, Rested), changed
    held = desk.venue.exchange.orders[venue_order]
    assert (held.price, held.remaining) == (300, 12 * CONTRACT)
    less = await trading.decrease(order, venue_order, left=Quantity(4 * CONTRACT))
    assert isinstance(less, Rested), less
    assert desk.venue.exchange.orders[venue_order].remaining == 4 * CONTRACT
    gone = await trading.cancel(order, venue_order)
    assert isinstance(gone, Ended), gone


async def test_an_amendment_of_no_has_its_price_turned(desk: Bench) -> None:
    book = await desk.first_book()
    trading = entry(desk)
    order = desk.order(book.market, Outcome.NO, Side.BUY, 200, 10, rest_s=60)
    answer = await trading.submit(trading.prepare(order))
    assert isinstance(answer, Rested), answer
    changed = await trading.amend(order, answer.venue_order, price=Price(300), quantity=Quantity(10 * CONTRACT))
    assert isinstance(changed, (Rested, Ended)), changed
    held = desk.venue.exchange.orders[answer.venue_order]
    assert (held.side, held.book_price) == ("ask", 9_700)


async def test_a_change_of_what_is_over_is_denied_and_a_change_to_nothing_not_sent(desk: Bench) -> None:
    book = await desk.first_book()
    trading = entry(desk)
    order, venue_order = await resting(desk, book.market)
    await trading.cancel(order, venue_order)
    late = await trading.amend(order, venue_order, price=Price(300), quantity=Quantity(12 * CONTRACT))
    assert isinstance(late, Denied), late
    assert late.text.startswith("KA-12")
    assert isinstance(await trading.decrease(order, venue_order, left=Quantity(0)), Denied)
    assert isinstance(await trading.amend(order, venue_order, price=Price(300), quantity=Quantity(99)), Denied)


async def test_the_place_in_the_queue(desk: Bench) -> None:
    book = await desk.first_book()
    trading = entry(desk)
    _, first = await resting(desk, book.market, contracts=7)
    _, second = await resting(desk, book.market, contracts=3)
    await asyncio.sleep(LAG_S)
    ahead_of_first, ahead_of_second = await trading.queue_ahead(first), await trading.queue_ahead(second)
    assert isinstance(ahead_of_first, int)
    assert ahead_of_second == ahead_of_first + 7 * CONTRACT
    assert await trading.queue_ahead("nobody") is None


# The fence.


async def test_a_triggered_group_takes_no_order_until_it_is_reset(desk: Bench) -> None:
    """The fence of a lost order: after it, nothing that names the group can still arrive."""
    book = await desk.first_book()
    trading = entry(desk)
    (about,) = await desk.data.describe([book.market])  # type: ignore[attr-defined]
    shard = about.shard or 0
    made = await trading.make_group(Quantity(100 * CONTRACT), shard)
    assert isinstance(made, Done), made
    group = made.text
    before, venue_order = await resting(desk, book.market, group=group)
    late = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 1)
    lost = shaped(desk, late, group=group)
    assert isinstance(await trading.trigger_group(group, shard), Done)
    # what was lost arrives only now
    answer = await trading.submit(lost)
    assert isinstance(answer, Refused), answer
    found = await seen(desk, late)
    assert isinstance(found, Absent), found
    cancelled = await seen(desk, before, venue_order)
    assert isinstance(cancelled, Ended), cancelled
    assert cancelled.matched == 0
    told = await trading.group(group)
    assert isinstance(told, OrderGroup), told
    assert isinstance(await trading.reset_group(group, shard), Done)
    again = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 1)
    assert isinstance(await trading.submit(shaped(desk, again, group=group)), Ended)


async def test_a_group_is_listed_limited_and_dropped(desk: Bench) -> None:
    trading = entry(desk)
    made = await trading.make_group(Quantity(100 * CONTRACT))
    assert isinstance(made, Done), made
    assert isinstance(await trading.limit_group(made.text, Quantity(50 * CONTRACT)), Done)
    await asyncio.sleep(LAG_S)
    listed = await trading.groups()
    assert not isinstance(listed, Failed), listed
    assert [(group.group, group.most) for group in listed] == [(made.text, 50 * CONTRACT)]
    assert isinstance(await trading.drop_group(made.text), Done)
    await asyncio.sleep(LAG_S)
    assert await trading.groups() == ()
    assert await trading.group(made.text) is None
    assert isinstance(await trading.trigger_group("nobody"), Denied)


# Everything at once.


async def test_a_sweep_takes_everything_and_says_for_how_long_it_goes_on(desk: Bench) -> None:
    trading = entry(desk)
    orders = [await resting(desk, market.market) for market in desk.markets[:2]]
    assert trading.swept_until() == 0
    asked = desk.clock.now()
    answer = await trading.cancel_all()
    assert isinstance(answer, Done), answer
    assert trading.swept_until() >= asked + trading.sweep_tail
    for order, venue_order in orders:
        assert isinstance(await seen(desk, order, venue_order), Ended)


async def test_one_market_is_swept_without_the_others(desk: Bench) -> None:
    trading = entry(desk)
    (here, gone), (there, stays) = [await resting(desk, market.market) for market in desk.markets[:2]]
    await asyncio.sleep(LAG_S)
    answer = await trading.cancel_all(here.market)
    assert isinstance(answer, Done), answer
    assert answer.text == "1 cancelled"
    assert trading.swept_until() == 0
    assert isinstance(await seen(desk, here, gone), Ended)
    assert isinstance(await seen(desk, there, stays), Rested)


# Cash by shard, metadata, archive.


async def test_cash_lies_on_shards_and_moves_between_them_once(desk: Bench) -> None:
    trading = entry(desk)
    before = await trading.shard_cash()
    assert not isinstance(before, Failed), before
    total = await trading.cash()
    assert sum(part.cash for part in before) == total
    (source, cash), target = (before[0].shard, before[0].cash), next(n for n in range(4) if n != before[0].shard)
    for _ in range(2):
        assert isinstance(await trading.move_cash(Money(5_000_000), source, target, "move 1"), Done)
    # the balance has a bucket of its own: once a second
    await asyncio.sleep(1.1)
    after = await trading.shard_cash()
    assert not isinstance(after, Failed), after
    assert next(part.cash for part in after if part.shard == source) == cash - 5_000_000
    assert isinstance(await trading.move_cash(Money(10**15), source, target, "move 2"), Denied)


async def test_markets_are_described_with_their_shard_and_category(desk: Bench) -> None:
    assert isinstance(desk.data, KalshiMarketData)
    ids = [market.market for market in desk.markets]
    told = await desk.data.describe(ids)
    assert not isinstance(told, Failed), told
    assert [about.market for about in told] == ids
    assert all(about.category and about.rules and about.shard is not None for about in told)
    assert isinstance(await desk.data.describe(["nobody"]), Failed)
    state = await desk.data.state()
    assert not isinstance(state, Failed), state
    assert state.mode is VenueMode.OPEN


async def test_an_old_order_is_looked_for_in_the_archive_as_well(desk: Bench) -> None:
    book = await desk.first_book()
    old = desk.order(book.market, Outcome.YES, Side.BUY, 200, 1)
    long_ago = Nanos(old.made_at - 40 * 86_400 * SECOND)
    answer = await desk.trading.look_up(old.model_copy(update={"made_at": long_ago}), None)
    assert isinstance(answer, Absent), answer
