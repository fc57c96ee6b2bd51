"""Seeing and sizing a crossing, beside a naive reference that takes one smallest piece at a time with exact fractions."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import gcd

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.detect import Key, SizingLimits, crossings, size
from core.fees import fee_of_fill
from core.units import on_grid
from messages.books import Book
from messages.markets import FeeFormula, Market, Pair, PairedMarket
from messages.opportunities import Opportunity, OpportunityKind
from messages.units import CONTRACT, Money, Nanos, Price, Quantity
from tests.core.markets import BOOKS, CROSSING, MARKETS, NOW, SIZING, K, P, book, fees_of, lots, market
from tests.core.story import ticks


def sized(
    yes: tuple[tuple[float, float], ...],
    no: tuple[tuple[float, float], ...],
    limits: SizingLimits = SIZING,
    markets: dict[Key, Market] = MARKETS,
) -> Opportunity:
    asks = [tuple((round(price * 100), round(many * CONTRACT)) for price, many in side) for side in (yes, no)]
    books = {K: book(K, yes_asks=asks[0]), P: book(P, no_asks=asks[1])}
    return size(CROSSING, books, markets, limits, "o", NOW)


FREE = {key: market(key, fees=fees_of(m.fees.formula, 0)) for key, m in MARKETS.items()}
"""Kalshi's rounding remains: at most a hundredth of a cent."""

# Seeing

PAIR = Pair(
    pair="pair",
    group="group",
    title="",
    markets=(PairedMarket(venue=K[0], market=K[1]), PairedMarket(venue=P[0], market=P[1])),
    approved_by="me",
    approved_at="today",
)


def test_yes_here_and_no_there_under_a_dollar_cross() -> None:
    (seen,) = crossings(PAIR, BOOKS)
    assert (seen.yes, seen.no, seen.gross, seen.kind) == (K, P, 1_500, OpportunityKind.CROSS_VENUE)


def test_yes_and_no_of_one_market_cross_too() -> None:
    (seen,) = crossings(PAIR, {K: book(K, yes_asks=lots((40, 1)), no_asks=lots((59, 1)))})
    assert (seen.yes, seen.no, seen.gross, seen.kind) == (K, K, 100, OpportunityKind.COMPLEMENT)


def test_both_directions_may_cross_at_once() -> None:
    both = {key: book(key, yes_asks=lots((40, 1)), no_asks=lots((45, 1))) for key in (K, P)}
    assert {(c.yes, c.no) for c in crossings(PAIR, both)} == {(K, P), (P, K), (K, K), (P, P)}


@pytest.mark.parametrize(
    "books",
    [
        {},
        {K: BOOKS[K]},
        {K: book(K, yes_asks=lots((40, 1)), fresh=False), P: BOOKS[P]},
        {K: BOOKS[K], P: book(P, no_asks=lots((45, 1)), fresh=False)},
        {K: BOOKS[K], P: book(P)},
        {K: book(K), P: BOOKS[P]},
        {K: BOOKS[K], P: book(P, no_asks=lots((60, 1)))},
    ],
)
def test_what_is_stale_empty_or_costs_a_dollar_does_not_cross(books: dict[Key, Book]) -> None:
    assert not list(crossings(PAIR, books))


# Sizing


def test_it_takes_level_after_level_until_the_next_does_not_pay() -> None:
    found = sized(((40, 10), (50, 20), (57, 50)), ((45, 25), (46, 100)), markets=FREE)
    # 40+45, 50+45, 50+46; 57+46 costs more than a dollar
    assert found.quantity == 30 * CONTRACT
    assert found.cost == (40 * 10 + 50 * 20 + 45 * 25 + 46 * 5) * 10_000
    assert [leg.best for leg in found.legs] == [4_000, 4_500]


def test_a_fee_decides_about_the_last_level() -> None:
    with_fees = sized(((40, 10), (52, 20)), ((45, 30),))
    without = sized(((40, 10), (52, 20)), ((45, 30),), markets=FREE)
    assert (with_fees.quantity, without.quantity) == (30 * CONTRACT, 30 * CONTRACT)
    assert sized(((40, 10), (53, 20)), ((45, 30),)).quantity == 10 * CONTRACT


def test_what_does_not_pay_is_shown_at_its_smallest_piece() -> None:
    found = sized(((52, 10),), ((47, 10),))
    assert found.quantity == CONTRACT
    assert found.net < 0


