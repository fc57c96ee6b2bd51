"""Custody: claims have one holder, and reports are folded once, in order and without holes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.claims import ENTRIES_MOST, GROUPS_MOST, Claims, Heard
from messages.leases import ClaimsGranted, Cooled, Reported, WantClaims
from messages.units import Nanos


def want(*groups: str, holder: str = "executor", epoch: int = 1) -> WantClaims:
    return WantClaims(holder=holder, epoch=epoch, groups=groups)


def ask(claims: Claims, wish: WantClaims) -> tuple[set[str], set[str]]:
    """(granted, refused)"""
    granted: set[str] = set()
    refused: set[str] = set()
    claims.fold(wish)
    for grant in claims.grants(wish, 1):
        claims.fold(grant)
        granted |= set(grant.groups)
        refused |= set(grant.refused)
    return granted, refused


def test_a_group_has_one_holder() -> None:
    claims = Claims()
    assert ask(claims, want("a", "b")) == ({"a", "b"}, set())
    assert ask(claims, want("b", "c", holder="executor.2")) == ({"c"}, {"b"})
    assert ask(claims, want("a", "b", "c")) == ({"a", "b"}, {"c"})


def test_asking_again_changes_nothing() -> None:
    claims = Claims()
    ask(claims, want("a"))
    (again,) = claims.grants(want("a", "a"), 1)
    assert again.groups == ("a",)
    assert not claims.changes(again)
    assert not claims.changes(want("a"))


def test_the_successor_keeps_what_its_predecessor_held() -> None:
    claims = Claims()
    ask(claims, want("a", epoch=3))
    assert ask(claims, want("a", epoch=4)) == ({"a"}, set())
    assert claims.outdated(want("b", epoch=3))


def test_what_was_given_back_goes_to_whoever_asks_next() -> None:
    claims = Claims()
    ask(claims, want("a", "b"))
    back = claims.given_back("executor", ("a", "c"), 1)
    assert back == ClaimsGranted(owner_epoch=1, holder="executor", groups=(), refused=("a",))
    assert claims.changes(back)
    claims.fold(back)
    assert claims.of("executor") == ("b",)
    assert ask(claims, want("a", holder="executor.2")) == ({"a"}, set())


def test_a_refusal_takes_nothing_from_the_one_who_holds() -> None:
    claims = Claims()
    ask(claims, want("a"))
    claims.fold(ClaimsGranted(owner_epoch=1, holder="executor.2", groups=("a",), refused=("a",)))
    assert claims.of("executor") == ("a",)


def test_a_long_wish_is_answered_in_pieces() -> None:
    claims = Claims()
    groups = tuple(f"g{number}" for number in range(GROUPS_MOST + 1))
    assert [len(grant.groups) for grant in claims.grants(want(*groups), 1)] == [GROUPS_MOST, 1]


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers(1, 3), st.sets(st.sampled_from("abcde"))), max_size=40))
def test_no_group_ever_has_two_holders_and_a_replay_has_the_same(wishes: list[tuple[str, int, set[str]]]) -> None:
    claims, journal = Claims(), list[ClaimsGranted]()
    for holder, epoch, groups in wishes:
        wish = want(*sorted(groups), holder=holder, epoch=epoch)
        if claims.outdated(wish):
            continue
        claims.fold(wish)
        for grant in claims.grants(wish, 1):
            for group in grant.groups:
                assert claims.holders.get(group, holder) == holder
            journal.append(grant)
            claims.fold(grant)
    again = Claims()
    for grant in journal:
        again.fold(grant)
    assert again.holders == claims.holders


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
