"""Polymarket's private reads: orders, trades, balances and allowances, for all wallets of one key."""

from __future__ import annotations

import base64
from typing import Any

from aiohttp import web

from venues.simulated.ethereum import CTF_V2, EXCHANGE_V3, NEG_RISK_V2
from venues.simulated.happenings import Fill
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.universe import is_v2_position

FIRST, LAST = "MA==", "LTE="
PAGE = 100
UNLIMITED = str(2**256 - 1)


class PolymarketAccount:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/data/order/{id}", self._order),
            web.get("/data/orders", self._orders),
            web.get("/data/pre-migration-orders", self._no_orders),
            web.get("/data/trades", self._trades),
            web.get("/balance-allowance", self._balance),
            web.get("/balance-allowance/update", self._balance),
            web.get("/order-scoring", self._scoring),
            web.post("/orders-scoring", self._scoring),
        ]

    async def _order(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        self.door.desk.flush()

        def process() -> web.Response:
            order = self.door.exchange.orders.get(request.match_info["id"])
            if order is None or order.account not in self.door.wallets.accounts(signed[0].address):
                return error(404, "Order not found")
            return web.json_response(self.door.order_told(order))

        return await self.door.desk.guard(request, "lookup", process, self.door.refusals)

    async def _orders(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        self.door.desk.flush()
        query, mine = request.query, self.door.wallets.accounts(signed[0].address)
        rows = [
            self.door.order_told(o)
            for o in self.door.exchange.orders.values()
            if o.account in mine and o.status in ("live", "delayed")
            and query.get("id", o.wire_id) == o.wire_id
            and query.get("market", o.market) == o.market
            and query.get("asset_id") in (None, self.door.by_condition[o.market].polymarket.token(o.outcome))
        ]  # fmt: skip
        return page_of(rows, query.get("next_cursor", FIRST))

    async def _no_orders(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        return signed if isinstance(signed, web.Response) else page_of([], FIRST)

    async def _trades(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        self.door.desk.flush()
        mine = self.door.wallets.accounts(signed[0].address)

        def process() -> web.Response:
            # without a prefix: the official client looks for the bare FAILED
            rows = [
                self.door.trade_told(fill.match, fill, "")
                for fill in reversed(self.door.exchange.fills)
                if fill.order.account in mine and self._asked(request, fill)
            ]
            return page_of(rows, request.query.get("next_cursor", FIRST))

        return await self.door.desk.guard(request, "fills", process, self.door.refusals)

    def _asked(self, request: web.Request, fill: Fill) -> bool:
        query, at_s = request.query, fill.at_ns // 1_000_000_000
        told = {
            "id": fill.fill_id, "market": fill.order.market, "maker_address": self.door.owner_of(fill.order.account)[1],
            "asset_id": self.door.by_condition[fill.order.market].polymarket.token(fill.outcome),
        }  # fmt: skip
        if any(query.get(name, value).lower() != value.lower() for name, value in told.items()):
            return False
        after, before = query.get("after", ""), query.get("before", "")
        return not ((after.isdigit() and at_s < int(after)) or (before.isdigit() and at_s > int(before)))

    async def _balance(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        self.door.desk.flush()
        kind, token = request.query.get("asset_type", "COLLATERAL"), request.query.get("token_id", "")
        wallet = request.query.get("signature_type", "0")
        holder = self.door.wallets.of(signed[0].address, int(wallet) if wallet.isdigit() else -1)
        if holder is None:
            return error(400, "Invalid signature type")
        account = self.door.exchange.accounts[holder.account]

        def process() -> web.Response:
            if kind == "COLLATERAL":
                balance = account.cash - account.unsettled_cash
            elif kind == self._asset_type(token):
                pair, outcome = self.door.tokens[token]
                balance = account.settled_tokens(pair.polymarket.condition_id, outcome)
            else:
                return error(400, "Invalid asset type or token id")
            allowances = dict.fromkeys((CTF_V2, NEG_RISK_V2, EXCHANGE_V3), UNLIMITED)
            return web.json_response({"balance": str(balance), "allowances": allowances})

        return await self.door.desk.guard(request, "balance", process, self.door.refusals)

    def _asset_type(self, token: str) -> str:
        if token not in self.door.tokens:
            return ""
        return "CONDITIONAL-V2" if is_v2_position(int(token)) else "CONDITIONAL"

    async def _scoring(self, request: web.Request) -> web.StreamResponse:
        """There are no rewards here, so nothing scores."""
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        if request.method == "GET":
            return web.json_response({"scoring": False})
        try:
            asked = await request.json()
        except ValueError:
            asked = None
        return (
            web.json_response(dict.fromkeys(asked, False)) if isinstance(asked, list) else error(400, "Invalid payload")
        )


def page_of(rows: list[dict[str, Any]], cursor: str) -> web.Response:
    """One page; a cursor is the base64 text of an offset, and `LTE=` (-1) says that there is no more."""
    try:
        start = int(base64.b64decode(cursor or FIRST))
    except ValueError:
        return error(400, "invalid next_cursor")
    page = rows[start : start + PAGE] if start >= 0 else []
    more = start >= 0 and start + PAGE < len(rows)
    following = base64.b64encode(str(start + PAGE).encode()).decode() if more else LAST
    return web.json_response({"limit": PAGE, "next_cursor": following, "count": len(page), "data": page})