@pytest.mark.parametrize(
    ("yes", "no"),
    [(((40, 0.5),), ((45, 100),)), (((40, 100),), ((45, 0.99),)), (((40, 3), (90, 50)), ((45.1, 9),))],
)
def test_books_that_do_not_hold_the_smallest_piece_size_to_nothing(
    yes: tuple[tuple[float, float], ...], no: tuple[tuple[float, float], ...]
) -> None:
    """At 45.1 cents whole cents come in tens of contracts; nine are no opportunity of ten."""
    found = sized(yes, no, markets=MARKETS | {P: market(P, ticks=ticks(10))})
    assert (found.quantity, found.cost, found.fees, found.net) == (0, 0, 0, 0)


def test_a_level_smaller_than_a_contract_is_passed_over_and_the_next_one_priced() -> None:
    """Half a contract at 40 must not lend its price to a whole one."""
    found = sized(((40, 0.5), (50, 10)), ((45, 100),), markets=FREE)
    assert found.quantity == 10 * CONTRACT
    assert found.legs[0].cost == 5_000_000
    assert found.legs[0].limit >= 5_000


def test_a_bound_smaller_than_the_smallest_piece_sizes_to_nothing() -> None:
    finer = MARKETS | {P: market(P, ticks=ticks(10))}
    few = replace(SIZING, quantity_most=Quantity(9 * CONTRACT))
    assert sized(((40, 100),), ((45.1, 100),), few, finer).quantity == 0
    assert sized(((40, 100),), ((45.1, 100),), replace(few, quantity_most=Quantity(10 * CONTRACT)), finer).quantity


@pytest.mark.parametrize(("price", "step"), [(45, 1), (45.5, 2), (45.1, 10), (45.2, 5), (45.01, 100)])
def test_a_leg_that_is_a_sum_of_money_moves_in_whole_cents(price: float, step: int) -> None:
    found = sized(((40, 1_000),), ((price, 999),), markets=FREE | {P: market(P, ticks=ticks(1))})
    assert found.quantity == 999 // step * step * CONTRACT
    assert found.legs[1].cost % 10_000 == 0


def test_lots_larger_than_a_contract_keep_the_legs_equal() -> None:
    found = sized(((40, 99),), ((45, 99),), markets=FREE | {K: market(K, lot=Quantity(5 * CONTRACT))})
    assert [leg.quantity for leg in found.legs] == [95 * CONTRACT] * 2


def test_no_level_beyond_the_slippage_bound_is_touched() -> None:
    """Three per cent of 40 cents is 1.2: the level at 42 is out of reach, however well it pays."""
    tight = replace(SIZING, slippage_bps=300)
    found = sized(((40, 10), (41, 10), (42, 10)), ((45, 100),), tight, FREE)
    assert found.quantity == 20 * CONTRACT
    assert found.legs[0].limit == 4_100
    assert found.legs[1].limit == 4_600


def test_the_limits_leave_the_minimum_even_when_all_fills_at_them() -> None:
    found = sized(((30, 10), (45, 10)), ((45, 20),))
    assert found.quantity == 20 * CONTRACT
    at_limits = 0
    for leg, key in zip(found.legs, (K, P), strict=True):
        charge = fee_of_fill(MARKETS[key].fees, leg.limit, leg.quantity, maker=False)
        at_limits += leg.limit * leg.quantity // 10_000 + charge.fee
    assert found.quantity - at_limits >= SIZING.min_profit * found.quantity // CONTRACT
    assert [leg.limit for leg in found.legs] == [4_800, 4_800]


# Properties

level = st.tuples(st.integers(1, 99), st.integers(1, 4_000))
"""Cents, hundredths of a contract."""
sides = st.lists(level, min_size=1, max_size=5, unique_by=lambda each: each[0]).map(
    lambda side: tuple((Price(price * 100), Quantity(many * 10_000)) for price, many in sorted(side))
)


def _exact_fee(found: Market, price: int) -> Fraction:
    """A contract's, in dollars, without any rounding."""
    p = Fraction(price, 10_000)
    return Fraction(found.fees.taker_ppm, 1_000_000) * (p * (1 - p)) ** found.fees.exponent


