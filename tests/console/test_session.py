"""One session from the first process to the last figure: how it ends, and what it says when it cannot begin."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from actors.shell import Unheard
from configs.load import load
from configs.settings import Mode
from console import session as house
from console.exits import Exit
from console.kills import Kills
from console.options import SessionOptions, parse_kill
from console.report import RunFacts, document, exit_code, render
from console.session import _below, _Session, _unproved, run_session
from console.simulated import ROOT
from messages.base import Message
from messages.control import Snapshot
from messages.units import SECOND, Nanos
from supervisors.driver import State, Status, Tree
from supervisors.happenings import Happening, What

TAPE = {"tape": "somewhere", "tape_from": "2026-01-03T23:16", "tape_to": "2026-01-03T23:58", "duration_s": 3_600}


def options(directory: Path, *, kills: tuple[str, ...] = (), as_json: bool = False, **changes: Any) -> SessionOptions:
    given = load([ROOT / "configs" / "sim.yaml"]).settings
    sim = given.sim.model_copy(update=changes.pop("sim", {}))
    settings = given.model_copy(update={"home": directory, "sim": sim, **changes})
    return SessionOptions(settings=settings, pairs=(), kills=tuple(map(parse_kill, kills)), as_json=as_json)


# What cannot begin


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """What stands in the one document on stdout; a person reads the same on stderr."""
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told["error"] == "preflight_failed"
    assert told["text"] in said.err
    return str(told["text"])


def test_more_capital_than_an_account_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_session(options(tmp_path, as_json=True, sim={"deposit_dollars": 10})) == Exit.PREFLIGHT
    text = refused(capsys)
    assert "venues.kalshi.capital_dollars" in text
    assert "venues.polymarket.capital_dollars" in text
    assert list(tmp_path.iterdir()) == [], "nothing half-started stays behind"


def test_a_home_that_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home").write_text("")
    assert run_session(options(tmp_path / "home", as_json=True)) == Exit.PREFLIGHT
    assert "--home" in refused(capsys)


def test_a_venue_that_does_not_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(_below(os.getpid()))
    assert run_session(options(tmp_path, as_json=True, pairs=tmp_path / "none.yaml")) == Exit.PREFLIGHT
    assert "the simulated venue kalshi did not start" in refused(capsys)
    assert not [pid for pid in set(_below(os.getpid())) - before if _runs(pid)]


def test_a_mode_of_a_later_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_session(options(tmp_path, mode=Mode.LIVE)) == Exit.CONFIGURATION
    assert "only mode sim" in capsys.readouterr().err


# How long it lasts, and how it is forced


def test_a_tape_ends_the_session_and_the_duration_bounds_it(tmp_path: Path) -> None:
    told = _Session(options(tmp_path, sim={**TAPE, "tape_speed": 60}))
    told.began = 1_000 * SECOND
    assert told._duration(told.began) == 42 + 1
    assert told._duration(told.began - 5 * SECOND) == 37 + 1, "it was on its way already"
    assert told._duration(told.began - 500 * SECOND) == 0
    told = _Session(options(tmp_path, sim={**TAPE, "tape_speed": 60, "duration_s": 30}))
    told.began = 1_000 * SECOND
    assert told._duration(told.began) == 30
    assert _Session(options(tmp_path))._duration(0) == options(tmp_path).settings.sim.duration_s


def test_every_process_below_is_found_whichever_thread_started_it() -> None:
    """Ray's are started by a thread of their own: whoever looks at the main thread alone leaves all of them behind."""
    started: list[subprocess.Popen[bytes]] = []
    done = threading.Event()

    def start() -> None:
        started.append(subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True))
        done.wait()

    thread = threading.Thread(target=start)
    thread.start()
    try:
        until = time.monotonic() + 5
        while not started or not _below(started[0].pid):
            assert time.monotonic() < until
            time.sleep(0.01)
        (grandchild,) = _below(started[0].pid)
        found = _below(os.getpid())
        assert found.index(started[0].pid) < found.index(grandchild), "parents first, so that none is replaced"
    finally:
        for pid in [pid for one in started for pid in (*_below(one.pid), one.pid)]:
            os.kill(pid, signal.SIGKILL)
        done.set()
        thread.join()
        for one in started:
            one.wait()


FORCED = """
import signal, subprocess, sys, threading
from pathlib import Path
from configs.load import load
from console.options import SessionOptions
from console.session import _Session
settings = load([Path("configs/sim.yaml")]).settings.model_copy(update={"home": Path(sys.argv[1])})
session = _Session(SessionOptions(settings=settings, pairs=()))
started = threading.Event()
def start():
    print(subprocess.Popen(["sleep", "60"], start_new_session=True).pid, flush=True)
    started.set()
    threading.Event().wait()
threading.Thread(target=start, daemon=True).start()
started.wait()
session._signalled(signal.SIGTERM)
assert session.ending.is_set()
session._signalled(signal.SIGINT)
"""


