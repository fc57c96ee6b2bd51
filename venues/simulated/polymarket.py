"""Order entry in the Polymarket dialect: signed orders, dollars and shares, cancels that always answer 200."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from venues.simulated.desk import Preview, Reply
from venues.simulated.happenings import Bend, Declined, FeeRule, Terms, Ticket
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.polymarket_orders import read_order, to_ticket
from venues.simulated.scale import UNIT, plain
from venues.simulated.universe import Pair

FOK_TEXT = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_TEXT = "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."


def terms(pairs: tuple[Pair, ...]) -> Terms:
    fees = {p.polymarket.condition_id: FeeRule(p.polymarket.fee_rate, p.polymarket.fee_exponent) for p in pairs}
    return Terms(netting=False, settles=True, fees=fees, kills_unmatched_ioc=True)


class PolymarketOrders:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/order", self._place),
            web.delete("/order", self._cancel_one),
            web.delete("/orders", self._cancel_many),
            web.delete("/cancel-all", self._cancel_all),
        ]

    async def _place(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        key, body = signed
        entry = self.door.desk.record(request, body, key.account, "")
        if self.door.throttled(key, "order", 1):
            entry.status = 429
            return self.door.refusals.rate_limited()
        try:
            loaded = json.loads(body)
        except ValueError:
            loaded = None
        order = read_order(loaded, key, self.door.tokens)
        if isinstance(order, web.Response):
            entry.status = order.status
            return order
        entry.wire_id = order.hash
        ticket: Ticket | web.Response
        if (key.account, order.hash) in self.door.exchange.known:
            ticket = error(400, f"order {order.hash} is invalid. Duplicated.")
        else:
            ticket = to_ticket(order, key.account, entry.body_sha256, self.door.desk.now())
        if isinstance(ticket, web.Response):
            entry.status = ticket.status
            return ticket
        checked = ticket
        response = await self.door.desk.take_order(
            request,
            entry,
            lambda: self._preview(checked),
            lambda bend: self._execute(checked, bend),
            self.door.refusals,
        )
        if not response.prepared and "Poly-RateLimit-Tier" not in response.headers:
            response.headers.update(self.door.headers(key, "order"))
        return response

    def _preview(self, ticket: Ticket) -> Preview:
        plan = self.door.exchange.plan(ticket)
        refused = self.door.exchange.refusal(ticket, plan) is not None or self._too_small(ticket)
        return Preview(not refused, plan.quantity, ticket.time_in_force)

    def _too_small(self, ticket: Ticket) -> bool:
        """A BUY that would trade at once must spend a dollar."""
        if ticket.action == "sell":
            return False
        spend = ticket.spend if ticket.spend is not None else ticket.quantity * ticket.price // 10_000
        return spend < UNIT and (ticket.spend is not None or bool(self.door.exchange.plan(ticket).hits))

    def _execute(self, ticket: Ticket, bend: Bend | None) -> Reply:
        if self._too_small(ticket) and (ticket.account, ticket.wire_id) not in self.door.exchange.known:
            spend = ticket.spend if ticket.spend is not None else ticket.quantity * ticket.price // 10_000
            text = f"invalid amount for a marketable BUY order (${plain(spend, 6)}), min size: $1"
            return Reply(error(400, text), accepted=False)
        verdict = self.door.exchange.submit(ticket, self.door.desk.now(), bend)
        if isinstance(verdict, Declined):
            return Reply(error(400, self._refusal_text(ticket, verdict.refusal)), accepted=False)
        order = verdict.order
        dollars = order.taker_cost
        making, taking = (dollars, order.matched) if order.action == "buy" else (order.matched, dollars)
        matched = order.matched > 0
        answer: dict[str, object] = {
            "success": True, "orderID": order.wire_id, "status": "matched" if matched else "live", "errorMsg": "",
            "makingAmount": plain(making, 6) if matched else "", "takingAmount": plain(taking, 6) if matched else "",
        }  # fmt: skip
        if matched:
            answer["tradeIDs"] = [fill.fill_id for fill in verdict.fills]
        return Reply(web.json_response(answer), accepted=True)

    def _refusal_text(self, ticket: Ticket, refusal: str) -> str:
        account = self.door.exchange.accounts[ticket.account]
        match refusal:
            case "duplicate":
                return f"order {ticket.wire_id} is invalid. Duplicated."
            case "funds":
                asked = self.door.exchange.needed(ticket, self.door.exchange.plan(ticket))
                return (
                    "not enough balance / allowance: the balance is not enough -> "
                    f"balance: {account.available}, order amount: {asked}"
                )
            case "tokens":
                free = max(0, account.sellable_tokens(ticket.market, ticket.outcome))
                return (
                    "not enough balance / allowance: the balance is not enough -> "
                    f"balance: {free}, order amount: {ticket.quantity}"
                )
            case "post_only_cross":
                return "invalid post-only order: order crosses book"
            case "fok_unfilled":
                return FOK_TEXT
            case _:
                return FAK_TEXT

    async def _cancel_one(self, request: web.Request) -> web.StreamResponse:
        def ids(loaded: Any) -> list[str] | None:
            found = loaded.get("orderID") if isinstance(loaded, dict) else None
            return [found] if isinstance(found, str) else None

        return await self._cancel(request, ids)

    async def _cancel_many(self, request: web.Request) -> web.StreamResponse:
        def ids(loaded: Any) -> list[str] | None:
            good = isinstance(loaded, list) and len(loaded) <= 1000 and all(isinstance(i, str) for i in loaded)
            return list(dict.fromkeys(loaded)) if good else None

        return await self._cancel(request, ids)

    async def _cancel_all(self, request: web.Request) -> web.StreamResponse:
        return await self._cancel(request, lambda _: None, everything=True)

    async def _cancel(
        self, request: web.Request, ids: Callable[[Any], list[str] | None], everything: bool = False
    ) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        key, body = signed
        try:
            wanted = ids(json.loads(body)) if body else None
        except ValueError:
            wanted = None
        if everything:
            wanted = [
                o.wire_id for o in self.door.exchange.orders.values() if o.account == key.account and o.status == "live"
            ]
        entry = self.door.desk.record(request, body, key.account, ",".join(wanted or []))
        if wanted is None:
            entry.status = 400
            return error(400, "Invalid orderID")
        if self.door.throttled(key, "cancel", max(1, len(wanted))):
            entry.status = 429
            return self.door.refusals.rate_limited()
        asked = wanted

        def process() -> web.Response:
            self.door.exchange.advance(self.door.desk.now())
            canceled: list[str] = []
            kept: dict[str, str] = {}
            for order_id in asked:
                order = self.door.exchange.orders.get(order_id)
                if order is None or order.account != key.account:
                    kept[order_id] = "Order not found or already canceled"
                elif self.door.exchange.cancel(order_id, self.door.desk.now()) is not None:
                    canceled.append(order_id)
                else:
                    kept[order_id] = (
                        "Order already matched" if order.status == "matched" else "already canceled or matched"
                    )
            return web.json_response(
                {"canceled": canceled, "not_canceled": kept}, headers=self.door.headers(key, "cancel")
            )

        return await self.door.desk.guard(request, "cancel", process, self.door.refusals, entry)
