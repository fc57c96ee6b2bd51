"""What a fault script, or an operator by hand, can do to the whole Kalshi venue or to one of its markets."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

from aiohttp import web

from venues.simulated.desk import Upheaval
from venues.simulated.happenings import S
from venues.simulated.kalshi_lifecycle import KalshiLifecycle
from venues.simulated.kalshi_rules import KalshiRules
from venues.simulated.kalshi_state import DECI_CENT
from venues.simulated.scale import PRICE_ONE, parse_scaled
from venues.simulated.universe import LINEAR_CENT

DOWN_S = 0.8
MAINTAINED_S = 1.2
STORM_S = 0.8
PAUSED_S = 1.0
HALTED_S = 1.0
DEARER = Fraction(3, 2)
TIMER_S = 1


class KalshiUpheavals:
    """The strikes by their names in `faults.py`, and the same as switches under `/admin/kalshi`."""

    def __init__(self, lifecycle: KalshiLifecycle, rules: KalshiRules) -> None:
        self.lifecycle, self.rules, self.desk = lifecycle, rules, lifecycle.door.desk
        self.state = lifecycle.state
        self.desk.upheavals |= {
            "restart": Upheaval(self._open, lambda _: self.desk.restart(DOWN_S)),
            "maintenance": Upheaval(self._open, lambda _: self.rules.maintain(MAINTAINED_S)),
            "pause": Upheaval(self._open, lambda _: self.rules.pause(PAUSED_S)),
            "rate_storm": Upheaval(self._open, lambda _: self.storm(STORM_S)),
            "tick_change": Upheaval(self._open, self._change_grid),
            "fee_change": Upheaval(self._open, self._change_fee),
            "market_halt": Upheaval(self._open, lambda market: self.halt(market, HALTED_S)),
            "resolution": Upheaval(self._open, self._resolve),
        }

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/admin/kalshi", self._switch)]

    def _open(self, market: str) -> bool:
        shard = self.state.shards[self.state.lives[market].shard]
        return shard.exchange_active and shard.trading_active and self.state.lives[market].status == "active"

    def storm(self, seconds: float) -> None:
        """Nobody has any tokens for a while."""
        self.desk.storm_until_ns = self.desk.now() + int(seconds * 1e9)

    def halt(self, market: str, seconds: float) -> None:
        self.lifecycle.halt(market)
        until_ns = self.desk.now() + int(seconds * 1e9)
        self.lifecycle.door.exchange.at(until_ns, lambda _: self.lifecycle.activate(market))

    def _change_grid(self, market: str) -> None:
        """Between the whole-cent grid and the ten times finer one, so that quotes of whole cents are always on it."""
        finer = self.state.lives[market].ranges != DECI_CENT
        self.rules.set_grid(market, DECI_CENT if finer else LINEAR_CENT)

    def _change_fee(self, market: str) -> None:
        life = self.state.lives[market]
        event = life.pair.kalshi.event
        dearer = None if event in self.state.fee_overrides else ("quadratic", life.pair.kalshi.fee_multiplier * DEARER)
        self.rules.set_event_fee(event, dearer)

    def _resolve(self, market: str) -> None:
        yes = self.desk.draw.random() < 0.5
        self.lifecycle.determine(market, PRICE_ONE if yes else 0, TIMER_S)

    def _kill_unmatched(self, on: bool) -> None:
        """Answer an immediate order that meets nothing with 409, as some report, and not with 201 and nothing filled."""
        exchange = self.lifecycle.door.exchange
        exchange.terms = replace(exchange.terms, kills_unmatched_ioc=on)

    # by hand

    async def _switch(self, request: web.Request) -> web.Response:
        """One change to the venue by hand: `{"do": "halt", "ticker": "..."}`; what can be done is in the answer to a mistake."""
        try:
            asked: dict[str, Any] = json.loads(await request.read())
            done = self._do(str(asked.get("do")), asked)
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as wrong:
            return web.json_response({"error": f"{type(wrong).__name__}: {wrong}; {HELP}"}, status=400)
        if not done:
            return web.json_response({"error": HELP}, status=400)
        self.desk.flush()
        return web.json_response({"done": asked["do"]})

    def _do(self, what: str, asked: dict[str, Any]) -> bool:
        seconds, shard = float(asked.get("seconds", 1)), asked.get("exchange_index")
        general = {
            "restart": lambda: self.desk.restart(seconds),
            "maintenance": lambda: self.rules.maintain(seconds),
            "rate_storm": lambda: self.storm(seconds),
            "pause": lambda: self.rules.pause(None if "seconds" not in asked else seconds, shard),
            "resume": lambda: self.rules.resume(shard),
            "kill_unmatched": lambda: self._kill_unmatched(bool(asked.get("on", True))),
        }
        if what in general:
            general[what]()
            return True
        return self._do_to_market(what, self.state.lives[str(asked["ticker"])].ticker, asked)

    def _do_to_market(self, what: str, ticker: str, asked: dict[str, Any]) -> bool:
        lifecycle, spec = self.lifecycle, self.state.lives[ticker].pair.kalshi
        match what:
            case "create":
                event, after_s = str(asked.get("event") or spec.event), float(asked.get("seconds", 0))
                lifecycle.create(str(asked["new"]), event, ticker, self.desk.now() + int(after_s * S))
            case "dispute":
                lifecycle.dispute(ticker)
            case "halt":
                lifecycle.halt(ticker)
            case "activate":
                lifecycle.activate(ticker)
            case "close":
                after = asked.get("seconds")
                lifecycle.close(ticker, None if after is None else self.desk.now() + int(float(after) * S))
            case "determine":
                value = parse_scaled(str(asked["value"]), 4)
                if value is None or not 0 <= value <= PRICE_ONE:
                    return False
                lifecycle.determine(ticker, value, asked.get("timer_s"))
            case "tick":
                self.rules.set_grid(ticker, {"linear_cent": LINEAR_CENT, "deci_cent": DECI_CENT}[asked["structure"]])
            case "event_fee":
                multiplier = asked.get("multiplier")
                fee = (
                    None if multiplier is None else (str(asked.get("fee_type", "quadratic")), Fraction(str(multiplier)))
                )
                self.rules.set_event_fee(spec.event, fee)
            case "series_fee":
                fee_of = (str(asked.get("fee_type", "quadratic")), Fraction(str(asked["multiplier"])))
                self.rules.set_series_fee(
                    spec.series, fee_of, self.desk.now() + int(float(asked.get("seconds", 0)) * S)
                )
            case _:
                return False
        return True


HELP = (
    'send {"do": restart | maintenance | rate_storm | pause | resume | kill_unmatched, "seconds": 1, "exchange_index": 0} or '
    '{"do": create | halt | activate | close | determine | dispute | tick | event_fee | series_fee, "ticker": "...", "value": "1.00", '
    '"structure": "deci_cent", "multiplier": "1.5", "fee_type": "quadratic", "seconds": 0, "timer_s": 1, "new": "NEW-TICKER", "event": "..."}'
)
