"""The report: figures from the journal alone, an exit code that puts exposure first, and words that a newcomer knows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from configs.settings import Dialect, KeySettings, Settings, VenueSettings
from console import report
from console.exits import Exit
from console.proof.history import Past, spread
from console.proof.page import page, plain
from console.report import MISHAPS, PHRASES, RunFacts, document, exit_code, line, render
from journal.read_model import FILE, Tables
from messages.opportunities import CheckOutcome, CheckResult, CrossingEnded, Decision, OpportunityKind, Verdict
from messages.orders import Ended, EndKind, Settlement
from messages.reasons import Reason, Trouble
from messages.units import DOLLAR, SECOND, Nanos, Outcome, Price, Quantity
from tests.console.test_prove_world import KALSHI, POLYMARKET, START, World, hedged, reposted, unwound


def settings() -> Settings:
    keys = (KeySettings(name="k"),)
    return Settings(
        venues={
            KALSHI: VenueSettings(dialect=Dialect.KALSHI, keys=keys),
            POLYMARKET: VenueSettings(dialect=Dialect.POLYMARKET, keys=keys),
        }
    )


def facts_of(world: World, **changes: Any) -> RunFacts:
    facts = RunFacts(
        settings=settings(),
        mode="sim",
        dry_run=False,
        seed=7,
        run_directory=world.directory,
        started_ns=START,
        ended_ns=START + 30 * SECOND,
        snapshots={
            "executor": {"stages": {"sent": {"40": 99, "60": 1}}},
            "executor.2": {"stages": {"sent": {"40": 1}}},
        },
        venues={KALSHI: {"pid": 1}},
    )
    for name, value in changes.items():
        setattr(facts, name, value)
    return facts


def record(world: World) -> None:
    """What the recorder keeps: the trades, and two refusals for the same reason."""
    taken = [
        Decision(
            opportunity=trade.opened.opportunity,
            verdict=Verdict.TAKEN,
            reason=None,
            checks=(CheckResult(check="profit", outcome=CheckOutcome.PASSED),),
            trade=trade.trade,
            decided_at=trade.opened.at,
        )
        for trade in world.desk.trades.values()
    ]
    refused = [
        Decision(
            opportunity=taken[0].opportunity.model_copy(update={"opportunity": f"{world.writer.genesis}.1.o{number}"}),
            verdict=Verdict.REFUSED,
            reason=Reason.UNPROFITABLE,
            checks=(
                CheckResult(check="known market", outcome=CheckOutcome.PASSED),
                CheckResult(check="profit", outcome=CheckOutcome.FAILED, text="gross 0.10 − fees 0.30 = -0.20"),
            ),
            trade=None,
            decided_at=START,
        )
        for number in (98, 99)
    ]
    crossing = CrossingEnded(
        pair="p",
        kind=OpportunityKind.CROSS_VENUE,
        yes_venue=KALSHI,
        no_venue=POLYMARKET,
        since=START,
        until=Nanos(START + SECOND),
        best_gross=Price(200),
        decisions=1,
        taken=1,
        last=None,
    )
    tables = Tables(world.directory / FILE)
    tables.add([*taken, *refused, crossing])
    tables.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World.begin(tmp_path)
    hedged(world)
    reposted(world)
    unwound(world)
    world.end()
    record(world)
    return world


def documented(world: World, **changes: Any) -> tuple[RunFacts, dict[str, Any]]:
    facts = facts_of(world, **changes)
    told = document(facts, json.loads(json.dumps(world.prove().to_dict())))
    json.dumps(told)
    return facts, told


def printed(told: dict[str, Any], *, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    render(told, page(stream))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_the_top_of_the_document(world: World) -> None:
    facts, told = documented(world)
    assert told["schema_version"] == 1
    assert (told["mode"], told["seed"], told["seconds"]) == ("sim", 7, 30.0)
    assert (told["residual_excess"], told["escalated"], told["sent_twice"], told["reposted"]) == (0, 0, 0, 1)
    assert told["reconciled"] is told["replay_equal"] is True
    assert told["faults_hit"] == {"timeout_after_accept": 2}
    assert told["opportunities"] == {
        "total": 5,
        "by_outcome": {"taken": 3, "refused": 2, "dry_run": 0},
        "by_reason": {"unprofitable": 2},
        "crossings": 1,
    }
    assert exit_code(facts, told) is Exit.OK


def test_trades_are_computed_from_the_journal(world: World) -> None:
    trades = documented(world)[1]["trades"]
    assert {name: trades[name] for name in ("total", "hedged", "flat", "escalated", "open")} == {
        "total": 3,
        "hedged": 2,
        "flat": 1,
        "escalated": 0,
        "open": 0,
    }
    # 10 − 4.80 − 4.90 − 0.34; 10 − 4.50 − 5 − 0.34; 3.90 − 4 − 0.34 for what was sold again at 39
    assert trades["result_micro_dollars"] == -40_000 + 160_000 - 440_000
    assert trades["result_dollars"] == "-0.32"


def test_recoveries_by_kind_with_their_times(world: World) -> None:
    told = documented(world)[1]["recoveries"]
    assert told["total"] == 2
    assert told["by_kind"] == {"timeout": 1, "reversed": 1}
    assert told["time_to_flat_ms"]["count"] == 1
    assert told["time_to_flat_ms"]["max"] == told["time_to_flat_ms"]["by_kind"]["reversed"]["p50"] == 6.0
    assert told["time_to_flat_ms"]["by_kind"]["timeout"] == {"count": 0, "p50": None, "p99": None, "max": None}
    assert told["wait_for_proof_ms"] == {"count": 1, "p50": 14.0, "p99": 14.0, "max": 14.0}


def test_the_figures(world: World) -> None:
    told = documented(world)[1]["figures"]
    assert told["execution_ms"] == {"count": 3, "p50": 8.0, "p99": 719.0, "max": 719.0}
    assert told["under_30_ms"] == round(2 / 3, 4)
    assert told["fill_rate"] == round(5 / 6, 4), "what was taken back did not fill"
    assert (told["success"], told["hedged_without_recovery"]) == (round(2 / 3, 4), round(1 / 3, 4))
    assert told["slippage_bps"] == 0
    assert told["rollback_rate"] == round(1 / 3, 4)
    assert told["dust_contracts"] == "0"
    assert documented(world)[1]["latency_us"]["sent"]["count"] == 101


def test_slippage_is_what_was_paid_beyond_the_plan(tmp_path: Path) -> None:
    world = World.begin(tmp_path)
    a, b = world.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 52)))
    for order, price in ((a, 4_700), (b, 5_200)):
        world.post(order)
        world.hear(order, world.execute(order, price=price))
    world.end()
    assert documented(world)[1]["figures"]["slippage_bps"] == -100.0


def test_a_run_without_any_trade(tmp_path: Path) -> None:
    world = World.begin(tmp_path)
    world.end()
    facts, told = documented(world, dry_run=True, snapshots={})
    assert told["figures"]["fill_rate"] is None
    assert exit_code(facts, told) is Exit.OK
    said = printed(told)
    assert "dry run" in said
    assert "no recorder has written here" in said


def test_exit_codes(world: World) -> None:
    facts, told = documented(world, halted="operator: enough")
    assert exit_code(facts, told) is Exit.HALTED
    for change in (
        {"residual_excess": 1},
        {"escalated": 1},
        {"sent_twice": 1},
        {"reconciled": False},
        {"replay_equal": False},
        {"proof": told["proof"] | {"violations": [{"what": "order_differs"}]}},
    ):
        assert exit_code(facts, told | change) is Exit.EXPOSED


def test_without_a_proof_nothing_is_proved(world: World) -> None:
    facts = facts_of(world)
    told = document(facts, {"schema_version": 1, "error": "unreadable", "text": "the journal is damaged [at 6]"})
    assert told["reconciled"] is told["replay_equal"] is False
    assert told["residual_excess"] is None
    assert exit_code(facts, told) is Exit.EXPOSED
    assert "There is no proof: the journal is damaged [at 6]" in printed(told)


def test_a_damaged_read_model_spoils_nothing_else(world: World) -> None:
    (world.directory / FILE).write_bytes(b"this is no database, and long enough to be taken for one" * 40)
    facts, told = documented(world)
    assert "the read model cannot be read" in told["unread"][0]
    assert told["trades"]["total"] == 3
    assert exit_code(facts, told) is Exit.OK


def test_a_journal_that_cannot_be_read_is_said(world: World) -> None:
    proof = world.prove().to_dict()
    (world.directory / "journal" / "engine.json").unlink()
    told = document(facts_of(world), proof)
    assert "engine.json is damaged" in told["unread"][0]


def test_what_a_newcomer_reads(world: World) -> None:
    kills = [
        {"actor": "executor", "point": "after-append", "open_trades": 2, "in_doubt": 1, "unreported": 3},
        {"actor": "feed.kalshi", "at_s": 4.0, "missed": "no process"},
    ]
    restarts = {
        "executor": [{"reason": "killed", "back_in_service_ms": 210.4}],
        "recorder": [{"reason": "hung", "back_in_service_ms": None}],
    }
    told = documented(world, kills=kills, restarts=restarts, drained=False, halted="operator: enough")[1]
    said = printed(told)
    flat = " ".join(said.split())
    for words in (
        "Opportunities: 5 decisions; prices crossed 1 times, fees aside",
        "fees eat the difference",
        "Trades: 3 (2 hedged, 1 flat)",
        "Result: -$0.32 net of fees; $0.22 was expected",
        "no answer in time",
        "match taken back",
        "Killed: executor at after-append with 2 open, 1 in doubt, 3 unreported",
        "Killed: feed.kalshi at 4.0 s (missed: no process)",
        "Restarted: executor (killed), back in service after 210.4 ms",
        "Restarted: recorder (hung), not back in service",
        "Not drained",
        "Halted: operator: enough",
        "7 orders at 2 venues, 0 accepted twice",
        "replay gives the same state (1 of 1 hashes)",
    ):
        assert words in flat, said
    assert f"python run.py prove --journal {world.directory}/journal --ledgers" in said
    assert f"run.py trade {world.writer.genesis}.1.3 --journal" in said
    assert f"run.py explain {world.writer.genesis}.1.o99 --journal" in said


def test_the_report_is_ascii_where_nothing_else_fits(world: World) -> None:
    told = documented(world)[1]
    told["halted"] = "100 → 50 – enough…"
    said = printed(told, encoding="ascii")
    assert "100 -> 50 - enough..." in said
    assert "\x1b" not in said


def test_plain_text() -> None:
    assert plain("a → b · c − d × e … ü") == "a -> b - c - d x e ... ?"


def test_every_reason_and_every_mishap_has_words() -> None:
    assert set(PHRASES) == set(Reason)
    assert set(MISHAPS) == set(Trouble)


def test_a_line_of_the_story(monkeypatch: pytest.MonkeyPatch) -> None:
    story = {"trade": "abcdef01.1.4", "at": START + 12_340_000_000, "stage": "opened", "text": "[pair] yes@kalshi 48"}
    told = line(story, START)
    assert told == "t+  12.3s  DETECTED   abcdef01.1.4    [pair] yes@kalshi 48"
    assert line(story | {"stage": "escalated"}, START).split()[2] == "ERROR"
    assert line(story | {"stage": "elsewhere", "text": "x" * 300}, START).endswith("x" * 300), "never wrapped"


def test_a_line_is_coloured_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    story = {"trade": "t", "at": START, "stage": "escalated", "text": "a person must decide"}

    def terminal(no_color: bool) -> Any:
        return lambda: Console(file=io.StringIO(), force_terminal=True, color_system="standard", no_color=no_color)

    monkeypatch.setattr(report, "page", terminal(no_color=False))
    assert "\x1b[1;31m" in line(story, START)
    monkeypatch.setattr(report, "page", terminal(no_color=True))
    assert "31m" not in line(story, START)


def test_percentiles_are_times_that_were() -> None:
    assert spread(list(range(1, 101)), 1) == {"count": 100, "p50": 50, "p99": 99, "max": 100}
    assert spread([7], 1) == {"count": 1, "p50": 7, "p99": 7, "max": 7}


def test_a_leg_that_was_left_alone(tmp_path: Path) -> None:
    world = World.begin(tmp_path)
    a, b = world.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    world.post(a)
    world.hear(a, world.execute(a), Settlement.CONFIRMED)
    world.commit(Ended(order=b.order, at=world.now, venue_order="v", matched=Quantity(0), how=EndKind.KILLED))
    world.end()
    facts, told = documented(world)
    assert told["figures"]["fill_rate"] == 0.5
    assert told["trades"]["open"] == 1
    assert told["recoveries"]["by_kind"] == {"unfilled": 1}
    assert exit_code(facts, told) is Exit.EXPOSED
    assert told["trades"]["result_micro_dollars"] < -4 * DOLLAR


def test_time_to_flat_leaves_out_what_the_venue_took_to_answer() -> None:
    past = Past(unanswered=[(10, 40), (30, 50), (200, 300)])
    assert past.waited(0, 100) == 40, "overlapping waits count once"
    assert past.waited(20, 45) == 25, "and only what lies within"
    assert past.waited(60, 100) == 0
