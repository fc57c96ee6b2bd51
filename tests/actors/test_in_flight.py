"""The in-flight registry: one holder an event group, whoever dies; and a picture of what is in flight."""

from __future__ import annotations

from pathlib import Path

from actors.in_flight import InFlight
from core.flights import NEVER
from messages.leases import Acknowledged, ClaimsGranted, Flight, Reported, WantClaims
from messages.units import Nanos
from tests.actors.stage import Outbox, dies_at, on_stage, place, say, up


def want(*groups: str, holder: str = "executor", epoch: int = 1) -> WantClaims:
    return WantClaims(holder=holder, epoch=epoch, groups=groups)


def flight(
    seq: int, market: str = "M", *, entered: bool = True, why: str = "in flight", trade: str = "t", until: int = 0
) -> Flight:
    return Flight(
        seq=seq,
        trade=trade,
        group="g",
        venue="kalshi",
        market=market,
        entered=entered,
        why=why,
        released_at=Nanos(until),
        at=Nanos(seq * 10),
    )


def report(*entries: Flight, after: int = 0, epoch: int = 1) -> Reported:
    upto = entries[-1].seq if entries else 0
    return Reported(source="executor", epoch=epoch, after=after, upto=upto, flights=entries)


def answers(outbox: Outbox) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(grant.holder, grant.groups, grant.refused) for grant in outbox.of(ClaimsGranted)]


async def test_the_second_to_ask_is_refused(tmp_path: Path) -> None:
    outbox = Outbox("executor", "executor.2")
    async with on_stage(InFlight(place("in_flight", tmp_path)), outbox) as registry:
        await say(registry, want("a", "b"))
        await say(registry, want("b", "c", holder="executor.2"), sender="executor.2")
        await say(registry, want("a", "b"))
        assert answers(outbox) == [
            ("executor", ("a", "b"), ()),
            ("executor.2", ("c",), ("b",)),
            ("executor", ("a", "b"), ()),
        ]
        assert registry.snapshot()["claims"] == {"a": "executor", "b": "executor", "c": "executor.2"}


async def test_asking_again_writes_nothing(tmp_path: Path) -> None:
    async with on_stage(InFlight(place("in_flight", tmp_path)), Outbox()) as registry:
        await say(registry, want("a"))
        written = registry.snapshot()["journal_seq"]
        await say(registry, want("a"), want("a"), want())
        assert registry.snapshot()["journal_seq"] == written


async def test_the_owner_dies_and_claims_stand(tmp_path: Path) -> None:
    here, outbox = place("in_flight", tmp_path), Outbox()
    async with on_stage(InFlight(here), outbox) as registry:
        await say(registry, want("a"))
    async with on_stage(InFlight(here), outbox) as registry:
        await say(registry, want("a", holder="executor.2"), want("a", epoch=2), want("b", epoch=1))
        assert answers(outbox)[1:] == [("executor.2", (), ("a",)), ("executor", ("a",), ())]
        assert outbox.last(ClaimsGranted).owner_epoch == 2


async def test_claim_journaled_and_reply_lost(tmp_path: Path) -> None:
    here, outbox = place("in_flight", tmp_path), Outbox()
    async with on_stage(InFlight(here), outbox) as registry:
        with dies_at("before-reply"):
            await say(registry, want("a"))
    async with on_stage(InFlight(here), outbox) as registry:
        await say(registry, want("a", holder="executor.2"), want("a"))
        assert answers(outbox) == [("executor.2", (), ("a",)), ("executor", ("a",), ())]


async def test_claim_not_journaled_was_never_given(tmp_path: Path) -> None:
    here, outbox = place("in_flight", tmp_path), Outbox()
    async with on_stage(InFlight(here), outbox) as registry:
        with dies_at("before-append"):
            await say(registry, want("a"))
    async with on_stage(InFlight(here), outbox) as registry:
        await say(registry, want("a", holder="executor.2"))
        assert answers(outbox) == [("executor.2", ("a",), ())]


async def test_what_is_in_flight_since_when_and_why_it_was_released(tmp_path: Path) -> None:
    here, outbox = place("in_flight", tmp_path), Outbox()
    entries = (flight(1), flight(2, "N"), flight(3, why="escalated", until=NEVER))
    async with on_stage(InFlight(here), outbox) as registry:
        await say(registry, want("g"), report(*entries), report(*entries))
        await say(registry, report(flight(5, "N", entered=False, why="success", until=99), after=3))
        await say(registry, report(flight(9, "X"), after=8))
        assert [ack.upto for ack in outbox.of(Acknowledged)] == [3, 3, 5, 5]
    async with on_stage(InFlight(here), outbox) as registry:
        registry.introduced(up("executor"))
        shown = registry.snapshot()
    assert shown["in_flight"] == [
        {
            "venue": "kalshi",
            "market": "M",
            "trade": "t",
            "group": "g",
            "holder": "executor",
            "since": 10,
            "why": "escalated",
        }
    ]
    assert shown["releases"] == [
        {"trade": "t", "venue": "kalshi", "market": "N", "why": "success", "released_at": 99, "at": 50}
    ]
    assert (shown["released"], shown["unclaimed"]) == ({"success": 1}, 0)


async def test_a_release_by_an_earlier_trade_does_not_touch_the_later_one(tmp_path: Path) -> None:
    async with on_stage(InFlight(place("in_flight", tmp_path)), Outbox()) as registry:
        late = flight(3, entered=False, why="success", trade="t1", until=1)
        await say(registry, report(flight(1, trade="t1"), flight(2, trade="t2"), late))
        flying = registry.snapshot()["in_flight"]
        assert isinstance(flying, list)
        assert [entry["trade"] for entry in flying] == ["t2"]
        assert registry.snapshot()["unclaimed"] == 3, "nobody claimed the group: that is worth a look"
