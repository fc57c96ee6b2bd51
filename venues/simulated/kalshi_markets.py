"""Kalshi's public reads: status, markets, books, series and events."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_words import PREFIX, json_ratio, limit_of, page_of, ranges_told
from venues.simulated.scale import PRICE_ONE, count_text, price_text
from venues.simulated.universe import Pair


class KalshiMarkets:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        answers: list[tuple[str, Callable[[web.Request], web.Response]]] = [
            ("/exchange/status", self._status),
            ("/markets", self._markets),
            ("/markets/{ticker}", self._market),
            ("/markets/{ticker}/orderbook", self._orderbook),
            ("/series/fee_changes", lambda _: web.json_response({"series_fee_change_arr": []})),
            ("/events/fee_changes", lambda _: web.json_response({"event_fee_change_arr": [], "cursor": ""})),
            ("/series/{ticker}", self._series),
            ("/events/{ticker}", self._event),
        ]
        return [web.get(PREFIX + path, self.door.public(answer)) for path, answer in answers]

    def _status(self, _request: web.Request) -> web.Response:
        index = {"exchange_index": 0, "description": "default", "exchange_active": True, "trading_active": True}
        return web.json_response({"exchange_active": True, "trading_active": True, "exchange_index_statuses": [index]})

    def _market_told(self, pair: Pair) -> dict[str, object]:
        spec, book = pair.kalshi, self.door.exchange.books[pair.kalshi.ticker]
        bid, ask = book.best("bid"), book.best("ask")
        return {
            "ticker": spec.ticker, "event_ticker": spec.event, "series_ticker": spec.series, "title": pair.title,
            "market_type": "binary", "status": "active", "result": "", "can_close_early": True,
            "open_time": "2026-01-01T00:00:00Z", "close_time": "2027-12-31T23:59:00Z",
            "expected_expiration_time": "2027-12-31T23:59:00Z", "latest_expiration_time": "2028-01-07T15:00:00Z",
            "settlement_timer_seconds": 60, "notional_value_dollars": "1.0000", "exchange_index": spec.exchange_index,
            "price_level_structure": spec.structure, "price_ranges": ranges_told(spec), "rules_primary": pair.rules,
            "rules_secondary": "", "yes_sub_title": pair.title, "no_sub_title": pair.title,
            "yes_bid_dollars": price_text(bid or 0), "yes_ask_dollars": price_text(PRICE_ONE if ask is None else ask),
            "no_bid_dollars": price_text(0 if ask is None else PRICE_ONE - ask),
            "no_ask_dollars": price_text(PRICE_ONE if bid is None else PRICE_ONE - bid),
            "yes_bid_size_fp": count_text(book.size("bid", bid) if bid is not None else 0),
            "yes_ask_size_fp": count_text(book.size("ask", ask) if ask is not None else 0),
            "last_price_dollars": price_text(book.last_trade or 0), "volume_fp": "0.00", "open_interest_fp": "0.00",
        }  # fmt: skip

    def _markets(self, request: web.Request) -> web.Response:
        limit = limit_of(request, "GetMarkets")
        if isinstance(limit, web.Response):
            return limit
        tickers = [t for t in request.query.get("tickers", "").split(",") if t]
        filters = {"series_ticker": "series", "event_ticker": "event"}
        rows: list[tuple[str, dict[str, object]]] = []
        for pair in self.door.pairs:
            if tickers and pair.kalshi.ticker not in tickers:
                continue
            if any(request.query.get(k) not in (None, "", getattr(pair.kalshi, v)) for k, v in filters.items()):
                continue
            if request.query.get("status", "open") not in ("open", "active", ""):
                continue
            rows.append((pair.kalshi.ticker, self._market_told(pair)))
        page, cursor = page_of(request, rows, limit)
        return web.json_response({"cursor": cursor, "markets": page})

    def _market(self, request: web.Request) -> web.Response:
        pair = self.door.by_ticker.get(request.match_info["ticker"])
        if pair is None:
            return error(404, "not_found")
        return web.json_response({"market": self._market_told(pair)})

    def _orderbook(self, request: web.Request) -> web.Response:
        pair = self.door.by_ticker.get(request.match_info["ticker"])
        if pair is None:
            return error(404, "not_found")
        text = request.query.get("depth", "0")
        depth = int(text) if text.isdigit() else 0
        book = self.door.exchange.books[pair.kalshi.ticker]
        yes = [[price_text(p), count_text(s)] for p, s in book.ladder("bid")]
        no = [[price_text(PRICE_ONE - p), count_text(s)] for p, s in reversed(book.ladder("ask"))]
        return web.json_response({"orderbook_fp": {"yes_dollars": yes[-depth:], "no_dollars": no[-depth:]}})

    def _series(self, request: web.Request) -> web.Response:
        pair = next((p for p in self.door.pairs if p.kalshi.series == request.match_info["ticker"]), None)
        if pair is None:
            return error(404, "not_found")
        multiplier = pair.kalshi.fee_multiplier
        series = {
            "ticker": pair.kalshi.series, "title": pair.title, "category": "Simulated", "frequency": "custom",
            "fee_type": "quadratic", "fee_multiplier": json_ratio(multiplier), "exchange_index": pair.kalshi.exchange_index,
        }  # fmt: skip
        return web.json_response({"series": series})

    def _event(self, request: web.Request) -> web.Response:
        pairs = [p for p in self.door.pairs if p.kalshi.event == request.match_info["ticker"]]
        if not pairs:
            return error(404, "not_found")
        event: dict[str, object] = {
            "event_ticker": pairs[0].kalshi.event, "series_ticker": pairs[0].kalshi.series, "title": pairs[0].title,
            "sub_title": "", "mutually_exclusive": False, "collateral_return_type": "",
            "exchange_index": pairs[0].kalshi.exchange_index,
        }  # fmt: skip
        markets = [self._market_told(p) for p in pairs]
        if request.query.get("with_nested_markets") == "true":
            return web.json_response({"event": event | {"markets": markets}})
        return web.json_response({"event": event, "markets": markets})