def test_a_second_signal_forces_and_leaves_no_process_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORCED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == Exit.INTERRUPTED
    assert "SIGINT again: forced" in done.stderr
    assert not _runs(int(done.stdout.split()[0]))


def test_a_death_is_told_and_counted_whenever_it_comes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A named point may be passed before the clock of the session starts."""
    session = _Session(options(tmp_path))
    for what, name, reason in (
        (What.INTRODUCED, "executor", ""),
        (What.DIED, "executor", "killed"),
        (What.INTRODUCED, "executor", ""),
        (What.DIED, "executor", "fenced"),
    ):
        session._happened(Happening(what, name, 0, epoch=9, reason=reason))
    assert capsys.readouterr().out.split("\n")[:3] == [
        "  executor died: killed",
        "  executor is back in service (epoch 9)",
        "  executor died: fenced",
    ]
    session._count_restarts([status("executor", back=(2_000_000,)), status("recorder", restarts=0)])
    assert session.restarts == {
        "executor": [
            {"reason": "killed", "back_in_service_ms": 2.0},
            {"reason": "fenced", "back_in_service_ms": None},
        ]
    }


def status(name: str, *, restarts: int = 1, back: tuple[int, ...] = ()) -> Status:
    return Status(
        name=name,
        kind="actor",
        state=State.UP,
        pid=1,
        epoch=9,
        restarts=restarts,
        last_death="fenced",
        back_in_service_ns=back,
        region="",
        heartbeat_age_ms=None,
        supervisor="",
        shell="",
        address="",
    )


def test_a_tree_that_halts_ends_the_session(tmp_path: Path) -> None:
    session = _Session(options(tmp_path))
    session._happened(Happening(What.HALTED, "supervisor.root", 0, reason="too many restarts"))
    assert session.halted.is_set()
    assert session.ending.is_set()


# Kills


@dataclass
class FakeTree:
    """As much of a tree as those look at who kill in it."""

    open_trades: list[int] = field(default_factory=list)
    """One figure for each question; the last stays."""
    missing: dict[str, list[str]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)

    async def ask(self, name: str, message: Message, within: Nanos) -> Message:
        if not self.open_trades:
            raise Unheard(name)
        count = self.open_trades.pop(0) if len(self.open_trades) > 1 else self.open_trades[0]
        body = json.dumps({"open_trades": count, "in_doubt": 0, "unreported": 7})
        return Snapshot(name=name, epoch=1, at=Nanos(0), body=body)

    def pid(self, name: str) -> int:
        return 4711

    async def kill(self, name: str) -> None:
        if name == "recorder":
            raise LookupError("recorder has no process")
        self.killed.append(name)

    async def inspect(self, name: str) -> dict[str, object]:
        return {"owns": {"missing": self.missing.get(name, [])}}


async def killed(
    directory: Path, *asked: str, tree: FakeTree, lasts_s: float = 30.0, ends_s: float = 30.0
) -> list[dict[str, Any]]:
    kills = Kills(tuple(map(parse_kill, asked)), directory)
    tasks = kills.begin(cast(Tree, tree), time.time_ns(), lasts_s)
    await asyncio.wait(tasks, timeout=ends_s)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return kills.told()


async def test_a_kill_waits_for_an_open_trade_and_says_what_was_at_stake(tmp_path: Path) -> None:
    tree = FakeTree(open_trades=[0, 0, 2])
    (row,) = await killed(tmp_path, "executor@0.02", tree=tree)
    assert (row["actor"], row["pid"], row["open_trades"], row["in_doubt"], row["unreported"]) == (
        "executor",
        4711,
        2,
        0,
        7,
    )
    assert row["at_s"] >= 0.02
    assert "missed" not in row
    assert tree.killed == ["executor"]


async def test_a_kill_at_the_end_waits_no_longer_than_the_session_lasts(tmp_path: Path) -> None:
    tree = FakeTree(open_trades=[0])
    (row,) = await killed(tmp_path, "executor@0.05", tree=tree, lasts_s=0.6)
    assert row["open_trades"] == 0
    assert row["at_s"] < 0.4
    assert tree.killed == ["executor"]


async def test_a_kill_that_found_nobody_and_one_that_came_too_late_are_told_as_missed(tmp_path: Path) -> None:
    tree = FakeTree()
    rows = await killed(tmp_path, "recorder@0", "executor@9", tree=tree, lasts_s=0.5, ends_s=0.2)
    assert [(row["actor"], row["missed"]) for row in rows] == [
        ("recorder", "recorder has no process"),
        ("executor", "the session ended first"),
    ]
    assert tree.killed == []


def test_points_are_told_whether_they_killed_or_not(tmp_path: Path) -> None:
    began = time.time_ns()
    for number, point in enumerate(("after-append", "between-legs")):
        row = {"actor": "executor", "point": point, "at_ns": began + (2 - number) * SECOND, "open_trades": 1}
        (tmp_path / "kills").mkdir(exist_ok=True)
        (tmp_path / "kills" / f"executor-{point}-{number}.json").write_text(json.dumps(row))
    asked = ("executor@after-append#3", "executor@between-legs", "executor@after-append", "executor.2@before-report")
    kills = Kills(tuple(map(parse_kill, asked)), tmp_path, began=began)
    assert kills.points() == {
        "executor": ("after-append#3", "between-legs", "after-append"),
        "executor.2": ("before-report",),
    }
    rows = kills.told()
    hit = [(row["point"], row["at_s"]) for row in rows if "missed" not in row]
    assert hit == [("between-legs", 1.0), ("after-append", 2.0)]
    assert sorted((row["actor"], row["point"]) for row in rows if "missed" in row) == [
        ("executor", "after-append"),
        ("executor.2", "before-report"),
    ], "a point kills once"


# What a person sees


async def test_markets_that_a_venue_does_not_know_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = FakeTree(missing={"feed.kalshi": [f"GONE-{n}" for n in range(7)]})
    await _Session(options(tmp_path))._warn(cast(Tree, tree))
    said = capsys.readouterr().out
    assert said.startswith("warning: kalshi does not know 7 of the registry's markets")
    assert said.endswith("GONE-0, GONE-1, GONE-2, GONE-3, GONE-4, …\n")
    assert "polymarket" not in said


async def test_stories_are_told_line_by_line_as_they_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "STORY_POLL_S", 0.01)
    session = _Session(options(tmp_path))
    session.run_directory.mkdir(parents=True)
    following = asyncio.create_task(session._follow_stories())
    lines = [
        json.dumps({"trade": trade, "at": SECOND, "stage": stage, "text": stage, "result": result}) + "\n"
        for trade, stage, result in (("t1", "opened", None), ("t1", "final", 2_000_000), ("t2", "final", -3_500_000))
    ]
    whole = "".join(lines).encode()
    path = session.run_directory / "stories.jsonl"
    for cut in (len(lines[0]) + 9, len(whole)):
        path.write_bytes(whole[:cut])
        await asyncio.sleep(0.1)
    following.cancel()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert said[1].endswith("(session $2.00 net of fees, 1 trade)")
    assert said[2].endswith("(session -$1.50 net of fees, 2 trades)")


def test_a_proof_that_cannot_be_computed_is_no_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = _Session(options(tmp_path))
    proof = session._proof(tmp_path / "no ledgers.json")
    assert proof["error"] == "not_computed"
    assert "no ledgers.json" in proof["text"].replace("\n", " ") or "journal" in proof["text"]
    facts = RunFacts(
        settings=session.settings,
        mode="sim",
        dry_run=False,
        seed=1,
        run_directory=tmp_path,
        started_ns=0,
        ended_ns=SECOND,
    )
    for known in (proof, _unproved("the simulated venue kalshi ended by itself")):
        report = document(facts, known)
        assert (report["reconciled"], report["replay_equal"]) == (False, False)
        assert exit_code(facts, report) is Exit.EXPOSED
        render(report)
        assert "There is no proof" in capsys.readouterr().out


# The whole of it

KEYS = {
    *("schema_version", "mode", "seed", "opportunities", "trades", "recoveries", "faults_hit", "residual_excess"),
    *("escalated", "sent_twice", "reposted", "reconciled", "replay_equal", "kills", "restarts", "venues", "figures"),
    "latency_us",
}


@pytest.mark.ray
def test_the_first_signal_finishes_what_is_open_reports_and_ends_well(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    command = [
        sys.executable,
        str(ROOT / "run.py"),
        "run",
        "--duration",
        "600",
        "--json",
        "--home",
        str(tmp_path),
        "--faults",
        "none",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        told, below = [], list[int]()
        for line in process.stderr:
            told.append(line)
            if "detected" in line.lower():
                below = _below(process.pid)
                process.send_signal(signal.SIGINT)
                break
        out, rest = process.communicate(timeout=60)
    except BaseException:
        for pid in [*_below(process.pid), process.pid]:
            os.kill(pid, signal.SIGKILL)
        raise
    said = "".join(told) + rest
    assert process.returncode == 0, said
    assert "SIGINT: opening nothing more" in said
    report = json.loads(out)
    assert report.keys() >= KEYS
    assert report["trades"]["total"] >= 1
    assert (report["drained"], report["reconciled"], report["replay_equal"]) == (True, True, True)
    assert report["residual_excess"] == 0
    assert report["seconds"] < 60
    assert len(below) > 10
    until = time.monotonic() + 5
    while left := [pid for pid in below if _runs(pid)]:
        assert time.monotonic() < until, f"left behind: {left}"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Alive, and not only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
