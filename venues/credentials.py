"""Credentials: loaded where they are used, hidden in every repr, never copied into a message or an error.

A reference is `file:PATH` (read only if nobody else can) or `env:NAME`. Kalshi: JSON with `key_id` and `private_key_pem`
or `private_key_path` (and `subaccount`, for one of several), or a bare PEM file whose key's name in the configuration
is the key id. Polymarket: JSON with `private_key`, `funder`, `signature_type`, `api_key`, `secret`, `passphrase`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

from venues.port import NotReady
from venues.reading import is_object, json_of, text_of, whole_of
from venues.secrets import text_behind

SecretLoader = Callable[[str], str]
"""From a reference to the text behind it; raises `NotReady`."""


@dataclass(frozen=True, slots=True)
class KalshiCredentials:
    key_id: str = field(repr=False)
    private_key_pem: bytes = field(repr=False)
    subaccount: int | None = None
    """0 is the primary one, 1 to 63 are others. None: nothing is said, and the venue takes the key's own."""


@dataclass(frozen=True, slots=True)
class PolymarketCredentials:
    private_key: bytes = field(repr=False)
    funder: str = field(repr=False)
    """Whose money it is: the wallet itself (type 0), its proxy (1), its Safe (2) or its deposit wallet (3). "" is the
    wallet itself."""
    signature_type: int
    api_key: str = field(repr=False)
    secret: bytes = field(repr=False)
    passphrase: str = field(repr=False)


def kalshi_credentials(key: str, reference: str, loader: SecretLoader = text_behind) -> KalshiCredentials:
    text = loader(reference).strip()
    if text.startswith("-----BEGIN"):
        return KalshiCredentials(key_id=key, private_key_pem=text.encode())
    told = json_of(text)
    if not is_object(told):
        raise NotReady(f"the credentials of key {key!r} are neither JSON nor PEM; write key_id and private_key_pem")
    key_id, pem, path = (text_of(told, name) for name in ("key_id", "private_key_pem", "private_key_path"))
    if not pem and path:
        pem = loader(f"file:{path}")
    if not key_id or not pem:
        raise NotReady(f"the credentials of key {key!r} lack key_id or private_key_pem; add them")
    subaccount = whole_of(told, "subaccount")
    if told.get("subaccount") is not None and (subaccount is None or not 0 <= subaccount <= 63):
        raise NotReady(f"the credentials of key {key!r} have a subaccount that is not 0 to 63; correct or remove it")
    return KalshiCredentials(key_id=key_id, private_key_pem=pem.encode(), subaccount=subaccount)


def polymarket_credentials(
    key: str, reference: str, loader: SecretLoader = text_behind, signature_type: int = 0
) -> PolymarketCredentials:
    """`signature_type` is the configuration's; the file's own wins."""
    told = json_of(loader(reference))
    if not is_object(told):
        raise NotReady(
            f"the credentials of key {key!r} are no JSON object; see docs/outcomes/polymarket.md for its fields"
        )
    names = ("private_key", "api_key", "secret", "passphrase")
    values = {name: text_of(told, name) for name in names}
    missing = [name for name in names if not values[name]]
    if missing:
        raise NotReady(f"the credentials of key {key!r} lack {', '.join(missing)}; add them")
    kind = whole_of(told, "signature_type")
    kind = signature_type if kind is None else kind
    funder = text_of(told, "funder")
    if kind not in (0, 1, 2, 3):
        raise NotReady(f"the credentials of key {key!r} have signature_type {kind}; 0, 1, 2 and 3 are supported")
    if kind != 0 and not funder:
        raise NotReady(f"the credentials of key {key!r} lack funder, which wallet type {kind} needs; add its address")
    try:
        private = bytes.fromhex(values["private_key"].removeprefix("0x"))
        secret = base64.urlsafe_b64decode(values["secret"])
    except (ValueError, binascii.Error):
        raise NotReady(
            f"the credentials of key {key!r}: private_key is no hex or secret no base64; correct them"
        ) from None
    if len(private) != 32:
        raise NotReady(f"the credentials of key {key!r}: private_key is not 32 bytes; correct it")
    return PolymarketCredentials(
        private_key=private,
        funder=funder,
        signature_type=kind,
        api_key=values["api_key"],
        secret=secret,
        passphrase=values["passphrase"],
    )
