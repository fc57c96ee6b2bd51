"""Keeps some children alive from within this process: starts, watches, notices, performs what `restarts` orders.

The same keeper serves a supervisor (for its children) and the driver (for the root). It decides nothing.

A death is noticed in three ways: the process descriptor of a child on this node, the broken lifeline of any child, and a
heartbeat that stands still. However it is noticed, a process of this node is killed and its end awaited before its
successor starts, so that two incarnations never run at once here.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from loguru import logger

from actors import points
from actors.log import last_words, words_of
from actors.runtime import Birth, Introduction, Parent, ProcessWatch, Remote, Warm, in_time, node_id, read_pulse
from actors.shell import Place
from configs.settings import SupervisionSettings
from messages.units import MILLISECOND, SECOND, Nanos
from supervisors import restarts
from supervisors.happenings import Arrival
from supervisors.restarts import Cause, Child, Escalate, Kill, Limits, Phase, Roster, Start
from supervisors.tree import Leaf, Node

BEATS_TO_BE_STALE = 4
STOP_CHILD_WITHIN = Nanos(5 * SECOND)
SPARE_AFTER_S = 0.3
"""A new spare costs half a second of a core; the actor that has just come back may need it."""


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to start one incarnation: its epoch, and the peers that are up already."""

    epoch: int
    peers: tuple[Introduction, ...] = ()


