"""What an executor does beside its trades: it asks for leases until it has them, reports, and reads executions on."""

from __future__ import annotations

from pathlib import Path

from messages.control import Decided, Told, TradeStory
from messages.leases import Acknowledged, CapitalGranted, Reported, WantCapital, WantClaims, WantKeys
from messages.orders import Filled
from messages.reasons import Reason
from messages.trades import CursorMoved, Hashed
from messages.units import CONTRACT, DOLLAR, SECOND, Money, Nanos, Quantity
from tests.actors.cast import House, fill, seen, settle
from tests.actors.stage import up
from tests.core.story import START
from venues.port import Failed


async def test_leases_are_asked_for_at_once_and_custody_only_until_it_is_there(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await settle()
        assert [want.venue for want in house.outbox.of(WantKeys)] == ["kalshi", "polymarket"]
        assert [(want.venue, want.granted, want.wanted // DOLLAR) for want in house.outbox.of(WantCapital)] == [
            ("kalshi", 0, 100),
            ("polymarket", 0, 50),
        ]
        assert [want.groups for want in house.outbox.of(WantClaims)] == [("g",)]
        await house.supply(executor)
        house.outbox.told.clear()
        executor._errands._renew()
        assert len(house.outbox.of(WantKeys)) == 2
        assert house.outbox.of(WantCapital) == []
        assert house.outbox.of(WantClaims) == []
    async with house.life():
        await settle()
        assert house.outbox.of(WantCapital) == [], "what was granted is in the journal"


async def test_a_successor_states_its_own_incarnation(tmp_path: Path) -> None:
    house = House(tmp_path)
    for _ in range(2):
        async with house.life():
            await settle()
    assert [want.epoch for want in house.outbox.of(WantKeys, "key_pool.kalshi")] == [1, 2]


async def test_owners_are_first_asked_how_far_they_got_and_then_told(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await house.supply(executor)
        assert {report.upto for report in house.outbox.of(Reported)} == {0}
        house.cross(executor)
        await settle()
        assert executor.snapshot()["unreported"] == 6, "two markets entered flight, left it and cool"
        for owner in ("position_book", "in_flight", "cooldowns"):
            await executor.hear(owner, Acknowledged(owner=owner, owner_epoch=1, source="executor", upto=0))
        house.outbox.told.clear()
        for owner, report in executor._dispatch.reports():
            house.outbox.tell(owner, report)
        (flights,) = house.outbox.of(Reported, "in_flight")
        await executor.hear(
            "in_flight", Acknowledged(owner="in_flight", owner_epoch=1, source="executor", upto=flights.upto)
        )
        left = executor.snapshot()["unreported"]
        assert isinstance(left, int)
        assert left < 6
        executor.introduced(up("in_flight", epoch=2))
        assert [owner for owner, _ in executor._dispatch.reports()] == ["in_flight"]


async def test_decisions_and_stories_are_told_once_and_numbered(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await house.supply(executor)
        house.cross(executor)
        await settle()
        executor._errands.flush()
        executor._errands.flush()
        executor.scout.draining = True
        house.clock.advance(Nanos(60 * SECOND))
        await house.supply(executor)
        house.cross(executor)
        await settle()
    told = house.outbox.of(Decided)
    assert [decided.sequence for decided in told] == [1, 2]
    assert [decision.reason for decided in told for decision in decided.decisions] == [None, Reason.DRAINING]
    assert len(told[-1].crossings) == 1, "the end of the run ends the episode, and it is told"
    stages = [story.stage for some in house.outbox.of(Told) for story in some.stories]
    assert stages.count("opened") == 1


async def test_executions_are_read_on_from_the_cursor_that_was_folded(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.kalshi.feed = [seen(fill("old"), wire="somebody's")]
    async with house.life():
        await settle()
        assert house.kalshi.asked == ["fills since the beginning"]
    assert [(moved.venue, moved.cursor) for moved in house.remembered(CursorMoved)] == [("kalshi", "1")]
    async with house.life():
        await settle()
        assert house.kalshi.asked[1:] == ["fills since 1"]
        assert house.polymarket.asked[1:] == ["fills since the beginning"], "nothing was there to remember"


async def test_a_read_that_failed_moves_no_cursor_and_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.kalshi.on_fills = Failed("HTTP 500")
    house.polymarket.feed = [seen(fill("p"), "polymarket", wire="somebody's")]
    async with house.life():
        await settle()
    assert [moved.venue for moved in house.remembered(CursorMoved)] == ["polymarket"]


async def test_the_cursor_follows_the_executions_that_it_stands_for(tmp_path: Path) -> None:
    """Were it the other way round, a death between the two would lose them for ever."""
    house = House(tmp_path)
    async with house.life() as executor:
        await house.supply(executor)
        house.cross(executor)
        await settle()
        (trade,) = executor.desk.trades.values()
        order = trade.orders[0].order
        house.kalshi.feed = [seen(fill("late", quantity=Quantity(CONTRACT)), wire=f"w-{order.order}")]
    async with house.life():
        await settle()
    kinds = [type(message) for message in house.journal()]
    assert kinds.index(Filled) < kinds.index(CursorMoved)


async def test_the_state_is_hashed_only_where_it_changed(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await settle()
        for _ in range(3):
            executor._errands.hash()
        await executor.hear(
            "book", CapitalGranted(owner_epoch=1, holder="executor", venue="kalshi", total=Money(DOLLAR))
        )
        await settle()
        executor._errands.hash()
    assert len(house.remembered(Hashed)) == 2


async def test_what_nobody_hears_does_not_pile_up(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        for _ in range(3):
            executor._errands.stories.append(TradeStory(trade="t", at=START, stage="order", text=""))
            executor._errands.flush()
        assert executor._errands.stories == []
        assert len(house.outbox.of(Told)) == 3
