"""What a shell keeps beside what it owns: whom it was introduced to, and the loops that it runs in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from fnmatch import fnmatchcase
from typing import Any

from loguru import logger

from messages.control import PeerDown, PeerUp

CANCEL_AGAIN_S = 0.5


class Peers:
    """The newest incarnation of everybody; news of older ones is no news."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}
        self._up: set[str] = set()

    def introduced(self, peer: PeerUp | PeerDown) -> bool:
        """True where somebody is up who was not, or not in this incarnation."""
        known = self._epochs.get(peer.name, -1)
        if peer.epoch < known:
            return False
        self._epochs[peer.name] = peer.epoch
        if isinstance(peer, PeerDown):
            self._up.discard(peer.name)
            return False
        new = peer.epoch > known or peer.name not in self._up
        self._up.add(peer.name)
        return new

    def up(self, pattern: str = "*") -> list[str]:
        return sorted(name for name in self._up if fnmatchcase(name, pattern))


class Chores:
    """Loops that must never end in silence: the first failure is logged, shown, and raised when the shell hears next."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, loop: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(loop)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            logger.opt(exception=failure).error("a background loop failed")
            self.failure = self.failure or failure

    def must_be_sound(self) -> None:
        if self.failure is not None:
            raise self.failure

    @property
    def failed(self) -> str:
        """For a snapshot; "" where nothing has failed."""
        return f"{type(self.failure).__name__}: {self.failure}" if self.failure is not None else ""

    async def stop(self) -> None:
        """Ends them all; one that swallows its cancellation is cancelled again."""
        running = set(self._tasks)
        while running:
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
