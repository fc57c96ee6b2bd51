"""Polymarket's private reads, the keys of a wallet, and the positions that the Data service tells of it."""

from __future__ import annotations

import base64
from typing import Any

from aiohttp import web

from venues.simulated.book import Outcome
from venues.simulated.credentials import polymarket_key
from venues.simulated.ethereum import CTF_V2, NEG_RISK_V2, same_address
from venues.simulated.polymarket_auth import check_l1, error
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.scale import plain

FIRST, LAST = "MA==", "LTE="
PAGE = 100


class PolymarketAccount:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/data/order/{id}", self._order),
            web.get("/data/orders", self._orders),
            web.get("/data/trades", self._trades),
            web.get("/balance-allowance", self._balance),
            web.get("/balance-allowance/update", self._balance),
            web.post("/auth/api-key", self._api_key),
            web.get("/auth/derive-api-key", self._api_key),
            web.get("/v2/positions", self.door.public(self._positions)),
        ]

    async def _order(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        self.door.desk.flush()

        def process() -> web.Response:
            order = self.door.exchange.orders.get(request.match_info["id"])
            if order is None or order.account != signed[0].account:
                return error(404, "Order not found")
            return web.json_response(self.door.order_told(order))

        return await self.door.desk.guard(request, "lookup", process, self.door.refusals)

    async def _orders(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        self.door.desk.flush()
        query = request.query
        rows = [
            self.door.order_told(o)
            for o in self.door.exchange.orders.values()
            if o.account == signed[0].account and o.status == "live"
            and query.get("id", o.wire_id) == o.wire_id
            and query.get("market", o.market) == o.market
            and query.get("asset_id") in (None, self.door.by_condition[o.market].polymarket.token(o.outcome))
        ]  # fmt: skip
        return page_of(rows, query.get("next_cursor", FIRST))

    async def _trades(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        self.door.desk.flush()
        account = signed[0].account

        def process() -> web.Response:
            query, rows = request.query, []
            for fill in reversed(self.door.exchange.fills):
                told_at = fill.at_ns // 1_000_000_000
                if fill.order.account != account or query.get("id", fill.fill_id) != fill.fill_id:
                    continue
                if query.get("market", fill.order.market) != fill.order.market:
                    continue
                token = self.door.by_condition[fill.order.market].polymarket.token(fill.outcome)
                if query.get("asset_id", token) != token:
                    continue
                after, before = query.get("after", ""), query.get("before", "")
                if (after.isdigit() and told_at < int(after)) or (before.isdigit() and told_at > int(before)):
                    continue
                rows.append(self.door.trade_told(fill.match, fill, "TRADE_STATUS_"))
            return page_of(rows, query.get("next_cursor", FIRST))

        return await self.door.desk.guard(request, "fills", process, self.door.refusals)

    async def _balance(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        self.door.desk.flush()
        account = self.door.exchange.accounts[signed[0].account]
        kind, token = request.query.get("asset_type", "COLLATERAL"), request.query.get("token_id", "")

        def process() -> web.Response:
            if kind == "COLLATERAL":
                balance = account.cash - account.unsettled_cash
            elif kind == "CONDITIONAL" and token in self.door.tokens:
                pair, outcome = self.door.tokens[token]
                balance = account.settled_tokens(pair.polymarket.condition_id, outcome)
            else:
                return error(400, "Invalid asset type or token id")
            allowances = {CTF_V2: str(2**256 - 1), NEG_RISK_V2: str(2**256 - 1)}
            return web.json_response({"balance": str(balance), "allowances": allowances})

        return await self.door.desk.guard(request, "balance", process, self.door.refusals)

    async def _api_key(self, request: web.Request) -> web.Response:
        proved = check_l1(request.headers)
        if isinstance(proved, web.Response):
            return proved
        address, nonce = proved
        account = next((k.account for k in self.door.keys.values() if same_address(k.address, address)), None)
        if account is None:
            return error(401, "Invalid L1 Request headers")
        key = polymarket_key(self.door.seed, nonce, account)
        self.door.keys[key.api_key] = key
        return web.json_response({"apiKey": key.api_key, "secret": key.secret, "passphrase": key.passphrase})

    def _positions(self, request: web.Request) -> web.Response:
        user = request.query.get("user", "")
        account = next((k.account for k in self.door.keys.values() if same_address(k.address, user)), None)
        rows: list[dict[str, object]] = []
        if account is not None:
            held = self.door.exchange.accounts[account]
            for market, _ in list(held.positions.items()):
                spec = self.door.by_condition[market].polymarket
                outcomes: tuple[Outcome, Outcome] = ("yes", "no")
                for index, outcome in enumerate(outcomes):
                    size = held.settled_tokens(market, outcome)
                    if size > 0:
                        rows.append(
                            {
                                "user": user, "asset": spec.token(outcome), "condition_id": market,
                                "size": plain(size, 6), "outcome": outcome.capitalize(), "outcome_index": index,
                                "negative_risk": spec.neg_risk, "status": "OPEN", "title": self.door.by_condition[market].title,
                            }
                        )  # fmt: skip
        return web.json_response({"data": rows or None, "pagination": {"next_cursor": None}})


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
