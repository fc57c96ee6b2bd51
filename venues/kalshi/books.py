"""Kalshi books from frames: snapshots and deltas of one subscription, whose sequence numbers show every loss.

Each frame of the subscription, whichever market it is about, proves that nothing before it was missed, and so confirms
every book. A gap, a repetition or disorder spoils them all until their next snapshots. Pure: frames in, changed markets
out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from messages.books import mirror
from messages.units import ONE_DOLLAR, Nanos
from venues.board import Sides, best
from venues.kalshi.codec import levels
from venues.reading import is_object, json_of, level_of, object_of, signed_quantity_of, text_of, whole_of

BOOKS = "orderbook_delta"
LIFECYCLE = "market_lifecycle_v2"
RULES = (LIFECYCLE, "event_lifecycle", "event_fee_update", "market_metadata_updated")
"""Messages of the lifecycle channel; all but the first are about events."""

MISSED: Mapping[str, Any] = {"missed": True}
"""Told where messages of the lifecycle channel are missing: whatever they said must be read."""

CHANNEL_FAILED, OVERFLOWED, TOO_MANY_MARKETS = 10, 25, 26


@dataclass(slots=True)
class Ladder:
    """Both sides of one market on the YES scale."""

    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    known: bool = False
    changes: int = 0
    """Grows with every change, so that two looks can be compared."""
    clock: int = 0
    """The exchange's own count for this market; 0 where it does not tell."""
    settled: int = 0
    """The clock of the snapshot: it holds everything up to there."""

    def sides(self) -> Sides:
        bids, asks = best(self.bids, bids=True), best(self.asks, bids=False)
        return bids, asks, mirror(asks), mirror(bids)

    @property
    def crossed(self) -> bool:
        return bool(self.bids and self.asks) and max(self.bids) >= min(self.asks)


class Unsubscribed(Exception):
    """The venue will send nothing more on this subscription."""


class TooManyMarkets(Exception):
    """The venue does not take so many markets in one subscription."""


