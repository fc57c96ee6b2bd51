"""One order: what is asked, what the venue says of it, and what we do about it.

A report is a *fact about an order*, told any number of times in any sequence by a response, a stream or a read. The
gateway speaks in our order ids; a stream only knows the venue's, so `OrderSeen` and `FillSeen` carry those and the
executor translates.
"""

from __future__ import annotations

from enum import StrEnum

from messages.base import Command, Event, Message
from messages.reasons import Refusal, Trouble
from messages.units import Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce


class Role(StrEnum):
    """Where an order comes from."""

    OPEN = "open"
    COMPLETE = "complete"
    UNWIND = "unwind"


class Order(Message):
    """One order, wholly determined by journaled data: a replay plans it again to the byte."""

    order: str
    """genesis.epoch.trade.leg.rung: never drawn, never repeated."""
    trade: str
    leg: int
    role: Role
    venue: str
    market: str
    outcome: Outcome
    side: Side
    price: Price
    """The limit, on this outcome's own scale."""
    quantity: Quantity
    spend: Money | None = None
    """For an immediate buy where the venue counts those in money: the sum to spend. `quantity` is then what it should buy."""
    time_in_force: TimeInForce
    expires_at: Nanos = Nanos(0)
    """When we cancel a resting order; 0 for an immediate one."""
    made_at: Nanos
    """The time that a signature or an id needs."""
    not_after: Nanos
    """A gateway refuses to send it later than this."""

    @property
    def reduces(self) -> bool:
        """True where it only closes exposure: a halt, a breaker or a cool-down lets it pass."""
        return self.role is not Role.OPEN


class Settlement(StrEnum):
    MATCHED = "matched"
    CONFIRMED = "confirmed"
    REVERSED = "reversed"


class Fill(Message):
    """One execution, keyed by the venue's own id. Told again with a later settlement, it is the same fill."""

    fill: str
    quantity: Quantity
    price: Price
    """On the scale of the order's own outcome."""
    fee: Money
    """As the venue charged it, or by the schedule where the venue does not say."""
    settlement: Settlement
    maker: bool | None = None
    """None is unknown, and stays so."""


class EndKind(StrEnum):
    """How the venue ended an order that it had accepted."""

    FILLED = "filled"
    KILLED = "killed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Named(Event):
    """The identity under which the venue will know the order, computed before anything is sent."""

    order: str
    wire: str
    """Kalshi: the client order id. Polymarket: the EIP-712 order hash."""
    key: str = ""
    """The key that sends it. A copy of it goes through no other: the bytes name the key, and one id has one body."""


class OrderReport(Event):
    """Common to all that can be told of one of our orders."""

    order: str
    at: Nanos


class Rested(OrderReport):
    """The venue accepted it and it rests, `matched` of it filled so far."""

    venue_order: str
    matched: Quantity


class Ended(OrderReport):
    """The venue accepted it and it can fill no more: `matched` is its final word. Proof."""

    venue_order: str
    matched: Quantity
    how: EndKind
    looked_up: bool = False
    """By a look-up, which knows of every copy that has arrived; else one request's answer or a stream's word."""


class Refused(OrderReport):
    """The venue proved that it did not accept this request. Proof, unless an earlier request may still arrive."""

    reason: Refusal
    text: str
    repost: bool = False


class Landed(OrderReport):
    """The venue said that it has this very order already: it was accepted earlier, with a fate to be looked up."""


class Lost(OrderReport):
    """The request may or may not have reached the venue: time-out, 408, 425, 5xx, broken socket, malformed answer."""

    trouble: Trouble
    text: str
    repost: bool = False


class Absent(OrderReport):
    """The venue answered a look-up and did not know the order, as of `as_of` (its own freshness, else the asking time)."""

    as_of: Nanos


class LookUpFailed(OrderReport):
    """A look-up got no usable answer. Never the same as `Absent`; changes nothing."""

    text: str


class Withheld(OrderReport):
    """We did not re-post, since executing the order now would break a rule (halt, stale book, mode)."""

    text: str


class Filled(OrderReport):
    """One execution of the order."""

    fill: Fill


class OrderSeen(Event):
    """A private stream or a list showed an order, in the venue's terms."""

    venue: str
    wire: str | None
    venue_order: str | None
    market: str
    matched: Quantity
    ended: EndKind | None
    at: Nanos


class FillSeen(Event):
    """A private stream or a list showed an execution, in the venue's terms.

    A venue with one book a market (Kalshi) tells its price on the YES scale, whatever outcome the order named.
    """

    venue: str
    wire: str | None
    venue_order: str | None
    market: str
    fill: Fill
    fee_known: bool = True
    """False where neither the venue nor the reporter knows the fee: whoever knows the order knows its schedule."""
    at: Nanos


class Submit(Command):
    """Place one order. Accepted at most once per `order`, ever."""

    order: Order


class Repost(Command):
    """Send the identical bytes again as a look-up: the venue refuses a second copy, and executes it where none landed."""

    order: Order


class LookUp(Command):
    """Ask the venue what became of an order."""

    order: Order


class Cancel(Command):
    """Take a resting order back, then look at what it had filled."""

    order: Order


class FetchFills(Command):
    """Read the executions of an order that the venue has only told us the sum of, or that are not settled yet."""

    order: Order
