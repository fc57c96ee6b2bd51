"""Recorded market data, played as a venue's book.

The files hold, per venue, snapshots of which only the best row a side was stored (`book`), level changes (`price_change`:
signed deltas on Kalshi, absolute sizes on Polymarket) and trades. Three rules make a book of them, and `apply_row` is the
whole of it:

* a snapshot row sets the best level of its side; better levels of that side, and levels of the other side that it crosses,
  were stale and go;
* a delta never takes a level below zero, because the depth before the first snapshot is unknown;
* a level that is set and crosses the other side proves that the crossed levels were stale.

A gap of more than ten minutes between rows begins a new session with an empty book. Prices carry float noise in the source
and are rounded to the nearest 1/10,000. Both Polymarket files say the same thing, once a token; the YES file is played.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Literal

from venues.simulated.book import Side, opposite
from venues.simulated.scale import PRICE_ONE, UNIT

RowKind = Literal["best", "delta", "level", "trade"]
FILES = {"kalshi": "Kalshi_Jokic.csv", "polymarket": "Polymarket_Jokic_YES.csv"}
SESSION_GAP_NS = 600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class TapeRow:
    at_ns: int
    kind: RowKind
    side: Side
    price: int
    size: int
    opens_session: bool


@dataclass(slots=True)
class Ladder:
    bid: dict[int, int] = field(default_factory=dict)
    ask: dict[int, int] = field(default_factory=dict)

    def of(self, side: Side) -> dict[int, int]:
        return self.bid if side == "bid" else self.ask


def instant_ns(text: str) -> int:
    """Unix nanoseconds of an ISO text or of a number of seconds; a text without a zone is UTC."""
    if text.replace(".", "", 1).isdigit():
        return int(Decimal(text) * 1_000_000_000)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((whole.days * 86_400 + whole.seconds) * 1_000_000 + whole.microseconds) * 1_000


def _scaled(text: str, scale: int) -> int:
    return int((Decimal(text) * scale).quantize(Decimal(1), ROUND_HALF_EVEN))


def read_tape(directory: Path, dialect: str, start_ns: int, end_ns: int) -> Iterator[TapeRow]:
    """Rows of the session that `start_ns` falls in, in file order and with times that never fall, up to `end_ns`.

    Rows before `start_ns` come too: they build the book that the session had by then.
    """
    session: list[TapeRow] = []
    started = False
    for row in _rows(directory / FILES[dialect], dialect):
        if row.at_ns >= end_ns:
            break
        if started:
            yield row
            continue
        if row.opens_session:
            session = []
        session.append(row)
        if row.at_ns >= start_ns:
            started = True
            yield from session
    if not started:
        yield from session


def _rows(path: Path, dialect: str) -> Iterator[TapeRow]:
    waiting: list[dict[str, str]] = []
    last_ns: int | None = None
    with path.open(newline="", encoding="utf-8") as file:
        for entry in csv.DictReader(file):
            if not entry["timestamp"]:
                waiting.append(entry)  # a snapshot without a time belongs to the first stamped row after it
                continue
            at_ns = instant_ns(entry["timestamp"])
            for held in [*waiting, entry]:
                fresh = last_ns is None or at_ns - last_ns > SESSION_GAP_NS
                at_ns = max(at_ns, last_ns or 0)
                last_ns = at_ns
                row = _row(held, at_ns, dialect, fresh)
                if row is not None:
                    yield row
            waiting = []


def _row(entry: dict[str, str], at_ns: int, dialect: str, fresh: bool) -> TapeRow | None:
    kinds: dict[str, RowKind] = {
        "book": "best", "price_change": "delta" if dialect == "kalshi" else "level", "last_trade_price": "trade",
    }  # fmt: skip
    kind = kinds.get(entry["event_type"])
    if kind is None or not entry["price"] or not entry["size"]:
        return None
    side: Side = "bid" if entry["side"] == "BUY" else "ask"
    return TapeRow(at_ns, kind, side, _scaled(entry["price"], PRICE_ONE), _scaled(entry["size"], UNIT), fresh)


def apply_row(ladder: Ladder, row: TapeRow) -> list[tuple[Side, int, int]]:
    """Play one row into the level map; returns the levels it set, as (side, price, absolute size)."""
    changed: list[tuple[Side, int, int]] = []

    def put(side: Side, price: int, size: int) -> None:
        if size > 0:
            ladder.of(side)[price] = size
        else:
            ladder.of(side).pop(price, None)
        changed.append((side, price, size))

    if row.opens_session:
        for side in (row.side, opposite(row.side)):
            for price in list(ladder.of(side)):
                put(side, price, 0)
    if row.kind == "trade":
        return changed
    mine, other = row.side, opposite(row.side)
    size = row.size
    if row.kind == "delta":
        size = max(0, ladder.of(mine).get(row.price, 0) + row.size)
    bid = mine == "bid"
    if row.kind == "best":
        for price in [p for p in ladder.of(mine) if (p > row.price if bid else p < row.price)]:
            put(mine, price, 0)
    if size > 0:
        for price in [p for p in ladder.of(other) if (p <= row.price if bid else p >= row.price)]:
            put(other, price, 0)
    put(mine, row.price, size)
    return changed
