"""The proof, computed from the journals' bytes and the venues' ledgers and request logs, and from nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from console.exits import Exit
from console.proof.fold import fold, is_executor, owner_entries, sheets
from console.proof.judge import KINDS, SCHEMA_VERSION, Proof, VenueProof, judge
from console.proof.ledgers import Unreadable, read_ledgers
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
        show(proof, Console(highlight=False))
    return Exit.OK if proof.clean else Exit.EXPOSED


def show(proof: Proof, console: Console) -> None:
    """The proof as tables and one plain sentence."""
    console.print(venue_table(proof))
    for venue, judged in proof.venues.items():
        for position in judged.positions_different:
            console.print(
                f"  {venue} {escape(position.market)} {position.outcome}: {contracts(Quantity(position.ours))} ours, "
                f"{contracts(Quantity(position.theirs))} theirs"
            )
    for excess in proof.escalated:
        console.print(f"  [yellow]escalated[/] {excess.trade}: {escape(excess.why)}")
    shown: dict[str, int] = {}
    for violation in proof.violations:
        shown[violation.what] = shown.get(violation.what, 0) + 1
        if shown[violation.what] <= SHOWN_MOST:
            console.print(f"  [red]{violation.invariant} {violation.what}[/] {escape(violation.text)}")
    for what, count in shown.items():
        if count > SHOWN_MOST:
            console.print(f"  [red]{what}[/] {count - SHOWN_MOST} more; --json has them all")
        console.print(f"  the rule: {KINDS[what]}")
    console.print(sentence(proof), style="green" if proof.clean else "bold red")


def venue_table(proof: Proof) -> Table:
    table = Table(title="Proof: our journals against the venues' ledgers", title_justify="left", safe_box=True)
    table.add_column("venue")
    for column in ("figure", "ours", "theirs", "difference"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for name, venue in proof.venues.items():
        for number, (figure, ours, theirs, difference) in enumerate(_rows(venue)):
            style = "red" if difference not in {"0", "0.00"} else ""
            table.add_row(name if not number else "", figure, ours, theirs, difference, style=style)
        table.add_section()
    return table


def _rows(venue: VenueProof) -> list[tuple[str, str, str, str]]:
    amounts = [("cash", venue.cash), ("fees", venue.fees)]
    rows = [
        (f"{name} $", dollars(Money(f.ours)), dollars(Money(f.theirs)), dollars(Money(f.difference)))
        for name, f in amounts
    ]
    equal, wrong = venue.positions_equal, len(venue.positions_different)
    rows.append(("positions", f"{equal} equal", "", str(wrong)))
    only_ours, only_theirs = len(venue.executions_only_ours), len(venue.executions_only_theirs)
    different = only_ours + only_theirs + len(venue.executions_different)
    both = venue.executions_equal + len(venue.executions_different)
    rows.append(("executions", str(both + only_ours), str(both + only_theirs), str(different)))
    rows.append(("orders", f"{venue.orders_named} named", f"{venue.orders_accepted} accepted, {venue.posts} sent", "0"))
    return rows


def sentence(proof: Proof) -> str:
    """The whole proof in plain words."""
    orders = sum(venue.orders_named for venue in proof.venues.values())
    parts = [
        f"{_count(orders, 'order')} at {_count(len(proof.venues), 'venue')}",
        f"{proof.accepted_twice} accepted twice",
        f"{proof.sent_twice} sent twice",
        f"{_count(proof.reposted, 'repeat')} as a journaled look-up",
        f"residual excess {contracts(Quantity(proof.residual_excess))}",
    ]
    equal = "cash, fees, positions and executions are equal to the micro-dollar"
    books = equal if proof.reconciled else "the books do NOT agree"
    replay = (
        f"replay gives the same state ({proof.hashes_equal} of {proof.hashes} hashes)"
        if proof.replay_equal
        else f"replay does NOT give the same state ({proof.hashes_equal} of {proof.hashes} hashes)"
    )
    told = f"{', '.join(parts)}; {books}; {replay}."
    if proof.escalated:
        told += f" {_count(len(proof.escalated), 'trade')} in a person's hands."
    if proof.violations:
        told += f" {_count(len(proof.violations), 'violation')}."
    return told


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
