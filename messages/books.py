"""Order books as they travel: the only high-rate flow, so a lean frozen struct and not a pydantic model.

Levels are best first. Both outcomes are given: a venue with one book per market derives NO from YES (a NO ask at q is a
YES bid at 1 − q), one with a book per token may not have them equal at every instant.
"""

from __future__ import annotations

import msgspec

Levels = tuple[tuple[int, int], ...]
"""((price, quantity), …), best first, in `Price` and `Quantity` units."""


class Book(msgspec.Struct, frozen=True, array_like=True):
    """The top of one market's book at one venue."""

    venue: str
    market: str
    sequence: int
    """Grows with each book of this market from this feed; a newer one replaces a waiting older one."""
    seen_at: int
    """Nanos when the last venue message that confirmed this book arrived."""
    fresh: bool
    """False after a gap, a silence or a mismatch: nothing may be sent on it."""
    yes_bids: Levels
    yes_asks: Levels
    no_bids: Levels
    no_asks: Levels

    def bids(self, outcome: str) -> Levels:
        return self.yes_bids if outcome == "yes" else self.no_bids

    def asks(self, outcome: str) -> Levels:
        return self.yes_asks if outcome == "yes" else self.no_asks


def mirror(levels: Levels) -> Levels:
    """Bids of one outcome as asks of the other, and the reverse: price → 1 − price, the order of levels kept."""
    return tuple((10_000 - price, quantity) for price, quantity in levels)


encode_book = msgspec.msgpack.Encoder().encode
decode_book = msgspec.msgpack.Decoder(Book).decode
