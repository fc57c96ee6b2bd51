"""Kalshi's public stream: books and metadata of markets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import quote, urlsplit

from messages.books import Book, Levels
from messages.markets import Market, VenueMode
from messages.units import MILLISECOND, SECOND, Nanos
from venues.board import DEPTH, Board
from venues.calls import Calls, Told
from venues.credentials import KalshiCredentials
from venues.http import SessionWire, Wire
from venues.kalshi import codec
from venues.kalshi.books import BOOKS, LIFECYCLE, MISSED, Books, TooManyMarkets, Unsubscribed
from venues.kalshi.commands import command
from venues.kalshi.metadata import Metadata
from venues.kalshi.private import KalshiAccountData
from venues.kalshi.sign import Signer
from venues.port import Clock, Description, Failed, VenueState
from venues.sockets import Broken, Socket, follow, together

__all__ = ["KalshiAccountData", "KalshiMarketData"]

TURN_S = 0.1
QUIET = Nanos(700 * MILLISECOND)
"""After this much silence we ask for one snapshot, whose sequence number speaks for every market."""
SILENT = Nanos(3 * SECOND)
"""Then the stream is frozen, however well it answers pings."""
CHECK_EVERY_S = 5.0
"""How often one book is compared with what REST says of it."""
CHECK_AGAIN_S = 1.0
"""And how soon again where they differ: one of the two may only be late."""
REFRESH_S = 20.0
"""Metadata is read again this often, so that fees are verified all the time."""
MARKETS_MOST = 200
"""Markets on one connection. Where the venue says that it is too many, each connection is split in two."""


class KalshiMarketData:
    """`MarketData`: books are sequenced, so the stream itself proves that nothing was missed."""

    def __init__(
        self,
        name: str,
        rest: str,
        ws: str,
        credentials: KalshiCredentials,
        clock: Clock,
        request_timeout_s: float = 2.0,
        connect_timeout_s: float = 1.0,
        wire: Wire | None = None,
    ) -> None:
        self.name = name
        self._ws = ws
        self._clock = clock
        self._connect_timeout_s = connect_timeout_s
        self._signer = Signer(credentials, clock)
        self._root = urlsplit(rest).path.rstrip("/")
        self._calls = Calls(wire or SessionWire(rest, connect_timeout_s), self._sign, request_timeout_s)
        self._metadata = Metadata(name, self._calls, clock)

    async def open(self) -> None:
        self._signer.check()
        await self._calls.open()

    async def close(self) -> None:
        await self._calls.close()

    async def markets(self, ids: Sequence[str]) -> tuple[Market, ...] | Failed:
        return await self._metadata.markets(ids)

    async def describe(self, ids: Sequence[str]) -> tuple[Description, ...] | Failed:
        return await self._metadata.describe(ids)

    async def mode(self) -> VenueMode:
        return await self._metadata.mode()

    async def state(self) -> VenueState | Failed:
        return await self._metadata.timetable()

    async def stream(
        self,
        markets: Sequence[Market],
        on_book: Callable[[Book], None],
        on_market: Callable[[Market], None],
    ) -> None:
        tickers = [market.market for market in markets]
        board = Board(self.name, tickers, on_book, self._clock)
        stale = asyncio.Event()

        def on_rules(told: Mapping[str, object]) -> None:
            for market in self._metadata.hear(told):
                on_market(market)
            ours = told.get("market_ticker") in tickers or told.get("event_ticker") in self._metadata.events()
            if ours or told is MISSED:
                stale.set()

        parts = [tickers[start : start + MARKETS_MOST] for start in range(0, len(tickers), MARKETS_MOST)] or [[]]
        await together(
            # one of them hears of rules, for all
            *(self._follow(part, board, on_rules if n == 0 else None, stale) for n, part in enumerate(parts)),
            self._refresh(tickers, on_market, stale),
        )

    async def _follow(
        self,
        tickers: Sequence[str],
        board: Board,
        on_rules: Callable[[Mapping[str, object]], None] | None,
        stale: asyncio.Event,
    ) -> None:
        """These markets on one connection, or on more where the venue finds them too many."""

        async def session(socket: Socket) -> None:
            watch = Watch(Books(tickers), board, self._clock)
            if tickers:
                await socket.say(
                    command(1, "subscribe", channels=[BOOKS], market_tickers=list(tickers), use_yes_price=True)
                )
            if on_rules is not None:
                await socket.say(command(2, "subscribe", channels=[LIFECYCLE]))
                # what was said while nobody listened
                stale.set()

            async def listen() -> None:
                while True:
                    frame = await socket.hear()
                    for told in watch.take(frame):
                        if on_rules is not None:
                            on_rules(told)

            await together(listen(), *((watch.turn(socket), watch.check(self._levels)) if tickers else ()))

        def lost() -> None:
            for ticker in tickers:
                board.doubt(ticker)

        try:
            await follow(self._ws, self._headers, session, lost, self._connect_timeout_s)
        except TooManyMarkets:
            middle = len(tickers) // 2
            await together(
                self._follow(tickers[:middle], board, on_rules, stale),
                self._follow(tickers[middle:], board, None, stale),
            )

    async def _levels(self, market: str) -> tuple[Levels, Levels] | None:
        """YES bids and asks as REST tells them, for comparison; None where it does not."""
        told = await self._calls.read(f"/markets/{quote(market, safe='')}/orderbook", public=True)
        return codec.rest_book(told.value) if isinstance(told, Told) else None

    async def _refresh(self, tickers: Sequence[str], on_market: Callable[[Market], None], stale: asyncio.Event) -> None:
        while True:
            read = await self.markets(tickers)
            if not isinstance(read, Failed):
                for market in read:
                    on_market(market)
            # not `wait_for`: up to Python 3.11 it swallows a cancellation that comes together with the event
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s() if not isinstance(read, Failed) else 1.0):
                    await stale.wait()
            stale.clear()

    def _pause_s(self) -> float:
        """Until the next regular read, or until a scheduled change of fees begins to count."""
        due = self._metadata.next_change()
        if due is None:
            return REFRESH_S
        return min(REFRESH_S, max((due - self._clock.now()) / SECOND, 0.05))

    async def _headers(self) -> Mapping[str, str]:
        return await self._signer.signed("GET", urlsplit(self._ws).path)

    async def _sign(self, method: str, path: str, body: bytes) -> Mapping[str, str]:
        del body  # not part of the signature
        return await self._signer.signed(method, self._root + path.partition("?")[0])


class Watch:
    """One connection's books, put on the board as far as the sequence vouches for them."""

    def __init__(self, books: Books, board: Board, clock: Clock) -> None:
        self._books = books
        self._board = board
        self._clock = clock
        self._began = clock.now()
        self._asked_at = Nanos(0)
        self._missing_since: Nanos | None = self._began
        self._turn = 0
        self._number = 100

    def take(self, frame: str | bytes) -> Sequence[Mapping[str, object]]:
        """One frame; what it says of rules and events."""
        at = self._clock.now()
        try:
            changed, rules = self._books.take(frame, at)
        except Unsubscribed as problem:
            raise Broken(str(problem)) from None
        except TooManyMarkets:
            if len(self._books.ladders) > 1:
                raise
            raise Broken("not even one market is taken") from None
        for market in changed:
            ladder = self._books.ladders[market]
            if ladder.known and not ladder.crossed:
                self._board.show(market, ladder.sides(), at)
            else:
                self._board.doubt(market)
        return rules

    async def turn(self, socket: Socket) -> None:
        """Confirm what the sequence proves, ask where it is quiet, give up where it is silent."""
        while True:
            await asyncio.sleep(TURN_S)
            now, books = self._clock.now(), self._books
            heard = books.heard_at or self._began
            if now - heard > SILENT:
                raise Broken("silent")
            unsure = [market for market, ladder in books.ladders.items() if not ladder.known or ladder.crossed]
            self._missing_since = (self._missing_since or now) if unsure else None
            if self._missing_since is not None and now - self._missing_since > SILENT:
                raise Broken("a book stays unknown")
            for market, ladder in books.ladders.items():
                if ladder.known and not ladder.crossed:
                    self._board.confirm(market, books.heard_at)
            if books.sid is not None and (unsure or now - heard > QUIET) and now - self._asked_at > QUIET:
                self._asked_at = now
                await socket.say(self._snapshots(unsure))

    def _snapshots(self, unsure: list[str]) -> str:
        tickers = unsure
        if not unsure:
            every = list(self._books.ladders)
            self._turn = (self._turn + 1) % len(every)
            tickers = [every[self._turn]]
        self._number += 1
        return command(
            self._number, "update_subscription", sids=[self._books.sid], market_tickers=tickers, action="get_snapshot"
        )

    async def check(self, levels: Callable[[str], Awaitable[tuple[Levels, Levels] | None]]) -> None:
        """Give up where a book that does not move differs from what REST says of it, twice and in the same way.

        A stream may go on to number its frames and yet say nothing new; only another way of asking shows that.
        """
        every, turn, before = list(self._books.ladders), 0, None
        while True:
            await asyncio.sleep(CHECK_EVERY_S if before is None else CHECK_AGAIN_S)
            market = every[turn % len(every)]
            ladder = self._books.ladders[market]
            changes, known = ladder.changes, ladder.known
            told = await levels(market)
            still = known and ladder.known and ladder.changes == changes
            if told is None or not still or _tops(told) == ladder.sides()[:2]:
                turn, before = turn + 1, None
                continue
            now = (changes, _tops(told))
            if before == now:
                raise Broken("the book is not what the venue says it is")
            before = now


def _tops(levels: tuple[Levels, Levels]) -> tuple[Levels, Levels]:
    return levels[0][:DEPTH], levels[1][:DEPTH]
