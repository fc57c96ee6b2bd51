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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

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
from messages.reasons import Refusal, Trouble
from messages.units import Money, Nanos, Price, Quantity

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


class Lifetime(StrEnum):
    """How long an order may live at its venue."""

    IOC = "ioc"
    """What does not fill at once is gone (Polymarket: FAK)."""
    FOK = "fok"
    """All at once or nothing."""
    GTC = "gtc"
    """Rests until it is cancelled."""
    GTD = "gtd"
    """Rests until its expiry."""


class SelfTrade(StrEnum):
    """What gives way where an order would meet another one of ours."""

    TAKER = "taker"
    """The arriving order stops; what it filled before stands."""
    MAKER = "maker"
    """The resting order is cancelled and the arriving one goes on."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be asked of an order beyond `Order`. A re-post has the same terms, since they are part of the body.

    What a venue does not have is refused by `prepare_with` before anything is sent.
    """

    lifetime: Lifetime | None = None
    """None: as the order's `time_in_force` says."""
    post_only: bool = False
    reduce_only: bool = False
    self_trade: SelfTrade = SelfTrade.TAKER
    cancel_on_pause: bool | None = None
    """None: a resting order is cancelled, an immediate one has nothing to cancel."""
    group: str = ""
    """The order group that fences it (Kalshi)."""
    shard: int | None = None
    """None: the venue finds the market's shard by itself."""


PLAIN = Terms()


@dataclass(frozen=True, slots=True)
class Prepared:
    """One order ready for the wire: signed once, sent as it is, sent again byte for byte as a re-post."""

    order: Order
    wire: str
    body: bytes
    terms: Terms = PLAIN


@dataclass(frozen=True, slots=True)
class Failed:
    """A read got no usable answer."""

    text: str
    rate_limited: bool = False
    unauthorised: bool = False
    retry_after: Nanos = Nanos(0)
    """How long the venue asked us to wait; 0 where it did not say."""


@dataclass(frozen=True, slots=True)
class Done:
    """The venue confirmed the act."""

    at: Nanos
    text: str = ""
    """What the act made, where it made something: the id of an order group."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The venue proved that it did not do it."""

    reason: Refusal
    text: str
    retry_after: Nanos = Nanos(0)


@dataclass(frozen=True, slots=True)
class Unsure:
    """It may have happened or not. An act is never repeated by the adapter: a read says what is."""

    trouble: Trouble
    text: str


ActAnswer = Done | Denied | Unsure
ChangeAnswer = Rested | Ended | Denied | Unsure
"""After a change of a resting order: what the venue then told of it, or that it proved no change, or nothing certain."""


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
class Allowance:
    """One budget in the venue's own tokens. What an answer did not state is None."""

    scope: str
    """`read`, `write`, or the venue's name of the budget."""
    most: int | None
    """What the bucket holds when it is full."""
    per_second: int | None = None
    """How fast it fills."""
    left: int | None = None
    full_after: Nanos | None = None
    """How long until it is full again, from the answer on."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the last requests met, for key pools and breakers; counted since the adapter was made."""

    requests: int
    rate_limited: int
    unauthorised: int
    failed: int
    retry_after: Nanos = Nanos(0)
    """How long the last answer that refused for the rate asked us to wait; 0 where it did not say."""
    allowances: tuple[Allowance, ...] = ()
    """Budgets as the last answers stated them, where this venue's answers do."""


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


# What only some venues can do. An adapter that has one of these satisfies `Trading` and the protocol beside it; whoever
# needs it asks with `isinstance` (they are runtime-checkable), and there is nothing that pretends.


@runtime_checkable
class Shaping(Protocol):
    """Orders with terms of their own."""

    def prepare_with(self, order: Order, terms: Terms) -> Prepared | Denied:
        """`Denied` names the term that this venue does not have, or that contradicts another."""


@runtime_checkable
class Batching(Protocol):
    """Several orders in one request, each judged by itself. `submit` of one and a batch of it conclude the same."""

    batch_most: int

    async def submit_batch(self, prepared: Sequence[Prepared]) -> tuple[SubmitAnswer, ...]:
        """One answer per order, in their sequence; what the venue did not answer for is `Lost`."""

    async def cancel_batch(self, orders: Sequence[tuple[Order, str]]) -> tuple[LookUpAnswer, ...]:
        """Orders with their venue ids: cancelled together, then each looked up."""


@runtime_checkable
class Amending(Protocol):
    """Changes of a resting order in its place."""

    async def amend(self, order: Order, venue_order: str, *, price: Price, quantity: Quantity) -> ChangeAnswer:
        """`price` on the order's own outcome's scale; `quantity` is all that it may fill ever, what it filled included."""

    async def decrease(self, order: Order, venue_order: str, *, left: Quantity) -> ChangeAnswer:
        """To `left` still resting; keeps the place in the queue."""


