"""How long each stage of an opportunity took: counts in logarithmic buckets, mergeable, with bounded memory."""

from __future__ import annotations

GROWTH = 1.05
"""Buckets grow by 5 %, so a percentile is right to 5 %."""


class Stages:
    """One histogram a stage, in microseconds."""

    def __init__(self) -> None:
        self._buckets: dict[str, dict[int, int]] = {}

    def add(self, stage: str, took: int) -> None:
        micros = max(1, took // 1000)
        buckets = self._buckets.setdefault(stage, {})
        index = bucket_of(micros)
        buckets[index] = buckets.get(index, 0) + 1

    def snapshot(self) -> dict[str, dict[str, int]]:
        return {stage: {str(k): n for k, n in sorted(b.items())} for stage, b in self._buckets.items()}


def bucket_of(micros: int) -> int:
    """Exact to 40 µs, then one bucket every 5 %."""
    if micros <= 40:
        return micros
    index, edge = 40, 40.0
    while edge < micros:
        edge *= GROWTH
        index += 1
    return index


def edge_of(index: int) -> int:
    return index if index <= 40 else int(40 * GROWTH ** (index - 40))


def percentile(buckets: dict[str, int], share: float) -> int:
    """The upper edge, in microseconds, of the bucket that holds this share of the counts; 0 where there are none."""
    total = sum(buckets.values())
    seen = 0
    for index, count in sorted((int(k), n) for k, n in buckets.items()):
        seen += count
        if seen >= share * total:
            return edge_of(index)
    return 0
