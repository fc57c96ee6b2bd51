"""The door of the Kalshi dialect: who may come in, how often, and the pairs behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from venues.simulated.buckets import Buckets
from venues.simulated.desk import Desk
from venues.simulated.exchange import Exchange
from venues.simulated.kalshi_auth import Signer, authenticate
from venues.simulated.kalshi_words import KalshiRefusals
from venues.simulated.universe import Pair


class KalshiDoor:
    def __init__(
        self, desk: Desk, pairs: tuple[Pair, ...], signers: Mapping[str, Signer], *, read_lag_ns: int, buckets: Buckets
    ) -> None:
        self.desk, self.pairs, self.read_lag_ns, self.buckets = desk, pairs, read_lag_ns, buckets
        self.by_ticker = {p.kalshi.ticker: p for p in pairs}
        self.refusals = KalshiRefusals()
        self._signers = signers

    @property
    def exchange(self) -> Exchange:
        return self.desk.exchange

    def account_of(self, request: web.Request) -> str | web.Response:
        return authenticate(request.headers, request.method, request.raw_path, self._signers, self.desk.now())

    def affords(self, account: str, scope: str, cost: int) -> bool:
        return self.buckets.take(account, scope, cost, self.desk.now())

    def public(self, answer: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            self.desk.flush()
            return answer(request)

        return respond

    def signed(self, answer: Callable[[web.Request, str], web.Response]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            account = self.account_of(request)
            if isinstance(account, web.Response):
                return account
            if not self.affords(account, "read", 10):
                return self.refusals.rate_limited()
            self.desk.flush()
            return answer(request, account)

        return respond