class Books:
    """One connection's subscription to all followed markets.

    `yes_scale`: whether asks were asked for at YES prices; else they come as bids of NO.
    """

    def __init__(self, markets: Iterable[str], *, yes_scale: bool = True) -> None:
        self.ladders = {market: Ladder() for market in markets}
        self.sid: int | None = None
        self.heard_at = Nanos(0)
        """When the last frame of the subscription arrived."""
        self.gaps = 0
        self.skipped = 0
        """Frames that were not understood."""
        self._seq: int | None = None
        self._rules_seq: int | None = None
        self._yes_scale = yes_scale

    def take(self, frame: str | bytes, at: Nanos) -> tuple[set[str], list[Mapping[str, Any]]]:
        """Markets whose book changed or can no longer be known, and what was said of rules and events.

        Raises `Unsubscribed` and `TooManyMarkets`.
        """
        told = json_of(frame)
        changed: set[str] = set()
        rules: list[Mapping[str, Any]] = []
        for message in told if isinstance(told, list) else [told]:
            if is_object(message):
                self._take(message, at, changed, rules)
            else:
                self.skipped += 1
        return changed, rules

    def _take(self, told: Mapping[str, Any], at: Nanos, changed: set[str], rules: list[Mapping[str, Any]]) -> None:
        kind, inner = text_of(told, "type"), object_of(told, "msg")
        if kind == "subscribed":
            if text_of(inner, "channel") == BOOKS:
                self.sid, self.heard_at = whole_of(inner, "sid"), at
            return
        if kind in RULES:
            self._rules(told, inner, rules)
            return
        if kind == "error":
            self._error(told, inner)
        if self.sid is None or whole_of(told, "sid") != self.sid:
            self.skipped += kind not in ("ok", "error", "unsubscribed")
            return
        if kind == "unsubscribed":
            raise Unsubscribed("by the venue")
        if self._in_sequence(told, kind, changed):
            self.heard_at = at
            self._apply(kind, inner, changed)

    def _rules(self, told: Mapping[str, Any], inner: Mapping[str, Any], rules: list[Mapping[str, Any]]) -> None:
        seq, last = whole_of(told, "seq"), self._rules_seq
        if seq is not None and last is not None and seq != last + 1:
            rules.append(MISSED)
        self._rules_seq = seq if seq is not None else last
        rules.append(inner)

    def _apply(self, kind: str, inner: Mapping[str, Any], changed: set[str]) -> None:
        market = text_of(inner, "market_ticker")
        ladder = self.ladders.get(market)
        if kind == "orderbook_snapshot" and ladder is not None:
            self._snapshot(ladder, inner)
            changed.add(market)
        elif kind == "orderbook_delta" and ladder is not None:
            if ladder.known:
                self._delta(ladder, inner)
                changed.add(market)
        elif kind not in ("ok", "error", "orderbook_snapshot", "orderbook_delta"):
            self.skipped += 1

    def _error(self, told: Mapping[str, Any], inner: Mapping[str, Any]) -> None:
        code = whole_of(inner, "code")
        if code == TOO_MANY_MARKETS:
            raise TooManyMarkets
        about = whole_of(told, "sid")
        if code in (CHANNEL_FAILED, OVERFLOWED) and about in (None, self.sid):
            raise Unsubscribed(f"error {code}")
        if whole_of(told, "id") == 1 and self.sid is None:
            raise Unsubscribed(f"error {code}")

    def _in_sequence(self, told: Mapping[str, Any], kind: str, changed: set[str]) -> bool:
        """Whether this frame may be taken. Every book is spoilt where one is missing before it, or it was told already."""
        seq = whole_of(told, "seq")
        if seq is None:
            if kind in ("ok", "error"):
                return True
            # a book message that cannot be placed
            changed |= self.forget()
            return False
        last = self._seq
        self._seq = seq if last is None else max(seq, last)
        if last is None or seq == last + 1:
            return True
        self.gaps += 1
        changed |= self.forget()
        # what is missing lies before this frame: a snapshot in it is whole, and a delta waits for one
        return seq > last

    def forget(self) -> set[str]:
        for ladder in self.ladders.values():
            ladder.known = False
        return set(self.ladders)

    def _snapshot(self, ladder: Ladder, inner: Mapping[str, Any]) -> None:
        # the key of an empty side is absent
        bids, asks = levels(inner.get("yes_dollars_fp")), levels(inner.get("no_dollars_fp"))
        ladder.known = bids is not None and asks is not None
        ladder.changes += 1
        ladder.clock = ladder.settled = max(whole_of(inner, "clock") or 0, 0)
        ladder.bids = dict(bids or ())
        ladder.asks = {self._ask(price): size for price, size in asks or ()}

    def _delta(self, ladder: Ladder, inner: Mapping[str, Any]) -> None:
        ladder.changes += 1
        level = level_of(inner.get("price_dollars"), "0")
        delta = signed_quantity_of(inner, "delta_fp")
        asks = text_of(inner, "side") == "no"
        side = {"yes": ladder.bids, "no": ladder.asks}.get(text_of(inner, "side"))
        clock = whole_of(inner, "clock")
        if level is None or delta is None or side is None:
            ladder.known = False
            return
        if clock is not None and ladder.settled and (clock <= ladder.settled or clock < ladder.clock):
            # after a snapshot only later changes follow, and a market's clock goes down in maintenance alone
            ladder.known = False
            return
        ladder.clock = clock or ladder.clock
        price = self._ask(level[0]) if asks else level[0]
        left = side.get(price, 0) + delta
        if left > 0:
            side[price] = left
        else:
            side.pop(price, None)
            # more was taken than we knew of: our picture was wrong
            ladder.known = ladder.known and left == 0

    def _ask(self, price: int) -> int:
        return price if self._yes_scale else ONE_DOLLAR - price

    def missing(self) -> list[str]:
        return [market for market, ladder in self.ladders.items() if not ladder.known]
