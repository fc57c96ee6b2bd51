"""Polymarket's private stream: the orders and trades of our account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from messages.markets import Market
from messages.units import SECOND
from venues.credentials import PolymarketCredentials
from venues.polymarket import codec
from venues.polymarket.schedules import Schedules
from venues.polymarket.sign import Signer
from venues.polymarket.watch import PONG_WITHIN, keep_alive
from venues.port import Clock, StreamEvent
from venues.reading import is_object, json_of, objects, text_of
from venues.sockets import Socket, follow, together

SUBSCRIBED_WITHIN_S = 0.25


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
        schedules = Schedules(markets)

        async def session(socket: Socket) -> None:
            # without a list of markets it tells of all: an order that nobody knows is just what should be seen
            await socket.say(msgspec.json.encode({"type": "user", "auth": self._signer.stream_login()}).decode())

            async def listen() -> None:
                patience = PONG_WITHIN / SECOND
                while True:
                    async with asyncio.timeout(patience):
                        frame = await socket.hear()
                    if frame not in ("PONG", b"PONG"):
                        for event in self.events(frame, schedules):
                            on_event(event)

            async def announce() -> None:
                # the subscription is not acknowledged: a read that came before it would leave a gap behind it
                await asyncio.sleep(SUBSCRIBED_WITHIN_S)
                on_connected()
                await asyncio.Event().wait()

            await together(listen(), keep_alive(socket), announce())

        await follow(self._ws, _no_headers, session, lambda: None, self._connect_timeout_s)

    def events(self, frame: str | bytes, schedules: Schedules) -> list[StreamEvent]:
        """What one frame tells of our orders and trades."""
        told, at = json_of(frame), self._clock.now()
        found: list[StreamEvent] = []
        for message in [told] if is_object(told) else objects(told):
            kind = text_of(message, "event_type")
            if kind == "order":
                seen = codec.order_seen(self.name, message, at)
                told_here: list[StreamEvent] = [seen] if seen is not None else []
            elif kind == "trade":
                told_here = list(codec.fills_of(self.name, message, self._account, schedules, at))
            else:
                told_here = []
            self.skipped += not told_here
            found.extend(told_here)
        return found


async def _no_headers() -> Mapping[str, str]:
    return {}
