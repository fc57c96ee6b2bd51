"""The executor's loop: nothing leaves before its cause is durable, and what half works dies where everybody sees it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from pathlib import Path

import pytest

from actors.book_wire import BookServer
from actors.executor import MESSAGES_A_COMMIT, Executor
from core.fees import fee_of_fill
from core.trade import Phase
from journal import read_journal
from journal.errors import JournalFailed
from journal.port import RECORDS_MAX
from messages.base import Message
from messages.books import Book
from messages.control import Ask, Decided, Drain, Drained, Halt, PeerDown, PeerUp, Resume, Snapshot, Told, VenueSeen
from messages.leases import MarketsSeen, Reported
from messages.markets import VenueMode
from messages.opportunities import Decision, Verdict
from messages.orders import (
    Ended,
    EndKind,
    Filled,
    LookUpFailed,
    Lost,
    Named,
    Order,
    OrderSeen,
    Repost,
    Settlement,
    Withheld,
)
from messages.reasons import Trouble
from messages.trades import CursorMoved, Hashed, Opened, Quoted, Rehearsed, Restarted, Woke
from messages.units import SECOND, Money, Nanos, Quantity
from tests.actors.cast import RAIN, WET, House, fill, leased, seen, settle
from tests.actors.stage import until, up
from tests.core.markets import book, lots
from venues.port import SubmitAnswer

OWNERS = ("position_book", "in_flight", "cooldowns", "key_pool.kalshi", "key_pool.polymarket", "recorder")


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def traded(house: House, executor: Executor, **prices: int) -> None:
    await house.supply(executor)
    house.cross(executor, **prices)
    await settle()


def decided(house: House, executor: Executor) -> list[Decision]:
    """What was told to the recorder already, and what waits for the next telling."""
    return [one for some in house.outbox.of(Decided) for one in some.decisions] + executor.scout.decisions


def lost(order: Order) -> SubmitAnswer:
    return Lost(order=order.order, at=order.made_at, trouble=Trouble.TIMEOUT, text="")


def unsure(order: Order) -> LookUpFailed:
    return LookUpFailed(order=order.order, at=order.made_at, text="")


# Nothing leaves before its cause is durable


async def test_the_intent_is_in_the_journal_before_either_leg_leaves(house: House) -> None:
    found: list[list[str]] = []

    def look(order: Order) -> SubmitAnswer:
        found.append([entry.kind for entry in read_journal(house.directory / "journal", "executor")])
        return house.kalshi.filled(order)

    house.kalshi.on_submit = house.polymarket.on_submit = look
    async with house.life() as executor:
        await traded(house, executor)
        assert len(house.kalshi.sent) == len(house.polymarket.sent) == 1
    assert len(found) == 2
    assert all(kinds[-3:] == ["Opened", "Named", "Named"] for kinds in found)
    (opened,) = house.remembered(Opened)
    assert [order.order for order in opened.orders] == [
        house.kalshi.sent[0][0].order,
        house.polymarket.sent[0][0].order,
    ]


def disk_full(records: object, at_ns: int) -> int:
    raise JournalFailed("executor.sqlite", "database or disk is full")


async def test_an_append_that_failed_sends_nothing_and_tells_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fold was ahead of the journal for an instant: what follows from it must not be seen by anyone."""
    async with house.life() as executor:
        await house.supply(executor)
        monkeypatch.setattr(executor._memory._journal, "append", disk_full)
        before = len(house.outbox.told)
        house.cross(executor)
        await settle()
        await asyncio.sleep(0.15)
        assert house.kalshi.sent == house.polymarket.sent == []
        assert executor._dispatch.unreported == 0
        assert house.outbox.told[before:] == []
        assert executor.snapshot()["failed"] == "JournalFailed", "the runtime ends a process that shows this"
        with pytest.raises(JournalFailed):
            await executor.hear("feed.kalshi", Ask())
        monkeypatch.undo()
    assert house.kalshi.closed
    assert house.remembered(Opened) == []
    assert house.remembered(Hashed) == [], "a hash of what is not in the journal would be no proof"
    async with house.life() as executor:
        await traded(house, executor)
        assert len(executor.desk.trades) == 1


