"""`simulate` from the command line: what it prints, what it says to machines, and how it ends."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loguru import logger
from typer.testing import CliRunner
from typer.testing import Result as Done

import simulation.batch
from console import simulate
from console.cli import app
from console.exits import Exit
from console.simulate import Batch, Progressing, document, render
from messages.units import SECOND, Nanos
from simulation.batch import JUDGED_FROM, MUST_HAPPEN, Chunk, Differs, Result, Sought, run_seed
from simulation.chance import Fault
from simulation.judge import Judge
from simulation.telling import Finding

HOUSE = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command takes the log away for good; here other tests come after it."""
    monkeypatch.setattr(simulate, "quiet", lambda: None)
    logger.disable("")
    yield
    logger.enable("")


@pytest.fixture
def lost_mail_breaks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = Judge.look

    def look(self: Judge) -> None:
        looked(self)
        if any(hit.fault is Fault.MAIL_LOST for _, hit in self.world.chance.struck):
            self.broke("I99: a message was lost: [so it goes]")

    monkeypatch.setattr(Judge, "look", look)


def call(*arguments: object) -> Done:
    return CliRunner().invoke(app, ["simulate", *map(str, arguments)])


def told(*arguments: object) -> dict[str, Any]:
    done = call(*arguments, "--json")
    body: dict[str, Any] = json.loads(done.stdout)
    assert body["exit_code"] == done.exit_code
    return body


# The command


def test_a_few_seeds_in_this_process() -> None:
    done = call("--seeds", 30, "--jobs", 0)
    assert done.exit_code == Exit.OK, done.output
    assert "30 scenarios, seeds 0 to 29" in done.stdout
    assert "this process alone" in done.stdout
    assert "the goal is 20,000" in done.stdout
    assert "Every invariant held in all of 30 scenarios." in done.stdout
    assert all(fault.value in done.stdout for fault in Fault)
    assert "fail nothing" in done.stdout, "too few scenarios to ask that everything happened"


def test_the_document_is_all_of_stdout_and_says_everything() -> None:
    body = told("--seeds", 20, "--from", 100, "--jobs", 0)
    assert body["schema_version"] == 1
    assert (body["from"], body["asked"], body["scenarios"], body["jobs"]) == (100, 20, 20, 0)
    results = [run_seed(seed) for seed in range(100, 120)]
    assert body["events"] == sum(result.events for result in results)
    lengths = sorted(result.events for result in results)
    assert body["events_per_scenario"] == {"median": lengths[9], "min": lengths[0], "max": lengths[-1]}
    faults = sum((Counter(result.faults) for result in results), Counter[str]())
    assert {name: count for name, count in body["faults"].items() if count} == faults
    assert set(body["faults"]) == {fault.value for fault in Fault}
    assert body["outcomes"] == sum((Counter(result.outcomes) for result in results), Counter[str]())
    assert body["events_per_second"]["goal_per_core"] == 20_000
    assert body["virtual_hours"] > 0
    assert body["violations"] == []
    assert body["different"] is None
    assert body["lacking"]
    assert body["lacking_fails"] is False
    assert body["interrupted"] is False


def test_a_violation_shows_its_story_and_a_test(lost_mail_breaks_it: None) -> None:
    done = call("--seeds", 40, "--jobs", 0)
    assert done.exit_code == Exit.EXPOSED
    seed = next(seed for seed in range(40) if run_seed(seed).broken)
    assert f"Seed {seed} breaks I99: a message was lost: [so it goes]" in done.stdout
    assert re.search(r"1 of the \d+ faults? that struck is enough:", done.stdout)
    assert re.search(r"\*\* fault +message lost 1\n", done.stdout)
    assert f'assert replay({seed}, "message lost 1") == ""' in done.stdout
    assert re.search(r"\d+ of 40 scenarios broke an invariant\.", done.stdout)


