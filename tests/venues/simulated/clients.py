"""Small clients for the stories: they sign with libraries of their own, not with the venue's code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_account import Account

from venues.simulated.participants import Dialect
from venues.simulated.venue import Settings, Venue

ROOT = Path(__file__).parents[3]
SIM_PAIRS = ROOT / "configs" / "pairs.sim.yaml"
ORDERS = "/trade-api/v2/portfolio/events/orders"
CTF = "0xE111180000d2663C0091e4f400237545B87B996B"
NEG_RISK = "0xe2222d279d744050d28e00520010520000310F59"


@asynccontextmanager
async def running(
    dialect: Dialect, *, faults: str = "none", quiet: bool = True, deposit: int = 1_000, **more: Any
) -> AsyncIterator[Venue]:
    venue = Venue(
        Settings(
            dialect=dialect, name=f"{dialect}-test", seed=7, faults=faults, quiet=quiet,
            deposit_dollars=deposit, **{"hold_s": 0.3, "pairs": SIM_PAIRS, **more},
        )
    )  # fmt: skip
    await venue.start()
    try:
        yield venue
    finally:
        await venue.stop()


class Kalshi:
    """A trader on Kalshi; every call returns (status, body)."""

    def __init__(self, session: aiohttp.ClientSession, ready: dict[str, Any], key: int = 0) -> None:
        self.session, self.base, self.ready = session, ready["rest"], ready
        told = ready["credentials"]["keys"][key]
        loaded = serialization.load_pem_private_key(told["private_key_pem"].encode(), None)
        assert isinstance(loaded, Ed25519PrivateKey)
        self.private, self.key_id = loaded, told["key_id"]
        self.numbers = itertools.count(1)

    def headers(self, method: str, path: str, skew_ms: int = 0) -> dict[str, str]:
        stamp = str(time.time_ns() // 1_000_000 + skew_ms)
        signature = self.private.sign(f"{stamp}{method}{path}".encode())
        return {
            "KALSHI-ACCESS-KEY": self.key_id, "KALSHI-ACCESS-TIMESTAMP": stamp,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }  # fmt: skip

    async def call(self, method: str, path: str, body: Any = None, query: str = "") -> tuple[int, Any]:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.request(
            method, self.base + path + query, data=data, headers=self.headers(method, path)
        ) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith(("{", "[")) else text

    def body(self, ticker: str, side: str, count: str, price: str, **more: Any) -> dict[str, Any]:
        return {
            "ticker": ticker, "client_order_id": f"test-{next(self.numbers)}", "side": side, "count": count,
            "price": price, "time_in_force": "immediate_or_cancel", "self_trade_prevention_type": "taker_at_cross",
            **more,
        }  # fmt: skip

    async def order(self, ticker: str, side: str, count: str, price: str, **more: Any) -> tuple[int, Any]:
        return await self.call("POST", ORDERS, self.body(ticker, side, count, price, **more))


class Polymarket:
    """A trader on Polymarket."""

    def __init__(self, session: aiohttp.ClientSession, ready: dict[str, Any], key: int = 0) -> None:
        self.session, self.base, self.ready = session, ready["rest"], ready
        self.key = ready["credentials"]["keys"][key]
        self.salts = itertools.count(1_000)

    def headers(self, method: str, path: str, body: bytes = b"") -> dict[str, str]:
        stamp = str(int(time.time()))
        secret = base64.urlsafe_b64decode(self.key["secret"])
        digest = hmac.new(secret, f"{stamp}{method}{path}".encode() + body, hashlib.sha256).digest()
        return {
            "POLY_ADDRESS": self.key["address"], "POLY_API_KEY": self.key["api_key"],
            "POLY_PASSPHRASE": self.key["passphrase"], "POLY_TIMESTAMP": stamp,
            "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
        }  # fmt: skip

    async def call(self, method: str, path: str, body: bytes = b"", query: str = "") -> tuple[int, Any]:
        async with self.session.request(
            method, self.base + path + query, data=body or None, headers=self.headers(method, path, body)
        ) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith(("{", "[")) else text

    def signed(
        self, token: str, side: str, maker: int, taker: int, kind: str = "FAK", *, neg_risk: bool = False, **more: Any
    ) -> bytes:
        address, salt, stamp = self.key["address"], next(self.salts), int(time.time() * 1000)
        zero = "0x" + "00" * 32
        fields = [
            ("salt", "uint256"), ("maker", "address"), ("signer", "address"), ("tokenId", "uint256"),
            ("makerAmount", "uint256"), ("takerAmount", "uint256"), ("side", "uint8"), ("signatureType", "uint8"),
            ("timestamp", "uint256"), ("metadata", "bytes32"), ("builder", "bytes32"),
        ]  # fmt: skip
        message = {
            "salt": salt, "maker": address, "signer": address, "tokenId": int(token), "makerAmount": maker,
            "takerAmount": taker, "side": 0 if side == "BUY" else 1, "signatureType": 0, "timestamp": stamp,
            "metadata": zero, "builder": zero,
        }  # fmt: skip
        domain = {
            "name": "Polymarket CTF Exchange", "version": "2", "chainId": 137,
            "verifyingContract": NEG_RISK if neg_risk else CTF,
        }  # fmt: skip
        types = {"Order": [{"name": name, "type": kind_of} for name, kind_of in fields]}
        signature = Account.sign_typed_data(self.key["private_key"], domain, types, message)
        order = {
            **message, "tokenId": token, "makerAmount": str(maker), "takerAmount": str(taker), "side": side,
            "timestamp": str(stamp), "expiration": str(more.pop("expiration", 0)),
            "signature": "0x" + signature.signature.hex(),
        }  # fmt: skip
        payload = {"order": order, "owner": self.key["api_key"], "orderType": kind, "deferExec": False, **more}
        return json.dumps(payload).encode()

    async def order(self, *args: Any, **more: Any) -> tuple[int, Any]:
        return await self.call("POST", "/order", self.signed(*args, **more))

    async def sign_in(self, markets: list[str]) -> aiohttp.ClientWebSocketResponse:
        socket = await self.session.ws_connect(self.ready["ws_user"])
        auth = {"apiKey": self.key["api_key"], "secret": self.key["secret"], "passphrase": self.key["passphrase"]}
        await socket.send_str(json.dumps({"type": "user", "auth": auth, "markets": markets}))
        return socket


async def collect(
    socket: aiohttp.ClientWebSocketResponse, until: Callable[[list[dict[str, Any]]], bool], seconds: float = 3.0
) -> list[dict[str, Any]]:
    """Messages of a socket until they satisfy, or the time is up."""
    seen: list[dict[str, Any]] = []
    ends = time.monotonic() + seconds
    while not until(seen) and (left := ends - time.monotonic()) > 0:
        try:
            frame = await socket.receive(timeout=left)
        except TimeoutError:
            break
        if frame.type != aiohttp.WSMsgType.TEXT:
            break
        if frame.data == "PONG":
            continue
        loaded = json.loads(frame.data)
        seen.extend(loaded if isinstance(loaded, list) else [loaded])
    return seen


async def ledger(session: aiohttp.ClientSession, ready: dict[str, Any]) -> dict[str, Any]:
    async with session.get(ready["admin"] + "/ledger") as response:
        loaded: dict[str, Any] = await response.json()
        return loaded


def check_books(told: dict[str, Any]) -> None:
    """The venue's own books: every account is its deposits plus its fills that stand, to the micro-dollar."""
    assert told["imbalance"] == 0
    for name, account in told["accounts"].items():
        standing = [f for f in told["fills"] if f["account"] == name and f["settlement"] != "failed"]
        assert account["cash"] == account["deposits"] + sum(f["cash"] - f["fee"] for f in standing)
        assert account["fees_paid"] == sum(f["fee"] for f in standing)
        assert account["cash"] >= account["reserved"] >= 0