async def test_more_news_than_one_append_can_hold(house: House) -> None:
    many = 2 * RECORDS_MAX + 1
    async with house.life() as executor:
        for number in range(many):
            executor._queue(CursorMoved(venue="kalshi", cursor=str(number)))
        await settle()
        assert executor.desk.cursors == {"kalshi": str(many - 1)}
        assert executor.snapshot()["failed"] == ""
    assert len(house.remembered(CursorMoved)) == many
    assert MESSAGES_A_COMMIT * 3 <= RECORDS_MAX, "an order or two may leave with each of them"


async def test_a_trade_from_its_crossing_to_its_last_execution(house: House) -> None:
    async with house.life() as executor:
        await traded(house, executor)
        for number, venue in enumerate((house.kalshi, house.polymarket)):
            order = venue.sent[0][0]
            execution = fill(f"f{number}", quantity=order.quantity, price=order.price)
            await executor.hear(f"account.{venue.name}", seen(execution, venue.name, wire=f"w-{order.order}"))
        await settle()
        (trade,) = executor.desk.trades.values()
        assert (trade.outcome, trade.final) == ("hedged", True)
        drained = await executor.hear("driver", Drain(within=SECOND))
        assert isinstance(drained, Drained)
        assert (drained.open_trades, drained.in_doubt) == (0, 0)
        executor._errands.flush()
    stories = [story for told in house.outbox.of(Told) for story in told.stories]
    assert [story.stage for story in stories if story.stage != "order"] == ["opened", "settled", "final"]
    assert stories[-1].result is not None


async def test_what_another_clock_tells_is_timed_by_ours(house: House) -> None:
    """The stream's process says that it is an hour later: a resting order is still cancelled when its time is over."""
    async with house.life() as executor:
        house.kalshi.answering.clear()
        await traded(house, executor)
        order = house.kalshi.sent[0][0]
        ahead = Nanos(house.clock.now() + 3_600 * SECOND)
        told = OrderSeen(
            venue="kalshi",
            wire=f"w-{order.order}",
            venue_order="k1",
            market=order.market,
            matched=Quantity(0),
            ended=None,
            at=ahead,
        )
        await executor.hear("account.kalshi", told)
        await settle()
        state = executor.desk.state_of(order.order)
        assert state is not None
        assert (state.phase, state.ask_after < ahead) == (Phase.RESTING, True)
        house.kalshi.answering.set()


# What half works dies


async def test_an_adapter_that_raises_ends_the_executor_in_sight_of_all(house: House) -> None:
    house.polymarket.on_submit = lambda _: KeyError("orderID")
    async with house.life() as executor:
        await traded(house, executor)
        await until(lambda: executor.snapshot()["failed"] == "KeyError")
        await asyncio.sleep(0.05)
        before = len(house.outbox.told)
        await asyncio.sleep(0.15)
        assert len(house.outbox.told) == before, "its loops have ended, not only this order's"
        with pytest.raises(KeyError, match="orderID"):
            await executor.hear("position_book", Ask())


async def test_a_failure_is_noticed_while_nothing_else_happens(house: House) -> None:
    async with house.life() as executor:
        await settle()
        executor.gateway.failed = KeyError("orderID")
        await asyncio.sleep(0.05)
        before = len(house.outbox.told)
        await asyncio.sleep(0.6)
        assert len(house.outbox.told) == before, "it asks for no more leases"


async def test_a_loop_that_fails_stops_the_others(house: House) -> None:
    house.kalshi.on_fills = ZeroDivisionError()
    async with house.life() as executor:
        await until(lambda: executor.snapshot()["failed"] == "ZeroDivisionError")
        before = len(house.outbox.told)
        await asyncio.sleep(0.15)
        assert len(house.outbox.told) == before


async def test_a_reader_of_books_that_fails_is_a_failure_of_the_executor(house: House) -> None:
    server = BookServer()
    address = await server.open()
    async with house.life() as executor:

        def broken(books: object) -> None:
            raise AttributeError("bids")

        executor._books = broken  # type: ignore[method-assign]
        executor.introduced(PeerUp(name="feed.kalshi", epoch=1, address=address))
        await until(lambda: server.readers)
        server.publish(book(RAIN))
        await until(lambda: executor.snapshot()["failed"] == "AttributeError")
    await server.close()


