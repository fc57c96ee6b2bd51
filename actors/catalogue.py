"""The markets of one venue that approved pairs name, as far as the venue tells of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from loguru import logger

from messages.markets import Market, Pair
from venues.port import Failed, MarketData

CHUNK = 100
FAILURES_MOST = 24
"""In one round; what is still unknown then is asked for in the next."""


class Catalogue:
    def __init__(self, data: MarketData, venue: str, pairs: Iterable[Pair]) -> None:
        self._data = data
        listed = (market.market for pair in pairs for market in pair.markets if market.venue == venue)
        self.ids = tuple(dict.fromkeys(listed))
        self.markets: dict[str, Market] = {}
        self.failure = ""
        """What the venue said last when it could not answer."""

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(name for name in self.ids if name not in self.markets)

    def take(self, market: Market) -> bool:
        """True where this is news: a market that is followed, in no older version than the known one."""
        known = self.markets.get(market.market)
        if market.market not in self.ids or (known is not None and market.version < known.version):
            return False
        self.markets[market.market] = market
        return True

    async def read(self, ids: Sequence[str]) -> tuple[Market, ...]:
        """What the venue tells of these. It answers for all or for none, so one that it does not know is looked for by
        halves and left out.
        """
        waiting = deque(ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
        found: list[Market] = []
        failures = 0
        while waiting and failures < FAILURES_MOST:
            some = waiting.popleft()
            read = await self._data.markets(some)
            if not isinstance(read, Failed):
                found += [market for market in read if self.take(market)]
                continue
            failures += 1
            if read.text != self.failure:
                self.failure = read.text
                logger.warning("the metadata of {} markets could not be read: {}", len(some), read.text)
            if len(some) > 1:
                middle = len(some) // 2
                waiting += (some[:middle], some[middle:])
        return tuple(found)
