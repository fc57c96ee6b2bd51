"""The Kalshi venue put together from its parts, on one desk."""

from __future__ import annotations

from aiohttp import web

from venues.simulated.buckets import KALSHI_TIERS, Buckets
from venues.simulated.credentials import KalshiKey
from venues.simulated.desk import Desk
from venues.simulated.kalshi import KalshiOrders
from venues.simulated.kalshi_accounts import account_id
from venues.simulated.kalshi_auth import Signer
from venues.simulated.kalshi_cash import KalshiCash
from venues.simulated.kalshi_changes import KalshiChanges
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_exchange import KalshiExchange
from venues.simulated.kalshi_groups import KalshiGroups
from venues.simulated.kalshi_holdings import KalshiHoldings
from venues.simulated.kalshi_keys import KalshiKeys
from venues.simulated.kalshi_lifecycle import KalshiLifecycle
from venues.simulated.kalshi_markets import KalshiMarkets
from venues.simulated.kalshi_portfolio import KalshiPortfolio
from venues.simulated.kalshi_rules import KalshiRules
from venues.simulated.kalshi_stream import KalshiStreams
from venues.simulated.kalshi_upheavals import KalshiUpheavals
from venues.simulated.universe import Pair


class KalshiVenue:
    """Doors, streams and clockwork. `deposit` lies on the primary sub-account of every shard that a market trades on."""

    def __init__(
        self, desk: Desk, pairs: tuple[Pair, ...], keys: list[KalshiKey], *, tier: str, read_lag_ns: int, deposit: int
    ) -> None:
        signers = {key.key_id: Signer(key.private.public_key(), key.account) for key in keys}
        for shard in sorted({pair.kalshi.exchange_index for pair in pairs} - {0}):
            for user in sorted({key.account for key in keys}):
                desk.exchange.open_account(account_id(user, 0, shard), deposit)
        self.door = KalshiDoor(desk, pairs, signers, read_lag_ns=read_lag_ns, buckets=Buckets(tier, KALSHI_TIERS[tier]))
        self.streams = KalshiStreams(desk, self.door)
        self.lifecycle = KalshiLifecycle(self.door, self.streams)
        self.lifecycle.start()
        self.rules = KalshiRules(self.door, self.streams)
        self.door.watch_cash()
        self._parts = (
            KalshiExchange(self.door),
            KalshiMarkets(self.door),
            KalshiPortfolio(self.door),
            KalshiHoldings(self.door),
            KalshiOrders(self.door),
            KalshiChanges(self.door),
            KalshiGroups(self.door, self.streams),
            KalshiCash(self.door),
            KalshiKeys(self.door),
            KalshiUpheavals(self.lifecycle, self.rules),
            self.streams,
        )

    def routes(self) -> list[web.RouteDef]:
        return [route for part in self._parts for route in part.routes()]
