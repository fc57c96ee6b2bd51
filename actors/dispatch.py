"""What the owners must hear, kept until they say that they have it.

Entries are derived from the journal, so a successor derives the same ones with the same sequence numbers; the first
thing it does is to ask each owner how far it got.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from core.desk import Applied
from messages.leases import Acknowledged, Booked, Cooled, Flight, Reported

ENTRIES_MAX = 200
"""In one report; more only where a single record caused more."""
REPEAT_EVERY = 5
"""Asked for reports so often, the same one is told again: its answer, or it itself, may be lost or only on its way."""


@dataclass(slots=True)
class _Line:
    entries: deque[Booked | Flight | Cooled] = field(default_factory=deque)
    acknowledged: int | None = None
    """None until the owner has said how far it got."""
    down: bool = False
    """Nothing is told to the dead: it would wait, copy after copy, for the successor."""
    told: Reported | None = None
    silent: int = 0
    """How often `told` was due again since it was told."""


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
            line.acknowledged, line.told, line.down = None, None, False

    def owner_died(self, owner: str) -> None:
        line = self._lines.get(owner)
        if line is not None:
            line.down = True

    def reports(self) -> list[tuple[str, Reported]]:
        """What to tell now: to each owner its next entries, or an empty report where we must learn how far it got."""
        out = []
        for owner, line in self._lines.items():
            if line.down or (line.acknowledged is not None and not line.entries):
                continue
            report = self._report(line)
            if report == line.told and line.silent + 1 < REPEAT_EVERY:
                line.silent += 1
                continue
            line.told, line.silent = report, 0
            out.append((owner, report))
        return out

    def _report(self, line: _Line) -> Reported:
        if line.acknowledged is None:
            return Reported(source=self._source, epoch=self._epoch, after=0, upto=0)
        chosen = list(islice(line.entries, _cut(line.entries)))
        return Reported(
            source=self._source,
            epoch=self._epoch,
            after=line.acknowledged,
            upto=chosen[-1].seq,
            booked=tuple(e for e in chosen if isinstance(e, Booked)),
            flights=tuple(e for e in chosen if isinstance(e, Flight)),
            cooled=tuple(e for e in chosen if isinstance(e, Cooled)),
        )

    @property
    def unreported(self) -> int:
        return sum(len(line.entries) for line in self._lines.values())


def _cut(entries: deque[Booked | Flight | Cooled]) -> int:
    """How many of these go together: whole records only, since an owner says how far it got in records."""
    cut, seq = 0, entries[0].seq
    for number, entry in enumerate(entries):
        if entry.seq != seq:
            cut, seq = number, entry.seq
        if number >= ENTRIES_MAX and cut:
            return cut
    return len(entries)
