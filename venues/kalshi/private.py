"""Kalshi's private stream: the orders and executions of our account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from messages.markets import Market
from messages.units import SECOND, Nanos
from venues.credentials import KalshiCredentials
from venues.kalshi import codec
from venues.kalshi.commands import command
from venues.kalshi.sign import Signer
from venues.port import Clock, StreamEvent
from venues.reading import is_object, json_of, object_of, text_of, whole_of
from venues.sockets import Broken, Socket, follow, together

CHANNELS = ("user_orders", "fill")
ASK_EVERY_S = 2.0
"""Silence is usual here and there are no sequence numbers: a question shows whether anybody still answers."""
ANSWER_WITHIN = Nanos(3 * SECOND)


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
        self._subaccount = credentials.subaccount

    async def open(self) -> None:
        self._signer.check()

    async def close(self) -> None:
        """Nothing: the connection ends with `stream`."""

    async def stream(
        self, markets: Sequence[Market], on_event: Callable[[StreamEvent], None], on_connected: Callable[[], None]
    ) -> None:
        del markets  # of all: an order that nobody knows is just what should be seen

        async def session(socket: Socket) -> None:
            listener = Listener(self, on_event, on_connected)
            await socket.say(command(1, "subscribe", channels=list(CHANNELS)))
            await together(listener.listen(socket), listener.ask(socket))

        async def headers() -> Mapping[str, str]:
            return await self._signer.signed("GET", urlsplit(self._ws).path)

        await follow(self._ws, headers, session, lambda: None, self._connect_timeout_s)

    def now(self) -> Nanos:
        return self._clock.now()

    def event(self, told: Mapping[str, Any]) -> StreamEvent | None:
        """What a message says of our sub-account; None for anything else."""
        kind, inner = text_of(told, "type"), object_of(told, "msg")
        number = whole_of(inner, {"fill": "subaccount"}.get(kind, "subaccount_number"))
        if self._subaccount is not None and number not in (None, self._subaccount):
            return None
        event: StreamEvent | None = None
        if kind == "user_order":
            event = codec.order_seen(self.name, inner, self.now())
        elif kind == "fill":
            event = codec.fill_seen(self.name, inner, self.now())
        self.skipped += event is None
        return event


class Listener:
    """One connection."""

    def __init__(
        self, account: KalshiAccountData, on_event: Callable[[StreamEvent], None], on_connected: Callable[[], None]
    ) -> None:
        self._account = account
        self._on_event = on_event
        self._on_connected = on_connected
        self._subscribed: set[str] = set()
        self._heard_at = account.now()

    async def listen(self, socket: Socket) -> None:
        while True:
            told = json_of(await socket.hear())
            self._heard_at = self._account.now()
            for message in told if isinstance(told, list) else [told]:
                self._take(message)

    def _take(self, message: Any) -> None:
        kind = text_of(message, "type") if is_object(message) else ""
        if kind == "error":
            raise Broken("the subscription was refused, or ended")
        if kind == "unsubscribed":
            raise Broken("the venue ended the subscription")
        if kind == "subscribed":
            before = len(self._subscribed)
            self._subscribed.add(text_of(object_of(message, "msg"), "channel"))
            if before < len(CHANNELS) <= len(self._subscribed):
                self._on_connected()
        elif kind != "ok" and (event := self._event(message)) is not None:
            self._on_event(event)

    def _event(self, message: Any) -> StreamEvent | None:
        return self._account.event(message if is_object(message) else {})

    async def ask(self, socket: Socket) -> None:
        """Give up on a connection that answers no command, however well it answers pings."""
        number = 100
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            if self._account.now() - self._heard_at > ANSWER_WITHIN or len(self._subscribed) < len(CHANNELS):
                raise Broken("silent")
            number += 1
            await socket.say(command(number, "list_subscriptions"))
