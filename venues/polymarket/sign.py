"""Order hashes and signatures (EIP-712), and the HMAC of private requests.

An order is eleven 32-byte words behind their type's hash; the digest of it under the exchange's domain is the order id,
known before anything is sent, and what a wallet of type 0, 1 or 2 signs. Written out by hand it takes a tenth of a general
library's time; `Signer.check` proves it equal to one at every start.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from coincurve import PrivateKey
from eth_account import Account
from eth_hash.auto import keccak

from messages.units import SECOND
from venues.credentials import PolymarketCredentials
from venues.port import Clock, NotReady

CHAIN = 137
ORDER_FIELDS = (
    ("uint256", "salt"),
    ("address", "maker"),
    ("address", "signer"),
    ("uint256", "tokenId"),
    ("uint256", "makerAmount"),
    ("uint256", "takerAmount"),
    ("uint8", "side"),
    ("uint8", "signatureType"),
    ("uint256", "timestamp"),
    ("bytes32", "metadata"),
    ("bytes32", "builder"),
)
ZERO = bytes(32)

_ORDER_TYPE = keccak(("Order(" + ",".join(f"{kind} {name}" for kind, name in ORDER_FIELDS) + ")").encode())
_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One contract that settles orders, and so one signing domain."""

    contract: str
    version: str
    name: str = "Polymarket CTF Exchange"

    def separator(self) -> bytes:
        words = (keccak(self.name.encode()), keccak(self.version.encode()), word(CHAIN), address_word(self.contract))
        return keccak(_DOMAIN_TYPE + b"".join(words))


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def address_word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address.removeprefix("0x"))


EXCHANGES = {
    "ctf_v2": Exchange("0xE111180000d2663C0091e4f400237545B87B996B", "2"),
    "neg_risk_v2": Exchange("0xe2222d279d744050d28e00520010520000310F59", "2"),
    "exchange_v3": Exchange("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa", "3"),
}
"""By `Market.generation`."""

SEPARATORS = {generation: exchange.separator() for generation, exchange in EXCHANGES.items()}


def generation_of(token: int, *, neg_risk: bool) -> str:
    """Position ids of the third exchange have 64 zero bits in the middle; for the others negRisk decides."""
    if token & (((1 << 64) - 1) << 40) == 0:
        return "exchange_v3"
    return "neg_risk_v2" if neg_risk else "ctf_v2"


@dataclass(frozen=True, slots=True)
class SignedFields:
    """What a signature covers. Expiry, owner and order type are not in it."""

    salt: int
    maker: str
    signer: str
    token: int
    maker_amount: int
    taker_amount: int
    side: int
    signature_type: int
    timestamp_ms: int
    builder: bytes = ZERO
    """A builder's code; ours is none."""

    def digest(self, separator: bytes) -> bytes:
        words = b"".join(
            (
                _ORDER_TYPE,
                word(self.salt),
                address_word(self.maker),
                address_word(self.signer),
                word(self.token),
                word(self.maker_amount),
                word(self.taker_amount),
                word(self.side),
                word(self.signature_type),
                word(self.timestamp_ms),
                ZERO,
                self.builder,
            )
        )
        return keccak(b"\x19\x01" + separator + keccak(words))


def salt_of(order: str) -> int:
    """Follows from our order id alone, and fits a double, which the venue's JSON reader may use."""
    return int.from_bytes(hashlib.sha256(order.encode()).digest()[:8], "big") & ((1 << 53) - 1)


def checksum(address: bytes) -> str:
    """The mixed-case form of an address."""
    digits = address.hex()
    marks = keccak(digits.encode()).hex()
    return "0x" + "".join(d.upper() if int(m, 16) >= 8 else d for d, m in zip(digits, marks, strict=False))


class Signer:
    """Signs for one wallet and one API key."""

    def __init__(self, credentials: PolymarketCredentials, clock: Clock) -> None:
        self._clock = clock
        try:
            self._key = PrivateKey(credentials.private_key)
        except ValueError:
            raise NotReady("the Polymarket private key is no key of the curve; correct private_key") from None
        self._secret = credentials.secret
        self._api_key = credentials.api_key
        self._passphrase = credentials.passphrase
        self.signature_type = credentials.signature_type
        self.address = checksum(keccak(self._key.public_key.format(compressed=False)[1:])[-20:])
        self.funder = credentials.funder or self.address
        try:
            address_word(self.funder)
            if len(self.funder) != 42:
                raise ValueError
        except ValueError:
            raise NotReady("the Polymarket funder is no address; correct funder") from None
        if self.signature_type == 0 and self.funder.lower() != self.address.lower():
            raise NotReady("the Polymarket funder is not the key's own address, as wallet type 0 needs; correct funder")

    @property
    def owner(self) -> str:
        return self._api_key

    def sign(self, digest: bytes) -> str:
        raw = self._key.sign_recoverable(digest, hasher=None)
        return "0x" + raw[:64].hex() + f"{27 + raw[64]:02x}"

    def check(self) -> None:
        """One fixed order through a general library as well; `NotReady` on any difference, for a wrong signature may be
        an order of somebody else's making.
        """
        fields = SignedFields(
            479249096354,
            self.funder,
            self.address,
            2**255 + 7,
            52_000_000,
            100_000_000,
            1,
            self.signature_type,
            1713398400000,
        )
        for generation, exchange in EXCHANGES.items():
            digest = fields.digest(SEPARATORS[generation])
            message = {
                "salt": fields.salt,
                "maker": fields.maker,
                "signer": fields.signer,
                "tokenId": fields.token,
                "makerAmount": fields.maker_amount,
                "takerAmount": fields.taker_amount,
                "side": fields.side,
                "signatureType": fields.signature_type,
                "timestamp": fields.timestamp_ms,
                "metadata": ZERO,
                "builder": ZERO,
            }
            domain = {
                "name": exchange.name,
                "version": exchange.version,
                "chainId": CHAIN,
                "verifyingContract": exchange.contract,
            }
            types = {"Order": [{"name": name, "type": kind} for kind, name in ORDER_FIELDS]}
            signed = Account.sign_typed_data(self._key.secret, domain, types, message)
            if bytes(signed.message_hash) != digest or "0x" + bytes(signed.signature).hex() != self.sign(digest):
                raise NotReady(
                    f"order signatures for {generation} differ from eth-account's; reinstall coincurve and eth-account"
                )

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        """For a private request. `path` without its query; `body` exactly as it is sent."""
        stamp = str(self._clock.now() // SECOND)
        return {
            "POLY_ADDRESS": self.address,
            "POLY_API_KEY": self._api_key,
            "POLY_PASSPHRASE": self._passphrase,
            "POLY_SIGNATURE": self.hmac(f"{stamp}{method}{path}".encode() + body),
            "POLY_TIMESTAMP": stamp,
        }

    def hmac(self, message: bytes) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self._secret, message, "sha256")).decode()

    def stream_login(self) -> dict[str, str]:
        """The private stream wants the secrets themselves, inside its first message."""
        secret = base64.urlsafe_b64encode(self._secret).decode()
        return {"apiKey": self._api_key, "secret": secret, "passphrase": self._passphrase}
