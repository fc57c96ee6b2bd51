"""From many faults to the few that matter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import pytest

import simulation.shrink
from simulation.batch import Result, run_seed
from simulation.chance import Fault, Hit
from simulation.shrink import reduced, shrink

TWO = (Fault.MAIL_LOST, Fault.MAIL_LATE)


def needs(*wanted: int) -> Callable[[Sequence[int]], bool]:
    return lambda items: set(wanted) <= set(items)


@pytest.mark.parametrize("wanted", [(0,), (99,), (3, 4), (0, 99), (7, 50, 51, 98), tuple(range(20, 40))])
def test_what_is_needed_is_found_whole_and_alone(wanted: tuple[int, ...]) -> None:
    assert reduced(range(100), needs(*wanted)) == list(wanted)


def test_where_either_of_two_would_do_one_is_left() -> None:
    assert len(reduced(range(50), lambda items: 10 in items or 40 in items)) == 1


def test_the_order_is_kept() -> None:
    assert reduced(["d", "a", "c", "b"], lambda items: {"d", "b"} <= set(items)) == ["d", "b"]


def test_a_seed_that_breaks_nothing_has_nothing_to_shrink(plant: Callable[..., None]) -> None:
    quiet = next(seed for seed in range(50) if not run_seed(seed).broken)
    assert shrink(quiet) is None


def failing(least: int) -> int:
    return next(seed for seed in range(300) if (r := run_seed(seed)).broken and sum(r.faults.values()) >= least)


def test_a_failing_seed_shrinks_to_the_faults_that_are_needed(plant: Callable[..., None]) -> None:
    plant(*TWO)
    shrunk = shrink(failing(8))
    assert shrunk is not None
    assert sorted(hit.fault for hit in shrunk.hits) == sorted(TWO)
    assert shrunk.smallest
    assert shrunk.struck >= 8
    assert 0 < shrunk.runs <= 300
    assert run_seed(shrunk.seed, shrunk.hits).broken == shrunk.broken == "I99: they met: all of them"


def test_a_seed_that_fails_without_any_fault_needs_none(plant: Callable[..., None]) -> None:
    plant()
    shrunk = shrink(1)
    assert shrunk is not None
    assert (shrunk.hits, shrunk.runs, shrunk.smallest) == ((), 1, True)


def test_out_of_runs_it_says_what_it_has(plant: Callable[..., None]) -> None:
    plant(*TWO)
    seed = failing(8)
    shrunk = shrink(seed, runs_most=2)
    assert shrunk is not None
    assert shrunk.runs == 2
    assert not shrunk.smallest
    assert run_seed(seed, shrunk.hits).invariant == "I99"


def test_out_of_time_it_has_not_begun(plant: Callable[..., None]) -> None:
    plant(*TWO)
    shrunk = shrink(failing(2), seconds_most=0.0)
    assert shrunk is not None
    assert (shrunk.runs, len(shrunk.hits), shrunk.smallest) == (0, shrunk.struck, False)


def test_another_invariant_is_not_the_same_failure(monkeypatch: pytest.MonkeyPatch, plant: Callable[..., None]) -> None:
    """With one fault alone something else breaks; only both together break what is looked for."""
    plant(*TWO)
    seed, real = failing(2), run_seed

    def run(seed: int, only: Collection[Hit]) -> Result:
        kinds = {hit.fault for hit in only}
        broken = "I99: they met" if kinds >= set(TWO) else "I98: something else" if kinds else ""
        return replace(real(seed, ()), broken=broken)

    monkeypatch.setattr(simulation.shrink, "run_seed", run)
    shrunk = shrink(seed)
    assert shrunk is not None
    assert sorted(hit.fault for hit in shrunk.hits) == sorted(TWO)
