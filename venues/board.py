"""What a feed vouches for: the last book of each market, when it was last confirmed, and whether it may be used.

A book is told when it changes, when it is confirmed after a while, and when it can no longer be vouched for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from messages.books import Book, Levels
from messages.units import MILLISECOND, Nanos
from venues.port import Clock

DEPTH = 10
TELL_EVERY = Nanos(250 * MILLISECOND)
"""An unchanged book that is confirmed all the time is told no more often."""

Sides = tuple[Levels, Levels, Levels, Levels]
"""YES bids, YES asks, NO bids, NO asks."""

NOTHING: Sides = ((), (), (), ())


class Board:
    def __init__(self, venue: str, markets: Iterable[str], on_book: Callable[[Book], None], clock: Clock) -> None:
        self._venue = venue
        self._on_book = on_book
        self._clock = clock
        self._sequence = 0
        self._told: dict[str, Book] = {}
        self.seen_at: dict[str, Nanos] = dict.fromkeys(markets, Nanos(0))
        """When each market was last confirmed."""

    def show(self, market: str, sides: Sides, seen_at: Nanos) -> None:
        """YES bids, YES asks, NO bids, NO asks as a message that arrived at `seen_at` left them."""
        self.seen_at[market] = max(seen_at, self.seen_at.get(market, seen_at))
        told = self._told.get(market)
        if told is not None and told.fresh and sides == (told.yes_bids, told.yes_asks, told.no_bids, told.no_asks):
            self._confirm(told)
            return
        self._tell(market, sides, fresh=True)

    def confirm(self, market: str, seen_at: Nanos) -> None:
        """Proved to be unchanged at `seen_at`."""
        told = self._told.get(market)
        if told is None or not told.fresh:
            return
        self.seen_at[market] = max(seen_at, self.seen_at.get(market, seen_at))
        self._confirm(told)

    def _confirm(self, told: Book) -> None:
        if self.seen_at[told.market] - told.seen_at >= TELL_EVERY:
            self._tell(told.market, (told.yes_bids, told.yes_asks, told.no_bids, told.no_asks), fresh=True)

    def doubt(self, market: str) -> None:
        """No longer to be used, until it is shown again."""
        told = self._told.get(market)
        if told is None:
            self._tell(market, NOTHING, fresh=False)
        elif told.fresh:
            self._tell(market, (told.yes_bids, told.yes_asks, told.no_bids, told.no_asks), fresh=False)

    def doubt_all(self) -> None:
        for market in self.seen_at:
            self.doubt(market)

    def _tell(self, market: str, sides: Sides, *, fresh: bool) -> None:
        # a clock reading, so that it grows over restarts of the feed as well
        self._sequence = max(self._sequence + 1, self._clock.now())
        book = Book(self._venue, market, self._sequence, self.seen_at.get(market, Nanos(0)), fresh, *sides)
        self._told[market] = book
        self._on_book(book)


def best(levels: dict[int, int], *, bids: bool) -> Levels:
    """The top of one side."""
    return tuple(sorted(levels.items(), reverse=bids)[:DEPTH])
