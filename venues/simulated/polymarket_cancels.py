"""Cancels in the Polymarket dialect: they always answer 200, with what was cancelled and why the rest was not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from venues.simulated.book import Order
from venues.simulated.buckets import INDEBTED_TIERS
from venues.simulated.credentials import PolymarketKey
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_door import PolymarketDoor

MOST = 1_000
DELAYED = "cannot cancel because the order is in pending/delayed status"
UNKNOWN = "Order not found or already canceled"
MATCHED = "Order already matched"
OVER = "already canceled or matched"


class PolymarketCancels:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        return [
            web.delete("/order", self._one),
            web.delete("/orders", self._many),
            web.delete("/cancel-all", self._all),
            web.delete("/cancel-market-orders", self._market),
        ]

    async def _one(self, request: web.Request) -> web.StreamResponse:
        def ids(loaded: Any, _: PolymarketKey) -> list[str] | None:
            found = loaded.get("orderID") if isinstance(loaded, dict) else None
            return [found] if isinstance(found, str) else None

        return await self._cancel(request, ids)

    async def _many(self, request: web.Request) -> web.StreamResponse:
        def ids(loaded: Any, _: PolymarketKey) -> list[str] | None:
            good = isinstance(loaded, list) and len(loaded) <= MOST and all(isinstance(i, str) for i in loaded)
            return list(dict.fromkeys(loaded)) if good else None

        return await self._cancel(request, ids)

    async def _all(self, request: web.Request) -> web.StreamResponse:
        return await self._cancel(request, lambda _, key: [o.wire_id for o in self._open(key)], sweeping=True)

    async def _market(self, request: web.Request) -> web.StreamResponse:
        def ids(loaded: Any, key: PolymarketKey) -> list[str] | None:
            market, asset = (
                (loaded.get(k) for k in ("market", "asset_id")) if isinstance(loaded, dict) else (None, None)
            )
            if not market and not asset:
                return None
            return [
                o.wire_id for o in self._open(key)
                if (not market or o.market == str(market).lower())
                and (not asset or self.door.by_condition[o.market].polymarket.token(o.outcome) == asset)
            ]  # fmt: skip

        return await self._cancel(request, ids, sweeping=True)

    def _open(self, key: PolymarketKey) -> Iterable[Order]:
        mine = self.door.wallets.accounts(key.address)
        return [o for o in self.door.exchange.orders.values() if o.account in mine and o.status == "live"]

    async def _cancel(
        self, request: web.Request, ids: Callable[[Any, PolymarketKey], list[str] | None], sweeping: bool = False
    ) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        key, body = signed
        try:
            wanted = ids(json.loads(body) if body else None, key)
        except ValueError:
            wanted = None
        entry = self.door.desk.record(request, body, key.account, ",".join(wanted or []))
        if wanted is None:
            entry.status = 400
            return error(400, "Invalid orderID")
        if self.door.throttled(key, "cancel", 1 if sweeping else len(wanted)):
            entry.status = 429
            return self.door.refusals.rate_limited()
        asked = wanted

        def process() -> web.Response:
            refusal = self.door.mode.refusal("cancel")
            if refusal is not None:
                return refusal
            told = self._done(key, asked)
            if sweeping:
                self._charge(key, len(told["canceled"]))
            return web.json_response(told, headers=self.door.headers(key, "cancel"))

        return await self.door.desk.guard(request, "cancel", process, self.door.refusals, entry)

    def _done(self, key: PolymarketKey, asked: Iterable[str]) -> dict[str, Any]:
        exchange, now_ns = self.door.exchange, self.door.desk.now()
        exchange.advance(now_ns)
        mine = self.door.wallets.accounts(key.address)
        canceled: list[str] = []
        kept: dict[str, str] = {}
        for order_id in asked:
            order = exchange.orders.get(order_id)
            if order is None or order.account not in mine:
                kept[order_id] = UNKNOWN
            elif order.status == "delayed":
                kept[order_id] = DELAYED
            elif exchange.cancel(order_id, now_ns) is not None:
                canceled.append(order_id)
            else:
                kept[order_id] = MATCHED if order.status == "matched" else OVER
        return {"canceled": canceled, "not_canceled": kept}

    def _charge(self, key: PolymarketKey, count: int) -> None:
        """A sweep costs one and what it cancelled; only the higher tiers' buckets stop at nothing."""
        now_ns, buckets = self.door.desk.now(), self.door.buckets
        if buckets.tier in INDEBTED_TIERS:
            buckets.charge(key.address, "cancel", count, now_ns)
        else:
            buckets.charge(key.address, "cancel", min(count, max(0, buckets.left(key.address, "cancel"))), now_ns)
