"""The lean path of books: from a feed to the executors over a loopback socket that the feed owns.

The only high-rate flow, so no actor calls and no JSON: each frame is four bytes of length and a msgpack `Book`. The
sender conflates: per connection a market waits at most once, and what is sent when its turn comes is the newest book.
So a slow reader gets fewer books, never older ones, and costs no memory.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

import msgspec
from loguru import logger

from messages.books import Book, decode_book, encode_book

HEAD = 4
FRAME_MOST = 256 * 1024
"""No book is longer; more is not believed."""
READ_MOST = 64 * 1024
WRITE_MOST = 64
"""Books in one write: what was handed to the socket cannot be replaced by newer ones any more."""
BUFFER_MOST = 64 * 1024
READERS_MOST = 32
PAUSE_FIRST_S = 0.05
PAUSE_MOST_S = 1.0

Key = tuple[str, str]


class Hostile(Exception):
    """The bytes are no stream of books."""


def frame_of(book: Book) -> bytes:
    body = encode_book(book)
    return len(body).to_bytes(HEAD, "big") + body


class Frames:
    """Bytes in, books out; what is not whole yet waits, and is never more than one frame."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> Iterator[Book]:
        data, at = self._rest + data, 0
        while len(data) - at >= HEAD:
            size = int.from_bytes(data[at : at + HEAD], "big")
            if not 0 < size <= FRAME_MOST:
                raise Hostile(f"a frame of {size} bytes")
            if len(data) - at - HEAD < size:
                break
            try:
                yield decode_book(data[at + HEAD : at + HEAD + size])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
                raise Hostile(f"a frame that is no book ({type(problem).__name__})") from None
            at += HEAD + size
        self._rest = data[at:]


def _keep_short(writer: asyncio.StreamWriter, buffer: int) -> None:
    """What lies in the system's buffers is older than what could be sent instead."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, BUFFER_MOST)


class _Reader:
    """One connected reader and the markets that wait for it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.waiting: dict[Key, None] = {}
        self.wake = asyncio.Event()


class BookServer:
    """In the feed."""

    def __init__(self) -> None:
        self._frames: dict[Key, bytes] = {}
        self.books: dict[Key, Book] = {}
        """The newest of each market."""
        self._readers: set[_Reader] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.written = self.refused = 0

    async def open(self) -> str:
        """The address for `PeerUp`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for reader in self._readers:
            reader.writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def readers(self) -> int:
        return len(self._readers)

    def publish(self, book: Book) -> None:
        """Never waits. Of one market only a newer book counts."""
        key = (book.venue, book.market)
        known = self.books.get(key)
        if known is not None and book.sequence < known.sequence:
            return
        self.books[key] = book
        self._frames[key] = frame_of(book)
        for reader in self._readers:
            reader.waiting[key] = None
            reader.wake.set()

    async def _serve(self, stream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        reader = _Reader(writer)
        if len(self._readers) >= READERS_MOST:
            self.refused += 1
            writer.close()
            return
        self._readers.add(reader)
        reader.waiting = dict.fromkeys(self._frames)
        reader.wake.set()
        writer.transport.set_write_buffer_limits(high=BUFFER_MOST)
        _keep_short(writer, socket.SO_SNDBUF)
        writing = asyncio.create_task(self._write(reader))
        try:
            # a reader has nothing to say: whatever comes from it is its end
            await stream.read(1)
        except OSError:
            pass
        finally:
            self._readers.discard(reader)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            writer.close()

    async def _write(self, reader: _Reader) -> None:
        with suppress(OSError):
            while True:
                await reader.wake.wait()
                reader.wake.clear()
                while reader.waiting:
                    turn = list(islice(reader.waiting, WRITE_MOST))
                    for key in turn:
                        del reader.waiting[key]
                    reader.writer.write(b"".join(self._frames[key] for key in turn))
                    self.written += len(turn)
                    await reader.writer.drain()


class BookClient:
    """In the executor: one for each feed, running until it is cancelled."""

    def __init__(self) -> None:
        self.connected = False
        self.connections = self.books = self.hostile = 0

    async def run(self, address: str, on_books: Callable[[list[Book]], None]) -> None:
        """Books as they come, at most one of each market in a call, the newest. Connects again whenever that is needed.

        Nothing that the other side does raises; what `on_books` raises does.
        """
        host, _, port = address.rpartition(":")
        pause = PAUSE_FIRST_S
        while True:
            before = self.books
            try:
                stream, writer = await asyncio.open_connection(host, int(port), limit=READ_MOST)
            except OSError:
                pass
            else:
                _keep_short(writer, socket.SO_RCVBUF)
                self.connections += 1
                self.connected = True
                try:
                    await self._read(stream, on_books)
                finally:
                    self.connected = False
                    writer.close()
            pause = PAUSE_FIRST_S if self.books > before else min(2 * pause, PAUSE_MOST_S)
            await asyncio.sleep(pause)

    async def _read(self, stream: asyncio.StreamReader, on_books: Callable[[list[Book]], None]) -> None:
        frames = Frames()
        while True:
            try:
                data = await stream.read(READ_MOST)
                if not data:
                    return
                newest = {(book.venue, book.market): book for book in frames.take(data)}
            except OSError:
                return
            except Hostile as problem:
                self.hostile += 1
                logger.warning("the stream of books was closed: {}", problem)
                return
            self.books += len(newest)
            if newest:
                on_books(list(newest.values()))
