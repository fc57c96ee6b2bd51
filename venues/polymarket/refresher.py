"""What the venue says of its markets now, as numbered versions: read in turns, and at once when the stream says something.

A change of tick or a resolution is told by the stream before the descriptions show it. It is passed on at once, and a read
that still shows the old rules does not take it back for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from messages.markets import Market
from messages.units import SECOND, Nanos, Price
from venues.calls import PAGES_MOST, Calls, Missing, Told
from venues.polymarket import rules
from venues.polymarket.amounts import AMOUNT_PLACES
from venues.polymarket.books import RuleTold
from venues.port import Clock, Description, Failed
from venues.reading import is_object, objects, text_of
from venues.versions import Versions

REFRESH_S = 20.0
"""Well within the age at which unverified fees stop the opening of trades."""
AGAIN_S = 1.0
"""After a reading that brought nothing."""
PARTLY_AGAIN_S = 5.0
"""After one that left something out, which may be for good."""
AT_ONCE_MOST = 8
"""Readings side by side."""
IDS_A_READ = 20
HELD_FOR = Nanos(30 * SECOND)
"""How long a tick that the stream told stands against reads that show another."""


class Refresher:
    def __init__(self, name: str, calls: Calls, gamma: Calls, clock: Clock) -> None:
        self._name = name
        self._calls = calls
        self._gamma = gamma
        self._clock = clock
        self._versions = Versions()
        self._facts: dict[str, str] = {}
        self._known: dict[str, Market] = {}
        self._ticks: dict[str, tuple[Price, Nanos]] = {}
        """What the stream told last, and until when reads do not take it back."""
        self._resolved: set[str] = set()
        self._due: set[str] = set()
        self._woken = asyncio.Event()
        self.failure = ""
        """Why the last turn left something unread; "" where it did not."""

    # Reading

    async def markets(self, ids: Sequence[str]) -> tuple[Market, ...] | Failed:
        """All of `ids`, or why not."""
        about = await self._about(ids)
        if isinstance(about, Failed):
            return about
        unknown = [condition for condition in ids if condition not in about]
        if unknown:
            return Failed(text=f"the venue does not know {', '.join(unknown)}")
        found = await self._each(ids, about)
        failed = next((market for market in found if isinstance(market, Failed)), None)
        return failed or tuple(market for market in found if isinstance(market, Market))

    async def describe(self, ids: Sequence[str]) -> tuple[Description, ...] | Failed:
        about = await self._about(ids)
        if isinstance(about, Failed):
            return about
        unknown = [condition for condition in ids if condition not in about]
        if unknown:
            return Failed(text=f"the venue does not know {', '.join(unknown)}")
        return tuple(rules.description(about[condition], condition) for condition in ids)

    async def _about(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]] | Failed:
        """Descriptions by condition. Closed markets are listed only to those who ask for them."""
        about: dict[str, Mapping[str, Any]] = {}
        for closed in ("", "&closed=true"):
            wanted = [condition for condition in ids if condition not in about]
            for start in range(0, len(wanted), IDS_A_READ):
                query = "&".join(f"condition_ids={condition}" for condition in wanted[start : start + IDS_A_READ])
                path = f"/markets/keyset?limit=100{closed}&{query}&"
                listed = await self._pages(path)
                if isinstance(listed, Failed):
                    return listed
                about.update((text_of(entry, "conditionId"), entry) for entry in listed)
        return about

    async def _pages(self, path: str) -> list[Mapping[str, Any]] | Failed:
        """A keyset list to its end."""
        found: list[Mapping[str, Any]] = []
        cursor, seen = "", set[str]()
        for _ in range(PAGES_MOST):
            told = await self._gamma.read(f"{path}after_cursor={cursor}" if cursor else path.rstrip("&"), public=True)
            if (
                not isinstance(told, Told)
                or not is_object(told.value)
                or not isinstance(told.value.get("markets"), list)
            ):
                return told if isinstance(told, Failed) else Failed(text="the markets' descriptions cannot be read")
            found += objects(told.value["markets"])
            cursor = text_of(told.value, "next_cursor")
            if not cursor:
                return found
            if cursor in seen:
                return Failed(text="the pages of descriptions repeat themselves")
            seen.add(cursor)
        return Failed(text=f"more than {PAGES_MOST} pages of descriptions")

    async def _each(self, ids: Sequence[str], about: Mapping[str, Mapping[str, Any]]) -> list[Market | Failed]:
        gate = asyncio.Semaphore(AT_ONCE_MOST)

        async def one(condition: str) -> Market | Failed:
            async with gate:
                return await self._market(condition, about[condition])

        return await asyncio.gather(*(one(condition) for condition in ids))

    async def _market(self, condition: str, about: Mapping[str, Any]) -> Market | Failed:
        at = self._clock.now()
        told = await self._calls.read(f"/clob-markets/{condition}", public=True)
        if isinstance(told, (Failed, Missing)):
            return told if isinstance(told, Failed) else Failed(text=f"the venue does not know {condition}")
        market = rules.market(self._name, told.value, about, condition, at) if is_object(told.value) else None
        if market is None:
            return Failed(text=f"the rules or the fees of {condition} cannot be read, or contradict each other")
        self._facts[condition] = rules.facts_of(about)
        tick, until = self._ticks.get(condition, (None, Nanos(0)))
        if tick is not None and (market.ticks == rules.bands(tick) or at >= until):
            # a read shows it too, or none does after all
            del self._ticks[condition]
        return self._number(market)

    def _number(self, market: Market) -> Market:
        """As the stream corrects it, with its version."""
        name = market.market
        if name in self._ticks:
            market = market.model_copy(update={"ticks": rules.bands(self._ticks[name][0])})
        if name in self._resolved:
            market = market.model_copy(update={"open": False})
        self._known[name] = self._versions.number(market, self._facts.get(name, ""))
        return self._known[name]

    # Being told

    def told(self, rule: RuleTold, on_market: Callable[[Market], None]) -> None:
        """What the stream says is passed on before any read confirms it."""
        known, now = self._known.get(rule.market), self._clock.now()
        if rule.resolved:
            self._resolved.add(rule.market)
        elif rule.tick in AMOUNT_PLACES:
            self._ticks[rule.market] = rule.tick, Nanos(now + HELD_FOR)
        if known is not None:
            # what it says of fees is as old as it was: nobody has asked again
            on_market(self._number(known.model_copy(update={"seen_at": now})))
        self.wake([rule.market])

    def wake(self, markets: Iterable[str]) -> None:
        """Read these again at once."""
        self._due.update(markets)
        self._woken.set()

    # The turns

    async def run(self, ids: Sequence[str], on_market: Callable[[Market], None]) -> None:
        """All of them in turns, and between the turns what is due or could not be read."""
        loop = asyncio.get_running_loop()
        failed, next_turn = set[str](), loop.time()
        while True:
            now = loop.time()
            due, self._due = self._due | failed, set()
            self._woken.clear()
            if now >= next_turn:
                due, next_turn = set(ids), now + REFRESH_S
            failed = await self._turn([condition for condition in ids if condition in due], on_market)
            nothing = len(failed) == len(due)
            pause = min(next_turn - loop.time(), REFRESH_S if not failed else AGAIN_S if nothing else PARTLY_AGAIN_S)
            # not `wait_for`: up to Python 3.11 it swallows a cancellation that comes together with the event
            with suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0)):
                    await self._woken.wait()

    async def _turn(self, ids: Sequence[str], on_market: Callable[[Market], None]) -> set[str]:
        """Which of these could not be read. One that cannot keeps no other one waiting."""
        about = await self._about(ids)
        if isinstance(about, Failed):
            self.failure = about.text
            return set(ids)
        found = await self._each([condition for condition in ids if condition in about], about)
        for market in found:
            if isinstance(market, Market):
                on_market(market)
        failed = [market for market in found if isinstance(market, Failed)]
        self.failure = failed[0].text if failed else ""
        read = {market.market for market in found if isinstance(market, Market)}
        return set(ids) - read
