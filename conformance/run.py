"""One run: both venues, each with the published client and our adapters on one account."""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from conformance import environment
from conformance.adapters import WALLETS, ours
from conformance.exchanges import Dialect, Exchange, exchange
from conformance.playbill import SCENARIOS
from conformance.scenarios import play
from conformance.stage import Stage
from conformance.theirs import Theirs, theirs
from conformance.tunnel import tunnel
from console.throwaway import rsa_key
from venues.simulated.ethereum import wallet_of

NAMES = {"kalshi": "pykalshi 2.0.0", "polymarket": "py-clob-client-v2 1.2.1"}
STREAM_HOST = "external-api-ws.kalshi.com"
"""The one address that pykalshi's feed knows."""


@dataclass(frozen=True, slots=True)
class Cell:
    venue: str
    client: str
    scenario: str
    result: str
    """passed, failed, or cannot: the client has no means for it."""
    why: str

    def told(self) -> dict[str, str]:
        return asdict(self)


async def played(folder: Path, venues: Sequence[Dialect], only: str, seed: int) -> list[Cell]:
    """Every scenario on every venue, first with the published client acting, then with ours."""
    found = await asyncio.gather(*(_on(venue, folder, only, seed) for venue in venues))
    return [cell for cells in found for cell in cells]


async def _on(venue: Dialect, folder: Path, only: str, seed: int) -> list[Cell]:
    try:
        return await _all(venue, folder, only, seed)
    except Exception as problem:  # noqa: BLE001 - one venue that does not start leaves the other its table
        traceback.print_exc()
        return [Cell(venue, NAMES[venue], "setting up", "failed", f"{type(problem).__name__}: {problem}")]


async def _all(venue: Dialect, folder: Path, only: str, seed: int) -> list[Cell]:
    cells: list[Cell] = []
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(exchange(venue, folder, seed))
        mine = await stack.enter_async_context(ours(place, folder))
        client = await _theirs(stack, place, folder)
        client.name = NAMES[venue]
        for acting in (client, mine):
            stage = Stage(place, acting, client, mine)
            for name, story in SCENARIOS.items():
                if only in name:
                    result, why = await play(story, stage)
                    cells.append(Cell(venue, acting.name, name, result, why))
    return cells


async def _theirs(stack: AsyncExitStack, place: Exchange, folder: Path) -> Theirs:
    """The client with the venue's address and throw-away credentials, by its own options and by the environment alone."""
    python = environment.python_of(environment.FOLDER)
    credentials = place.told["credentials"]
    if place.dialect == "polymarket":
        names = ("private_key", "address", "api_key", "secret", "passphrase")
        told = {name: str(credentials[name]) for name in names} | {
            "rest": place.rest, "wrong_secret": str(credentials["keys"][1]["secret"]),
            "rival_key": "0x" + secrets.token_hex(32),
        }  # fmt: skip
        told |= {f"wallet_{kind}": wallet_of(told["address"], kind) for kind in WALLETS}
        return await stack.enter_async_context(theirs("clob", python, told, folder / "clob.log", {}))
    # the client loads RSA keys only, and the venue makes one for whoever holds any key of the account
    good, wrong = [await rsa_key(place.session, place.rest, credentials) for _ in range(2)]
    rival = await rsa_key(place.session, place.rest, place.told["accounts"][0]["keys"][0])
    told = {
        "rest": f"{place.rest}/trade-api/v2", "key_id": good["key_id"],
        "key_file": _kept(folder / "kalshi-rsa.pem", good["private_key_pem"]),
        "wrong_key_file": _kept(folder / "kalshi-wrong.pem", wrong["private_key_pem"]),
        "rival_key_id": rival["key_id"],
        "rival_key_file": _kept(folder / "kalshi-rival.pem", rival["private_key_pem"]),
    }  # fmt: skip
    way = await stack.enter_async_context(tunnel(folder, STREAM_HOST, urlsplit(place.rest).port or 0))
    surroundings = {"wss_proxy": f"http://127.0.0.1:{way.port}", "SSL_CERT_FILE": str(way.authority)}
    return await stack.enter_async_context(theirs("pykalshi", python, told, folder / "pykalshi.log", surroundings))


def _kept(path: Path, pem: str) -> str:
    path.touch(mode=0o600)
    path.write_text(pem)
    return str(path)
