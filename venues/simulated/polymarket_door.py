"""The door of the Polymarket dialect: keys, limits, tokens, and how orders and trades are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from aiohttp import web

from venues.simulated.book import Order, Outcome, own_price
from venues.simulated.buckets import Buckets
from venues.simulated.credentials import PolymarketKey
from venues.simulated.desk import Desk
from venues.simulated.ethereum import same_address
from venues.simulated.exchange import Exchange
from venues.simulated.happenings import Fill, MarketChanged, Match, S
from venues.simulated.polymarket_auth import check_l2, error
from venues.simulated.polymarket_mode import Mode
from venues.simulated.polymarket_wallets import Wallets
from venues.simulated.scale import plain
from venues.simulated.universe import Pair, PolymarketSpec


class PolymarketRefusals:
    def __init__(self, door: PolymarketDoor) -> None:
        self._door = door

    def rejected(self) -> web.Response:
        return error(400, "the market is not yet ready to process new orders")

    def unfunded(self) -> web.Response:
        return error(400, "not enough balance / allowance: the balance is not enough -> balance: 0, order amount: 0")

    def rate_limited(self) -> web.Response:
        now_ns = self._door.desk.now()
        wait_s = max(1, -(-(self._door.desk.storm_until_ns - now_ns) // S))
        headers = {
            "Retry-After": str(wait_s), "Poly-RateLimit-Remaining": "0", "Poly-RateLimit-Reset": str(now_ns // S + wait_s),
            "Poly-RateLimit-Tier": self._door.buckets.tier.capitalize(),
        }  # fmt: skip
        return web.json_response(
            {"error": "Too Many Requests", "retry_after_seconds": wait_s}, status=429, headers=headers
        )


class PolymarketDoor:
    def __init__(
        self, desk: Desk, pairs: tuple[Pair, ...], keys: Mapping[str, PolymarketKey], *, seed: int, buckets: Buckets,
        deposit: int = 0,
    ) -> None:  # fmt: skip
        self.desk, self.keys = desk, dict(keys)
        self.by_condition = {p.polymarket.condition_id: p for p in pairs}
        self.tokens: dict[str, tuple[Pair, Outcome]] = {}
        for pair in pairs:
            self._know(pair)
        self.wallets = Wallets(desk.exchange, deposit)
        for key in self.keys.values():
            self.wallets.enrol(key.address, key.account)
        self.mode = Mode(self.now)
        self.closed: set[str] = set()
        """Markets that take no orders although they are not resolved."""
        self.closing: set[str] = set()
        """Accounts that may only reduce what they hold."""
        self.placed_by: dict[str, str] = {}
        """The API key of each order, for those who may only cancel their own."""
        self.refusals = PolymarketRefusals(self)
        self.buckets, self.seed = buckets, seed

    def now(self) -> int:
        return self.desk.now()

    @property
    def pairs(self) -> list[Pair]:
        return list(self.by_condition.values())

    def _know(self, pair: Pair) -> None:
        self.by_condition[pair.polymarket.condition_id] = pair
        self.tokens[pair.polymarket.yes_token] = (pair, "yes")
        self.tokens[pair.polymarket.no_token] = (pair, "no")

    def change(self, condition: str, what: Literal["tick", "contract"], spec: PolymarketSpec) -> None:
        """Other rules for one market from now on, told on the streams."""
        before = self.by_condition[condition]
        self._know(replace(before, polymarket=spec))
        old, new = (
            (before.polymarket.tick_text, spec.tick_text) if what == "tick"
            else (before.polymarket.generation, spec.generation)
        )  # fmt: skip
        self.exchange.events.append(MarketChanged(condition, what, old, new, self.desk.now()))

    def event_of(self, condition: str) -> list[str]:
        """Markets of the negRisk event that this one belongs to, itself among them; none where there is no such event."""
        group = self.by_condition[condition].group
        members = [p.polymarket for p in self.pairs if p.group == group]
        return [spec.condition_id for spec in members] if all(spec.neg_risk for spec in members) else []

    def closed_only(self, account: str) -> bool:
        return account in self.closing

    def accepting(self, condition: str) -> bool:
        return condition not in self.closed and condition not in self.exchange.payouts

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
        if self.desk.now() < self.desk.storm_until_ns:
            return True
        return not self.buckets.take(key.address, scope, cost, self.desk.now())

    def headers(self, key: PolymarketKey, scope: str) -> dict[str, str]:
        now_ns = self.desk.now()
        told = {
            "Poly-RateLimit-Remaining": str(self.buckets.left(key.address, scope)),
            "Poly-RateLimit-Reset": str(now_ns // S + self.buckets.full_after_s(key.address, scope, now_ns)),
            "Poly-RateLimit-Tier": self.buckets.tier.capitalize(),
        }
        if self.buckets.left(key.address, scope) * 10 < self.buckets.size(scope)[1]:
            told["Poly-RateLimit-Warning"] = "approaching the rate limit"
        return told

    def account_keys(self, account: str) -> list[PolymarketKey]:
        return [key for key in self.keys.values() if account in self.wallets.accounts(key.address)]

    def order_told(self, order: Order) -> dict[str, object]:
        spec = self.by_condition[order.market].polymarket
        owner, address = self.owner_of(order.account)
        return {
            "id": order.wire_id, "status": f"ORDER_STATUS_{status_of(order)}",
            "owner": self.placed_by.get(order.wire_id, owner), "maker_address": address,
            "market": order.market, "asset_id": spec.token(order.outcome), "side": order.action.upper(),
            "original_size": plain(order.quantity if order.spend is None else order.spend, 6),
            "size_matched": plain(order.matched, 6), "price": plain(order.price, 4), "outcome": order.outcome.capitalize(),
            "expiration": str(order.expires_ns // S + 60) if order.expires_ns else "0",
            "order_type": order.time_in_force, "associate_trades": list(order.trades),
            "created_at": order.created_ns // S,
        }  # fmt: skip

    def trade_told(self, match: Match, fill: Fill, prefix: str, settlement: str | None = None) -> dict[str, Any]:
        """A trade as its account sees it. The top level always describes the taker, the one maker entry the maker."""
        spec = self.by_condition[match.market].polymarket
        taker, maker = match.taker, match.maker
        owner, other = self.owner_of(taker.account), self.owner_of(maker.account)
        owner = (self.placed_by.get(taker.wire_id, owner[0]), owner[1])
        other = (self.placed_by.get(maker.wire_id, other[0]), other[1])
        status = settlement or match.settlement
        return {
            "id": match.id, "taker_order_id": taker.wire_id or taker.venue_order, "market": match.market,
            "asset_id": spec.token(taker.outcome), "side": taker.action.upper(), "size": plain(match.quantity, 6),
            "fee_rate_bps": "0", "price": plain(own_price(taker.outcome, match.yes_price), 4),
            "status": prefix + status.upper(), "match_time": str(match.at_ns // 1_000_000_000),
            "last_update": str(match.changed_ns // 1_000_000_000), "outcome": taker.outcome.capitalize(),
            "bucket_index": 0, "owner": owner[0], "maker_address": owner[1],
            "transaction_hash": "" if status in ("matched", "retrying", "failed") else self.hash_of(match),
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

    def hash_of(self, match: Match) -> str:
        return "0x" + match.id.replace("-", "") * 2

    def owner_of(self, account: str) -> tuple[str, str]:
        """An API key of the account, and the address of its wallet."""
        wallet = None if self.exchange.accounts[account].unlimited else self.wallets.holder(account)
        if wallet is None:
            return "00000000-0000-4000-8000-000000000000", "0x000000000000000000000000000000000000dEaD"
        return next(k.api_key for k in self.keys.values() if same_address(k.address, wallet.owner)), wallet.address


def status_of(order: Order) -> str:
    """The bare word that reads use; streams say more."""
    if order.reason == "MarketResolved":
        return "CANCELED_MARKET_RESOLVED"
    if order.reason == "unmatched":
        return "UNMATCHED"
    if order.reason == "MarginCancel":
        return "INVALID"
    return {"live": "LIVE", "matched": "MATCHED", "delayed": "DELAYED"}.get(order.status, "CANCELED")
