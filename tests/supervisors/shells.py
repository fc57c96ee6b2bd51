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


class EchoSay(Command):
    words: str


class EchoSaid(Event):
    words: str
    by: str
    epoch: int


class EchoCount(Event):
    number: int


class EchoSleep(Command):
    """Answer late."""

    milliseconds: int


class EchoBlock(Command):
    """Hold up the whole event loop: what a hung actor does."""

    milliseconds: int


class EchoPoison(Command):
    """Raises in whoever hears it."""


class EchoTellAll(Command):
    """Tell everybody who matches `to` the numbers from 0 on."""

    to: str
    count: int


class EchoAskOther(Command):
    to: str
    words: str
    within: int = SECOND


class EchoReport(Command):
    """What have you heard?"""


class EchoReported(Event):
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
            case EchoSay(words=words):
                points.reach("echo.say")
                return EchoSaid(words=words, by=self.place.name, epoch=self.place.epoch)
            case EchoCount(number=number):
                self.numbers.setdefault(sender, []).append(number)
            case EchoSleep(milliseconds=milliseconds):
                await asyncio.sleep(milliseconds / 1000)
                return EchoSaid(words="slept", by=self.place.name, epoch=self.place.epoch)
            case EchoBlock(milliseconds=milliseconds):
                time.sleep(milliseconds / 1000)  # noqa: ASYNC251  this is the fault under test
            case EchoTellAll(to=to, count=count):
                reached = 0
                for number in range(count):
                    reached = self.outbox.tell(to, EchoCount(number=number))
                return EchoSaid(words=str(reached), by=self.place.name, epoch=self.place.epoch)
            case EchoAskOther(to=to, words=words, within=within):
                return await self.outbox.ask(to, EchoSay(words=words), Nanos(within))
            case EchoReport():
                return EchoReported(body=json.dumps({"numbers": self.numbers, "peers": self.peers}))
            case EchoPoison():
                raise RuntimeError("poisoned on purpose")
        return None

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        self.peers.append((type(peer).__name__, peer.name, peer.epoch))

    def snapshot(self) -> dict[str, object]:
        return {"heard": sum(map(len, self.numbers.values())), "last": self.last, "path": Path("no json type")}

    async def stop(self) -> None:
        (self.place.run_directory / f"stopped.{self.place.name}").write_text(str(time.time_ns()))
