"""The same shells in one process, without Ray: for tests, with the same encoding and the same introductions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from actors.clock import AnchoredClock
from actors.mail import Post, Wire
from actors.seat import Seat, import_shell
from actors.shell import Clock, Place, Shell
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.units import SECOND, Nanos


class Gone(ConnectionError):
    """The peer was killed."""


_owner: ContextVar[str] = ContextVar("owner", default="")


@dataclass(slots=True, eq=False)
class _Resident:
    seat: Seat
    context: Context
    key: str
    alive: bool = True
    why: str = ""


class LocalNet:
    """The same shells in one process: no Ray, no processes, the same encoding, the same introductions.

    `edges` says who may tell whom, as (teller, hearer). A killed shell loses its tasks and its peers hear of it; files
    and sockets that it opened stay open, as no process ends here.
    """

    def __init__(
        self,
        shells: Mapping[str, str | type[Shell]],
        edges: Iterable[tuple[str, str]],
        run_directory: Path,
        settings: str = "{}",
        clock: Clock | None = None,
        beat_every: Nanos = SECOND,
    ) -> None:
        self._shells = dict(shells)
        self._edges = frozenset(edges)
        self._run_directory = run_directory
        self._settings = settings
        self._clock = clock or AnchoredClock()
        self._beat_every = beat_every
        self._epoch = 0
        self._residents: dict[str, _Resident] = {}
        self._tasks: dict[str, set[asyncio.Task[Any]]] = {}
        self._factory: Any = None
        self._post: Post | None = None
        self.deaths: list[tuple[str, str]] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._factory = loop.get_task_factory()
        loop.set_task_factory(cast(Any, self._owned_task))
        self._post = Post("driver", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in reversed(list(self._residents)):
            await self.stop(name)
        asyncio.get_running_loop().set_task_factory(self._factory)

    def _owned_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=loop, context=context)
        owner = context.get(_owner, "") if context is not None else _owner.get()
        if owner:
            tasks = self._tasks.setdefault(owner, set())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return task

    async def up(self) -> None:
        for name in self._shells:
            if name not in self._residents:
                await self.start(name)

    async def start(self, name: str) -> Seat:
        """A first incarnation or a successor, with a new epoch; introduced to its peers when it is ready."""
        if name in self._residents and self._residents[name].alive:
            raise RuntimeError(f"{name} lives")
        self._epoch += 1
        found = self._shells[name]
        shell_class = import_shell(found) if isinstance(found, str) else found
        place = Place(name, self._epoch, self._run_directory, self._settings)
        context = copy_context()
        context.run(_owner.set, f"{name}#{self._epoch}")
        shell = cast(Callable[[Place], Shell], shell_class)(place)
        ended: Callable[[str], None] = lambda why: self._ended(resident, why)  # noqa: E731
        seat = context.run(Seat, shell, self._clock, ended, self._beat_every)
        resident = _Resident(seat, context, f"{name}#{self._epoch}")
        self._residents[name] = resident
        others = [other for other in self._residents.values() if other.alive and other is not resident]
        peers = [
            (self._up(other), self._wire(name, other)) for other in others if self._linked(name, other.seat.place.name)
        ]
        await asyncio.get_running_loop().create_task(seat.start(peers), context=context)
        for other in others:
            if self._linked(name, other.seat.place.name) and other.alive:
                news = [(self._up(resident), self._wire(other.seat.place.name, resident))]
                other.context.run(other.seat.introduce, news)
        self._driver.connect(self._up(resident), self._carrier(resident))
        return seat

    @property
    def _driver(self) -> Post:
        if self._post is None:
            raise RuntimeError("use `async with LocalNet(...)`")
        return self._post

    def _linked(self, one: str, other: str) -> bool:
        return (one, other) in self._edges or (other, one) in self._edges

    def _up(self, resident: _Resident) -> PeerUp:
        place = resident.seat.place
        return PeerUp(name=place.name, epoch=place.epoch, address=resident.seat.address)

    def _wire(self, teller: str, hearer: _Resident) -> Wire | None:
        return self._carrier(hearer) if (teller, hearer.seat.place.name) in self._edges else None

    def _carrier(self, hearer: _Resident) -> Wire:
        async def carry(envelope: bytes) -> bytes:
            if not hearer.alive:
                raise Gone(hearer.seat.place.name)
            taken = asyncio.get_running_loop().create_task(hearer.seat.reception.take(envelope), context=hearer.context)
            await asyncio.wait([taken])
            if taken.cancelled() or not hearer.alive:
                raise Gone(hearer.seat.place.name)
            return taken.result()

        return carry

    def _ended(self, resident: _Resident, why: str) -> None:
        if resident.alive:
            asyncio.get_running_loop().call_soon(self.kill, resident.seat.place.name, why, context=Context())

    def kill(self, name: str, why: str = "killed") -> None:
        """At once: its tasks end where they stand, and its peers hear that it is down."""
        resident = self._residents[name]
        if not resident.alive:
            return
        resident.alive, resident.why = False, why
        self.deaths.append((name, why))
        for task in tuple(self._tasks.pop(resident.key, ())):
            task.cancel()
        place = resident.seat.place
        down = PeerDown(name=place.name, epoch=place.epoch)
        for other in self._residents.values():
            if other.alive and self._linked(name, other.seat.place.name):
                other.context.run(other.seat.introduce, [(down, None)])
        self._driver.disconnect(down)

    async def stop(self, name: str) -> None:
        resident = self._residents[name]
        if resident.alive:
            await asyncio.get_running_loop().create_task(resident.seat.stop(), context=resident.context)
            self.kill(name, "stopped")

    def tell(self, name: str, message: Message) -> int:
        return self._driver.tell(name, message)

    async def ask(self, name: str, message: Message, within: Nanos = Nanos(5 * SECOND)) -> Message:
        return await self._driver.ask(name, message, within)

    def shell(self, name: str) -> Shell:
        return self._residents[name].seat.shell

    def seat(self, name: str) -> Seat:
        return self._residents[name].seat
