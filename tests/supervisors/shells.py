"""Small actors for the tests of the runtime. They live in an importable module, since other processes import it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from actors import points
from actors.shell import Clock, Outbox, Place
from messages.base import Command, Event, Message
from messages.control import PeerDown, PeerUp
from messages.units import SECOND, Nanos


class Say(Command):
    words: str


class Said(Event):
    words: str
    by: str
    epoch: int


class Count(Event):
    number: int


class Sleep(Command):
    """Answer late."""

    milliseconds: int


class Block(Command):
    """Hold up the whole event loop: what a hung actor does."""

    milliseconds: int


class Poison(Command):
    """Raises in whoever hears it."""


class TellAll(Command):
    """Tell everybody who matches `to` the numbers from 0 on."""

    to: str
    count: int


class AskOther(Command):
    to: str
    words: str
    within: int = SECOND


class Report(Command):
    """What have you heard?"""


class Reported(Event):
    body: str


class Echo:
    """Hears, remembers, answers."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.numbers: dict[str, list[int]] = {}
        self.peers: list[tuple[str, str, int]] = []
        self.last = ""

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        self.outbox = outbox
        self.clock = clock
        if (self.place.run_directory / f"refuse.{self.place.name}").exists():
            raise RuntimeError("this start was refused")
        points.reach("echo.start")
        return f"address of {self.place.name}"

    async def hear(self, sender: str, message: Message) -> Message | None:
        self.last = type(message).__name__
        match message:
            case Say(words=words):
                points.reach("echo.say")
                return Said(words=words, by=self.place.name, epoch=self.place.epoch)
            case Count(number=number):
                self.numbers.setdefault(sender, []).append(number)
            case Sleep(milliseconds=milliseconds):
                await asyncio.sleep(milliseconds / 1000)
                return Said(words="slept", by=self.place.name, epoch=self.place.epoch)
            case Block(milliseconds=milliseconds):
                time.sleep(milliseconds / 1000)  # noqa: ASYNC251  this is the fault under test
            case TellAll(to=to, count=count):
                reached = 0
                for number in range(count):
                    reached = self.outbox.tell(to, Count(number=number))
                return Said(words=str(reached), by=self.place.name, epoch=self.place.epoch)
            case AskOther(to=to, words=words, within=within):
                return await self.outbox.ask(to, Say(words=words), Nanos(within))
            case Report():
                return Reported(body=json.dumps({"numbers": self.numbers, "peers": self.peers}))
            case Poison():
                raise RuntimeError("poisoned on purpose")
        return None

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        self.peers.append((type(peer).__name__, peer.name, peer.epoch))

    def snapshot(self) -> dict[str, object]:
        return {"heard": sum(map(len, self.numbers.values())), "last": self.last, "path": Path("no json type")}

    async def stop(self) -> None:
        (self.place.run_directory / f"stopped.{self.place.name}").write_text(str(time.time_ns()))
