from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

import journal.keeper
from journal import JournalMissing, Level, Record, SqliteJournal, open_journal, read_journal, verify
from tests.journal.process import check_bodies, writing


def opened(directory: Path, level: Level = Level.PROCESS) -> SqliteJournal:
    return open_journal(directory, "owner", level=level, wall_ns=lambda: 5)


def numbered(first: int, last: int) -> list[Record]:
    return [Record("fill", b"%d" % number) for number in range(first, last + 1)]


def test_a_reader_follows_a_live_writer(tmp_path: Path) -> None:
    owner = opened(tmp_path)
    owner.append(numbered(1, 3), 1)
    seen = [int(entry.body) for entry in read_journal(tmp_path, "owner")]
    owner.append(numbered(4, 5), 1)
    seen += [int(entry.body) for entry in read_journal(tmp_path, "owner", after=seen[-1])]
    assert seen == [1, 2, 3, 4, 5]
    assert list(read_journal(tmp_path, "owner", after=5)) == []
    owner.close()


def test_a_reader_that_stops_halfway_does_not_pin_the_log(tmp_path: Path) -> None:
    owner = opened(tmp_path)
    owner.append(numbered(1, 1000), 1)
    reader = read_journal(tmp_path, "owner")
    assert next(reader).body == b"1"
    owner.append(numbered(1001, 1010), 1)
    with closing(sqlite3.connect(tmp_path / "owner.sqlite", isolation_level=None)) as connection:
        _, frames, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert frames == moved > 0
    assert [int(entry.body) for entry in reader] == list(range(2, 1001))
    owner.close()


def test_a_journal_is_sound_while_it_is_being_written(tmp_path: Path) -> None:
    with writing(tmp_path, "--name", "owner") as writer:
        writer.until(1)
        seen = []
        for _ in range(10):
            verdict = verify(tmp_path, "owner")
            assert verdict.sound, verdict.fault
            seen.append(verdict.entries)
            writer.until(writer.acknowledged + 50)
        check_bodies(list(read_journal(tmp_path, "owner")))
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]


def test_a_verdict_names_the_past(tmp_path: Path) -> None:
    owner = opened(tmp_path)
    owner.append(numbered(1, 7), 1)
    verdict = verify(tmp_path, "owner")
    assert (verdict.name, verdict.genesis, verdict.entries, verdict.epoch) == ("owner", owner.genesis, 7, 1)
    assert verdict.last_hash == owner.last_hash
    owner.close()


def test_a_journal_that_never_was_cannot_be_read(tmp_path: Path) -> None:
    opened(tmp_path).close()
    for look in (lambda: list(read_journal(tmp_path, "nobody")), lambda: verify(tmp_path, "nobody")):
        with pytest.raises(JournalMissing, match="Check the directory and the name"):
            look()


@pytest.mark.parametrize("level", Level)
def test_the_log_starts_again_beside_a_busy_writer(
    tmp_path: Path, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As often as possible, so that every meeting of append, checkpoint and reset takes place.
    monkeypatch.setattr(journal.keeper, "TICK_S", 0.0005)
    monkeypatch.setattr(journal.keeper, "WAL_BYTES_SOFT", 0)
    monkeypatch.setattr(journal.keeper, "WAL_BYTES_HARD", 64 << 10)
    owner = opened(tmp_path, level)
    restarts, before, deadline = 0, b"", time.monotonic() + 30  # a slow disk makes it longer, not different
    while restarts < 30 and time.monotonic() < deadline:
        owner.append([Record("fill", bytes(600))] * 3, 1)
        with (tmp_path / "owner.sqlite-wal").open("rb") as log:
            salts = log.read(24)[16:]
        restarts += salts != before
        before = salts
    assert restarts == 30
    owner.close()
    verdict = verify(tmp_path, "owner")
    assert verdict.sound, verdict.fault
    assert verdict.entries == owner.last_seq
