"""Order budgets: what may be spent never exceeds what the account has, whatever is lost, repeated or killed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from core.keys import BACK_OFF_MOST, CLOSING_FOR, LEASES_MOST, MINUTE, ON_ITS_WAY, OPENING_FOR, TOKEN, Pool, back_off
from messages.control import Resume
from messages.leases import KeysGranted, WantKeys
from messages.units import MILLISECOND, SECOND, Nanos

KEYS = ("one", "two", "three")
HALF = Nanos(500 * MILLISECOND)


def want(
    lease: int = 0, opened: int = 0, closed: int = 0, *, holder: str = "executor", epoch: int = 1, **met: int
) -> WantKeys:
    return WantKeys(
        holder=holder, epoch=epoch, venue="v", lease=lease, opened=opened, closed=closed, **met
    )  # fmt: skip


@dataclass
class Desk:
    """The owner without its actor: what it journals, and a restart from that."""

    rate: int = 10
    keys: tuple[str, ...] = KEYS
    now: Nanos = Nanos(0)
    journal: list[WantKeys | KeysGranted | Resume] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = Pool(self.rate, self.keys, self.now)

    def ask(self, wish: WantKeys) -> KeysGranted:
        pool = self.pool
        pool.pass_time(self.now)
        if pool.tells(wish):
            self.remember(wish)
        grant = pool.grant(wish, 1, self.now)
        if grant is None:
            grant = pool.repeat(wish, 1, self.now)
        else:
            self.remember(grant)
        self.check()
        return grant

    def remember(self, fact: WantKeys | KeysGranted | Resume) -> None:
        self.journal.append(fact)
        before = sum(lease.outstanding_opening for lease in self.pool.leases.values())
        self.pool.fold(fact)
        if isinstance(fact, KeysGranted) and fact.opening:
            closing = sum(lease.outstanding_closing for lease in self.pool.leases.values())
            assert self.pool.level // TOKEN + closing >= self.pool.reserve, "the reserve went into opening"
            assert before + fact.opening <= self.pool.capacity - self.pool.reserve

    def restart(self) -> None:
        pool = self.pool = Pool(self.rate, self.keys, self.now)
        for fact in self.journal:
            pool.fold(fact)
        pool.restarted(self.now)

    def check(self) -> None:
        pool = self.pool
        assert pool.level <= max(0, pool.capacity - pool.outstanding) * TOKEN
        for holder in {lease.holder for lease in pool.leases.values()}:
            assert sum(lease.holder == holder for lease in pool.leases.values()) <= LEASES_MOST

    def pass_(self, time: int) -> None:
        self.now = Nanos(self.now + time)


def test_the_first_lease_is_a_share_and_leaves_the_reserve() -> None:
    desk = Desk(rate=10)
    grant = desk.ask(want())
    assert (desk.pool.capacity, desk.pool.reserve) == (20, 6)
    assert (grant.opening, grant.closing) == (7, 3)
    assert (grant.opening_for, grant.closing_for) == (OPENING_FOR, CLOSING_FOR)


def test_a_holder_that_renews_twice_a_second_never_runs_dry() -> None:
    desk, grant = Desk(rate=10), None
    for _ in range(100):
        grant = desk.ask(want(grant.lease if grant else 0, opened=2, closed=1))
        assert grant.opening >= 2
        assert grant.closing >= 1
        desk.pass_(HALF)


def test_who_has_everything_leaves_a_share_to_who_asks_and_has_nothing() -> None:
    """A second executor died with its leases and came back: the first held the whole bucket in two leases by then, and
    went on renewing them, so that the second could not even close.
    """
    desk = Desk(rate=20)
    first = [desk.ask(want())]
    for _ in range(4):
        desk.now = Nanos(desk.now + SECOND)
        first.append(desk.ask(want(first[-1].lease)))
    got: list[KeysGranted] = []
    for _ in range(3):
        desk.now = Nanos(desk.now + HALF)
        got.append(desk.ask(want(got[-1].lease if got else 0, holder="executor.2")))
        desk.now = Nanos(desk.now + HALF)
        first.append(desk.ask(want(first[-1].lease)))
    assert got[0].lease == 0, "nothing was left for it"
    assert got[1].closing >= 3
    assert got[1].opening > 0


def test_what_is_reported_unspent_returns_once_the_holder_has_moved_on() -> None:
    desk = Desk(rate=10)
    first = desk.ask(want())
    second = desk.ask(want(first.lease, opened=2))
    # the holder may go on with the first until the second arrives
    assert desk.pool.outstanding == first.opening + first.closing - 2 + second.opening + second.closing
    level = desk.pool.level
    desk.pool.fold(want(second.lease, opened=1))
    assert desk.pool.level == level + (first.opening + first.closing - 2) * TOKEN


def test_what_nobody_reports_is_spent_when_it_expires() -> None:
    desk = Desk(rate=10)
    grant = desk.ask(want())
    before = desk.pool.level
    desk.pass_(OPENING_FOR + ON_ITS_WAY - 1)
    desk.pool.pass_time(desk.now)
    assert desk.pool.outstanding == grant.opening + grant.closing, "it may have arrived late"
    desk.pass_(1)
    desk.pool.pass_time(desk.now)
    assert desk.pool.outstanding == grant.closing
    assert desk.pool.level == before, "the room was taken until now, and only now it can be refilled"
    assert desk.pool.keys[grant.key].used(desk.now, MINUTE) == grant.opening


def test_counts_of_one_lease_only_grow() -> None:
    desk = Desk()
    grant = desk.ask(want())
    desk.pool.fold(want(grant.lease, opened=5))
    left = desk.pool.outstanding
    desk.pool.fold(want(grant.lease, opened=3))
    desk.pool.fold(want(grant.lease, opened=5))
    assert desk.pool.outstanding == left


def test_what_was_overdrawn_is_taken_from_the_bucket() -> None:
    desk = Desk()
    grant = desk.ask(want())
    level = desk.pool.level
    desk.pool.fold(want(grant.lease, opened=grant.opening + 2))
    assert desk.pool.level == level - 2 * TOKEN


def test_a_successor_gets_nothing_back_of_what_its_predecessor_held_and_frees_the_room() -> None:
    desk = Desk()
    first = desk.ask(want())
    desk.ask(want(first.lease))
    level = desk.pool.level
    desk.pool.fold(want(epoch=2))
    assert (desk.pool.level, desk.pool.outstanding) == (level, 0)
    assert desk.pool.outdated(want(epoch=1))


def test_after_a_replay_leases_count_and_the_bucket_is_empty() -> None:
    desk = Desk(rate=10)
    first = desk.ask(want())
    second = desk.ask(want(first.lease, opened=1))
    outstanding = desk.pool.outstanding
    desk.pass_(60 * SECOND)
    desk.restart()
    assert (desk.pool.level, desk.pool.outstanding) == (0, outstanding)
    # how long ago that was is not known, so nothing of it is given back
    desk.ask(want(second.lease))
    assert desk.pool.level == 0
    desk.pass_(SECOND)
    third = desk.ask(want(second.lease, opened=1))
    assert third.lease == second.lease + 1, "numbers are never given twice"
    assert third.opening > 0


def test_a_pool_that_never_granted_begins_full() -> None:
    desk = Desk(rate=10)
    desk.restart()
    assert desk.pool.level == desk.pool.capacity * TOKEN


def test_a_lost_grant_is_told_again_and_not_granted_again() -> None:
    desk = Desk()
    first, second, *others = [desk.ask(want()) for _ in range(6)]
    assert (first.lease, second.lease) == (1, 2)
    assert others == [second] * 4
    for _ in range(40):
        desk.pass_(HALF)
        desk.ask(want())
    assert desk.pool.last_lease <= LEASES_MOST, "a holder that hears nothing does not empty the bucket"


def test_a_poor_bucket_leaves_the_holder_what_it_has() -> None:
    desk = Desk(rate=10)
    first = desk.ask(want())
    for number in range(12):
        desk.ask(want(holder=f"other {number}"))
    refusal = desk.ask(want(first.lease))
    assert (refusal.lease, refusal.opening, refusal.closing) == (first.lease, 0, 0)


# Keys


def test_the_preferred_key_changes_among_equals() -> None:
    desk, grant = Desk(rate=10), None
    seen: list[tuple[Nanos, str]] = []
    for _ in range(200):
        grant = desk.ask(want(grant.lease if grant else 0, opened=1))
        if not seen or seen[-1][1] != grant.key:
            seen.append((desk.now, grant.key))
        desk.pass_(HALF)
    assert {key for _, key in seen} == set(KEYS)
    stays = [after - before for (before, _), (after, _) in pairwise(seen)]
    assert all(stay <= 31 * SECOND for stay in stays)


def test_an_idle_pool_rotates_too() -> None:
    desk, seen, grant = Desk(), set(), None
    for _ in range(4):
        grant = desk.ask(want(grant.lease if grant else 0))
        seen.add(grant.key)
        desk.pass_(31 * SECOND)
    assert seen == set(KEYS)


def test_a_rate_limited_key_rests_longer_each_time_and_returns_by_itself() -> None:
    desk = Desk(keys=("one", "two"))
    grant = desk.ask(want())
    for strikes in (1, 2, 3):
        desk.pool.keys["one"].backing_off_until = Nanos(0)
        desk.pool.fold(want(grant.lease, opened=strikes, rate_limited=1))
        assert desk.pool.keys["one"].backing_off_until == desk.now + back_off("one", strikes)
    assert back_off("one", 3) > back_off("one", 2) > back_off("one", 1) >= SECOND
    assert desk.pool.choose(desk.now).key == "two"
    desk.pass_(BACK_OFF_MOST * 2)
    assert desk.pool.keys["one"].healthy(desk.now)
    desk.pool.pass_time(desk.now)
    grant = desk.ask(want(holder="other"))
    desk.pool.preferred, desk.pool.leases[grant.lease].key = "one", "one"
    desk.pool.fold(want(grant.lease, opened=1, holder="other"))
    assert desk.pool.keys["one"].strikes == 0


@given(st.text(min_size=1), st.integers(1, 200))
def test_the_pause_is_bounded_and_the_same_in_every_replay(key: str, strikes: int) -> None:
    pause = back_off(key, strikes)
    assert SECOND <= pause <= BACK_OFF_MOST * 3 // 2
    assert pause == back_off(key, strikes)


def test_a_repeated_report_counts_once() -> None:
    desk = Desk()
    grant = desk.ask(want())
    report = want(grant.lease, opened=1, rate_limited=1)
    for _ in range(5):
        desk.ask(report)
    assert desk.pool.keys[grant.key].strikes == 1
    assert desk.journal.count(report) == 1


def test_a_key_that_was_not_accepted_is_set_aside_until_a_person_clears_it() -> None:
    desk = Desk(keys=("one", "two"))
    grant = desk.ask(want())
    other = desk.ask(want(grant.lease, opened=1, unauthorised=1))
    assert (grant.key, other.key) == ("one", "two")
    desk.restart()
    desk.pass_(3600 * SECOND)
    assert not desk.pool.keys["one"].healthy(desk.now)
    desk.remember(Resume(by="op", why="new secret"))
    desk.restart()
    assert desk.pool.keys["one"].healthy(desk.now)


def test_without_a_healthy_key_nothing_opens_and_closing_goes_on() -> None:
    desk = Desk(keys=("one",))
    first = desk.ask(want())
    second = desk.ask(want(first.lease, opened=1, rate_limited=1))
    assert second.lease > first.lease, "the holder must stop opening with the first"
    assert second.opening == 0
    assert second.closing > 0
    third = desk.ask(want(second.lease, unauthorised=1))
    assert (third.opening, third.closing) == (0, 0)
    assert third.lease > second.lease


# Nothing is minted


@dataclass
class Held:
    """What a holder makes of a grant: it spends until it expires on its own clock or a newer one arrives."""

    grant: KeysGranted
    at: Nanos
    opened: int = 0
    closed: int = 0
    first_report: tuple[int, int] | None = None


@dataclass
class Holder:
    name: str
    epoch: int = 1
    held: Held | None = None

    def hear(self, grant: KeysGranted, now: Nanos) -> None:
        if self.held is not None and grant.lease <= self.held.grant.lease:
            return
        new = Held(grant, now)
        if self.held is not None and self.held.first_report is not None:
            opened, closed = self.held.first_report
            new.opened, new.closed = self.held.opened - opened, self.held.closed - closed
        elif self.held is not None:
            new.opened, new.closed = self.held.opened, self.held.closed
        self.held = new

    def wish(self) -> WantKeys:
        if self.held is None:
            return want(holder=self.name, epoch=self.epoch)
        held = self.held
        held.first_report = held.first_report or (held.opened, held.closed)
        return want(held.grant.lease, held.opened, held.closed, holder=self.name, epoch=self.epoch)

    def spend(self, orders: int, now: Nanos, *, closing: bool) -> int:
        held = self.held
        if held is None:
            return 0
        spent = 0
        for _ in range(orders):
            if closing and now < held.at + held.grant.closing_for and held.closed < held.grant.closing:
                held.closed += 1
            elif now < held.at + held.grant.opening_for and held.opened < held.grant.opening:
                held.opened += 1
            else:
                break
            spent += 1
        return spent


@dataclass
class Venue:
    """The judge: a bucket of its own that leaks at the account's rate and must never overflow."""

    rate: int
    capacity: int
    now: Nanos = Nanos(0)
    fill: int = 0

    def take(self, orders: int, now: Nanos) -> None:
        self.fill = max(0, self.fill - (now - self.now) * self.rate) + orders * TOKEN
        self.now = now
        assert self.fill <= self.capacity * TOKEN, "more than the account has"


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(2, 25))
def test_no_window_of_time_sees_more_orders_than_the_bucket_and_its_refill(seed: int, rate: int) -> None:
    walk(seed, rate)


