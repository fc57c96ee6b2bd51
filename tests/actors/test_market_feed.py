"""The feed: books over its own socket, metadata and modes by message, over the real simulated venues."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from actors import book_wire, market_feed
from actors.book_wire import BUFFER_MOST, FRAME_MOST, WRITE_MOST, BookClient, BookServer, Frames, Hostile, frame_of
from actors.catalogue import Catalogue
from actors.clock import AnchoredClock
from actors.market_feed import MarketFeed
from messages.books import Book
from messages.control import Ask, VenueSeen
from messages.leases import MarketsSeen
from messages.markets import FeeFormula, FeeSchedule, Market, Pair, PairedMarket, VenueMode
from messages.units import Money, Nanos, Quantity
from tests.actors.stage import (
    PAIRS,
    Outbox,
    Running,
    on_stage,
    place,
    say,
    settings_with,
    simulate,
    until,
    up,
    venue_at,
    write_secret,
)
from venues.port import Failed
from venues.simulated.credentials import kalshi_keys

# The wire of books


def book(market: str = "M", sequence: int = 1, *, deep: int = 1) -> Book:
    levels = tuple((5_000 + level, 10**6) for level in range(deep))
    return Book("kalshi", market, sequence, 99, True, levels, levels, levels, levels)


@asynccontextmanager
async def serving(server: BookServer) -> AsyncIterator[str]:
    address = await server.open()
    try:
        yield address
    finally:
        await server.close()


@asynccontextmanager
async def reading(address: str, client: BookClient | None = None) -> AsyncIterator[dict[str, list[int]]]:
    """Sequence numbers by market, as they came."""
    seen: dict[str, list[int]] = {}

    def take(books: Sequence[Book]) -> None:
        for one in books:
            seen.setdefault(one.market, []).append(one.sequence)

    task = asyncio.create_task((client or BookClient()).run(address, take))
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), task


async def test_whoever_connects_gets_every_book_and_then_the_changes() -> None:
    server = BookServer()
    async with serving(server) as address:
        for number in range(3 * WRITE_MOST):
            server.publish(book(f"M{number}"))
        async with reading(address) as first, reading(address) as second:
            await until(lambda: len(first) == len(second) == 3 * WRITE_MOST)
            server.publish(book("M0", 5))
            server.publish(book("M0", 4))
            await until(lambda: first["M0"] == second["M0"] == [1, 5])
            assert server.readers == 2
        await until(lambda: server.readers == 0)


async def test_of_one_turn_only_the_newest_book_of_a_market_is_written() -> None:
    server = BookServer()
    async with serving(server) as address, reading(address) as seen:
        await until(lambda: server.readers)
        for sequence in range(1, 501):
            server.publish(book(sequence=sequence))
        await until(lambda: seen.get("M", [0])[-1] == 500)
        assert seen == {"M": [500]}
        assert server.written == 1


async def test_a_slow_reader_gets_fewer_books_and_costs_no_memory() -> None:
    server = BookServer()
    async with serving(server) as address:
        host, port = address.split(":")
        stream, writer = await asyncio.open_connection(host, int(port))
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_MOST)
        await until(lambda: server.readers)
        (reader,) = server._readers
        published = 0
        for _ in range(400):
            published += 5
            for number in range(5):
                server.publish(book(f"M{number}", published, deep=50))
            await asyncio.sleep(0)
            assert len(reader.waiting) <= 5
            assert reader.writer.transport.get_write_buffer_size() <= BUFFER_MOST + WRITE_MOST * 2_000
        assert server.written < published // 2
        frames, latest = Frames(), dict[str, int]()
        while set(latest.values()) != {published}:
            for one in frames.take(await asyncio.wait_for(stream.read(65_536), 2)):
                assert one.sequence > latest.get(one.market, 0)
                latest[one.market] = one.sequence
        writer.close()


async def test_a_reader_that_talks_is_cut_off() -> None:
    server = BookServer()
    async with serving(server) as address:
        host, port = address.split(":")
        stream, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET / HTTP/1.1\r\n")
        assert await asyncio.wait_for(stream.read(), 2) == b""
        writer.close()
        assert server.readers == 0


GARBAGE = [
    b"\x00\x00\x00\x00",
    (FRAME_MOST + 1).to_bytes(4, "big"),
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x00\x00\x00\x03\xc1\xc1\xc1",
    b"\x00\x00\x00\x02\x90\x90",
]


async def test_hostile_bytes_end_the_connection_and_are_counted_and_the_next_one_is_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(book_wire, "PAUSE_MOST_S", 0.05)
    served = 0

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        served += 1
        writer.write(frame_of(book(sequence=served)))
        writer.write(GARBAGE[served - 1] if served <= len(GARBAGE) else frame_of(book("last")))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = BookClient()
    async with reading("127.0.0.1:{1}".format(*server.sockets[0].getsockname()), client) as seen:
        await until(lambda: "last" in seen, 8)
    server.close()
    assert client.hostile == len(GARBAGE)
    assert client.connections == len(GARBAGE) + 1
    assert not client.connected


async def test_a_feed_that_is_not_there_is_waited_for() -> None:
    client = BookClient()
    async with reading("127.0.0.1:1", client) as seen:
        await asyncio.sleep(0.1)
        assert (client.connections, seen) == (0, {})


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_however_the_bytes_are_cut_the_books_are_the_same(deep: list[int], cuts: list[int]) -> None:
    books = [book(f"M{number}", number, deep=levels) for number, levels in enumerate(deep)]
    data, frames, seen = b"".join(map(frame_of, books)), Frames(), list[Book]()
    turn = 0
    while data:
        size = cuts[turn % len(cuts)]
        seen += frames.take(data[:size])
        data, turn = data[size:], turn + 1
    assert seen == books


@given(st.binary(max_size=400))
def test_no_bytes_do_more_than_end_the_connection(data: bytes) -> None:
    try:
        list(Frames().take(data))
        list(Frames().take(len(data).to_bytes(4, "big") + data))
    except Hostile:
        pass


# The catalogue


def market(name: str, version: int = 1) -> Market:
    fees = FeeSchedule(formula=FeeFormula.KALSHI, version=1, taker_ppm=0, maker_ppm=0, verified_at=Nanos(0))
    return Market(
        venue="kalshi",
        market=name,
        event="E",
        title="",
        open=True,
        closes_at=None,
        ticks=(),
        lot=Quantity(1),
        min_quantity=Quantity(1),
        min_spend=Money(0),
        cash_denominated=False,
        fees=fees,
        version=version,
        seen_at=Nanos(0),
    )


class Forgetful:
    """A venue that does not know some of its markets, and then tells of none that were asked for with them."""

    name = "kalshi"

    def __init__(self, *unknown: str) -> None:
        self.unknown, self.asked = set(unknown), 0

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def mode(self) -> VenueMode:
        return VenueMode.OPEN

    async def stream(self, *_: object) -> None:
        await asyncio.Event().wait()

    async def markets(self, ids: Sequence[str]) -> tuple[Market, ...] | Failed:
        self.asked += 1
        if self.unknown & set(ids):
            return Failed(text="some are unknown")
        return tuple(market(name) for name in ids)


def pairs(count: int) -> list[Pair]:
    return [
        Pair(
            pair=f"p{number}",
            group="g",
            title="",
            markets=(PairedMarket(venue="kalshi", market=f"M{number}"), PairedMarket(venue="x", market="y")),
            approved_by="a",
            approved_at="b",
        )
        for number in range(count)
    ]


async def test_one_unknown_market_does_not_hide_the_others() -> None:
    data = Forgetful("M7", "M130")
    catalogue = Catalogue(data, "kalshi", pairs(150))
    found = await catalogue.read(catalogue.ids)
    assert len(found) == 148
    assert catalogue.missing == ("M7", "M130")
    data.unknown.clear()
    assert len(await catalogue.read(catalogue.missing)) == 2


async def test_a_venue_that_answers_nothing_is_asked_a_bounded_number_of_times() -> None:
    data = Forgetful(*(f"M{number}" for number in range(1_000)))
    catalogue = Catalogue(data, "kalshi", pairs(1_000))
    assert await catalogue.read(catalogue.ids) == ()
    assert data.asked <= 24


async def test_an_older_version_is_no_news() -> None:
    catalogue = Catalogue(Forgetful(), "kalshi", pairs(1))
    assert catalogue.take(market("M0", 2))
    assert not catalogue.take(market("M0", 1))
    assert not catalogue.take(market("stranger"))


# The feed


@pytest.fixture(scope="module", params=["kalshi", "polymarket"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    venue = simulate(request.param, tmp_path_factory.mktemp("venue"))
    yield venue
    venue.stop()


def feed_of(running: Running, tmp_path: Path, chosen: Path | None = None) -> MarketFeed:
    dialect = running.venue.dialect.value
    return MarketFeed(place(f"feed.{dialect}", tmp_path, settings_with(dialect, running.venue, chosen)))


async def test_books_metadata_and_mode_of_a_real_venue(running: Running, tmp_path: Path) -> None:
    outbox, feed = Outbox("executor", "recorder"), feed_of(running, tmp_path)
    async with on_stage(feed, outbox, AnchoredClock()):
        every = set(feed.catalogue.ids)
        assert {one.market for seen in outbox.of(MarketsSeen, "executor") for one in seen.markets} == every
        assert outbox.of(MarketsSeen, "recorder") == outbox.of(MarketsSeen, "executor")
        address = str(feed.snapshot()["address"])
        async with reading(address) as seen:
            await until(lambda: set(seen) == every and feed.snapshot()["fresh"] == len(every))
            await until(lambda: any(len(sequences) > 2 for sequences in seen.values()))
        await until(lambda: outbox.of(VenueSeen))
        assert (outbox.last(VenueSeen).mode, outbox.last(VenueSeen).reachable) == (VenueMode.OPEN, True)
        told = len(outbox.told)
        feed.introduced(up("recorder"))
        feed.introduced(up("executor", 2))
        again = outbox.told[told:]
        assert [type(message) for _, message in again] == [MarketsSeen, VenueSeen]
        assert await say(feed, Ask()) is None
        shown = feed.snapshot()
        assert (shown["missing"], shown["mode"], shown["failed"]) == ([], "open", "")
        age = shown["oldest_ms"]
        assert isinstance(age, int)
        assert age < 3_000


async def test_a_pair_that_the_venue_does_not_know_does_not_stop_the_others(running: Running, tmp_path: Path) -> None:
    document = yaml.safe_load(PAIRS.read_text())
    stranger = {**document["pairs"][0], "id": "stranger"}
    stranger["kalshi"] = {**stranger["kalshi"], "ticker": "KXSTRANGER-1"}
    stranger["polymarket"] = {**stranger["polymarket"], "condition_id": "0x" + "ab" * 32}
    document["pairs"].append(stranger)
    chosen = tmp_path / "pairs.yaml"
    chosen.write_text(yaml.safe_dump(document))
    feed = feed_of(running, tmp_path, chosen)
    async with on_stage(feed, Outbox(), AnchoredClock()):
        known = len(feed.catalogue.ids) - 1
        await until(lambda: feed.snapshot()["fresh"] == known)
        assert len(feed.catalogue.missing) == 1


async def test_a_venue_that_comes_later_and_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_feed, "START_WITHIN_S", 0.2)
    monkeypatch.setattr(market_feed, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(market_feed, "MODE_EVERY_S", 0.05)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secret = write_secret(tmp_path, "kalshi", kalshi_keys(1)[0].told())
    host = f"127.0.0.1:{port}"
    venue = venue_at(
        "kalshi", {"rest": f"http://{host}", "ws_market": f"ws://{host}", "ws_user": f"ws://{host}"}, secret
    )
    outbox = Outbox()
    feed = MarketFeed(place("feed.kalshi", tmp_path, settings_with("kalshi", venue)))
    async with on_stage(feed, outbox, AnchoredClock()):
        await until(lambda: outbox.of(VenueSeen))
        assert not outbox.last(VenueSeen).reachable
        assert not outbox.of(MarketsSeen)
        running = await asyncio.to_thread(simulate, "kalshi", tmp_path, port)
        await until(lambda: feed.snapshot()["fresh"] == len(feed.catalogue.ids), 8)
        await until(lambda: outbox.last(VenueSeen).reachable)
        assert outbox.of(MarketsSeen)
        await asyncio.to_thread(running.stop)
        await until(lambda: not outbox.last(VenueSeen).reachable, 8)
        await until(lambda: feed.snapshot()["fresh"] == 0)
        assert feed.snapshot()["reconnects"]


async def test_a_loop_that_fails_is_shown_and_raised_at_the_next_message(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stream(*_: object) -> None:
        raise LookupError("the adapter broke its promise")

    feed = feed_of(running, tmp_path)
    async with on_stage(feed, Outbox(), AnchoredClock()):
        monkeypatch.setattr(feed._data, "stream", stream)
        feed._more.set()
        await until(lambda: feed.snapshot()["failed"])
        assert feed.snapshot()["failed"] == "LookupError: the adapter broke its promise"
        with pytest.raises(LookupError):
            await say(feed, Ask())
