"""Polymarket's two proofs: L1, a wallet's typed-data signature for an API key; L2, an HMAC on each private request."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from aiohttp import web

from venues.simulated.credentials import PolymarketKey
from venues.simulated.ethereum import auth_digest, same_address, signer_of

SKEW_MAX_S = 60


def error(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)


def check_l2(
    headers: Mapping[str, str], method: str, path: str, body: bytes, keys: Mapping[str, PolymarketKey], now_ns: int
) -> PolymarketKey | web.Response:
    key = keys.get(headers.get("POLY_API_KEY", ""))
    stamp = headers.get("POLY_TIMESTAMP", "")
    if key is None or not same_address(headers.get("POLY_ADDRESS", ""), key.address):
        return error(401, "Unauthorized/Invalid api key")
    if not hmac.compare_digest(headers.get("POLY_PASSPHRASE", ""), key.passphrase):
        return error(401, "Unauthorized/Invalid api key")
    if not stamp.isdigit() or abs(int(stamp) - now_ns // 1_000_000_000) > SKEW_MAX_S:
        return error(401, "Unauthorized/Invalid api key")
    text = f"{stamp}{method}{path}".encode() + body
    digest = hmac.new(base64.urlsafe_b64decode(key.secret), text, hashlib.sha256).digest()
    expected = base64.urlsafe_b64encode(digest).decode()
    if not hmac.compare_digest(expected, headers.get("POLY_SIGNATURE", "")):
        return error(401, "Unauthorized/Invalid api key")
    return key


def check_l1(headers: Mapping[str, str]) -> tuple[str, int] | web.Response:
    """Address and nonce of a wallet that proved itself."""
    address, stamp = headers.get("POLY_ADDRESS", ""), headers.get("POLY_TIMESTAMP", "")
    nonce = headers.get("POLY_NONCE", "0")
    if not stamp.isdigit() or not nonce.isdigit() or len(address) != 42:
        return error(401, "Invalid L1 Request headers")
    try:
        digest = auth_digest(address, stamp, int(nonce))
    except ValueError:
        return error(401, "Invalid L1 Request headers")
    signer = signer_of(digest, headers.get("POLY_SIGNATURE", ""))
    if signer is None or not same_address(signer, address):
        return error(401, "Invalid L1 Request headers")
    return address, int(nonce)