async def test_books_come_from_the_newest_incarnation_of_a_feed(house: House) -> None:
    old, new = BookServer(), BookServer()
    addresses = [await old.open(), await new.open()]
    async with house.life() as executor:
        for epoch, address in enumerate(addresses, 1):
            executor.introduced(PeerUp(name="feed.kalshi", epoch=epoch, address=address))
            await until(lambda epoch=epoch: (old, new)[epoch - 1].readers)  # type: ignore[misc]
        await until(lambda: not old.readers)
        new.publish(book(RAIN))
        await until(lambda: RAIN in executor.scout.books)
    for server in (old, new):
        await server.close()


# Restarts


async def test_what_is_in_flight_at_a_stop_is_asked_about_by_the_successor(house: House) -> None:
    house.kalshi.answering.clear()
    async with house.life() as executor:
        await traded(house, executor)
    house.kalshi.answering.set()
    order = house.kalshi.sent[0][0]
    house.kalshi.on_look_up = lambda one: Ended(
        order=one.order, at=house.clock.now(), venue_order="v", matched=one.quantity, how=EndKind.FILLED
    )
    async with house.life() as executor:
        assert executor.desk.in_doubt == 1
        await house.supply(executor)
        house.clock.advance(SECOND)
        await until(lambda: executor.desk.in_doubt == 0)
        (trade,) = executor.desk.trades.values()
        assert trade.outcome == "hedged"
    assert [one.order for one, _ in house.kalshi.sent] == [order.order], "asked about, and not sent again"


async def test_an_executor_that_reads_executions_before_metadata_books_the_trades_own_fee(house: House) -> None:
    """A successor's fill feed is read at once, and metadata comes by message later. What the adapter cannot know then is
    not guessed: the trade has carried its schedule since its intent.
    """
    house.polymarket.on_submit, house.polymarket.on_look_up = lost, unsure
    async with house.life() as executor:
        await traded(house, executor)
        (trade,) = executor.desk.trades.values()
    (order,) = [one for one, _ in house.polymarket.sent]
    execution = fill("p1", quantity=order.quantity, price=order.price, fee=Money(0), settlement=Settlement.MATCHED)
    house.polymarket.feed = [seen(execution, "polymarket", wire=f"w-{order.order}", market=WET[1], fee_known=False)]
    async with house.life() as executor:
        await settle()
        assert executor.scout.markets == {}
        (booked,) = [told.fill for told in house.remembered(Filled)]
        schedule = trade.terms[order.leg].fees
        exact = fee_of_fill(schedule, order.price, order.quantity, maker=False).fee
        assert exact > 0
        assert booked.fee == exact
        assert executor.desk.accounts.fees["polymarket"] == exact
        await house.supply(executor)
        await settle()
    assert len(house.remembered(Filled)) == 1, "told again with metadata it is the same execution"


async def test_doubt_is_asked_about_once_the_venue_has_told_of_the_market(house: House) -> None:
    house.polymarket.on_submit = lost
    async with house.life() as executor:
        await traded(house, executor)
    house.polymarket.asked.clear()
    async with house.life() as executor:
        await settle()
        assert not [what for what in house.polymarket.asked if what.startswith("look up")]
        await house.supply(executor)
        house.clock.advance(SECOND)
        await until(lambda: [what for what in house.polymarket.asked if what.startswith("look up")])
    assert len(house.remembered(Restarted)) == 2


async def test_ids_and_identities_are_those_of_the_journal_after_a_restart(house: House) -> None:
    async with house.life() as executor:
        await traded(house, executor)
        before = executor.desk.digest(), dict(executor.desk.by_wire)
    async with house.life() as executor:
        assert executor.desk.by_wire == before[1]
        assert executor.desk.next_trade(executor.epoch).endswith(".2.2")
    assert len({named.order for named in house.remembered(Named)}) == 2


# Re-posts: what executing now would break


