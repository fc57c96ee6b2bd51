"""What a journal does off the path of its writer: sync the log, mark how far it is on disk, move the log into the file.

**Sync.** At level `process` a commit has written the log but not synced it. This thread calls `fdatasync` on the log
through a descriptor of its own, which is sound for three reasons: a sync covers the file, whoever wrote it; the log
stays the same file as long as a connection is open; and whatever was moved out of the log before was synced twice on
the way, log before database, by the checkpoint itself. The kernel reports a failed write-back once to *each*
descriptor that was open then, so ours cannot be told "fine" because another was told the truth. A second connection
that commits with a full sync would do as well, but would write pages of its own and hold the write lock meanwhile.

**Checkpoint.** Here and nowhere else (automatic ones are off on every connection). SQLite before 3.51.3 can skip
frames when a commit resets the log while a checkpoint of a completely moved log is beginning (its "WAL-reset bug"), and
the SQLite of most Python builds is older. A reset needs a log that was moved completely; so a checkpoint that begins
only when something was committed since the last complete one can never meet a reset; nor can one that holds the
writer's turn. That is the rule of `_bound`, on top of the fact that nobody else checkpoints.

**Bound.** A writer that appends without a pause stays ahead of a passive checkpoint for ever. Above a limit the
checkpoint takes the writer's turn, for as long as two syncs last, so that the log can start again from its beginning.
Appends some milliseconds apart never come to that. If a reader pins the log even this does not help; it is then tried
again only when the log has doubled, so that the writer is not stalled in vain.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from journal.errors import JournalFailed
from journal.lock import Lock
from journal.schema import connect

TICK_S = 0.025
"""Polled, not woken: waking a thread costs the writer more than a look costs this one. Twice this is the promise."""
WAL_BYTES = 4 << 20
"""Written with zeros at opening: a sync that need not grow the file takes half the time, and a full disk shows here."""
WAL_BYTES_SOFT = WAL_BYTES // 2
WAL_BYTES_HARD = 8 * WAL_BYTES
_FRAME_BYTES = 4096 + 24
_WAY_S = 1.0


class Written(NamedTuple):
    """How far the writer is: its last acknowledged entry, and its appends begun and done."""

    seq: int
    begun: int
    done: int


class Keeper:
    """One thread beside one writer."""

    def __init__(self, path: Path, lock: Lock, epoch: int, *, syncs: bool, written: Callable[[], Written]) -> None:
        self.turn = threading.Lock()
        """Held by the writer during an append, so that a checkpoint can take it."""
        self._way = threading.Event()
        self._way.set()
        self.fault: BaseException | None = None
        """Once set, the journal takes nothing more."""
        self._path, self._lock, self._epoch, self._syncs, self._written = path, lock, epoch, syncs, written
        self.synced_seq = written().seq
        self._moved = -1
        """Appends that may have been moved: a checkpoint may begin only when more than these are done."""
        self._cleared = 0
        """Appends done when the log was last free to start again from its beginning."""
        self._stall_above = WAL_BYTES_HARD
        self._sync_turn = threading.Lock()
        self._stop = threading.Event()
        self._wal = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)
        try:
            _preallocate(self._wal)
        except BaseException:
            os.close(self._wal)
            raise
        self._thread = threading.Thread(target=self._run, name=f"journal-{path.stem}", daemon=True)
        self._thread.start()

    def sync(self) -> None:
        """Return when everything written so far is on disk, or raise."""
        # One at a time: two threads in one descriptor's sync, and only one of them would hear of a failure.
        with self._sync_turn:
            if self.fault is not None:
                raise JournalFailed(str(self._path), f"an earlier write or sync failed ({self.fault})")
            seq = self._written().seq
            if seq == self.synced_seq:
                return
            try:
                if self._syncs:
                    os.fdatasync(self._wal)
                self._lock.mark(self._epoch, seq)
            except OSError as fault:
                self.fault = fault
                raise JournalFailed(str(self._path), f"a sync failed ({fault})") from fault
            self.synced_seq = seq

    def give_way(self) -> None:
        """Called by the writer before its turn: a lock alone would go back to a busy writer every time."""
        if not self._way.is_set():
            self._way.wait(_WAY_S)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._wal)

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            connection = connect(self._path)
            connection.execute("PRAGMA synchronous=NORMAL")
            while not self._stop.wait(TICK_S) and self.fault is None:
                self.sync()
                self._bound(connection)
        except BaseException as fault:  # noqa: BLE001 - whatever it was, the writer must hear of it
            self.fault = self.fault or fault
        finally:
            if connection is not None:
                connection.close()

    def _bound(self, connection: sqlite3.Connection) -> None:
        now = self._written()
        # An append writes about two frames; a few large ones show in the size of the file.
        pending = (now.done - self._cleared) * 2 * _FRAME_BYTES
        if pending < WAL_BYTES_SOFT and os.fstat(self._wal).st_size <= WAL_BYTES_HARD:
            return
        if now.done <= self._moved:
            return  # nothing new to move, and a checkpoint that has nothing to move could meet a reset
        length = self._checkpoint(connection, now)
        if length <= self._stall_above:
            return
        self._way.clear()
        try:
            with self.turn:
                length = self._checkpoint(connection, self._written())
        finally:
            self._way.set()
        self._stall_above = max(WAL_BYTES_HARD, 2 * length)

    def _checkpoint(self, connection: sqlite3.Connection, before: Written) -> int:
        """Move what can be moved without waiting for anyone; returns the length of a log that cannot start again."""
        busy, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if busy or moved < frames:
            return int(frames) * _FRAME_BYTES
        # Those begun, not those done: an append may stand in the log, moved already, before the writer has counted it.
        self._moved = self._written().begun
        if self._moved != before.done:
            return int(frames) * _FRAME_BYTES  # complete as of its beginning, and appended to meanwhile
        self._cleared = before.done
        self._stall_above = WAL_BYTES_HARD
        return 0


def _preallocate(wal: int) -> None:
    size = os.fstat(wal).st_size
    if size >= WAL_BYTES:
        return
    # Real zeros: blocks that are only reserved must still be converted by the first sync that touches them.
    if os.pwrite(wal, bytes(WAL_BYTES - size), size) != WAL_BYTES - size:
        raise JournalFailed("the write-ahead log", "a short write; is the disk full?")
    os.fdatasync(wal)
