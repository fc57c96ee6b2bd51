"""The in-flight registry: owns who may trade which event group, and shows what is in flight and why it was released.

Within a claim the holder's journal alone decides what is in flight; what is kept of it here is for people to look at.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from actors.company import Peers
from actors.memory import Memory
from actors.points import reach
from actors.shell import Clock, Outbox, Place
from configs.settings import Settings
from core.claims import Claims, Heard
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.leases import ClaimsGranted, Flight, Reported, WantClaims

RELEASES_KEPT = 200


class InFlight:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = Settings.model_validate_json(place.settings)
        self.claims, self._heard, self._peers = Claims(), Heard(), Peers()
        self._flying: dict[tuple[str, str], tuple[Flight, str, int]] = {}
        """By venue and market: the last entry, who told it, and since when."""
        self._releases: deque[Flight] = deque(maxlen=RELEASES_KEPT)
        self._released: Counter[str] = Counter()
        self._unclaimed = 0

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        self._outbox, self._clock = outbox, clock
        self._memory = Memory(self.place, clock, self._settings.engine.durability.value)
        self.epoch = self._memory.epoch
        self._memory.recall(lambda _, fact: self._fold(fact))
        return ""

    async def stop(self) -> None:
        self._memory.close()

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        self._peers.introduced(peer)

    async def hear(self, sender: str, message: Message) -> Message | None:
        match message:
            case WantClaims() if not self.claims.outdated(message):
                self._claim(sender, message)
            case Reported() if not self._heard.outdated(message):
                self._report(sender, message)
        return None

    def _claim(self, sender: str, want: WantClaims) -> None:
        grants = tuple(self.claims.grants(want, self.epoch))
        # of the wish itself only the incarnation is remembered
        facts: tuple[WantClaims | ClaimsGranted, ...] = (want.model_copy(update={"groups": ()}), *grants)
        if changes := [fact for fact in facts if self.claims.changes(fact)]:
            self._remember(changes)
        reach("before-reply")
        for grant in grants:
            self._outbox.tell(sender, grant)

    def _report(self, sender: str, report: Reported) -> None:
        if part := self._heard.part(report, "flights"):
            self._remember([part])
        reach("before-reply")
        self._outbox.tell(sender, self._heard.answer(self.place.name, self.epoch, report.source))

    def _remember(self, facts: Sequence[Message]) -> None:
        reach("before-append")
        self._memory.remember(facts)
        reach("after-append")
        for fact in facts:
            self._fold(fact)

    def _fold(self, fact: Message) -> None:
        match fact:
            case WantClaims() | ClaimsGranted():
                self.claims.fold(fact)
            case Reported():
                self._heard.fold(fact)
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
            "epoch": self.epoch,
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
            "acknowledged": dict(self._heard.upto),
            "peers": self._peers.up(),
            "journal_seq": self._memory.seq,
            "failed": "",
        }
