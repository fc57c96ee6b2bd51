"""Custody: claims have one holder, whoever moves them and whatever is lost; reports are folded once and without holes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.claims import ENTRIES_MOST, GROUPS_MOST, Claims, Heard, Held, executors_of, home_of
from core.desk import Desk
from core.flights import released_at
from messages.base import Message, UnknownMessage, decode, encode, parse
from messages.leases import (
    Claim,
    ClaimsGranted,
    ClaimsReturned,
    Cooled,
    MoveClaims,
    Reported,
    ReturnClaims,
    WantClaims,
)
from messages.orders import Ended, EndKind, Refused
from messages.reasons import Refusal
from messages.trades import Opened
from messages.units import CONTRACT, SECOND, Nanos, Price, Quantity
from tests.core.story import START, kalshi, opening

FIRST, SECOND_ONE, THIRD = executors_of(3)
TWO = executors_of(2)


def group_of(home: str, executors: Sequence[str] = TWO, number: int = 0) -> str:
    """A group that is at home there."""
    found = [name for name in (f"g{n}" for n in range(100)) if home_of(name, executors) == home]
    return found[number]


A, B = group_of(FIRST), group_of(FIRST, number=1)
"""Two at home with the first of two executors."""
ELSEWHERE = group_of(SECOND_ONE)


def want(*groups: str, holder: str = FIRST, epoch: int = 1, returned: tuple[Claim, ...] = ()) -> WantClaims:
    return WantClaims(holder=holder, epoch=epoch, groups=groups, returned=returned)


def move(group: str, to: str, at: int = 1) -> MoveClaims:
    return MoveClaims(groups=(group,), to=to, by="me", why="balance", at=Nanos(at))


def hear(claims: Claims, wish: WantClaims) -> list[ClaimsGranted]:
    """As the registry does: what was given back is folded before anything is granted."""
    claims.fold(wish)
    claims.fold(claims.returns(wish, START))
    grants = list(claims.grants(wish, 1))
    for grant in grants:
        claims.fold(grant)
    return grants


def ask(claims: Claims, wish: WantClaims) -> tuple[set[Claim], set[str]]:
    """(granted, refused)"""
    grants = hear(claims, wish)
    return {claim for grant in grants for claim in grant.claims}, {name for grant in grants for name in grant.refused}


def due(claims: Claims, holder: str) -> list[Claim]:
    return [claim for told in claims.asked_back(holder, 1) for claim in told.claims]


# Homes


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_group_is_at_home_with_exactly_one_executor(count: int) -> None:
    names = executors_of(count)
    groups = [f"group-{number}" for number in range(200)]
    claims = Claims(names)
    got = {name: {group for group, _ in ask(claims, want(*groups, holder=name))[0]} for name in reversed(names)}
    assert sorted(group for mine in got.values() for group in mine) == sorted(groups), "disjoint, and nothing is left"
    assert all(mine == {group for group in groups if home_of(group, names) == name} for name, mine in got.items())
    assert min(len(mine) for mine in got.values()) > 200 // count // 2


def test_executors_are_named_in_order() -> None:
    assert executors_of(3) == ("executor", "executor.2", "executor.3")


def test_a_home_does_not_depend_on_the_run_and_one_executor_more_only_takes() -> None:
    groups = [f"group-{number}" for number in range(200)]
    before = {group: home_of(group, executors_of(4)) for group in groups}
    after = {group: home_of(group, executors_of(5)) for group in groups}
    assert home_of("fed-dec", TWO) == "executor"
    assert home_of("gas-dec", TWO) == "executor.2"
    assert {after[group] for group in groups if after[group] != before[group]} == {"executor.5"}


# The registry


def test_a_group_has_one_holder_and_only_its_home_is_granted_it() -> None:
    claims = Claims(TWO)
    assert ask(claims, want(A, B)) == ({(A, 1), (B, 1)}, set())
    assert ask(claims, want(A, ELSEWHERE, holder=SECOND_ONE)) == ({(ELSEWHERE, 1)}, {A})
    assert ask(claims, want(A, ELSEWHERE)) == ({(A, 1)}, {ELSEWHERE})
    assert ask(claims, want("g", holder="a stranger")) == (set(), {"g"})


def test_asking_again_changes_nothing() -> None:
    claims = Claims(TWO)
    ask(claims, want(A))
    (again,) = claims.grants(want(A, A), 1)
    assert again.claims == ((A, 1),)
    assert not claims.changes(again)
    assert not claims.changes(want(A))
    assert not claims.changes(claims.returns(want(A), START))


def test_a_wish_for_nothing_is_answered_too() -> None:
    """By the answer its sender knows that what it gave back was heard."""
    (answer,) = Claims(TWO).grants(want(), 1)
    assert (answer.groups, answer.refused) == ((), ())


def test_the_successor_keeps_what_its_predecessor_held() -> None:
    claims = Claims(TWO)
    ask(claims, want(A, epoch=3))
    assert ask(claims, want(A, epoch=4)) == ({(A, 1)}, set())
    assert claims.outdated(want(B, epoch=3))


def test_a_moved_group_goes_on_only_when_its_holder_gave_it_back() -> None:
    claims = Claims(TWO)
    ask(claims, want(A, B))
    claims.fold(move(A, SECOND_ONE))
    assert due(claims, FIRST) == [(A, 1)]
    assert ask(claims, want(A, holder=SECOND_ONE)) == (set(), {A}), "not by time, not by asking"
    assert due(claims, FIRST) == [(A, 1)], "told again until it is given back"
    assert ask(claims, want(A, returned=((A, 1),))) == (set(), {A})
    assert (due(claims, FIRST), claims.of(FIRST)) == ([], (B,))
    assert ask(claims, want(A, holder=SECOND_ONE)) == ({(A, 2)}, set())


def test_moved_back_later_the_term_goes_on_rising() -> None:
    claims = Claims(TWO)
    ask(claims, want(A))
    for at, (to, giver, term) in enumerate([(SECOND_ONE, FIRST, 1), (FIRST, SECOND_ONE, 2), (SECOND_ONE, FIRST, 3)], 1):
        claims.fold(move(A, to, at))
        assert ask(claims, want(holder=giver, returned=((A, term),))) == (set(), set())
        assert ask(claims, want(A, holder=to)) == ({(A, term + 1)}, set())


def test_a_stale_return_takes_nothing() -> None:
    claims = Claims(TWO)
    ask(claims, want(A))
    claims.fold(move(A, SECOND_ONE))
    ask(claims, want(returned=((A, 1),)))
    claims.fold(move(A, FIRST, 2))
    ask(claims, want(A, holder=SECOND_ONE))
    ask(claims, want(A))
    assert claims.of(FIRST) == (A,)
    stale = claims.returns(want(returned=((A, 1),)), START)
    assert not claims.changes(stale)
    claims.fold(ClaimsReturned(holder=FIRST, claims=((A, 1),), at=START))
    claims.fold(ClaimsReturned(holder=SECOND_ONE, claims=((A, 2),), at=START))
    assert claims.of(FIRST) == (A,), "it holds under a later term, and the other never held under this one"


def test_a_free_group_that_was_moved_is_refused_to_its_home() -> None:
    claims = Claims(TWO)
    claims.fold(move(A, SECOND_ONE))
    assert ask(claims, want(A)) == (set(), {A})
    assert ask(claims, want(A, holder=SECOND_ONE)) == ({(A, 1)}, set())


def test_a_late_copy_of_an_older_move_changes_nothing() -> None:
    claims = Claims(TWO)
    ask(claims, want(A))
    claims.fold(move(A, SECOND_ONE, at=1))
    claims.fold(move(A, FIRST, at=2))
    assert due(claims, FIRST) == [], "a person thought better of it before anything moved"
    assert not claims.changes(move(A, SECOND_ONE, at=1))
    claims.fold(move(A, SECOND_ONE, at=1))
    assert claims.goes_to(A) == FIRST


def test_a_group_that_was_sent_to_an_executor_that_is_no_more_goes_home() -> None:
    claims = Claims(TWO)
    claims.fold(move(ELSEWHERE, THIRD))
    assert claims.goes_to(ELSEWHERE) == SECOND_ONE
    ask(claims, want(ELSEWHERE, holder=SECOND_ONE))
    assert due(claims, SECOND_ONE) == []


def test_what_an_owner_forgot_with_its_disk_it_learns_from_the_holder() -> None:
    """Were its next grant not above it, the holder would never believe it."""
    claims = Claims(TWO)
    assert ask(claims, want(A, returned=((A, 7),))) == ({(A, 8)}, set())


def test_a_long_wish_is_answered_in_pieces_and_a_long_move_as_well() -> None:
    claims = Claims()
    groups = tuple(f"g{number}" for number in range(GROUPS_MOST + 1))
    assert [len(grant.groups) for grant in hear(claims, want(*groups))] == [GROUPS_MOST, 1]
    claims.executors = TWO
    claims.fold(MoveClaims(groups=groups, to=SECOND_ONE, by="me", why="", at=Nanos(1)))
    assert [len(told.claims) for told in claims.asked_back(FIRST, 1)] == [GROUPS_MOST, 1]


def test_a_grant_has_a_term_for_each_group_and_without_any_each_is_the_first() -> None:
    grant = ClaimsGranted(owner_epoch=1, holder=FIRST, groups=("a", "b"), terms=(4, 2))
    assert decode(encode(grant)) == grant
    assert grant.claims == (("a", 4), ("b", 2))
    assert parse("ClaimsGranted", b'{"owner_epoch":1,"holder":"x","groups":["a"]}') == ClaimsGranted(
        owner_epoch=1, holder="x", groups=("a",)
    )
    assert ClaimsGranted(owner_epoch=1, holder="x", groups=("a",)).claims == (("a", 1),)
    with pytest.raises(UnknownMessage, match="2 groups with 1 terms"):
        parse("ClaimsGranted", b'{"owner_epoch":1,"holder":"x","groups":["a","b"],"terms":[1]}')


@given(st.lists(st.tuples(st.sampled_from(TWO), st.integers(1, 3), st.sets(st.sampled_from("abcde"))), max_size=40))
def test_no_group_ever_has_two_holders_and_a_replay_has_the_same(wishes: list[tuple[str, int, set[str]]]) -> None:
    claims, journal = Claims(TWO), list[ClaimsGranted]()
    for holder, epoch, groups in wishes:
        wish = want(*sorted(groups), holder=holder, epoch=epoch)
        if claims.outdated(wish):
            continue
        for grant in hear(claims, wish):
            for group in grant.groups:
                assert claims.holders[group] == holder
            journal.append(grant)
    again = Claims(TWO)
    for grant in journal:
        again.fold(grant)
    assert (again.holders, again.terms) == (claims.holders, claims.terms)


# The holder


def granted(group: str, term: int) -> ClaimsGranted:
    return ClaimsGranted(owner_epoch=1, holder=FIRST, groups=(group,), terms=(term,))


def back(group: str, term: int) -> ReturnClaims:
    return ReturnClaims(owner_epoch=1, holder=FIRST, claims=((group, term),))


def gave(group: str, term: int) -> ClaimsReturned:
    return ClaimsReturned(holder=FIRST, claims=((group, term),), at=START)


def held(*facts: ClaimsGranted | ReturnClaims | ClaimsReturned) -> Held:
    mine = Held()
    for fact in facts:
        mine.fold(fact)
    return mine


def test_what_is_asked_back_is_held_still_and_no_longer_opened_in() -> None:
    mine = held(granted("a", 1), granted("b", 1), back("a", 1))
    assert ("a" in mine, "b" in mine, len(mine)) == (False, True, 1)
    assert mine.asked_back == {"a": 1}
    assert mine.wish(FIRST, 1, "abc") == want("c"), "neither asked for nor given back yet"


def test_what_was_given_back_is_told_with_every_wish_until_it_is_granted_anew() -> None:
    mine = held(granted("a", 1), back("a", 1), gave("a", 1))
    assert mine.wish(FIRST, 1, "a") == want("a", returned=(("a", 1),))
    assert mine.wish(FIRST, 1, "") == want(returned=(("a", 1),)), "also where it is not in our registry any more"
    mine.fold(granted("a", 3))
    assert mine.wish(FIRST, 1, "a") == want()


@pytest.mark.parametrize("late", [granted("a", 1), granted("a", 2), back("a", 2), gave("a", 1)])
def test_nothing_old_revives_a_claim_that_was_given_back(late: ClaimsGranted | ReturnClaims | ClaimsReturned) -> None:
    mine = held(granted("a", 2), back("a", 2), gave("a", 2))
    assert not mine.changes(late)
    mine.fold(late)
    assert (mine.terms, mine.asked_back, mine.returned) == ({}, {}, {"a": 2})


def test_nothing_old_takes_a_later_claim() -> None:
    mine = held(granted("a", 2), back("a", 2), gave("a", 2), granted("a", 4))
    for late in (granted("a", 2), granted("a", 4), back("a", 2), back("a", 3), gave("a", 2)):
        assert not mine.changes(late)
        mine.fold(late)
    assert mine.terms == {"a": 4}


def test_a_claim_whose_grant_never_came_can_be_given_back() -> None:
    """The grant may be on its way still: by then it must not be believed."""
    mine = held(back("a", 1))
    assert mine.asked_back == {"a": 1}
    assert not mine.changes(granted("a", 1))
    mine.fold(gave("a", 1))
    mine.fold(granted("a", 1))
    assert "a" not in mine


def test_a_grant_while_it_is_asked_back_waits_until_it_was_given_back() -> None:
    mine = held(granted("a", 1), back("a", 1), granted("a", 2))
    assert "a" not in mine
    mine.fold(gave("a", 1))
    mine.fold(granted("a", 2))
    assert mine.terms == {"a": 2}


# Everything at once: messages that are lost, doubled and overtaken, and deaths anywhere

GROUPS = ("g0", "g1", "g2")
RELEASED = Nanos(20 * SECOND)
"""Longer than a market of these stories waits for its release."""


def cheap(name: str, group: str, number: int, at: Nanos) -> Opened:
    """A trade of one order in the one market of its group."""
    opened = opening((kalshi(market=group),), (Price(5_000),), Quantity(CONTRACT), at, trade=f"{name}.{number}")
    return opened.model_copy(update={"opportunity": opened.opportunity.model_copy(update={"group": group})})


@dataclass
class World:
    """A registry and its holders, each with a journal, and whatever is on its way between them."""

    names: tuple[str, ...]
    now: Nanos = START
    numbered: int = 0
    post: list[tuple[str, Message]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kept: dict[str, list[Message]] = {name: [] for name in ("registry", *self.names)}
        self.epochs = dict.fromkeys(self.names, 1)
        self.claims = Claims(self.names)
        self.desks = {name: Desk(name) for name in self.names}

    # The registry

    def registers(self, *facts: WantClaims | ClaimsGranted | MoveClaims | ClaimsReturned) -> None:
        for fact in facts:
            if self.claims.changes(fact):
                self.kept["registry"].append(fact)
                self.claims.fold(fact)

    def registry_hears(self, message: Message, *, dies: bool) -> None:
        """`dies`: after the first thing that it wrote down."""
        if isinstance(message, MoveClaims):
            self.registers(message)
            for name in self.names if not dies else ():
                self.post += [(name, told) for told in self.claims.asked_back(name, 1)]
        elif isinstance(message, WantClaims) and not self.claims.outdated(message):
            self.registers(message.model_copy(update={"groups": (), "returned": ()}))
            self.registers(self.claims.returns(message, self.now))
            if dies:
                return
            grants = list(self.claims.grants(message, 1))
            self.registers(*grants)
            self.post += [(message.holder, told) for told in (*grants, *self.claims.asked_back(message.holder, 1))]

    # The holders

    def remembers(self, name: str, fact: Message) -> None:
        desk, journal = self.desks[name], self.kept[name]
        if desk.changes(fact):
            journal.append(fact)
            desk.apply(len(journal), fact)

    def asks(self, name: str) -> None:
        self.post.append(("registry", self.desks[name].claims.wish(name, self.epochs[name], GROUPS)))

    def gives_back(self, name: str) -> None:
        desk = self.desks[name]
        for claim in tuple(desk.claims.asked_back.items()):
            if desk.quiet(claim[0], self.now):
                self.remembers(name, ClaimsReturned(holder=name, claims=(claim,), at=self.now))

    def opens(self, name: str, group: str) -> None:
        desk = self.desks[name]
        if group in desk.claims and desk.flight_of(("kalshi", group), self.now) is None:
            self.numbered += 1
            self.remembers(name, cheap(name, group, self.numbered, self.now))

    def ends(self, name: str, *, refused: bool) -> None:
        for trade in list(self.desks[name].open.values())[:1]:
            order = trade.orders[0].order.order
            if refused:
                self.remembers(name, Refused(order=order, at=self.now, reason=Refusal.MARKET, text=""))
            else:
                nothing = Quantity(0)
                self.remembers(
                    name, Ended(order=order, at=self.now, venue_order="v", matched=nothing, how=EndKind.KILLED)
                )

    # Between them

    def delivers(self, number: int, *, dies: bool = False) -> None:
        if self.post:
            to, message = self.post.pop(number % len(self.post))
            if to == "registry":
                self.registry_hears(message, dies=dies)
            else:
                self.remembers(to, message)

    def restarts(self, name: str) -> None:
        if name == "registry":
            self.claims = Claims(self.names)
            for fact in self.kept[name]:
                self.claims.fold(fact)
            return
        before = self.desks[name].digest()
        self.desks[name], self.epochs[name] = Desk(name), self.epochs[name] + 1
        for seq, fact in enumerate(self.kept[name], 1):
            self.desks[name].apply(seq, fact)
        assert self.desks[name].digest() == before

    def does(self, verb: str, which: int, what: int) -> None:
        name, group = self.names[which % len(self.names)], GROUPS[what % len(GROUPS)]
        self.now = Nanos(self.now + SECOND)
        match verb:
            case "ask":
                self.asks(name)
            case "deliver":
                self.delivers(which)
            case "deliver, then die":
                self.delivers(which, dies=True)
                self.restarts("registry")
            case "double" if self.post:
                self.post.append(self.post[which % len(self.post)])
            case "lose" if self.post:
                self.post.pop(which % len(self.post))
            case "give back":
                self.gives_back(name)
            case "move":
                self.post.append(("registry", move(group, name, self.now)))
            case "open":
                self.opens(name, group)
            case "end":
                self.ends(name, refused=what % 2 == 0)
            case "wait":
                self.now = Nanos(self.now + RELEASED)
            case "restart":
                self.restarts((*self.names, "registry")[which % (len(self.names) + 1)])

    def flies(self, desk: Desk, group: str) -> bool:
        """By the trades themselves, in the one market of the group."""
        mine = [trade for trade in desk.trades.values() if trade.opened.opportunity.group == group]
        return any(not trade.final or self.now < released_at(trade) for trade in mine)

    def holds_law(self) -> None:
        for group in GROUPS:
            may = [name for name, desk in self.desks.items() if group in desk.claims]
            flies = [name for name, desk in self.desks.items() if self.flies(desk, group)]
            assert len(may) <= 1, f"{may} believe that they may open in {group}"
            assert len({*may, *flies}) <= 1, f"{flies} have something of {group} in flight, and {may} may open there"
            for name, desk in self.desks.items():
                if group in desk.claims or group in desk.claims.asked_back:
                    assert self.claims.holders.get(group, name) == name

    def comes_to_rest(self) -> None:
        """Nothing is lost any more: trades end, and everybody asks now and then."""
        for _ in range(8):
            for name in self.names:
                while self.desks[name].open:
                    self.ends(name, refused=True)
            self.now = Nanos(self.now + RELEASED)
            for name in self.names:
                self.gives_back(name)
                self.asks(name)
            while self.post:
                self.delivers(0)
                self.holds_law()


VERBS = (
    *("ask",) * 4, *("deliver",) * 8, "deliver, then die", "double", "lose", *("give back",) * 4, *("move",) * 2,
    *("open",) * 3, *("end",) * 3, *("wait",) * 2, "restart",
)  # fmt: skip
"""Weighted so that groups do get moved, and moved on, while all this happens."""
Steps = list[tuple[str, int, int]]


def test_a_group_is_moved_in_mid_trade_and_nothing_old_brings_it_back() -> None:
    world = World(TWO)
    world.asks(FIRST)
    world.delivers(0)
    (to, grant) = world.post[-1]
    assert (to, isinstance(grant, ClaimsGranted)) == (FIRST, True)
    world.delivers(0)
    group = next(iter(world.desks[FIRST].claims.terms))
    world.opens(FIRST, group)
    world.registry_hears(move(group, SECOND_ONE), dies=False)
    world.delivers(0)
    world.opens(FIRST, group)
    assert world.numbered == 1, "it opens nothing more there"
    world.gives_back(FIRST)
    assert world.desks[FIRST].claims.asked_back, "and keeps it for the trade that it has"
    world.ends(FIRST, refused=False)
    world.gives_back(FIRST)
    assert world.desks[FIRST].claims.asked_back, "its market waits for its release"
    world.now = Nanos(world.now + RELEASED)
    world.gives_back(FIRST)
    assert not world.desks[FIRST].claims.asked_back
    world.restarts(FIRST)
    world.remembers(FIRST, grant)
    assert group not in world.desks[FIRST].claims
    world.comes_to_rest()
    assert world.desks[SECOND_ONE].claims.terms[group] == 2


@settings(max_examples=400, deadline=None)
@given(
    count=st.integers(2, 3),
    begun=st.booleans(),
    steps=st.lists(st.tuples(st.sampled_from(VERBS), st.integers(0, 7), st.integers(0, 7)), max_size=100),
)
def test_whatever_is_lost_or_dies_a_group_has_one_writer_and_ends_where_it_was_sent(
    *, count: int, begun: bool, steps: Steps
) -> None:
    world = World(executors_of(count))
    if begun:
        world.comes_to_rest()
    for verb, which, what in steps:
        world.does(verb, which, what)
        world.holds_law()
    world.comes_to_rest()
    for group in GROUPS:
        may = [name for name, desk in world.desks.items() if group in desk.claims]
        assert may == [world.claims.goes_to(group)]
    before = world.claims
    world.restarts("registry")
    assert world.claims == before


# Reports


def entry(seq: int) -> Cooled:
    return Cooled(seq=seq, venue="v", market="m", not_before=Nanos(seq), rejected=False, at=Nanos(seq))


def report(after: int, upto: int, *seqs: int, epoch: int = 1) -> Reported:
    return Reported(source="executor", epoch=epoch, after=after, upto=upto, cooled=tuple(entry(seq) for seq in seqs))


def heard(upto: int = 0, epoch: int = 1) -> Heard:
    return Heard({"executor": upto}, {"executor": epoch})


def seqs(part: Reported | None) -> list[int] | None:
    return None if part is None else [entry.seq for entry in part.cooled]


def test_what_was_folded_is_not_folded_again() -> None:
    assert seqs(heard(5).part(report(3, 7, 4, 5, 6, 7), "cooled")) == [6, 7]
    assert heard(7).part(report(3, 7, 4, 5, 6, 7), "cooled") is None


def test_a_hole_is_not_passed_over() -> None:
    known = heard(5)
    assert known.part(report(6, 8, 7, 8), "cooled") is None
    assert known.answer("cooldowns", 2, "executor").upto == 5


def test_an_empty_report_moves_on_all_the_same() -> None:
    known = heard(5)
    part = known.part(report(5, 9), "cooled")
    assert part is not None
    known.fold(part)
    assert known.answer("cooldowns", 2, "executor").upto == 9


def test_only_its_own_kind_is_kept() -> None:
    part = heard().part(report(0, 3, 1, 3), "booked")
    assert part is not None
    assert (part.booked, part.cooled, part.upto) == ((), (), 3)


def test_an_old_incarnation_is_not_heard_and_a_new_one_is_remembered() -> None:
    known = heard(5, epoch=2)
    assert known.part(report(5, 6, 6, epoch=1), "cooled") is None
    part = known.part(report(0, 0, epoch=3), "cooled")
    assert part is not None
    assert (part.upto, part.cooled) == (5, ())


def test_more_than_a_record_can_hold_is_not_taken() -> None:
    count = ENTRIES_MOST + 1
    assert heard().part(report(0, count, *range(1, count + 1)), "cooled") is None


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 8)), max_size=60))
def test_however_reports_arrive_every_entry_is_folded_once_and_in_order(pieces: list[tuple[int, int]]) -> None:
    known, folded = Heard(), list[int]()
    for after, length in [*pieces, *((start, 4) for start in range(0, 29, 2))]:
        upto = min(after + length, 30)
        part = known.part(report(after, max(upto, after), *range(after + 1, upto + 1)), "cooled")
        if part is not None:
            known.fold(part)
            folded += seqs(part) or []
    assert folded == list(range(1, known.upto["executor"] + 1))
    assert known.upto["executor"] >= 30
