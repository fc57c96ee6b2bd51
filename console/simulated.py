"""The simulated venues of a session: processes of their own, started before the engine and asked for their books after it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from configs.settings import KeySettings, Settings, VenueSettings
from messages.units import SECOND

READY_WITHIN_S = 30.0
TAPE_LEAD_S = 15
"""A tape begins so much after the venues, that the engine is there when it does."""
WORDS_MOST = 2_000
"""Of what a venue said before it ended."""
ADMIN_WITHIN = aiohttp.ClientTimeout(total=30)
ROOT = Path(__file__).resolve().parent.parent


class VenueNotReady(Exception):
    """A simulated venue did not start; the text is its own complaint."""


class VenueGone(Exception):
    """A simulated venue does not answer its administrator any more; the text says which, and what it said last."""


@dataclass(slots=True)
class _Running:
    process: asyncio.subprocess.Process
    ready: dict[str, Any]
    log: Path


@dataclass(slots=True)
class SimulatedVenues:
    """One process a configured venue; all follow the same seed and the same zero of time."""

    settings: Settings
    run_directory: Path
    extra: tuple[str, ...] = ()
    """Further arguments of the venue processes."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """Where a venue shall listen; a free port where it is not named."""
    running: dict[str, _Running] = field(default_factory=dict)
    start_ns: int = 0
    """Their zero of time."""

    async def __aenter__(self) -> Self:
        self.start_ns = time.time_ns() + (TAPE_LEAD_S * SECOND if self.settings.sim.tape else 0)
        try:
            started = await asyncio.gather(
                *(self._start(name, venue, self.start_ns) for name, venue in self.settings.venues.items()),
                return_exceptions=True,
            )
            for outcome in started:
                if isinstance(outcome, BaseException):
                    raise outcome
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self, name: str, venue: VenueSettings, start: int) -> None:
        sim = self.settings.sim
        command = [
            *(sys.executable, "-m", "venues.simulated"),
            *("--dialect", venue.dialect.value, "--name", name, "--port", str(self.ports.get(name, 0))),
            *("--seed", str(sim.seed), "--pairs", str(self.settings.pairs), "--faults", sim.faults),
            *("--deposit", str(int(sim.deposit_dollars)), "--start-ns", str(start), "--parent-pid", str(os.getpid())),
        ]
        if sim.tape:
            command += [
                "--tape",
                sim.tape,
                "--from",
                sim.tape_from,
                "--to",
                sim.tape_to,
                "--speed",
                str(sim.tape_speed),
            ]
        command += self.extra
        log = self.run_directory / "logs" / f"venue-{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=errors,
                env=environment, start_new_session=True,
            )  # fmt: skip
        self.running[name] = _Running(process, {}, log)
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S)
            self.running[name].ready = json.loads(line)
        except (TimeoutError, ValueError):
            raise VenueNotReady(f"the simulated venue {name} did not start: {self._said(name)}") from None

    def _said(self, name: str) -> str:
        return self.running[name].log.read_text(errors="replace").strip()[-WORDS_MOST:] or "it said nothing"

    def connected(self) -> Settings:
        """The settings with where each venue listens, and its throw-away credentials by reference."""
        venues = {}
        for name, venue in self.settings.venues.items():
            ready = self.running[name].ready
            theirs = ready["credentials"]["keys"]
            keys = tuple(
                KeySettings(name=key.name, secret=f"file:{self._secret(key.name, theirs[number % len(theirs)])}")
                for number, key in enumerate(venue.keys)
            )
            urls = {where: ready[where] for where in ("rest", "ws_market", "ws_user")}
            venues[name] = venue.model_copy(update={"keys": keys, **urls})
        return self.settings.model_copy(update={"venues": venues})

    def _secret(self, name: str, credentials: dict[str, Any]) -> Path:
        path = self.run_directory / "secrets" / f"{name}.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(credentials, file)
        return path

    async def ended(self) -> str:
        """Which venue's process has ended by itself; returns when one has."""
        waiting = {asyncio.create_task(running.process.wait()): name for name, running in self.running.items()}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return self._obituary(waiting[done.pop()])

    def _obituary(self, name: str) -> str:
        code = self.running[name].process.returncode
        state = "does not answer" if code is None else f"ended by itself (exit {code})"
        return f"the simulated venue {name} {state}: {self._said(name)}"

    async def faults_off(self) -> None:
        """The safety phase is over: what is open must now settle."""
        async with aiohttp.ClientSession(timeout=ADMIN_WITHIN) as session:
            for name in self.running:
                await self._asked(session, name, "POST", "faults", {"script": "none"})

    async def ledgers(self) -> dict[str, Any]:
        """Every venue's own books and request log: the judge."""
        async with aiohttp.ClientSession(timeout=ADMIN_WITHIN) as session:
            return {name: await self._asked(session, name, "GET", "ledger") for name in self.running}

    async def _asked(
        self, session: aiohttp.ClientSession, name: str, method: str, what: str, body: dict[str, str] | None = None
    ) -> Any:
        try:
            async with session.request(method, f"{self.running[name].ready['admin']}/{what}", json=body) as answer:
                answer.raise_for_status()
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            raise VenueGone(self._obituary(name)) from None

    def described(self) -> dict[str, dict[str, Any]]:
        return {
            name: {key: running.ready.get(key) for key in ("dialect", "rest", "admin", "pid")}
            for name, running in self.running.items()
        }

    async def _stop(self) -> None:
        for running in self.running.values():
            if running.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    running.process.terminate()
        for running in self.running.values():
            try:
                await asyncio.wait_for(running.process.wait(), 5)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    running.process.kill()
                await running.process.wait()
