"""The market makers: a pure function of (seed, pair, venue, elapsed time), so that two processes quote one world.

Each pair has a fair price that wanders slowly. Time is cut into slots; once per slot one of the two venues departs from the
fair price for one to three seconds, just so far that buying on one venue and selling on the other leaves one to four cents
a contract after both takers' fees. The departure is computed from the *other* venue's best price, which this process can
work out by itself. Outside departures the venues agree within the spread.
"""

from __future__ import annotations

import math
import random
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from venues.simulated.book import Side
from venues.simulated.exchange import Exchange
from venues.simulated.fees import kalshi_fee, polymarket_fee
from venues.simulated.scale import PRICE_ONE, UNIT
from venues.simulated.universe import Pair

Dialect = Literal["kalshi", "polymarket"]

STEP_NS = 400_000_000
SLOT_STEPS = 20  # eight seconds: with 24 pairs three departures start each second
LEVELS = 6
FAIR_BOUNDS = (1_800, 8_200)
MARKET_REQUOTES_PER_S = 60


@dataclass(frozen=True, slots=True)
class Departure:
    venue: Dialect
    up: bool
    first_step: int
    last_step: int
    edge: int


class Quoter:
    """Both venues' quotes for one pair."""

    def __init__(self, seed: int, pair: Pair) -> None:
        self.pair, self.seed = pair, seed
        draw = random.Random(f"{seed}/{pair.id}/path")
        self._base = draw.randint(3_000, 7_000)
        self._waves = [(draw.randint(100, 600), draw.uniform(120, 700), draw.uniform(0, 6.28)) for _ in range(3)]
        self.spread: dict[Dialect, int] = {
            "kalshi": draw.choice((100, 100, 200)), "polymarket": draw.choice((100, 200, 200)),
        }  # fmt: skip
        self.departure = lru_cache(maxsize=4)(self._departure)

    def fair(self, step: int) -> int:
        seconds = step * STEP_NS / 1e9
        wander = sum(size * math.sin(seconds * 6.2832 / period + phase) for size, period, phase in self._waves)
        return min(max(self._base + round(wander), FAIR_BOUNDS[0]), FAIR_BOUNDS[1])

    def _departure(self, slot: int) -> tuple[Departure, dict[Dialect, int]]:
        draw = random.Random(f"{self.seed}/{self.pair.id}/{slot}")
        first = slot * SLOT_STEPS + draw.randrange(SLOT_STEPS - 8)
        fair = self.fair(first)
        up = draw.random() < 0.5 if 3_000 < fair < 7_000 else fair <= 3_000
        venue: Dialect = draw.choice(("kalshi", "polymarket"))
        departure = Departure(venue, up, first, first + draw.randint(3, 7), draw.randint(110, 290))
        return departure, {"kalshi": draw.randint(-30, 30), "polymarket": draw.randint(-30, 30)}

    def _step_at(self, venue: Dialect, price: int) -> int:
        return self.pair.kalshi.step_at(price) if venue == "kalshi" else self.pair.polymarket.tick

    def _down(self, venue: Dialect, price: int) -> int:
        return price // (step := self._step_at(venue, price)) * step

    def _up(self, venue: Dialect, price: int) -> int:
        return -(-price // (step := self._step_at(venue, price))) * step

    def _taker_fee(self, venue: Dialect, price: int) -> int:
        """Fee of one contract in price units, rounded up."""
        if venue == "kalshi":
            micro = kalshi_fee(price, UNIT, 0, 0, self.pair.kalshi.fee_multiplier, taker=True).net
        else:
            micro = polymarket_fee(price, UNIT, self.pair.polymarket.fee_rate, self.pair.polymarket.fee_exponent)
        return -(-micro // 100)

    def _calm(self, venue: Dialect, step: int) -> tuple[int, int]:
        _, offsets = self.departure(step // SLOT_STEPS)
        bid = self._down(venue, self.fair(step) + offsets[venue] - self.spread[venue] // 2)
        return bid, self._up(venue, bid + self.spread[venue])

    def touch(self, venue: Dialect, step: int) -> tuple[int, int]:
        """Best bid and best ask of one venue at one step."""
        departure, _ = self.departure(step // SLOT_STEPS)
        if departure.venue != venue or not departure.first_step <= step < departure.last_step:
            return self._calm(venue, step)
        other: Dialect = "polymarket" if venue == "kalshi" else "kalshi"
        other_bid, other_ask = self._calm(other, step)
        if departure.up:
            bid = other_ask + departure.edge + self._taker_fee(other, other_ask)
            bid = self._up(venue, bid + self._taker_fee(venue, bid))
            return bid, self._up(venue, bid + self.spread[venue])
        ask = other_bid - departure.edge - self._taker_fee(other, other_bid)
        ask = self._down(venue, ask - self._taker_fee(venue, ask))
        return self._down(venue, ask - self.spread[venue]), ask

    def ladder(self, venue: Dialect, step: int) -> dict[tuple[Side, int], int]:
        """The whole quote: size by (side, YES price)."""
        bid, ask = self.touch(venue, step)
        wanted: dict[tuple[Side, int], int] = {}
        for level in range(LEVELS):
            low = self._down(venue, bid - level * 100)
            high = self._up(venue, ask + level * 100)
            if low > 0:
                wanted[("bid", low)] = self._size(venue, "bid", low, step)
            if high < PRICE_ONE:
                wanted[("ask", high)] = self._size(venue, "ask", high, step)
        return wanted

    def _size(self, venue: Dialect, side: Side, price: int, step: int) -> int:
        mark = zlib.crc32(f"{self.seed}/{self.pair.id}/{venue}/{side}/{price}".encode())
        epoch = (step + mark % 30) // 30  # each level changes its size every twelve seconds, at a time of its own
        return (10 + zlib.crc32(f"{mark}/{epoch}".encode()) % 191) * UNIT


class Makers:
    """Keeps one venue's books at what the quoters say, touching only what differs."""

    def __init__(self, exchange: Exchange, pairs: tuple[Pair, ...], venue: Dialect, seed: int) -> None:
        self._exchange, self._venue = exchange, venue
        self._quoters = [Quoter(seed, pair) for pair in pairs]
        self._markets = [p.kalshi.ticker if venue == "kalshi" else p.polymarket.condition_id for p in pairs]
        # with many pairs each is looked at less often: the venue's total rate is what is bounded
        self.period_ns = max(STEP_NS, len(pairs) * 1_000_000_000 // MARKET_REQUOTES_PER_S)
        self._next = [self.period_ns * number // len(pairs) for number in range(len(pairs))]

    def requote_all(self, elapsed_ns: int, now_ns: int) -> None:
        for number in range(len(self._quoters)):
            self._requote(number, elapsed_ns, now_ns)

    def requote_due(self, elapsed_ns: int, now_ns: int) -> None:
        for number, due_ns in enumerate(self._next):
            if due_ns <= elapsed_ns:
                self._requote(number, elapsed_ns, now_ns)
                self._next[number] += ((elapsed_ns - due_ns) // self.period_ns + 1) * self.period_ns

    def next_due_ns(self) -> int:
        return min(self._next)

    def _requote(self, number: int, elapsed_ns: int, now_ns: int) -> None:
        market = self._markets[number]
        wanted = self._quoters[number].ladder(self._venue, max(0, elapsed_ns) // STEP_NS)
        present = self._exchange.quoted(market)
        for side, price in present:
            if (side, price) not in wanted:
                self._exchange.quote(market, side, price, 0, now_ns)
        for (side, price), size in wanted.items():
            if present.get((side, price)) != size:
                self._exchange.quote(market, side, price, size, now_ns)
