"""Polymarket's public data: books and metadata of markets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from messages.books import Book, Levels
from messages.markets import Market, VenueMode
from venues.board import Board
from venues.calls import Calls, Missing, Told
from venues.http import SessionWire, Wire
from venues.polymarket import codec, rules
from venues.polymarket.books import Books
from venues.polymarket.watch import Watch, keep_alive
from venues.port import Clock, Failed
from venues.reading import is_object, objects, text_of, whole_of
from venues.sockets import Socket, follow, together
from venues.versions import Versions

REFRESH_S = 20.0
TOKENS_MOST = 200


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
        self._calls = Calls(wire or SessionWire(rest, connect_timeout_s), _unsigned, request_timeout_s)
        self._gamma = (
            Calls(SessionWire(gamma, connect_timeout_s), _unsigned, request_timeout_s) if gamma else self._calls
        )
        self._versions = Versions()
        self._batches = True

    async def open(self) -> None:
        await self._calls.open()
        await self._gamma.open()

    async def close(self) -> None:
        await self._calls.close()
        await self._gamma.close()

    async def markets(self, ids: Sequence[str]) -> tuple[Market, ...] | Failed:
        at = self._clock.now()
        about: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(ids), 20):
            wanted = "&".join(f"condition_ids={condition}" for condition in ids[start : start + 20])
            told = await self._gamma.read(f"/markets/keyset?limit=100&{wanted}", public=True)
            if not isinstance(told, Told) or not is_object(told.value):
                return told if isinstance(told, Failed) else Failed(text="the markets' descriptions cannot be read")
            about.update((text_of(entry, "conditionId"), entry) for entry in objects(told.value.get("markets")))
        unknown = [condition for condition in ids if condition not in about]
        if unknown:
            return Failed(text=f"the venue does not know {', '.join(unknown)}")
        found = []
        for condition in ids:
            told = await self._calls.read(f"/clob-markets/{condition}", public=True)
            if isinstance(told, (Failed, Missing)):
                return told if isinstance(told, Failed) else Failed(text=f"the venue does not know {condition}")
            market = None
            if is_object(told.value):
                market = rules.market(self.name, told.value, about[condition], condition, at)
            if market is None:
                return Failed(text=f"the rules or the fees of {condition} cannot be read")
            found.append(self._versions.number(market))
        return tuple(found)

    async def mode(self) -> VenueMode:
        """Restricted modes show on orders only; here just whether it answers."""
        told = await self._calls.read("/ok", public=True)
        return VenueMode.OPEN if isinstance(told, Told) else VenueMode.UNKNOWN

    async def stream(
        self,
        markets: Sequence[Market],
        on_book: Callable[[Book], None],
        on_market: Callable[[Market], None],
    ) -> None:
        shards = [markets[start : start + TOKENS_MOST // 2] for start in range(0, len(markets), TOKENS_MOST // 2)]
        stale = asyncio.Event()
        await together(
            self._refresh([market.market for market in markets], on_market, stale),
            *(self._shard(shard, on_book, stale) for shard in shards),
        )

    async def _shard(self, markets: Sequence[Market], on_book: Callable[[Book], None], stale: asyncio.Event) -> None:
        """One connection's worth of tokens."""
        board = Board(self.name, [market.market for market in markets], on_book, self._clock)
        tokens = [token for market in markets for token in market.tokens or ()]

        async def session(socket: Socket) -> None:
            books = Books(markets)
            watch = Watch(books, board, self._clock, self._read_books)
            hello = {"type": "market", "assets_ids": tokens, "custom_feature_enabled": True}
            await socket.say(msgspec.json.encode(hello).decode())

            async def listen() -> None:
                while True:
                    if watch.take(await socket.hear()):
                        stale.set()

            await together(listen(), keep_alive(socket), watch.turn(), watch.compare())

        await follow(self._ws, _no_headers, session, board.doubt_all, self._connect_timeout_s)

    async def _read_books(self, tokens: Sequence[str]) -> dict[str, tuple[tuple[Levels, Levels], int]]:
        """Books beside the stream, by token, with their stamps; what could not be read is left out."""
        found: dict[str, tuple[tuple[Levels, Levels], int]] = {}

        def keep(entry: Any) -> None:
            whole = codec.sides(entry) if is_object(entry) else None
            if whole is not None and text_of(entry, "asset_id") in tokens:
                found[text_of(entry, "asset_id")] = whole, whole_of(entry, "timestamp") or 0

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

    async def _refresh(self, ids: Sequence[str], on_market: Callable[[Market], None], stale: asyncio.Event) -> None:
        while True:
            read = await self.markets(ids)
            if not isinstance(read, Failed):
                for market in read:
                    on_market(market)
            # not `wait_for`: up to Python 3.11 it swallows a cancellation that comes together with the event
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S if not isinstance(read, Failed) else 1.0):
                    await stale.wait()
            stale.clear()


async def _unsigned(method: str, path: str, body: bytes) -> Mapping[str, str]:
    del method, path
    return {"Content-Type": "application/json"} if body else {}


async def _no_headers() -> Mapping[str, str]:
    return {}