def repost(house: House, executor: Executor) -> str:
    """Why it is withheld; "" where it is sent."""
    (opened,) = house.remembered(Opened)
    before = len(house.kalshi.sent)
    executor._inbox.clear()
    executor._perform([Repost(order=opened.orders[0])])
    withheld = [message for message in executor._inbox if isinstance(message, Withheld)]
    executor._inbox.clear()
    assert len(house.kalshi.sent) == before, "a task sends, later"
    return withheld[0].text if withheld else ""


async def test_a_copy_is_sent_only_where_the_order_might_be_sent_today(house: House) -> None:
    house.kalshi.on_submit = lost
    async with house.life() as executor:
        await traded(house, executor)
        assert repost(house, executor) == ""
        executor.desk.halted = "a person: lunch"
        assert "halted" in repost(house, executor)
        executor.desk.halted = ""
        for mode in (VenueMode.PAUSED, VenueMode.POST_ONLY, VenueMode.CANCEL_ONLY):
            executor.scout.modes["kalshi"] = (mode, True, house.clock.now())
            assert mode.value in repost(house, executor)
        executor.scout.modes["kalshi"] = (VenueMode.OPEN, True, house.clock.now())
        known = executor.scout.markets[RAIN]
        executor.scout.markets[RAIN] = known.model_copy(update={"open": False})
        assert "not trading" in repost(house, executor)
        old = known.fees.model_copy(update={"verified_at": Nanos(house.clock.now() - 61 * SECOND)})
        executor.scout.markets[RAIN] = known.model_copy(update={"fees": old})
        assert "fees" in repost(house, executor)
        executor.scout.markets[RAIN] = known
        house.clock.advance(Nanos(2 * SECOND))
        assert "fresh book" in repost(house, executor)


# Quotes of a recovery


async def quotes(house: House, executor: Executor) -> list[bool]:
    """Of each leg, YES at Kalshi first: whether a recovery may use its prices."""
    executor._inbox.clear()
    (name,) = executor.desk.trades
    await executor._quote(name)
    (quoted,) = [message for message in executor._inbox if isinstance(message, Quoted)]
    executor._inbox.clear()
    return [quote.usable for quote in quoted.quotes]


async def test_prices_come_from_the_stream_while_it_is_fresh_and_else_from_the_venue(house: House) -> None:
    async with house.life() as executor:
        await traded(house, executor)
        assert await quotes(house, executor) == [True, True]
        assert not [what for what in house.kalshi.asked if what.startswith("book")]
        house.clock.advance(Nanos(2 * SECOND))
        assert await quotes(house, executor) == [False, False], "neither answers"
        house.kalshi.books[RAIN[1]] = book(RAIN, yes_asks=lots((41, 5)), seen_at=house.clock.now())
        assert await quotes(house, executor) == [True, False]


async def test_a_slow_read_makes_no_old_price_new(house: House) -> None:
    """While one venue was asked, what the stream had of the other grew old as well."""
    async with house.life() as executor:
        await traded(house, executor)
        executor.scout.books[WET] = book(WET, fresh=False)
        asked = house.clock.now()

        async def slowly(market: str) -> Book:
            house.clock.advance(Nanos(2 * SECOND))
            return book(WET, seen_at=asked)

        house.polymarket.book = slowly  # type: ignore[method-assign]
        assert await quotes(house, executor) == [False, False]


async def test_no_price_is_usable_where_no_order_could_be_sent(house: House) -> None:
    """A paused venue refuses every rung of a recovery: it must wait for it, and not use up its rungs."""
    async with house.life() as executor:
        await traded(house, executor)
        executor.scout.modes["kalshi"] = (VenueMode.PAUSED, True, house.clock.now())
        assert await quotes(house, executor) == [False, True]
        executor.scout.modes["kalshi"] = (VenueMode.UNKNOWN, False, house.clock.now())
        assert await quotes(house, executor) == [True, True], "its feed is gone, and yet it shows a fresh book"
        known = executor.scout.markets.pop(RAIN)
        assert await quotes(house, executor) == [False, True], "without metadata nothing can be signed"
        executor.scout.markets[RAIN] = known.model_copy(update={"closes_at": house.clock.now()})
        assert await quotes(house, executor) == [False, True]


# Opening, and not


