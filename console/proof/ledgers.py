"""What the venues say: their accounts, orders, executions and request logs, read strictly.

A ledger that does not fit is no proof of anything, so it is refused with its place and never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from core.units import opposite
from messages.orders import Order
from messages.units import Outcome, Price, Side

FAILED = "failed"


class Unreadable(Exception):
    """The proof cannot be computed: the text names the path and the remedy."""


class Holding(msgspec.Struct, frozen=True):
    yes: int = 0
    no: int = 0


class Account(msgspec.Struct, frozen=True):
    deposits: int
    cash: int
    fees_paid: int
    reserved: int = 0
    positions: dict[str, Holding] = {}


class VenueOrder(msgspec.Struct, frozen=True):
    venue_order: str
    wire_id: str
    account: str
    market: str
    outcome: str
    side: str
    price: int
    quantity: int
    spend: int | None
    time_in_force: str
    status: str
    matched: int
    created_ns: int
    body_sha256: str


class VenueFill(msgspec.Struct, frozen=True):
    fill_id: str
    venue_order: str
    wire_id: str
    account: str
    market: str
    outcome: str
    side: str
    price: int
    quantity: int
    cash: int
    fee: int
    settlement: str
    role: str
    at_ns: int

    @property
    def stands(self) -> bool:
        """Not taken back."""
        return self.settlement != FAILED


class Request(msgspec.Struct, frozen=True):
    n: int
    at_ns: int
    method: str
    path: str
    account: str
    wire_id: str
    status: int | None
    fault: str | None
    accepted: bool
    body_sha256: str


class Ledger(msgspec.Struct, frozen=True):
    """One venue's books and what reached its doors, in our integer units."""

    venue: str
    accounts: dict[str, Account]
    orders: list[VenueOrder]
    fills: list[VenueFill]
    requests: list[Request]
    dialect: str = ""
    seed: int = 0
    now_ns: int = 0
    faults_hit: dict[str, int] = {}
    imbalance: int = 0
    """What the venue's own books do not add up to: the judge must be sound too."""

    @property
    def deposits(self) -> int:
        return sum(account.deposits for account in self.accounts.values())

    @property
    def cash(self) -> int:
        return sum(account.cash for account in self.accounts.values())

    @property
    def fees(self) -> int:
        return sum(account.fees_paid for account in self.accounts.values())

    @property
    def positions(self) -> dict[tuple[str, Outcome], int]:
        """By market and outcome, over all of our accounts; what is zero is left out."""
        total: dict[tuple[str, Outcome], int] = {}
        for account in self.accounts.values():
            for market, held in account.positions.items():
                for outcome, quantity in ((Outcome.YES, held.yes), (Outcome.NO, held.no)):
                    total[(market, outcome)] = total.get((market, outcome), 0) + quantity
        return {key: quantity for key, quantity in total.items() if quantity}

    def posts(self) -> Iterator[Request]:
        """Attempts to place one order. One that the venue turned away unread has no identity: its bytes may tell it."""
        known = {r.body_sha256: r.wire_id for r in self.requests if r.method == "POST" and r.wire_id}
        for request in self.requests:
            if request.method == "POST":
                wire = request.wire_id or known.get(request.body_sha256, "")
                yield request if wire == request.wire_id else msgspec.structs.replace(request, wire_id=wire)


class _File(msgspec.Struct, frozen=True):
    venues: dict[str, Ledger]


def read_ledgers(path: Path) -> dict[str, Ledger]:
    """All venues' ledgers in one file, by the names that our journals use."""
    remedy = "Give the ledgers.json of the run, as the run wrote it."
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File).venues
    except FileNotFoundError:
        raise Unreadable(f"{path} does not exist. {remedy}") from None
    except OSError as problem:
        raise Unreadable(f"{path} cannot be read: {problem.strerror}. {remedy}") from None
    except msgspec.DecodeError as problem:
        raise Unreadable(f"{path} is not a file of ledgers: {problem}. {remedy}") from None


# One order on one scale: a venue with one book a market tells everything on the YES scale.


def book_side(outcome: str, side: str) -> str:
    """Buying NO is selling YES: `bid` or `ask` in the book of YES."""
    return "bid" if (outcome == Outcome.YES) == (side == Side.BUY) else "ask"


def on_scale(price: int, told_on: str, wanted: Outcome) -> int:
    """A price that was told on one outcome's scale, on that of another."""
    return price if told_on == wanted else int(opposite(Price(price)))


def same_terms(order: Order, told: VenueOrder) -> bool:
    """Whether the venue was asked for exactly what the journal says."""
    if told.market != order.market or book_side(told.outcome, told.side) != book_side(order.outcome, order.side):
        return False
    if order.spend is not None:
        return told.spend == order.spend
    return told.quantity == order.quantity and on_scale(told.price, told.outcome, order.outcome) == order.price
