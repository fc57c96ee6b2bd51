"""The simulated venues of a session: real processes that begin before the engine, are asked for their books, and leave nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import time
from pathlib import Path

import aiohttp
import pytest

from configs.load import load
from configs.settings import Settings
from console.simulated import ROOT, TAPE_LEAD_S, SimulatedVenues, VenueGone, VenueNotReady
from messages.units import SECOND


def chosen(directory: Path, **sim: object) -> Settings:
    given = load([ROOT / "configs" / "sim.yaml"]).settings
    return given.model_copy(update={"home": directory, "sim": given.sim.model_copy(update=sim)})


def pids(venues: SimulatedVenues) -> list[int]:
    return [running.process.pid for running in venues.running.values()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def modes(secrets: list[str]) -> set[tuple[int, int]]:
    """Of each file that a reference names, and of its folder."""
    files = [Path(secret.removeprefix("file:")) for secret in secrets]
    return {(stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) for file in files}


async def test_from_their_start_to_the_death_of_one(tmp_path: Path) -> None:
    async with SimulatedVenues(chosen(tmp_path, faults="standard"), tmp_path) as venues:
        started = pids(venues)
        settings = venues.connected()
        for name, venue in settings.venues.items():
            assert venue.rest.startswith("http://127.0.0.1:")
            assert venue.ws_market.startswith("ws://127.0.0.1:")
            assert modes([key.secret for key in venue.keys]) == {(0o600, 0o700)}
            assert venues.described()[name]["pid"] in started
        assert "secret" not in str(venues.described())
        ledgers = await venues.ledgers()
        assert {name: ledger["dialect"] for name, ledger in ledgers.items()} == {n: n for n in settings.venues}
        await venues.faults_off()
        async with aiohttp.ClientSession() as session:
            for running in venues.running.values():
                async with session.get(f"{running.ready['admin']}/status") as answer:
                    assert (await answer.json())["script"] == "none"

        watching = asyncio.create_task(venues.ended())
        await asyncio.sleep(0)
        os.kill(venues.running["polymarket"].process.pid, signal.SIGKILL)
        assert "venue polymarket ended by itself (exit -9)" in await watching
        for asking in (venues.faults_off(), venues.ledgers()):
            with pytest.raises(VenueGone, match=r"polymarket ended by itself \(exit -9\)"):
                await asking
    assert not any(alive(pid) for pid in started)


async def test_what_a_venue_says_when_it_cannot_start_is_what_a_person_reads(tmp_path: Path) -> None:
    before = time.time_ns()
    venues = SimulatedVenues(chosen(tmp_path, tape=str(tmp_path)), tmp_path)
    with pytest.raises(VenueNotReady, match=r"venue kalshi did not start: kalshi: tape file .* not found"):
        async with venues:
            pass
    assert len(venues.running) == 2, "the other one was on its way"
    assert not any(alive(pid) for pid in pids(venues))
    assert venues.start_ns >= before + TAPE_LEAD_S * SECOND, "a tape begins when the engine is there, not before"
