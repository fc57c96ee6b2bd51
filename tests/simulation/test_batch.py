"""Many scenarios: what one comes to, what all come to, and the processes that run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import simulation.batch
from messages.units import SECOND, Nanos
from simulation.batch import (
    JUDGED_FROM,
    MUST_HAPPEN,
    NO_FAULT,
    Chunk,
    Crew,
    Result,
    Summary,
    chunks,
    hits,
    missing,
    replay,
    run_chunk,
    run_many,
    run_seed,
    run_twice,
)
from simulation.chance import Fault, Hit
from simulation.judge import Judge
from simulation.world import World

HOUSE = Path(__file__).resolve().parents[2]


def result(seed: int, events: int = 100, broken: str = "") -> Result:
    return Result(seed, broken, events, Nanos(SECOND), {"late arrival": 2}, {"hedged": 1}, f"trace {seed}")


# One seed


def test_a_seed_comes_to_the_same_twice_and_two_seeds_do_not() -> None:
    one, again, other = run_seed(11), run_seed(11), run_seed(12)
    assert one == again
    assert one.trace != other.trace
    assert one.events > 0
    assert one.virtual > SECOND
    assert set(one.faults) <= {fault.value for fault in Fault}
    assert sum(run_seed(seed).faults.total() for seed in (11, 12, 13)) > 0  # type: ignore[attr-defined]


def test_without_faults_none_strikes() -> None:
    assert not run_seed(11, ()).faults


def test_a_seed_without_faults_holds() -> None:
    assert [run_seed(seed, ()).broken for seed in range(20)] == [""] * 20


def test_what_the_simulator_itself_cannot_bear_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def verdict(self: Judge) -> None:
        raise KeyError("a market that is nowhere")

    monkeypatch.setattr(Judge, "verdict", verdict)
    seed = next(seed for seed in range(50) if run_seed(seed).broken)
    assert run_seed(seed).broken == "the simulator failed: KeyError: 'a market that is nowhere'"
    assert run_seed(seed).invariant == "the simulator failed"


def test_a_callback_that_fails_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    played = World._play

    def play(self: World) -> None:
        self.time.processes[0].call_later(0.1, lambda: 1 // 0)
        played(self)

    monkeypatch.setattr(World, "_play", play)
    assert "a callback failed: key_pool.kalshi#1: ZeroDivisionError" in run_seed(3, ()).broken


def test_a_scenario_that_never_ends_is_ended_and_named() -> None:
    """In a process of its own: pytest has an alarm too."""
    script = """if True:
        import simulation.batch as batch
        from simulation.world import World
        batch.quiet()
        batch._alarms, batch.BUSY_MOST_S = True, 0.1
        def again(world):
            process = world.time.processes[0]
            process.call_soon(again, world)
        played = World._play
        def play(world):
            world.time.at(world.time.now + 10, again, world)
            played(world)
        World._play = play
        print(batch.run_seed(1).broken)
    """
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=HOUSE, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "I18: it keeps busy and never ends", done.stderr


# Again


def test_replay_lets_strike_what_it_is_told(plant: Callable[..., None]) -> None:
    plant(Fault.MAIL_LOST)
    seed = next(seed for seed in range(100) if run_seed(seed).broken)
    assert replay(seed) == "I99: they met: all of them"
    assert replay(seed, "message lost 1") == "I99: they met: all of them"
    assert replay(seed, NO_FAULT) == ""
    assert replay(seed, "message twice 1") == ""


def test_a_fault_is_named_as_a_story_names_it() -> None:
    assert hits(["late arrival 2", "429 1", NO_FAULT]) == {Hit(Fault.LATE_ARRIVAL, 2), Hit(Fault.RATE_LIMITED, 1)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("late arival 2", "did you mean 'late arrival'"),
        ("late arrival", "is not a fault and its number"),
        ("late arrival 0", "counts from 1"),
        ("late arrival two", "counts from 1"),
        ("", "is not a fault"),
    ],
)
def test_what_names_no_fault_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        replay(1, text)


# What many come to


def test_a_summary_adds_up() -> None:
    summary = Summary()
    summary.add(Chunk((result(0, 10), result(1, 30, "I9: x")), 0.5))
    summary.add(Chunk((result(2, 20), result(3, 40)), 1.5))
    assert (summary.scenarios, summary.events, summary.virtual, summary.cpu_s) == (4, 100, 4 * SECOND, 2.0)
    assert summary.faults == {"late arrival": 8}
    assert summary.outcomes == {"hedged": 4}
    assert summary.violations == [(1, "I9: x")]
    assert summary.per_core == 50


@pytest.mark.parametrize(("lengths", "median"), [([], 0), ([5], 5), ([1, 2, 3], 2), ([1, 2, 3, 4], 2), ([9, 9, 1], 9)])
def test_the_median_is_that_of_the_scenarios(lengths: list[int], median: int) -> None:
    summary = Summary()
    summary.add(Chunk(tuple(result(n, length) for n, length in enumerate(lengths)), 0.0))
    assert summary.median == median


def full(scenarios: int, struck: int, events: int = 100) -> Summary:
    return Summary(
        scenarios=scenarios,
        lengths=Counter({events: scenarios}),
        faults=Counter({fault.value: struck for fault in Fault}),
        outcomes=Counter(dict.fromkeys(MUST_HAPPEN, 1)),
    )


def test_a_batch_in_which_everything_happened_lacks_nothing() -> None:
    assert missing(full(10_000, 100)) == []
    assert missing(full(1_000_000, 100)) == []
    assert missing(full(JUDGED_FROM, 20)) == []
    assert missing(full(1, 1)) == []


def test_green_because_nothing_happened_is_not_green() -> None:
    assert len(missing(full(10_000, 99))) == len(Fault)
    assert len(missing(full(JUDGED_FROM, 19))) == len(Fault)
    assert missing(full(10_000, 100, events=39)) == ["median of 39 events a scenario, at least 40 are needed"]
    for name in MUST_HAPPEN:
        summary = full(10_000, 100)
        del summary.outcomes[name]
        assert missing(summary) == [f"{name}: never happened"]


@pytest.mark.parametrize(("seeds", "jobs"), [(range(1), 2), (range(7), 2), (range(5, 1_005), 2), (range(3), 0)])
def test_pieces_hold_every_seed_once_in_order(seeds: range, jobs: int) -> None:
    pieces = list(chunks(seeds, jobs))
    assert [seed for piece in pieces for seed in piece] == list(seeds)
    assert max(map(len, pieces)) <= 50


# Workers


def test_workers_tell_what_this_process_would_in_the_order_of_the_seeds() -> None:
    seeds = range(40, 60)
    with Crew(2) as crew:
        told = [result for chunk in run_many(crew, seeds) for result in chunk.results]
    here = run_chunk(seeds)
    assert told == list(here.results)
    assert [result.seed for result in told] == list(seeds)


def test_workers_of_two_crews_hash_differently_and_no_setting_of_ours_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    with Crew(1, hash_seed=1) as one, Crew(1, hash_seed=2) as other:
        assert list(one.map(hash, ["word"])) != list(other.map(hash, ["word"]))
    assert os.environ["PYTHONHASHSEED"] == "77"


def test_a_difference_between_two_runs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real, turns = simulation.batch.run_seed, Counter[int]()

    def run(seed: int) -> Result:
        turns[seed] += 1
        done = real(seed)
        return done if seed != 4 else replace(done, trace=f"run {turns[seed]}")

    monkeypatch.setattr(simulation.batch, "run_seed", run)
    with Crew(0) as one, Crew(0) as other:
        told = list(run_twice(one, other, range(3, 6)))
    differs = [found for _, some in told for found in some]
    assert [(found.seed, found.first, found.second) for found in differs] == [(4, "run 1", "run 2")]
    assert sum(len(chunk.results) for chunk, _ in told) == 3
