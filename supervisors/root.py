"""The top of the tree: numbers the incarnations, introduces them to each other, keeps the bulletin for the driver.

Introductions go out side by side, each with its own deadline, so a hung peer delays nobody; a late one is still right,
because it carries its epoch. Both ends of an edge hear of each other (the hearer must know which incarnation to refuse),
but only the teller gets the way to reach the other.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from actors.log import words_of
from actors.mail import Post
from actors.runtime import Introduction, ProcessWatch, Remote, in_time, node_id
from actors.shell import Place
from messages.control import Halt, PeerDown, PeerUp, Resume
from messages.units import MILLISECOND, SECOND, Nanos
from supervisors.happenings import Arrival, Happening, News, What
from supervisors.keeper import Duty, Keeper, Permit, rules_of
from supervisors.tree import EXECUTORS, Node, edges, leaves

INTRODUCTION_WITHIN = Nanos(2 * SECOND)
KNOWN_WITHIN_S = 0.1
"""How long a newcomer's return to service waits for its peers to confirm that they know it."""
AGES_WITHIN = Nanos(500 * MILLISECOND)
BULLETIN_MOST = 4_096
BULLETIN_WAIT_S = 20.0


class Epochs:
    """A counter that grows over the restarts of everybody, also of whoever keeps it, because it lives in a file.

    One process writes it at a time: the root, or the driver while there is no root.
    """

    def __init__(self, run_directory: Path) -> None:
        self._path = run_directory / "epoch"

    def next(self) -> int:
        try:
            last = int(self._path.read_text())
        except FileNotFoundError:
            last = 0
        fresh = self._path.with_name("epoch.new")
        fresh.write_text(str(last + 1))
        fresh.replace(self._path)  # whole or not at all: an epoch must never be given twice
        return last + 1


@dataclass(slots=True, eq=False)
class Life:
    """One incarnation that is up."""

    arrival: Arrival
    grip: ProcessWatch | None

    @property
    def up(self) -> PeerUp:
        return PeerUp(name=self.arrival.name, epoch=self.arrival.epoch, address=self.arrival.address)