def walk(seed: int, rate: int) -> None:
    """Requests and grants are lost, repeated and overtaken; the owner and the holders die at any moment."""
    draw = random.Random(seed)  # noqa: S311  repeats from its seed
    lossy, greedy, mortal, slow = (draw.choice(weights) for weights in ((0, 1, 4), (1, 4), (0, 1), (1, 4)))
    desk = Desk(rate=rate)
    venue = Venue(rate, desk.pool.capacity)
    holders = [Holder(name) for name in ("a", "b")[: draw.choice((1, 2))]]
    requests: list[WantKeys] = []
    late: list[tuple[Holder, KeysGranted, Nanos]] = []
    steps = {"ask": 6, "request lost": lossy, "grant late": lossy, "late": lossy, "again": lossy, "spend": 4 * greedy}
    steps |= {"pass": 4, "pause": slow, "restart": mortal, "successor": mortal}
    for step in draw.choices(list(steps), list(steps.values()), k=250):
        number = draw.randrange(len(holders))
        holder = holders[number]
        match step:
            case "ask":
                requests.append(holder.wish())
                holder.hear(desk.ask(requests[-1]), desk.now)
            case "request lost":
                holder.wish()
            case "grant late":
                late.append((holder, desk.ask(holder.wish()), desk.now))
            case "late" if late:
                other, grant, told_at = late.pop(draw.randrange(len(late)))
                if desk.now - told_at < ON_ITS_WAY and other in holders:
                    other.hear(grant, desk.now)
            case "again" if requests:
                again = draw.choice(requests[-10:])
                if not desk.pool.outdated(again):
                    desk.ask(again)
            case "spend":
                orders = draw.choice((1, 3, rate, 4 * rate))
                venue.take(holder.spend(orders, desk.now, closing=draw.random() < 0.5), desk.now)
            case "pass":
                desk.pass_(draw.randrange(500) * MILLISECOND)
            case "pause":
                desk.pass_(draw.choice((1, 2, 3, 40)) * SECOND)
            case "restart":
                desk.restart()
            case "successor":
                # the first thing that it does is to ask; the mail of its predecessor is refused from then on
                holders[number] = Holder(holder.name, holder.epoch + 1)
                holders[number].hear(desk.ask(holders[number].wish()), desk.now)
            case _:
                pass
