"""Many scenarios: each by its seed, spread over worker processes, and what they came to together.

Whatever is told comes in the order of the seeds, however many workers there are and whichever is quickest, so that two
batches of the same seeds say the same.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from multiprocessing.synchronize import Event
from time import process_time
from types import FrameType, TracebackType
from typing import Self, TypeVar

from loguru import logger

from journal.errors import JournalError
from messages.units import Nanos
from simulation.chance import Fault, Hit
from simulation.world import Killed, World

Made = TypeVar("Made")
Item = TypeVar("Item")

CHUNK_MOST = 50
"""Seeds that a worker is given at once: about half a second of work."""
COLLECT_EVERY = 5
"""Scenarios between two collections of garbage: soon enough to stay in the cache, and never within one, since what a
collection ends would run then.
"""
BUSY_MOST_S = 60
"""Real seconds after which a scenario counts as one that never ends; they take about a hundredth of one."""
NO_FAULT = "no fault"
"""Given to `replay` where nothing needs to strike."""

# One scenario


@dataclass(frozen=True, slots=True)
class Result:
    """What one seed came to. `faults`: of each kind that struck, how often; `virtual`: nanoseconds that it lasted."""

    seed: int
    broken: str
    """The first violation, its invariant before the colon; "" where everything held."""
    events: int
    virtual: Nanos
    faults: Mapping[str, int]
    outcomes: Mapping[str, int]
    """How its trades ended, and which branches were taken on the way."""
    trace: str
    """A hash of all that happened: equal where, and only where, the same happened."""

    @property
    def invariant(self) -> str:
        return invariant_of(self.broken)


def invariant_of(broken: str) -> str:
    """`I9` of `I9: proved while …`; the whole text where it has no colon."""
    return broken.partition(":")[0].strip()


def run_seed(seed: int, only: Collection[Hit] | None = None) -> Result:
    """The scenario of this seed, to its end. `only`: let these of its faults strike and no others.

    Raises nothing: where the simulator itself fails, that is the violation.
    """
    world = World(seed, only)
    broken = played(world)
    result = Result(
        seed,
        broken,
        world.events,
        Nanos(world.time.now - world.time.start),
        Counter(hit.fault.value for _, hit in world.chance.struck),
        dict(world.judge.outcomes),
        world.trace(),
    )
    world.time.bury()
    return result


def played(world: World) -> str:
    """Run it; the violation, or "" where there is none."""
    with _bounded(world):
        try:
            world.run()
        except (Exception, Killed) as problem:  # noqa: BLE001  it must not take the other scenarios with it
            world.judge.broke(f"the simulator failed: {type(problem).__name__}: {problem}")
    for process in world.time.processes:
        for failure in process.failures:
            cause = failure.get("exception")
            if cause is not None and not isinstance(cause, Killed | JournalError):
                world.judge.broke(f"a callback failed: {process.name}: {type(cause).__name__}: {cause}")
    return world.judge.broken


class Endless(Exception):
    """A scenario is busy and gets nowhere."""


_alarms = False
"""Only in a worker, whose main thread is ours."""


@contextmanager
def _bounded(world: World) -> Iterator[None]:
    """End a scenario that keeps busy, so that a batch names its seed instead of hanging."""
    if not _alarms:
        yield
        return

    def end_it(_: int, __: FrameType | None) -> None:
        world.judge.broke("I18: it keeps busy and never ends")
        world.time.ready.clear()
        raise Endless

    signal.signal(signal.SIGALRM, end_it)
    # repeated, since whatever it interrupts may take the exception for its own
    signal.setitimer(signal.ITIMER_REAL, BUSY_MOST_S, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def replay(seed: int, *faults: str) -> str:
    """Run a scenario again and give its violation, "" where there is none.

    `faults`: the only ones that strike, as a story names them (`"late arrival 2"`); none given, all of them do;
    `"no fault"` alone lets none strike. `ValueError` where a word names no fault.
    """
    return run_seed(seed, hits(faults) if faults else None).broken


def hits(faults: Iterable[str]) -> frozenset[Hit]:
    """`"late arrival 2"` and such; `ValueError` names what it is not."""
    return frozenset(_hit(text) for text in faults if text != NO_FAULT)


def _hit(text: str) -> Hit:
    name, _, number = text.rpartition(" ")
    known = [fault.value for fault in Fault]
    if name not in known:
        close = get_close_matches(name or text, known, n=1)
        raise ValueError(f"{text!r} is not a fault and its number" + (f"; did you mean {close[0]!r}?" if close else ""))
    if not number.isdecimal() or int(number) < 1:
        raise ValueError(f"{text!r}: the number of a fault counts from 1")
    return Hit(Fault(name), int(number))


# Many of them


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive seeds that one worker ran. `cpu_s`: processor time that it took."""

    results: tuple[Result, ...]
    cpu_s: float


