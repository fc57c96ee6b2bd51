"""The feed of one venue: owns its public stream, and tells executors of books, metadata and the venue's state.

Books go over a socket of their own (`book_wire`), everything else by message. The adapter reads metadata again all the
time and says what changed; here lies only the net under it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from actors.book_wire import BookServer
from actors.catalogue import Catalogue
from actors.company import Chores, Peers
from actors.rules import pairs_of
from actors.shell import Clock, Outbox, Place
from configs.settings import read_settings
from messages.base import Message
from messages.books import Book
from messages.control import PeerDown, PeerUp, VenueSeen
from messages.leases import MarketsSeen
from messages.markets import Market, VenueMode
from messages.units import MILLISECOND, SECOND, Nanos
from venues.factory import market_data
from venues.port import MarketData

EXECUTORS = "executor*"
START_WITHIN_S = 5.0
"""For the first reading of metadata; then the feed starts all the same and goes on trying."""
LOOK_EVERY_S = 2.0
VERIFIED_FOR = Nanos(20 * SECOND)
"""A market whose fees were not confirmed for this long is read again."""
MODE_EVERY_S = 1.0
MODE_WITHIN_S = 0.9
FAILURES_MOST = 3
"""So many unanswered questions for the mode in a row, and the venue is unreachable."""
MARKETS_A_MESSAGE = 200
AGAIN_AFTER_S = 1.0
"""Where a stream ended by itself, which an adapter's never should."""


class MarketFeed:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = read_settings(place.settings)
        self.venue = place.name.partition(".")[2]
        self.books = BookServer()
        self._peers, self._chores = Peers(), Chores()
        self._changed: dict[str, Market] = {}
        self._mode, self._failures = VenueMode.UNKNOWN, 0
        self._fresh: set[str] = set()
        self._losses = self._followed = 0

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        self._outbox, self._clock = outbox, clock
        own = self._settings.venues[self.venue]
        self._data: MarketData = market_data(self.venue, own, own.keys[0], clock)
        self.catalogue = Catalogue(self._data, self.venue, pairs_of(self._settings))
        self._more = asyncio.Event()
        await self._data.open()
        self._address = await self.books.open()
        with suppress(TimeoutError):
            async with asyncio.timeout(START_WITHIN_S):
                await self.catalogue.read(self.catalogue.ids)
        self._tell_markets("*", self.catalogue.markets.values())
        for loop in (self._follow(), self._watch_mode(), self._verify()):
            self._chores.begin(loop)
        return self._address

    async def stop(self) -> None:
        await self._chores.stop()
        await self.books.close()
        await self._data.close()

    async def hear(self, sender: str, message: Message) -> Message | None:
        del sender, message  # nobody has anything to say to a feed
        self._chores.must_be_sound()
        return None

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        if self._peers.introduced(peer) and peer.name in self._peers.up(EXECUTORS):
            self._tell_markets(peer.name, self.catalogue.markets.values())
            self._outbox.tell(peer.name, self._seen())

    # Books

    async def _follow(self) -> None:
        """One stream of all known markets; begun anew when there are more of them."""
        while True:
            self._more.clear()
            markets = tuple(self.catalogue.markets.values())
            self._followed = len(markets)
            more = asyncio.create_task(self._more.wait())
            running: set[asyncio.Task[object]] = {more}
            if markets:
                running.add(asyncio.create_task(self._data.stream(markets, self._on_book, self._on_market)))
            try:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                await asyncio.sleep(0 if more in done else AGAIN_AFTER_S)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    def _on_book(self, book: Book) -> None:
        if book.fresh:
            self._fresh.add(book.market)
        elif book.market in self._fresh:
            self._fresh.discard(book.market)
            # the last one that can no longer be vouched for: that was the stream, not a market
            self._losses += not self._fresh
        self.books.publish(book)

    # Metadata

    def _on_market(self, market: Market) -> None:
        if self.catalogue.take(market):
            if not self._changed:
                asyncio.get_running_loop().call_soon(self._flush)
            self._changed[market.market] = market

    def _flush(self) -> None:
        changed, self._changed = self._changed, {}
        self._tell_markets("*", changed.values())

    async def _verify(self) -> None:
        while True:
            now, known = self._clock.now(), self.catalogue.markets
            old = [name for name in self.catalogue.ids if name not in known or _age(known[name], now) >= VERIFIED_FOR]
            found = await self.catalogue.read(old)
            if len(known) > self._followed:
                self._more.set()
            self._tell_markets("*", found)
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell_markets(self, to: str, markets: Iterable[Market]) -> None:
        """To "*": every executor, and the recorder."""
        every = tuple(markets)
        for start in range(0, len(every), MARKETS_A_MESSAGE):
            some = every[start : start + MARKETS_A_MESSAGE]
            seen = MarketsSeen(venue=self.venue, markets=some, at=self._clock.now())
            for name in (EXECUTORS, "recorder") if to == "*" else (to,):
                self._outbox.tell(name, seen)

    # The venue's state

    async def _watch_mode(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + MODE_EVERY_S
            mode = VenueMode.UNKNOWN
            with suppress(TimeoutError):
                async with asyncio.timeout(MODE_WITHIN_S):
                    mode = await self._data.mode()
            self._failures = self._failures + 1 if mode is VenueMode.UNKNOWN else 0
            # one unanswered question is no news of the venue
            if mode is not VenueMode.UNKNOWN or self._failures >= FAILURES_MOST:
                self._mode = mode
            self._outbox.tell(EXECUTORS, self._seen())
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _seen(self) -> VenueSeen:
        reachable = self._mode is not VenueMode.UNKNOWN
        return VenueSeen(venue=self.venue, mode=self._mode, reachable=reachable, at=self._clock.now())

    def snapshot(self) -> dict[str, object]:
        now, books = self._clock.now(), self.books.books.values()
        ages = [now - book.seen_at for book in books if book.fresh]
        return {
            "epoch": self.place.epoch,
            "venue": self.venue,
            "address": self._address,
            "markets": len(self.catalogue.markets),
            "missing": list(self.catalogue.missing)[:20],
            "metadata_failure": self.catalogue.failure,
            "books": len(books),
            "fresh": len(ages),
            "oldest_ms": max(ages, default=0) // MILLISECOND,
            "reconnects": self._losses,
            "mode": self._mode.value,
            "reachable": self._mode is not VenueMode.UNKNOWN,
            "readers": self.books.readers,
            "written": self.books.written,
            "peers": self._peers.up(),
            "failed": self._chores.failed,
        }


def _age(market: Market, now: Nanos) -> Nanos:
    return Nanos(now - market.fees.verified_at)
