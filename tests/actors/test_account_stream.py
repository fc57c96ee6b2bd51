"""The account stream over the real simulated venues: told at once, read later where the stream said nothing, told once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from actors import account_stream
from actors.account_stream import AccountStream
from actors.clock import AnchoredClock
from messages.books import Book
from messages.control import Ask
from messages.orders import Ended, FillSeen, Order, OrderSeen, Role
from messages.units import CONTRACT, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from tests.actors.stage import Outbox, Running, on_stage, place, say, settings_with, simulate, until, up
from venues.factory import trading
from venues.port import Failed, Trading

NUMBERS = count(1)


@pytest.fixture(scope="module", params=["kalshi", "polymarket"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    venue = simulate(request.param, tmp_path_factory.mktemp("venue"))
    yield venue
    venue.stop()


def stream_of(running: Running, tmp_path: Path) -> AccountStream:
    dialect = running.venue.dialect.value
    return AccountStream(place(f"account.{dialect}", tmp_path, settings_with(dialect, running.venue)))


@asynccontextmanager
async def desk(running: Running) -> AsyncIterator[Trading]:
    adapter = trading(running.venue.dialect.value, running.venue, running.venue.keys[0], AnchoredClock())
    await adapter.open()
    try:
        yield adapter
    finally:
        await adapter.close()


async def buy(running: Running, adapter: Trading, shell: AccountStream) -> str:
    """Buy ten contracts at once; the venue's order id. The market is one that has an offer now."""
    adapter.load(tuple(shell.catalogue.markets.values()))
    for name in shell.catalogue.markets:
        book = await adapter.book(name)
        if isinstance(book, Book) and book.yes_asks and 1_500 < book.yes_asks[0][0] < 9_000:
            break
    else:
        raise AssertionError("no market has an offer")
    now, dialect = Nanos(time.time_ns()), running.venue.dialect.value
    price = (book.yes_asks[0][0] + 300) // 100 * 100
    order = Order(
        order=f"test.{time.time_ns()}.{next(NUMBERS)}",
        trade="t",
        leg=0,
        role=Role.OPEN,
        venue=dialect,
        market=name,
        outcome=Outcome.YES,
        side=Side.BUY,
        price=Price(price),
        quantity=Quantity(10 * CONTRACT),
        spend=Money(price * 10 * 100) if dialect == "polymarket" else None,
        time_in_force=TimeInForce.IOC,
        made_at=now,
        not_after=Nanos(now + 2 * SECOND),
    )
    answer = await adapter.submit(adapter.prepare(order))
    assert isinstance(answer, Ended), answer
    assert answer.matched > 0
    return answer.venue_order


def fills(outbox: Outbox, venue_order: str, to: str = "executor") -> list[FillSeen]:
    return [seen for seen in outbox.of(FillSeen, to) if seen.venue_order == venue_order]


async def test_an_execution_is_told_at_once_and_once(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_stream, "POLL_EVERY_S", 0.1)
    outbox, shell = Outbox("executor", "executor.2"), stream_of(running, tmp_path)
    async with on_stage(shell, outbox, AnchoredClock()), desk(running) as adapter:
        await until(lambda: shell.snapshot()["connections"] and shell.snapshot()["last_read"])
        order = await buy(running, adapter, shell)
        await until(lambda: fills(outbox, order) and any(seen.venue_order == order for seen in outbox.of(OrderSeen)))
        await asyncio.sleep(0.5)  # several readings
        told = fills(outbox, order)
        # a list may know the order under one name more than the stream: that is news
        assert len({seen.model_copy(update={"at": Nanos(0)}) for seen in told}) == len(told) <= 4
        assert [seen.fill for seen in fills(outbox, order, "executor.2")] == [seen.fill for seen in told]
        count_told = len(outbox.told)
        shell.introduced(up("recorder"))
        shell.introduced(up("executor", 2))
        shell.introduced(up("executor", 2))
        again = outbox.told[count_told:]
        assert {name for name, _ in again} == {"executor"}
        assert len(again) == shell.snapshot()["remembered"]
        assert await say(shell, Ask()) is None
        assert (shell.snapshot()["failed"], shell.snapshot()["missing"]) == ("", [])


async def test_what_happened_before_it_came_is_read(running: Running, tmp_path: Path) -> None:
    first = stream_of(running, tmp_path)
    async with desk(running) as adapter:
        async with on_stage(first, Outbox(), AnchoredClock()):
            await until(lambda: not first.catalogue.missing)
        order = await buy(running, adapter, first)
        outbox, shell = Outbox(), stream_of(running, tmp_path)
        async with on_stage(shell, outbox, AnchoredClock()):
            await until(lambda: fills(outbox, order))


async def test_a_stream_that_says_nothing_is_covered_by_reading(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is connected, it answers pings, and no event ever comes."""
    monkeypatch.setattr(account_stream, "POLL_EVERY_S", 0.1)
    outbox, shell = Outbox(), stream_of(running, tmp_path)
    async with on_stage(shell, outbox, AnchoredClock()), desk(running) as adapter:

        async def frozen(*_: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(shell._account, "stream", frozen)
        await until(lambda: not shell.catalogue.missing)
        shell._more.set()
        await asyncio.sleep(0)
        order = await buy(running, adapter, shell)
        await until(lambda: fills(outbox, order))


async def test_a_reading_that_fails_is_no_empty_reading(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_stream, "POLL_EVERY_S", 0.05)
    outbox, shell = Outbox(), stream_of(running, tmp_path)
    async with on_stage(shell, outbox, AnchoredClock()), desk(running) as adapter:
        await until(lambda: shell.snapshot()["last_read"])
        real = shell._trading.fills_since

        async def failing(*_: object) -> Failed:
            return Failed("HTTP 503")

        monkeypatch.setattr(shell._trading, "fills_since", failing)
        cursor = shell.snapshot()["cursor"]
        order = await buy(running, adapter, shell)
        await until(lambda: shell.snapshot()["read_failures"])
        assert shell.snapshot()["cursor"] == cursor
        monkeypatch.setattr(shell._trading, "fills_since", real)
        await until(lambda: fills(outbox, order))
        await until(lambda: shell.snapshot()["cursor"] != cursor or cursor)


async def test_memory_is_bounded(running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_stream, "TOLD_MOST", 10)
    shell = stream_of(running, tmp_path)
    async with on_stage(shell, Outbox(), AnchoredClock()):
        for number in range(50):
            seen = OrderSeen(
                venue="kalshi",
                wire=str(number),
                venue_order=None,
                market="M",
                matched=Quantity(0),
                ended=None,
                at=Nanos(number),
            )
            shell._take(seen)
        assert shell.snapshot()["remembered"] == 10
