"""The Kalshi web socket: one signed connection, channels by `sid`, sequence numbers on the public ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import WSMsgType, web

from venues.simulated.book import Order
from venues.simulated.desk import Desk, Stream
from venues.simulated.happenings import Happening, LevelChanged, Match, OrderChanged, Traded
from venues.simulated.kalshi_accounts import parts_of
from venues.simulated.kalshi_commands import Commands, Connection, Subscription
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_frames import (
    delta_told,
    dump,
    fill_told,
    order_told,
    position_told,
    ticker_told,
    trade_told,
)
from venues.simulated.kalshi_positions import tally
from venues.simulated.scale import PRICE_ONE

PATH = "/trade-api/ws/v2"
HEARTBEAT_S = 10
OVERFLOW = '{"type":"error","msg":{"code":25,"msg":"Subscription buffer overflow"}}'


def abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


class KalshiStreams:
    def __init__(self, desk: Desk, door: KalshiDoor) -> None:
        self.desk, self.door = desk, door
        self.connections: list[Connection] = []
        self.listeners: list[Callable[[list[Happening]], None]] = []
        self._commands = Commands(door, self._say)
        desk.tell = self.tell

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        signer = self.door.signer_of(request)
        if isinstance(signer, web.Response):
            return signer
        socket = web.WebSocketResponse(compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        connection = Connection(signer, Stream(self.desk, socket), lambda: abort(request))
        self.connections.append(connection)
        writer = asyncio.create_task(connection.stream.write(OVERFLOW))
        pinger = asyncio.create_task(self._ping(socket))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self.desk.flush()
                    self._commands.take(connection, message.data)
        finally:
            self.connections.remove(connection)
            writer.cancel()
            pinger.cancel()
        return socket

    async def _ping(self, socket: web.WebSocketResponse) -> None:
        try:
            while True:
                await asyncio.sleep(HEARTBEAT_S)
                await socket.ping(b"heartbeat")
        except (ConnectionError, RuntimeError):
            return

    def _say(self, connection: Connection, message: dict[str, Any]) -> None:
        connection.stream.send(dump(message | {"sending_ts_ms": self.desk.now() // 1_000_000}))

    def _subscribed(self, channel: str, market: str = "") -> Iterable[tuple[Connection, Subscription]]:
        for connection in list(self.connections):
            for found in list(connection.subscriptions.values()):
                if found.channel == channel and (not market or found.wants(market)):
                    yield connection, found

    # everything that happened

    def tell(self, happenings: list[Happening]) -> None:
        moved: dict[str, None] = {}
        for happening in happenings:
            match happening:
                case LevelChanged():
                    moved[happening.market] = None
                    if self.connections:
                        self._level(happening)
                case Traded(match=match):
                    self._trade(match)
                case OrderChanged(order=order, state=state, reason=reason):
                    self._private(
                        order,
                        "user_orders",
                        "user_order",
                        order_told(order, state, reason, self.door.state.note(order)),
                    )
                case _:
                    pass
        self.door.watch_cash()
        if self.connections:
            for ticker in moved:
                self._ticker(ticker)
        for listener in self.listeners:
            listener(happenings)

    def _level(self, change: LevelChanged) -> None:
        on_yes_scale, on_own_scale = delta_told(change, self.door.by_ticker[change.market].kalshi.market_id)
        sending_ms = self.desk.now() // 1_000_000
        for connection, found in self._subscribed("orderbook_delta", change.market):
            body = on_yes_scale if found.yes_scale else on_own_scale
            if change.order is not None:
                user, subaccount, _ = parts_of(change.order.account)
                if connection.sees(user, subaccount):
                    mine = f'"client_order_id":{json.dumps(change.order.wire_id)},"subaccount":{subaccount}'
                    body = f"{body[:-1]},{mine}}}"
            found.seq += 1
            connection.stream.send(
                f'{{"type":"orderbook_delta","sending_ts_ms":{sending_ms},"sid":{found.sid},"seq":{found.seq},"msg":{body}}}'
            )

    def _trade(self, match: Match) -> None:
        life = self.door.state.lives[match.market]
        life.volume += match.quantity
        life.dollar_volume += match.quantity * match.yes_price // PRICE_ONE
        life.last_size = match.quantity
        told = trade_told(match)
        for connection, found in self._subscribed("trade", match.market):
            self._say(connection, {"type": "trade", **found.head(), "msg": told})
        for fill in match.fills:
            if not self.door.exchange.accounts[fill.order.account].unlimited:
                self._private(fill.order, "fill", "fill", fill_told(fill))
                self.tell_position(fill.order.account, match.market)

    def _ticker(self, ticker: str) -> None:
        """Once for everything that moved together."""
        told: dict[str, Any] | None = None
        for connection, found in self._subscribed("ticker", ticker):
            if told is None:
                life, book = self.door.state.lives[ticker], self.door.exchange.books[ticker]
                told = ticker_told(life, book, self.door.open_interest(ticker), self.desk.now())
            self._say(connection, {"type": "ticker", **found.head(), "msg": told})

    def _private(self, order: Order, channel: str, kind: str, message: dict[str, Any]) -> None:
        user, subaccount, _ = parts_of(order.account)
        for connection, found in self._subscribed(channel, order.market):
            if not connection.sees(user, subaccount):
                continue
            head = {"type": kind, "sending_ts_ms": self.desk.now() // 1_000_000, "sid": found.sid, "msg": message}

            def streams(to: Connection = connection) -> Iterable[Stream]:
                return [to.stream]

            self.desk.deliver(order.wire_id, dump(head), streams)

    def tell_position(self, account: str, ticker: str) -> None:
        user, subaccount, _ = parts_of(account)
        told: dict[str, Any] | None = None
        for connection, found in self._subscribed("market_positions", ticker):
            if connection.sees(user, subaccount):
                if told is None:
                    fills = [
                        f for f in self.door.exchange.fills if f.order.account == account and f.order.market == ticker
                    ]
                    folded = tally(fills)
                    if any(s.account == account and s.ticker == ticker for s in self.door.state.settled):
                        folded.position = folded.cost = 0
                    told = position_told(account, ticker, folded)
                self._say(connection, {"type": "market_position", **found.head(), "msg": told})

    def tell_market(self, kind: str, ticker: str, message: dict[str, Any]) -> None:
        """Something in the life of a market or of its event."""
        for connection, found in self._subscribed("market_lifecycle_v2", ticker):
            self._say(connection, {"type": kind, **found.head(), "msg": message})

    def tell_group(self, user: str, subaccount: int, message: dict[str, Any]) -> None:
        for connection, found in self._subscribed("order_group_updates"):
            if connection.sees(user, subaccount):
                self._say(connection, {"type": "order_group_updates", **found.head(), "msg": message})

    def break_all(self) -> None:
        """Sockets end without a farewell, as they do when the venue goes into maintenance."""
        for connection in list(self.connections):
            connection.abort()
