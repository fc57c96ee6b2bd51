"""Polymarket's small public reads of a book: price, midpoint, spread, last trade; each for one token or for many."""

from __future__ import annotations

import json
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from venues.simulated.book import Outcome
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_book import best_of, book_told
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.scale import PRICE_ONE, fixed, parse_scaled, plain
from venues.simulated.universe import Pair

NO_BOOK = "No orderbook exists for the requested token id"
MOST = 500
Ask = tuple[str, Pair, Outcome, str]
"""Token, its market and outcome, and the side asked for."""


class PolymarketPrices:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        one: list[tuple[str, Callable[[Ask], web.Response]]] = [
            ("/book", lambda ask: web.json_response(self._book(ask))),
            ("/price", self._price),
            ("/midpoint", lambda ask: web.json_response({"mid": self._mid(ask)})),
            ("/spread", lambda ask: web.json_response({"spread": self._spread(ask)})),
            ("/last-trade-price", lambda ask: web.json_response(self._last(ask))),
            ("/tick-size", lambda ask: web.json_response({"minimum_tick_size": ask[1].polymarket.tick / PRICE_ONE})),
            ("/neg-risk", lambda ask: web.json_response({"neg_risk": ask[1].polymarket.neg_risk})),
            ("/fee-rate", lambda ask: web.json_response({"base_fee": int(ask[1].polymarket.fee_rate * 1_000)})),
        ]
        many: list[tuple[str, Callable[[list[Ask]], object]]] = [
            ("/books", lambda asks: [self._book(ask) for ask in asks]),
            ("/prices", self._prices),
            ("/midpoints", lambda asks: {ask[0]: self._mid(ask) for ask in asks}),
            ("/spreads", lambda asks: {ask[0]: self._spread(ask) for ask in asks}),
            ("/last-trades-prices", lambda asks: [{**self._last(ask), "token_id": ask[0]} for ask in asks]),
        ]
        history = web.get("/prices-history", self.door.public(self._history))
        return [
            *[web.get(path, self.door.public(self._of_one(path, answer))) for path, answer in one],
            *[web.post(path, self._of_many(answer)) for path, answer in many],
            history,
        ]

    def _of_one(self, path: str, answer: Callable[[Ask], web.Response]) -> Callable[[web.Request], web.Response]:
        missing = {"/tick-size": "market not found", "/neg-risk": "market not found"}.get(path, NO_BOOK)
        missing = "fee rate not found for market" if path == "/fee-rate" else missing

        def respond(request: web.Request) -> web.Response:
            token = request.query.get("token_id", "")
            found = self.door.tokens.get(token)
            if found is None:
                return error(404, missing)
            return answer((token, *found, request.query.get("side", "").upper()))

        return respond

    def _of_many(self, answer: Callable[[list[Ask]], object]) -> Handler:
        async def respond(request: web.Request) -> web.Response:
            try:
                entries = json.loads(await request.read())
                asked = [(str(entry["token_id"]), str(entry.get("side", "")).upper()) for entry in entries]
            except (ValueError, TypeError, KeyError, AttributeError):
                return error(400, "Invalid payload")
            if len(asked) > MOST:
                return error(400, f"Payload exceeds the limit of {MOST} tokens")
            self.door.desk.flush()
            known = [(token, *self.door.tokens[token], side) for token, side in asked if token in self.door.tokens]
            return web.json_response(answer(known))

        return respond

    def _book(self, ask: Ask) -> dict[str, object]:
        _, pair, outcome, _ = ask
        return book_told(
            self.door.exchange.books[pair.polymarket.condition_id], pair, outcome, self.door.desk.now(),
        )  # fmt: skip

    def _best(self, ask: Ask) -> tuple[str, str]:
        return best_of(self.door.exchange.books[ask[1].polymarket.condition_id], ask[2])

    def _price(self, ask: Ask) -> web.Response:
        if ask[3] not in ("BUY", "SELL"):
            return error(400, "Invalid side")
        bid, offer = self._best(ask)
        return web.json_response({"price": bid if ask[3] == "BUY" else offer})

    def _prices(self, asks: list[Ask]) -> dict[str, dict[str, str]]:
        told: dict[str, dict[str, str]] = {}
        for ask in asks:
            bid, offer = self._best(ask)
            both = {"BUY": bid, "SELL": offer}
            told.setdefault(ask[0], {}).update({ask[3]: both[ask[3]]} if ask[3] in both else both)
        return told

    def _mid(self, ask: Ask) -> str:
        bid, offer = (parse_scaled(text, 4) or 0 for text in self._best(ask))
        return plain(5 * (bid + offer), 5)

    def _spread(self, ask: Ask) -> str:
        bid, offer = (parse_scaled(text, 4) or 0 for text in self._best(ask))
        return plain(offer - bid, 4)

    def _last(self, ask: Ask) -> dict[str, str]:
        _, pair, outcome, _ = ask
        condition = pair.polymarket.condition_id
        match = next((m for m in reversed(self.door.exchange.matches.values()) if m.market == condition), None)
        price = self.door.exchange.books[condition].last_trade
        if price is None:
            return {"price": "0.5", "side": ""}
        taker = "" if match is None or match.yes_price != price else match.taker.action.upper()
        return {"price": plain(price if outcome == "yes" else PRICE_ONE - price, 4), "side": taker}

    def _history(self, request: web.Request) -> web.Response:
        """What accounts traded at, in time; the makers among themselves trade nothing."""
        found = self.door.tokens.get(request.query.get("market", ""))
        if found is None:
            return error(400, "Invalid filters")
        condition, outcome = found[0].polymarket.condition_id, found[1]
        since, until = (int(v) if (v := request.query.get(k, "")).isdigit() else None for k in ("startTs", "endTs"))
        points = []
        for match in self.door.exchange.matches.values():
            at_s = match.at_ns // 1_000_000_000
            if match.market == condition and (since is None or at_s >= since) and (until is None or at_s <= until):
                price = match.yes_price if outcome == "yes" else PRICE_ONE - match.yes_price
                points.append({"t": at_s, "p": float(fixed(price, 4, 4))})
        return web.json_response({"history": points})
