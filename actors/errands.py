"""What an executor does beside its trades, and never between a decision and its sends: leases, reports, records, hashes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from actors.dispatch import Dispatch
from actors.gateway import Gateway
from actors.key_ring import KeyRing
from actors.memory import Memory
from actors.points import reach
from actors.scout import Scout
from actors.shell import Clock, Outbox, Place
from actors.translator import Translator
from configs.settings import Settings, money
from core.desk import Desk
from messages.base import Message
from messages.control import Decided, Told, TradeStory
from messages.leases import ClaimsReturned, WantCapital, WantClaims
from messages.trades import CursorMoved, Hashed
from messages.units import Money
from venues.port import Failed

RENEW_EVERY = 5
"""Turns between two renewals of the key leases."""
CLAIMS_EVERY = 4
"""Renewals between two wishes for claims of which the second says nothing new."""


class Errands:
    def __init__(
        self,
        place: Place,
        settings: Settings,
        desk: Desk,
        memory: Memory,
        outbox: Outbox,
        clock: Clock,
        dispatch: Dispatch,
        ring: KeyRing,
        scout: Scout,
        gateway: Gateway,
        translator: Translator,
        queue: Callable[[Message], None],
    ) -> None:
        self._place, self._settings, self._desk, self._memory = place, settings, desk, memory
        self._outbox, self._clock, self._dispatch = outbox, clock, dispatch
        self._ring, self._scout, self._gateway, self._translator = ring, scout, gateway, translator
        self._queue = queue
        self._told = 0
        self._hashed_seq = memory.seq
        self._wish: WantClaims | None = None
        self._wished = 0
        """Renewals since."""
        self._answered = False
        self.stories: list[TradeStory] = []

    async def run(self) -> None:
        turn = 0
        while True:
            if turn % RENEW_EVERY == 0:
                self._renew()
                self._translator.again(self._clock.now())
            self.give_back()
            for owner, report in self._dispatch.reports():
                if report.upto:
                    reach("before-report")
                self._outbox.tell(owner, report)
            self.flush()
            turn += 1
            await asyncio.sleep(self._settings.engine.errands_ms / 1000)

    async def follow_executions(self) -> None:
        """The drop copy: executions that no stream told, read on from the journaled cursor; first of all after a restart."""
        while True:
            for venue in self._settings.venues:
                page = await self._gateway.reader(venue).fills_since(self._desk.cursors.get(venue, ""))
                if isinstance(page, Failed):
                    continue
                for seen in page.fills:
                    self._translator.hear(seen)
                if page.cursor != self._desk.cursors.get(venue, ""):
                    # queued after the executions: the cursor is never ahead of what was folded
                    self._queue(CursorMoved(venue=venue, cursor=page.cursor))
            await asyncio.sleep(self._settings.engine.follow_ms / 1000)

    async def hash_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(self._settings.engine.hash_ms / 1000)
            self.hash()

    def hash(self) -> None:
        """Write down what the state hashes to, for the proof to compare; only where something changed since."""
        if self._memory.seq != self._hashed_seq:
            self._hashed_seq = self._memory.remember([Hashed(digest=self._desk.digest())])

    def _renew(self) -> None:
        name, epoch = self._place.name, self._memory.epoch
        for venue, settings in self._settings.venues.items():
            self._outbox.tell(f"key_pool.{venue}", self._ring.want(venue))
            granted = Money(self._desk.granted.get(venue, 0))
            if not granted:
                wanted = Money(money(settings.capital_dollars) // self._settings.engine.executors)
                self._outbox.tell(
                    "position_book",
                    WantCapital(holder=name, epoch=epoch, venue=venue, granted=granted, wanted=wanted),
                )
        self._want_claims()

    def _want_claims(self) -> None:
        """At once where there is news in it or the last one has no answer; else now and then, also where nothing is lacking:
        the registry learns from it what was given back, and asks back what it wants to move.
        """
        wish = self._desk.claims.wish(self._place.name, self._memory.epoch, self._scout.groups)
        self._wished += 1
        if wish == self._wish and self._answered and self._wished < CLAIMS_EVERY:
            return
        self._wish, self._wished, self._answered = wish, 0, False
        self._outbox.tell("in_flight", wish)

    def answered(self) -> None:
        """The registry heard a wish for claims."""
        self._answered = True

    def give_back(self) -> None:
        """The claims that were asked back and are idle. The owners have heard all of what happened in them by then: a
        new holder learns from them when a market may be touched again.
        """
        asked_back = self._desk.claims.asked_back
        if not asked_back or self._dispatch.unreported:
            return
        now = self._clock.now()
        for claim in asked_back.items():
            if self._desk.quiet(claim[0], now):
                self._queue(ClaimsReturned(holder=self._place.name, claims=(claim,), at=now))

    def flush(self) -> None:
        """Decisions and stories to the recorder."""
        scout, source, epoch = self._scout, self._place.name, self._memory.epoch
        if scout.decisions or scout.ended:
            self._told += 1
            decided = Decided(
                source=source,
                epoch=epoch,
                sequence=self._told,
                decisions=tuple(scout.decisions),
                crossings=tuple(scout.ended),
            )
            scout.decisions, scout.ended = [], []
            self._outbox.tell("recorder", decided)
        if self.stories:
            told = Told(source=source, epoch=epoch, stories=tuple(self.stories))
            self.stories = []
            self._outbox.tell("recorder", told)
