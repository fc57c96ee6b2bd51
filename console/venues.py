"""`run.py venues`: the simulated venues alone, for any bot; and what a newer contract of a venue changed.

With --json every line on stdout is one JSON document: the first when all venues are ready, the last when they have ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from configs.settings import Settings
from console.exits import Exit
from console.simulated import SimulatedVenues, VenueGone, VenueNotReady
from console.throwaway import NoKey, rsa_key

SCHEMA_VERSION = 1
TOLD = ("dialect", "rest", "ws_market", "ws_user", "admin", "pid")
_ID = re.compile(r"^(0x[0-9a-fA-F]+|(?=.*[0-9])[0-9a-fA-F-]{16,}|[0-9]{6,})$")


@dataclass(frozen=True, slots=True)
class BoxOptions:
    settings: Settings
    ports: Mapping[str, int]
    """By venue; a free one where it is not named."""
    accounts: int
    """Traders at each venue, who may meet each other."""
    duration_s: int | None
    empty: bool
    """No market makers: the books hold what the bots put there."""
    as_json: bool


def run_venues(options: BoxOptions) -> int:
    """Serve until Ctrl-C, SIGTERM or the end of the duration; the exit code."""
    try:
        return asyncio.run(_serve(options))
    except (VenueNotReady, NoKey) as problem:
        _complain(options, "preflight_failed", str(problem))
        return Exit.PREFLIGHT
    except VenueGone as problem:
        _complain(options, "venue_gone", str(problem))
        return Exit.ERROR


def _complain(options: BoxOptions, error: str, text: str) -> None:
    sys.stderr.write(f"{text}\n")
    if options.as_json:
        _line({"error": error, "text": text})


async def _serve(options: BoxOptions) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    extra = ("--accounts", str(options.accounts), *(("--quiet",) if options.empty else ()))
    folder = options.settings.home / "venues"
    async with SimulatedVenues(options.settings, folder, extra, options.ports) as venues:
        told = await _told(venues)
        if options.as_json:
            _line({"ready": True, "seed": options.settings.sim.seed, "venues": told})
        else:
            print(_card(told, folder / "ready.json"), flush=True)
            _keep(folder / "ready.json", told)
        gone = asyncio.create_task(venues.ended())
        until = asyncio.create_task(ended.wait())
        done, _ = await asyncio.wait((gone, until), timeout=options.duration_s, return_when=asyncio.FIRST_COMPLETED)
        until.cancel()
        if gone in done:
            raise VenueGone(gone.result())
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        asked = {name: summary(ledger) for name, ledger in (await venues.ledgers()).items()}
    if options.as_json:
        _line({"ended": True, "venues": asked})
    else:
        print(_farewell(asked))
    return Exit.OK


async def _told(venues: SimulatedVenues) -> dict[str, dict[str, Any]]:
    """Addresses and throw-away credentials. Kalshi's come twice: Ed25519, which is fast, and RSA, which every client loads."""
    told = {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        for name, running in venues.running.items():
            ready = running.ready
            credentials = dict(ready["credentials"])
            others = [dict(account) for account in ready["accounts"]]
            if ready["dialect"] == "kalshi":
                credentials["rsa"] = await rsa_key(session, ready["rest"], credentials)
                for account in others:
                    account["rsa"] = await rsa_key(session, ready["rest"], account["keys"][0])
            told[name] = {key: ready[key] for key in TOLD} | {"credentials": credentials, "accounts": others}
    return told


def summary(ledger: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of one venue, and what became of it."""
    requests = ledger["requests"]
    return {
        "requests": dict(Counter(f"{r['method']} {kind_of(r['path'])}" for r in requests).most_common()),
        "answers": dict(sorted(Counter(str(r["status"]) for r in requests).items())),
        "orders": dict(Counter(o["status"] for o in ledger["orders"] if o["account"] in ledger["accounts"])),
        "fills": sum(f["account"] in ledger["accounts"] for f in ledger["fills"]),
        "faults_hit": ledger["faults_hit"],
        "imbalance": ledger["imbalance"],
    }


def kind_of(path: str) -> str:
    """The path without what differs from request to request."""
    return "/".join("{id}" if _ID.match(part) else part for part in path.split("/"))


def _line(body: dict[str, Any]) -> None:
    print(json.dumps({"schema_version": SCHEMA_VERSION} | body), flush=True)


def _keep(path: Path, told: Mapping[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps({"schema_version": SCHEMA_VERSION, "ready": True, "venues": told}, indent=2))


def _card(told: Mapping[str, Mapping[str, Any]], path: Path) -> str:
    lines = []
    for name, venue in told.items():
        credentials = venue["credentials"]
        key = "key_id" if venue["dialect"] == "kalshi" else "api_key"
        lines += [
            f"{name}: speaks {venue['dialect']}",
            f"  REST     {venue['rest']}" + ("/trade-api/v2" if venue["dialect"] == "kalshi" else ""),
            f"  streams  {venue['ws_market']}"
            + ("" if venue["ws_user"] == venue["ws_market"] else f", {venue['ws_user']}"),
            f"  judge    {venue['admin']}/ledger, {venue['admin']}/status",
            f"  key      {credentials[key]}",
        ]
    return "\n".join([*lines, f"All of it, with the throw-away secrets: {path}", "Ctrl-C ends them."])


def _farewell(asked: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for name, one in asked.items():
        requests = ", ".join(f"{count} × {what}" for what, count in one["requests"].items()) or "none"
        orders = ", ".join(f"{count} {status}" for status, count in one["orders"].items()) or "none"
        faults = ", ".join(f"{count} × {kind}" for kind, count in one["faults_hit"].items()) or "none"
        lines += [
            f"{name}: orders and cancels: {requests}",
            f"  orders: {orders}; executions: {one['fills']}; faults that hit: {faults}",
            f"  the venue's own books sum to {one['imbalance']}",
        ]
    return "\n".join(lines)