async def test_a_venue_of_which_nothing_is_heard_is_not_opened_at(house: House) -> None:
    async with house.life() as executor:
        await house.supply(executor)
        house.clock.advance(Nanos(6 * SECOND))
        await until(lambda: not executor.scout.modes["kalshi"][1])
        for venue in ("kalshi", "polymarket"):
            await executor.hear("pool", leased(venue, lease=2))
        house.cross(executor)
        await settle()
        assert [str(one.reason) for one in decided(house, executor)] == ["venue_unreachable"]
        stale = VenueSeen(venue="kalshi", mode=VenueMode.OPEN, reachable=True, at=Nanos(house.clock.now() - 9 * SECOND))
        ahead = stale.model_copy(update={"venue": "polymarket", "at": Nanos(house.clock.now() + 3_600 * SECOND)})
        await executor.hear("feed", stale)
        await executor.hear("feed", ahead)
        assert executor.scout.modes["polymarket"][2] == house.clock.now(), "no clock of another makes it young for ever"
        await until(lambda: not executor.scout.modes["kalshi"][1])


@pytest.mark.parametrize(("ahead_s", "why"), [(0.05, ""), (3_600, "stale_book")])
async def test_nothing_opens_on_books_whose_age_nobody_can_tell(house: House, ahead_s: float, why: str) -> None:
    """The machine's clock was set back between the start of the feed and ours: its books look an hour younger than new."""
    async with house.life() as executor:
        await house.supply(executor)
        at = int(house.clock.now() + ahead_s * SECOND)
        executor._books([book(RAIN, yes_asks=lots((40, 10)), seen_at=at, sequence=1)])
        executor._books([book(WET, no_asks=lots((45, 10)), seen_at=at, sequence=1)])
        await settle()
        assert bool(house.kalshi.sent) is not bool(why)
        assert all(executor.scout.books[key].fresh is not bool(why) for key in (RAIN, WET))


async def test_fees_that_were_verified_in_the_future_are_not_verified(house: House) -> None:
    async with house.life() as executor:
        await house.supply(executor)
        told = executor.scout.markets[RAIN]
        ahead = Nanos(house.clock.now() + 3_600 * SECOND)
        later = told.model_copy(update={"fees": told.fees.model_copy(update={"verified_at": ahead})})
        await executor.hear("feed.kalshi", MarketsSeen(venue="kalshi", markets=(later,), at=ahead))
        house.cross(executor)
        await settle()
        assert [str(one.reason) for one in decided(house, executor)] == ["fees_unverified"]
        assert house.kalshi.sent == []


async def test_a_halt_comes_before_the_books_that_came_with_it_and_lasts(house: House) -> None:
    async with house.life() as executor:
        await house.supply(executor)
        house.cross(executor)
        await executor.hear("supervisor.root", Halt(by="root", why="too many restarts"))
        await settle()
        assert house.kalshi.sent == []
    async with house.life() as executor:
        await traded(house, executor)
        assert house.kalshi.sent == []
        await executor.hear("driver", Resume(by="me", why="seen to"))
        house.cross(executor)
        await settle()
        assert len(house.kalshi.sent) == 1


async def test_drained_is_what_is_left_to_do_and_nothing_new_is_opened(house: House) -> None:
    house.kalshi.on_submit = lost
    async with house.life() as executor:
        await traded(house, executor)
        drained = await executor.hear("driver", Drain(within=SECOND))
        assert isinstance(drained, Drained)
        assert (drained.open_trades, drained.in_doubt) == (1, 1)
        assert drained.unreported > 0
        executor.desk.flights.clear()
        executor.desk.cool.clear()
        house.cross(executor)
        await settle()
        assert len(house.polymarket.sent) == 1


async def test_a_dry_run_sends_nothing_and_lets_go_of_its_markets(house: House) -> None:
    house.changes["dry_run"] = True
    async with house.life() as executor:
        await traded(house, executor)
        house.cross(executor)
        await settle()
        assert executor.desk.flight_of(RAIN, house.clock.now()) is not None
        house.clock.advance(Nanos(10 * SECOND))
        assert executor.desk.flight_of(RAIN, house.clock.now()) is None
        drained = await executor.hear("driver", Drain(within=SECOND))
        assert isinstance(drained, Drained)
        assert (drained.open_trades, drained.in_doubt) == (0, 0)
        assert [one.verdict for one in decided(house, executor)] == [Verdict.DRY_RUN]
    assert house.kalshi.sent == house.polymarket.sent == []
    assert len(house.remembered(Rehearsed)) == 1


