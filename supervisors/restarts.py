"""What a death means: a pure function of the roster, the death and the time.

A supervisor keeps a `Roster`, reports deaths and completed starts to the functions below, and performs the orders that
come back. It decides nothing itself, so every rule of supervision can be tested without a process.

    DOWN ──Start──► STARTING ──on_started──► UP
      ▲                │                     │
      │                └──── on_death ───────┤
      ├──── restart ordered ◄────────────────┤
      │                                      └─► GONE   (temporary, or transient and ended well)
    STOPPING ◄── Kill (a sibling's death takes it along; its own death completes the stop)

Every event is legal in every phase; where it makes no sense it has no effect.

* A start is counted as made when it is ordered, so nobody is ever started twice at once.
* The first restart is immediate, the next ones of the same child wait longer and longer.
* More deaths than `most` within `within` *escalate*: the supervisor ends, its parent sees an escalated death. Two of those
  within `escalations_within` escalate again, since a subtree that fails slowly would otherwise restart for ever.
* Where nobody is above (`last`), escalation is the safe state: opening halts, and restarts go on at a slow, fixed pace,
  because somebody has to close what is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from messages.units import MILLISECOND, SECOND, Nanos


class Strategy(StrEnum):
    ONE_FOR_ONE = "one_for_one"
    """Only who died is restarted."""
    ONE_FOR_ALL = "one_for_all"
    """All are stopped and restarted, in order."""
    REST_FOR_ONE = "rest_for_one"
    """Who died and everybody started after it are restarted, in order."""


class Kind(StrEnum):
    PERMANENT = "permanent"
    """Always restarted."""
    TRANSIENT = "transient"
    """Restarted unless it ended well."""
    TEMPORARY = "temporary"
    """Never restarted."""


class Cause(StrEnum):
    KILLED = "killed"
    """The process ended without a word: a signal, the kernel, a crash in native code."""
    FAILED = "failed"
    """Its own error: a start that raised, a message that it could not bear."""
    HUNG = "hung"
    """It lived and did nothing; its supervisor killed it."""
    ESCALATED = "escalated"
    """A supervisor that gave up."""
    ENDED = "ended"
    """It finished its work."""


class Phase(StrEnum):
    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    STOPPING = "stopping"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Limits:
    most: int = 5
    within: Nanos = Nanos(10 * SECOND)
    escalations_most: int = 1
    escalations_within: Nanos = Nanos(120 * SECOND)
    pause_second: Nanos = Nanos(50 * MILLISECOND)
    """Before the second restart of one child inside the window; doubles with each further one."""
    pause_most: Nanos = Nanos(2 * SECOND)
    pause_safe: Nanos = Nanos(10 * SECOND)
    """Between a death and the restart in the safe state."""


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    kind: Kind = Kind.PERMANENT
    phase: Phase = Phase.DOWN
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Roster:
    children: tuple[Child, ...]
    strategy: Strategy = Strategy.ONE_FOR_ONE
    limits: Limits = Limits()
    in_order: bool = False
    """At the first start each child waits for the one before it."""
    last: bool = False
    """Nobody is above: escalation means the safe state."""
    deaths: tuple[tuple[Nanos, str], ...] = ()
    """Those that count, inside the window."""
    escalations: tuple[Nanos, ...] = ()
    sequence: tuple[str, ...] = ()
    """To be started one after the other; the first of them is starting, unless a stop is being waited for."""
    due: Nanos = Nanos(0)
    """Not before: for the first of the sequence."""
    halted: bool = False
    closed: bool = False
    """It gave up; nothing has an effect any more."""

    def child(self, name: str) -> Child | None:
        return next((child for child in self.children if child.name == name), None)

    def phase(self, name: str) -> Phase:
        child = self.child(name)
        return child.phase if child else Phase.GONE

    @property
    def ready(self) -> bool:
        return not self.sequence and all(child.phase in (Phase.UP, Phase.GONE) for child in self.children)


@dataclass(frozen=True, slots=True)
class Start:
    name: str
    at: Nanos


@dataclass(frozen=True, slots=True)
class Kill:
    """End it and report its death; where it is not yet running, drop the start and report the death."""

    name: str


@dataclass(frozen=True, slots=True)
class Escalate:
    why: str


Order = Start | Kill | Escalate
Outcome = tuple[Roster, tuple[Order, ...]]


def begin(roster: Roster, now: Nanos) -> Outcome:
    """The first start of everybody."""
    names = tuple(child.name for child in roster.children if child.phase is Phase.DOWN)
    if roster.closed:
        return roster, ()
    if roster.in_order or roster.strategy is not Strategy.ONE_FOR_ONE:
        return _next_of_sequence(replace(roster, sequence=names, due=now))
    return _start(roster, names, now)


def on_started(roster: Roster, name: str, now: Nanos) -> Outcome:
    """A start completed."""
    if roster.closed or roster.phase(name) is not Phase.STARTING:
        return roster, ()
    roster = _with_phase(roster, (name,), Phase.UP)
    if not roster.sequence or roster.sequence[0] != name:
        return roster, ()
    return _next_of_sequence(replace(roster, sequence=roster.sequence[1:], due=now))


def on_death(roster: Roster, name: str, now: Nanos, cause: Cause = Cause.KILLED) -> Outcome:
    """A process ended, a start failed, or a hung one was killed."""
    child = roster.child(name)
    if roster.closed or child is None:
        return roster, ()
    match child.phase:
        case Phase.DOWN | Phase.GONE:
            return roster, ()
        case Phase.STOPPING:
            if child.kind is Kind.TEMPORARY:
                roster = replace(roster, sequence=tuple(other for other in roster.sequence if other != name))
                return _next_of_sequence(_with_phase(roster, (name,), Phase.GONE))
            return _next_of_sequence(_with_phase(roster, (name,), Phase.DOWN))
        case Phase.STARTING | Phase.UP:
            return _died(roster, child, now, cause)


def _died(roster: Roster, child: Child, now: Nanos, cause: Cause) -> Outcome:
    if child.kind is Kind.TEMPORARY or (child.kind is Kind.TRANSIENT and cause is Cause.ENDED):
        was_awaited = bool(roster.sequence) and roster.sequence[0] == child.name
        roster = _with_phase(roster, (child.name,), Phase.GONE)
        roster = replace(roster, sequence=tuple(name for name in roster.sequence if name != child.name))
        return _next_of_sequence(roster) if was_awaited else (roster, ())
    roster = _with_phase(roster, (child.name,), Phase.DOWN)
    if roster.halted:
        return _restart(roster, child.name, Nanos(now + roster.limits.pause_safe))
    roster = _counted(roster, child.name, now, cause)
    if (why := _too_many(roster)) is None:
        return _restart(roster, child.name, Nanos(now + _pause(roster, child.name)))
    why = f"{why}; last: {child.name} {cause.value}"
    if not roster.last:
        return replace(roster, closed=True), (Escalate(why),)
    # An ordered first start must not keep the closers down for ever behind the child that fails.
    waiting = roster.sequence if roster.strategy is Strategy.ONE_FOR_ONE else ()
    roster = replace(roster, halted=True, sequence=roster.sequence if not waiting else (), deaths=(), escalations=())
    roster, released = _start(roster, tuple(name for name in waiting if name != child.name), now)
    roster, orders = _restart(roster, child.name, Nanos(now + roster.limits.pause_safe))
    return roster, (Escalate(why), *released, *orders)


def _restart(roster: Roster, name: str, at: Nanos) -> Outcome:
    if roster.strategy is Strategy.ONE_FOR_ONE:
        return _start(roster, (name,), at)
    group = _group(roster, name)
    running = tuple(other for other in group if roster.phase(other) in (Phase.STARTING, Phase.UP))
    members = set(group) | set(roster.sequence)
    sequence = tuple(child.name for child in roster.children if child.name in members)
    roster = replace(_with_phase(roster, running, Phase.STOPPING), sequence=sequence, due=max(at, roster.due))
    roster, orders = _next_of_sequence(roster)
    return roster, (*(Kill(other) for other in reversed(running)), *orders)


def _group(roster: Roster, name: str) -> tuple[str, ...]:
    names = tuple(child.name for child in roster.children if child.phase is not Phase.GONE)
    return names if roster.strategy is Strategy.ONE_FOR_ALL else names[names.index(name) :]


def _next_of_sequence(roster: Roster) -> Outcome:
    """Start the first of the sequence, unless somebody still has to stop or it is on its way already."""
    if not roster.sequence or any(child.phase is Phase.STOPPING for child in roster.children):
        return roster, ()
    if roster.phase(roster.sequence[0]) is not Phase.DOWN:
        return roster, ()
    return _start(roster, roster.sequence[:1], roster.due)


def _start(roster: Roster, names: Sequence[str], at: Nanos) -> Outcome:
    startable = tuple(name for name in names if roster.phase(name) is Phase.DOWN)
    return _with_phase(roster, startable, Phase.STARTING), tuple(Start(name, at) for name in startable)


def _counted(roster: Roster, name: str, now: Nanos, cause: Cause) -> Roster:
    limits = roster.limits
    deaths = (*(seen for seen in roster.deaths if now - seen[0] < limits.within), (now, name))
    escalations = tuple(at for at in roster.escalations if now - at < limits.escalations_within)
    children = tuple(
        replace(child, restarts=child.restarts + 1) if child.name == name else child for child in roster.children
    )
    escalations = (*escalations, now) if cause is Cause.ESCALATED else escalations
    return replace(roster, deaths=deaths, escalations=escalations, children=children)


def _too_many(roster: Roster) -> str | None:
    limits = roster.limits
    if len(roster.deaths) > limits.most:
        return f"{len(roster.deaths)} deaths within {limits.within / SECOND:g} s"
    if len(roster.escalations) > limits.escalations_most:
        return f"{len(roster.escalations)} escalations within {limits.escalations_within / SECOND:g} s"
    return None


def _pause(roster: Roster, name: str) -> Nanos:
    earlier = sum(1 for _, who in roster.deaths if who == name) - 1
    if earlier <= 0:
        return Nanos(0)
    doublings = min(earlier - 1, 32)
    return min(Nanos(roster.limits.pause_second << doublings), roster.limits.pause_most)


def _with_phase(roster: Roster, names: Sequence[str], phase: Phase) -> Roster:
    changed = set(names)
    return replace(
        roster,
        children=tuple(replace(child, phase=phase) if child.name in changed else child for child in roster.children),
    )
