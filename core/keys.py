"""One venue's order budget and its keys: what may be granted, to whom, through which key.

The budget is that of the account, so all keys of a venue share one token bucket. A lease takes its tokens out of the
bucket at once, and **level + outstanding never exceeds the capacity**: whatever holders may still spend has its room, so
no window of time ever sees more orders than the capacity plus what the rate refills in it.

    level ──grant──► outstanding ──reported spent, or expired──► gone
      ▲                   │
      ├───given back──────┘   when a report names a newer lease: the holder has moved on
      └── refill by time, up to capacity − outstanding

A holder goes on spending a lease until the next one arrives and takes what it spent since its first report off that
one. So a report proves what was spent, but only the first report about a *newer* lease proves that nothing more will be.
Where the holder itself was replaced, nothing is proved and nothing comes back.

Some of the bucket is kept for closing: after every opening grant the level and what is leased for closing together
still hold the reserve. Times are never journaled: after a replay the bucket is empty, every lease is as young as the
replay and gives nothing back, every pause begins anew. Each of these errs on the side of having less.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.units import ceil_div
from messages.control import Resume
from messages.leases import KeysGranted, WantKeys
from messages.units import SECOND, Nanos

TOKEN = int(SECOND)
"""The level is kept in billionths of an order, so that a refill by nanoseconds is exact."""
BUCKET_S = 2
RESERVE_PERCENT = 30
OPENING_FOR = Nanos(2 * SECOND)
CLOSING_FOR = Nanos(30 * SECOND)
ON_ITS_WAY = Nanos(SECOND)
"""A holder counts validity from the arrival; the owner waits this much longer."""
PREFERRED_FOR = Nanos(30 * SECOND)
BACK_OFF_FIRST = Nanos(SECOND)
BACK_OFF_MOST = Nanos(120 * SECOND)
SLOT = Nanos(5 * SECOND)
MINUTE = Nanos(60 * SECOND)
HOUR = Nanos(3600 * SECOND)
REPORTS_KEPT = 32
"""By which a repeated report of a holder is known."""
ASKING_FOR = Nanos(5 * SECOND)
"""A holder that asked in this time counts among those who share, whether it got anything or not."""
LEASES_MOST = 3
"""Of one holder at a time: the one that it spends, the one on its way, and one whose grant was lost."""


@dataclass(slots=True)
class Lease:
    """What one grant may still be spent for."""

    holder: str
    key: str
    opening: int
    closing: int
    opening_until: Nanos
    closing_until: Nanos
    opened: int = 0
    closed: int = 0
    certain: bool = True
    """False where it is older than this incarnation: it may have expired and been made up for since."""

    @property
    def outstanding_opening(self) -> int:
        return max(0, self.opening - self.opened)

    @property
    def outstanding_closing(self) -> int:
        return max(0, self.closing - self.closed)

    @property
    def outstanding(self) -> int:
        return self.outstanding_opening + self.outstanding_closing


@dataclass(slots=True)
class Key:
    """How one key fares."""

    strikes: int = 0
    """Reports in a row that brought rate-limit answers."""
    backing_off_until: Nanos = Nanos(0)
    quarantined: bool = False
    spent: deque[tuple[Nanos, int]] = field(default_factory=deque)
    """By slot of time, for an hour."""

    def healthy(self, now: Nanos) -> bool:
        return not self.quarantined and now >= self.backing_off_until

    def add(self, orders: int, now: Nanos) -> None:
        slot = Nanos(now // SLOT * SLOT)
        if self.spent and self.spent[-1][0] == slot:
            orders += self.spent.pop()[1]
        self.spent.append((slot, orders))
        while self.spent[0][0] <= now - HOUR:
            self.spent.popleft()

    def used(self, now: Nanos, within: Nanos) -> int:
        return sum(orders for slot, orders in self.spent if slot > now - within)


def back_off(key: str, strikes: int) -> Nanos:
    """How long a key rests: doubling, and up to half as much again by a draw that a replay repeats."""
    pause = min(BACK_OFF_FIRST << min(strikes - 1, 16), BACK_OFF_MOST)
    drawn = int.from_bytes(hashlib.sha256(f"{key}:{strikes}".encode()).digest()[:4], "big")
    return Nanos(pause + (pause // 2) * drawn // 2**32)


@dataclass(frozen=True, slots=True)
class Choice:
    """The key to go through, and whether opening orders may."""

    key: str
    healthy: bool
    usable: bool


class Pool:
    """The state of one venue's budget. What is granted changes by `fold` alone; time and repeats only wear leases out."""

    def __init__(self, orders_per_second: int, keys: Sequence[str], now: Nanos) -> None:
        self._rate = orders_per_second
        self.capacity = BUCKET_S * orders_per_second
        self.reserve = ceil_div(self.capacity * RESERVE_PERCENT, 100)
        self.level = self.capacity * TOKEN
        self.keys = {key: Key() for key in keys}
        self.leases: dict[int, Lease] = {}
        self.last_lease = 0
        self.preferred = next(iter(self.keys))
        self._preferred_at = now
        self._now = now
        self._epochs: dict[str, int] = {}
        self._reports: dict[str, deque[WantKeys]] = {}
        self._asked: dict[str, Nanos] = {}
        """When each holder asked last; not remembered over a restart, since they ask again at once."""

    # Time

    def pass_time(self, now: Nanos) -> None:
        """Refill, and count as spent what expires, each at its instant."""
        ends = {end for lease in self.leases.values() for end in (lease.opening_until, lease.closing_until)}
        for instant in (*sorted(end for end in ends if self._now < end < now), now):
            self._refill(instant)
            self._expire(instant)

    def _refill(self, now: Nanos) -> None:
        passed = max(0, now - self._now)
        self._now = Nanos(self._now + passed)
        self.level = min(self.level + passed * self._rate, self._room)

    def _expire(self, now: Nanos) -> None:
        for number, lease in list(self.leases.items()):
            if now >= lease.opening_until:
                self._add(lease.key, lease.outstanding_opening)
                lease.opened = max(lease.opened, lease.opening)
            if now >= lease.closing_until:
                self._drop(number)

    def restarted(self, now: Nanos) -> None:
        """After a replay: what passed meanwhile is unknown, so nothing is refilled for it and nothing has expired."""
        self._now = now
        if self.last_lease:
            self.level = 0
        for lease in self.leases.values():
            lease.certain = False

    # The fold

    def fold(self, message: object) -> None:
        """One journaled fact, at the time that was passed last."""
        match message:
            case WantKeys():
                self._report(message)
            case KeysGranted():
                self._granted(message)
            case Resume():
                # a person says that the keys are good again
                for key in self.keys.values():
                    key.quarantined = False
            case _:
                pass

    def outdated(self, want: WantKeys) -> bool:
        """Sent by an incarnation of the holder that has a successor."""
        return want.epoch < self._epochs.get(want.holder, 0)

    def tells(self, want: WantKeys) -> bool:
        """Whether the report in it would change anything: what changes nothing is not journaled."""
        if want.epoch > self._epochs.get(want.holder, 0):
            return True
        if want in self._reports.get(want.holder, ()):
            return False
        lease = self._held(want)
        if lease is not None and (want.opened > lease.opened or want.closed > lease.closed):
            return True
        moved_on = lease is not None and min(self._numbers(want.holder)) < want.lease
        return moved_on or want.rate_limited > 0 or want.unauthorised > 0

    def _report(self, want: WantKeys) -> None:
        reports = self._reports.setdefault(want.holder, deque(maxlen=REPORTS_KEPT))
        if self.outdated(want) or want in reports:
            return
        reports.append(want)
        if want.epoch > self._epochs.get(want.holder, 0):
            self._epochs[want.holder] = want.epoch
            for number in self._numbers(want.holder):
                self._drop(number)
        lease, spent = self._held(want), 0
        if lease is not None:
            for number in self._numbers(want.holder):
                if number < want.lease:
                    self._give_back(number)
            spent = self._spent(lease, want)
        name = (lease or self._newest(want.holder) or _NONE).key
        if name in self.keys:
            self._met(name, want, spent)

    def _spent(self, lease: Lease, want: WantKeys) -> int:
        """Counts of one lease only grow; a smaller one was overtaken on its way."""
        opened, closed = max(0, want.opened - lease.opened), max(0, want.closed - lease.closed)
        before = lease.outstanding
        lease.opened += opened
        lease.closed += closed
        overdrawn = opened + closed - (before - lease.outstanding)
        self.level -= overdrawn * TOKEN
        self._add(lease.key, opened + closed)
        return opened + closed

    def _met(self, name: str, want: WantKeys, spent: int) -> None:
        key = self.keys[name]
        if want.unauthorised > 0:
            key.quarantined = True
        if want.rate_limited > 0:
            key.strikes += 1
            key.backing_off_until = Nanos(max(key.backing_off_until, self._now + back_off(name, key.strikes)))
        elif spent and self._now >= key.backing_off_until:
            key.strikes = 0

    def _granted(self, grant: KeysGranted) -> None:
        self.last_lease = max(self.last_lease, grant.lease)
        if grant.key != self.preferred and grant.key in self.keys:
            self.preferred, self._preferred_at = grant.key, self._now
        for number in self._numbers(grant.holder)[: 1 - LEASES_MOST]:
            self._drop(number)  # in a replay only: it had expired before this grant
        self.level -= (grant.opening + grant.closing) * TOKEN
        self.leases[grant.lease] = Lease(
            holder=grant.holder,
            key=grant.key,
            opening=grant.opening,
            closing=grant.closing,
            opening_until=Nanos(self._now + grant.opening_for + ON_ITS_WAY),
            closing_until=Nanos(self._now + grant.closing_for + ON_ITS_WAY),
        )

    def _give_back(self, number: int) -> None:
        lease = self.leases[number]
        if not lease.certain:
            self._drop(number)
            return
        del self.leases[number]
        self.level = min(self.level + lease.outstanding * TOKEN, self._room)

    def _drop(self, number: int) -> None:
        """Counted as spent, since nothing says otherwise."""
        lease = self.leases.pop(number)
        self._add(lease.key, lease.outstanding)

    def _add(self, key: str, orders: int) -> None:
        if orders and key in self.keys:
            self.keys[key].add(orders, self._now)

    # The decision

    def choose(self, now: Nanos) -> Choice:
        """The healthy key that was used least; the preferred one stays for a while, and then only if it is better."""
        healthy = [name for name, key in self.keys.items() if key.healthy(now)]
        if not healthy:
            usable = [name for name, key in self.keys.items() if not key.quarantined]
            soonest = min(usable or self.keys, key=lambda name: self.keys[name].backing_off_until)
            return Choice(soonest, healthy=False, usable=bool(usable))
        if self.preferred in healthy and now - self._preferred_at < PREFERRED_FOR:
            return Choice(self.preferred, healthy=True, usable=True)
        ring = list(self.keys)
        after = ring.index(self.preferred) + 1

        def wear(name: str) -> tuple[int, bool, int, int]:
            distance = (ring.index(name) - after) % len(ring)
            return self._load(name, now), name == self.preferred, self.keys[name].used(now, HOUR), distance

        return Choice(min(healthy, key=wear), healthy=True, usable=True)

    def grant(self, want: WantKeys, owner_epoch: int, now: Nanos) -> KeysGranted | None:
        """The next lease, or None where the holder does better with the one that it has."""
        self._asked[want.holder] = now
        numbers = self._numbers(want.holder)
        if len(numbers) >= LEASES_MOST:
            return None
        choice = self.choose(now)
        holders = {lease.holder for lease in self.leases.values() if now < lease.opening_until}
        # whoever asks and holds nothing must find something left, or those who hold go on taking all of it
        holders |= {holder for holder, asked in self._asked.items() if now - asked < ASKING_FOR}
        # a holder has two leases at a time, the one that it spends and the one on its way
        share = 2 * len(holders)
        free = max(0, self.level // TOKEN)
        kept = max(0, self.reserve - sum(lease.outstanding_closing for lease in self.leases.values()))
        opening = max(0, min(max(1, (self.capacity - self.reserve) // share), free - kept)) if choice.healthy else 0
        closing = min(max(1, self.reserve // share), free - opening) if choice.usable else 0
        current = self._newest(want.holder)
        if current is None:
            better = opening + closing > 0
        elif choice.healthy and self._healthy(current.key, now):
            better = opening > 0 or (closing > 0 and not current.outstanding_opening)
        else:
            # even nothing is better than to go on through a key that is out
            better = opening + closing > 0 or current.outstanding > 0
        if not better:
            return None
        return KeysGranted(
            owner_epoch=owner_epoch,
            holder=want.holder,
            holder_epoch=want.epoch,
            venue=want.venue,
            lease=self.last_lease + 1,
            key=choice.key,
            opening=opening,
            closing=closing,
            opening_for=OPENING_FOR,
            closing_for=CLOSING_FOR,
        )

    def repeat(self, want: WantKeys, owner_epoch: int, now: Nanos) -> KeysGranted:
        """No new lease. A grant that the holder seems not to have got is told again, and is as young as this telling;
        to one that has it, under the same number, there is nothing to say: it goes on with what it has.
        """
        number = max(self._numbers(want.holder), default=0)
        lease = self.leases.get(number, _NONE)
        lost = number not in (0, want.lease)
        if lost:
            lease.opening_until = Nanos(max(lease.opening_until, now + OPENING_FOR + ON_ITS_WAY))
            lease.closing_until = Nanos(max(lease.closing_until, now + CLOSING_FOR + ON_ITS_WAY))
        return KeysGranted(
            owner_epoch=owner_epoch,
            holder=want.holder,
            holder_epoch=want.epoch,
            venue=want.venue,
            lease=number,
            key=lease.key or self.choose(now).key,
            opening=lease.outstanding_opening if lost else 0,
            closing=lease.outstanding_closing if lost else 0,
            opening_for=OPENING_FOR if lost else Nanos(0),
            closing_for=CLOSING_FOR if lost else Nanos(0),
        )

    # What it shows

    @property
    def outstanding(self) -> int:
        return sum(lease.outstanding for lease in self.leases.values())

    def outstanding_of(self, key: str) -> int:
        return sum(lease.outstanding for lease in self.leases.values() if lease.key == key)

    @property
    def _room(self) -> int:
        return max(0, self.capacity - self.outstanding) * TOKEN

    def _healthy(self, key: str, now: Nanos) -> bool:
        return key in self.keys and self.keys[key].healthy(now)

    def _load(self, key: str, now: Nanos) -> int:
        return self.keys[key].used(now, MINUTE) + self.outstanding_of(key)

    def _numbers(self, holder: str) -> list[int]:
        """Of this holder's leases, oldest first."""
        return sorted(number for number, lease in self.leases.items() if lease.holder == holder)

    def _newest(self, holder: str) -> Lease | None:
        numbers = self._numbers(holder)
        return self.leases[numbers[-1]] if numbers else None

    def _held(self, want: WantKeys) -> Lease | None:
        """The lease that the report is about, if it is that holder's and not over."""
        lease = self.leases.get(want.lease)
        return lease if lease is not None and lease.holder == want.holder else None


_NONE = Lease(holder="", key="", opening=0, closing=0, opening_until=Nanos(0), closing_until=Nanos(0))
