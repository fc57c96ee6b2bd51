"""Order hashes by EIP-712, written out: words behind a type's hash, behind a domain.

An order is eleven 32-byte words behind the hash of its type. Their digest under the domain of the exchange that settles the
market is the order's id, known before anything is sent. A key signs it as it is for a wallet of type 0, 1 or 2. A deposit
wallet (type 3) is a contract and verifies by ERC-7739: the key signs the order inside a `TypedDataSign` that names the
wallet, and the signature carries what the contract needs to build that again. Pure: integers and bytes in, bytes out.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_hash.auto import keccak

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
WALLET_FIELDS = (
    ("Order", "contents"),
    ("string", "name"),
    ("string", "version"),
    ("uint256", "chainId"),
    ("address", "verifyingContract"),
    ("bytes32", "salt"),
)
"""What a deposit wallet signs: the order, and itself."""
WALLET_NAME, WALLET_VERSION = "DepositWallet", "1"
DEPOSIT_WALLET = 3
ZERO = bytes(32)


def type_text(name: str, fields: tuple[tuple[str, str], ...]) -> bytes:
    return (name + "(" + ",".join(f"{kind} {field}" for kind, field in fields) + ")").encode()


ORDER_TEXT = type_text("Order", ORDER_FIELDS)
_ORDER_TYPE = keccak(ORDER_TEXT)
_WALLET_TYPE = keccak(type_text("TypedDataSign", WALLET_FIELDS) + ORDER_TEXT)
_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_LOGIN_DOMAIN_TYPE = keccak(b"EIP712Domain(string name,string version,uint256 chainId)")
_LOGIN_TYPE = keccak(b"ClobAuth(address address,string timestamp,uint256 nonce,string message)")
LOGIN_WORDS = "This message attests that I control the given wallet"


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def address_word(address: str) -> bytes:
    return bytes(12) + bytes.fromhex(address.removeprefix("0x"))


def under(separator: bytes, struct: bytes) -> bytes:
    """The digest of a struct's hash under a domain."""
    return keccak(b"\x19\x01" + separator + struct)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One contract that settles orders, and so one signing domain."""

    contract: str
    version: str
    name: str = "Polymarket CTF Exchange"

    def separator(self) -> bytes:
        words = (keccak(self.name.encode()), keccak(self.version.encode()), word(CHAIN), address_word(self.contract))
        return keccak(_DOMAIN_TYPE + b"".join(words))


EXCHANGES = {
    "ctf_v2": Exchange("0xE111180000d2663C0091e4f400237545B87B996B", "2"),
    "neg_risk_v2": Exchange("0xe2222d279d744050d28e00520010520000310F59", "2"),
    "exchange_v3": Exchange("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa", "3"),
}
"""By `Market.generation`."""

SEPARATORS = {generation: exchange.separator() for generation, exchange in EXCHANGES.items()}
_LOGIN_SEPARATOR = keccak(_LOGIN_DOMAIN_TYPE + keccak(b"ClobAuthDomain") + keccak(b"1") + word(CHAIN))


def is_position_id(token: int) -> bool:
    """Position ids of the third exchange have 64 zero bits in the middle; a token id of the older ones is a hash."""
    return token & (((1 << 64) - 1) << 40) == 0


def generation_of(token: int, *, neg_risk: bool) -> str:
    if is_position_id(token):
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

    def contents(self) -> bytes:
        """The order's hash without a domain."""
        words = (
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
        return keccak(b"".join(words))

    def digest(self, separator: bytes) -> bytes:
        """The order's id, for every type of wallet."""
        return under(separator, self.contents())

    def wallet_digest(self, separator: bytes) -> bytes:
        """What the key behind a deposit wallet signs."""
        words = (
            _WALLET_TYPE,
            self.contents(),
            keccak(WALLET_NAME.encode()),
            keccak(WALLET_VERSION.encode()),
            word(CHAIN),
            address_word(self.signer),
            ZERO,
        )
        return under(separator, keccak(b"".join(words)))

    def wallet_tail(self, separator: bytes) -> bytes:
        """What stands behind the key's 65 bytes, so that the wallet can build the digest again."""
        return separator + self.contents() + ORDER_TEXT + len(ORDER_TEXT).to_bytes(2, "big")


def login_digest(address: str, stamp: str, nonce: int) -> bytes:
    """What proves a wallet to be ours when an API key is made or asked for again."""
    words = (_LOGIN_TYPE, address_word(address), keccak(stamp.encode()), word(nonce), keccak(LOGIN_WORDS.encode()))
    return under(_LOGIN_SEPARATOR, keccak(b"".join(words)))


def checksum(address: bytes) -> str:
    """The mixed-case form of an address."""
    digits = address.hex()
    marks = keccak(digits.encode()).hex()
    return "0x" + "".join(d.upper() if int(m, 16) >= 8 else d for d, m in zip(digits, marks, strict=False))
