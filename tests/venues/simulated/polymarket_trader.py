"""A Polymarket trader with any wallet on any exchange contract; signs with a general library, apart from the venue's code."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from tests.venues.simulated.clients import SIM_PAIRS, Polymarket
from venues.simulated.ethereum import wallet_of
from venues.simulated.venue import Venue

CONTRACTS = {
    "ctf_v2": ("0xE111180000d2663C0091e4f400237545B87B996B", "2"),
    "neg_risk_v2": ("0xe2222d279d744050d28e00520010520000310F59", "2"),
    "exchange_v3": ("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa", "3"),
}
FIELDS = (
    ("salt", "uint256"), ("maker", "address"), ("signer", "address"), ("tokenId", "uint256"), ("makerAmount", "uint256"),
    ("takerAmount", "uint256"), ("side", "uint8"), ("signatureType", "uint8"), ("timestamp", "uint256"),
    ("metadata", "bytes32"), ("builder", "bytes32"),
)  # fmt: skip
ORDER_TEXT = "Order(" + ",".join(f"{kind} {name}" for name, kind in FIELDS) + ")"
ZERO = "0x" + "00" * 32


class Trader(Polymarket):
    """`signature_type` says which of the key's wallets pays."""

    def __init__(
        self, session: aiohttp.ClientSession, ready: dict[str, Any], key: int = 0, signature_type: int = 0
    ) -> None:
        super().__init__(session, ready, key)
        self.signature_type = signature_type

    @property
    def wallet(self) -> str:
        return wallet_of(self.key["address"], self.signature_type)

    def made(
        self, token: str, side: str, maker: int, taker: int, kind: str = "GTC", generation: str = "ctf_v2", **more: Any
    ) -> dict[str, Any]:
        """The payload of one order."""
        signer = self.wallet if self.signature_type == 3 else self.key["address"]
        message = {
            "salt": next(self.salts), "maker": self.wallet, "signer": signer, "tokenId": int(token),
            "makerAmount": maker, "takerAmount": taker, "side": 0 if side == "BUY" else 1,
            "signatureType": self.signature_type, "timestamp": int(time.time() * 1000), "metadata": ZERO, "builder": ZERO,
        }  # fmt: skip
        order = {
            **message, "tokenId": token, "makerAmount": str(maker), "takerAmount": str(taker), "side": side,
            "timestamp": str(message["timestamp"]), "expiration": str(more.pop("expiration", 0)),
            "signature": self._signature(message, generation),
        }  # fmt: skip
        return {"order": order, "owner": self.key["api_key"], "orderType": kind, "deferExec": False, **more}

    def _signature(self, message: dict[str, Any], generation: str) -> str:
        contract, version = CONTRACTS[generation]
        domain = {"name": "Polymarket CTF Exchange", "version": version, "chainId": 137, "verifyingContract": contract}
        types = {"Order": [{"name": name, "type": kind} for name, kind in FIELDS]}
        private = self.key["private_key"]
        if self.signature_type != 3:
            return "0x" + bytes(Account.sign_typed_data(private, domain, types, message).signature).hex()
        nested = {
            **types,
            "TypedDataSign": [
                {"name": "contents", "type": "Order"}, {"name": "name", "type": "string"},
                {"name": "version", "type": "string"}, {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"}, {"name": "salt", "type": "bytes32"},
            ],
        }  # fmt: skip
        outer = {
            "contents": message, "name": "DepositWallet", "version": "1", "chainId": 137,
            "verifyingContract": self.wallet, "salt": ZERO,
        }  # fmt: skip
        inner = Account.sign_typed_data(private, domain, nested, outer).signature
        plain = encode_typed_data(domain, types, message)
        text = ORDER_TEXT.encode()
        return "0x" + bytes(inner + plain.header + plain.body + text + len(text).to_bytes(2, "big")).hex()

    def id_of(self, payload: dict[str, Any], generation: str = "ctf_v2") -> str:
        """The order's id, as it is known before anything is sent."""
        contract, version = CONTRACTS[generation]
        domain = {"name": "Polymarket CTF Exchange", "version": version, "chainId": 137, "verifyingContract": contract}
        order = payload["order"]
        numbers = ("salt", "tokenId", "makerAmount", "takerAmount", "signatureType", "timestamp")
        message = {name: order[name] for name, _ in FIELDS} | {name: int(order[name]) for name in numbers}
        message["side"] = 0 if order["side"] == "BUY" else 1
        signable = encode_typed_data(domain, {"Order": [{"name": n, "type": k} for n, k in FIELDS]}, message)
        return "0x" + keccak(b"\x19" + signable.version + signable.header + signable.body).hex()

    async def post(self, *args: Any, **more: Any) -> tuple[int, Any]:
        return await self.send(self.made(*args, **more))

    async def send(self, payload: Any, path: str = "/order", method: str = "POST") -> tuple[int, Any]:
        return await self.call(method, path, json.dumps(payload).encode())

    async def cancel(self, order: str) -> Any:
        return (await self.send({"orderID": order}, method="DELETE"))[1]


def market(venue: Venue, number: int = 0) -> tuple[str, str, str]:
    spec = list(venue.clob.by_condition.values())[number].polymarket
    return spec.condition_id, spec.yes_token, spec.no_token


async def admin(session: aiohttp.ClientSession, venue: Venue, act: str, **given: Any) -> Any:
    async with session.post(f"{venue.ready(1)['admin']}/{act}", json=given) as response:
        assert response.status == 200, await response.text()
        return (await response.json())["done"]


def pairs_with(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    """The sample pairs, changed."""
    loaded = yaml.safe_load(SIM_PAIRS.read_text())
    change(loaded["pairs"])
    path = folder / "pairs.yaml"
    path.write_text(yaml.safe_dump(loaded))
    return path


def migrate(pair: dict[str, Any]) -> None:
    """Put a market on the third exchange: position ids instead of tokens."""
    pair["polymarket"].update(
        condition_id="0x01" + "00" * 13 + "1234" + "00" * 15,
        yes_token=str(int("01" + "00" * 13 + "1234" + "00" * 15 + "00", 16)),
        no_token=str(int("01" + "00" * 13 + "1234" + "00" * 15 + "01", 16)), neg_risk=False,
    )  # fmt: skip
