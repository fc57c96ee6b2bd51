"""Order entry in the Polymarket dialect: signed orders, alone or in batches, and the delay of those that take."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from venues.simulated.book import Order
from venues.simulated.credentials import PolymarketKey
from venues.simulated.desk import Preview, Reply, RequestRecord
from venues.simulated.happenings import MS, Bend, Declined, FeeRule, Fill, Terms, Ticket
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.polymarket_orders import UNREADABLE, Reader, SignedOrder, to_ticket
from venues.simulated.scale import UNIT, plain
from venues.simulated.universe import Pair

FOK_TEXT = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_TEXT = "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."
NOT_READY = "the market is not yet ready to process new orders"
BATCH_MOST = 15
IMMEDIATE = ("FOK", "FAK")


def terms(pairs: tuple[Pair, ...]) -> Terms:
    fees = {p.polymarket.condition_id: FeeRule(p.polymarket.fee_rate, p.polymarket.fee_exponent) for p in pairs}
    return Terms(netting=False, settles=True, fees=fees, kills_unmatched_ioc=True)


class PolymarketOrders:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door
        self.reader = Reader(door.tokens, door.wallets.at)
        self._waiting: dict[str, asyncio.Future[dict[str, object]]] = {}
        """Orders whose answer waits until their delay is over."""

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/order", self._place), web.post("/orders", self._place_many)]

    # one order

    async def _place(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        key, body = signed
        entry = self.door.desk.record(request, body, key.account, "")
        if self.door.throttled(key, "order", 1):
            return self._refused(entry, self.door.refusals.rate_limited())
        order = self._read(_loaded(body), key)
        if isinstance(order, web.Response):
            return self._refused(entry, order)
        entry.wire_id, entry.account = order.hash, order.account
        response = await self.door.desk.take_order(
            request,
            entry,
            lambda: self._preview(order, entry.body_sha256),
            lambda bend: self._execute(order, entry.body_sha256, bend, key),
            self.door.refusals,
            order.condition,
        )
        late = self._waiting.get(order.hash)
        if late is not None and response.status == 200:
            response = web.json_response(await asyncio.shield(late))
        return self._with_headers(response, key)

    def _read(self, loaded: Any, key: PolymarketKey) -> SignedOrder | web.Response:
        order = self.reader.read(loaded, key)
        if isinstance(order, SignedOrder) and self.door.closed_only(order.account) and order.action == "buy":
            wallet = self.door.owner_of(order.account)[1]
            return error(400, f"'{wallet}' address in closed only mode")
        return order

    def _refused(self, entry: RequestRecord, response: web.Response) -> web.Response:
        entry.status = response.status
        return response

    def _with_headers(self, response: web.StreamResponse, key: PolymarketKey) -> web.StreamResponse:
        if not response.prepared and "Poly-RateLimit-Tier" not in response.headers:
            response.headers.update(self.door.headers(key, "order"))
        return response

    def _execute(self, order: SignedOrder, body_sha256: str, bend: Bend | None, key: PolymarketKey) -> Reply:
        refusal = self.door.mode.refusal("place_post_only" if order.post_only else "place")
        if refusal is not None:
            return Reply(refusal, accepted=False)
        told = self.judge(order, body_sha256, bend, key)
        if isinstance(told, str):
            return Reply(error(400, told), accepted=False)
        return Reply(web.json_response(told), accepted=True)

    def _preview(self, order: SignedOrder, body_sha256: str) -> Preview:
        ticket = self._ticket(order, body_sha256)
        blocked = self.door.mode.refusal("place_post_only" if order.post_only else "place") is not None
        if isinstance(ticket, str):
            return Preview(False, 0, order.order_type.lower())
        plan = self.door.exchange.plan(ticket)
        refused = blocked or self.door.exchange.refusal(ticket, plan) is not None or self._too_small(ticket)
        return Preview(not refused, plan.quantity, ticket.time_in_force)

    # several

    async def _place_many(self, request: web.Request) -> web.StreamResponse:
        signed = await self.door.key_and_body(request)
        if isinstance(signed, web.Response):
            return signed
        key, body = signed
        entry = self.door.desk.record(request, body, key.account, "")
        loaded = _loaded(body)
        if not isinstance(loaded, list) or not loaded:
            return self._refused(entry, error(400, UNREADABLE))
        if len(loaded) > BATCH_MOST:
            text = f"Too many orders in payload: {len(loaded)}, max allowed: {BATCH_MOST}"
            return self._refused(entry, error(400, text))
        if self.door.throttled(key, "order", len(loaded)):
            return self._refused(entry, self.door.refusals.rate_limited())
        legs = [self._read(leg, key) for leg in loaded]
        good = [leg for leg in legs if isinstance(leg, SignedOrder)]
        entry.wire_id = ",".join(leg.hash for leg in good)
        if not good:
            return self._refused(entry, web.json_response([self._leg(leg, entry, None, key) for leg in legs]))
        response = await self.door.desk.take_order(
            request,
            entry,
            lambda: self._preview(good[0], entry.body_sha256),
            lambda bend: self._execute_many(legs, entry, bend, key),
            self.door.refusals,
            good[0].condition,
        )
        return self._with_headers(response, key)

    def _execute_many(
        self, legs: list[SignedOrder | web.Response], entry: RequestRecord, bend: Bend | None, key: PolymarketKey
    ) -> Reply:
        if self.door.mode.phase != "post_only":
            refusal = self.door.mode.refusal("place")
            if refusal is not None:
                return Reply(refusal, accepted=False)
        told = [self._leg(leg, entry, bend, key) for leg in legs]
        return Reply(web.json_response(told), accepted=any(leg["orderID"] for leg in told))

    def _leg(
        self, leg: SignedOrder | web.Response, entry: RequestRecord, bend: Bend | None, key: PolymarketKey
    ) -> dict[str, object]:
        if isinstance(leg, web.Response):
            told: dict[str, object] | str = str(json.loads(leg.text or "{}").get("error"))
        else:
            act_text = self.door.mode.leg_refusal("place_post_only" if leg.post_only else "place")
            told = act_text or self.judge(leg, entry.body_sha256, bend, key)
        if isinstance(told, str):
            return {**_answer("", ""), "errorMsg": told}
        return told

    # what becomes of an order

    def judge(
        self, order: SignedOrder, body_sha256: str, bend: Bend | None, key: PolymarketKey
    ) -> dict[str, object] | str:
        """Place an order: the answer of one that was taken, or the text that refuses it."""
        exchange, now_ns = self.door.exchange, self.door.desk.now()
        if (order.account, order.hash) in exchange.known:
            return f"order {order.hash} is invalid. Duplicated."
        ticket = self._ticket(order, body_sha256)
        if isinstance(ticket, str):
            return ticket
        if self._too_small(ticket):
            return f"invalid amount for a marketable BUY order (${plain(self._spend(ticket), 6)}), min size: $1"
        spec = self.door.by_condition[order.condition].polymarket
        delay_ns = bend.delay_ns if bend is not None and bend.delay_ns else spec.answered_delay_ms * MS
        silent_ns = 0 if delay_ns else spec.taker_delay_ms * MS
        self.door.placed_by[order.hash] = key.api_key
        if (delay_ns or silent_ns) and not ticket.post_only and exchange.plan(ticket).hits:
            return self._delay(ticket, bend, now_ns, delay_ns, silent_ns)
        verdict = exchange.submit(ticket, now_ns, bend)
        if isinstance(verdict, Declined):
            return self._refusal_text(ticket, verdict.refusal)
        return self._told(verdict.order, verdict.fills)

    def _delay(
        self, ticket: Ticket, bend: Bend | None, now_ns: int, delay_ns: int, silent_ns: int
    ) -> dict[str, object] | str:
        """Hold a marketable order. Nothing that the client does meanwhile changes that it meets the book afterwards."""
        verdict = self.door.exchange.hold(ticket, now_ns)
        if isinstance(verdict, Declined):
            return self._refusal_text(ticket, verdict.refusal)
        held = verdict.order
        if silent_ns:
            self._waiting[ticket.wire_id] = asyncio.get_running_loop().create_future()

        def end(at_ns: int) -> None:
            found = self.door.exchange.submit(ticket, at_ns, bend, held=held)
            if isinstance(found, Declined) and found.refusal in ("fok_unfilled", "fak_unmatched"):
                held.reason = "unmatched"
            waiting = self._waiting.pop(ticket.wire_id, None)
            if waiting is not None:
                waiting.set_result(self._told(held, () if isinstance(found, Declined) else found.fills))

        self.door.exchange.at(now_ns + (delay_ns or silent_ns), end)
        return _answer(ticket.wire_id, "delayed")

    def _told(self, order: Order, fills: tuple[Fill, ...]) -> dict[str, object]:
        if order.status == "killed":
            return _answer(order.wire_id, "unmatched")
        if not fills:
            return _answer(order.wire_id, "live")
        dollars = order.taker_cost
        making, taking = (dollars, order.matched) if order.action == "buy" else (order.matched, dollars)
        return {
            **_answer(order.wire_id, "matched"), "makingAmount": plain(making, 6), "takingAmount": plain(taking, 6),
            "tradeIDs": [fill.fill_id for fill in fills],
        }  # fmt: skip

    def _ticket(self, order: SignedOrder, body_sha256: str) -> Ticket | str:
        if not self.door.accepting(order.condition):
            return NOT_READY
        spec = self.door.by_condition[order.condition].polymarket
        return to_ticket(order, spec, body_sha256, self.door.desk.now())

    def _spend(self, ticket: Ticket) -> int:
        return ticket.spend if ticket.spend is not None else ticket.quantity * ticket.price // 10_000

    def _too_small(self, ticket: Ticket) -> bool:
        """A BUY that would trade at once must spend a dollar."""
        if ticket.action == "sell" or self._spend(ticket) >= UNIT:
            return False
        return ticket.spend is not None or bool(self.door.exchange.plan(ticket).hits)

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
            case "resolved":
                return NOT_READY
            case "fok_unfilled":
                return FOK_TEXT
            case _:
                return FAK_TEXT


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _answer(order_id: str, status: str) -> dict[str, object]:
    return {
        "success": True, "orderID": order_id, "status": status, "errorMsg": "", "makingAmount": "", "takingAmount": "",
    }  # fmt: skip
