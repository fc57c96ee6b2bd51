"""Both adapters against the simulated venues, over real sockets; the venue's ledger is the judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import get_args

import pytest

from messages.books import Book
from messages.markets import Market, VenueMode
from messages.orders import Absent, Ended, EndKind, FillSeen, Landed, Lost, OrderSeen, Refused, Rested, Settlement
from messages.reasons import Refusal, Trouble
from messages.units import CONTRACT, Nanos, Outcome, Side
from tests.venues.running import Bench, Dialect, bench
from venues.kalshi import stream as kalshi_stream
from venues.port import Failed, FillPage, StreamEvent

both = pytest.mark.parametrize("dialect", get_args(Dialect))


def script(kind: str, orders: str = "[1]", endpoint: str = "order") -> str:
    return f"version: 1\nrules:\n  - kind: {kind}\n    endpoint: {endpoint}\n    orders: {orders}\n"


async def until(condition: Callable[[], bool], within_s: float = 4.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the venue or in a list
            await asyncio.sleep(0.01)


async def fills_of_venue(desk: Bench, wire: str) -> int:
    return sum(f.quantity for f in desk.venue.exchange.fills if f.order.wire_id == wire)


@both
@pytest.mark.parametrize("outcome", Outcome)
async def test_an_immediate_buy_fills_and_is_found_again(dialect: Dialect, outcome: Outcome, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path) as desk:
        book = await desk.first_book(outcome)
        ask = book.asks(outcome)[0]
        order = desk.order(book.market, outcome, Side.BUY, ask[0], 3)
        prepared = desk.trading.prepare(order)
        assert prepared.wire == desk.trading.identify(order)
        answer = await desk.trading.submit(prepared)
        assert isinstance(answer, Ended), answer
        assert answer.matched == await fills_of_venue(desk, prepared.wire) > 0
        await asyncio.sleep(0.1)
        for known in (answer.venue_order, None):
            found = await desk.trading.look_up(order, known)
            assert isinstance(found, Ended), found
            assert found.matched == answer.matched
        page = await desk.trading.fills_since("")
        assert isinstance(page, FillPage), page
        ours = [seen for seen in page.fills if seen.venue_order == answer.venue_order]
        assert sum(seen.fill.quantity for seen in ours) == answer.matched
        cost = sum(seen.fill.fee for seen in ours)
        charged = sum(f.fee for f in desk.venue.exchange.fills if f.order.wire_id == prepared.wire)
        assert abs(cost - charged) <= 10 * len(ours)
        price = ours[0].fill.price if dialect == "polymarket" or outcome is Outcome.YES else 10_000 - ours[0].fill.price
        assert price <= ask[0]
        one = await desk.trading.fills_since("", (order, answer.venue_order))
        assert isinstance(one, FillPage)
        assert {seen.fill.fill for seen in one.fills} == {seen.fill.fill for seen in ours}
        again = await desk.trading.fills_since(page.cursor)
        assert isinstance(again, FillPage)


@both
async def test_a_second_copy_is_a_look_up(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path) as desk:
        book = await desk.first_book()
        order = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5)
        prepared = desk.trading.prepare(order)
        assert isinstance(await desk.trading.submit(prepared), Ended)
        assert isinstance(await desk.trading.submit(prepared, repost=True), Landed)
        assert await fills_of_venue(desk, prepared.wire) == 5 * CONTRACT


@both
async def test_an_immediate_order_that_meets_nothing_is_killed(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path) as desk:
        book = await desk.first_book()
        order = desk.order(book.market, Outcome.YES, Side.BUY, 100, 200)
        answer = await desk.trading.submit(desk.trading.prepare(order))
        assert isinstance(answer, Ended), answer
        assert (answer.matched, answer.how) == (0, EndKind.KILLED)


@both
async def test_a_sale_of_what_was_bought(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path) as desk:
        book = await desk.first_book()
        bought = await desk.trading.submit(
            desk.trading.prepare(desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5))
        )
        assert isinstance(bought, Ended)

        async def held() -> int:
            positions = await desk.trading.positions()
            assert not isinstance(positions, Failed), positions
            return sum(position.yes for position in positions if position.market == book.market)

        async with asyncio.timeout(5):
            while await held() < 5 * CONTRACT:  # noqa: ASYNC110 - the venue settles when it likes
                await asyncio.sleep(0.05)
        # the first book is as old as the settlement took
        newest = await desk.trading.book(book.market)
        assert isinstance(newest, Book)
        order = desk.order(book.market, Outcome.YES, Side.SELL, newest.yes_bids[0][0], 5)
        sold = await desk.trading.submit(desk.trading.prepare(order))
        assert isinstance(sold, Ended), sold
        assert sold.matched > 0
        await asyncio.sleep(0.1)
        found = await desk.trading.look_up(order, None)
        assert isinstance(found, Ended), found
        assert found.matched == sold.matched


@both
async def test_a_resting_order_is_seen_and_cancelled(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path) as desk:
        book = await desk.first_book()
        order = desk.order(book.market, Outcome.NO, Side.BUY, 200, 10, rest_s=20)
        answer = await desk.trading.submit(desk.trading.prepare(order))
        assert isinstance(answer, Rested), answer
        await asyncio.sleep(0.1)
        open_orders = await desk.trading.orders_since(Nanos(order.made_at - 10**9))
        assert not isinstance(open_orders, Failed)
        assert [seen.wire for seen in open_orders] == [desk.trading.identify(order)]
        found = await desk.trading.look_up(order, answer.venue_order)
        assert isinstance(found, Rested), found
        gone = await desk.trading.cancel(order, None)
        assert isinstance(gone, Ended), gone
        assert (gone.matched, gone.how) == (0, EndKind.CANCELLED)


@both
async def test_an_order_that_was_never_sent_is_absent(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path) as desk:
        book = await desk.first_book()
        order = desk.order(book.market, Outcome.YES, Side.BUY, 5_000, 2)
        answer = await desk.trading.look_up(order, None)
        assert isinstance(answer, Absent), answer
        assert answer.as_of <= desk.clock.now()


@both
@pytest.mark.parametrize("kind", ["timeout_after_accept", "error_after_accept"])
async def test_a_lost_answer_is_not_a_lost_order(dialect: Dialect, kind: str, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path, faults=script(kind)) as desk:
        book = await desk.first_book()
        order = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5)
        prepared = desk.trading.prepare(order)
        lost = await desk.trading.submit(prepared)
        assert isinstance(lost, Lost), lost
        expected = {Trouble.TIMEOUT, Trouble.CONNECTION} if kind == "timeout_after_accept" else {Trouble.SERVER_ERROR}
        assert lost.trouble in expected
        await asyncio.sleep(0.1)
        found = await desk.trading.look_up(order, None)
        assert isinstance(found, Ended), found
        assert found.matched == await fills_of_venue(desk, prepared.wire) > 0
        assert isinstance(await desk.trading.submit(prepared, repost=True), Landed)


@both
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("reject", None), ("insufficient_funds", Refusal.FUNDS), ("rate_limited", Refusal.RATE_LIMIT)],
)
async def test_refusals_are_proof(dialect: Dialect, kind: str, reason: Refusal | None, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path, faults=script(kind)) as desk:
        book = await desk.first_book()
        order = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5)
        answer = await desk.trading.submit(desk.trading.prepare(order))
        assert isinstance(answer, Refused), answer
        assert reason is None or answer.reason is reason
        assert desk.trading.traffic().rate_limited == (kind == "rate_limited")
        assert isinstance(await desk.trading.look_up(order, None), Absent)


@both
async def test_a_partial_fill_says_how_much(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path, faults=script("partial")) as desk:
        book = await desk.first_book()
        order = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 10)
        prepared = desk.trading.prepare(order)
        answer = await desk.trading.submit(prepared)
        assert isinstance(answer, Ended), answer
        assert answer.how is EndKind.KILLED
        assert 0 < answer.matched == await fills_of_venue(desk, prepared.wire) < 10 * CONTRACT
        await asyncio.sleep(0.1)
        found = await desk.trading.look_up(order, None)
        assert isinstance(found, Ended), found
        assert (found.matched, found.how) == (answer.matched, EndKind.KILLED)


@both
async def test_cash_and_mode(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path, quiet=True) as desk:
        assert await desk.trading.cash() == 10_000 * 10**6
        assert await desk.data.mode() is VenueMode.OPEN
        assert isinstance(await desk.data.markets(["nothing"]), Failed)


async def test_a_reversed_match_is_told_by_its_trade(tmp_path: Path) -> None:
    async with bench("polymarket", tmp_path, faults=script("reversed_match")) as desk:
        book = await desk.first_book()
        order = desk.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5)
        answer = await desk.trading.submit(desk.trading.prepare(order))
        assert isinstance(answer, Ended)
        page = await desk.trading.fills_since("")
        settlements = set()
        async with asyncio.timeout(8):
            while Settlement.REVERSED not in settlements:
                assert isinstance(page, FillPage)
                # the cursor waits for what is not final
                page = await desk.trading.fills_since(page.cursor)
                assert isinstance(page, FillPage)
                settlements = {seen.fill.settlement for seen in page.fills}
                await asyncio.sleep(0.05)


class Ear:
    """What the streams told."""

    def __init__(self) -> None:
        self.books: dict[str, list[Book]] = {}
        self.markets: list[Market] = []
        self.events: list[StreamEvent] = []
        self.connected = 0

    def book(self, book: Book) -> None:
        self.books.setdefault(book.market, []).append(book)

    def connect(self) -> None:
        self.connected += 1


@both
async def test_the_stream_keeps_every_book_fresh_and_right(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path) as desk:
        ear = Ear()
        task = asyncio.create_task(desk.data.stream(desk.markets, ear.book, ear.markets.append))
        try:
            await until(lambda: len(ear.books) == len(desk.markets) and all(b[-1].fresh for b in ear.books.values()))
            desk.venue.desk.quiet = True
            # quiet markets must be confirmed again and again
            for _ in range(14):
                await asyncio.sleep(0.1)
                now = desk.clock.now()
                ages = [now - b[-1].seen_at for b in ear.books.values()]
                assert max(ages) < 1.8 * 10**9
            for market in desk.markets:
                read = await desk.trading.book(market.market)
                assert isinstance(read, Book)
                last = ear.books[market.market][-1]
                assert last.fresh
                assert (last.yes_bids, last.yes_asks, last.no_bids, last.no_asks) == (
                    read.yes_bids, read.yes_asks, read.no_bids, read.no_asks,
                )  # fmt: skip
            for books in ear.books.values():
                assert [b.sequence for b in books] == sorted({b.sequence for b in books})
            assert {m.market for m in ear.markets} == {m.market for m in desk.markets}
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@both
async def test_a_frozen_stream_is_noticed_although_it_answers_pings(
    dialect: Dialect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kalshi_stream, "SILENT", Nanos(15 * 10**8))
    async with bench(dialect, tmp_path) as desk:
        ear = Ear()
        task = asyncio.create_task(desk.data.stream(desk.markets, ear.book, ear.markets.append))
        try:
            await until(lambda: len(ear.books) == len(desk.markets) and all(b[-1].fresh for b in ear.books.values()))
            frozen_at = desk.clock.now()
            thawed_at = frozen_at + 19 * 10**8
            desk.venue.desk.frozen_until_ns = thawed_at
            while desk.clock.now() < thawed_at - 10**8:
                await asyncio.sleep(0.05)
                newest = [books[-1] for books in ear.books.values()]
                if dialect == "kalshi":
                    # the stream alone vouches for these books: none may seem newer than the freeze
                    assert all(book.seen_at < frozen_at + 10**8 for book in newest)
                else:
                    # reads beside the stream go on and keep them young
                    assert all(desk.clock.now() - book.seen_at < 1.8 * 10**9 for book in newest)
            if dialect == "kalshi":
                assert not any(books[-1].fresh for books in ear.books.values())
            await until(lambda: all(b[-1].fresh and b[-1].seen_at > thawed_at for b in ear.books.values()), 6)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@both
async def test_the_private_stream_tells_our_orders_and_fills(dialect: Dialect, tmp_path: Path) -> None:
    async with bench(dialect, tmp_path) as desk:
        ear = Ear()
        task = asyncio.create_task(desk.account.stream(desk.markets, ear.events.append, ear.connect))
        try:
            await until(lambda: ear.connected == 1)
            await asyncio.sleep(0.1)
            book = await desk.first_book(Outcome.NO)
            order = desk.order(book.market, Outcome.NO, Side.BUY, book.no_asks[0][0], 4)
            prepared = desk.trading.prepare(order)
            answer = await desk.trading.submit(prepared)
            assert isinstance(answer, Ended)

            def fills() -> dict[str, FillSeen]:
                ours = [e for e in ear.events if isinstance(e, FillSeen) and e.wire == prepared.wire]
                return {seen.fill.fill: seen for seen in ours}

            await until(lambda: sum(seen.fill.quantity for seen in fills().values()) == answer.matched)
            assert all(seen.venue_order == answer.venue_order for seen in fills().values())
            listed = await desk.trading.fills_since("", (order, answer.venue_order))
            await asyncio.sleep(0.1)
            listed = await desk.trading.fills_since("", (order, answer.venue_order))
            assert isinstance(listed, FillPage)
            # the same execution has the same key on both ways
            assert {seen.fill.fill for seen in listed.fills} == set(fills())
            resting = desk.order(book.market, Outcome.YES, Side.BUY, 200, 10, rest_s=10)
            rested = await desk.trading.submit(desk.trading.prepare(resting))
            assert isinstance(rested, Rested)
            wire = desk.trading.identify(resting)
            await until(
                lambda: any(isinstance(e, OrderSeen) and e.wire == wire and e.ended is None for e in ear.events)
            )
            await desk.trading.cancel(resting, rested.venue_order)
            await until(
                lambda: any(
                    isinstance(e, OrderSeen) and e.wire == wire and e.ended is EndKind.CANCELLED for e in ear.events
                )
            )
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