class Root:
    def __init__(self, duty: Duty, place: Place) -> None:
        self._node = duty.node
        self._place = place
        self._epochs = Epochs(place.run_directory)
        self._edges = edges(duty.node)
        self._leaves = frozenset(leaf.name for leaf in leaves(duty.node))
        self._lives: dict[str, Life] = {}
        self._given: dict[str, dict[str, int]] = {}
        self._bulletin: deque[News] = deque(maxlen=BULLETIN_MOST)
        self._numbers = 0
        self._fresh = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._halted = duty.halted
        self._post = Post(place.name, place.epoch)
        self._here = node_id()
        self._me: Remote | None = None
        self.keeper = Keeper(
            duty.node,
            self,
            place,
            rules_of(place.settings),
            duty.kill_at,
            self._duty_below,
            self._safe_state,
            last=True,
        )
        self._kill_at = duty.kill_at

    def _duty_below(self, node: Node) -> Duty:
        assert self._me is not None
        return Duty(node, self._kill_at, self._me)

    async def begin(self) -> None:
        # Children need the way to this very process, and only the runtime can say what it is.
        self._me = Remote.of_this_process()
        await self.keeper.begin()

    async def order(self, what: str, *details: Any) -> Any:
        match what:
            case "permit":
                return await self.permit(*details)
            case "arrived":
                return await self.arrived(*details)
            case "departed":
                return await self.departed(*details)
            case "news":
                return await self._news(*details)
            case "all_ages":
                return await self._all_ages()
            case "resume":
                return self._resume(*details)
        raise RuntimeError(f"the root does not understand {what!r}")

    # ------------------------------------------------------------------------------------------------------- the registry

    async def permit(self, name: str) -> Permit:
        epoch = self._epochs.next()
        peers = tuple(self._introduction(life, hearer=name) for life in self._peers_of(name))
        self._given[name] = {one.peer.name: one.peer.epoch for one in peers}
        return Permit(epoch, peers)

    async def arrived(self, arrival: Arrival) -> None:
        name = arrival.name
        grip = ProcessWatch(arrival.pid, lambda: None) if arrival.node == self._here else None
        known = self._lives.get(name)
        if known is not None:
            self._forget(known)
        life = self._lives[name] = Life(arrival, grip)
        self._announce(What.BECAME, arrival, arrival.became_at)
        self._announce(What.STARTED, arrival, arrival.started_at)
        if name in self._leaves:
            self._post.connect(life.up, arrival.remote.hear)
            await self._introduce_all(life)
            if self._halted:
                self._post.tell(EXECUTORS, Halt(by=self._place.name, why=self._halted))
        self._announce(What.INTRODUCED, arrival, time.time_ns(), arrival.remote)

    async def departed(self, name: str, epoch: int, reason: str, at: int) -> None:
        life = self._lives.get(name)
        if life is not None and life.arrival.epoch == epoch:
            del self._lives[name]
            self._forget(life)
            self._send_down(life)
        self._post_happening(Happening(What.DIED, name, at, epoch=epoch, reason=reason))
        below = next((child for child in self._node.children if child.name == name), None)
        if isinstance(below, Node):
            await self._bury_below(below, at)

    async def _bury_below(self, node: Node, at: int) -> None:
        """A dead supervisor can report nobody. Its children end with it; one that is stopped cannot, and is killed."""
        for leaf in leaves(node):
            life = self._lives.get(leaf.name)
            if life is not None:
                await self.departed(leaf.name, life.arrival.epoch, f"its supervisor {node.name} died", at)

    def _forget(self, life: Life) -> None:
        if life.grip is not None:
            life.grip.kill()
            life.grip.close()

    # ----------------------------------------------------------------------------------------------------- introductions

    def _peers_of(self, name: str) -> list[Life]:
        return [
            life
            for other, life in self._lives.items()
            if other != name and ((name, other) in self._edges or (other, name) in self._edges)
        ]

    def _introduction(self, life: Life, hearer: str) -> Introduction:
        tells = (hearer, life.arrival.name) in self._edges
        return Introduction(life.up, life.arrival.remote if tells else None)

    async def _introduce_all(self, newcomer: Life) -> None:
        name = newcomer.arrival.name
        peers = self._peers_of(name)
        given = self._given.pop(name, {})
        missed = [
            self._introduction(life, hearer=name)
            for life in peers
            if given.get(life.arrival.name) != life.arrival.epoch
        ]
        sends = [self._send(life, (self._introduction(newcomer, hearer=life.arrival.name),)) for life in peers]
        if missed:
            sends.append(self._send(newcomer, tuple(missed)))
        if sends:
            await asyncio.wait(sends, timeout=KNOWN_WITHIN_S)

    def _send_down(self, life: Life) -> None:
        down = PeerDown(name=life.arrival.name, epoch=life.arrival.epoch)
        self._post.disconnect(down)
        for peer in self._peers_of(life.arrival.name):
            self._send(peer, (Introduction(down),))  # type: ignore[unused-awaitable]

    def _send(self, to: Life, news: tuple[Introduction, ...]) -> asyncio.Task[None]:
        async def send() -> None:
            try:
                await in_time(to.arrival.remote.introduce(news), INTRODUCTION_WITHIN)
            except Exception as error:
                logger.warning("{} did not confirm an introduction: {}", to.arrival.name, words_of(error))

        task = asyncio.create_task(send())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -------------------------------------------------------------------------------------------------------- safe state

    def _safe_state(self, why: str) -> None:
        self._halted = why
        self._post_happening(Happening(What.HALTED, self._place.name, time.time_ns(), reason=why))
        self._post.tell(EXECUTORS, Halt(by=self._place.name, why=why))

    def _resume(self, by: str, why: str) -> None:
        self._halted = ""
        self.keeper.calm()
        self._post_happening(Happening(What.RESUMED, self._place.name, time.time_ns(), reason=f"{by}: {why}"))
        self._post.tell(EXECUTORS, Resume(by=by, why=why))

    # --------------------------------------------------------------------------------------------------------- bulletin

    def _announce(self, what: What, arrival: Arrival, at: int, remote: Remote | None = None) -> None:
        self._post_happening(
            Happening(
                what,
                arrival.name,
                at,
                epoch=arrival.epoch,
                pid=arrival.pid,
                region=arrival.region,
                address=arrival.address,
                node=arrival.node,
                spare=arrival.spare,
            ),
            remote,
        )

    def _post_happening(self, happening: Happening, remote: Remote | None = None) -> None:
        self._numbers += 1
        self._bulletin.append(News(self._numbers, happening, remote))
        self._fresh.set()
        self._fresh = asyncio.Event()

    async def _news(self, after: int) -> tuple[News, ...]:
        """What happened since; waits a while for something to happen."""
        if self._numbers <= after:
            try:
                async with asyncio.timeout(BULLETIN_WAIT_S):
                    await self._fresh.wait()
            except TimeoutError:
                return ()
        return tuple(news for news in self._bulletin if news.number > after)

    async def _all_ages(self) -> dict[str, int]:
        ages = self.keeper.ages_ms()
        below = [self._lives[name].arrival.remote for name in self._lives if name not in self._leaves]
        found = await asyncio.gather(
            *(in_time(remote.order("ages"), AGES_WITHIN) for remote in below), return_exceptions=True
        )
        for one in found:
            if isinstance(one, dict):
                ages |= one
        return ages
