"""The format itself: what is read is what is written, and what a simulation writes can be run."""

from __future__ import annotations

import pytest

from tests.core.story import START, Unreadable, event_of, facts, parse, play, story, told

EXAMPLE = """
given  b.late_arrival 3s, loss_budget $5
0s    opened 10                | submit a 10, submit b 10
0.1s  ended a 10               |
1s    lost b timeout           | look up b
5s    absent b                 | ask quotes
5s    quoted a 48/50 b -/-     | submit a.unwind 10 @48
5.1s  ended a.unwind 10        |
=> flat, excess 0
"""


def test_the_example_of_the_format_holds() -> None:
    story(EXAMPLE)


def test_a_story_reads_back_as_it_was_written() -> None:
    once = parse(EXAMPLE)
    assert parse(str(once)) == once


def test_a_told_story_runs_to_the_same_trade() -> None:
    trade = None
    events = []
    read = parse(EXAMPLE)
    for line in read.lines:
        event = event_of(line, read.given, trade)
        trade, _ = play(trade, event)
        events.append(event)
    written = str(told(events))
    again = story(written)
    assert trade == again
    assert str(parse(written)) == written
    assert "given  loss_budget $5.00, b.late_arrival 3s" in written


def test_a_wrong_command_is_shown_beside_the_right_one() -> None:
    with pytest.raises(AssertionError, match=r"expected: submit a 10\n  but did:  submit a buy 10 @50 ioc, submit b"):
        story("0s opened 10 | submit a 10\n=> open")


def test_a_wrong_end_is_shown_beside_the_facts() -> None:
    with pytest.raises(AssertionError, match=r"not so at the end: flat\n  but: open, nets 0/0"):
        story("0s opened 10 | submit a 10, submit b 10\n=> flat")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0s opened 10 | submit a, submit b", "has an end"),
        ("0s\n=> flat", "no event and bar"),
        ("0s opened 10 | submit a, submit b\n1s danced a |\n=> flat", "nothing is told by 'danced'"),
        ("1s woke |\n=> flat", "begins with"),
        ("1 opened 10 |\n=> flat", "is no time"),
        ("given shoes 3\n0s opened 10 | submit a, submit b\n=> open", "nothing is called shoes"),
        ("=> flat", "nothing was opened"),
    ],
)
def test_what_is_no_story_is_said_to_be_none(text: str, problem: str) -> None:
    with pytest.raises(Unreadable, match=problem):
        story(text)


def test_facts_name_what_is_reserved() -> None:
    trade = story("0s opened 10 | submit a, submit b\n=> open")
    assert trade.opened.at == START
    assert "reserved kalshi 5.175099" in facts(trade)
