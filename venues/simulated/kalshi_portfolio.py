"""Kalshi's reads of orders and fills. They lag behind what was done; `user_data_timestamp` says by how much."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from venues.simulated.book import Order, OrderState
from venues.simulated.happenings import Fill, S
from venues.simulated.kalshi_accounts import parts_of
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import Asked, KalshiDoor
from venues.simulated.kalshi_words import (
    invalid_query,
    iso,
    limit_of,
    names_of,
    page_of,
    status_told,
    user_id,
    within,
)
from venues.simulated.scale import PRICE_ONE, count_text, money_text, price_text

STATUSES = ("resting", "canceled", "executed")


class KalshiPortfolio:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        serve = self.door.serve
        return [
            serve("GET", "/portfolio/orders", self._orders),
            serve("GET", "/portfolio/orders/queue_positions", self._queue_positions),
            serve("GET", "/portfolio/orders/{order_id}", self._order),
            serve("GET", "/portfolio/orders/{order_id}/queue_position", self._queue_position),
            serve("GET", "/portfolio/fills", self._fills),
        ]

    def _state_as_of(self, order: Order) -> OrderState | None:
        as_of, found = self.door.as_of_ns(), None
        for at_ns, state in order.history:
            if at_ns > as_of:
                break
            found = state
        return found

    # orders

    def _mine(self, asked: Asked) -> Order | None:
        order = self.door.exchange.orders.get(asked.request.match_info["order_id"])
        if order is None or parts_of(order.account)[0] != asked.user:
            return None
        own = asked.signer.subaccount if asked.signer is not None else None
        return order if own in (None, parts_of(order.account)[1]) else None

    def _order(self, asked: Asked) -> web.Response:
        order = self._mine(asked)
        state = self._state_as_of(order) if order is not None else None
        if order is None or state is None:
            return error(404, "not_found")
        return web.json_response({"order": self._order_told(order, state)})

    def _order_told(self, order: Order, state: OrderState) -> dict[str, Any]:
        bid, note = order.action == "buy", self.door.state.note(order)
        _, subaccount, shard = parts_of(order.account)
        told: dict[str, Any] = {
            "action": order.action, "book_side": "bid" if bid else "ask", "client_order_id": order.wire_id,
            "created_time": iso(order.created_ns), "exchange_index": shard,
            "expiration_time": iso(state.expires_ns) if state.expires_ns else None,
            "fill_count_fp": count_text(state.matched), "initial_count_fp": count_text(note.initial),
            "last_update_time": iso(state.changed_ns), "maker_fees_dollars": money_text(state.maker_fees),
            "maker_fill_cost_dollars": money_text(state.maker_cost), "no_price_dollars": price_text(PRICE_ONE - state.price),
            "order_id": order.venue_order, "outcome_side": "yes" if bid else "no",
            "remaining_count_fp": count_text(state.remaining if state.status == "live" else 0),
            "self_trade_prevention_type": order.stp, "side": "yes", "status": status_told(state.status),
            "subaccount_number": subaccount, "taker_fees_dollars": money_text(state.taker_fees),
            "taker_fill_cost_dollars": money_text(state.taker_cost), "ticker": order.market, "type": "limit",
            "user_id": user_id(parts_of(order.account)[0]), "yes_price_dollars": price_text(state.price),
            "cancel_order_on_pause": note.on_pause,
        }  # fmt: skip
        return told | ({"order_group_id": note.group} if note.group else {})

    def _orders(self, asked: Asked) -> web.Response:
        request = asked.request
        limit, accounts = limit_of(request, "GetOrders"), self.door.accounts_of(asked, primary=False)
        if isinstance(limit, web.Response):
            return limit
        if isinstance(accounts, web.Response):
            return accounts
        tickers, events = names_of(request, "ticker"), names_of(request, "event_ticker")
        wanted, mine = request.query.get("status"), set(accounts)
        if wanted and wanted not in STATUSES:
            return invalid_query("GetOrders", "Status", "oneof")
        rows: list[tuple[str, dict[str, object]]] = []
        for order in reversed(self.door.exchange.orders.values()):
            if order.account not in mine or (tickers and order.market not in tickers):
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

    def _ahead(self, order: Order) -> int:
        """Contracts that must be matched before this order is."""
        book, ahead = self.door.exchange.books[order.market], 0
        for price, size in book.ladder(order.side):
            better = price > order.book_price if order.side == "bid" else price < order.book_price
            ahead += size if better else 0
        for other in book.queue(order.side, order.book_price):
            if other is order:
                break
            ahead += other.remaining
        return ahead

    def _queue_position(self, asked: Asked) -> web.Response:
        order = self._mine(asked)
        if order is None or order.status != "live":
            return error(404, "not_found")
        return web.json_response({"queue_position_fp": count_text(self._ahead(order))})

    def _queue_positions(self, asked: Asked) -> web.Response:
        accounts = self.door.accounts_of(asked, primary=True)
        if isinstance(accounts, web.Response):
            return accounts
        tickers, event = names_of(asked.request, "market_tickers"), asked.request.query.get("event_ticker")
        if not tickers and not event:
            return error(400, "invalid_parameters", details="market_tickers or event_ticker is required")
        rows = []
        for name in accounts:
            for market, resting in self.door.exchange.accounts[name].resting.items():
                if market not in tickers and self.door.by_ticker[market].kalshi.event != event:
                    continue
                rows += [
                    {
                        "order_id": o.venue_order,
                        "market_ticker": market,
                        "queue_position_fp": count_text(self._ahead(o)),
                    }
                    for o in resting
                ]
        return web.json_response({"queue_positions": rows})

    # fills

    def _fills(self, asked: Asked) -> web.Response:
        request = asked.request
        limit, accounts = limit_of(request, "GetFills"), self.door.accounts_of(asked, primary=False)
        if isinstance(limit, web.Response):
            return limit
        if isinstance(accounts, web.Response):
            return accounts
        tickers, order_id = names_of(request, "ticker"), request.query.get("order_id")
        rows = [
            (fill.fill_id + fill.role, self._fill_told(fill))
            for fill in reversed(self.door.fills_of(accounts))
            if (not tickers or fill.order.market in tickers)
            and (not order_id or fill.order.venue_order == order_id)
            and within(request, fill.at_ns)
        ]
        page, cursor = page_of(request, rows, limit)
        return web.json_response({"cursor": cursor, "fills": page})

    def _fill_told(self, fill: Fill) -> dict[str, object]:
        order, bid = fill.order, fill.action == "buy"
        _, subaccount, shard = parts_of(order.account)
        return {
            "action": fill.action, "book_side": "bid" if bid else "ask", "count_fp": count_text(fill.quantity),
            "created_time": iso(fill.at_ns), "exchange_index": shard,
            "fee_cost": money_text(fill.fee), "fill_id": fill.fill_id, "is_taker": fill.role == "taker",
            "market_ticker": order.market, "no_price_dollars": price_text(PRICE_ONE - fill.price),
            "order_id": order.venue_order, "outcome_side": "yes" if bid else "no", "side": "yes",
            "subaccount_number": subaccount, "ticker": order.market, "trade_id": fill.fill_id,
            "ts": fill.at_ns // S, "yes_price_dollars": price_text(fill.price),
        }  # fmt: skip
