"""Polymarket's words into ours and back: orders out; orders, trades, books and markets in.

Amounts in answers are plain decimals by every client's account and fixed-point by one page of the documentation: they are
read as decimals and checked for plausibility where they become a position. Prices of an execution are on the scale of its
own token, which is the order's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from core.fees import fee_of_fill
from messages.books import Levels
from messages.markets import Market
from messages.orders import EndKind, Fill, FillSeen, Order, OrderSeen, Settlement
from messages.units import (
    CENT,
    MILLISECOND,
    ONE_DOLLAR,
    SECOND,
    Money,
    Nanos,
    Outcome,
    Price,
    Quantity,
    Side,
    TimeInForce,
)
from venues.polymarket.amounts import amounts_of
from venues.polymarket.sign import SEPARATORS, SignedFields, Signer, salt_of
from venues.port import NotReady
from venues.reading import is_object, level_of, objects, price_of, quantity_of, text_of, whole_of

GTD_LEAST_S = 180
GTD_MARGIN_S = 60
"""The venue ends a GTD order a minute before its expiry, and takes none that expires within three minutes."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Account:
    """By what our own part of a trade is known."""

    owner: str
    funder: str

    def owns(self, told: Mapping[str, Any]) -> bool:
        owner, maker = text_of(told, "owner"), text_of(told, "maker_address")
        return (owner != "" and owner == self.owner) or (maker != "" and maker.lower() == self.funder.lower())


def token_of(market: Market, outcome: Outcome) -> str:
    if market.tokens is None:
        raise NotReady(f"{market.market} has no tokens; load its metadata before orders")
    return market.tokens[0 if outcome is Outcome.YES else 1]


def order_fields(order: Order, market: Market, signer: Signer, tick: Price | None = None) -> tuple[SignedFields, bytes]:
    """What is signed, and its digest. A function of the order, the wallet, and the market's tokens, contract and tick."""
    separator = SEPARATORS.get(market.generation)
    if separator is None:
        raise NotReady(
            f"{market.market} settles on an unknown contract ({market.generation!r}); this version signs none for it"
        )
    amounts = amounts_of(order, market.ticks[0].step if tick is None else tick)
    fields = SignedFields(
        salt=salt_of(order.order),
        maker=signer.funder,
        signer=signer.address,
        token=int(token_of(market, order.outcome)),
        maker_amount=amounts.maker,
        taker_amount=amounts.taker,
        side=0 if order.side is Side.BUY else 1,
        signature_type=signer.signature_type,
        timestamp_ms=order.made_at // MILLISECOND,
    )
    return fields, fields.digest(separator)


def order_body(order: Order, fields: SignedFields, signature: str, owner: str) -> bytes:
    kind, expiration = wire_type(order)
    zero = "0x" + "0" * 64
    return _encode(
        {
            "order": {
                "salt": fields.salt,
                "maker": fields.maker,
                "signer": fields.signer,
                "tokenId": str(fields.token),
                "makerAmount": str(fields.maker_amount),
                "takerAmount": str(fields.taker_amount),
                "side": "SELL" if fields.side else "BUY",
                "expiration": str(expiration),
                "signatureType": fields.signature_type,
                "timestamp": str(fields.timestamp_ms),
                "metadata": zero,
                "builder": "0x" + fields.builder.hex(),
                "signature": signature,
            },
            "owner": owner,
            "orderType": kind,
            "deferExec": False,
            "postOnly": False,
        }
    )


def wire_type(order: Order) -> tuple[str, int]:
    """Order type and expiry. A rest of seconds cannot be GTD at this venue: it is sent as GTC, and we cancel it."""
    if order.time_in_force is TimeInForce.IOC:
        return "FAK", 0
    if order.expires_at - order.made_at >= GTD_LEAST_S * SECOND:
        return "GTD", -(-order.expires_at // SECOND) + GTD_MARGIN_S
    return "GTC", 0


# What comes back.


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
    venue: str, told: Mapping[str, Any], account: Account, markets: Mapping[str, Market], at: Nanos
) -> tuple[FillSeen, ...]:
    """Our executions in one trade: one as its taker, or one for each of our resting orders in it.

    A taker's is known by the trade's id alone; a maker's by that and the order's, since one trade may meet several.
    Prices are on the scale of the token that our order named.
    """
    trade, condition = text_of(told, "id"), text_of(told, "market")
    settlement = SETTLEMENTS.get(bare_status(told), Settlement.MATCHED)
    if not trade:
        return ()
    if not _ours_as_maker(told):
        order = text_of(told, "taker_order_id")
        fill = _fill(told, "size", trade, settlement, markets.get(condition), maker=False)
        return (_seen(venue, order, condition, fill, at, markets),) if fill and order else ()
    found = []
    for part in objects(told.get("maker_orders")):
        order = text_of(part, "order_id")
        if not order or not account.owns(part):
            continue
        fill = _fill(part, "matched_amount", f"{trade}:{order}", settlement, markets.get(condition), maker=True)
        if fill:
            found.append(_seen(venue, order, condition, fill, at, markets))
    return tuple(found)


def _ours_as_maker(told: Mapping[str, Any]) -> bool:
    return text_of(told, "trader_side").upper() == "MAKER"


def _seen(venue: str, order: str, condition: str, fill: Fill, at: Nanos, markets: Mapping[str, Market]) -> FillSeen:
    # the wire does not say the fee: without the market's schedule nobody here knows it, and a guess would be booked
    return FillSeen(
        venue=venue,
        wire=order,
        venue_order=order,
        market=condition,
        fill=fill,
        fee_known=condition in markets,
        at=at,
    )


def _fill(
    told: Mapping[str, Any], size: str, key: str, settlement: Settlement, market: Market | None, *, maker: bool
) -> Fill | None:
    # a price between two of our units is turned against us
    buys = text_of(told, "side").upper() != "SELL"
    price, quantity = price_of(told, "price", 1 if buys else -1), quantity_of(told, size)
    if price is None or not quantity:
        return None
    fee = Money(0)
    if market is not None:
        fee = fee_of_fill(market.fees, price, quantity, maker=maker, side=Side.BUY if buys else Side.SELL).fee
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
