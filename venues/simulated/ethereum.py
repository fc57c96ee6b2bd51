"""The venue's own reading of Ethereum signatures: typed-data digests, recovery, addresses.

Written from the published structs with Keccak and secp256k1 only, apart from any client's signer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coincurve import PublicKey
from eth_utils.crypto import keccak

CHAIN_ID = 137
CTF_V2 = "0xE111180000d2663C0091e4f400237545B87B996B"
NEG_RISK_V2 = "0xe2222d279d744050d28e00520010520000310F59"
EXCHANGE_V3 = "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"
PROXY_FACTORY = "0xaB45c5A4B0c941a2F231C04C3f49182e1A254052"
SAFE_FACTORY = "0xaacFeEa03eb1561C4e67d661e40682Bd20E3541b"
ZERO_32 = "0x" + "00" * 32

Generation = Literal["ctf_v2", "neg_risk_v2", "exchange_v3"]
CONTRACTS: dict[Generation, tuple[str, str]] = {
    "ctf_v2": (CTF_V2, "2"), "neg_risk_v2": (NEG_RISK_V2, "2"), "exchange_v3": (EXCHANGE_V3, "3"),
}  # fmt: skip
"""Which contract settles a market, and the version of its signing domain."""

_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_BARE_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId)")
_ORDER_TEXT = (
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,"
    b"uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
_ORDER_TYPE = keccak(_ORDER_TEXT)
_NESTED_TYPE = keccak(
    b"TypedDataSign(Order contents,string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    + _ORDER_TEXT
)
_PROXY_CODE = bytes.fromhex("d21df8dc65880a8606f09fe0ce3df9b8869287ab0b058be05aa9e8af6330a00b")
_SAFE_CODE = bytes.fromhex("2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf")
_AUTH_TYPE = keccak(b"ClobAuth(address address,string timestamp,uint256 nonce,string message)")
_AUTH_TEXT = keccak(b"This message attests that I control the given wallet")


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address_word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")


def _exchange_domain(contract: str, version: str) -> bytes:
    name, number = keccak(b"Polymarket CTF Exchange"), keccak(version.encode())
    return keccak(_DOMAIN_TYPE + name + number + _word(CHAIN_ID) + _address_word(contract))


DOMAINS: dict[Generation, bytes] = {name: _exchange_domain(*contract) for name, contract in CONTRACTS.items()}
_AUTH_DOMAIN = keccak(_BARE_DOMAIN_TYPE + keccak(b"ClobAuthDomain") + keccak(b"1") + _word(CHAIN_ID))


@dataclass(frozen=True, slots=True)
class OrderStruct:
    """The eleven signed fields of an order."""

    salt: int
    maker: str
    signer: str
    token: int
    maker_amount: int
    taker_amount: int
    side: int
    signature_type: int
    timestamp_ms: int
    metadata: bytes
    builder: bytes

    def hash(self) -> bytes:
        return bytes(
            keccak(
                b"".join(
                    (
                        _ORDER_TYPE, _word(self.salt), _address_word(self.maker), _address_word(self.signer),
                        _word(self.token), _word(self.maker_amount), _word(self.taker_amount), _word(self.side),
                        _word(self.signature_type), _word(self.timestamp_ms), self.metadata, self.builder,
                    )
                )
            )
        )  # fmt: skip

    def digest(self, generation: Generation) -> bytes:
        """The order id: also where a smart wallet signs a nested digest instead."""
        return bytes(keccak(b"\x19\x01" + DOMAINS[generation] + self.hash()))

    def signed_by(self, generation: Generation, signature: str) -> str | None:
        """Address of the key behind this signature, under one contract's domain; None where it is no signature of it."""
        if self.signature_type != 3:
            return signer_of(self.digest(generation), signature)
        return self._nested_signer(DOMAINS[generation], signature)

    def _nested_signer(self, domain: bytes, signature: str) -> str | None:
        """ERC-7739: the key signs the order inside a statement of its wallet, and says with it what it signed."""
        try:
            raw = bytes.fromhex(signature.removeprefix("0x"))
        except ValueError:
            return None
        tail = domain + self.hash() + _ORDER_TEXT + len(_ORDER_TEXT).to_bytes(2, "big")
        if raw[65:] != tail:
            return None
        wallet = keccak(b"DepositWallet") + keccak(b"1") + _word(CHAIN_ID) + _address_word(self.signer) + bytes(32)
        nested = keccak(_NESTED_TYPE + self.hash() + wallet)
        return signer_of(bytes(keccak(b"\x19\x01" + domain + nested)), raw[:65].hex())


def wallet_of(owner: str, signature_type: int) -> str:
    """Where a key of this address keeps its money: itself, its proxy, its Safe, or its deposit wallet.

    Proxy and Safe follow from their factories. A deposit wallet's code is no constant, so the simulated chain has a factory
    of its own for it.
    """
    raw = bytes.fromhex(owner[2:])
    match signature_type:
        case 1:
            return _created(PROXY_FACTORY, keccak(raw), _PROXY_CODE)
        case 2:
            return _created(SAFE_FACTORY, keccak(raw.rjust(32, b"\0")), _SAFE_CODE)
        case 3:
            return _checksummed(keccak(b"deposit wallet" + raw)[12:])
        case _:
            return _checksummed(raw)


def _created(factory: str, salt: bytes, code: bytes) -> str:
    return _checksummed(keccak(b"\xff" + bytes.fromhex(factory[2:]) + salt + code)[12:])


def auth_digest(address: str, timestamp: str, nonce: int) -> bytes:
    struct = keccak(_AUTH_TYPE + _address_word(address) + keccak(timestamp.encode()) + _word(nonce) + _AUTH_TEXT)
    return bytes(keccak(b"\x19\x01" + _AUTH_DOMAIN + struct))


def address_of(key: PublicKey) -> str:
    """Checksummed address of a public key."""
    return _checksummed(keccak(key.format(compressed=False)[1:])[12:])


def _checksummed(address: bytes) -> str:
    raw = address.hex()
    mark = keccak(raw.encode()).hex()
    return "0x" + "".join(c.upper() if int(mark[i], 16) >= 8 else c for i, c in enumerate(raw))


def signer_of(digest: bytes, signature: str) -> str | None:
    """Address that signed this digest, or None where the text is no 65-byte signature."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        if len(raw) != 65:
            return None
        recovery = raw[64] - 27 if raw[64] >= 27 else raw[64]
        if recovery not in (0, 1):
            return None
        return address_of(PublicKey.from_signature_and_message(raw[:64] + bytes([recovery]), digest, hasher=None))
    except Exception:  # noqa: BLE001  coincurve raises bare Exception for points that are not on the curve
        return None


def same_address(one: str, other: str) -> bool:
    return one.lower() == other.lower()
