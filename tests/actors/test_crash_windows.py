"""The crash-window table: each row is a real process killed in that very window, and a successor that reads its journal.

Real venues on real sockets, a real journal, a real SIGKILL. What must hold is judged by the venues' own ledgers and
request logs against the journal's bytes: nothing lost, nothing twice, nothing left open.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.load import load
from configs.settings import Settings
from console.prove import prove
from console.simulated import SimulatedVenues
from core.desk import Desk, id_root
from journal import list_journals, read_journal
from messages.base import parse
from messages.trades import Opened

ROOT = Path(__file__).resolve().parents[2]
LIVE_S = 3.0
DEAD_WITHIN_S = 60.0


@dataclass
class Engine:
    """One run directory, its venues, and as many lives as a test gives it."""

    directory: Path
    settings: Settings
    venues: SimulatedVenues

    async def live(self, deadly: str = "", seconds: float = LIVE_S) -> tuple[int, str]:
        """One incarnation; its exit code (−9 where it was killed) and what it said at its end."""
        file = self.directory / "settings.json"
        file.write_text(self.settings.model_dump_json())
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.actors.lone_engine", str(self.directory), str(file), deadly, str(seconds)),
            cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(process.communicate(), DEAD_WITHIN_S)
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            raise AssertionError(f"it neither ended nor died: {err.decode()[-3000:]}") from None
        assert process.returncode is not None
        return process.returncode, (out if process.returncode == 0 else err).decode()

    async def must_hold(self) -> dict[str, object]:
        """The proof, by the venues' own books."""
        ledgers = self.directory / "ledgers.json"
        ledgers.write_text(json.dumps({"venues": await self.venues.ledgers()}))
        proof = prove(self.directory / "journal", ledgers)
        document = proof.to_dict()
        assert document["violations"] == []
        assert document["reconciled"]
        assert document["replay_equal"]
        assert document["residual_excess"] == 0
        return document

    def killed_at(self) -> dict[str, object]:
        (record,) = (self.directory / "kills").glob("*.json")
        row = json.loads(record.read_text())
        assert isinstance(row, dict)
        return row

    def trades(self) -> int:
        """Intents in the journal."""
        kinds = [parse(e.kind, e.body) for e in read_journal(self.directory / "journal", "executor")]
        return sum(isinstance(message, Opened) for message in kinds)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    given = load([ROOT / "configs" / "sim.yaml"]).settings
    settings = given.model_copy(
        update={"home": tmp_path, "sim": given.sim.model_copy(update={"faults": "standard", "seed": 11})}
    )
    async with SimulatedVenues(settings, tmp_path) as venues:
        yield Engine(tmp_path, venues.connected(), venues)


@pytest.mark.parametrize(
    "window",
    [
        pytest.param("before-append", id="dies before the intent is durable"),
        pytest.param("after-append", id="dies after it, before the sends"),
        pytest.param("between-legs", id="dies between the sends"),
        pytest.param("after-answer", id="dies after the sends, an answer in hand"),
        pytest.param("before-report", id="dies with fills unreported to owners"),
    ],
)
async def test_the_executor_is_killed_in_a_window_and_its_successor_loses_and_repeats_nothing(
    engine: Engine, window: str
) -> None:
    code, said = await engine.live(window, seconds=25.0)
    assert code == -9, said
    killed = engine.killed_at()
    assert killed["point"] == window
    assert isinstance(killed["open_trades"], int)
    assert killed["open_trades"] >= 1
    before = engine.trades()
    code, said = await engine.live()
    assert code == 0, said
    left = json.loads(said)["left"]
    assert (left["open_trades"], left["in_doubt"], left["unreported"]) == (0, 0, 0)
    assert engine.trades() > before, "the successor trades on"
    await engine.must_hold()


async def test_a_second_engine_on_the_same_journal_is_refused_and_leaves_the_first_alone(engine: Engine) -> None:
    first = asyncio.create_task(engine.live(seconds=14.0))
    while not (engine.directory / "journal" / "executor.sqlite").exists():  # noqa: ASYNC110  another process makes it
        await asyncio.sleep(0.05)
    code, said = await engine.live(seconds=1.0)
    assert code not in (0, -9)
    assert "JournalLocked" in said
    assert str(engine.directory / "journal") in said
    code, said = await first
    assert code == 0, said
    await engine.must_hold()


async def test_ids_of_a_new_journal_never_repeat_those_of_an_old_one(engine: Engine, tmp_path: Path) -> None:
    code, said = await engine.live(seconds=1.5)
    assert code == 0, said
    again = Engine(tmp_path / "again", engine.settings, engine.venues)
    again.directory.mkdir()
    code, said = await again.live(seconds=1.5)
    assert code == 0, said
    roots = set()
    for one in (engine, again):
        assert "executor" in list_journals(one.directory / "journal")
        first = next(iter(read_journal(one.directory / "journal", "executor")))
        assert first.epoch == 1
        desk = Desk(id_root("x", "executor"))
        assert desk.genesis == "x"
        roots.add(json.loads((one.directory / "journal" / "engine.json").read_text())["genesis"])
    assert len(roots) == 2
