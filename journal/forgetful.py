"""A journal in memory with a disk that can be cut off: what the simulation uses.

Its disk knows what was written and what was synced. A crash keeps the synced part and, of the rest, what the seed says:
a disk writes in an order of its own, so any unsynced transaction may be missing although a later one arrived; the
chain then ends at the first that is missing or torn, as the real one does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from journal.chain import chained, origin
from journal.errors import Fenced, JournalError, JournalFailed
from journal.port import Entry, Level, Record, checked


@dataclass(slots=True)
class _Disk:
    """What outlives an incarnation."""

    genesis: str
    entries: list[Entry] = field(default_factory=list)
    epoch: int = 0
    synced: int = 0
    ends: list[int] = field(default_factory=list)
    """The last entry of each transaction that is not synced."""

    def sync(self) -> None:
        self.synced = len(self.entries)
        self.ends.clear()


class Store:
    """The disks of one simulated engine, by the name of their writer."""

    def __init__(self, genesis: str = "00000000") -> None:
        self.genesis = genesis
        self.journals: dict[str, ForgetfulJournal] = {}
        """Of each writer the latest incarnation's."""

    def open(self, name: str, level: Level) -> ForgetfulJournal:
        """The next incarnation's journal on what its disk still holds."""
        before = self.journals.get(name)
        now = self._begun(name, level) if before is None else before.reopen(level)
        self.journals[name] = now
        return now

    def _begun(self, name: str, level: Level) -> ForgetfulJournal:
        return ForgetfulJournal(name, genesis=self.genesis, level=level)


stores: dict[str, Store] = {}
"""By the name that `actors.shell.Place.store` gives; whoever puts one in takes it out again."""


class ForgetfulJournal:
    """Same face and same promises as the real one, without its disk."""

    def __init__(
        self, name: str = "journal", *, genesis: str = "00000000", level: Level = Level.POWER, disk: _Disk | None = None
    ) -> None:
        self._disk = disk if disk is not None else _Disk(genesis)
        self._disk.epoch += 1
        self._disk.sync()  # the epoch is durable before anybody learns it, and with it all that stands before
        self.name, self.genesis, self.level = name, self._disk.genesis, level
        self.epoch = self._disk.epoch
        past = self._disk.entries
        self.last_seq = self._past_seq = len(past)
        self.last_hash = past[-1].hash if past else origin(self.genesis, name)
        self._failure: JournalError | None = None
        self._breaks: bool | None = None

    @property
    def synced_seq(self) -> int:
        return min(self._disk.synced, self.last_seq)

    def append(self, records: Sequence[Record], at_ns: int) -> int:
        self._must_be_sound()
        if not records:
            return self.last_seq
        rows = chained(checked(records), self.last_seq, self.epoch, at_ns, self.last_hash)
        if self._disk.epoch != self.epoch:
            raise self._poisoned(Fenced(self.name, self.epoch, self._disk.epoch))
        if self._breaks is not None:
            if self._breaks:
                self._disk.entries.extend(Entry(*row) for row in rows)
                self._disk.sync()
            raise self._poisoned(JournalFailed(self.name, "the simulated disk broke"))
        self._disk.entries.extend(Entry(*row) for row in rows)
        self.last_seq, _, _, _, _, self.last_hash = rows[-1]
        if self.level is Level.POWER:
            self._disk.sync()
        else:
            self._disk.ends.append(self.last_seq)
        return self.last_seq

    def read(self, after: int = 0) -> Iterator[Entry]:
        return iter(self._disk.entries[max(after, 0) : self.last_seq])

    def replay(self) -> Iterator[Entry]:
        return iter(self._disk.entries[: self._past_seq])

    def sync(self) -> None:
        self._must_be_sound()
        self._disk.sync()

    def close(self) -> None:
        if self._failure is None:
            self._disk.sync()
            self._failure = JournalFailed(self.name, "it is closed")

    def break_disk(self, *, landed: bool) -> None:
        """Let the next append fail; the caller chooses whether its records are there after `reopen`."""
        self._breaks = landed

    def crash(self, *, lose: float = 0.0, tear: bool = False, seed: int = 0) -> int:
        """Die without warning; returns how many acknowledged entries are forgotten.

        `lose` is the chance of each unsynced transaction to be missing from the disk, `tear` leaves the last one half
        written. With neither this is the death of the process; with either it is a power cut.
        """
        disk, kept = self._disk, self._disk.synced
        for number, end in enumerate(disk.ends):
            if (tear and end == disk.ends[-1]) or _chance(seed, number) < lose:
                break
            kept = end
        forgotten = disk.ends[-1] - kept if disk.ends else 0
        del disk.entries[len(disk.entries) - forgotten :]
        disk.sync()
        self._failure = JournalFailed(self.name, "its process is dead")
        return forgotten

    def reopen(self, level: Level | None = None) -> ForgetfulJournal:
        """The next incarnation on what the disk still holds; this one is fenced from here on."""
        return type(self)(self.name, level=level or self.level, disk=self._disk)

    def _must_be_sound(self) -> None:
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def _poisoned(self, failure: JournalError) -> JournalError:
        self._failure = failure
        return failure


def _chance(seed: int, number: int) -> float:
    """The same on every machine and in every version."""
    return int.from_bytes(sha256(f"{seed}.{number}".encode()).digest()[:8], "big") / 2**64
