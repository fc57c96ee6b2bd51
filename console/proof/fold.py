"""Our side of the proof: every executor's journal read byte by byte, its chain checked, and folded anew by the law.

Nothing here knows what a live actor believed; what it wrote down as its state hash is compared and never used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from console.proof.ledgers import Unreadable
from core.desk import Applied, Desk, id_root
from core.ledger import Unbalanced
from journal import Entry, JournalError, list_journals, read_journal, verify
from messages.base import Message, UnknownMessage, parse
from messages.control import Halt, Resume
from messages.leases import Booked, Reported
from messages.orders import Named, Order
from messages.trades import Hashed, Opened, Restarted
from messages.units import Nanos

EXECUTOR = "executor"
POSITION_BOOK = "position_book"
FOREVER = Nanos(2**62)


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken invariant, or one figure that differs."""

    invariant: str
    what: str
    """Which kind, for programs: one word of `judge.KINDS`."""
    text: str


@dataclass(frozen=True, slots=True)
class Identity:
    """An order as the journal named it, before anything was sent."""

    executor: str
    order: Order
    wire: str
    seq: int
    at_ns: int
    """When the record was appended."""


@dataclass(slots=True)
class Halted:
    since_ns: int
    until_ns: int
    why: str


@dataclass(slots=True)
class Sheet:
    """One journal's facts: how much of it there is, and that its chain holds."""

    name: str
    genesis: str
    entries: int
    epochs: int
    last_hash: str


@dataclass(slots=True)
class Folded:
    """One executor, as its journal alone makes it."""

    sheet: Sheet
    desk: Desk
    identities: list[Identity] = field(default_factory=list)
    booked: list[Booked] = field(default_factory=list)
    halts: list[Halted] = field(default_factory=list)
    hashes: int = 0
    hashes_equal: int = 0
    violations: list[Violation] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.sheet.name

    def nets(self) -> dict[str, bool]:
        """Which venues turn YES and NO of one market into cash by themselves, by the intents' own terms."""
        return {term.venue: term.nets for trade in self.desk.trades.values() for term in trade.terms}


Witness = Callable[[Entry, Message, Applied], None]
"""Sees each record with what it caused, in order."""


def is_executor(name: str) -> bool:
    return name == EXECUTOR or name.startswith(f"{EXECUTOR}.")


def sheets(directory: Path) -> list[Sheet]:
    """Every journal of the run, each with its whole chain checked; the first that does not hold is refused."""
    try:
        found = [verify(directory, name) for name in list_journals(directory)]
    except JournalError as problem:
        raise Unreadable(str(problem)) from None
    if not any(is_executor(verdict.name) for verdict in found):
        raise Unreadable(f"{directory} holds no journal of an executor. Give the `journal` folder of a run.")
    for verdict in found:
        if not verdict.sound:
            raise Unreadable(verdict.fault)
    return [Sheet(v.name, v.genesis, v.entries, v.epoch, v.last_hash.hex()) for v in found]


def records(directory: Path, name: str) -> Iterator[tuple[Entry, Message]]:
    """Every record of a journal as the message that it is."""
    try:
        for entry in read_journal(directory, name):
            yield entry, parse(entry.kind, entry.body)
    except UnknownMessage as problem:
        raise Unreadable(
            f"journal {name} in {directory} holds a record that this version cannot read: {problem}. "
            "Prove it with the version that wrote it."
        ) from None
    except JournalError as problem:
        raise Unreadable(str(problem)) from None


def fold(directory: Path, sheet: Sheet, witness: Witness | None = None) -> Folded:
    """Fold one executor's journal, comparing on the way everything that it says of itself."""
    folded = Folded(sheet, Desk(id_root(sheet.genesis, sheet.name)))
    epoch = 0
    try:
        for entry, message in records(directory, sheet.name):
            if entry.epoch != epoch:
                epoch = entry.epoch
                _incarnation(folded, entry, message)
            _before(folded, entry, message)
            applied = folded.desk.apply(entry.seq, message)
            folded.booked += applied.booked
            _after(folded, entry, message)
            if witness is not None:
                witness(entry, message, applied)
    except Unbalanced as problem:
        folded.violations.append(Violation("I15", "ledger", f"{sheet.name}: {problem}"))
    if folded.desk.trades and not folded.hashes:
        text = f"{sheet.name} has trades and never wrote down a state hash: there is nothing to compare with"
        folded.violations.append(Violation("I8", "no_hash", text))
    return folded


def _incarnation(folded: Folded, entry: Entry, message: Message) -> None:
    """The first thing that an incarnation does is to doubt all that its predecessor left unproven."""
    if not isinstance(message, Restarted) or message.epoch != entry.epoch:
        text = f"{folded.name}: epoch {entry.epoch} began with {entry.kind} and not by doubting what it found"
        folded.violations.append(Violation("I9", "undoubted", text))


def _before(folded: Folded, entry: Entry, message: Message) -> None:
    desk, violations = folded.desk, folded.violations
    match message:
        case Opened():
            expected = desk.next_trade(entry.epoch)
            if message.trade != expected:
                text = f"{folded.name}: trade {message.trade} was opened where {expected} follows from the journal"
                violations.append(Violation("I2", "underived", text))
            if desk.halted:
                text = f"{folded.name}: trade {message.trade} was opened while halted ({desk.halted})"
                violations.append(Violation("I13", "opened_while_halted", text))
        case Hashed():
            folded.hashes += 1
            if message.digest == desk.digest():
                folded.hashes_equal += 1
            else:
                text = (
                    f"{folded.name}: at entry {entry.seq} the live actor's state hashed to {message.digest[:16]}…, "
                    f"the replay's to {desk.digest()[:16]}…"
                )
                violations.append(Violation("I8", "wrong_hash", text))


def _after(folded: Folded, entry: Entry, message: Message) -> None:
    desk = folded.desk
    match message:
        case Named():
            trade = desk.trades.get(desk.by_order.get(message.order, ""))
            state = trade.state_of(message.order) if trade is not None else None
            if state is None:
                text = f"{folded.name}: order {message.order} was named, but nothing in the journal plans it"
                folded.violations.append(Violation("I2", "underived", text))
                return
            folded.identities.append(Identity(folded.name, state.order, message.wire, entry.seq, entry.at_ns))
        case Halt() if not folded.halts or folded.halts[-1].until_ns != FOREVER:
            folded.halts.append(Halted(entry.at_ns, FOREVER, f"{message.by}: {message.why}"))
        case Resume() if folded.halts:
            folded.halts[-1].until_ns = min(folded.halts[-1].until_ns, entry.at_ns)


def owner_entries(directory: Path, names: list[str]) -> list[tuple[str, Booked]]:
    """What the position book made durable, with who reported it. It books all that it kept: twice kept is twice booked."""
    if POSITION_BOOK not in names:
        return []
    kept = (message for _, message in records(directory, POSITION_BOOK) if isinstance(message, Reported))
    return [(report.source, entry) for report in kept for entry in report.booked]
