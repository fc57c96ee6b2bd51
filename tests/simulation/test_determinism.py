"""The same seed gives the same run: no clock but the simulated one, no chance but the seed, no order of a hash."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from simulation.batch import Crew, run_many, run_twice

ROOM = Path(__file__).resolve().parents[2] / "simulation"
MODULES = sorted(ROOM.glob("*.py"))

CLOCKS = {"time", "datetime", "zoneinfo", "sched"}
MEASURE = {"batch.py", "shrink.py"}
"""They measure how long their work takes, and no scenario sees what they measure."""
CHANCE = {"random", "secrets", "uuid"}
DRAWS = {"chance.py"}
DIFFER = {"hash", "id"}
"""What these give differs from process to process."""


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.name)
def test_no_module_reads_a_real_clock_or_draws_on_its_own(file: Path) -> None:
    if file.name not in MEASURE:
        assert not imported(file) & CLOCKS
    if file.name not in DRAWS:
        assert not imported(file) & CHANCE


@pytest.mark.parametrize("file", [file for file in MODULES if file.name != "planted.py"], ids=lambda file: file.name)
def test_nothing_is_decided_by_what_differs_between_processes(file: Path) -> None:
    """A planted bug may do what it likes."""
    called = {
        node.func.id
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & DIFFER


def test_twenty_seeds_do_the_same_in_two_processes_that_hash_differently() -> None:
    with Crew(1, hash_seed=1) as one, Crew(1, hash_seed=2) as other:
        told = list(run_twice(one, other, range(20)))
    assert sum(len(chunk.results) for chunk, _ in told) == 20
    assert [found for _, differs in told for found in differs] == []


def test_what_ran_before_in_the_same_process_does_not_matter() -> None:
    """Nothing is left behind by a scenario, and nothing of an earlier one is ended while a later one runs."""
    with Crew(0) as crew:
        forth = {result.seed: result.trace for chunk in run_many(crew, range(60, 75)) for result in chunk.results}
        alone = {seed: next(run_many(crew, range(seed, seed + 1))).results[0].trace for seed in (74, 67, 60)}
    assert alone == {seed: forth[seed] for seed in alone}
