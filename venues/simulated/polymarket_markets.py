"""Polymarket's public facts: the CLOB's own lists of markets, and one market's terms of trading."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from aiohttp import web

from venues.simulated.book import Outcome
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.polymarket_gamma import PolymarketGamma
from venues.simulated.scale import PRICE_ONE, UNIT
from venues.simulated.universe import Pair

FIRST, LAST = "MA==", "LTE="
PAGE = 20  # the venue's own is longer: with this one every client meets more than one page
Told = Callable[[Pair], dict[str, object]]


class PolymarketMarkets:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door
        self.gamma = PolymarketGamma(door)

    def routes(self) -> list[web.RouteDef]:
        answers: list[tuple[str, Callable[[web.Request], web.Response]]] = [
            ("/time", lambda _: web.json_response(self.door.desk.now() // 1_000_000_000)),
            ("/ok", lambda _: web.json_response("OK")),
            ("/version", lambda _: web.json_response({"version": 2})),
            ("/clob-markets/{condition}", self._of(self._info)),
            ("/markets-by-token/{token}", self._by_token),
            ("/simplified-markets", lambda r: self._page(r, self._simplified)),
            ("/sampling-simplified-markets", lambda r: self._page(r, self._simplified, sampling=True)),
            ("/sampling-markets", lambda r: self._page(r, self._market, sampling=True)),
            ("/markets", self._markets),
            ("/markets/live-activity/{condition}", self._activity),
            ("/markets/{condition}", self._of(self._market)),
            ("/fees/builder-fees/{code}", lambda _: web.json_response(
                {"builder_maker_fee_rate_bps": 0, "builder_taker_fee_rate_bps": 0}
            )),
            ("/rebates/current", lambda _: web.json_response([])),
        ]  # fmt: skip
        # the metadata service's paths stand before those with a free part
        return [*self.gamma.routes(), *[web.get(path, self.door.public(answer)) for path, answer in answers]]

    def _markets(self, request: web.Request) -> web.Response:
        """Two services share this path: the one of metadata is asked with filters and offsets, the CLOB with a cursor."""
        if self.gamma.meant(request):
            return self.gamma.old_markets(request)
        return self._page(request, self._market)

    def _page(self, request: web.Request, told: Told, sampling: bool = False) -> web.Response:
        pairs = [p for p in self.door.pairs if not sampling or self.door.accepting(p.polymarket.condition_id)]
        try:
            start = int(base64.b64decode(request.query.get("next_cursor") or FIRST))
        except ValueError:
            return error(400, "invalid next_cursor")
        rows = [told(pair) for pair in pairs[start : start + PAGE]] if start >= 0 else []
        more = start >= 0 and start + PAGE < len(pairs)
        cursor = base64.b64encode(str(start + PAGE).encode()).decode() if more else LAST
        return web.json_response({"limit": PAGE, "count": len(rows), "next_cursor": cursor, "data": rows})

    def _of(self, told: Told) -> Callable[[web.Request], web.Response]:
        def respond(request: web.Request) -> web.Response:
            pair = self.door.by_condition.get(request.match_info["condition"].lower())
            return error(404, "market not found") if pair is None else web.json_response(told(pair))

        return respond

    def _tokens(self, pair: Pair) -> list[dict[str, object]]:
        spec = pair.polymarket
        pays = self.door.exchange.payouts.get(spec.condition_id)
        outcomes: tuple[Outcome, Outcome] = ("yes", "no")
        return [
            {
                "token_id": spec.token(outcome), "outcome": outcome.capitalize(),
                "price": self.gamma.price(pair, outcome) / PRICE_ONE, "winner": pays is not None and pays[number] == 2,
            }
            for number, outcome in enumerate(outcomes)
        ]  # fmt: skip

    def _state(self, pair: Pair) -> dict[str, object]:
        condition = pair.polymarket.condition_id
        return {
            "condition_id": condition, "active": True, "closed": condition in self.door.exchange.payouts,
            "archived": False, "accepting_orders": self.door.accepting(condition), "tokens": self._tokens(pair),
            "rewards": {"rates": None, "min_size": 0, "max_spread": 0},
        }  # fmt: skip

    def _simplified(self, pair: Pair) -> dict[str, object]:
        return self._state(pair)

    def _market(self, pair: Pair) -> dict[str, object]:
        spec = pair.polymarket
        return {
            **self._state(pair), "enable_order_book": True, "question": pair.title, "question_id": spec.condition_id,
            "description": pair.rules, "market_slug": pair.id, "end_date_iso": self.gamma.END, "game_start_time": None,
            "minimum_order_size": spec.min_size / UNIT, "minimum_tick_size": spec.tick / PRICE_ONE,
            "seconds_delay": -(-spec.answered_delay_ms // 1_000), "neg_risk": spec.neg_risk,
            "neg_risk_market_id": self.gamma.event_id(pair) if spec.neg_risk else "", "neg_risk_request_id": "",
            "maker_base_fee": 0, "taker_base_fee": int(spec.fee_rate * 1_000), "notifications_enabled": False,
            "is_50_50_outcome": False, "icon": "", "image": "", "fpmm": "", "tags": ["Sample"],
        }  # fmt: skip

    def _info(self, pair: Pair) -> dict[str, object]:
        spec = pair.polymarket
        return {
            "c": spec.condition_id, "t": [{"t": spec.yes_token, "o": "Yes"}, {"t": spec.no_token, "o": "No"}],
            "mos": spec.min_size / UNIT, "mts": spec.tick / PRICE_ONE, "nr": spec.neg_risk,
            "fd": {"r": float(spec.fee_rate), "e": spec.fee_exponent, "to": True}, "itode": spec.taker_delay_ms > 0,
            "tbf": 0, "mbf": 0, "gst": None, "oas": 0, "rfqe": False, "ibce": False,
        }  # fmt: skip

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

    def _activity(self, request: web.Request) -> web.Response:
        """Trades of accounts in one market, newest first."""
        condition = request.match_info["condition"].lower()
        rows: list[dict[str, Any]] = [
            {
                "event_type": "last_trade_price", "market": {"condition_id": condition}, "side": m.taker.action.upper(),
                "outcome": m.taker.outcome.capitalize(), "size": str(m.quantity / UNIT),
                "price": str((m.yes_price if m.taker.outcome == "yes" else PRICE_ONE - m.yes_price) / PRICE_ONE),
                "timestamp": str(m.at_ns // 1_000_000),
            }
            for m in reversed(self.door.exchange.matches.values())
            if m.market == condition
        ]  # fmt: skip
        return web.json_response(rows[:100])
