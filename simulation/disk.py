"""The disks of a simulated engine: what each journal writes, and what a death inside a write leaves."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from journal.errors import JournalFailed
from journal.forgetful import ForgetfulJournal, Store
from journal.port import Level, Record


class Fate(StrEnum):
    """What becomes of one append."""

    GOOD = "good"
    FULL = "full"
    """The disk refuses it, and every one after it: the writer must end itself."""
    DIES_LANDED = "dies, landed"
    """The process ends inside it; its records are there."""
    DIES_LOST = "dies, lost"
    """The process ends inside it; its records are torn, and so are not there."""


class Watcher(Protocol):
    def fate(self, writer: str) -> Fate: ...

    def appended(self, writer: str, records: Sequence[Record], last: int) -> None:
        """These are durable now."""

    def dies(self, writer: str) -> None:
        """End the process that writes. Does not return."""


class Spied(ForgetfulJournal):
    """A journal whose appends the judge sees as soon as they are durable."""

    watcher: Watcher

    def append(self, records: Sequence[Record], at_ns: int) -> int:
        fate = self.watcher.fate(self.name)
        if fate is Fate.GOOD:
            last = super().append(records, at_ns)
            self.watcher.appended(self.name, records, last)
            return last
        landed = fate is Fate.DIES_LANDED
        self.break_disk(landed=landed)
        try:
            return super().append(records, at_ns)
        except JournalFailed:
            if landed:
                self.watcher.appended(self.name, records, self.last_seq + len(records))
            if fate is not Fate.FULL:
                self.watcher.dies(self.name)
            raise


class Disks(Store):
    """All journals of one engine."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__("51a0d15c")
        self._watcher = watcher

    def open(self, name: str, level: Level) -> ForgetfulJournal:
        journal = super().open(name, level)
        assert isinstance(journal, Spied)
        journal.watcher = self._watcher
        return journal

    def _begun(self, name: str, level: Level) -> ForgetfulJournal:
        return Spied(name, genesis=self.genesis, level=level)
