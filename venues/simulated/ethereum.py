"""The venue's own reading of Ethereum signatures: typed-data digests, recovery, addresses.

Written from the published structs with Keccak and secp256k1 only, apart from any client's signer.
"""

from __future__ import annotations

from coincurve import PublicKey
from eth_utils.crypto import keccak

CHAIN_ID = 137
CTF_V2 = "0xE111180000d2663C0091e4f400237545B87B996B"
NEG_RISK_V2 = "0xe2222d279d744050d28e00520010520000310F59"
ZERO_32 = "0x" + "00" * 32

_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_BARE_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId)")
_ORDER_TYPE = keccak(
    b"Order(uint256 salt,address maker,address signer,uint256 tokenId,uint256 makerAmount,uint256 takerAmount,"
    b"uint8 side,uint8 signatureType,uint256 timestamp,bytes32 metadata,bytes32 builder)"
)
_AUTH_TYPE = keccak(b"ClobAuth(address address,string timestamp,uint256 nonce,string message)")
_AUTH_TEXT = keccak(b"This message attests that I control the given wallet")


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def _address_word(address: str) -> bytes:
    return bytes.fromhex(address[2:]).rjust(32, b"\0")


def _exchange_domain(contract: str) -> bytes:
    name, version = keccak(b"Polymarket CTF Exchange"), keccak(b"2")
    return keccak(_DOMAIN_TYPE + name + version + _word(CHAIN_ID) + _address_word(contract))


_DOMAINS = {False: _exchange_domain(CTF_V2), True: _exchange_domain(NEG_RISK_V2)}
_AUTH_DOMAIN = keccak(_BARE_DOMAIN_TYPE + keccak(b"ClobAuthDomain") + keccak(b"1") + _word(CHAIN_ID))


def order_digest(
    *, salt: int, maker: str, signer: str, token: int, maker_amount: int, taker_amount: int, side: int,
    signature_type: int, timestamp_ms: int, metadata: bytes, builder: bytes, neg_risk: bool,
) -> bytes:  # fmt: skip
    struct = keccak(
        b"".join(
            (
                _ORDER_TYPE, _word(salt), _address_word(maker), _address_word(signer), _word(token),
                _word(maker_amount), _word(taker_amount), _word(side), _word(signature_type), _word(timestamp_ms),
                metadata, builder,
            )
        )
    )  # fmt: skip
    return bytes(keccak(b"\x19\x01" + _DOMAINS[neg_risk] + struct))


def auth_digest(address: str, timestamp: str, nonce: int) -> bytes:
    struct = keccak(_AUTH_TYPE + _address_word(address) + keccak(timestamp.encode()) + _word(nonce) + _AUTH_TEXT)
    return bytes(keccak(b"\x19\x01" + _AUTH_DOMAIN + struct))


def address_of(key: PublicKey) -> str:
    """Checksummed address of a public key."""
    raw = keccak(key.format(compressed=False)[1:])[12:].hex()
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
