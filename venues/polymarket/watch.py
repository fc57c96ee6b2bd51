"""Books of one connection compared with reads, so that a stream without numbers cannot mislead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from messages.units import MILLISECOND, SECOND, Nanos
from venues.board import Board
from venues.polymarket.books import Books, RuleTold
from venues.polymarket.codec import Shown
from venues.port import Clock
from venues.sockets import Broken, Socket

TURN_S = 0.1
PONG_WITHIN = Nanos(30 * SECOND)
QUIET = Nanos(600 * MILLISECOND)
"""A market about which the stream said nothing for this long is compared with what a read says."""
COMPARE_EVERY = Nanos(5 * SECOND)
"""A lively one is compared all the same: the stream has no numbers that would show a loss."""
SILENT = Nanos(3 * SECOND)
"""A book that neither stream nor read confirmed for this long is not vouched for, and the stream is built anew."""
DIFFERENCES_MOST = 2
"""So many differences in a row while the stream says nothing: it is frozen, however well it answers."""
BATCH = 100
PING_S = 5.0
"""The venue asks for one every ten seconds and drops who is later; so often, one may be late."""

ReadBooks = Callable[[Sequence[str]], Awaitable[Mapping[str, Shown]]]
"""Books beside the stream, by token; what could not be read is left out."""


class Watch:
    """One connection's books, put on the board as far as stream and reads agree."""

    def __init__(self, books: Books, board: Board, clock: Clock, read_books: ReadBooks) -> None:
        self._books = books
        self._board = board
        self._clock = clock
        self._read_books = read_books
        self._confirmed: dict[str, Nanos] = dict.fromkeys(books.tokens, clock.now())
        """By market, when stream or read last confirmed it."""
        self._compared: dict[str, Nanos] = dict.fromkeys(books.tokens, clock.now())
        self._differences: dict[str, int] = dict.fromkeys(books.tokens, 0)
        self._began = self.heard_at = clock.now()
        self.named = 0
        """Reads of a lively book whose hash the stream had told: it shows what the venue shows."""

    def take(self, frame: str | bytes) -> list[RuleTold]:
        """One frame; what it said of markets' rules."""
        at = self._clock.now()
        self.heard_at = at
        if frame in ("PONG", b"PONG"):
            return []
        changed, rules = self._books.take(frame, at)
        for market in changed:
            self._differences[market] = 0
            self._show(market, at)
        return rules

    def _show(self, market: str, at: Nanos) -> None:
        if self._books.known(market):
            self._confirmed[market] = at
            self._board.show(market, self._books.sides(market), at)
        else:
            self._board.doubt(market)

    async def turn(self) -> None:
        """Give up where neither stream nor read confirms."""
        while True:
            await asyncio.sleep(TURN_S)
            now = self._clock.now()
            if now - self.heard_at > PONG_WITHIN:
                raise Broken("not even an answer to PING")
            if now - self._began > SILENT and len(self._books.heard_at) < len(self._books.tokens):
                raise Broken("a book was never sent")
            for market, at in self._confirmed.items():
                if now - at > SILENT:
                    self._board.doubt(market)
                    raise Broken("a book is confirmed by nothing")

    async def compare(self) -> None:
        """Read the books of quiet, doubtful and long uncompared markets beside the stream."""
        while True:
            await asyncio.sleep(TURN_S)
            now = self._clock.now()
            due = [
                market
                for market in self._books.tokens
                if not self._books.known(market)
                or now - self._confirmed[market] > QUIET
                or now - self._compared[market] > COMPARE_EVERY
            ]
            for start in range(0, len(due), BATCH):
                await self._compare(due[start : start + BATCH])

    async def _compare(self, markets: Sequence[str]) -> None:
        asked = self._clock.now()
        before = {market: self._books.heard_at.get(market) for market in markets}
        read = await self._read_books([token for market in markets for token in self._books.tokens[market]])
        for market in markets:
            tokens = self._books.tokens[market]
            if not all(token in read for token in tokens):
                continue
            self._compared[market] = asked
            ladders = {token: self._books.ladders[token] for token in tokens}
            if self._books.known(market) and self._books.heard_at.get(market) != before[market]:
                # the stream spoke meanwhile: the two are of different moments, and it vouches for itself
                self.named += all(read[token].digest in ladders[token].hashes for token in tokens)
                continue
            same = all(ladders[token].same(read[token].sides) for token in tokens)
            if (
                self._books.known(market)
                and not same
                and all(ladders[token].hashes and ladders[token].hashes[-1] == read[token].digest for token in tokens)
            ):
                raise Broken("the venue calls both books the same, and they are not: a message was lost or misread")
            if self._books.known(market) and same:
                self._differences[market] = 0
                self._confirmed[market] = asked
                self._board.confirm(market, asked)
                continue
            had_spoken = before[market] is not None
            for token in tokens:
                ladders[token].replace(read[token].sides, read[token].stamp)
            self._show(market, asked)
            self._differences[market] += had_spoken
            if self._differences[market] > DIFFERENCES_MOST:
                raise Broken("the stream stands still while the book moves")


async def keep_alive(socket: Socket) -> None:
    """The venue wants a text, not a ping frame, and never before the first subscription."""
    while True:
        await asyncio.sleep(PING_S)
        await socket.say("PING")
