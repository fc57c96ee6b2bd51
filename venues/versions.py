"""Versions of metadata: a market whose rules or fees differ from what was last told gets a higher number."""

from __future__ import annotations

from messages.markets import Market
from messages.units import MILLISECOND


class Versions:
    """Numbers grow over restarts as well, since a new one is the millisecond at which the difference was seen."""

    def __init__(self) -> None:
        self._known: dict[str, Market] = {}
        self._facts: dict[str, str] = {}

    def number(self, market: Market, facts: str = "") -> Market:
        """The market with its version and its fees' version. `facts` stands for what `Market` does not hold and whose
        change makes another contract of it: the words of its rules, its shard.
        """
        known = self._known.get(market.market)
        stamp = market.seen_at // MILLISECOND
        fees = market.fees.model_copy(update={"version": stamp})
        if known is not None:
            fees = market.fees.model_copy(update={"version": known.fees.version})
            if fees.model_copy(update={"verified_at": known.fees.verified_at}) != known.fees:
                fees = fees.model_copy(update={"version": max(stamp, known.fees.version + 1)})
        numbered = market.model_copy(update={"fees": fees, "version": stamp})
        if known is not None:
            same = numbered.model_copy(update={"version": known.version, "seen_at": known.seen_at, "fees": known.fees})
            changed = (
                same != known or fees.version != known.fees.version or facts != self._facts.get(market.market, facts)
            )
            version = max(stamp, known.version + 1) if changed else known.version
            numbered = numbered.model_copy(update={"version": version})
        self._known[market.market] = numbered
        self._facts[market.market] = facts
        return numbered
