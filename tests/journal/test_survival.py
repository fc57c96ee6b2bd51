"""Processes are killed for real here, each by its own id."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from pathlib import Path

import pytest

import journal.keeper
from journal import JournalFailed, JournalLocked, Level, Record, list_journals, open_journal, read_journal, verify
from tests.journal.contract import begin_epoch
from tests.journal.process import check_bodies, killed_after, writing


@pytest.mark.parametrize("level", Level)
def test_a_writer_killed_at_any_moment_loses_nothing_that_it_acknowledged(tmp_path: Path, level: Level) -> None:
    chance = random.Random(level)  # noqa: S311 - which moment, nothing more
    reached = 0
    for epoch in range(1, 7):
        with writing(tmp_path, "--level", level) as writer:
            writer.until(reached + chance.randrange(1, 400))
            time.sleep(chance.random() * 0.003)
            writer.kill()
        assert writer.epoch == epoch
        verdict = verify(tmp_path, "executor.0")
        assert verdict.sound, verdict.fault
        assert verdict.entries >= writer.acknowledged
        reached = verdict.entries
    with_all = list(read_journal(tmp_path, "executor.0"))
    check_bodies(with_all)
    owner = open_journal(tmp_path, "executor.0", level=level, wall_ns=time.time_ns)
    assert list(owner.replay()) == with_all
    owner.close()


@pytest.mark.parametrize("level", Level)
def test_a_full_disk_stops_the_journal_for_good_and_what_was_acknowledged_is_there(
    tmp_path: Path, level: Level
) -> None:
    with writing(tmp_path, "--level", level, "--file-bytes", str(5 << 20), "--size", "30000") as writer:
        said = writer.rest()
        writer.reap()
    assert said[-2:] == ["refused JournalFailed", "refused again"]
    entries = list(read_journal(tmp_path, "executor.0"))
    assert len(entries) >= writer.acknowledged > 0
    check_bodies(entries, 30000)


def test_a_second_engine_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    with writing(tmp_path, "--gap", "0.01") as writer:
        writer.until(1)
        with pytest.raises(JournalLocked) as refusal:
            open_journal(tmp_path, "executor.0", level=Level.PROCESS, wait_s=0.05, wall_ns=time.time_ns)
        assert refusal.value.holder == writer.pid
        assert refusal.value.path == tmp_path / "executor.0.lock"
        assert f"locked by process {writer.pid}" in str(refusal.value)
        writer.until(writer.acknowledged + 4)  # and the first one was not disturbed


def test_the_lock_of_a_dying_process_is_waited_for(tmp_path: Path) -> None:
    with writing(tmp_path, "--gap", "0.01", "--appends", "20") as writer:
        writer.until(1)
        owner = open_journal(tmp_path, "executor.0", level=Level.PROCESS, wall_ns=time.time_ns)
        assert owner.epoch == 2
        assert owner.last_seq == 50
        owner.close()


def test_a_stopped_process_keeps_its_lock_and_is_fenced_by_the_epoch_when_it_wakes(tmp_path: Path) -> None:
    with writing(tmp_path, "--gap", "0.001") as writer:
        writer.until(20)
        writer.send(signal.SIGSTOP)
        os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(JournalLocked):
            open_journal(tmp_path, "executor.0", level=Level.PROCESS, wait_s=0.02, wall_ns=time.time_ns)
        begin_epoch(tmp_path / "executor.0.sqlite")
        stood = verify(tmp_path, "executor.0").entries
        writer.send(signal.SIGCONT)
        assert writer.rest()[-1] == "refused Fenced"
        writer.reap()
    after = verify(tmp_path, "executor.0")
    assert after.sound, after.fault
    assert (after.entries, after.epoch) == (stood, 2)


def test_two_engines_that_begin_at_once_agree_on_the_genesis(tmp_path: Path) -> None:
    names = [f"key_pool.{number}" for number in range(4)]
    with (
        writing(tmp_path, "--name", names[0]) as a,
        writing(tmp_path, "--name", names[1]) as b,
        writing(tmp_path, "--name", names[2]) as c,
        writing(tmp_path, "--name", names[3]) as d,
    ):
        drawn = {writer.until(1).genesis for writer in (a, b, c, d)}
    assert len(drawn) == 1
    assert list_journals(tmp_path) == tuple(names)
    assert not list(tmp_path.glob(".engine*"))


def test_a_failed_sync_is_never_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = open_journal(tmp_path, "owner", level=Level.PROCESS, wall_ns=lambda: 0)
    owner.append([Record("opened", b"synced")], 1)
    owner.sync()
    tried = 0

    def broken(fd: int) -> None:
        nonlocal tried
        tried += 1
        _fails(fd)

    monkeypatch.setattr(os, "fdatasync", broken)
    owner.append([Record("opened", b"acknowledged at this level, then lost or not")], 1)
    deadline = time.monotonic() + 10
    while not tried and time.monotonic() < deadline:
        time.sleep(0.005)
    monkeypatch.undo()
    for _ in range(3):
        with pytest.raises(JournalFailed, match="never tried again"):
            owner.append([Record("opened", b"refused")], 2)
    with pytest.raises(JournalFailed):
        owner.sync()
    assert [entry.seq for entry in owner.read()] == [1, 2]
    log = (tmp_path / "owner.sqlite-wal").read_bytes()
    owner.close()
    assert tried == 1
    assert (tmp_path / "owner.sqlite-wal").read_bytes() == log, "closing must not checkpoint what may not be on disk"


def test_a_sync_that_the_writer_asked_for_and_that_failed_is_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal.keeper, "TICK_S", 60.0)  # nobody but the writer syncs
    owner = open_journal(tmp_path, "owner", level=Level.PROCESS, wall_ns=lambda: 0)
    owner.append([Record("opened", b"x")], 1)
    assert owner.synced_seq == 0
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", _fails)
        with pytest.raises(JournalFailed, match="Input/output error"):
            owner.sync()
    for refused in (owner.sync, lambda: owner.append([Record("opened", b"y")], 1)):
        with pytest.raises(JournalFailed, match="never tried again"):
            refused()
    assert owner.synced_seq == 0
    owner.close()


def _fails(fd: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_quiet_process_level_journal_is_on_disk_soon(tmp_path: Path) -> None:
    owner = open_journal(tmp_path, "owner", level=Level.PROCESS, wall_ns=lambda: 0)
    owner.append([Record("opened", b"x")], 1)
    deadline = time.monotonic() + 10  # generous: the promise of 50 ms is measured, not tested
    while owner.synced_seq < 1 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert owner.synced_seq == 1
    owner.close()


def test_a_killed_writers_log_is_replayed_by_the_next(tmp_path: Path) -> None:
    writer = killed_after(tmp_path, 8)
    assert (tmp_path / "executor.0.sqlite-wal").stat().st_size > 0
    owner = open_journal(tmp_path, "executor.0", level=Level.POWER, wall_ns=lambda: 0)
    assert owner.last_seq == writer.acknowledged == 20
    owner.close()
    assert not (tmp_path / "executor.0.sqlite-wal").exists(), "a sound journal leaves one file"
