"""Order entry and account reads over Polymarket's CLOB interface."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import msgspec

from messages.books import Book, Levels
from messages.markets import Market
from messages.orders import Absent, Ended, EndKind, FillSeen, LookUpFailed, Order, OrderSeen, Rested
from messages.units import SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from venues.calls import Calls, Told
from venues.credentials import PolymarketCredentials
from venues.http import SessionWire, Wire, WireError
from venues.polymarket import codec
from venues.polymarket.amounts import AMOUNT_PLACES
from venues.polymarket.outcome import classify, classify_error, plausible
from venues.polymarket.sign import Signer
from venues.port import (
    Capabilities,
    Clock,
    Failed,
    FillPage,
    LookUpAnswer,
    NotReady,
    Prepared,
    SubmitAnswer,
    Traffic,
    VenuePosition,
)
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
PREPARED_MOST = 4_096


class PolymarketTrading:
    """`Trading` on one Polymarket wallet with one API key."""

    def __init__(
        self,
        name: str,
        rest: str,
        credentials: PolymarketCredentials,
        clock: Clock,
        capabilities: Capabilities,
        request_timeout_s: float = 2.0,
        connect_timeout_s: float = 1.0,
        data: str = "",
        wire: Wire | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self._clock = clock
        self._signer = Signer(credentials, clock)
        self._account = codec.Account(owner=self._signer.owner, funder=self._signer.funder)
        self._calls = Calls(wire or SessionWire(rest, connect_timeout_s), self._sign, request_timeout_s)
        self._data = Calls(SessionWire(data, connect_timeout_s), self._sign, request_timeout_s) if data else self._calls
        self._markets: dict[str, Market] = {}
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()

    async def open(self) -> None:
        self._signer.check()
        await self._calls.open()
        await self._data.open()
        await self._calls.warm_up("/time")
        self._calls.keep(self._calls.keep_warm("/time"))

    async def close(self) -> None:
        await self._calls.close()
        await self._data.close()

    def load(self, markets: Sequence[Market]) -> None:
        self._markets.update((market.market, market) for market in markets)

    def traffic(self) -> Traffic:
        return self._calls.traffic

    def identify(self, order: Order) -> str:
        return self.prepare(order).wire

    def prepare(self, order: Order) -> Prepared:
        known = self._prepared.get(order.order)
        # the first preparation stands: what is posted again must be what was posted, whatever the grid is by then
        if known is not None and known.order == order:
            return known
        fields, digest = codec.order_fields(order, self._market(order), self._signer)
        body = codec.order_body(order, fields, self._signer.sign(digest), self._signer.owner)
        prepared = Prepared(order=order, wire="0x" + digest.hex(), body=body)
        self._prepared[order.order] = prepared
        if len(self._prepared) > PREPARED_MOST:
            self._prepared.popitem(last=False)
        return prepared

    def _market(self, order: Order) -> Market:
        market = self._markets.get(order.market)
        if market is None:
            raise NotReady(f"no metadata of {order.market} was loaded; an order of it cannot be signed")
        return market

    def _identities(self, order: Order) -> tuple[str, ...]:
        """Every hash that the order may have gone out under: ours, and for an immediate buy those of the other grids,
        since a restart may have come between a change of tick and this question.
        """
        found = [self.identify(order)]
        if order.time_in_force is TimeInForce.IOC and order.side is Side.BUY:
            market = self._market(order)
            for tick in AMOUNT_PLACES:
                wire = "0x" + codec.order_fields(order, market, self._signer, Price(tick))[1].hex()
                if wire not in found:
                    found.append(wire)
        return tuple(found)

    async def submit(self, prepared: Prepared, *, repost: bool = False) -> SubmitAnswer:
        order = prepared.order
        headers = self._signer.headers("POST", "/order", prepared.body)
        headers["Content-Type"] = "application/json"
        try:
            response = await self._calls.once("POST", "/order", headers, prepared.body)
        except WireError as error:
            return classify_error(order, error, self._clock.now(), repost=repost)[1]
        _, answer = classify(
            order, prepared.wire, response.status, response.headers, response.body, self._clock.now(), repost=repost
        )
        return answer

    async def cancel(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        wire = venue_order or self.identify(order)
        # whether it was cancelled, filled or unknown is not decidable from the answer's text: a read says
        await self._calls.act("DELETE", "/order", msgspec.json.encode({"orderID": wire}))
        return await self.look_up(order, venue_order)

    async def look_up(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        if order.market not in self._markets:
            return self._failed(order, "no metadata of the market was loaded")
        asked = self._clock.now()
        wires = (venue_order,) if venue_order else self._identities(order)
        freshness: list[Nanos] = [asked]
        for wire in wires:
            told = await self._calls.read(f"/data/order/{wire}")
            if isinstance(told, Failed):
                return self._failed(order, told.text)
            if isinstance(told, Told) and is_object(told.value) and text_of(told.value, "id"):
                return await self._found(order, wire, told.value)
            if isinstance(told, Told) and told.value not in ({}, []):
                return self._failed(order, "the answer shows no order")
            if told.date is not None:
                # a cached answer is as old as it says
                freshness.append(told.date)
        trades = await self._trades_of(order)
        if isinstance(trades, Failed):
            return self._failed(order, trades.text)
        for wire in wires:
            found = codec.matched_in(trades, wire)
            if found.shares:
                return self._found_by_trades(order, wire, found.shares, asked)
        return Absent(order=order.order, at=self._clock.now(), as_of=min(freshness))

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
            found.extend((second, seen) for seen in codec.fills_of(self.name, told, self._account, self._markets, at))
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

    async def _sign(self, method: str, path: str, body: bytes) -> Mapping[str, str]:
        headers = self._signer.headers(method, path.partition("?")[0], body)
        return {**headers, "Content-Type": "application/json"} if body else headers
