"""From the facts of a run to its document, and from the document to what a person reads.

Everything about trades is computed from the executors' journals, folded anew; what was seen and refused comes from the
read model; the proof comes from the process that computed it. Nothing here is what a live actor believed, except how
long its stages took.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from actors.stages import percentile
from configs.settings import Settings
from console.exits import Exit
from console.proof.fold import Folded, fold, is_executor, sheets
from console.proof.history import Historian, Past, spread
from console.proof.ledgers import Unreadable
from console.proof.page import is_ascii, page, plain
from console.proof.records import Records, read_records
from console.prove import show
from core.story import result
from core.trade import Trade
from core.units import contracts, dollars
from messages.opportunities import Verdict
from messages.orders import Role, Settlement
from messages.reasons import Reason, Trouble
from messages.units import ONE_DOLLAR, SECOND, Money, Quantity

SCHEMA_VERSION = 1
WINDOW_NS = 30_000_000
"""The window that a crossing leaves open, by which executions are measured (L4)."""
OUTCOMES = ("hedged", "flat", "escalated", "open")


@dataclass(slots=True)
class RunFacts:
    """What the session knows of its run and no journal holds."""

    settings: Settings
    mode: str
    dry_run: bool
    seed: int
    run_directory: Path
    started_ns: int
    ended_ns: int
    drained: bool = True
    halted: str = ""
    kills: list[dict[str, Any]] = field(default_factory=list)
    restarts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    venues: dict[str, dict[str, Any]] = field(default_factory=dict)
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class _Told:
    """One trade, its end by the fold, and its times."""

    trade: Trade
    past: Past

    @property
    def recovered(self) -> bool:
        return self.trade.recovery is not None

    @property
    def kinds(self) -> list[str]:
        return sorted({mishap.trouble.value for mishap in self.trade.mishaps})

    @property
    def flat_after(self) -> list[int]:
        """Of each time out of balance: from when it could act to flat, less the waits for an answer of the venue."""
        return [
            span.flat_at - span.able_at - self.past.waited(span.able_at, span.flat_at)
            for span in self.trade.spans
            if span.flat_at is not None
        ]


# The document


def document(facts: RunFacts, proof: Mapping[str, Any]) -> dict[str, Any]:
    """The run as one JSON document. `proof` is the document of `run.py prove --json`."""
    trades, unread = _trades(facts.run_directory / "journal")
    records = read_records(facts.run_directory)
    proved = "error" not in proof
    return {
        "schema_version": SCHEMA_VERSION,
        "mode": facts.mode,
        "dry_run": facts.dry_run,
        "seed": facts.seed,
        "faults": facts.settings.sim.faults,
        "run_directory": str(facts.run_directory),
        "started_ns": facts.started_ns,
        "seconds": round((facts.ended_ns - facts.started_ns) / SECOND, 1),
        "drained": facts.drained,
        "halted": facts.halted,
        "opportunities": _opportunities(records),
        "trades": _ends(trades),
        "recoveries": _recoveries(trades),
        "faults_hit": proof.get("faults_hit", {}),
        "residual_excess": proof.get("residual_excess"),
        "residual_excess_contracts": proof.get("residual_excess_contracts"),
        "escalated": len(proof.get("escalated", ())),
        "sent_twice": proof.get("sent_twice"),
        "reposted": proof.get("reposted"),
        "reconciled": proved and proof["reconciled"],
        "replay_equal": proved and proof["replay_equal"],
        "kills": facts.kills,
        "restarts": facts.restarts,
        "venues": facts.venues,
        "figures": _figures(trades),
        "latency_us": _latency(facts.snapshots),
        "ids": _ids(trades, records),
        "unread": [text for text in (unread, records.problem) if text],
        "proof": dict(proof),
    }


def exit_code(facts: RunFacts, document: Mapping[str, Any]) -> Exit:
    """Exposure first: a run that was halted and is not flat is a run that is not flat."""
    proof = document["proof"]
    equal = document["reconciled"] and document["replay_equal"] and not proof.get("violations")
    if document["residual_excess"] or document["escalated"] or document["sent_twice"] or not equal:
        return Exit.EXPOSED
    return Exit.HALTED if facts.halted else Exit.OK


def _trades(directory: Path) -> tuple[list[_Told], str]:
    """Every trade of every executor; the proof says what is wrong with a journal that cannot be read."""
    told: list[_Told] = []
    try:
        for sheet in sheets(directory):
            if is_executor(sheet.name):
                historian = Historian()
                folded: Folded = fold(directory, sheet, historian)
                told += [_Told(trade, historian.pasts[name]) for name, trade in folded.desk.trades.items()]
    except Unreadable as problem:
        return told, str(problem)
    return told, ""


def _opportunities(records: Records) -> dict[str, Any]:
    return {
        "total": sum(records.verdicts.values()),
        "by_outcome": {verdict.value: records.verdicts.get(verdict.value, 0) for verdict in Verdict},
        "by_reason": dict(Counter(records.reasons).most_common()),
        "crossings": records.crossings,
    }


def _ends(trades: list[_Told]) -> dict[str, Any]:
    outcomes = Counter(told.trade.outcome for told in trades)
    net = Money(sum(result(told.trade) for told in trades))
    expected = Money(sum(told.trade.opened.opportunity.net for told in trades))
    return {
        "total": len(trades),
        **{outcome: outcomes[outcome] for outcome in OUTCOMES},
        "result_micro_dollars": net,
        "result_dollars": dollars(net),
        "expected_micro_dollars": expected,
        "expected_dollars": dollars(expected),
    }


def _recoveries(trades: list[_Told]) -> dict[str, Any]:
    recovered = [told for told in trades if told.recovered]
    kinds = Counter(kind for told in recovered for kind in told.kinds)
    times = {kind: [n for told in recovered if kind in told.kinds for n in told.flat_after] for kind in kinds}
    return {
        "total": len(recovered),
        "by_kind": dict(kinds.most_common()),
        "time_to_flat_ms": {
            **spread([n for told in recovered for n in told.flat_after], 1_000_000),
            "by_kind": {kind: spread(found, 1_000_000) for kind, found in times.items()},
        },
        "wait_for_proof_ms": spread([n for told in recovered for n in told.past.waits], 1_000_000),
    }


def _figures(trades: list[_Told]) -> dict[str, Any]:
    took = [told.past.proved_at - told.trade.opened.at for told in trades if told.past.proved_at is not None]
    asked = filled = planned = paid = 0
    for told in trades:
        for one in _openings(told.trade):
            asked += one.asked
            filled += min(one.filled, one.asked)
            planned += one.planned
            paid += one.paid
    count = len(trades)
    hedged = sum(told.trade.outcome == "hedged" for told in trades)
    straight = sum(told.trade.outcome == "hedged" and not told.recovered for told in trades)
    rolled_back = sum(any(s.order.role is Role.UNWIND for s in told.trade.orders) for told in trades)
    return {
        "execution_ms": spread(took, 1_000_000),
        "under_30_ms": _share(sum(n < WINDOW_NS for n in took), len(took)),
        "fill_rate": _share(filled, asked),
        "success": _share(hedged, count),
        "hedged_without_recovery": _share(straight, count),
        "slippage_bps": round((paid - planned) * 10_000 / planned, 2) if planned else None,
        "rollback_rate": _share(rolled_back, count),
        "dust_contracts": contracts(Quantity(sum(told.trade.dust for told in trades))),
    }


@dataclass(frozen=True, slots=True)
class _Opening:
    """One opening leg: what was asked and filled, and what that part was planned to cost and cost."""

    asked: int
    filled: int
    planned: int
    paid: int


def _openings(trade: Trade) -> Iterator[_Opening]:
    for state in trade.orders:
        if state.order.role is Role.OPEN:
            leg = trade.opened.opportunity.legs[state.order.leg]
            fills = [fill for fill in state.fills if fill.settlement is not Settlement.REVERSED]
            filled = sum(fill.quantity for fill in fills)
            paid = sum(fill.price * fill.quantity for fill in fills) // ONE_DOLLAR
            yield _Opening(state.order.quantity, state.matched, leg.cost * filled // max(leg.quantity, 1), paid)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _latency(snapshots: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """The stages of all executors together."""
    merged: dict[str, Counter[str]] = {}
    for snapshot in snapshots.values():
        for stage, buckets in (snapshot.get("stages") or {}).items():
            merged.setdefault(stage, Counter()).update(buckets)
    return {
        stage: {"count": buckets.total(), "p50": percentile(buckets, 0.5), "p99": percentile(buckets, 0.99)}
        for stage, buckets in merged.items()
    }


def _ids(trades: list[_Told], records: Records) -> dict[str, str]:
    """Something to look at next: what was refused last, and the trade that had the most to recover from."""
    found = {"opportunity": records.refused} if records.refused else {}
    if trades:
        found["trade"] = max(
            trades, key=lambda told: (told.recovered, len(told.trade.orders), told.trade.opened.at)
        ).trade.trade
    return found


# For a person

PHRASES: dict[str, str] = {
    Reason.UNKNOWN_MARKET: "the venue has not described the market",
    Reason.UNAPPROVED_PAIR: "nobody approved the pair",
    Reason.NOT_CLAIMED: "another executor trades this event",
    Reason.IN_FLIGHT: "the market was being traded already",
    Reason.HALTED: "opening was halted",
    Reason.VENUE_UNREACHABLE: "a venue was not heard from",
    Reason.VENUE_MODE: "a venue did not take orders",
    Reason.MARKET_CLOSED: "the market was closed",
    Reason.STALE_BOOK: "a book was too old to trust",
    Reason.OLD_METADATA: "the market's rules had changed",
    Reason.FEES_UNVERIFIED: "fees were not verified in time",
    Reason.UNPROFITABLE: "fees eat the difference",
    Reason.BELOW_MIN_PROFIT: "less than the least profit a contract",
    Reason.BELOW_MIN_RETURN: "less than the least return on capital",
    Reason.NO_LIQUIDITY: "not one contract on the books",
    Reason.TICK: "the price is off the venue's grid",
    Reason.BELOW_MIN_SIZE: "smaller than the venue's least order",
    Reason.PRICE_COLLAR: "the price is outside the collar",
    Reason.SIZE_INSANE: "the size is not believed",
    Reason.CAPITAL: "not enough capital at a venue",
    Reason.POSITION_LIMIT: "a position limit was reached",
    Reason.TOO_MANY_OPEN: "too many trades were open",
    Reason.BREAKER: "a breaker was open",
    Reason.COOL_DOWN: "the market was cooling down",
    Reason.KEYS: "no order budget was left",
    Reason.CPU_LAG: "this machine was too slow",
    Reason.MOVED: "the book moved before the intent",
    Reason.DRY_RUN: "dry run: nothing is sent",
    Reason.DRAINING: "the run was ending",
}
"""Each reason in the words of a newcomer."""

MISHAPS: dict[str, str] = {
    Trouble.TIMEOUT: "no answer in time",
    Trouble.SERVER_ERROR: "server error",
    Trouble.CONNECTION: "broken connection",
    Trouble.MALFORMED: "answer made no sense",
    Trouble.REFUSED: "one leg refused",
    Trouble.FUNDS: "one leg without funds",
    Trouble.RATE_LIMITED: "rate limited",
    Trouble.PARTIAL: "unequal partial fills",
    Trouble.UNFILLED: "one leg did not fill",
    Trouble.OVERFILL: "filled more than asked",
    Trouble.REVERSED: "match taken back",
    Trouble.RESTART: "executor restarted",
    Trouble.LATE: "moved after it was over",
}

VERDICTS = {"taken": "taken", "refused": "refused", "dry_run": "would have been taken"}


def render(document: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the report of a run."""
    console = page() if console is None else console
    dry = " · dry run" if document["dry_run"] else ""
    console.rule(style="dim", characters="-")
    console.print(
        f"[bold]{document['mode'].upper()}{dry}[/] · seed {document['seed']} · faults {escape(document['faults'])} · "
        f"{document['seconds']} s"
    )
    seen = document["opportunities"]
    console.print(
        f"[bold]Opportunities:[/] {seen['total']} decisions; prices crossed {seen['crossings']} times, fees aside"
    )
    console.print(_opportunity_table(seen))
    console.print(_trade_lines(document))
    if document["recoveries"]["total"]:
        console.print(f"[bold]Recoveries:[/] {document['recoveries']['total']} trades left the straight path")
        console.print(_recovery_table(document["recoveries"]))
        console.print(_waits(document["recoveries"]), style="dim")
    console.print(_figure_lines(document))
    for text in _process_lines(document):
        console.print(text)
    for text in document["unread"]:
        console.print(f"[red]not read:[/] {escape(text)}", soft_wrap=True)
    show(document["proof"], console)
    console.print(_next(document), soft_wrap=True)


