"""What goes wrong in one scenario: drawn from its seed, counted, and replayable with faults left out.

Every kind of fault draws from a stream of its own, so that leaving one fault out does not change when the others strike;
that is what makes a failing scenario small.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import TypeVar

from messages.units import MILLISECOND, Nanos

T = TypeVar("T")


class Fault(StrEnum):
    """Every kind of fault there is; the value is what a person reads."""

    # a request for an order
    REQUEST_LOST = "request lost"
    LATE_ARRIVAL = "late arrival"
    TOO_LATE_ARRIVAL = "arrival after every fence"
    EDGE_ERROR = "5xx before acceptance"
    EDGE_LIMIT = "429 with an open fate"
    ANSWER_LOST = "time-out after acceptance"
    SERVER_ERROR = "5xx after acceptance"
    MALFORMED = "malformed answer"
    CONNECTION = "broken connection after acceptance"
    SLOW_ANSWER = "slow answer"
    # what the venue decides
    RATE_LIMITED = "429"
    REJECTED = "rejected"
    FUNDS = "insufficient funds"
    KEY_REVOKED = "key revoked"
    KILLED_UNFILLED = "killed unfilled"
    PARTIAL = "partial fill"
    OVERFILL = "overfill"
    REVERSED = "reversed match"
    SLOW_SETTLEMENT = "slow settlement"
    # what the venue tells
    STREAM_LOST = "stream event lost"
    STREAM_TWICE = "stream event twice"
    STREAM_LATE = "stream event late and out of order"
    STREAM_FROZEN = "stream frozen"
    READ_FAILED = "read failed"
    STALE_READ = "stale read"
    CANCEL_LOST = "cancel lost"
    CANCEL_ANSWER_LOST = "answer to a cancel lost"
    NO_BOOK = "book could not be read"
    # the market
    PRICE_MOVED = "price moved in flight"
    BOOK_STALE = "book stale"
    BOOK_GAP = "gap in the book's sequence"
    THIN_BOOK = "thin book"
    FEE_CHANGED = "fee changed in flight"
    TICK_CHANGED = "tick changed in flight"
    MARKET_HALTED = "market halted with a leg open"
    MARKET_RESOLVED = "market resolved with a leg open"
    MAINTENANCE = "venue paused"
    # processes
    EXECUTOR_KILLED = "executor killed"
    KILLED_BEFORE_APPEND = "executor killed before the append"
    KILLED_IN_APPEND = "executor killed inside the append"
    KILLED_AFTER_APPEND = "executor killed after the append"
    KILLED_BETWEEN_LEGS = "executor killed between the legs"
    KILLED_BEFORE_REPORT = "executor killed before its report"
    OWNER_KILLED = "owner killed"
    OWNER_KILLED_BEFORE_APPEND = "owner killed before its append"
    OWNER_KILLED_IN_APPEND = "owner killed inside its append"
    OWNER_KILLED_BEFORE_REPLY = "owner killed before its reply"
    SUPERVISOR_KILLED = "all owners killed at once"
    ENGINE_KILLED = "whole engine killed"
    POWER_CUT = "power cut"
    STOPPED = "process stopped, then continued"
    SLOW_RESTART = "slow restart"
    CLOCK_STEPPED = "clock stepped before a restart"
    # the disk and the mail
    DISK_FULL = "append failed"
    MAIL_LOST = "message lost"
    MAIL_TWICE = "message twice"
    MAIL_LATE = "message late and out of order"
    INTRODUCTION_LATE = "introduction late"
    # people
    HALTED = "halt"
    CLAIM_MOVED = "claim moved"


GENTLE = frozenset(
    {
        *(Fault.REQUEST_LOST, Fault.LATE_ARRIVAL, Fault.EDGE_ERROR, Fault.EDGE_LIMIT, Fault.ANSWER_LOST),
        *(Fault.SERVER_ERROR, Fault.MALFORMED, Fault.CONNECTION, Fault.SLOW_ANSWER, Fault.PARTIAL, Fault.THIN_BOOK),
        *(Fault.KILLED_UNFILLED, Fault.STREAM_LOST, Fault.STREAM_TWICE, Fault.STREAM_LATE, Fault.READ_FAILED),
        *(Fault.STALE_READ, Fault.SLOW_SETTLEMENT, Fault.EXECUTOR_KILLED, Fault.KILLED_BEFORE_APPEND),
        *(Fault.KILLED_IN_APPEND, Fault.KILLED_AFTER_APPEND, Fault.KILLED_BETWEEN_LEGS, Fault.KILLED_BEFORE_REPORT),
        *(Fault.OWNER_KILLED, Fault.OWNER_KILLED_BEFORE_REPLY, Fault.MAIL_LOST, Fault.MAIL_TWICE, Fault.MAIL_LATE),
        *(Fault.CLAIM_MOVED, Fault.PRICE_MOVED),
    }
)
"""Faults under which nobody may be asked for help: there is always a way to end hedged or flat."""

OFTEN = 0.35
"""How likely each kind is to exist in a scenario."""
RATES = (0.03, 0.08, 0.2, 0.45)
"""How often a kind that exists strikes where it can."""
RARE = frozenset({Fault.CANCEL_LOST, Fault.CANCEL_ANSWER_LOST, Fault.NO_BOOK, Fault.REVERSED})
"""Kinds with few places to strike; they make the most of these."""
OFTEN_OF_THE_RARE = 0.8
RATES_OF_THE_RARE = (0.5, 0.8)


@dataclass(frozen=True, slots=True)
class Hit:
    """One fault that struck: the `number`-th time that this kind would have."""

    fault: Fault
    number: int

    def __str__(self) -> str:
        return f"{self.fault.value} {self.number}"


@dataclass(slots=True)
class Chance:
    """All that is drawn in one scenario. `only`: of the faults that strike, let these and no others happen."""

    seed: int
    only: Collection[Hit] | None = None
    gentle: bool = False
    rates: dict[Fault, float] = field(default_factory=dict)
    hits: dict[Fault, int] = field(default_factory=dict)
    struck: list[tuple[Nanos, Hit]] = field(default_factory=list)
    over: bool = False
    """The faults have stopped; what is left is to settle."""
    now: Callable[[], Nanos] = lambda: Nanos(0)
    _streams: dict[str, Random] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scene = self.stream("faults")
        self.gentle = scene.random() < 0.25
        for fault in Fault:
            rare = fault in RARE
            exists = scene.random() < (OFTEN_OF_THE_RARE if rare else OFTEN)
            rate = scene.choice(RATES_OF_THE_RARE if rare else RATES)
            if exists and (fault in GENTLE or not self.gentle):
                self.rates[fault] = rate

    def stream(self, name: str) -> Random:
        """Draws of one purpose; those of another do not shift them."""
        if name not in self._streams:
            self._streams[name] = Random(f"{self.seed}/{name}")  # noqa: S311  a scenario, no secret
        return self._streams[name]

    def hit(self, fault: Fault, share: float = 1.0) -> bool:
        """Whether this fault strikes here and now; `share` of its rate where there are many places to strike."""
        rate = self.rates.get(fault)
        if rate is None or self.over or self.stream(fault.value).random() >= rate * share:
            return False
        number = self.hits.get(fault, 0) + 1
        self.hits[fault] = number
        hit = Hit(fault, number)
        if self.only is not None and hit not in self.only:
            return False
        self.struck.append((self.now(), hit))
        return True

    def ms(self, name: str, low: float, high: float) -> Nanos:
        """A delay between so many milliseconds."""
        return Nanos(int((low + (high - low) * self.stream(name).random()) * MILLISECOND))

    def pick(self, name: str, among: Sequence[T]) -> T:
        return self.stream(name).choice(among)
