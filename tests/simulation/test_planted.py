"""The judge is judged: bugs that are planted in the engine are caught by an invariant, and nothing of them stays behind."""

from __future__ import annotations

import pytest

from actors.gateway import Gateway
from core import machine
from simulation.batch import invariant_of
from simulation.planted import PLANTED, Planted, run_planted, violated

REQUIRED = (
    "time-out as reject",
    "one empty look-up as proof",
    "retry under a new id",
    "send before commit",
    "restart resends",
    "fills counted twice",
    "unwind before proof",
    "matched taken as final",
    "wrong side of a complement",
    "reserve spent on opening",
    "lease minted twice",
    "custody returned by time",
    "old epoch accepted",
    "cool-down forgotten",
    "fee version ignored",
    "re-post while halted",
)
"""Every proof has these, whatever else it has."""

INVARIANTS = {f"I{number}" for number in range(1, 20)}
NEAR = 60
"""Scenarios from the recorded one on: that one is drawn otherwise some day must not make a bug invisible."""


def test_there_are_forty_and_all_that_are_required() -> None:
    assert len(PLANTED) >= 40
    assert [name for name in REQUIRED if name not in PLANTED] == []


def test_each_has_a_name_of_its_own_and_says_in_a_sentence_what_it_does() -> None:
    assert all(bug.name == name for name, bug in PLANTED.items())
    assert len({bug.what for bug in PLANTED.values()}) == len(PLANTED)
    for bug in PLANTED.values():
        assert bug.what.endswith("."), bug
        assert bug.breaks, bug
        assert set(bug.breaks) <= INVARIANTS, bug


def touched(bug: Planted) -> list[tuple[object, str, object]]:
    """What it replaces, and what stands there without it."""
    found: list[tuple[object, str, object]] = []
    bug._sow(lambda owner, name, _: found.append((owner, name, vars(owner)[name])))
    return found


@pytest.mark.parametrize("bug", PLANTED.values(), ids=PLANTED)
def test_it_is_there_while_it_is_planted_and_gone_after(bug: Planted) -> None:
    whole = touched(bug)
    assert whole
    with bug.plant():
        assert all(vars(owner)[name] is not real for owner, name, real in whole)
    assert all(vars(owner)[name] is real for owner, name, real in whole)


def test_it_is_gone_after_a_failure_too() -> None:
    real = machine._lost

    def fails() -> None:
        assert machine._lost is not real
        raise ValueError("a failure")

    with pytest.raises(ValueError, match="a failure"), PLANTED["time-out as reject"].plant():
        fails()
    assert machine._lost is real


@pytest.mark.parametrize(
    ("name", "seed", "invariants"),
    [
        ("time-out as reject", 4, ("I9",)),
        ("send before commit", 0, ("I3",)),
        ("restart resends", 4, ("I1",)),
        ("fills counted twice", 3, ("I11",)),
        ("unwind before proof", 4, ("I10", "I12")),
        ("wrong side of a complement", 7, ("I5",)),
        ("capital not checked", 14, ("I6",)),
        ("claims granted to two", 1, ("I17",)),
        ("copies without end", 11, ("I18",)),
        ("reversal not booked", 7, ("I4",)),
    ],
)
def test_it_is_caught_by_the_invariant_that_it_breaks(name: str, seed: int, invariants: tuple[str, ...]) -> None:
    caught = run_planted(name, NEAR, seed)
    assert caught is not None
    assert invariant_of(caught.violation) in invariants
    assert set(invariants) <= set(PLANTED[name].breaks)
    assert (caught.name, caught.seed) == (name, seed + caught.seeds - 1)
    assert violated(caught.seed) == ""


def test_what_harms_nobody_is_not_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catching says something only where an engine without a bug passes."""
    same = Planted("none", "It changes nothing.", ("I1",), lambda swap: swap(Gateway, "_met", Gateway._met))
    monkeypatch.setitem(PLANTED, "none", same)
    assert run_planted("none", 15) is None


def test_a_scenario_that_fails_without_the_bug_catches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulation.planted.violated", lambda seed: "I1: it breaks in any case" if seed < 5 else "")
    assert run_planted("time-out as reject", 8) is None
