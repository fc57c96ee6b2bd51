"""The integers that the whole engine counts in. `Decimal` exists at the edges only; `float` is never money."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

Price = NewType("Price", int)
"""1/10,000 dollar, per contract; 0 … 10,000."""
Quantity = NewType("Quantity", int)
"""1/1,000,000 contract."""
Money = NewType("Money", int)
"""1/1,000,000 dollar; signed where it is a change."""
Nanos = NewType("Nanos", int)
"""Nanoseconds since the Unix epoch, on a clock that is anchored to wall time at start and monotonic after it."""

ONE_DOLLAR = Price(10_000)
CONTRACT = Quantity(1_000_000)
DOLLAR = Money(1_000_000)
CENT = Money(10_000)
MILLISECOND = Nanos(1_000_000)
SECOND = Nanos(1_000_000_000)


class Outcome(StrEnum):
    YES = "yes"
    NO = "no"

    @property
    def opposite(self) -> Outcome:
        return Outcome.NO if self is Outcome.YES else Outcome.YES


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class TimeInForce(StrEnum):
    IOC = "ioc"
    """Immediate or cancel; what does not fill at once is gone (Polymarket calls it FAK)."""
    GTD = "gtd"
    """Rests until its expiry; we cancel it ourselves then and do not trust the venue to."""
