"""The deaths that a person asked for: some at a time of the session, some at a point that a process passes; all written down."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loguru import logger

from actors.points import COUNTS
from actors.shell import Unheard
from console.options import Kill
from messages.control import Ask, Snapshot
from messages.units import SECOND, Nanos
from supervisors.driver import Tree

WITNESS = "executor"
"""Whose open trades a death should put at stake."""
WORK_WITHIN_S = 3.0
LAST_MOMENT_S = 0.5
"""A kill that still waits for work so long before the end waits no longer."""


@dataclass(slots=True)
class Kills:
    asked: tuple[Kill, ...]
    run_directory: Path
    began: int = 0
    lasts_s: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)
    """Of those by the clock."""

    def points(self) -> dict[str, tuple[str, ...]]:
        """By actor: where its process is to end itself."""
        found: dict[str, tuple[str, ...]] = {}
        for kill in self.asked:
            if kill.point is not None:
                found[kill.actor] = (*found.get(kill.actor, ()), kill.point)
        return found

    def begin(self, tree: Tree, began: int, lasts_s: float) -> list[asyncio.Task[None]]:
        self.began, self.lasts_s = began, lasts_s
        return [asyncio.create_task(self._at(tree, kill, kill.after)) for kill in self.asked if kill.after is not None]

    async def _at(self, tree: Tree, kill: Kill, after: Nanos) -> None:
        row: dict[str, Any] = {"actor": kill.actor, "at_s": after / SECOND, **dict.fromkeys(COUNTS)}
        try:
            await asyncio.sleep(max(0.0, after / SECOND - self._elapsed_s()))
            row |= await self._with_work_open(tree)
            row["at_s"] = round(self._elapsed_s(), 3)
            row["pid"] = tree.pid(kill.actor)
            await tree.kill(kill.actor)
        except (LookupError, ProcessLookupError) as problem:
            row["missed"] = str(problem)
        except asyncio.CancelledError:
            row["missed"] = "the session ended first"
            raise
        finally:
            self.rows.append(row)

    def _elapsed_s(self) -> float:
        return (time.time_ns() - self.began) / SECOND

    async def _with_work_open(self, tree: Tree) -> dict[str, Any]:
        """The executor's counts now; waits a little for an open trade, since a kill that nothing depends on shows nothing."""
        seen: dict[str, Any] = {}
        until = min(self._elapsed_s() + WORK_WITHIN_S, self.lasts_s - LAST_MOMENT_S)
        while True:
            try:
                answer = await tree.ask(WITNESS, Ask(), Nanos(SECOND))
                seen = json.loads(answer.body) if isinstance(answer, Snapshot) else {}
            except Unheard as problem:  # it may be the one that is down
                logger.debug("ask: {}", problem)
            if seen.get("open_trades") or self._elapsed_s() >= until:
                return {key: seen.get(key) for key in COUNTS}
            await asyncio.sleep(0.005)

    def told(self) -> list[dict[str, Any]]:
        """Those by the clock, those that processes did to themselves, and those that never came to be."""
        own = []
        for path in sorted((self.run_directory / "kills").glob("*.json")):
            row = json.loads(path.read_text())
            row["at_s"] = round((row.pop("at_ns") - self.began) / SECOND, 3)
            own.append(row)
        left = Counter((row["actor"], row["point"]) for row in own)
        missed = []
        for kill in self.asked:
            if kill.point is None:
                continue
            where = (kill.actor, kill.point.partition("#")[0])
            left[where] -= 1
            if left[where] < 0:
                why = "it was not passed with work open, or had killed already"
                row = {"actor": kill.actor, "point": kill.point, "at_s": round(self._elapsed_s(), 3), "missed": why}
                missed.append(row | dict.fromkeys(COUNTS))
        return sorted([*self.rows, *own, *missed], key=lambda row: float(row["at_s"]))
