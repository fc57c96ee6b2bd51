"""Credentials: loaded where they are used, hidden in every repr, never copied into a message or an error.

A reference is `file:PATH` (read only if nobody else can) or `env:NAME`. Kalshi: JSON with `key_id` and `private_key_pem`
or `private_key_path`, or a bare PEM file whose key's name in the configuration is the key id. Polymarket: JSON with
`private_key`, `funder`, `signature_type`, `api_key`, `secret`, `passphrase`.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from venues.port import NotReady
from venues.reading import is_object, json_of, text_of, whole_of

SecretLoader = Callable[[str], str]
"""From a reference to the text behind it; raises `NotReady`."""


@dataclass(frozen=True, slots=True)
class KalshiCredentials:
    key_id: str = field(repr=False)
    private_key_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PolymarketCredentials:
    private_key: bytes = field(repr=False)
    funder: str = field(repr=False)
    """Whose money it is: the wallet itself (type 0), its proxy (1) or its Safe (2). "" is the wallet itself."""
    signature_type: int
    api_key: str = field(repr=False)
    secret: bytes = field(repr=False)
    passphrase: str = field(repr=False)


def load_secret(reference: str) -> str:
    """The text behind `file:PATH` or `env:NAME`."""
    kind, _, where = reference.partition(":")
    if kind == "file" and where:
        return _read_private(Path(where).expanduser())
    if kind == "env" and where:
        text = os.environ.get(where, "")
        if not text:
            raise NotReady(
                f"the environment variable {where} is not set; set it, or use file:PATH in the key's `secret`"
            )
        return text
    raise NotReady("a key's `secret` is neither file:PATH nor env:NAME; correct the setting")


def _read_private(path: Path) -> str:
    try:
        # opened once: what is judged is what is read, whatever happens to the name in between
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise NotReady(f"{path} is no file; give the file with the credentials")
            if mode & 0o077:
                raise NotReady(f"{path} can be read by others (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}")
            return file.read(64 * 1024).decode()
    except OSError as problem:
        raise NotReady(
            f"{path}: {problem.strerror or 'cannot be read'}; check the path in the key's `secret`"
        ) from None
    except UnicodeDecodeError:
        raise NotReady(f"{path} is no text file; give JSON or PEM") from None


def kalshi_credentials(key: str, reference: str, loader: SecretLoader = load_secret) -> KalshiCredentials:
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
    return KalshiCredentials(key_id=key_id, private_key_pem=pem.encode())


def polymarket_credentials(
    key: str, reference: str, loader: SecretLoader = load_secret, signature_type: int = 0
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
    if kind not in (0, 1, 2):
        raise NotReady(f"the credentials of key {key!r} have signature_type {kind}; 0, 1 and 2 are supported")
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
