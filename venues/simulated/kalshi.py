"""Order entry in the Kalshi dialect: string numbers, permanent ids, and the venue's own refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from venues.simulated.book import Action, Order, own_price
from venues.simulated.desk import Preview, Reply, RequestRecord
from venues.simulated.happenings import Bend, Declined, FeeRule, Terms, Ticket, TimeInForce
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_words import PREFIX, decode_error, flat_error
from venues.simulated.scale import PRICE_ONE, UNIT, count_text, parse_scaled, price_text
from venues.simulated.universe import Pair

ORDERS = PREFIX + "/portfolio/events/orders"
TIMES: dict[str, TimeInForce] = {"good_till_canceled": "gtc", "immediate_or_cancel": "ioc", "fill_or_kill": "fok"}
TEXT_FIELDS = (
    "ticker", "client_order_id", "side", "count", "price", "time_in_force", "self_trade_prevention_type", "order_group_id",
)  # fmt: skip
NEEDED = ("ticker", "side", "count", "price", "time_in_force", "self_trade_prevention_type")


def terms(pairs: tuple[Pair, ...]) -> Terms:
    return Terms(netting=True, settles=False, fees={p.kalshi.ticker: FeeRule(p.kalshi.fee_multiplier) for p in pairs})


@dataclass(frozen=True, slots=True)
class Asked:
    """A create request that can be read."""

    ticket: Ticket
    stp: str


class KalshiOrders:
    """Order entry: read, judge, place, cancel."""

    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(ORDERS, self._create),
            web.delete(ORDERS + "/{order_id}", self._cancel),
            web.post(PREFIX + "/portfolio/orders", self._retired),
        ]

    async def _create(self, request: web.Request) -> web.StreamResponse:
        account = self.door.account_of(request)
        if isinstance(account, web.Response):
            return account
        body = await request.read()
        loaded = self._decode(body)
        wire_id = loaded.get("client_order_id", "") if isinstance(loaded, dict) else ""
        entry = self.door.desk.record(request, body, account, wire_id)
        if isinstance(loaded, web.Response):
            entry.status = loaded.status
            return loaded
        if not self.door.affords(account, "write", 10):
            entry.status = 429
            return self.door.refusals.rate_limited()
        asked = self._read(loaded, account, entry)
        if isinstance(asked, web.Response):
            entry.status = asked.status
            return asked
        return await self.door.desk.take_order(
            request,
            entry,
            lambda: self._preview(asked.ticket),
            lambda bend: self._place(asked, bend),
            self.door.refusals,
        )

    def _decode(self, body: bytes) -> dict[str, Any] | web.Response:
        try:
            loaded = json.loads(body)
        except ValueError:
            return flat_error("invalid character in JSON body")
        if not isinstance(loaded, dict):
            return flat_error("json: cannot unmarshal into Go value of type CreateOrderV2Request")
        for field in TEXT_FIELDS:
            value = loaded.get(field)
            if value is not None and not isinstance(value, str):
                return decode_error(f"CreateOrderV2Request.{field}", value)
        return loaded

    def _read(self, asked: dict[str, Any], account: str, entry: RequestRecord) -> Asked | web.Response:
        if (account, asked.get("client_order_id") or "") in self.door.exchange.known:
            return error(409, "order_already_exists")
        missing = next((name for name in NEEDED if not asked.get(name)), None)
        if missing is not None:
            return error(400, "invalid_parameters", details=f"{missing} is required")
        pair = self.door.by_ticker.get(asked["ticker"])
        if pair is None:
            return error(404, "market_not_found")
        pinned = asked.get("exchange_index", -1)
        if pinned not in (None, -1, pair.kalshi.exchange_index):
            return error(404, "market_not_found")
        if asked["side"] not in ("bid", "ask"):
            return error(400, "invalid_order", details="side must be bid or ask")
        if asked["time_in_force"] not in TIMES:
            return error(400, "invalid_order", details="time_in_force is invalid")
        if asked["self_trade_prevention_type"] not in ("taker_at_cross", "maker"):
            return error(400, "invalid_order", details="self_trade_prevention_type is invalid")
        count, price = parse_scaled(asked["count"], 2), parse_scaled(asked["price"], 4)
        if count is None or count <= 0:
            return error(400, "invalid_order", details="count is invalid")
        if price is None or not pair.kalshi.on_grid(price):
            return error(400, "invalid_price")
        time_in_force = TIMES[asked["time_in_force"]]
        expires = asked.get("expiration_time")
        if expires is not None and (time_in_force != "gtc" or not isinstance(expires, int)):
            return error(400, "invalid_order", details="expiration_time needs good_till_canceled")
        if expires is not None and expires * 1_000_000_000 <= self.door.desk.now():
            return error(400, "invalid_order", details="expiration_time is in the past")
        action: Action = "buy" if asked["side"] == "bid" else "sell"
        quantity = count * (UNIT // 100)
        if asked.get("reduce_only"):
            if time_in_force != "ioc":
                return error(400, "invalid_order", details="reduce_only needs immediate_or_cancel")
            quantity = min(quantity, self.door.exchange.accounts[account].closable(pair.kalshi.ticker, action))
            if quantity == 0:
                return error(400, "invalid_order", details="reduce only would not reduce")
        wire_id = asked.get("client_order_id") or self.door.exchange.next_id()
        entry.wire_id = wire_id
        ticket = Ticket(
            account=account, wire_id=wire_id, market=pair.kalshi.ticker, outcome="yes", action=action, price=price,
            quantity=quantity, time_in_force=time_in_force, post_only=bool(asked.get("post_only")),
            expires_ns=expires * 1_000_000_000 if expires is not None else None, body_sha256=entry.body_sha256,
            label=asked["time_in_force"],
        )  # fmt: skip
        return Asked(ticket, asked["self_trade_prevention_type"])

    def _preview(self, ticket: Ticket) -> Preview:
        plan = self.door.exchange.plan(ticket)
        return Preview(self.door.exchange.refusal(ticket, plan) is None, plan.quantity, ticket.time_in_force)

    def _place(self, asked: Asked, bend: Bend | None) -> Reply:
        now_ns, ticket = self.door.desk.now(), asked.ticket
        if asked.stp == "maker":
            for own in [o for o in self._crossing(ticket) if o.account == ticket.account]:
                self.door.exchange.cancel(own.venue_order, now_ns, "SelfTradeCancel")
        verdict = self.door.exchange.submit(ticket, now_ns, bend)
        refused: dict[str, Callable[[], web.Response]] = {
            "duplicate": lambda: error(409, "order_already_exists"),
            "funds": self.door.refusals.unfunded,
            "post_only_cross": lambda: error(400, "invalid_order", details="post only cross"),
            "fok_unfilled": lambda: error(409, "fill_or_kill_insufficient_resting_volume"),
        }
        if isinstance(verdict, Declined):
            return Reply(refused[verdict.refusal](), accepted=False)
        order = verdict.order
        order.stp = asked.stp
        answer: dict[str, object] = {
            "client_order_id": order.wire_id, "fill_count": count_text(order.matched), "order_id": order.venue_order,
            "remaining_count": count_text(order.remaining), "ts_ms": now_ns // 1_000_000,
        }  # fmt: skip
        if order.matched:
            paid = sum(f.quantity * f.price for f in verdict.fills)
            answer["average_fill_price"] = price_text(paid // order.matched)
            answer["average_fee_paid"] = price_text(order.taker_fees * PRICE_ONE // order.matched)
        return Reply(web.json_response(answer, status=201), accepted=True)

    def _crossing(self, ticket: Ticket) -> list[Order]:
        limit = own_price(ticket.outcome, ticket.price)
        return list(self.door.exchange.books[ticket.market].crossing(ticket.side, limit))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        account = self.door.account_of(request)
        if isinstance(account, web.Response):
            return account
        order = self.door.exchange.orders.get(request.match_info["order_id"])
        entry = self.door.desk.record(request, await request.read(), account, order.wire_id if order else "")
        if not self.door.affords(account, "write", 2):
            entry.status = 429
            return self.door.refusals.rate_limited()

        def process() -> web.Response:
            ticker = request.query.get("market_ticker")
            routed = order is not None and (
                ticker == order.market
                or (ticker is None and self.door.by_ticker[order.market].kalshi.exchange_index == 0)
            )  # fmt: skip
            removed = None
            if order is not None and routed and order.account == account:
                self.door.exchange.advance(self.door.desk.now())
                removed = self.door.exchange.cancel(order.venue_order, self.door.desk.now())
            if order is None or removed is None:
                return error(404, "not_found")
            return web.json_response(
                {
                    "order_id": order.venue_order, "client_order_id": order.wire_id, "reduced_by": count_text(removed),
                    "ts_ms": self.door.desk.now() // 1_000_000,
                }
            )  # fmt: skip

        return await self.door.desk.guard(request, "cancel", process, self.door.refusals, entry)

    async def _retired(self, _request: web.Request) -> web.Response:
        return error(400, "endpoint_retired", "Please switch to the V2 endpoints")
