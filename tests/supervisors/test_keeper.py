"""The keeper and the root without a process: processes of another node are played by objects, so nothing is held by a
descriptor and every death comes by lifeline or by a heart that stands still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

pytest.importorskip("ray")

from actors.mail import unpack
from actors.runtime import Became, Birth, Introduction, Parent, Remote, Warm
from actors.shell import Place
from configs.settings import SupervisionSettings
from messages.base import decode
from messages.control import Halt, Resume
from messages.units import Nanos
from supervisors import keeper as keeper_module
from supervisors import root as root_module
from supervisors.happenings import Arrival, What
from supervisors.keeper import Duty, Keeper, Permit, stop_within
from supervisors.restarts import Cause, Phase
from supervisors.root import Epochs, Root
from supervisors.supervisor import RootsRegistry, Supervisor
from supervisors.tree import Leaf, Node
from tests.supervisors.conftest import settings, small_tree, until

SECOND_OF_TEST = 1.0


class Far:
    """A process on another node, with the face of a `Remote`."""

    def __init__(self, world: FarWorld, number: int) -> None:
        self.world = world
        self.number = number
        self.dead = asyncio.Event()
        self.birth: Birth | None = None
        self.beats = 0
        self.frozen = False
        self.introduced: list[Introduction] = []
        self.heard: list[str] = []
        self.orders: list[str] = []
        self.stopped_at = -1

    async def warm(self, parent: Parent, modules: tuple[str, ...]) -> Warm:
        if self.world.no_processes:
            await asyncio.Event().wait()
        return Warm(pid=self.number, node="far")

    async def become(self, birth: Birth) -> Became:
        self.birth = birth
        self.world.births.append(birth)
        await self.world.on_become(self, birth)
        return Became("address", 1, 2, failed=self.world.failing.get(birth.place.name, ""))

    async def lifeline(self) -> None:
        await self.dead.wait()
        raise ConnectionError("the lifeline broke")

    async def beat(self) -> int:
        if self.frozen:
            await asyncio.Event().wait()
        self.beats += 1
        return self.beats

    async def introduce(self, news: tuple[Introduction, ...]) -> None:
        if self.frozen:
            await asyncio.Event().wait()
        self.introduced += news

    async def hear(self, envelope: bytes) -> bytes:
        self.heard += [type(decode(frame)).__name__ for frame in unpack(envelope).frames]
        return b""

    async def order(self, what: str, *details: Any) -> Any:
        self.orders.append(what)
        return {"owner.1": 7} if what == "ages" else Permit(41)

    async def stop(self, within: Nanos) -> None:
        self.world.stops.append(self.name)

    def kill(self) -> None:
        self.dead.set()

    @property
    def name(self) -> str:
        return self.birth.place.name if self.birth else "spare"


class FarWorld:
    def __init__(self) -> None:
        self.hosts: list[Far] = []
        self.births: list[Birth] = []
        self.stops: list[str] = []
        self.failing: dict[str, str] = {}
        self.no_processes = False
        self.hanging: set[str] = set()

    def create(self, region: str = "") -> Remote:
        self.hosts.append(Far(self, len(self.hosts) + 1))
        return cast(Remote, self.hosts[-1])

    async def on_become(self, host: Far, birth: Birth) -> None:
        if birth.place.name in self.hanging:
            await asyncio.Event().wait()

    def alive(self, name: str) -> list[Far]:
        return [host for host in self.hosts if host.name == name and not host.dead.is_set()]


class Book:
    """A registry that writes down."""

    def __init__(self) -> None:
        self.epoch = 0
        self.arrivals: list[Arrival] = []
        self.departures: list[tuple[str, int, str]] = []
        self.refuse = 0

    async def permit(self, name: str) -> Permit:
        if self.refuse:
            self.refuse -= 1
            raise ConnectionError("no root")
        self.epoch += 1
        return Permit(self.epoch)

    async def arrived(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)

    async def departed(self, name: str, epoch: int, reason: str, at: int) -> None:
        self.departures.append((name, epoch, reason))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FarWorld:
    world = FarWorld()
    monkeypatch.setattr(Remote, "create", staticmethod(world.create))
    monkeypatch.setattr(keeper_module, "node_id", lambda: "here")
    monkeypatch.setattr(root_module, "node_id", lambda: "here")
    monkeypatch.setattr(keeper_module, "SPARE_AFTER_S", 0.0)
    return world


def kept(
    tmp_path: Path,
    book: Book,
    gave_up: Callable[[str], None] = lambda why: None,
    kill_at: dict[str, tuple[str, ...]] | None = None,
    **rules: int | bool,
) -> Keeper:
    node = Node("supervisor.x", (Leaf("a", "m:A", nice=5), Leaf("b", "m:B")))
    defaults: dict[str, int | bool] = {"spare": False, "heartbeat_stale_ms": 400, "restarts_most": 3}
    return Keeper(
        node,
        book,
        Place("supervisor.x", 1, tmp_path, "{}"),
        SupervisionSettings.model_validate(defaults | rules),
        kill_at or {},
        lambda child: Duty(child, {}),
        gave_up,
    )


async def test_everybody_is_started_and_whoever_dies_is_started_again(world: FarWorld, tmp_path: Path):
    book = Book()
    keeper = kept(tmp_path, book, kill_at={"a": ("some.point",)})
    await keeper.begin()
    assert {arrival.name for arrival in book.arrivals} == {"a", "b"}
    assert {birth.place.name: (birth.nice, birth.place.kill_at) for birth in world.births} == {
        "a": (5, ("some.point",)),
        "b": (0, ()),
    }
    world.alive("a")[0].kill()
    await until(lambda: len(book.arrivals) == 3, SECOND_OF_TEST, "a is back")
    assert [reason for _, _, reason in book.departures] == ["killed: it ended without a word"]
    assert world.births[-1].place.kill_at == ("some.point",)  # what it killed is on record: it will not kill again
    assert world.births[-1].place.epoch == 3
    assert len(world.alive("a")) == 1
    await keeper.close()
    assert sorted(world.stops) == ["a", "b"]
    assert world.alive("a") == world.alive("b") == []


async def test_a_heart_that_stands_still_is_a_death(world: FarWorld, tmp_path: Path):
    book = Book()
    keeper = kept(tmp_path, book)
    await keeper.begin()
    await asyncio.sleep(0.3)
    assert max(keeper.ages_ms().values()) < 300
    world.alive("b")[0].frozen = True
    await until(lambda: len(book.arrivals) == 3, 3, "b was replaced")
    assert book.departures[0][2].startswith("hung: no heartbeat")
    await keeper.close()


async def test_a_start_that_fails_hangs_or_gets_no_epoch_is_a_death(world: FarWorld, tmp_path: Path):
    book, given_up = Book(), list[str]()
    world.failing["a"] = "RuntimeError: no"
    world.hanging.add("b")
    keeper = kept(tmp_path, book, given_up.append, start_within_s=1, restarts_most=2)
    beginning = asyncio.create_task(keeper.begin())
    await until(lambda: given_up != [], 3, "it gave up")
    assert "3 deaths within 10 s; last: a failed" in given_up[0]
    assert {reason for _, _, reason in book.departures} == {"start failed: RuntimeError: no"}
    beginning.cancel()
    await keeper.close()

    book, world.failing, world.hanging = Book(), {}, {"b"}
    keeper = kept(tmp_path, book, start_within_s=1)
    beginning = asyncio.create_task(keeper.begin())
    await until(lambda: book.departures != [], 3, "the hanging start was ended")
    assert book.departures[0][0] == "b"
    assert book.departures[0][2] == "start: not done within 1 s"
    world.hanging.clear()
    await beginning
    await keeper.close()

    book = Book()
    book.refuse = 2
    keeper = kept(tmp_path, book)
    await keeper.begin()
    assert sorted(reason for _, _, reason in book.departures) == ["start: ConnectionError: no root"] * 2
    await keeper.close()


async def test_the_spare_is_used_and_replaced_and_missed_when_it_dies(world: FarWorld, tmp_path: Path):
    book = Book()
    keeper = kept(tmp_path, book, spare=True)
    await keeper.begin()
    await until(lambda: keeper.spare_pid != 0, SECOND_OF_TEST, "a spare stands by")
    spare = keeper.spare_pid
    world.alive("a")[0].kill()
    await until(lambda: len(book.arrivals) == 3, SECOND_OF_TEST, "a is back")
    assert book.arrivals[-1].spare
    assert book.arrivals[-1].pid == spare
    await until(lambda: keeper.spare_pid not in (0, spare), SECOND_OF_TEST, "the next spare stands by")
    spare = keeper.spare_pid
    world.hosts[spare - 1].kill()
    await until(lambda: keeper.spare_pid not in (0, spare), 3, "a dead spare is replaced")
    await keeper.close()


async def test_no_process_in_time_is_a_death_and_nothing_is_left_over(world: FarWorld, tmp_path: Path):
    book = Book()
    world.no_processes = True
    keeper = kept(tmp_path, book, start_within_s=1, restarts_most=9)
    beginning = asyncio.create_task(keeper.begin())
    await until(lambda: len(book.departures) == 2, 3, "both starts ended")
    assert all(host.dead.is_set() for host in world.hosts[:2])
    world.no_processes = False
    await beginning
    await keeper.close()


# -------------------------------------------------------------------------------------------------------------- the root


def arrival(world: FarWorld, name: str, epoch: int) -> tuple[Arrival, Far]:
    remote = world.create()
    far = world.hosts[-1]
    return Arrival(name, epoch, far.number, "far", f"at {name}", "", remote, 1, 2, spare=False), far


def root_of(tmp_path: Path, halted: str = "") -> Root:
    return Root(Duty(small_tree(), {}, None, halted), Place("supervisor.root", 9, tmp_path, settings()))


def told(far: Far) -> list[tuple[str, str, int, bool]]:
    return [(type(one.peer).__name__, one.peer.name, one.peer.epoch, one.remote is not None) for one in far.introduced]


async def test_a_newcomer_is_introduced_along_the_edges_only(world: FarWorld, tmp_path: Path):
    root = root_of(tmp_path)
    owner, owner_far = arrival(world, "owner.2", 1)
    await root.arrived(owner)
    permit = await root.permit("executor")
    # before it starts it is given whom it may tell
    assert [(one.peer.name, one.remote is not None) for one in permit.peers] == [("owner.2", True)]
    executor, executor_far = arrival(world, "executor", permit.epoch)
    late, late_far = arrival(world, "owner.1", 8)
    await root.arrived(late)
    await root.arrived(executor)
    # owner.2 tells nobody: it hears whom to believe, not how to reach it
    assert told(owner_far) == [("PeerUp", "executor", permit.epoch, False)]
    assert told(late_far) == [("PeerUp", "executor", permit.epoch, True)]
    # and who came in the meantime is caught up on
    assert told(executor_far) == [("PeerUp", "owner.1", 8, True)]


async def test_a_hung_peer_delays_an_introduction_by_little(world: FarWorld, tmp_path: Path):
    root = root_of(tmp_path)
    hung, hung_far = arrival(world, "owner.1", 1)
    await root.arrived(hung)
    hung_far.frozen = True
    executor, _ = arrival(world, "executor", 2)
    began = asyncio.get_running_loop().time()
    await root.arrived(executor)
    assert asyncio.get_running_loop().time() - began < 0.5


async def test_a_death_is_told_once_and_an_old_one_changes_nothing(world: FarWorld, tmp_path: Path):
    root = root_of(tmp_path)
    executor, executor_far = arrival(world, "executor", 1)
    old, _ = arrival(world, "owner.1", 2)
    new, _ = arrival(world, "owner.1", 3)
    for one in (executor, old, new):
        await root.arrived(one)
    await root.departed("owner.1", 2, "late news", 5)
    await asyncio.sleep(0.01)
    assert [kind for kind, *_ in told(executor_far)] == ["PeerUp", "PeerUp"]
    await root.departed("owner.1", 3, "killed", 6)
    await asyncio.sleep(0.01)
    assert told(executor_far)[-1] == ("PeerDown", "owner.1", 3, False)


async def test_the_children_of_a_dead_supervisor_are_buried_with_it(world: FarWorld, tmp_path: Path):
    root = root_of(tmp_path)
    for name in ("supervisor.owners", "owner.1", "owner.2", "executor"):
        await root.arrived(arrival(world, name, 1)[0])
    await root.departed("supervisor.owners", 1, "killed", 5)
    news = await root.order("news", 0)
    assert [one.happening.name for one in news if one.happening.what is What.DIED] == [
        "supervisor.owners",
        "owner.1",
        "owner.2",
    ]


async def test_news_waits_for_news(world: FarWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = root_of(tmp_path)
    waiting = asyncio.create_task(root.order("news", 0))
    await asyncio.sleep(0.01)
    await root.arrived(arrival(world, "owner.1", 1)[0])
    assert [one.happening.what for one in await waiting][:1] == [What.BECAME]
    last = (await root.order("news", 0))[-1].number
    monkeypatch.setattr(root_module, "BULLETIN_WAIT_S", 0.01)
    assert await root.order("news", last) == ()
    with pytest.raises(RuntimeError, match="does not understand"):
        await root.order("dance")


async def test_in_the_safe_state_every_executor_is_halted_also_one_that_comes_later(world: FarWorld, tmp_path: Path):
    root = root_of(tmp_path, halted="it was so before the root died")
    executor, far = arrival(world, "executor", 1)
    await root.arrived(executor)
    await until(lambda: far.heard == [Halt.__name__], SECOND_OF_TEST, "it is halted")
    await root.order("resume", "a person", "looked at it")
    await until(lambda: far.heard == [Halt.__name__, Resume.__name__], SECOND_OF_TEST, "it is resumed")
    root._safe_state("again")
    await until(lambda: far.heard[-1] == Halt.__name__, SECOND_OF_TEST, "it is halted again")
    assert [one.happening.what for one in await root.order("news", 0)][-2:] == [What.RESUMED, What.HALTED]


async def test_ages_are_gathered_from_all_supervisors(world: FarWorld, tmp_path: Path):
    root = root_of(tmp_path)
    await root.arrived(arrival(world, "supervisor.owners", 1)[0])
    assert await root.order("all_ages") == {"owner.1": 7}


def test_epochs_grow_over_restarts_of_whoever_counts(tmp_path: Path):
    assert [Epochs(tmp_path).next() for _ in range(3)] == [1, 2, 3]


# -------------------------------------------------------------------------------------------------------- the supervisor


async def test_a_supervisor_begins_looks_after_and_stops_its_children(world: FarWorld, tmp_path: Path):
    root = world.create()
    supervisor = Supervisor(Place("supervisor.owners", 2, tmp_path, settings(spare=False)))
    assert supervisor.snapshot() == {}
    assert await supervisor.order("ages") == {}
    node = small_tree().children[0]
    assert isinstance(node, Node)
    await supervisor.order("begin", Duty(node, {}, root))
    assert set(await supervisor.order("ages")) == {"owner.1", "owner.2"}
    assert supervisor.snapshot()["children"] == {
        "owner.1": {"phase": Phase.UP.value, "restarts": 0},
        "owner.2": {"phase": Phase.UP.value, "restarts": 0},
    }
    with pytest.raises(RuntimeError, match="does not understand"):
        await supervisor.order("permit", "owner.1")
    await supervisor.stop()
    assert sorted(world.stops) == ["owner.1", "owner.2"]


async def test_giving_up_is_the_end_of_the_process_with_its_reason(
    world: FarWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ends: list[tuple[str, str]] = []
    monkeypatch.setattr(
        "supervisors.supervisor.end_process", lambda place, cause, words, code: ends.append((cause, words))
    )
    supervisor = Supervisor(Place("supervisor.owners", 2, tmp_path, settings()))
    supervisor._give_up("6 deaths within 10 s")
    assert ends == [(Cause.ESCALATED.value, "6 deaths within 10 s")]


async def test_the_registry_from_below_is_the_root(world: FarWorld):
    registry = RootsRegistry(world.create())
    assert await registry.permit("a") == Permit(41)
    await registry.arrived(arrival(world, "a", 1)[0])
    await registry.departed("a", 1, "killed", 5)
    assert world.hosts[0].orders == ["permit", "arrived", "departed"]


def test_an_ordered_stop_has_time_for_everybody():
    tree = small_tree()
    assert stop_within(tree) > sum(stop_within(child) for child in tree.children)
