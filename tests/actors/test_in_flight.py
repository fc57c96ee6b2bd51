"""The in-flight registry: one holder an event group, whoever dies and whatever moves; and a picture of what is in flight."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.in_flight import InFlight
from actors.shell import Place
from core.claims import executors_of, home_of
from core.flights import NEVER
from messages.leases import Acknowledged, Claim, ClaimsGranted, Flight, MoveClaims, Reported, ReturnClaims, WantClaims
from messages.units import Nanos
from tests.actors.stage import Outbox, dies_at, on_stage, place, say, settings, up

FIRST, OTHER = executors_of(2)
HOMES = {name: [group for group in (f"g{n}" for n in range(20)) if home_of(group, (FIRST, OTHER)) == name]
         for name in (FIRST, OTHER)}  # fmt: skip
A, B = HOMES[FIRST][:2]
"""At home with the first of two executors."""
C = HOMES[OTHER][0]


def two(tmp_path: Path) -> Place:
    return place("in_flight", tmp_path, settings(engine={"executors": 2}))


def both() -> Outbox:
    return Outbox(FIRST, OTHER)


def want(*groups: str, holder: str = FIRST, epoch: int = 1, returned: tuple[Claim, ...] = ()) -> WantClaims:
    return WantClaims(holder=holder, epoch=epoch, groups=groups, returned=returned)


def move(*groups: str, to: str = OTHER, at: int = 1) -> MoveClaims:
    return MoveClaims(groups=groups, to=to, by="me", why="balance", at=Nanos(at))


async def ask(registry: InFlight, *wishes: WantClaims) -> None:
    for wish in wishes:
        await say(registry, wish, sender=wish.holder)


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


def answers(outbox: Outbox) -> list[tuple[str, tuple[Claim, ...], tuple[str, ...]]]:
    return [(grant.holder, grant.claims, grant.refused) for grant in outbox.of(ClaimsGranted)]


def asked_back(outbox: Outbox, to: str = FIRST) -> list[tuple[Claim, ...]]:
    return [told.claims for told in outbox.of(ReturnClaims, to)]


async def test_a_group_goes_to_its_home_and_to_nobody_else(tmp_path: Path) -> None:
    outbox = both()
    async with on_stage(InFlight(two(tmp_path)), outbox) as registry:
        await ask(registry, want(A, B, C), want(A, B, C, holder=OTHER), want(A, B))
        assert answers(outbox) == [
            (FIRST, ((A, 1), (B, 1)), (C,)),
            (OTHER, ((C, 1),), (A, B)),
            (FIRST, ((A, 1), (B, 1)), ()),
        ]
        assert registry.snapshot()["claims"] == {A: FIRST, B: FIRST, C: OTHER}


async def test_an_engine_of_one_has_everything_and_a_stranger_nothing(tmp_path: Path) -> None:
    outbox = both()
    async with on_stage(InFlight(place("in_flight", tmp_path)), outbox) as registry:
        await ask(registry, want(A, B, C, holder=OTHER), want(A, B, C))
        assert answers(outbox) == [(OTHER, (), (A, B, C)), (FIRST, ((A, 1), (B, 1), (C, 1)), ())]


async def test_asking_again_writes_nothing_and_is_answered(tmp_path: Path) -> None:
    outbox = both()
    async with on_stage(InFlight(two(tmp_path)), outbox) as registry:
        await ask(registry, want(A))
        written = registry.snapshot()["journal_seq"]
        await ask(registry, want(A), want(A), want(), want(C))
        assert registry.snapshot()["journal_seq"] == written
        assert len(answers(outbox)) == 5


async def test_the_owner_dies_and_claims_stand(tmp_path: Path) -> None:
    here, outbox = two(tmp_path), both()
    async with on_stage(InFlight(here), outbox) as registry:
        await ask(registry, want(A))
    async with on_stage(InFlight(here), outbox) as registry:
        await ask(registry, want(A, holder=OTHER), want(A, epoch=2), want(B, epoch=1))
        assert answers(outbox)[1:] == [(OTHER, (), (A,)), (FIRST, ((A, 1),), ())]
        assert outbox.last(ClaimsGranted).owner_epoch == 2


async def test_claim_journaled_and_reply_lost(tmp_path: Path) -> None:
    here, outbox = two(tmp_path), both()
    async with on_stage(InFlight(here), outbox) as registry:
        with dies_at("before-reply"):
            await ask(registry, want(A))
    assert not outbox.told
    async with on_stage(InFlight(here), outbox) as registry:
        assert registry.snapshot()["claims"] == {A: FIRST}
        await ask(registry, want(A))
        assert answers(outbox) == [(FIRST, ((A, 1),), ())], "the same claim, and no second term of it"


async def test_claim_not_journaled_was_never_given(tmp_path: Path) -> None:
    here, outbox = two(tmp_path), both()
    async with on_stage(InFlight(here), outbox) as registry:
        with dies_at("before-append"):
            await ask(registry, want(A))
    async with on_stage(InFlight(here), outbox) as registry:
        await say(registry, move(A))
        assert asked_back(outbox) == []
        await ask(registry, want(A, holder=OTHER))
        assert answers(outbox) == [(OTHER, ((A, 1),), ())]


# Moving


async def test_a_move_is_told_at_once_and_again_until_the_holder_gives_it_back(tmp_path: Path) -> None:
    outbox = both()
    async with on_stage(InFlight(two(tmp_path)), outbox) as registry:
        await ask(registry, want(A, B))
        await say(registry, move(A, C), sender="driver")
        assert asked_back(outbox) == [((A, 1),)]
        leaving = {"group": A, "holder": FIRST, "to": OTHER, "by": "me", "why": "balance"}
        assert registry.snapshot()["leaving"] == [leaving]
        await ask(registry, want())
        assert asked_back(outbox) == [((A, 1),)] * 2, "it asked for nothing, and hears it all the same"
        await ask(registry, want(A, holder=OTHER))
        assert answers(outbox)[-1] == (OTHER, (), (A,))
        assert asked_back(outbox, OTHER) == []
        await ask(registry, want(returned=((A, 1),)), want(A, holder=OTHER), want(A, returned=((A, 1),)))
        assert answers(outbox)[-2:] == [(OTHER, ((A, 2),), ()), (FIRST, (), (A,))]
        assert asked_back(outbox) == [((A, 1),)] * 2, "there is nothing left to ask back"
        shown = registry.snapshot()
        assert (shown["claims"], shown["terms"], shown["leaving"]) == ({A: OTHER, B: FIRST}, {A: 2, B: 1}, [])


async def test_moved_back_the_terms_go_on_rising_over_restarts(tmp_path: Path) -> None:
    here, outbox = two(tmp_path), both()
    turns = [(OTHER, FIRST), (FIRST, OTHER), (OTHER, FIRST)]
    async with on_stage(InFlight(here), outbox) as registry:
        await ask(registry, want(A))
    for at, (to, giver) in enumerate(turns, 1):
        async with on_stage(InFlight(here), outbox) as registry:
            await say(registry, move(A, to=to, at=at))
            assert asked_back(outbox, giver)[-1] == ((A, at),)
            await ask(registry, want(holder=giver, returned=((A, at),)), want(A, holder=to))
            assert answers(outbox)[-1] == (to, ((A, at + 1),), ())


async def test_a_grant_that_was_lost_is_asked_back_too(tmp_path: Path) -> None:
    """It may yet arrive: its holder must know by then that it is not to be believed."""
    outbox = both()
    async with on_stage(InFlight(two(tmp_path)), outbox) as registry:
        await ask(registry, want(A))
        await say(registry, move(A))
        await ask(registry, want(A))
        assert answers(outbox)[-1] == (FIRST, (), (A,)), "it lacks it, and is not given it once more on the way out"
        assert asked_back(outbox) == [((A, 1),)] * 2


async def test_a_return_that_was_lost_is_in_the_next_wish_and_an_old_one_takes_nothing(tmp_path: Path) -> None:
    outbox = both()
    async with on_stage(InFlight(two(tmp_path)), outbox) as registry:
        await ask(registry, want(A))
        await say(registry, move(A))
        first = want(returned=((A, 1),))
        await ask(registry, first, first)
        await say(registry, move(A, to=FIRST, at=2))
        await ask(registry, want(A, returned=((A, 1),)))
        assert answers(outbox)[-1] == (FIRST, ((A, 2),), ())
        written = registry.snapshot()["journal_seq"]
        await ask(registry, first)
        assert registry.snapshot()["claims"] == {A: FIRST}
        assert registry.snapshot()["journal_seq"] == written


@pytest.mark.parametrize("point", ["before-append", "after-append", "before-reply"])
async def test_the_registry_dies_over_a_move(tmp_path: Path, point: str) -> None:
    here, outbox = two(tmp_path), both()
    async with on_stage(InFlight(here), outbox) as registry:
        await ask(registry, want(A))
        with dies_at(point):
            await say(registry, move(A))
    assert asked_back(outbox) == []
    async with on_stage(InFlight(here), outbox) as registry:
        await ask(registry, want())
        assert asked_back(outbox) == ([] if point == "before-append" else [((A, 1),)])
        await say(registry, move(A))
        assert asked_back(outbox)[-1] == ((A, 1),), "said again it is the same move"


@pytest.mark.parametrize("point", ["before-append", "after-append", "before-reply"])
async def test_the_registry_dies_over_a_return(tmp_path: Path, point: str) -> None:
    here, outbox = two(tmp_path), both()
    async with on_stage(InFlight(here), outbox) as registry:
        await ask(registry, want(A))
        await say(registry, move(A))
        with dies_at(point):
            await ask(registry, want(A, returned=((A, 1),)))
    async with on_stage(InFlight(here), outbox) as registry:
        known = point != "before-append"
        await ask(registry, want(A, holder=OTHER))
        assert answers(outbox)[-1] == (OTHER, ((A, 2),) if known else (), () if known else (A,))
        await ask(registry, want(A, returned=((A, 1),)), want(A, holder=OTHER))
        assert answers(outbox)[-2:] == [(FIRST, (), (A,)), (OTHER, ((A, 2),), ())]


@pytest.mark.parametrize("point", ["before-append", "after-append", "before-reply"])
async def test_the_registry_dies_over_the_grant_to_the_new_holder(tmp_path: Path, point: str) -> None:
    here, outbox = two(tmp_path), both()
    async with on_stage(InFlight(here), outbox) as registry:
        await ask(registry, want(A))
        await say(registry, move(A))
        await ask(registry, want(A, returned=((A, 1),)), want(C, holder=OTHER))
        with dies_at(point):
            await ask(registry, want(A, holder=OTHER))
    async with on_stage(InFlight(here), outbox) as registry:
        assert registry.snapshot()["claims"] == {C: OTHER} | ({} if point == "before-append" else {A: OTHER})
        await ask(registry, want(A, returned=((A, 1),)), want(A, holder=OTHER))
        assert answers(outbox)[-2:] == [(FIRST, (), (A,)), (OTHER, ((A, 2),), ())]


async def test_nothing_is_moved_to_nowhere_and_an_older_word_changes_nothing(tmp_path: Path) -> None:
    outbox = both()
    async with on_stage(InFlight(two(tmp_path)), outbox) as registry:
        await ask(registry, want(A))
        await say(registry, move(A, to=OTHER, at=5))
        written = registry.snapshot()["journal_seq"]
        await say(registry, move(A, to="executor.3", at=6), move(A, to=FIRST, at=4), move(A, at=5))
        assert registry.snapshot()["journal_seq"] == written
        assert registry.claims.goes_to(A) == OTHER


# The picture


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
