"""Following a stream until cancelled: connect, listen, watch for silence, and come back after a random pause."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from venues.http import bare_session
from venues.port import NotReady

MESSAGE_MOST = 8 * 1024 * 1024
PAUSE_LEAST_S = 0.1
PAUSE_MOST_S = 5.0
STEADY_S = 10.0
"""A connection that lived this long makes the next pause short again."""


class Broken(Exception):
    """The stream cannot be vouched for any longer and must be built anew."""


class Socket:
    """One connection: text out, text in."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def say(self, text: str) -> None:
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, ConnectionError, RuntimeError):
            raise Broken("the connection is closed") from None

    async def hear(self) -> str | bytes:
        message = await self._socket.receive()
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        raise Broken(f"the connection ended ({message.type.name})")


Session = Callable[[Socket], Awaitable[None]]
"""What to do with one connection; returns or raises when it is no longer good."""


async def follow(
    url: str,
    headers: Callable[[], Awaitable[Mapping[str, str]]],
    session: Session,
    lost: Callable[[], None],
    connect_timeout_s: float,
) -> None:
    """Connect again and again until cancelled. `lost` is called after each connection that ended."""
    loop = asyncio.get_running_loop()
    pause = PAUSE_LEAST_S
    http = bare_session(2)
    try:
        while True:
            began = loop.time()
            try:
                async with asyncio.timeout(connect_timeout_s):
                    socket = await http.ws_connect(
                        url,
                        headers=await headers(),
                        heartbeat=10.0,
                        max_msg_size=MESSAGE_MOST,
                        timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    )
                try:
                    await session(Socket(socket))
                finally:
                    lost()
                    await socket.close()
            except NotReady:
                raise
            except (Broken, TimeoutError, aiohttp.ClientError, OSError, ValueError):
                lost()
            if loop.time() - began >= STEADY_S:
                pause = PAUSE_LEAST_S
            await asyncio.sleep(random.uniform(0.0, pause))  # noqa: S311 - spreading load is no cryptography
            pause = min(pause * 2, PAUSE_MOST_S)
    finally:
        await http.close()


async def together(*chores: Awaitable[None]) -> None:
    """Run until the first of them ends or fails; then stop the others and pass its failure on."""
    tasks = [asyncio.ensure_future(chore) for chore in chores]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
