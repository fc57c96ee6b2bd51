"""What owners hold for others for as long as it takes: claims on event groups, and how far each source has reported.

Custody never comes back by time. A claim belongs to the name of a holder: its next incarnation keeps it, an older one
gets nothing more, and everybody else is refused until it was given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from messages.leases import Booked, ClaimsGranted, Cooled, Flight, Reported, WantClaims

GROUPS_MOST = 2_000
"""In one message: a record of a journal has a bound."""

Entry = TypeVar("Entry", Booked, Flight, Cooled)


@dataclass(slots=True)
class Claims:
    """Who may trade which event group."""

    holders: dict[str, str] = field(default_factory=dict)
    """By group."""
    epochs: dict[str, int] = field(default_factory=dict)
    """The newest incarnation of each holder that asked."""

    def outdated(self, want: WantClaims) -> bool:
        return want.epoch < self.epochs.get(want.holder, 0)

    def grants(self, want: WantClaims, owner_epoch: int) -> Iterator[ClaimsGranted]:
        """The answers to a wish: every group is granted or refused, and asking again changes nothing."""
        for start in range(0, len(want.groups), GROUPS_MOST):
            groups = tuple(dict.fromkeys(want.groups[start : start + GROUPS_MOST]))
            mine = tuple(group for group in groups if self.holders.get(group, want.holder) == want.holder)
            others = tuple(group for group in groups if self.holders.get(group, want.holder) != want.holder)
            yield ClaimsGranted(owner_epoch=owner_epoch, holder=want.holder, groups=mine, refused=others)

    def changes(self, message: WantClaims | ClaimsGranted) -> bool:
        """Whether folding it would change anything: what changes nothing is not journaled."""
        if isinstance(message, WantClaims):
            return message.epoch > self.epochs.get(message.holder, 0)
        return any(group not in self.holders for group in message.groups) or any(
            self.holders.get(group) == message.holder for group in message.refused
        )

    def fold(self, message: object) -> None:
        match message:
            case WantClaims():
                self.epochs[message.holder] = max(message.epoch, self.epochs.get(message.holder, 0))
            case ClaimsGranted():
                for group in message.groups:
                    self.holders.setdefault(group, message.holder)
                for group in message.refused:
                    if self.holders.get(group) == message.holder:
                        del self.holders[group]
            case _:
                pass

    def given_back(self, holder: str, groups: Sequence[str], owner_epoch: int) -> ClaimsGranted:
        """The record by which a holder loses these claims: whatever it still holds of them is refused from now on."""
        held = tuple(group for group in groups if self.holders.get(group) == holder)
        return ClaimsGranted(owner_epoch=owner_epoch, holder=holder, groups=(), refused=held)

    def of(self, holder: str) -> tuple[str, ...]:
        return tuple(sorted(group for group, name in self.holders.items() if name == holder))


@dataclass(slots=True)
class Heard:
    """How far each source has reported: what was folded is never folded again, and nothing is passed over.

    The numbers are those of the source's journal, which its incarnations share, so a successor goes on with them.
    """

    upto: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)

    def outdated(self, report: Reported) -> bool:
        return report.epoch < self.epochs.get(report.source, 0)

    def gap(self, report: Reported) -> bool:
        """Entries are missing between what is known and this report; the source must tell them first."""
        return report.after > self.upto.get(report.source, 0)

    def changes(self, report: Reported) -> bool:
        newer = report.epoch > self.epochs.get(report.source, 0)
        return not self.gap(report) and (newer or report.upto > self.upto.get(report.source, 0))

    def new(self, report: Reported, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        known = self.upto.get(report.source, 0)
        return tuple(entry for entry in entries if known < entry.seq <= report.upto)

    def fold(self, report: Reported) -> None:
        self.upto[report.source] = max(report.upto, self.upto.get(report.source, 0))
        self.epochs[report.source] = max(report.epoch, self.epochs.get(report.source, 0))
