"""Versions of metadata: a market whose rules or fees differ from what was last told gets a higher number."""

from __future__ import annotations

from messages.markets import Market
from messages.units import MILLISECOND


class Versions:
    """Numbers grow over restarts as well, since a new one is the millisecond at which the difference was seen."""

    def __init__(self) -> None:
        self._known: dict[str, Market] = {}

    def number(self, market: Market) -> Market:
        """The market with its version and its fees' version."""
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
            changed = same != known or fees.version != known.fees.version
            version = max(stamp, known.version + 1) if changed else known.version
            numbered = numbered.model_copy(update={"version": version})
        self._known[market.market] = numbered
        return numbered
