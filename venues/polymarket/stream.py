"""Polymarket's public data: books and metadata of markets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from messages.books import Book
from messages.markets import Market, VenueMode
from venues.board import Board
from venues.calls import Calls, Told
from venues.http import Response, SessionWire, Wire
from venues.polymarket import codec
from venues.polymarket.books import Books
from venues.polymarket.modes import mode_in
from venues.polymarket.refresher import Refresher
from venues.polymarket.watch import Watch, keep_alive
from venues.port import Clock, Description, Failed
from venues.reading import objects, text_of
from venues.sockets import Socket, follow, together

TOKENS_MOST = 200
"""Of one connection; more markets get more connections."""


class PolymarketMarketData:
    """`MarketData`: a stream that proves nothing by itself, compared with reads all the time."""

    def __init__(
        self,
        name: str,
        rest: str,
        ws: str,
        clock: Clock,
        request_timeout_s: float = 2.0,
        connect_timeout_s: float = 1.0,
        gamma: str = "",
        wire: Wire | None = None,
    ) -> None:
        self.name = name
        self._ws = ws
        self._clock = clock
        self._connect_timeout_s = connect_timeout_s
        self._calls = Calls(wire or SessionWire(rest, connect_timeout_s), _unsigned, request_timeout_s, self._heed)
        self._gamma = (
            Calls(SessionWire(gamma, connect_timeout_s), _unsigned, request_timeout_s) if gamma else self._calls
        )
        self._refresher = Refresher(name, self._calls, self._gamma, clock)
        self._batches = True
        self._said: VenueMode | None = None

    async def open(self) -> None:
        await self._calls.open()
        await self._gamma.open()

    async def close(self) -> None:
        await self._calls.close()
        await self._gamma.close()

    async def markets(self, ids: Sequence[str]) -> tuple[Market, ...] | Failed:
        return await self._refresher.markets(ids)

    async def describe(self, ids: Sequence[str]) -> tuple[Description, ...] | Failed:
        return await self._refresher.describe(ids)

    async def mode(self) -> VenueMode:
        """Whether it answers, and what it says of itself where it does not. Most restrictions show at order entry only:
        `PolymarketTrading.mode_told`.
        """
        told = await self._calls.read("/ok", public=True)
        if isinstance(told, Told):
            return VenueMode.OPEN
        return self._said or VenueMode.UNKNOWN

    def _heed(self, method: str, path: str, response: Response) -> None:
        if method == "GET" and path == "/ok":
            self._said = mode_in(response)

    async def stream(
        self,
        markets: Sequence[Market],
        on_book: Callable[[Book], None],
        on_market: Callable[[Market], None],
    ) -> None:
        shards = [markets[start : start + TOKENS_MOST // 2] for start in range(0, len(markets), TOKENS_MOST // 2)]
        await together(
            self._refresher.run([market.market for market in markets], on_market),
            *(self._shard(shard, on_book, on_market) for shard in shards),
        )

    async def _shard(
        self, markets: Sequence[Market], on_book: Callable[[Book], None], on_market: Callable[[Market], None]
    ) -> None:
        """One connection's worth of tokens."""
        board = Board(self.name, [market.market for market in markets], on_book, self._clock)
        tokens = [token for market in markets for token in market.tokens or ()]
        connected = False

        async def session(socket: Socket) -> None:
            books = Books(markets)
            watch = Watch(books, board, self._clock, self._read_books)
            hello = {"type": "market", "assets_ids": tokens, "custom_feature_enabled": True}
            await socket.say(msgspec.json.encode(hello).decode())
            nonlocal connected
            if connected:
                # while there was no connection nothing could be told: what changed is read
                self._refresher.wake(market.market for market in markets)
            connected = True

            async def listen() -> None:
                while True:
                    for rule in watch.take(await socket.hear()):
                        self._refresher.told(rule, on_market)

            await together(listen(), keep_alive(socket), watch.turn(), watch.compare())

        await follow(self._ws, _no_headers, session, board.doubt_all, self._connect_timeout_s)

    async def _read_books(self, tokens: Sequence[str]) -> dict[str, codec.Shown]:
        """Books beside the stream, by token; what could not be read is left out."""
        found: dict[str, codec.Shown] = {}

        def keep(entry: Any) -> None:
            shown = codec.shown_book(entry)
            if shown is not None and text_of(entry, "asset_id") in tokens:
                found[text_of(entry, "asset_id")] = shown

        if self._batches:
            body = msgspec.json.encode([{"token_id": token} for token in tokens])
            told = await self._calls.read("/books", public=True, post=body)
            if isinstance(told, Told):
                for entry in objects(told.value):
                    keep(entry)
                return found
            self._batches = isinstance(told, Failed) and not told.text.startswith(("HTTP 404", "HTTP 405"))
        if not self._batches:
            reads = [self._calls.read(f"/book?token_id={token}", public=True) for token in tokens]
            for told in await asyncio.gather(*reads):
                if isinstance(told, Told):
                    keep(told.value)
        return found


async def _unsigned(method: str, path: str, body: bytes) -> Mapping[str, str]:
    del method, path
    return {"Content-Type": "application/json"} if body else {}


async def _no_headers() -> Mapping[str, str]:
    return {}
