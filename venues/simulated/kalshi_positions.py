"""What a position has cost and earned, folded from its fills: average cost, in micro-dollars, rounded down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from venues.simulated.happenings import Fill
from venues.simulated.scale import PRICE_ONE


@dataclass(slots=True)
class Tally:
    position: int = 0  # YES positive, NO negative
    cost: int = 0
    realized: int = 0
    fees: int = 0
    position_fees: int = 0
    traded: int = 0
    volume: int = 0
    yes_cost: int = 0
    no_cost: int = 0
    at_ns: int = 0

    def take(self, fill: Fill) -> None:
        signed = fill.quantity if fill.action == "buy" else -fill.quantity
        own = fill.price if signed > 0 else PRICE_ONE - fill.price  # what one contract of the side taken costs
        closing = min(abs(self.position), fill.quantity) if self.position * signed < 0 else 0
        opening = fill.quantity - closing
        if closing:
            released = self.cost * closing // abs(self.position)
            self.realized += closing - own * closing // PRICE_ONE - released  # a complete set pays a dollar
            self.position_fees -= self.position_fees * closing // abs(self.position)
            self.cost -= released
        spent = own * opening // PRICE_ONE
        self.cost += spent
        self.position += signed
        self.fees += fill.fee
        self.position_fees += fill.fee if opening else 0
        self.traded += own * fill.quantity // PRICE_ONE
        self.volume += fill.quantity
        self.yes_cost += spent if signed > 0 else 0
        self.no_cost += spent if signed < 0 else 0
        self.at_ns = fill.at_ns


def tally(fills: Iterable[Fill]) -> Tally:
    folded = Tally()
    for fill in fills:
        folded.take(fill)
    return folded
