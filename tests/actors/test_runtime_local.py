"""The same shells in one process, without Ray."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from loguru import logger

from actors.clock import AnchoredClock, HandClock
from actors.local import LocalNet
from actors.log import configure, last_words, leave_words, words_of
from actors.shell import Shell, Unheard
from messages.units import SECOND, Nanos
from tests.supervisors.shells import (
    Echo,
    EchoAskOther,
    EchoPoison,
    EchoReport,
    EchoReported,
    EchoSaid,
    EchoSay,
    EchoTellAll,
)

ECHO = "tests.supervisors.shells:Echo"


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[LocalNet]:
    shells: dict[str, str | type[Shell]] = {"a": ECHO, "b": Echo, "c": ECHO}
    async with LocalNet(shells, [("a", "b"), ("c", "a"), ("a", "c")], tmp_path) as net:
        await net.up()
        yield net


def heard(net: LocalNet, name: str) -> dict[str, list[int]]:
    shell = net.shell(name)
    assert isinstance(shell, Echo)
    return shell.numbers


async def test_they_answer_and_reach_only_whom_they_may_tell(net: LocalNet):
    assert await net.ask("a", EchoAskOther(to="b", words="hi")) == EchoSaid(words="hi", by="b", epoch=2)
    with pytest.raises(Unheard):
        await net.ask("b", EchoAskOther(to="a", words="hi", within=SECOND // 50), Nanos(SECOND // 10))


async def test_tells_arrive_in_order(net: LocalNet):
    assert await net.ask("a", EchoTellAll(to="*", count=500)) == EchoSaid(words="2", by="a", epoch=1)
    await asyncio.sleep(0.05)
    assert heard(net, "b") == heard(net, "c") == {"a": list(range(500))}


async def test_both_ends_of_an_edge_hear_of_each_other(net: LocalNet):
    report = await net.ask("b", EchoReport())
    assert isinstance(report, EchoReported)
    assert json.loads(report.body)["peers"] == [["PeerUp", "a", 1]]


async def test_a_successor_has_a_new_epoch_and_is_introduced(net: LocalNet):
    net.kill("b")
    assert isinstance(await net.ask("a", EchoTellAll(to="b", count=3)), EchoSaid)
    await net.start("b")
    await asyncio.sleep(0.05)
    assert heard(net, "b") == {"a": [0, 1, 2]}
    shell = net.shell("a")
    assert isinstance(shell, Echo)
    assert [peer for peer in shell.peers if peer[1] == "b"] == [
        ("PeerUp", "b", 2),
        ("PeerDown", "b", 2),
        ("PeerUp", "b", 4),
    ]


async def test_a_poisoned_shell_dies(net: LocalNet):
    with pytest.raises(Unheard):
        await net.ask("b", EchoPoison())
    await asyncio.sleep(0.01)
    assert net.deaths == [("b", "poisoned: RuntimeError: poisoned on purpose")]


async def test_a_question_in_flight_ends_with_the_death(net: LocalNet):
    question = asyncio.create_task(
        net.ask("a", EchoAskOther(to="nobody", words="", within=60 * SECOND), Nanos(60 * SECOND))
    )
    await asyncio.sleep(0.01)
    net.kill("a")
    with pytest.raises(Unheard):
        await question


async def test_the_picture_shows_what_it_owns(net: LocalNet):
    await net.ask("a", EchoSay(words="x"))
    picture = net.seat("a").look()
    assert picture["owns"] == {"heard": 0, "last": "EchoSay", "path": Path("no json type")}
    assert picture["mailbox"] == dict.fromkeys(("refused", "repeated", "gaps", "unknown", "unasked", "depth"), 0) | {
        "heard": 1
    }
    json.loads(net.seat("a").picture)


async def test_stopping_lets_the_shell_close(net: LocalNet, tmp_path: Path):
    await net.stop("c")
    assert (tmp_path / "stopped.c").exists()


async def test_two_incarnations_never_live_at_once(net: LocalNet):
    with pytest.raises(RuntimeError, match="a lives"):
        await net.start("a")


def test_the_clock_is_wall_time_and_never_goes_back():
    clock = AnchoredClock()
    first, second = clock.now(), clock.now()
    assert 0 <= second - first < SECOND
    hand = HandClock()
    hand.advance(SECOND)
    assert hand.now() == SECOND
    with pytest.raises(ValueError, match="backwards"):
        hand.advance(Nanos(-1))


def test_last_words_are_read_back_and_silence_is_silence(tmp_path: Path):
    leave_words(tmp_path, "a", 3, "failed", "RuntimeError: why it ended")
    assert last_words(tmp_path, "a", 3) == ("failed", "RuntimeError: why it ended")
    assert last_words(tmp_path, "a", 4) == ("", "")


def test_a_log_has_plain_lines_and_no_values_of_variables(tmp_path: Path):
    path = configure("a", tmp_path)
    try:
        hidden = "sword" + "fish"
        try:
            raise ValueError(len(hidden))
        except ValueError as error:
            logger.opt(exception=error).error("it failed: {}", words_of(error))
    finally:
        logger.remove()
    text = path.read_text()
    assert "ERROR   a it failed: ValueError: 9" in text
    assert "swordfish" not in text
    assert "\x1b" not in text
