"""Commands to Kalshi's streams."""

from __future__ import annotations

import msgspec


def command(number: int, name: str, **params: object) -> str:
    """`params` is left out where there are none."""
    told: dict[str, object] = {"id": number, "cmd": name}
    if params:
        told["params"] = params
    return msgspec.json.encode(told).decode()
