"""One session, from the first process to the last figure: start, trade, break what was asked to be broken, drain, prove."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from loguru import logger

from actors.shell import Unheard
from configs.settings import Mode, Settings, money
from console.exits import Exit
from console.options import Kill, SessionOptions
from console.report import RunFacts, document, exit_code, line, render
from console.simulated import ROOT, SimulatedVenues, VenueNotReady
from core.units import dollars
from messages.control import Ask, Drain, Drained, Snapshot
from messages.units import SECOND, Money, Nanos
from supervisors.driver import State, Status, Tree
from supervisors.happenings import Happening, What
from supervisors.tree import TREE, expand
from venues.simulated.tape import instant_ns

UP_WITHIN_S = 90.0
DRAIN_POLL_S = 0.2
STORY_POLL_S = 0.1
WORK_WITHIN_S = 3.0
EXECUTOR = "executor"


def run_session(options: SessionOptions) -> int:
    """Run it in this process; the exit code."""
    logger.remove()
    logger.add(
        sys.stderr, level="WARNING", format="{time:HH:mm:ss} {level: <7} {message}", diagnose=False, backtrace=False
    )
    if options.settings.mode is not Mode.SIM:
        say = "only mode sim runs in this version; set mode: sim, or wait for the release that has the other edges"
        sys.stderr.write(f"mode: {options.settings.mode.value}: {say}\n")
        return Exit.CONFIGURATION
    try:
        return asyncio.run(_Session(options).run())
    except VenueNotReady as problem:
        sys.stderr.write(f"{problem}\n")
        return Exit.PREFLIGHT


@dataclass(slots=True)
class _Session:
    options: SessionOptions
    run_directory: Path = field(init=False)
    settings: Settings = field(init=False)
    kills: list[dict[str, Any]] = field(default_factory=list)
    restarts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    signals: int = 0
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    began: int = 0
    deaths: dict[str, list[str]] = field(default_factory=dict)
    """Why each died, in order."""
    results: dict[str, int] = field(default_factory=dict)
    """Of every final trade, in micro-dollars."""

    def __post_init__(self) -> None:
        given = self.options.settings
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        home = given.home.expanduser().absolute()
        self.run_directory = home / "runs" / f"{stamp}-{os.getpid()}"
        sim = given.sim
        if sim.tape:
            sim = sim.model_copy(update={"tape": str(Path(sim.tape).expanduser().absolute())})
        if sim.faults.endswith((".yaml", ".yml")):
            sim = sim.model_copy(update={"faults": str(Path(sim.faults).absolute())})
        self.settings = given.model_copy(update={"home": home, "pairs": given.pairs.absolute(), "sim": sim})

    async def run(self) -> int:
        (self.run_directory / "journal").mkdir(parents=True)
        problems = self._preflight()
        if problems:
            sys.stderr.write("".join(f"{problem}\n" for problem in problems))
            return Exit.PREFLIGHT
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        self._say(f"crossfill · {self.settings.mode.value.upper()}{' · dry run' if self.settings.dry_run else ''}"
                  f" · seed {self.settings.sim.seed} · faults {self.settings.sim.faults} · {self.run_directory}")  # fmt: skip
        async with AsyncExitStack() as stack:
            venues = await stack.enter_async_context(SimulatedVenues(self.settings, self.run_directory))
            self.settings = venues.connected()
            tree = await stack.enter_async_context(self._tree())
            await tree.up(UP_WITHIN_S)
            await self._ready(tree)
            self._show(await tree.status())
            return await self._trade(tree, venues, stack)

    def _preflight(self) -> list[str]:
        deposit = money(self.settings.sim.deposit_dollars)
        return [
            f"venues.{name}.capital_dollars: {venue.capital_dollars} is more than the account holds "
            f"({dollars(deposit)}); lower it, or raise sim.deposit_dollars"
            for name, venue in self.settings.venues.items()
            if money(venue.capital_dollars) > deposit
        ]

    def _tree(self) -> Tree:
        points: dict[str, tuple[str, ...]] = {}
        for kill in self.options.kills:
            if kill.point is not None:
                points[kill.actor] = (*points.get(kill.actor, ()), kill.point)
        literal = expand(TREE, tuple(self.settings.venues), self.options.executors)
        return Tree(
            literal, self.settings.model_dump_json(), self.run_directory, points, self._happened, import_from=(ROOT,)
        )

    async def _ready(self, tree: Tree) -> None:
        """Up is not enough: claims, keys, capital and books must have arrived before the clock of the session starts."""
        async with asyncio.timeout(UP_WITHIN_S):
            while True:
                seen = await self._inspect(tree)
                if (
                    seen.get("claims")
                    and seen.get("books")
                    and seen.get("keys")
                    and any((seen.get("free") or {}).values())
                ):
                    return
                await asyncio.sleep(0.1)

    async def _trade(self, tree: Tree, venues: SimulatedVenues, stack: AsyncExitStack) -> int:
        self.began = time.time_ns()
        helpers = [asyncio.create_task(self._follow_stories())]
        helpers += [
            asyncio.create_task(self._kill(tree, kill)) for kill in self.options.kills if kill.after is not None
        ]
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ending.wait(), self._duration())
        await venues.faults_off()
        drained = await self._drain(tree)
        snapshots = {name: await self._inspect(tree, name) for name in self._executors()}
        self._count_restarts(await tree.status())
        halted = tree.halted
        await tree.stop()
        await asyncio.sleep(2 * STORY_POLL_S)
        for task in helpers:
            task.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        ledgers = self.run_directory / "ledgers.json"
        ledgers.write_text(json.dumps({"venues": await venues.ledgers()}))
        described = venues.described()
        await stack.aclose()
        facts = RunFacts(
            settings=self.settings,
            mode=self.settings.mode.value,
            dry_run=self.settings.dry_run,
            seed=self.settings.sim.seed,
            run_directory=self.run_directory,
            started_ns=self.began,
            ended_ns=time.time_ns(),
            drained=drained,
            halted=halted,
            kills=self._all_kills(),
            restarts=self.restarts,
            venues=described,
            snapshots=snapshots,
        )
        report = document(facts, await asyncio.to_thread(self._proof, ledgers))
        (self.run_directory / "report.json").write_text(json.dumps(report, indent=1))
        if self.options.as_json:
            sys.stdout.write(json.dumps(report) + "\n")
        else:
            render(report)
        sys.stdout.flush()
        return int(exit_code(facts, report))

    def _duration(self) -> float:
        sim = self.settings.sim
        if not sim.tape:
            return float(sim.duration_s)
        length = instant_ns(sim.tape_to) - instant_ns(sim.tape_from)
        return min(float(sim.duration_s), length / SECOND / float(sim.tape_speed) + 1)

    # Breaking things

    async def _kill(self, tree: Tree, kill: Kill) -> None:
        assert kill.after is not None
        await asyncio.sleep(max(0.0, kill.after / SECOND - (time.time_ns() - self.began) / SECOND))
        seen = await self._with_work_open(tree)
        row = {
            "actor": kill.actor,
            "at_s": round((time.time_ns() - self.began) / SECOND, 3),
            **{key: seen.get(key) for key in ("open_trades", "in_doubt", "unreported")},
        }
        try:
            row["pid"] = tree.pid(kill.actor)
            await tree.kill(kill.actor)
        except (LookupError, ProcessLookupError) as problem:
            row["missed"] = str(problem)
        self.kills.append(row)

    async def _with_work_open(self, tree: Tree) -> dict[str, Any]:
        """The executor as it is now; waits a little for an open trade, since a kill that nothing depends on shows nothing."""
        seen: dict[str, Any] = {}
        until = time.monotonic() + WORK_WITHIN_S
        while time.monotonic() < until:
            try:
                answer = await tree.ask(EXECUTOR, Ask(), Nanos(SECOND))
                seen = json.loads(answer.body) if isinstance(answer, Snapshot) else {}
            except Unheard as problem:  # it may be the one that is down
                logger.debug("ask: {}", problem)
            if seen.get("open_trades"):
                break
            await asyncio.sleep(0.005)
        return seen

    def _all_kills(self) -> list[dict[str, Any]]:
        """Those by the clock, and those that processes did to themselves at named points."""
        own = []
        for path in sorted((self.run_directory / "kills").glob("*.json")):
            row = json.loads(path.read_text())
            row["at_s"] = round((row.pop("at_ns") - self.began) / SECOND, 3)
            own.append(row)
        return sorted([*self.kills, *own], key=lambda row: float(row["at_s"]))

    def _happened(self, happening: Happening) -> None:
        if not self.began:
            return
        if happening.what is What.DIED:
            self.deaths.setdefault(happening.name, []).append(happening.reason)
            self._say(f"  {happening.name} died: {happening.reason}")
        elif happening.what is What.INTRODUCED and happening.epoch > 1:
            self._say(f"  {happening.name} is back in service (epoch {happening.epoch})")
        elif happening.what in (What.ESCALATED, What.HALTED):
            self._say(f"  {happening.what.value.upper()} {happening.name}: {happening.reason}")

    def _count_restarts(self, statuses: list[Status]) -> None:
        for status in statuses:
            if status.restarts:
                times = [round(took / 1e6, 1) for took in status.back_in_service_ns]
                self.restarts[status.name] = [
                    {"reason": reason, "back_in_service_ms": took}
                    for reason, took in zip_longest(self.deaths.get(status.name, []), times)
                ]

    # Ending

    def _signalled(self, number: signal.Signals) -> None:
        self.signals += 1
        if self.signals == 1:
            self._say(f"\n{number.name}: opening nothing more, finishing what is open (again to force)")
            self.ending.set()
            return
        sys.stderr.write(f"{number.name} again: forced\n")
        for child in _children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        os._exit(128 + number)

    def _executors(self) -> list[str]:
        return [EXECUTOR, *(f"{EXECUTOR}.{n}" for n in range(2, self.options.executors + 1))]

    async def _drain(self, tree: Tree) -> bool:
        """Ask until nothing is open, in doubt or unreported; bounded."""
        names = self._executors()
        within = Nanos(self.settings.engine.drain_s * SECOND)
        until = time.monotonic() + self.settings.engine.drain_s
        while time.monotonic() < until:
            answers = [await self._ask_drain(tree, name, within) for name in names]
            if all(a is not None and not (a.open_trades or a.in_doubt or a.unreported) for a in answers):
                return True
            await asyncio.sleep(DRAIN_POLL_S)
        return False

    @staticmethod
    async def _ask_drain(tree: Tree, name: str, within: Nanos) -> Drained | None:
        try:
            answer = await tree.ask(name, Drain(within=within), Nanos(2 * SECOND))
        except Unheard as problem:  # a dead or restarting executor is asked again
            logger.debug("drain: {}", problem)
            return None
        return answer if isinstance(answer, Drained) else None

    @staticmethod
    async def _inspect(tree: Tree, name: str = EXECUTOR) -> dict[str, Any]:
        try:
            picture = await tree.inspect(name)
        except LookupError as problem:
            logger.debug("inspect: {}", problem)
            return {}
        owns = picture["owns"]
        return owns if isinstance(owns, dict) else {}

    def _proof(self, ledgers: Path) -> dict[str, Any]:
        """The proof is not ours to give: a fresh process computes it from the bytes alone."""
        command = [sys.executable, str(ROOT / "run.py"), "prove", "--json"]
        command += ["--journal", str(self.run_directory / "journal"), "--ledgers", str(ledgers)]
        done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT)  # noqa: S603  our own interpreter
        try:
            proof: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            said = done.stderr.decode(errors="replace").strip()
            raise RuntimeError(f"the proof could not be computed (exit {done.returncode}): {said}") from None
        return proof

    # Showing

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr if self.options.as_json else sys.stdout, flush=True)

    def _show(self, statuses: list[Status]) -> None:
        children: dict[str, list[Status]] = {}
        for status in statuses:
            children.setdefault(status.supervisor, []).append(status)

        def draw(name: str, indent: str) -> None:
            below = children.get(name, [])
            for number, status in enumerate(below):
                last = number == len(below) - 1
                mark = "" if status.state is State.UP else f"  {status.state.value}"
                self._say(f"{indent}{'└─ ' if last else '├─ '}{status.name}  pid {status.pid}{mark}")
                draw(status.name, indent + ("   " if last else "│  "))

        for top in children.get("", []):
            self._say(f"{top.name}  pid {top.pid}")
            draw(top.name, "")

    def _tell(self, story: dict[str, Any]) -> None:
        text = line(story, self.began)
        if story.get("result") is not None:
            self.results[story["trade"]] = story["result"]
            total = Money(sum(self.results.values()))
            text += f"  (session ${dollars(total)} net of fees, {len(self.results)} trades)"
        self._say(text)

    async def _follow_stories(self) -> None:
        """What the recorder writes down, told as it happens."""
        path, offset = self.run_directory / "stories.jsonl", 0
        while True:
            if path.exists():
                with path.open("rb") as file:
                    file.seek(offset)
                    for raw in file:
                        if not raw.endswith(b"\n"):
                            break
                        offset += len(raw)
                        self._tell(json.loads(raw))
            await asyncio.sleep(STORY_POLL_S)


def _children(pid: int) -> list[int]:
    """Every process below this one, deepest last."""
    try:
        names: Callable[[int], str] = lambda p: f"/proc/{p}/task/{p}/children"  # noqa: E731
        own = [int(child) for child in Path(names(pid)).read_text().split()]
    except OSError:
        return []
    return [grandchild for child in own for grandchild in (*_children(child), child)]
