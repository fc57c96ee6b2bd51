"""Token buckets: what an account or a signer may ask in a second. Sizes come from the venue's tier."""

from __future__ import annotations

from collections.abc import Mapping


class Buckets:
    """Buckets by (holder, scope); each scope has a refill rate a second and a capacity."""

    def __init__(self, tier: str, sizes: Mapping[str, tuple[int, int]]) -> None:
        self.tier, self._sizes = tier, dict(sizes)
        self._levels: dict[tuple[str, str], tuple[float, int]] = {}

    def size(self, scope: str) -> tuple[int, int]:
        return self._sizes[scope]

    def take(self, holder: str, scope: str, cost: int, now_ns: int) -> bool:
        rate, capacity = self._sizes[scope]
        level, since_ns = self._levels.get((holder, scope), (float(capacity), now_ns))
        level = min(capacity, level + rate * max(0, now_ns - since_ns) / 1e9)
        taken = level >= cost
        self._levels[(holder, scope)] = (level - cost if taken else level, now_ns)
        return taken

    def charge(self, holder: str, scope: str, cost: int, now_ns: int) -> None:
        """Take what is due afterwards, into debt if need be."""
        rate, capacity = self._sizes[scope]
        level, since_ns = self._levels.get((holder, scope), (float(capacity), now_ns))
        level = min(capacity, level + rate * max(0, now_ns - since_ns) / 1e9)
        self._levels[(holder, scope)] = (level - cost, now_ns)

    def full_after_s(self, holder: str, scope: str, now_ns: int) -> int:
        """Whole seconds until the bucket is full again, at least one."""
        rate, capacity = self._sizes[scope]
        level, since_ns = self._levels.get((holder, scope), (float(capacity), now_ns))
        level += rate * max(0, now_ns - since_ns) / 1e9
        return max(1, int((capacity - level) / rate) + 1)

    def left(self, holder: str, scope: str) -> int:
        return int(self._levels.get((holder, scope), (float(self._sizes[scope][1]), 0))[0])


KALSHI_TIERS: dict[str, dict[str, tuple[int, int]]] = {
    # since September 2026; all but the lowest hold three seconds, and balances have a bucket of their own, without a burst
    "basic": {"read": (200, 200), "write": (100, 100), "balance": (1, 1)},
    "advanced": {"read": (300, 900), "write": (300, 900), "balance": (1, 1)},
    "expert": {"read": (600, 1_800), "write": (600, 1_800), "balance": (5, 5)},
    "premier": {"read": (1_200, 3_600), "write": (1_200, 3_600), "balance": (5, 5)},
    "paragon": {"read": (2_400, 7_200), "write": (2_400, 7_200), "balance": (5, 5)},
    "prime": {"read": (4_800, 14_400), "write": (4_800, 14_400), "balance": (5, 5)},
    "prestige": {"read": (12_000, 36_000), "write": (9_600, 28_800), "balance": (5, 5)},
}
POLYMARKET_TIERS: dict[str, dict[str, tuple[int, int]]] = {
    "standard": {"order": (40, 60), "cancel": (80, 120)},
    "copper": {"order": (60, 90), "cancel": (120, 180)},
    "bronze": {"order": (80, 120), "cancel": (160, 240)},
    "silver": {"order": (200, 300), "cancel": (400, 600)},
    "gold": {"order": (400, 600), "cancel": (800, 1_200)},
    "platinum": {"order": (450, 675), "cancel": (900, 1_350)},
    "diamond": {"order": (525, 787), "cancel": (1_050, 1_574)},
    "elite": {"order": (600, 900), "cancel": (1_200, 1_800)},
}
INDEBTED_TIERS = ("standard", "copper", "bronze", "silver", "gold")
"""Tiers whose sweeping cancels may drive the bucket below nothing."""
