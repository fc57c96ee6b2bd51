"""Kalshi's private reads. Orders and fills lag behind what was done; `user_data_timestamp` says by how much."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from venues.simulated.book import Order, OrderState
from venues.simulated.happenings import Fill
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_words import PREFIX, iso, limit_of, page_of, status_told, within
from venues.simulated.scale import PRICE_ONE, count_text, money_text, price_text


class KalshiPortfolio:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        answers: list[tuple[str, Callable[[web.Request, str], web.Response]]] = [
            ("/portfolio/orders", self._orders),
            ("/portfolio/positions", self._positions),
            ("/portfolio/settlements", lambda _, __: web.json_response({"cursor": "", "settlements": []})),
            ("/exchange/user_data_timestamp", self._as_of),
            ("/account/limits", self._limits),
        ]
        return [
            *[web.get(PREFIX + path, self.door.signed(answer)) for path, answer in answers],
            web.get(PREFIX + "/portfolio/orders/{order_id}", self._order),
            web.get(PREFIX + "/portfolio/fills", self._fills),
            web.get(PREFIX + "/portfolio/balance", self._balance),
        ]

    def _as_of_ns(self) -> int:
        return self.door.desk.now() - self.door.read_lag_ns

    def _state_as_of(self, order: Order) -> OrderState | None:
        as_of, found = self._as_of_ns(), None
        for at_ns, state in order.history:
            if at_ns > as_of:
                break
            found = state
        return found

    async def _order(self, request: web.Request) -> web.StreamResponse:
        account = self.door.account_of(request)
        if isinstance(account, web.Response):
            return account
        if not self.door.affords(account, "read", 2):
            return self.door.refusals.rate_limited()
        self.door.desk.flush()

        def process() -> web.Response:
            order = self.door.exchange.orders.get(request.match_info["order_id"])
            state = self._state_as_of(order) if order is not None and order.account == account else None
            if order is None or state is None:
                return error(404, "not_found")
            return web.json_response({"order": self._order_told(order, state)})

        return await self.door.desk.guard(request, "lookup", process, self.door.refusals)

    def _order_told(self, order: Order, state: OrderState) -> dict[str, object]:
        bid = order.action == "buy"
        return {
            "action": order.action, "book_side": "bid" if bid else "ask", "client_order_id": order.wire_id,
            "created_time": iso(order.created_ns), "exchange_index": self.door.by_ticker[order.market].kalshi.exchange_index,
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

    def _orders(self, request: web.Request, account: str) -> web.Response:
        limit = limit_of(request, "GetOrders")
        if isinstance(limit, web.Response):
            return limit
        tickers = [t for t in request.query.get("ticker", "").split(",") if t]
        events = [t for t in request.query.get("event_ticker", "").split(",") if t]
        wanted = request.query.get("status")
        rows: list[tuple[str, dict[str, object]]] = []
        for order in reversed(self.door.exchange.orders.values()):
            if order.account != account or (tickers and order.market not in tickers):
                continue
            if events and self.door.by_ticker[order.market].kalshi.event not in events:
                continue
            state = self._state_as_of(order)
            if state is None or not within(request, order.created_ns):
                continue
            if wanted and status_told(state.status) != wanted:
                continue
            rows.append((order.venue_order, self._order_told(order, state)))
        page, cursor = page_of(request, rows, limit)
        return web.json_response({"cursor": cursor, "orders": page})

    async def _fills(self, request: web.Request) -> web.StreamResponse:
        account = self.door.account_of(request)
        if isinstance(account, web.Response):
            return account
        if not self.door.affords(account, "read", 10):
            return self.door.refusals.rate_limited()
        self.door.desk.flush()

        def process() -> web.Response:
            limit = limit_of(request, "GetFills")
            if isinstance(limit, web.Response):
                return limit
            tickers = [t for t in request.query.get("ticker", "").split(",") if t]
            order_id = request.query.get("order_id")
            rows = [
                (fill.fill_id, self._fill_told(fill))
                for fill in reversed(self.door.exchange.fills)
                if fill.order.account == account
                and fill.at_ns <= self._as_of_ns()
                and (not tickers or fill.order.market in tickers)
                and (not order_id or fill.order.venue_order == order_id)
                and within(request, fill.at_ns)
            ]
            page, cursor = page_of(request, rows, limit)
            return web.json_response({"cursor": cursor, "fills": page})

        return await self.door.desk.guard(request, "fills", process, self.door.refusals)

    def _fill_told(self, fill: Fill) -> dict[str, object]:
        order, bid = fill.order, fill.action == "buy"
        return {
            "action": fill.action, "book_side": "bid" if bid else "ask", "count_fp": count_text(fill.quantity),
            "created_time": iso(fill.at_ns), "exchange_index": self.door.by_ticker[order.market].kalshi.exchange_index,
            "fee_cost": money_text(fill.fee), "fill_id": fill.fill_id, "is_taker": fill.role == "taker",
            "market_ticker": order.market, "no_price_dollars": price_text(PRICE_ONE - fill.price),
            "order_id": order.venue_order, "outcome_side": "yes" if bid else "no", "side": "yes",
            "subaccount_number": 0, "ticker": order.market, "trade_id": fill.fill_id,
            "ts": fill.at_ns // 1_000_000_000, "yes_price_dollars": price_text(fill.price),
        }  # fmt: skip

    def _positions(self, request: web.Request, account: str) -> web.Response:
        held = self.door.exchange.accounts[account]
        rows: list[dict[str, object]] = []
        for market, position in held.positions.items():
            fills = [f for f in self.door.exchange.fills if f.order.account == account and f.order.market == market]
            if not fills or market not in self.door.by_ticker or request.query.get("ticker", market) != market:
                continue
            traded = sum(f.quantity * f.price // PRICE_ONE for f in fills)
            signed = position.yes - position.no
            if request.query.get("count_filter") == "position" and signed == 0:
                continue
            rows.append(
                {
                    "ticker": market, "exchange_index": self.door.by_ticker[market].kalshi.exchange_index,
                    "position_fp": count_text(signed), "total_traded_dollars": money_text(traded),
                    "market_exposure_dollars": money_text(max(0, -sum(f.cash for f in fills))),
                    "realized_pnl_dollars": money_text(0), "fees_paid_dollars": money_text(sum(f.fee for f in fills)),
                    "resting_orders_count": len(held.resting[market]), "last_updated_ts": iso(fills[-1].at_ns),
                }
            )  # fmt: skip
        return web.json_response({"cursor": "", "market_positions": rows, "event_positions": []})

    async def _balance(self, request: web.Request) -> web.StreamResponse:
        account = self.door.account_of(request)
        if isinstance(account, web.Response):
            return account
        if not self.door.affords(account, "balance", 1):
            return self.door.refusals.rate_limited()
        self.door.desk.flush()

        def process() -> web.Response:
            held = self.door.exchange.accounts[account]
            text = price_text(held.available // 100)
            worth = sum(
                p.yes * (self.door.exchange.books[m].best("bid") or 0)
                + p.no * (PRICE_ONE - (self.door.exchange.books[m].best("ask") or 0))
                for m, p in held.positions.items()
            )
            return web.json_response(
                {
                    "balance": held.available // 10_000, "balance_dollars": text,
                    "balance_breakdown": [{"balance": text, "exchange_index": 0}],
                    "portfolio_value": worth // (PRICE_ONE * 10_000), "updated_ts": self.door.desk.now() // 1_000_000_000,
                }
            )  # fmt: skip

        return await self.door.desk.guard(request, "balance", process, self.door.refusals)

    def _as_of(self, _request: web.Request, _account: str) -> web.Response:
        return web.json_response({"as_of_time": iso(self._as_of_ns())})

    def _limits(self, _request: web.Request, _account: str) -> web.Response:
        def told(scope: str) -> dict[str, int]:
            rate, burst = self.door.buckets.size(scope)
            return {"bucket_capacity": burst, "refill_rate": rate}

        return web.json_response(
            {"grants": [], "read": told("read"), "usage_tier": self.door.buckets.tier, "write": told("write")}
        )
