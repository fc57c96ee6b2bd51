"""Read back: why an opportunity was taken or not, and what happened to a trade, step by step."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from console.exits import Exit
from console.proof.fold import fold, is_executor, sheets
from console.proof.history import moment
from console.proof.ledgers import Unreadable
from console.proof.page import page
from console.proof.records import read_decisions
from console.report import PHRASES, STAGES, signed
from core.desk import Applied
from core.story import milliseconds, result, tell
from core.trade import Trade
from core.units import cents, contracts, cost_of, dollars
from journal import Entry
from messages.base import Message
from messages.opportunities import CheckOutcome, Decision, Opportunity, Verdict
from messages.orders import (
    Absent,
    Cancel,
    Ended,
    Filled,
    Landed,
    LookUp,
    LookUpFailed,
    Lost,
    OrderReport,
    Refused,
    Repost,
    Rested,
    Withheld,
)
from messages.trades import Opened, Quoted, Restarted
from messages.units import MILLISECOND, ONE_DOLLAR, Money, Nanos

SCHEMA_VERSION = 1
NEAREST = 5
MARKET_SHOWN = 24


class NotFound(Exception):
    """Nothing has this name; the text says what has a similar one."""

    def __init__(self, text: str, nearest: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.text, self.nearest = text, tuple(nearest)

    def __str__(self) -> str:
        return self.text + (f" Nearest: {', '.join(self.nearest)}." if self.nearest else "")


# Where


def latest_run(home: Path) -> Path:
    """The newest run below the home of all runs."""
    found = [engine.parent.parent for engine in home.glob("runs/*/journal/engine.json")]
    if not found:
        raise NotFound(f"There is no run below {home}. Start one with run.py, or name its folder with --journal.")
    return max(found, key=lambda run: ((run / "journal" / "engine.json").stat().st_mtime_ns, run.name))


def run_of(journal: Path | None, home: Path | None) -> Path:
    """The run that is meant: the one with this folder of journals, else the newest one."""
    if journal is not None:
        absolute = journal.absolute()
        return absolute if (absolute / "journal").is_dir() else absolute.parent
    return latest_run(home if home is not None else Path(".crossfill"))


def chosen(identifier: str, names: Iterable[str], what: str) -> str:
    """The one name that this is, in full or by its unique end."""
    known = list(dict.fromkeys(names))
    if identifier in known:
        return identifier
    ends = [name for name in known if name.endswith(f".{identifier}")] or [n for n in known if n.endswith(identifier)]
    if identifier and len(ends) == 1:
        return ends[0]
    if identifier and len(ends) > 1:
        raise NotFound(f"{identifier!r} is the end of {len(ends)} {what} ids; give more of it.", ends[:NEAREST])
    raise NotFound(
        f"No {what} of this run is called {identifier!r}.",
        difflib.get_close_matches(identifier, known, NEAREST, 0.0),
    )


# Explain


def explain(
    identifier: str,
    run_directory: Path | None = None,
    *,
    journal: Path | None = None,
    home: Path | None = None,
    as_json: bool = False,
) -> int:
    """Print why an opportunity ended as it did. Takes the id of an opportunity or of a trade, or a unique end of either."""
    try:
        decision = decision_of(identifier, run_directory or run_of(journal, home))
    except NotFound as problem:
        return _not_found(problem, as_json)
    except Unreadable as problem:
        return _unreadable(problem, as_json)
    told = explained(decision)
    if as_json:
        print(json.dumps(told, indent=2))
    else:
        _print_explained(told, page())
    return Exit.OK


def decision_of(identifier: str, run_directory: Path) -> Decision:
    """The last decision about an opportunity, or the one that became a trade."""
    by_name: dict[str, Decision] = {}
    for decision in read_decisions(run_directory):
        by_name[decision.opportunity.opportunity] = decision
        if decision.trade is not None:
            by_name[decision.trade] = decision
    return by_name[chosen(identifier, by_name, "opportunity or trade")]


def explained(decision: Decision) -> dict[str, Any]:
    """The decision with its waterfall, every figure as an integer and in dollars."""
    opportunity = decision.opportunity
    payout = opportunity.payout * opportunity.quantity // ONE_DOLLAR
    allowance = slippage_allowance(opportunity)
    steps = {
        "payout": payout,
        "cost": -opportunity.cost,
        "gross": opportunity.gross,
        "fees": -opportunity.fees,
        "net": opportunity.net,
        "slippage_allowance": -allowance,
        "net_at_limits": opportunity.net - allowance,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "opportunity": opportunity.opportunity,
        "trade": decision.trade,
        "pair": opportunity.pair,
        "group": opportunity.group,
        "kind": opportunity.kind.value,
        "seen_at_ns": opportunity.seen_at,
        "decided_at_ns": decision.decided_at,
        "contracts": contracts(opportunity.quantity),
        "verdict": decision.verdict.value,
        "reason": decision.reason.value if decision.reason is not None else None,
        "in_words": in_words(decision),
        "checks": [check.model_dump(mode="json") for check in decision.checks],
        "waterfall_micro_dollars": steps,
        "waterfall_dollars": {name: dollars(Money(amount)) for name, amount in steps.items()},
        "legs": [
            {
                "venue": leg.venue,
                "market": leg.market,
                "outcome": leg.outcome.value,
                "best_cents": cents(leg.best),
                "limit_cents": cents(leg.limit),
                "contracts": contracts(leg.quantity),
                "cost_dollars": dollars(leg.cost),
                "fee_at_most_dollars": dollars(leg.fee),
                "book_sequence": leg.book_sequence,
                "book_age_ms": milliseconds(leg.book_age),
                "market_version": leg.market_version,
                "fee_version": leg.fee_version,
            }
            for leg in opportunity.legs
        ],
    }


def slippage_allowance(opportunity: Opportunity) -> Money:
    """What every contract at its limit would cost more than the books that were seen."""
    return Money(sum(max(0, cost_of(leg.limit, leg.quantity) - leg.cost) for leg in opportunity.legs))


def in_words(decision: Decision) -> str:
    match decision.verdict:
        case Verdict.TAKEN:
            return f"Taken: every check passed, and it became trade {decision.trade}."
        case Verdict.DRY_RUN:
            return "It would have been taken: every check passed, and in a dry run nothing is sent."
    why = PHRASES.get(decision.reason, decision.reason) if decision.reason is not None else "no reason was given"
    last = decision.checks[-1] if decision.checks else None
    detail = f" ({last.text})" if last is not None and last.outcome is CheckOutcome.FAILED and last.text else ""
    return f"Refused: {why}{detail}."


LEG_FIGURES = {
    "best": "best_cents",
    "limit": "limit_cents",
    "contracts": "contracts",
    "cost $": "cost_dollars",
    "fee <= $": "fee_at_most_dollars",
    "age ms": "book_age_ms",
}
"""Columns, and where each figure stands in the document."""


def short(market: str) -> str:
    """A long identity by its two ends; the document has all of it."""
    return market if len(market) <= MARKET_SHOWN else f"{market[:10]}..{market[-8:]}"


def _print_explained(told: dict[str, Any], console: Console) -> None:
    console.print(
        f"[bold]{told['opportunity']}[/]  {escape(told['pair'])}  {told['kind']}  {told['contracts']} contracts"
    )
    table = Table()
    for column in ("check", "answer", "remark"):
        table.add_column(column)
    styles = {"failed": "red", "capped": "yellow", "not_configured": "dim"}
    for check in told["checks"]:
        answer = check["outcome"].replace("_", " ")
        table.add_row(check["check"], answer, escape(check["text"]), style=styles.get(check["outcome"], ""))
    console.print("[bold]Checks, in their order[/]")
    console.print(table)
    steps = told["waterfall_dollars"]
    console.print("[bold]From pay-out to profit, in dollars[/]")
    money = Table(show_header=False)
    money.add_column("step")
    money.add_column("amount", justify="right")
    for name, label in (
        ("payout", "pays out, whatever happens"),
        ("cost", "cost of the legs at the prices seen"),
        ("gross", "= gross"),
        ("fees", "fees, at most"),
        ("net", "= net"),
        ("slippage_allowance", "if every contract filled at its limit"),
        ("net_at_limits", "= net at the limits"),
    ):
        money.add_row(label, steps[name], style="bold" if label.startswith("=") else "")
    console.print(money)
    console.print("[bold]Legs[/]")
    legs = Table()
    for column in ("buy", "market", *LEG_FIGURES):
        legs.add_column(column, justify="right" if column in LEG_FIGURES else "left", no_wrap=True)
    for leg in told["legs"]:
        where = f"{leg['venue']} {escape(short(leg['market']))}"
        legs.add_row(leg["outcome"].upper(), where, *(leg[field] for field in LEG_FIGURES.values()))
    console.print(legs)
    console.print(escape(told["in_words"]), style="green" if told["verdict"] != "refused" else "yellow")
    if told["trade"]:
        console.print(f"Its story: python run.py trade {told['trade']}")


# A trade's story


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the story."""

    at: Nanos
    stage: str
    text: str
    seq: int = 0
    """Of the journal's record; 0 for what came before any."""


