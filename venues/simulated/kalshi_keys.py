"""The venue's own key endpoints: an account may add keys of its own or have them made, narrow them, and remove them.

Published clients differ in the kind of key that they can load, so a trader who holds any key of an account can fetch one
that suits its client. RSA and Ed25519 are served, as by the venue; a private key is shown once and never kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from venues.simulated.kalshi_auth import Signer, error
from venues.simulated.kalshi_door import Asked, KalshiDoor
from venues.simulated.kalshi_words import flat_error

SCOPES = ("read", "write")


class KalshiKeys:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        serve = self.door.serve
        return [
            serve("GET", "/api_keys", self._list),
            serve("POST", "/api_keys", self._create),
            serve("POST", "/api_keys/generate", self._generate),
            serve("DELETE", "/api_keys/{api_key}", self._delete),
        ]

    def _list(self, asked: Asked) -> web.Response:
        rows = [
            {"api_key_id": key_id, "name": signer.name, "scopes": list(signer.scopes)}
            | ({} if signer.subaccount is None else {"subaccount": signer.subaccount})
            for key_id, signer in self.door.signers.items()
            if signer.account == asked.user
        ]
        return web.json_response({"api_keys": rows})

    def _create(self, asked: Asked) -> web.Response:
        text = asked.body.get("public_key")
        try:
            key = serialization.load_pem_public_key(str(text).encode())
        except ValueError:
            return error(400, "invalid_parameters", details="public_key is no PEM of a public key")
        if not isinstance(key, (RSAPublicKey, Ed25519PublicKey)):
            return error(400, "invalid_parameters", details="public_key must be RSA or Ed25519")
        key_id = self._add(asked, Signer(key, asked.user))
        return key_id if isinstance(key_id, web.Response) else web.json_response({"api_key_id": key_id}, status=201)

    def _generate(self, asked: Asked) -> web.Response:
        kind = asked.body.get("key_type") or "rsa"
        if kind not in ("rsa", "ed25519"):
            return error(400, "invalid_parameters", details="key_type must be rsa or ed25519")
        private: rsa.RSAPrivateKey | Ed25519PrivateKey
        if kind == "rsa":
            private, form = rsa.generate_private_key(65_537, 2_048), serialization.PrivateFormat.TraditionalOpenSSL
        else:
            private, form = Ed25519PrivateKey.generate(), serialization.PrivateFormat.PKCS8
        key_id = self._add(asked, Signer(private.public_key(), asked.user))
        if isinstance(key_id, web.Response):
            return key_id
        pem = private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        return web.json_response({"api_key_id": key_id, "key_type": kind, "private_key": pem}, status=201)

    def _add(self, asked: Asked, signer: Signer) -> str | web.Response:
        narrowed = narrow(signer, asked.body)
        if isinstance(narrowed, web.Response):
            return narrowed
        key_id = self.door.exchange.next_id()
        self.door.signers[key_id] = narrowed
        return key_id

    def _delete(self, asked: Asked) -> web.Response:
        key_id = asked.request.match_info["api_key"]
        signer = self.door.signers.get(key_id)
        if signer is None or signer.account != asked.user:
            return error(404, "not_found")
        del self.door.signers[key_id]
        return web.Response(status=204)


def narrow(signer: Signer, body: dict[str, Any]) -> Signer | web.Response:
    """The key as it was asked for: its name, its scopes, and the one sub-account that it may see."""
    scopes, subaccount = body.get("scopes") or list(SCOPES), body.get("subaccount")
    if not isinstance(scopes, list) or not all(isinstance(s, str) and s.partition("::")[0] in SCOPES for s in scopes):
        return error(400, "invalid_parameters", details="scopes must be read, write or children of them")
    if "write" in scopes and "read" not in scopes:
        return error(400, "invalid_parameters", details="the scope write needs read")
    if subaccount is not None and (not isinstance(subaccount, int) or isinstance(subaccount, bool)):
        return flat_error(
            "json: cannot unmarshal value into Go struct field CreateApiKeyRequest.subaccount of type int"
        )
    return replace(signer, name=str(body.get("name") or "key"), scopes=tuple(scopes), subaccount=subaccount)
