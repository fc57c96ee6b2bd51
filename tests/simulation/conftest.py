"""A violation that is made for a test: it depends on which faults strike, and on nothing that the engine does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from loguru import logger

from simulation.chance import Fault
from simulation.judge import Judge

Plant = Callable[..., None]


@pytest.fixture(autouse=True)
def no_log() -> Iterator[None]:
    """What fails here fails on purpose, hundreds of times."""
    logger.disable("")
    yield
    logger.enable("")


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """`plant(Fault.A, Fault.B)`: a scenario in which all of these kinds have struck breaks `I99`. The last one counts."""
    looked = Judge.look

    def planted(*kinds: Fault, text: str = "I99: they met: all of them") -> None:
        def look(self: Judge) -> None:
            looked(self)
            if set(kinds) <= {hit.fault for _, hit in self.world.chance.struck}:
                self.broke(text)

        monkeypatch.setattr(Judge, "look", look)

    return planted
