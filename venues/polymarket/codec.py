"""Polymarket's words into ours: orders, trades and books.

Amounts in answers are plain decimals by every client's account and fixed-point by one page of the documentation: they are
read as decimals and checked for plausibility where they become a position. Prices of an execution are on the scale of its
own token, which is the order's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from core.fees import fee_of_fill
from messages.books import Levels
from messages.markets import FeeSchedule
from messages.orders import EndKind, Fill, FillSeen, OrderSeen, Settlement
from messages.units import CENT, ONE_DOLLAR, SECOND, Money, Nanos, Quantity, Side
from venues.polymarket.schedules import Schedules
from venues.reading import is_object, level_of, objects, price_of, quantity_of, text_of, whole_of


@dataclass(frozen=True, slots=True)
class Account:
    """By what our own part of a trade is known."""

    owner: str
    funder: str

    def owns(self, told: Mapping[str, Any]) -> bool:
        owner, maker = text_of(told, "owner"), text_of(told, "maker_address")
        return (owner != "" and owner == self.owner) or (maker != "" and maker.lower() == self.funder.lower())


def bare_status(told: Mapping[str, Any]) -> str:
    """Orders and trades have their status with a prefix on some ways and without it on others."""
    return text_of(told, "status").upper().removeprefix("ORDER_STATUS_").removeprefix("TRADE_STATUS_")


def end_of(status: str, *, immediate: bool) -> EndKind | None:
    """How an order ended; None while it lives, and for a status that we do not know."""
    if status == "MATCHED":
        return EndKind.FILLED
    if status == "UNMATCHED":
        # after its delay a resting order rests and an immediate one is gone
        return EndKind.KILLED if immediate else None
    if status == "INVALID":
        return EndKind.KILLED if immediate else EndKind.CANCELLED
    if not status.startswith("CANCEL"):
        return None
    if "EXPIRED" in status or "TIMED_OUT" in status:
        return EndKind.EXPIRED
    return EndKind.KILLED if immediate or "KILLED" in status else EndKind.CANCELLED


def matched_of(told: Mapping[str, Any]) -> Quantity | None:
    """The matched size; an empty string is how some events say nothing."""
    if told.get("size_matched") in ("", None):
        return Quantity(0)
    return quantity_of(told, "size_matched")


def order_seen(venue: str, told: Mapping[str, Any], at: Nanos) -> OrderSeen | None:
    """An order of a list or a stream.

    An immediate buy is counted in dollars here and in shares there: of such an order only its existence is told, and
    what it filled comes from its trades.
    """
    wire, market, matched = text_of(told, "id"), text_of(told, "market"), matched_of(told)
    if not wire or matched is None:
        return None
    immediate = text_of(told, "order_type").upper() in ("FAK", "FOK")
    if immediate and text_of(told, "side").upper() != "SELL":
        return OrderSeen(
            venue=venue, wire=wire, venue_order=wire, market=market, matched=Quantity(0), ended=None, at=at
        )
    ended = end_of(bare_status(told), immediate=immediate)
    return OrderSeen(venue=venue, wire=wire, venue_order=wire, market=market, matched=matched, ended=ended, at=at)


SETTLEMENTS = {"CONFIRMED": Settlement.CONFIRMED, "FAILED": Settlement.REVERSED}
"""Every other status, known or not, is a match that is not final."""


def fills_of(
    venue: str, told: Mapping[str, Any], account: Account, schedules: Schedules, at: Nanos
) -> tuple[FillSeen, ...]:
    """Our executions in one trade: one as its taker, or one for each of our resting orders in it.

    A taker's is known by the trade's id alone; a maker's by that and the order's, since one trade may meet several.
    Prices are on the scale of the token that our order named.
    """
    trade, condition = text_of(told, "id"), text_of(told, "market")
    if not trade:
        return ()
    ours = [(part, text_of(part, "order_id")) for part in objects(told.get("maker_orders")) if account.owns(part)]
    if _is_makers(told, account, some=bool(ours)):
        parts = [(part, order, "matched_amount", f"{trade}:{order}") for part, order in ours]
    else:
        parts = [(told, text_of(told, "taker_order_id"), "size", trade)]
    second = trade_second(told)
    schedule = schedules.at(condition, at if second is None else Nanos(second * SECOND))
    settlement = SETTLEMENTS.get(bare_status(told), Settlement.MATCHED)
    found = []
    for part, order, size, key in parts:
        maker = part is not told
        fill = _fill(part, size, key, settlement, schedule, maker=maker)
        if fill is None or not order:
            continue
        # without a schedule of that moment nobody here knows a taker's fee, and a guess would be booked
        seen = FillSeen(
            venue=venue,
            wire=order,
            venue_order=order,
            market=condition,
            fill=fill,
            fee_known=maker or schedule is not None,
            at=at,
        )
        found.append(seen)
    return tuple(found)


def _is_makers(told: Mapping[str, Any], account: Account, *, some: bool) -> bool:
    """Whether our part is that of resting orders. Where the trade does not say so, those that it names do."""
    side = text_of(told, "trader_side").upper()
    return side == "MAKER" or (side != "TAKER" and some and not account.owns(told))


def _fill(
    told: Mapping[str, Any], size: str, key: str, settlement: Settlement, schedule: FeeSchedule | None, *, maker: bool
) -> Fill | None:
    # a price between two of our units is turned against us
    buys = text_of(told, "side").upper() != "SELL"
    price, quantity = price_of(told, "price", 1 if buys else -1), quantity_of(told, size)
    if price is None or not quantity:
        return None
    fee = Money(0)
    if schedule is not None:
        fee = fee_of_fill(schedule, price, quantity, maker=maker, side=Side.BUY if buys else Side.SELL).fee
    return Fill(fill=key, quantity=quantity, price=price, fee=fee, settlement=settlement, maker=maker)


def trade_second(told: Mapping[str, Any]) -> int | None:
    """When it was matched, in whole seconds; some ways give milliseconds."""
    second = whole_of(told, "match_time")
    second = whole_of(told, "matchtime") if second is None else second
    if second is None:
        return None
    return second // 1_000 if second > 10**11 else second


def trade_final(told: Mapping[str, Any]) -> bool:
    return bare_status(told) in SETTLEMENTS


def sides(told: Mapping[str, Any]) -> tuple[Levels, Levels] | None:
    """Bids and asks of one token, sorted here since the venue's own sequence differs from page to page."""
    bids, asks = levels(told.get("bids")), levels(told.get("asks"))
    if bids is None or asks is None:
        return None
    return tuple(sorted(bids, reverse=True)), tuple(sorted(asks))


