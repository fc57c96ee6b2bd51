"""Double entry: money and contracts move between named accounts, and each commodity sums to zero, always.

What a fill moves is derived from the change it made in a trade (`booked`), so a fill that is told twice moves nothing
and a reversal moves exactly the opposite. A venue that nets turns equal amounts of YES and NO of one market into a
dollar each, and the reverse where more was sold than was held; that is posted as a movement of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from core.fees import POLYMARKET_STEP as FEE_STEP
from core.fees import worst_fee
from core.trade import OrderState, Trade
from core.units import ceil_div, cost_of, proceeds_of
from messages.leases import Booked
from messages.markets import FeeSchedule
from messages.orders import Fill, Order, Settlement
from messages.units import Money, Nanos, Outcome, Price, Quantity, Side

Position = tuple[str, str, Outcome]
"""venue, market, outcome"""


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of a movement. `commodity` is "usd" (micro-dollars) or an instrument (micro-contracts)."""

    account: str
    commodity: str
    amount: int


@dataclass(slots=True)
class Accounts:
    """The books of one owner. `cash`, `fees` and `positions` are what the postings add up to."""

    cash: dict[str, int] = field(default_factory=dict)
    """By venue: what came in less what went out, fees included."""
    fees: dict[str, int] = field(default_factory=dict)
    positions: dict[Position, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    """By commodity, over all accounts with the world's: zero, always."""

    def post(self, entry: Booked, nets: bool) -> tuple[Posting, ...]:
        """Book one execution or its reversal; the postings, which have been checked to balance."""
        postings = [*_execution(entry)]
        if nets:
            postings += self._netting(entry)
        self._apply(entry.venue, postings)
        return tuple(postings)

    def held(self, venue: str, market: str, outcome: Outcome) -> Quantity:
        return Quantity(self.positions.get((venue, market, outcome), 0))

    def _netting(self, entry: Booked) -> Iterator[Posting]:
        venue, market = entry.venue, entry.market
        after = {o: self.held(venue, market, o) for o in Outcome}
        after[entry.outcome] = Quantity(after[entry.outcome] + entry.contracts)
        surplus = after[Outcome.YES] - after[Outcome.NO]
        sets = after[Outcome.YES] - max(surplus, 0)
        if not sets:
            return
        for outcome in Outcome:
            commodity = f"{venue}:{market}:{outcome}"
            yield Posting(f"position/{commodity}", commodity, -sets)
            yield Posting(f"world/{venue}", commodity, sets)
        yield Posting(f"cash/{venue}", "usd", sets)
        yield Posting(f"world/{venue}", "usd", -sets)

    def _apply(self, venue: str, postings: list[Posting]) -> None:
        for posting in postings:
            self.totals[posting.commodity] = self.totals.get(posting.commodity, 0) + posting.amount
            kind, _, name = posting.account.partition("/")
            if kind == "cash":
                self.cash[venue] = self.cash.get(venue, 0) + posting.amount
            elif kind == "fees":
                self.fees[venue] = self.fees.get(venue, 0) + posting.amount
            elif kind == "position":
                where, _, rest = name.partition(":")
                market, _, outcome = rest.rpartition(":")
                key = (where, market, Outcome(outcome))
                self.positions[key] = self.positions.get(key, 0) + posting.amount
        if any(self.totals[posting.commodity] for posting in postings):
            raise Unbalanced(f"postings do not sum to zero: {postings}")


class Unbalanced(AssertionError):
    """A broken invariant (I15): the actor must die rather than go on with wrong books."""


def _execution(entry: Booked) -> Iterator[Posting]:
    commodity = f"{entry.venue}:{entry.market}:{entry.outcome}"
    yield Posting(f"position/{commodity}", commodity, entry.contracts)
    yield Posting(f"world/{entry.venue}", commodity, -entry.contracts)
    yield Posting(f"cash/{entry.venue}", "usd", entry.cash - entry.fee)
    yield Posting(f"fees/{entry.venue}", "usd", entry.fee)
    yield Posting(f"world/{entry.venue}", "usd", -entry.cash)


def booked(before: Trade | None, after: Trade, seq: int, at: Nanos) -> Iterator[Booked]:
    """The executions, and reversals of them, that `after` knows and `before` did not."""
    known = {s.order.order: s for s in before.orders} if before is not None else {}
    for state in after.orders:
        old_state = known.get(state.order.order)
        if old_state is not None and old_state.fills == state.fills:
            continue
        old = {f.fill: f for f in old_state.fills} if old_state is not None else {}
        for fill in state.fills:
            was = old.get(fill.fill)
            counted = was is not None and was.settlement is not Settlement.REVERSED
            counts = fill.settlement is not Settlement.REVERSED
            if counts and not counted:
                yield _booking(state.order, fill, seq, at, +1)
            elif counted and not counts:
                yield _booking(state.order, fill, seq, at, -1)


def _booking(order: Order, fill: Fill, seq: int, at: Nanos, sign: int) -> Booked:
    buys = order.side is Side.BUY
    cash = -cost_of(fill.price, fill.quantity) if buys else proceeds_of(fill.price, fill.quantity)
    return Booked(
        seq=seq,
        trade=order.trade,
        order=order.order,
        fill=fill.fill,
        venue=order.venue,
        market=order.market,
        outcome=order.outcome,
        contracts=Quantity(sign * (fill.quantity if buys else -fill.quantity)),
        cash=Money(sign * cash),
        fee=Money(sign * fill.fee),
        at=at,
    )


def committed(trade: Trade) -> dict[str, Money]:
    """Capital that the trade may still need, by venue: what unproven buys could cost, and what is bought but not itemised.

    Held until there is proof (I9): an order in doubt keeps its whole reservation.
    """
    by_venue: dict[str, int] = {}
    for state in trade.orders:
        order = state.order
        if order.side is not Side.BUY:
            continue
        need = _need(state, trade.terms[order.leg].fees)
        if need:
            by_venue[order.venue] = by_venue.get(order.venue, 0) + need
    return {venue: Money(amount) for venue, amount in by_venue.items()}


def _need(state: OrderState, fees: FeeSchedule) -> int:
    order = state.order
    unitemised = Quantity(max(0, state.reported - state.itemised))
    known = most_taken(fees, order.price, unitemised)
    if state.proven:
        return known
    if order.spend is not None:
        left = order.spend - sum(cost_of(f.price, f.quantity) for f in state.fills)
        return max(known, most_taken(fees, order.price, Quantity(0), Money(max(0, left))))
    return max(known, most_taken(fees, order.price, Quantity(max(0, order.quantity - state.itemised))))


def most_taken(fees: FeeSchedule, limit: Price, quantity: Quantity, spend: Money | None = None) -> Money:
    """The most that a buy can take from the capital, at whatever prices within its limit it fills.

    A number of contracts is dearest at the limit: below it the price falls faster than the fee can rise. A sum of money
    buys more contracts the better the price, and so pays more fee, but never more than the rate on the whole sum.
    """
    if spend is not None:
        fee = ceil_div(max(fees.taker_ppm, fees.maker_ppm) * spend, 1_000_000) + max(fees.step, FEE_STEP)
        return Money(spend + fee if spend else 0)
    if not quantity:
        return Money(0)
    fee = max(worst_fee(fees, limit, quantity), worst_fee(fees, limit, quantity, maker=True))
    return Money(cost_of(limit, quantity) + fee)
