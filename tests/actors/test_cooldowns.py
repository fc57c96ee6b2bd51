"""Cool-downs: the latest time wins, over restarts, and a new executor is told."""

from __future__ import annotations

from pathlib import Path

from actors.clock import HandClock
from actors.cooldowns import CooldownOwner
from messages.control import PeerDown
from messages.leases import Acknowledged, CooldownsSet, Cooled, Reported
from messages.reasons import Reason
from messages.units import SECOND, Nanos
from tests.actors.stage import START, Outbox, dies_at, on_stage, place, say, up


def cooled(seq: int, until_s: int, market: str = "M", *, rejected: bool = False) -> Cooled:
    until = Nanos(START + until_s * SECOND)
    return Cooled(seq=seq, venue="kalshi", market=market, not_before=until, rejected=rejected, at=START)


def report(*entries: Cooled, after: int = 0, source: str = "executor") -> Reported:
    return Reported(source=source, epoch=1, after=after, upto=entries[-1].seq, cooled=entries)


def told(outbox: Outbox, to: str = "executor*") -> list[dict[str, int]]:
    return [
        {market: (until - START) // SECOND for _, market, until in message.until}
        for message in outbox.of(CooldownsSet, to)
    ]


async def test_the_later_of_two_times_wins(tmp_path: Path) -> None:
    outbox = Outbox()
    async with on_stage(CooldownOwner(place("cooldowns", tmp_path)), outbox) as owner:
        await say(owner, report(cooled(1, 30), cooled(2, 10), cooled(3, 5, "N", rejected=True)))
        owner.introduced(up("executor"))
        assert told(outbox) == [{"M": 30, "N": 5}]
        assert [ack.upto for ack in outbox.of(Acknowledged)] == [3]


async def test_only_what_is_still_active_is_told(tmp_path: Path) -> None:
    outbox, clock = Outbox(), HandClock(START)
    async with on_stage(CooldownOwner(place("cooldowns", tmp_path)), outbox, clock) as owner:
        await say(owner, report(cooled(1, 30), cooled(2, 10, "N")))
        clock.advance(Nanos(10 * SECOND))
        owner.introduced(up("executor"))
        assert told(outbox) == [{"M": 30}]


async def test_each_incarnation_is_told_once(tmp_path: Path) -> None:
    outbox = Outbox("executor", "recorder")
    async with on_stage(CooldownOwner(place("cooldowns", tmp_path)), outbox) as owner:
        for peer in (up("executor", 1), up("executor", 1), up("executor", 2), up("executor", 1), up("recorder")):
            owner.introduced(peer)
        assert len(outbox.told) == 2
        owner.introduced(PeerDown(name="executor", epoch=2))
        owner.introduced(up("executor", 3))
        assert len(outbox.told) == 3


async def test_a_person_sets_a_time_and_a_pause(tmp_path: Path) -> None:
    here, outbox = place("cooldowns", tmp_path), Outbox("executor", "executor.2")
    until, pause = ("kalshi", "M", Nanos(START + 60 * SECOND)), ("kalshi", "N", Reason.HALTED)
    async with on_stage(CooldownOwner(here), outbox) as owner:
        await say(owner, report(cooled(1, 30)))
        await say(owner, CooldownsSet(owner_epoch=0, until=(until,), paused=(pause,)), sender="operator")
        assert told(outbox) == [{"M": 60}] * 2
        assert outbox.last(CooldownsSet).paused == (pause,)
    async with on_stage(CooldownOwner(here), outbox) as owner:
        assert (owner.active().until, owner.active().paused) == ((until,), (pause,))
        assert owner.active().owner_epoch == 2
        await say(owner, CooldownsSet(owner_epoch=0, until=(("kalshi", "N", START),)), sender="operator")
        assert owner.active().paused == ()


async def test_a_report_that_was_not_journaled_is_not_acknowledged(tmp_path: Path) -> None:
    here, outbox = place("cooldowns", tmp_path), Outbox()
    async with on_stage(CooldownOwner(here), outbox) as owner:
        with dies_at("before-append"):
            await say(owner, report(cooled(1, 30)))
    async with on_stage(CooldownOwner(here), outbox) as owner:
        await say(owner, report(cooled(2, 40), after=1))
        assert [ack.upto for ack in outbox.of(Acknowledged)] == [0]
        await say(owner, report(cooled(1, 30, rejected=True), cooled(2, 40, rejected=True)))
        assert owner.snapshot()["cooling"] == [
            {"venue": "kalshi", "market": "M", "until": START + 40 * SECOND, "rejected": 2}
        ]


async def test_what_one_executor_learnt_is_told_to_the_others_and_not_back(tmp_path: Path) -> None:
    outbox = Outbox("executor", "executor.2", "executor.3")
    async with on_stage(CooldownOwner(place("cooldowns", tmp_path)), outbox) as owner:
        for name in ("executor", "executor.2"):
            owner.introduced(up(name))
        outbox.told.clear()
        entries = (cooled(1, 30), cooled(2, 10), cooled(3, 0, "N"))
        await say(owner, report(*entries))
        assert told(outbox, "executor.2") == [{"M": 30}], "the latest, and only where it still binds"
        assert told(outbox, "executor") == []
        assert told(outbox, "executor.3") == [], "it is not up, and hears it when it is"
        await say(owner, report(*entries))
        assert len(told(outbox, "executor.2")) == 1, "a report that repeats is no news"
        await say(owner, report(cooled(1, 20), source="executor.2"), sender="executor.2")
        assert told(outbox, "executor") == [{"M": 30}]
        owner.introduced(up("executor.3"))
        assert told(outbox, "executor.3") == [{"M": 30}]


async def test_a_cool_down_that_was_journaled_and_not_told_is_told_by_the_successor(tmp_path: Path) -> None:
    here, outbox = place("cooldowns", tmp_path), Outbox("executor", "executor.2")
    async with on_stage(CooldownOwner(here), outbox) as owner:
        owner.introduced(up("executor.2"))
        with dies_at("before-reply"):
            await say(owner, report(cooled(1, 30)))
        assert told(outbox, "executor.2") == [{}]
    async with on_stage(CooldownOwner(here), outbox) as owner:
        owner.introduced(up("executor.2"))
        assert told(outbox, "executor.2")[-1] == {"M": 30}