def _opportunity_table(told: Mapping[str, Any]) -> Table:
    table = Table()
    table.add_column("outcome")
    table.add_column("number", justify="right")
    table.add_column("why")
    for outcome, count in told["by_outcome"].items():
        if count and outcome != Verdict.REFUSED:
            table.add_row(VERDICTS[outcome], str(count), "", style="green")
    for reason, count in told["by_reason"].items():
        if reason != Reason.DRY_RUN:
            table.add_row("refused", str(count), PHRASES.get(reason, reason))
    return table


def _trade_lines(document: Mapping[str, Any]) -> str:
    trades = document["trades"]
    ends = ", ".join(f"{trades[outcome]} {outcome}" for outcome in OUTCOMES if trades[outcome]) or "none"
    net, expected = (signed(Money(trades[f"{which}_micro_dollars"])) for which in ("result", "expected"))
    style = "red" if net.startswith("-") else "green"
    return (
        f"[bold]Trades:[/] {trades['total']} ({ends})\n"
        f"[bold]Result:[/] [{style}]{net}[/] net of fees; {expected} was expected from the books as they were seen"
    )


def signed(amount: Money) -> str:
    """For people, with the currency: `-$0.32`."""
    return f"{'-' if amount < 0 else ''}${dollars(Money(abs(amount)))}"


