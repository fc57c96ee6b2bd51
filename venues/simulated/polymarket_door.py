"""The door of the Polymarket dialect: keys, limits, tokens, and how orders and trades are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from venues.simulated.book import Order, Outcome, own_price
from venues.simulated.buckets import Buckets
from venues.simulated.credentials import PolymarketKey
from venues.simulated.desk import Desk
from venues.simulated.exchange import Exchange
from venues.simulated.happenings import Fill, Match
from venues.simulated.polymarket_auth import check_l2, error
from venues.simulated.scale import plain
from venues.simulated.universe import Pair


class PolymarketRefusals:
    def rejected(self) -> web.Response:
        return error(400, "the market is not yet ready to process new orders")

    def unfunded(self) -> web.Response:
        return error(400, "not enough balance / allowance: the balance is not enough -> balance: 0, order amount: 0")

    def rate_limited(self) -> web.Response:
        headers = {
            "Retry-After": "1", "Poly-RateLimit-Remaining": "0", "Poly-RateLimit-Reset": "1",
            "Poly-RateLimit-Tier": "Standard",
        }  # fmt: skip
        return web.json_response({"error": "Too Many Requests", "retry_after_seconds": 1}, status=429, headers=headers)


class PolymarketDoor:
    def __init__(
        self, desk: Desk, pairs: tuple[Pair, ...], keys: Mapping[str, PolymarketKey], *, seed: int, buckets: Buckets
    ) -> None:
        self.desk, self.pairs, self.keys = desk, pairs, dict(keys)
        self.by_condition = {p.polymarket.condition_id: p for p in pairs}
        self.tokens: dict[str, tuple[Pair, Outcome]] = {}
        for pair in pairs:
            self.tokens[pair.polymarket.yes_token] = (pair, "yes")
            self.tokens[pair.polymarket.no_token] = (pair, "no")
        self.refusals = PolymarketRefusals()
        self.buckets, self.seed = buckets, seed

    @property
    def exchange(self) -> Exchange:
        return self.desk.exchange

    def public(self, answer: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            self.desk.flush()
            return answer(request)

        return respond

    async def key_and_body(self, request: web.Request) -> tuple[PolymarketKey, bytes] | web.Response:
        body = await request.read()
        path = request.raw_path.partition("?")[0]
        key = check_l2(request.headers, request.method, path, body, self.keys, self.desk.now())
        return key if isinstance(key, web.Response) else (key, body)

    def throttled(self, key: PolymarketKey, scope: str, cost: int) -> bool:
        return not self.buckets.take(key.address, scope, cost, self.desk.now())

    def headers(self, key: PolymarketKey, scope: str) -> dict[str, str]:
        return {
            "Poly-RateLimit-Remaining": str(self.buckets.left(key.address, scope)),
            "Poly-RateLimit-Reset": str(self.desk.now() // 1_000_000_000 + 1),
            "Poly-RateLimit-Tier": self.buckets.tier.capitalize(),
        }

    def order_told(self, order: Order) -> dict[str, object]:
        spec, key = self.by_condition[order.market].polymarket, self.key_of(order.account)
        status = {"live": "LIVE", "matched": "MATCHED"}.get(order.status, "CANCELED")
        return {
            "id": order.wire_id, "status": f"ORDER_STATUS_{status}", "owner": key.api_key, "maker_address": key.address,
            "market": order.market, "asset_id": spec.token(order.outcome), "side": order.action.upper(),
            "original_size": plain(order.quantity if order.spend is None else order.spend, 6),
            "size_matched": plain(order.matched, 6), "price": plain(order.price, 4), "outcome": order.outcome.capitalize(),
            "expiration": str(order.expires_ns // 1_000_000_000 + 60) if order.expires_ns else "0",
            "order_type": order.time_in_force, "associate_trades": list(order.trades),
            "created_at": order.created_ns // 1_000_000_000,
        }  # fmt: skip

    def key_of(self, account: str) -> PolymarketKey:
        return next(key for key in self.keys.values() if key.account == account)

    def trade_told(self, match: Match, fill: Fill, prefix: str, settlement: str | None = None) -> dict[str, Any]:
        """A trade as its account sees it. The top level always describes the taker, the one maker entry the maker."""
        spec = self.by_condition[match.market].polymarket
        taker, maker = match.taker, match.maker
        owner, other = self.owner_of(taker.account), self.owner_of(maker.account)
        status = settlement or match.settlement
        return {
            "id": match.id, "taker_order_id": taker.wire_id or taker.venue_order, "market": match.market,
            "asset_id": spec.token(taker.outcome), "side": taker.action.upper(), "size": plain(match.quantity, 6),
            "fee_rate_bps": "0", "price": plain(own_price(taker.outcome, match.yes_price), 4),
            "status": prefix + status.upper(), "match_time": str(match.at_ns // 1_000_000_000),
            "last_update": str(match.changed_ns // 1_000_000_000), "outcome": taker.outcome.capitalize(),
            "bucket_index": 0, "owner": owner[0], "maker_address": owner[1],
            "transaction_hash": "" if status in ("matched", "retrying", "failed") else "0x" + match.id.replace("-", "") * 2,
            "trader_side": fill.role.upper(),
            "maker_orders": [
                {
                    "order_id": maker.wire_id or maker.venue_order, "owner": other[0], "maker_address": other[1],
                    "matched_amount": plain(match.quantity, 6), "fee_rate_bps": "0",
                    "price": plain(own_price(maker.outcome, match.yes_price), 4), "asset_id": spec.token(maker.outcome),
                    "outcome": maker.outcome.capitalize(), "side": maker.action.upper(),
                }
            ],
        }  # fmt: skip

    def owner_of(self, account: str) -> tuple[str, str]:
        if self.exchange.accounts[account].unlimited:
            return "00000000-0000-4000-8000-000000000000", "0x000000000000000000000000000000000000dEaD"
        key = self.key_of(account)
        return key.api_key, key.address
