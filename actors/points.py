"""Named points at which a chaos run kills this very process, so that each window of a crash table is really hit.

Random timing seldom lands in a window of 0.3 ms; a named point lands there every time. In a run without kills the
cost is one set look-up.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol


class Watcher(Protocol):
    """Sees every passage in place of the kills below: how a simulation dies in these very places."""

    def armed(self, point: str) -> bool: ...

    def reach(self, point: str) -> None: ...


_watcher: Watcher | None = None
_armed: dict[str, int] = {}
_look: Callable[[], Mapping[str, object]] | None = None
_directory: Path | None = None
_name = ""

COUNTS = ("open_trades", "in_doubt", "unreported")
"""What was at stake, of a shell's own picture of itself."""


def arm(
    name: str, points: tuple[str, ...], directory: Path, look: Callable[[], Mapping[str, object]] | None = None
) -> None:
    """Make the first of these points that has not killed yet deadly in this process, so that each kills once and one
    incarnation dies of one. `POINT` kills at the first passage, `POINT#N` at the N-th. Where `look` tells of open
    trades, only passages with one open count: a death that nothing depends on shows nothing.
    """
    global _look, _directory, _name
    _armed.clear()
    _look, _directory, _name = look, directory, name
    for point in points:
        where, _, nth = point.partition("#")
        if not any((directory / "kills").glob(f"{name}-{where}-*.json")):
            _armed[where] = int(nth) if nth else 1
            return


def armed(point: str) -> bool:
    """Whether this process will die at that point: some windows must be held open to be hit at all."""
    return point in _armed if _watcher is None else _watcher.armed(point)


def watch(watcher: Watcher | None) -> None:
    """Show it every passage from now on; None ends that."""
    global _watcher
    _watcher = watcher


def reach(point: str) -> None:
    """Pass a named point; does not return where a kill is due."""
    if _watcher is not None:
        _watcher.reach(point)
    if not _armed or point not in _armed:
        return
    seen = _at_stake()
    if seen is None:
        return
    _armed[point] -= 1
    if _armed[point] > 0:
        return
    if _directory is not None:
        row = {"actor": _name, "point": point, "at_ns": time.time_ns(), "pid": os.getpid(), **seen}
        path = _directory / "kills" / f"{_name}-{point}-{time.time_ns()}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row))
    os.kill(os.getpid(), signal.SIGKILL)


def _at_stake() -> dict[str, object] | None:
    """The counts of this instant; None where there is nothing to lose yet."""
    if _look is None:
        return {}
    try:
        seen = _look()
    except AttributeError:  # a shell that is not ready cannot look at itself
        return None
    counts = {key: seen[key] for key in COUNTS if key in seen}
    return None if counts.get("open_trades") == 0 else counts