@dataclass(slots=True)
class Summary:
    """What many seeds came to."""

    scenarios: int = 0
    events: int = 0
    virtual: int = 0
    """Nanoseconds of virtual time."""
    cpu_s: float = 0.0
    lengths: Counter[int] = field(default_factory=Counter)
    """How many scenarios had so many events."""
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)
    """(seed, what is broken), by seed."""

    def add(self, chunk: Chunk) -> None:
        self.cpu_s += chunk.cpu_s
        for result in chunk.results:
            self.scenarios += 1
            self.events += result.events
            self.virtual += result.virtual
            self.lengths[result.events] += 1
            self.faults.update(result.faults)
            self.outcomes.update(result.outcomes)
            if result.broken:
                self.violations.append((result.seed, result.broken))

    @property
    def median(self) -> int:
        """Events of a scenario: half of them have at most so many. 0 where there is none."""
        seen = 0
        for length in sorted(self.lengths):
            seen += self.lengths[length]
            if 2 * seen >= self.scenarios:
                return length
        return 0

    @property
    def per_core(self) -> float:
        """Events in a second of processor time."""
        return self.events / self.cpu_s if self.cpu_s else 0.0


MEDIAN_LEAST = 40
"""Events that half of the scenarios must have."""
STRUCK_LEAST, PER_SCENARIOS = 100, 10_000
"""Every kind of fault must strike so often in so many scenarios; in fewer, proportionally less."""
JUDGED_FROM = 2_000
"""In a smaller batch it is chance which kinds strike: what is missing is said, and fails nothing."""
MUST_HAPPEN = (
    *("hedged", "flat", "escalated"),
    *("re-posted", "proved absent", "recovery: complete", "recovery: unwind"),
)
"""A batch without one of these has shown nothing about it."""


