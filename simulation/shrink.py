"""From a failing seed to the few faults that are enough to break the same invariant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from simulation.batch import invariant_of, played, run_seed
from simulation.chance import Fault, Hit
from simulation.world import World

Item = TypeVar("Item")

RUNS_MOST = 300
SECONDS_MOST = 20.0


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A failing scenario with as few faults as were found to be enough."""

    seed: int
    broken: str
    """What breaks with these faults alone: the same invariant, perhaps of another order."""
    hits: tuple[Hit, ...]
    """In the order in which they struck."""
    struck: int
    """How many struck before anything was left out."""
    runs: int
    smallest: bool
    """Without any single one of them it does not break; False where runs or time ran out before that was known."""


def shrink(seed: int, *, runs_most: int = RUNS_MOST, seconds_most: float = SECONDS_MOST) -> Shrunk | None:
    """Leave out as many faults as possible. None where the seed breaks nothing."""
    world = World(seed)
    broken = played(world)
    struck = [hit for _, hit in world.chance.struck]
    world.time.bury()
    if not broken:
        return None
    search = _Search(seed, invariant_of(broken), runs_most, monotonic() + seconds_most)
    hits, smallest = search.smallest(struck)
    told = run_seed(seed, hits).broken if search.runs else broken
    return Shrunk(seed, told, tuple(hits), len(struck), search.runs, smallest)


class _Search:
    """Delta debugging: whole kinds of faults first, since most have nothing to do with it, then one by one."""

    def __init__(self, seed: int, invariant: str, runs_most: int, until: float) -> None:
        self._seed, self._invariant, self._runs_most, self._until = seed, invariant, runs_most, until
        self._known: dict[frozenset[Hit], bool] = {}
        self.runs = 0

    @property
    def _spent(self) -> bool:
        return self.runs >= self._runs_most or monotonic() >= self._until

    def _breaks(self, hits: Collection[Hit]) -> bool:
        """Whether these alone break the same; out of runs or time, nothing more can be left out."""
        key = frozenset(hits)
        if key not in self._known:
            if self._spent:
                return False
            self.runs += 1
            self._known[key] = run_seed(self._seed, key).invariant == self._invariant
        return self._known[key]

    def smallest(self, struck: Sequence[Hit]) -> tuple[list[Hit], bool]:
        """A set that breaks it, and whether every single one of it is needed."""
        if self._breaks(()):
            return [], True
        kinds = list(dict.fromkeys(hit.fault for hit in struck))

        def of(chosen: Collection[Fault]) -> list[Hit]:
            return [hit for hit in struck if hit.fault in chosen]

        kinds = reduced(kinds, lambda chosen: self._breaks(of(chosen)))
        hits = reduced(of(kinds), self._breaks)
        return hits, not self._spent


def reduced(items: Sequence[Item], breaks: Callable[[Sequence[Item]], bool]) -> list[Item]:
    """A part of `items`, in their order, that still breaks, and of which no single one can be left out."""
    left, pieces = list(items), 2
    while len(left) > 1:
        size = -(-len(left) // pieces)
        parts = [left[at : at + size] for at in range(0, len(left), size)]
        smaller = next((part for part in parts if breaks(part)), None)
        if smaller is not None:
            left, pieces = smaller, 2
            continue
        rests = ([item for other in parts if other is not part for item in other] for part in parts)
        smaller = next((rest for rest in rests if breaks(rest)), None)
        if smaller is not None:
            left, pieces = smaller, max(2, pieces - 1)
        elif pieces >= len(left):
            break
        else:
            pieces = min(len(left), 2 * pieces)
    return left