def test_the_first_violations_are_told_in_full_and_the_others_counted(
    lost_mail_breaks_it: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(simulate, "TOLD_MOST", 3)
    body = told("--seeds", 50, "--jobs", 0)
    violations = body["violations"]
    assert len(violations) > 3
    assert [violation["seed"] for violation in violations] == sorted(violation["seed"] for violation in violations)
    assert all(violation["invariant"] == "I99" for violation in violations)
    assert ["story" in violation for violation in violations] == [True] * 3 + [False] * (len(violations) - 3)
    for violation in violations[:3]:
        assert violation["faults"] == ["message lost 1"]
        assert violation["smallest"]
        ast.parse(violation["test"])
    render(body)
    assert f"{len(violations) - 3} more:" in capsys.readouterr().out


def test_twice_is_the_same_in_two_processes_that_hash_differently() -> None:
    body = told("--seeds", 12, "--twice", "--jobs", 2)
    assert body["different"] == []
    assert body["scenarios"] == 12
    assert body["exit_code"] == Exit.OK


def test_a_difference_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Counter[int]()

    def run(seed: int) -> Result:
        turns[seed] += 1
        return replace(run_seed(seed), trace=f"{'ab'[turns[seed] > 1 and seed == 3]}")

    monkeypatch.setattr(simulation.batch, "run_seed", run)
    with monkeypatch.context() as patch:
        patch.setattr(simulate, "Crew", lambda jobs, hash_seed: simulation.batch.Crew(0))
        body = told("--seeds", 6, "--twice", "--jobs", 2)
    assert [differs["seed"] for differs in body["different"]] == [3]
    assert body["exit_code"] == Exit.EXPOSED


# What is asked wrongly


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seeds", "0"],
        ["--from", "-1"],
        ["--jobs", "10000"],
        ["--planted", "no such bug"],
        ["--planted", "all", "--twice"],
    ],
)
def test_nonsense_is_a_usage_error(arguments: Sequence[str]) -> None:
    assert call(*arguments).exit_code == Exit.USAGE


def test_a_bug_that_is_nearly_named_is_guessed() -> None:
    assert "did you mean" in call("--planted", "time out as rejekt").output


# Green because nothing happened


def batch(**change: Any) -> Batch:
    """A batch of a good size in which everything happened."""
    made = Batch(0, JUDGED_FROM, 2, twice=False, wall_s=10.0)
    for seed in range(JUDGED_FROM):
        faults = {fault.value: 1 for fault in Fault}
        made.summary.add(Chunk((Result(seed, "", 50, Nanos(SECOND), faults, dict.fromkeys(MUST_HAPPEN, 1), ""),), 0.0))
    for name, value in change.items():
        setattr(made, name, value)
    return made


def shown(made: Batch, capsys: pytest.CaptureFixture[str]) -> str:
    render(document(made))
    return capsys.readouterr().out


def test_a_good_batch_is_green(capsys: pytest.CaptureFixture[str]) -> None:
    made = batch()
    assert made.exit is Exit.OK
    text = shown(made, capsys)
    assert "Every invariant held in all of 2,000 scenarios." in text
    assert "Not seen enough" not in text


