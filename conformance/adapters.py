"""Our adapters on a simulated venue: with its key, with a wrong one, and with the same key for other wallets."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from conformance.exchanges import Exchange
from conformance.ours import Broken, Ours
from messages.units import Nanos
from venues import factory
from venues.port import Failed, Trading
from venues.simulated.ethereum import wallet_of

WALLETS = (1, 2, 3)
"""Proxy, Safe, deposit wallet."""


class WallClock:
    def now(self) -> Nanos:
        return Nanos(time.time_ns())


@dataclass(frozen=True)
class Key:
    name: str
    secret: str


@dataclass(frozen=True)
class Place:
    """Where the venue is, as a configuration would say it."""

    dialect: str
    rest: str
    ws_market: str
    ws_user: str
    request_timeout_ms: int = 3_000
    connect_timeout_ms: int = 1_000
    late_arrival_ms: int = 3_000
    signature_type: int = 0


@asynccontextmanager
async def _opened(place: Place, key: Key, clock: WallClock) -> AsyncIterator[Trading]:
    trading = factory.trading(place.dialect, place, key, clock)
    await trading.open()
    try:
        yield trading
    finally:
        await trading.close()


@asynccontextmanager
async def ours(exchange: Exchange, folder: Path) -> AsyncIterator[Ours]:
    """Adapters with the venue's first key, and one with a key that is not the venue's."""
    venue = exchange.dialect
    credentials: dict[str, Any] = exchange.told["credentials"]
    other = credentials["keys"][1]
    wrong = dict(credentials)
    if venue == "kalshi":
        wrong["private_key_pem"] = other["private_key_pem"]
    else:
        wrong["secret"] = other["secret"]
    place = Place(venue, exchange.rest, exchange.told["ws_market"], exchange.told["ws_user"])
    clock = WallClock()

    def key(name: str, told: dict[str, Any]) -> Key:
        path = folder / f"{venue}-{name}.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(told))
        return Key(name, f"file:{path}")

    good, bad = key("main", credentials), key("wrong", wrong)

    def good_for(kind: int) -> Key:
        wallet = {"signature_type": kind, "funder": wallet_of(str(credentials["address"]), kind)}
        return key(f"wallet-{kind}", credentials | wallet)

    made = Ours(
        venue,
        factory.trading(venue, place, good, clock),
        factory.trading(venue, place, bad, clock),
        factory.trading(venue, place, key("beating", credentials["keys"][-1]), clock),
        factory.market_data(venue, place, good, clock),
        factory.account_data(venue, place, good, clock),
        {kind: partial(_opened, place, good_for(kind), clock) for kind in WALLETS} if venue == "polymarket" else {},
    )
    adapters = (made.trading, made.stranger, made.beating, made.data, made.account)
    try:
        for adapter in adapters:
            await adapter.open()
        told = await made.data.markets(exchange.markets())
        if isinstance(told, Failed):
            raise Broken(told.text)
        made.trading.load(told)
        made.markets = told
        yield made
    finally:
        await made.hush()
        for adapter in adapters:
            await adapter.close()
