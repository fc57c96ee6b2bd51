"""A stage for one shell: an outbox that remembers what was told, a clock that is moved by hand, a real journal."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

import pytest

from actors import points
from actors.clock import HandClock
from actors.shell import Clock, Place, Shell, Unheard
from configs.settings import Dialect, KeySettings, Settings, VenueSettings
from messages.base import Message, decode, encode
from messages.control import PeerUp
from messages.units import SECOND, Nanos

HOUSE = Path(__file__).resolve().parents[2]
PAIRS = HOUSE / "configs" / "pairs.sim.yaml"
START = Nanos(1_800_000_000 * SECOND)
S = TypeVar("S", bound=Shell)
M = TypeVar("M", bound=Message)


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the shell runs after it."""


class Outbox:
    """Whoever is told of is there; every message goes through its encoding."""

    def __init__(self, *peers: str) -> None:
        self.told: list[tuple[str, Message]] = []
        self._peers = peers or ("executor", "recorder")

    def tell(self, to: str, message: Message) -> int:
        found = [name for name in self._peers if fnmatchcase(name, to)]
        self.told += [(name, decode(encode(message))) for name in found]
        return len(found)

    async def ask(self, to: str, message: Message, within: Nanos) -> Message:
        raise Unheard(to)

    def of(self, kind: type[M], to: str = "*") -> list[M]:
        return [message for name, message in self.told if isinstance(message, kind) and fnmatchcase(name, to)]

    def last(self, kind: type[M]) -> M:
        return self.of(kind)[-1]


def settings(**changes: Any) -> Settings:
    """Two venues, of 100 and 50 dollars; ten orders a second."""
    keys = {name: [{"name": f"{name}-{number}"} for number in (1, 2)] for name in ("kalshi", "polymarket")}
    return Settings.model_validate(
        {
            "venues": {
                "kalshi": {"dialect": "kalshi", "keys": keys["kalshi"], "capital_dollars": "100"},
                "polymarket": {"dialect": "polymarket", "keys": keys["polymarket"], "capital_dollars": "50"},
            },
            **changes,
        }
    )


def place(name: str, run_directory: Path, chosen: Settings | None = None, epoch: int = 1) -> Place:
    return Place(name, epoch, run_directory, (chosen or settings()).model_dump_json())


@asynccontextmanager
async def on_stage(shell: S, outbox: Outbox, clock: Clock | None = None) -> AsyncIterator[S]:
    await shell.start(outbox, clock or HandClock(START))
    try:
        yield shell
    finally:
        await shell.stop()


async def say(shell: Shell, *messages: Message, sender: str = "executor") -> Message | None:
    """The last answer."""
    answer = None
    for message in messages:
        answer = await shell.hear(sender, message)
    return answer


def up(name: str, epoch: int = 1) -> PeerUp:
    return PeerUp(name=name, epoch=epoch)


@contextmanager
def dies_at(point: str, *, surely: bool = True) -> Iterator[None]:
    """The shell ends where the point is reached."""
    real = points.reach

    def reach(where: str) -> None:
        if where == point:
            raise Killed

    modules = [f"actors.{name}" for name in ("owner", "position_book", "in_flight", "cooldowns", "key_pool")]
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            patch.setattr(f"{module}.reach", reach)
        with pytest.raises(Killed) if surely else suppress(Killed):
            yield
    assert points.reach is real


async def until(condition: Callable[[], object], within_s: float = 4.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110  a socket on the other side of it tells nobody
            await asyncio.sleep(0.005)


# A venue of its own process


@dataclass(frozen=True)
class Running:
    """A simulated venue, and the settings by which our adapters reach it."""

    process: subprocess.Popen[str]
    venue: VenueSettings

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(5)


def simulate(dialect: str, directory: Path, port: int = 0) -> Running:
    options = {"dialect": dialect, "name": dialect, "pairs": PAIRS, "port": port, "parent-pid": os.getpid()}
    process = subprocess.Popen(
        [sys.executable, "-m", "venues.simulated", *(f"--{name}={value}" for name, value in options.items())],
        cwd=HOUSE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        ready = json.loads(process.stdout.readline())
    return Running(process, venue_at(dialect, ready, write_secret(directory, dialect, ready["credentials"])))


def write_secret(directory: Path, dialect: str, credentials: object) -> str:
    """The reference to it."""
    secret = directory / f"{dialect}.json"
    secret.write_text(json.dumps(credentials))
    secret.chmod(0o600)
    return f"file:{secret}"


def venue_at(dialect: str, addresses: Mapping[str, str], secret: str) -> VenueSettings:
    return VenueSettings(
        dialect=Dialect(dialect),
        rest=addresses["rest"],
        ws_market=addresses["ws_market"],
        ws_user=addresses["ws_user"],
        keys=(KeySettings(name=f"{dialect}-1", secret=secret),),
        request_timeout_ms=600,
        connect_timeout_ms=500,
    )


def settings_with(dialect: str, venue: VenueSettings, pairs: Path | None = None) -> Settings:
    others = {name: value for name, value in settings().venues.items() if name != dialect}
    return Settings(pairs=pairs or PAIRS, venues={**others, dialect: venue})
