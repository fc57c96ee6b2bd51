"""The account stream of one venue: tells executors at once what the venue says of our orders and executions.

A private stream is neither numbered nor repeated, and a frozen one still answers pings. So after every connection, and
every two seconds besides, executions are read on from a cursor; what was told already is recognised and not told again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import suppress

from loguru import logger

from actors.catalogue import Catalogue
from actors.company import Chores, Peers
from actors.rules import pairs_of
from actors.shell import Clock, Outbox, Place
from configs.settings import read_settings
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.orders import FillSeen, OrderSeen
from messages.units import SECOND, Nanos
from venues.factory import account_data, market_data, trading
from venues.port import Failed, StreamEvent

EXECUTORS = "executor*"
POLL_EVERY_S = 2.0
ORDERS_BACK = Nanos(600 * SECOND)
"""How old an order may be that is looked for after a connection; older ones the executor asks about by itself."""
METADATA_EVERY_S = 2.0
AGAIN_AFTER_S = 1.0
"""Where a stream ended by itself, which an adapter's never should."""
TOLD_MOST = 20_000
"""Events by which repetitions are known; what is told twice is harmless."""
RECENT_MOST = 500
"""Told again to a new incarnation, which may have come too late for them."""


class AccountStream:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = read_settings(place.settings)
        self.venue = place.name.partition(".")[2]
        self._peers, self._chores = Peers(), Chores()
        self._told: OrderedDict[StreamEvent, None] = OrderedDict()
        self._recent: deque[StreamEvent] = deque(maxlen=RECENT_MOST)
        self._cursor = ""
        self._connections = self._orders = self._fills = self._missed = self._read_failures = 0
        self._last_read = Nanos(0)

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        self._outbox, self._clock = outbox, clock
        own = self._settings.venues[self.venue]
        key = own.keys[0]
        self._data = market_data(self.venue, own, key, clock)
        self._account = account_data(self.venue, own, key, clock)
        self._trading = trading(self.venue, own, key, clock)
        self.catalogue = Catalogue(self._data, self.venue, pairs_of(self._settings))
        self._connected, self._more = asyncio.Event(), asyncio.Event()
        for adapter in (self._data, self._account, self._trading):
            await adapter.open()
        for loop in (self._learn(), self._follow(), self._read_on()):
            self._chores.begin(loop)
        return ""

    async def stop(self) -> None:
        await self._chores.stop()
        for adapter in (self._data, self._account, self._trading):
            await adapter.close()

    async def hear(self, sender: str, message: Message) -> Message | None:
        del sender, message  # nobody has anything to say to a stream
        self._chores.must_be_sound()
        return None

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        if self._peers.introduced(peer) and peer.name in self._peers.up(EXECUTORS):
            for event in self._recent:
                self._outbox.tell(peer.name, event)

    # What is heard

    def _hear(self, event: StreamEvent) -> bool:
        """True where it was not told before."""
        same = event.model_copy(update={"at": Nanos(0)})
        if same in self._told:
            self._told.move_to_end(same)
            return False
        self._told[same] = None
        if len(self._told) > TOLD_MOST:
            self._told.popitem(last=False)
        self._recent.append(event)
        self._outbox.tell(EXECUTORS, event)
        self._orders += isinstance(event, OrderSeen)
        self._fills += isinstance(event, FillSeen)
        return True

    def _take(self, event: StreamEvent) -> None:
        self._hear(event)

    def _on_connected(self) -> None:
        self._connections += 1
        self._connected.set()

    # The loops

    async def _learn(self) -> None:
        """Metadata, without which some venues' executions cannot be read."""
        while missing := self.catalogue.missing:
            if found := await self.catalogue.read(missing):
                self._trading.load(found)
                # what named these markets was passed over
                self._cursor = ""
                self._more.set()
            await asyncio.sleep(METADATA_EVERY_S)

    async def _follow(self) -> None:
        while True:
            self._more.clear()
            markets = tuple(self.catalogue.markets.values())
            more = asyncio.create_task(self._more.wait())
            running: set[asyncio.Task[object]] = {more}
            if markets:
                running.add(asyncio.create_task(self._account.stream(markets, self._take, self._on_connected)))
            try:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                await asyncio.sleep(0 if more in done else AGAIN_AFTER_S)
            finally:
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _read_on(self) -> None:
        while True:
            # not `wait_for`: up to Python 3.11 it swallows a cancellation that comes together with the event
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_EVERY_S):
                    await self._connected.wait()
            connected = self._connected.is_set()
            self._connected.clear()
            if not self.catalogue.markets:
                continue
            good = await self._read_fills()
            if connected:
                good = await self._read_orders() and good
                if not good:
                    # once more in two seconds, orders included
                    await asyncio.sleep(POLL_EVERY_S)
                    self._connected.set()

    async def _read_fills(self) -> bool:
        cursor = self._cursor
        page = await self._trading.fills_since(cursor)
        if isinstance(page, Failed):
            return self._failed(page)
        self._missed += sum(self._hear(seen) for seen in page.fills)
        if self._cursor == cursor:
            self._cursor = page.cursor
        self._last_read = self._clock.now()
        return True

    async def _read_orders(self) -> bool:
        seen = await self._trading.orders_since(Nanos(max(0, self._clock.now() - ORDERS_BACK)))
        if isinstance(seen, Failed):
            return self._failed(seen)
        self._missed += sum(self._hear(order) for order in seen)
        return True

    def _failed(self, read: Failed) -> bool:
        self._read_failures += 1
        logger.warning("what was missed at {} could not be read: {}", self.venue, read.text)
        return False

    def snapshot(self) -> dict[str, object]:
        return {
            "epoch": self.place.epoch,
            "venue": self.venue,
            "markets": len(self.catalogue.markets),
            "missing": list(self.catalogue.missing)[:20],
            "connections": self._connections,
            "orders": self._orders,
            "fills": self._fills,
            "read_later": self._missed,
            "cursor": self._cursor,
            "last_read": self._last_read,
            "read_failures": self._read_failures,
            "remembered": len(self._told),
            "peers": self._peers.up(),
            "failed": self._chores.failed,
        }
