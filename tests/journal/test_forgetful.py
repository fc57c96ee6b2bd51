from __future__ import annotations

from pathlib import Path

import pytest

from journal import ForgetfulJournal, JournalFailed, Level, Record, open_journal


def written(level: Level, appends: int = 10, synced_after: int = 0) -> ForgetfulJournal:
    """Appends of two entries each."""
    journal = ForgetfulJournal(level=level)
    for number in range(1, appends + 1):
        journal.append([Record("opened", b"%d" % number), Record("sent", b"%d" % number)], number)
        if number == synced_after:
            journal.sync()
    return journal


def found(journal: ForgetfulJournal) -> list[int]:
    return [int(entry.body) for entry in journal.reopen().replay()]


@pytest.mark.parametrize("level", Level)
def test_the_death_of_the_process_forgets_nothing(level: Level) -> None:
    journal = written(level)
    assert journal.crash() == 0
    assert len(found(journal)) == 20


def test_a_power_cut_forgets_nothing_that_was_synced_first() -> None:
    journal = written(Level.POWER)
    assert journal.crash(lose=1.0, tear=True, seed=1) == 0
    assert len(found(journal)) == 20


def test_a_power_cut_takes_only_whole_unsynced_appends_from_the_end() -> None:
    kept = set()
    for seed in range(200):
        journal = written(Level.PROCESS, synced_after=4)
        assert journal.synced_seq == 8
        forgotten = journal.crash(lose=0.3, tear=seed % 2 == 0, seed=seed)
        bodies = found(journal)
        assert bodies == [number for number in range(1, len(bodies) // 2 + 1) for _ in range(2)]
        assert 8 <= len(bodies) == 20 - forgotten
        kept.add(len(bodies))
    assert kept == {8, 10, 12, 14, 16, 18, 20}


def test_a_torn_append_is_forgotten_whole() -> None:
    journal = written(Level.PROCESS)
    assert journal.crash(tear=True) == 2
    assert found(journal)[-1] == 9


def test_the_same_seed_is_the_same_accident() -> None:
    accidents = [[written(Level.PROCESS).crash(lose=0.2, seed=seed) for seed in range(50)] for _ in range(2)]
    assert accidents[0] == accidents[1]
    assert len(set(accidents[0])) > 3


def test_after_a_crash_the_old_incarnation_is_dead_and_the_chain_goes_on() -> None:
    journal = written(Level.PROCESS)
    journal.crash(lose=1.0)
    with pytest.raises(JournalFailed, match="dead"):
        journal.append([Record("opened", b"x")], 1)
    heir = journal.reopen()
    assert (heir.epoch, heir.last_seq, heir.last_hash) == (2, 0, ForgetfulJournal().last_hash)
    heir.append([Record("opened", b"1")], 1)
    assert heir.crash() == 0
    assert found(heir) == [1]


def test_what_an_heir_found_is_not_forgotten_by_the_next_power_cut() -> None:
    journal = written(Level.PROCESS)
    journal.crash()
    heir = journal.reopen()
    assert heir.crash(lose=1.0, tear=True) == 0
    assert len(found(heir)) == 20


@pytest.mark.parametrize("landed", [True, False])
def test_a_broken_disk_refuses_and_may_or_may_not_have_the_append(landed: bool) -> None:
    journal = written(Level.POWER, appends=1)
    journal.break_disk(landed=landed)
    for _ in range(2):
        with pytest.raises(JournalFailed):
            journal.append([Record("opened", b"2")], 2)
    assert journal.last_seq == 2
    assert [int(entry.body) for entry in journal.read()] == [1, 1]
    assert journal.crash(lose=1.0) == 0
    assert found(journal) == ([1, 1, 2] if landed else [1, 1])


def test_it_makes_the_same_chain_as_the_real_one(tmp_path: Path) -> None:
    real = open_journal(tmp_path, "owner", level=Level.PROCESS, wall_ns=lambda: 0)
    imagined = ForgetfulJournal("owner", genesis=real.genesis)
    for journal in (real, imagined):
        journal.append([Record("opened", b"a"), Record("sent", b"b")], 3)
    assert list(real.read()) == list(imagined.read())
    real.close()
