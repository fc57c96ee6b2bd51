"""What owners hand out ahead of need, and what holders tell them afterwards.

Two kinds. A *budget* (key tokens) perishes: what is not reported counts as spent until it expires. *Custody* (capital,
claims) never comes back by time: only by the holder's report, or after a successor folded the holder's journal.
"""

from __future__ import annotations

from pydantic import model_validator

from messages.base import Command, Event, Message
from messages.markets import Market
from messages.reasons import Reason
from messages.units import Money, Nanos, Outcome, Quantity


class WantCapital(Command):
    """The holder asks for capital at a venue, stating what it has had granted in all (so that a lost reply is harmless)."""

    holder: str
    epoch: int
    venue: str
    granted: Money
    wanted: Money


class CapitalGranted(Event):
    """Custody: in all its life this holder has been granted `total` at this venue. Monotone, so repeats are harmless."""

    owner_epoch: int
    holder: str
    venue: str
    total: Money


Claim = tuple[str, int]
"""An event group and a term: the registry raises the term of a group with every grant to another holder."""


class WantClaims(Command):
    """Ask for groups, stating what was given back (so that a lost word of it is harmless)."""

    holder: str
    epoch: int
    groups: tuple[str, ...]
    returned: tuple[Claim, ...] = ()
    """Of each group that this holder once gave back and has not been granted again: the last term it gave back."""


class ClaimsGranted(Event):
    """Custody: this holder alone may trade these event groups, until it gives them back at this term or a later one."""

    owner_epoch: int
    holder: str
    groups: tuple[str, ...]
    terms: tuple[int, ...] = ()
    """One for each group; where there are none, each is the first."""
    refused: tuple[str, ...] = ()
    """Somebody else's. It takes nothing away: only the holder's own word does."""

    @model_validator(mode="after")
    def _as_many(self) -> ClaimsGranted:
        if self.terms and len(self.terms) != len(self.groups):
            raise ValueError(f"{len(self.groups)} groups with {len(self.terms)} terms")
        return self

    @property
    def claims(self) -> tuple[Claim, ...]:
        return tuple(zip(self.groups, self.terms or (1,) * len(self.groups), strict=True))


class MoveClaims(Command):
    """A person wants these groups traded by another executor. Their holder sees its trades through first."""

    groups: tuple[str, ...]
    to: str
    by: str
    why: str
    at: Nanos
    """When it was said. Of two for one group the later stands, so that a late copy of an older one changes nothing."""


class ReturnClaims(Command):
    """Open nothing more in these groups, and give each back as soon as nothing of it is in flight."""

    owner_epoch: int
    holder: str
    claims: tuple[Claim, ...]


class ClaimsReturned(Event):
    """The holder's word: it has given these back, and no grant up to these terms is good any more."""

    holder: str
    claims: tuple[Claim, ...]
    at: Nanos


class WantKeys(Command):
    """Ask for the next budget, reporting what was spent of the last."""

    holder: str
    epoch: int
    venue: str
    lease: int
    """The lease that the counts below belong to; 0 for none."""
    opened: int
    closed: int
    rate_limited: int = 0
    """429 answers since the last report."""
    unauthorised: int = 0


class KeysGranted(Event):
    """A budget: so many opening and so many closing orders through this key, until it expires. Closing may use both."""

    owner_epoch: int
    holder: str
    holder_epoch: int
    """The incarnation that asked. Another one may not spend it: the owner counts as spent whatever a dead one held."""
    venue: str
    lease: int
    key: str
    """A reference; the secret is loaded where it is used."""
    opening: int
    closing: int
    opening_for: Nanos
    """Validity from its arrival, on the holder's own clock."""
    closing_for: Nanos


class Booked(Message):
    """One fill, or its reversal, as signed changes."""

    seq: int
    trade: str
    order: str
    fill: str
    venue: str
    market: str
    outcome: Outcome
    contracts: Quantity
    """Signed: bought is positive."""
    cash: Money
    """Signed change, without the fee."""
    fee: Money
    """Signed: positive is paid; a reversal gives it back."""
    at: Nanos


class Flight(Message):
    """A market entered or left flight."""

    seq: int
    trade: str
    group: str
    venue: str
    market: str
    entered: bool
    why: str
    released_at: Nanos
    """When the market may be touched again; for an entry, 0."""
    at: Nanos


class Cooled(Message):
    """A market may not be opened again before `not_before`."""

    seq: int
    venue: str
    market: str
    not_before: Nanos
    rejected: bool
    at: Nanos


class Reported(Event):
    """Entries since the owner's last acknowledgement, in the order of the holder's journal; told at least once."""

    source: str
    epoch: int
    after: int
    """The entries follow this journal sequence."""
    upto: int
    """All entries up to this journal sequence are in here or were before."""
    booked: tuple[Booked, ...] = ()
    flights: tuple[Flight, ...] = ()
    cooled: tuple[Cooled, ...] = ()


class Acknowledged(Event):
    """The owner has made everything from this source durable up to `upto`."""

    owner: str
    owner_epoch: int
    source: str
    upto: int


class CooldownsSet(Event):
    """An owner's or an operator's not-before times; the later of these and the executor's own wins."""

    owner_epoch: int
    until: tuple[tuple[str, str, Nanos], ...]
    """(venue, market, not before)"""
    paused: tuple[tuple[str, str, Reason], ...] = ()


class MarketsSeen(Event):
    """Metadata as a feed read it from its venue; replaces what was known of these markets."""

    venue: str
    markets: tuple[Market, ...]
    at: Nanos
