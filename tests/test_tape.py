"""The recording of one event on both venues: every crossing in it is seen by the engine, as an independent reading sees it.

The reading below shares no code with the engine or with the simulated venues: it goes through the files by itself, keeps
levels in its own way, and says when YES here and NO there cost less than a dollar together. The engine's side is the
venue's player, the real detection and the real column of checks, in the tape's own time.
"""

from __future__ import annotations

import csv
import heapq
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from actors.rules import limits_of, pairs_of, sizing_of
from actors.scout import Scout
from configs.load import load
from core.checks import Approved
from core.desk import Desk
from messages.books import Book, mirror
from messages.control import VenueSeen
from messages.leases import CapitalGranted, ClaimsGranted
from messages.markets import FeeFormula, FeeSchedule, Market, TickBand, VenueMode
from messages.opportunities import Verdict
from messages.units import DOLLAR, Money, Nanos, Price, Quantity
from venues.simulated.tape import Ladder, TapeRow, apply_row, instant_ns, read_tape

ROOT = Path(__file__).resolve().parent.parent
TAPE = Path(os.environ.get("CROSSFILL_SHARED", str(ROOT.parent / "shared"))) / "data" / "two-venue-nba-mvp"

pytestmark = pytest.mark.skipif(not TAPE.is_dir(), reason=f"the recording is not here: {TAPE}")

DENSEST = ("2026-01-03T23:16", "2026-01-03T23:58")
WITH_A_CROSS = ("2026-01-03T20:00", "2026-01-03T20:40")

Interval = tuple[str, int, int]
"""(who sells YES, from, until), in nanoseconds."""


# An independent reading

SILENCE = 600 * 10**9
OTHER = {"k": "p", "p": "k"}