@dataclass(frozen=True, slots=True)
class Shown:
    """One token's book as a read shows it."""

    sides: tuple[Levels, Levels]
    stamp: int
    """The venue's milliseconds."""
    digest: str


def shown_book(told: Any) -> Shown | None:
    whole = sides(told) if is_object(told) else None
    return None if whole is None else Shown(whole, whole_of(told, "timestamp") or 0, text_of(told, "hash"))


HASHED = (
    "market", "asset_id", "timestamp", "hash", "bids", "asks", "min_order_size", "tick_size", "neg_risk",
    "last_trade_price",
)  # fmt: skip


def book_hash(told: Mapping[str, Any]) -> str:
    """SHA-1 of the book's compact JSON in the venue's sequence of fields, with an empty hash: the name of this state."""
    canonical = {key: "" if key == "hash" else told[key] for key in HASHED if key in told}
    return hashlib.sha1(msgspec.json.encode(canonical), usedforsecurity=False).hexdigest()


def levels(told: Any) -> list[tuple[int, int]] | None:
    if told is None:
        return []
    if not isinstance(told, list):
        return None
    found = []
    for entry in told:
        level = level_of(entry.get("price"), entry.get("size")) if is_object(entry) else None
        if level is None:
            return None
        if level[1]:
            found.append(level)
    return found


@dataclass(frozen=True, slots=True)
class Matched:
    """What one order matched in a list of trades. Failed ones count: they did match."""

    shares: Quantity
    dollars: int
    trades: frozenset[str]


def matched_in(trades: Sequence[Mapping[str, object]], wire: str) -> Matched:
    """An order's part of these trades, as taker or as maker."""
    shares, dollars, ids = 0, 0, set[str]()
    for told in trades:
        trade = text_of(told, "id")
        if trade in ids:
            continue
        parts = [(told, "size")] if text_of(told, "taker_order_id").lower() == wire.lower() else []
        parts += [
            (part, "matched_amount")
            for part in objects(told.get("maker_orders"))
            if text_of(part, "order_id").lower() == wire.lower()
        ]
        for part, key in parts:
            size, price = quantity_of(part, key), price_of(part, "price", 1)
            if size and price is not None:
                ids.add(trade)
                shares += size
                dollars += size * price // ONE_DOLLAR
    return Matched(Quantity(shares), dollars, frozenset(ids))


def listed_completely(told: Mapping[str, object], found: Matched) -> bool:
    """Whether these are all trades of the order as it is shown: those that it names, else those that make up its size,
    which may be in shares or in dollars.
    """
    named = told.get("associate_trades")
    expected = {name for name in named if isinstance(name, str)} if isinstance(named, list) else set()
    if expected:
        return expected <= found.trades
    size = matched_of(told) or 0
    return size > 0 and (abs(size - found.shares) <= CENT or abs(size - found.dollars) <= CENT)
