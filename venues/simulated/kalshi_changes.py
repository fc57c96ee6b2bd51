"""Kalshi's ways to take orders back or change them: cancel one, several or all; amend; decrease."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from venues.simulated.book import Order
from venues.simulated.happenings import Declined, S, Ticket
from venues.simulated.kalshi import ORDERS, averages, items_of
from venues.simulated.kalshi_accounts import parts_of
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import Asked, KalshiDoor
from venues.simulated.kalshi_forms import count_of, misread, order_of
from venues.simulated.scale import CENT_OF_CONTRACT, count_text, parse_scaled


class KalshiChanges:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        serve, one = self.door.serve, ORDERS + "/{order_id}"
        return [
            serve("DELETE", ORDERS + "/batched", self._cancel_some, charge=items_of, keep=True, needs="exchange"),
            serve("DELETE", ORDERS, self._cancel_all, keep=True, needs="exchange"),
            serve("DELETE", one, self._cancel, keep=True, needs="exchange"),
            serve("POST", one + "/amend", self._amend, keep=True, needs="exchange"),
            serve("POST", one + "/decrease", self._decrease, keep=True, needs="exchange"),
        ]

    # cancels

    def _cancel(self, asked: Asked) -> web.Response:
        query = asked.request.query
        pinned = query.get("exchange_index")
        order = order_of(
            self.door, asked, query.get("market_ticker"),
            int(pinned) if pinned and pinned.lstrip("-").isdigit() else None, query.get("subaccount"),
        )  # fmt: skip
        removed = None if isinstance(order, web.Response) else self._remove(order)
        if isinstance(order, web.Response):
            return order
        return error(404, "not_found") if removed is None else web.json_response(removed)

    def _remove(self, order: Order) -> dict[str, Any] | None:
        now_ns = self.door.desk.now()
        removed = self.door.exchange.cancel(order.venue_order, now_ns)
        if removed is None:
            return None
        return {
            "order_id": order.venue_order, "client_order_id": order.wire_id, "reduced_by": count_text(removed),
            "ts_ms": now_ns // 1_000_000,
        }  # fmt: skip

    def _cancel_some(self, asked: Asked) -> web.Response:
        orders = asked.body.get("orders")
        if not isinstance(orders, list) or not all(isinstance(o, dict) and o.get("order_id") for o in orders):
            return error(400, "invalid_parameters", details="orders is required")
        return web.json_response({"orders": [self._cancel_item(asked, item) for item in orders]})

    def _cancel_item(self, asked: Asked, item: dict[str, Any]) -> dict[str, Any]:
        wrong = misread(item, "BatchCancelOrdersV2Request")
        mine = Asked(asked.request, asked.user, asked.signer, item)
        order = wrong or order_of(
            self.door, mine, item.get("market_ticker"), item.get("exchange_index"), item.get("subaccount")
        )
        removed = None if isinstance(order, web.Response) else self._remove(order)
        if removed is not None:
            return removed | {"error": None}
        code = "MARKET_INACTIVE" if isinstance(order, web.Response) and order.status == 400 else "not_found"
        return {
            "order_id": str(item["order_id"]), "client_order_id": None, "reduced_by": "0.00", "ts_ms": None,
            "error": {"code": code, "message": code.lower().replace("_", " ")},
        }  # fmt: skip

    def _cancel_all(self, asked: Asked) -> web.Response:
        """Every open order goes, on all shards; whatever is placed within the next minute goes as well."""
        subaccount = self.door.subaccount(asked, asked.request.query.get("subaccount"), primary=False)
        if isinstance(subaccount, web.Response):
            return subaccount
        now_ns = self.door.desk.now()
        self.door.state.cancel_all(asked.user, subaccount, now_ns)
        for order in list(self.door.exchange.orders.values()):
            user, number, _ = parts_of(order.account)
            if user == asked.user and subaccount in (None, number):
                self.door.exchange.cancel(order.venue_order, now_ns)
        return web.Response(status=204)

    # changes

    def _resting(self, asked: Asked, ticker: object, pinned: object) -> Order | web.Response:
        order = order_of(self.door, asked, ticker, pinned, asked.request.query.get("subaccount"))
        if not isinstance(order, web.Response) and order.status != "live":
            return error(404, "not_found")
        return order

    def _amend(self, asked: Asked) -> web.Response:
        body = asked.body
        wrong = misread(body, "AmendOrderV2Request")
        if wrong is not None:
            return wrong
        missing = next((name for name in ("ticker", "side", "price", "count") if not body.get(name)), None)
        if missing is not None:
            return error(400, "invalid_parameters", details=f"{missing} is required")
        order = self._resting(asked, body["ticker"], body.get("exchange_index"))
        if isinstance(order, web.Response):
            return order
        ticket = self._amended(order, body)
        if isinstance(ticket, web.Response):
            return ticket
        paused = self.door.closed(self.door.state.lives[order.market].shard, "trading")
        before = order.wire_id
        answer = paused or self._rename(asked, order, body) or self._apply(order, ticket)
        if answer.status >= 300 and order.wire_id != before:  # a refused change changes nothing, not even the name
            self.door.state.client_ids.discard((asked.user, order.wire_id))
            del self.door.exchange.known[(order.account, order.wire_id)]
            order.wire_id = before
        return answer

    def _amended(self, order: Order, body: dict[str, Any]) -> Ticket | web.Response:
        """The order as it shall be; `count` is the total, what was filled already included."""
        life = self.door.state.lives[order.market]
        total, price, expires = count_of(body["count"]), parse_scaled(body["price"], 4), body.get("expiration_time")
        if (body["side"] == "bid") != (order.side == "bid") or body["side"] not in ("bid", "ask"):
            return error(400, "invalid_order", details="side cannot be amended")
        if total is None or total <= order.matched:
            return error(400, "invalid_order", details="count must exceed what is filled")
        if price is None or not life.on_grid(price):
            return error(400, "invalid_price")
        if expires and expires * S <= self.door.desk.now():
            return error(400, "invalid_order", details="expiration_time is in the past")
        return Ticket(
            account=order.account, wire_id=order.wire_id, market=order.market, outcome=order.outcome, action=order.action,
            price=price, quantity=total - order.matched, time_in_force="gtc",
            post_only=self.door.state.note(order).post_only,
            expires_ns=order.expires_ns if expires is None else (expires * S or None),
        )  # fmt: skip

    def _rename(self, asked: Asked, order: Order, body: dict[str, Any]) -> web.Response | None:
        """A new client order id, which must be as new as any other; the old one stays used up."""
        named, fresh = body.get("client_order_id"), body.get("updated_client_order_id")
        if named and named != order.wire_id:
            return error(404, "not_found")
        if not fresh or fresh == order.wire_id:
            return None
        if (asked.user, fresh) in self.door.state.client_ids:
            return error(409, "order_already_exists")
        self.door.state.client_ids.add((asked.user, fresh))
        self.door.exchange.known[(order.account, fresh)] = order
        order.wire_id = fresh
        return None

    def _apply(self, order: Order, ticket: Ticket) -> web.Response:
        exchange, now_ns, before = self.door.exchange, self.door.desk.now(), order.remaining
        answer: dict[str, object] = {
            "order_id": order.venue_order, "client_order_id": order.wire_id, "ts_ms": now_ns // 1_000_000,
            "remaining_count": None, "fill_count": None, "average_fill_price": None, "average_fee_paid": None,
        }  # fmt: skip
        if ticket.price != order.price or ticket.quantity > order.remaining:
            verdict = exchange.amend(order.venue_order, replace(ticket, wire_id=order.wire_id), now_ns)
            if isinstance(verdict, Declined):
                if verdict.refusal == "funds":
                    return self.door.refusals.unfunded()
                return error(400, "invalid_order", details="post only cross")
            matched = sum(fill.quantity for fill in verdict.fills)
            if matched or order.remaining != before:
                answer |= {"fill_count": count_text(matched), "remaining_count": count_text(order.remaining)}
            return web.json_response(answer | averages(verdict.fills))
        if ticket.expires_ns != order.expires_ns:
            exchange.expire(order.venue_order, ticket.expires_ns, now_ns)
        if ticket.quantity < order.remaining:
            exchange.decrease(order.venue_order, ticket.quantity, now_ns, "Amend")
            answer |= {"fill_count": "0.00", "remaining_count": count_text(order.remaining)}
        return web.json_response(answer)

    def _decrease(self, asked: Asked) -> web.Response:
        body = asked.body
        wrong = misread(body, "DecreaseOrderV2Request")
        if wrong is not None:
            return wrong
        by, to = body.get("reduce_by"), body.get("reduce_to")
        if (by is None) == (to is None):
            return error(400, "invalid_parameters", details="exactly one of reduce_by and reduce_to is required")
        count = parse_scaled(str(by if to is None else to), 2)
        if count is None or count < 0 or (count == 0 and to is None):
            return error(400, "invalid_order", details="count is invalid")
        order = self._resting(asked, body.get("market_ticker"), body.get("exchange_index"))
        if isinstance(order, web.Response):
            return order
        left = order.remaining - count * CENT_OF_CONTRACT if to is None else count * CENT_OF_CONTRACT
        if left > order.remaining:
            return error(400, "invalid_order", details="reduce_to exceeds what is left")
        now_ns = self.door.desk.now()
        self.door.exchange.decrease(order.venue_order, max(0, left), now_ns, "Decrease")
        return web.json_response(
            {
                "order_id": order.venue_order, "client_order_id": order.wire_id,
                "remaining_count": count_text(order.remaining), "ts_ms": now_ns // 1_000_000,
            }
        )  # fmt: skip
