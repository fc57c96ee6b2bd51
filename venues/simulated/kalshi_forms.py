"""Requests that place an order, read as the venue reads them: first their types, then the facts, each with its refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from venues.simulated.book import Action, Order
from venues.simulated.happenings import S, Ticket, TimeInForce
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import Asked, KalshiDoor
from venues.simulated.kalshi_state import Life, Note
from venues.simulated.kalshi_words import decode_error, user_id
from venues.simulated.scale import CENT_OF_CONTRACT, parse_scaled

TIMES: dict[str, TimeInForce] = {"good_till_canceled": "gtc", "immediate_or_cancel": "ioc", "fill_or_kill": "fok"}
NEEDED = ("ticker", "side", "count", "price", "time_in_force", "self_trade_prevention_type")
TYPES: dict[str, type] = {
    **dict.fromkeys((*NEEDED, "client_order_id", "order_group_id", "updated_client_order_id"), str),
    **dict.fromkeys(("market_ticker", "reduce_by", "reduce_to"), str),
    **dict.fromkeys(("expiration_time", "subaccount", "exchange_index"), int),
    **dict.fromkeys(("post_only", "reduce_only", "cancel_order_on_pause"), bool),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A create request that can be tried at the book."""

    ticket: Ticket
    stp: str
    note: Note


def misread(body: Mapping[str, Any], form: str) -> web.Response | None:
    """The decoder's refusal of a field with another JSON type: numbers of money and counts are strings, always."""
    for field, kind in TYPES.items():
        value = body.get(field)
        if value is None:
            continue
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return decode_error(f"{form}.{field}", value, {str: "string", int: "int64", bool: "bool"}[kind])
    return None


def count_of(text: object) -> int | None:
    """A count of contracts in micro-contracts; None where it is no count greater than zero with two decimals at most."""
    count = parse_scaled(text, 2) if isinstance(text, str) else None
    return count * CENT_OF_CONTRACT if count is not None and count > 0 else None


def life_of(door: KalshiDoor, ticker: object, pinned: object) -> Life | web.Response:
    """The market on the shard that was asked; none, or -1, means: find the shard by the ticker."""
    life = door.state.lives.get(ticker) if isinstance(ticker, str) else None
    if life is None or pinned not in (None, -1, life.shard):
        return error(404, "market_not_found")
    return life


def read_create(door: KalshiDoor, asked: Asked, body: dict[str, Any]) -> Wanted | web.Response:
    missing = next((name for name in NEEDED if not body.get(name)), None)
    if missing is not None:
        return error(400, "invalid_parameters", details=f"{missing} is required")
    life = life_of(door, body["ticker"], body.get("exchange_index"))
    if isinstance(life, web.Response):
        return life
    down = door.closed(life.shard, "exchange")
    if down is not None:
        return down
    wire_id = body.get("client_order_id") or ""
    if wire_id and (asked.user, wire_id) in door.state.client_ids:
        return error(409, "order_already_exists")  # known for ever, whatever has become of its market since
    account = account_on(door, asked, body.get("subaccount"), life)
    if isinstance(account, web.Response):
        return account
    refused = door.closed(life.shard, "trading") or door.inactive(life, entry=True)
    if refused is not None:
        return refused
    return _ticket(door, account, life, body, wire_id)


def account_on(door: KalshiDoor, asked: Asked, given: object, life: Life) -> str | web.Response:
    subaccount = door.subaccount(asked, given, primary=True)
    if isinstance(subaccount, web.Response):
        return subaccount
    account = door.state.account(asked.user, subaccount or 0, life.ticker)
    if account not in door.exchange.accounts:  # cash was never put on this shard
        text = f"user_not_found: {user_id(asked.user)}"
        return error(404, "user_not_found", text, details=text)
    return account


def _ticket(door: KalshiDoor, account: str, life: Life, body: dict[str, Any], wire_id: str) -> Wanted | web.Response:
    if body["side"] not in ("bid", "ask"):
        return error(400, "invalid_order", details="side must be bid or ask")
    if body["time_in_force"] not in TIMES:
        return error(400, "invalid_order", details="time_in_force is invalid")
    if body["self_trade_prevention_type"] not in ("taker_at_cross", "maker"):
        return error(400, "invalid_order", details="self_trade_prevention_type is invalid")
    quantity, price = count_of(body["count"]), parse_scaled(body["price"], 4)
    if quantity is None:
        return error(400, "invalid_order", details="count is invalid")
    if price is None or not life.on_grid(price):
        return error(400, "invalid_price")
    time_in_force, expires = TIMES[body["time_in_force"]], body.get("expiration_time")
    if expires is not None and time_in_force != "gtc":
        return error(400, "invalid_order", details="expiration_time needs good_till_canceled")
    if expires is not None and expires * S <= door.desk.now():
        return error(400, "invalid_order", details="expiration_time is in the past")
    action: Action = "buy" if body["side"] == "bid" else "sell"
    if body.get("reduce_only"):
        if time_in_force != "ioc":
            return error(400, "invalid_order", details="reduce_only needs immediate_or_cancel")
        quantity = min(quantity, door.exchange.accounts[account].closable(life.ticker, action))
        if quantity == 0:
            return error(400, "invalid_order", details="reduce only would not reduce")
    refused = group_refusal(door, body.get("order_group_id") or "", account)
    if refused is not None:
        return refused
    ticket = Ticket(
        account=account, wire_id=wire_id or door.exchange.next_id(), market=life.ticker, outcome="yes", action=action,
        price=price, quantity=quantity, time_in_force=time_in_force, post_only=bool(body.get("post_only")),
        expires_ns=expires * S if expires is not None else None, label=body["time_in_force"],
    )  # fmt: skip
    note = Note(
        quantity, body.get("order_group_id") or "", bool(body.get("cancel_order_on_pause")), bool(body.get("post_only"))
    )
    return Wanted(ticket, body["self_trade_prevention_type"], note)


def group_refusal(door: KalshiDoor, group_id: str, account: str) -> web.Response | None:
    if not group_id:
        return None
    group = door.state.groups.get(group_id)
    if group is None or group.account != account:  # another user's, another sub-account's, or on another shard
        return error(404, "order_group_not_found")
    if group.triggered:
        return error(400, "invalid_order", details="order group limit hit: reset it first")
    return None


def order_of(door: KalshiDoor, asked: Asked, ticker: object, pinned: object, given: object) -> Order | web.Response:
    """The order that a cancel, amend or decrease means.

    Without a ticker and without a shard such a request goes to shard 0. What rests elsewhere, belongs to somebody else,
    has ended or was never there is all answered alike.
    """
    subaccount = door.subaccount(asked, given, primary=True)
    if isinstance(subaccount, web.Response):
        return subaccount
    order = door.exchange.orders.get(
        asked.request.match_info.get("order_id", "") or str(asked.body.get("order_id", ""))
    )
    if order is None:
        return error(404, "not_found")
    life = door.state.lives[order.market]
    if asked.entry is not None:
        asked.entry.wire_id = order.wire_id
    routed = ticker == order.market if ticker and pinned in (None, -1) else (pinned or 0) == life.shard
    if not routed or order.account != door.state.account(asked.user, subaccount or 0, order.market):
        return error(404, "not_found")
    return door.closed(life.shard, "exchange") or door.inactive(life) or order
