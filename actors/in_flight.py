"""The in-flight registry: owns who may trade which event group, and shows what is in flight and why it was released.

Within a claim the holder's journal alone decides what is in flight; what is kept of it here is for people to look at.
A claim that a person moves goes to its new holder when the present one has journaled that it gave it back, and no
sooner: nothing here counts time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from loguru import logger

from actors.owner import Keeping
from actors.points import reach
from actors.shell import Clock, Outbox, Place
from configs.settings import read_settings
from core.claims import Claims, executors_of
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.leases import ClaimsGranted, ClaimsReturned, Flight, MoveClaims, Reported, WantClaims

RELEASES_KEPT = 200


class InFlight:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = read_settings(place.settings)
        self.claims = Claims(executors_of(self._settings.engine.executors))
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
            case MoveClaims():
                self._move(message)
            case Reported() if not self._keeping.heard.outdated(message):
                self._keeping.report(sender, message)
        return None

    def _claim(self, sender: str, want: WantClaims) -> None:
        # of the wish itself only the incarnation is remembered
        asked = want.model_copy(update={"groups": (), "returned": ()})
        self._remember((asked, self.claims.returns(want, self._clock.now())))
        grants = tuple(self.claims.grants(want, self.epoch))
        self._remember(grants)
        reach("before-reply")
        for grant in grants:
            self._outbox.tell(sender, grant)
        self._ask_back(want.holder)

    def _move(self, move: MoveClaims) -> None:
        if move.to not in self.claims.executors:
            logger.warning("{} wants {} moved to {}, which is no executor here", move.by, move.groups, move.to)
            return
        if not self.claims.changes(move):
            logger.info("{} said since where {} is to go", move.by, move.groups)
        self._remember((move,))
        reach("before-reply")
        for holder in sorted({self.claims.holders[group] for group in move.groups if group in self.claims.holders}):
            self._ask_back(holder)

    def _ask_back(self, holder: str) -> None:
        for due in self.claims.asked_back(holder, self.epoch):
            self._outbox.tell(holder, due)

    def _remember(self, facts: Iterable[WantClaims | ClaimsGranted | MoveClaims | ClaimsReturned]) -> None:
        if changes := [fact for fact in facts if self.claims.changes(fact)]:
            self._keeping.remember(changes)

    def _fold(self, fact: Message) -> None:
        match fact:
            case WantClaims() | ClaimsGranted() | MoveClaims() | ClaimsReturned():
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
            "terms": dict(self.claims.terms),
            "leaving": [
                {"group": group, "holder": self.claims.holders[group], "to": move.to, "by": move.by, "why": move.why}
                for group, move in self.claims.moves.items()
                if self.claims.leaves(group)
            ],
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
