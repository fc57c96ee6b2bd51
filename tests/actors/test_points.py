"""Named points: each kills once, one incarnation dies of one, and only where something is at stake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors import points
from tests.actors.stage import HOUSE, Killed


@pytest.fixture(autouse=True)
def deadly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A kill ends the test's block and not the test; afterwards nothing is armed."""

    def kill(pid: int, number: int) -> None:
        raise Killed

    monkeypatch.setattr(os, "kill", kill)
    yield
    points.arm("nobody", (), tmp_path)


def kills(directory: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((directory / "kills").glob("*"))]


def test_an_unarmed_point_is_passed(tmp_path: Path) -> None:
    points.arm("executor", ("after-append",), tmp_path)
    points.reach("before-append")
    assert not points.armed("before-append")
    assert kills(tmp_path) == []


def test_it_kills_at_the_nth_passage_and_says_so(tmp_path: Path) -> None:
    points.arm("executor", ("after-append#3",), tmp_path)
    for _ in range(2):
        points.reach("after-append")
    with pytest.raises(Killed):
        points.reach("after-append")
    (row,) = kills(tmp_path)
    assert (row["actor"], row["point"]) == ("executor", "after-append")


def test_each_point_kills_once_and_one_incarnation_dies_of_one(tmp_path: Path) -> None:
    deaths = []
    for _ in range(4):
        points.arm("executor", ("before-append", "between-legs#2"), tmp_path)
        for where in ("before-append", "between-legs", "before-append", "between-legs"):
            try:
                points.reach(where)
            except Killed:
                deaths.append(where)
                break
    assert deaths == ["before-append", "between-legs"]


def test_the_points_of_two_shards_are_counted_apart(tmp_path: Path) -> None:
    for name in ("executor", "executor.2"):
        points.arm(name, ("after-append",), tmp_path)
        with pytest.raises(Killed):
            points.reach("after-append")
    assert [row["actor"] for row in kills(tmp_path)] == ["executor", "executor.2"]


def test_passages_with_nothing_open_do_not_count(tmp_path: Path) -> None:
    seen: dict[str, object] = {"open_trades": 0, "in_doubt": 0, "unreported": 4, "books": 9}
    points.arm("executor", ("after-append",), tmp_path, lambda: seen)
    points.reach("after-append")
    seen |= {"open_trades": 2, "in_doubt": 1}
    with pytest.raises(Killed):
        points.reach("after-append")
    (row,) = kills(tmp_path)
    assert (row["open_trades"], row["in_doubt"], row["unreported"]) == (2, 1, 4)
    assert "books" not in row


def test_a_shell_that_cannot_look_at_itself_yet_has_nothing_to_lose(tmp_path: Path) -> None:
    def look() -> dict[str, object]:
        raise AttributeError("desk")

    points.arm("executor", ("after-append",), tmp_path, look)
    points.reach("after-append")


def test_an_owner_has_no_trades_and_dies_all_the_same(tmp_path: Path) -> None:
    points.arm("position_book", ("before-reply",), tmp_path, lambda: {"granted": {}})
    with pytest.raises(Killed):
        points.reach("before-reply")


def test_it_is_a_real_kill(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from actors import points\n"
        "points.arm('executor', ('here',), Path(sys.argv[1])); points.reach('here'); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=HOUSE, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"")
    assert len(kills(tmp_path)) == 1
