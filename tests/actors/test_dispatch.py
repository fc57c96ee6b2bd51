"""What owners hear of an executor: every entry once, in the order of its journal, whoever dies and whatever is lost."""

from __future__ import annotations

import random

import pytest

from actors.dispatch import ENTRIES_MAX, REPEAT_EVERY, Dispatch
from core.claims import Heard
from core.desk import Applied
from messages.leases import Acknowledged, Cooled, Reported
from messages.units import Nanos


def cooled(seq: int, market: str = "M") -> Cooled:
    return Cooled(seq=seq, venue="v", market=market, not_before=Nanos(0), rejected=False, at=Nanos(seq))


def added(dispatch: Dispatch, *entries: Cooled) -> None:
    dispatch.add(Applied(cooled=list(entries)))


def ack(upto: int, owner: str = "cooldowns", source: str = "executor") -> Acknowledged:
    return Acknowledged(owner=owner, owner_epoch=1, source=source, upto=upto)


def told(dispatch: Dispatch) -> Reported | None:
    return dict(dispatch.reports()).get("cooldowns")


def repeated(dispatch: Dispatch) -> Reported | None:
    """What is told after the time for an answer has passed."""
    for _ in range(REPEAT_EVERY - 1):
        assert told(dispatch) is None
    return told(dispatch)


def line(*entries: Cooled, upto: int | None = 0) -> Dispatch:
    dispatch = Dispatch("executor", 1)
    added(dispatch, *entries)
    if upto is not None:
        dispatch.acknowledged(ack(upto))
    return dispatch


def test_first_of_all_every_owner_is_asked_how_far_it_got() -> None:
    dispatch = line(cooled(3), upto=None)
    asked = dispatch.reports()
    assert [owner for owner, _ in asked] == ["position_book", "in_flight", "cooldowns"]
    assert all((report.after, report.upto, report.cooled) == (0, 0, ()) for _, report in asked)


def test_then_it_is_told_what_it_has_not() -> None:
    dispatch = line(cooled(3), cooled(7), cooled(9), upto=3)
    report = told(dispatch)
    assert report is not None
    assert (report.after, report.upto, [entry.seq for entry in report.cooled]) == (3, 9, [7, 9])
    dispatch.acknowledged(ack(9))
    assert told(dispatch) is None
    assert dispatch.unreported == 0


def test_an_answer_that_is_late_or_of_somebody_else_changes_nothing() -> None:
    dispatch = line(cooled(3), cooled(7), upto=3)
    for other in (ack(1), ack(99, source="executor.2"), ack(99, owner="stranger"), ack(99, owner="in_flight")):
        dispatch.acknowledged(other)
    assert dispatch.unreported == 1


def test_an_unanswered_report_is_repeated_but_not_at_every_turn() -> None:
    dispatch = line(cooled(3))
    first = told(dispatch)
    assert first is not None
    assert repeated(dispatch) == first
    added(dispatch, cooled(4))
    more = told(dispatch)
    assert more is not None
    assert more.upto == 4, "news goes out at once"


def test_nothing_is_told_to_the_dead_and_a_successor_says_how_far_it_is() -> None:
    dispatch = line(cooled(3), cooled(4))
    dispatch.owner_died("cooldowns")
    assert [told(dispatch) for _ in range(3 * REPEAT_EVERY)] == [None] * 3 * REPEAT_EVERY
    dispatch.owner_restarted("cooldowns")
    asked = told(dispatch)
    assert asked is not None
    assert asked.upto == 0
    dispatch.acknowledged(ack(3))
    report = told(dispatch)
    assert report is not None
    assert (report.after, report.upto) == (3, 4)
    dispatch.owner_died("recorder")
    dispatch.owner_restarted("feed.kalshi")


def test_a_long_report_ends_with_a_whole_record() -> None:
    entries = [cooled(n) for n in range(1, ENTRIES_MAX - 1)] + [cooled(500, market) for market in "abcdef"]
    dispatch = line(*entries, cooled(501))
    report = told(dispatch)
    assert report is not None
    assert report.upto == ENTRIES_MAX - 2, "the record of six would have been cut in two"
    dispatch.acknowledged(ack(report.upto))
    rest = told(dispatch)
    assert rest is not None
    assert (rest.upto, len(rest.cooled)) == (501, 7)


def test_a_record_with_more_entries_than_a_report_goes_whole() -> None:
    """The owner answers with the number of the record: what was left out of it would be gone for ever."""
    dispatch = line(*(cooled(5, str(n)) for n in range(ENTRIES_MAX + 50)), cooled(6))
    report = told(dispatch)
    assert report is not None
    assert (report.upto, len(report.cooled)) == (5, ENTRIES_MAX + 50)
    dispatch.acknowledged(ack(5))
    assert dispatch.unreported == 1


@pytest.mark.parametrize("seed", range(30))
def test_every_entry_is_folded_once_and_in_order(seed: int) -> None:
    """A bad line, an owner that replays its journal, and an executor whose successor derives its entries anew."""
    draw = random.Random(seed)  # noqa: S311  repeats from its seed
    entries: list[Cooled] = []
    seq, epoch = 0, 1
    dispatch, owner = Dispatch("executor", epoch), Heard()
    folded: list[Cooled] = []
    journal: list[Reported] = []
    for turn in range(600):
        if turn < 500 and draw.random() < 0.5:
            seq += draw.randint(1, 3)
            new = [cooled(seq, f"{n}") for n in range(draw.randint(1, 90))]
            entries += new
            added(dispatch, *new)
        if draw.random() < 0.02:
            epoch += 1
            dispatch = Dispatch("executor", epoch)
            added(dispatch, *entries)
        if draw.random() < 0.02:
            owner = Heard()
            for fact in journal:
                owner.fold(fact)
            dispatch.owner_restarted("cooldowns")
        report = told(dispatch)
        if report is None or (turn < 500 and draw.random() < 0.3):
            continue
        part = owner.part(report, "cooled")
        if part is not None:
            journal.append(part)
            owner.fold(part)
            folded += part.cooled
        if turn >= 500 or draw.random() < 0.7:
            dispatch.acknowledged(owner.answer("cooldowns", 1, "executor"))
    assert folded == entries
    assert dispatch.unreported == 0
