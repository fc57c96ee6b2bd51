"""Polymarket's streams: books and metadata of markets, and the orders and trades of our account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from messages.books import Book, Levels
from messages.markets import Market, VenueMode
from messages.units import MILLISECOND, SECOND, Nanos
from venues.board import Board
from venues.calls import Calls, Missing, Told
from venues.credentials import PolymarketCredentials
from venues.http import SessionWire, Wire
from venues.polymarket import codec
from venues.polymarket.books import Books
from venues.polymarket.sign import Signer
from venues.port import Clock, Failed, StreamEvent
from venues.reading import is_object, json_of, objects, text_of, whole_of
from venues.sockets import Broken, Socket, follow, together
from venues.versions import Versions

TURN_S = 0.1
PING_S = 10.0
PONG_WITHIN = Nanos(30 * SECOND)
QUIET = Nanos(600 * MILLISECOND)
"""A market about which the stream said nothing for this long is compared with what a read says."""
COMPARE_EVERY = Nanos(5 * SECOND)
"""A lively one is compared all the same: the stream has no numbers that would show a loss."""
SILENT = Nanos(3 * SECOND)
"""A book that neither stream nor read confirmed for this long is not vouched for, and the stream is built anew."""
DIFFERENCES_MOST = 2
"""So many differences in a row while the stream says nothing: it is frozen, however well it answers."""
REFRESH_S = 20.0
BATCH = 100
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
                market = codec.market(self.name, told.value, about[condition], condition, at)
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
            try:
                await asyncio.wait_for(stale.wait(), REFRESH_S if not isinstance(read, Failed) else 1.0)
            except TimeoutError:
                continue
            stale.clear()


ReadBooks = Callable[[Sequence[str]], Any]


class Watch:
    """One connection's books, put on the board as far as stream and reads agree."""

    def __init__(self, books: Books, board: Board, clock: Clock, read_books: ReadBooks) -> None:
        self._books = books
        self._board = board
        self._clock = clock
        self._read_books = read_books
        self._confirmed: dict[str, Nanos] = dict.fromkeys(books.tokens, clock.now())
        """By market, when stream or read last confirmed it."""
        self._compared: dict[str, Nanos] = dict.fromkeys(books.tokens, clock.now())
        self._differences: dict[str, int] = dict.fromkeys(books.tokens, 0)
        self._began = self.heard_at = clock.now()

    def take(self, frame: str | bytes) -> bool:
        """One frame; true where a market's rules changed."""
        at = self._clock.now()
        self.heard_at = at
        if frame in ("PONG", b"PONG"):
            return False
        changed, rules = self._books.take(frame, at)
        for market in changed:
            self._differences[market] = 0
            self._show(market, at)
        return bool(rules)

    def _show(self, market: str, at: Nanos) -> None:
        if self._books.known(market):
            self._confirmed[market] = at
            self._board.show(market, self._books.sides(market), at)
        else:
            self._board.doubt(market)

    async def turn(self) -> None:
        """Give up where neither stream nor read confirms."""
        while True:
            await asyncio.sleep(TURN_S)
            now = self._clock.now()
            if now - self.heard_at > PONG_WITHIN:
                raise Broken("not even an answer to PING")
            if now - self._began > SILENT and len(self._books.heard_at) < len(self._books.tokens):
                raise Broken("a book was never sent")
            for market, at in self._confirmed.items():
                if now - at > SILENT:
                    self._board.doubt(market)
                    raise Broken("a book is confirmed by nothing")

    async def compare(self) -> None:
        """Read the books of quiet, doubtful and long uncompared markets beside the stream."""
        while True:
            await asyncio.sleep(TURN_S)
            now = self._clock.now()
            due = [
                market
                for market in self._books.tokens
                if not self._books.known(market)
                or now - self._confirmed[market] > QUIET
                or now - self._compared[market] > COMPARE_EVERY
            ]
            for start in range(0, len(due), BATCH):
                await self._compare(due[start : start + BATCH])

    async def _compare(self, markets: Sequence[str]) -> None:
        asked = self._clock.now()
        before = {market: self._books.heard_at.get(market) for market in markets}
        read = await self._read_books([token for market in markets for token in self._books.tokens[market]])
        for market in markets:
            tokens = self._books.tokens[market]
            if not all(token in read for token in tokens):
                continue
            self._compared[market] = asked
            if self._books.known(market) and self._books.heard_at.get(market) != before[market]:
                # the stream spoke meanwhile: the two are of different moments, and it vouches for itself
                continue
            if self._books.known(market) and all(self._books.ladders[token].same(read[token][0]) for token in tokens):
                self._differences[market] = 0
                self._confirmed[market] = asked
                self._board.confirm(market, asked)
                continue
            had_spoken = before[market] is not None
            for token in tokens:
                self._books.ladders[token].replace(*read[token])
            self._show(market, asked)
            self._differences[market] += had_spoken
            if self._differences[market] > DIFFERENCES_MOST:
                raise Broken("the stream stands still while the book moves")


async def keep_alive(socket: Socket) -> None:
    """The venue wants a text, not a ping frame, and never before the first subscription."""
    while True:
        await asyncio.sleep(PING_S)
        await socket.say("PING")


class PolymarketAccountData:
    """`AccountData`: no replay, so each connection begins with the owner's read from its cursor."""

    def __init__(
        self, name: str, ws: str, credentials: PolymarketCredentials, clock: Clock, connect_timeout_s: float = 1.0
    ) -> None:
        self.name = name
        self.skipped = 0
        """Messages that were not understood."""
        self._ws = ws
        self._clock = clock
        self._connect_timeout_s = connect_timeout_s
        self._signer = Signer(credentials, clock)
        self._account = codec.Account(owner=self._signer.owner, funder=self._signer.funder)

    async def open(self) -> None:
        self._signer.check()

    async def close(self) -> None:
        """Nothing: the connection ends with `stream`."""

    async def stream(
        self, markets: Sequence[Market], on_event: Callable[[StreamEvent], None], on_connected: Callable[[], None]
    ) -> None:
        known = {market.market: market for market in markets}

        async def session(socket: Socket) -> None:
            # without a list of markets it tells of all: an order that nobody knows is just what should be seen
            await socket.say(msgspec.json.encode({"type": "user", "auth": self._signer.stream_login()}).decode())
            on_connected()

            async def listen() -> None:
                patience = PONG_WITHIN / SECOND
                while True:
                    async with asyncio.timeout(patience):
                        frame = await socket.hear()
                    if frame not in ("PONG", b"PONG"):
                        for event in self.events(frame, known):
                            on_event(event)

            await together(listen(), keep_alive(socket))

        await follow(self._ws, _no_headers, session, lambda: None, self._connect_timeout_s)

    def events(self, frame: str | bytes, known: Mapping[str, Market]) -> list[StreamEvent]:
        """What one frame tells of our orders and trades."""
        told, at = json_of(frame), self._clock.now()
        found: list[StreamEvent] = []
        for message in [told] if is_object(told) else objects(told):
            kind = text_of(message, "event_type")
            if kind == "order":
                seen = codec.order_seen(self.name, message, at)
                told_here: list[StreamEvent] = [seen] if seen is not None else []
            elif kind == "trade":
                told_here = list(codec.fills_of(self.name, message, self._account, known, at))
            else:
                told_here = []
            self.skipped += not told_here
            found.extend(told_here)
        return found


async def _unsigned(method: str, path: str, body: bytes) -> Mapping[str, str]:
    del method, path
    return {"Content-Type": "application/json"} if body else {}


async def _no_headers() -> Mapping[str, str]:
    return {}