def _naive(levels: tuple[tuple[tuple[Price, Quantity], ...], ...], markets: tuple[Market, Market], most: int) -> int:
    """Contracts taken one smallest piece at a time."""
    at, left = [0, 0], [levels[0][0][1], levels[1][0][1]]
    taken = 0
    while True:
        prices = [int(levels[i][at[i]][0]) for i in (0, 1)]
        piece = 1
        for price, each in zip(prices, markets, strict=True):
            if each.cash_denominated:
                step = 100 // gcd(price, 100)
                piece = piece * step // gcd(piece, step)
        if taken + piece > most:
            return taken
        thin = [i for i in (0, 1) if left[i] < piece * CONTRACT]
        if any(at[i] + 1 >= len(levels[i]) for i in thin):
            return taken
        if thin:
            for i in thin:
                at[i] += 1
                left[i] = levels[i][at[i]][1]
            continue
        cost = sum(Fraction(price, 10_000) + _exact_fee(m, price) for price, m in zip(prices, markets, strict=True))
        if cost >= 1:
            return taken
        taken += piece
        for i in (0, 1):
            left[i] = Quantity(left[i] - piece * CONTRACT)


@settings(max_examples=300, deadline=None)
@given(sides, sides, st.integers(0, 80), st.sampled_from((0, 30_000, 70_000)), st.sampled_from((1, 2)), st.booleans())
def test_the_size_is_maximal_and_its_fees_are_never_underestimated(
    yes: tuple[tuple[Price, Quantity], ...],
    no: tuple[tuple[Price, Quantity], ...],
    most: int,
    ppm: int,
    exponent: int,
    finer: bool,
) -> None:
    shift = 10 if finer else 0
    no = tuple((Price(price + shift), many) for price, many in no)
    formula = FeeFormula.POLYMARKET
    markets = {K: market(K), P: market(P, ticks=ticks(10), fees=fees_of(formula, ppm, exponent=exponent))}
    books = {K: book(K, yes_asks=yes), P: book(P, no_asks=no)}
    limits = replace(SIZING, quantity_most=Quantity(most * CONTRACT), slippage_bps=10_000_000)
    found = size(CROSSING, books, markets, limits, "o", NOW)
    naive = _naive((yes, no), (markets[K], markets[P]), most)
    pays = found.net > 0
    taken = found.quantity // CONTRACT if pays else 0
    assert taken <= naive
    if taken < naive:  # only where the rounding of the fees is more than the whole next level would earn
        rounding = 100 + 10 + 2
        assert _earned((yes, no), (markets[K], markets[P]), taken, naive) < Fraction(rounding * 12, 1_000_000)
    assert {leg.quantity for leg in found.legs} == {found.quantity}
    for leg, key in zip(found.legs, (K, P), strict=True):
        if not found.quantity:
            assert (leg.cost, leg.fee) == (0, 0)
            continue
        assert on_grid(leg.limit, markets[key].ticks)
        assert leg.limit * leg.quantity // 10_000 >= leg.cost
    if found.quantity:
        assert found.legs[1].cost % 10_000 == 0


def _earned(
    levels: tuple[tuple[tuple[Price, Quantity], ...], ...], markets: tuple[Market, Market], start: int, stop: int
) -> Fraction:
    """Dollars that the contracts after `start` and up to `stop` would have earned."""
    total = Fraction(0)
    for price_levels, each in zip(levels, markets, strict=True):
        seen = Fraction(0)
        for price, many in price_levels:
            have = Fraction(many // CONTRACT)
            low, high = max(seen, Fraction(start)), min(seen + have, Fraction(stop))
            if high > low:
                total -= (high - low) * (Fraction(price, 10_000) + _exact_fee(each, price))
            seen += have
    return total + (stop - start)


@settings(max_examples=200, deadline=None)
@given(sides, sides)
def test_the_planned_fee_covers_the_exact_one_of_every_level(
    yes: tuple[tuple[Price, Quantity], ...], no: tuple[tuple[Price, Quantity], ...]
) -> None:
    books = {K: book(K, yes_asks=yes), P: book(P, no_asks=no)}
    found = size(CROSSING, books, MARKETS, SIZING, "o", NOW)
    for leg, key, side in zip(found.legs, (K, P), (yes, no), strict=True):
        left, exact = int(found.quantity), 0
        for price, many in side:
            usable = many // CONTRACT * CONTRACT
            piece = Quantity(min(left, usable))
            if piece and left:
                exact += fee_of_fill(MARKETS[key].fees, price, piece, maker=False).fee
                left -= piece
        assert found.net <= 0 or leg.fee >= exact


def test_a_book_is_aged_from_when_it_was_confirmed() -> None:
    found = size(CROSSING, BOOKS, MARKETS, SIZING, "o", Nanos(NOW + 5))
    assert [leg.book_age for leg in found.legs] == [5, 5]
    assert found.legs[0].book_sequence == 7
    assert Money(found.gross - found.fees) == found.net