@pytest.mark.parametrize("name", MUST_HAPPEN)
def test_what_must_happen_and_did_not_fails(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = batch()
    del made.summary.outcomes[name]
    assert made.exit is Exit.EXPOSED
    text = shown(made, capsys)
    assert f"{name}: never happened" in text
    assert "Too little happened for this to be a proof." in text
    assert "Every invariant held" not in text


def test_a_fault_that_hardly_struck_fails_a_batch_and_is_a_note_in_a_small_one() -> None:
    made = batch()
    made.summary.faults[Fault.OVERFILL.value] = 3
    assert document(made)["exit_code"] == Exit.EXPOSED
    made.summary.scenarios = JUDGED_FROM - 1
    assert document(made)["exit_code"] == Exit.OK
    assert document(made)["lacking"]


def test_a_difference_and_an_interruption_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    made = batch(twice=True, differs=[Differs(9, "aaaa" * 16, "bbbb" * 16)])
    assert made.exit is Exit.EXPOSED
    assert "Seed 9 is not the same twice: trace aaaaaaaaaaaaaaaa and bbbbbbbbbbbbbbbb" in shown(made, capsys)
    made = batch(asked=50_000, interrupted=True)
    assert made.exit is Exit.INTERRUPTED
    assert "Interrupted: 2,000 of 50,000 scenarios were run." in shown(made, capsys)


def test_an_unfinished_search_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    made = batch(
        findings=[Finding(5, "I9: x", ("late arrival 1", "429 1"), 30, smallest=False, story="...", test="def")]
    )
    made.summary.violations.append((5, "I9: x"))
    assert "2 of the 30 faults that struck are enough; perhaps fewer would be:" in shown(made, capsys)


# Planted bugs

SOUGHT = {
    "a": Sought("a", "It does this.", ("I9",), 12, 11, "I9: proved too early: x"),
    "b": Sought("b", "It does that.", ("I5",), 300, None, ""),
}


@pytest.fixture
def two_bugs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "planted", lambda: ("a", "b"))
    monkeypatch.setattr(simulate, "seek", lambda wanted: SOUGHT[wanted[0]])


def test_a_bug_that_is_not_caught_fails(two_bugs: None) -> None:
    done = call("--planted", "all", "--seeds", 300, "--jobs", 0)
    assert done.exit_code == Exit.EXPOSED
    assert re.search(r"a +│ It does this\. +│ +12 │ I9", done.stdout)
    assert "Not caught within 300 scenarios: b" in done.stdout
    assert "1 of 2 caught, the last after 12 scenarios" in done.stdout


def test_bugs_by_name_and_as_a_document(two_bugs: None) -> None:
    body = told("--planted", "a", "--planted", "a", "--jobs", 0)
    assert body["exit_code"] == Exit.OK
    assert body["seeds"] == 10_000
    (bug,) = body["planted"]
    assert bug == {
        "name": "a",
        "what": "It does this.",
        "expected": ["I9"],
        "tried": 12,
        "seed": 11,
        "violation": "I9: proved too early: x",
        "caught": True,
        "invariant": "I9",
    }


def test_a_real_planted_bug_is_caught() -> None:
    body = told("--planted", "time-out as reject", "--seeds", 400, "--jobs", 0)
    (bug,) = body["planted"]
    assert bug["caught"], bug
    assert bug["tried"] == bug["seed"] + 1
    assert not run_seed(bug["seed"]).broken, "the bug is gone again"


# While it runs


def test_without_a_terminal_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(simulate, "perf_counter", lambda: now[0])
    progress = Progressing(400, "scenarios")
    made = batch()
    with progress:
        for at in (4.0, 11.0, 12.0, 22.0):
            now[0] = at
            made.summary.scenarios = int(at * 10)
            progress.told(made.summary)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "110 of 400 scenarios (27 %), 10/s, 9,091 events/s, 0 violations",
        "220 of 400 scenarios (55 %), 10/s, 4,545 events/s, 0 violations",
    ]


def test_ctrl_c_ends_everything_and_tells_what_was_done() -> None:
    command = [sys.executable, "run.py", "simulate", "--seeds", "1000000", "--jobs", "2", "--json"]
    process = subprocess.Popen(
        command, cwd=HOUSE, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        time.sleep(4)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        out, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == Exit.INTERRUPTED, err
    assert "Traceback" not in err
    body = json.loads(out)
    assert body["interrupted"] is True
    assert body["scenarios"] < 1_000_000
    until = time.monotonic() + 10  # a worker that still imports sees only then that its parent has ended
    while living(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert living(process.pid) == []


def living(session: int) -> list[str]:
    """Processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = entry.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, _, of = rest.split()[:4]
        if int(of) == session and state != "Z":
            found.append(name)
    return found
