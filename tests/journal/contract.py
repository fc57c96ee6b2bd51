"""What every journal promises, whatever keeps it. A new kind of journal joins by a rig of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

import pytest

from journal import Fenced, ForgetfulJournal, Journal, JournalFailed, Level, Record, open_journal
from journal.chain import linked, origin
from journal.port import BODY_BYTES_MAX, RECORDS_MAX


class Rig(Protocol):
    """How to bring one kind of journal into the situations of the contract."""

    level: Level

    def open(self) -> Journal:
        """The next incarnation; the one before is closed."""

    def fence(self) -> None:
        """Let a newer incarnation begin while one is open."""

    def done(self) -> None:
        """Close what is open."""


class SqliteRig:
    def __init__(self, directory: Path, level: Level) -> None:
        self.level, self._directory = level, directory
        self._opened: list[Journal] = []

    def open(self) -> Journal:
        journal = open_journal(self._directory, "executor.0", level=self.level, wall_ns=lambda: 7)
        self._opened.append(journal)
        return journal

    def fence(self) -> None:
        begin_epoch(self._directory / "executor.0.sqlite")

    def done(self) -> None:
        for journal in self._opened:
            journal.close()


class ForgetfulRig:
    def __init__(self, level: Level) -> None:
        self.level = level
        self._journal: ForgetfulJournal | None = None

    def open(self) -> Journal:
        if self._journal is None:
            self._journal = ForgetfulJournal("executor.0", level=self.level)
        else:
            self._journal = self._journal.reopen()
        return self._journal

    def fence(self) -> None:
        assert self._journal is not None
        self._journal.reopen()

    def done(self) -> None:
        pass


def begin_epoch(path: Path) -> None:
    """What another machine would do after the lease has ended: begin the next epoch without our lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "INSERT INTO epochs SELECT (SELECT max(epoch) + 1 FROM epochs), 0, 0, seq, hash"
            " FROM entries ORDER BY seq DESC LIMIT 1"
        )


def records(*bodies: bytes) -> list[Record]:
    return [Record("opened", body) for body in bodies]


def bodies(journal: Journal, after: int = 0) -> list[bytes]:
    return [entry.body for entry in journal.read(after)]