class Registry(Protocol):
    """Who numbers the incarnations and makes them known: the root, or the driver for the root itself."""

    async def permit(self, name: str) -> Permit: ...

    async def arrived(self, arrival: Arrival) -> None: ...

    async def departed(self, name: str, epoch: int, reason: str, at: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Duty:
    """What a supervisor is given once it runs: whom to keep, and under whom."""

    node: Node
    kill_at: Mapping[str, tuple[str, ...]]
    root: Remote | None = None
    """None for the root itself."""
    halted: str = ""
    """Why the safe state holds already, where the root comes back into it."""


class Watch:
    """Notices the end of one process, once."""

    def __init__(self, remote: Remote, warm: Warm, here: str, ended: Callable[[], None]) -> None:
        self.remote = remote
        self.warm = warm
        self._ended = ended
        self._over = False
        self._process = ProcessWatch(warm.pid, self._gone) if warm.node == here else None
        self._lifeline = asyncio.create_task(self._hold())

    @property
    def local(self) -> bool:
        return self._process is not None

    async def _hold(self) -> None:
        try:
            await self.remote.lifeline()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logger.debug("lifeline of {} broke: {}", self.warm.pid, type(error).__name__)
        if self._process is None:
            self._gone()
        else:
            self._process.kill()  # Ray says it is dead; the descriptor says when it really is

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        else:
            self.remote.kill()

    def _gone(self) -> None:
        if not self._over:
            self.close()
            self._ended()

    def close(self) -> None:
        self._over = True
        self._lifeline.cancel()
        if self._process is not None:
            self._process.close()


@dataclass(slots=True, eq=False)
class Charge:
    """What the keeper knows of one child now."""

    spec: Leaf | Node
    kill_at: tuple[str, ...] = ()
    """Each point kills once: what it killed is on record, and a successor arms the next."""
    epoch: int = 0
    attempt: int = 0
    """Counts starts, also those that got no epoch: whatever concerns an earlier one has no effect."""
    running: bool = False
    """A start was ordered and no death has been reported since."""
    incarnations: int = 0
    watch: Watch | None = None
    raising: asyncio.Task[None] | None = None
    why: str = ""
    """Said by the keeper itself before it killed: hung, start failed, stopped with a sibling."""
    cause: Cause | None = None
    beat: int = -1
    beat_at: float = 0.0
    beating: asyncio.Task[None] | None = None


@dataclass(slots=True, eq=False)
class Spare:
    remote: Remote
    warm: Warm
    watch: Watch = field(init=False)


class Keeper:
    def __init__(
        self,
        node: Node,
        registry: Registry,
        place: Place,
        rules: SupervisionSettings,
        kill_at: Mapping[str, tuple[str, ...]],
        duty: Callable[[Node], Duty],
        gave_up: Callable[[str], None],
        *,
        last: bool = False,
        keeps_spare: bool = True,
    ) -> None:
        self.node = node
        self._registry = registry
        self._place = place
        self._rules = rules
        self._duty = duty
        self._gave_up = gave_up
        self._kill_at = kill_at
        self._here = node_id()
        self._me = Parent(os.getpid(), self._here)
        self._charges = {
            child.name: Charge(child, kill_at=tuple(kill_at.get(child.name, ()))) for child in node.children
        }
        self.roster = Roster(
            children=tuple(Child(child.name, child.kind) for child in node.children),
            strategy=node.strategy,
            limits=Limits(most=rules.restarts_most, within=Nanos(rules.restarts_within_s * SECOND)),
            in_order=node.in_order,
            last=last,
        )
        self._spare: Spare | None = None
        self._spare_coming: asyncio.Task[None] | None = None
        self._spare_wanted = keeps_spare and rules.spare and any(not child.region for child in node.children)
        self._modules = tuple(sorted({child.shell.partition(":")[0] for child in node.children}))
        self._ready = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False
        stale = rules.heartbeat_stale_ms * MILLISECOND
        self._stale_s = stale / SECOND
        self._start_within = Nanos(rules.start_within_s * SECOND)
        self._beat_every = Nanos(min(SECOND, stale // BEATS_TO_BE_STALE))

    # ---------------------------------------------------------------------------------------------------- from outside

    async def begin(self) -> None:
        """Start everybody; returns when all are up."""
        self._later(self._watch_hearts())
        self._perform(restarts.begin(self.roster, self._now()))
        await self._ready.wait()

    def ages_ms(self) -> dict[str, int]:
        """How long each child's heartbeat has stood still."""
        now = time.monotonic()
        up = (charge for charge in self._charges.values() if charge.watch is not None)
        return {charge.spec.name: round((now - charge.beat_at) * 1000) for charge in up}

    def calm(self) -> None:
        """A person lifted the safe state: restarts count again."""
        self.roster = replace(self.roster, halted=False, deaths=(), escalations=())

    async def close(self) -> None:
        """Stop the children, those started last first."""
        self._closing = True
        for task in tuple(self._tasks):
            task.cancel()
        if self.node.in_order:
            for charge in reversed(self._charges.values()):
                await self._stop(charge)
        else:
            await asyncio.gather(*(self._stop(charge) for charge in self._charges.values()))
        if self._spare is not None:
            self._spare.watch.kill()
            self._spare.watch.close()

    async def _stop(self, charge: Charge) -> None:
        if charge.raising is not None:
            charge.raising.cancel()
        if charge.watch is None:
            return
        within = stop_within(charge.spec)
        try:
            await in_time(charge.watch.remote.stop(within), Nanos(within + SECOND))
        except Exception as error:
            logger.warning("{} did not stop: {}", charge.spec.name, words_of(error))
        charge.watch.kill()
        charge.watch.close()

    # ------------------------------------------------------------------------------------------------------- performing

    @staticmethod
    def _now() -> Nanos:
        return Nanos(time.monotonic_ns())

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self._task(work)  # type: ignore[unused-awaitable]

    def _perform(self, outcome: restarts.Outcome) -> None:
        self.roster, orders = outcome
        for order in orders:
            match order:
                case Start(name, at):
                    charge = self._charges[name]
                    charge.attempt += 1
                    charge.running, charge.why, charge.cause = True, "", None
                    charge.raising = self._task(self._raise(charge, charge.attempt, at))
                case Kill(name):
                    charge = self._charges[name]
                    self._put_down(charge, charge.attempt, "stopped with a sibling", None)
                case Escalate(why):
                    logger.error("gives up: {}", why)
                    self._gave_up(why)
        if self.roster.ready:
            self._ready.set()

    async def _raise(self, charge: Charge, attempt: int, at: Nanos) -> None:
        """One incarnation, from the decision to the introduction. Whatever goes wrong is a death."""
        try:
            await asyncio.sleep(max(at - self._now(), 0) / SECOND)
            await self._raise_now(charge, attempt)
        except asyncio.CancelledError:
            raise
        except TimeoutError:
            self._put_down(charge, attempt, f"start: not done within {self._rules.start_within_s} s", Cause.FAILED)
        except Exception as error:
            self._put_down(charge, attempt, f"start: {words_of(error)}", Cause.FAILED)

    async def _raise_now(self, charge: Charge, attempt: int) -> None:
        spec = charge.spec
        points.reach("supervisor.before_become")
        permit = await in_time(self._registry.permit(spec.name), self._start_within)
        charge.epoch = permit.epoch
        remote, warm, from_spare = await self._warm_process(spec)
        charge.watch = Watch(remote, warm, self._here, lambda: self._gone(charge, attempt))
        charge.beat, charge.beat_at = -1, time.monotonic()
        charge.incarnations += 1
        became = await in_time(remote.become(self._birth(charge, permit)), self._start_within)
        if became.failed:
            self._put_down(charge, attempt, f"start failed: {became.failed}", Cause.FAILED)
            return
        points.reach("supervisor.after_become")
        arrival = Arrival(
            name=spec.name,
            epoch=permit.epoch,
            pid=warm.pid,
            node=warm.node,
            address=became.address,
            region=spec.region,
            remote=remote,
            became_at=became.became_at,
            started_at=became.started_at,
            spare=from_spare,
        )
        await in_time(self._registry.arrived(arrival), self._start_within)
        if isinstance(spec, Node):
            # No deadline: its children have theirs, and if it hangs its heart stops.
            await remote.order("begin", self._duty(spec))
        charge.raising = None
        charge.beat_at = time.monotonic()
        self._perform(restarts.on_started(self.roster, spec.name, self._now()))
        self._want_spare()

    async def _warm_process(self, spec: Leaf | Node) -> tuple[Remote, Warm, bool]:
        spare = self._take_spare(spec)
        if spare is not None:
            return spare.remote, spare.warm, True
        remote = Remote.create(spec.region)
        try:
            return (
                remote,
                await in_time(remote.warm(self._me, (spec.shell.partition(":")[0],)), self._start_within),
                False,
            )
        except BaseException:
            remote.kill()
            raise

    def _birth(self, charge: Charge, permit: Permit) -> Birth:
        spec = charge.spec
        place = Place(
            name=spec.name,
            epoch=permit.epoch,
            run_directory=Path(self._place.run_directory),
            settings=self._place.settings,
            kill_at=charge.kill_at,
            tags=(("region", spec.region), ("supervisor", self.node.name)),
        )
        return Birth(place, spec.shell, spec.nice, self._beat_every, permit.peers)

    # ------------------------------------------------------------------------------------------------------------ deaths

    def _put_down(self, charge: Charge, attempt: int, why: str, cause: Cause | None) -> None:
        """End an incarnation, running or not; its death is reported when it is proved."""
        if charge.attempt != attempt or not charge.running:
            return
        charge.why, charge.cause = why, cause
        if charge.watch is not None:
            charge.watch.kill()
        else:
            self._gone(charge, attempt)

    def _gone(self, charge: Charge, attempt: int) -> None:
        """The process has ended, or there never was one."""
        if self._closing or charge.attempt != attempt or not charge.running:
            return
        at = time.time_ns()
        name, epoch = charge.spec.name, charge.epoch
        charge.running, charge.watch = False, None
        for task in (charge.beating, charge.raising):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        charge.raising = None
        cause, reason = self._post_mortem(charge)
        logger.warning("{} epoch {} died: {}", name, epoch, reason)
        self._later(self._tell_departed(name, epoch, reason, at))
        self._perform(restarts.on_death(self.roster, name, self._now(), cause))

    def _post_mortem(self, charge: Charge) -> tuple[Cause, str]:
        if charge.cause is not None:
            return charge.cause, charge.why
        said, words = last_words(self._place.run_directory, charge.spec.name, charge.epoch)
        if said:
            return Cause(said), words
        return Cause.KILLED, charge.why or "killed: it ended without a word"

    async def _tell_departed(self, name: str, epoch: int, reason: str, at: int) -> None:
        try:
            await in_time(self._registry.departed(name, epoch, reason, at), SECOND)
        except Exception as error:
            logger.warning("the death of {} could not be reported: {}", name, words_of(error))

    # ------------------------------------------------------------------------------------------------------------ hearts

    async def _watch_hearts(self) -> None:
        every = self._beat_every / SECOND
        run_directory = self._place.run_directory
        while True:
            due = time.monotonic() + every
            await asyncio.sleep(every)
            now = time.monotonic()
            asleep = now - due
            for charge in self._charges.values():
                if charge.watch is None:
                    continue
                if asleep > every:
                    charge.beat_at += asleep  # it was we who stood still
                if now - charge.beat_at > self._stale_s and self._ought_to_beat(charge):
                    self._put_down(
                        charge, charge.attempt, f"hung: no heartbeat for {now - charge.beat_at:.1f} s", Cause.HUNG
                    )
                elif (
                    charge.watch.local
                    and (beat := read_pulse(run_directory, charge.spec.name, charge.epoch)) is not None
                ):
                    self._felt(charge, beat)
                elif charge.beating is None or charge.beating.done():
                    charge.beating = self._task(self._feel(charge, charge.watch))

    def _ought_to_beat(self, charge: Charge) -> bool:
        """A leaf that is still starting has its own deadline; a supervisor beats before its children are up."""
        return self.roster.phase(charge.spec.name) is Phase.UP or charge.beat > 0

    async def _feel(self, charge: Charge, watch: Watch) -> None:
        try:
            beat = await in_time(watch.remote.beat(), Nanos(round(self._stale_s * SECOND)))
        except Exception:
            return  # silence is what is being measured
        if charge.watch is watch:
            self._felt(charge, beat)

    @staticmethod
    def _felt(charge: Charge, beat: int) -> None:
        if beat != charge.beat:
            charge.beat, charge.beat_at = beat, time.monotonic()

    # ------------------------------------------------------------------------------------------------------------- spare

    def _take_spare(self, spec: Leaf | Node) -> Spare | None:
        spare = self._spare
        if spare is None or spec.region:
            return None
        self._spare = None
        spare.watch.close()
        return spare

    def _want_spare(self) -> None:
        everybody = all(child.phase in (Phase.UP, Phase.GONE) for child in self.roster.children)
        coming = self._spare_coming is not None and not self._spare_coming.done()
        if self._spare_wanted and everybody and self._spare is None and not coming and not self._closing:
            self._spare_coming = self._task(self._make_spare())

    async def _make_spare(self) -> None:
        await asyncio.sleep(SPARE_AFTER_S)
        remote = Remote.create()
        try:
            warm = await in_time(remote.warm(self._me, self._modules), self._start_within)
        except Exception as error:
            logger.warning("no spare: {}", words_of(error))
            remote.kill()
            return
        spare = Spare(remote, warm)
        spare.watch = Watch(remote, warm, self._here, lambda: self._spare_died(spare))
        self._spare = spare

    def _spare_died(self, spare: Spare) -> None:
        if self._spare is spare:
            self._spare = None
            self._later(self._spare_again())

    async def _spare_again(self) -> None:
        await asyncio.sleep(1.0)
        self._want_spare()

    @property
    def spare_pid(self) -> int:
        return self._spare.warm.pid if self._spare else 0


def stop_within(spec: Leaf | Node) -> Nanos:
    """Long enough for everybody below, one after the other where the order matters."""
    if isinstance(spec, Leaf):
        return STOP_CHILD_WITHIN
    below = [stop_within(child) + SECOND for child in spec.children]
    return Nanos((sum(below) if spec.in_order else max(below)) + SECOND)


def rules_of(settings: str) -> SupervisionSettings:
    """The part of the configuration that supervision reads."""
    return SupervisionSettings.model_validate_json(json.dumps(json.loads(settings).get("supervision", {})))
