"""A simulated venue in the test's own loop, reached over real sockets through the factory."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

from messages.books import Book
from messages.markets import Market
from messages.orders import Order, Role
from messages.units import CONTRACT, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from venues import factory
from venues.port import AccountData, Failed, MarketData, Trading
from venues.simulated.venue import Settings, Venue

ROOT = Path(__file__).parents[2]
PAIRS = ROOT / "configs" / "pairs.sim.yaml"
Dialect = Literal["kalshi", "polymarket"]


class WallClock:
    def now(self) -> Nanos:
        return Nanos(time.time_ns())


@dataclass
class Key:
    name: str = "main"
    secret: str = ""


@dataclass
class Place:
    dialect: str
    rest: str
    ws_market: str
    ws_user: str
    request_timeout_ms: int = 400
    connect_timeout_ms: int = 500
    late_arrival_ms: int = 3_000
    signature_type: int = 0


def ids(dialect: Dialect) -> list[str]:
    pairs = yaml.safe_load(PAIRS.read_text())["pairs"]
    key = ("kalshi", "ticker") if dialect == "kalshi" else ("polymarket", "condition_id")
    return [pair[key[0]][key[1]] for pair in pairs]


@dataclass
class Bench:
    """One venue and our adapters of it."""

    dialect: Dialect
    venue: Venue
    trading: Trading
    data: MarketData
    account: AccountData
    markets: tuple[Market, ...]
    made: int = 0
    clock: WallClock = field(default_factory=WallClock)

    async def first_book(self, outcome: Outcome = Outcome.YES) -> Book:
        for market in self.markets:
            book = await self.trading.book(market.market)
            if isinstance(book, Book) and book.asks(outcome) and book.bids(outcome):
                return book
        raise AssertionError("no market has both sides")

    def order(
        self,
        market: str,
        outcome: Outcome,
        side: Side,
        price: int,
        contracts: int,
        *,
        rest_s: int = 0,
        spend: int | None = None,
    ) -> Order:
        self.made += 1
        now = self.clock.now()
        immediate = rest_s == 0
        if immediate and side is Side.BUY and self.dialect == "polymarket" and spend is None:
            spend = price * contracts * 100
        return Order(
            order=f"g.1.t{self.made}.0.{time.time_ns()}",
            trade=f"t{self.made}",
            leg=0,
            role=Role.OPEN,
            venue=self.dialect,
            market=market,
            outcome=outcome,
            side=side,
            price=Price(price),
            quantity=Quantity(contracts * CONTRACT),
            spend=None if spend is None else Money(spend),
            time_in_force=TimeInForce.IOC if immediate else TimeInForce.GTD,
            expires_at=Nanos(0) if immediate else Nanos(now + rest_s * SECOND),
            made_at=now,
            not_after=Nanos(now + 2 * SECOND),
        )


@asynccontextmanager
async def bench(
    dialect: Dialect, tmp_path: Path, *, faults: str = "none", quiet: bool = False, hold_s: float = 0.6
) -> AsyncIterator[Bench]:
    if faults.startswith("version"):
        script = tmp_path / "faults.yaml"
        script.write_text(faults)
        faults = str(script)
    venue = Venue(
        Settings(dialect=dialect, name=dialect, seed=7, pairs=PAIRS, faults=faults, quiet=quiet, hold_s=hold_s)
    )
    await venue.start()
    ready = venue.ready(0)
    secret = tmp_path / f"{dialect}.json"
    secret.write_text(json.dumps(ready["credentials"]))
    secret.chmod(0o600)
    place = Place(dialect, str(ready["rest"]), str(ready["ws_market"]), str(ready["ws_user"]))
    key, clock = Key(secret=f"file:{secret}"), WallClock()
    trading = factory.trading(dialect, place, key, clock)
    data = factory.market_data(dialect, place, key, clock)
    account = factory.account_data(dialect, place, key, clock)
    try:
        for adapter in (trading, data, account):
            await adapter.open()
        markets = await data.markets(ids(dialect))
        assert not isinstance(markets, Failed), markets
        trading.load(markets)
        yield Bench(dialect, venue, trading, data, account, markets)
    finally:
        for adapter in (trading, data, account):
            await adapter.close()
        await venue.stop()
