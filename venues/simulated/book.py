"""One order book on the YES scale with price-time priority. It knows orders and levels, neither accounts nor fees."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from venues.simulated.scale import PRICE_ONE

Side = Literal["bid", "ask"]
Outcome = Literal["yes", "no"]
Action = Literal["buy", "sell"]


def opposite(side: Side) -> Side:
    return "ask" if side == "bid" else "bid"


def book_side(outcome: Outcome, action: Action) -> Side:
    """Buying NO is selling YES at the complement, and the other way round."""
    return "bid" if (outcome == "yes") == (action == "buy") else "ask"


def own_price(outcome: Outcome, yes_price: int) -> int:
    return yes_price if outcome == "yes" else PRICE_ONE - yes_price


@dataclass(slots=True, eq=False)
class Order:
    """What a venue remembers of one order. `price` is on the scale of its own outcome, `book_price` on the YES scale."""

    venue_order: str
    wire_id: str
    account: str
    market: str
    outcome: Outcome
    action: Action
    price: int
    quantity: int
    spend: int | None
    time_in_force: str
    created_ns: int
    expires_ns: int | None = None
    body_sha256: str = ""
    remaining: int = 0
    matched: int = 0
    spent: int = 0
    status: str = "live"
    reason: str = ""
    accumulator: int = 0
    taker_fees: int = 0
    maker_fees: int = 0
    taker_cost: int = 0
    maker_cost: int = 0
    changed_ns: int = 0
    stp: str = "taker_at_cross"
    trades: list[str] = field(default_factory=list)
    history: list[tuple[int, OrderState]] = field(default_factory=list)

    @property
    def side(self) -> Side:
        return book_side(self.outcome, self.action)

    @property
    def book_price(self) -> int:
        return own_price(self.outcome, self.price)

    def state(self) -> OrderState:
        return OrderState(
            self.status, self.matched, self.remaining, self.taker_fees, self.maker_fees, self.taker_cost, self.maker_cost,
            self.changed_ns, self.price, self.expires_ns,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OrderState:
    """One version of an order, kept because reads may lag writes."""

    status: str
    matched: int
    remaining: int
    taker_fees: int
    maker_fees: int
    taker_cost: int
    maker_cost: int
    changed_ns: int
    price: int
    expires_ns: int | None


@dataclass(slots=True)
class Level:
    price: int
    total: int = 0
    orders: list[Order] = field(default_factory=list)


class Book:
    def __init__(self, market: str) -> None:
        self.market = market
        self.clock = 0
        self.last_trade: int | None = None
        self._levels: dict[Side, dict[int, Level]] = {"bid": {}, "ask": {}}
        self._prices: dict[Side, list[int]] = {"bid": [], "ask": []}

    def best(self, side: Side) -> int | None:
        prices = self._prices[side]
        return (prices[-1] if side == "bid" else prices[0]) if prices else None

    def size(self, side: Side, price: int) -> int:
        level = self._levels[side].get(price)
        return level.total if level else 0

    def ladder(self, side: Side) -> list[tuple[int, int]]:
        """Levels with rising YES price."""
        levels = self._levels[side]
        return [(price, levels[price].total) for price in self._prices[side]]

    def queue(self, side: Side, price: int) -> list[Order]:
        level = self._levels[side].get(price)
        return level.orders if level else []

    def crossing(self, side: Side, limit: int) -> Iterator[Order]:
        """Resting orders that an incoming order of `side` with this YES limit may hit, best price first, oldest first."""
        prices = self._prices[opposite(side)]
        ordered = prices if side == "bid" else reversed(prices)
        levels = self._levels[opposite(side)]
        for price in ordered:
            if (price > limit) if side == "bid" else (price < limit):
                return
            yield from levels[price].orders

    def add(self, order: Order) -> None:
        levels, price = self._levels[order.side], order.book_price
        level = levels.get(price)
        if level is None:
            level = levels[price] = Level(price)
            insort(self._prices[order.side], price)
        level.orders.append(order)
        level.total += order.remaining

    def reduce(self, order: Order, quantity: int) -> None:
        """Take `quantity` off a resting order; an empty one leaves the queue."""
        side, price = order.side, order.book_price
        level = self._levels[side][price]
        order.remaining -= quantity
        level.total -= quantity
        if order.remaining <= 0:
            level.orders.remove(order)
            if not level.orders:
                del self._levels[side][price]
                prices = self._prices[side]
                del prices[bisect_left(prices, price)]
