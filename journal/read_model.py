"""The read model: one SQLite file with what was decided and what happened, written by the recorder, read by anybody."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from messages.base import body_of
from messages.control import TradeStory
from messages.opportunities import CrossingEnded, Decision
from messages.units import Nanos

FILE = "read_model.sqlite"
BUSY_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
    opportunity TEXT PRIMARY KEY, decided_at INTEGER NOT NULL, pair TEXT NOT NULL, kind TEXT NOT NULL,
    verdict TEXT NOT NULL, reason TEXT NOT NULL, trade TEXT NOT NULL, body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS decisions_by_time ON decisions (decided_at);
CREATE TABLE IF NOT EXISTS crossings (
    pair TEXT NOT NULL, kind TEXT NOT NULL, yes_venue TEXT NOT NULL, no_venue TEXT NOT NULL,
    since INTEGER NOT NULL, until INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (pair, kind, yes_venue, no_venue, since)
) STRICT;
CREATE TABLE IF NOT EXISTS stories (
    number INTEGER PRIMARY KEY, trade TEXT NOT NULL, at INTEGER NOT NULL, stage TEXT NOT NULL, text TEXT NOT NULL,
    UNIQUE (trade, at, stage, text)
) STRICT;
"""
_DECISION = "INSERT OR IGNORE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_CROSSING = "INSERT OR IGNORE INTO crossings VALUES (?, ?, ?, ?, ?, ?, ?)"
_STORY = "INSERT OR IGNORE INTO stories (trade, at, stage, text) VALUES (?, ?, ?, ?)"

Row = Decision | CrossingEnded | TradeStory

TABLES: dict[type[Row], str] = {Decision: "decisions", CrossingEnded: "crossings", TradeStory: "stories"}


class Tables:
    """The writing side: one writer at a time, called from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def add(self, rows: Sequence[Row]) -> list[Row]:
        """All of these in one transaction; returns those that were not there before."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            new = [row for row in rows if self._database.execute(*_insertion(row)).rowcount == 1]
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        return new


def _insertion(row: Row) -> tuple[str, tuple[str | int, ...]]:
    body = body_of(row).decode()
    match row:
        case Decision(opportunity=seen):
            reason = row.reason.value if row.reason is not None else ""
            known = (seen.opportunity, row.decided_at, seen.pair, seen.kind.value, row.verdict.value, reason)
            return _DECISION, (*known, row.trade or "", body)
        case CrossingEnded():
            key = (row.pair, row.kind.value, row.yes_venue, row.no_venue, row.since)
            return _CROSSING, (*key, row.until, body)
        case TradeStory():
            return _STORY, (row.trade, row.at, row.stage, row.text)


class ReadModel:
    """For other processes: short reads of what the recorder has written, also while it writes."""

    def __init__(self, path: Path) -> None:
        where = path.absolute().as_uri() + "?mode=ro"
        self._database = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def decision(self, opportunity: str) -> Decision | None:
        rows = self._rows("SELECT body FROM decisions WHERE opportunity = ?", opportunity)
        return Decision.model_validate_json(rows[0][0]) if rows else None

    def decisions(
        self, since: Nanos = Nanos(0), *, verdict: str = "", reason: str = "", pair: str = "", limit: int = 1_000
    ) -> list[Decision]:
        """From `since` on, oldest first; of the latest `limit` where there are more."""
        rows = self._rows(
            "SELECT body FROM decisions WHERE decided_at >= ? AND ? IN ('', verdict) AND ? IN ('', reason)"
            " AND ? IN ('', pair) ORDER BY decided_at DESC, rowid DESC LIMIT ?",
            *(since, verdict, reason, pair, limit),
        )
        return [Decision.model_validate_json(body) for (body,) in reversed(rows)]

    def crossings(self, since: Nanos = Nanos(0), *, limit: int = 1_000) -> list[CrossingEnded]:
        """Those that ended from `since` on, oldest first."""
        rows = self._rows("SELECT body FROM crossings WHERE until >= ? ORDER BY until DESC LIMIT ?", since, limit)
        return [CrossingEnded.model_validate_json(body) for (body,) in reversed(rows)]

    def stories(self, trade: str = "", *, limit: int = 1_000) -> list[TradeStory]:
        """Of one trade, or of all, as they were told."""
        rows = self._rows(
            "SELECT trade, at, stage, text FROM stories WHERE ? IN ('', trade) ORDER BY number DESC LIMIT ?",
            *(trade, limit),
        )
        return [TradeStory(trade=t, at=Nanos(at), stage=stage, text=text) for t, at, stage, text in reversed(rows)]

    def counts(self) -> dict[str, dict[str, int]]:
        return {
            "verdicts": dict(self._rows("SELECT verdict, count(*) FROM decisions GROUP BY verdict")),
            "reasons": dict(self._rows("SELECT reason, count(*) FROM decisions WHERE reason <> '' GROUP BY reason")),
            "rows": dict(
                self._rows(
                    "SELECT 'decisions', count(*) FROM decisions UNION ALL SELECT 'crossings', count(*) FROM crossings"
                    " UNION ALL SELECT 'stories', count(*) FROM stories"
                )
            ),
        }

    def _rows(self, query: str, *values: str | int) -> list[Any]:
        # fetched at once: a reader left open would pin the write-ahead log
        with closing(self._database.execute(query, values)) as found:
            return found.fetchall()


def open_read_model(path: Path) -> ReadModel:
    """`path` is the file, or the run directory that it lies in; `FileNotFoundError` where no recorder ever ran."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no recorder has written here; start an engine with this run directory")
    return ReadModel(file)
