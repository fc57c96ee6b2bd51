"""Books equal a naive model after any sequence of messages, and a stream without numbers is caught by reads beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.books import Book
from messages.units import CONTRACT, SECOND, Nanos, Price
from tests.venues.making import AT, CONDITION, DATA, Hand, polymarket_market
from venues.board import Board
from venues.polymarket import codec, watch
from venues.polymarket.books import Books, RuleTold
from venues.polymarket.watch import Watch
from venues.sockets import Broken

MARKET = polymarket_market()
YES, NO = MARKET.tokens or ("", "")
VECTOR = json.loads((DATA / "polymarket_amounts_fees.json").read_text())["orderbook_sha1"]


def test_the_hash_of_a_book_is_the_official_clients() -> None:
    assert codec.book_hash(VECTOR["input"]) == VECTOR["sha1"]
    assert codec.book_hash(VECTOR["input"] | {"hash": "whatever"}) == VECTOR["sha1"]
    assert codec.book_hash(VECTOR["input"] | {"tick_size": "0.001"}) != VECTOR["sha1"]


def priced(units: int) -> str:
    """A price as the venue may write it: with or without the leading nought."""
    text = f"{units // 10_000}.{units % 10_000:04d}"
    return text.removeprefix("0") if units % 3 == 0 else text


def sized(units: int) -> str:
    return f"{units // CONTRACT}.{units % CONTRACT:06d}".rstrip("0").rstrip(".")


prices = st.integers(1, 99).map(lambda cents: cents * 100)
sizes = st.integers(0, 50).map(lambda hundredths: hundredths * 10_000)
token = st.sampled_from((YES, NO))
whole = st.tuples(
    st.just("book"), token, st.dictionaries(prices, sizes, max_size=5), st.dictionaries(prices, sizes, max_size=5)
)
change = st.tuples(token, st.sampled_from(("BUY", "SELL")), prices, sizes)
changes = st.tuples(st.just("changes"), st.lists(change, max_size=4))
noise = st.tuples(st.just("noise"), st.sampled_from(("last_trade_price", "best_bid_ask", "new_market", "unheard_of")))
late = st.tuples(st.just("late"), st.lists(change, min_size=1, max_size=2))
messages = st.one_of(whole, changes, noise, late)

Sides = dict[str, tuple[dict[int, int], dict[int, int]]]


def wire(message: Any, stamp: int) -> dict[str, Any]:
    def levels(side: dict[int, int]) -> list[dict[str, str]]:
        return [{"price": priced(price), "size": sized(size)} for price, size in side.items()]

    told: dict[str, Any] = {"event_type": message[1], "asset_id": YES, "price": "0.5", "size": "3", "side": "BUY"}
    match message:
        case ("book", name, bids, asks):
            told = {"event_type": "book", "asset_id": name, "bids": levels(bids), "asks": levels(asks)}
        case (("changes" | "late"), listed):
            told = {
                "event_type": "price_change",
                "price_changes": [
                    {"asset_id": name, "side": side, "price": priced(price), "size": sized(size)}
                    for name, side, price, size in listed
                ],
            }
    return told | {"market": CONDITION, "timestamp": str(stamp)}


@given(st.lists(messages, max_size=25), st.booleans())
def test_books_are_a_naive_models_after_any_sequence_of_messages(listed: list[Any], in_arrays: bool) -> None:
    books = Books([MARKET])
    naive: Sides = {}
    frames: list[dict[str, Any]] = []
    stamp = 1_000
    for message in listed:
        stamp += 1
        # what is older than the book that was last shown is in that book already
        frames.append(wire(message, 1 if message[0] == "late" else stamp))
        if message[0] == "book":
            _, name, bids, asks = message
            naive[name] = {p: s for p, s in bids.items() if s}, {p: s for p, s in asks.items() if s}
        elif message[0] == "changes":
            for name, side, price, size in message[1]:
                if name in naive:
                    levels = naive[name][side == "SELL"]
                    levels[price] = size
                    if not size:
                        del levels[price]
    if in_arrays:
        books.take(json.dumps(frames), AT)
    else:
        for frame in frames:
            books.take(json.dumps(frame).encode(), AT)
    for name, ladder in books.ladders.items():
        assert ladder.known == (name in naive)
        if name in naive:
            assert (ladder.bids, ladder.asks) == naive[name]
    crossed = any(bids and asks and max(bids) >= min(asks) for bids, asks in naive.values())
    assert books.known(CONDITION) == (len(naive) == 2 and not crossed)


def test_what_the_stream_tells_of_rules() -> None:
    books = Books([MARKET])
    tick = {"event_type": "tick_size_change", "asset_id": YES, "old_tick_size": "0.01", "new_tick_size": ".001"}
    frames = [
        tick | {"market": CONDITION}, tick, {"event_type": "market_resolved", "market": CONDITION, "winning_outcome": "Yes"},
        tick | {"market": "0xelse"}, tick | {"market": CONDITION, "new_tick_size": "soon"},
    ]  # fmt: skip
    changed, told = books.take(json.dumps(frames), AT)
    assert not changed
    fine = RuleTold(CONDITION, Price(10))
    assert told == [fine, fine, RuleTold(CONDITION, resolved=True), RuleTold(CONDITION, None)]


# Reads beside the stream


class Venue:
    """What a read shows, and a watch on a stream of the same book."""

    def __init__(self) -> None:
        self.clock, self.told = Hand(), list[Book]()
        self.books = Books([MARKET])
        self.board = Board("p", [CONDITION], self.told.append, self.clock)
        self.watch = Watch(self.books, self.board, self.clock, self.read)
        self.shown: dict[str, codec.Shown] = {}
        self.reads = 0
        self.meanwhile: str | None = None

    async def read(self, tokens: Sequence[str]) -> dict[str, codec.Shown]:
        self.reads += 1
        if self.meanwhile is not None:
            self.watch.take(self.meanwhile)
        return {name: self.shown[name] for name in tokens if name in self.shown}

    def frame(self, name: str, bid: str, digest: str) -> str:
        entry = {"price": bid, "size": "10"}
        told = {
            "event_type": "book", "asset_id": name, "market": CONDITION, "bids": [entry], "asks": [],
            "timestamp": "5", "hash": digest,
        }  # fmt: skip
        shown = codec.shown_book(told)
        assert shown is not None
        self.shown[name] = shown
        return json.dumps(told)


@pytest.fixture
def venue() -> Venue:
    found = Venue()
    found.watch.take(found.frame(YES, "0.40", "y1"))
    found.watch.take(found.frame(NO, "0.55", "n1"))
    return found


async def test_a_quiet_book_is_confirmed_by_a_read_that_shows_the_same(venue: Venue) -> None:
    venue.clock.at = Nanos(venue.clock.at + SECOND)
    await venue.watch._compare([CONDITION])
    assert venue.told[-1].fresh
    assert venue.told[-1].seen_at == venue.clock.at


async def test_a_frozen_stream_is_left_after_some_reads_that_show_another_book(venue: Venue) -> None:
    for number in range(watch.DIFFERENCES_MOST):
        venue.frame(YES, f"0.3{number}", f"moved{number}")
        await venue.watch._compare([CONDITION])
        # meanwhile the read's book is used
        assert venue.told[-1].yes_bids == ((3_000 + number * 100, 10 * CONTRACT),)
    venue.frame(YES, "0.2", "moved again")
    with pytest.raises(Broken, match="stands still"):
        await venue.watch._compare([CONDITION])


async def test_two_books_that_the_venue_calls_the_same_and_that_are_not_mean_a_lost_message(venue: Venue) -> None:
    venue.frame(YES, "0.39", "y1")
    with pytest.raises(Broken, match="lost or misread"):
        await venue.watch._compare([CONDITION])


async def test_a_lively_stream_vouches_for_itself_and_is_seen_to_show_what_the_venue_shows(venue: Venue) -> None:
    shown = dict(venue.shown)
    venue.meanwhile = venue.frame(YES, "0.41", "y2")
    venue.shown = shown
    venue.clock.at = Nanos(venue.clock.at + 1)
    await venue.watch._compare([CONDITION])
    assert venue.watch.named == 1
    assert venue.told[-1].yes_bids == ((4_100, 10 * CONTRACT),)


async def test_a_venue_without_hashes_is_compared_by_its_levels_alone(venue: Venue) -> None:
    venue.books.ladders[YES].hashes.clear()
    venue.frame(YES, "0.39", "")
    await venue.watch._compare([CONDITION])
    assert venue.told[-1].yes_bids == ((3_900, 10 * CONTRACT),)


async def test_a_book_that_nothing_confirms_is_not_vouched_for(venue: Venue) -> None:
    venue.shown.clear()
    turn = asyncio.create_task(venue.watch.turn())
    venue.clock.at = Nanos(venue.clock.at + watch.SILENT + 1)
    with pytest.raises(Broken, match="confirmed by nothing"):
        await asyncio.wait_for(turn, 2)
    assert not venue.told[-1].fresh
