"""The port: what the engine asks of a venue, in the engine's own words. One folder per venue implements it.

Rules for every implementation:

* Nothing here raises for anything that a venue or a network can do. A wrong, hostile, late or missing answer becomes a
  value: `Lost` for a request that may have had an effect, `Failed` for a read. "The read failed" is never "there is nothing".
* A POST is never repeated by the adapter. Reads may be retried (bounded, full jitter).
* `identify` and `prepare` are functions of the order and the credentials alone: the same order gives the same identity
  and a body that the venue takes for the same order.
* Every time that leaves the port is `Nanos` of the clock that was injected.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from messages.books import Book
from messages.markets import Market, VenueMode
from messages.orders import (
    Absent,
    Ended,
    FillSeen,
    Landed,
    LookUpFailed,
    Lost,
    Order,
    OrderSeen,
    Refused,
    Rested,
)
from messages.units import Money, Nanos, Quantity

SubmitAnswer = Rested | Ended | Refused | Landed | Lost
LookUpAnswer = Rested | Ended | Absent | LookUpFailed
StreamEvent = OrderSeen | FillSeen


class Clock(Protocol):
    """Time as the shells know it; `core/` gets its readings as arguments."""

    def now(self) -> Nanos: ...


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the outcome policy of a venue can prove, and how; the reference is `docs/outcomes/`."""

    repost_proves: bool
    kill_consumes: bool
    late_arrival: Nanos
    sells_after_settlement: bool
    reversible: bool
    nets: bool
    """YES and NO of one market cancel into cash by themselves (Kalshi)."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One order ready for the wire: signed once, sent as it is, sent again byte for byte as a re-post."""

    order: Order
    wire: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A read got no usable answer."""

    text: str
    rate_limited: bool = False
    unauthorised: bool = False


@dataclass(frozen=True, slots=True)
class FillPage:
    """Executions on our account after a cursor, oldest first; `cursor` is where to go on."""

    fills: tuple[FillSeen, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class VenuePosition:
    market: str
    yes: Quantity
    no: Quantity


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the last requests met, for key pools and breakers; counted since the adapter was made."""

    requests: int
    rate_limited: int
    unauthorised: int
    failed: int


class Trading(Protocol):
    """Order entry and reads on one account with one key."""

    name: str
    capabilities: Capabilities

    async def open(self) -> None:
        """Open the session, warm one connection up, check the signature against its oracle; raises `NotReady`."""

    async def close(self) -> None: ...

    def load(self, markets: Sequence[Market]) -> None:
        """Metadata that signing and codecs need (tokens, generation, ticks). Replaces older versions."""

    def identify(self, order: Order) -> str: ...

    def prepare(self, order: Order) -> Prepared: ...

    async def submit(self, prepared: Prepared, *, repost: bool = False) -> SubmitAnswer: ...

    async def cancel(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        """Cancel, then look at what the order had filled; the answer is the look-up's."""

    async def look_up(self, order: Order, venue_order: str | None) -> LookUpAnswer: ...

    async def fills_since(self, cursor: str, order: tuple[Order, str | None] | None = None) -> FillPage | Failed:
        """Executions after `cursor` ("" for the beginning), or those of one order with its venue id."""

    async def orders_since(self, since: Nanos) -> tuple[OrderSeen, ...] | Failed:
        """Orders on our account made after `since`, whoever made them."""

    async def positions(self) -> tuple[VenuePosition, ...] | Failed: ...

    async def cash(self) -> Money | Failed: ...

    async def book(self, market: str) -> Book | Failed: ...

    def traffic(self) -> Traffic: ...


class MarketData(Protocol):
    """Public data of one venue: metadata and books."""

    name: str

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def markets(self, ids: Sequence[str]) -> tuple[Market, ...] | Failed:
        """All of `ids`, or `Failed` naming those the venue does not know."""

    async def mode(self) -> VenueMode: ...

    async def stream(
        self,
        markets: Sequence[Market],
        on_book: Callable[[Book], None],
        on_market: Callable[[Market], None],
    ) -> None:
        """Follow these books until cancelled: reconnects by itself, marks what it cannot vouch for as not fresh."""


class AccountData(Protocol):
    """The private stream of one account."""

    name: str

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def stream(
        self, markets: Sequence[Market], on_event: Callable[[StreamEvent], None], on_connected: Callable[[], None]
    ) -> None:
        """Follow our own orders and executions until cancelled. `on_connected` is called after each (re)connection:
        events may have been missed, so the owner reads from its cursor.
        """


class NotReady(Exception):
    """The adapter cannot work as configured; the text names the setting and the remedy, and never a secret."""
