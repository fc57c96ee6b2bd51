"""What our Kalshi account has: orders, fills, positions, cash, settlements, and the books that it trades on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from messages.books import Book, mirror
from messages.orders import Absent, Ended, EndKind, FillSeen, LookUpFailed, Order, OrderSeen, Rested
from messages.units import SECOND, Money, Nanos, Quantity, TimeInForce
from venues.calls import Missing, Told
from venues.kalshi import codec
from venues.kalshi.account import Account
from venues.outcome import believable
from venues.port import Failed, FillPage, LookUpAnswer, Settled, ShardCash, VenuePosition
from venues.reading import is_object, object_of, quantity_of, text_of, time_of

CLOCK_SKEW_S = 60
"""How much earlier than our own time a list begins, so that a difference of clocks hides nothing."""
OVERLAP_S = 10
"""Fills may be listed later than they are stamped; what is told twice is recognised by its id."""
PAGE = 1_000

ARCHIVED_AFTER = Nanos(24 * 3_600 * SECOND)
"""What is younger is in the live lists; what is older may have moved to the archive, whose edge the venue tells."""

DEPTH = 10


class Reads(Account):
    async def look_up(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        if venue_order is not None:
            told = await self._calls.read(f"/portfolio/orders/{quote(venue_order, safe='')}")
            if isinstance(told, Failed):
                return self._failed(order, told.text)
            if isinstance(told, Told):
                return self._found(order, object_of(told.value, "order"))
        return await self._search(order)

    async def _search(self, order: Order) -> LookUpAnswer:
        """Through the whole list: there is no filter by client order id."""
        # asked before the list, so that the list is at least as fresh
        as_of = await self._fresh_as_of()
        if isinstance(as_of, Failed):
            return self._failed(order, as_of.text)
        wire = codec.client_order_id(order.order)
        since = Nanos(order.made_at - CLOCK_SKEW_S * SECOND)
        listed = await self._listed("orders", f"ticker={quote(order.market, safe='')}", since)
        if isinstance(listed, Failed):
            return self._failed(order, listed.text)
        for told in listed:
            if text_of(told, "client_order_id") == wire:
                return self._found(order, told)
        return Absent(order=order.order, at=self._clock.now(), as_of=as_of)

    async def _listed(
        self, kind: str, query: str, since: Nanos, archive_query: str | None = None
    ) -> list[Mapping[str, Any]] | Failed:
        """All `orders` or `fills` since then, from the archive as well where `since` lies behind its edge."""
        bounds = f"min_ts={max(since // SECOND, 0)}&limit={PAGE}"
        live = await self._pages(f"/portfolio/{kind}", query, bounds, kind)
        if isinstance(live, Failed) or since > self._now() - ARCHIVED_AFTER:
            return live
        told = await self._calls.read("/historical/cutoff", public=True)
        stamp = {"orders": "orders_updated_ts", "fills": "trades_created_ts"}[kind]
        edge = time_of(text_of(told.value, stamp)) if isinstance(told, Told) and is_object(told.value) else None
        if edge is None:
            return Failed(text="the venue does not say where its archive begins")
        if since >= edge:
            return live
        old = await self._pages(f"/historical/{kind}", query if archive_query is None else archive_query, bounds, kind)
        return old if isinstance(old, Failed) else [*old, *live]

    async def _pages(self, path: str, query: str, bounds: str, rows: str) -> list[Mapping[str, Any]] | Failed:
        parts = "&".join(part for part in (query, bounds) if part)
        return await self._calls.all_pages(f"{self._scoped(f'{path}?{parts}')}&", rows, "cursor", "")

    async def _fresh_as_of(self) -> Nanos | Failed:
        """How fresh the venue's reads are; never later than we asked, should its clock be ahead of ours."""
        asked = self._clock.now()
        told = await self._calls.read("/exchange/user_data_timestamp")
        if isinstance(told, Failed):
            return told
        moment = (
            None
            if isinstance(told, Missing) or not is_object(told.value)
            else time_of(text_of(told.value, "as_of_time"))
        )
        return Failed(text="the venue does not say how fresh its reads are") if moment is None else min(moment, asked)

    def _found(self, order: Order, told: Mapping[str, object]) -> LookUpAnswer:
        at = self._clock.now()
        seen = codec.order_seen(self.name, told, at)
        if seen is None or seen.venue_order is None or not believable(seen.matched, order.quantity):
            return self._failed(order, "the order is shown without id, market, known state or believable count")
        if seen.wire is not None and seen.wire != codec.client_order_id(order.order):
            return self._failed(order, "another order is shown")
        if seen.ended is None:
            return Rested(order=order.order, at=at, venue_order=seen.venue_order, matched=seen.matched)
        how = seen.ended
        if how is EndKind.CANCELLED and order.time_in_force is TimeInForce.IOC:
            how = EndKind.KILLED
        return Ended(order=order.order, at=at, venue_order=seen.venue_order, matched=seen.matched, how=how)

    def _failed(self, order: Order, text: str) -> LookUpFailed:
        return LookUpFailed(order=order.order, at=self._clock.now(), text=text)

    async def fills_since(self, cursor: str, order: tuple[Order, str | None] | None = None) -> FillPage | Failed:
        if order is not None:
            venue_order = order[1]
            if venue_order is None:
                found = await self.look_up(order[0], None)
                if isinstance(found, LookUpFailed):
                    return Failed(text=found.text)
                if isinstance(found, Absent):
                    return FillPage(fills=(), cursor=cursor)
                venue_order = found.venue_order
            listed = await self._fills_of(order[0], venue_order)
        elif cursor:
            since = int(cursor) if cursor.isdigit() and len(cursor) < 12 else 0
            listed = await self._listed("fills", "", Nanos(since * SECOND))
        else:
            # the beginning of what the venue lists: who has no cursor has no trades in the archive to look for
            listed = await self._pages("/portfolio/fills", "", f"limit={PAGE}", "fills")
        if isinstance(listed, Failed):
            return listed
        at = self._clock.now()
        made: list[tuple[int, FillSeen]] = []
        for told in listed:
            seen, second = codec.fill_seen(self.name, told, at), codec.fill_second(told)
            if seen is None or second is None:
                return Failed(text="a fill cannot be read")
            made.append((second, seen))
        made.sort(key=lambda entry: entry[0])
        if made and order is None:
            newest = made[-1][0] - OVERLAP_S
            with contextlib.suppress(ValueError):
                newest = max(newest, int(cursor or 0))
            cursor = str(newest)
        return FillPage(fills=tuple(seen for _, seen in made), cursor=cursor)

    async def _fills_of(self, order: Order, venue_order: str) -> list[Mapping[str, Any]] | Failed:
        since = Nanos(order.made_at - CLOCK_SKEW_S * SECOND)
        market = f"ticker={quote(order.market, safe='')}"
        # the archive has no filter by order
        listed = await self._listed("fills", f"order_id={quote(venue_order, safe='')}", since, market)
        if isinstance(listed, Failed):
            return listed
        return [told for told in listed if text_of(told, "order_id") == venue_order]

    async def orders_since(self, since: Nanos) -> tuple[OrderSeen, ...] | Failed:
        listed = await self._listed("orders", "", since)
        if isinstance(listed, Failed):
            return listed
        at = self._clock.now()
        seen = [codec.order_seen(self.name, told, at) for told in listed]
        if None in seen:
            return Failed(text="an order cannot be read")
        return tuple(order for order in seen if order is not None)

    async def positions(self) -> tuple[VenuePosition, ...] | Failed:
        listed = await self._pages("/portfolio/positions", "count_filter=position", f"limit={PAGE}", "market_positions")
        if isinstance(listed, Failed):
            return listed
        held = [codec.position(told) for told in listed]
        if None in held:
            return Failed(text="a position cannot be read")
        return tuple(position for position in held if position is not None)

    async def cash(self) -> Money | Failed:
        """Over all shards; an order can spend only what lies on its market's (`shard_cash`)."""
        told = await self._calls.read(self._scoped("/portfolio/balance"))
        if isinstance(told, Failed):
            return told
        amount = codec.cash(told.value) if isinstance(told, Told) else None
        return Failed(text="the balance cannot be read") if amount is None else amount

    async def book(self, market: str) -> Book | Failed:
        at = self._clock.now()  # the asking time: the book is at least as new
        told = await self._calls.read(f"/markets/{quote(market, safe='')}/orderbook?depth={DEPTH}", public=True)
        if isinstance(told, Failed):
            return told
        sides = codec.rest_book(told.value) if isinstance(told, Told) else None
        if sides is None:
            return Failed(text=f"the book of {market} cannot be read")
        bids, asks = sides[0][:DEPTH], sides[1][:DEPTH]
        return Book(self.name, market, at, at, True, bids, asks, mirror(asks), mirror(bids))

    async def shard_cash(self) -> tuple[ShardCash, ...] | Failed:
        told = await self._calls.read(self._scoped("/portfolio/balance"))
        if isinstance(told, Failed):
            return told
        parts = codec.cash_by_shard(told.value) if isinstance(told, Told) else None
        return Failed(text="the balance is not told by shard") if parts is None else parts

    async def settled_since(self, since: Nanos) -> tuple[Settled, ...] | Failed:
        listed = await self._pages(
            "/portfolio/settlements", "", f"min_ts={max(since // SECOND, 0)}&limit={PAGE}", "settlements"
        )
        if isinstance(listed, Failed):
            return listed
        paid = [codec.settled(told) for told in listed]
        if None in paid:
            return Failed(text="a settlement cannot be read")
        return tuple(settled for settled in paid if settled is not None)

    async def queue_ahead(self, venue_order: str) -> Quantity | Failed | None:
        """What stands before a resting order; None where the venue has no such order."""
        told = await self._calls.read(f"/portfolio/orders/{quote(venue_order, safe='')}/queue_position")
        if isinstance(told, Failed):
            return told
        if isinstance(told, Missing):
            return None
        ahead = quantity_of(told.value, "queue_position_fp") if is_object(told.value) else None
        return Failed(text="the place in the queue cannot be read") if ahead is None else ahead
