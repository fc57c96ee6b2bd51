"""The Polymarket dialect put together."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Middleware

from venues.simulated.buckets import POLYMARKET_TIERS, Buckets
from venues.simulated.credentials import PolymarketKey
from venues.simulated.desk import Desk
from venues.simulated.polymarket import PolymarketOrders
from venues.simulated.polymarket_account import PolymarketAccount
from venues.simulated.polymarket_cancels import PolymarketCancels
from venues.simulated.polymarket_data import PolymarketData
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.polymarket_edge import Edge
from venues.simulated.polymarket_keys import PolymarketKeys
from venues.simulated.polymarket_markets import PolymarketMarkets
from venues.simulated.polymarket_operator import PolymarketOperator
from venues.simulated.polymarket_prices import PolymarketPrices
from venues.simulated.polymarket_stream import PolymarketStreams
from venues.simulated.polymarket_upheavals import PolymarketUpheavals
from venues.simulated.universe import Pair


class PolymarketVenue:
    def __init__(
        self, desk: Desk, pairs: tuple[Pair, ...], keys: Sequence[PolymarketKey], *, seed: int, tier: str, deposit: int
    ) -> None:
        buckets = Buckets(tier, POLYMARKET_TIERS[tier])
        by_key = {key.api_key: key for key in keys}
        self.door = door = PolymarketDoor(desk, pairs, by_key, seed=seed, buckets=buckets, deposit=deposit)
        self.edge = Edge(door.now)
        self.keys = PolymarketKeys(door)
        upheavals = PolymarketUpheavals(door, f"{seed}/{desk.name}")
        desk.still = lambda: door.mode.phase in ("restarting", "disabled")
        self._parts = (
            PolymarketOrders(door), PolymarketCancels(door), PolymarketPrices(door), PolymarketMarkets(door),
            PolymarketAccount(door), self.keys, PolymarketData(door), PolymarketOperator(door, upheavals),
            PolymarketStreams(desk, door),
        )  # fmt: skip

    def routes(self) -> list[web.RouteDef]:
        return [route for part in self._parts for route in part.routes()]

    def middlewares(self) -> tuple[Middleware, ...]:
        return (self.edge.middleware(),)
