"""API keys of a wallet: made once, asked for again whenever they are needed, since the same nonce gives the same key.

For setting up and for recovering credentials, by hand or by `doctor`; trading itself only reads what was written down.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from venues.calls import Calls
from venues.http import Response, WireError
from venues.polymarket.sign import Signer
from venues.port import Failed
from venues.reading import is_object, json_of, text_of


@dataclass(frozen=True, slots=True)
class ApiKey:
    api_key: str = field(repr=False)
    secret: str = field(repr=False)
    """As the venue writes it: base64, URL-safe."""
    passphrase: str = field(repr=False)


class Keys:
    """Asks with the wallet's own signature; needs no API key."""

    def __init__(self, signer: Signer, calls: Calls) -> None:
        self._signer = signer
        self._calls = calls

    async def make(self, nonce: int = 0) -> ApiKey | Failed:
        """Never repeated: where the answer was lost, `derive` says whether it was made."""
        return await self._ask("POST", "/auth/api-key", nonce)

    async def derive(self, nonce: int = 0) -> ApiKey | Failed:
        """The key that was made with this nonce."""
        return await self._ask("GET", "/auth/derive-api-key", nonce)

    async def _ask(self, method: str, path: str, nonce: int) -> ApiKey | Failed:
        try:
            response = await self._calls.once(method, path, self._signer.login_headers(nonce), None)
        except WireError as error:
            return Failed(text=error.text)
        return _key_in(response)


def _key_in(response: Response) -> ApiKey | Failed:
    if response.status not in (200, 201):
        return Failed(
            text=f"HTTP {response.status}",
            rate_limited=response.status == 429,
            unauthorised=response.status in (401, 403),
        )
    told = json_of(response.body)
    parts = [text_of(told, name) for name in ("apiKey", "secret", "passphrase")] if is_object(told) else []
    if not parts or not all(parts):
        return Failed(text="the answer holds no key")
    return ApiKey(*parts)
