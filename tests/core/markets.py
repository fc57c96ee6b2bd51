"""Markets, books and a view of the world in which everything is in order, for tests of what happens before an order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.checks import Limits, View
from core.detect import Crossing, Key, SizingLimits
from messages.books import Book, Levels, mirror
from messages.markets import FeeFormula, FeeSchedule, Market, VenueMode
from messages.opportunities import OpportunityKind
from messages.units import CONTRACT, DOLLAR, SECOND, Money, Nanos, Price, Quantity
from tests.core.story import START, ticks

K: Key = ("kalshi", "K")
P: Key = ("polymarket", "P")
NOW = Nanos(START + SECOND)


def fees_of(formula: FeeFormula, ppm: int, **changes: Any) -> FeeSchedule:
    usual = FeeSchedule(formula=formula, version=1, taker_ppm=ppm, maker_ppm=0, verified_at=START)
    return usual.model_copy(update=changes)


def market(key: Key, **changes: Any) -> Market:
    at_kalshi = key[0] == "kalshi"
    formula = FeeFormula.KALSHI if at_kalshi else FeeFormula.POLYMARKET
    usual = Market(
        venue=key[0],
        market=key[1],
        event="event",
        title="title",
        open=True,
        closes_at=None,
        ticks=ticks(100),
        lot=Quantity(10_000),
        min_quantity=Quantity(10_000 if at_kalshi else 5_000_000),
        min_spend=Money(0 if at_kalshi else 1_000_000),
        cash_denominated=not at_kalshi,
        fees=fees_of(formula, 70_000 if at_kalshi else 30_000),
        version=1,
        seen_at=START,
    )
    return usual.model_copy(update=changes)


def lots(*levels: tuple[int, float]) -> Levels:
    """(price in cents, contracts), … as levels."""
    return tuple((price * 100, round(quantity * CONTRACT)) for price, quantity in levels)


def book(key: Key, yes_asks: Levels = (), no_asks: Levels = (), **changes: Any) -> Book:
    usual: dict[str, Any] = {
        "venue": key[0],
        "market": key[1],
        "sequence": 7,
        "seen_at": NOW,
        "fresh": True,
        "yes_bids": mirror(no_asks),
        "yes_asks": yes_asks,
        "no_bids": mirror(yes_asks),
        "no_asks": no_asks,
    }
    return Book(**usual | changes)


CROSSING = Crossing("pair", "group", OpportunityKind.CROSS_VENUE, K, P, Price(500))
SIZING = SizingLimits(quantity_most=Quantity(1_000 * CONTRACT), slippage_bps=10_000, min_profit=Money(10_000))
LIMITS = Limits(
    min_profit=Money(10_000),
    min_return_bps=10,
    notional_most=Money(100 * DOLLAR),
    open_trades_most=3,
    position_most=Quantity(500 * CONTRACT),
    group_most=Quantity(500 * CONTRACT),
    collar_low=Price(100),
    collar_high=Price(9_900),
    book_age_most=Nanos(2 * SECOND),
    fees_age_most=Nanos(3_600 * SECOND),
    loop_lag_most=Nanos(SECOND // 10),
)
BOOKS = {K: book(K, yes_asks=lots((40, 100))), P: book(P, no_asks=lots((45, 100)))}
MARKETS = {K: market(K), P: market(P)}


def view(**changes: Any) -> View:
    usual = View(
        now=NOW,
        limits=LIMITS,
        markets=MARKETS,
        books=BOOKS,
        modes={"kalshi": (VenueMode.OPEN, True), "polymarket": (VenueMode.OPEN, True)},
        claimed=lambda group: group == "group",
        flight_of=lambda key: None,
        not_before=lambda key: Nanos(0),
        free=lambda venue: Money(1_000 * DOLLAR),
        held=lambda venue, name, outcome: Quantity(0),
        group_held=lambda group: Quantity(0),
        open_trades=0,
        keys=lambda venue: 10,
        halted="",
        draining=False,
        lag=Nanos(0),
    )
    return replace(usual, **changes)
