"""Kalshi's words into ours and back: orders out; orders, fills, books, markets and positions in.

There is one book per market, of YES. An order of ours becomes a bid or an ask in it, and whatever comes back from an
order or a book is on the YES scale:

    BUY  YES at p → bid p           BUY  NO at q → ask 1 − q
    SELL YES at p → ask p           SELL NO at q → bid 1 − q
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from core.units import format_scaled, opposite
from messages.books import Levels
from messages.orders import EndKind, Fill, FillSeen, Order, OrderSeen, Settlement
from messages.units import CENT, ONE_DOLLAR, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from venues.port import PLAIN, Lifetime, SelfTrade, Settled, ShardCash, Terms, VenuePosition
from venues.reading import (
    is_object,
    level_of,
    money_of,
    price_of,
    quantity_of,
    signed_quantity_of,
    text_of,
    time_of,
    whole_of,
)

LOT = Quantity(10_000)
"""Counts have two decimals."""

CENTI_CENT = 100

STATUS_WORD = re.compile("[a-z]+(?![a-z_])")

_encode = msgspec.json.Encoder().encode


def client_order_id(order: str) -> str:
    """A UUID that follows from our order id alone, so that a replay and a re-post name the same order."""
    digits = hashlib.sha256(order.encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def yes_side(order: Order) -> tuple[str, Price]:
    """The side and price of the single book."""
    buys_yes = (order.side is Side.BUY) is (order.outcome is Outcome.YES)
    price = order.price if order.outcome is Outcome.YES else opposite(order.price)
    return ("bid" if buys_yes else "ask"), price


TIMES_IN_FORCE = {
    Lifetime.IOC: "immediate_or_cancel",
    Lifetime.FOK: "fill_or_kill",
    Lifetime.GTC: "good_till_canceled",
    Lifetime.GTD: "good_till_canceled",
}
SELF_TRADE = {SelfTrade.TAKER: "taker_at_cross", SelfTrade.MAKER: "maker"}


def count_text(quantity: int) -> str:
    """Whole lots as the venue writes counts; what is finer than a lot is left out, never added."""
    return format_scaled(quantity // LOT, 2)


def lifetime(order: Order, terms: Terms) -> Lifetime:
    if terms.lifetime is not None:
        return terms.lifetime
    return Lifetime.GTD if order.time_in_force is TimeInForce.GTD else Lifetime.IOC


def contradiction(order: Order, terms: Terms) -> str:
    """Why these terms cannot be asked for; "" where they can."""
    immediate = order.time_in_force is TimeInForce.IOC
    lives = lifetime(order, terms)
    if (lives in (Lifetime.IOC, Lifetime.FOK)) is not immediate:
        return f"lifetime {lives} contradicts the order's time_in_force {order.time_in_force}"
    if lives is Lifetime.GTD and order.expires_at <= 0:
        return "an order that rests until its expiry needs expires_at"
    if terms.post_only and immediate:
        return "post_only needs an order that rests"
    if terms.reduce_only and lives is not Lifetime.IOC:
        return "the venue takes reduce_only with immediate-or-cancel alone"
    return "" if order.quantity >= LOT else "less than a hundredth of a contract"


def order_fields(order: Order, wire: str, terms: Terms = PLAIN, subaccount: int | None = None) -> dict[str, object]:
    side, price = yes_side(order)
    lives = lifetime(order, terms)
    body: dict[str, object] = {
        "ticker": order.market,
        "client_order_id": wire,
        "side": side,
        "count": count_text(order.quantity),
        "price": format_scaled(price, 4),
        "time_in_force": TIMES_IN_FORCE[lives],
        # by default we stop and what rests stays: a fill against ourselves would be no hedge
        "self_trade_prevention_type": SELF_TRADE[terms.self_trade],
    }
    if lives is Lifetime.GTD:
        # rounded up: we cancel in time ourselves, the venue's expiry is for the case that we cannot
        body["expiration_time"] = -(-order.expires_at // SECOND)
    if lives in (Lifetime.GTC, Lifetime.GTD):
        body["cancel_order_on_pause"] = terms.cancel_on_pause is not False
    if terms.post_only:
        body["post_only"] = True
    if terms.reduce_only:
        body["reduce_only"] = True
    if terms.group:
        body["order_group_id"] = terms.group
    if terms.shard is not None:
        body["exchange_index"] = terms.shard
    if subaccount is not None:
        body["subaccount"] = subaccount
    return body


def order_body(order: Order, wire: str, terms: Terms = PLAIN, subaccount: int | None = None) -> bytes:
    return _encode(order_fields(order, wire, terms, subaccount))


def amend_body(order: Order, wire: str, price: Price, quantity: Quantity) -> bytes:
    """`quantity` is all that the order may ever fill, what it has filled included. The expiry is left as it is."""
    side, on_book = yes_side(order.model_copy(update={"price": price}))
    return _encode(
        {
            "ticker": order.market,
            "side": side,
            "price": format_scaled(on_book, 4),
            "count": count_text(quantity),
            # only the name that it has: a second one would have to be new for ever, and ours follow from order ids
            "client_order_id": wire,
        }
    )


def decrease_body(order: Order, left: Quantity) -> bytes:
    """To what shall still rest, rounded down: never more than asked."""
    return _encode({"reduce_to": count_text(left), "market_ticker": order.market})


def transfer_body(amount: Money, source: int, target: int, name: str) -> bytes:
    """Counted in hundredths of a cent, rounded down."""
    return _encode(
        {
            "client_transfer_id": name,
            "source": "event_contract",
            "destination": "event_contract",
            "amount": amount // CENTI_CENT,
            "source_exchange_shard": source,
            "destination_exchange_shard": target,
        }
    )


def cancels_body(orders: Sequence[tuple[str, str]], subaccount: int | None = None) -> bytes:
    """Market and venue id of each. Without its market an order is looked for on shard 0, wherever it is."""
    more = {} if subaccount is None else {"subaccount": subaccount}
    return _encode({"orders": [{"order_id": told, "market_ticker": market} | more for market, told in orders]})


# What comes back.


def order_seen(venue: str, told: Mapping[str, Any], at: Nanos) -> OrderSeen | None:
    """An order of a list or a stream; None where it has no id, no market, no believable count or no known state."""
    venue_order, market = text_of(told, "order_id"), text_of(told, "ticker")
    matched = quantity_of(told, "fill_count_fp")
    if not venue_order or not market or matched is None or not status_of(told):
        return None
    return OrderSeen(
        venue=venue,
        wire=text_of(told, "client_order_id") or None,
        venue_order=venue_order,
        market=market,
        matched=matched,
        ended=_ended(told, matched),
        at=at,
    )


def status_of(told: Mapping[str, Any]) -> str:
    """`resting`, `canceled` or `executed`, whatever its case and whatever words follow; "" for any other."""
    word = STATUS_WORD.match(text_of(told, "status").lower())
    status = "canceled" if word and word[0] == "cancelled" else word[0] if word else ""
    return status if status in ("resting", "canceled", "executed") else ""


def _ended(told: Mapping[str, Any], matched: Quantity) -> EndKind | None:
    status = status_of(told)
    if status == "executed":
        return EndKind.FILLED
    if status != "canceled":
        return None
    asked = quantity_of(told, "initial_count_fp")
    if asked is not None and 0 < asked <= matched:
        return EndKind.FILLED
    return EndKind.EXPIRED if text_of(told, "last_update_reason") == "ExpiryCancel" else EndKind.CANCELLED


def fill_seen(venue: str, told: Mapping[str, Any], at: Nanos) -> FillSeen | None:
    """An execution of a list or a stream. Its price is on the YES scale, whatever outcome the order named: only whoever
    knows the order knows that, and turns it (`1 − p` for an order of NO). Kalshi executions are final at once.
    """
    fill, market = text_of(told, "trade_id") or text_of(told, "fill_id"), text_of(told, "market_ticker")
    price, quantity = price_of(told, "yes_price_dollars"), quantity_of(told, "count_fp")
    fee = money_of(told, "fee_cost", rounding=1)
    maker = told.get("is_taker")
    if not fill or price is None or not quantity or fee is None:
        return None
    return FillSeen(
        venue=venue,
        wire=text_of(told, "client_order_id") or None,
        venue_order=text_of(told, "order_id") or None,
        market=market or text_of(told, "ticker"),
        fill=Fill(
            fill=fill,
            quantity=quantity,
            price=price,
            fee=fee,
            settlement=Settlement.CONFIRMED,
            maker=(not maker) if isinstance(maker, bool) else None,
        ),
        at=at,
    )


def fill_second(told: Mapping[str, Any]) -> int | None:
    """When it was made, in whole seconds, for the cursor."""
    second = whole_of(told, "ts")
    if second is None:
        moment = time_of(text_of(told, "created_time"))
        second = None if moment is None else moment // SECOND
    return second


def position(told: Mapping[str, Any]) -> VenuePosition | None:
    market, held = text_of(told, "ticker"), signed_quantity_of(told, "position_fp")
    if not market or held is None:
        return None
    return VenuePosition(market=market, yes=Quantity(max(held, 0)), no=Quantity(max(-held, 0)))


def cash(told: Any) -> Money | None:
    """Dollars; the whole-cent `balance` is cut off and only taken where nothing finer is said."""
    if not is_object(told):
        return None
    amount = money_of(told, "balance_dollars")
    if amount is None and (whole := whole_of(told, "balance")) is not None:
        amount = Money(whole * 10_000)
    return amount


def cash_by_shard(told: Any) -> tuple[ShardCash, ...] | None:
    """None where the venue does not break it down (it does not for keys of one sub-account)."""
    parts = told.get("balance_breakdown") if is_object(told) else None
    if not isinstance(parts, list):
        return None
    found = []
    for part in parts:
        shard = whole_of(part, "exchange_index") if is_object(part) else None
        amount = money_of(part, "balance") if is_object(part) else None
        if shard is None or amount is None:
            return None
        found.append(ShardCash(shard, amount))
    return tuple(found)


def settled(told: Mapping[str, Any]) -> Settled | None:
    """Revenue comes in whole cents, everything else as dollar text."""
    market, at = text_of(told, "ticker"), time_of(text_of(told, "settled_time"))
    yes, no = quantity_of(told, "yes_count_fp"), quantity_of(told, "no_count_fp")
    cents, fee = whole_of(told, "revenue"), money_of(told, "fee_cost", rounding=1)
    if not market or at is None or yes is None or no is None or cents is None or fee is None:
        return None
    return Settled(
        market=market,
        result=text_of(told, "market_result"),
        yes=yes,
        no=no,
        revenue=Money(cents * CENT),
        fee=fee,
        at=at,
    )


def rest_book(told: Any) -> tuple[Levels, Levels] | None:
    """YES bids and YES asks of a REST book, which has bids of both outcomes, in no sequence to rely on."""
    if not is_object(told):
        return None
    sides = told.get("orderbook_fp")
    if not is_object(sides):
        return None
    yes, no = levels(sides.get("yes_dollars")), levels(sides.get("no_dollars"))
    if yes is None or no is None:
        return None
    bids = tuple(sorted(yes, reverse=True))
    asks = tuple(sorted((ONE_DOLLAR - price, size) for price, size in no))
    return bids, asks


def levels(told: Any) -> list[tuple[int, int]] | None:
    """Price and size of each level; an absent side is an empty one, a malformed level spoils the book."""
    if told is None:
        return []
    if not isinstance(told, list):
        return None
    found = []
    for pair in told:
        if not isinstance(pair, list) or len(pair) < 2:
            return None
        level = level_of(pair[0], pair[1])
        if level is None:
            return None
        if level[1]:
            found.append(level)
    return found