def trade(
    identifier: str,
    run_directory: Path | None = None,
    *,
    journal: Path | None = None,
    home: Path | None = None,
    as_json: bool = False,
) -> int:
    """Print a trade's time line, from the journal alone."""
    try:
        run = run_directory or run_of(journal, home)
        told, steps = story_of(identifier, run)
    except NotFound as problem:
        return _not_found(problem, as_json)
    except Unreadable as problem:
        return _unreadable(problem, as_json)
    if as_json:
        print(json.dumps(_trade_document(told, steps), indent=2))
    else:
        _print_trade(told, steps, page())
    return Exit.OK


def story_of(identifier: str, run_directory: Path) -> tuple[Trade, list[Step]]:
    """The trade as it is now, and everything that happened to it in the order of time."""
    directory = run_directory / "journal"
    names: list[str] = []
    for sheet in sheets(directory):
        if not is_executor(sheet.name):
            continue
        teller = _Teller()
        folded = fold(directory, sheet, teller)
        names += folded.desk.trades
        if identifier in folded.desk.trades:
            # an execution is dated by when it was heard of, and written down in the next turn
            return folded.desk.trades[identifier], sorted(teller.steps[identifier], key=lambda step: step.at)
    # most people type the end of an id; it is looked for once all ids are known
    name = chosen(identifier, names, "trade")
    return story_of(name, run_directory)


