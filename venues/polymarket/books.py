"""Polymarket books from frames: whole books and absolute level sizes, one book per token, without sequence numbers.

What was missed does not show in the stream. Two things give it away: the best prices that come with each change, and the
books that are read beside the stream. Pure: frames in, changed markets out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from messages.books import Levels
from messages.markets import Market
from messages.units import Nanos, Price
from venues.board import Sides, best
from venues.polymarket.codec import sides
from venues.reading import is_object, json_of, level_of, objects, price_of, text_of, whole_of

HASHES_MOST = 64


@dataclass(frozen=True, slots=True)
class RuleTold:
    """The stream said that a market's rules changed: its new tick, or that it is resolved."""

    market: str
    tick: Price | None = None
    resolved: bool = False


@dataclass(slots=True)
class Ladder:
    """One token's book."""

    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    known: bool = False
    stamp: int = 0
    """The venue's milliseconds of what was last taken in."""
    hashes: deque[str] = field(default_factory=lambda: deque(maxlen=HASHES_MOST))
    """What the venue called the last states of the book that the stream showed."""

    def replace(self, whole: tuple[Levels, Levels], stamp: int) -> None:
        self.bids, self.asks, self.known, self.stamp = dict(whole[0]), dict(whole[1]), True, stamp

    def heard(self, told: Mapping[str, Any]) -> None:
        digest = text_of(told, "hash")
        if digest:
            self.hashes.append(digest)

    def same(self, whole: tuple[Levels, Levels]) -> bool:
        return self.known and dict(whole[0]) == self.bids and dict(whole[1]) == self.asks


class Books:
    def __init__(self, markets: Iterable[Market]) -> None:
        self.tokens: dict[str, tuple[str, str]] = {m.market: m.tokens for m in markets if m.tokens is not None}
        self.ladders = {token: Ladder() for pair in self.tokens.values() for token in pair}
        self._market_of = {token: market for market, pair in self.tokens.items() for token in pair}
        self.heard_at: dict[str, Nanos] = {}
        """By market, when the stream last said something of its book."""
        self.skipped = 0

    def take(self, frame: str | bytes, at: Nanos) -> tuple[set[str], list[RuleTold]]:
        """Markets whose book changed or can no longer be known, and what was said of rules."""
        told = json_of(frame)
        changed, rules = set[str](), list[RuleTold]()
        for message in [told] if is_object(told) else objects(told):
            kind = text_of(message, "event_type")
            if kind == "book":
                found = self._whole(message)
            elif kind == "price_change":
                found = self._changes(message)
            else:
                if kind in ("tick_size_change", "market_resolved"):
                    rules += self._rules(kind, message)
                elif kind not in ("last_trade_price", "best_bid_ask", "new_market"):
                    self.skipped += 1
                continue
            changed |= found
            self.heard_at.update(dict.fromkeys(found, at))
        return changed, rules

    def _rules(self, kind: str, message: Mapping[str, Any]) -> list[RuleTold]:
        market = text_of(message, "market") or self._market_of.get(text_of(message, "asset_id"), "")
        if market not in self.tokens:
            return []
        if kind == "market_resolved":
            return [RuleTold(market, resolved=True)]
        return [RuleTold(market, price_of(message, "new_tick_size"))]

    def _whole(self, message: Mapping[str, Any]) -> set[str]:
        token = text_of(message, "asset_id")
        ladder, whole = self.ladders.get(token), sides(message)
        if ladder is None:
            self.skipped += 1
            return set()
        if whole is None:
            ladder.known = False
        else:
            ladder.replace(whole, whole_of(message, "timestamp") or 0)
            ladder.heard(message)
        return {self._market_of[token]}

    def _changes(self, message: Mapping[str, Any]) -> set[str]:
        stamp = whole_of(message, "timestamp") or 0
        last: dict[str, Mapping[str, Any]] = {}
        for change in objects(message.get("price_changes")):
            token = text_of(change, "asset_id")
            ladder = self.ladders.get(token)
            if ladder is None:
                self.skipped += 1
                continue
            # a book that was read beside the stream may be ahead of it
            if ladder.known and stamp >= ladder.stamp:
                self._level(ladder, change)
                ladder.heard(change)
                last[token] = change
        for token, change in last.items():
            ladder = self.ladders[token]
            ladder.stamp = stamp
            ladder.known = ladder.known and _tops_agree(ladder, change)
        return {self._market_of[token] for token in last}

    def _level(self, ladder: Ladder, change: Mapping[str, Any]) -> None:
        level = level_of(change.get("price"), change.get("size"))
        side = {"BUY": ladder.bids, "SELL": ladder.asks}.get(text_of(change, "side").upper())
        if level is None or side is None:
            ladder.known = False
        elif level[1]:
            side[level[0]] = level[1]
        else:
            side.pop(level[0], None)

    def known(self, market: str) -> bool:
        return all(self.ladders[token].known and not _crossed(self.ladders[token]) for token in self.tokens[market])

    def sides(self, market: str) -> Sides:
        yes, no = (self.ladders[token] for token in self.tokens[market])
        return (
            best(yes.bids, bids=True),
            best(yes.asks, bids=False),
            best(no.bids, bids=True),
            best(no.asks, bids=False),
        )


def _crossed(ladder: Ladder) -> bool:
    return bool(ladder.bids and ladder.asks) and max(ladder.bids) >= min(ladder.asks)


def _tops_agree(ladder: Ladder, change: Mapping[str, Any]) -> bool:
    """The best prices that came with the change are ours too, or were not said."""
    bid, ask = price_of(change, "best_bid"), price_of(change, "best_ask")
    ours = max(ladder.bids, default=0), min(ladder.asks, default=10_000)
    # an empty side is told as 0 or 1, or as nothing
    return (bid is None or bid == ours[0]) and (ask is None or ask == ours[1] or (ask == 0 and ours[1] == 10_000))