def stamped(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows with a time that never falls; snapshot rows without one take that of the next row that has it."""
    unstamped: list[dict[str, str]] = []
    latest = 0
    for row in csv.DictReader(path.read_text().splitlines()):
        if row["timestamp"] == "":
            unstamped.append(row)
            continue
        text = row["timestamp"].replace("Z", "+00:00")
        if text.replace(".", "").isdigit():
            when = int(Decimal(text) * 10**9)
        else:
            moment = datetime.fromisoformat(text)
            since = moment - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
            when = since // timedelta(microseconds=1) * 1000
        when = max(when, latest)
        for held in (*unstamped, row):
            yield when, held
        unstamped, latest = [], when


def tops(path: Path, deltas: bool) -> Iterator[tuple[int, int | None, int | None]]:
    """(time, best bid, best ask) after every row, prices in 1/10,000 dollar."""
    levels: dict[str, dict[int, Decimal]] = {"BUY": {}, "SELL": {}}
    before = None
    for when, row in stamped(path):
        if before is not None and when - before > SILENCE:
            levels = {"BUY": {}, "SELL": {}}
        before = when
        if row["event_type"] in ("book", "price_change") and row["price"] and row["size"]:
            price, size = round(Decimal(row["price"]) * 10_000), Decimal(row["size"])
            mine = levels[row["side"]]
            other = levels["SELL" if row["side"] == "BUY" else "BUY"]
            sign = 1 if row["side"] == "BUY" else -1
            if row["event_type"] == "price_change" and deltas:
                size = max(Decimal(0), mine.get(price, Decimal(0)) + size)
            if row["event_type"] == "book":
                for better in [p for p in mine if sign * p > sign * price]:
                    del mine[better]
            if size:
                for crossed in [p for p in other if sign * p <= sign * price]:
                    del other[crossed]
                mine[price] = size
            else:
                mine.pop(price, None)
        yield when, max(levels["BUY"], default=None), min(levels["SELL"], default=None)


def scanned(start: int, end: int) -> list[Interval]:
    """When YES at one venue and NO at the other cost less than a dollar, best against best."""
    kalshi = ((t, "k", bid, ask) for t, bid, ask in tops(TAPE / "Kalshi_Jokic.csv", deltas=True))
    poly = ((t, "p", bid, ask) for t, bid, ask in tops(TAPE / "Polymarket_Jokic_YES.csv", deltas=False))
    best: dict[str, tuple[int | None, int | None]] = {"k": (None, None), "p": (None, None)}
    open_since: dict[str, int] = {}
    found: list[Interval] = []
    now: dict[str, bool] = {}
    heard = {"k": 0, "p": 0}
    for when, venue, bid, ask in heapq.merge(kalshi, poly, key=lambda row: row[:2]):
        if when >= end:
            break
        best[venue] = (bid, ask)
        heard[venue] = when
        if when - heard[OTHER[venue]] > SILENCE:
            best[OTHER[venue]] = (None, None)  # its recording had ended: what it last said is not its book any more
        if when < start:
            continue
        for seller, buyer in (("k", "p"), ("p", "k")):
            cheap, dear = best[seller][1], best[buyer][0]
            now[seller] = cheap is not None and dear is not None and dear > cheap
            if now[seller]:
                open_since.setdefault(seller, when)
            elif seller in open_since:
                found.append((seller, open_since.pop(seller), when))
    found += [(seller, since, end) for seller, since in open_since.items()]
    return sorted(found)


# The engine's reading


def judged(start: int, end: int) -> tuple[list[Interval], Scout, int]:
    """Play both tapes through detection and the column; the intervals, the scout with its records, and how many were taken."""
    settings = load([ROOT / "configs" / "tape.yaml"]).settings
    desk = Desk("tape")
    pairs = pairs_of(settings)
    desk.apply(1, ClaimsGranted(owner_epoch=1, holder="executor", groups=tuple({p.group for p in pairs})))
    scout = Scout(pairs, desk, limits_of(settings), sizing_of(settings), lambda _venue, _now: 5)
    keys = {m.venue: (m.venue, m.market) for m in pairs[0].markets}
    for number, venue in enumerate(keys):
        desk.apply(
            2 + number, CapitalGranted(owner_epoch=1, holder="executor", venue=venue, total=Money(10_000 * DOLLAR))
        )
    ladders = {venue: Ladder() for venue in keys}
    taken = sequence = 0
    rows = heapq.merge(*(played(venue, start, end) for venue in keys), key=lambda row: row[:2])
    for at, venue, row in rows:
        apply_row(ladders[venue], row)
        now, sequence = Nanos(at), sequence + 1
        for name, key in keys.items():
            scout.hear_mode(VenueSeen(venue=name, mode=VenueMode.OPEN, reachable=True, at=now))
            scout.markets[key] = market_of(name, key[1], now)
            scout.books[key] = book_of(key, ladders[name], sequence, now)
        if at < start:
            continue
        for approved in scout.look(keys[venue], now, 1):
            assert isinstance(approved, Approved)
            scout.taken(approved, f"t{taken}", Verdict.TAKEN, now)
            taken += 1
    scout.end_all(Nanos(end))
    short = {"kalshi": "k", "polymarket": "p"}
    return sorted((short[e.yes_venue], e.since, e.until) for e in scout.ended), scout, taken


def played(venue: str, start: int, end: int) -> Iterator[tuple[int, str, TapeRow]]:
    for row in read_tape(TAPE, venue, start, end):
        yield row.at_ns, venue, row


def book_of(key: tuple[str, str], ladder: Ladder, sequence: int, now: Nanos) -> Book:
    bids = tuple(sorted(ladder.bid.items(), reverse=True))[:10]
    asks = tuple(sorted(ladder.ask.items()))[:10]
    return Book(*key, sequence, now, True, bids, asks, mirror(asks), mirror(bids))


def market_of(venue: str, market: str, now: Nanos) -> Market:
    kalshi = venue == "kalshi"
    fees = FeeSchedule(
        formula=FeeFormula.KALSHI if kalshi else FeeFormula.POLYMARKET,
        version=1,
        taker_ppm=70_000 if kalshi else 50_000,
        maker_ppm=0,
        verified_at=now,
    )
    return Market(
        venue=venue,
        market=market,
        event="nba-mvp",
        title="",
        open=True,
        closes_at=None,
        ticks=(TickBand(start=Price(100), stop=Price(9_900), step=Price(100)),),
        lot=Quantity(10_000),
        min_quantity=Quantity(10_000 if kalshi else 5_000_000),
        min_spend=Money(0 if kalshi else DOLLAR),
        cash_denominated=not kalshi,
        fees=fees,
        version=1,
        seen_at=now,
    )


@pytest.mark.parametrize(("start", "end"), [DENSEST, WITH_A_CROSS])
def test_every_crossing_is_seen_when_and_as_long_as_an_independent_reading_sees_it(start: str, end: str) -> None:
    begin, finish = instant_ns(start), instant_ns(end)
    seen, _, _ = judged(begin, finish)
    assert seen == scanned(begin, finish)


def test_the_window_with_the_real_cross_has_one_and_each_crossing_is_taken_or_explained() -> None:
    begin, finish = instant_ns(WITH_A_CROSS[0]), instant_ns(WITH_A_CROSS[1])
    seen, scout, _ = judged(begin, finish)
    assert seen, "the recording has a real cross in this window"
    for ended in scout.ended:
        assert ended.taken or ended.last is not None
        assert ended.decisions >= 1
    for decision in scout.decisions:
        assert decision.opportunity.quantity > 0
        assert decision.verdict is Verdict.TAKEN or decision.reason is not None
