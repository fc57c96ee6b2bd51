"""The key leases that an executor holds: spent locally, reported with the next request, perishable.

One lease a venue. What is spent between the report and the arrival of the next lease is carried over and taken off the
new one, so that nothing is spent twice. What a key met (429, 401) is told of that key alone, and told again until the
owner has answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from messages.leases import KeysGranted, WantKeys
from messages.units import Nanos


@dataclass(slots=True)
class _Lease:
    number: int
    key: str
    opening: int
    closing: int
    opening_until: Nanos
    closing_until: Nanos
    opened: int = 0
    closed: int = 0
    reported: tuple[int, int] | None = None
    """(opened, closed) as first told to the owner, who gives back the rest: what is spent after it is carried over."""


@dataclass(slots=True)
class _Met:
    """What requests through one key met, as counts that the owner has not answered yet."""

    rate_limited: int = 0
    unauthorised: int = 0
    told: tuple[int, int] = field(default=(0, 0))
    """How much of it was in the last report."""

    def answered(self) -> None:
        self.rate_limited -= self.told[0]
        self.unauthorised -= self.told[1]
        self.told = (0, 0)


class KeyRing:
    """`spend` is on the way of every order and waits for nobody."""

    def __init__(self, holder: str, epoch: int) -> None:
        self._holder, self._epoch = holder, epoch
        self._leases: dict[str, _Lease] = {}
        self._met: dict[tuple[str, str], _Met] = {}
        """By venue and key: an answer may come when the next lease, through another key, is here already."""

    def granted(self, grant: KeysGranted, now: Nanos) -> None:
        if grant.holder_epoch != self._epoch:
            return  # to a predecessor, who died before it came: the owner has counted it as spent
        for (venue, _), met in self._met.items():
            if venue == grant.venue:
                met.answered()
        old = self._leases.get(grant.venue)
        if old is not None and grant.lease <= old.number and old.closing_until > now:
            return  # a late copy; an owner that lost its memory would begin again below, after expiry
        lease = _Lease(
            number=grant.lease,
            key=grant.key,
            opening=grant.opening,
            closing=grant.closing,
            opening_until=Nanos(now + grant.opening_for),
            closing_until=Nanos(now + grant.closing_for),
        )
        if old is not None:
            opened, closed = old.reported or (0, 0)
            lease.opened, lease.closed = old.opened - opened, old.closed - closed
        self._leases[grant.venue] = lease

    def opening_left(self, venue: str, now: Nanos) -> int:
        lease = self._leases.get(venue)
        if lease is None or now >= lease.opening_until:
            return 0
        return max(0, lease.opening - lease.opened)

    def spend(self, venue: str, now: Nanos, *, closing: bool) -> bool:
        """Pay for one order from the lease; false where it does not. Closing may use both budgets, opening only its own."""
        lease = self._leases.get(venue)
        if lease is None:
            return False
        if closing and now < lease.closing_until and lease.closed < lease.closing:
            lease.closed += 1
            return True
        if now < lease.opening_until and lease.opened < lease.opening:
            lease.opened += 1
            return True
        return False

    def key(self, venue: str) -> str | None:
        """The key to prefer now; reads have a budget of their own."""
        lease = self._leases.get(venue)
        return lease.key if lease is not None else None

    def met(self, venue: str, key: str, *, rate_limited: bool = False, unauthorised: bool = False) -> None:
        if rate_limited or unauthorised:
            met = self._met.setdefault((venue, key), _Met())
            met.rate_limited += rate_limited
            met.unauthorised += unauthorised

    def want(self, venue: str) -> WantKeys:
        """The report of what was spent, which asks for the next budget."""
        lease = self._leases.get(venue)
        number = opened = closed = rate_limited = unauthorised = 0
        if lease is not None:
            # the first report of a lease stands: if it is lost the same is told again, never more
            lease.reported = lease.reported or (lease.opened, lease.closed)
            number, (opened, closed) = lease.number, lease.reported
            if (met := self._met.get((venue, lease.key))) is not None:
                rate_limited, unauthorised = met.told = met.rate_limited, met.unauthorised
        return WantKeys(
            holder=self._holder,
            epoch=self._epoch,
            venue=venue,
            lease=number,
            opened=opened,
            closed=closed,
            rate_limited=rate_limited,
            unauthorised=unauthorised,
        )

    def snapshot(self, now: Nanos) -> dict[str, object]:
        return {
            venue: {
                "key": lease.key,
                "lease": lease.number,
                "opening_left": self.opening_left(venue, now),
                "closing_left": max(0, lease.closing - lease.closed) if now < lease.closing_until else 0,
            }
            for venue, lease in self._leases.items()
        }
