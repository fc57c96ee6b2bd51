"""What the venue tells beside its answers: how much of the signer's budgets is left.

There are two buckets per signing address, of orders and of cancels, by tier. Only answers at order entry tell of them.
"""

from __future__ import annotations

from messages.units import SECOND, Nanos
from venues.http import Response
from venues.port import Allowance, Clock
from venues.reading import whole_of

TIERS = {
    "standard": (40, 60, 80, 120),
    "copper": (60, 90, 120, 180),
    "bronze": (80, 120, 160, 240),
    "silver": (200, 300, 400, 600),
    "gold": (400, 600, 800, 1_200),
    "platinum": (450, 675, 900, 1_350),
    "diamond": (525, 787, 1_050, 1_574),
    "elite": (600, 900, 1_200, 1_800),
}
"""Orders a second and at once, cancels a second and at once, as the venue's page of rate limits has them."""


def allowance(scope: str, tier: str, left: int | None, full_after: Nanos | None) -> Allowance:
    """One bucket; its size follows from the tier's name, and is unknown for a name that is not in the table."""
    known = TIERS.get(tier.lower())
    per_second, most = (None, None) if known is None else known[:2] if scope == "orders" else known[2:]
    return Allowance(scope, most, per_second, left, full_after)


class Meter:
    """The buckets as the last answers told them; `left` may be negative after a cancel of everything."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[str, Allowance] = {}
        self.tier = ""
        self.warning = ""
        """What the venue last said of limits that it does not enforce yet."""

    @property
    def allowances(self) -> tuple[Allowance, ...]:
        return tuple(self._told.values())

    def heed(self, method: str, response: Response) -> None:
        headers = response.headers
        self.warning = headers.get("poly-ratelimit-warning", self.warning)[:200]
        left, reset = whole_of(headers, "poly-ratelimit-remaining"), whole_of(headers, "poly-ratelimit-reset")
        if left is None:
            return
        self.tier = headers.get("poly-ratelimit-tier", self.tier)[:40]
        scope = "cancels" if method == "DELETE" else "orders"
        full_after = None if reset is None else Nanos(max(reset * SECOND - self._clock.now(), 0))
        self._told[scope] = allowance(scope, self.tier, left, full_after)
