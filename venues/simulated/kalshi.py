"""The Kalshi dialect over HTTP: `/trade-api/v2` with signed requests, string numbers and its three shapes of error."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from aiohttp import web

from venues.simulated.book import Action, Order, OrderState, own_price
from venues.simulated.buckets import Buckets
from venues.simulated.desk import Desk, Preview, Reply, RequestRecord
from venues.simulated.exchange import Bend, Declined, Exchange, FeeRule, Fill, Terms, Ticket, TimeInForce
from venues.simulated.kalshi_auth import Signer, authenticate, error
from venues.simulated.scale import PRICE_ONE, UNIT, count_text, money_text, parse_scaled, price_text
from venues.simulated.universe import KalshiSpec, Pair

PREFIX = "/trade-api/v2"
ORDERS = PREFIX + "/portfolio/events/orders"
TIMES: dict[str, TimeInForce] = {"good_till_canceled": "gtc", "immediate_or_cancel": "ioc", "fill_or_kill": "fok"}
TEXT_FIELDS = (
    "ticker", "client_order_id", "side", "count", "price", "time_in_force", "self_trade_prevention_type", "order_group_id",
)  # fmt: skip
NEEDED = ("ticker", "side", "count", "price", "time_in_force", "self_trade_prevention_type")


def terms(pairs: tuple[Pair, ...]) -> Terms:
    return Terms(netting=True, settles=False, fees={p.kalshi.ticker: FeeRule(p.kalshi.fee_multiplier) for p in pairs})


def iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + (
        f".{at_ns // 1_000 % 1_000_000:06d}Z"
    )


def decode_error(field: str, value: object) -> web.Response:
    names = {bool: "bool", int: "number", float: "number", dict: "object", list: "array"}
    text = f"json: cannot unmarshal {names.get(type(value), 'value')} into Go struct field {field} of type string"
    return flat_error(text)


def flat_error(details: str) -> web.Response:
    return web.json_response({"code": "bad_request", "message": "bad request", "details": details}, status=400)


class KalshiRefusals:
    def rejected(self) -> web.Response:
        return error(400, "invalid_order", details="order rejected by risk checks")

    def unfunded(self) -> web.Response:
        return error(400, "insufficient_balance")

    def rate_limited(self) -> web.Response:
        return web.json_response({"error": "too many requests"}, status=429)


@dataclass(frozen=True, slots=True)
class Asked:
    """A create request that can be read."""

    ticket: Ticket
    stp: str


class KalshiRest:
    def __init__(
        self, desk: Desk, pairs: tuple[Pair, ...], signers: Mapping[str, Signer], *, read_lag_ns: int, buckets: Buckets
    ) -> None:
        self.desk, self.pairs, self.signers, self.read_lag_ns = desk, pairs, signers, read_lag_ns
        self.by_ticker = {p.kalshi.ticker: p for p in pairs}
        self.refusals = KalshiRefusals()
        self._buckets = buckets

    @property
    def exchange(self) -> Exchange:
        return self.desk.exchange

    def routes(self) -> list[web.RouteDef]:
        public: list[tuple[str, Callable[[web.Request], web.Response]]] = [
            ("/exchange/status", self._status),
            ("/markets", self._markets),
            ("/markets/{ticker}", self._market),
            ("/markets/{ticker}/orderbook", self._orderbook),
            ("/series/fee_changes", lambda _: web.json_response({"series_fee_change_arr": []})),
            ("/events/fee_changes", lambda _: web.json_response({"event_fee_change_arr": [], "cursor": ""})),
            ("/series/{ticker}", self._series),
            ("/events/{ticker}", self._event),
        ]
        private: list[tuple[str, Callable[[web.Request, str], web.Response]]] = [
            ("/portfolio/orders", self._orders),
            ("/portfolio/positions", self._positions),
            ("/portfolio/settlements", lambda _, __: web.json_response({"cursor": "", "settlements": []})),
            ("/exchange/user_data_timestamp", self._as_of),
            ("/account/limits", self._limits),
        ]
        routes = [web.get(PREFIX + path, self._open(answer)) for path, answer in public]
        routes += [web.get(PREFIX + path, self._signed(answer)) for path, answer in private]
        return [
            *routes,
            web.get(PREFIX + "/portfolio/orders/{order_id}", self._order),
            web.get(PREFIX + "/portfolio/fills", self._fills),
            web.get(PREFIX + "/portfolio/balance", self._balance),
            web.post(ORDERS, self._create),
            web.delete(ORDERS + "/{order_id}", self._cancel),
            web.post(PREFIX + "/portfolio/orders", self._retired),
        ]

    # wrappers

    def _open(self, answer: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            self.desk.flush()
            return answer(request)

        return respond

    def _signed(self, answer: Callable[[web.Request, str], web.Response]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            account = self.account_of(request)
            if isinstance(account, web.Response):
                return account
            if not self._buckets.take(account, "read", 10, self.desk.now()):
                return self.refusals.rate_limited()
            self.desk.flush()
            return answer(request, account)

        return respond

    def account_of(self, request: web.Request) -> str | web.Response:
        return authenticate(request.headers, request.method, request.raw_path, self.signers, self.desk.now())

    # orders

    async def _create(self, request: web.Request) -> web.StreamResponse:
        account = self.account_of(request)
        if isinstance(account, web.Response):
            return account
        body = await request.read()
        loaded = self._decode(body)
        wire_id = loaded.get("client_order_id", "") if isinstance(loaded, dict) else ""
        entry = self.desk.record(request, body, account, wire_id)
        if isinstance(loaded, web.Response):
            entry.status = loaded.status
            return loaded
        if not self._buckets.take(account, "write", 10, self.desk.now()):
            entry.status = 429
            return self.refusals.rate_limited()
        asked = self._read(loaded, account, entry)
        if isinstance(asked, web.Response):
            entry.status = asked.status
            return asked
        return await self.desk.take_order(
            request, entry, lambda: self._preview(asked.ticket), lambda bend: self._place(asked, bend), self.refusals
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
        if (account, asked.get("client_order_id") or "") in self.exchange.known:
            return error(409, "order_already_exists")
        missing = next((name for name in NEEDED if not asked.get(name)), None)
        if missing is not None:
            return error(400, "invalid_parameters", details=f"{missing} is required")
        pair = self.by_ticker.get(asked["ticker"])
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
        if expires is not None and expires * 1_000_000_000 <= self.desk.now():
            return error(400, "invalid_order", details="expiration_time is in the past")
        action: Action = "buy" if asked["side"] == "bid" else "sell"
        quantity = count * (UNIT // 100)
        if asked.get("reduce_only"):
            if time_in_force != "ioc":
                return error(400, "invalid_order", details="reduce_only needs immediate_or_cancel")
            quantity = min(quantity, self.exchange.accounts[account].closable(pair.kalshi.ticker, action))
            if quantity == 0:
                return error(400, "invalid_order", details="reduce only would not reduce")
        wire_id = asked.get("client_order_id") or self.exchange.next_id()
        entry.wire_id = wire_id
        ticket = Ticket(
            account=account, wire_id=wire_id, market=pair.kalshi.ticker, outcome="yes", action=action, price=price,
            quantity=quantity, time_in_force=time_in_force, post_only=bool(asked.get("post_only")),
            expires_ns=expires * 1_000_000_000 if expires is not None else None, body_sha256=entry.body_sha256,
            label=asked["time_in_force"],
        )  # fmt: skip
        return Asked(ticket, asked["self_trade_prevention_type"])

    def _preview(self, ticket: Ticket) -> Preview:
        plan = self.exchange.plan(ticket)
        return Preview(self.exchange.refusal(ticket, plan) is None, plan.quantity, ticket.time_in_force)

    def _place(self, asked: Asked, bend: Bend | None) -> Reply:
        now_ns, ticket = self.desk.now(), asked.ticket
        if asked.stp == "maker":
            for own in [o for o in self._crossing(ticket) if o.account == ticket.account]:
                self.exchange.cancel(own.venue_order, now_ns, "SelfTradeCancel")
        verdict = self.exchange.submit(ticket, now_ns, bend)
        refused: dict[str, Callable[[], web.Response]] = {
            "duplicate": lambda: error(409, "order_already_exists"),
            "funds": self.refusals.unfunded,
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
        return list(self.exchange.books[ticket.market].crossing(ticket.side, limit))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        account = self.account_of(request)
        if isinstance(account, web.Response):
            return account
        order = self.exchange.orders.get(request.match_info["order_id"])
        entry = self.desk.record(request, await request.read(), account, order.wire_id if order else "")
        if not self._buckets.take(account, "write", 2, self.desk.now()):
            entry.status = 429
            return self.refusals.rate_limited()

        def process() -> web.Response:
            ticker = request.query.get("market_ticker")
            routed = order is not None and (
                ticker == order.market
                or (ticker is None and self.by_ticker[order.market].kalshi.exchange_index == 0)
            )  # fmt: skip
            removed = None
            if order is not None and routed and order.account == account:
                self.exchange.advance(self.desk.now())
                removed = self.exchange.cancel(order.venue_order, self.desk.now())
            if order is None or removed is None:
                return error(404, "not_found")
            return web.json_response(
                {
                    "order_id": order.venue_order, "client_order_id": order.wire_id, "reduced_by": count_text(removed),
                    "ts_ms": self.desk.now() // 1_000_000,
                }
            )  # fmt: skip

        return await self.desk.guard(request, "cancel", process, self.refusals, entry)

    async def _retired(self, _request: web.Request) -> web.Response:
        return error(400, "endpoint_retired", "Please switch to the V2 endpoints")

    # reads

    def _as_of_ns(self) -> int:
        return self.desk.now() - self.read_lag_ns

    def _state_as_of(self, order: Order) -> OrderState | None:
        as_of, found = self._as_of_ns(), None
        for at_ns, state in order.history:
            if at_ns > as_of:
                break
            found = state
        return found

    async def _order(self, request: web.Request) -> web.StreamResponse:
        account = self.account_of(request)
        if isinstance(account, web.Response):
            return account
        if not self._buckets.take(account, "read", 2, self.desk.now()):
            return self.refusals.rate_limited()
        self.desk.flush()

        def process() -> web.Response:
            order = self.exchange.orders.get(request.match_info["order_id"])
            state = self._state_as_of(order) if order is not None and order.account == account else None
            if order is None or state is None:
                return error(404, "not_found")
            return web.json_response({"order": self._order_told(order, state)})

        return await self.desk.guard(request, "lookup", process, self.refusals)

    def _order_told(self, order: Order, state: OrderState) -> dict[str, object]:
        bid = order.action == "buy"
        return {
            "action": order.action, "book_side": "bid" if bid else "ask", "client_order_id": order.wire_id,
            "created_time": iso(order.created_ns), "exchange_index": self.by_ticker[order.market].kalshi.exchange_index,
            "expiration_time": iso(order.expires_ns) if order.expires_ns else None,
            "fill_count_fp": count_text(state.matched), "initial_count_fp": count_text(order.quantity),
            "last_update_time": iso(state.changed_ns), "maker_fees_dollars": money_text(state.maker_fees),
            "maker_fill_cost_dollars": money_text(state.maker_cost), "no_price_dollars": price_text(PRICE_ONE - order.price),
            "order_id": order.venue_order, "outcome_side": "yes" if bid else "no",
            "remaining_count_fp": count_text(state.remaining if state.status == "live" else 0),
            "self_trade_prevention_type": order.stp, "side": "yes", "status": status_told(state.status),
            "subaccount_number": 0, "taker_fees_dollars": money_text(state.taker_fees),
            "taker_fill_cost_dollars": money_text(state.taker_cost), "ticker": order.market, "type": "limit",
            "user_id": order.account, "yes_price_dollars": price_text(order.price),
        }  # fmt: skip

    def _limit(self, request: web.Request, operation: str) -> int | web.Response:
        text = request.query.get("limit", "100")
        limit = int(text) if text.isdigit() else 0
        if limit > 1000 or limit < 1:
            tag = "lte" if limit else "gte"
            return web.json_response(
                {
                    "msg": f"Parameter validation failed for {operation}: Key: '{operation}Params.Limit' "
                    f"Error:Field validation for 'Limit' failed on the '{tag}' tag"
                },
                status=400,
            )
        return limit

    def _page(
        self, request: web.Request, rows: list[tuple[str, dict[str, object]]], limit: int
    ) -> tuple[list[Any], str]:
        """Rows newest first after the cursor; an unreadable cursor silently means the first page."""
        start = 0
        try:
            after = base64.urlsafe_b64decode(request.query.get("cursor", "")).decode()
            start = next((n + 1 for n, (key, _) in enumerate(rows) if key == after), 0)
        except ValueError:
            pass
        page = rows[start : start + limit]
        more = start + limit < len(rows)
        return [row for _, row in page], base64.urlsafe_b64encode(page[-1][0].encode()).decode() if more else ""

    def _within(self, request: web.Request, at_ns: int) -> bool:
        low, high = request.query.get("min_ts", ""), request.query.get("max_ts", "")
        second = at_ns // 1_000_000_000
        return (not low.isdigit() or second >= int(low)) and (not high.isdigit() or second <= int(high))

    def _orders(self, request: web.Request, account: str) -> web.Response:
        limit = self._limit(request, "GetOrders")
        if isinstance(limit, web.Response):
            return limit
        tickers = [t for t in request.query.get("ticker", "").split(",") if t]
        events = [t for t in request.query.get("event_ticker", "").split(",") if t]
        wanted = request.query.get("status")
        rows: list[tuple[str, dict[str, object]]] = []
        for order in reversed(self.exchange.orders.values()):
            if order.account != account or (tickers and order.market not in tickers):
                continue
            if events and self.by_ticker[order.market].kalshi.event not in events:
                continue
            state = self._state_as_of(order)
            if state is None or not self._within(request, order.created_ns):
                continue
            if wanted and status_told(state.status) != wanted:
                continue
            rows.append((order.venue_order, self._order_told(order, state)))
        page, cursor = self._page(request, rows, limit)
        return web.json_response({"cursor": cursor, "orders": page})

    async def _fills(self, request: web.Request) -> web.StreamResponse:
        account = self.account_of(request)
        if isinstance(account, web.Response):
            return account
        if not self._buckets.take(account, "read", 10, self.desk.now()):
            return self.refusals.rate_limited()
        self.desk.flush()

        def process() -> web.Response:
            limit = self._limit(request, "GetFills")
            if isinstance(limit, web.Response):
                return limit
            tickers = [t for t in request.query.get("ticker", "").split(",") if t]
            order_id = request.query.get("order_id")
            rows = [
                (fill.fill_id, self._fill_told(fill))
                for fill in reversed(self.exchange.fills)
                if fill.order.account == account
                and fill.at_ns <= self._as_of_ns()
                and (not tickers or fill.order.market in tickers)
                and (not order_id or fill.order.venue_order == order_id)
                and self._within(request, fill.at_ns)
            ]
            page, cursor = self._page(request, rows, limit)
            return web.json_response({"cursor": cursor, "fills": page})

        return await self.desk.guard(request, "fills", process, self.refusals)

    def _fill_told(self, fill: Fill) -> dict[str, object]:
        order, bid = fill.order, fill.action == "buy"
        return {
            "action": fill.action, "book_side": "bid" if bid else "ask", "count_fp": count_text(fill.quantity),
            "created_time": iso(fill.at_ns), "exchange_index": self.by_ticker[order.market].kalshi.exchange_index,
            "fee_cost": money_text(fill.fee), "fill_id": fill.fill_id, "is_taker": fill.role == "taker",
            "market_ticker": order.market, "no_price_dollars": price_text(PRICE_ONE - fill.price),
            "order_id": order.venue_order, "outcome_side": "yes" if bid else "no", "side": "yes",
            "subaccount_number": 0, "ticker": order.market, "trade_id": fill.fill_id,
            "ts": fill.at_ns // 1_000_000_000, "yes_price_dollars": price_text(fill.price),
        }  # fmt: skip

    def _positions(self, request: web.Request, account: str) -> web.Response:
        held = self.exchange.accounts[account]
        rows: list[dict[str, object]] = []
        for market, position in held.positions.items():
            fills = [f for f in self.exchange.fills if f.order.account == account and f.order.market == market]
            if not fills or market not in self.by_ticker or request.query.get("ticker", market) != market:
                continue
            traded = sum(f.quantity * f.price // PRICE_ONE for f in fills)
            signed = position.yes - position.no
            if request.query.get("count_filter") == "position" and signed == 0:
                continue
            rows.append(
                {
                    "ticker": market, "exchange_index": self.by_ticker[market].kalshi.exchange_index,
                    "position_fp": count_text(signed), "total_traded_dollars": money_text(traded),
                    "market_exposure_dollars": money_text(max(0, -sum(f.cash for f in fills))),
                    "realized_pnl_dollars": money_text(0), "fees_paid_dollars": money_text(sum(f.fee for f in fills)),
                    "resting_orders_count": len(held.resting[market]), "last_updated_ts": iso(fills[-1].at_ns),
                }
            )  # fmt: skip
        return web.json_response({"cursor": "", "market_positions": rows, "event_positions": []})

    async def _balance(self, request: web.Request) -> web.StreamResponse:
        account = self.account_of(request)
        if isinstance(account, web.Response):
            return account
        if not self._buckets.take(account, "balance", 1, self.desk.now()):
            return self.refusals.rate_limited()
        self.desk.flush()

        def process() -> web.Response:
            held = self.exchange.accounts[account]
            text = price_text(held.available // 100)
            worth = sum(
                p.yes * (self.exchange.books[m].best("bid") or 0)
                + p.no * (PRICE_ONE - (self.exchange.books[m].best("ask") or 0))
                for m, p in held.positions.items()
            )
            return web.json_response(
                {
                    "balance": held.available // 10_000, "balance_dollars": text,
                    "balance_breakdown": [{"balance": text, "exchange_index": 0}],
                    "portfolio_value": worth // (PRICE_ONE * 10_000), "updated_ts": self.desk.now() // 1_000_000_000,
                }
            )  # fmt: skip

        return await self.desk.guard(request, "balance", process, self.refusals)

    def _as_of(self, _request: web.Request, _account: str) -> web.Response:
        return web.json_response({"as_of_time": iso(self._as_of_ns())})

    def _limits(self, _request: web.Request, _account: str) -> web.Response:
        def told(scope: str) -> dict[str, int]:
            rate, burst = self._buckets.size(scope)
            return {"bucket_capacity": burst, "refill_rate": rate}

        return web.json_response(
            {"grants": [], "read": told("read"), "usage_tier": self._buckets.tier, "write": told("write")}
        )

    # public reads

    def _status(self, _request: web.Request) -> web.Response:
        index = {"exchange_index": 0, "description": "default", "exchange_active": True, "trading_active": True}
        return web.json_response({"exchange_active": True, "trading_active": True, "exchange_index_statuses": [index]})

    def _market_told(self, pair: Pair) -> dict[str, object]:
        spec, book = pair.kalshi, self.exchange.books[pair.kalshi.ticker]
        bid, ask = book.best("bid"), book.best("ask")
        return {
            "ticker": spec.ticker, "event_ticker": spec.event, "series_ticker": spec.series, "title": pair.title,
            "market_type": "binary", "status": "active", "result": "", "can_close_early": True,
            "open_time": "2026-01-01T00:00:00Z", "close_time": "2027-12-31T23:59:00Z",
            "expected_expiration_time": "2027-12-31T23:59:00Z", "latest_expiration_time": "2028-01-07T15:00:00Z",
            "settlement_timer_seconds": 60, "notional_value_dollars": "1.0000", "exchange_index": spec.exchange_index,
            "price_level_structure": spec.structure, "price_ranges": ranges_told(spec), "rules_primary": pair.rules,
            "rules_secondary": "", "yes_sub_title": pair.title, "no_sub_title": pair.title,
            "yes_bid_dollars": price_text(bid or 0), "yes_ask_dollars": price_text(PRICE_ONE if ask is None else ask),
            "no_bid_dollars": price_text(0 if ask is None else PRICE_ONE - ask),
            "no_ask_dollars": price_text(PRICE_ONE if bid is None else PRICE_ONE - bid),
            "yes_bid_size_fp": count_text(book.size("bid", bid) if bid is not None else 0),
            "yes_ask_size_fp": count_text(book.size("ask", ask) if ask is not None else 0),
            "last_price_dollars": price_text(book.last_trade or 0), "volume_fp": "0.00", "open_interest_fp": "0.00",
        }  # fmt: skip

    def _markets(self, request: web.Request) -> web.Response:
        limit = self._limit(request, "GetMarkets")
        if isinstance(limit, web.Response):
            return limit
        tickers = [t for t in request.query.get("tickers", "").split(",") if t]
        filters = {"series_ticker": "series", "event_ticker": "event"}
        rows: list[tuple[str, dict[str, object]]] = []
        for pair in self.pairs:
            if tickers and pair.kalshi.ticker not in tickers:
                continue
            if any(request.query.get(k) not in (None, "", getattr(pair.kalshi, v)) for k, v in filters.items()):
                continue
            if request.query.get("status", "open") not in ("open", "active", ""):
                continue
            rows.append((pair.kalshi.ticker, self._market_told(pair)))
        page, cursor = self._page(request, rows, limit)
        return web.json_response({"cursor": cursor, "markets": page})

    def _market(self, request: web.Request) -> web.Response:
        pair = self.by_ticker.get(request.match_info["ticker"])
        if pair is None:
            return error(404, "not_found")
        return web.json_response({"market": self._market_told(pair)})

    def _orderbook(self, request: web.Request) -> web.Response:
        pair = self.by_ticker.get(request.match_info["ticker"])
        if pair is None:
            return error(404, "not_found")
        text = request.query.get("depth", "0")
        depth = int(text) if text.isdigit() else 0
        book = self.exchange.books[pair.kalshi.ticker]
        yes = [[price_text(p), count_text(s)] for p, s in book.ladder("bid")]
        no = [[price_text(PRICE_ONE - p), count_text(s)] for p, s in reversed(book.ladder("ask"))]
        return web.json_response({"orderbook_fp": {"yes_dollars": yes[-depth:], "no_dollars": no[-depth:]}})

    def _series(self, request: web.Request) -> web.Response:
        pair = next((p for p in self.pairs if p.kalshi.series == request.match_info["ticker"]), None)
        if pair is None:
            return error(404, "not_found")
        multiplier = pair.kalshi.fee_multiplier
        series = {
            "ticker": pair.kalshi.series, "title": pair.title, "category": "Simulated", "frequency": "custom",
            "fee_type": "quadratic", "fee_multiplier": json_ratio(multiplier), "exchange_index": pair.kalshi.exchange_index,
        }  # fmt: skip
        return web.json_response({"series": series})

    def _event(self, request: web.Request) -> web.Response:
        pairs = [p for p in self.pairs if p.kalshi.event == request.match_info["ticker"]]
        if not pairs:
            return error(404, "not_found")
        event: dict[str, object] = {
            "event_ticker": pairs[0].kalshi.event, "series_ticker": pairs[0].kalshi.series, "title": pairs[0].title,
            "sub_title": "", "mutually_exclusive": False, "collateral_return_type": "",
            "exchange_index": pairs[0].kalshi.exchange_index,
        }  # fmt: skip
        markets = [self._market_told(p) for p in pairs]
        if request.query.get("with_nested_markets") == "true":
            return web.json_response({"event": event | {"markets": markets}})
        return web.json_response({"event": event, "markets": markets})


def json_ratio(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else value.numerator / value.denominator


def ranges_told(spec: KalshiSpec) -> list[dict[str, str]]:
    return [
        {"start": price_text(r.start), "end": price_text(r.end), "step": price_text(r.step)} for r in spec.price_ranges
    ]


def status_told(status: str) -> str:
    return {"live": "resting", "matched": "executed"}.get(status, "canceled")
