"""The lock of one journal, and the mark that it carries.

`flock` is taken before the journal is read, and the kernel releases it when the process dies, so it needs no time-out
of its own. It fences one machine; the epoch in the journal fences the rest.

The lock file also remembers how far the journal is known to be on disk. SQLite ends its log in silence at the first
frame that does not verify, which is right for a torn tail and wrong for damage in the middle, for a log file that was
removed and for an old copy put back: a journal that ends before its mark has lost what was acknowledged. The mark is
written after the sync that it reports, in place and without a sync of its own: it may lag, never lead.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from journal.errors import JournalFailed, JournalLocked

_MARK_BYTES = 96
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Mark:
    """Who holds the journal or held it last, and how far it is known to be on disk. Zero is unknown."""

    pid: int = 0
    epoch: int = 0
    seq: int = 0


def read_mark(path: Path) -> Mark:
    try:
        return _parsed(path.read_bytes()[:_MARK_BYTES])
    except FileNotFoundError:
        return Mark()


class Lock:
    """Held from before the first read until after the last write."""

    __slots__ = ("_fd", "before", "path")

    def __init__(self, path: Path, fd: int) -> None:
        self.path, self._fd = path, fd
        self.before = _parsed(os.pread(fd, _MARK_BYTES, 0))
        """As the previous holder left it."""

    @classmethod
    def take(cls, path: Path, wait_s: float) -> Self:
        """Wait for the lock: a killed engine's children may live some seconds longer than their parent."""
        deadline = time.monotonic() + wait_s
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _still_named(fd, path):
                    return cls(path, fd)
            except BlockingIOError:
                pass
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
            if time.monotonic() >= deadline:
                raise JournalLocked(path, read_mark(path).pid, wait_s)
            time.sleep(_POLL_S)

    def mark(self, epoch: int, seq: int, *, durable: bool = False) -> None:
        line = json.dumps({"pid": os.getpid(), "epoch": epoch, "seq": seq}).ljust(_MARK_BYTES - 1) + "\n"
        if os.pwrite(self._fd, line.encode(), 0) != _MARK_BYTES:
            raise JournalFailed(str(self.path), "a short write; is the disk full?")
        if durable:
            os.fsync(self._fd)

    def release(self) -> None:
        os.close(self._fd)


def _still_named(fd: int, path: Path) -> bool:
    """A lock on a file that somebody removed meanwhile excludes nobody."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _parsed(raw: bytes) -> Mark:
    # What a power cut left unreadable proves nothing, in either direction.
    try:
        stated = json.loads(raw)
        return Mark(int(stated["pid"]), int(stated["epoch"]), int(stated["seq"]))
    except (ValueError, KeyError, TypeError):
        return Mark()
