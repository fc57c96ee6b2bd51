"""Plays a tape into the exchange: the recorded levels become the makers' quotes, at the recorded pace or faster."""

from __future__ import annotations

from collections.abc import Iterable

from venues.simulated.exchange import Exchange
from venues.simulated.tape import Ladder, TapeRow, apply_row


class TapePlayer:
    """What we took from a level stays taken until the tape sets that level again."""

    def __init__(self, exchange: Exchange, market: str, rows: Iterable[TapeRow], from_ns: int, speed: float) -> None:
        self._exchange, self._market, self._from_ns, self._speed = exchange, market, from_ns, speed
        self._rows = iter(rows)
        self._next: TapeRow | None = next(self._rows, None)
        self._ladder = Ladder()

    def play(self, elapsed_ns: int, now_ns: int) -> int:
        """Play all rows that are due; returns how many."""
        reached_ns, played = self._from_ns + int(elapsed_ns * self._speed), 0
        while self._next is not None and self._next.at_ns <= reached_ns:
            for side, price, size in apply_row(self._ladder, self._next):
                self._exchange.quote(self._market, side, price, size, now_ns)
            self._next = next(self._rows, None)
            played += 1
        return played

    def next_due_ns(self) -> int | None:
        """Elapsed time at which the next row is due; None when the tape has ended and the book stays as it is."""
        return None if self._next is None else int((self._next.at_ns - self._from_ns) / self._speed)
