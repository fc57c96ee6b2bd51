"""Kalshi's words into ours and back: orders out; orders, fills, books, markets and positions in.

There is one book per market, of YES. An order of ours becomes a bid or an ask in it, and whatever comes back from an
order or a book is on the YES scale:

    BUY  YES at p → bid p           BUY  NO at q → ask 1 − q
    SELL YES at p → ask p           SELL NO at q → bid 1 − q
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from core.units import format_scaled, opposite
from messages.books import Levels
from messages.markets import FeeFormula, FeeSchedule, Market, TickBand
from messages.orders import EndKind, Fill, FillSeen, Order, OrderSeen, Settlement
from messages.units import ONE_DOLLAR, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from venues.port import VenuePosition
from venues.reading import (
    is_object,
    level_of,
    money_of,
    price_of,
    quantity_of,
    ratio_ppm,
    signed_quantity_of,
    text_of,
    time_of,
    whole_of,
)

LOT = Quantity(10_000)
"""Counts have two decimals."""

TAKER_PPM = 70_000
MAKER_PPM = {"quadratic_with_maker_fees": 17_500, "quadratic_with_combo_maker_fees": 35_000}
FEE_STEP = Money(100)
"""Balance changes are aligned to 1/100 cent for direct members, as every recorded fee is."""

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


def order_body(order: Order, wire: str) -> bytes:
    side, price = yes_side(order)
    body: dict[str, object] = {
        "ticker": order.market,
        "client_order_id": wire,
        "side": side,
        "count": format_scaled(order.quantity // LOT, 2),
        "price": format_scaled(price, 4),
        "time_in_force": "immediate_or_cancel",
        # we stop, what rests stays: a fill against ourselves would be no hedge
        "self_trade_prevention_type": "taker_at_cross",
    }
    if order.time_in_force is TimeInForce.GTD:
        body["time_in_force"] = "good_till_canceled"
        # rounded up: we cancel in time ourselves, the venue's expiry is for the case that we cannot
        body["expiration_time"] = -(-order.expires_at // SECOND)
        body["cancel_order_on_pause"] = True
    return _encode(body)


# What comes back.


def order_seen(venue: str, told: Mapping[str, Any], at: Nanos) -> OrderSeen | None:
    """An order of a list or a stream; None where it has no id, no market or no believable count."""
    venue_order, market = text_of(told, "order_id"), text_of(told, "ticker")
    matched = quantity_of(told, "fill_count_fp")
    if not venue_order or not market or matched is None:
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


def _ended(told: Mapping[str, Any], matched: Quantity) -> EndKind | None:
    status = text_of(told, "status")
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


def market(
    venue: str, told: Mapping[str, Any], event: Mapping[str, Any], series: Mapping[str, Any], at: Nanos
) -> Market | None:
    """A market's rules; version 0 until `venues.versions` numbers it."""
    ticker = text_of(told, "ticker")
    ticks = tick_bands(told.get("price_ranges"))
    fees = fee_schedule(event, series, at)
    if not ticker or not ticks or fees is None:
        return None
    title = text_of(told, "title") or text_of(event, "title") or ticker
    return Market(
        venue=venue,
        market=ticker,
        event=text_of(told, "event_ticker"),
        title=title,
        open=text_of(told, "status") in ("active", "open"),
        closes_at=time_of(text_of(told, "close_time")),
        ticks=ticks,
        lot=LOT,
        min_quantity=LOT,
        min_spend=Money(0),
        cash_denominated=False,
        fees=fees,
        version=0,
        seen_at=at,
    )


def tick_bands(told: Any) -> tuple[TickBand, ...]:
    bands = []
    for part in told if isinstance(told, list) else ():
        if not is_object(part):
            return ()
        start, stop, step = (price_of(part, key) for key in ("start", "end", "step"))
        if start is None or stop is None or not step or start >= stop:
            return ()
        bands.append(TickBand(start=start, stop=stop, step=step))
    return tuple(bands)


def fee_schedule(event: Mapping[str, Any], series: Mapping[str, Any], at: Nanos) -> FeeSchedule | None:
    """None where the venue states no multiplier: an unknown fee is not a fee of nothing."""
    kind, raw = text_of(series, "fee_type"), series.get("fee_multiplier")
    if text_of(event, "fee_type_override"):
        kind, raw = text_of(event, "fee_type_override"), event.get("fee_multiplier_override")
    multiplier = ratio_ppm(raw)
    if multiplier is None or not kind.startswith("quadratic"):
        return None
    return FeeSchedule(
        formula=FeeFormula.KALSHI,
        version=0,
        taker_ppm=-(-TAKER_PPM * multiplier // 1_000_000),
        maker_ppm=-(-MAKER_PPM.get(kind, 0) * multiplier // 1_000_000),
        step=FEE_STEP,
        verified_at=at,
    )
