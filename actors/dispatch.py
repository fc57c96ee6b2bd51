"""What the owners must hear, kept until they say that they have it.

Entries are derived from the journal, so a successor derives the same ones with the same sequence numbers; the first
thing it does is to ask each owner how far it got.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from core.desk import Applied
from messages.leases import Acknowledged, Booked, Cooled, Flight, Reported

ENTRIES_MAX = 200
"""In one report."""


@dataclass(slots=True)
class _Line:
    entries: deque[Booked | Flight | Cooled] = field(default_factory=deque)
    acknowledged: int | None = None
    """None until the owner has said how far it got."""


class Dispatch:
    """One line to each owner: `position_book`, `in_flight`, `cooldowns`."""

    def __init__(self, source: str, epoch: int) -> None:
        self._source = source
        self._epoch = epoch
        self._lines = {"position_book": _Line(), "in_flight": _Line(), "cooldowns": _Line()}

    def add(self, applied: Applied) -> None:
        self._lines["position_book"].entries.extend(applied.booked)
        self._lines["in_flight"].entries.extend(applied.flights)
        self._lines["cooldowns"].entries.extend(applied.cooled)

    def acknowledged(self, ack: Acknowledged) -> None:
        line = self._lines.get(ack.owner)
        if line is None or ack.source != self._source:
            return
        # an owner may have lost nothing and yet answer an older report: only ever forwards
        line.acknowledged = max(line.acknowledged or 0, ack.upto)
        while line.entries and line.entries[0].seq <= line.acknowledged:
            line.entries.popleft()

    def owner_restarted(self, owner: str) -> None:
        """A new incarnation says anew how far it got; entries that it acknowledged are durable with it."""
        line = self._lines.get(owner)
        if line is not None:
            line.acknowledged = None

    def reports(self) -> list[tuple[str, Reported]]:
        """What to tell now: to each owner its next entries, or an empty report where we must learn how far it got."""
        out = []
        for owner, line in self._lines.items():
            if line.acknowledged is None:
                out.append((owner, Reported(source=self._source, epoch=self._epoch, after=0, upto=0)))
            elif line.entries:
                out.append((owner, self._report(line, line.acknowledged)))
        return out

    def _report(self, line: _Line, after: int) -> Reported:
        chosen = list(line.entries)[:ENTRIES_MAX]
        if len(line.entries) > len(chosen):  # never cut between two entries of one record
            last = chosen[-1].seq
            while len(chosen) > 1 and chosen[-1].seq == last and line.entries[len(chosen)].seq == last:
                chosen.pop()
        return Reported(
            source=self._source,
            epoch=self._epoch,
            after=after,
            upto=chosen[-1].seq,
            booked=tuple(e for e in chosen if isinstance(e, Booked)),
            flights=tuple(e for e in chosen if isinstance(e, Flight)),
            cooled=tuple(e for e in chosen if isinstance(e, Cooled)),
        )

    @property
    def unreported(self) -> int:
        return sum(len(line.entries) for line in self._lines.values())
