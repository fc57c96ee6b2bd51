"""The recorder: every decision once, counted, and readable by other processes while it writes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from actors import recorder as module
from actors.recorder import Recorder, open_read_model
from messages.control import Ask, Decided, Snapshot, Told, TradeStory
from messages.opportunities import CrossingEnded, Decision, Opportunity, OpportunityKind, Verdict
from messages.reasons import Reason
from messages.units import CONTRACT, Nanos, Price, Quantity
from tests.actors.stage import Outbox, on_stage, place, say, until, up


def decision(number: int, verdict: Verdict = Verdict.REFUSED, reason: Reason | None = Reason.UNPROFITABLE) -> Decision:
    seen = Opportunity(
        opportunity=f"o{number}",
        kind=OpportunityKind.CROSS_VENUE,
        pair=f"p{number % 2}",
        group="g",
        seen_at=Nanos(number),
        quantity=Quantity(CONTRACT),
        payout=Price(10_000),
        legs=(),
    )
    trade = f"t{number}" if verdict is Verdict.TAKEN else None
    return Decision(
        opportunity=seen, verdict=verdict, reason=reason, checks=(), trade=trade, decided_at=Nanos(number * 10)
    )


def crossing(since: int, until_: int = 99) -> CrossingEnded:
    return CrossingEnded(
        pair="p0",
        kind=OpportunityKind.CROSS_VENUE,
        yes_venue="kalshi",
        no_venue="polymarket",
        since=Nanos(since),
        until=Nanos(until_),
        best_gross=Price(100),
        decisions=1,
        taken=0,
        last=None,
    )


def decided(sequence: int, *decisions: Decision, epoch: int = 1, crossings: tuple[CrossingEnded, ...] = ()) -> Decided:
    return Decided(source="executor", epoch=epoch, sequence=sequence, decisions=decisions, crossings=crossings)


def told(*texts: str, trade: str = "t1") -> Told:
    stories = tuple(TradeStory(trade=trade, at=Nanos(at), stage="sent", text=text) for at, text in enumerate(texts))
    return Told(source="executor", epoch=1, stories=stories)


TAKEN = decision(1, Verdict.TAKEN, None)


async def counts(recorder: Recorder) -> dict[str, dict[str, int]]:
    answer = await say(recorder, Ask(what="counts"))
    assert isinstance(answer, Snapshot)
    body = json.loads(answer.body)
    assert isinstance(body, dict)
    return body


async def test_decisions_are_kept_once_and_counted(tmp_path: Path) -> None:
    recorder = Recorder(place("recorder", tmp_path))
    async with on_stage(recorder, Outbox()):
        batch = decided(1, TAKEN, decision(2), decision(3, reason=Reason.CAPITAL), crossings=(crossing(1), crossing(2)))
        await say(recorder, batch, batch)
        await say(recorder, decided(2, TAKEN, crossings=(crossing(1),)), decided(1, decision(4), epoch=2))
        await until(lambda: recorder.rows["decisions"] == 4)
        assert await counts(recorder) == {
            "verdicts": {"taken": 1, "refused": 3},
            "reasons": {"unprofitable": 2, "capital": 1},
            "rows": {"decisions": 4, "crossings": 2, "stories": 0},
        }
        assert recorder.snapshot()["repeated"] == 1
        recorder.introduced(up("executor"))
        answer = await say(recorder, Ask())
        assert isinstance(answer, Snapshot)
        assert json.loads(answer.body)["peers"] == ["executor"]


async def test_others_read_while_it_writes(tmp_path: Path) -> None:
    async with on_stage(Recorder(place("recorder", tmp_path)), Outbox()) as recorder:
        with open_read_model(tmp_path) as model:
            assert model.decision("o1") is None
            batch = (decision(2), decision(3, reason=Reason.CAPITAL), decision(4))
            await say(recorder, decided(1, TAKEN, *batch, crossings=(crossing(1), crossing(2, 50))))
            await until(lambda: model.decision("o4"))
            assert model.decision("o1") == TAKEN
            assert model.decisions() == [TAKEN, *batch]
            assert model.decisions(limit=2) == list(batch[1:])
            assert model.decisions(Nanos(30)) == list(batch[1:])
            assert model.decisions(verdict="taken") == [TAKEN]
            assert model.decisions(reason="capital") == [batch[1]]
            assert model.decisions(pair="p0") == [batch[0], batch[2]]
            assert model.crossings(Nanos(60)) == [crossing(1)]
            assert model.counts()["rows"] == {"decisions": 4, "crossings": 2, "stories": 0}
            with pytest.raises(sqlite3.OperationalError):
                model._rows("DELETE FROM decisions")


async def test_stories_are_told_line_by_line_and_once(tmp_path: Path) -> None:
    recorder, message = Recorder(place("recorder", tmp_path)), told("one", "two\nlines")
    async with on_stage(recorder, Outbox()):
        await say(recorder, message, message, told("another", trade="t2"))
        await until(lambda: recorder.rows["stories"] == 3)
        await say(recorder, message)
    lines = (tmp_path / "stories.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["one", "two\nlines", "another"]
    with open_read_model(tmp_path / "read_model.sqlite") as model:
        assert model.stories("t1") == list(message.stories)
        assert len(model.stories()) == 3


async def test_what_waits_is_written_at_the_end_and_counted_again_at_the_beginning(tmp_path: Path) -> None:
    here = place("recorder", tmp_path)
    async with on_stage(Recorder(here), Outbox()) as recorder:
        await say(recorder, decided(1, TAKEN), told("one"))
    async with on_stage(Recorder(here), Outbox()) as recorder:
        assert await counts(recorder) == {
            "verdicts": {"taken": 1},
            "reasons": {},
            "rows": {"decisions": 1, "crossings": 0, "stories": 1},
        }
        await say(recorder, decided(1, TAKEN, epoch=2))
    with open_read_model(tmp_path) as model:
        assert model.counts()["verdicts"] == {"taken": 1}


async def test_memory_is_bounded_and_what_is_lost_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MOST", 3)
    async with on_stage(Recorder(place("recorder", tmp_path)), Outbox()) as recorder:
        await say(recorder, decided(1, *map(decision, range(10))))
        assert (recorder.snapshot()["waiting"], recorder.snapshot()["lost"]) == (3, 7)
        for epoch in range(1, 6):
            await say(recorder, decided(1, epoch=epoch))
        assert len(recorder._heard) == 2


async def test_a_disk_that_fails_ends_it_at_the_next_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(place("recorder", tmp_path))
    async with on_stage(recorder, Outbox()):
        with monkeypatch.context() as patch:

            def full(_: object) -> None:
                raise sqlite3.OperationalError("database or disk is full")

            patch.setattr(recorder._tables, "add", full)
            await say(recorder, decided(1, TAKEN))
            await until(lambda: recorder.snapshot()["failed"])
        with pytest.raises(sqlite3.OperationalError):
            await say(recorder, Ask())


def test_a_directory_without_records_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no recorder has written here"):
        open_read_model(tmp_path)
