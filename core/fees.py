"""What venues charge: an upper bound before a trade, the exact figure after a fill. Pure, integers only.

Kalshi: `ceil(rate × C × p(1−p))` to a micro-dollar; then each fill's balance change is rounded down to `step`, the
difference is charged, collected per order, and given back in whole steps. Polymarket: `rate × C × (p(1−p))^exponent`
to 1/100,000 dollar, takers only.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.units import ceil_div, cost_of, proceeds_of
from messages.markets import FeeFormula, FeeSchedule
from messages.units import ONE_DOLLAR, Money, Price, Quantity, Side

POLYMARKET_STEP = 10
"""Polymarket fees are whole multiples of 1/100,000 dollar."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One fill's fee and how it came about; `carried` goes into the same order's next fill."""

    fee: Money
    trade_fee: Money
    rounding_fee: Money = Money(0)
    rebate: Money = Money(0)
    carried: Money = Money(0)


def worst_fee(schedule: FeeSchedule, price: Price, quantity: Quantity, maker: bool = False, fills: int = 1) -> Money:
    """No `fills` executions of this quantity at this price, however split, are charged more than this."""
    if quantity <= 0:
        return Money(0)
    parts, divisor = _ratio(schedule, price, quantity, maker)
    if schedule.formula is FeeFormula.POLYMARKET:
        if parts == 0:
            return Money(0)
        return Money(ceil_div(parts, divisor * POLYMARKET_STEP) * POLYMARKET_STEP + POLYMARKET_STEP * (fills - 1))
    # each split may round its own fee up by one and its own balance change down by almost a step
    return Money(ceil_div(parts, divisor) + fills - 1 + fills * (schedule.step - 1))


def fee_of_fill(
    schedule: FeeSchedule,
    price: Price,
    quantity: Quantity,
    *,
    maker: bool | None,
    side: Side = Side.BUY,
    carried: Money = Money(0),
) -> Charge:
    """The exact fee of one execution. An unknown role is charged as a taker's, which is never less."""
    parts, divisor = _ratio(schedule, price, quantity, maker is True)
    if schedule.formula is FeeFormula.POLYMARKET:
        steps = (2 * parts + divisor * POLYMARKET_STEP) // (2 * divisor * POLYMARKET_STEP)
        fee = Money(steps * POLYMARKET_STEP)
        return Charge(fee=fee, trade_fee=fee)
    step = schedule.step
    trade_fee = ceil_div(parts, divisor)
    revenue = -cost_of(price, quantity) if side is Side.BUY else proceeds_of(price, quantity)
    rounding_fee = (revenue - trade_fee) % step
    collected = carried + rounding_fee
    # whole steps come back, but never more than this fill is charged
    rebate = min(collected, trade_fee + rounding_fee) // step * step
    return Charge(
        fee=Money(trade_fee + rounding_fee - rebate),
        trade_fee=Money(trade_fee),
        rounding_fee=Money(rounding_fee),
        rebate=Money(rebate),
        carried=Money(collected - rebate),
    )


def _ratio(schedule: FeeSchedule, price: Price, quantity: Quantity, maker: bool) -> tuple[int, int]:
    """Rate × C × (p(1−p))^exponent in micro-dollars, as numerator and denominator, not rounded."""
    ppm = schedule.maker_ppm if maker else schedule.taker_ppm
    exponent = schedule.exponent if schedule.formula is FeeFormula.POLYMARKET else 1
    spread = price * (ONE_DOLLAR - price)
    return ppm * quantity * spread**exponent, 1_000_000 * (ONE_DOLLAR * ONE_DOLLAR) ** exponent
