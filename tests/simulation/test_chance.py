"""What strikes is drawn from the seed, each kind for itself: so a scenario can be made smaller without becoming another."""

from __future__ import annotations

from functools import partial

import pytest

from messages.units import Nanos
from simulation.chance import GENTLE, Chance, Fault, Hit

PLACES = 40


def played(seed: int, only: set[Hit] | None = None) -> Chance:
    """Every kind of fault is given the same number of places to strike."""
    chance = Chance(seed, only)
    for place in range(PLACES):
        chance.now = partial(Nanos, place)
        for fault in Fault:
            chance.hit(fault)
            chance.ms("delays", 1, 5)
    return chance


def some(least: int) -> int:
    return next(seed for seed in range(1_000) if len(played(seed).struck) >= least)


def test_the_same_seed_draws_the_same() -> None:
    one, other = played(7), played(7)
    assert one.struck == other.struck
    assert one.rates == other.rates
    assert one.struck != played(8).struck


def test_every_hit_is_counted_within_its_kind() -> None:
    chance = played(some(20))
    for fault in Fault:
        numbers = [hit.number for _, hit in chance.struck if hit.fault is fault]
        assert numbers == list(range(1, chance.hits.get(fault, 0) + 1))


def test_leaving_a_fault_out_does_not_shift_the_others() -> None:
    seed = some(20)
    whole = played(seed)
    for left_out in whole.struck[:20]:
        kept = [entry for entry in whole.struck if entry != left_out]
        assert played(seed, {hit for _, hit in kept}).struck == kept


def test_a_fault_that_is_left_out_keeps_its_number_so_that_the_next_one_keeps_its_own() -> None:
    seed = some(20)
    whole = played(seed)
    last = whole.struck[-1]
    alone = played(seed, {last[1]})
    assert alone.struck == [last]
    assert alone.hits == whole.hits


def test_draws_of_one_purpose_do_not_shift_those_of_another() -> None:
    one, other = Chance(3), Chance(3)
    for _ in range(100):
        one.stream("plan").random()
    assert one.stream("crossings").random() == other.stream("crossings").random()


def test_once_the_faults_are_over_none_strikes() -> None:
    chance = Chance(some(20))
    chance.over = True
    assert not any(chance.hit(fault) for fault in Fault for _ in range(PLACES))


def test_a_gentle_scenario_has_gentle_faults_only() -> None:
    gentle = [chance for seed in range(200) if (chance := Chance(seed)).gentle]
    assert 20 < len(gentle) < 90
    assert all(set(chance.rates) <= GENTLE for chance in gentle)


def test_a_kind_that_does_not_exist_in_a_scenario_never_strikes() -> None:
    chance = played(5)
    assert set(chance.hits) <= set(chance.rates)
    assert set(Fault) - set(chance.rates), "every scenario has some and lacks some"


@pytest.mark.parametrize("fault", [Fault.LATE_ARRIVAL, Fault.ANSWER_LOST])
def test_a_hit_reads_as_a_person_would_say_it(fault: Fault) -> None:
    assert str(Hit(fault, 3)) == f"{fault.value} 3"
