"""The command: what it prints, how it ends, and what it says of what it cannot read."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from console.exits import Exit
from console.proof.judge import Proof
from console.prove import main, prove, sentence
from journal import Level, Record, open_journal
from tests.console.test_prove_world import KALSHI, START, World, hedged, reposted


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.begin(tmp_path)
    hedged(world)
    reposted(world)
    world.end()
    return world


def test_everything_is_equal(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(world.directory / "journal", world.file, as_json=False) == Exit.OK
    said = capsys.readouterr().out
    assert "19990.36" in said
    told = " ".join(said.split())
    assert "4 orders at 2 venues, 0 accepted twice, 0 sent twice, 1 repeat as a journaled look-up" in told
    assert "equal to the micro-dollar; replay gives the same state (1 of 1 hashes)." in told


def test_something_differs(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.account(KALSHI)["cash"] -= 1
    world.account(KALSHI)["positions"]["g1-kalshi"]["yes"] -= 1_000_000
    assert main(world.directory / "journal", world.file, as_json=False) == Exit.EXPOSED
    told = " ".join(capsys.readouterr().out.split())
    assert "I4 cash kalshi: cash" in told
    assert "kalshi g1-kalshi yes: 10 ours, 9 theirs" in told
    assert "the books do NOT agree" in told


def test_one_document(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(world.directory / "journal", world.file, as_json=True) == Exit.OK
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert document["reconciled"] is document["replay_equal"] is True
    assert (document["residual_excess"], document["residual_excess_contracts"]) == (0, "0")
    assert document["venues"][KALSHI]["cash"]["difference"] == 0
    assert document["violations"] == []
    assert [sheet["name"] for sheet in document["journals"]] == ["executor", "position_book"]
    world.account(KALSHI)["cash"] -= 1
    assert main(world.directory / "journal", world.file, as_json=True) == Exit.EXPOSED
    (violation,) = json.loads(capsys.readouterr().out)["violations"]
    assert set(violation) == {"invariant", "what", "text"}


def test_many_violations_of_one_kind_are_cut_in_the_table_only(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(25):
        world.account(KALSHI)["positions"][f"m{number}"] = {"yes": 1, "no": 0}
    assert main(world.directory / "journal", world.file) == Exit.EXPOSED
    assert "5 more" in capsys.readouterr().out
    assert len(world.prove().violations) == 25


def test_the_sentence_is_honest_about_one() -> None:
    assert sentence(Proof([]).to_dict()).startswith("0 orders at 0 venues")


Spoil = Callable[[World], tuple[Path, Path]]


def no_ledgers(world: World) -> tuple[Path, Path]:
    return world.directory / "journal", world.directory / "nothing.json"


def no_json(world: World) -> tuple[Path, Path]:
    world.file.write_text('{"venues": ')
    return world.directory / "journal", world.directory / "ledgers.json"


def no_integer(world: World) -> tuple[Path, Path]:
    world.account(KALSHI)["cash"] = "12.50"
    return world.directory / "journal", world.file


def no_venue(world: World) -> tuple[Path, Path]:
    del world.ledgers[KALSHI]
    return world.directory / "journal", world.file


def no_journal(world: World) -> tuple[Path, Path]:
    empty = world.directory / "empty"
    empty.mkdir()
    return empty, world.file


def gone_journal(world: World) -> tuple[Path, Path]:
    (world.directory / "journal" / "position_book.sqlite").unlink()
    return world.directory / "journal", world.file


def cut_journal(world: World) -> tuple[Path, Path]:
    with closing(sqlite3.connect(world.directory / "journal" / "executor.sqlite")) as connection:
        connection.execute("DELETE FROM entries WHERE seq > 4")
        connection.commit()
    return world.directory / "journal", world.file


def other_version(world: World) -> tuple[Path, Path]:
    with closing(sqlite3.connect(world.directory / "journal" / "executor.sqlite")) as connection:
        connection.execute("PRAGMA user_version=2")
    return world.directory / "journal", world.file


def newer_record(world: World) -> tuple[Path, Path]:
    book = open_journal(world.directory / "journal", "position_book", level=Level.PROCESS, wall_ns=lambda: START)
    book.append([Record("Teleported", b"{}")], START)
    book.close()
    return world.directory / "journal", world.file


def no_genesis(world: World) -> tuple[Path, Path]:
    (world.directory / "journal" / "engine.json").unlink()
    return world.directory / "journal", world.file


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (no_ledgers, ("nothing.json does not exist", "Give the ledgers.json")),
        (no_json, ("ledgers.json is not a file of ledgers", "Give the ledgers.json")),
        (no_integer, ("Expected `int`, got `str`", "$.venues[...].accounts[...].cash")),
        (no_venue, ("says nothing of kalshi",)),
        (no_journal, ("holds no journal of an executor",)),
        (gone_journal, ("position_book.sqlite is damaged", "Copy the whole directory away")),
        (cut_journal, ("executor.sqlite is damaged",)),
        (other_version, ("has format version 2", "Run the version that wrote it")),
        (newer_record, ("no message is called 'Teleported'", "Prove it with the version that wrote it")),
        (no_genesis, ("engine.json is damaged",)),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_what_cannot_be_read(
    world: World, spoil: Spoil, says: tuple[str, ...], as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    journal, ledgers = spoil(world)
    assert main(journal, ledgers, as_json=as_json) == Exit.CONFIGURATION
    captured = capsys.readouterr()
    for text in says:
        assert text in captured.err
    if as_json:
        assert json.loads(captured.out)["error"] == "unreadable"
    else:
        assert captured.out == ""


def test_a_copy_elsewhere_proves_the_same(world: World, tmp_path: Path) -> None:
    ledgers = world.file
    before = world.prove().to_dict()
    shutil.move(world.directory / "journal", tmp_path / "a folder with spaces")
    assert prove(tmp_path / "a folder with spaces", ledgers).to_dict() == before
