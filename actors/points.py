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

_armed: dict[str, int] = {}
_record: Callable[[], Mapping[str, object]] | None = None
_directory: Path | None = None
_name = ""


def arm(
    name: str, points: tuple[str, ...], directory: Path, record: Callable[[], Mapping[str, object]] | None = None
) -> None:
    """Make these points deadly in this process. `POINT` kills at the first passage, `POINT#N` at the N-th."""
    global _record, _directory, _name
    _armed.clear()
    for point in points:
        where, _, nth = point.partition("#")
        _armed[where] = int(nth) if nth else 1
    _record, _directory, _name = record, directory, name


def armed(point: str) -> bool:
    """Whether this process will die at that point: some windows must be held open to be hit at all."""
    return point in _armed


def reach(point: str) -> None:
    """Pass a named point; does not return where a kill is due."""
    if not _armed or point not in _armed:
        return
    _armed[point] -= 1
    if _armed[point] > 0:
        return
    del _armed[point]
    if _directory is not None:
        seen = dict(_record()) if _record is not None else {}
        row = {"actor": _name, "point": point, "at_ns": time.time_ns(), "pid": os.getpid(), **seen}
        path = _directory / "kills" / f"{_name}-{point}-{time.time_ns()}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(row))
    os.kill(os.getpid(), signal.SIGKILL)
