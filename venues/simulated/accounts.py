"""What one account owns: cash, positions, and the part of both that is promised to open orders or not yet settled."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from venues.simulated.book import Action, Order, Outcome

PARTICIPANTS = "participants"


def owner(account: str) -> str:
    """Whose account this is: a venue may keep several for one user, named `user/...`."""
    return account.partition("/")[0]


@dataclass(slots=True)
class Position:
    yes: int = 0
    no: int = 0

    def of(self, outcome: Outcome) -> int:
        return self.yes if outcome == "yes" else self.no

    def add(self, outcome: Outcome, quantity: int) -> None:
        if outcome == "yes":
            self.yes += quantity
        else:
            self.no += quantity


@dataclass(slots=True)
class Account:
    id: str
    deposits: int = 0
    cash: int = 0
    fees_paid: int = 0
    unlimited: bool = False  # the market makers: nobody asks where their money comes from
    positions: defaultdict[str, Position] = field(default_factory=lambda: defaultdict(Position))
    reserved_by_market: dict[str, int] = field(default_factory=dict)
    unsettled_cash: int = 0  # proceeds of sales that the chain has not confirmed: owned, not spendable
    unsettled_tokens: defaultdict[tuple[str, Outcome], int] = field(default_factory=lambda: defaultdict(int))
    held: dict[str, tuple[str, Outcome, int, int]] = field(
        default_factory=dict
    )  # delayed orders: cash and tokens of each
    resting: defaultdict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))

    @property
    def reserved(self) -> int:
        return sum(self.reserved_by_market.values()) + sum(cash for _, _, cash, _ in self.held.values())

    @property
    def available(self) -> int:
        return self.cash - self.reserved - self.unsettled_cash

    def settled_tokens(self, market: str, outcome: Outcome) -> int:
        return self.positions[market].of(outcome) - self.unsettled_tokens[(market, outcome)]

    def sellable_tokens(self, market: str, outcome: Outcome) -> int:
        promised = sum(o.remaining for o in self.resting[market] if o.action == "sell" and o.outcome == outcome)
        promised += sum(count for where, which, _, count in self.held.values() if (where, which) == (market, outcome))
        return self.settled_tokens(market, outcome) - promised

    def closable(self, market: str, action: Action) -> int:
        """Contracts of the opposite outcome that an order of this action would net away, beyond those promised."""
        held = self.positions[market].no if action == "buy" else self.positions[market].yes
        return max(0, held - sum(o.remaining for o in self.resting[market] if o.action == action))


def net(position: Position, action: Action, quantity: int) -> int:
    """Buy or sell YES with netting: returns how many complete sets the trade turned into (+) or took out of (-) cash."""
    if action == "buy":
        closed = min(position.no, quantity)
        position.no -= closed
        position.yes += quantity - closed
        return closed
    closed = min(position.yes, quantity)
    position.yes -= closed
    position.no += quantity - closed
    return closed - quantity
