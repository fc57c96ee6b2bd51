"""The tape: what the venue shows is what an independent scan of the same rows shows."""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from tests.venues.simulated.clients import ROOT
from venues.simulated.exchange import Exchange
from venues.simulated.happenings import FeeRule, Terms, Ticket
from venues.simulated.scale import UNIT
from venues.simulated.tape import Ladder, TapeRow, apply_row, instant_ns, read_tape
from venues.simulated.tape_player import TapePlayer
from venues.simulated.universe import load_pairs

# read at import: fixtures take CROSSFILL_ settings of the outside away
SHARED = Path(os.environ.get("CROSSFILL_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "data" / "two-venue-nba-mvp"
recorded = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"recordings are not at {FOLDER}")
FROM, TO = "2026-01-03T23:16", "2026-01-03T23:58"


def exchange() -> Exchange:
    made = Exchange(("m",), Terms(netting=True, settles=False, fees={"m": FeeRule(Fraction(1))}), "seed")
    made.open_account("ann", 1_000 * UNIT)
    return made


def row(second: float, kind: str, side: str, price: int, size: int, *, opens: bool = False) -> TapeRow:
    return TapeRow(int(second * 1e9), kind, side, price, size * UNIT, opens)  # type: ignore[arg-type]


def test_a_snapshot_clears_what_it_proves_stale():
    ladder = Ladder({700: 5, 900: 9}, {800: 5, 1_000: 5})
    assert apply_row(ladder, row(0, "best", "bid", 800, 3)) == [
        ("bid", 900, 0),
        ("ask", 800, 0),
        ("bid", 800, 3 * UNIT),
    ]
    assert (ladder.bid, ladder.ask) == ({700: 5, 800: 3 * UNIT}, {1_000: 5})


def test_a_delta_never_goes_below_nothing_and_a_session_starts_empty():
    ladder = Ladder()
    apply_row(ladder, row(0, "delta", "ask", 1_200, -952))
    apply_row(ladder, row(0, "delta", "ask", 1_200, 999))
    assert ladder.ask == {1_200: 999 * UNIT}
    apply_row(ladder, row(9, "best", "bid", 700, 1, opens=True))
    assert (ladder.bid, ladder.ask) == ({700: UNIT}, {})


def test_what_we_take_stays_taken_until_the_tape_sets_the_level_again():
    rows = [row(0, "best", "ask", 800, 10), row(1, "level", "ask", 900, 5), row(2, "level", "ask", 800, 12)]
    venue = exchange()
    player = TapePlayer(venue, "m", rows, 0, 2.0)
    player.play(0, 0)
    venue.submit(Ticket("ann", "a", "m", "yes", "buy", 800, 4 * UNIT, "ioc"), 1)
    player.play(int(0.6e9), 2)  # at double speed this is second 1.2
    assert venue.books["m"].ladder("ask") == [(800, 6 * UNIT), (900, 5 * UNIT)]
    assert player.next_due_ns() == 10**9
    player.play(10**9, 3)
    assert venue.books["m"].size("ask", 800) == 12 * UNIT
    assert player.next_due_ns() is None


@recorded
@pytest.mark.parametrize("dialect", ["kalshi", "polymarket"])
def test_the_played_book_equals_an_independent_scan(dialect: str):
    rows = list(read_tape(FOLDER, dialect, instant_ns(FROM), instant_ns(TO)))
    inside = [r for r in rows if r.at_ns >= instant_ns(FROM)]
    assert all(a.at_ns <= b.at_ns for a, b in pairwise(rows))
    venue = exchange()
    player = TapePlayer(venue, "m", rows, instant_ns(FROM), 1.0)
    assert player.play(42 * 60 * 10**9, 0) == len(rows)
    bids, asks, count = scan(dialect)
    assert len(inside) == count > 2_000
    assert dict(venue.books["m"].ladder("bid")) == bids
    assert dict(venue.books["m"].ladder("ask")) == asks
    assert max(bids) < min(asks)


def scan(dialect: str) -> tuple[dict[int, int], dict[int, int], int]:
    """The rules written down a second time, in floats and on its own."""
    name = "Kalshi_Jokic.csv" if dialect == "kalshi" else "Polymarket_Jokic_YES.csv"
    with (FOLDER / name).open(newline="") as file:
        entries = list(csv.DictReader(file))
    stamp = ""
    for entry in reversed(entries):
        stamp = entry["timestamp"] = entry["timestamp"] or stamp
    low, high = (datetime.fromisoformat(t).replace(tzinfo=UTC).timestamp() for t in (FROM, TO))
    book: dict[str, dict[int, float]] = {"BUY": {}, "SELL": {}}
    last, count = 0.0, 0
    for entry in entries:
        text = entry["timestamp"]
        at = float(text) if text.isdigit() else datetime.fromisoformat(text).timestamp()
        at = max(at, last)
        if at >= high:
            break
        if at - last > 600:
            book = {"BUY": {}, "SELL": {}}
        last = at
        if entry["event_type"] == "tick_size_change":
            continue
        count += at >= low
        if entry["event_type"] == "last_trade_price":
            continue
        side, other = entry["side"], "SELL" if entry["side"] == "BUY" else "BUY"
        price, size = round(float(entry["price"]) * 10_000), float(entry["size"])
        sign = 1 if side == "BUY" else -1
        if entry["event_type"] == "price_change" and dialect == "kalshi":
            size = max(0.0, book[side].get(price, 0.0) + size)
        if entry["event_type"] == "book":
            book[side] = {p: s for p, s in book[side].items() if sign * p <= sign * price}
        if size > 0:
            book[other] = {p: s for p, s in book[other].items() if sign * p > sign * price}
        book[side][price] = size
    bids, asks = ({p: round(s * UNIT) for p, s in sorted(book[side].items()) if s > 0} for side in ("BUY", "SELL"))
    return bids, asks, count


def test_the_tape_pair_is_the_recorded_one():
    (pair,) = load_pairs(ROOT / "configs" / "pairs.tape.yaml")
    assert pair.kalshi.ticker == "KXNBAMVP-26-NJOK"
    assert pair.polymarket.yes_token.startswith("737686")
