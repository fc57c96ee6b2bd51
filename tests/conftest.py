"""For every test: no venue is reachable, no setting leaks in from the outside, and a property that failed once fails again."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "crossfill",
    deadline=None,  # a busy machine is not a bug; pytest-timeout ends what hangs
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("crossfill")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("ray") is not None:
            # Ray finds this machine's own address by connecting a datagram socket, which sends nothing.
            item.add_marker(pytest.mark.enable_socket)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("CROSSFILL_"):
            monkeypatch.delenv(name)