@runtime_checkable
class Replacing(Protocol):
    """Cancel, prove that nothing is left, then place: for venues that cannot amend."""

    async def replace(self, order: Order, venue_order: str, by: Prepared) -> tuple[LookUpAnswer, SubmitAnswer | None]:
        """What became of `order`, and of `by`: None where it was not sent, as `order` was not proved to be over."""


@dataclass(frozen=True, slots=True)
class OrderGroup:
    group: str
    most: Quantity | None
    """What it may match within the venue's window; None where it is not told."""
    active: bool | None
    """False once it is triggered, until it is reset; None where it is not told."""
    orders: tuple[str, ...] = ()
    """Venue ids, where one group was asked for."""
    shard: int | None = None


@runtime_checkable
class Grouping(Protocol):
    """Order groups. A triggered group is a fence: no order that names it is accepted until it is reset."""

    async def make_group(self, most: Quantity, shard: int = 0) -> ActAnswer:
        """`Done.text` is its id."""

    async def groups(self) -> tuple[OrderGroup, ...] | Failed: ...

    async def group(self, group: str) -> OrderGroup | Failed | None:
        """None where the venue has no such group."""

    async def trigger_group(self, group: str, shard: int = 0) -> ActAnswer: ...

    async def reset_group(self, group: str, shard: int = 0) -> ActAnswer: ...

    async def limit_group(self, group: str, most: Quantity, shard: int = 0) -> ActAnswer: ...

    async def drop_group(self, group: str, shard: int = 0) -> ActAnswer: ...


@runtime_checkable
class Sweeping(Protocol):
    """Cancelling everything at once."""

    sweep_tail: Nanos
    """For how long after the request the venue may also cancel what is placed anew."""

    async def cancel_all(self, market: str | None = None) -> ActAnswer:
        """All of the account, or of one market where the venue can; `Denied` where it cannot."""

    def swept_until(self) -> Nanos:
        """Until when a new order may fall to the last sweep; 0 before any."""


@runtime_checkable
class Beating(Protocol):
    """A dead-man switch: once it beats, the venue cancels this key's orders when it stops. One owner per key."""

    beat_every: Nanos

    async def beat(self) -> ActAnswer: ...


@dataclass(frozen=True, slots=True)
class ShardCash:
    shard: int
    cash: Money


@runtime_checkable
class Sharding(Protocol):
    """Cash that lies where it is used: an order can only spend what lies on its market's shard."""

    async def shard_cash(self) -> tuple[ShardCash, ...] | Failed: ...

    async def move_cash(self, amount: Money, source: int, target: int, name: str) -> ActAnswer:
        """Between two shards. `name` is its identity: the same one again moves nothing a second time. It is done later."""


@runtime_checkable
class Budgeted(Protocol):
    async def limits(self) -> tuple[Allowance, ...] | Failed:
        """The request budgets of our tier, asked of the venue; from then on in `Traffic.allowances` as well."""

    async def costs(self) -> Mapping[str, int] | Failed:
        """Tokens by `METHOD path`; "" is any other."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A market of ours that was paid out."""

    market: str
    result: str
    """The venue's word: yes, no, or how else it ended."""
    yes: Quantity
    no: Quantity
    revenue: Money
    fee: Money
    at: Nanos


@runtime_checkable
class Settling(Protocol):
    async def settled_since(self, since: Nanos) -> tuple[Settled, ...] | Failed: ...


@dataclass(frozen=True, slots=True)
class Description:
    """What a venue tells of a market beyond the rules of trading it."""

    market: str
    event: str
    series: str
    category: str
    status: str
    """The venue's own word."""
    rules: str
    """Its words on how it resolves; a change of them is a change of the market."""
    closes_at: Nanos | None
    may_close_early: bool | None
    settles_after: Nanos | None
    """From the result until it is paid."""
    result: str
    """"" while there is none."""
    exclusive: bool | None
    """At most one market of the event can be YES."""
    shard: int | None = None
    tick_structure: str = ""
    """The venue's name of its price grid; the grid itself is `Market.ticks`."""


@runtime_checkable
class Describing(Protocol):
    async def describe(self, ids: Sequence[str]) -> tuple[Description, ...] | Failed:
        """All of `ids`, or `Failed` naming those the venue does not know."""


@dataclass(frozen=True, slots=True)
class VenueState:
    """What a venue says of itself."""

    mode: VenueMode
    resumes_at: Nanos | None = None
    """Its own estimate, while it does not trade."""
    shards: tuple[tuple[int, VenueMode], ...] = ()
    closes_at: Nanos | None = None
    """The next planned stop of trading; None where nothing is planned or known."""


@runtime_checkable
class Timetabled(Protocol):
    async def state(self) -> VenueState | Failed: ...


@runtime_checkable
class ModeTelling(Protocol):
    """A venue that tells its mode only where orders are placed and cancelled (Polymarket), so only `Trading` hears it."""

    def mode_told(self) -> VenueMode:
        """What the last answers at order entry said; `OPEN` where nothing speaks against it."""


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
