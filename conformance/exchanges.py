"""The two simulated venues of a run: processes of their own on loopback, their market makers stopped so that books stand still."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAIRS = ROOT / "configs" / "pairs.sim.yaml"
READY_WITHIN_S = 30.0
Dialect = Literal["kalshi", "polymarket"]


@dataclass
class Exchange:
    dialect: Dialect
    told: dict[str, Any]
    """The ready line."""
    session: aiohttp.ClientSession

    @property
    def rest(self) -> str:
        return str(self.told["rest"])

    async def ledger(self) -> dict[str, Any]:
        async with self.session.get(f"{self.told['admin']}/ledger") as answer:
            answer.raise_for_status()
            told: dict[str, Any] = await answer.json()
            return told

    pairs: list[dict[str, Any]]

    def markets(self) -> list[str]:
        """Kalshi: those of shard 0, as a client that names no market when it cancels reaches no other."""
        if self.dialect == "kalshi":
            return [p["kalshi"]["ticker"] for p in self.pairs if not p["kalshi"].get("exchange_index")]
        return [p["polymarket"]["condition_id"] for p in self.pairs]

    def contracts(self) -> dict[str, str]:
        """Polymarket: a market of each contract that settles orders, and so of each domain that signs them."""
        told = [p["polymarket"] for p in self.pairs]
        return {
            "CTF Exchange V2": next(p["condition_id"] for p in told if not p["neg_risk"]),
            "NegRisk Exchange V2": next(p["condition_id"] for p in told if p["neg_risk"]),
            "Exchange V3": PROTOCOL_V2["condition_id"],
        }


PROTOCOL_V2 = {
    "condition_id": "0x01" + "c0" * 18 + "00" * 8 + "00000007" + "00",
    "yes_token": str((0x01 << 248) | (int("c0" * 18, 16) << 104) | (7 << 8)),
    "no_token": str((0x01 << 248) | (int("c0" * 18, 16) << 104) | (7 << 8) | 1),
}
"""Ids of Polymarket's newer protocol: module, nothing in the middle, and the outcome in the last byte."""


def _pairs(folder: Path) -> tuple[Path, list[dict[str, Any]]]:
    """The sample's markets, and one more of the newer protocol, which the sample has not."""
    document = yaml.safe_load(PAIRS.read_text())
    first = document["pairs"][0]
    newer = first | {
        "id": "protocol-v2", "group": "protocol-v2",
        "kalshi": first["kalshi"] | {"ticker": "KXPROTOCOL-26DEC31-V2", "event": "KXPROTOCOL-26DEC31", "series": "KXPROTOCOL"},
        "polymarket": first["polymarket"] | PROTOCOL_V2,
    }  # fmt: skip
    path = folder / "pairs.yaml"
    path.write_text(yaml.safe_dump(document | {"pairs": [*document["pairs"], newer]}))
    return path, [*document["pairs"], newer]


@asynccontextmanager
async def exchange(dialect: Dialect, folder: Path, seed: int) -> AsyncIterator[Exchange]:
    path, pairs = _pairs(folder)
    command = [
        *(sys.executable, "-m", "venues.simulated", "--dialect", dialect, "--name", dialect, "--port", "0"),
        *("--seed", str(seed), "--pairs", str(path), "--parent-pid", str(os.getpid())),
        *("--accounts", "2"),  # somebody has to take what rests
    ]
    log = folder / f"{dialect}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        try:
            told = json.loads(await asyncio.wait_for(process.stdout.readline(), READY_WITHIN_S))
        except (TimeoutError, ValueError):
            raise RuntimeError(f"the simulated {dialect} did not start: {log.read_text()[-2_000:]}") from None
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            async with session.post(f"{told['admin']}/quiesce") as answer:
                answer.raise_for_status()
            yield Exchange(dialect, told, session, pairs)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
