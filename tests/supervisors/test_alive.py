"""The tree over real processes: killed, stopped, poisoned, and back in service."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

pytest.importorskip("ray")

from actors.shell import Unheard
from messages.control import Halt
from messages.units import MILLISECOND, SECOND, Nanos
from supervisors.driver import State, Tree
from supervisors.happenings import Happening, What
from tests.supervisors.conftest import settings, small_tree, until
from tests.supervisors.shells import (
    EchoAskOther,
    EchoBlock,
    EchoPoison,
    EchoReport,
    EchoReported,
    EchoSaid,
    EchoSay,
    EchoSleep,
    EchoTellAll,
)

pytestmark = [pytest.mark.ray, pytest.mark.asyncio(loop_scope="module")]

BACK_S = 15.0
"""Generous: a test machine may be busy. The figures that count are measured by the benchmarks."""
WITHIN = Nanos(5 * SECOND)


class Stage:
    """A tree, and what happened in it."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.seen: list[Happening] = []
        tree.on_event = self.seen.append

    def of(self, name: str, what: What) -> list[Happening]:
        return [one for one in self.seen if one.name == name and one.what is what]

    def epoch(self, name: str) -> int:
        came = self.of(name, What.INTRODUCED)
        return came[-1].epoch if came else 0

    async def back(self, name: str, after: int) -> None:
        await until(lambda: self.epoch(name) > after and self.tree.is_up, BACK_S, f"{name} back in service")

    async def heard(self, name: str) -> dict[str, list[int]]:
        report = await self.tree.ask(name, EchoReport(), WITHIN)
        assert isinstance(report, EchoReported)
        numbers: dict[str, list[int]] = json.loads(report.body)["numbers"]
        return numbers

    async def peers(self, name: str) -> list[list[object]]:
        report = await self.tree.ask(name, EchoReport(), WITHIN)
        assert isinstance(report, EchoReported)
        peers: list[list[object]] = json.loads(report.body)["peers"]
        return peers


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    tree = Tree(small_tree(), settings(), tmp_path_factory.mktemp("a run with spaces"))
    stage = Stage(tree)
    async with tree:
        yield stage


@pytest_asyncio.fixture(loop_scope="module")
async def stage(shared: Stage) -> Stage:
    """The shared tree, whole."""
    await shared.tree.up(BACK_S)
    return shared


async def test_they_answer_from_processes_of_their_own(stage: Stage):
    answers = [await stage.tree.ask(name, EchoSay(words="hi"), WITHIN) for name in ("owner.1", "executor")]
    assert [one.by for one in answers if isinstance(one, EchoSaid)] == ["owner.1", "executor"]
    pids = {status.pid for status in await stage.tree.status()}
    assert len(pids) == 6
    assert os.getpid() not in pids


async def test_many_tells_arrive_in_order(stage: Stage):
    before = len((await stage.heard("owner.2")).get("executor", []))
    assert isinstance(await stage.tree.ask("executor", EchoTellAll(to="owner.*", count=2_000), WITHIN), EchoSaid)
    numbers: list[int] = []
    for _ in range(200):
        numbers = (await stage.heard("owner.2")).get("executor", [])[before:]
        if len(numbers) == 2_000:
            break
        await asyncio.sleep(0.02)
    assert numbers == list(range(2_000))


async def test_a_question_has_a_deadline_and_an_answer_comes_from_afar(stage: Stage):
    with pytest.raises(Unheard, match="no answer within 50 ms"):
        await stage.tree.ask("owner.1", EchoSleep(milliseconds=400), Nanos(50 * MILLISECOND))
    answer = await stage.tree.ask("executor", EchoAskOther(to="owner.1", words="relayed"), WITHIN)
    assert answer == EchoSaid(words="relayed", by="owner.1", epoch=stage.epoch("owner.1"))


