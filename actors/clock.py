"""Time for the shells.

Wall time is read once; after that only the monotonic clock moves, so a step of the system clock can neither age a lease
nor revive an expired one.
"""

from __future__ import annotations

import time

from messages.units import Nanos


class AnchoredClock:
    """Wall time at the moment it was made, monotonic after it."""

    __slots__ = ("_anchor",)

    def __init__(self) -> None:
        self._anchor = time.time_ns() - time.monotonic_ns()

    def now(self) -> Nanos:
        return Nanos(self._anchor + time.monotonic_ns())


class HandClock:
    """A clock that a test moves."""

    __slots__ = ("_now",)

    def __init__(self, start: Nanos = Nanos(0)) -> None:
        self._now = start

    def now(self) -> Nanos:
        return self._now

    def advance(self, by: Nanos) -> None:
        if by < 0:
            raise ValueError("time does not run backwards")
        self._now = Nanos(self._now + by)
