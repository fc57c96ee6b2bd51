"""Kalshi's streams over real sockets: rules that change, subscriptions that are too large, and silence of several kinds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from messages.books import Book
from messages.markets import Market
from messages.units import Nanos
from tests.venues.making import kalshi_rsa
from tests.venues.running import WallClock, bench
from tests.venues.test_kalshi_metadata import Venue as Rules
from venues.kalshi import private, stream
from venues.kalshi.private import KalshiAccountData
from venues.kalshi.stream import KalshiMarketData
from venues.port import Failed, StreamEvent
from venues.simulated.universe import PriceRange


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(chore: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(chore)
    try:
        yield
    finally:
        assert not task.done(), task.exception()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


# Rules that change while we listen, at the simulated venue.


async def test_what_the_venue_changes_is_told_at_once_and_not_with_the_next_read(tmp_path: Path) -> None:
    async with bench("kalshi", tmp_path, quiet=True) as desk:
        told: dict[str, Market] = {}
        books: dict[str, Book] = {}

        def on_market(market: Market) -> None:
            assert market.version >= told.get(market.market, market).version
            told[market.market] = market

        follow = desk.data.stream(desk.markets, lambda book: books.update({book.market: book}), on_market)
        async with running(follow):
            ticker, event = desk.markets[0].market, desk.markets[0].event
            await until(lambda: len(books) == len(desk.markets) and all(book.fresh for book in books.values()))
            await until(lambda: len(told) == len(desk.markets))
            # the reads that came with the connection are over: what follows is not theirs
            await asyncio.sleep(0.3)
            life = desk.venue.kalshi.lifecycle
            version = told[ticker].version
            life.halt(ticker)
            await until(lambda: not told[ticker].open, 2)
            assert told[ticker].version > version
            life.activate(ticker)
            await until(lambda: told[ticker].open, 2)
            desk.venue.kalshi.rules.set_grid(ticker, (PriceRange(0, 10_000, 10),))
            await until(lambda: told[ticker].ticks[0].step == 10, 2)
            taker = told[ticker].fees.taker_ppm
            desk.venue.kalshi.rules.set_event_fee(event, ("quadratic", Fraction(3)))
            await until(lambda: told[ticker].fees.taker_ppm == 210_000 != taker, 2)
            life.determine(ticker, 10_000)
            await until(lambda: not told[ticker].open, 2)


# A venue of our own that misbehaves as asked.


class Bourse:
    """Numbers its frames correctly, and sends what a test wants."""

    def __init__(self) -> None:
        self.rules = Rules()
        self.bids: dict[str, list[list[str]]] = {}
        self.rest: dict[str, list[list[str]]] = {}
        """Where REST tells something else than the stream."""
        self.most = 100
        self.connections: list[list[str]] = []
        self.mute_after = 10**9
        """Commands of one connection that are answered."""
        self.base = ""

    async def book(self, request: web.Request) -> web.Response:
        market = request.match_info["market"]
        levels = self.rest.get(market, self.bids.get(market, [["0.4000", "5.00"]]))
        return web.json_response({"orderbook_fp": {"yes_dollars": levels, "no_dollars": []}})

    async def anything(self, request: web.Request) -> web.Response:
        tickers = request.query.get("tickers", "").split(",")
        if request.path.endswith("/markets"):
            rows = [self.rules.market | {"ticker": ticker} for ticker in tickers]
            return web.json_response({"markets": rows, "cursor": ""})
        told = await self.rules.request("GET", request.path_qs.removeprefix("/trade-api/v2"), {}, None, 1.0)
        return web.Response(body=told.body, status=told.status, content_type="application/json")

    def snapshot(self, market: str, seq: int) -> dict[str, Any]:
        levels = self.bids.get(market, [["0.4000", "5.00"]])
        told = {"market_ticker": market, "clock": 1, "yes_dollars_fp": levels}
        return {"type": "orderbook_snapshot", "sid": 1, "seq": seq, "msg": told}

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        mine: list[str] = []
        self.connections.append(mine)
        seq = commands = 0
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            asked, commands = json.loads(message.data), commands + 1
            params, number = asked.get("params", {}), asked["id"]
            markets = params.get("market_tickers", [])
            if commands > self.mute_after:
                continue
            if asked["cmd"] == "list_subscriptions":
                await socket.send_json({"id": number, "type": "ok", "msg": []})
            elif len(markets) > self.most:
                await socket.send_json({"id": number, "type": "error", "msg": {"code": 26, "msg": "market limit"}})
            else:
                frames: list[dict[str, Any]] = []
                if asked["cmd"] == "subscribe":
                    mine.extend(markets)
                    frames = [
                        {
                            "id": number,
                            "type": "subscribed",
                            "msg": {"channel": channel, "sid": 1 + (channel != "orderbook_delta")},
                        }
                        for channel in params["channels"]
                    ]
                for market in markets:
                    seq += 1
                    frames.append(self.snapshot(market, seq))
                # all of them in one message
                await socket.send_json(frames)
        return socket


@asynccontextmanager
async def bourse() -> AsyncIterator[Bourse]:
    made = Bourse()
    app = web.Application()
    app.router.add_get("/trade-api/ws/v2", made.socket)
    app.router.add_get("/trade-api/v2/markets/{market}/orderbook", made.book)
    app.router.add_get("/trade-api/v2/{rest:.*}", made.anything)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.base = f"127.0.0.1:{runner.addresses[0][1]}/trade-api"
    try:
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def followed(venue: Bourse, count: int) -> AsyncIterator[tuple[dict[str, Book], list[Book]]]:
    data = KalshiMarketData("k", f"http://{venue.base}/v2", f"ws://{venue.base}/ws/v2", kalshi_rsa(), WallClock())
    await data.open()
    try:
        markets = await data.markets([f"M{number}" for number in range(count)])
        assert not isinstance(markets, Failed), markets
        newest: dict[str, Book] = {}
        every: list[Book] = []

        def on_book(book: Book) -> None:
            newest[book.market] = book
            every.append(book)

        async with running(data.stream(markets, on_book, lambda _: None)):
            yield newest, every
    finally:
        await data.close()


async def test_too_many_markets_for_one_connection_go_on_several() -> None:
    async with bourse() as venue:
        venue.most = 2
        async with followed(venue, 5) as (newest, _):
            await until(lambda: len(newest) == 5 and all(book.fresh for book in newest.values()))
            served = [markets for markets in venue.connections if markets]
            assert sorted(market for markets in served for market in markets) == [f"M{n}" for n in range(5)]
            assert all(len(markets) <= 2 for markets in served)
            assert newest["M4"].yes_bids == ((4_000, 5_000_000),)


async def test_many_markets_are_spread_over_connections_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MARKETS_MOST", 2)
    async with bourse() as venue, followed(venue, 5) as (newest, _):
        await until(lambda: len(newest) == 5 and all(book.fresh for book in newest.values()))
        assert sorted(len(markets) for markets in venue.connections) == [1, 2, 2]


async def test_a_stream_that_repeats_an_old_book_is_found_out_by_asking_another_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "CHECK_EVERY_S", 0.1)
    monkeypatch.setattr(stream, "CHECK_AGAIN_S", 0.05)
    async with bourse() as venue, followed(venue, 2) as (newest, every):
        await until(lambda: len(newest) == 2 and all(book.fresh for book in newest.values()))
        await asyncio.sleep(0.6)
        # while both ways agree, one connection is enough
        assert len(venue.connections) == 1
        venue.rest["M1"] = [["0.4500", "5.00"]]
        seen = len(every)
        await until(lambda: len(venue.connections) >= 2)
        doubted = {book.market for book in every[seen:] if not book.fresh}
        assert doubted == {"M0", "M1"}
        # the truth comes with the new connection
        venue.bids["M1"] = venue.rest.pop("M1")
        await until(lambda: newest["M1"].fresh and newest["M1"].yes_bids == ((4_500, 5_000_000),))


async def test_a_public_stream_that_answers_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SILENT", Nanos(3 * 10**8))
    monkeypatch.setattr(stream, "QUIET", Nanos(10**8))
    async with bourse() as venue:
        venue.mute_after = 2
        async with followed(venue, 1) as (_, every):
            await until(lambda: len(venue.connections) >= 3)
            assert any(book.fresh for book in every)
            assert any(not book.fresh for book in every)


# The private stream.


@asynccontextmanager
async def private_stream(venue: Bourse) -> AsyncIterator[list[int]]:
    connected: list[int] = []
    account = KalshiAccountData("k", f"ws://{venue.base}/ws/v2", kalshi_rsa(), WallClock())
    events: list[StreamEvent] = []
    await account.open()
    async with running(account.stream((), events.append, lambda: connected.append(len(venue.connections)))):
        yield connected


async def test_a_private_stream_that_answers_no_command_is_built_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(private, "ANSWER_WITHIN", Nanos(2 * 10**8))
    async with bourse() as venue:
        venue.mute_after = 3
        async with private_stream(venue) as connected:
            # each connection is told of once: its owner reads what it missed
            await until(lambda: connected[:2] == [1, 2])


async def test_a_private_stream_that_answers_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(private, "ANSWER_WITHIN", Nanos(2 * 10**8))
    async with bourse() as venue, private_stream(venue) as connected:
        await asyncio.sleep(0.8)
        assert connected == [1]
        assert len(venue.connections) == 1
