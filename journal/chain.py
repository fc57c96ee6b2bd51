"""The chain: each entry's hash covers the one before, so nothing can be changed, lost or moved unnoticed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import TypeAlias

from journal.port import Entry, Record

Row: TypeAlias = tuple[int, int, int, str, bytes, bytes]
"""seq, epoch, at_ns, kind, body, hash: as stored."""

# The length of the kind is in it, so that no byte can wander between kind and body.
_place = Struct(">qqqH").pack


class Broken(Exception):
    """The chain does not hold at this entry."""

    def __init__(self, seq: int, what: str) -> None:
        super().__init__(seq, what)
        self.seq, self.what = seq, what


@dataclass(frozen=True, slots=True)
class EpochStart:
    """Where an incarnation of the writer began: after which entry, and with which hash before it."""

    epoch: int
    after_seq: int
    after_hash: bytes


def origin(genesis: str, name: str) -> bytes:
    """What the first entry is chained to: a journal put under another name or engine does not verify."""
    return sha256(f"journal\n{genesis}\n{name}".encode()).digest()


def linked(before: bytes, seq: int, epoch: int, at_ns: int, kind: str, body: bytes) -> bytes:
    """The hash of one entry."""
    label = kind.encode()
    return sha256(before + _place(seq, epoch, at_ns, len(label)) + label + body).digest()


def chained(records: Sequence[Record], seq: int, epoch: int, at_ns: int, before: bytes) -> list[Row]:
    """The rows that follow entry `seq` with hash `before`."""
    rows: list[Row] = []
    for record in records:
        seq += 1
        before = linked(before, seq, epoch, at_ns, record.kind, record.body)
        rows.append((seq, epoch, at_ns, record.kind, record.body, before))
    return rows


class Walk:
    """Checks entries one after the other and says where the chain breaks."""

    __slots__ = ("_before", "_begun", "_epoch", "_epoch_ends", "_hashes", "_seq")

    def __init__(self, starts: Sequence[EpochStart], *, seq: int, epoch: int, before: bytes) -> None:
        """Begin after entry `seq`, of `epoch` and with hash `before`."""
        self._seq, self._before, self._epoch = seq, before, epoch
        self._begun: Mapping[int, int] = {start.epoch: start.after_seq for start in starts}
        self._hashes: Mapping[int, bytes] = {start.after_seq: start.after_hash for start in starts}
        self._epoch_ends = self._begun.get(epoch + 1)

    def admit(self, row: Row) -> Entry:
        """The entry, if it is the next one and unchanged."""
        seq, epoch, at_ns, kind, body, stored = row
        if seq != self._seq + 1:
            raise Broken(self._seq + 1, f"entry {seq} follows entry {self._seq}")
        if epoch != self._epoch:
            self._enter(seq, epoch)
        if self._epoch_ends is not None and seq > self._epoch_ends:
            raise Broken(seq, f"written by epoch {epoch} after epoch {epoch + 1} had begun")
        if linked(self._before, seq, epoch, at_ns, kind, body) != stored:
            raise Broken(seq, "its hash does not match its content and the entry before it")
        if self._hashes.get(seq, stored) != stored:
            raise Broken(seq, "an epoch began after it with another hash")
        self._seq, self._before = seq, stored
        return Entry(seq, epoch, at_ns, kind, body, stored)

    def _enter(self, seq: int, epoch: int) -> None:
        if epoch < self._epoch:
            raise Broken(seq, f"epoch goes back from {self._epoch} to {epoch}")
        begun = self._begun.get(epoch)
        if begun is None:
            raise Broken(seq, f"epoch {epoch} was never begun")
        if seq <= begun:
            raise Broken(seq, f"epoch {epoch} began after entry {begun} only")
        self._epoch = epoch
        self._epoch_ends = self._begun.get(epoch + 1)

    def finish(self, last_seq: int) -> None:
        """Nothing follows: was anything expected?"""
        if self._seq != last_seq:
            raise Broken(self._seq + 1, f"the entries end at {self._seq}, not at {last_seq}")


def check_epochs(starts: Sequence[EpochStart], last_seq: int, first_hash: bytes) -> None:
    """The epochs themselves: contiguous, in order, and none begun after an entry that is gone."""
    after, before = 0, first_hash
    for number, start in enumerate(starts, 1):
        if start.epoch != number:
            raise Broken(0, f"epoch {start.epoch} stands where epoch {number} belongs")
        if start.after_seq < after:
            raise Broken(start.after_seq, f"epoch {number} began before the epoch that it follows")
        if start.after_seq > last_seq:
            what = f"epoch {number} began after entry {start.after_seq}, but the entries end at {last_seq}"
            raise Broken(last_seq + 1, what)
        if start.after_seq == after and start.after_hash != before:
            raise Broken(after, f"epoch {number} began with another hash before it")
        after, before = start.after_seq, start.after_hash
