"""Account reads over Polymarket's CLOB and Data interfaces: what became of an order, executions, positions, cash, books."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from messages.books import Book, Levels
from messages.orders import Absent, Ended, EndKind, FillSeen, LookUpFailed, Order, OrderSeen, Rested
from messages.units import SECOND, Money, Nanos, Outcome, Quantity, Side, TimeInForce
from venues.calls import Calls, Told
from venues.polymarket import codec
from venues.polymarket.outcome import plausible
from venues.polymarket.preparing import Preparing
from venues.polymarket.sign import Signer
from venues.port import Clock, Failed, FillPage, LookUpAnswer, NotReady, VenuePosition
from venues.reading import is_object, object_of, objects, quantity_of, text_of, whole_of

FIRST_PAGE, LAST_PAGE = "MA==", "LTE="

CLOCK_SKEW_S = 60
OVERLAP_S = 10
"""Trades may be listed later than they are stamped; what is told twice is recognised by its id."""
UNSETTLED_MOST_S = 24 * 3_600
"""A match that is not final after a day no longer holds the cursor back; the positions' reconciliation has it."""
LISTED_WITHIN = Nanos(5 * SECOND)
"""How long a trade may be listed before the rest of its order's trades."""

DEPTH = 10


class Reads(Preparing):
    """The half of `Trading` that changes nothing."""

    def __init__(self, name: str, signer: Signer, clock: Clock, calls: Calls, data: Calls) -> None:
        super().__init__(signer)
        self.name = name
        self._clock = clock
        self._account = codec.Account(owner=signer.owner, funder=signer.funder)
        self._calls = calls
        self._data = data

    async def look_up(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        if order.market not in self._markets:
            return self._failed(order, "no metadata of the market was loaded")
        asked = self._clock.now()
        try:
            wires = (venue_order,) if venue_order else self._identities(order)
        except NotReady as problem:
            return self._failed(order, str(problem))
        told = await self._calls.read(f"/data/order/{wires[0]}")
        if isinstance(told, Failed):
            return self._failed(order, told.text)
        if isinstance(told, Told) and is_object(told.value) and text_of(told.value, "id"):
            return await self._found(order, wires[0], told.value)
        if isinstance(told, Told) and told.value not in ({}, []):
            return self._failed(order, "the answer shows no order")
        # a cached answer is as old as it says
        as_of = asked if told.date is None else min(asked, told.date)
        if len(wires) > 1:
            resting = await self._resting_as(order, wires)
            if isinstance(resting, Failed):
                return self._failed(order, resting.text)
            if resting is not None:
                return await self._found(order, *resting)
        trades = await self._trades_of(order)
        if isinstance(trades, Failed):
            return self._failed(order, trades.text)
        for wire in wires:
            found = codec.matched_in(trades, wire)
            if found.shares:
                return self._found_by_trades(order, wire, found.shares, asked)
        return Absent(order=order.order, at=self._clock.now(), as_of=as_of)

    async def _resting_as(self, order: Order, wires: Sequence[str]) -> tuple[str, Mapping[str, object]] | Failed | None:
        """Among our open orders, under a hash that it may also have."""
        path = f"/data/orders?market={order.market}&"
        listed = await self._calls.all_pages(path, "data", "next_cursor", LAST_PAGE, FIRST_PAGE)
        if isinstance(listed, Failed):
            return listed
        known = {wire.lower(): wire for wire in wires}
        names = ((known.get(text_of(told, "id").lower()), told) for told in listed)
        return next(((wire, told) for wire, told in names if wire is not None), None)

    async def _found(self, order: Order, wire: str, told: Mapping[str, object]) -> LookUpAnswer:
        if text_of(told, "id").lower() != wire.lower():
            return self._failed(order, "another order is shown")
        immediate = order.time_in_force is TimeInForce.IOC
        ended = codec.end_of(codec.bare_status(told), immediate=immediate)
        matched = codec.matched_of(told)
        if matched is None:
            return self._failed(order, "the order is shown without a readable size")
        at = self._clock.now()
        if immediate and order.side is Side.BUY:
            counted = await self._counted(order, wire, told)
            if isinstance(counted, Failed):
                return self._failed(order, counted.text)
            matched = counted
        elif matched and not plausible(order, matched, 0):
            return self._failed(order, "the order is shown with an unbelievable size")
        if ended is None:
            if codec.bare_status(told) not in ("LIVE", "DELAYED", "UNMATCHED"):
                return self._failed(order, "the order is shown in an unknown state")
            return Rested(order=order.order, at=at, venue_order=wire, matched=matched)
        if ended is EndKind.FILLED and matched < order.quantity and immediate:
            ended = EndKind.KILLED
        return Ended(order=order.order, at=at, venue_order=wire, matched=matched, how=ended)

    async def _counted(self, order: Order, wire: str, told: Mapping[str, object]) -> Quantity | Failed:
        """The shares of an immediate buy. Only its trades say them: its own sizes may be dollars."""
        ended = codec.end_of(codec.bare_status(told), immediate=True)
        if not told.get("associate_trades") and not codec.matched_of(told) and ended is not EndKind.FILLED:
            return Quantity(0)
        trades = await self._trades_of(order)
        if isinstance(trades, Failed):
            return trades
        found = codec.matched_in(trades, wire)
        if not found.shares or not codec.listed_completely(told, found):
            return Failed(text="its trades are not all listed yet")
        if not plausible(order, found.shares, found.dollars):
            return Failed(text="its trades are shown with unbelievable sizes")
        return found.shares

    def _found_by_trades(self, order: Order, wire: str, matched: Quantity, asked: Nanos) -> LookUpAnswer:
        """The venue no longer, or not yet, shows the order, but its trades."""
        complete = matched >= order.quantity
        if not complete and (order.time_in_force is not TimeInForce.IOC or asked - order.made_at < LISTED_WITHIN):
            return self._failed(order, "its trades are shown, but not yet the order")
        how = EndKind.FILLED if complete else EndKind.KILLED
        return Ended(order=order.order, at=self._clock.now(), venue_order=wire, matched=matched, how=how)

    async def _trades_of(self, order: Order) -> list[Mapping[str, object]] | Failed:
        after = order.made_at // SECOND - CLOCK_SKEW_S
        path = f"/data/trades?market={order.market}&after={after}&"
        return await self._calls.all_pages(path, "data", "next_cursor", LAST_PAGE, FIRST_PAGE)

    def _failed(self, order: Order, text: str) -> LookUpFailed:
        return LookUpFailed(order=order.order, at=self._clock.now(), text=text)

    async def fills_since(self, cursor: str, order: tuple[Order, str | None] | None = None) -> FillPage | Failed:
        """The cursor stays before the oldest match that is not final, so that its confirmation or reversal is seen."""
        if order is not None:
            path = f"/data/trades?market={order[0].market}&after={order[0].made_at // SECOND - CLOCK_SKEW_S}&"
        else:
            path = f"/data/trades?after={cursor}&" if cursor else "/data/trades?"
        listed = await self._calls.all_pages(path, "data", "next_cursor", LAST_PAGE, FIRST_PAGE)
        if isinstance(listed, Failed):
            return listed
        at = self._clock.now()
        found: list[tuple[int, FillSeen]] = []
        seconds, unsettled = [], []
        for told in listed:
            second = codec.trade_second(told)
            if second is None or not text_of(told, "id"):
                return Failed(text="a trade cannot be read")
            seconds.append(second)
            if not codec.trade_final(told) and at // SECOND - second < UNSETTLED_MOST_S:
                unsettled.append(second)
            found.extend((second, seen) for seen in codec.fills_of(self.name, told, self._account, self._schedules, at))
        found.sort(key=lambda entry: entry[0])
        if order is not None:
            try:
                wires = (order[1],) if order[1] else self._identities(order[0])
            except NotReady as problem:
                return Failed(text=str(problem))
            found = [entry for entry in found if entry[1].venue_order in wires]
        elif seconds:
            cursor = str(max(min([max(seconds) - OVERLAP_S, *(second - 1 for second in unsettled)]), 0))
        return FillPage(fills=tuple(seen for _, seen in found), cursor=cursor)

    async def orders_since(self, since: Nanos) -> tuple[OrderSeen, ...] | Failed:
        """The venue lists open orders only; one that ended is known by its trades."""
        listed = await self._calls.all_pages("/data/orders?", "data", "next_cursor", LAST_PAGE, FIRST_PAGE)
        if isinstance(listed, Failed):
            return listed
        at = self._clock.now()
        found = []
        for told in listed:
            seen, made = codec.order_seen(self.name, told, at), whole_of(told, "created_at")
            if seen is None:
                return Failed(text="an order cannot be read")
            if made is None or made * SECOND >= since - SECOND:
                found.append(seen)
        return tuple(found)

    async def positions(self) -> tuple[VenuePosition, ...] | Failed:
        held: dict[str, dict[Outcome, int]] = {}
        path, cursor = f"/v2/positions?user={self._signer.funder}&limit=100", ""
        for _ in range(100):
            told = await self._data.read(f"{path}&cursor={cursor}" if cursor else path, public=True)
            if not isinstance(told, Told) or not is_object(told.value) or "data" not in told.value:
                return told if isinstance(told, Failed) else Failed(text="the positions cannot be read")
            for entry in objects(told.value["data"]):
                market, size = text_of(entry, "condition_id"), quantity_of(entry, "size")
                outcome = text_of(entry, "outcome").lower()
                if not market or size is None:
                    return Failed(text="a position cannot be read")
                if outcome in ("yes", "no"):
                    sizes = held.setdefault(market, {Outcome.YES: 0, Outcome.NO: 0})
                    sizes[Outcome(outcome)] += size
            cursor = text_of(object_of(told.value, "pagination"), "next_cursor")
            if not cursor:
                return tuple(
                    VenuePosition(market, Quantity(sizes[Outcome.YES]), Quantity(sizes[Outcome.NO]))
                    for market, sizes in held.items()
                )
        return Failed(text="the positions have no end")

    async def cash(self) -> Money | Failed:
        told = await self._calls.read(
            f"/balance-allowance?asset_type=COLLATERAL&signature_type={self._signer.signature_type}"
        )
        if isinstance(told, Failed):
            return told
        amount = whole_of(told.value, "balance") if isinstance(told, Told) and is_object(told.value) else None
        return Failed(text="the balance cannot be read") if amount is None else Money(amount)

    async def book(self, market: str) -> Book | Failed:
        known = self._markets.get(market)
        if known is None or known.tokens is None:
            return Failed(text=f"no metadata of {market} was loaded")
        at = self._clock.now()  # the asking time: the books are at least as new
        found: list[Levels] = []
        reads = [self._calls.read(f"/book?token_id={token}", public=True) for token in known.tokens]
        for told in await asyncio.gather(*reads):
            if isinstance(told, Failed):
                return told
            sides = codec.sides(told.value) if isinstance(told, Told) and is_object(told.value) else None
            if sides is None:
                return Failed(text=f"the book of {market} cannot be read")
            found.extend(side[:DEPTH] for side in sides)
        return Book(self.name, market, at, at, True, found[0], found[1], found[2], found[3])
