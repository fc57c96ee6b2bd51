"""Order entry and account reads over Kalshi's REST interface."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlsplit

from messages.books import Book, mirror
from messages.markets import Market
from messages.orders import Absent, Ended, EndKind, FillSeen, LookUpFailed, Order, OrderSeen, Rested
from messages.units import SECOND, Money, Nanos, TimeInForce
from venues.calls import Calls, Missing, Told
from venues.credentials import KalshiCredentials
from venues.http import SessionWire, Wire, WireError
from venues.kalshi import codec
from venues.kalshi.outcome import classify, classify_error
from venues.kalshi.sign import Signer
from venues.outcome import believable
from venues.port import (
    Capabilities,
    Clock,
    Failed,
    FillPage,
    LookUpAnswer,
    Prepared,
    SubmitAnswer,
    Traffic,
    VenuePosition,
)
from venues.reading import is_object, object_of, text_of, time_of

ORDERS = "/portfolio/events/orders"

CLOCK_SKEW_S = 60
"""How much earlier than our own time a list begins, so that a difference of clocks hides nothing."""
OVERLAP_S = 10
"""Fills may be listed later than they are stamped; what is told twice is recognised by its id."""
PAGE = 1_000

REREADS = 3
REREAD_PAUSE_S = 0.08
"""Reads lag writes: an order that was cancelled may be shown as resting for some hundred milliseconds."""

DEPTH = 10


class KalshiTrading:
    """`Trading` on one Kalshi account with one key."""

    def __init__(
        self,
        name: str,
        rest: str,
        credentials: KalshiCredentials,
        clock: Clock,
        capabilities: Capabilities,
        request_timeout_s: float = 2.0,
        connect_timeout_s: float = 1.0,
        wire: Wire | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self._clock = clock
        self._root = urlsplit(rest).path.rstrip("/")
        self._signer = Signer(credentials, clock)
        self._calls = Calls(wire or SessionWire(rest, connect_timeout_s), self._sign, request_timeout_s)

    async def open(self) -> None:
        await self._calls.open()
        self._signer.check()
        if self._signer.slow:
            await self._signer.renew("POST", self._root + ORDERS)
            self._calls.keep(self._signer.keep_ready("POST", self._root + ORDERS))
        await self._calls.warm_up("/exchange/status")
        self._calls.keep(self._calls.keep_warm("/exchange/status"))

    async def close(self) -> None:
        await self._calls.close()

    def load(self, markets: Sequence[Market]) -> None:
        """Nothing: an order of Kalshi says everything by itself."""

    def traffic(self) -> Traffic:
        return self._calls.traffic

    def identify(self, order: Order) -> str:
        return codec.client_order_id(order.order)

    def prepare(self, order: Order) -> Prepared:
        wire = codec.client_order_id(order.order)
        return Prepared(order=order, wire=wire, body=codec.order_body(order, wire))

    async def submit(self, prepared: Prepared, *, repost: bool = False) -> SubmitAnswer:
        order = prepared.order
        signed = await self._signer.ready("POST", self._root + ORDERS)
        try:
            response = await self._calls.once(
                "POST", ORDERS, {**signed, "Content-Type": "application/json"}, prepared.body
            )
        except WireError as error:
            return classify_error(order, error, self._clock.now(), repost=repost)[1]
        _, answer = classify(
            order, prepared.wire, response.status, response.headers, response.body, self._clock.now(), repost=repost
        )
        return answer

    async def cancel(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        if venue_order is None:
            found = await self.look_up(order, None)
            if not isinstance(found, Rested):
                return found
            venue_order = found.venue_order
        # without the ticker the request goes to shard 0, whatever the order's own
        path = f"{ORDERS}/{quote(venue_order, safe='')}?market_ticker={quote(order.market, safe='')}"
        done = await self._calls.act("DELETE", path)
        acknowledged = not isinstance(done, Failed) and done.status == 200
        answer = await self.look_up(order, venue_order)
        for _ in range(REREADS):
            if not (acknowledged and isinstance(answer, Rested)):
                break
            await asyncio.sleep(REREAD_PAUSE_S)
            answer = await self.look_up(order, venue_order)
        return answer

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
        since = order.made_at // SECOND - CLOCK_SKEW_S
        path = f"/portfolio/orders?ticker={quote(order.market, safe='')}&min_ts={since}&limit={PAGE}&"
        listed = await self._calls.all_pages(path, "orders", "cursor", "")
        if isinstance(listed, Failed):
            return self._failed(order, listed.text)
        for told in listed:
            if text_of(told, "client_order_id") == wire:
                return self._found(order, told)
        return Absent(order=order.order, at=self._clock.now(), as_of=as_of)

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
            return self._failed(order, "the order is shown without id, market or believable count")
        if seen.wire is not None and seen.wire != codec.client_order_id(order.order):
            return self._failed(order, "another order is shown")
        if seen.ended is None:
            if text_of(told, "status") != "resting":
                return self._failed(order, "the order is shown in an unknown state")
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
            path = f"/portfolio/fills?order_id={quote(venue_order, safe='')}&limit={PAGE}&"
        elif cursor:
            path = f"/portfolio/fills?min_ts={quote(cursor, safe='')}&limit={PAGE}&"
        else:
            path = f"/portfolio/fills?limit={PAGE}&"
        listed = await self._calls.all_pages(path, "fills", "cursor", "")
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

    async def orders_since(self, since: Nanos) -> tuple[OrderSeen, ...] | Failed:
        listed = await self._calls.all_pages(
            f"/portfolio/orders?min_ts={since // SECOND}&limit={PAGE}&", "orders", "cursor", ""
        )
        if isinstance(listed, Failed):
            return listed
        at = self._clock.now()
        seen = [codec.order_seen(self.name, told, at) for told in listed]
        if None in seen:
            return Failed(text="an order cannot be read")
        return tuple(order for order in seen if order is not None)

    async def positions(self) -> tuple[VenuePosition, ...] | Failed:
        listed = await self._calls.all_pages(
            f"/portfolio/positions?count_filter=position&limit={PAGE}&", "market_positions", "cursor", ""
        )
        if isinstance(listed, Failed):
            return listed
        held = [codec.position(told) for told in listed]
        if None in held:
            return Failed(text="a position cannot be read")
        return tuple(position for position in held if position is not None)

    async def cash(self) -> Money | Failed:
        told = await self._calls.read("/portfolio/balance")
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

    async def _sign(self, method: str, path: str, body: bytes) -> Mapping[str, str]:
        signed = await self._signer.signed(method, self._root + path.partition("?")[0])
        return {**signed, "Content-Type": "application/json"} if body else signed
