from __future__ import annotations

import fcntl
import pickle
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

import journal.sqlite
from journal import (
    Fenced,
    JournalDamaged,
    JournalError,
    JournalFailed,
    JournalLocked,
    JournalMissing,
    JournalVersion,
    Level,
    Record,
    list_journals,
    open_journal,
    read_journal,
    verify,
)
from journal.engine import read_genesis, take_genesis
from journal.lock import Lock


def opened(directory: Path, name: str = "owner") -> journal.sqlite.SqliteJournal:
    return open_journal(directory, name, level=Level.PROCESS, wait_s=0.02, wall_ns=lambda: 5)


def test_writers_that_race_for_the_genesis_agree(tmp_path: Path) -> None:
    gate, drawn = threading.Barrier(16), []

    def race() -> None:
        gate.wait()
        drawn.append(take_genesis(tmp_path))

    racers = [threading.Thread(target=race) for _ in range(16)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(drawn) == 16
    assert set(drawn) == {read_genesis(tmp_path)}


def test_two_directories_never_share_a_genesis(tmp_path: Path) -> None:
    assert take_genesis_in(tmp_path / "a") != take_genesis_in(tmp_path / "b")


def take_genesis_in(directory: Path) -> str:
    directory.mkdir()
    return take_genesis(directory)


def test_names_may_have_dots_and_are_listed(tmp_path: Path) -> None:
    for name in ("key_pool.kalshi", "key_pool.polymarket", "executor.0"):
        opened(tmp_path, name).close()
    assert list_journals(tmp_path) == ("executor.0", "key_pool.kalshi", "key_pool.polymarket")


@pytest.mark.parametrize("name", ["", "../owner", "a/b", ".hidden", "Owner", "x" * 101])
def test_a_name_that_could_leave_the_directory_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a journal"):
        opened(tmp_path, name)


def test_the_same_process_cannot_open_a_journal_twice(tmp_path: Path) -> None:
    first = opened(tmp_path)
    with pytest.raises(JournalLocked):
        opened(tmp_path)
    assert first.append([Record("opened", b"x")], 1) == 1
    first.close()
    opened(tmp_path).close()


def test_a_lock_file_that_was_removed_excludes_by_the_epoch(tmp_path: Path) -> None:
    first = opened(tmp_path)
    (tmp_path / "owner.lock").unlink()
    second = opened(tmp_path)
    assert second.append([Record("opened", b"second")], 1) == 1
    with pytest.raises(Fenced):
        first.append([Record("opened", b"first")], 1)
    assert list(first.read()) == [], "the past of this incarnation is not what its successor wrote"
    first.close()
    second.close()
    assert verify(tmp_path, "owner").sound


def test_a_lock_file_removed_at_the_last_moment_is_not_mistaken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, flock, stale = tmp_path / "owner.lock", fcntl.flock, [True]

    def late(fd: int, operation: int) -> None:
        if stale:
            stale.clear()
            path.unlink()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    lock = Lock.take(path, 1.0)
    with pytest.raises(JournalLocked):
        Lock.take(path, 0.0)
    lock.release()


def test_another_format_version_is_named_and_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "owner.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 2")
    for attempt in (opened, lambda path: list(read_journal(path, "owner")), lambda path: verify(path, "owner")):
        with pytest.raises(JournalVersion) as refusal:
            attempt(tmp_path)
        assert (refusal.value.path, refusal.value.found, refusal.value.expected) == (tmp_path / "owner.sqlite", 2, 1)
        assert "Run the version that wrote it" in str(refusal.value)


def test_an_engine_of_another_version_is_named(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text('{"version": 7, "genesis": "0badcafe"}')
    with pytest.raises(JournalVersion, match="has format version 7, this program writes 1"):
        opened(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"version": 1}', '{"version": 1, "genesis": "short"}', "[]"])
def test_an_unreadable_genesis_is_quarantined(tmp_path: Path, text: str) -> None:
    (tmp_path / "engine.json").write_text(text)
    with pytest.raises(JournalDamaged, match=r"genesis|cannot be read"):
        opened(tmp_path)


def test_a_refused_opening_leaves_the_lock_free(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "owner.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(JournalVersion):
        opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / "owner.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 1")
    opened(tmp_path).close()


def test_a_past_too_large_to_keep_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = opened(tmp_path)
    first.append([Record("opened", b"%d" % number) for number in range(700)], 1)
    first.close()
    monkeypatch.setattr(journal.sqlite, "REPLAY_BYTES_MAX", 10_000)
    second = opened(tmp_path)
    second.append([Record("opened", b"later")], 1)
    assert [int(entry.body) for entry in second.replay()] == list(range(700))
    second.close()


@pytest.mark.parametrize(
    "error",
    [
        JournalLocked(Path("a.lock"), 42, 10.0),
        JournalLocked(Path("a.lock"), 0, 10.0),
        JournalMissing(Path("a.sqlite")),
        JournalVersion(Path("a.sqlite"), 2, 1),
        JournalDamaged(Path("a.sqlite"), 57, "a gap"),
        JournalFailed("a.sqlite", "no space"),
        Fenced("a.sqlite", 1, 2),
    ],
)
def test_an_error_says_the_same_in_another_process(error: JournalError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert "a." in str(copy)
