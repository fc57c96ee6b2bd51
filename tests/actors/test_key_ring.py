"""The key leases of an executor: what is spent never exceeds what was leased, and the owner hears of all of it."""

from __future__ import annotations

import random
from collections import deque

import pytest

from actors.key_ring import KeyRing
from core.keys import Pool
from messages.leases import KeysGranted, WantKeys
from messages.units import MILLISECOND, SECOND, Nanos

V = "venue"


def grant(lease: int = 1, opening: int = 3, closing: int = 2, key: str = "one") -> KeysGranted:
    return KeysGranted(
        owner_epoch=1,
        holder="executor",
        holder_epoch=1,
        venue=V,
        lease=lease,
        key=key,
        opening=opening,
        closing=closing,
        opening_for=Nanos(2 * SECOND),
        closing_for=Nanos(30 * SECOND),
    )


def ring(*grants: KeysGranted, at: int = 0) -> KeyRing:
    fresh = KeyRing("executor", 1)
    for one in grants:
        fresh.granted(one, Nanos(at))
    return fresh


def spent(keys: KeyRing, at: int = 0, *, closing: bool = False, most: int = 99) -> int:
    return next((n for n in range(most) if not keys.spend(V, Nanos(at), closing=closing)), most)


def test_without_a_lease_nothing_is_sent() -> None:
    assert not ring().spend(V, Nanos(0), closing=True)
    assert ring().opening_left(V, Nanos(0)) == 0
    assert ring().want(V).lease == 0


def test_opening_spends_its_own_budget_only_and_closing_may_use_both() -> None:
    assert spent(ring(grant())) == 3
    assert spent(ring(grant()), closing=True) == 2 + 3
    keys = ring(grant())
    spent(keys)
    assert spent(keys, closing=True) == 2, "the reserve for closing is still there"


def test_opening_ends_before_closing_does() -> None:
    keys = ring(grant())
    assert spent(keys, at=2 * SECOND) == 0
    assert spent(keys, at=2 * SECOND, closing=True) == 2
    assert spent(ring(grant()), at=30 * SECOND, closing=True) == 0


def test_what_is_spent_after_the_report_is_taken_off_the_next_lease() -> None:
    keys = ring(grant())
    keys.spend(V, Nanos(0), closing=False)
    assert keys.want(V).opened == 1
    keys.spend(V, Nanos(0), closing=False)
    keys.spend(V, Nanos(0), closing=True)
    keys.granted(grant(2), Nanos(0))
    assert keys.opening_left(V, Nanos(0)) == 2
    told = keys.want(V)
    assert (told.lease, told.opened, told.closed) == (2, 1, 1)


def test_the_first_report_of_a_lease_stands() -> None:
    """The owner gives back what it left; a later one would give back less than was said."""
    keys = ring(grant())
    first = keys.want(V)
    keys.spend(V, Nanos(0), closing=False)
    assert keys.want(V) == first


def test_a_late_copy_of_a_grant_changes_nothing() -> None:
    keys = ring(grant(4))
    spent(keys)
    for late in (grant(4), grant(3)):
        keys.granted(late, Nanos(0))
        assert keys.opening_left(V, Nanos(0)) == 0


def test_an_owner_that_begins_again_below_is_heard_once_the_old_lease_is_over() -> None:
    keys = ring(grant(50))
    keys.granted(grant(1), Nanos(SECOND))
    assert keys.want(V).lease == 50
    keys.granted(grant(1), Nanos(31 * SECOND))
    assert keys.want(V).lease == 1


def test_what_a_key_met_is_told_until_the_owner_has_answered() -> None:
    keys = ring(grant())
    keys.met(V, "one", rate_limited=True)
    keys.met(V, "one", unauthorised=True)
    lost = keys.want(V)
    assert (lost.rate_limited, lost.unauthorised) == (1, 1)
    assert keys.want(V) == lost, "it may never have been heard"
    keys.met(V, "one", rate_limited=True)
    keys.granted(grant(2), Nanos(0))
    told = keys.want(V)
    assert (told.rate_limited, told.unauthorised) == (1, 0), "what came after the report is told in the next"


def test_an_answer_that_comes_late_is_not_held_against_another_key() -> None:
    keys = ring(grant(1, key="one"), grant(2, key="two"))
    keys.met(V, "one", unauthorised=True)
    assert keys.want(V).unauthorised == 0, "the owner would quarantine the healthy one"
    keys.granted(grant(3, key="one"), Nanos(0))
    assert keys.want(V).unauthorised == 1


def test_it_shows_what_is_left() -> None:
    keys = ring(grant())
    spent(keys, closing=True)
    assert keys.snapshot(Nanos(0)) == {V: {"key": "one", "lease": 1, "opening_left": 0, "closing_left": 0}}


RATE = 10


@pytest.mark.parametrize("seed", range(40))
def test_two_parties_and_a_bad_line_never_spend_more_than_the_account_has(seed: int) -> None:
    """Messages are lost, repeated and late; the holder dies and comes back; the owner replays its journal."""
    draw = random.Random(seed)  # noqa: S311  repeats from its seed
    now = Nanos(0)
    pool, journal = Pool(RATE, ("one", "two"), now), list[WantKeys | KeysGranted]()
    keys, epoch = KeyRing("executor", 1), 1
    line: deque[tuple[int, KeysGranted]] = deque()
    orders: list[int] = []
    for _ in range(400):
        now = Nanos(now + draw.choice((10, 50, 200)) * MILLISECOND)
        tries = draw.choice((0, 0, 1, 5))
        orders += [now for _ in range(tries) if keys.spend(V, now, closing=draw.random() < 0.4)]
        while line and line[0][0] <= now:
            keys.granted(line.popleft()[1], now)
        if draw.random() < 0.02:
            epoch += 1
            keys = KeyRing("executor", epoch)  # what was on its way to its predecessor comes to it
        if draw.random() < 0.02:
            pool = Pool(RATE, ("one", "two"), now)
            for fact in journal:
                pool.fold(fact)
            pool.restarted(now)
        want = keys.want(V)
        if draw.random() < 0.3:
            continue
        pool.pass_time(now)
        if pool.tells(want):
            journal.append(want)
            pool.fold(want)
        given = pool.grant(want, 1, now)
        if given is not None:
            journal.append(given)
            pool.fold(given)
        answer = given or pool.repeat(want, 1, now)
        for _ in range(draw.choice((0, 1, 1, 1, 2))):
            line.append((now + draw.choice((1, 100, 400)) * MILLISECOND, answer))
    for first, start in enumerate(orders):
        for last in range(first, len(orders)):
            allowed = pool.capacity + RATE * (orders[last] - start) / SECOND
            assert last - first + 1 <= allowed + 1, f"{last - first + 1} orders in {(orders[last] - start) / SECOND} s"
    assert len(orders) > 20
