"""Bugs that are planted on purpose: the simulation must find each, and leave nothing of it behind."""

from __future__ import annotations

import pytest

from actors.gateway import Gateway
from core import flights, ladder, machine
from core.desk import Desk
from core.keys import Pool
from core.trade import Trade
from simulation.batch import invariant_of
from simulation.planted import PLANTED, run_planted

QUICK = (
    "unwind before proof",
    "lock of the market forgotten",
    "capital granted twice",
    "claims granted to two",
    "reversal not booked",
    "reservation released in doubt",
    "rungs without end",
    "late grant revives a claim",
)
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


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_found_within_some_scenarios(name: str) -> None:
    found = run_planted(name, 120)
    assert found is not None
    assert invariant_of(found.violation) in PLANTED[name].breaks


def test_there_are_at_least_thirty_and_the_usual_ones_among_them() -> None:
    assert len(PLANTED) >= 30
    assert [name for name in REQUIRED if name not in PLANTED] == []
    assert all(bug.what.endswith(".") and bug.breaks for bug in PLANTED.values())


def test_nothing_of_a_planted_bug_is_left_behind() -> None:
    places = (machine, ladder, flights, Desk, Trade, Pool, Gateway)
    before = [dict(vars(place)) for place in places]
    for bug in PLANTED.values():
        with bug.plant():
            pass
    assert [dict(vars(place)) for place in places] == before
