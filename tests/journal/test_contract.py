from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from journal import Level
from tests.journal.contract import ForgetfulRig, JournalContract, Rig, SqliteRig


@pytest.fixture(params=["sqlite, process", "sqlite, power", "forgetful, process", "forgetful, power"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    kind, level = str(request.param).split(", ")
    made: Rig = SqliteRig(tmp_path / "engine", Level(level)) if kind == "sqlite" else ForgetfulRig(Level(level))
    yield made
    made.done()


class TestEveryJournal(JournalContract):
    """Runs the whole contract once for each rig."""
