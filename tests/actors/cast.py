"""Those who play with an executor: a venue behind the port that answers what a test says, its markets and its books."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from actors.clock import HandClock
from actors.executor import Executor
from actors.shell import Place
from configs.settings import Settings
from journal import read_journal
from messages.base import Message, parse
from messages.books import Book
from messages.control import VenueSeen
from messages.leases import CapitalGranted, ClaimsGranted, KeysGranted, MarketsSeen
from messages.markets import Market, VenueMode
from messages.orders import (
    Absent,
    Ended,
    EndKind,
    Fill,
    FillSeen,
    LookUpFailed,
    Order,
    OrderSeen,
    Role,
    Settlement,
)
from messages.units import CONTRACT, DOLLAR, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from tests.actors.stage import Outbox, settings
from tests.core.markets import book, lots, market
from tests.core.story import START
from venues.port import (
    Capabilities,
    Failed,
    FillPage,
    LookUpAnswer,
    NotReady,
    Prepared,
    SubmitAnswer,
    Traffic,
    VenuePosition,
)

M = TypeVar("M", bound=Message)

RAIN = ("kalshi", "RAIN")
WET = ("polymarket", f"0x{1:064x}")
REGISTRY = f"""
version: 1
pairs:
  - id: rain
    group: g
    title: Rain
    approved_by: me
    approved_at: "2026-11-20"
    rules: same
    kalshi: {{ticker: RAIN, event: E, series: S}}
    polymarket: {{condition_id: "{WET[1]}", yes_token: "1", no_token: "2"}}
