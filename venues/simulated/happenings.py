"""What is said to an exchange and what it says: terms, tickets, fills, matches, and the events that the streams tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from venues.simulated.book import Action, Order, OrderState, Outcome, Side, book_side

Settlement = Literal["matched", "mined", "retrying", "confirmed", "failed"]
Role = Literal["taker", "maker"]
Refusal = Literal["duplicate", "funds", "tokens", "post_only_cross", "fok_unfilled", "fak_unmatched", "resolved"]
TimeInForce = Literal["gtc", "ioc", "fok"]

MS = 1_000_000
S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class FeeRule:
    rate: Fraction  # Kalshi: the series' multiplier; Polymarket: the market's rate
    exponent: int = 1
    maker: Fraction = Fraction(0)  # Kalshi: what makers pay in place of the takers' 0.07


@dataclass(frozen=True, slots=True)
class Terms:
    netting: bool
    settles: bool
    fees: dict[str, FeeRule]
    mined_after_ms: tuple[int, int] = (200, 600)
    confirmed_after_ms: tuple[int, int] = (200, 400)
    kills_unmatched_ioc: bool = False  # Polymarket refuses a FAK without a match; Kalshi accepts it with nothing filled


@dataclass(frozen=True, slots=True)
class Ticket:
    """An order as the dialect understood it, on the scale of its own outcome."""

    account: str
    wire_id: str
    market: str
    outcome: Outcome
    action: Action
    price: int
    quantity: int
    time_in_force: TimeInForce
    spend: int | None = None
    post_only: bool = False
    expires_ns: int | None = None
    body_sha256: str = ""
    venue_order: str = ""
    label: str = ""  # the venue's own name of the time in force, kept for reads

    @property
    def side(self) -> Side:
        return book_side(self.outcome, self.action)


@dataclass(frozen=True, slots=True)
class Bend:
    """What a fault does to an order that is otherwise processed as it should be."""

    keep: Fraction | None = None  # part of what would fill that is filled, the rest is killed
    reverse: bool = False
    delay_ns: int = 0  # Polymarket: held for so long before it meets the book


@dataclass(slots=True)
class Fill:
    fill_id: str
    order: Order
    outcome: Outcome
    action: Action
    price: int
    quantity: int
    cash: int
    fee: int
    role: Role
    at_ns: int
    position: int  # signed position after the fill, YES positive
    match: Match


@dataclass(slots=True)
class Match:
    id: str
    market: str
    yes_price: int
    quantity: int
    at_ns: int
    changed_ns: int
    taker: Order
    maker: Order
    settlement: Settlement
    doomed: bool = False
    number: int = 0
    fills: list[Fill] = field(default_factory=list)

    def fill(self, role: Role) -> Fill:
        return self.fills[0 if role == "taker" else 1]


@dataclass(frozen=True, slots=True)
class LevelChanged:
    market: str
    side: Side
    price: int
    size: int
    delta: int
    clock: int
    at_ns: int
    order: Order | None


@dataclass(frozen=True, slots=True)
class Traded:
    match: Match
    at_ns: int


@dataclass(frozen=True, slots=True)
class TradeSettled:
    match: Match
    settlement: Settlement
    at_ns: int


@dataclass(frozen=True, slots=True)
class OrderChanged:
    order: Order
    state: OrderState
    kind: Literal["placement", "update", "cancellation"]
    reason: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class MarketChanged:
    """A market's rules are others from now on; `before` and `now` in the venue's own words."""

    market: str
    what: Literal["tick", "contract", "new", "trading"]
    before: str
    now: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class MarketResolved:
    market: str
    payout: tuple[int, int]  # halves of a dollar that YES and NO pay
    at_ns: int


@dataclass(frozen=True, slots=True)
class Movement:
    """Cash that moved apart from fills: deposits, complete sets made or merged, pay-outs."""

    account: str
    kind: str
    market: str
    cash: int
    at_ns: int


Happening = LevelChanged | Traded | TradeSettled | OrderChanged | MarketChanged | MarketResolved


@dataclass(frozen=True, slots=True)
class Plan:
    hits: tuple[tuple[Order, int], ...]
    quantity: int
    spend_left: int
    met_itself: bool
    filled: bool  # everything asked for


@dataclass(frozen=True, slots=True)
class Taken:
    """Accepted; the fills are those of the first instant."""

    order: Order
    fills: tuple[Fill, ...]


@dataclass(frozen=True, slots=True)
class Declined:
    refusal: Refusal


Verdict = Taken | Declined
