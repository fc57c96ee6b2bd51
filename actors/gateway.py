"""The executor's own gateway: performs commands at the venues of its region, and turns answers into events.

Nothing here decides. It refuses to send what is late or unpaid for, it never repeats a request, and whatever it learns
it hands to `heard` as an event about one of our orders. Every answer comes back exactly once; a dead process loses
the answers in flight, which is why a successor asks about everything.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loguru import logger

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
    Lost,
    Named,
    Order,
    OrderReport,
    Refused,
    Repost,
    Rested,
    Submit,
    Withheld,
)
from messages.reasons import Refusal, Trouble
from messages.units import SECOND, Outcome, Price
from venues.port import Failed, LookUpAnswer, NotReady, Prepared, Trading

BETWEEN_LEGS = 0.03
"""Seconds between the sends of two legs where a chaos run wants to die between them."""
KEY_WAIT = 0.05
"""Seconds between two looks for a closing budget."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """An order that waits for its commit, and the key that signed it."""

    key: str
    adapter: Trading
    prepared: Prepared


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
        self._prepared: dict[str, _Signed] = {}
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
        return self._adapters[venue][self._key(venue)]

    def _key(self, venue: str) -> str:
        keys, leased = self._adapters[venue], self._ring.key(venue)
        return leased if leased is not None and leased in keys else next(iter(keys))

    def prepare(self, order: Order) -> Named | None:
        """Sign the order with the leased key; under which identity, and through which key, the venue will know it. None
        where it cannot be signed: `submit` then refuses it.
        """
        key = self._key(order.venue)
        adapter = self._adapters[order.venue][key]
        try:
            prepared = adapter.prepare(order)
        except NotReady as problem:
            logger.error("order {} cannot be signed: {}", order.order, problem)
            return None
        self._prepared[order.order] = _Signed(key, adapter, prepared)
        return Named(order=order.order, wire=prepared.wire, key=key)

    # Performing

    def submit(self, commands: Iterable[Submit]) -> None:
        """All of these leave at once; of those that open, all or none."""
        orders = [command.order for command in commands]
        opening = [order for order in orders if not order.reduces]
        held_back = self._held_back(opening)
        for order in opening if held_back is None else ():
            self._ring.spend(order.venue, self._clock.now(), closing=False)
        for number, order in enumerate(orders):
            if held_back is not None and not order.reduces:
                self._not_sent(order, *held_back)
            elif number and armed("between-legs"):
                asyncio.get_running_loop().call_later(BETWEEN_LEGS, self._second_leg, order)
            else:
                self._spawn(self._submit(order))

    def _held_back(self, opening: Sequence[Order]) -> tuple[Refusal, str] | None:
        """Why none of the opening legs may leave. One that is sent without the other is exposure of our own making."""
        now = self._clock.now()
        if any(order.order not in self._prepared for order in opening):
            return Refusal.INVALID, "a leg cannot be signed"
        if any(now > order.not_after for order in opening):
            return Refusal.OTHER, "too late: it was not sent"
        needs = Counter(order.venue for order in opening)
        if any(self._ring.opening_left(venue, now) < need for venue, need in needs.items()):
            return Refusal.RATE_LIMIT, "no key lease pays for it"
        return None

    def _second_leg(self, order: Order) -> None:
        reach("between-legs")
        self._spawn(self._submit(order))

    async def _submit(self, order: Order) -> None:
        if order.order not in self._prepared:
            self._not_sent(order, Refusal.INVALID, "it cannot be signed")
            return
        if order.reduces and not await self._paid(order):
            self._not_sent(order, Refusal.RATE_LIMIT, "no key lease pays for it")
            return
        if self._clock.now() > order.not_after:
            self._not_sent(order, Refusal.OTHER, "too late: it was not sent")
            return
        signed = self._prepared.pop(order.order)
        self.sent += 1
        answer = await signed.adapter.submit(signed.prepared)
        reach("after-answer")
        self._met(order.venue, signed.key, answer)
        self._heard(answer)

    def _not_sent(self, order: Order, reason: Refusal, text: str) -> None:
        self._prepared.pop(order.order, None)
        self._heard(Refused(order=order.order, at=self._clock.now(), reason=reason, text=text))

    async def _paid(self, order: Order) -> bool:
        """Spend a closing order from the lease; it waits a little for its budget, where an opening one does not."""
        while not self._ring.spend(order.venue, self._clock.now(), closing=True):
            if self._clock.now() + KEY_WAIT * SECOND > order.not_after:
                return False
            await asyncio.sleep(KEY_WAIT)
        return True

    def repost(self, command: Repost, named: Named, forbidden: str) -> None:
        """Send the identical bytes again, through the same key, as a look-up; unless executing it now would break a rule."""
        order = command.order
        adapter = self._adapters[order.venue].get(named.key)
        if not forbidden and (order.venue, order.market) not in self._known:
            forbidden = f"no metadata of {order.market} yet"
        if not forbidden and adapter is None:
            forbidden = f"the key {named.key} that sent it is not configured any more"
        if not forbidden and adapter is not None and not _same(adapter, order, named.wire):
            forbidden = "the market's rules changed: the bytes would not be identical"
        if not forbidden and not self._ring.spend(order.venue, self._clock.now(), closing=True):
            forbidden = "no key lease pays for it"
        if forbidden or adapter is None:
            self._heard(Withheld(order=order.order, at=self._clock.now(), text=forbidden))
            return
        self._spawn(self._repost(_Signed(named.key, adapter, adapter.prepare(order))))

    async def _repost(self, signed: _Signed) -> None:
        self.sent += 1
        order = signed.prepared.order
        answer = await signed.adapter.submit(signed.prepared, repost=True)
        self._met(order.venue, signed.key, answer)
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
        self._heard(_looked_up(answer))

    def cancel(self, command: Cancel, venue_order: str | None) -> None:
        order = command.order
        self._once(f"cancel {order.order}", self._cancel(order, venue_order))

    async def _cancel(self, order: Order, venue_order: str | None) -> None:
        if (order.venue, order.market) not in self._known:
            return
        self._heard(_looked_up(await self.reader(order.venue).cancel(order, venue_order)))

    def fetch_fills(self, command: FetchFills, venue_order: str | None) -> None:
        order = command.order
        self._once(f"fills {order.order}", self._fills(order, venue_order))

    async def _fills(self, order: Order, venue_order: str | None) -> None:
        if (order.venue, order.market) not in self._known:
            return
        key = self._key(order.venue)
        page = await self._adapters[order.venue][key].fills_since("", (order, venue_order))
        if isinstance(page, Failed):
            self._ring.met(order.venue, key, rate_limited=page.rate_limited, unauthorised=page.unauthorised)
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

    def _met(self, venue: str, key: str, answer: OrderReport) -> None:
        match answer:
            case Refused(reason=reason):
                limited, unauthorised = reason is Refusal.RATE_LIMIT, reason is Refusal.AUTH
                self._ring.met(venue, key, rate_limited=limited, unauthorised=unauthorised)
            case Lost(trouble=Trouble.RATE_LIMITED):  # the edge limits as well, and leaves the order's fate open
                self._ring.met(venue, key, rate_limited=True)

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
                self.failed = self.failed or problem

        task.add_done_callback(done)

    failed: BaseException | None = None
    """An adapter broke its promise never to raise: the executor dies of it rather than wait for an answer in vain."""


def _looked_up(answer: LookUpAnswer) -> LookUpAnswer:
    """Made after everything that was sent of the order, so that an end in it is the end of all copies that arrived."""
    return answer.model_copy(update={"looked_up": True}) if isinstance(answer, Ended) else answer


def _same(adapter: Trading, order: Order, wire: str) -> bool:
    try:
        return adapter.identify(order) == wire
    except NotReady:
        return False
