"""The adapter against the simulated venue, over real sockets: what it can beyond one order; the venue's ledger is the judge."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from messages.books import Book
from messages.markets import Market, VenueMode
from messages.orders import Absent, Ended, EndKind, FillSeen, Lost, OrderSeen, Refused, Rested, Settlement
from messages.reasons import Refusal
from messages.units import CONTRACT, SECOND, Outcome, Price, Side
from tests.venues.running import PAIRS, Bench, Key, Place, WallClock
from tests.venues.running import bench as simulated
from venues import factory
from venues.polymarket import rest, rules, stream
from venues.polymarket.keys import ApiKey, Keys
from venues.polymarket.rest import PolymarketTrading
from venues.polymarket.stream import PolymarketMarketData
from venues.port import Denied, Done, Failed, FillPage, Lifetime, Prepared, StreamEvent, Terms
from venues.simulated.ethereum import wallet_of
from venues.simulated.polymarket_upheavals import PolymarketUpheavals
from venues.simulated.venue import Settings, Venue
from venues.sockets import follow

V3 = "01" + "00" * 13 + "1234" + "00" * 15


def unlike(pairs: list[dict[str, Any]]) -> None:
    """The second market is negRisk, the third on the third exchange, the fourth delays takers."""
    pairs[1]["polymarket"]["neg_risk"] = True
    pairs[2]["polymarket"] |= {
        "condition_id": "0x" + V3, "yes_token": str(int(V3 + "00", 16)), "no_token": str(int(V3 + "01", 16)),
        "neg_risk": False,
    }  # fmt: skip
    pairs[3]["polymarket"]["answered_delay_ms"] = 300


class Desk(Bench):
    """The bench, and what an operator of the venue can do."""

    rest: PolymarketTrading
    public: PolymarketMarketData
    upheavals: PolymarketUpheavals

    def live(self) -> set[str]:
        return {order.wire_id for order in self.venue.exchange.orders.values() if order.status == "live"}


@asynccontextmanager
async def desk(tmp_path: Path, *, kind: int = 0, markets: int = 4, quiet: bool = False) -> AsyncIterator[Desk]:
    loaded = yaml.safe_load(PAIRS.read_text())
    loaded["pairs"] = loaded["pairs"][:markets]
    unlike(loaded["pairs"])
    pairs = tmp_path / "pairs.yaml"
    pairs.write_text(yaml.safe_dump(loaded))
    venue = Venue(Settings(dialect="polymarket", name="polymarket", seed=7, pairs=pairs, quiet=quiet, hold_s=0.6))
    await venue.start()
    ready = venue.ready(0)
    credentials = dict(ready["credentials"]) | {
        "signature_type": kind, "funder": wallet_of(ready["credentials"]["address"], kind)
    }  # fmt: skip
    secret = tmp_path / "key.json"
    secret.write_text(json.dumps(credentials))
    secret.chmod(0o600)
    place = Place("polymarket", str(ready["rest"]), str(ready["ws_market"]), str(ready["ws_user"]))
    place.request_timeout_ms = 1_500
    key, clock = Key(secret=f"file:{secret}"), WallClock()
    trading = factory.trading("polymarket", place, key, clock)
    data = factory.market_data("polymarket", place, key, clock)
    account = factory.account_data("polymarket", place, key, clock)
    try:
        for adapter in (trading, data, account):
            await adapter.open()
        found = await data.markets([pair["polymarket"]["condition_id"] for pair in loaded["pairs"]])
        assert not isinstance(found, Failed), found
        trading.load(found)
        bench = Desk("polymarket", venue, trading, data, account, found)
        assert isinstance(trading, PolymarketTrading)
        assert isinstance(data, PolymarketMarketData)
        bench.rest, bench.public = trading, data
        bench.upheavals = PolymarketUpheavals(venue.clob, "test")
        yield bench
    finally:
        for adapter in (trading, data, account):
            await adapter.close()
        await venue.stop()


async def until(condition: Callable[[], bool], within_s: float = 4.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the venue or in a list
            await asyncio.sleep(0.01)


async def book_of(bench: Desk, market: Market) -> Book:
    book = await bench.trading.book(market.market)
    assert isinstance(book, Book)
    assert book.yes_asks
    assert book.yes_bids
    return book


def resting_bids(bench: Desk, market: Market, count: int) -> list[Prepared]:
    orders = [
        bench.order(market.market, Outcome.YES, Side.BUY, 100 + 100 * number, 10, rest_s=30) for number in range(count)
    ]
    return [bench.trading.prepare(order) for order in orders]


# Wallets and contracts


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
async def test_every_wallet_trades_on_every_contract(kind: int, tmp_path: Path) -> None:
    async with desk(tmp_path, kind=kind) as bench:
        assert {market.generation for market in bench.markets} == {"ctf_v2", "neg_risk_v2", "exchange_v3"}
        cash = await bench.trading.cash()
        for market in bench.markets[:3]:
            book = await book_of(bench, market)
            order = bench.order(market.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5)
            answer = await bench.trading.submit(bench.trading.prepare(order))
            assert isinstance(answer, Ended), answer
            assert answer.matched >= 5 * CONTRACT
            assert bench.venue.exchange.orders[answer.venue_order].matched == answer.matched
        assert isinstance(cash, int)
        after = await bench.trading.cash()
        assert isinstance(after, int)
        assert after < cash


async def test_a_signature_for_another_contract_is_refused_and_a_reading_of_the_market_heals_it(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        market = bench.markets[0]
        book = await book_of(bench, market)
        bench.upheavals.next_contract(market.market)
        order = bench.order(market.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5)
        answer = await bench.trading.submit(bench.trading.prepare(order))
        assert isinstance(answer, Refused), answer
        # no word against the key
        assert answer.reason is Refusal.INVALID
        read = await bench.data.markets([market.market])
        assert not isinstance(read, Failed)
        assert (read[0].generation, read[0].version > market.version) == ("neg_risk_v2", True)
        bench.trading.load(read)
        again = bench.order(market.market, Outcome.YES, Side.BUY, book.yes_asks[0][0] + 200, 5)
        assert isinstance(await bench.trading.submit(bench.trading.prepare(again)), Ended)


# Order types


async def test_fill_or_kill_and_post_only_mean_what_they_say(tmp_path: Path) -> None:
    async with desk(tmp_path, quiet=True) as bench:
        market = bench.markets[0]
        bench.venue.desk.quiet = False
        await until(lambda: bool(bench.venue.exchange.books[market.market].best("ask")))
        bench.venue.desk.quiet = True
        book = await book_of(bench, market)
        price, size = book.yes_asks[0]
        more = size // CONTRACT + 50
        greedy = bench.order(market.market, Outcome.YES, Side.BUY, price, more)
        fok = bench.rest.prepare_with(greedy, Terms(lifetime=Lifetime.FOK))
        assert isinstance(fok, Prepared)
        killed = await bench.trading.submit(fok)
        assert isinstance(killed, Ended), killed
        assert (killed.matched, killed.how) == (0, EndKind.KILLED)
        crossing = bench.order(market.market, Outcome.YES, Side.BUY, price, 10, rest_s=30)
        maker = bench.rest.prepare_with(crossing, Terms(post_only=True))
        assert isinstance(maker, Prepared)
        refused = await bench.trading.submit(maker)
        assert isinstance(refused, Refused), refused
        assert "post-only" in refused.text
        below = bench.order(market.market, Outcome.YES, Side.BUY, 100, 10, rest_s=30)
        quiet = bench.rest.prepare_with(below, Terms(post_only=True))
        assert isinstance(quiet, Prepared)
        assert isinstance(await bench.trading.submit(quiet), Rested)


async def test_a_delayed_taker_is_neither_absent_nor_cancelled_and_ends_as_its_trades_say(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        market = bench.markets[3]
        book = await book_of(bench, market)
        order = bench.order(market.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5)
        answer = await bench.trading.submit(bench.trading.prepare(order))
        assert isinstance(answer, Rested), answer
        assert isinstance(await bench.trading.cancel(order, answer.venue_order), Rested)
        async with asyncio.timeout(4):
            while True:
                found = await bench.trading.look_up(order, None)
                assert not isinstance(found, Absent)
                if isinstance(found, Ended):
                    break
                await asyncio.sleep(0.05)
        assert found.matched == bench.venue.exchange.orders[answer.venue_order].matched


# Several at once


async def test_a_batch_rests_leg_by_leg_and_is_cancelled_together(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        market = bench.markets[0]
        good = resting_bids(bench, market, 17)
        small = bench.trading.prepare(bench.order(market.market, Outcome.YES, Side.BUY, 100, 1, rest_s=30))
        answers = await bench.rest.submit_batch([good[0], small, *good[1:]])
        assert isinstance(answers[1], Refused), answers[1]
        assert answers[1].reason is Refusal.SIZE
        rested = [answer for answer in answers if isinstance(answer, Rested)]
        assert {answer.venue_order for answer in rested} == {one.wire for one in good} == bench.live()
        gone = await bench.rest.cancel_batch([(one.order, one.wire) for one in good])
        assert all(isinstance(answer, Ended) and answer.how is EndKind.CANCELLED for answer in gone)
        assert not bench.live()


async def test_a_sweep_of_one_market_leaves_the_others_alone(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        here, there = resting_bids(bench, bench.markets[0], 2), resting_bids(bench, bench.markets[1], 2)
        await bench.rest.submit_batch([*here, *there])
        assert len(bench.live()) == 4
        assert isinstance(await bench.rest.cancel_all(bench.markets[0].market), Done)
        assert bench.live() == {one.wire for one in there}
        assert isinstance(await bench.rest.cancel_all(), Done)
        assert not bench.live()
        allowances = {budget.scope: budget for budget in bench.trading.traffic().allowances}
        assert allowances["cancels"].most == 1_800
        assert allowances["orders"].per_second == 600


async def test_a_replacement_follows_when_the_first_is_over(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        first, second = resting_bids(bench, bench.markets[0], 2)
        assert isinstance(await bench.trading.submit(first), Rested)
        fate, answer = await bench.rest.replace(first.order, first.wire, second)
        assert isinstance(fate, Ended)
        assert isinstance(answer, Rested)
        assert bench.live() == {second.wire}


# The dead-man switch


async def test_the_switch_is_fed_by_its_owner_and_a_stranger_is_told(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        assert isinstance(await bench.rest.beat(), Done)
        assert isinstance(await bench.rest.beat(), Done)
        # what a second engine with this key would send
        stranger = await bench.rest._calls.act("POST", "/v1/heartbeats", b'{"heartbeat_id":""}')
        assert not isinstance(stranger, Failed)
        assert stranger.status == 400
        assert isinstance(await bench.rest.beat(), Done)
        # and one that has just been started anew is told the right id once, and then goes on
        bench.rest._heart._last = ""
        assert isinstance(await bench.rest.beat(), Denied)
        assert isinstance(await bench.rest.beat(), Done)


# Modes


async def test_a_restart_is_seen_at_order_entry_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "PROBE_EVERY_S", 0.05)
    async with desk(tmp_path) as bench:
        first, second = resting_bids(bench, bench.markets[0], 2)
        bench.venue.clob.mode.restart(0.4, 120)
        lost = await bench.trading.submit(first)
        assert isinstance(lost, Lost), lost
        assert bench.rest.mode_told() is VenueMode.PAUSED
        assert isinstance(await bench.trading.look_up(first.order, None), Absent)
        await until(lambda: bench.rest.mode_told() is VenueMode.POST_ONLY)
        lost = await bench.trading.submit(first)
        assert isinstance(lost, Lost), lost
        maker = bench.rest.prepare_with(second.order, Terms(post_only=True))
        assert isinstance(maker, Prepared)
        assert isinstance(await bench.trading.submit(maker), Rested)
        assert bench.rest.mode_told() is VenueMode.POST_ONLY
        bench.venue.clob.mode.enter(())
        bench.rest._prepared.clear()
        again = bench.trading.prepare(bench.order(bench.markets[0].market, Outcome.YES, Side.BUY, 100, 10, rest_s=30))
        assert isinstance(await bench.trading.submit(again), Rested)
        assert bench.rest.mode_told() is VenueMode.OPEN


@pytest.mark.parametrize(
    ("phase", "mode"), [("cancel_only", VenueMode.CANCEL_ONLY), ("disabled", VenueMode.CLOSED)]
)  # fmt: skip
async def test_maintenance_is_seen_at_order_entry(phase: Any, mode: VenueMode, tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        (prepared,) = resting_bids(bench, bench.markets[0], 1)
        bench.venue.clob.mode.enter(((phase, 60.0),))
        assert isinstance(await bench.trading.submit(prepared), Lost)
        assert bench.rest.mode_told() is mode


# Metadata


async def test_changes_that_the_stream_tells_reach_the_engine_as_higher_versions(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        books: dict[str, Book] = {}
        heard: dict[str, list[Market]] = {}

        def on_book(book: Book) -> None:
            books[book.market] = book

        def on_market(market: Market) -> None:
            heard.setdefault(market.market, []).append(market)

        task = asyncio.create_task(bench.data.stream(bench.markets, on_book, on_market))
        try:
            first, second = bench.markets[0], bench.markets[1]
            await until(lambda: len(books) == len(heard) == 4 and all(book.fresh for book in books.values()))
            bench.upheavals.set_tick(first.market, 10)
            await until(lambda: heard[first.market][-1].ticks == rules.bands(Price(10)))
            assert heard[first.market][-1].version > first.version
            bench.upheavals.resolve(second.market, (1, 0))
            await until(lambda: not heard[second.market][-1].open)
            assert heard[second.market][-1].version > second.version
            third = bench.markets[3]
            assert heard[third.market][-1].version == third.version
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_stream_that_was_cut_comes_back_and_asks_what_it_missed(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        books: dict[str, Book] = {}
        events: list[StreamEvent] = []
        markets: list[Market] = []
        connected = 0

        def on_book(book: Book) -> None:
            books[book.market] = book

        def on_connected() -> None:
            nonlocal connected
            connected += 1

        tasks = [
            asyncio.create_task(bench.data.stream(bench.markets, on_book, markets.append)),
            asyncio.create_task(bench.account.stream(bench.markets, events.append, on_connected)),
        ]
        try:
            await until(lambda: connected == 1 and len(books) == 4 and all(book.fresh for book in books.values()))
            market = bench.markets[0]
            bench.upheavals.restart(0.2, 0.1, 0.1)
            await until(lambda: not all(book.fresh for book in books.values()))
            since = len(markets)
            await until(lambda: connected == 2 and all(book.fresh for book in books.values()), 8)
            await until(lambda: len(markets) > since)
            bench.venue.clob.mode.enter(())
            book = await book_of(bench, market)
            order = bench.order(market.market, Outcome.NO, Side.BUY, book.no_asks[0][0], 5)
            prepared = bench.trading.prepare(order)
            answer = await bench.trading.submit(prepared)
            assert isinstance(answer, Ended), answer
            await until(lambda: any(isinstance(e, FillSeen) and e.wire == prepared.wire for e in events))
            assert any(isinstance(e, OrderSeen) and e.wire == prepared.wire for e in events)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_more_markets_than_one_connection_bears_get_more_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[str] = []

    async def counted(url: str, *args: Any) -> None:
        connections.append(url)
        await follow(url, *args)

    monkeypatch.setattr(stream, "TOKENS_MOST", 2)
    monkeypatch.setattr(stream, "follow", counted)
    async with desk(tmp_path) as bench:
        books: dict[str, Book] = {}

        def on_book(book: Book) -> None:
            books[book.market] = book

        task = asyncio.create_task(bench.data.stream(bench.markets, on_book, lambda _: None))
        try:
            await until(lambda: len(books) == 4 and all(book.fresh for book in books.values()))
            assert len(connections) == 4
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


# Settlement


@pytest.mark.parametrize(
    ("faults", "last"),
    [
        ("none", Settlement.CONFIRMED),
        ("version: 1\nrules:\n  - kind: reversed_match\n    endpoint: order\n    orders: [1]\n", Settlement.REVERSED),
    ],
    ids=["confirmed", "reversed"],
)
async def test_the_private_stream_tells_a_match_to_its_end(faults: str, last: Settlement, tmp_path: Path) -> None:
    async with simulated("polymarket", tmp_path, faults=faults) as bench:
        events: list[StreamEvent] = []
        connected = asyncio.Event()
        task = asyncio.create_task(bench.account.stream(bench.markets, events.append, connected.set))
        try:
            await asyncio.wait_for(connected.wait(), 4)
            book = await bench.first_book()
            order = bench.order(book.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 5)
            prepared = bench.trading.prepare(order)
            answer = await bench.trading.submit(prepared)
            assert isinstance(answer, Ended), answer

            def ladder() -> dict[str, list[Settlement]]:
                found: dict[str, list[Settlement]] = {}
                for event in events:
                    if isinstance(event, FillSeen) and event.wire == prepared.wire:
                        found.setdefault(event.fill.fill, []).append(event.fill.settlement)
                return found

            await until(lambda: bool(ladder()) and all(told[-1] is last for told in ladder().values()), 8)
            # first a match, then what became of it; one key all the way
            assert all(told[0] is Settlement.MATCHED for told in ladder().values())
            sizes = {event.fill.fill: event.fill.quantity for event in events if isinstance(event, FillSeen)}
            assert sum(sizes[name] for name in ladder()) == answer.matched
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


# Fees


async def test_an_execution_is_booked_at_what_the_venue_took(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        market = bench.markets[0]
        book = await book_of(bench, market)
        before = await bench.trading.cash()
        order = bench.order(market.market, Outcome.YES, Side.BUY, book.yes_asks[0][0], 7)
        answer = await bench.trading.submit(bench.trading.prepare(order))
        assert isinstance(answer, Ended)
        fills: tuple[FillSeen, ...] = ()
        async with asyncio.timeout(6):
            while not fills or any(seen.fill.settlement is not Settlement.CONFIRMED for seen in fills):
                page = await bench.trading.fills_since("", (order, answer.venue_order))
                assert isinstance(page, FillPage)
                fills = page.fills
                await asyncio.sleep(0.05)
        cost = sum(seen.fill.price * seen.fill.quantity // 10_000 for seen in fills)
        fees = sum(seen.fill.fee for seen in fills)
        assert all(seen.fee_known for seen in fills)
        after = await bench.trading.cash()
        assert isinstance(before, int)
        assert isinstance(after, int)
        assert fees > 0
        assert before - after == cost + fees


async def test_the_account_says_what_it_may(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        assert await bench.rest.closed_only() is False
        bench.venue.clob.closing.add(bench.venue.clob.keys[bench.rest._signer.owner].account)
        assert await bench.rest.closed_only() is True
        budgets = await bench.rest.budgets()
        assert not isinstance(budgets, Failed)
        assert [budget.per_second for budget in budgets] == [600, 1_200]
        order = bench.order(bench.markets[0].market, Outcome.YES, Side.BUY, 5_000, 5)
        assert await bench.rest.spendable(order) == 10_000 * 10**6
        described = await bench.public.describe([market.market for market in bench.markets])
        assert not isinstance(described, Failed)
        assert {entry.category for entry in described} == {"Sample"}
        assert all(entry.rules for entry in described)
        assert described[1].exclusive
        assert bench.clock.now() > SECOND


async def test_a_wallet_asks_for_its_api_key_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as bench:
        keys = Keys(bench.rest._signer, bench.rest._calls)
        found = await keys.derive(0)
        assert isinstance(found, ApiKey)
        assert found.api_key == bench.rest._signer.owner
        assert found.secret == bench.rest._signer.stream_login()["secret"]
        other = await keys.make(7)
        assert isinstance(other, ApiKey)
        assert other.api_key != found.api_key
