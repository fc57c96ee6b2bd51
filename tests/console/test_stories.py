"""Reading back: the checks and figures of a decision, and the time line of a trade, by whatever a person types of its id."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from console.exits import Exit
from console.stories import NotFound, chosen, explain, latest_run, run_of, trade
from journal import Level, open_journal
from journal.read_model import FILE, Tables
from messages.opportunities import CheckOutcome, CheckResult, Decision, Verdict
from messages.orders import (
    Absent,
    Ended,
    EndKind,
    Landed,
    LookUpFailed,
    Lost,
    Refused,
    Rested,
    Withheld,
)
from messages.reasons import Reason, Refusal, Trouble
from messages.trades import Restarted
from messages.units import MILLISECOND, Nanos, Outcome, Price, Quantity
from tests.console.test_prove_world import KALSHI, POLYMARKET, START, World, hedged, reposted, unwound


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A run with three trades and three decisions, in the place where runs are."""
    world = World.begin(tmp_path / "runs" / "20261120T170000-1")
    hedged(world)
    reposted(world)
    unwound(world)
    world.end()
    first, *_ = world.desk.trades.values()
    seen = first.opened.opportunity
    cheap = seen.legs[0].model_copy(update={"limit": Price(5_000)})
    passed = CheckResult(check="known market", outcome=CheckOutcome.PASSED)
    rows = [
        Decision(
            opportunity=seen,
            verdict=Verdict.TAKEN,
            reason=None,
            checks=(passed, CheckResult(check="breaker", outcome=CheckOutcome.NOT_CONFIGURED)),
            trade=first.trade,
            decided_at=first.opened.at,
        ),
        Decision(
            opportunity=seen.model_copy(
                update={"opportunity": f"{world.writer.genesis}.1.o77", "legs": (cheap, seen.legs[1])}
            ),
            verdict=Verdict.REFUSED,
            reason=Reason.STALE_BOOK,
            checks=(
                passed,
                CheckResult(check="fresh books", outcome=CheckOutcome.FAILED, text="the book of [X] is 1700 ms old"),
            ),
            trade=None,
            decided_at=START,
        ),
        Decision(
            opportunity=seen.model_copy(update={"opportunity": f"{world.writer.genesis}.1.o177"}),
            verdict=Verdict.DRY_RUN,
            reason=Reason.DRY_RUN,
            checks=(passed,),
            trade=None,
            decided_at=Nanos(START + 1),
        ),
    ]
    tables = Tables(world.directory / FILE)
    tables.add(rows)
    tables.close()
    return world


def test_why_it_was_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("o77", world.directory) == Exit.OK
    told = " ".join(capsys.readouterr().out.split())
    for words in (
        f"{world.writer.genesis}.1.o77",
        "fresh books │ failed",
        "the book of [X] is 1700 ms old",
        "Refused: a book was too old to trust (the book of [X] is 1700 ms old).",
        "= gross │ 0.30",
        "if every contract filled at its limit │ -0.20",
        "3.0",
    ):
        assert words in told, told


