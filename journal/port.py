"""What every journal is, whatever keeps it: SQLite, memory, later PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

BODY_BYTES_MAX = 1 << 20
"""A record is a decision or an answer, not a document; more than this is a fault in the caller."""
RECORDS_MAX = 1024
"""Records in one append: the intent of one opportunity has a handful, a recovered batch of fills some hundreds."""


class Level(StrEnum):
    """What an acknowledged append survives."""

    PROCESS = "process"
    """The death of the process; a power cut may take what is younger than 50 ms."""
    POWER = "power"
    """A power cut as well: synced to disk before `append` returns."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the caller wants remembered."""

    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A record in its place in the chain."""

    seq: int
    epoch: int
    at_ns: int
    kind: str
    body: bytes
    hash: bytes


class Journal(Protocol):
    """One writer's memory. Called from one thread, the actor's event loop."""

    @property
    def name(self) -> str: ...

    @property
    def genesis(self) -> str:
        """Drawn once per engine, part of every id, so that a journal begun anew can never repeat one."""

    @property
    def epoch(self) -> int:
        """Which incarnation of the writer this is, from 1; durable before anybody learns it."""

    @property
    def level(self) -> Level: ...

    @property
    def last_seq(self) -> int: ...

    @property
    def last_hash(self) -> bytes: ...

    @property
    def synced_seq(self) -> int:
        """Everything up to here is known to survive a power cut."""

    def append(self, records: Sequence[Record], at_ns: int) -> int:
        """Remember all of these or none, in one transaction; returns the last sequence number.

        Raises `Fenced` when a newer incarnation exists, and `JournalFailed` when a write or a sync failed. After
        either nothing can be appended any more, and whether the failed records are found again is not known.
        """

    def read(self, after: int = 0) -> Iterator[Entry]:
        """What was acknowledged, in order, from the entry that follows `after`."""

    def replay(self) -> Iterator[Entry]:
        """What stood when this epoch began: the past that a new incarnation folds."""

    def sync(self) -> None:
        """Return when everything acknowledged survives a power cut."""

    def close(self) -> None: ...


def checked(records: Sequence[Record]) -> Sequence[Record]:
    """The same records; raises before anything is written where a bound is broken."""
    if len(records) > RECORDS_MAX:
        raise ValueError(f"{len(records)} records in one append, at most {RECORDS_MAX}")
    for record in records:
        if len(record.body) > BODY_BYTES_MAX:
            raise ValueError(f"a {record.kind!r} record of {len(record.body)} bytes, at most {BODY_BYTES_MAX}")
    return records