class JournalContract:
    def test_what_goes_in_comes_out_in_order(self, rig: Rig) -> None:
        journal = rig.open()
        assert journal.append([Record("opened", b"\x00\xff"), Record("größe", b"")], 11) == 2
        assert journal.append(records(b"three"), -5) == 3
        seen = [(entry.seq, entry.epoch, entry.at_ns, entry.kind, entry.body) for entry in journal.read()]
        assert seen == [(1, 1, 11, "opened", b"\x00\xff"), (2, 1, 11, "größe", b""), (3, 1, -5, "opened", b"three")]
        assert journal.last_seq == 3

    def test_each_entry_is_chained_to_the_one_before_and_the_first_to_the_genesis(self, rig: Rig) -> None:
        journal = rig.open()
        journal.append(records(b"a", b"b"), 1)
        journal.append(records(b"c"), 2)
        before = origin(journal.genesis, journal.name)
        for entry in journal.read():
            before = linked(before, entry.seq, entry.epoch, entry.at_ns, entry.kind, entry.body)
            assert entry.hash == before
        assert journal.last_hash == before

    def test_an_empty_journal_says_so(self, rig: Rig) -> None:
        journal = rig.open()
        assert (journal.last_seq, journal.last_hash) == (0, origin(journal.genesis, journal.name))
        assert bodies(journal) == []

    def test_reading_begins_after_the_entry_that_was_named(self, rig: Rig) -> None:
        journal = rig.open()
        journal.append(records(b"a", b"b", b"c"), 1)
        assert bodies(journal, after=2) == [b"c"]
        assert bodies(journal, after=3) == bodies(journal, after=99) == []

    def test_appending_nothing_changes_nothing(self, rig: Rig) -> None:
        journal = rig.open()
        journal.append(records(b"a"), 1)
        before = journal.last_hash
        assert journal.append([], 2) == 1
        assert journal.last_hash == before

    def test_a_large_append_is_whole(self, rig: Rig) -> None:
        journal = rig.open()
        journal.append(records(*(b"%d" % number for number in range(RECORDS_MAX))), 1)
        assert bodies(journal) == [b"%d" % number for number in range(RECORDS_MAX)]

    def test_what_breaks_a_bound_is_refused_whole_and_the_journal_goes_on(self, rig: Rig) -> None:
        journal = rig.open()
        with pytest.raises(ValueError, match="at most"):
            journal.append(records(b"good", bytes(BODY_BYTES_MAX + 1)), 1)
        with pytest.raises(ValueError, match="at most"):
            journal.append(records(b"x") * (RECORDS_MAX + 1), 1)
        assert journal.append(records(b"next"), 1) == 1

    def test_appending_while_reading_neither_blocks_nor_shows(self, rig: Rig) -> None:
        journal = rig.open()
        journal.append(records(b"a", b"b"), 1)
        seen = []
        for entry in journal.read():
            seen.append(entry.body)
            journal.append(records(b"later"), 2)
        assert seen == [b"a", b"b"]
        assert journal.last_seq == 4

    def test_each_incarnation_has_the_next_epoch_and_the_same_genesis(self, rig: Rig) -> None:
        seen = []
        for _ in range(3):
            journal = rig.open()
            journal.append(records(b"x"), 1)
            seen.append((journal.epoch, journal.genesis, journal.last_seq))
            journal.close()
        genesis = seen[0][1]
        assert seen == [(1, genesis, 1), (2, genesis, 2), (3, genesis, 3)]
        assert [entry.epoch for entry in rig.open().read()] == [1, 2, 3]

    def test_an_incarnation_that_wrote_nothing_still_used_up_its_epoch(self, rig: Rig) -> None:
        for _ in range(3):
            rig.open().close()
        assert rig.open().epoch == 4

    def test_the_replay_is_the_past_of_this_incarnation_as_often_as_asked(self, rig: Rig) -> None:
        first = rig.open()
        first.append(records(b"a", b"b"), 1)
        assert list(first.replay()) == []
        first.close()
        second = rig.open()
        second.append(records(b"c"), 1)
        assert [entry.body for entry in second.replay()] == [b"a", b"b"]
        assert [entry.body for entry in second.replay()] == [b"a", b"b"]
        assert bodies(second) == [b"a", b"b", b"c"]

    def test_a_fenced_writer_appends_nothing_any_more_and_still_reads_its_own(self, rig: Rig) -> None:
        journal = rig.open()
        journal.append(records(b"mine"), 1)
        rig.fence()
        for _ in range(2):
            with pytest.raises(Fenced, match="epoch 2; epoch 1 may not append"):
                journal.append(records(b"late", b"later"), 2)
        assert bodies(journal) == [b"mine"]
        assert journal.last_seq == 1
        journal.close()
        heir = rig.open()
        assert heir.epoch == 3
        assert bodies(heir) == [b"mine"]

    def test_after_a_sync_everything_is_safe(self, rig: Rig) -> None:
        journal = rig.open()
        journal.append(records(b"a"), 1)
        if rig.level is Level.POWER:
            assert journal.synced_seq == 1
        journal.append(records(b"b"), 1)
        journal.sync()
        assert journal.synced_seq == 2

    def test_a_closed_journal_takes_nothing_and_may_be_closed_again(self, rig: Rig) -> None:
        journal = rig.open()
        journal.append(records(b"a"), 1)
        journal.close()
        journal.close()
        with pytest.raises(JournalFailed, match="closed"):
            journal.append(records(b"b"), 1)
        with pytest.raises(JournalFailed, match="closed"):
            journal.sync()
        assert bodies(rig.open()) == [b"a"]
