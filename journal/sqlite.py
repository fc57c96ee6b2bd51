"""The journal of one machine: a chained SQLite file behind a lock."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

from journal.chain import chained
from journal.engine import database, lock_file, sync_directory, take_genesis
from journal.errors import Fenced, JournalDamaged, JournalError, JournalFailed
from journal.keeper import WAL_BYTES, Keeper, Written
from journal.lock import Lock
from journal.port import Entry, Level, Record, checked
from journal.reading import check_mark
from journal.schema import Survey, connect, create, entries, is_born, survey, translated

REPLAY_BYTES_MAX = 256 << 20
"""Above this the entries verified at opening are not kept for the replay but read again."""


@dataclass(frozen=True, slots=True)
class Past:
    """What stood before this epoch, verified."""

    surveyed: Survey
    last_hash: bytes
    entries: list[Entry] | None
    """None where there are too many to keep."""


class SqliteJournal:
    """One writer's journal, open and locked. Called from one thread."""

    def __init__(
        self,
        path: Path,
        lock: Lock,
        reader: sqlite3.Connection,
        past: Past,
        *,
        level: Level,
        at_ns: int,
    ) -> None:
        surveyed = past.surveyed
        self.name, self.genesis, self.level = surveyed.name, surveyed.genesis, level
        self.last_seq, self.last_hash = surveyed.last_seq, past.last_hash
        self.epoch = surveyed.epoch + 1
        self._path, self._lock, self._reader, self._surveyed = path, lock, reader, surveyed
        self._past = past.entries
        self._begun = self._done = 0
        self._closed = False
        self._failure: JournalError | None = None
        with translated(path):
            self._writer = _take_epoch(self, path, at_ns)
        try:
            lock.mark(self.epoch, self.last_seq, durable=True)
            self._keeper = Keeper(
                path,
                lock,
                self.epoch,
                syncs=level is Level.PROCESS,
                written=lambda: Written(self.last_seq, self._begun, self._done),
            )
        except BaseException:
            self._writer.close()
            raise

    @property
    def synced_seq(self) -> int:
        return self.last_seq if self.level is Level.POWER else self._keeper.synced_seq

    def append(self, records: Sequence[Record], at_ns: int) -> int:
        self._must_be_sound()
        if not records:
            return self.last_seq
        rows = chained(checked(records), self.last_seq, self.epoch, at_ns, self.last_hash)
        self._keeper.give_way()
        with self._keeper.turn:
            self._begun += 1
            try:
                done = self._writer.execute(_insertion(len(rows)), (*chain.from_iterable(rows), self.epoch))
                if done.rowcount != len(rows):
                    raise Fenced(str(self._path), self.epoch, self._newest_epoch())
            except sqlite3.Error as fault:
                raise self._poisoned(fault) from fault
            except BaseException as fault:
                # An interrupt as well: the disk may or may not have these records, so nothing may follow them.
                self._poisoned(fault)
                raise
            self.last_seq, _, _, _, _, self.last_hash = rows[-1]
            self._done += 1
        return self.last_seq

    def read(self, after: int = 0) -> Iterator[Entry]:
        with translated(self._path):
            surveyed = survey(self._reader, self._path, self.genesis, self.name)
        # Not what a failed append may have left behind, and not what a newer incarnation wrote.
        ours = Survey(self.name, self.genesis, surveyed.starts, min(surveyed.last_seq, self.last_seq))
        return entries(self._reader, self._path, ours, after)

    def replay(self) -> Iterator[Entry]:
        past, self._past = self._past, None
        if past is not None:
            return iter(past)
        return entries(self._reader, self._path, self._surveyed)

    def sync(self) -> None:
        self._must_be_sound()
        self._keeper.sync()

    def close(self) -> None:
        """Idempotent. A sound journal leaves one file; a failed one is left exactly as it is."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._keeper.fault is None:
                self._keeper.sync()
        finally:
            self._keeper.stop()
            # The last connection to close checkpoints, if it can write: after a failed sync that would copy pages
            # that the kernel may have dropped, so then the reader closes last.
            for connection in (
                (self._reader, self._writer) if self._keeper.fault is None else (self._writer, self._reader)
            ):
                connection.close()
            self._lock.release()

    def _newest_epoch(self) -> int:
        (newest,) = self._writer.execute("SELECT max(epoch) FROM epochs").fetchone()
        return int(newest)

    def _must_be_sound(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        if self._keeper.fault is not None:
            raise self._poisoned(self._keeper.fault)
        if self._closed:
            raise JournalFailed(str(self._path), "it is closed")

    def _poisoned(self, fault: BaseException) -> JournalError:
        self._failure = fault if isinstance(fault, JournalError) else JournalFailed(str(self._path), _said(fault))
        self._keeper.fault = self._keeper.fault or fault
        return self._failure


def open_journal(
    directory: Path, name: str, *, level: Level, wait_s: float = 10.0, wall_ns: Callable[[], int]
) -> SqliteJournal:
    """Lock, verify the whole chain, take the next epoch durably; only then hand it out.

    Blocks while it waits for the lock: from an event loop, call it in a thread.
    """
    path = database(directory, name)
    directory.mkdir(parents=True, exist_ok=True)
    genesis = take_genesis(directory)
    lock = Lock.take(lock_file(directory, name), wait_s)
    try:
        lock.mark(lock.before.epoch, lock.before.seq)
        if not is_born(path):
            if lock.before.epoch:
                raise JournalDamaged(path, 0, f"it is missing or empty, but reached epoch {lock.before.epoch}")
            create(path, genesis, name)
            sync_directory(directory)
        with translated(path):
            reader = connect(path, readonly=True)
        try:
            surveyed = survey(reader, path, genesis, name)
            past = _verified(reader, path, surveyed)
            check_mark(path, lock.before.epoch, lock.before.seq, surveyed.epoch, surveyed.last_seq)
            return SqliteJournal(path, lock, reader, past, level=level, at_ns=wall_ns())
        except BaseException:
            reader.close()
            raise
    except BaseException:
        lock.release()
        raise


def _verified(reader: sqlite3.Connection, path: Path, surveyed: Survey) -> Past:
    past: list[Entry] = []
    kept, size, last_hash = True, 0, surveyed.origin
    for entry in entries(reader, path, surveyed):
        last_hash = entry.hash
        if not kept:
            continue
        past.append(entry)
        size += len(entry.body) + 256  # what an entry costs beside its body
        if size > REPLAY_BYTES_MAX:
            past, kept = [], False
    return Past(surveyed, last_hash, past if kept else None)


def _take_epoch(journal: SqliteJournal, path: Path, at_ns: int) -> sqlite3.Connection:
    """The writer's connection, with the epoch on disk at either level: an epoch must never come twice."""
    writer = connect(path)
    try:
        writer.execute(f"PRAGMA journal_size_limit={WAL_BYTES}")
        writer.execute("PRAGMA synchronous=FULL")
        start = (journal.epoch, at_ns, os.getpid(), journal.last_seq, journal.last_hash)
        writer.execute("INSERT INTO epochs VALUES (?, ?, ?, ?, ?)", start)
        if journal.level is Level.PROCESS:
            # Not OFF: the first frame after the log starts again must be synced, or a power cut could leave the old
            # header above new frames. That is one sync in some hundred appends.
            writer.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        writer.close()
        raise
    return writer


@lru_cache(maxsize=64)
def _insertion(rows: int) -> str:
    """All rows or none, and none when the newest epoch is not ours: condition and append are one statement.

    One statement is one transaction, a third faster than beginning, asking, inserting and committing by four.
    """
    places = ", ".join(["(?, ?, ?, ?, ?, ?)"] * rows)
    return f"INSERT INTO entries SELECT * FROM (VALUES {places}) WHERE (SELECT max(epoch) FROM epochs) = ?"  # noqa: S608


def _said(fault: BaseException) -> str:
    return f"{type(fault).__name__}: {fault}"
