"""What a client may ask of the Kalshi web socket: subscribe, unsubscribe, update, list; and each refusal by its number."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from venues.simulated.desk import Stream
from venues.simulated.kalshi_auth import Signer
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_frames import snapshot_told, ticker_told

SEQUENCED = {
    "orderbook_delta", "trade", "market_lifecycle_v2", "multivariate_market_lifecycle", "order_group_updates",
    "communications",
}  # fmt: skip
CHANNELS = SEQUENCED | {"user_orders", "fill", "ticker", "market_positions"}
WRONG = {
    1: "Unable to process message", 2: "Params required", 3: "Channels required", 4: "Subscription IDs required",
    5: "Unknown command", 7: "Unknown subscription ID", 8: "Unknown channel name", 11: "Invalid parameter",
    12: "Exactly one subscription ID is required", 13: "Unsupported action", 14: "Market Ticker required",
    15: "Action required", 26: "Subscription market limit exceeded",
}  # fmt: skip
MARKETS_MAX = 10_000


@dataclass(slots=True)
class Subscription:
    sid: int
    channel: str
    markets: list[str] | None  # None: all
    yes_scale: bool
    seq: int = 0
    quiet_acks: bool = False

    def wants(self, market: str) -> bool:
        return self.markets is None or market in self.markets

    def head(self) -> dict[str, int]:
        """`sid`, and on the channels that count their messages the next number."""
        if self.channel not in SEQUENCED:
            return {"sid": self.sid}
        self.seq += 1
        return {"sid": self.sid, "seq": self.seq}


@dataclass(slots=True, eq=False)
class Connection:
    signer: Signer
    stream: Stream
    abort: Callable[[], None]  # break the socket without a farewell
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    next_sid: int = 1

    def sees(self, user: str, subaccount: int) -> bool:
        return self.signer.account == user and self.signer.subaccount in (None, subaccount)


class Commands:
    def __init__(self, door: KalshiDoor, say: Callable[[Connection, dict[str, Any]], None]) -> None:
        self.door, self._say = door, say

    def take(self, connection: Connection, text: str) -> None:
        try:
            asked = json.loads(text)
            number, command, params = asked.get("id", 0), asked.get("cmd"), asked.get("params")
        except (ValueError, AttributeError):
            self._wrong(connection, 0, 1)
            return
        if command != "list_subscriptions" and not isinstance(params, dict):
            self._wrong(connection, number, 2 if command in ("subscribe", "unsubscribe", "update_subscription") else 5)
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
                self._answer(connection, number, {"type": "ok", "msg": listed})
            case _:
                self._wrong(connection, number, 5)

    def _answer(self, connection: Connection, number: object, message: dict[str, Any]) -> None:
        """An id of 0 is no id."""
        numbered = isinstance(number, int) and not isinstance(number, bool) and number > 0
        self._say(connection, ({"id": number} if numbered else {}) | message)

    def _wrong(self, connection: Connection, number: object, code: int, *, market: str = "") -> None:
        msg: dict[str, Any] = {"code": code, "msg": WRONG[code]}
        self._answer(connection, number, {"type": "error", "msg": msg | ({"market_ticker": market} if market else {})})

    def _wrong_there(self, connection: Connection, number: object, code: int, at: Subscription) -> None:
        self._answer(connection, number, {"type": "error", **at.head(), "msg": {"code": code, "msg": WRONG[code]}})

    def _tickers(self, params: dict[str, Any]) -> list[str] | None:
        """The markets that are named, by ticker or by id; None where one of them is not known or not text."""
        named = [
            *(params.get("market_tickers") or []),
            *([params["market_ticker"]] if params.get("market_ticker") else []),
        ]
        by_id = {life.pair.kalshi.market_id: ticker for ticker, life in self.door.state.lives.items()}
        ids = [*(params.get("market_ids") or []), *([params["market_id"]] if params.get("market_id") else [])]
        found = [*named, *(by_id.get(str(one)) for one in ids)]
        return None if any(one not in self.door.state.lives for one in found) else [str(one) for one in found]

    def _subscribe(self, connection: Connection, number: object, params: dict[str, Any]) -> None:
        channels = params.get("channels")
        if not isinstance(channels, list) or not channels:
            self._wrong(connection, number, 3)
            return
        tickers = self._tickers(params)
        for channel in channels:
            if channel not in CHANNELS:
                self._wrong(connection, number, 8)
            elif tickers is None:
                self._wrong(connection, number, 11)
            elif channel == "orderbook_delta" and not tickers:
                self._wrong(connection, number, 14)
            elif len(tickers) > MARKETS_MAX:
                self._wrong(connection, number, 26)
            else:
                self._open(connection, number, params, str(channel), tickers)

    def _open(
        self, connection: Connection, number: object, params: dict[str, Any], channel: str, tickers: list[str]
    ) -> None:
        made = Subscription(
            connection.next_sid, channel, tickers or None, bool(params.get("use_yes_price")),
            quiet_acks=bool(params.get("skip_ticker_ack")),
        )  # fmt: skip
        connection.next_sid += 1
        connection.subscriptions[made.sid] = made
        self._answer(connection, number, {"type": "subscribed", "msg": {"channel": channel, "sid": made.sid}})
        self._show(connection, made, tickers, initial=bool(params.get("send_initial_snapshot")))

    def _show(self, connection: Connection, made: Subscription, tickers: list[str], *, initial: bool) -> None:
        for ticker in tickers:
            if made.channel == "orderbook_delta":
                self._snapshot(connection, made, ticker)
            elif made.channel == "ticker" and initial:
                life, book = self.door.state.lives[ticker], self.door.exchange.books[ticker]
                told = ticker_told(life, book, self.door.open_interest(ticker), self.door.desk.now())
                self._say(connection, {"type": "ticker", **made.head(), "msg": told})

    def _snapshot(self, connection: Connection, made: Subscription, ticker: str, number: object = 0) -> None:
        told = snapshot_told(self.door.state.lives[ticker], self.door.exchange.books[ticker], yes_scale=made.yes_scale)
        self._answer(connection, number, {"type": "orderbook_snapshot", **made.head(), "msg": told})

    def _unsubscribe(self, connection: Connection, number: object, params: dict[str, Any]) -> None:
        sids = params.get("sids")
        if not isinstance(sids, list) or not sids:
            self._wrong(connection, number, 4)
            return
        for sid in sids:
            gone = connection.subscriptions.pop(sid, None) if isinstance(sid, int) else None
            if gone is None:
                self._wrong(connection, number, 7)
                continue
            gone.seq += 1  # this one carries a number on every channel
            self._answer(connection, number, {"sid": sid, "seq": gone.seq, "type": "unsubscribed"})

    def _update(self, connection: Connection, number: object, params: dict[str, Any]) -> None:
        sids, action = [*(params.get("sids") or [])], params.get("action")
        if params.get("sid") is not None:
            sids.append(params["sid"])
        if len(sids) != 1:
            self._wrong(connection, number, 12)
            return
        found = connection.subscriptions.get(sids[0]) if isinstance(sids[0], int) else None
        tickers = self._tickers(params)
        if found is None:
            self._wrong(connection, number, 7)
        elif not action:
            self._wrong_there(connection, number, 15, found)
        elif tickers is None:
            self._wrong_there(connection, number, 11, found)
        elif action == "get_snapshot" and found.channel == "orderbook_delta":
            for ticker in tickers or found.markets or []:
                self._snapshot(connection, found, ticker, number)
        elif action not in ("add_markets", "delete_markets"):
            self._wrong_there(connection, number, 13, found)
        elif not tickers:
            self._wrong_there(connection, number, 14, found)
        else:
            self._change(connection, number, found, tickers, params)

    def _change(
        self, connection: Connection, number: object, found: Subscription, tickers: list[str], params: dict[str, Any]
    ) -> None:
        before = found.markets or []
        fresh = [ticker for ticker in tickers if ticker not in before]
        if params["action"] == "add_markets":
            found.markets = [*before, *fresh]
        else:
            fresh, found.markets = [], [ticker for ticker in before if ticker not in tickers]
        told = {} if found.quiet_acks else {"msg": {"market_tickers": found.markets}}
        self._answer(connection, number, {"type": "ok", **found.head(), **told})
        self._show(connection, found, fresh, initial=bool(params.get("send_initial_snapshot")))
