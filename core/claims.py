"""What owners hold for others for as long as it takes: claims on event groups, and how far each source has reported.

Custody never comes back by time. A claim belongs to the name of a holder: its next incarnation keeps it, an older one
gets nothing more, and everybody else is refused until it was given back.

A claim has a *term*, which only rises: every grant of a group to another holder, or to the same one again, is a later
one. What a holder gives back it gives back at a term, and it never believes a grant that is not above it. So a grant
may come twice, late, or after a death, and still nobody holds what somebody else was given since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from messages.leases import (
    Acknowledged,
    Booked,
    Claim,
    ClaimsGranted,
    ClaimsReturned,
    Cooled,
    Flight,
    MoveClaims,
    Reported,
    ReturnClaims,
    WantClaims,
)
from messages.units import Nanos

GROUPS_MOST = 2_000
ENTRIES_MOST = 1_000
"""In one message: a record of a journal has a bound."""

EXECUTOR = "executor"

Kind = Literal["booked", "flights", "cooled"]


def executors_of(count: int) -> tuple[str, ...]:
    """The names of an engine's executors: `executor`, `executor.2`, and so on."""
    return tuple(EXECUTOR if number == 1 else f"{EXECUTOR}.{number}" for number in range(1, count + 1))


def home_of(group: str, executors: Sequence[str]) -> str:
    """Which of these executors a group belongs to where nobody says otherwise.

    Each pair of a group and a name draws a number, and the highest wins: so any two who ask get the same answer, and
    one executor more takes its share from the others and moves nothing between them.
    """
    return max(executors, key=lambda name: hashlib.sha256(f"{group} {name}".encode()).digest())


@dataclass(slots=True)
class Claims:
    """The registry's side: who may trade which event group, and where it is to go."""

    executors: Sequence[str] = (EXECUTOR,)
    """Of this engine. Nobody else is granted anything."""
    holders: dict[str, str] = field(default_factory=dict)
    """By group; a free one is not in here."""
    terms: dict[str, int] = field(default_factory=dict)
    """By group: of the last grant. Kept when the claim comes back, so that the next one is above it."""
    moves: dict[str, MoveClaims] = field(default_factory=dict)
    """By group: the last word of a person. It stands after the move as well."""
    epochs: dict[str, int] = field(default_factory=dict)
    """The newest incarnation of each holder that asked."""

    def outdated(self, want: WantClaims) -> bool:
        return want.epoch < self.epochs.get(want.holder, 0)

    def returns(self, want: WantClaims, at: Nanos) -> ClaimsReturned:
        """What this wish says of returns that was not known. To be folded before it is answered."""
        new = tuple(claim for claim in want.returned if self._is_news(want.holder, claim))
        return ClaimsReturned(holder=want.holder, claims=new, at=at)

    def grants(self, want: WantClaims, owner_epoch: int) -> Iterator[ClaimsGranted]:
        """The answers to a wish, at least one: every group is granted or refused, and asking again changes nothing."""
        for start in range(0, max(1, len(want.groups)), GROUPS_MOST):
            groups = tuple(dict.fromkeys(want.groups[start : start + GROUPS_MOST]))
            mine = tuple(group for group in groups if self._may_have(want.holder, group))
            yield ClaimsGranted(
                owner_epoch=owner_epoch,
                holder=want.holder,
                groups=mine,
                terms=tuple(self.terms.get(group, 0) + (group not in self.holders) for group in mine),
                refused=tuple(group for group in groups if group not in mine),
            )

    def asked_back(self, holder: str, owner_epoch: int) -> Iterator[ReturnClaims]:
        """What this holder has and somebody else is to get; told at every opportunity until it is given back."""
        leaving = (group for group in self.moves if self.leaves(group) and self.holders[group] == holder)
        due = [(group, self.terms[group]) for group in leaving]
        for start in range(0, len(due), GROUPS_MOST):
            yield ReturnClaims(owner_epoch=owner_epoch, holder=holder, claims=tuple(due[start : start + GROUPS_MOST]))

    def goes_to(self, group: str) -> str:
        """The only one who is granted this group: its home, or where a person sent it if that executor is there at all."""
        move = self.moves.get(group)
        return move.to if move is not None and move.to in self.executors else home_of(group, self.executors)

    def leaves(self, group: str) -> bool:
        """A person sent it elsewhere, and its holder has not given it back yet. A home alone moves nothing."""
        move = self.moves.get(group)
        return move is not None and move.to in self.executors and self.holders.get(group, move.to) != move.to

    def _may_have(self, holder: str, group: str) -> bool:
        if group in self.holders:
            # told again to the one who has it, since that may have been lost; not while it is asked back
            return self.holders[group] == holder and not self.leaves(group)
        return self.goes_to(group) == holder

    def _is_news(self, holder: str, claim: Claim) -> bool:
        """A later term than we granted is from before we lost a disk's last words: what we grant next must be above it."""
        group, term = claim
        known = self.terms.get(group, 0)
        return term > known or (term == known and self.holders.get(group) == holder)

    def changes(self, message: WantClaims | ClaimsGranted | MoveClaims | ClaimsReturned) -> bool:
        """Whether folding it would change anything: what changes nothing is not journaled."""
        match message:
            case WantClaims():
                return message.epoch > self.epochs.get(message.holder, 0)
            case ClaimsGranted():
                return any(term > self.terms.get(group, 0) for group, term in message.claims)
            case ClaimsReturned():
                return any(self._is_news(message.holder, claim) for claim in message.claims)
            case MoveClaims():
                return any(self._is_later(message, group) for group in message.groups)

    def fold(self, message: object) -> None:
        match message:
            case WantClaims():
                self.epochs[message.holder] = max(message.epoch, self.epochs.get(message.holder, 0))
            case ClaimsGranted():
                for group, term in message.claims:
                    if term > self.terms.get(group, 0):
                        self.holders[group], self.terms[group] = message.holder, term
            case ClaimsReturned():
                for group, term in message.claims:
                    if self._is_news(message.holder, (group, term)):
                        self.terms[group] = term
                        if self.holders.get(group) == message.holder:
                            del self.holders[group]
            case MoveClaims():
                for group in message.groups:
                    if self._is_later(message, group):
                        self.moves[group] = message
            case _:
                pass

    def _is_later(self, move: MoveClaims, group: str) -> bool:
        return group not in self.moves or move.at > self.moves[group].at

    def of(self, holder: str) -> tuple[str, ...]:
        return tuple(sorted(group for group, name in self.holders.items() if name == holder))


