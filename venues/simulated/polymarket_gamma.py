"""Gamma, Polymarket's service of metadata: markets and events, by pages whose cursor is a key, and the older ones by offset."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from venues.simulated.book import Outcome
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.scale import PRICE_ONE, UNIT, plain
from venues.simulated.universe import Pair, is_v2_position

PAGE_MOST = 100
OFFSET_MOST = 2_000
FILTERS = ("limit", "offset", "condition_ids", "clob_token_ids", "slug", "closed", "active", "id", "order", "ascending")
OLD = {"deprecation": "true", "sunset": "Fri, 01 May 2026 00:00:00 GMT"}


class PolymarketGamma:
    END = "2027-12-31T00:00:00Z"

    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        public = self.door.public
        return [
            web.get("/markets/keyset", public(lambda r: self._keyset(r, "markets", self._chosen(r)))),
            web.get("/events/keyset", public(lambda r: self._keyset(r, "events", self._events(r)))),
            web.get("/events", public(lambda r: self._offset(r, self._events(r)))),
            web.get("/events/{id}", public(self._event)),
        ]

    def meant(self, request: web.Request) -> bool:
        return any(name in request.query for name in FILTERS)

    def old_markets(self, request: web.Request) -> web.Response:
        return self._offset(request, self._chosen(request))

    # pages

    def _keyset(self, request: web.Request, name: str, rows: list[dict[str, object]]) -> web.Response:
        """The cursor is the key of the last row, so that pages hold together while rows come and go."""
        asked = request.query.get("limit", "20")
        if not asked.isdigit() or not 0 < int(asked) <= PAGE_MOST:
            return error(422, f"limit must be between 1 and {PAGE_MOST}")
        rows = sorted(rows, key=lambda row: str(row["id"]))
        after = request.query.get("after_cursor", "")
        if after:
            try:
                key = base64.urlsafe_b64decode(after).decode()
            except ValueError:
                return error(422, "invalid after_cursor")
            rows = [row for row in rows if str(row["id"]) > key]
        page = rows[: int(asked)]
        told: dict[str, object] = {name: page}
        if len(rows) > len(page):
            told["next_cursor"] = base64.urlsafe_b64encode(str(page[-1]["id"]).encode()).decode()
        return web.json_response(told)

    def _offset(self, request: web.Request, rows: list[dict[str, object]]) -> web.Response:
        limit, offset = request.query.get("limit", "20"), request.query.get("offset", "0")
        if not limit.isdigit() or not offset.isdigit() or int(offset) > OFFSET_MOST:
            return error(422, "invalid limit or offset")
        start = int(offset)
        return web.json_response(rows[start : start + min(int(limit), PAGE_MOST)], headers=OLD)

    def _event(self, request: web.Request) -> web.Response:
        found = next((e for e in self._events(request) if request.match_info["id"] in (e["id"], e["slug"])), None)
        return error(404, "id not found") if found is None else web.json_response(found)

    # rows

    def _chosen(self, request: web.Request) -> list[dict[str, object]]:
        query = request.query
        wanted = {c.lower() for name in ("condition_ids", "condition_id") for c in _many(query.getall(name, []))}
        tokens = set(_many(query.getall("clob_token_ids", [])))
        slugs = {*_many(query.getall("slug", [])), *_many(query.getall("id", []))}
        rows = []
        for pair in self.door.pairs:
            spec = pair.polymarket
            if wanted and spec.condition_id not in wanted:
                continue
            if (tokens and not tokens & {spec.yes_token, spec.no_token}) or (slugs and pair.id not in slugs):
                continue
            told = self.told(pair)
            if query.get("closed") in ("true", "false") and told["closed"] != (query["closed"] == "true"):
                continue
            rows.append(told)
        return rows

    def _events(self, request: web.Request) -> list[dict[str, object]]:
        groups: dict[str, list[Pair]] = {}
        for pair in self.door.pairs:
            groups.setdefault(pair.group, []).append(pair)
        rows = [self._event_told(group, pairs) for group, pairs in groups.items()]
        closed = request.query.get("closed")
        slugs = set(_many(request.query.getall("slug", [])))
        return [
            row for row in rows
            if (closed not in ("true", "false") or row["closed"] == (closed == "true"))
            and (not slugs or row["slug"] in slugs)
        ]  # fmt: skip

    def _event_told(self, group: str, pairs: list[Pair]) -> dict[str, object]:
        neg_risk = all(p.polymarket.neg_risk for p in pairs)
        markets = [self.told(pair) for pair in pairs]
        augmented = neg_risk and any(p.polymarket.augmented for p in pairs)
        return {
            "id": group, "slug": group, "ticker": group, "title": group.replace("-", " ").capitalize(), "active": True,
            "closed": all(m["closed"] for m in markets), "archived": False, "negRisk": neg_risk,
            "enableNegRisk": neg_risk, "negRiskAugmented": augmented, "endDate": self.END,
            "negRiskMarketID": self.event_id(pairs[0]) if neg_risk else None, "category": "Sample",
            "tags": [{"id": "1", "label": "Sample", "slug": "sample"}], "markets": markets,
        }  # fmt: skip

    def event_id(self, pair: Pair) -> str:
        """The id of a negRisk event on the chain: its markets' conversions are by it."""
        return "0x" + hashlib.sha256(f"event/{pair.group}".encode()).hexdigest()

    def price(self, pair: Pair, outcome: Outcome) -> int:
        """Midpoint, last trade or pay-out of one outcome."""
        condition = pair.polymarket.condition_id
        pays = self.door.exchange.payouts.get(condition)
        if pays is not None:
            return pays[0 if outcome == "yes" else 1] * PRICE_ONE // 2
        book = self.door.exchange.books[condition]
        bid, ask = book.best("bid"), book.best("ask")
        yes = (bid + ask) // 2 if bid is not None and ask is not None else book.last_trade or PRICE_ONE // 2
        return yes if outcome == "yes" else PRICE_ONE - yes

    def told(self, pair: Pair) -> dict[str, object]:
        spec, condition = pair.polymarket, pair.polymarket.condition_id
        resolved = condition in self.door.exchange.payouts
        book = self.door.exchange.books[condition]
        bid, ask = book.best("bid"), book.best("ask")
        last = is_v2_position(int(spec.yes_token))
        return {
            "id": pair.id, "conditionId": condition, "question": pair.title, "slug": pair.id,
            "version": "v2" if last else "v1", "description": pair.rules, "outcomes": '["Yes", "No"]',
            "outcomePrices": json.dumps([plain(self.price(pair, "yes"), 4), plain(self.price(pair, "no"), 4)]),
            "clobTokenIds": None if last else json.dumps([spec.yes_token, spec.no_token]),
            "positionIds": [spec.yes_token, spec.no_token] if last else None,
            "orderPriceMinTickSize": spec.tick / PRICE_ONE, "orderMinSize": spec.min_size / UNIT,
            "negRisk": spec.neg_risk, "negRiskMarketID": self.event_id(pair) if spec.neg_risk else None,
            "enableNegRisk": spec.neg_risk, "negRiskAugmented": spec.neg_risk and spec.augmented,
            "negRiskOther": False, "acceptingOrders": self.door.accepting(condition), "active": True,
            "closed": resolved, "archived": False, "enableOrderBook": True, "feesEnabled": spec.fee_rate > 0,
            "feeSchedule": {
                "rate": float(spec.fee_rate), "exponent": spec.fee_exponent, "takerOnly": True, "rebateRate": 0.25,
            },
            "secondsDelay": -(-spec.answered_delay_ms // 1_000), "gameStartTime": None, "endDate": self.END,
            "umaResolutionStatus": "resolved" if resolved else None, "category": "Sample",
            "bestBid": None if bid is None else bid / PRICE_ONE, "bestAsk": None if ask is None else ask / PRICE_ONE,
            "events": [{"id": pair.group, "slug": pair.group, "title": pair.group}],
        }  # fmt: skip


def _many(values: Iterable[Any]) -> list[str]:
    """Repeated or with commas: both forms are in use."""
    return [part for value in values for part in str(value).split(",") if part]
