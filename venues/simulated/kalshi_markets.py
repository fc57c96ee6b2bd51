"""Kalshi's public reads: markets, books, series, events, trades and announced fees."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from venues.simulated.happenings import Match
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import Asked, KalshiDoor
from venues.simulated.kalshi_state import FeeChange, Life
from venues.simulated.kalshi_words import (
    invalid_query,
    iso,
    json_ratio,
    limit_of,
    names_of,
    page_of,
    ranges_told,
    within,
)
from venues.simulated.scale import PRICE_ONE, count_text, price_text

# what a filter by status means for the states of a market
FILTERS: dict[str, tuple[str, ...]] = {
    "unopened": ("initialized",), "open": ("active",), "paused": ("inactive",), "closed": ("closed", "determined", "disputed", "amended"),
    "settled": ("finalized",),
}  # fmt: skip
BOOKS_MAX = 100


class KalshiMarkets:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        answers = [
            ("/markets", self._markets),
            ("/markets/orderbooks", self._orderbooks),
            ("/markets/trades", self._trades),
            ("/markets/{ticker}", self._market),
            ("/markets/{ticker}/orderbook", self._orderbook),
            ("/series", self._all_series),
            ("/series/fee_changes", self._series_fee_changes),
            ("/series/{ticker}", self._series),
            ("/events", self._events),
            ("/events/fee_changes", self._event_fee_changes),
            ("/events/{ticker}", self._event),
        ]
        return [self.door.serve("GET", path, answer, private=False) for path, answer in answers]

    # markets

    def _market_told(self, life: Life) -> dict[str, object]:
        pair, spec, book = life.pair, life.pair.kalshi, self.door.exchange.books[life.ticker]
        bid, ask = book.best("bid"), book.best("ask")
        status = "closed" if life.status == "active" and self.door.desk.now() >= life.close_ns else life.status
        told: dict[str, object] = {
            "ticker": spec.ticker, "event_ticker": spec.event, "title": pair.title,
            "market_type": "binary", "status": status, "result": life.result, "can_close_early": True,
            "created_time": iso(life.open_ns), "updated_time": iso(life.updated_ns), "open_time": iso(life.open_ns),
            "close_time": iso(life.close_ns), "expected_expiration_time": iso(life.close_ns),
            "expiration_time": iso(life.close_ns), "latest_expiration_time": iso(life.close_ns + 7 * 86_400 * 10**9),
            "expiration_value": life.result, "settlement_timer_seconds": life.timer_s, "settlement_bounds_type": "default",
            "notional_value_dollars": "1.0000", "exchange_index": life.shard, "price_level_structure": life.structure,
            "price_ranges": ranges_told(life.ranges), "rules_primary": pair.rules, "rules_secondary": "",
            "yes_sub_title": pair.title, "no_sub_title": pair.title,
            "yes_bid_dollars": price_text(bid or 0), "yes_ask_dollars": price_text(PRICE_ONE if ask is None else ask),
            "no_bid_dollars": price_text(0 if ask is None else PRICE_ONE - ask),
            "no_ask_dollars": price_text(PRICE_ONE if bid is None else PRICE_ONE - bid),
            "yes_bid_size_fp": count_text(book.size("bid", bid) if bid is not None else 0),
            "yes_ask_size_fp": count_text(book.size("ask", ask) if ask is not None else 0),
            "last_price_dollars": price_text(book.last_trade or 0), "previous_price_dollars": "0.0000",
            "previous_yes_bid_dollars": "0.0000", "previous_yes_ask_dollars": "0.0000",
            "volume_fp": count_text(life.volume), "volume_24h_fp": count_text(life.volume),
            "open_interest_fp": count_text(self.door.open_interest(life.ticker)),
        }  # fmt: skip
        if life.value is not None:
            told["settlement_value_dollars"] = price_text(life.value)
        if life.settled_ns is not None:
            told["settlement_ts"] = iso(life.settled_ns)
        return told

    def _markets(self, asked: Asked) -> web.Response:
        request, limit = asked.request, limit_of(asked.request, "GetMarkets")
        if isinstance(limit, web.Response):
            return limit
        tickers, events = names_of(request, "tickers"), names_of(request, "event_ticker")
        series, status = request.query.get("series_ticker"), request.query.get("status", "")
        if status and status not in FILTERS:
            return invalid_query("GetMarkets", "Status", "oneof")
        rows: list[tuple[str, dict[str, object]]] = []
        for life in self.door.state.lives.values():
            spec = life.pair.kalshi
            if (tickers and spec.ticker not in tickers) or (events and spec.event not in events):
                continue
            if series not in (None, "", spec.series) or not timely(request, life):
                continue
            told = self._market_told(life)
            if not status or told["status"] in FILTERS[status]:
                rows.append((spec.ticker, told))
        page, cursor = page_of(request, rows, limit)
        return web.json_response({"cursor": cursor, "markets": page})

    def _market(self, asked: Asked) -> web.Response:
        life = self.door.state.lives.get(asked.request.match_info["ticker"])
        return error(404, "not_found") if life is None else web.json_response({"market": self._market_told(life)})

    # books and trades

    def _book_told(self, ticker: str, depth: int) -> dict[str, list[list[str]]]:
        """Bids only, on the scale of each outcome, the best one last."""
        book = self.door.exchange.books[ticker]
        yes = [[price_text(p), count_text(s)] for p, s in book.ladder("bid")]
        no = [[price_text(PRICE_ONE - p), count_text(s)] for p, s in reversed(book.ladder("ask"))]
        return {"yes_dollars": yes[-depth:], "no_dollars": no[-depth:]}

    def _orderbook(self, asked: Asked) -> web.Response:
        ticker, text = asked.request.match_info["ticker"], asked.request.query.get("depth", "0")
        if ticker not in self.door.state.lives:
            return error(404, "not_found")
        if not text.isdigit() or int(text) > 100:
            return invalid_query("GetMarketOrderbook", "Depth", "lte")
        return web.json_response({"orderbook_fp": self._book_told(ticker, int(text))})

    def _orderbooks(self, asked: Asked) -> web.Response:
        tickers = names_of(asked.request, "tickers")
        if not tickers or len(tickers) > BOOKS_MAX:
            return error(400, "invalid_parameters", details=f"tickers: 1 to {BOOKS_MAX}")
        known = [ticker for ticker in tickers if ticker in self.door.state.lives]
        rows = [{"ticker": ticker, "orderbook_fp": self._book_told(ticker, 0)} for ticker in known]
        return web.json_response({"orderbooks": rows})

    def _trades(self, asked: Asked) -> web.Response:
        request, limit = asked.request, limit_of(asked.request, "GetTrades")
        if isinstance(limit, web.Response):
            return limit
        ticker = request.query.get("ticker")
        rows = [
            (match.id, trade_told(match))
            for match in reversed(self.door.exchange.matches.values())
            if ticker in (None, "", match.market) and within(request, match.at_ns)
        ]
        page, cursor = page_of(request, rows, limit)
        return web.json_response({"cursor": cursor, "trades": page})

    # series and events

    def _series_told(self, life: Life) -> dict[str, object]:
        spec = life.pair.kalshi
        kind, multiplier = self.door.state.series_fees.get(spec.series) or ("quadratic", spec.fee_multiplier)
        return {
            "ticker": spec.series, "title": life.pair.title, "category": "Simulated", "categories": ["Simulated"],
            "frequency": "custom", "tags": [], "settlement_sources": [], "contract_url": "", "contract_terms_url": "",
            "additional_prohibitions": [], "fee_type": kind, "fee_multiplier": json_ratio(multiplier),
            "exchange_index": life.shard,
        }  # fmt: skip

    def _all_series(self, asked: Asked) -> web.Response:
        category = asked.request.query.get("category")
        rows = {life.pair.kalshi.series: self._series_told(life) for life in self.door.state.lives.values()}
        return web.json_response({"series": list(rows.values()) if category in (None, "", "Simulated") else []})

    def _series(self, asked: Asked) -> web.Response:
        wanted = asked.request.match_info["ticker"]
        life = next((one for one in self.door.state.lives.values() if one.pair.kalshi.series == wanted), None)
        return error(404, "not_found") if life is None else web.json_response({"series": self._series_told(life)})

    def _event_told(self, lives: list[Life], *, nested: bool) -> dict[str, object]:
        life = lives[0]
        told: dict[str, object] = {
            "event_ticker": life.pair.kalshi.event, "series_ticker": life.pair.kalshi.series, "title": life.pair.title,
            "sub_title": "", "mutually_exclusive": False, "collateral_return_type": "", "settlement_sources": [],
            "exchange_index": life.shard, "category": "Simulated",
        }  # fmt: skip
        override = self.door.state.fee_overrides.get(life.pair.kalshi.event)
        if override is not None:
            told |= {"fee_type_override": override[0], "fee_multiplier_override": json_ratio(override[1])}
        return told | ({"markets": [self._market_told(one) for one in lives]} if nested else {})

    def _by_event(self) -> dict[str, list[Life]]:
        events: dict[str, list[Life]] = {}
        for life in self.door.state.lives.values():
            events.setdefault(life.pair.kalshi.event, []).append(life)
        return events

    def _events(self, asked: Asked) -> web.Response:
        request, limit = asked.request, limit_of(asked.request, "GetEvents", default=200, most=200)
        if isinstance(limit, web.Response):
            return limit
        nested = request.query.get("with_nested_markets") == "true"
        series, status = request.query.get("series_ticker"), request.query.get("status", "")
        if status and status not in FILTERS:
            return invalid_query("GetEvents", "Status", "oneof")
        rows = [
            (event, self._event_told(lives, nested=nested))
            for event, lives in self._by_event().items()
            if series in (None, "", lives[0].pair.kalshi.series)
            and (not status or any(life.status in FILTERS[status] for life in lives))
        ]
        page, cursor = page_of(request, rows, limit)
        return web.json_response({"cursor": cursor, "events": page})

    def _event(self, asked: Asked) -> web.Response:
        lives = self._by_event().get(asked.request.match_info["ticker"])
        if lives is None:
            return error(404, "not_found")
        nested = asked.request.query.get("with_nested_markets") == "true"
        markets = [] if nested else [self._market_told(life) for life in lives]
        return web.json_response({"event": self._event_told(lives, nested=nested), "markets": markets})

    # announced fees

    def _series_fee_changes(self, asked: Asked) -> web.Response:
        wanted = asked.request.query.get("series_ticker")
        rows = [
            {
                "id": change.id, "series_ticker": change.series, "fee_type": change.fee_type,
                "fee_multiplier": json_ratio(change.multiplier), "scheduled_ts": iso(change.at_ns),
            }
            for change in self._changes(asked)
            if not change.event and change.multiplier is not None and wanted in (None, "", change.series)
        ]  # fmt: skip
        return web.json_response({"series_fee_change_arr": rows})

    def _event_fee_changes(self, asked: Asked) -> web.Response:
        limit = limit_of(asked.request, "GetEventFeeChanges")
        if isinstance(limit, web.Response):
            return limit
        wanted = asked.request.query.get("event_ticker")
        rows: list[tuple[str, dict[str, object]]] = [
            (
                change.id,
                {
                    "id": change.id, "event_ticker": change.event, "series_ticker": change.series,
                    "fee_type_override": change.fee_type, "scheduled_ts": iso(change.at_ns),
                    "fee_multiplier_override": None if change.multiplier is None else json_ratio(change.multiplier),
                },
            )
            for change in reversed(self.door.state.fee_changes)
            if change.event and wanted in (None, "", change.event)
        ]  # fmt: skip
        page, cursor = page_of(asked.request, rows, limit)
        return web.json_response({"event_fee_changes": page, "cursor": cursor})

    def _changes(self, asked: Asked) -> list[FeeChange]:
        """What is to come; with `show_historical` what has been as well."""
        past, now_ns = asked.request.query.get("show_historical") == "true", self.door.desk.now()
        return [change for change in self.door.state.fee_changes if past or change.at_ns > now_ns]


def timely(request: web.Request, life: Life) -> bool:
    """Filters by second on creation, close and settlement."""
    for name, at_ns in (("created", life.open_ns), ("close", life.close_ns), ("settled", life.settled_ns or 0)):
        low, high = request.query.get(f"min_{name}_ts", ""), request.query.get(f"max_{name}_ts", "")
        if (low.isdigit() and at_ns < int(low) * 10**9) or (high.isdigit() and at_ns > int(high) * 10**9):
            return False
    return True


def trade_told(match: Match) -> dict[str, Any]:
    yes = match.taker.side == "bid"
    return {
        "trade_id": match.id, "ticker": match.market, "count_fp": count_text(match.quantity),
        "yes_price_dollars": price_text(match.yes_price), "no_price_dollars": price_text(PRICE_ONE - match.yes_price),
        "taker_side": "yes" if yes else "no", "taker_outcome_side": "yes" if yes else "no",
        "taker_book_side": "bid" if yes else "ask", "created_time": iso(match.at_ns), "is_block_trade": False,
    }  # fmt: skip