def missing(summary: Summary) -> list[str]:
    """What a batch of this size should have seen and has not: green because nothing happened is not green."""
    found = []
    least = min(STRUCK_LEAST, STRUCK_LEAST * summary.scenarios // PER_SCENARIOS)
    for fault in Fault:
        struck = summary.faults[fault.value]
        if struck < max(1, least):
            found.append(f"{fault.value}: struck {struck} times, at least {max(1, least)} are needed")
    found += [f"{name}: never happened" for name in MUST_HAPPEN if not summary.outcomes[name]]
    if summary.median < MEDIAN_LEAST:
        found.append(f"median of {summary.median} events a scenario, at least {MEDIAN_LEAST} are needed")
    return found


def chunks(seeds: range, jobs: int) -> Iterator[range]:
    """The seeds in pieces: small enough that every worker has some, and that progress is seen."""
    size = max(1, min(CHUNK_MOST, -(-len(seeds) // (4 * max(1, jobs)))))
    return (seeds[at : at + size] for at in range(0, len(seeds), size))


def run_chunk(seeds: Sequence[int]) -> Chunk:
    """These seeds in this process. A violation ends its own scenario and no other; a crew that stops ends the chunk."""
    began = process_time()
    results = []
    for done, seed in enumerate(seeds, 1):
        if stopping():
            break
        results.append(run_seed(seed))
        if done % COLLECT_EVERY == 0 and not gc.isenabled():
            gc.collect()
    return Chunk(tuple(results), process_time() - began)


# Worker processes


class Crew:
    """Worker processes that inherit nothing of this one; with `jobs=0` this process does the work itself, for a debugger.

    Close it, or leave its `with`: after an exception, Ctrl-C among them, its workers end within a scenario or two. They
    end as well when this process is killed. `hash_seed` is their PYTHONHASHSEED.
    """

    def __init__(self, jobs: int, hash_seed: int | None = None) -> None:
        self.jobs = jobs
        self._pool: ProcessPoolExecutor | None = None
        if jobs:
            context = multiprocessing.get_context("spawn")
            self._stop = context.Event()
            self._pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(self._stop,))
            with _birth(hash_seed):
                for _ in range(jobs):
                    self._pool.submit(os.getpid)  # a worker is started for each piece of work that finds none idle

    def map(self, do: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """`do` of every item, in their order; only a few are under way at a time, however many items there are."""
        if self._pool is None:
            yield from map(do, items)
            return
        waiting: deque[Future[Made]] = deque()
        for item in items:
            waiting.append(self._pool.submit(do, item))
            if len(waiting) >= 4 * self.jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def stop(self) -> None:
        """Whoever works ends as soon as its scenario is over."""
        if self._pool is not None:
            self._stop.set()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            self.stop()
        self.close()


_stop: Event | None = None


def stopping() -> bool:
    """Whether this process is a worker whose crew wants to end."""
    return _stop is not None and _stop.is_set()


def quiet() -> None:
    """The engine's log of scenarios that fail on purpose is of no use to anybody, and costs more than they do."""
    logger.remove()


def _begin(stop: Event) -> None:
    """The first thing that a worker does."""
    global _stop, _alarms
    _stop, _alarms = stop, True
    quiet()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.collect()
    gc.freeze()  # what was imported stays for good: no collection need look at it again
    gc.disable()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _birth(hash_seed: int | None) -> Iterator[None]:
    """Processes that start in here ignore Ctrl-C, which a terminal sends to all of them: this process ends them."""
    before = os.environ.get("PYTHONHASHSEED")
    if hash_seed is not None:
        os.environ["PYTHONHASHSEED"] = str(hash_seed)
    ours = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if ours else None
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, handler)
        if hash_seed is not None:
            os.environ.pop("PYTHONHASHSEED")
            if before is not None:
                os.environ["PYTHONHASHSEED"] = before


def run_many(crew: Crew, seeds: range) -> Iterator[Chunk]:
    """Every seed once, in order."""
    return crew.map(run_chunk, chunks(seeds, crew.jobs))


# Planted bugs


@dataclass(frozen=True, slots=True)
class Sought:
    """One planted bug, and what became of the search for a scenario that shows it."""

    name: str
    what: str
    """The bug, in a sentence."""
    expected: tuple[str, ...]
    """Invariants that it may break."""
    tried: int
    """Scenarios, the last one included."""
    seed: int | None
    """The first scenario that breaks something with the bug and nothing without it; None where there was none."""
    violation: str

    @property
    def caught(self) -> bool:
        return self.seed is not None


def planted() -> tuple[str, ...]:
    """The names of all planted bugs."""
    from simulation.planted import PLANTED  # noqa: PLC0415  only who plants bugs should load them

    return tuple(PLANTED)


def seek(wanted: tuple[str, range]) -> Sought:
    """Try these seeds with this bug until one shows it."""
    from simulation.planted import PLANTED, run_planted  # noqa: PLC0415  see above

    name, seeds = wanted
    bug = PLANTED[name]
    tried = 0
    while tried < len(seeds) and not stopping():
        some = seeds[tried : tried + COLLECT_EVERY]
        caught = run_planted(name, len(some), some.start)
        if not gc.isenabled():
            gc.collect()
        if caught is not None:
            return Sought(name, bug.what, bug.breaks, tried + caught.seeds, caught.seed, caught.violation)
        tried += len(some)
    return Sought(name, bug.what, bug.breaks, tried, None, "")


# Twice


@dataclass(frozen=True, slots=True)
class Differs:
    """A seed that did not do the same twice."""

    seed: int
    first: str
    second: str


def run_twice(first: Crew, second: Crew, seeds: range) -> Iterator[tuple[Chunk, list[Differs]]]:
    """Every seed once in each crew, in order: what the first came to, and where the second came to something else."""
    pieces = list(chunks(seeds, first.jobs))
    for one, other in zip(first.map(run_chunk, pieces), second.map(run_chunk, pieces), strict=True):
        both = zip(one.results, other.results, strict=True)
        differs = [Differs(a.seed, a.trace, b.trace) for a, b in both if a.trace != b.trace]
        yield one, differs
