"""Kalshi's streams: books and metadata of markets, and the orders and executions of our account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from messages.books import Book
from messages.markets import Market, VenueMode
from messages.units import MILLISECOND, SECOND, Nanos
from venues.board import Board
from venues.calls import Calls, Missing, Told
from venues.credentials import KalshiCredentials
from venues.http import SessionWire, Wire
from venues.kalshi import codec
from venues.kalshi.books import BOOKS, LIFECYCLE, Books, Unsubscribed
from venues.kalshi.sign import Signer
from venues.port import Clock, Failed, StreamEvent
from venues.reading import is_object, json_of, object_of, text_of
from venues.sockets import Broken, Socket, follow, together
from venues.versions import Versions

TURN_S = 0.1
QUIET = Nanos(700 * MILLISECOND)
"""After this much silence we ask for one snapshot, whose sequence number speaks for every market."""
SILENT = Nanos(3 * SECOND)
"""Then the stream is frozen, however well it answers pings."""
REFRESH_S = 20.0
"""Metadata is read again this often, so that fees are verified all the time."""
TICKERS_MOST = 100


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
        self._versions = Versions()

    async def open(self) -> None:
        self._signer.check()
        await self._calls.open()

    async def close(self) -> None:
        await self._calls.close()

    async def markets(self, ids: Sequence[str]) -> tuple[Market, ...] | Failed:
        told: dict[str, Mapping[str, Any]] = {}
        at = self._clock.now()
        for start in range(0, len(ids), TICKERS_MOST):
            wanted = quote(",".join(ids[start : start + TICKERS_MOST]), safe=",")
            listed = await self._calls.all_pages(f"/markets?tickers={wanted}&limit=1000&", "markets", "cursor", "")
            if isinstance(listed, Failed):
                return listed
            told.update((text_of(market, "ticker"), market) for market in listed)
        unknown = [ticker for ticker in ids if ticker not in told]
        if unknown:
            return Failed(text=f"the venue does not know {', '.join(unknown)}")
        events: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        found = []
        for ticker in ids:
            event = text_of(told[ticker], "event_ticker")
            if event not in events:
                terms = await self._terms(event)
                if isinstance(terms, Failed):
                    return terms
                events[event] = terms
            market = codec.market(self.name, told[ticker], *events[event], at)
            if market is None:
                return Failed(text=f"the rules or the fees of {ticker} cannot be read")
            found.append(self._versions.number(market))
        return tuple(found)

    async def _terms(self, event: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | Failed:
        """The event, which may override its series' fees, and the series."""
        told = await self._calls.read(f"/events/{quote(event, safe='')}")
        if isinstance(told, (Failed, Missing)):
            return told if isinstance(told, Failed) else Failed(text=f"the venue does not know event {event}")
        about = object_of(told.value, "event")
        series = text_of(about, "series_ticker") or event.partition("-")[0]
        told = await self._calls.read(f"/series/{quote(series, safe='')}")
        if isinstance(told, (Failed, Missing)):
            return told if isinstance(told, Failed) else Failed(text=f"the venue does not know series {series}")
        return about, object_of(told.value, "series")

    async def mode(self) -> VenueMode:
        told = await self._calls.read("/exchange/status", public=True)
        if not isinstance(told, Told) or not is_object(told.value):
            return VenueMode.UNKNOWN
        active, trading = told.value.get("exchange_active"), told.value.get("trading_active")
        if active is False:
            return VenueMode.PAUSED
        if trading is False:
            # a trading pause still takes cancels
            return VenueMode.CANCEL_ONLY
        return VenueMode.OPEN if active is True and trading is True else VenueMode.UNKNOWN

    async def stream(
        self,
        markets: Sequence[Market],
        on_book: Callable[[Book], None],
        on_market: Callable[[Market], None],
    ) -> None:
        tickers = [market.market for market in markets]
        board = Board(self.name, tickers, on_book, self._clock)
        stale = asyncio.Event()

        async def session(socket: Socket) -> None:
            books = Books(tickers)
            watch = Watch(books, board, self._clock)
            await socket.say(command(1, "subscribe", channels=[BOOKS], market_tickers=tickers, use_yes_price=True))
            await socket.say(command(2, "subscribe", channels=[LIFECYCLE], market_tickers=tickers))

            async def listen() -> None:
                while True:
                    frame = await socket.hear()
                    if watch.take(frame):
                        stale.set()

            await together(listen(), watch.turn(socket))

        await together(
            follow(self._ws, self._headers, session, board.doubt_all, self._connect_timeout_s),
            self._refresh(tickers, on_market, stale),
        )

    async def _refresh(self, tickers: Sequence[str], on_market: Callable[[Market], None], stale: asyncio.Event) -> None:
        while True:
            read = await self.markets(tickers)
            if not isinstance(read, Failed):
                for market in read:
                    on_market(market)
            # not `wait_for`: up to Python 3.11 it swallows a cancellation that comes together with the event
            with suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S if not isinstance(read, Failed) else 1.0):
                    await stale.wait()
            stale.clear()

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

    def take(self, frame: str | bytes) -> bool:
        """One frame; true where a market's rules changed."""
        at = self._clock.now()
        try:
            changed, rules = self._books.take(frame, at)
        except Unsubscribed as problem:
            raise Broken(str(problem)) from None
        for market in changed:
            ladder = self._books.ladders[market]
            if ladder.known and not ladder.crossed:
                self._board.show(market, ladder.sides(), at)
            else:
                self._board.doubt(market)
        return bool(rules)

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


def command(number: int, name: str, **params: object) -> str:
    return msgspec.json.encode({"id": number, "cmd": name, "params": params}).decode()


class KalshiAccountData:
    """`AccountData`: neither sequenced nor replayed, so each connection begins with the owner's read from its cursor."""

    def __init__(
        self, name: str, ws: str, credentials: KalshiCredentials, clock: Clock, connect_timeout_s: float = 1.0
    ) -> None:
        self.name = name
        self.skipped = 0
        """Frames that were not understood."""
        self._ws = ws
        self._clock = clock
        self._connect_timeout_s = connect_timeout_s
        self._signer = Signer(credentials, clock)

    async def open(self) -> None:
        self._signer.check()

    async def close(self) -> None:
        """Nothing: the connection ends with `stream`."""

    async def stream(
        self, markets: Sequence[Market], on_event: Callable[[StreamEvent], None], on_connected: Callable[[], None]
    ) -> None:
        del markets  # of all: an order that nobody knows is just what should be seen

        async def session(socket: Socket) -> None:
            await socket.say(command(1, "subscribe", channels=["user_orders", "fill"]))
            subscribed = 0
            async with asyncio.timeout(SILENT / SECOND) as patience:
                while True:
                    told = json_of(await socket.hear())
                    kind = text_of(told, "type") if is_object(told) else ""
                    if kind == "error":
                        raise Broken("the subscription was refused")
                    if kind == "subscribed":
                        subscribed += 1
                        if subscribed == 2:
                            patience.reschedule(None)
                            on_connected()
                    elif (event := self._event(kind, told)) is not None:
                        on_event(event)

        async def headers() -> Mapping[str, str]:
            return await self._signer.signed("GET", urlsplit(self._ws).path)

        await follow(self._ws, headers, session, lambda: None, self._connect_timeout_s)

    def _event(self, kind: str, told: Any) -> StreamEvent | None:
        inner, at = object_of(told, "msg"), self._clock.now()
        event: StreamEvent | None = None
        if kind == "user_order":
            event = codec.order_seen(self.name, inner, at)
        elif kind == "fill":
            event = codec.fill_seen(self.name, inner, at)
        self.skipped += event is None
        return event
