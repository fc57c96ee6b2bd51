"""Why a journal says no. Each text names the place, what was found, and what a person can do.

The arguments stay in `args`, so that an error can cross a process border and be printed there.
"""

from __future__ import annotations

from pathlib import Path


class JournalError(Exception):
    """Any refusal of a journal."""


class JournalLocked(JournalError):
    """Another live process writes this journal."""

    def __init__(self, path: Path, holder: int, waited_s: float) -> None:
        super().__init__(path, holder, waited_s)
        self.path, self.holder, self.waited_s = path, holder, waited_s

    def __str__(self) -> str:
        holder = f"process {self.holder}" if self.holder else "an unknown process"
        return (
            f"{self.path} is locked by {holder}, still after {self.waited_s:g} s. "
            "Another engine runs in this directory: stop it, or give this one a directory of its own. "
            "Do not delete the lock file; the lock goes with its process."
        )


class JournalMissing(JournalError):
    """There is no journal of this name here."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} does not exist. Check the directory and the name."


class JournalVersion(JournalError):
    """Written by another version of the format."""

    def __init__(self, path: Path, found: int, expected: int) -> None:
        super().__init__(path, found, expected)
        self.path, self.found, self.expected = path, found, expected

    def __str__(self) -> str:
        return (
            f"{self.path} has format version {self.found}, this program writes {self.expected}. "
            "Run the version that wrote it, or let that version settle its trades and begin a new directory."
        )


class JournalDamaged(JournalError):
    """Quarantine: what the file says cannot be what was written. It is neither cut nor repaired."""

    def __init__(self, path: Path, seq: int, what: str) -> None:
        super().__init__(path, seq, what)
        self.path, self.seq, self.what = path, seq, what

    def __str__(self) -> str:
        where = f" at entry {self.seq}" if self.seq else ""
        return (
            f"{self.path} is damaged{where}: {self.what}. Nothing was changed. "
            "Copy the whole directory away, reconcile the accounts with the venues, then restore an undamaged copy of "
            "this state or begin in a new, empty directory. Never delete single files: order ids would repeat."
        )


class JournalFailed(JournalError):
    """A write or a sync failed, and the journal takes nothing more: what the disk holds is no longer known."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where, what)
        self.where, self.what = where, what

    def __str__(self) -> str:
        return (
            f"{self.where} takes no more entries: {self.what}. "
            "Check space and health of the disk, then restart this writer; a failed sync is never tried again."
        )


class Fenced(JournalError):
    """A newer incarnation writes this journal: this one is the past and must stop."""

    def __init__(self, where: str, ours: int, newest: int) -> None:
        super().__init__(where, ours, newest)
        self.where, self.ours, self.newest = where, ours, newest

    def __str__(self) -> str:
        return f"{self.where} belongs to epoch {self.newest}; epoch {self.ours} may not append and must exit."
