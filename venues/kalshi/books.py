"""Kalshi books from frames: snapshots and deltas of one subscription, whose sequence numbers show every loss.

Each frame of the subscription, whichever market it is about, proves that nothing before it was missed, and so confirms
every book. A gap spoils them all until their next snapshots. Pure: frames in, changed markets out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from messages.books import mirror
from messages.units import Nanos
from venues.board import Sides, best
from venues.kalshi.codec import levels
from venues.reading import is_object, json_of, level_of, object_of, signed_quantity_of, text_of, whole_of

BOOKS = "orderbook_delta"
LIFECYCLE = "market_lifecycle_v2"


@dataclass(slots=True)
class Ladder:
    """Both sides of one market on the YES scale."""

    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    known: bool = False

    def sides(self) -> Sides:
        bids, asks = best(self.bids, bids=True), best(self.asks, bids=False)
        return bids, asks, mirror(asks), mirror(bids)

    @property
    def crossed(self) -> bool:
        return bool(self.bids and self.asks) and max(self.bids) >= min(self.asks)


class Unsubscribed(Exception):
    """The venue will send nothing more on this subscription."""


class Books:
    """One connection's subscription to all followed markets."""

    def __init__(self, markets: Iterable[str]) -> None:
        self.ladders = {market: Ladder() for market in markets}
        self.sid: int | None = None
        self.heard_at = Nanos(0)
        """When the last frame of the subscription arrived."""
        self.gaps = 0
        self.skipped = 0
        """Frames that were not understood."""
        self._seq: int | None = None

    def take(self, frame: str | bytes, at: Nanos) -> tuple[set[str], set[str]]:
        """Markets whose book changed or can no longer be known, and markets whose rules changed."""
        told = json_of(frame)
        if not is_object(told):
            self.skipped += 1
            return set(), set()
        kind, inner = text_of(told, "type"), object_of(told, "msg")
        if kind == "subscribed":
            if text_of(inner, "channel") == BOOKS:
                self.sid, self.heard_at = whole_of(inner, "sid"), at
            return set(), set()
        if kind == "error":
            self._error(told, inner)
            return set(), set()
        if kind == LIFECYCLE:
            return set(), {text_of(inner, "market_ticker")} & set(self.ladders)
        if self.sid is None or whole_of(told, "sid") != self.sid:
            self.skipped += kind not in ("ok", "event_lifecycle", "event_fee_update", "unsubscribed")
            return set(), set()
        changed = self._sequence(told)
        self.heard_at = at
        market = text_of(inner, "market_ticker")
        ladder = self.ladders.get(market)
        if ladder is not None and kind == "orderbook_snapshot":
            self._snapshot(ladder, inner)
            changed.add(market)
        elif ladder is not None and kind == "orderbook_delta":
            if ladder.known:
                self._delta(ladder, inner)
                changed.add(market)
        elif kind not in ("ok", "orderbook_snapshot", "orderbook_delta"):
            self.skipped += 1
        return changed, set()

    def _error(self, told: Mapping[str, Any], inner: Mapping[str, Any]) -> None:
        code = whole_of(inner, "code")
        if code in (10, 25) or (whole_of(told, "id") == 1 and self.sid is None):
            raise Unsubscribed(f"error {code}")

    def _sequence(self, told: Mapping[str, Any]) -> set[str]:
        seq = whole_of(told, "seq")
        if seq is None:
            return set()
        expected = seq if self._seq is None else self._seq + 1
        self._seq = seq
        if seq == expected:
            return set()
        self.gaps += 1
        return self.forget()

    def forget(self) -> set[str]:
        for ladder in self.ladders.values():
            ladder.known = False
        return set(self.ladders)

    def _snapshot(self, ladder: Ladder, inner: Mapping[str, Any]) -> None:
        # the key of an empty side is absent
        bids, asks = levels(inner.get("yes_dollars_fp")), levels(inner.get("no_dollars_fp"))
        ladder.known = bids is not None and asks is not None
        ladder.bids, ladder.asks = dict(bids or ()), dict(asks or ())

    def _delta(self, ladder: Ladder, inner: Mapping[str, Any]) -> None:
        level = level_of(inner.get("price_dollars"), "0")
        delta = signed_quantity_of(inner, "delta_fp")
        side = {"yes": ladder.bids, "no": ladder.asks}.get(text_of(inner, "side"))
        if level is None or delta is None or side is None:
            ladder.known = False
            return
        left = side.get(level[0], 0) + delta
        if left > 0:
            side[level[0]] = left
        else:
            side.pop(level[0], None)
            # more was taken than we knew of: our picture was wrong
            ladder.known = ladder.known and left == 0

    def missing(self) -> list[str]:
        return [market for market, ladder in self.ladders.items() if not ladder.known]