@dataclass(slots=True)
class Held:
    """The holder's side: where it may open, what was asked back of it, and what it gave back. A fold over its journal."""

    terms: dict[str, int] = field(default_factory=dict)
    """By group, of the claims that are held and may be used: what is in here may be opened in, and nothing else."""
    asked_back: dict[str, int] = field(default_factory=dict)
    """Held still, since something of them may be in flight, and not to be opened in any more."""
    returned: dict[str, int] = field(default_factory=dict)
    """By group: the last term that was given back. A grant that is not above it is an old one."""

    def __contains__(self, group: object) -> bool:
        return group in self.terms

    def __len__(self) -> int:
        return len(self.terms)

    def wish(self, holder: str, epoch: int, groups: Iterable[str]) -> WantClaims:
        """What is lacking of these groups, and every return of which the registry may not have heard."""
        lacking = tuple(group for group in groups if group not in self.terms and group not in self.asked_back)
        returned = tuple(
            sorted(c for c in self.returned.items() if c[0] not in self.terms and c[0] not in self.asked_back)
        )
        return WantClaims(holder=holder, epoch=epoch, groups=lacking, returned=returned)

    def changes(self, message: ClaimsGranted | ReturnClaims | ClaimsReturned) -> bool:
        match message:
            case ClaimsGranted():
                return any(self._granted(claim) for claim in message.claims)
            case ReturnClaims():
                return any(self._wanted_back(claim) for claim in message.claims)
            case ClaimsReturned():
                return any(term > self.returned.get(group, 0) for group, term in message.claims)

    def fold(self, message: ClaimsGranted | ReturnClaims | ClaimsReturned) -> None:
        for group, term in message.claims:
            match message:
                case ClaimsGranted() if self._granted((group, term)):
                    self.terms[group] = term
                case ReturnClaims() if self._wanted_back((group, term)):
                    # also where its grant never came: it may be on its way still, and is not to be believed then
                    self.terms.pop(group, None)
                    self.asked_back[group] = term
                case ClaimsReturned() if term > self.returned.get(group, 0):
                    self.returned[group] = term
                    for held in (self.terms, self.asked_back):
                        if held.get(group, 0) <= term:
                            held.pop(group, None)

    def _granted(self, claim: Claim) -> bool:
        group, term = claim
        return group not in self.asked_back and term > max(self.returned.get(group, 0), self.terms.get(group, 0))

    def _wanted_back(self, claim: Claim) -> bool:
        group, term = claim
        last = max(self.returned.get(group, 0), self.asked_back.get(group, 0))
        return term > last and term >= self.terms.get(group, 0)


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
