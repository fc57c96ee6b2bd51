"""What shakes the whole venue or one market, as the fault script or an operator wants it."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

from venues.simulated.desk import Upheaval
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.resolution import NO_WINS, YES_WINS, Payout, resolve
from venues.simulated.scale import PRICE_ONE, plain

DOWN_S, ENGINE_S, POST_ONLY_S = 0.3, 0.4, 0.6
"""A restart of a fault script: shorter than a real one, whose post-only phase lasts two minutes."""
DISABLED_S, CANCEL_ONLY_S = 0.5, 0.5
STORM_NS = 700_000_000
OPEN_LEAST = 6
"""So many markets stay open whatever a script resolves."""
FINER = {1_000: 100, 100: 10, 50: 25, 25: 1, 10: 1}


class PolymarketUpheavals:
    def __init__(self, door: PolymarketDoor, seed: str) -> None:
        self.door = door
        self._draw = random.Random(f"{seed}/upheavals")
        self._ticks = {c: p.polymarket.tick for c, p in door.by_condition.items()}
        door.desk.upheavals |= {
            "restart": Upheaval(self._is_open, lambda _: self.restart(DOWN_S, ENGINE_S, POST_ONLY_S)),
            "maintenance": Upheaval(
                self._is_open, lambda _: door.mode.maintenance(DISABLED_S, CANCEL_ONLY_S)
            ),
            "rate_storm": Upheaval(lambda _: True, lambda _: self.storm(STORM_NS)),
            "tick_change": Upheaval(self._trades, self.next_tick),
            "contract_change": Upheaval(self._may_move, self.next_contract),
            "resolution": Upheaval(self._may_resolve, self.resolve_either),
        }  # fmt: skip

    # what is possible

    def _is_open(self, _: str) -> bool:
        return self.door.mode.phase == "open"

    def _trades(self, market: str) -> bool:
        return market in self.door.by_condition and self.door.accepting(market)

    def _may_move(self, market: str) -> bool:
        return self._trades(market) and self.door.by_condition[market].polymarket.generation != "exchange_v3"

    def _may_resolve(self, market: str) -> bool:
        accepting = sum(self.door.accepting(condition) for condition in self.door.by_condition)
        return self._trades(market) and accepting > OPEN_LEAST

    # what is done

    def restart(self, down_s: float, engine_s: float, post_only_s: float) -> None:
        """Connections break; once they are taken again orders meet 425, then post-only mode, then the open venue."""
        self.door.desk.restart(down_s)
        self.door.mode.restart(down_s + engine_s, post_only_s)

    def storm(self, length_ns: int) -> None:
        self.door.desk.storm_until_ns = self.door.desk.now() + length_ns

    def next_tick(self, market: str) -> None:
        """To the next finer grid, or back to the first one."""
        spec, first = self.door.by_condition[market].polymarket, self._ticks[market]
        self.set_tick(market, FINER.get(first, first) if spec.tick == first else first)

    def set_tick(self, market: str, tick: int) -> None:
        """Orders of the old grid stay where they are."""
        spec = self.door.by_condition[market].polymarket
        if tick != spec.tick:
            self.door.change(market, "tick", replace(spec, tick=tick, tick_text=plain(tick, 4)))

    def next_contract(self, market: str) -> None:
        """To the other exchange contract of its generation: signatures for the one it leaves are refused from now on."""
        spec = self.door.by_condition[market].polymarket
        for order in [o for o in self.door.exchange.orders.values() if o.market == market and o.status == "live"]:
            self.door.exchange.cancel(order.venue_order, self.door.desk.now(), "ContractChanged")
        self.door.change(market, "contract", replace(spec, neg_risk=not spec.neg_risk))

    def resolve_either(self, market: str) -> None:
        """In favour of the side that the book holds likelier, most of the time."""
        best = self.door.exchange.books[market].best("bid") or PRICE_ONE // 2
        yes = Fraction(self._draw.randint(0, 9_999), PRICE_ONE) < Fraction(best, PRICE_ONE)
        self.resolve(market, YES_WINS if yes else NO_WINS)

    def resolve(self, market: str, payout: Payout) -> int:
        """Where exactly one market of an event pays YES, the one that does decides all of them. Orders cancelled by it."""
        exchange, now_ns = self.door.exchange, self.door.desk.now()
        cancelled = resolve(exchange, market, payout, now_ns)
        if payout == YES_WINS:
            cancelled += sum(resolve(exchange, other, NO_WINS, now_ns) for other in self.door.event_of(market))
        return cancelled

    def pause(self, seconds: float) -> None:
        """Trading is disabled, cancels included, for so long."""
        self.door.mode.enter((("disabled", seconds),))

    def cancel_only(self, seconds: float) -> None:
        self.door.mode.enter((("cancel_only", seconds),))
