"""The recovery table, one test per row, named after it. Row F is in the contract, row H belongs to the caller.

What is damaged here was written by a process that is dead: nothing in this process may touch a database file that is
open in it.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from journal import Entry, JournalDamaged, Level, open_journal, read_journal, verify
from tests.journal.process import check_bodies, killed_after

NAME = "executor.0"
FRAME = 24 + 4096


def reopened(directory: Path) -> list[Entry]:
    """What the next incarnation finds."""
    journal = open_journal(directory, NAME, level=Level.PROCESS, wall_ns=lambda: 0)
    try:
        return list(journal.replay())
    finally:
        journal.close()


def quarantined(directory: Path, what: str) -> JournalDamaged:
    """Refused, twice, the same way, by the writer and by the check; and no byte of it was changed."""
    before = state(directory)
    with pytest.raises(JournalDamaged, match=what) as damage:
        reopened(directory)
    with pytest.raises(JournalDamaged, match=what):
        reopened(directory)
    assert state(directory) == before
    verdict = verify(directory, NAME)
    assert not verdict.sound
    assert what in verdict.fault
    assert "Nothing was changed" in str(damage.value)
    return damage.value


def state(directory: Path) -> dict[str, bytes]:
    kept = (path for path in directory.iterdir() if path.suffix in {".sqlite", ".sqlite-wal", ".json"})
    return {path.name: path.read_bytes() for path in kept if path.stat().st_size}


def marked(directory: Path, seq: int) -> None:
    """Say that this much was known to be on disk."""
    text = json.dumps({"pid": 1, "epoch": 1, "seq": seq})
    (directory / f"{NAME}.lock").write_text(text.ljust(95) + "\n")


def log(directory: Path) -> Path:
    return directory / f"{NAME}.sqlite-wal"


def frames(directory: Path) -> int:
    """How many frames of the log belong to it; behind them are the zeros that were written ahead."""
    raw = log(directory).read_bytes()
    count = 0
    while raw[32 + count * FRAME + 8 :][:8] == raw[16:24]:
        count += 1
    return count


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0x40
    path.write_bytes(raw)


def change(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / f"{NAME}.sqlite", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """40 appends of one to four entries, 100 in all, in the log of a killed process."""
    directory = tmp_path / "killed"
    killed_after(directory, 40)
    return directory


@pytest.fixture
def rested(killed: Path) -> Path:
    """The same, moved out of the log by an incarnation that closed it."""
    assert len(reopened(killed)) == 100
    assert not log(killed).exists()
    return killed


def test_row_a_whole_and_contiguous_is_replayed(killed: Path) -> None:
    entries = reopened(killed)
    assert len(entries) == 100
    check_bodies(entries)


def test_row_b_a_torn_tail_is_cut_to_the_last_whole_append(killed: Path, tmp_path: Path) -> None:
    marked(killed, 90)
    end = 32 + frames(killed) * FRAME
    boundaries = {sum(1 + number % 4 for number in range(appends)) for appends in range(41)}
    found = []
    for cut in (1, 24, 2000, FRAME, FRAME + 1, 2 * FRAME - 1, 3 * FRAME, 5 * FRAME + 7):
        torn = tmp_path / f"torn-{cut}"
        shutil.copytree(killed, torn)
        with log(torn).open("r+b") as file:
            file.truncate(end - cut)
        entries = reopened(torn)
        check_bodies(entries)
        found.append(len(entries))
    assert set(found) <= boundaries
    assert found == sorted(found, reverse=True)
    assert 90 <= found[-1] < found[0] < 100


def test_row_b_a_tail_of_garbage_is_cut_too(killed: Path) -> None:
    marked(killed, 90)
    flip(log(killed), 32 + frames(killed) * FRAME - 100)
    entries = reopened(killed)
    check_bodies(entries)
    assert 90 <= len(entries) < 100


def test_row_c_zeros_to_the_end_of_the_log_are_space_written_ahead(killed: Path) -> None:
    raw = log(killed).read_bytes()
    assert raw.endswith(bytes(FRAME))
    log(killed).write_bytes(raw + bytes(1 << 20))
    assert len(reopened(killed)) == 100


def test_row_d_a_flipped_byte_in_the_middle_of_the_database(rested: Path) -> None:
    database = rested / f"{NAME}.sqlite"
    flip(database, database.read_bytes().index(b"entry 57.") + 300)
    assert quarantined(rested, "its hash does not match").seq == 57


def test_row_d_a_page_of_rubbish_in_the_middle_of_the_database(rested: Path) -> None:
    database = rested / f"{NAME}.sqlite"
    raw = database.read_bytes()
    page = raw.index(b"entry 57.") // 4096 * 4096
    database.write_bytes(raw[:page] + b"\xa5" * 4096 + raw[page + 4096 :])
    quarantined(rested, "malformed")


def test_row_d_a_flipped_byte_in_the_middle_of_the_log(killed: Path) -> None:
    # SQLite alone would end the log there in silence, and forget whole, acknowledged appends behind it.
    marked(killed, 100)
    flip(log(killed), log(killed).read_bytes().index(b"entry 57.") + 300)
    quarantined(killed, "but 100 were on disk")


def test_row_e_a_gap(rested: Path) -> None:
    change(rested, "DELETE FROM entries WHERE seq = 42")
    assert quarantined(rested, "entry 43 follows entry 41").seq == 42


def test_row_e_a_repeat(rested: Path) -> None:
    change(
        rested,
        "CREATE TABLE copy AS SELECT * FROM entries UNION ALL SELECT * FROM entries WHERE seq = 42",
        "DROP TABLE entries",
        "ALTER TABLE copy RENAME TO entries",
    )
    assert quarantined(rested, "entry 42 follows entry 42").seq == 43


def test_row_e_an_epoch_that_goes_back(rested: Path) -> None:
    change(rested, "UPDATE entries SET epoch = 0 WHERE seq = 42")
    assert quarantined(rested, "epoch goes back from 1 to 0").seq == 42


def test_row_e_an_epoch_that_never_began(rested: Path) -> None:
    change(rested, "UPDATE entries SET epoch = 9 WHERE seq = 42")
    assert quarantined(rested, "epoch 9 was never begun").seq == 42


def test_row_e_an_entry_of_an_epoch_that_had_ended(rested: Path) -> None:
    # What an old writer would leave if nothing fenced it.
    change(
        rested,
        "UPDATE epochs SET after_seq = 99, after_hash = (SELECT hash FROM entries WHERE seq = 99) WHERE epoch = 2",
    )
    assert quarantined(rested, "after epoch 2 had begun").seq == 100


def test_row_e_an_entry_of_an_epoch_that_had_not_begun(rested: Path) -> None:
    change(rested, "UPDATE entries SET epoch = 2 WHERE seq = 42")
    assert quarantined(rested, "epoch 2 began after entry 100 only").seq == 42


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE epochs SET after_hash = zeroblob(32) WHERE epoch = 1", "epoch 1 began with another hash before it"),
        ("UPDATE epochs SET after_hash = zeroblob(32) WHERE epoch = 2", "an epoch began after it with another hash"),
        ("UPDATE epochs SET after_seq = 120 - 20 * epoch", "epoch 2 began before the epoch that it follows"),
        ("UPDATE epochs SET after_seq = 101 WHERE epoch = 2", "the entries end at 100"),
        ("DELETE FROM meta", "not journal"),
        ("DROP TABLE epochs", "no such table"),
    ],
)
def test_row_e_epochs_that_do_not_fit_the_entries(rested: Path, statement: str, what: str) -> None:
    change(rested, statement)
    quarantined(rested, what)


def test_row_e_an_epoch_removed(rested: Path) -> None:
    change(rested, "DELETE FROM epochs WHERE epoch = 1")
    quarantined(rested, "epoch 2 stands where epoch 1 belongs")


def test_row_e_a_tail_removed(rested: Path) -> None:
    change(rested, "DELETE FROM entries WHERE seq > 95")
    assert quarantined(rested, "the entries end at 95").seq == 96


def test_row_g_a_missing_file_that_had_lived(rested: Path) -> None:
    (rested / f"{NAME}.sqlite").unlink()
    quarantined(rested, "it is missing or empty, but reached epoch 2")


def test_row_g_a_file_cut_to_nothing(rested: Path) -> None:
    (rested / f"{NAME}.sqlite").write_bytes(b"")
    quarantined(rested, "it is missing or empty, but reached epoch 2")


def test_row_g_an_old_copy_put_back(killed: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    reopened(killed)
    shutil.copy(killed / f"{NAME}.sqlite", old)
    killed_after(killed, 4)
    reopened(killed)
    shutil.copy(old, killed / f"{NAME}.sqlite")
    quarantined(killed, "but epoch 4 was on disk")


def test_row_g_a_log_that_was_deleted(killed: Path) -> None:
    marked(killed, 60)
    log(killed).unlink()
    (killed / f"{NAME}.sqlite-shm").unlink()
    quarantined(killed, "on disk")


def test_row_g_a_missing_genesis_is_not_drawn_again_beside_journals(rested: Path) -> None:
    (rested / "engine.json").unlink()
    with pytest.raises(JournalDamaged, match="it is missing, yet there are journals here"):
        reopened(rested)
    assert not (rested / "engine.json").exists()


def test_a_journal_under_another_name_is_not_this_one(rested: Path) -> None:
    (rested / f"{NAME}.sqlite").rename(rested / "executor.1.sqlite")
    with pytest.raises(JournalDamaged, match=r"not journal 'executor\.1'"):
        list(read_journal(rested, "executor.1"))


def test_a_creation_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.sqlite").write_bytes(b"")
    (tmp_path / f"{NAME}.lock").write_bytes(b"")
    (tmp_path / "engine.json").write_text('{"version": 1, "genesis": "0badcafe"}')
    assert reopened(tmp_path) == []
    assert verify(tmp_path, NAME).sound


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "engine.json").write_text('{"version": 1, "genesis": "0badcafe"}')
    (tmp_path / f"{NAME}.sqlite").write_bytes(b"something else entirely" * 100)
    quarantined(tmp_path, "file is not a database")
