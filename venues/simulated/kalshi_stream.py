"""The Kalshi web socket: one signed connection, channels by `sid`, sequence numbers on the public ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from venues.simulated.book import Order, OrderState, Side
from venues.simulated.desk import Desk, Stream
from venues.simulated.happenings import Fill, Happening, LevelChanged, Match, OrderChanged, Traded
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_words import iso, status_told
from venues.simulated.scale import PRICE_ONE, count_text, money_text, price_text

PATH = "/trade-api/ws/v2"
HEARTBEAT_S = 10
CHANNELS = {
    "orderbook_delta", "trade", "user_orders", "fill", "ticker", "market_positions", "market_lifecycle_v2",
    "order_group_updates",
}  # fmt: skip
SEQUENCED = {"orderbook_delta", "trade", "market_lifecycle_v2", "order_group_updates"}
OVERFLOW = '{"type":"error","msg":{"code":25,"msg":"Subscription buffer overflow"}}'


def dump(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


@dataclass(slots=True)
class Subscription:
    sid: int
    channel: str
    markets: list[str]  # empty: all
    yes_scale: bool
    seq: int = 0

    def wants(self, market: str) -> bool:
        return not self.markets or market in self.markets


@dataclass(slots=True, eq=False)
class Connection:
    account: str
    stream: Stream
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    next_sid: int = 1


class KalshiStreams:
    def __init__(self, desk: Desk, door: KalshiDoor) -> None:
        self.desk, self.door = desk, door
        self.connections: list[Connection] = []
        desk.tell = self.tell

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        account = self.door.account_of(request)
        if isinstance(account, web.Response):
            return account
        socket = web.WebSocketResponse(compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        connection = Connection(account, Stream(self.desk, socket))
        self.connections.append(connection)
        writer = asyncio.create_task(connection.stream.write(OVERFLOW))
        pinger = asyncio.create_task(self._ping(socket))
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self.desk.flush()
                    self._command(connection, message.data)
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

    # commands

    def _say(self, connection: Connection, message: dict[str, Any]) -> None:
        connection.stream.send(dump(message | {"sending_ts_ms": self.desk.now() // 1_000_000}))

    def _wrong(self, connection: Connection, number: object, code: int, text: str) -> None:
        self._say(connection, {"id": number, "type": "error", "msg": {"code": code, "msg": text}})

    def _command(self, connection: Connection, text: str) -> None:
        try:
            asked = json.loads(text)
            number, command, params = asked.get("id", 0), asked.get("cmd"), asked.get("params") or {}
        except (ValueError, AttributeError):
            self._wrong(connection, 0, 1, "Unable to process message")
            return
        match command:
            case "subscribe":
                self._subscribe(connection, number, params)
            case "unsubscribe":
                self._unsubscribe(connection, number, params)
            case "update_subscription":
                self._update(connection, number, params)
            case "list_subscriptions":
                listed = [{"channel": s.channel, "sid": s.sid} for s in connection.subscriptions.values()]
                self._say(connection, {"id": number, "type": "ok", "msg": listed})
            case _:
                self._wrong(connection, number, 5, "Unknown command")

    def _tickers(self, params: dict[str, Any]) -> list[str]:
        tickers = list(params.get("market_tickers") or [])
        if params.get("market_ticker"):
            tickers.append(params["market_ticker"])
        return tickers

    def _subscribe(self, connection: Connection, number: object, params: dict[str, Any]) -> None:
        channels, tickers = params.get("channels"), self._tickers(params)
        if not isinstance(channels, list) or not channels:
            self._wrong(connection, number, 3, "Channels required")
            return
        unknown = next((t for t in tickers if t not in self.door.by_ticker), None)
        for channel in channels:
            if channel not in CHANNELS:
                self._wrong(connection, number, 8, "Unknown channel name")
                continue
            if unknown is not None:
                self._wrong(connection, number, 11, f"Invalid parameter: market {unknown}")
                continue
            if channel == "orderbook_delta" and not tickers:
                self._wrong(connection, number, 14, "Market ticker required")
                continue
            sid = connection.next_sid
            connection.next_sid += 1
            made = Subscription(sid, channel, tickers, bool(params.get("use_yes_price")))
            connection.subscriptions[sid] = made
            self._say(connection, {"id": number, "type": "subscribed", "msg": {"channel": channel, "sid": sid}})
            if channel == "orderbook_delta":
                for ticker in tickers:
                    self._snapshot(connection, made, ticker)

    def _unsubscribe(self, connection: Connection, number: object, params: dict[str, Any]) -> None:
        for sid in params.get("sids") or []:
            gone = connection.subscriptions.pop(sid, None)
            if gone is None:
                self._wrong(connection, number, 7, "Unknown subscription ID")
                continue
            message: dict[str, Any] = {"id": number, "sid": sid, "type": "unsubscribed"}
            self._say(connection, message | self._seq(gone))

    def _update(self, connection: Connection, number: object, params: dict[str, Any]) -> None:
        sids, action, tickers = params.get("sids") or [], params.get("action"), self._tickers(params)
        if params.get("sid") is not None:
            sids = [*sids, params["sid"]]
        if len(sids) != 1:
            self._wrong(connection, number, 12, "Exactly one subscription ID is required")
            return
        found = connection.subscriptions.get(sids[0])
        if found is None:
            self._wrong(connection, number, 7, "Unknown subscription ID")
        elif any(t not in self.door.by_ticker for t in tickers) or not tickers:
            self._wrong(connection, number, 14, "Market ticker required")
        elif action == "get_snapshot" and found.channel == "orderbook_delta":
            for ticker in tickers:
                self._snapshot(connection, found, ticker)
        elif action in ("add_markets", "delete_markets"):
            fresh = [t for t in tickers if t not in found.markets]
            if action == "add_markets":
                found.markets = [*found.markets, *fresh]
            else:
                found.markets = [t for t in found.markets if t not in tickers]
            answer = {"id": number, "sid": found.sid, "type": "ok", "msg": {"market_tickers": found.markets}}
            self._say(connection, answer | self._seq(found))
            if action == "add_markets" and found.channel == "orderbook_delta":
                for ticker in fresh:
                    self._snapshot(connection, found, ticker)
        else:
            self._wrong(connection, number, 13, "Unsupported action")

    def _seq(self, subscription: Subscription) -> dict[str, int]:
        if subscription.channel not in SEQUENCED:
            return {}
        subscription.seq += 1
        return {"seq": subscription.seq}

    # the book

    def _snapshot(self, connection: Connection, subscription: Subscription, ticker: str) -> None:
        book, spec = self.desk.exchange.books[ticker], self.door.by_ticker[ticker].kalshi
        message: dict[str, Any] = {"market_ticker": ticker, "market_id": spec.market_id, "clock": book.clock}
        yes = [[price_text(p), count_text(s)] for p, s in book.ladder("bid")]
        asks = book.ladder("ask")
        if subscription.yes_scale:
            no = [[price_text(p), count_text(s)] for p, s in asks]
        else:
            no = [[price_text(PRICE_ONE - p), count_text(s)] for p, s in reversed(asks)]
        # the venue leaves the key of an empty side out
        if yes:
            message["yes_dollars_fp"] = yes
        if no:
            message["no_dollars_fp"] = no
        head = {"type": "orderbook_snapshot", "sid": subscription.sid, **self._seq(subscription)}
        self._say(connection, head | {"msg": message})

    def _level(self, change: LevelChanged, sending_ms: int) -> None:
        spec = self.door.by_ticker[change.market].kalshi
        bid: Side = "bid"
        message: dict[str, Any] = {
            "market_ticker": change.market, "market_id": spec.market_id, "clock": change.clock,
            "price_dollars": price_text(change.price), "delta_fp": count_text(change.delta),
            "side": "yes" if change.side == bid else "no", "ts": iso(change.at_ns), "ts_ms": change.at_ns // 1_000_000,
        }  # fmt: skip
        on_yes_scale = dump(message)
        on_own_scale = on_yes_scale
        if change.side != bid:
            on_own_scale = dump(message | {"price_dollars": price_text(PRICE_ONE - change.price)})
        for connection in self.connections:
            for found in connection.subscriptions.values():
                if found.channel != "orderbook_delta" or not found.wants(change.market):
                    continue
                body = on_yes_scale if found.yes_scale else on_own_scale
                if change.order is not None and change.order.account == connection.account:
                    body = f'{body[:-1]},"client_order_id":{json.dumps(change.order.wire_id)},"subaccount":0}}'
                found.seq += 1
                connection.stream.send(
                    f'{{"type":"orderbook_delta","sending_ts_ms":{sending_ms},"sid":{found.sid},"seq":{found.seq},'
                    f'"msg":{body}}}'
                )

    # everything that happened

    def tell(self, happenings: list[Happening]) -> None:
        sending_ms = self.desk.now() // 1_000_000
        for happening in happenings:
            match happening:
                case LevelChanged():
                    if self.connections:
                        self._level(happening, sending_ms)
                case Traded(match=match):
                    self._trade(match)
                    for fill in match.fills:
                        self._private(fill.order, "fill", "fill", fill_told(fill, self._index(match.market)))
                case OrderChanged(order=order, state=state, reason=reason):
                    told = order_told(order, state, reason, self._index(order.market))
                    self._private(order, "user_orders", "user_order", told)
                case _:
                    pass

    def _index(self, ticker: str) -> int:
        return self.door.by_ticker[ticker].kalshi.exchange_index

    def _trade(self, match: Match) -> None:
        yes = match.taker.side == "bid"
        message = {
            "trade_id": match.id, "market_ticker": match.market, "yes_price_dollars": price_text(match.yes_price),
            "no_price_dollars": price_text(PRICE_ONE - match.yes_price), "count_fp": count_text(match.quantity),
            "taker_outcome_side": "yes" if yes else "no", "taker_book_side": "bid" if yes else "ask",
            "is_block_trade": False, "ts": match.at_ns // 1_000_000_000, "ts_ms": match.at_ns // 1_000_000,
        }  # fmt: skip
        for connection in self.connections:
            for found in connection.subscriptions.values():
                if found.channel == "trade" and found.wants(match.market):
                    head = {"type": "trade", "sid": found.sid, **self._seq(found)}
                    self._say(connection, head | {"msg": message})

    def _private(self, order: Order, channel: str, kind: str, message: dict[str, Any]) -> None:
        for connection in list(self.connections):
            if connection.account != order.account:
                continue
            for found in list(connection.subscriptions.values()):
                if found.channel != channel or not found.wants(order.market):
                    continue
                head = {"type": kind, "sending_ts_ms": self.desk.now() // 1_000_000, "sid": found.sid, "msg": message}

                def streams(to: Connection = connection) -> Iterable[Stream]:
                    return [to.stream]

                self.desk.deliver(order.wire_id, dump(head), streams)


def fill_told(fill: Fill, exchange_index: int) -> dict[str, Any]:
    bid = fill.action == "buy"
    return {
        "trade_id": fill.fill_id, "order_id": fill.order.venue_order, "client_order_id": fill.order.wire_id,
        "market_ticker": fill.order.market, "exchange_index": exchange_index, "is_taker": fill.role == "taker",
        "yes_price_dollars": price_text(fill.price), "count_fp": count_text(fill.quantity),
        "fee_cost": money_text(fill.fee), "outcome_side": "yes" if bid else "no", "book_side": "bid" if bid else "ask",
        "post_position_fp": count_text(fill.position), "subaccount": 0, "ts": fill.at_ns // 1_000_000_000,
        "ts_ms": fill.at_ns // 1_000_000,
    }  # fmt: skip


def order_told(order: Order, state: OrderState, reason: str, exchange_index: int) -> dict[str, Any]:
    bid = order.action == "buy"
    told: dict[str, Any] = {
        "order_id": order.venue_order, "user_id": order.account, "ticker": order.market,
        "exchange_index": exchange_index, "status": status_told(state.status), "outcome_side": "yes" if bid else "no",
        "book_side": "bid" if bid else "ask", "yes_price_dollars": price_text(order.price),
        "fill_count_fp": count_text(state.matched),
        "remaining_count_fp": count_text(state.remaining if state.status == "live" else 0),
        "initial_count_fp": count_text(order.quantity), "taker_fill_cost_dollars": money_text(state.taker_cost),
        "maker_fill_cost_dollars": money_text(state.maker_cost), "taker_fees_dollars": money_text(state.taker_fees),
        "maker_fees_dollars": money_text(state.maker_fees), "client_order_id": order.wire_id,
        "self_trade_prevention_type": order.stp, "created_ts_ms": order.created_ns // 1_000_000,
        "subaccount_number": 0,
    }  # fmt: skip
    if order.expires_ns is not None:
        told["expiration_ts_ms"] = order.expires_ns // 1_000_000
    if reason in REASONS:
        told["last_update_reason"] = reason
    return told


REASONS = {"Decrease", "Amend", "MarginCancel", "SelfTradeCancel", "ExpiryCancel", "CloseCancel", "HaltCancel", "Trade"}
