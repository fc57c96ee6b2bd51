"""Cool-downs: owns when a market may be opened again. Of several such times the latest wins, whoever set it.

They bind opening only. An executor obeys its own journal; from here it learns what a person set, and what the others
learnt of their markets, so that it knows it of those that change hands.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.owner import Keeping
from actors.points import reach
from actors.shell import Clock, Outbox, Place
from configs.settings import read_settings
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.leases import CooldownsSet, Cooled, Reported
from messages.reasons import Reason
from messages.units import Nanos

EXECUTORS = "executor*"


class CooldownOwner:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = read_settings(place.settings)
        self._keeping = Keeping(place, self._settings, "cooled", self._fold)
        self.until: dict[tuple[str, str], Nanos] = {}
        self.paused: dict[tuple[str, str], Reason] = {}
        self._rejected: dict[tuple[str, str], int] = {}

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        self._outbox, self._clock = outbox, clock
        self.epoch = self._keeping.open(outbox, clock)
        return ""

    async def stop(self) -> None:
        self._keeping.close()

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        if self._keeping.peers.introduced(peer) and peer.name in self._keeping.peers.up(EXECUTORS):
            self._outbox.tell(peer.name, self.active())

    async def hear(self, sender: str, message: Message) -> Message | None:
        match message:
            case Reported() if not self._keeping.heard.outdated(message):
                new = self._keeping.heard.part(message, "cooled")
                self._keeping.report(sender, message)
                if new is not None:
                    self._tell_others(new.source, new.cooled)
            case CooldownsSet():
                self._keeping.remember([message])
                reach("before-reply")
                self._outbox.tell(EXECUTORS, self.active())
        return None

    def _tell_others(self, source: str, entries: Iterable[Cooled]) -> None:
        """Whoever is not up hears it with its introduction. Never back to the source, which has journaled it itself."""
        now = self._clock.now()
        keys = dict.fromkeys((entry.venue, entry.market) for entry in entries)
        until = tuple((*key, self.until[key]) for key in keys if self.until[key] > now)
        if not until:
            return
        for name in self._keeping.peers.up(EXECUTORS):
            if name != source:
                self._outbox.tell(name, CooldownsSet(owner_epoch=self.epoch, until=until))

    def active(self) -> CooldownsSet:
        now = self._clock.now()
        return CooldownsSet(
            owner_epoch=self.epoch,
            until=tuple((venue, market, until) for (venue, market), until in self.until.items() if until > now),
            paused=tuple((venue, market, why) for (venue, market), why in self.paused.items()),
        )

    def _fold(self, fact: Message) -> None:
        match fact:
            case Reported():
                for entry in fact.cooled:
                    key = (entry.venue, entry.market)
                    self._later(key, entry.not_before)
                    self._rejected[key] = self._rejected.get(key, 0) + 1 if entry.rejected else 0
            case CooldownsSet():
                for venue, market, until in fact.until:
                    self._later((venue, market), until)
                    # a pause has no end of its own; a time for the same market is one
                    self.paused.pop((venue, market), None)
                for venue, market, why in fact.paused:
                    self.paused[(venue, market)] = why

    def _later(self, key: tuple[str, str], until: Nanos) -> None:
        self.until[key] = Nanos(max(until, self.until.get(key, 0)))

    def snapshot(self) -> dict[str, object]:
        active = self.active()
        return {
            **self._keeping.seen(),
            "markets": len(self.until),
            "cooling": [
                {"venue": venue, "market": market, "until": until, "rejected": self._rejected.get((venue, market), 0)}
                for venue, market, until in active.until
            ],
            "paused": [{"venue": venue, "market": market, "why": why.value} for venue, market, why in active.paused],
        }
