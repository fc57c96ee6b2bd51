"""Polymarket's public reads: books, market facts, and the little of Gamma that an engine needs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from aiohttp import web

from venues.simulated.book import Outcome, Side
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_book import book_told
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.scale import UNIT, plain
from venues.simulated.universe import Pair


class PolymarketMarkets:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        answers: list[tuple[str, Callable[[web.Request], web.Response]]] = [
            ("/time", lambda _: web.json_response(self.door.desk.now() // 1_000_000_000)),
            ("/ok", lambda _: web.json_response("OK")),
            ("/version", lambda _: web.json_response({"version": 2})),
            ("/book", self._book),
            ("/tick-size", self._tick_size),
            ("/neg-risk", self._neg_risk),
            ("/fee-rate", self._fee_rate),
            ("/clob-markets/{condition}", self._clob_market),
            ("/markets-by-token/{token}", self._by_token),
            ("/markets/keyset", self._gamma),
        ]
        gets = [web.get(path, self.door.public(answer)) for path, answer in answers]
        return [*gets, web.post("/books", self._books)]

    def _of_token(self, request: web.Request) -> tuple[Pair, Outcome] | None:
        return self.door.tokens.get(request.query.get("token_id", ""))

    def _book(self, request: web.Request) -> web.Response:
        found = self._of_token(request)
        if found is None:
            return error(404, "No orderbook exists for the requested token id")
        book = self.door.exchange.books[found[0].polymarket.condition_id]
        return web.json_response(book_told(book, found[0], found[1], self.door.desk.now()))

    async def _books(self, request: web.Request) -> web.Response:
        try:
            asked = json.loads(await request.read())
            tokens = [str(entry["token_id"]) for entry in asked]
        except (ValueError, TypeError, KeyError):
            return error(400, "Invalid payload")
        self.door.desk.flush()
        found = [(token, self.door.tokens[token]) for token in tokens if token in self.door.tokens]
        books = self.door.exchange.books
        return web.json_response(
            [book_told(books[p.polymarket.condition_id], p, outcome, self.door.desk.now()) for _, (p, outcome) in found]
        )

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
        pair = self.door.by_condition.get(request.match_info["condition"].lower())
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
        found = self.door.tokens.get(request.match_info["token"])
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
        pairs = [p for p in self.door.pairs if not wanted or p.polymarket.condition_id in wanted]
        rows = [self._gamma_told(pair) for pair in pairs[start : start + limit]]
        more = start + limit < len(pairs)
        cursor = base64.urlsafe_b64encode(str(start + limit).encode()).decode() if more else None
        return web.json_response({"markets": rows, "next_cursor": cursor})

    def _gamma_told(self, pair: Pair) -> dict[str, object]:
        spec, book = pair.polymarket, self.door.exchange.books[pair.polymarket.condition_id]
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
