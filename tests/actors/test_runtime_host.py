"""The process that becomes an actor, looked at from inside: the class alone, without the Ray around it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

pytest.importorskip("ray")

from actors import log, points, runtime
from actors.log import last_words
from actors.mail import OLD, Parcel, pack
from actors.runtime import Birth, Host, Introduction, Parent, ProcessWatch, pulse_path, read_pulse
from actors.shell import Place
from messages.base import decode, encode
from messages.control import PeerDown, PeerUp
from messages.units import MILLISECOND, Nanos
from tests.supervisors.shells import EchoPoison, EchoReport, EchoReported, EchoSaid, EchoSay

ECHO = "tests.supervisors.shells:Echo"


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nothing here may end, renice or silence the process of the tests."""
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(os, "nice", lambda by: by)
    monkeypatch.setattr(log, "configure", lambda *_: None)
    monkeypatch.setattr(runtime, "node_id", lambda: "here")
    monkeypatch.setattr(logger, "remove", lambda *_: None)
    return codes


def birth(directory: Path, *, of: str = ECHO, kill_at: tuple[str, ...] = ()) -> Birth:
    peer = Introduction(PeerUp(name="b", epoch=1))
    return Birth(Place("a", 7, directory, "{}", kill_at), of, 5, Nanos(20 * MILLISECOND), (peer,))


def envelope(*messages: EchoSay | EchoPoison | EchoReport, sender: str = "b", epoch: int = 1, first: int = 0) -> bytes:
    return pack(Parcel(sender, epoch, first, asks=True, frames=tuple(map(encode, messages))))


async def test_a_host_becomes_hears_shows_itself_and_stops(ends: list[int], tmp_path: Path):
    host = Host()
    assert await host.hear(b"") == OLD
    calls: Any = host  # Ray's types say that these two can be called from afar only
    assert (await calls.beat(), await calls.inspect()) == (0, "{}")
    warm = await host.warm(Parent(0, "elsewhere"), ("tests.supervisors.shells", "no.such.module"))
    assert (warm.pid, warm.node) == (os.getpid(), "here")
    became = await host.become(birth(tmp_path))
    assert (became.address, became.failed) == ("address of a", "")
    assert became.became_at <= became.started_at
    assert decode(await host.hear(envelope(EchoSay(words="hi")))) == EchoSaid(words="hi", by="a", epoch=7)
    await host.introduce([Introduction(PeerUp(name="b", epoch=2)), Introduction(PeerDown(name="b", epoch=2))])
    assert await host.hear(envelope(EchoSay(words="from the old b"), first=1)) == OLD
    report = decode(await host.hear(envelope(EchoReport(), epoch=2)))
    assert isinstance(report, EchoReported)
    assert json.loads(report.body)["peers"] == [["PeerUp", "b", 1], ["PeerUp", "b", 2], ["PeerDown", "b", 2]]
    await asyncio.sleep(0.05)
    beat = await calls.beat()
    assert beat >= 2
    assert read_pulse(tmp_path, "a", 7) in (beat, beat + 1)
    assert read_pulse(tmp_path, "a", 6) is None
    picture = json.loads(await calls.inspect())
    assert (picture["name"], picture["epoch"], picture["pid"]) == ("a", 7, os.getpid())
    with pytest.raises(RuntimeError, match="somebody already"):
        await host.become(birth(tmp_path))
    await host.stop()
    assert (tmp_path / "stopped.a").exists()
    assert ends == []


async def test_a_start_that_raises_is_an_answer(ends: list[int], tmp_path: Path):
    (tmp_path / "refuse.a").touch()
    assert (await Host().become(birth(tmp_path))).failed == "RuntimeError: this start was refused"
    wrong = await Host().become(birth(tmp_path, of="no.such.module:A"))
    assert wrong.failed == "ModuleNotFoundError: No module named 'no'"
    with pytest.raises(RuntimeError, match="nobody yet"):
        await Host().order("begin")


async def test_what_cannot_be_borne_ends_the_process_with_its_words(ends: list[int], tmp_path: Path):
    host = Host()
    await host.become(birth(tmp_path))
    await host.hear(envelope(EchoPoison()))
    assert ends == [runtime.POISONED_EXIT]
    assert last_words(tmp_path, "a", 7) == ("failed", "poisoned: RuntimeError: poisoned on purpose")
    assert host._seat is not None
    host._loop_error(asyncio.get_running_loop(), {"message": "a task failed", "exception": ValueError("x")})
    assert host._seat.last_error == "ValueError: x"
    await host.stop()


async def test_points_are_armed_for_whom_they_are_named(
    ends: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    armed: list[tuple[str, tuple[str, ...]]] = []
    monkeypatch.setattr(points, "arm", lambda name, at, directory, look: armed.append((name, at)))
    host = Host()
    await host.become(birth(tmp_path, kill_at=("echo.say",)))
    assert armed == [("a", ("echo.say",))]
    await host.stop()


async def test_the_end_of_a_watched_process_is_noticed(ends: list[int]):
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])  # noqa: ASYNC220  a moment
    noticed = asyncio.Event()
    watch = ProcessWatch(parent.pid, noticed.set)
    watch.kill()
    await asyncio.wait_for(noticed.wait(), 5)
    parent.wait()
    gone = asyncio.Event()
    ProcessWatch(parent.pid, gone.set).kill()  # it is no more: said at once, and there is nothing to kill
    await asyncio.wait_for(gone.wait(), 5)


def test_without_a_pulse_file_the_beat_is_asked_for(tmp_path: Path):
    assert read_pulse(tmp_path, "a", 1) is None
    pulse_path(tmp_path, "a").parent.mkdir()
    pulse_path(tmp_path, "a").write_text("torn")
    assert read_pulse(tmp_path, "a", 1) is None


def test_the_folder_of_a_killed_driver_is_swept_and_that_of_a_live_one_is_not(tmp_path: Path):
    space = runtime._pid_space()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, live = tmp_path / f"cf-{space}-{ended.pid}-x", tmp_path / f"cf-{space}-{os.getpid()}-x"
    left.mkdir()
    live.mkdir()
    runtime._sweep(tmp_path)
    assert (left.exists(), live.exists()) == (False, True)
