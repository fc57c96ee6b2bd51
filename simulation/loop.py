"""Virtual time: one queue of what is to happen, and an asyncio loop for each process that lives in it.

Nothing waits for real time: the clock jumps to whatever happens next. Each incarnation of an actor has a loop of its own
on the shared queue, so that it can be killed as a process is (nothing of it runs any more, not even what would clean up)
or stopped for a while (what was due happens late). The same calls in the same order give the same run.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from heapq import heappop, heappush
from typing import Any, Self, TypeVar, TypeVarTuple, Unpack
from weakref import WeakSet

from messages.units import SECOND, Nanos

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Timeline:
    """What is to happen, by time and then in the order in which it was asked for."""

    def __init__(self, start: Nanos) -> None:
        self.now = self.start = start
        self._queue: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._asked = 0
        self.ready: deque[tuple[Process, asyncio.Handle]] = deque()
        self.running: Process | None = None
        """Whose code runs at this instant; None while the world outside of all processes moves."""
        self.processes: list[Process] = []
        self.graves: list[asyncio.Task[Any]] = []
        """What the dead had not finished. Where nobody kept it, Python would end it in order, `finally` and all."""

    def at(self, when: int, do: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        self._asked += 1
        heappush(self._queue, (max(when, self.now), self._asked, do, args))

    def after(self, delay: int, do: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        self.at(self.now + delay, do, *args)

    @property
    def idle(self) -> bool:
        return not self._queue

    def step(self) -> None:
        """Let the next thing happen, and everything that follows from it without time passing."""
        when, _, do, args = heappop(self._queue)
        self.now = Nanos(when)
        do(*args)
        self.settle()

    def settle(self) -> None:
        ready = self.ready
        while ready:
            process, handle = ready.popleft()
            process.turn(handle)

    def next_at(self) -> Nanos:
        return Nanos(self._queue[0][0])

    def bury(self) -> None:
        """The scenario is over and has been judged: end what still waits, here and now. Left to the garbage collector,
        its `finally` would run at some instant of another scenario.
        """
        for process in self.processes:
            if not process.dead:
                process.kill()
        for task in self.graves:
            work = task.get_coro()
            with suppress(Exception):  # it may want to wait for something while it ends
                if work is not None:
                    work.close()
        self.graves.clear()
        self.ready.clear()


class Process(asyncio.AbstractEventLoop):
    """One incarnation's event loop."""

    def __init__(self, timeline: Timeline, name: str) -> None:
        self.timeline, self.name = timeline, name
        self.dead = False
        self.stopped = False
        """As by SIGSTOP: what is due waits."""
        self._held: list[asyncio.Handle] = []
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        timeline.processes.append(self)
        self.failures: list[dict[str, Any]] = []

    @classmethod
    def born(cls, timeline: Timeline, name: str) -> Self:
        """One that runs. It has of a loop what the shells use; whoever asks for more is told `NotImplementedError`."""
        return cls(timeline, name)

    # What asyncio asks of a loop

    def time(self) -> float:
        return (self.timeline.now - self.timeline.start) / SECOND

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.dead

    def is_closed(self) -> bool:
        return self.dead

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.add(task)
        return task

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.dead:
            self.timeline.ready.append((self, handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._timer(self.timeline.now + round(delay * SECOND), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self._timer(self.timeline.start + round(when * SECOND), callback, args, context)

    def _timer(
        self, when: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle((when - self.timeline.start) / SECOND, callback, args, self, context)
        if not self.dead:
            self.timeline.at(when, self.turn, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays in the queue and does nothing when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.dead:
            self.failures.append(context)

    # Living and dying

    def turn(self, handle: asyncio.Handle) -> None:
        if self.dead or handle.cancelled():
            return
        if self.stopped:
            self._held.append(handle)
            return
        timeline = self.timeline
        before, timeline.running = timeline.running, self
        events._set_running_loop(self)  # noqa: SLF001  as every loop must
        try:
            handle._run()  # noqa: SLF001  what asyncio does with it
        finally:
            events._set_running_loop(before)  # noqa: SLF001
            timeline.running = before

    def run(self, do: Callable[[Unpack[Ts]], object], *args: *Ts) -> None:
        """Call something as this process, now if it runs, else when it continues."""
        self.turn(asyncio.Handle(do, args, self, None))

    def kill(self) -> None:
        """Nothing of it runs from here on: no callback, no `finally` that another task would have come to."""
        self.dead = True
        self._held.clear()
        self.timeline.graves.extend(task for task in self._tasks if not task.done())

    def stop_for_now(self) -> None:
        self.stopped = True

    def go_on(self) -> None:
        self.stopped = False
        held, self._held = self._held, []
        for handle in held:
            if not self.dead:
                self.timeline.ready.append((self, handle))
