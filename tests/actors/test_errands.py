"""What an executor does beside its trades: it asks for leases until it has them, reports, and reads executions on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from actors.clock import HandClock
from actors.cooldowns import CooldownOwner
from actors.errands import CLAIMS_EVERY
from actors.executor import Executor
from actors.in_flight import InFlight
from core.claims import executors_of, home_of
from messages.base import Message
from messages.control import Decided, Told, TradeStory
from messages.leases import (
    Acknowledged,
    CapitalGranted,
    ClaimsGranted,
    ClaimsReturned,
    MoveClaims,
    Reported,
    ReturnClaims,
    WantCapital,
    WantClaims,
    WantKeys,
)
from messages.orders import Filled
from messages.reasons import Reason
from messages.trades import CursorMoved, Hashed, Opened
from messages.units import CONTRACT, DOLLAR, SECOND, Money, Nanos, Quantity
from tests.actors.cast import RAIN, House, fill, leased, seen, settle
from tests.actors.stage import Outbox, on_stage, place, say, settings, until, up
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
        assert [want.groups for want in house.outbox.of(WantClaims)] == [()], "it says that it lacks nothing"
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


# Claims: asking, and giving back


def wishes(house: House) -> list[WantClaims]:
    return house.outbox.of(WantClaims, "in_flight")


ASKED_BACK = ReturnClaims(owner_epoch=1, holder="executor", claims=(("g", 1),))


async def test_capital_is_wanted_in_equal_shares(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.changes["engine"]["executors"] = 3
    async with house.life():
        await settle()
        assert [want.wanted for want in house.outbox.of(WantCapital)] == [33_333_333, 16_666_666]


async def test_a_wish_is_repeated_quickly_until_it_is_answered_and_then_now_and_then(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await settle()
        for _ in range(3):
            executor._errands._renew()
        assert len(wishes(house)) == 4, "nobody answers"
        await executor.hear("in_flight", ClaimsGranted(owner_epoch=1, holder="executor", groups=(), refused=("g",)))
        for _ in range(2 * CLAIMS_EVERY):
            executor._errands._renew()
            if len(wishes(house)) == 5:
                await executor.hear("in_flight", ClaimsGranted(owner_epoch=1, holder="executor", groups=()))
        assert len(wishes(house)) == 6, "refused, it asks on, and more slowly"
        assert {wish.groups for wish in wishes(house)} == {("g",)}


async def test_what_another_was_granted_is_not_taken(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await executor.hear("in_flight", ClaimsGranted(owner_epoch=1, holder="executor.2", groups=("g",)))
        await executor.hear("in_flight", ASKED_BACK.model_copy(update={"holder": "executor.2"}))
        await settle()
        assert (executor.snapshot()["claims"], executor.snapshot()["asked_back"]) == (0, [])


async def traded(house: House, executor: Executor) -> None:
    await house.supply(executor)
    house.cross(executor)
    await settle()


async def confirm(house: House, executor: Executor) -> None:
    """Every execution of its orders is told and final."""
    for venue in (house.kalshi, house.polymarket):
        for order, _ in venue.sent:
            execution = fill(f"f-{order.order}", quantity=order.quantity, price=order.price)
            await executor.hear(f"account.{venue.name}", seen(execution, venue.name, wire=f"w-{order.order}"))
    await settle()


async def acknowledge(executor: Executor, *owners: str) -> None:
    for owner in owners:
        ack = Acknowledged(owner=owner, owner_epoch=1, source="executor", upto=executor._memory.seq)
        await executor.hear(owner, ack)
    await settle()


async def test_a_claim_is_given_back_when_its_trade_is_over_and_the_owners_know_all_of_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await traded(house, executor)
        await executor.hear("in_flight", ASKED_BACK)
        await settle()
        assert executor.snapshot()["asked_back"] == ["g"]
        await confirm(house, executor)
        house.clock.advance(Nanos(11 * SECOND))
        await acknowledge(executor, "position_book", "in_flight")
        assert house.remembered(ClaimsReturned) == [], "the owner of cool-downs has not heard of the last trade"
        await acknowledge(executor, "cooldowns")
        (word,) = house.remembered(ClaimsReturned)
        assert word.claims == (("g", 1),)
        house.outbox.told.clear()
        executor._errands._renew()
        (wish,) = wishes(house)
        assert (wish.groups, wish.returned) == (("g",), (("g", 1),)), "told at once, since it is news"
        await executor.hear("in_flight", ClaimsGranted(owner_epoch=1, holder="executor", groups=("g",)))
        await settle()
        assert executor.snapshot()["claims"] == 0, "a late copy of the grant"


async def test_a_holder_that_dies_remembers_what_was_asked_back_and_what_it_gave_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await traded(house, executor)
        await executor.hear("in_flight", ASKED_BACK)
        await confirm(house, executor)
    house.clock.advance(Nanos(60 * SECOND))
    async with house.life() as executor:
        assert executor.snapshot()["asked_back"] == ["g"]
        await house.supply(executor)
        house.cross(executor)
        await settle()
        assert [decision.reason for decision in executor.scout.decisions][-1:] == [Reason.NOT_CLAIMED]
        assert wishes(house)[-1].groups == (), "it has it still, and does not ask for it"
        await acknowledge(executor, "position_book", "in_flight", "cooldowns")
        # its loop gives the claim back by itself; dead before the next wish
        await until(lambda: house.remembered(ClaimsReturned))
    house.outbox.told.clear()
    async with house.life():
        await settle()
        assert [wish.returned for wish in wishes(house)] == [(("g", 1),)], "the first thing that the registry hears"
    assert len(house.remembered(Opened)) == 1


async def test_a_holder_that_dies_with_its_trade_open_gives_nothing_back_until_its_successor_has_seen_it_through(
    tmp_path: Path,
) -> None:
    house = House(tmp_path)
    async with house.life() as executor:
        await traded(house, executor)
        await executor.hear("in_flight", ASKED_BACK)
        await settle()
    house.clock.advance(Nanos(60 * SECOND))
    async with house.life() as executor:
        await acknowledge(executor, "position_book", "in_flight", "cooldowns")
        executor._errands.give_back()
        await settle()
        assert house.remembered(ClaimsReturned) == [], "matched, and not confirmed"
        await confirm(house, executor)
        await acknowledge(executor, "position_book", "in_flight", "cooldowns")
        assert len(house.remembered(ClaimsReturned)) == 1


async def post_round(
    executors: Mapping[str, tuple[House, Executor]], owners: Mapping[str, tuple[Outbox, InFlight | CooldownOwner]]
) -> None:
    """Carry everything that waits, until nothing does. Who has no mailbox here is not played in this story."""
    while True:
        letters: list[tuple[str, str, Message]] = []
        for name, (house, _) in executors.items():
            letters += [(name, to, message) for to, message in house.outbox.told]
            house.outbox.told.clear()
        for name, (outbox, _) in owners.items():
            letters += [(name, to, message) for to, message in outbox.told]
            outbox.told.clear()
        if not letters:
            return
        for sender, to, message in letters:
            if to in owners:
                await owners[to][1].hear(sender, message)
            elif to in executors:
                await executors[to][1].hear(sender, message)
            elif to == "position_book" and isinstance(message, Reported):
                ack = Acknowledged(owner=to, owner_epoch=1, source=sender, upto=message.upto)
                await executors[sender][1].hear(to, ack)
        await settle()


async def test_a_group_goes_from_one_executor_to_another_in_mid_trade(tmp_path: Path) -> None:
    names = executors_of(2)
    old = home_of("g", names)
    (new,) = set(names) - {old}
    chosen = settings(engine={"executors": 2})
    clock = HandClock(START)
    houses = {name: House(tmp_path, name, clock) for name in names}
    for house in houses.values():
        house.changes["engine"]["executors"] = 2
    outboxes = {owner: Outbox(*names) for owner in ("in_flight", "cooldowns")}
    move = MoveClaims(groups=("g",), to=new, by="me", why="balance", at=START)

    async with (
        on_stage(InFlight(place("in_flight", tmp_path, chosen)), outboxes["in_flight"]) as registry,
        on_stage(CooldownOwner(place("cooldowns", tmp_path, chosen)), outboxes["cooldowns"], clock) as cools,
        houses[old].life() as holder,
        houses[new].life() as other,
    ):
        executors = {old: (houses[old], holder), new: (houses[new], other)}
        owners: dict[str, tuple[Outbox, InFlight | CooldownOwner]] = {
            "in_flight": (outboxes["in_flight"], registry),
            "cooldowns": (outboxes["cooldowns"], cools),
        }

        async def pass_mail() -> None:
            for house, executor in executors.values():
                for _ in range(CLAIMS_EVERY):
                    executor._errands._renew()
                for owner, report in executor._dispatch.reports():
                    house.outbox.tell(owner, report)
            await post_round(executors, owners)

        for name, (house, executor) in executors.items():
            cools.introduced(up(name))
            await house.supply(executor, claims=False)
        await pass_mail()
        assert ("g" in holder.desk.claims, "g" in other.desk.claims) == (True, False)
        for house, executor in executors.values():
            house.cross(executor)
        await settle()
        assert (len(holder.desk.trades), len(other.desk.trades)) == (1, 0)

        await say(registry, move, sender="driver")
        for _ in range(3):
            await pass_mail()
        assert registry.claims.of(old) == ("g",), "its trade is not over"
        await confirm(houses[old], holder)
        clock.advance(Nanos(11 * SECOND))
        for _ in range(3):
            await pass_mail()
        assert ("g" in holder.desk.claims, "g" in other.desk.claims) == (False, True)
        assert other.desk.claims.terms == {"g": 2}
        assert other.desk.not_before(RAIN) == holder.desk.not_before(RAIN) > clock.now()

        clock.advance(Nanos(25 * SECOND))
        for house, executor in executors.values():
            await house.supply(executor, claims=False)
            for venue in ("kalshi", "polymarket"):
                await executor.hear("pool", leased(venue, lease=2))
            house.cross(executor)
        await settle()
        assert (len(holder.desk.trades), len(other.desk.trades)) == (1, 1)
        await say(registry, move, sender="driver")
        await pass_mail()
        assert other.desk.claims.terms == {"g": 2}, "the same word again moves nothing"
