"""Order entry in the Kalshi dialect: string numbers, permanent ids, batches billed by the item, and the venue's own refusals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from venues.simulated.accounts import owner
from venues.simulated.book import Order, own_price
from venues.simulated.desk import Preview, Reply, RequestRecord
from venues.simulated.exchange import KILLS
from venues.simulated.happenings import Bend, Declined, Fill, Refusal, Terms, Ticket
from venues.simulated.happenings import FeeRule as Fee
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import DEFAULT_COST, Asked, KalshiDoor
from venues.simulated.kalshi_forms import Wanted, misread, read_create
from venues.simulated.kalshi_words import PREFIX, flat_error
from venues.simulated.scale import PRICE_ONE, count_text, price_text
from venues.simulated.universe import Pair

ORDERS = "/portfolio/events/orders"
RETIRED = (
    ("POST", ""), ("POST", "/batched"), ("DELETE", "/batched"), ("DELETE", "/{order_id}"), ("POST", "/{order_id}/amend"),
    ("POST", "/{order_id}/decrease"),
)  # fmt: skip
BATCH_MAX = 100


def terms(pairs: tuple[Pair, ...]) -> Terms:
    return Terms(netting=True, settles=False, fees={p.kalshi.ticker: Fee(p.kalshi.fee_multiplier) for p in pairs})


class KalshiOrders:
    """Order entry: read, judge, place."""

    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post(PREFIX + ORDERS, self._create),
            self.door.serve("POST", ORDERS + "/batched", self._batch, charge=items_of, needs="exchange"),
            *[
                self.door.serve(method, "/portfolio/orders" + path, self._retired, keep=True)
                for method, path in RETIRED
            ],
        ]

    def _retired(self, _asked: Asked) -> web.Response:
        return error(400, "endpoint_retired", "Please switch to the V2 endpoints")

    # one order

    async def _create(self, request: web.Request) -> web.StreamResponse:
        signer = self.door.signer_of(request)
        if isinstance(signer, web.Response):
            return signer
        asked = Asked(request, signer.account, signer, raw=await request.read())
        loaded = decoded(asked.raw)
        wire_id = loaded.get("client_order_id", "") if isinstance(loaded, dict) else ""
        entry = asked.entry = self.door.desk.record(request, asked.raw, asked.user, wire_id)
        wanted: Wanted | web.Response
        if isinstance(loaded, web.Response):
            wanted = loaded
        elif not self.door.allowed(signer, "POST", ORDERS):
            wanted = error(403, "forbidden", details="the key's scopes do not include this")
        elif not self.door.affords(asked.user, "write", DEFAULT_COST):
            wanted = self.door.refusals.rate_limited()
        else:
            wanted = self._read(asked, loaded, entry)
        if isinstance(wanted, web.Response):
            entry.status = wanted.status
            return wanted
        taken = wanted
        return await self.door.desk.take_order(
            request,
            entry,
            lambda: self._preview(taken.ticket),
            lambda bend: self._place(asked, taken, entry.body_sha256, bend),
            self.door.refusals,
            market=taken.ticket.market,
        )

    def _read(self, asked: Asked, body: dict[str, Any], entry: RequestRecord) -> Wanted | web.Response:
        self.door.desk.flush()
        wanted = read_create(self.door, asked, body)
        if not isinstance(wanted, web.Response):
            entry.wire_id = wanted.ticket.wire_id
        return wanted

    def _preview(self, ticket: Ticket) -> Preview:
        plan = self.door.exchange.plan(ticket)
        return Preview(self.door.exchange.refusal(ticket, plan) is None, plan.quantity, ticket.time_in_force)

    def _place(self, asked: Asked, wanted: Wanted, body_sha256: str, bend: Bend | None) -> Reply:
        now_ns, ticket = self.door.desk.now(), wanted.ticket
        life = self.door.state.lives[ticket.market]
        late = self.door.closed(life.shard, "trading") or self.door.inactive(life, entry=True)
        if late is not None:  # it was read in time, and reached the book too late
            return Reply(late, accepted=False)
        if not life.on_grid(ticket.price):
            return Reply(error(400, "invalid_price"), accepted=False)
        if wanted.stp == "maker":
            self._make_way(ticket, now_ns)
        verdict = self.door.exchange.submit(ticket, now_ns, bend)
        if isinstance(verdict, Declined):
            if verdict.refusal in KILLS:
                self.door.state.client_ids.add((asked.user, ticket.wire_id))
            return Reply(self.refused(verdict.refusal), accepted=False)
        order = verdict.order
        order.stp, order.body_sha256 = wanted.stp, body_sha256
        self.door.state.client_ids.add((asked.user, ticket.wire_id))
        self.door.state.notes[order.venue_order] = wanted.note
        group = self.door.state.groups.get(wanted.note.group)
        if group is not None:
            group.orders.append(order)
        answer: dict[str, object] = {
            "client_order_id": order.wire_id, "order_id": order.venue_order, "fill_count": count_text(order.matched),
            "remaining_count": count_text(order.remaining), "ts_ms": now_ns // 1_000_000,
        }  # fmt: skip
        return Reply(web.json_response(answer | averages(verdict.fills), status=201), accepted=True)

    def _make_way(self, ticket: Ticket, now_ns: int) -> None:
        """Self-trade prevention `maker`: the own orders that this one would reach are cancelled first."""
        limit, left, met = own_price(ticket.outcome, ticket.price), ticket.quantity, list[Order]()
        for order in self.door.exchange.books[ticket.market].crossing(ticket.side, limit):
            if left <= 0:
                break
            if owner(order.account) == owner(ticket.account):
                met.append(order)
            else:
                left -= order.remaining
        for own in met:
            self.door.exchange.cancel(own.venue_order, now_ns, "SelfTradeCancel")

    def refused(self, refusal: Refusal) -> web.Response:
        answers: dict[Refusal, Callable[[], web.Response]] = {
            "duplicate": lambda: error(409, "order_already_exists"),
            "funds": self.door.refusals.unfunded,
            "post_only_cross": lambda: error(400, "invalid_order", details="post only cross"),
            "fok_unfilled": lambda: error(409, "fill_or_kill_insufficient_resting_volume"),
            "fak_unmatched": lambda: error(409, "immediate_or_cancel_insufficient_resting_volume"),
            "resolved": lambda: error(400, "MARKET_INACTIVE", "market is not active"),
        }
        return answers[refusal]()

    # many at once

    def _batch(self, asked: Asked) -> web.Response:
        """Each item is an order of its own with an answer of its own; one may fail and the next succeed."""
        orders = asked.body.get("orders")
        if not isinstance(orders, list) or not orders or not all(isinstance(item, dict) for item in orders):
            return error(400, "invalid_parameters", details="orders is required")
        if len(orders) > BATCH_MAX:
            return error(400, "invalid_parameters", details=f"at most {BATCH_MAX} orders")
        return web.json_response({"orders": [self._item(asked, item) for item in orders]}, status=201)

    def _item(self, asked: Asked, body: dict[str, Any]) -> dict[str, Any]:
        raw = json.dumps(body).encode()
        wire_id = str(body.get("client_order_id") or "")
        entry = self.door.desk.record(asked.request, raw, asked.user, wire_id)
        wanted = misread(body, "CreateOrderV2Request") or self._read(asked, body, entry)
        reply = (
            Reply(wanted, accepted=False)
            if isinstance(wanted, web.Response)
            else self._place(asked, wanted, hashlib.sha256(raw).hexdigest(), None)
        )
        entry.status, entry.accepted = reply.response.status, reply.accepted
        told: dict[str, Any] = json.loads(reply.response.text or "{}")
        empty = {"fill_count": None, "remaining_count": None, "ts_ms": None, "average_fill_price": None}
        base = {**empty, "average_fee_paid": None, "client_order_id": wire_id or None}
        if reply.accepted:
            return base | told | {"error": None}
        return base | {"order_id": "", "error": told.get("error", told)}


def items_of(asked: Asked) -> int:
    orders = asked.body.get("orders")
    return max(1, len(orders)) if isinstance(orders, list) else 1


def decoded(raw: bytes) -> dict[str, Any] | web.Response:
    try:
        loaded = json.loads(raw)
    except ValueError:
        return flat_error("invalid character in JSON body")
    if not isinstance(loaded, dict):
        return flat_error("json: cannot unmarshal into Go value of type CreateOrderV2Request")
    return misread(loaded, "CreateOrderV2Request") or loaded


def averages(fills: tuple[Fill, ...]) -> dict[str, object]:
    """Means by volume of price and fee, truncated; absent where nothing was matched."""
    matched = sum(fill.quantity for fill in fills)
    if not matched:
        return {}
    paid, fees = sum(f.quantity * f.price for f in fills), sum(f.fee for f in fills)
    return {
        "average_fill_price": price_text(paid // matched), "average_fee_paid": price_text(fees * PRICE_ONE // matched),
    }  # fmt: skip
