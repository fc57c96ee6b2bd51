"""What was seen, what was decided about it, and why."""

from __future__ import annotations

from enum import StrEnum

from messages.base import Event, Message
from messages.reasons import Reason
from messages.units import Money, Nanos, Outcome, Price, Quantity


class OpportunityKind(StrEnum):
    COMPLEMENT = "complement"
    """YES and NO of one market together under their pay-out."""
    CROSS_VENUE = "cross_venue"
    """YES on one venue and NO on the other."""


class PlannedLeg(Message):
    """One leg as sized against the books that were seen."""

    venue: str
    market: str
    outcome: Outcome
    limit: Price
    """The worst price that still pays; the last level that the walk touched."""
    quantity: Quantity
    cost: Money
    """What the walk expects to pay, without fees."""
    fee: Money
    """The worst fee for that cost, rounded against ourselves."""
    best: Price
    book_sequence: int
    book_age: Nanos
    market_version: int
    fee_version: int


class Opportunity(Message):
    """A set of legs that pays at least `payout` a contract whatever happens."""

    opportunity: str
    kind: OpportunityKind
    pair: str
    group: str
    seen_at: Nanos
    quantity: Quantity
    payout: Price
    legs: tuple[PlannedLeg, ...]

    @property
    def cost(self) -> Money:
        return Money(sum(leg.cost for leg in self.legs))

    @property
    def fees(self) -> Money:
        return Money(sum(leg.fee for leg in self.legs))

    @property
    def gross(self) -> Money:
        return Money(self.payout * self.quantity // 10_000 - self.cost)

    @property
    def net(self) -> Money:
        return Money(self.gross - self.fees)


class Verdict(StrEnum):
    TAKEN = "taken"
    REFUSED = "refused"
    DRY_RUN = "dry_run"


class CheckOutcome(StrEnum):
    PASSED = "passed"
    CAPPED = "capped"
    FAILED = "failed"
    NOT_CONFIGURED = "not_configured"


class CheckResult(Message):
    """One row of the column of checks, as it answered."""

    check: str
    outcome: CheckOutcome
    text: str = ""


class Decision(Event):
    """How one opportunity ended: the figures, the checks in their order, and one reason."""

    opportunity: Opportunity
    verdict: Verdict
    reason: Reason | None
    checks: tuple[CheckResult, ...]
    trade: str | None
    decided_at: Nanos


class CrossingEnded(Event):
    """From `since` to `until` the best prices of a pair summed to less than the pay-out, before fees.

    `decisions` counts the verdicts that were given in that time and `last` is the reason of the last refusal.
    """

    pair: str
    kind: OpportunityKind
    yes_venue: str
    no_venue: str
    since: Nanos
    until: Nanos
    best_gross: Price
    decisions: int
    taken: int
    last: Reason | None
