"""Keys that follow from the seed alone, so that a client can be set up before the venue runs."""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass

from coincurve import PrivateKey
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from venues.simulated.ethereum import address_of

TRADER = "trader-1"
KALSHI_KEYS = 2
POLYMARKET_KEYS = 3


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()


def _uuid(*parts: object) -> str:
    return str(uuid.UUID(bytes=_digest(*parts)[:16], version=4))


@dataclass(frozen=True, slots=True, repr=False)
class KalshiKey:
    key_id: str
    private: Ed25519PrivateKey
    account: str

    def told(self) -> dict[str, object]:
        pem = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {"key_id": self.key_id, "private_key_pem": pem.decode(), "account": self.account}


def kalshi_keys(seed: int, account: str = TRADER) -> list[KalshiKey]:
    return [
        KalshiKey(
            _uuid(seed, "kalshi", account, number, "id"),
            Ed25519PrivateKey.from_private_bytes(_digest(seed, "kalshi", account, number, "key")),
            account,
        )
        for number in range(KALSHI_KEYS)
    ]


@dataclass(frozen=True, slots=True, repr=False)
class PolymarketKey:
    private_key: str
    address: str
    api_key: str
    secret: str
    passphrase: str
    account: str

    def told(self) -> dict[str, object]:
        return {
            "private_key": self.private_key, "address": self.address, "funder": self.address, "signature_type": 0,
            "api_key": self.api_key, "secret": self.secret, "passphrase": self.passphrase, "account": self.account,
        }  # fmt: skip


def wallet_key(seed: int, account: str = TRADER) -> bytes:
    return _digest(seed, "polymarket", account, "wallet")


def polymarket_key(seed: int, nonce: int, account: str = TRADER) -> PolymarketKey:
    """The API key of the venue's own trader at one nonce: the venue derives the same one whenever it is asked."""
    private = wallet_key(seed, account)
    return derived_key(seed, nonce, account, address_of(PrivateKey(private).public_key), "0x" + private.hex())


def derived_key(seed: int, nonce: int, account: str, address: str, private_key: str = "") -> PolymarketKey:
    """The API key of any wallet at one nonce; whose private key is its owner's own is not known here."""
    return PolymarketKey(
        private_key=private_key,
        address=address,
        api_key=_uuid(seed, "polymarket", account, nonce, "id"),
        secret=base64.urlsafe_b64encode(_digest(seed, "polymarket", account, nonce, "secret")).decode(),
        passphrase=_digest(seed, "polymarket", account, nonce, "passphrase").hex(),
        account=account,
    )


def polymarket_keys(seed: int, account: str = TRADER) -> list[PolymarketKey]:
    return [polymarket_key(seed, nonce, account) for nonce in range(POLYMARKET_KEYS)]
