"""One actor in its place: the shell, its post, its reception, its heartbeat, and the picture that inspections show."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import cast

from actors.log import words_of
from actors.mail import Post, Reception, Wire
from actors.shell import Clock, Shell
from messages.control import PeerDown, PeerUp
from messages.units import SECOND, Nanos


def import_shell(path: str) -> type[Shell]:
    module, _, name = path.partition(":")
    return cast(type[Shell], getattr(import_module(module), name))


class Seat:
    """One shell with its post, its reception, its heartbeat and the frozen picture that inspections are served from."""

    def __init__(
        self,
        shell: Shell,
        clock: Clock,
        ended: Callable[[str], None],
        beat_every: Nanos = SECOND,
        pulse: Callable[[int], None] | None = None,
    ) -> None:
        self.shell = shell
        self.place = shell.place
        self.clock = clock
        self.address = ""
        self.beat = 0
        self.picture = "{}"
        self.last_error = ""
        self._ended = ended
        self._beat_every = beat_every / SECOND
        self._pulse = pulse
        self._lag_s = 0.0
        self._heart: asyncio.Task[None] | None = None
        self.post = Post(self.place.name, self.place.epoch, fenced=lambda why: ended(f"fenced: {why}"))
        self.reception = Reception(shell.hear, self._poisoned)

    def _poisoned(self, error: BaseException) -> None:
        self.note(words_of(error))
        self._ended(f"poisoned: {words_of(error)}")

    def note(self, words: str) -> None:
        self.last_error = words

    async def start(self, peers: Iterable[tuple[PeerUp, Wire | None]] = ()) -> str:
        """Peers that are up already can be asked from the first line of the shell's own start."""
        known = tuple(peers)
        for up, wire in known:
            self._connect(up, wire)
        self.address = await self.shell.start(self.post, self.clock)
        for up, _ in known:
            self.shell.introduced(up)
        self._heart = asyncio.create_task(self._beating())
        return self.address

    def introduce(self, news: Iterable[tuple[PeerUp | PeerDown, Wire | None]]) -> None:
        for peer, wire in news:
            if peer.epoch < self.reception.floor(peer.name):
                continue
            if isinstance(peer, PeerUp):
                self._connect(peer, wire)
            else:
                self.post.disconnect(peer)
            self.shell.introduced(peer)

    def _connect(self, up: PeerUp, wire: Wire | None) -> None:
        self.reception.know(up.name, up.epoch)
        if wire is not None:
            self.post.connect(up, wire)

    async def _beating(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.beat += 1
            if self._pulse is not None:
                self._pulse(self.beat)
            picture = self.look()
            self.picture = json.dumps(picture, default=str)
            owns = picture["owns"]
            if isinstance(owns, dict) and owns.get("failed"):
                # a shell whose loop has failed may never be spoken to again: it must not look alive
                self._ended(f"a loop of it failed: {owns['failed']}")
            due = loop.time() + self._beat_every
            await asyncio.sleep(self._beat_every)
            self._lag_s = max(loop.time() - due, 0.0)

    def look(self) -> dict[str, object]:
        try:
            owns = self.shell.snapshot()
        except Exception as error:  # an inspection must never be what kills an actor
            owns = {"error": words_of(error)}
        return {
            "name": self.place.name,
            "shell": f"{type(self.shell).__module__}:{type(self.shell).__name__}",
            "epoch": self.place.epoch,
            "pid": os.getpid(),
            "address": self.address,
            "beat": self.beat,
            "at": self.clock.now(),
            "loop_lag_ms": round(self._lag_s * 1000, 1),
            "mailbox": self.reception.seen(),
            "peers": self.post.seen(),
            "last_error": self.last_error,
            "owns": owns,
        }

    async def stop(self, within: Nanos = SECOND) -> None:
        if self._heart is not None:
            self._heart.cancel()
        await self.shell.stop()
        await self.post.flush(within)
        self.post.close()
