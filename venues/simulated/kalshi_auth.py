"""Kalshi's signed headers, verified as the venue does: known key, fresh time, good signature."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

SKEW_MAX_MS = 15_000  # ten seconds are taken, thirty are not

VerifyKey = Ed25519PublicKey | RSAPublicKey


def error(status: int, code: str, message: str | None = None, details: str | None = None) -> web.Response:
    body = {"code": code, "message": code.replace("_", " ") if message is None else message}
    if details is not None:
        body["details"] = details
    return web.json_response({"error": body}, status=status)


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose key it is, and what it may do."""

    key: VerifyKey
    account: str  # the user, who may have several sub-accounts
    name: str = "main"
    scopes: tuple[str, ...] = ("read", "write")
    subaccount: int | None = None  # a restricted key sees and trades this one only


def authenticate(
    headers: Mapping[str, str], method: str, raw_path: str, signers: Mapping[str, Signer], now_ns: int
) -> Signer | web.Response:
    """Who signed this request, or the refusal. The query string and the body are not signed."""
    key_id = headers.get("KALSHI-ACCESS-KEY", "")
    stamp = headers.get("KALSHI-ACCESS-TIMESTAMP", "")
    signature = headers.get("KALSHI-ACCESS-SIGNATURE", "")
    for value, name in ((key_id, "key"), (signature, "signature"), (stamp, "timestamp")):
        if not value:
            return error(401, f"{name}_is_missing_from_headers")
    if not stamp.isdigit() or abs(int(stamp) - now_ns // 1_000_000) > SKEW_MAX_MS:
        return error(401, "header_timestamp_expired")
    signer = signers.get(key_id)
    if signer is None:
        return error(401, "authentication_error", "authentication_error", "NOT_FOUND")
    text = f"{stamp}{method}{raw_path.partition('?')[0]}".encode()
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(signer.key, Ed25519PublicKey):
            signer.key.verify(raw, text)
        else:
            signer.key.verify(
                raw, text, padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH), hashes.SHA256()
            )
    except (InvalidSignature, binascii.Error, ValueError):
        return error(401, "authentication_error", "authentication_error", "INCORRECT_API_KEY_SIGNATURE")
    return signer
