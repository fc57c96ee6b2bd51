"""Walking a book level by level: what a quantity costs or brings, and where it stops."""

from __future__ import annotations

from dataclasses import dataclass

from core.fees import worst_fee
from core.units import cost_of, proceeds_of, whole_lots
from messages.markets import FeeSchedule
from messages.units import ONE_DOLLAR, Money, Price, Quantity

Ladder = tuple[tuple[Price, Quantity], ...]


@dataclass(frozen=True, slots=True)
class Walk:
    """`quantity` of what was asked for is there; `worst` is the last price touched. `fee` is its upper bound."""

    quantity: Quantity
    money: Money
    fee: Money
    worst: Price
    best: Price


def walk_asks(
    levels: Ladder, wanted: Quantity, lot: Quantity, fees: FeeSchedule, highest: Price = ONE_DOLLAR
) -> Walk | None:
    """Buy up to `wanted`, in whole lots, at no more than `highest`; None where nothing is there."""
    return _walk(levels, wanted, lot, fees, buying=True, bound=highest)


def walk_bids(levels: Ladder, wanted: Quantity, lot: Quantity, fees: FeeSchedule, lowest: Price) -> Walk | None:
    """Sell up to `wanted`, in whole lots, at no less than `lowest`; None where nothing is there."""
    return _walk(levels, wanted, lot, fees, buying=False, bound=lowest)


def _walk(
    levels: Ladder, wanted: Quantity, lot: Quantity, fees: FeeSchedule, *, buying: bool, bound: Price
) -> Walk | None:
    left: int = whole_lots(wanted, lot)
    taken = money = fee = 0
    worst: Price | None = None
    for price, quantity in levels:
        beyond = price > bound if buying else price < bound
        if left <= 0 or beyond:
            break
        piece = whole_lots(Quantity(min(quantity, left)), lot)
        if piece <= 0:
            continue
        money += cost_of(price, piece) if buying else proceeds_of(price, piece)
        fee += worst_fee(fees, price, piece)
        taken += piece
        left -= piece
        worst = price
    if worst is None:
        return None
    return Walk(Quantity(taken), Money(money), Money(fee), worst, levels[0][0])
