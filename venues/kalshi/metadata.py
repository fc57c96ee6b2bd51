"""What Kalshi says of its markets: read over REST, and corrected at once by what its stream says between two reads.

A message of the stream that narrows what may be done (deactivated, determined, closed earlier, another grid) counts at
once, and for a while against a read that may lag behind it. What widens is left to the next read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from messages.markets import Market, TickBand, VenueMode
from messages.units import SECOND, Nanos
from venues.calls import Calls, Missing, Told
from venues.kalshi import hours, markets
from venues.kalshi.fees import Fees, event_change, series_change
from venues.port import Clock, Description, Failed, VenueState
from venues.reading import object_of, text_of, whole_of
from venues.versions import Versions

TICKERS_MOST = 100
CHANGES_EVERY = Nanos(300 * SECOND)
"""How often scheduled fee changes are read; the fees themselves are read with each market."""
HELD = Nanos(30 * SECOND)
"""How long the stream's word stands against a read."""

Terms = tuple[Mapping[str, Any], Mapping[str, Any]]
"""An event and its series."""


@dataclass(frozen=True, slots=True)
class Override:
    """What the stream said of a market since it was read."""

    until: Nanos
    shut: bool = False
    closes_at: Nanos | None = None
    ticks: tuple[TickBand, ...] = ()


