"""One request, one answer, nothing else: no repeats, no redirects, no cookies, no proxies from the environment.

`Wire` is what an adapter needs of an HTTP client. Whatever a network can do comes out as an `Response` or as `WireError`
with a `Trouble`; no text of it holds a header, a query or a body, since those may hold credentials.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import tenacity
from yarl import URL

from messages.reasons import Trouble

BODY_MOST = 4 * 1024 * 1024
"""No answer that the engine asks for is longer."""

KEEP_ALIVE_S = 90.0
CONNECTIONS_MOST = 16

READ_TRIES = 3
READ_PAUSE_LEAST_S = 0.05
READ_PAUSE_MOST_S = 0.5


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    """Keys are lower case."""
    body: bytes


class WireError(Exception):
    """No usable answer. The request may have reached the other side unless `connected` is false."""

    def __init__(self, trouble: Trouble, text: str, *, connected: bool = True) -> None:
        super().__init__(text)
        self.trouble = trouble
        self.text = text
        self.connected = connected


class Wire(Protocol):
    """An HTTP client bound to one host. `path` holds the query, already encoded."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        """The answer whatever its status, or `WireError`."""


class SessionWire:
    """`Wire` over an aiohttp session with its own connector, so that no other traffic waits in its pool."""

    def __init__(self, base: str, connect_timeout_s: float) -> None:
        self._base = base.rstrip("/")
        self._connect_timeout_s = connect_timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        if self._session is None:
            self._session = bare_session(CONNECTIONS_MOST)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        if self._session is None:
            raise WireError(Trouble.CONNECTION, "the session is not open", connected=False)
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(
                    method,
                    URL(self._base + path, encoded=True),
                    headers=headers,
                    data=body,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=self._connect_timeout_s),
                ) as answer,
            ):
                content = await _bounded(answer)
                return Response(answer.status, {k.lower(): v for k, v in answer.headers.items()}, content)
        except TimeoutError:
            raise WireError(Trouble.TIMEOUT, f"no answer within {timeout_s:g} s") from None
        except aiohttp.ClientConnectorError:
            raise WireError(Trouble.CONNECTION, "no connection", connected=False) from None
        except aiohttp.ClientPayloadError:
            raise WireError(Trouble.MALFORMED, "the answer broke off") from None
        except (aiohttp.ClientError, OSError) as problem:
            raise WireError(Trouble.CONNECTION, f"the connection failed ({type(problem).__name__})") from None
        except ValueError as problem:
            # aiohttp lets some malformed heads through as plain value errors
            raise WireError(Trouble.MALFORMED, f"the answer is no HTTP ({type(problem).__name__})") from None


def bare_session(connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=300),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        skip_auto_headers=("User-Agent",),
        headers={"Accept-Encoding": "identity"},
    )


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    if (answer.content_length or 0) > BODY_MOST:
        raise WireError(Trouble.MALFORMED, "the answer is too long")
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > BODY_MOST:
            raise WireError(Trouble.MALFORMED, "the answer is too long")
        parts.append(part)
    return b"".join(parts)


class _ServerError(Exception):
    """An answer of 500 and above to a read, on its way to the next try."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


async def read_patiently(ask: Callable[[], Awaitable[Response]]) -> Response:
    """A read, repeated where the network or the server failed: bounded, with full jitter. Never for anything that acts."""

    def pause(state: tenacity.RetryCallState) -> float:
        most = min(READ_PAUSE_MOST_S, READ_PAUSE_LEAST_S * 4.0 ** (state.attempt_number - 1))
        return random.uniform(0.0, most)  # noqa: S311 - spreading load is no cryptography

    try:
        async for attempt in tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(READ_TRIES),
            wait=pause,
            retry=tenacity.retry_if_exception_type((WireError, _ServerError)),
            reraise=True,
        ):
            with attempt:
                response = await ask()
                if response.status >= 500:
                    raise _ServerError(response)
                return response
    except _ServerError as last:
        return last.response
    raise AssertionError("tenacity returns or raises")
