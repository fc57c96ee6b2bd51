"""One attempt to take an opportunity: what was intended, under which terms, and what else can happen to it."""

from __future__ import annotations

from messages.base import Command, Event, Message
from messages.markets import FeeSchedule, TickBand
from messages.opportunities import Opportunity
from messages.orders import Order
from messages.units import Money, Nanos, Outcome, Price, Quantity


class LegTerms(Message):
    """What the law needs to know of one leg's venue and market, frozen with the intent so that a replay needs no settings."""

    venue: str
    market: str
    outcome: Outcome
    ticks: tuple[TickBand, ...]
    lot: Quantity
    min_quantity: Quantity
    min_spend: Money
    cash_denominated: bool
    fees: FeeSchedule
    repost_proves: bool
    """The venue refuses a second copy of an order, so that an identical re-post is a look-up."""
    kill_consumes: bool
    """An order that was killed unfilled uses up its identity, so that nothing of it can arrive later."""
    late_arrival: Nanos
    """How long after sending an order may still arrive; then one that is absent is presumed so, and watched for ever."""
    sells_after_settlement: bool
    """What was bought can be sold only once its fill is confirmed (tokens on a chain)."""
    nets: bool
    """YES and NO of one market cancel into cash by themselves."""
    reversible: bool
    """A match may be taken back, so that a trade is final only when its fills are confirmed."""


class Bounds(Message):
    """Every limit of doubt and of the ladder; frozen with the intent."""

    ask_first: Nanos
    ask_most: Nanos
    """A look-up is repeated after `ask_first`, doubling to `ask_most`."""
    send_window: Nanos
    """`not_after` of an order is this much after it was made."""
    reposts_max: int
    aggressive_max: int
    """Rung one: at most so many immediate orders a trade."""
    resting_max: int
    """Rung two: at most so many resting orders a trade."""
    rest: Nanos
    """How long one of them rests."""
    pause: Nanos
    """Between two recovery orders of a trade."""
    settle_wait: Nanos
    """How long a sale waits for its tokens before it is tried all the same."""
    floor: Price
    """No sale below it."""
    loss_budget: Money
    """What recovery may cost a trade; beyond it a person decides."""
    deadline: Nanos
    """From the proof of excess to the escalation, at most."""
    spans_max: int
    """How often a trade may fall out of balance again (reversals, late fills) before a person is asked."""
    release_after: Nanos
    """A market stays in flight this long after a success or a lack of liquidity."""
    cool_down: Nanos
    """Between two trades in one market."""
    reject_storm: int
    """So many refusals in a row pause a market."""
    pause_market: Nanos
    """The first such pause; each further one doubles, up to two hours."""


class Opened(Event):
    """The intent: durable before anything is sent. It names every order, limit, reservation and version."""

    trade: str
    opportunity: Opportunity
    payout: Price
    terms: tuple[LegTerms, ...]
    bounds: Bounds
    orders: tuple[Order, ...]
    at: Nanos


class Rehearsed(Event):
    """A dry run: the opportunity was approved and would have been taken now. Its markets are held as after a trade."""

    opportunity: Opportunity
    release_after: Nanos
    at: Nanos


class Quote(Message):
    """What one leg's instrument can be bought and sold for now; `usable` is false where no fresh book could be had."""

    usable: bool
    bids: tuple[tuple[Price, Quantity], ...] = ()
    asks: tuple[tuple[Price, Quantity], ...] = ()
    ticks: tuple[TickBand, ...] = ()
    """The price grid of today, which may have changed since the intent; empty where it is not known."""


class Quoted(Event):
    """The answer to `AskQuotes`: one quote a leg, what may be spent on completing, and whether the venue takes orders."""

    trade: str
    at: Nanos
    quotes: tuple[Quote, ...]
    spendable: tuple[Money, ...]
    """Free capital at each leg's venue."""


class Woke(Event):
    """The sweep reached the trade and time alone had something to say."""

    trade: str
    at: Nanos


class RulesChanged(Event):
    """A market's tick, contract, negRisk, rules or fees changed: what rests there was made under others and is taken back."""

    venue: str
    market: str
    version: int
    """Of the metadata that says so."""
    at: Nanos


class Restarted(Event):
    """A new incarnation folded this journal: every order that is not proved finished is in doubt."""

    epoch: int
    at: Nanos


class AskQuotes(Command):
    """The law wants to complete or unwind and needs today's prices."""

    trade: str


class Escalate(Command):
    """No automatic way is left: freeze the exposure, show it, tell a person."""

    trade: str
    text: str


class CursorMoved(Event):
    """The executor has folded its venue's execution feed up to here; a successor reads on from it."""

    venue: str
    cursor: str


class Hashed(Event):
    """What the live actor's state hashed to after folding everything before this record."""

    digest: str
