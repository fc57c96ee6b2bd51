"""What the folded state no longer tells: when the opening orders of a trade were proved, and how long each doubt lasted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from core.desk import Applied
from core.trade import Phase, Trade
from journal import Entry
from messages.base import Message
from messages.orders import Role
from messages.units import Nanos


@dataclass(slots=True)
class Past:
    """One trade's times, in nanoseconds of the journal's clock."""

    proved_at: int | None = None
    """When every opening order was proved for the first time."""
    waits: list[int] = field(default_factory=list)
    """Each from the first doubt about an order to its proof."""
    doubted: dict[str, int] = field(default_factory=dict)
    unanswered: list[tuple[int, int]] = field(default_factory=list)
    """From the sending of each order that fell into doubt to its proof: the venue's time, not ours."""

    def waited(self, begin: int, end: int) -> int:
        """How much of this time some order was without an answer."""
        total, upto = 0, begin
        for sent, proved in sorted(self.unanswered):
            until = min(proved, end)
            if until > max(sent, upto):
                total += until - max(sent, upto)
                upto = until
        return total


class Historian:
    """A witness of the fold."""

    def __init__(self) -> None:
        self.pasts: dict[str, Past] = {}

    def __call__(self, entry: Entry, message: Message, applied: Applied) -> None:
        at = moment(entry, message)
        for _, after in applied.moved:
            self._see(self.pasts.setdefault(after.trade, Past()), after, at)

    def _see(self, past: Past, trade: Trade, at: int) -> None:
        if past.proved_at is None and all(s.proven for s in trade.orders if s.order.role is Role.OPEN):
            past.proved_at = at
        for state in trade.orders:
            if state.phase is Phase.DOUBT:
                past.doubted.setdefault(state.order.order, at)
            elif state.proven and state.order.order in past.doubted:
                past.waits.append(at - past.doubted.pop(state.order.order))
                past.unanswered.append((state.order.made_at, at))


def moment(entry: Entry, message: Message) -> Nanos:
    """When the event happened, where it says so; else when it was written down."""
    at: Nanos = getattr(message, "at", Nanos(entry.at_ns))
    return at


def spread(values: Sequence[int], unit: int) -> dict[str, object]:
    """p50, p99 and the most of some times, in units with three decimals; by nearest rank, so each is a time that was."""
    ordered = sorted(values)
    told: dict[str, object] = {"count": len(ordered)}
    for name, rank in (("p50", 50), ("p99", 99), ("max", 100)):
        told[name] = round(ordered[-(-rank * len(ordered) // 100) - 1] / unit, 3) if ordered else None
    return told
