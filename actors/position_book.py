"""The position book: owns capital, positions and profit.

It grants capital once and for all (what a holder spends comes back to that holder as cash, never to us by time), and
folds what executors report of their fills into books that balance.
"""

from __future__ import annotations

from loguru import logger

from actors.owner import Keeping
from actors.points import reach
from actors.shell import Clock, Outbox, Place
from configs.settings import Dialect, money, read_settings
from core.costs import Costs
from core.ledger import Accounts
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.leases import CapitalGranted, Reported, WantCapital
from messages.units import Money


class PositionBook:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = read_settings(place.settings)
        self._capital = {name: money(venue.capital_dollars) for name, venue in self._settings.venues.items()}
        self._nets = {name: venue.dialect is Dialect.KALSHI for name, venue in self._settings.venues.items()}
        self._granted: dict[tuple[str, str], Money] = {}
        """By venue and holder, in all."""
        self.accounts, self.costs = Accounts(), Costs()
        self._keeping = Keeping(place, self._settings, "booked", self._fold)
        self._disputed = self._unknown = 0

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
            case WantCapital() if message.venue in self._capital and not self._old(message):
                self._grant(sender, message)
            case Reported() if not self._keeping.heard.outdated(message):
                self._keeping.report(sender, message)
        return None

    # Capital

    def _old(self, want: WantCapital) -> bool:
        return want.epoch < self._keeping.heard.epochs.get(want.holder, 0)

    def _grant(self, sender: str, want: WantCapital) -> None:
        key = (want.venue, want.holder)
        total = self._granted.get(key, Money(0))
        if want.granted > total:
            # it holds more than we ever wrote down: a journal of ours was lost, and a person must look
            self._disputed += 1
            logger.error("{} states {} granted at {}, the book says {}", want.holder, want.granted, want.venue, total)
        elif want.granted == total and (more := min(want.wanted, self._left(want.venue))) > 0:
            grant = self._granting(want, Money(total + more))
            self._keeping.remember([grant])
        reach("before-reply")
        self._outbox.tell(sender, self._granting(want, self._granted.get(key, Money(0))))

    def _granting(self, want: WantCapital, total: Money) -> CapitalGranted:
        return CapitalGranted(owner_epoch=self.epoch, holder=want.holder, venue=want.venue, total=total)

    def _granted_at(self, venue: str) -> Money:
        return Money(sum(total for (where, _), total in self._granted.items() if where == venue))

    def _left(self, venue: str) -> int:
        """What nobody was granted; nothing, where less capital is configured now than was granted before."""
        return max(0, self._capital[venue] - self._granted_at(venue))

    # Fills

    # Append and fold

    def _fold(self, fact: Message) -> None:
        match fact:
            case CapitalGranted():
                key = (fact.venue, fact.holder)
                self._granted[key] = Money(max(fact.total, self._granted.get(key, 0)))
            case Reported():
                for entry in fact.booked:
                    self._unknown += entry.venue not in self._nets
                    nets = self._nets.get(entry.venue, False)
                    self.accounts.post(entry, nets)
                    self.costs.post(entry, nets)

    def snapshot(self) -> dict[str, object]:
        lines = self.costs.lines.items()
        venues = dict.fromkeys([*self._capital, *self.accounts.cash])
        realised = {venue: sum(line.realised for (v, _, _), line in lines if v == venue) for venue in venues}
        fees = {venue: self.accounts.fees.get(venue, 0) for venue in venues}
        return {
            **self._keeping.seen(),
            "capital": dict(self._capital),
            "granted": {f"{holder}@{venue}": total for (venue, holder), total in self._granted.items()},
            "free": {venue: self._left(venue) for venue in self._capital},
            "spent": {venue: -self.accounts.cash.get(venue, 0) for venue in venues},
            "positions": [
                {
                    "venue": venue,
                    "market": market,
                    "outcome": outcome.value,
                    "contracts": line.contracts,
                    "basis": line.basis,
                    "average": line.average,
                    "realised": line.realised,
                    "fees": line.fees,
                }
                for (venue, market, outcome), line in lines
                if line.contracts or line.realised or line.fees
            ],
            "realised": realised,
            "fees": fees,
            "net": {venue: realised[venue] - fees[venue] for venue in venues},
            "disputed": self._disputed,
            "unknown_venue": self._unknown,
        }
