"""What positions cost on average, and what closing them brought: integers that add up to the cash, to the last unit.

For every venue and outcome: cash moved without fees = realised − basis, summed over its markets, after every entry.
Whatever a division leaves over is realised as a loss now and comes back with the last contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.ledger import Position
from core.units import ceil_div
from messages.leases import Booked
from messages.units import ONE_DOLLAR, Price


@dataclass(slots=True)
class Line:
    """One outcome of one market. `basis` is what the held contracts cost; both are negative where it was sold short."""

    contracts: int = 0
    basis: int = 0
    realised: int = 0
    fees: int = 0

    @property
    def average(self) -> Price:
        """Per contract, rounded against ourselves; 0 where nothing is held."""
        return Price(ceil_div(self.basis * ONE_DOLLAR, self.contracts) if self.contracts else 0)

    def part_of_basis(self, contracts: int) -> int:
        return ceil_div(self.basis * contracts, abs(self.contracts))

    def trade(self, contracts: int, paid: int) -> None:
        """Buy so many contracts for what was paid, both negative for a sale. What was held the other way is closed first."""
        if self.contracts * contracts >= 0:
            self.contracts += contracts
            self.basis += paid
            return
        closed = min(abs(contracts), abs(self.contracts))
        basis, paid_for_closed = self.part_of_basis(closed), ceil_div(paid * closed, abs(contracts))
        self.realised -= paid_for_closed + basis
        self.contracts += contracts
        self.basis += paid - paid_for_closed - basis


@dataclass(slots=True)
class Costs:
    lines: dict[Position, Line] = field(default_factory=dict)

    def post(self, entry: Booked, nets: bool) -> None:
        mine = self._line((entry.venue, entry.market, entry.outcome))
        mine.trade(entry.contracts, -entry.cash)
        mine.fees += entry.fee
        if nets:
            self._net(mine, self._line((entry.venue, entry.market, entry.outcome.opposite)))

    def _net(self, traded: Line, other: Line) -> None:
        """Equal amounts of both outcomes become a dollar each. What was traded last goes at its cost, since buying one
        outcome at p is selling the other at 1 − p: the profit shows where the position was.
        """
        sets = min(traded.contracts, other.contracts)
        if sets:
            cost = traded.part_of_basis(abs(sets))
            traded.trade(-sets, -cost)
            other.trade(-sets, cost - sets)

    def _line(self, position: Position) -> Line:
        return self.lines.setdefault(position, Line())
