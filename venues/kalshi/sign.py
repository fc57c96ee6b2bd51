"""Request signatures: timestamp + METHOD + path, by RSA-PSS or Ed25519. The body is not signed.

So an order's header can be signed before the order exists. RSA takes two thirds of a millisecond: it runs on a thread,
ahead of need, and the order path takes what lies ready. Ed25519 takes 16 µs and is signed on the spot.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from messages.units import MILLISECOND, Nanos
from venues.credentials import KalshiCredentials
from venues.port import Clock, NotReady

RENEW_EVERY = Nanos(500 * MILLISECOND)
USED_UP_TO = Nanos(2_000 * MILLISECOND)
"""The venue takes timestamps that are 5 s off; the rest is left for clock skew and the way."""

_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


class Signer:
    """Signs for one key, and keeps one request signed in advance."""

    def __init__(self, credentials: KalshiCredentials, clock: Clock) -> None:
        self._key_id = credentials.key_id
        self._clock = clock
        try:
            key = serialization.load_pem_private_key(credentials.private_key_pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise NotReady("the Kalshi private key is no readable unencrypted PEM; correct private_key_pem") from None
        if not isinstance(key, (RSAPrivateKey, Ed25519PrivateKey)):
            raise NotReady("the Kalshi private key is neither RSA nor Ed25519; make one of these in the account page")
        self._key = key
        self._ready: dict[str, str] = {}
        self._ready_at = Nanos(0)
        self._ready_for = ("", "")

    @property
    def slow(self) -> bool:
        return isinstance(self._key, RSAPrivateKey)

    def signature(self, message: bytes) -> str:
        if isinstance(self._key, RSAPrivateKey):
            raw = self._key.sign(message, _PSS, hashes.SHA256())
        else:
            raw = self._key.sign(message)
        return base64.b64encode(raw).decode()

    def check(self) -> None:
        """The public half accepts what the private half signs; `NotReady` else."""
        message = b"signature check"
        raw = base64.b64decode(self.signature(message))
        try:
            if isinstance(self._key, RSAPrivateKey):
                self._key.public_key().verify(raw, message, _PSS, hashes.SHA256())
            else:
                self._key.public_key().verify(raw, message)
        except InvalidSignature:
            raise NotReady("the Kalshi private key signs what its public key refuses; make a new key") from None

    def headers(self, method: str, path: str) -> dict[str, str]:
        """`path` from the host's root, without the query."""
        stamp = str(self._clock.now() // MILLISECOND)
        return {
            "KALSHI-ACCESS-KEY": self._key_id,
            "KALSHI-ACCESS-TIMESTAMP": stamp,
            "KALSHI-ACCESS-SIGNATURE": self.signature(f"{stamp}{method}{path}".encode()),
        }

    async def signed(self, method: str, path: str) -> dict[str, str]:
        """The same, off the loop where it is slow."""
        if self.slow:
            return await asyncio.to_thread(self.headers, method, path)
        return self.headers(method, path)

    async def keep_ready(self, method: str, path: str) -> None:
        """Keep one request signed in advance, until cancelled."""
        while True:
            await self.renew(method, path)
            await asyncio.sleep(RENEW_EVERY / 1e9)

    async def renew(self, method: str, path: str) -> None:
        at = self._clock.now()
        self._ready, self._ready_at, self._ready_for = await self.signed(method, path), at, (method, path)

    async def ready(self, method: str, path: str) -> Mapping[str, str]:
        """What lies ready, else a fresh signature."""
        if self._ready_for == (method, path) and 0 <= self._clock.now() - self._ready_at <= USED_UP_TO:
            return self._ready
        return await self.signed(method, path)
