"""The executor's own gateway: performs commands at the venues of its region, and turns answers into events.

Nothing here decides. It refuses to send what is late or unpaid for, it never repeats a request, and whatever it learns
it hands to `heard` as an event about one of our orders. Every answer comes back exactly once; a dead process loses
the answers in flight, which is why a successor asks about everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from actors.key_ring import KeyRing
from actors.points import armed, reach
from actors.shell import Clock
from core.fees import fee_of_fill
from core.units import opposite
from messages.markets import FeeSchedule, Market
from messages.orders import (
    Cancel,
    Ended,
    FetchFills,
    Fill,
    Filled,
    FillSeen,
    LookUp,
    LookUpFailed,
    Named,
    Order,
    OrderReport,
    Refused,
    Repost,
    Rested,
    Submit,
    Withheld,
)
from messages.reasons import Refusal
from messages.units import MILLISECOND, Outcome, Price
from venues.port import Failed, Prepared, Trading

BETWEEN_LEGS = 0.03
"""Seconds between the sends of two legs where a chaos run wants to die between them."""
KEY_WAIT = 0.05
"""Seconds between two looks for a closing budget."""


class Gateway:
    """`adapters` by venue and key; all of one venue speak for the same account."""

    def __init__(
        self,
        adapters: Mapping[str, Mapping[str, Trading]],
        ring: KeyRing,
        clock: Clock,
        heard: Callable[[OrderReport], None],
        yes_scale: frozenset[str],
    ) -> None:
        self._adapters = adapters
        self._ring = ring
        self._clock = clock
        self._heard = heard
        self._yes_scale = yes_scale
        """Venues whose executions are told on the YES scale."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking: set[str] = set()
        self._prepared: dict[str, tuple[Trading, Prepared]] = {}
        self._known: dict[tuple[str, str], Market] = {}
        """Markets whose metadata has come; before that an order of theirs cannot be named to its venue."""
        self.sent = 0

    async def open(self) -> None:
        await asyncio.gather(*(adapter.open() for keys in self._adapters.values() for adapter in keys.values()))

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(adapter.close() for keys in self._adapters.values() for adapter in keys.values()))

    def load(self, venue: str, markets: Iterable[Market]) -> None:
        known = tuple(markets)
        self._known.update(((venue, market.market), market) for market in known)
        for adapter in self._adapters.get(venue, {}).values():
            adapter.load(known)

    def reader(self, venue: str) -> Trading:
        """An adapter for reads: the leased key's, else any."""
        keys = self._adapters[venue]
        leased = self._ring.key(venue)
        return keys[leased] if leased is not None and leased in keys else next(iter(keys.values()))

    def prepare(self, order: Order) -> Named:
        """Sign the order with the leased key; under which identity, and through which key, the venue will know it."""
        keys = self._adapters[order.venue]
        leased = self._ring.key(order.venue)
        key = leased if leased is not None and leased in keys else next(iter(keys))
        prepared = keys[key].prepare(order)
        self._prepared[order.order] = (keys[key], prepared)
        return Named(order=order.order, wire=prepared.wire, key=key)

    # Performing

    def submit(self, commands: Iterable[Submit]) -> None:
        """All of these leave at once."""
        for number, command in enumerate(commands):
            order = command.order
            if number and armed("between-legs"):
                asyncio.get_running_loop().call_later(BETWEEN_LEGS, self._second_leg, order)
                continue
            self._spawn(self._submit(order))

    def _second_leg(self, order: Order) -> None:
        reach("between-legs")
        self._spawn(self._submit(order))

    async def _submit(self, order: Order) -> None:
        adapter, prepared = self._prepared.pop(order.order)
        paid = await self._paid(order)
        now = self._clock.now()
        if not paid or now > order.not_after:
            why = "too late: it was not sent" if paid else "no key lease pays for it"
            reason = Refusal.OTHER if paid else Refusal.RATE_LIMIT
            self._heard(Refused(order=order.order, at=now, reason=reason, text=why))
            return
        self.sent += 1
        answer = await adapter.submit(prepared)
        reach("after-answer")
        self._met(order.venue, answer)
        self._heard(answer)

    async def _paid(self, order: Order) -> bool:
        """Spend from the lease. Closing waits a little for its budget, opening does not."""
        while True:
            now = self._clock.now()
            if self._ring.spend(order.venue, now, closing=order.reduces):
                return True
            if not order.reduces or now + KEY_WAIT * 1000 * MILLISECOND > order.not_after:
                return False
            await asyncio.sleep(KEY_WAIT)

    def repost(self, command: Repost, named: Named, forbidden: str) -> None:
        """Send the identical bytes again, through the same key, as a look-up; unless executing it now would break a rule."""
        order = command.order
        adapter = self._adapters[order.venue].get(named.key)
        if not forbidden and (order.venue, order.market) not in self._known:
            forbidden = f"no metadata of {order.market} yet"
        if not forbidden and adapter is None:
            forbidden = f"the key {named.key} that sent it is not configured any more"
        if not forbidden and adapter is not None and adapter.identify(order) != named.wire:
            forbidden = "the market's rules changed: the bytes would not be identical"
        if not forbidden and not self._ring.spend(order.venue, self._clock.now(), closing=True):
            forbidden = "no key lease pays for it"
        if forbidden or adapter is None:
            self._heard(Withheld(order=order.order, at=self._clock.now(), text=forbidden))
            return
        self._spawn(self._repost(order, adapter))

    async def _repost(self, order: Order, adapter: Trading) -> None:
        self.sent += 1
        answer = await adapter.submit(adapter.prepare(order), repost=True)
        self._met(order.venue, answer)
        self._heard(answer)

    def look_up(self, command: LookUp, venue_order: str | None) -> None:
        order = command.order
        self._once(f"look {order.order}", self._look_up(order, venue_order))

    async def _look_up(self, order: Order, venue_order: str | None) -> None:
        if (order.venue, order.market) not in self._known:
            text = f"no metadata of {order.market} yet"
            self._heard(LookUpFailed(order=order.order, at=self._clock.now(), text=text))
            return
        answer = await self.reader(order.venue).look_up(order, venue_order)
        if isinstance(answer, Rested | Ended):
            await self._fills(order, answer.venue_order)
        self._heard(answer)

    def cancel(self, command: Cancel, venue_order: str | None) -> None:
        order = command.order
        self._once(f"cancel {order.order}", self._cancel(order, venue_order))

    async def _cancel(self, order: Order, venue_order: str | None) -> None:
        if (order.venue, order.market) not in self._known:
            return
        self._heard(await self.reader(order.venue).cancel(order, venue_order))

    def fetch_fills(self, command: FetchFills, venue_order: str | None) -> None:
        order = command.order
        self._once(f"fills {order.order}", self._fills(order, venue_order))

    async def _fills(self, order: Order, venue_order: str | None) -> None:
        if (order.venue, order.market) not in self._known:
            return
        page = await self.reader(order.venue).fills_since("", (order, venue_order))
        if isinstance(page, Failed):
            self._ring.met(order.venue, rate_limited=page.rate_limited, unauthorised=page.unauthorised)
            return
        for seen in page.fills:
            self._heard(self.filled(order, self._known[(order.venue, order.market)].fees, seen))

    def filled(self, order: Order, schedule: FeeSchedule, seen: FillSeen) -> Filled:
        """An execution in the venue's terms, as one of ours: on the scale of the order's own outcome, with its fee."""
        fill: Fill = seen.fill
        if order.venue in self._yes_scale and order.outcome is Outcome.NO:
            fill = fill.model_copy(update={"price": opposite(Price(fill.price))})
        if not seen.fee_known:
            charge = fee_of_fill(schedule, fill.price, fill.quantity, maker=fill.maker is True, side=order.side)
            fill = fill.model_copy(update={"fee": charge.fee})
        return Filled(order=order.order, at=seen.at, fill=fill)

    # Small pieces

    def _met(self, venue: str, answer: OrderReport) -> None:
        if isinstance(answer, Refused):
            self._ring.met(
                venue,
                rate_limited=answer.reason is Refusal.RATE_LIMIT,
                unauthorised=answer.reason is Refusal.AUTH,
            )

    def _once(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """One such question at a time: the next sweep asks again."""
        if name in self._asking:
            work.close()
            return
        self._asking.add(name)
        self._spawn(work, lambda: self._asking.discard(name))

    def _spawn(self, work: Coroutine[Any, Any, None], after: Callable[[], None] | None = None) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def done(finished: asyncio.Task[None]) -> None:
            self._tasks.discard(finished)
            if after is not None:
                after()
            if not finished.cancelled() and (problem := finished.exception()) is not None:
                self.failed = problem

        task.add_done_callback(done)

    failed: BaseException | None = None
    """An adapter broke its promise never to raise: the executor dies of it rather than wait for an answer in vain."""
