"""Signatures of orders and wallets, and the HMAC of private requests.

The digests are written out by hand (`typed_data`) and signed by a C library: together a tenth of a general library's time.
`Signer.check` proves them equal to one at every start, for every contract that this wallet may sign for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from coincurve import PrivateKey
from eth_account import Account
from eth_hash.auto import keccak

from messages.units import SECOND
from venues.credentials import PolymarketCredentials
from venues.polymarket.typed_data import (
    CHAIN,
    DEPOSIT_WALLET,
    EXCHANGES,
    LOGIN_WORDS,
    ORDER_FIELDS,
    SEPARATORS,
    WALLET_FIELDS,
    WALLET_NAME,
    WALLET_VERSION,
    ZERO,
    SignedFields,
    address_word,
    checksum,
    login_digest,
)
from venues.port import Clock, NotReady


def salt_of(order: str) -> int:
    """Follows from our order id alone, and fits a double, which the venue's JSON reader may use."""
    return int.from_bytes(hashlib.sha256(order.encode()).digest()[:8], "big") & ((1 << 53) - 1)


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
        if self.signature_type == DEPOSIT_WALLET and self.funder.lower() == self.address.lower():
            raise NotReady("the Polymarket funder is the key's own address; wallet type 3 needs the deposit wallet's")

    @property
    def owner(self) -> str:
        return self._api_key

    @property
    def order_signer(self) -> str:
        """Who signs by the order's own words: a deposit wallet is a contract and signs for itself."""
        return self.funder if self.signature_type == DEPOSIT_WALLET else self.address

    def sign(self, digest: bytes) -> str:
        raw = self._key.sign_recoverable(digest, hasher=None)
        return "0x" + raw[:64].hex() + f"{27 + raw[64]:02x}"

    def sign_order(self, fields: SignedFields, separator: bytes) -> str:
        """As the order's type of wallet wants it."""
        if fields.signature_type != DEPOSIT_WALLET:
            return self.sign(fields.digest(separator))
        return self.sign(fields.wallet_digest(separator)) + fields.wallet_tail(separator).hex()

    def check(self) -> None:
        """One fixed order on each contract, and one login, through a general library as well; `NotReady` on any
        difference, for a wrong signature may be an order of somebody else's making.
        """
        fields = SignedFields(
            479249096354,
            self.funder,
            self.order_signer,
            2**255 + 7,
            52_000_000,
            100_000_000,
            1,
            self.signature_type,
            1713398400000,
        )
        for generation, exchange in EXCHANGES.items():
            separator = SEPARATORS[generation]
            domain = {
                "name": exchange.name,
                "version": exchange.version,
                "chainId": CHAIN,
                "verifyingContract": exchange.contract,
            }
            plain = self._key_signs(domain, {"Order": ORDER_FIELDS}, order_message(fields))
            same = plain == (fields.digest(separator), self.sign(fields.digest(separator)))
            if same and self.signature_type == DEPOSIT_WALLET:
                types = {"TypedDataSign": WALLET_FIELDS, "Order": ORDER_FIELDS}
                digest, signature = self._key_signs(domain, types, wallet_message(fields))
                tail = fields.wallet_tail(separator).hex()
                same = digest == fields.wallet_digest(separator)
                same = same and self.sign_order(fields, separator) == signature + tail
            if not same:
                raise NotReady(
                    f"order signatures for {generation} differ from eth-account's; reinstall coincurve and eth-account"
                )
        stamp = "1700000000"
        message = {"address": self.address, "timestamp": stamp, "nonce": 7, "message": LOGIN_WORDS}
        fields_of_login = (("address", "address"), ("string", "timestamp"), ("uint256", "nonce"), ("string", "message"))
        domain = {"name": "ClobAuthDomain", "version": "1", "chainId": CHAIN}
        digest = login_digest(self.address, stamp, 7)
        if self._key_signs(domain, {"ClobAuth": fields_of_login}, message) != (digest, self.sign(digest)):
            raise NotReady("login signatures differ from eth-account's; reinstall coincurve and eth-account")

    def _key_signs(
        self, domain: dict[str, Any], types: dict[str, tuple[tuple[str, str], ...]], message: dict[str, Any]
    ) -> tuple[bytes, str]:
        """Digest and signature by the general library."""
        named = {kind: [{"name": name, "type": of} for of, name in fields] for kind, fields in types.items()}
        signed = Account.sign_typed_data(self._key.secret, domain, named, message)
        return bytes(signed.message_hash), "0x" + bytes(signed.signature).hex()

    def login_headers(self, nonce: int = 0) -> dict[str, str]:
        """That the wallet is ours, for making an API key or asking for it again."""
        stamp = str(self._clock.now() // SECOND)
        return {
            "POLY_ADDRESS": self.address,
            "POLY_SIGNATURE": self.sign(login_digest(self.address, stamp, nonce)),
            "POLY_TIMESTAMP": stamp,
            "POLY_NONCE": str(nonce),
        }

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


def order_message(fields: SignedFields) -> dict[str, Any]:
    """The order as a general library of typed data takes it."""
    return {
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
        "builder": fields.builder,
    }


def wallet_message(fields: SignedFields) -> dict[str, Any]:
    return {
        "contents": order_message(fields),
        "name": WALLET_NAME,
        "version": WALLET_VERSION,
        "chainId": CHAIN,
        "verifyingContract": fields.signer,
        "salt": ZERO,
    }
