"""The venues' own fee rules, written apart from the engine's: a judge must not share arithmetic with the judged."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from venues.simulated.scale import PRICE_ONE

KALSHI_TAKER = Fraction(7, 100)
KALSHI_MAKER = {
    "quadratic_with_maker_fees": Fraction(175, 10_000),
    "quadratic_with_combo_maker_fees": Fraction(35, 1_000),
}
KALSHI_STEP = 100  # balances of a direct member move in 1/10,000 dollar
POLYMARKET_STEP = 10  # fees have five decimals


@dataclass(frozen=True, slots=True)
class KalshiFee:
    net: int
    accumulator: int


def kalshi_fee(
    price: int,
    quantity: int,
    revenue: int,
    accumulator: int,
    multiplier: Fraction,
    taker: bool,
    step: int = KALSHI_STEP,
    maker: Fraction = Fraction(0),
) -> KalshiFee:
    """Fee of one fill. `revenue` is the signed cash of the trade; `accumulator` belongs to the order, not to the fill."""
    trade_fee, coefficient = 0, KALSHI_TAKER if taker else maker
    if coefficient:
        exact = multiplier * coefficient * quantity * price * (PRICE_ONE - price) / (PRICE_ONE * PRICE_ONE)
        trade_fee = -(-exact.numerator // exact.denominator)
    rounding = (revenue - trade_fee) % step
    accumulated = accumulator + rounding
    gross = trade_fee + rounding
    rebate = min(accumulated // step, gross // step) * step
    return KalshiFee(gross - rebate, accumulated - rebate)


def kalshi_worst_fee(price: int, quantity: int, multiplier: Fraction) -> int:
    """Upper bound for an order that may be filled in many pieces at `price` or better."""
    if quantity <= 0:
        return 0
    exact = multiplier * Fraction(7, 100) * quantity * price * (PRICE_ONE - price) / (PRICE_ONE * PRICE_ONE)
    return -(-exact.numerator // exact.denominator) + 2 * KALSHI_STEP


def polymarket_fee(price: int, quantity: int, rate: Fraction, exponent: int) -> int:
    """Taker fee of one match, half up to five decimals; anything below the fifth decimal is free."""
    spread = Fraction(price * (PRICE_ONE - price), PRICE_ONE * PRICE_ONE)
    exact = quantity * rate * spread**exponent
    if exact < POLYMARKET_STEP:
        return 0
    steps = exact / POLYMARKET_STEP + Fraction(1, 2)
    return int(steps.numerator // steps.denominator) * POLYMARKET_STEP
