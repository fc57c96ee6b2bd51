"""An actor's journal in messages: what is remembered is recalled, and after a failure nothing is remembered any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.clock import HandClock
from actors.memory import Memory
from journal.errors import JournalError, JournalLocked
from journal.port import RECORDS_MAX
from messages.base import Message, UnknownMessage
from messages.control import Halt, Resume
from messages.trades import CursorMoved
from tests.actors.stage import START, place

FACTS: tuple[Message, ...] = (
    Halt(by="me", why="lunch"),
    CursorMoved(venue="kalshi", cursor="12"),
    Resume(by="me", why=""),
)


def memory(directory: Path) -> Memory:
    return Memory(place("executor", directory), HandClock(START), "process", wait_s=0.1)


def recalled(one: Memory) -> list[tuple[int, Message]]:
    found: list[tuple[int, Message]] = []
    assert one.recall(lambda seq, fact: found.append((seq, fact))) == len(found)
    return found


def test_what_was_remembered_is_recalled_in_order_by_the_next_incarnation(tmp_path: Path) -> None:
    first = memory(tmp_path)
    assert recalled(first) == []
    assert first.remember(FACTS[:2]) == 2
    assert first.remember(FACTS[2:]) == first.seq == 3
    first.close()
    second = memory(tmp_path)
    assert recalled(second) == list(enumerate(FACTS, 1))
    assert (second.epoch, second.genesis) == (first.epoch + 1, first.genesis)
    second.close()


def test_there_is_one_writer(tmp_path: Path) -> None:
    first = memory(tmp_path)
    with pytest.raises(JournalLocked, match="Another engine runs in this directory"):
        memory(tmp_path)
    first.close()
    memory(tmp_path).close()


def test_after_a_failure_nothing_is_remembered(tmp_path: Path) -> None:
    """Whoever called has folded already what is not in the journal: any later record would lie about the state."""
    one = memory(tmp_path)
    one.remember(FACTS[:1])
    with pytest.raises(ValueError, match="records in one append"):
        one.remember(FACTS[:1] * (RECORDS_MAX + 1))
    with pytest.raises(ValueError, match="records in one append"):
        one.remember(FACTS[1:2])
    one.close()
    again = memory(tmp_path)
    assert [fact for _, fact in recalled(again)] == [FACTS[0]]
    again.close()


def test_a_closed_memory_takes_nothing(tmp_path: Path) -> None:
    one = memory(tmp_path)
    one.close()
    with pytest.raises(JournalError, match="closed"):
        one.remember(FACTS)


def test_a_record_of_a_newer_version_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = memory(tmp_path)
    one.remember(FACTS)
    one.close()
    monkeypatch.delitem(Message.registry, "CursorMoved")
    again = memory(tmp_path)
    with pytest.raises(UnknownMessage, match="newer version"):
        recalled(again)
    again.close()