"""


def order(name: str = "t.0.0", venue: str = "kalshi", **changes: Any) -> Order:
    usual = Order(
        order=name,
        trade="t",
        leg=0,
        role=Role.OPEN,
        venue=venue,
        market=RAIN[1] if venue == "kalshi" else WET[1],
        outcome=Outcome.YES,
        side=Side.BUY,
        price=Price(4_000),
        quantity=Quantity(10 * CONTRACT),
        time_in_force=TimeInForce.IOC,
        made_at=START,
        not_after=Nanos(START + SECOND),
    )
    return usual.model_copy(update=changes)


def fill(name: str = "f1", **changes: Any) -> Fill:
    usual = Fill(
        fill=name,
        quantity=Quantity(10 * CONTRACT),
        price=Price(4_000),
        fee=Money(0),
        settlement=Settlement.CONFIRMED,
    )
    return usual.model_copy(update=changes)


def seen(execution: Fill, venue: str = "kalshi", **changes: Any) -> FillSeen:
    usual = FillSeen(venue=venue, wire=None, venue_order=None, market="", fill=execution, at=START)
    return usual.model_copy(update=changes)


@dataclass
class FakeVenue:
    """One key's adapter. What it is asked is written down; what it answers can be replaced, and may be an exception."""

    name: str
    clock: HandClock = field(default_factory=lambda: HandClock(START))
    signs_as: str = ""
    sent: list[tuple[Order, bool]] = field(default_factory=list)
    """Orders, and whether each was a re-post."""
    asked: list[str] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)
    unsignable: set[str] = field(default_factory=set)
    feed: list[FillSeen] = field(default_factory=list)
    of_orders: dict[str, list[FillSeen]] = field(default_factory=dict)
    books: dict[str, Book] = field(default_factory=dict)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, no submit is answered."""
    on_submit: Callable[[Order], SubmitAnswer | BaseException] | None = None
    on_look_up: Callable[[Order], LookUpAnswer | BaseException] | None = None
    on_fills: Failed | BaseException | None = None
    closed: bool = False
    capabilities: Capabilities = field(
        default_factory=lambda: Capabilities(
            repost_proves=True,
            kill_consumes=True,
            late_arrival=Nanos(5 * SECOND),
            sells_after_settlement=False,
            reversible=False,
            nets=False,
        )
    )

    def __post_init__(self) -> None:
        self.answering.set()

    async def open(self) -> None: ...

    async def close(self) -> None:
        self.closed = True

    def load(self, markets: Sequence[Market]) -> None:
        self.loaded.update(known.market for known in markets)

    def identify(self, order: Order) -> str:
        if order.market in self.unsignable:
            raise NotReady(f"{order.market} settles on an unknown contract")
        return f"{self.signs_as}w-{order.order}"

    def prepare(self, order: Order) -> Prepared:
        return Prepared(order=order, wire=self.identify(order), body=b"")

    async def submit(self, prepared: Prepared, *, repost: bool = False) -> SubmitAnswer:
        self.sent.append((prepared.order, repost))
        await self.answering.wait()
        answer = (self.on_submit or self.filled)(prepared.order)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def filled(self, order: Order) -> SubmitAnswer:
        return Ended(
            order=order.order,
            at=self.clock.now(),
            venue_order=f"v-{order.order}",
            matched=order.quantity,
            how=EndKind.FILLED,
        )

    async def cancel(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        self.asked.append(f"cancel {order.order}")
        return LookUpFailed(order=order.order, at=self.clock.now(), text="")

    async def look_up(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        self.asked.append(f"look up {order.order}")
        await asyncio.sleep(0)
        if self.on_look_up is None:
            return Absent(order=order.order, at=self.clock.now(), as_of=self.clock.now())
        answer = self.on_look_up(order)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def fills_since(self, cursor: str, order: tuple[Order, str | None] | None = None) -> FillPage | Failed:
        self.asked.append(f"fills of {order[0].order}" if order else f"fills since {cursor or 'the beginning'}")
        await asyncio.sleep(0)
        if isinstance(self.on_fills, BaseException):
            raise self.on_fills
        if self.on_fills is not None:
            return self.on_fills
        if order is not None:
            return FillPage(tuple(self.of_orders.get(order[0].order, ())), cursor)
        start = int(cursor or 0)
        return FillPage(tuple(self.feed[start:]), str(len(self.feed)) if self.feed else cursor)

    async def orders_since(self, since: Nanos) -> tuple[OrderSeen, ...] | Failed:
        return ()

    async def positions(self) -> tuple[VenuePosition, ...] | Failed:
        return ()

    async def cash(self) -> Money | Failed:
        return Money(0)

    async def book(self, market: str) -> Book | Failed:
        self.asked.append(f"book of {market}")
        await asyncio.sleep(0)
        return self.books.get(market, Failed("it did not answer"))

    def traffic(self) -> Traffic:
        return Traffic(0, 0, 0, 0)


# An executor between two such venues


def chosen(directory: Path, **changes: Any) -> Settings:
    registry = directory / "pairs.yaml"
    registry.write_text(REGISTRY)
    return settings(pairs=registry, **changes)


@dataclass
class House:
    """One run directory with its venues and its clock; executors live in it one after the other."""

    directory: Path
    name: str = "executor"
    clock: HandClock = field(default_factory=lambda: HandClock(START))
    outbox: Outbox = field(default_factory=lambda: Outbox("position_book", "in_flight", "cooldowns", "key_pool.kalshi",
                                                          "key_pool.polymarket", "recorder"))  # fmt: skip
    changes: dict[str, Any] = field(default_factory=lambda: {"engine": {"loop_lag_most_ms": 10_000}})
    """To the settings. A busy machine is late now and then, and no test but one is about that."""

    def __post_init__(self) -> None:
        self.kalshi = FakeVenue("kalshi", self.clock)
        self.polymarket = FakeVenue("polymarket", self.clock)

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Executor]:
        """One incarnation, from its start to an orderly stop."""
        here = Place(self.name, 1, self.directory, chosen(self.directory, **self.changes).model_dump_json())
        adapters = {name: {f"{name}-{n}": venue for n in (1, 2)} for name, venue in
                    (("kalshi", self.kalshi), ("polymarket", self.polymarket))}  # fmt: skip
        executor = Executor(here)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("actors.executor.adapters_of", lambda _settings, _clock: adapters)
            await executor.start(self.outbox, self.clock)
        try:
            yield executor
        finally:
            await executor.stop()

    async def supply(self, executor: Executor, *, metadata: bool = True, orders: int = 20, claims: bool = True) -> None:
        """Everything that an executor waits for before it may trade, but books."""
        now = self.clock.now()
        grants: list[Message] = []
        if claims:
            grants.append(ClaimsGranted(owner_epoch=1, holder=self.name, groups=("g",)))
        for venue in ("kalshi", "polymarket"):
            grants.append(CapitalGranted(owner_epoch=1, holder=self.name, venue=venue, total=Money(100 * DOLLAR)))
            grants.append(VenueSeen(venue=venue, mode=VenueMode.OPEN, reachable=True, at=now))
            grants.append(leased(venue, orders, holder_epoch=executor.epoch))
        if metadata:
            grants += [MarketsSeen(venue=key[0], markets=(market(key, seen_at=now),), at=now) for key in (RAIN, WET)]
        for grant in grants:
            await executor.hear("owner", grant)
        await settle()

    def cross(self, executor: Executor, *, yes: int = 40, no: int = 45) -> None:
        """Books that cross: YES at Kalshi and NO at Polymarket, in cents."""
        now = self.clock.now()
        executor._books([book(RAIN, yes_asks=lots((yes, 10)), seen_at=now, sequence=now)])
        executor._books([book(WET, no_asks=lots((no, 10)), seen_at=now, sequence=now)])

    def journal(self) -> list[Message]:
        return [parse(entry.kind, entry.body) for entry in read_journal(self.directory / "journal", self.name)]

    def remembered(self, kind: type[M]) -> list[M]:
        return [message for message in self.journal() if isinstance(message, kind)]


def leased(venue: str, orders: int = 20, lease: int = 1, key: str = "", holder_epoch: int = 1) -> KeysGranted:
    return KeysGranted(
        owner_epoch=1,
        holder="executor",
        holder_epoch=holder_epoch,
        venue=venue,
        lease=lease,
        key=key or f"{venue}-1",
        opening=orders,
        closing=orders,
        opening_for=Nanos(2 * SECOND),
        closing_for=Nanos(30 * SECOND),
    )


async def settle(turns: int = 30) -> None:
    """Let everything run that needs no time."""
    for _ in range(turns):
        await asyncio.sleep(0)