class _Teller:
    """A witness that keeps the story of every trade."""

    def __init__(self) -> None:
        self.steps: dict[str, list[Step]] = {}
        self._of_order: dict[str, tuple[str, str]] = {}
        """Order → its trade and venue."""

    def __call__(self, entry: Entry, message: Message, applied: Applied) -> None:
        at = moment(entry, message)
        for name, stage, text in self._told(entry, message, applied, at):
            self.steps.setdefault(name, []).append(Step(at, stage, text, entry.seq))

    def _told(self, entry: Entry, message: Message, applied: Applied, at: Nanos) -> Iterator[tuple[str, str, str]]:
        if isinstance(message, Opened):
            yield from self._opened(entry, message)
        elif isinstance(message, OrderReport) and message.order in self._of_order:
            name, venue = self._of_order[message.order]
            stage, text = _report(message)
            yield name, stage, f"{venue}, order {message.order}: {text}"
        elif isinstance(message, Quoted):
            yield message.trade, "order", _quotes(message)
        moved = [after.trade for _, after in applied.moved]
        if isinstance(message, Restarted):
            for name in moved:
                yield name, "doubt", f"a successor took over (epoch {message.epoch}): what was unproven is in doubt"
        for before, after in applied.moved:
            for state in after.orders:
                self._of_order[state.order.order] = (after.trade, state.order.venue)
            for stage, text in tell(before, after, at):
                if stage not in {"opened", "order", "doubt"}:  # told above, from the record itself
                    yield after.trade, stage, text
        for command in applied.commands:
            if isinstance(command, LookUp | Repost | Cancel):
                name, venue = self._of_order[command.order.order]
                yield name, "doubt", f"{venue}, order {command.order.order}: {_doing(command)}"

    def _opened(self, entry: Entry, opened: Opened) -> Iterator[tuple[str, str, str]]:
        opportunity = opened.opportunity
        legs = " + ".join(f"{leg.outcome.upper()} at {leg.venue} for {cents(leg.limit)}" for leg in opportunity.legs)
        seen = Step(
            opportunity.seen_at,
            "opened",
            f"{opportunity.pair}: {contracts(opportunity.quantity)} x {legs}; net {dollars(opportunity.net)} expected",
        )
        self.steps.setdefault(opened.trade, []).append(seen)
        durable = milliseconds(max(0, entry.at_ns - opportunity.seen_at))
        yield (
            opened.trade,
            "order",
            f"the intent is written down with {len(opened.orders)} orders, {durable} ms after it was seen",
        )


def _report(report: OrderReport) -> tuple[str, str]:
    match report:
        case Rested():
            return "order", f"rests, {contracts(report.matched)} filled so far"
        case Ended():
            return "order", f"{report.how.value}, {contracts(report.matched)} filled in all"
        case Refused():
            again = " (of the re-post; the first request may still arrive)" if report.repost else ""
            return "doubt", f"refused, {report.reason.value.replace('_', ' ')}{again}: {report.text}"
        case Lost():
            return "doubt", f"{report.trouble.value.replace('_', ' ')}, nobody knows whether it arrived: {report.text}"
        case Landed():
            return "order", "the venue has it already: it had arrived"
        case Absent():
            return "doubt", "the venue does not know it (yet)"
        case LookUpFailed():
            return "doubt", f"the look-up got no answer: {report.text}"
        case Withheld():
            return "doubt", f"not sent again: {report.text}"
        case Filled():
            fill = report.fill
            maker = {True: ", maker", False: ", taker", None: ""}[fill.maker]
            text = (
                f"execution of {contracts(fill.quantity)} at {cents(fill.price)}, fee {dollars(fill.fee)}, "
                f"{fill.settlement.value}{maker}"
            )
            return "order", text
    return "order", type(report).__name__


