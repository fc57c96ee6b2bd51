"""The key pool as an actor: journal before reply, and a restart at any moment mints nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.clock import HandClock
from actors.key_pool import KeyPool
from actors.key_ring import KeyRing
from messages.control import Resume
from messages.leases import KeysGranted, WantKeys
from messages.units import MILLISECOND, SECOND, Nanos
from tests.actors.stage import START, Outbox, dies_at, on_stage, place, say, up


def want(
    lease: int = 0, opened: int = 0, closed: int = 0, *, epoch: int = 1, venue: str = "kalshi", **met: int
) -> WantKeys:
    return WantKeys(holder="executor", epoch=epoch, venue=venue, lease=lease, opened=opened, closed=closed, **met)


async def test_a_lease_is_told_and_also_answered(tmp_path: Path) -> None:
    outbox = Outbox()
    async with on_stage(KeyPool(place("key_pool.kalshi", tmp_path)), outbox) as pool:
        pool.introduced(up("executor"))
        answer = await say(pool, want())
        assert outbox.told == [("executor", answer)]
        assert isinstance(answer, KeysGranted)
        assert (answer.venue, answer.key, answer.lease, answer.owner_epoch) == ("kalshi", "kalshi-1", 1, 1)
        assert answer.opening > answer.closing > 0
        assert await say(pool, want(venue="polymarket")) is None


async def test_grant_journaled_and_reply_lost(tmp_path: Path) -> None:
    """The owner counts it as held; its number is not given again."""
    here, outbox = place("key_pool.kalshi", tmp_path), Outbox()
    async with on_stage(KeyPool(here), outbox) as pool:
        with dies_at("before-reply"):
            await say(pool, want())
        granted = pool.pool.outstanding
    assert not outbox.told
    clock = HandClock(START)
    async with on_stage(KeyPool(here), outbox, clock) as pool:
        assert (pool.pool.outstanding, pool.pool.level) == (granted, 0)
        clock.advance(Nanos(SECOND))
        await say(pool, want())
        assert outbox.last(KeysGranted).lease == 2


async def test_grant_not_journaled_was_never_given(tmp_path: Path) -> None:
    here, outbox = place("key_pool.kalshi", tmp_path), Outbox()
    async with on_stage(KeyPool(here), outbox) as pool:
        with dies_at("before-append"):
            await say(pool, want(epoch=0))
    async with on_stage(KeyPool(here), outbox) as pool:
        assert pool.pool.outstanding == 0
        assert outbox.told == []


async def test_the_owner_dies_and_the_ring_goes_on_with_what_it_has(tmp_path: Path) -> None:
    here, outbox, clock = place("key_pool.kalshi", tmp_path), Outbox(), HandClock(START)
    ring = KeyRing("executor", 1)
    async with on_stage(KeyPool(here), outbox, clock) as pool:
        await say(pool, ring.want("kalshi"))
        ring.granted(outbox.last(KeysGranted), clock.now())
    left = ring.opening_left("kalshi", clock.now())
    assert left > 0
    async with on_stage(KeyPool(here), outbox, clock) as pool:
        await say(pool, ring.want("kalshi"))
        ring.granted(outbox.last(KeysGranted), clock.now())
        assert ring.opening_left("kalshi", clock.now()) == left, "a refusal takes nothing away"
        assert ring.spend("kalshi", clock.now(), closing=True)


async def test_a_ring_that_renews_always_has_something_to_open_with(tmp_path: Path) -> None:
    outbox, clock, ring = Outbox(), HandClock(START), KeyRing("executor", 1)
    async with on_stage(KeyPool(place("key_pool.kalshi", tmp_path)), outbox, clock) as pool:
        for _ in range(20):
            await say(pool, ring.want("kalshi"))
            ring.granted(outbox.last(KeysGranted), clock.now())
            assert ring.opening_left("kalshi", clock.now()) >= 2
            ring.spend("kalshi", clock.now(), closing=False)
            ring.spend("kalshi", clock.now(), closing=True)
            clock.advance(Nanos(500 * MILLISECOND))
        keys = pool.snapshot()["keys"]
        assert isinstance(keys, dict)
        assert keys["kalshi-1"]["used_minute"] == 38
        assert keys["kalshi-1"]["state"] == "healthy"


async def test_quarantine_lasts_over_a_restart_until_a_person_lifts_it(tmp_path: Path) -> None:
    here, outbox = place("key_pool.kalshi", tmp_path), Outbox()
    async with on_stage(KeyPool(here), outbox) as pool:
        await say(pool, want(), want(1, 1, unauthorised=1))
        assert outbox.last(KeysGranted).key == "kalshi-2"
        await say(pool, want(2, 1, unauthorised=1))
        refusal = outbox.last(KeysGranted)
        assert (refusal.opening, refusal.closing) == (0, 0)
        assert pool.snapshot()["out"] is True
    async with on_stage(KeyPool(here), outbox) as pool:
        assert pool.pool.choose(START).usable is False
        await say(pool, Resume(by="operator", why="new secrets"), sender="operator")
    async with on_stage(KeyPool(here), outbox) as pool:
        assert pool.pool.choose(START).healthy


async def test_a_rate_limited_key_is_shown_and_left_alone(tmp_path: Path) -> None:
    outbox = Outbox()
    async with on_stage(KeyPool(place("key_pool.kalshi", tmp_path)), outbox) as pool:
        await say(pool, want(), want(1, 1, rate_limited=3))
        keys = pool.snapshot()["keys"]
        assert isinstance(keys, dict)
        assert keys["kalshi-1"]["state"] == "backing off"
        assert keys["kalshi-1"]["backing_off_until"] > START + SECOND - 1
        assert outbox.last(KeysGranted).key == "kalshi-2"


async def test_an_old_incarnation_gets_nothing(tmp_path: Path) -> None:
    outbox = Outbox()
    async with on_stage(KeyPool(place("key_pool.kalshi", tmp_path)), outbox) as pool:
        await say(pool, want(epoch=2))
        assert await say(pool, want(epoch=1)) is None
        assert len(outbox.told) == 1


@pytest.mark.parametrize("point", ["before-append", "after-append", "before-reply"])
async def test_killed_again_and_again_it_mints_nothing(tmp_path: Path, point: str) -> None:
    here, outbox, capacity = place("key_pool.kalshi", tmp_path), Outbox(), 0
    for turn in range(5):
        async with on_stage(KeyPool(here), outbox) as pool:
            capacity = pool.pool.capacity
            if turn % 2:
                await say(pool, want())
            else:
                with dies_at(point, surely=False):
                    await say(pool, want(1, turn))
            assert pool.pool.outstanding <= capacity
    by_lease = {grant.lease: grant.opening + grant.closing for grant in outbox.of(KeysGranted)}
    assert 0 < sum(by_lease.values()) <= capacity, "no time has passed"