async def test_a_loop_that_runs_late_opens_nothing(house: House) -> None:
    house.changes["engine"]["loop_lag_most_ms"] = 50
    async with house.life() as executor:
        await house.supply(executor)
        executor.scout.lag = Nanos(SECOND)
        house.cross(executor)
        await settle()
        assert [str(one.reason) for one in decided(house, executor)] == ["cpu_lag"]
        await until(lambda: executor.scout.lag < SECOND)


async def test_a_loop_that_stood_still_knows_it_before_it_judges_the_next_book(house: House) -> None:
    house.changes["engine"]["loop_lag_most_ms"] = 50
    async with house.life() as executor:
        await house.supply(executor)
        await asyncio.sleep(0.06)
        time.sleep(0.2)  # noqa: ASYNC251  something of ours held the loop up
        house.cross(executor)
        await settle()
        assert [str(one.reason) for one in decided(house, executor)] == ["cpu_lag"]


async def test_the_requests_of_a_trade_leave_before_another_book_is_judged(house: House) -> None:
    async with house.life() as executor:
        await house.supply(executor)
        house.cross(executor)
        for number in range(50):
            executor._books([book(("kalshi", f"M{number}"))])
        executor._turn()
        assert len(executor.desk.trades) == 1
        assert len(executor._dirty) == 51, "only the first book was looked at"
        await asyncio.sleep(0)
        assert len(house.kalshi.sent) == len(house.polymarket.sent) == 1


async def test_many_dirty_books_are_judged_over_several_turns(house: House) -> None:
    async with house.life() as executor:
        await house.supply(executor)
        for number in range(200):
            executor._books([book(("kalshi", f"M{number}"))])
        house.cross(executor)
        await settle(60)
        assert executor._dirty == {}
        assert len(house.kalshi.sent) == 1


# Owners that come and go


async def test_nothing_waits_in_a_queue_for_a_dead_owner(house: House) -> None:
    async with house.life() as executor:
        await traded(house, executor)
        for owner in OWNERS[:3]:
            executor.introduced(PeerDown(name=owner, epoch=1))
        house.outbox.told.clear()
        await asyncio.sleep(0.25)
        assert house.outbox.of(Reported) == []
        assert not any(executor._dispatch.reports() for _ in range(20))
        executor.introduced(up("in_flight", epoch=2))
        await until(lambda: house.outbox.of(Reported))
        assert [name for name, message in house.outbox.told if isinstance(message, Reported)] == ["in_flight"]


class Noted(deque[Message]):
    """An inbox that remembers what was put into it."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Message] = []

    def append(self, message: Message, /) -> None:
        self.all.append(message)
        super().append(message)


async def test_an_order_that_is_over_wakes_nobody(house: House) -> None:
    """Its trade stays open until the other leg is final as well, or for ever in a person's hands."""
    async with house.life() as executor:
        await traded(house, executor)
        order = house.kalshi.sent[0][0]
        await executor.hear("account", seen(fill(quantity=order.quantity, price=order.price), wire=f"w-{order.order}"))
        await settle()
        (trade,) = executor.desk.trades.values()
        assert [state.settled for state in trade.orders] == [True, False]
        house.clock.advance(SECOND)
        await until(lambda: f"fills of {house.polymarket.sent[0][0].order}" in house.polymarket.asked)
        executor._inbox = inbox = Noted()
        await asyncio.sleep(0.1)
        assert [message for message in inbox.all if isinstance(message, Woke)] == []
        assert f"fills of {order.order}" not in house.kalshi.asked


async def test_it_shows_itself(house: House) -> None:
    async with house.life() as executor:
        await traded(house, executor)
        answer = await executor.hear("driver", Ask())
        assert isinstance(answer, Snapshot)
        shown = json.loads(answer.body)
    assert (shown["trades"], shown["open_trades"], shown["in_doubt"], shown["failed"]) == (1, 0, 0, "")
    assert shown["keys"]["kalshi"]["opening_left"] == 19
    assert shown["stages"]["sent"]
