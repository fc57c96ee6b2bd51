"""Throw-away keys of a simulated venue, beyond those that its ready line tells."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import aiohttp

from messages.units import Nanos
from venues.credentials import KalshiCredentials
from venues.kalshi.sign import Signer

KEYS = "/trade-api/v2/api_keys/generate"


class WallClock:
    def now(self) -> Nanos:
        return Nanos(time.time_ns())


class NoKey(Exception):
    """The venue made no key; the text is its answer."""


async def rsa_key(session: aiohttp.ClientSession, rest: str, credentials: Mapping[str, Any]) -> dict[str, str]:
    """An RSA key of the same account, made by the venue as its key page makes one: many Kalshi clients load no other kind.

    `credentials` has `key_id` and `private_key_pem`; the answer has the same two.
    """
    signer = Signer(
        KalshiCredentials(str(credentials["key_id"]), str(credentials["private_key_pem"]).encode()), WallClock()
    )
    body = {"name": "throw-away", "key_type": "rsa"}
    async with session.post(f"{rest}{KEYS}", json=body, headers=signer.headers("POST", KEYS)) as answer:
        if answer.status != 201:
            raise NoKey(f"POST {KEYS} was answered with {answer.status}: {(await answer.text())[:200]}")
        made = await answer.json()
    return {"key_id": str(made["api_key_id"]), "private_key_pem": str(made["private_key"])}
