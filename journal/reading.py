"""Reading beside the writer: no lock, short transactions, nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from journal.engine import database, lock_file, names, read_genesis
from journal.errors import JournalDamaged
from journal.lock import read_mark
from journal.port import Entry
from journal.schema import entries, is_born, open_to_read, survey


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the whole chain found."""

    name: str
    genesis: str
    entries: int
    """Entries that hold; where there is a fault, those before it."""
    epoch: int
    last_hash: bytes
    """Of the last entry that holds: two copies with the same hash have the same past."""
    fault: str
    """Empty when the journal is sound."""

    @property
    def sound(self) -> bool:
        return not self.fault


def list_journals(directory: Path) -> tuple[str, ...]:
    """The names of the journals in this engine's directory, also of one that is gone but left its mark."""
    marked = (path for path in directory.glob("*.lock") if read_mark(path).epoch)
    return tuple(sorted({*names(directory), *(path.name.removesuffix(".lock") for path in marked)}))


def read_journal(directory: Path, name: str, after: int = 0) -> Iterator[Entry]:
    """What stood when reading began, from the entry that follows `after`; call again with the last one for more."""
    path = database(directory, name)
    with closing(open_to_read(path)) as connection:
        surveyed = survey(connection, path, read_genesis(directory), name)
        yield from entries(connection, path, surveyed, after)


def verify(directory: Path, name: str) -> Verdict:
    """Check every link of one journal, beside its writer or at rest. Raises only where there is nothing to check."""
    path = database(directory, name)
    genesis = read_genesis(directory)
    mark = read_mark(lock_file(directory, name))  # before the survey: the writer moves on meanwhile
    count, epoch, last_hash = 0, 0, b""
    try:
        if mark.epoch and not is_born(path):
            raise JournalDamaged(path, 0, f"it is missing or empty, but reached epoch {mark.epoch}")
        with closing(open_to_read(path)) as connection:
            surveyed = survey(connection, path, genesis, name)
            epoch, last_hash = surveyed.epoch, surveyed.origin
            for entry in entries(connection, path, surveyed):
                count, last_hash = entry.seq, entry.hash
            check_mark(path, mark.epoch, mark.seq, epoch, count)
    except JournalDamaged as damage:
        return Verdict(name, genesis, count, epoch, last_hash, str(damage))
    return Verdict(name, genesis, count, epoch, last_hash, "")


def check_mark(path: Path, marked_epoch: int, marked_seq: int, epoch: int, last_seq: int) -> None:
    """A journal that ends before its own mark is an old copy, or has lost its log."""
    if marked_epoch > epoch:
        raise JournalDamaged(path, last_seq, f"it ends in epoch {epoch}, but epoch {marked_epoch} was on disk")
    if marked_seq > last_seq:
        raise JournalDamaged(path, last_seq + 1, f"it ends at entry {last_seq}, but {marked_seq} were on disk")
