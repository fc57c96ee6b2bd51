"""Books as Polymarket tells them: one per token, the NO token's being the mirror of the YES token's."""

from __future__ import annotations

import hashlib
import json

from venues.simulated.book import Book, Outcome, own_price
from venues.simulated.scale import plain
from venues.simulated.universe import Pair


def levels(book: Book, outcome: Outcome) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Bids and asks of one token, best last as the live venue sends them."""
    bids = [(p, s) for p, s in book.ladder("bid")]
    asks = [(p, s) for p, s in reversed(book.ladder("ask"))]
    if outcome == "no":
        bids, asks = [(own_price("no", p), s) for p, s in asks], [(own_price("no", p), s) for p, s in bids]
    return _told(bids), _told(asks)


def _told(rows: list[tuple[int, int]]) -> list[dict[str, str]]:
    return [{"price": plain(price, 4), "size": plain(size, 6)} for price, size in rows]


def best_of(book: Book, outcome: Outcome) -> tuple[str, str]:
    bid, ask = book.best("bid"), book.best("ask")
    if outcome == "no":
        bid, ask = (None if ask is None else own_price("no", ask)), (None if bid is None else own_price("no", bid))
    return ("0" if bid is None else plain(bid, 4)), ("1" if ask is None else plain(ask, 4))


def book_told(book: Book, pair: Pair, outcome: Outcome, now_ns: int) -> dict[str, object]:
    spec = pair.polymarket
    bids, asks = levels(book, outcome)
    last = book.last_trade
    told: dict[str, object] = {
        "market": spec.condition_id, "asset_id": spec.token(outcome), "timestamp": str(now_ns // 1_000_000), "hash": "",
        "bids": bids, "asks": asks, "min_order_size": plain(spec.min_size, 6), "tick_size": spec.tick_text,
        "neg_risk": spec.neg_risk, "last_trade_price": "" if last is None else plain(own_price(outcome, last), 4),
    }  # fmt: skip
    told["hash"] = digest(told)
    return told


def digest(told: dict[str, object]) -> str:
    """SHA-1 over the compact JSON of the book with an empty hash, keys in the venue's order."""
    return hashlib.sha1(
        json.dumps(told | {"hash": ""}, separators=(",", ":")).encode(), usedforsecurity=False
    ).hexdigest()