def _recovery_table(told: Mapping[str, Any]) -> Table:
    table = Table()
    table.add_column("what happened")
    table.add_column("trades", justify="right")
    for column in ("p50 ms", "p99 ms", "max ms"):
        table.add_column(column, justify="right")
    flat = told["time_to_flat_ms"]
    for kind, count in told["by_kind"].items():
        table.add_row(MISHAPS.get(kind, kind), str(count), *_times(flat["by_kind"][kind]))
    table.add_section()
    table.add_row("all", str(told["total"]), *_times(flat))
    return table


def _waits(told: Mapping[str, Any]) -> str:
    p50, p99, most = _times(told["wait_for_proof_ms"])
    return (
        "Counted from when proved excess could be acted on, to flat, less waits for a venue's answer; - where doubt "
        f"ended in balance. Waits for proof, apart: p50 {p50}, p99 {p99}, max {most} ms."
    )


def _times(told: Mapping[str, Any]) -> tuple[str, str, str]:
    return _number(told["p50"]), _number(told["p99"]), _number(told["max"])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _figure_lines(document: Mapping[str, Any]) -> str:
    told = document["figures"]
    took, slip = told["execution_ms"], told["slippage_bps"]
    slippage = "-" if slip is None else f"{slip / 100:.2f} %"
    text = (
        f"[bold]Execution:[/] p50 {_number(took['p50'])} ms, p99 {_number(took['p99'])} ms from intent to proof of "
        f"both legs; {_percent(told['under_30_ms'])} under 30 ms\n"
        f"[bold]Quality:[/] fill rate {_percent(told['fill_rate'])}, hedged {_percent(told['success'])} "
        f"({_percent(told['hedged_without_recovery'])} without any recovery), slippage {slippage}, "
        f"rolled back {_percent(told['rollback_rate'])}, dust {told['dust_contracts']}"
    )
    stages = [f"{stage} p50 {at['p50']} p99 {at['p99']}" for stage, at in document["latency_us"].items()]
    return f"{text}\n[bold]Latency:[/] {', '.join(stages)} (microseconds)" if stages else text


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def _process_lines(document: Mapping[str, Any]) -> Iterator[str]:
    for kill in document["kills"]:
        at = kill.get("point") or f"{kill.get('at_s')} s"
        open_ = kill.get("open_trades")
        state = (
            ""
            if open_ is None
            else f" with {open_} open, {kill.get('in_doubt')} in doubt, {kill.get('unreported')} unreported"
        )
        missed = f" [yellow](missed: {escape(str(kill['missed']))})[/]" if kill.get("missed") else ""
        yield f"[bold]Killed:[/] {escape(str(kill.get('actor')))} at {at}{state}{missed}"
    for name, times in document["restarts"].items():
        for restart in times:
            took = restart.get("back_in_service_ms")
            back = "not back in service" if took is None else f"back in service after {took} ms"
            yield f"[bold]Restarted:[/] {escape(name)} ({escape(str(restart.get('reason')))}), {back}"
    if not document["drained"]:
        yield "[bold red]Not drained:[/] the run ended before everything was settled and reported"
    if document["halted"]:
        yield f"[bold red]Halted:[/] {escape(document['halted'])}"


