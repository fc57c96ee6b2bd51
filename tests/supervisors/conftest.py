"""One Ray for all tests of a session; each tree in it is a tree of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator

import pytest

from supervisors.tree import Leaf, Node

ECHO = "tests.supervisors.shells:Echo"


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    pytest.importorskip("ray")
    from actors.runtime import ray_init  # noqa: PLC0415  only where there is a Ray

    session = asyncio.run(ray_init())
    yield
    session.close()


def settings(**supervision: int | bool) -> str:
    """Quick hearts, and by default so many restarts allowed that tests do not add up to an escalation."""
    rules = {"restarts_most": 1_000, "restarts_within_s": 1, "heartbeat_stale_ms": 1_000, "start_within_s": 20}
    return json.dumps({"supervision": rules | supervision})


def small_tree() -> Node:
    """Two owners that hear of everything, and a trader that tells them."""
    return Node(
        "supervisor.root",
        in_order=True,
        children=(
            Node("supervisor.owners", (Leaf("owner.1", ECHO, tells=("executor",)), Leaf("owner.2", ECHO))),
            Node("supervisor.trading", (Leaf("executor", ECHO, tells=("owner.*",)),)),
        ),
    )


async def until(condition: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for it; the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, f"after {within_s} s still not: {what}"
        await asyncio.sleep(0.005)
    return time.monotonic() - began
