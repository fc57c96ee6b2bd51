"""Polymarket's two sockets: the public market channel, and the user channel that signs in inside its first message."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import WSMsgType, web

from venues.simulated.book import Order, Outcome, opposite, own_price
from venues.simulated.desk import Desk, Stream
from venues.simulated.happenings import (
    Happening,
    LevelChanged,
    MarketChanged,
    MarketResolved,
    Match,
    OrderChanged,
    Traded,
    TradeSettled,
)
from venues.simulated.polymarket import FAK_TEXT, FOK_TEXT
from venues.simulated.polymarket_book import best_of, book_told
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.resolution import NO_WINS, YES_WINS
from venues.simulated.scale import parse_scaled, plain

SILENCE_MAX_S = 15.0  # a client that sends no PING for this long is dropped
KILLED = {"fok_unfilled": FOK_TEXT, "fak_unmatched": FAK_TEXT}
REASONS = {
    "ExpiryCancel": "CANCELED_EXPIRED_ORDER", "MarginCancel": "CANCELED_NOT_ENOUGH_BALANCE",
    "MarketResolved": "CANCELED_MARKET_RESOLVED", "resolved": "CANCELED_MARKET_RESOLVED",
    "funds": "CANCELED_NOT_ENOUGH_BALANCE", "tokens": "CANCELED_NOT_ENOUGH_BALANCE",
}  # fmt: skip
CENT, END_LOW, END_HIGH = 100, 400, 9_600


def dump(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


@dataclass(slots=True, eq=False)
class MarketSubscriber:
    stream: Stream
    tokens: set[str] = field(default_factory=set)
    markets: set[str] = field(default_factory=set)
    custom: bool = False
    """Wants the best prices by themselves, and what becomes of markets."""


@dataclass(slots=True, eq=False)
class UserSubscriber:
    stream: Stream
    accounts: frozenset[str]
    markets: set[str] = field(default_factory=set)  # empty: all


class PolymarketStreams:
    def __init__(self, desk: Desk, door: PolymarketDoor) -> None:
        self.desk, self.door = desk, door
        self.watchers: list[MarketSubscriber] = []
        self.users: list[UserSubscriber] = []
        desk.tell = self.tell

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/ws/market", self._market), web.get("/ws/user", self._user)]

    # connections

    async def _open(self, request: web.Request) -> tuple[web.WebSocketResponse, Stream, asyncio.Task[None]]:
        socket = web.WebSocketResponse(compress=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        stream = Stream(self.desk, socket)
        return socket, stream, asyncio.create_task(stream.write())

    async def _texts(self, socket: web.WebSocketResponse) -> Any:
        """Texts of the client other than its heartbeat; ends when it has been silent for too long."""
        subscribed = False
        while True:
            message = await socket.receive(timeout=SILENCE_MAX_S)
            if message.type != WSMsgType.TEXT:
                return
            if message.data == "PING" and subscribed:
                await socket.send_str("PONG")  # at once, even while the data stands still
                continue
            try:
                loaded = json.loads(message.data)
            except ValueError:
                loaded = None
            if not isinstance(loaded, dict):
                await socket.close(code=1008, message=b"invalid subscription payload")
                return
            subscribed = True
            yield loaded

    async def _market(self, request: web.Request) -> web.StreamResponse:
        socket, stream, writer = await self._open(request)
        watcher = MarketSubscriber(stream)
        self.watchers.append(watcher)
        try:
            async for asked in self._texts(socket):
                self.desk.flush()
                tokens = [t for t in asked.get("assets_ids") or [] if t in self.door.tokens]
                watcher.custom = bool(asked.get("custom_feature_enabled", watcher.custom))
                if asked.get("operation") == "unsubscribe":
                    watcher.tokens.difference_update(tokens)
                else:
                    watcher.tokens.update(tokens)
                    books = [self._book(token) for token in tokens]
                    if books and asked.get("initial_dump", True):
                        stream.send(dump(books))
                watcher.markets = {self.door.tokens[t][0].polymarket.condition_id for t in watcher.tokens}
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        finally:
            self.watchers.remove(watcher)
            writer.cancel()
        await socket.close()
        return socket

    async def _user(self, request: web.Request) -> web.StreamResponse:
        socket, stream, writer = await self._open(request)
        user: UserSubscriber | None = None
        try:
            async for asked in self._texts(socket):
                self.desk.flush()
                markets = {str(m).lower() for m in asked.get("markets") or []}
                if user is None:
                    accounts = self._signed_in(asked.get("auth"))
                    if accounts is None:
                        await socket.close(code=1008, message=b"unauthorized")
                        break
                    user = UserSubscriber(stream, accounts, markets)
                    self.users.append(user)
                elif asked.get("operation") == "unsubscribe":
                    user.markets -= markets
                else:
                    user.markets |= markets
        except (TimeoutError, ConnectionError, RuntimeError):
            pass
        finally:
            if user is not None:
                self.users.remove(user)
            writer.cancel()
        await socket.close()
        return socket

    def _signed_in(self, auth: Any) -> frozenset[str] | None:
        if not isinstance(auth, dict):
            return None
        key = self.door.keys.get(str(auth.get("apiKey")))
        if key is None:
            return None
        same = hmac.compare_digest(str(auth.get("secret")), key.secret)
        mine = self.door.wallets.accounts(key.address)
        return mine if same and hmac.compare_digest(str(auth.get("passphrase")), key.passphrase) else None

    # messages

    def _book(self, token: str) -> dict[str, object]:
        pair, outcome = self.door.tokens[token]
        told = book_told(self.desk.exchange.books[pair.polymarket.condition_id], pair, outcome, self.desk.now())
        return {"event_type": "book", **told}

    def tell(self, happenings: list[Happening]) -> None:
        changed: dict[str, list[LevelChanged]] = {}
        trades: list[Match] = []
        for happening in happenings:
            match happening:
                case LevelChanged(market=market):
                    changed.setdefault(market, []).append(happening)
                case Traded(match=match):
                    trades.append(match)
                    self._trade(match, "matched", happening.at_ns)
                case TradeSettled(match=match, settlement=settlement):
                    self._trade(match, settlement, happening.at_ns)
                case OrderChanged():
                    self._order(happening)
                case MarketChanged():
                    self._market_changed(happening)
                case MarketResolved():
                    self._resolved(happening)
        for market, changes in changed.items():
            self._price_changes(market, changes)
        for match in trades:
            self._last_trade(match)
            self._near_the_end(match)

    def _to_watchers(self, market: str, text: str) -> None:
        for watcher in self.watchers:
            if market in watcher.markets:
                watcher.stream.send(text)

    def _watched(self, market: str) -> bool:
        return any(market in watcher.markets for watcher in self.watchers)

    def _price_changes(self, market: str, changes: list[LevelChanged]) -> None:
        if not self._watched(market):
            return
        book, pair = self.desk.exchange.books[market], self.door.by_condition[market]
        last = {(change.side, change.price): change for change in changes}
        entries: list[dict[str, str]] = []
        outcomes: tuple[Outcome, Outcome] = ("yes", "no")
        now_ns = self.desk.now()
        for outcome in outcomes:
            best_bid, best_ask = best_of(book, outcome)
            digest = str(book_told(book, pair, outcome, now_ns)["hash"])
            token = pair.polymarket.token(outcome)
            for side, price in last:
                own_side = side if outcome == "yes" else opposite(side)
                entries.append(
                    {
                        "asset_id": token, "price": plain(own_price(outcome, price), 4),
                        "size": plain(book.size(side, price), 6), "side": "BUY" if own_side == "bid" else "SELL",
                        "hash": digest, "best_bid": best_bid, "best_ask": best_ask,
                    }
                )  # fmt: skip
        message = {
            "event_type": "price_change", "market": market, "price_changes": entries,
            "timestamp": str(now_ns // 1_000_000),
        }  # fmt: skip
        self._to_watchers(market, dump(message))
        self._best(market, entries, message["timestamp"])

    def _best(self, market: str, entries: list[dict[str, str]], stamp: object) -> None:
        best = {entry["asset_id"]: (entry["best_bid"], entry["best_ask"]) for entry in entries}
        for token, (bid, ask) in best.items():
            spread = (parse_scaled(ask, 4) or 0) - (parse_scaled(bid, 4) or 0)
            message = {
                "event_type": "best_bid_ask", "market": market, "asset_id": token, "best_bid": bid, "best_ask": ask,
                "spread": plain(spread, 4), "timestamp": stamp,
            }  # fmt: skip
            self._to_custom(token, dump(message))

    def _to_custom(self, token: str, text: str) -> None:
        for watcher in self.watchers:
            if watcher.custom and token in watcher.tokens:
                watcher.stream.send(text)

    def _market_changed(self, happening: MarketChanged) -> None:
        """A new grid is told for both tokens; a new contract is told nowhere but in the metadata."""
        if happening.what != "tick":
            return
        spec = self.door.by_condition[happening.market].polymarket
        for token in (spec.yes_token, spec.no_token):
            message = {
                "event_type": "tick_size_change", "market": happening.market, "asset_id": token,
                "old_tick_size": happening.before, "new_tick_size": happening.now,
                "timestamp": str(happening.at_ns // 1_000_000),
            }  # fmt: skip
            for watcher in self.watchers:
                if token in watcher.tokens:
                    watcher.stream.send(dump(message))

    def _near_the_end(self, match: Match) -> None:
        """A market of whole cents gets a finer grid once it trades close to an end of it."""
        spec = self.door.by_condition[match.market].polymarket
        if spec.tick == CENT and not END_LOW <= match.yes_price <= END_HIGH:
            self.door.change(match.market, "tick", replace(spec, tick=CENT // 10, tick_text=plain(CENT // 10, 4)))

    def _resolved(self, happening: MarketResolved) -> None:
        pair = self.door.by_condition[happening.market]
        spec = pair.polymarket
        winners: dict[tuple[int, int], Outcome] = {YES_WINS: "yes", NO_WINS: "no"}
        winner = winners.get(happening.payout)
        message = {
            "event_type": "market_resolved", "id": pair.id, "market": happening.market, "question": pair.title,
            "slug": pair.id, "assets_ids": [spec.yes_token, spec.no_token], "outcomes": ["Yes", "No"],
            "winning_asset_id": "" if winner is None else spec.token(winner),
            "winning_outcome": "" if winner is None else winner.capitalize(),
            "timestamp": str(happening.at_ns // 1_000_000),
        }  # fmt: skip
        for watcher in self.watchers:
            if watcher.custom and happening.market in watcher.markets:
                watcher.stream.send(dump(message))

    def _last_trade(self, match: Match) -> None:
        if not self._watched(match.market):
            return
        spec, taker = self.door.by_condition[match.market].polymarket, match.taker
        message = {
            "event_type": "last_trade_price", "asset_id": spec.token(taker.outcome), "market": match.market,
            "price": plain(own_price(taker.outcome, match.yes_price), 4), "side": taker.action.upper(),
            "size": plain(match.quantity, 6), "fee_rate_bps": "0", "timestamp": str(match.at_ns // 1_000_000),
        }  # fmt: skip
        self._to_watchers(match.market, dump(message))
        for token in (spec.yes_token, spec.no_token):
            text = dump(self._book(token))
            for watcher in self.watchers:
                if token in watcher.tokens:
                    watcher.stream.send(text)

    def _to_users(self, order: Order, message: dict[str, Any]) -> None:
        def streams() -> Iterable[Stream]:
            return [
                user.stream
                for user in self.users
                if order.account in user.accounts and (not user.markets or order.market in user.markets)
            ]

        self.desk.deliver(order.wire_id, dump(message), streams)

    def _trade(self, match: Match, settlement: str, at_ns: int) -> None:
        for fill in match.fills:
            if self.desk.exchange.accounts[fill.order.account].unlimited:
                continue
            told = self.door.trade_told(match, fill, "", settlement)
            owner = self.door.owner_of(fill.order.account)[0]
            message = {
                "event_type": "trade", "type": "TRADE", **told, "trade_owner": owner, "matchtime": told["match_time"],
                "last_update": str(at_ns // 1_000_000_000), "timestamp": str(at_ns // 1_000_000),
            }  # fmt: skip
            self._to_users(fill.order, message)

    def _order(self, happening: OrderChanged) -> None:
        order, state = happening.order, happening.state
        told = self.door.order_told(order)
        killed = KILLED.get(happening.reason)
        if killed is not None:
            status, matched = f"CANCELED_{killed}", ""
        else:
            words = {"live": "LIVE", "matched": "MATCHED", "delayed": "DELAYED"}
            status, matched = words.get(state.status, "CANCELED"), plain(state.matched, 6)
            status = REASONS.get(happening.reason, status)
        message = {
            "event_type": "order", "type": happening.kind.upper(), **told, "status": status, "size_matched": matched,
            "outcome": "" if killed else told["outcome"], "order_owner": told["owner"], "created_at": "" if killed else str(told["created_at"]),
            "timestamp": str(happening.at_ns // 1_000_000),
        }  # fmt: skip
        self._to_users(order, message)
