"""What owners hold for others for as long as it takes: claims on event groups, and how far each source has reported.

Custody never comes back by time. A claim belongs to the name of a holder: its next incarnation keeps it, an older one
gets nothing more, and everybody else is refused until it was given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from messages.leases import Acknowledged, Booked, ClaimsGranted, Cooled, Flight, Reported, WantClaims

GROUPS_MOST = 2_000
ENTRIES_MOST = 1_000
"""In one message: a record of a journal has a bound."""

Kind = Literal["booked", "flights", "cooled"]


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

    def part(self, report: Reported, kind: Kind) -> Reported | None:
        """What is new in it for an owner of this kind, as its journal keeps it; None where nothing is.

        A report that does not follow on what is known is not taken: its source hears how far we are and tells again.
        """
        known = self.upto.get(report.source, 0)
        newer = report.epoch > self.epochs.get(report.source, 0)
        if self.outdated(report) or report.after > known or not (newer or report.upto > known):
            return None
        entries: tuple[Booked | Flight | Cooled, ...] = getattr(report, kind)
        if len(entries) > ENTRIES_MOST:
            return None
        nothing = {"booked": (), "flights": (), "cooled": ()}
        new = tuple(entry for entry in entries if known < entry.seq <= report.upto)
        return report.model_copy(update={**nothing, kind: new, "after": known, "upto": max(known, report.upto)})

    def fold(self, report: Reported) -> None:
        self.upto[report.source] = max(report.upto, self.upto.get(report.source, 0))
        self.epochs[report.source] = max(report.epoch, self.epochs.get(report.source, 0))

    def answer(self, owner: str, owner_epoch: int, source: str) -> Acknowledged:
        """To every report, also to an empty one: by it a source learns how far the owner is."""
        return Acknowledged(owner=owner, owner_epoch=owner_epoch, source=source, upto=self.upto.get(source, 0))