class Metadata:
    def __init__(self, venue: str, calls: Calls, clock: Clock) -> None:
        self._venue = venue
        self._calls = calls
        self._clock = clock
        self._versions = Versions()
        self._fees = Fees()
        self._changes_at = Nanos(-CHANGES_EVERY)
        self._known: dict[str, tuple[Market, str]] = {}
        self._overrides: dict[str, Override] = {}
        self._shards: dict[str, int] = {}

    # Reads.

    async def markets(self, ids: Sequence[str]) -> tuple[Market, ...] | Failed:
        """All of `ids`, or `Failed` naming those the venue does not know."""
        at = self._clock.now()
        read = await self._read(ids)
        if isinstance(read, Failed):
            return read
        await self._read_changes()
        found = []
        for ticker, (told, (event, series)) in read.items():
            fees = self._fees.schedule(event, series, self._clock.now())
            market = markets.market(self._venue, told, event, fees, at)
            if market is None:
                return Failed(text=f"the rules or the fees of {ticker} cannot be read")
            about = markets.description(told, event, series)
            if about is not None and about.shard is not None:
                self._shards[ticker] = about.shard
            facts = markets.unpriced(told, event, series)
            self._known[ticker] = (market, facts)
            found.append(self._versions.number(self._overridden(market), facts))
        return tuple(found)

    async def describe(self, ids: Sequence[str]) -> tuple[Description, ...] | Failed:
        read = await self._read(ids)
        if isinstance(read, Failed):
            return read
        found = [markets.description(told, *terms) for told, terms in read.values()]
        return tuple(about for about in found if about is not None)

    async def _read(self, ids: Sequence[str]) -> dict[str, tuple[Mapping[str, Any], Terms]] | Failed:
        told: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(ids), TICKERS_MOST):
            wanted = quote(",".join(ids[start : start + TICKERS_MOST]), safe=",")
            listed = await self._calls.all_pages(f"/markets?tickers={wanted}&limit=1000&", "markets", "cursor", "")
            if isinstance(listed, Failed):
                return listed
            told.update((text_of(market, "ticker"), market) for market in listed)
        unknown = [ticker for ticker in ids if ticker not in told]
        if unknown:
            return Failed(text=f"the venue does not know {', '.join(unknown)}")
        events: dict[str, Terms] = {}
        for ticker in ids:
            event = text_of(told[ticker], "event_ticker")
            if event not in events:
                terms = await self._terms(event)
                if isinstance(terms, Failed):
                    return terms
                events[event] = terms
        return {ticker: (told[ticker], events[text_of(told[ticker], "event_ticker")]) for ticker in ids}

    async def _terms(self, event: str) -> Terms | Failed:
        """The event, which may override its series' fees, and the series."""
        told = await self._calls.read(f"/events/{quote(event, safe='')}")
        if isinstance(told, (Failed, Missing)):
            return told if isinstance(told, Failed) else Failed(text=f"the venue does not know event {event}")
        about = object_of(told.value, "event")
        series = text_of(about, "series_ticker") or event.partition("-")[0]
        told = await self._calls.read(f"/series/{quote(series, safe='')}")
        if isinstance(told, (Failed, Missing)):
            return told if isinstance(told, Failed) else Failed(text=f"the venue does not know series {series}")
        return about, object_of(told.value, "series")

    async def _read_changes(self) -> None:
        """Failing is no failure: what is due shows in the fees themselves, which are read with each market."""
        now = self._clock.now()
        if now - self._changes_at < CHANGES_EVERY:
            return
        told = await self._calls.read("/series/fee_changes?show_historical=false", public=True)
        listed = (
            told.value.get("series_fee_change_arr") if isinstance(told, Told) and isinstance(told.value, dict) else ()
        )
        rows = listed if isinstance(listed, list) else []
        changes = [series_change(row) for row in rows if isinstance(row, dict)]
        paged = await self._calls.all_pages("/events/fee_changes?limit=1000&", "event_fee_changes", "cursor", "")
        if not isinstance(paged, Failed):
            changes += [event_change(row) for row in paged]
        self._fees.remember((change for change in changes if change is not None), now)
        if isinstance(told, Told) and not isinstance(paged, Failed):
            self._changes_at = now

    def next_change(self) -> Nanos | None:
        """When fees next change by what was scheduled."""
        return self._fees.next_at(self._clock.now())

    async def mode(self) -> VenueMode:
        state = await self.state()
        return VenueMode.UNKNOWN if isinstance(state, Failed) else state.mode

    async def state(self) -> VenueState | Failed:
        """The mode of the shards that our markets are on; the top of the answer where none is known yet."""
        told = await self._calls.read("/exchange/status", public=True)
        if not isinstance(told, Told):
            return told if isinstance(told, Failed) else Failed(text="HTTP 404 to the status")
        return hours.state_of(told.value, frozenset(self._shards.values()))

    async def timetable(self) -> VenueState | Failed:
        """The state with the next planned stop."""
        state = await self.state()
        if isinstance(state, Failed):
            return state
        told = await self._calls.read("/exchange/schedule", public=True)
        if isinstance(told, Failed):
            return told
        stops = hours.next_stop(told.value, self._clock.now()) if isinstance(told, Told) else None
        return replace(state, closes_at=stops)

    # What the stream says between two reads.

    def hear(self, told: Mapping[str, Any]) -> tuple[Market, ...]:
        """A lifecycle message: markets that must be told anew at once. The next read follows in any case."""
        ticker = text_of(told, "market_ticker")
        if ticker not in self._known:
            return ()
        until = Nanos(self._clock.now() + HELD)
        held = self._overrides.get(ticker, Override(until))
        match text_of(told, "event_type"):
            case "deactivated" | "determined" | "settled":
                held = replace(held, until=until, shut=True)
            case "activated":
                held = replace(held, until=until, shut=False)
            case "close_date_updated":
                second = whole_of(told, "close_ts")
                closes_at = None if second is None or not 0 < second < 10**10 else Nanos(second * SECOND)
                held = replace(held, until=until, closes_at=closes_at)
            case "price_level_structure_updated":
                held = replace(held, until=until, ticks=markets.tick_bands(told.get("price_ranges")))
            case _:
                return ()
        self._overrides[ticker] = held
        market, facts = self._known[ticker]
        now = self._clock.now()
        narrowed = self._overridden(market.model_copy(update={"seen_at": now}))
        return (self._versions.number(narrowed, facts),)

    def events(self) -> frozenset[str]:
        """The events of the markets that were read."""
        return frozenset(market.event for market, _ in self._known.values())

    def _overridden(self, market: Market) -> Market:
        now, held = self._clock.now(), self._overrides.get(market.market)
        if held is None or now >= held.until:
            self._overrides.pop(market.market, None)
            return market
        closes_at = held.closes_at or market.closes_at
        return market.model_copy(
            update={
                "open": market.open and not held.shut and (closes_at is None or now < closes_at),
                "closes_at": closes_at,
                "ticks": held.ticks or market.ticks,
            }
        )
