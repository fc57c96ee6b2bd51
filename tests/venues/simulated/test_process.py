"""The command: one ready line, clear refusals, and nothing left behind."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp
import pytest

from tests.venues.simulated.clients import ROOT, SIM_PAIRS, Kalshi
from venues.simulated.universe import ConfigurationError, load_pairs


async def start(*extra: str, dialect: str = "kalshi") -> Process:
    command = f"-m venues.simulated --dialect {dialect} --name one --seed 7 --pairs {SIM_PAIRS}".split()
    return await asyncio.create_subprocess_exec(sys.executable, *command, *extra, cwd=ROOT, stdout=PIPE, stderr=PIPE)


async def test_a_venue_tells_one_line_serves_and_ends_with_its_owner():
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=PIPE)
    venue = await start("--parent-pid", str(owner.pid), "--faults", "standard")
    assert venue.stdout is not None
    ready = json.loads(await venue.stdout.readline())
    assert (ready["ready"], ready["dialect"], ready["pid"]) == (True, "kalshi", venue.pid)
    async with aiohttp.ClientSession() as session:
        status, answer = await Kalshi(session, ready).order("KXFED-26DEC-T3.50", "bid", "1.00", "0.0100")
        assert (status, answer["fill_count"]) == (201, "0.00")
    owner.kill()
    await owner.wait()
    rest, _ = await asyncio.wait_for(venue.communicate(), 5)
    assert (venue.returncode, rest) == (0, b"")


async def test_sigterm_ends_it_cleanly():
    venue = await start(dialect="polymarket")
    assert venue.stdout is not None
    ready = json.loads(await venue.stdout.readline())
    assert [len(ready["credentials"]["keys"]), ready["ws_user"][-8:]] == [3, "/ws/user"]
    venue.terminate()
    _, _ = await asyncio.wait_for(venue.communicate(), 5)
    assert venue.returncode == 0


async def test_a_taken_port_is_named_with_the_remedy():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        venue = await start("--port", str(port))
        out, err = await asyncio.wait_for(venue.communicate(), 10)
    assert (venue.returncode, out) == (4, b"")
    assert f"cannot listen on 127.0.0.1:{port}" in err.decode()
    assert "use --port 0" in err.decode()


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        (("--pairs", "nowhere.yaml"), "pairs file nowhere.yaml: No such file"),
        (("--faults", "gale"), "fault script 'gale' is unknown; use"),
    ],
)
async def test_a_bad_file_is_named_with_the_remedy(extra: tuple[str, str], text: str):
    venue = await start(*extra)
    out, err = await asyncio.wait_for(venue.communicate(), 10)
    assert (venue.returncode, out) == (3, b"")
    assert text in err.decode()


def test_pairs_with_a_second_use_of_a_ticker_are_refused(tmp_path: Path):
    text = SIM_PAIRS.read_text().replace("KXHIGHNY-26DEC01-T60", "KXHIGHNY-26DEC01-T55")
    path = tmp_path / "pairs.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="ticker 'KXHIGHNY-26DEC01-T55' occurs twice"):
        load_pairs(path)
