"""How long things take, in buckets: right to 5 %, small however long it runs, and added up over processes."""

from __future__ import annotations

from collections import Counter

import pytest

from actors.stages import Stages, bucket_of, edge_of, percentile


@pytest.mark.parametrize("micros", [1, 2, 39, 40, 41, 100, 999, 1_000, 123_456, 60_000_000])
def test_a_bucket_is_right_to_five_percent_and_never_flatters(micros: int) -> None:
    edge = edge_of(bucket_of(micros))
    assert micros <= edge <= micros * 1.05 + 1


def test_memory_does_not_grow_with_what_is_counted() -> None:
    stages = Stages()
    for took in range(0, 50_000_000, 2_003):
        stages.add("commit", took)
    (buckets,) = stages.snapshot().values()
    assert len(buckets) < 300
    assert sum(buckets.values()) == len(range(0, 50_000_000, 2_003))


def test_percentiles_of_several_processes_together() -> None:
    one, other = Stages(), Stages()
    for _ in range(98):
        one.add("sent", 20_000)
    for took in (1_000_000, 9_000_000):
        other.add("sent", took)
    merged: Counter[str] = Counter()
    for stages in (one, other):
        merged.update(stages.snapshot()["sent"])
    assert percentile(merged, 0.5) == 20
    assert 1_000 <= percentile(merged, 0.99) <= 1_051
    assert 9_000 <= percentile(merged, 1.0) <= 9_451


def test_nothing_counted_is_nothing_and_no_time_is_less_than_a_microsecond() -> None:
    assert percentile({}, 0.5) == 0
    stages = Stages()
    stages.add("clock that stood", 0)
    stages.add("clock that went back", -5)
    assert stages.snapshot() == {"clock that stood": {"1": 1}, "clock that went back": {"1": 1}}
