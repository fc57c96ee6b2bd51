"""One session, from the first process to the last figure: start, trade, break what was asked to be broken, drain, prove."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from loguru import logger

from actors.shell import Unheard
from configs.settings import Mode, Settings, money
from console.exits import Exit
from console.kills import Kills
from console.options import SessionOptions
from console.report import SCHEMA_VERSION, RunFacts, document, exit_code, line, render, signed
from console.simulated import ROOT, SimulatedVenues, VenueGone, VenueNotReady
from core.claims import EXECUTOR, executors_of, home_of
from core.units import dollars
from messages.control import Drain, Drained
from messages.units import SECOND, Money, Nanos
from supervisors.driver import State, Status, Tree
from supervisors.happenings import Happening, What
from supervisors.tree import TREE, expand
from venues.simulated.tape import instant_ns

UP_WITHIN_S = 90.0
DRAIN_POLL_S = 0.2
STORY_POLL_S = 0.1
PROOF_WITHIN_S = 900
MARKETS_SHOWN_MOST = 5


class NotStarted(Exception):
    """The session could not begin; the text says what is missing and where to look."""


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
    except (VenueNotReady, NotStarted) as problem:
        sys.stderr.write(f"{problem}\n")
        if options.as_json:
            refusal = {"schema_version": SCHEMA_VERSION, "error": "preflight_failed", "text": str(problem)}
            sys.stdout.write(json.dumps(refusal) + "\n")
        return Exit.PREFLIGHT


@dataclass(slots=True)
class _Session:
    options: SessionOptions
    run_directory: Path = field(init=False)
    settings: Settings = field(init=False)
    kills: Kills = field(init=False)
    restarts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    signals: int = 0
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    halted: asyncio.Event = field(default_factory=asyncio.Event)
    """Nobody is left who would restart what died."""
    began: int = 0
    lasts_s: float = 0.0
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
        self.kills = Kills(self.options.kills, self.run_directory)

    async def run(self) -> int:
        if problems := self._preflight():
            raise NotStarted("\n".join(problems))
        try:
            (self.run_directory / "journal").mkdir(parents=True)
        except OSError as problem:
            raise NotStarted(f"home: {problem}; choose another folder with --home") from None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._signalled, number)
        self._say(f"crossfill · {self.settings.mode.value.upper()}{' · dry run' if self.settings.dry_run else ''}"
                  f" · seed {self.settings.sim.seed} · faults {self.settings.sim.faults} · {self.run_directory}")  # fmt: skip
        async with AsyncExitStack() as stack:
            venues = await stack.enter_async_context(SimulatedVenues(self.settings, self.run_directory))
            self.settings = venues.connected()
            tree = self._tree()
            try:
                await stack.enter_async_context(tree)
            except RuntimeError as problem:
                raise NotStarted(str(problem)) from None
            await self._in_service(tree, venues)
            self._show(await tree.status())
            await self._warn(tree)
            await self._tape_begins(venues)
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
        literal = expand(TREE, tuple(self.settings.venues), self.settings.engine.executors)
        return Tree(
            literal,
            self.settings.model_dump_json(),
            self.run_directory,
            self.kills.points(),
            self._happened,
            import_from=(ROOT,),
        )

    async def _in_service(self, tree: Tree, venues: SimulatedVenues) -> None:
        """Until everybody is there and has what it needs, or it is clear that this will not be."""
        up, gone, halted = (
            asyncio.create_task(coming) for coming in (self._up(tree), venues.ended(), self.halted.wait())
        )
        try:
            await asyncio.wait({up, gone, halted}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise NotStarted(str(gone.result()))
            if not up.done():
                raise NotStarted(f"the actors do not stay alive: {tree.halted}; see {self.run_directory / 'logs'}")
            up.result()
        except TimeoutError as problem:
            raise NotStarted(f"{problem}; see {self.run_directory / 'logs'}") from None
        finally:
            await _cancelled(up, gone, halted)

    async def _up(self, tree: Tree) -> None:
        await tree.up(UP_WITHIN_S)
        await self._ready(tree)

    async def _ready(self, tree: Tree) -> None:
        """Up is not enough: claims, keys, capital and books must have arrived before the clock of the session starts."""
        until = time.monotonic() + UP_WITHIN_S
        names = self._executors()
        owning = {home_of(pair.group, names) for pair in self.options.pairs}
        for name in names:
            while not self.ending.is_set() and (missing := await self._missing(tree, name, claims=name in owning)):
                if time.monotonic() > until:
                    raise TimeoutError(f"{name} still has no {', no '.join(missing)} after {UP_WITHIN_S:g} s")
                await asyncio.sleep(0.1)

    async def _missing(self, tree: Tree, name: str, *, claims: bool) -> list[str]:
        """What an executor waits for before it can trade; claims only where some group is at home with it."""
        seen = await self._inspect(tree, name)
        there = {**{what: seen.get(what) for what in ("claims", "books", "keys")},
                 "capital": any((seen.get("free") or {}).values())}  # fmt: skip
        return [what for what, value in there.items() if not value and (claims or what != "claims")]

    async def _warn(self, tree: Tree) -> None:
        """What of the registry will not trade, since a venue does not know it."""
        for venue in self.settings.venues:
            missing = (await self._inspect(tree, f"feed.{venue}")).get("missing") or []
            if missing:
                more = ", …" if len(missing) > MARKETS_SHOWN_MOST else ""
                self._say(f"warning: {venue} does not know {len(missing)} of the registry's markets, and their pairs do not "
                          f"trade: {', '.join(missing[:MARKETS_SHOWN_MOST])}{more}")  # fmt: skip

    async def _tape_begins(self, venues: SimulatedVenues) -> None:
        if not self.settings.sim.tape:
            return
        ahead = (venues.start_ns - time.time_ns()) / SECOND
        if ahead < 0:
            missed = -ahead * float(self.settings.sim.tape_speed)
            self._say(f"warning: the tape was {missed:.0f} s on when the engine was ready")
            return
        self._say(f"the tape begins in {ahead:.1f} s")
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ending.wait(), ahead)

    async def _trade(self, tree: Tree, venues: SimulatedVenues, stack: AsyncExitStack) -> int:
        self.began = time.time_ns()
        self.lasts_s = self._duration(venues.start_ns)
        stories = asyncio.create_task(self._follow_stories())
        kills = self.kills.begin(tree, self.began, self.lasts_s)
        await self._until_the_end(venues)
        await _cancelled(*kills)
        drained = await self._drain(tree)
        snapshots = {name: await self._inspect(tree, name) for name in self._executors()}
        self._count_restarts(await tree.status())
        halted = tree.halted
        await tree.stop()
        await asyncio.sleep(2 * STORY_POLL_S)
        await _cancelled(stories)
        proof = await self._judged(venues)
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
            kills=self.kills.told(),
            restarts=self.restarts,
            venues=described,
            snapshots=snapshots,
        )
        report = document(facts, proof)
        (self.run_directory / "report.json").write_text(json.dumps(report, indent=1))
        if self.options.as_json:
            sys.stdout.write(json.dumps(report) + "\n")
        else:
            render(report)
        sys.stdout.flush()
        return int(exit_code(facts, report))

    def _duration(self, venues_began: int) -> float:
        """In seconds; a tape that ends earlier ends the session a second after."""
        sim = self.settings.sim
        if not sim.tape:
            return float(sim.duration_s)
        length = (instant_ns(sim.tape_to) - instant_ns(sim.tape_from)) / float(sim.tape_speed)
        return max(0.0, min(float(sim.duration_s), (venues_began + length - self.began) / SECOND + 1))

    async def _until_the_end(self, venues: SimulatedVenues) -> None:
        """The time is over, a person has had enough, or there is nothing to trade at any more; then no further faults."""
        enough, gone = asyncio.create_task(self.ending.wait()), asyncio.create_task(venues.ended())
        await asyncio.wait({enough, gone}, timeout=self.lasts_s, return_when=asyncio.FIRST_COMPLETED)
        lost = gone.result() if gone.done() else ""
        await _cancelled(enough, gone)
        try:
            await venues.faults_off()
        except VenueGone as problem:
            lost = lost or str(problem)
        if lost:
            self._say(f"  {lost}")

    async def _judged(self, venues: SimulatedVenues) -> dict[str, Any]:
        """The proof by the venues' own books; without those there is none."""
        ledgers = self.run_directory / "ledgers.json"
        try:
            ledgers.write_text(json.dumps({"venues": await venues.ledgers()}))
        except VenueGone as problem:
            return _unproved(str(problem))
        return await asyncio.to_thread(self._proof, ledgers)

    # Ups and downs

    def _happened(self, happening: Happening) -> None:
        if happening.what is What.HALTED:
            self.halted.set()
            self.ending.set()
        if happening.what is What.DIED:
            self.deaths.setdefault(happening.name, []).append(happening.reason)
            self._say(f"  {happening.name} died: {happening.reason}")
        elif happening.what is What.INTRODUCED and happening.name in self.deaths:
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
        for _ in range(2):  # once more for those that were just being born
            for process in _below(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        os._exit(128 + number)

    def _executors(self) -> list[str]:
        return list(executors_of(self.settings.engine.executors))

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
        try:
            # in a session of its own: a person's Ctrl-C is meant for us, and we wait for it
            done = subprocess.run(  # noqa: S603  our own interpreter
                command, capture_output=True, check=False, cwd=ROOT, start_new_session=True, timeout=PROOF_WITHIN_S
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            return _unproved(str(problem))
        try:
            proof: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            said = done.stderr.decode(errors="replace").strip()[-2_000:]
            return _unproved(f"exit {done.returncode}: {said}")
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
            count = len(self.results)
            text += f"  (session {signed(total)} net of fees, {count} trade{'' if count == 1 else 's'})"
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


async def _cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _unproved(why: str) -> dict[str, Any]:
    """In the place of a proof: nothing is shown to be right, so nothing is taken to be."""
    text = f"the proof could not be computed: {why}"
    return {"schema_version": SCHEMA_VERSION, "error": "not_computed", "text": text}


def _below(pid: int) -> list[int]:
    """Every process below this one, parents first, so that none is replaced by its parent. A process belongs to the
    thread that started it, and Ray's are started by a thread of their own.
    """
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in map(int, listed.read_text().split()):
                found += [child, *_below(child)]
    return found