def _next(document: Mapping[str, Any]) -> str:
    where = Path(document["run_directory"])
    journal, ledgers = (shlex.quote(str(where / name)) for name in ("journal", "ledgers.json"))
    ids = document["ids"]
    lines = ["[bold]Next:[/]"]
    for command, about in (("explain", "opportunity"), ("trade", "trade")):
        if about in ids:
            lines.append(f"  python run.py {command} {escape(ids[about])} --journal {escape(journal)}")
    lines.append(f"  python run.py prove --journal {escape(journal)} --ledgers {escape(ledgers)}")
    return "\n".join(lines)


# While it runs

STAGES = {
    "opened": ("detected", "cyan"),
    "dry_run": ("dry run", "blue"),
    "order": ("order", ""),
    "doubt": ("warning", "yellow"),
    "excess": ("warning", "yellow"),
    "reversed": ("warning", "yellow"),
    "recovery": ("auto-close", "magenta"),
    "settled": ("success", "green"),
    "final": ("success", "green"),
    "escalated": ("error", "bold red"),
}
"""A story's stage as the log names it, and its colour."""


def line(story: Mapping[str, Any], t0_ns: int) -> str:
    """One line of a story for standard output: when, what kind, which trade, and what happened."""
    label, style = STAGES.get(str(story["stage"]), (str(story["stage"]), ""))
    console = page()
    text = Text()
    text.append(f"t+{max(0, int(story['at']) - t0_ns) / SECOND:6.1f}s  ", "dim")
    text.append(f"{label.upper():<10} ", style or None)
    text.append(f"{story['trade']:<15} ", "bold")
    text.append(str(story["text"]), style if label in {"error", "warning"} else None)
    with console.capture() as captured:
        console.print(text, end="", soft_wrap=True)
    return plain(captured.get()) if is_ascii(console.file) else captured.get()