def test_the_waterfall_adds_up(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("o77", world.directory, as_json=True) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    steps = told["waterfall_micro_dollars"]
    assert steps["gross"] == steps["payout"] + steps["cost"] == 300_000
    assert steps["net"] == steps["gross"] + steps["fees"] == -60_000
    assert steps["net_at_limits"] == steps["net"] + steps["slippage_allowance"] == -260_000
    assert [check["check"] for check in told["checks"]] == ["known market", "fresh books"]
    assert told["reason"] == "stale_book"
    assert told["legs"][0]["limit_cents"] == "50"
    assert told["legs"][0]["book_age_ms"] == "3.0"


def test_a_trade_is_explained_by_its_own_id(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    name = next(iter(world.desk.trades))
    assert explain(name, world.directory) == Exit.OK
    told = capsys.readouterr().out
    assert f"it became trade {name}" in " ".join(told.split())
    assert f"run.py trade {name}" in told
    assert "not configured" in told


def test_a_dry_run_says_what_would_have_been(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("o177", world.directory) == Exit.OK
    assert "It would have been taken" in capsys.readouterr().out


def test_an_unknown_id_names_the_nearest(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(f"{world.writer.genesis}.1.o78", world.directory, as_json=True) == Exit.USAGE
    captured = capsys.readouterr()
    assert f"{world.writer.genesis}.1.o77" in captured.err
    assert json.loads(captured.out)["nearest"]
    assert trade("9", world.directory) == Exit.USAGE
    assert "No trade of this run is called '9'" in capsys.readouterr().err


def test_an_end_of_an_id_must_be_unique() -> None:
    names = ["g.1.1", "g.1.11", "g.2.1"]
    assert chosen("g.1.1", names, "trade") == "g.1.1"
    assert chosen("11", names, "trade") == "g.1.11"
    with pytest.raises(NotFound, match=r"the end of 2 trade ids; give more of it. Nearest: g.1.1, g.2.1"):
        chosen("1", names, "trade")
    with pytest.raises(NotFound, match="No trade"):
        chosen("", names, "trade")


def test_a_story_from_detection_to_the_end(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The trade whose second request never arrived."""
    assert trade("2", world.directory) == Exit.OK
    told = capsys.readouterr().out
    lines = told.splitlines()
    order = f"order {world.writer.genesis}.1.2.1.0"
    wanted = [
        ("+0.000", "DETECTED", "pair-g2: 10 x NO at kalshi for 45 + YES at polymarket for 50"),
        ("+0.500", "ORDER", "the intent is written down with 2 orders, 0.5 ms after it was seen"),
        ("+5.500", "ORDER", "kalshi"),
        ("+705.500", "WARNING", f"polymarket, {order}: timeout, nobody knows whether it arrived: no answer"),
        ("+705.500", "WARNING", f"polymarket, {order}: ask the venue what became of it"),
        ("+715.500", "WARNING", f"polymarket, {order}: the venue does not know it (yet)"),
        ("+715.500", "WARNING", f"polymarket, {order}: send the identical bytes again, as a look-up"),
        ("+719.500", "ORDER", f"polymarket, {order}: filled, 10 filled in all"),
        ("+719.500", "SUCCESS", "HEDGED 10 ct"),
        ("+719.500", "ORDER", f"polymarket, {order}: execution of 10 at 50, fee 0.17, confirmed, taker"),
        ("+719.500", "SUCCESS", "0.16"),
    ]
    at = 0
    for offset, stage, text in wanted:
        at = next(n for n in range(at, len(lines)) if lines[n].split()[:2] == [offset, stage] and text in lines[n])
    assert "HEDGED 10 contracts, result $0.16 net of fees" in told
    assert f"run.py explain {world.writer.genesis}.1.o2" in told
    assert f"there it is 0x{world.writer.genesis}.1.2.1.0" in told


def test_a_story_of_a_recovery(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert trade("3", world.directory, as_json=True) == Exit.OK
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["final"], told["result_micro_dollars"]) == ("flat", True, -440_000)
    assert told["recovered_from"] == ["reversed"]
    stages = [step["stage"] for step in told["steps"]]
    assert stages[0] == "detected"
    assert {"auto-close", "success", "warning"} <= set(stages)
    texts = [step["text"] for step in told["steps"]]
    assert any("taken back by the venue" in text for text in texts)
    assert any("proved out of balance: 10 yes at kalshi too many" in text for text in texts)
    assert any("prices now, bid/ask: leg 0 39/-, leg 1 -/97" in text for text in texts)
    assert any(text.startswith("unwinding: sell 10 yes@kalshi") for text in texts)
    assert told["orders"][2]["role"] == "unwind"
    offsets = [step["offset_ms"] for step in told["steps"]]
    assert offsets == sorted(offsets)


def test_every_answer_has_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World.begin(tmp_path)
    # an executor does not journal what changes nothing; where one did, it is read all the same
    monkeypatch.setattr(world.desk, "changes", lambda _: True)
    a, b = world.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    at = world.after(5)
    world.commit(Rested(order=a.order, at=at, venue_order="v", matched=Quantity(2_000_000)))
    world.commit(Lost(order=b.order, at=at, trouble=Trouble.SERVER_ERROR, text="HTTP 502"))
    world.commit(Withheld(order=b.order, at=at, text="no fresh book"))
    world.commit(Landed(order=b.order, at=at))
    world.commit(Ended(order=b.order, at=at, venue_order="w", matched=Quantity(0), how=EndKind.KILLED))
    c, d = world.open("g2", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    world.commit(Refused(order=c.order, at=at, reason=Refusal.FUNDS, text="[no] cash"))
    world.commit(Lost(order=d.order, at=at, trouble=Trouble.TIMEOUT, text="700 ms"))
    world.commit(LookUpFailed(order=d.order, at=at, text="HTTP 500"))
    world.commit(Absent(order=d.order, at=at, as_of=at))
    world.writer.close()
    world.writer = open_journal(tmp_path / "journal", "executor", level=Level.PROCESS, wall_ns=lambda: START)
    world.commit(Restarted(epoch=2, at=world.after(50)))
    world.end()
    assert trade("1.1", tmp_path) == trade("1.2", tmp_path) == Exit.OK
    told = capsys.readouterr().out
    for words in (
        "rests, 2 filled so far",
        "server error, nobody knows whether it arrived: HTTP 502",
        "not sent again: no fresh book",
        "the venue has it already: it had arrived",
        "killed, 0 filled in all",
        "refused, insufficient funds: [no] cash",
        "the look-up got no answer: HTTP 500",
        "a successor took over (epoch 2)",
        "not every execution is confirmed",
    ):
        assert words in told, told


def test_a_story_is_found_in_any_executor(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    other = open_journal(world.directory / "journal", "executor.2", level=Level.PROCESS, wall_ns=lambda: START)
    second = World(world.directory, other, type(world.desk)(other.genesis), ledgers=world.ledgers)
    second.commit(Restarted(epoch=1, at=START))
    second.desk.number = 40
    second.open("g9", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    second.end(owned=False)
    assert trade("41", world.directory) == Exit.OK
    assert "pair-g9" in capsys.readouterr().out


# Which run


def test_the_newest_run_is_meant(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = tmp_path / "runs" / "20261120T180000-2" / "journal"
    open_journal(newer, "executor", level=Level.PROCESS, wall_ns=lambda: START).close()
    os.utime(world.directory / "journal" / "engine.json", ns=(START, START))
    os.utime(newer / "engine.json", ns=(START + MILLISECOND, START + MILLISECOND))
    assert latest_run(tmp_path) == newer.parent
    assert trade("1", home=tmp_path) == Exit.USAGE
    assert trade("1.1", journal=world.directory / "journal", home=tmp_path) == Exit.OK
    assert "HEDGED" in capsys.readouterr().out


def test_a_run_may_be_named_by_its_folder_or_by_that_of_its_journals(world: World) -> None:
    assert run_of(world.directory, None) == run_of(world.directory / "journal", None) == world.directory


def test_there_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trade("1", home=tmp_path) == explain("1", home=tmp_path) == Exit.USAGE
    assert "There is no run below" in capsys.readouterr().err


def test_what_cannot_be_read(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    (world.directory / FILE).write_bytes(b"this is no database, and long enough to be taken for one" * 40)
    assert explain("1", world.directory, as_json=True) == Exit.CONFIGURATION
    assert json.loads(capsys.readouterr().out)["error"] == "unreadable"
    (world.directory / FILE).unlink()
    assert explain("1", world.directory) == Exit.CONFIGURATION
    assert "no recorder has written here" in capsys.readouterr().err
    (world.directory / "journal" / "engine.json").unlink()
    assert trade("1", world.directory) == Exit.CONFIGURATION
    assert "engine.json is damaged" in capsys.readouterr().err
