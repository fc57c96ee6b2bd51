"""Requests of one adapter: signed afresh for each try, counted, and read as JSON without belief."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from messages.units import Nanos
from venues.http import Response, Wire, WireError, read_patiently
from venues.patience import wait_asked
from venues.port import Failed, Traffic
from venues.reading import http_date, is_object, json_of, objects, text_of

Sign = Callable[[str, str, bytes], Awaitable[Mapping[str, str]]]
"""Headers for a method, a path with its query, and a body."""

Heed = Callable[[str, str, Response], None]
"""Called with method, path and answer of every request, for what a venue tells beside its answers."""

PAGES_MOST = 200
WARM_EVERY_S = 15.0


@dataclass(frozen=True, slots=True)
class Told:
    """A read's JSON, and when the venue said that it answered."""

    value: Any
    date: Nanos | None


@dataclass(frozen=True, slots=True)
class Missing:
    """404: the venue answered, and has no such thing."""

    date: Nanos | None


class Calls:
    def __init__(self, wire: Wire, sign: Sign, timeout_s: float, heed: Heed | None = None) -> None:
        self._wire = wire
        self._sign = sign
        self.timeout_s = timeout_s
        self._heed = heed
        self._retry_after = Nanos(0)
        self._requests = self._rate_limited = self._unauthorised = self._failed = 0
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def traffic(self) -> Traffic:
        return Traffic(self._requests, self._rate_limited, self._unauthorised, self._failed, self._retry_after)

    async def open(self) -> None:
        await self._wire.open()

    async def close(self) -> None:
        chores, self._chores = self._chores, set()
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await self._wire.close()

    def keep(self, chore: Coroutine[Any, Any, None]) -> None:
        """Work in the background until closed."""
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)

    async def keep_warm(self, path: str) -> None:
        """A connection that stood idle is closed by the other side, and the next order would pay for a new one."""
        while True:
            before = self._requests
            await asyncio.sleep(WARM_EVERY_S)
            if self._requests == before:
                await self.warm_up(path)

    async def warm_up(self, path: str) -> None:
        with suppress(WireError):
            await self.once("GET", path, {}, None)

    async def once(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Response:
        """One request, whatever comes of it."""
        self._requests += 1
        try:
            response = await self._wire.request(method, path, headers, body, self.timeout_s)
        except WireError:
            self._failed += 1
            raise
        if self._heed is not None:
            self._heed(method, path, response)
        if response.status == 429:
            self._rate_limited += 1
            self._retry_after = wait_asked(response)
        elif response.status == 401:
            self._unauthorised += 1
        elif response.status >= 500:
            self._failed += 1
        return response

    async def act(self, method: str, path: str, body: bytes | None = None) -> Response | Failed:
        """One signed request that changes something: never repeated."""
        try:
            return await self.once(method, path, await self._sign(method, path, body or b""), body)
        except WireError as error:
            return Failed(text=error.text)

    async def read(self, path: str, *, public: bool = False, post: bytes | None = None) -> Told | Missing | Failed:
        """A read, repeated where the network or the server failed."""
        method = "GET" if post is None else "POST"
        plain = {"Content-Type": "application/json"} if post is not None else {}

        async def ask() -> Response:
            return await self.once(method, path, plain if public else await self._sign(method, path, post or b""), post)

        try:
            response = await read_patiently(ask)
        except WireError as error:
            return Failed(text=error.text)
        date = http_date(response.headers.get("date"))
        if response.status == 404:
            # a proxy's page about a missing path is no word of the venue about an order
            told = json_of(response.body)
            return Missing(date) if is_object(told) else Failed(text="HTTP 404 that is not the venue's")
        if response.status != 200:
            return Failed(
                text=f"HTTP {response.status}",
                rate_limited=response.status == 429,
                unauthorised=response.status in (401, 403),
                retry_after=wait_asked(response) if response.status in (429, 503) else Nanos(0),
            )
        told = json_of(response.body)
        if told is None:
            return Failed(text="the answer is no JSON")
        return Told(told, date)

    async def pages(self, path: str, rows: str, parameter: str, last: str, first: str = "") -> AsyncIterator[Any]:
        """Every page of a list, each as a list of objects; a `Failed` ends it. `path` ends with `?` or `&`."""
        cursor, seen = first, set[str]()
        for _ in range(PAGES_MOST):
            told = await self.read(f"{path}{parameter}={cursor}" if cursor else path.rstrip("?&"))
            if isinstance(told, Missing):
                yield Failed(text="HTTP 404 to a list")
                return
            if isinstance(told, Failed):
                yield told
                return
            if not is_object(told.value) or not isinstance(told.value.get(rows), list):
                # an absent list is no empty list, unless the venue says null
                if not (is_object(told.value) and rows in told.value and told.value[rows] is None):
                    yield Failed(text=f"the answer has no {rows}")
                    return
                return
            listed = told.value[rows]
            found = objects(listed)
            if len(found) != len(listed):
                yield Failed(text=f"{rows} holds what is no object")
                return
            yield found
            cursor = text_of(told.value, "cursor" if parameter == "cursor" else parameter)
            if cursor in ("", last):
                return
            if cursor in seen:
                yield Failed(text="the pages repeat themselves")
                return
            seen.add(cursor)
        yield Failed(text=f"more than {PAGES_MOST} pages")

    async def all_pages(
        self, path: str, rows: str, parameter: str, last: str, first: str = ""
    ) -> list[Mapping[str, Any]] | Failed:
        """All rows of a list or none: a partial list is not returned, since what is missing in it would look absent."""
        found: list[Mapping[str, Any]] = []
        async for page in self.pages(path, rows, parameter, last, first):
            if isinstance(page, Failed):
                return page
            found.extend(page)
        return found
