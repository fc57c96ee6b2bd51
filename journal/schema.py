"""One journal as an SQLite file: its tables, its connections, and the one way to read it.

Never open, copy or close the database file in this process by other means than SQLite: closing any descriptor of it
drops every POSIX lock that the process holds on it. The log beside it (`-wal`) carries no lock.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from journal.chain import Broken, EpochStart, Row, Walk, check_epochs, origin
from journal.errors import JournalDamaged, JournalFailed, JournalMissing, JournalVersion
from journal.port import Entry

FORMAT_VERSION = 1
PAGE_ROWS = 512
"""Read in pages, each a transaction of its own: a reader left open would pin the write-ahead log."""
BUSY_S = 1.0

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, pid INTEGER NOT NULL,
    after_seq INTEGER NOT NULL, after_hash BLOB NOT NULL
) STRICT;
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, at_ns INTEGER NOT NULL,
    kind TEXT NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
"""
_PAGE = "SELECT seq, epoch, at_ns, kind, body, hash FROM entries WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
# What the machine did, as opposed to what the file says.
_MACHINE = frozenset({
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Survey:
    """What a journal says of itself, read in one short transaction."""

    name: str
    genesis: str
    starts: tuple[EpochStart, ...]
    last_seq: int

    @property
    def epoch(self) -> int:
        return len(self.starts)

    @property
    def origin(self) -> bytes:
        return origin(self.genesis, self.name)


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection that begins no transaction by itself and never checkpoints by itself.

    A read-only one does not checkpoint when closed last either, so that looking at a journal cannot change it.
    """
    where = path.absolute().as_uri() + ("?mode=ro" if readonly else "?mode=rwc")
    # Opened in one thread, perhaps, while the loop runs in another; after that, one thread at a time.
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """What SQLite and the chain object to, in our own words."""
    try:
        yield
    except Broken as fault:
        raise JournalDamaged(path, fault.seq, fault.what) from fault
    except sqlite3.Error as fault:
        if getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in _MACHINE:
            raise JournalFailed(str(path), str(fault)) from fault
        raise JournalDamaged(path, 0, str(fault)) from fault


def is_born(path: Path) -> bool:
    """Whether the journal was ever created; a file without tables is a creation that was cut short."""
    if not path.exists():
        return False
    with translated(path), closing(connect(path, readonly=True)) as connection:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        return bool(tables)


def create(path: Path, genesis: str, name: str) -> None:
    """The tables and the version, all or nothing."""
    with translated(path), closing(connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        for table in _SCHEMA.split(";"):
            connection.execute(table)
        meta = {"format_version": str(FORMAT_VERSION), "genesis": genesis, "name": name}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION}")
        connection.execute("COMMIT")


def survey(connection: sqlite3.Connection, path: Path, genesis: str, name: str) -> Survey:
    """Version and identity first, then epochs and end; raises where they are not what was asked for."""
    with translated(path):
        connection.execute("BEGIN")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != FORMAT_VERSION:
                raise JournalVersion(path, version, FORMAT_VERSION)
            meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
            epochs = connection.execute("SELECT epoch, after_seq, after_hash FROM epochs ORDER BY epoch").fetchall()
            (last_seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()
        finally:
            if connection.in_transaction:  # some errors end it themselves
                connection.execute("ROLLBACK")
        if meta != {"format_version": str(FORMAT_VERSION), "genesis": genesis, "name": name}:
            raise Broken(0, f"it says it is {meta}, not journal {name!r} of genesis {genesis}")
        surveyed = Survey(name, genesis, tuple(EpochStart(*row) for row in epochs), last_seq)
        check_epochs(surveyed.starts, last_seq, surveyed.origin)
        return surveyed


def entries(connection: sqlite3.Connection, path: Path, surveyed: Survey, after: int = 0) -> Iterator[Entry]:
    """What stood when the survey was made, every link of the chain checked on the way."""
    last_seq = surveyed.last_seq
    if after >= last_seq:
        return
    with translated(path):
        walk = _walk_from(connection, surveyed, max(after, 0))
        seq = max(after, 0)
        while seq < last_seq:
            page: list[Row] = connection.execute(_PAGE, (seq, last_seq, PAGE_ROWS)).fetchall()
            if not page:
                break
            for row in page:
                yield walk.admit(row)
            seq = page[-1][0]
        walk.finish(last_seq)


def _walk_from(connection: sqlite3.Connection, surveyed: Survey, after: int) -> Walk:
    if after == 0:
        return Walk(surveyed.starts, seq=0, epoch=0, before=surveyed.origin)
    row = connection.execute("SELECT epoch, hash FROM entries WHERE seq = ?", (after,)).fetchone()
    if row is None:
        raise Broken(after, "it is missing")
    return Walk(surveyed.starts, seq=after, epoch=row[0], before=row[1])


def open_to_read(path: Path) -> sqlite3.Connection:
    if not is_born(path):
        raise JournalMissing(path)
    with translated(path):
        return connect(path, readonly=True)
