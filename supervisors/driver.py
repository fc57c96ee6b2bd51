"""The driver's end of the tree: starts it, restarts its root, shows it, asks it, kills parts of it, stops it.

It lives in the process that a person started, needs no more than an event loop, and knows the tree only through the
root's bulletin. While there is no root it still has everybody's address.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from loguru import logger

from actors.log import words_of
from actors.mail import Post
from actors.runtime import Remote, Session, in_time, node_id, ray_init
from actors.shell import Place
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.units import SECOND, Nanos
from supervisors.happenings import Arrival, Happening, News, What
from supervisors.keeper import Duty, Keeper, Permit, rules_of
from supervisors.root import Epochs
from supervisors.tree import Leaf, Node, above, leaves, nodes, wrong_with

DRIVER = "driver"
CALL_WITHIN = Nanos(2 * SECOND)
NEWS_WITHIN = Nanos(25 * SECOND)
"""Longer than the root lets a question for news wait."""
NEWS_PAUSE_S = 0.05
SERVICE_TIMES_MOST = 10_000


class State(StrEnum):
    DOWN = "down"
    STARTING = "starting"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Status:
    """One line of the tree."""

    name: str
    kind: str
    """`supervisor` or `actor`."""
    state: State
    pid: int
    epoch: int
    restarts: int
    """Incarnations after the first."""
    last_death: str
    back_in_service_ns: tuple[int, ...]
    """Of each restart: from the death until its peers knew the successor."""
    region: str
    heartbeat_age_ms: int | None
    supervisor: str
    shell: str
    address: str


@dataclass(slots=True, eq=False)
class Ledger:
    """What the driver has heard of one name."""

    spec: Leaf | Node
    state: State = State.DOWN
    pid: int = 0
    node: str = ""
    epoch: int = 0
    address: str = ""
    incarnations: int = 0
    last_death: str = ""
    dead_since: int = 0
    killed_at: int = 0
    back_in_service: list[int] = field(default_factory=list)
    remote: Remote | None = None

    def hear(self, happening: Happening, remote: Remote | None) -> None:
        match happening.what:
            case What.DIED:
                if happening.epoch in (0, self.epoch):
                    self.state, self.remote, self.pid = State.DOWN, None, 0
                self.last_death = happening.reason
                self.dead_since = self.dead_since or self.killed_at or happening.at
                self.killed_at = 0
            case What.BECAME:
                self.state, self.pid, self.epoch = State.STARTING, happening.pid, happening.epoch
                self.node, self.address = happening.node, happening.address
                self.incarnations += 1
            case What.INTRODUCED:
                self.state, self.remote = State.UP, remote
                if self.dead_since and len(self.back_in_service) < SERVICE_TIMES_MOST:
                    self.back_in_service.append(happening.at - self.dead_since)
                self.dead_since = 0


class Tree:
    """The running tree of one engine.

    `kill_at` names points at which an actor kills itself, each once. `on_event` hears everything that
    happens, in order.
    """

    def __init__(
        self,
        literal: Node,
        settings_json: str,
        run_directory: Path,
        kill_at: Mapping[str, tuple[str, ...]] | None = None,
        on_event: Callable[[Happening], None] | None = None,
        ray_address: str = "local",
        import_from: Sequence[Path] = (),
    ) -> None:
        if problems := wrong_with(literal):
            raise ValueError("the supervision tree does not hold: " + "; ".join(problems))
        self.literal = literal
        self.run_directory = run_directory.absolute()
        self.on_event = on_event
        self.halted = ""
        """Why the safe state holds; empty while it does not."""
        self._settings = settings_json
        self._rules = rules_of(settings_json)
        self._kill_at = dict(kill_at or {})
        self._address = ray_address
        self._import_from = import_from
        self._above = above(literal)
        everybody: tuple[Leaf | Node, ...] = (*nodes(literal), *leaves(literal))
        self._ledgers = {spec.name: Ledger(spec) for spec in everybody}
        self._post = Post(DRIVER, time.time_ns())
        self._session: Session | None = None
        self._keeper: Keeper | None = None
        self._following: asyncio.Task[None] | None = None
        self._beginning: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._here = ""

    async def __aenter__(self) -> Self:
        self.run_directory.mkdir(parents=True, exist_ok=True)
        self._session = await ray_init(self._address, import_from=self._import_from)
        self._here = node_id()
        place = Place(DRIVER, 0, self.run_directory, self._settings)
        top = Node(DRIVER, children=(self.literal,))
        registry = _DriversRegistry(self, Epochs(self.run_directory))
        self._keeper = Keeper(
            top,
            registry,
            place,
            self._rules,
            self._kill_at,
            self._duty,
            self._root_keeps_dying,
            last=True,
            keeps_spare=False,  # a root takes the whole tree along: half a second more is not what one waits for
        )
        self._beginning = asyncio.create_task(self._keeper.begin())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _duty(self, node: Node) -> Duty:
        return Duty(node, self._kill_at, None, self.halted)

    def _root_keeps_dying(self, why: str) -> None:
        self.halted = why
        self._hear(Happening(What.HALTED, self.literal.name, time.time_ns(), reason=why))

    # --------------------------------------------------------------------------------------------------------- looking on

    @property
    def is_up(self) -> bool:
        return all(ledger.state is State.UP for ledger in self._ledgers.values())

    async def up(self, within_s: float) -> None:
        """Wait until everybody is in service; `TimeoutError` names those who are not."""
        try:
            async with asyncio.timeout(within_s):
                while not self.is_up:
                    await self._changed.wait()
        except TimeoutError:
            missing = [
                f"{name} ({ledger.last_death or 'never started'})"
                for name, ledger in self._ledgers.items()
                if ledger.state is not State.UP
            ]
            raise TimeoutError(f"not in service after {within_s:g} s: {', '.join(missing)}") from None

    async def status(self) -> list[Status]:
        """The tree as the driver knows it; with heartbeats where the root answers."""
        assert self._keeper is not None
        ages = self._keeper.ages_ms()
        root = self._ledgers[self.literal.name].remote
        if root is not None:
            try:
                ages |= await in_time(root.order("all_ages"), CALL_WITHIN)
            except Exception as error:
                logger.debug("no heartbeats: {}", words_of(error))
        return [
            Status(
                name=name,
                kind="actor" if isinstance(ledger.spec, Leaf) else "supervisor",
                state=ledger.state,
                pid=ledger.pid,
                epoch=ledger.epoch,
                restarts=max(ledger.incarnations - 1, 0),
                last_death=ledger.last_death,
                back_in_service_ns=tuple(ledger.back_in_service),
                region=ledger.spec.region,
                heartbeat_age_ms=ages.get(name),
                supervisor=self._above.get(name, ""),
                shell=ledger.spec.shell,
                address=ledger.address,
            )
            for name, ledger in self._ledgers.items()
        ]

    def pid(self, name: str) -> int:
        """Of the live incarnation; 0 while there is none."""
        return self._ledgers[name].pid

    def address(self, name: str) -> str:
        """Of the actor's own socket."""
        return self._ledgers[name].address

    async def inspect(self, name: str, within: Nanos = CALL_WITHIN) -> dict[str, object]:
        """The actor's own last picture of itself; answered by another thread, also while the actor is busy. `LookupError`
        where there is none to be had.
        """
        remote = self._ledgers[name].remote
        if remote is None:
            raise LookupError(f"{name} is not in service")
        try:
            picture = await in_time(remote.inspect(), within)
        except Exception as error:  # whatever the call met, there is no picture
            raise LookupError(f"{name} shows nothing: {words_of(error)}") from None
        return cast("dict[str, object]", json.loads(picture))

    # ------------------------------------------------------------------------------------------------------------- acting

    async def ask(self, name: str, message: Message, within: Nanos) -> Message:
        return await self._post.ask(name, message, within)

    def tell(self, name: str, message: Message) -> int:
        return self._post.tell(name, message)

    async def kill(self, name: str) -> None:
        """SIGKILL, now. Back in service is then counted from here."""
        ledger = self._ledgers[name]
        if not ledger.pid:
            raise LookupError(f"{name} has no process")
        ledger.killed_at = time.time_ns()
        if ledger.node == self._here:
            os.kill(ledger.pid, signal.SIGKILL)
        elif ledger.remote is not None:
            ledger.remote.kill()

    async def resume(self, by: str, why: str) -> None:
        """Lift the safe state: a person has looked."""
        root = self._ledgers[self.literal.name].remote
        if root is None:
            raise LookupError("there is no root at the moment")
        await in_time(root.order("resume", by, why), CALL_WITHIN)
        assert self._keeper is not None
        self._keeper.calm()
        self.halted = ""

    async def stop(self) -> None:
        """Everybody in reverse order of start, then Ray."""
        for task in (self._following, self._beginning):
            if task is not None:
                task.cancel()
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            await keeper.close()
        self._post.close()
        if self._session is not None:
            session, self._session = self._session, None
            await asyncio.to_thread(session.close)

    # ---------------------------------------------------------------------------------------------------------- the root

    def root_arrived(self, arrival: Arrival) -> None:
        for what, at in (
            (What.BECAME, arrival.became_at),
            (What.STARTED, arrival.started_at),
            (What.INTRODUCED, time.time_ns()),
        ):
            happening = Happening(
                what,
                arrival.name,
                at,
                epoch=arrival.epoch,
                pid=arrival.pid,
                region=arrival.region,
                node=arrival.node,
                spare=arrival.spare,
            )
            self._hear(happening, arrival.remote)
        if self._following is not None:
            self._following.cancel()
        self._following = asyncio.create_task(self._follow(arrival.remote))

    def root_departed(self, name: str, epoch: int, reason: str, at: int) -> None:
        if self._following is not None:
            self._following.cancel()
        self._hear(Happening(What.DIED, name, at, epoch=epoch, reason=reason))
        for other, ledger in self._ledgers.items():
            if other != name and ledger.state is not State.DOWN:
                self._hear(Happening(What.DIED, other, at, epoch=ledger.epoch, reason="the root died"))

    async def _follow(self, root: Remote) -> None:
        """Read the bulletin as it is written. A root that hangs is noticed by its heart, not here."""
        seen = 0
        while True:
            try:
                for news in await in_time(root.order("news", seen), NEWS_WITHIN):
                    assert isinstance(news, News)
                    seen = news.number
                    self._hear(news.happening, news.remote)
            except Exception as error:
                logger.debug("no news: {}", words_of(error))
                await asyncio.sleep(NEWS_PAUSE_S)

    def _hear(self, happening: Happening, remote: Remote | None = None) -> None:
        ledger = self._ledgers.get(happening.name)
        if ledger is not None:
            ledger.hear(happening, remote)
        match happening.what:
            case What.INTRODUCED if remote is not None:
                up = PeerUp(name=happening.name, epoch=happening.epoch, address=happening.address)
                self._post.connect(up, remote.hear)
            case What.DIED:
                self._post.disconnect(PeerDown(name=happening.name, epoch=happening.epoch))
            case What.HALTED:
                self.halted = happening.reason
            case What.RESUMED:
                self.halted = ""
        self._changed.set()
        self._changed = asyncio.Event()
        if self.on_event is not None:
            try:
                self.on_event(happening)
            except Exception as error:  # a listener is no reason to lose the tree
                logger.opt(exception=error).error("a listener failed on {}", happening.what)


class _DriversRegistry:
    """For the root itself: the driver numbers it while nobody else does."""

    def __init__(self, tree: Tree, epochs: Epochs) -> None:
        self._tree = tree
        self._epochs = epochs

    async def permit(self, name: str) -> Permit:
        return Permit(self._epochs.next())

    async def arrived(self, arrival: Arrival) -> None:
        self._tree.root_arrived(arrival)

    async def departed(self, name: str, epoch: int, reason: str, at: int) -> None:
        self._tree.root_departed(name, epoch, reason, at)
