"""Kalshi's words about markets, events and series into ours. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from messages.markets import FeeSchedule, Market, TickBand
from messages.units import SECOND, Money, Nanos
from venues.kalshi.codec import LOT
from venues.port import Description
from venues.reading import is_object, price_of, text_of, time_of, whole_of

TRADED = ("active", "open")


def market(
    venue: str, told: Mapping[str, Any], event: Mapping[str, Any], fees: FeeSchedule | None, at: Nanos
) -> Market | None:
    """A market's rules; version 0 until `venues.versions` numbers it. None where the grid or the fees cannot be read."""
    ticker = text_of(told, "ticker")
    ticks = tick_bands(told.get("price_ranges"))
    if not ticker or not ticks or fees is None:
        return None
    closes_at = time_of(text_of(told, "close_time"))
    return Market(
        venue=venue,
        market=ticker,
        event=text_of(told, "event_ticker"),
        title=text_of(told, "title") or text_of(told, "yes_sub_title") or text_of(event, "title") or ticker,
        # nothing is sent when a market reaches its close: the clock says so
        open=text_of(told, "status") in TRADED and (closes_at is None or at < closes_at),
        closes_at=closes_at,
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
    """The price grid: () where a part of it cannot be read. The names of grids (`tick_structure`) are not relied on."""
    bands = []
    for part in told if isinstance(told, list) else ():
        if not is_object(part):
            return ()
        start, stop, step = (price_of(part, key) for key in ("start", "end", "step"))
        if start is None or stop is None or not step or start >= stop:
            return ()
        bands.append(TickBand(start=start, stop=stop, step=step))
    return tuple(bands)


def description(told: Mapping[str, Any], event: Mapping[str, Any], series: Mapping[str, Any]) -> Description | None:
    ticker = text_of(told, "ticker")
    if not ticker:
        return None
    early, settles = told.get("can_close_early"), whole_of(told, "settlement_timer_seconds")
    exclusive = event.get("mutually_exclusive")
    shards = (whole_of(about, "exchange_index") for about in (told, event, series))
    return Description(
        market=ticker,
        event=text_of(told, "event_ticker"),
        series=text_of(event, "series_ticker") or text_of(series, "ticker"),
        # the series' own; the event's is deprecated
        category=text_of(series, "category") or text_of(event, "category"),
        status=text_of(told, "status"),
        rules="\n".join(part for part in (text_of(told, "rules_primary"), text_of(told, "rules_secondary")) if part),
        closes_at=time_of(text_of(told, "close_time")),
        may_close_early=early if isinstance(early, bool) else None,
        settles_after=Nanos(settles * SECOND) if settles is not None and 0 <= settles < 10**9 else None,
        result=text_of(told, "result"),
        exclusive=exclusive if isinstance(exclusive, bool) else None,
        shard=next((shard for shard in shards if shard is not None), None),
        tick_structure=text_of(told, "price_level_structure"),
    )


def unpriced(told: Mapping[str, Any], event: Mapping[str, Any], series: Mapping[str, Any]) -> str:
    """What makes another contract of a market though its price grid and its fees stay: a change of it is a new version."""
    about = description(told, event, series)
    bounds = (text_of(told, "settlement_bounds_type"), text_of(told, "settlement_floor_dollars"))
    netting = text_of(event, "collateral_return_type")
    facts = (about.rules, about.shard, about.exclusive) if about is not None else ()
    return hashlib.sha256(repr((facts, bounds, netting, text_of(told, "market_type"))).encode()).hexdigest()
