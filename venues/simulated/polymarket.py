"""The Polymarket dialect over HTTP: the CLOB with signed orders, and the few Gamma and Data reads an engine needs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from venues.simulated.book import Order, Outcome, Side, own_price
from venues.simulated.buckets import Buckets
from venues.simulated.credentials import PolymarketKey, polymarket_key
from venues.simulated.desk import Desk, Preview, Reply
from venues.simulated.ethereum import CTF_V2, NEG_RISK_V2, same_address
from venues.simulated.exchange import Bend, Declined, Exchange, FeeRule, Fill, Match, Terms, Ticket
from venues.simulated.polymarket_auth import check_l1, check_l2, error
from venues.simulated.polymarket_book import book_told
from venues.simulated.polymarket_orders import read_order, to_ticket
from venues.simulated.scale import UNIT, plain
from venues.simulated.universe import Pair

FIRST, LAST = "MA==", "LTE="
PAGE = 100
FOK_TEXT = "order couldn't be fully filled. FOK orders are fully filled or killed."
FAK_TEXT = "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found."


def terms(pairs: tuple[Pair, ...]) -> Terms:
    fees = {p.polymarket.condition_id: FeeRule(p.polymarket.fee_rate, p.polymarket.fee_exponent) for p in pairs}
    return Terms(netting=False, settles=True, fees=fees, kills_unmatched_ioc=True)


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


class PolymarketRest:
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
        self._buckets, self._seed = buckets, seed

    @property
    def exchange(self) -> Exchange:
        return self.desk.exchange

    def routes(self) -> list[web.RouteDef]:
        public: list[tuple[str, Callable[[web.Request], web.Response]]] = [
            ("/time", lambda _: web.json_response(self.desk.now() // 1_000_000_000)),
            ("/ok", lambda _: web.json_response("OK")),
            ("/version", lambda _: web.json_response({"version": 2})),
            ("/book", self._book),
            ("/tick-size", self._tick_size),
            ("/neg-risk", self._neg_risk),
            ("/fee-rate", self._fee_rate),
            ("/clob-markets/{condition}", self._clob_market),
            ("/markets-by-token/{token}", self._by_token),
            ("/markets/keyset", self._gamma),
            ("/v2/positions", self._positions),
        ]
        return [
            *[web.get(path, self._open(answer)) for path, answer in public],
            web.post("/order", self._place),
            web.delete("/order", self._cancel_one),
            web.delete("/orders", self._cancel_many),
            web.delete("/cancel-all", self._cancel_all),
            web.get("/data/order/{id}", self._order),
            web.get("/data/orders", self._orders),
            web.get("/data/trades", self._trades),
            web.get("/balance-allowance", self._balance),
            web.get("/balance-allowance/update", self._balance),
            web.post("/auth/api-key", self._api_key),
            web.get("/auth/derive-api-key", self._api_key),
        ]

    def _open(self, answer: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            self.desk.flush()
            return answer(request)

        return respond

    async def _key(self, request: web.Request) -> tuple[PolymarketKey, bytes] | web.Response:
        body = await request.read()
        path = request.raw_path.partition("?")[0]
        key = check_l2(request.headers, request.method, path, body, self.keys, self.desk.now())
        return key if isinstance(key, web.Response) else (key, body)

    def _throttled(self, key: PolymarketKey, scope: str, cost: int) -> bool:
        return not self._buckets.take(key.address, scope, cost, self.desk.now())

    def _headers(self, key: PolymarketKey, scope: str) -> dict[str, str]:
        return {
            "Poly-RateLimit-Remaining": str(self._buckets.left(key.address, scope)),
            "Poly-RateLimit-Reset": str(self.desk.now() // 1_000_000_000 + 1),
            "Poly-RateLimit-Tier": self._buckets.tier.capitalize(),
        }

    # orders

    async def _place(self, request: web.Request) -> web.StreamResponse:
        signed = await self._key(request)
        if isinstance(signed, web.Response):
            return signed
        key, body = signed
        entry = self.desk.record(request, body, key.account, "")
        if self._throttled(key, "order", 1):
            entry.status = 429
            return self.refusals.rate_limited()
        try:
            loaded = json.loads(body)
        except ValueError:
            loaded = None
        order = read_order(loaded, key, self.tokens)
        if isinstance(order, web.Response):
            entry.status = order.status
            return order
        entry.wire_id = order.hash
        ticket: Ticket | web.Response
        if (key.account, order.hash) in self.exchange.known:
            ticket = error(400, f"order {order.hash} is invalid. Duplicated.")
        else:
            ticket = to_ticket(order, key.account, entry.body_sha256, self.desk.now())
        if isinstance(ticket, web.Response):
            entry.status = ticket.status
            return ticket
        checked = ticket
        response = await self.desk.take_order(
            request, entry, lambda: self._preview(checked), lambda bend: self._execute(checked, bend), self.refusals
        )
        if not response.prepared and "Poly-RateLimit-Tier" not in response.headers:
            response.headers.update(self._headers(key, "order"))
        return response

    def _preview(self, ticket: Ticket) -> Preview:
        plan = self.exchange.plan(ticket)
        refused = self.exchange.refusal(ticket, plan) is not None or self._too_small(ticket)
        return Preview(not refused, plan.quantity, ticket.time_in_force)

    def _too_small(self, ticket: Ticket) -> bool:
        """A BUY that would trade at once must spend a dollar."""
        if ticket.action == "sell":
            return False
        spend = ticket.spend if ticket.spend is not None else ticket.quantity * ticket.price // 10_000
        return spend < UNIT and (ticket.spend is not None or bool(self.exchange.plan(ticket).hits))

    def _execute(self, ticket: Ticket, bend: Bend | None) -> Reply:
        if self._too_small(ticket) and (ticket.account, ticket.wire_id) not in self.exchange.known:
            spend = ticket.spend if ticket.spend is not None else ticket.quantity * ticket.price // 10_000
            text = f"invalid amount for a marketable BUY order (${plain(spend, 6)}), min size: $1"
            return Reply(error(400, text), accepted=False)
        verdict = self.exchange.submit(ticket, self.desk.now(), bend)
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
        account = self.exchange.accounts[ticket.account]
        match refusal:
            case "duplicate":
                return f"order {ticket.wire_id} is invalid. Duplicated."
            case "funds":
                asked = self.exchange.needed(ticket, self.exchange.plan(ticket))
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
        signed = await self._key(request)
        if isinstance(signed, web.Response):
            return signed
        key, body = signed
        try:
            wanted = ids(json.loads(body)) if body else None
        except ValueError:
            wanted = None
        if everything:
            wanted = [
                o.wire_id for o in self.exchange.orders.values() if o.account == key.account and o.status == "live"
            ]
        entry = self.desk.record(request, body, key.account, ",".join(wanted or []))
        if wanted is None:
            entry.status = 400
            return error(400, "Invalid orderID")
        if self._throttled(key, "cancel", max(1, len(wanted))):
            entry.status = 429
            return self.refusals.rate_limited()
        asked = wanted

        def process() -> web.Response:
            self.exchange.advance(self.desk.now())
            canceled: list[str] = []
            kept: dict[str, str] = {}
            for order_id in asked:
                order = self.exchange.orders.get(order_id)
                if order is None or order.account != key.account:
                    kept[order_id] = "Order not found or already canceled"
                elif self.exchange.cancel(order_id, self.desk.now()) is not None:
                    canceled.append(order_id)
                else:
                    kept[order_id] = (
                        "Order already matched" if order.status == "matched" else "already canceled or matched"
                    )
            return web.json_response({"canceled": canceled, "not_canceled": kept}, headers=self._headers(key, "cancel"))

        return await self.desk.guard(request, "cancel", process, self.refusals, entry)

    # private reads

    async def _order(self, request: web.Request) -> web.StreamResponse:
        signed = await self._key(request)
        if isinstance(signed, web.Response):
            return signed
        self.desk.flush()

        def process() -> web.Response:
            order = self.exchange.orders.get(request.match_info["id"])
            if order is None or order.account != signed[0].account:
                return error(404, "Order not found")
            return web.json_response(self.order_told(order))

        return await self.desk.guard(request, "lookup", process, self.refusals)

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

    async def _orders(self, request: web.Request) -> web.StreamResponse:
        signed = await self._key(request)
        if isinstance(signed, web.Response):
            return signed
        self.desk.flush()
        query = request.query
        rows = [
            self.order_told(o)
            for o in self.exchange.orders.values()
            if o.account == signed[0].account and o.status == "live"
            and query.get("id", o.wire_id) == o.wire_id
            and query.get("market", o.market) == o.market
            and query.get("asset_id") in (None, self.by_condition[o.market].polymarket.token(o.outcome))
        ]  # fmt: skip
        return page_of(rows, query.get("next_cursor", FIRST))

    async def _trades(self, request: web.Request) -> web.StreamResponse:
        signed = await self._key(request)
        if isinstance(signed, web.Response):
            return signed
        self.desk.flush()
        account = signed[0].account

        def process() -> web.Response:
            query, rows = request.query, []
            for fill in reversed(self.exchange.fills):
                told_at = fill.at_ns // 1_000_000_000
                if fill.order.account != account or query.get("id", fill.fill_id) != fill.fill_id:
                    continue
                if query.get("market", fill.order.market) != fill.order.market:
                    continue
                token = self.by_condition[fill.order.market].polymarket.token(fill.outcome)
                if query.get("asset_id", token) != token:
                    continue
                after, before = query.get("after", ""), query.get("before", "")
                if (after.isdigit() and told_at < int(after)) or (before.isdigit() and told_at > int(before)):
                    continue
                rows.append(self.trade_told(fill.match, fill, "TRADE_STATUS_"))
            return page_of(rows, query.get("next_cursor", FIRST))

        return await self.desk.guard(request, "fills", process, self.refusals)

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

    async def _balance(self, request: web.Request) -> web.StreamResponse:
        signed = await self._key(request)
        if isinstance(signed, web.Response):
            return signed
        self.desk.flush()
        account = self.exchange.accounts[signed[0].account]
        kind, token = request.query.get("asset_type", "COLLATERAL"), request.query.get("token_id", "")

        def process() -> web.Response:
            if kind == "COLLATERAL":
                balance = account.cash - account.unsettled_cash
            elif kind == "CONDITIONAL" and token in self.tokens:
                pair, outcome = self.tokens[token]
                balance = account.settled_tokens(pair.polymarket.condition_id, outcome)
            else:
                return error(400, "Invalid asset type or token id")
            allowances = {CTF_V2: str(2**256 - 1), NEG_RISK_V2: str(2**256 - 1)}
            return web.json_response({"balance": str(balance), "allowances": allowances})

        return await self.desk.guard(request, "balance", process, self.refusals)

    async def _api_key(self, request: web.Request) -> web.Response:
        proved = check_l1(request.headers)
        if isinstance(proved, web.Response):
            return proved
        address, nonce = proved
        account = next((k.account for k in self.keys.values() if same_address(k.address, address)), None)
        if account is None:
            return error(401, "Invalid L1 Request headers")
        key = polymarket_key(self._seed, nonce, account)
        self.keys[key.api_key] = key
        return web.json_response({"apiKey": key.api_key, "secret": key.secret, "passphrase": key.passphrase})

    # public reads

    def _of_token(self, request: web.Request) -> tuple[Pair, Outcome] | None:
        return self.tokens.get(request.query.get("token_id", ""))

    def _book(self, request: web.Request) -> web.Response:
        found = self._of_token(request)
        if found is None:
            return error(404, "No orderbook exists for the requested token id")
        book = self.exchange.books[found[0].polymarket.condition_id]
        return web.json_response(book_told(book, found[0], found[1], self.desk.now()))

    def _tick_size(self, request: web.Request) -> web.Response:
        found = self._of_token(request)
        if found is None:
            return error(404, "market not found")
        return web.json_response({"minimum_tick_size": found[0].polymarket.tick / 10_000})

    def _neg_risk(self, request: web.Request) -> web.Response:
        found = self._of_token(request)
        if found is None:
            return error(404, "market not found")
        return web.json_response({"neg_risk": found[0].polymarket.neg_risk})

    def _fee_rate(self, request: web.Request) -> web.Response:
        found = self._of_token(request)
        if found is None:
            return error(404, "fee rate not found for market")
        return web.json_response({"base_fee": int(found[0].polymarket.fee_rate * 1_000)})

    def _clob_market(self, request: web.Request) -> web.Response:
        pair = self.by_condition.get(request.match_info["condition"].lower())
        if pair is None:
            return error(404, "market not found")
        spec = pair.polymarket
        return web.json_response(
            {
                "c": spec.condition_id, "t": [{"t": spec.yes_token, "o": "Yes"}, {"t": spec.no_token, "o": "No"}],
                "mos": spec.min_size / UNIT, "mts": spec.tick / 10_000, "nr": spec.neg_risk,
                "fd": {"r": float(spec.fee_rate), "e": spec.fee_exponent, "to": True}, "itode": False, "tbf": 0, "mbf": 0,
                "gst": None, "oas": 0, "rfqe": False, "ibce": False,
            }
        )  # fmt: skip

    def _by_token(self, request: web.Request) -> web.Response:
        found = self.tokens.get(request.match_info["token"])
        if found is None:
            return error(404, "market not found")
        spec = found[0].polymarket
        return web.json_response(
            {
                "condition_id": spec.condition_id, "primary_token_id": spec.yes_token,
                "secondary_token_id": spec.no_token,
            }
        )  # fmt: skip

    def _gamma(self, request: web.Request) -> web.Response:
        limit = min(100, int(request.query.get("limit", "100")) if request.query.get("limit", "100").isdigit() else 100)
        after = request.query.get("after_cursor", "")
        try:
            start = int(base64.urlsafe_b64decode(after)) if after else 0
        except ValueError:
            start = 0
        wanted = request.query.getall("condition_ids", []) + request.query.getall("condition_id", [])
        pairs = [p for p in self.pairs if not wanted or p.polymarket.condition_id in wanted]
        rows = [self._gamma_told(pair) for pair in pairs[start : start + limit]]
        more = start + limit < len(pairs)
        cursor = base64.urlsafe_b64encode(str(start + limit).encode()).decode() if more else None
        return web.json_response({"markets": rows, "next_cursor": cursor})

    def _gamma_told(self, pair: Pair) -> dict[str, object]:
        spec, book = pair.polymarket, self.exchange.books[pair.polymarket.condition_id]
        side: Side = "bid"
        yes = book.best(side) or 0
        return {
            "id": pair.id, "conditionId": spec.condition_id, "question": pair.title, "slug": pair.id, "version": "v1",
            "description": pair.rules, "outcomes": '["Yes", "No"]',
            "outcomePrices": json.dumps([plain(yes, 4), plain(10_000 - yes, 4)]),
            "clobTokenIds": json.dumps([spec.yes_token, spec.no_token]), "positionIds": None,
            "orderPriceMinTickSize": spec.tick / 10_000, "orderMinSize": spec.min_size / UNIT, "negRisk": spec.neg_risk,
            "enableNegRisk": spec.neg_risk, "negRiskAugmented": False, "acceptingOrders": True, "active": True,
            "closed": False, "archived": False, "enableOrderBook": True, "feesEnabled": spec.fee_rate > 0,
            "feeSchedule": {
                "rate": float(spec.fee_rate), "exponent": spec.fee_exponent, "takerOnly": True, "rebateRate": 0.25,
            },
            "secondsDelay": 0, "endDate": "2027-12-31T00:00:00Z", "umaResolutionStatus": None,
        }  # fmt: skip

    def _positions(self, request: web.Request) -> web.Response:
        user = request.query.get("user", "")
        account = next((k.account for k in self.keys.values() if same_address(k.address, user)), None)
        rows: list[dict[str, object]] = []
        if account is not None:
            held = self.exchange.accounts[account]
            for market, _ in list(held.positions.items()):
                spec = self.by_condition[market].polymarket
                outcomes: tuple[Outcome, Outcome] = ("yes", "no")
                for index, outcome in enumerate(outcomes):
                    size = held.settled_tokens(market, outcome)
                    if size > 0:
                        rows.append(
                            {
                                "user": user, "asset": spec.token(outcome), "condition_id": market,
                                "size": plain(size, 6), "outcome": outcome.capitalize(), "outcome_index": index,
                                "negative_risk": spec.neg_risk, "status": "OPEN", "title": self.by_condition[market].title,
                            }
                        )  # fmt: skip
        return web.json_response({"data": rows or None, "pagination": {"next_cursor": None}})


def page_of(rows: list[dict[str, Any]], cursor: str) -> web.Response:
    """One page; a cursor is the base64 text of an offset, and `LTE=` (-1) says that there is no more."""
    try:
        start = int(base64.b64decode(cursor or FIRST))
    except ValueError:
        return error(400, "invalid next_cursor")
    page = rows[start : start + PAGE] if start >= 0 else []
    more = start >= 0 and start + PAGE < len(rows)
    following = base64.b64encode(str(start + PAGE).encode()).decode() if more else LAST
    return web.json_response({"limit": PAGE, "next_cursor": following, "count": len(page), "data": page})