async def test_an_inspection_is_answered_while_the_actor_is_busy(stage: Stage):
    stage.tree.tell("owner.2", EchoBlock(milliseconds=600))
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()
    picture = await stage.tree.inspect("owner.2")
    assert asyncio.get_running_loop().time() - began < 0.4
    assert picture["name"] == "owner.2"
    assert picture["pid"] == stage.tree.pid("owner.2")


async def test_a_killed_actor_is_back_with_a_new_epoch_and_known_to_its_peers(stage: Stage):
    epoch, pid = stage.epoch("owner.1"), stage.tree.pid("owner.1")
    await stage.tree.kill("owner.1")
    await stage.back("owner.1", epoch)
    assert stage.tree.pid("owner.1") != pid
    told = [peer for peer in await stage.peers("executor") if peer[1] == "owner.1"]
    assert told[-1] == ["PeerUp", "owner.1", stage.epoch("owner.1")]
    answer = await stage.tree.ask("executor", EchoAskOther(to="owner.1", words="again"), WITHIN)
    assert answer == EchoSaid(words="again", by="owner.1", epoch=stage.epoch("owner.1"))
    # and the newcomer knows its peers, from before its start returned
    assert ["PeerUp", "executor", stage.epoch("executor")] in await stage.peers("owner.1")
    status = next(one for one in await stage.tree.status() if one.name == "owner.1")
    assert status.state is State.UP
    assert status.restarts >= 1
    assert "killed" in status.last_death
    assert 0 < status.back_in_service_ns[-1] < BACK_S * SECOND


async def test_the_successor_steps_into_the_spare(stage: Stage):
    spare = 0
    for _ in range(400):
        owns = (await stage.tree.inspect("supervisor.trading"))["owns"]
        assert isinstance(owns, dict)
        spare = owns["spare"]
        if spare:
            break
        await asyncio.sleep(0.05)
    epoch = stage.epoch("executor")
    await stage.tree.kill("executor")
    await stage.back("executor", epoch)
    came = stage.of("executor", What.INTRODUCED)[-1]
    assert came.spare
    assert came.pid == spare


async def test_a_stopped_actor_is_noticed_killed_and_replaced(stage: Stage):
    epoch, pid = stage.epoch("owner.2"), stage.tree.pid("owner.2")
    os.kill(pid, signal.SIGSTOP)
    await stage.back("owner.2", epoch)
    assert "hung: no heartbeat" in stage.of("owner.2", What.DIED)[-1].reason
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_supervisor_takes_its_children_along_and_brings_them_back(stage: Stage):
    names = ("supervisor.owners", "owner.1", "owner.2")
    epochs = {name: stage.epoch(name) for name in names}
    pids = [stage.tree.pid(name) for name in names]
    executor = stage.tree.pid("executor")
    os.kill(stage.tree.pid("owner.2"), signal.SIGSTOP)  # cannot end by itself
    await stage.tree.kill("supervisor.owners")
    for name in names:
        await stage.back(name, epochs[name])
    assert stage.of("owner.1", What.DIED)[-1].reason == "its supervisor supervisor.owners died"
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert stage.tree.pid("executor") == executor
    answer = await stage.tree.ask("executor", EchoAskOther(to="owner.2", words="back"), WITHIN)
    assert isinstance(answer, EchoSaid)


async def test_a_killed_root_brings_everybody_back(stage: Stage):
    names = ("supervisor.root", "supervisor.trading", "executor", "owner.1")
    epochs = {name: stage.epoch(name) for name in names}
    await stage.tree.kill("supervisor.root")
    for name in names:
        await stage.back(name, epochs[name])
    answer = await stage.tree.ask("executor", EchoAskOther(to="owner.1", words="back"), WITHIN)
    assert isinstance(answer, EchoSaid)
    assert stage.tree.halted == ""


async def test_a_stopped_root_is_noticed_too(stage: Stage):
    epoch = stage.epoch("supervisor.root")
    os.kill(stage.tree.pid("supervisor.root"), signal.SIGSTOP)
    await stage.back("supervisor.root", epoch)
    assert "hung" in stage.of("supervisor.root", What.DIED)[-1].reason


