"""An executor's line to a simulated venue: the port (`venues.port.Trading`) with everything that can go wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from messages.books import Book
from messages.markets import Market, VenueMode
from messages.orders import Absent, Ended, FillSeen, Landed, LookUpFailed, Lost, Order, OrderSeen, Refused, Rested
from messages.reasons import Trouble
from messages.units import MILLISECOND, Money, Nanos
from simulation.chance import Fault
from simulation.exchange import Duplicate, Exchange, Known, Refuse
from venues.port import Capabilities, Failed, FillPage, LookUpAnswer, Prepared, SubmitAnswer, Traffic, VenuePosition

if TYPE_CHECKING:
    from simulation.world import Resident, World

T = TypeVar("T")

TIME_OUT = Nanos(300 * MILLISECOND)
"""After which a request without an answer is given up."""
FAILED = "the simulated read failed"


class Line:
    """One key of one incarnation at one venue."""

    def __init__(
        self, world: World, resident: Resident, exchange: Exchange, key: str, capabilities: Capabilities
    ) -> None:
        self.name = exchange.rules.name
        self.capabilities = capabilities
        self._world, self._resident, self._exchange, self._key = world, resident, exchange, key
        self._chance = world.chance
        self._ticks: dict[str, int] = {}

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def load(self, markets: Sequence[Market]) -> None:
        self._ticks.update((market.market, market.ticks[0].step) for market in markets)

    def identify(self, order: Order) -> str:
        # the identity covers what the order says and the rules it was made under, as a signature does
        rules = f"{self._ticks.get(order.market)}" if self._exchange.rules.cash_denominated else ""
        return f"{order.order}:{order.price}:{order.quantity}:{rules}"

    def prepare(self, order: Order) -> Prepared:
        return Prepared(order=order, wire=self.identify(order), body=b"")

    def traffic(self) -> Traffic:
        return Traffic(0, 0, 0, 0)

    # Going there and coming back

    async def _later(self, delay: Nanos, do: Callable[[], T]) -> T:
        """What `do` gives when it is done at the venue, after `delay`; it is done even where nobody waits any more."""
        answer: asyncio.Future[T] = self._resident.process.create_future()
        self._world.time.after(delay, self._there, do, answer)
        return await answer

    def _there(self, do: Callable[[], T], answer: asyncio.Future[T]) -> None:
        self._world.events += 1
        value = do()
        back = self._chance.ms("answers", 1, 60)
        if self._chance.hit(Fault.SLOW_ANSWER):
            back = self._chance.ms("answers", 60, 280)
        self._world.time.after(back, self._back, answer, value)

    def _back(self, answer: asyncio.Future[T], value: T) -> None:
        self._world.events += 1
        process = self._resident.process
        if not process.dead:
            process.run(_resolve, answer, value)

    async def _nothing(self, after: Nanos) -> None:
        """The time-out of a request that got no answer."""
        answer: asyncio.Future[None] = self._resident.process.create_future()
        self._world.time.after(after, self._back, answer, None)
        await answer

    # Orders

    async def submit(self, prepared: Prepared, *, repost: bool = False) -> SubmitAnswer:
        order, hit = prepared.order, self._chance.hit
        self._world.note(self._resident.name, "re-posts" if repost else "sends", order)
        self._world.judge.sent(self._resident, self._exchange, prepared, self._key, repost=repost)
        if hit(Fault.REQUEST_LOST):
            await self._nothing(TIME_OUT)
            return self._lost(order, Trouble.TIMEOUT, repost)
        if hit(Fault.LATE_ARRIVAL):
            return await self._arrive_late(prepared, self._within_the_fence(order), repost)
        if hit(Fault.TOO_LATE_ARRIVAL):
            self._world.judge.beyond(order)
            delay = Nanos(self.capabilities.late_arrival + self._chance.ms("too late", 2_000, 9_000))
            return await self._arrive_late(prepared, delay, repost)
        if hit(Fault.EDGE_ERROR):
            await self._nothing(self._chance.ms("edge", 1, 60))
            return self._lost(order, Trouble.SERVER_ERROR, repost)
        if hit(Fault.EDGE_LIMIT):
            await self._nothing(self._chance.ms("edge", 1, 60))
            return self._lost(order, Trouble.RATE_LIMITED, repost)
        self._world.judge.flying(order, +1)
        answer = await self._later(self._chance.ms("requests", 1, 40), lambda: self._arrive(prepared, repost))
        for fault, trouble in (
            (Fault.ANSWER_LOST, Trouble.TIMEOUT),
            (Fault.SERVER_ERROR, Trouble.SERVER_ERROR),
            (Fault.MALFORMED, Trouble.MALFORMED),
            (Fault.CONNECTION, Trouble.CONNECTION),
        ):
            if hit(fault):
                if trouble is Trouble.TIMEOUT:
                    await self._nothing(TIME_OUT)
                return self._lost(order, trouble, repost)
        return answer.model_copy(update={"at": self._now()})

    def _within_the_fence(self, order: Order) -> Nanos:
        """As late as can be while the engine still has to reckon with it: within `late_arrival` of the sending."""
        return self._chance.ms("late", 150, self.capabilities.late_arrival / MILLISECOND - 1)

    async def _arrive_late(self, prepared: Prepared, delay: Nanos, repost: bool) -> SubmitAnswer:
        self._world.judge.flying(prepared.order, +1)
        self._world.time.after(delay, self._arrive, prepared, repost)
        await self._nothing(TIME_OUT)
        return self._lost(prepared.order, Trouble.TIMEOUT, repost)

    def _lost(self, order: Order, trouble: Trouble, repost: bool) -> Lost:
        return Lost(order=order.order, at=self._now(), trouble=trouble, text="", repost=repost)

    def _arrive(self, prepared: Prepared, repost: bool) -> SubmitAnswer:
        """At the venue. When it was answered is put right where it is heard."""
        order = prepared.order
        self._world.events += 1
        self._world.judge.flying(order, -1)
        self._world.note(self.name, "receives", order)
        try:
            known = self._exchange.accept(order, prepared.wire, self._key)
        except Duplicate:
            self._world.note(self.name, "has it already", order)
            return Landed(order=order.order, at=self._now())
        except Refuse as refusal:
            self._world.note(self.name, f"refuses it, {refusal.reason.value.replace('_', ' ')}", order)
            return Refused(order=order.order, at=self._now(), reason=refusal.reason, text="", repost=repost)
        if known is None:
            self._world.note(self.name, "kills it and keeps nothing of it", order)
            return Ended.model_validate(
                {"order": order.order, "at": self._now(), "venue_order": "none", "matched": 0, "how": "killed"},
                strict=False,
            )
        return self._state(known, self._now())

    def _now(self) -> Nanos:
        return self._resident.clock.now()

    def _state(self, known: Known, as_of: Nanos) -> Rested | Ended:
        name, matched = known.order.order, known.matched_by(as_of)
        if known.how is None or known.ended_at > as_of:
            return Rested(order=name, at=self._now(), venue_order=known.venue_order, matched=matched)
        return Ended(order=name, at=self._now(), venue_order=known.venue_order, matched=matched, how=known.how)

    # Reads

    async def look_up(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        answer = await self._later(self._chance.ms("requests", 1, 40), lambda: self._look(order))
        return answer.model_copy(update={"at": self._now()})

    def _look(self, order: Order) -> LookUpAnswer:
        self._world.note(self.name, "is asked about", order)
        if self._chance.hit(Fault.READ_FAILED):
            return LookUpFailed(order=order.order, at=self._now(), text=FAILED)
        lag = self._chance.ms("stale", 10, 2_000) if self._chance.hit(Fault.STALE_READ) else Nanos(0)
        then = Nanos(self._world.time.now - lag)
        known = self._exchange.by_order.get(order.order) or self._exchange.traces.get(order.order)
        if known is None or known.since > then:
            return Absent(order=order.order, at=self._now(), as_of=Nanos(self._now() - lag))
        return self._state(known, then)

    async def cancel(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        answer = await self._later(self._chance.ms("requests", 1, 40), lambda: self._cancelled(order))
        return answer.model_copy(update={"at": self._now()})

    def _cancelled(self, order: Order) -> LookUpAnswer:
        self._world.note(self.name, "is asked to cancel", order)
        if self._chance.hit(Fault.CANCEL_LOST, 0.7):
            return LookUpFailed(order=order.order, at=self._now(), text="the cancel was lost")
        known = self._exchange.by_order.get(order.order)
        if known is not None:
            self._exchange.cancel(known)
        if self._chance.hit(Fault.CANCEL_ANSWER_LOST):
            return LookUpFailed(order=order.order, at=self._now(), text="the answer to a cancel was lost")
        return self._look(order)

    async def fills_since(self, cursor: str, order: tuple[Order, str | None] | None = None) -> FillPage | Failed:
        return await self._later(self._chance.ms("requests", 1, 40), lambda: self._fills(cursor, order))

    def _fills(self, cursor: str, order: tuple[Order, str | None] | None) -> FillPage | Failed:
        exchange = self._exchange
        self._world.note(self.name, "is asked for executions", None if order is None else order[0])
        if self._chance.hit(Fault.READ_FAILED):
            return Failed(FAILED)
        if order is not None:
            known = exchange.by_order.get(order[0].order)
            return FillPage(
                tuple(exchange.seen(known, name, self._now()) for name in known.fills) if known else (), cursor
            )
        start = int(cursor or 0)
        page = tuple(self._today(seen) for seen in exchange.log[start:])
        return FillPage(page, str(len(exchange.log)) if exchange.log else cursor)

    def _today(self, seen: FillSeen) -> FillSeen:
        known = self._exchange.orders[seen.wire or ""]
        return self._exchange.seen(known, seen.fill.fill, self._now())

    async def orders_since(self, since: Nanos) -> tuple[OrderSeen, ...] | Failed:
        return ()

    async def positions(self) -> tuple[VenuePosition, ...] | Failed:
        return ()

    async def cash(self) -> Money | Failed:
        return Money(self._exchange.cash)

    async def book(self, market: str) -> Book | Failed:
        return await self._later(self._chance.ms("requests", 1, 40), lambda: self._book(market))

    def _book(self, market: str) -> Book | Failed:
        if self._chance.hit(Fault.NO_BOOK) or self._exchange.mode is not VenueMode.OPEN:
            return Failed(FAILED)
        return self._exchange.book(market)


def _resolve(answer: asyncio.Future[T], value: T) -> None:
    if not answer.done():
        answer.set_result(value)