def _doing(command: LookUp | Repost | Cancel) -> str:
    match command:
        case LookUp():
            return "ask the venue what became of it"
        case Repost():
            return "send the identical bytes again, as a look-up"
    return "take it back"


def _quotes(quoted: Quoted) -> str:
    told = []
    for number, quote in enumerate(quoted.quotes):
        bid = cents(quote.bids[0][0]) if quote.bids else "-"
        ask = cents(quote.asks[0][0]) if quote.asks else "-"
        told.append(f"leg {number} {bid}/{ask}" if quote.usable else f"leg {number} unknown")
    return f"prices now, bid/ask: {', '.join(told)}"


def _trade_document(told: Trade, steps: list[Step]) -> dict[str, Any]:
    seen = told.opened.opportunity.seen_at
    return {
        "schema_version": SCHEMA_VERSION,
        "trade": told.trade,
        "opportunity": told.opened.opportunity.opportunity,
        "pair": told.opened.opportunity.pair,
        "outcome": told.outcome,
        "final": told.final,
        "hedged_contracts": contracts(told.hedged),
        "result_micro_dollars": result(told),
        "result_dollars": dollars(result(told)),
        "expected_dollars": dollars(told.opened.opportunity.net),
        "recovered_from": [mishap.trouble.value for mishap in told.mishaps] if told.recovery is not None else [],
        "steps": [
            {
                "offset_ms": _offset(step.at, seen),
                "at_ns": step.at,
                "stage": _label(step),
                "text": step.text,
                "seq": step.seq,
            }
            for step in steps
        ],
        "orders": [
            {
                "order": state.order.order,
                "wire": state.wire,
                "venue_order": state.venue_order,
                "role": state.order.role.value,
                "status": state.status,
                "matched_contracts": contracts(state.matched),
                "reposts": state.reposts,
            }
            for state in told.orders
        ],
    }


def _offset(at: int, seen: int) -> float:
    return round((at - seen) / MILLISECOND, 3)


def _label(step: Step) -> str:
    return STAGES.get(step.stage, (step.stage, ""))[0]


def _print_trade(told: Trade, steps: list[Step], console: Console) -> None:
    opportunity = told.opened.opportunity
    console.print(f"[bold]trade {told.trade}[/]  {escape(opportunity.pair)}  milliseconds from detection")
    for step in steps:
        label, style = STAGES.get(step.stage, (step.stage, ""))
        offset = f"{_offset(step.at, opportunity.seen_at):>+12.3f}"
        start, end = (f"[{style}]", "[/]") if style else ("", "")
        console.print(f"{offset}  {start}{label.upper():<10}{end}  {escape(step.text)}", soft_wrap=True)
    for state in told.orders:
        console.print(
            f"  {state.order.role.value} {state.order.order} at {state.order.venue}: {state.status}, "
            f"{contracts(state.matched)} of {contracts(state.order.quantity)}; there it is {escape(state.wire)}",
            style="dim",
            soft_wrap=True,
        )
    settled = "every execution confirmed" if told.final else "not every execution is confirmed"
    console.print(
        f"[bold]{told.outcome.upper()}[/] {contracts(told.hedged)} contracts, result {signed(result(told))} net of fees "
        f"({signed(opportunity.net)} expected), {settled}"
    )
    console.print(f"Why it was taken: python run.py explain {opportunity.opportunity}")


# What cannot be shown


def _not_found(problem: NotFound, as_json: bool) -> int:
    print(problem, file=sys.stderr)
    if as_json:
        document = {"error": "not_found", "text": problem.text, "nearest": list(problem.nearest)}
        print(json.dumps({"schema_version": SCHEMA_VERSION} | document, indent=2))
    return Exit.USAGE


def _unreadable(problem: Unreadable, as_json: bool) -> int:
    print(problem, file=sys.stderr)
    if as_json:
        print(json.dumps({"schema_version": SCHEMA_VERSION, "error": "unreadable", "text": str(problem)}, indent=2))
    return Exit.CONFIGURATION
