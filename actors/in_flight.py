"""The in-flight registry: owns who may trade which event group, and shows what is in flight and why it was released.

Within a claim the holder's journal alone decides what is in flight; what is kept of it here is for people to look at.
"""

from __future__ import annotations

from collections import Counter, deque

from actors.owner import Keeping
from actors.points import reach
from actors.shell import Clock, Outbox, Place
from configs.settings import Settings
from core.claims import Claims
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.leases import ClaimsGranted, Flight, Reported, WantClaims

RELEASES_KEPT = 200


class InFlight:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = Settings.model_validate_json(place.settings)
        self.claims = Claims()
        self._keeping = Keeping(place, self._settings, "flights", self._fold)
        self._flying: dict[tuple[str, str], tuple[Flight, str, int]] = {}
        """By venue and market: the last entry, who told it, and since when."""
        self._releases: deque[Flight] = deque(maxlen=RELEASES_KEPT)
        self._released: Counter[str] = Counter()
        self._unclaimed = 0

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        self._outbox, self._clock = outbox, clock
        self.epoch = self._keeping.open(outbox, clock)
        return ""

    async def stop(self) -> None:
        self._keeping.close()

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        self._keeping.peers.introduced(peer)

    async def hear(self, sender: str, message: Message) -> Message | None:
        match message:
            case WantClaims() if not self.claims.outdated(message):
                self._claim(sender, message)
            case Reported() if not self._keeping.heard.outdated(message):
                self._keeping.report(sender, message)
        return None

    def _claim(self, sender: str, want: WantClaims) -> None:
        grants = tuple(self.claims.grants(want, self.epoch))
        # of the wish itself only the incarnation is remembered
        facts: tuple[WantClaims | ClaimsGranted, ...] = (want.model_copy(update={"groups": ()}), *grants)
        if changes := [fact for fact in facts if self.claims.changes(fact)]:
            self._keeping.remember(changes)
        reach("before-reply")
        for grant in grants:
            self._outbox.tell(sender, grant)

    def _fold(self, fact: Message) -> None:
        match fact:
            case WantClaims() | ClaimsGranted():
                self.claims.fold(fact)
            case Reported():
                for flight in fact.flights:
                    self._flight(fact.source, flight)

    def _flight(self, source: str, flight: Flight) -> None:
        key = (flight.venue, flight.market)
        self._unclaimed += self.claims.holders.get(flight.group) != source
        before = self._flying.get(key)
        if flight.entered:
            since = before[2] if before is not None and before[0].trade == flight.trade else flight.at
            self._flying[key] = flight, source, since
            return
        if before is None or before[0].trade == flight.trade:
            self._flying.pop(key, None)
        self._releases.append(flight)
        self._released[flight.why] += 1

    def snapshot(self) -> dict[str, object]:
        return {
            **self._keeping.seen(),
            "claims": dict(self.claims.holders),
            "in_flight": [
                {
                    "venue": venue,
                    "market": market,
                    "trade": flight.trade,
                    "group": flight.group,
                    "holder": source,
                    "since": since,
                    "why": flight.why,
                }
                for (venue, market), (flight, source, since) in self._flying.items()
            ],
            "releases": [
                flight.model_dump(include={"trade", "venue", "market", "why", "released_at", "at"})
                for flight in self._releases
            ],
            "released": dict(self._released),
            "unclaimed": self._unclaimed,
        }