async def test_a_poisoned_actor_dies_with_its_words(stage: Stage):
    epoch = stage.epoch("owner.1")
    with pytest.raises(Unheard):
        await stage.tree.ask("owner.1", EchoPoison(), WITHIN)
    await stage.back("owner.1", epoch)
    assert stage.of("owner.1", What.DIED)[-1].reason == "poisoned: RuntimeError: poisoned on purpose"
    log = (stage.tree.run_directory / "logs" / "owner.1.log").read_text()
    assert "EchoPoison from driver could not be borne" in log


async def test_heartbeats_are_fresh_in_the_status(stage: Stage):
    await asyncio.sleep(0.6)
    ages = {one.name: one.heartbeat_age_ms for one in await stage.tree.status()}
    assert set(ages) == {"supervisor.root", "supervisor.owners", "supervisor.trading", "owner.1", "owner.2", "executor"}
    for name, age in ages.items():
        assert age is not None, name
        assert age < 1_000, name


async def test_too_many_restarts_end_in_the_safe_state(cluster: None, tmp_path: Path):
    (tmp_path / "refuse.owner.2").touch()  # its start raises, again and again
    tree = Tree(small_tree(), settings(restarts_most=1, restarts_within_s=10, spare=False), tmp_path)
    stage = Stage(tree)
    async with tree:
        await until(lambda: tree.halted != "", 40, "halted")
        died = stage.of("owner.2", What.DIED)
        assert "start failed: RuntimeError: this start was refused" in {one.reason for one in died}
        assert len(died) <= 6
        assert len(stage.of("supervisor.owners", What.DIED)) == 2
        # who closes what is open comes up nevertheless, and is told to open nothing
        await until(lambda: stage.epoch("executor") > 0, BACK_S, "the executor runs")
        heard = await tree.inspect("executor")
        for _ in range(100):
            heard = await tree.inspect("executor")
            mailbox = heard["mailbox"]
            assert isinstance(mailbox, dict)
            if mailbox["heard"]:
                break
            await asyncio.sleep(0.05)
        assert heard["owns"] == {"heard": 0, "last": Halt.__name__, "path": "no json type"}
        await tree.resume("a person", "the cause is gone")
        assert tree.halted == ""


async def test_a_named_point_kills_once_and_the_stop_is_in_order(cluster: None, tmp_path: Path):
    tree = Tree(
        small_tree(), settings(spare=False), tmp_path, kill_at={"owner.1": ("echo.say#2",), "executor": ("echo.start",)}
    )
    stage = Stage(tree)
    async with tree:
        await until(lambda: len(stage.of("executor", What.DIED)) == 1, BACK_S, "the point in start was reached")
        await tree.up(BACK_S)
        assert isinstance(await tree.ask("owner.1", EchoSay(words="1"), WITHIN), EchoSaid)
        with pytest.raises(Unheard):
            await tree.ask("owner.1", EchoSay(words="2"), WITHIN)
        await stage.back("owner.1", stage.epoch("owner.1"))
        for number in range(4):
            assert isinstance(await tree.ask("owner.1", EchoSay(words=str(number)), WITHIN), EchoSaid)
        assert len(stage.of("owner.1", What.DIED)) == 1
        assert len(stage.of("executor", What.DIED)) == 1
        pids = [one.pid for one in await tree.status()]
    assert {path.name.rpartition("-")[0] for path in (tmp_path / "kills").iterdir()} == {
        "owner.1-echo.say",
        "executor-echo.start",
    }
    stopped = {name: int((tmp_path / f"stopped.{name}").read_text()) for name in ("executor", "owner.1", "owner.2")}
    assert stopped["executor"] < min(stopped["owner.1"], stopped["owner.2"])
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 5, "every process is gone")
