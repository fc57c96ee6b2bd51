"""Seeing a crossing, and sizing it: how many contracts still pay after every fee.

A crossing is a property of two best prices: YES here and NO there together cost less than they pay out. It says nothing
of fees. Sizing walks both books at once, level by level, and stops where the next contracts no longer pay; it also
respects what an order can express (whole lots, and whole cents where an immediate buy is a sum of money).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import gcd, lcm

from core.fees import worst_fee
from core.units import cost_of, tick_down
from messages.books import Book, Levels
from messages.markets import Market, Pair
from messages.opportunities import Opportunity, OpportunityKind, PlannedLeg
from messages.units import CONTRACT, ONE_DOLLAR, Money, Nanos, Outcome, Price, Quantity

Key = tuple[str, str]
"""venue, market"""


@dataclass(frozen=True, slots=True)
class Crossing:
    """Buying YES at `yes` and NO at `no` costs `gross` less than the pay-out of one dollar, at the best prices."""

    pair: str
    group: str
    kind: OpportunityKind
    yes: Key
    no: Key
    gross: Price


def crossings(pair: Pair, books: Mapping[Key, Book]) -> Iterator[Crossing]:
    """All ways in which the pair's best prices cross now, stale books left out."""
    keys = [(m.venue, m.market) for m in pair.markets]
    for yes in keys:
        yes_book = books.get(yes)
        if yes_book is None or not yes_book.fresh or not yes_book.yes_asks:
            continue
        for no in keys:
            no_book = books.get(no)
            if no_book is None or not no_book.fresh or not no_book.no_asks:
                continue
            gross = ONE_DOLLAR - yes_book.yes_asks[0][0] - no_book.no_asks[0][0]
            if gross > 0:
                kind = OpportunityKind.COMPLEMENT if yes == no else OpportunityKind.CROSS_VENUE
                yield Crossing(pair.pair, pair.group, kind, yes, no, Price(gross))


@dataclass(frozen=True, slots=True)
class SizingLimits:
    """What bounds a size besides the books."""

    quantity_most: Quantity
    slippage_bps: int
    min_profit: Money
    """A contract; also what limits must leave when both legs fill at their worst."""


@dataclass(slots=True)
class _Side:
    """One leg while it is walked."""

    levels: Levels
    market: Market
    index: int = 0
    left: int = 0
    cost: int = 0
    fee: int = 0
    worst: int = 0

    def __post_init__(self) -> None:
        self.left = self.levels[0][1] if self.levels else 0

    @property
    def price(self) -> Price:
        return Price(self.levels[self.index][0])

    def step(self) -> int:
        """The smallest number of contracts that an order at this price can say exactly."""
        step = lcm(CONTRACT, self.market.lot)
        if not self.market.cash_denominated:
            return step
        # a sum of whole cents: price (1/10,000 dollar) × contracts must be a multiple of 100
        return lcm(step, CONTRACT * (100 // gcd(self.price, 100)))

    def next(self, highest: int) -> bool:
        """Go on to the next level, where there is one at no more than `highest`."""
        if self.index + 1 >= len(self.levels) or self.levels[self.index + 1][0] > highest:
            return False
        self.index += 1
        self.left = self.levels[self.index][1]
        return True

    def take(self, quantity: Quantity) -> None:
        self.cost += cost_of(self.price, quantity)
        self.fee += worst_fee(self.market.fees, self.price, quantity)
        self.worst = self.price
        self.left -= quantity


def size(
    crossing: Crossing,
    books: Mapping[Key, Book],
    markets: Mapping[Key, Market],
    limits: SizingLimits,
    name: str,
    now: Nanos,
) -> Opportunity:
    """The opportunity in a crossing.

    One that does not pay is sized at its smallest piece, so that its figures can be shown; one whose books or bounds do
    not even hold that is of size zero. A level that holds less than the smallest piece is passed over: whoever fills
    there does so at a better price than planned.
    """
    sides = (
        _Side(books[crossing.yes].yes_asks, markets[crossing.yes]),
        _Side(books[crossing.no].no_asks, markets[crossing.no]),
    )
    highest = tuple(side.price + side.price * limits.slippage_bps // int(ONE_DOLLAR) for side in sides)
    taken = 0
    while True:
        quantum = lcm(*(side.step() for side in sides))
        if limits.quantity_most - taken < quantum:
            break
        thin = [side.next(most) for side, most in zip(sides, highest, strict=True) if side.left < quantum]
        if not all(thin):
            break
        if thin:
            continue
        piece = Quantity(min(*(side.left for side in sides), limits.quantity_most - taken) // quantum * quantum)
        pays = _pays(sides, piece)
        if not pays and taken:
            # a whole level does not pay where its first contracts would: fees grow with size only
            break
        piece = piece if pays else Quantity(quantum)
        for side in sides:
            side.take(piece)
        taken += piece
        if not pays:
            break
    slack = _slack(sides, taken, limits) if taken else 0
    legs = tuple(
        _leg(side, key, outcome, Quantity(taken), slack, books, limits, now)
        for side, key, outcome in zip(sides, (crossing.yes, crossing.no), (Outcome.YES, Outcome.NO), strict=True)
    )
    return Opportunity(
        opportunity=name,
        kind=crossing.kind,
        pair=crossing.pair,
        group=crossing.group,
        seen_at=now,
        quantity=Quantity(taken),
        payout=ONE_DOLLAR,
        legs=legs,
    )


def _pays(sides: tuple[_Side, _Side], piece: Quantity) -> bool:
    spent = sum(cost_of(s.price, piece) + worst_fee(s.market.fees, s.price, piece) for s in sides)
    return spent < piece  # a contract (1e-6) pays a dollar (1e-6): the same number


def _slack(sides: tuple[_Side, _Side], taken: int, limits: SizingLimits) -> int:
    """How much worse than its worst level each leg may fill, in price units.

    An equal share of what is earned above the minimum when all of it fills at the worst level; the fee on it included,
    which grows by at most its rate with the price.
    """
    at_worst = [(Price(side.worst), Quantity(taken), side.market.fees) for side in sides]
    net = taken - sum(cost_of(price, many) + worst_fee(fees, price, many) for price, many, fees in at_worst)
    spare = net - limits.min_profit * taken // CONTRACT
    rate = 1_000_000 + max(fees.taker_ppm for _, _, fees in at_worst)
    return max(0, spare * int(ONE_DOLLAR) * 1_000_000 // (len(sides) * taken * rate))


def _leg(
    side: _Side,
    key: Key,
    outcome: Outcome,
    quantity: Quantity,
    slack: int,
    books: Mapping[Key, Book],
    limits: SizingLimits,
    now: Nanos,
) -> PlannedLeg:
    book, market = books[key], side.market
    best = book.asks(outcome)[0][0]
    worst = side.worst or best
    bounded = min(worst + slack, best + best * limits.slippage_bps // 10_000)
    limit = tick_down(Price(max(bounded, worst)), market.ticks) or Price(worst)
    return PlannedLeg(
        venue=key[0],
        market=key[1],
        outcome=outcome,
        limit=Price(max(limit, worst)),
        quantity=quantity,
        cost=Money(side.cost),
        fee=Money(side.fee),
        best=Price(best),
        book_sequence=book.sequence,
        book_age=Nanos(now - book.seen_at),
        market_version=market.version,
        fee_version=market.fees.version,
    )
