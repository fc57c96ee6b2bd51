"""The messages of the Kalshi web socket, each as its own function of what happened. `seq` and `sid` are added where they leave."""

from __future__ import annotations

import json
from typing import Any

from venues.simulated.book import Book, Order, OrderState
from venues.simulated.happenings import Fill, LevelChanged, Match, S
from venues.simulated.kalshi_accounts import parts_of
from venues.simulated.kalshi_positions import Tally
from venues.simulated.kalshi_state import Life, Note
from venues.simulated.kalshi_words import iso, status_told, user_id
from venues.simulated.scale import PRICE_ONE, count_text, money_text, price_text

MS = 1_000_000
REASONS = {
    "Decrease", "Amend", "MarginCancel", "SelfTradeCancel", "ExpiryCancel", "CloseCancel", "HaltCancel", "Trade",
    "PostOnlyCrossCancel", "ReduceOnlyCancel", "SettlementBoundsCancel",
}  # fmt: skip


def dump(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def snapshot_told(life: Life, book: Book, *, yes_scale: bool) -> dict[str, Any]:
    """The whole book; the key of an empty side is left out."""
    message: dict[str, Any] = {
        "market_ticker": life.ticker, "market_id": life.pair.kalshi.market_id, "clock": book.clock,
    }  # fmt: skip
    yes, asks = [[price_text(p), count_text(s)] for p, s in book.ladder("bid")], book.ladder("ask")
    if yes_scale:
        no = [[price_text(p), count_text(s)] for p, s in asks]
    else:
        no = [[price_text(PRICE_ONE - p), count_text(s)] for p, s in reversed(asks)]
    if yes:
        message["yes_dollars_fp"] = yes
    if no:
        message["no_dollars_fp"] = no
    return message


def delta_told(change: LevelChanged, market_id: str) -> tuple[str, str]:
    """One changed level, as text: on the YES scale, and on the scale of its own side."""
    message: dict[str, Any] = {
        "market_ticker": change.market, "market_id": market_id, "clock": change.clock,
        "price_dollars": price_text(change.price), "delta_fp": count_text(change.delta),
        "side": "yes" if change.side == "bid" else "no", "ts": iso(change.at_ns), "ts_ms": change.at_ns // MS,
    }  # fmt: skip
    on_yes_scale = dump(message)
    if change.side == "bid":
        return on_yes_scale, on_yes_scale
    return on_yes_scale, dump(message | {"price_dollars": price_text(PRICE_ONE - change.price)})


def trade_told(match: Match) -> dict[str, Any]:
    yes = match.taker.side == "bid"
    return {
        "trade_id": match.id, "market_ticker": match.market, "yes_price_dollars": price_text(match.yes_price),
        "no_price_dollars": price_text(PRICE_ONE - match.yes_price), "count_fp": count_text(match.quantity),
        "taker_side": "yes" if yes else "no", "taker_outcome_side": "yes" if yes else "no",
        "taker_book_side": "bid" if yes else "ask", "is_block_trade": False, "ts": match.at_ns // S,
        "ts_ms": match.at_ns // MS,
    }  # fmt: skip


def ticker_told(life: Life, book: Book, open_interest: int, now_ns: int) -> dict[str, Any]:
    bid, ask = book.best("bid"), book.best("ask")
    return {
        "market_id": life.pair.kalshi.market_id, "market_ticker": life.ticker,
        "price_dollars": price_text(book.last_trade or 0), "yes_bid_dollars": price_text(bid or 0),
        "yes_ask_dollars": price_text(PRICE_ONE if ask is None else ask), "volume_fp": count_text(life.volume),
        "open_interest_fp": count_text(open_interest), "dollar_volume": life.dollar_volume // 1_000_000,
        "dollar_open_interest": open_interest // 1_000_000,
        "yes_bid_size_fp": count_text(book.size("bid", bid) if bid is not None else 0),
        "yes_ask_size_fp": count_text(book.size("ask", ask) if ask is not None else 0),
        "last_trade_size_fp": count_text(life.last_size), "ts": now_ns // S, "ts_ms": now_ns // MS, "time": iso(now_ns),
    }  # fmt: skip


def fill_told(fill: Fill) -> dict[str, Any]:
    bid = fill.action == "buy"
    side = "yes" if bid else "no"
    _, subaccount, shard = parts_of(fill.order.account)
    return {
        "trade_id": fill.fill_id, "order_id": fill.order.venue_order, "client_order_id": fill.order.wire_id,
        "market_ticker": fill.order.market, "exchange_index": shard, "is_taker": fill.role == "taker", "side": "yes",
        "action": fill.action, "purchased_side": side, "yes_price_dollars": price_text(fill.price),
        "count_fp": count_text(fill.quantity), "fee_cost": money_text(fill.fee), "outcome_side": side,
        "book_side": "bid" if bid else "ask", "post_position_fp": count_text(fill.position), "subaccount": subaccount,
        "ts": fill.at_ns // S, "ts_ms": fill.at_ns // MS,
    }  # fmt: skip


def order_told(order: Order, state: OrderState, reason: str, note: Note) -> dict[str, Any]:
    bid = order.action == "buy"
    user, subaccount, shard = parts_of(order.account)
    told: dict[str, Any] = {
        "order_id": order.venue_order, "user_id": user_id(user), "ticker": order.market, "exchange_index": shard,
        "status": status_told(state.status), "side": "yes" if bid else "no", "is_yes": bid,
        "outcome_side": "yes" if bid else "no", "book_side": "bid" if bid else "ask",
        "yes_price_dollars": price_text(state.price), "fill_count_fp": count_text(state.matched),
        "remaining_count_fp": count_text(state.remaining if state.status == "live" else 0),
        "initial_count_fp": count_text(note.initial), "taker_fill_cost_dollars": money_text(state.taker_cost),
        "maker_fill_cost_dollars": money_text(state.maker_cost), "taker_fees_dollars": money_text(state.taker_fees),
        "maker_fees_dollars": money_text(state.maker_fees), "client_order_id": order.wire_id,
        "self_trade_prevention_type": order.stp, "created_time": iso(order.created_ns),
        "created_ts_ms": order.created_ns // MS, "last_updated_ts_ms": state.changed_ns // MS,
        "subaccount_number": subaccount,
    }  # fmt: skip
    if state.expires_ns is not None:
        told["expiration_ts_ms"] = state.expires_ns // MS
    if note.group:
        told["order_group_id"] = note.group
    return told | ({"last_update_reason": reason} if reason in REASONS else {})


def position_told(account: str, ticker: str, folded: Tally) -> dict[str, Any]:
    user, subaccount, _ = parts_of(account)
    return {
        "user_id": user_id(user), "market_ticker": ticker, "position_fp": count_text(folded.position),
        "position_cost_dollars": money_text(folded.cost), "realized_pnl_dollars": money_text(folded.realized),
        "fees_paid_dollars": money_text(folded.fees), "position_fee_cost_dollars": money_text(folded.position_fees),
        "volume_fp": count_text(folded.volume), "subaccount": subaccount,
    }  # fmt: skip
