"""The proof, computed from the journals' bytes and the venues' ledgers and request logs, and from nothing else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from console.exits import Exit
from console.proof.fold import fold, is_executor, owner_entries, sheets
from console.proof.judge import KINDS, SCHEMA_VERSION, Proof, judge
from console.proof.ledgers import Unreadable, read_ledgers
from console.proof.page import page
from core.units import contracts, dollars
from messages.units import Money, Quantity

SHOWN_MOST = 20
"""Violations of one kind in the table; the document has them all."""


def prove(journal: Path, ledgers: Path) -> Proof:
    """Fold every journal anew and hold it against the venues. `Unreadable` where there is nothing sound to compare."""
    told = read_ledgers(ledgers)
    journals = sheets(journal)
    books = [fold(journal, sheet) for sheet in journals if is_executor(sheet.name)]
    return judge(books, journals, told, owner_entries(journal, [sheet.name for sheet in journals]))


def main(journal: Path, ledgers: Path, *, as_json: bool = False) -> int:
    """Print the proof; 0 where everything is equal, 6 where anything differs, 3 where it cannot be computed."""
    try:
        proof = prove(journal, ledgers)
    except Unreadable as problem:
        print(problem, file=sys.stderr)
        if as_json:
            print(json.dumps({"schema_version": SCHEMA_VERSION, "error": "unreadable", "text": str(problem)}, indent=2))
        return Exit.CONFIGURATION
    if as_json:
        print(json.dumps(proof.to_dict(), indent=2))
    else:
        show(proof.to_dict(), page())
    return Exit.OK if proof.clean else Exit.EXPOSED


def show(document: Mapping[str, Any], console: Console) -> None:
    """The proof, as its document has it: tables, everything that is wrong, and one plain sentence."""
    if "error" in document:
        console.print(f"[bold red]There is no proof:[/] {escape(document['text'])}")
        return
    console.print("[bold]The proof:[/] our journals against the venues' ledgers and request logs")
    console.print(_table(document["venues"]))
    for venue, told in document["venues"].items():
        for position in told["positions_different"]:
            ours, theirs = (contracts(Quantity(position[side])) for side in ("ours", "theirs"))
            console.print(f"  {venue} {escape(position['market'])} {position['outcome']}: {ours} ours, {theirs} theirs")
    for excess in document["escalated"]:
        console.print(f"  [yellow]escalated[/] {excess['trade']}: {escape(excess['why'])}")
    seen: dict[str, int] = {}
    for violation in document["violations"]:
        what = violation["what"]
        seen[what] = seen.get(what, 0) + 1
        if seen[what] <= SHOWN_MOST:
            console.print(f"  [red]{violation['invariant']} {what}[/] {escape(violation['text'])}")
    for what, count in seen.items():
        if count > SHOWN_MOST:
            console.print(f"  [red]{what}[/] {count - SHOWN_MOST} more; --json has them all")
        console.print(f"  the rule: {KINDS[what]}", style="dim")
    console.print(sentence(document), style="green" if is_clean(document) else "bold red")


def is_clean(document: Mapping[str, Any]) -> bool:
    return "error" not in document and not document["violations"] and not document["escalated"]


def _table(venues: Mapping[str, Any]) -> Table:
    table = Table()
    for column in ("venue", "figure"):
        table.add_column(column)
    for column in ("ours", "theirs", "difference"):
        table.add_column(column, justify="right")
    for name, told in venues.items():
        for number, (figure, ours, theirs, difference) in enumerate(_rows(told)):
            style = "" if difference in {"0", "0.00", ""} else "red"
            table.add_row("" if number else name, figure, ours, theirs, difference, style=style)
        table.add_section()
    return table


def _rows(told: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for figure in ("cash", "fees"):
        ours, theirs, difference = (dollars(Money(told[figure][side])) for side in ("ours", "theirs", "difference"))
        yield f"{figure} $", ours, theirs, difference
    different = len(told["positions_different"])
    equal = told["positions_equal"]
    yield "positions", str(equal + different), str(equal + different), str(different)
    ours, theirs, both = (told[f"executions_{which}"] for which in ("only_ours", "only_theirs", "different"))
    shared = told["executions_equal"] + len(both)
    wrong = len(ours) + len(theirs) + len(both)
    yield "executions", str(shared + len(ours)), str(shared + len(theirs)), str(wrong)
    yield "orders", f"{told['orders_named']} named", f"{told['orders_accepted']} stand, {told['posts']} requests", ""


def sentence(document: Mapping[str, Any]) -> str:
    """The whole proof in plain words."""
    venues, hashes = document["venues"], document["hashes"]
    parts = [
        f"{_count(sum(told['orders_named'] for told in venues.values()), 'order')} at {_count(len(venues), 'venue')}",
        f"{document['accepted_twice']} accepted twice",
        f"{document['sent_twice']} sent twice",
        f"{_count(document['reposted'], 'repeat')} as a journaled look-up",
        f"residual excess {document['residual_excess_contracts']}",
    ]
    equal = "cash, fees, positions and executions are equal to the micro-dollar"
    books = equal if document["reconciled"] else "the books do NOT agree"
    same = "gives the same state" if document["replay_equal"] else "does NOT give the same state"
    told = f"{', '.join(parts)}; {books}; replay {same} ({hashes['equal']} of {hashes['compared']} hashes)."
    if document["escalated"]:
        told += f" {_count(len(document['escalated']), 'trade')} in a person's hands."
    if document["violations"]:
        told += f" {_count(len(document['violations']), 'violation')}."
    return told


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
