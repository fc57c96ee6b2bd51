"""From an opportunity to both signed requests at both venues: the engine against bare loops, interleaved in one run.

What is timed begins when a book that crosses is in the process and ends when the later of the two venues has read its
request (its own request log says when; all clocks are this machine's). The engine sizes, runs every check, reserves,
writes the intent durably, signs and sends. The bare loops only sign and send the same two orders:

    bare           plain sockets, no engine, nothing remembered
    bare+commit    the same, after one durable commit at the same level as the engine
    aiohttp        the same as bare, through an aiohttp session

Cases alternate within every round, so that a busy minute falls on all of them. Ratios compare medians, and p99s, of the
engine at `process` durability with `bare+commit` at `process`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from actors.clock import AnchoredClock
from actors.executor import Executor
from actors.memory import Memory
from actors.rules import pairs_of
from actors.shell import Place
from configs.load import load
from configs.settings import Durability, RiskSettings, Settings, SimSettings
from console.simulated import SimulatedVenues
from messages.base import Message
from messages.books import Book
from messages.control import VenueSeen
from messages.leases import CapitalGranted, ClaimsGranted, KeysGranted, MarketsSeen
from messages.markets import Market, VenueMode
from messages.orders import Order, Role
from messages.units import CONTRACT, DOLLAR, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from venues.factory import ROOTS, market_data, trading
from venues.http import Response
from venues.port import Failed, Trading

ROOT = Path(__file__).resolve().parent.parent
GAPS_MS = (2, 30, 120)
PRICE = Price(4_000)
QUANTITY = Quantity(10 * CONTRACT)


class Nobody:
    """Owners that have granted everything already: no mail is part of what is measured."""

    def tell(self, to: str, message: Message) -> int:
        del to, message
        return 0

    async def ask(self, to: str, message: Message, within: Nanos) -> Message:
        raise NotImplementedError(f"{to} is not part of this benchmark: {message}, {within}")


@dataclass(slots=True)
class Sample:
    began: int
    wires: tuple[str, ...]


@dataclass(slots=True)
class Case:
    name: str
    durability: str
    once: Callable[[int], Awaitable[Sample]]
    samples: dict[int, list[Sample]] = field(default_factory=dict)


class SocketWire:
    """`Wire` over one plain keep-alive socket: writes the request, reads the head and its content, and nothing more."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._root, self._host, self._at = parts.path, parts.netloc, (parts.hostname, parts.port)

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(*self._at)

    async def close(self) -> None:
        self._writer.close()

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        body = body or b""
        lines = [f"{method} {self._root}{path} HTTP/1.1", f"Host: {self._host}", f"Content-Length: {len(body)}"]
        lines += [f"{key}: {value}" for key, value in headers.items()]
        self._writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        async with asyncio.timeout(timeout_s):
            first, *rest = (await self._reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            told = {
                k.decode().lower(): v.strip().decode() for k, _, v in (line.partition(b":") for line in rest if line)
            }
            content = await self._reader.readexactly(int(told.get("content-length", "0")))
        return Response(int(first.split()[1]), told, content)


class Bare:
    """Signs the two orders and sends them at once; no engine. `memory` is where one commit goes first, if at all."""

    def __init__(self, adapters: Mapping[str, Trading], markets: Mapping[str, Market], memory: Memory | None) -> None:
        self._adapters, self._markets, self._memory = adapters, markets, memory

    async def once(self, tag: str) -> Sample:
        began = time.time_ns()
        orders = [bare_order(market, f"{tag}.{name}", Nanos(began)) for name, market in self._markets.items()]
        prepared = [self._adapters[order.venue].prepare(order) for order in orders]
        if self._memory is not None:
            self._memory.remember(orders)
        await asyncio.gather(*(self._adapters[one.order.venue].submit(one) for one in prepared))
        return Sample(began, tuple(one.wire for one in prepared))


def bare_order(market: Market, name: str, now: Nanos) -> Order:
    cash = market.cash_denominated
    return Order(
        order=name,
        trade=name,
        leg=0,
        role=Role.OPEN,
        venue=market.venue,
        market=market.market,
        outcome=Outcome.NO if cash else Outcome.YES,
        side=Side.BUY,
        price=PRICE,
        quantity=QUANTITY,
        spend=Money(4 * DOLLAR) if cash else None,
        time_in_force=TimeInForce.IOC,
        made_at=now,
        not_after=Nanos(now + 10 * SECOND),
    )


class Engine:
    """The real executor with real journal, adapters and rules; books are put in by hand so that each round crosses."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.executor = Executor(Place("executor", 1, directory, settings.model_dump_json()))
        self._settings = settings
        self._sequence = 0

    async def open(self, markets: dict[str, Market], every: Sequence[Market], clock: AnchoredClock) -> None:
        self._markets, self._clock = markets, clock
        executor = self.executor
        await executor.start(Nobody(), clock)
        await self._say(ClaimsGranted(owner_epoch=1, holder="executor", groups=executor.scout.groups))
        for name in self._settings.venues:
            await self._say(MarketsSeen(venue=name, markets=tuple(m for m in every if m.venue == name), at=clock.now()))
            await self._say(
                CapitalGranted(owner_epoch=1, holder="executor", venue=name, total=Money(1_000_000 * DOLLAR))
            )
        await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self.executor.stop()

    async def _say(self, message: Message) -> None:
        await self.executor.hear("benchmark", message)

    async def once(self, number: int) -> Sample:
        executor, now = self.executor, self._clock.now()
        for name, settings in self._settings.venues.items():
            await self._say(VenueSeen(venue=name, mode=VenueMode.OPEN, reachable=True, at=now))
            key = settings.keys[0].name
            await self._say(
                KeysGranted(
                    owner_epoch=1, holder="executor", holder_epoch=executor.epoch, venue=name, lease=number + 1,
                    key=key, opening=10_000, closing=100,
                    opening_for=Nanos(5 * SECOND), closing_for=Nanos(5 * SECOND),
                )
            )  # fmt: skip
        await asyncio.sleep(0.002)
        before = executor.desk.number
        self._sequence += 1
        books = [self._book(market, self._clock.now()) for market in self._markets.values()]
        executor.scout.books[(books[0].venue, books[0].market)] = books[0]
        began = time.time_ns()
        executor._books(books[1:])  # noqa: SLF001  what the socket of a feed does
        while executor.desk.number == before:
            await asyncio.sleep(0)
            if time.time_ns() - began > SECOND:
                last = executor.scout.decisions[-1] if executor.scout.decisions else None
                raise RuntimeError(f"the engine did not take the opportunity: {last}")
        trade = list(executor.desk.trades.values())[-1]
        while not executor.desk.trades[trade.trade].final:  # noqa: ASYNC110  nobody tells of it
            await asyncio.sleep(0.001)
        self._clear()
        wires = tuple(state.wire for state in trade.orders)
        return Sample(began, wires)

    def _book(self, market: Market, now: Nanos) -> Book:
        """Only YES at the venue that counts contracts and NO at the one that counts money cross."""
        cheap, dear = ((int(PRICE), int(QUANTITY)),), ((7_000, int(QUANTITY)),)
        bids = ((int(PRICE) - 1_000, int(QUANTITY)),)
        yes, no = (dear, cheap) if market.cash_denominated else (cheap, dear)
        return Book(market.venue, market.market, self._sequence, now, True, bids, yes, bids, no)

    def _clear(self) -> None:
        """Each round begins without a book, as if the last had never crossed."""
        self.executor.scout.books.clear()


async def measure(rounds: int, gaps: Sequence[int]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="crossfill-bench-") as name:
        return await _measure(Path(name), rounds, gaps)


def _settings(directory: Path) -> Settings:
    settings = load([ROOT / "configs" / "sim.yaml"]).settings
    risk = RiskSettings(cool_down_ms=0, release_after_ms=0, reject_storm=10**9, min_profit_cents=Decimal(1))
    changes = {"risk": risk, "home": directory, "sim": SimSettings(faults="none"), "pairs": settings.pairs.absolute()}
    return settings.model_copy(update=changes)


async def _measure(directory: Path, rounds: int, gaps: Sequence[int]) -> dict[str, Any]:
    clock = AnchoredClock()
    async with AsyncExitStack() as stack:
        venues = await stack.enter_async_context(SimulatedVenues(_settings(directory), directory, extra=("--quiet",)))
        settings = venues.connected()
        every, first = await _markets(settings, clock)
        cases: list[Case] = []
        for level in Durability:
            place = directory / level.value
            engine_settings = settings.model_copy(
                update={"engine": settings.engine.model_copy(update={"durability": level, "loop_lag_most_ms": 10_000})}
            )
            (place / "journal").mkdir(parents=True)
            engine = Engine(engine_settings, place)
            await engine.open(first, every, clock)
            stack.push_async_callback(engine.close)
            cases.append(Case("engine", level.value, engine.once))
            memory = Memory(Place("bare", 1, place, ""), clock, level.value)
            stack.callback(memory.close)
            cases.append(await _bare(stack, settings, first, clock, "bare+commit", level.value, memory))
        cases.append(await _bare(stack, settings, first, clock, "bare"))
        cases.append(await _bare(stack, settings, first, clock, "aiohttp"))
        number = 0
        for gap in gaps:
            for turn in range(rounds + 3):
                for case in cases[turn % len(cases) :] + cases[: turn % len(cases)]:
                    await asyncio.sleep(gap / 1_000)
                    number += 1
                    sample = await case.once(number)
                    if turn >= 3:  # the first rounds warm connections and caches
                        case.samples.setdefault(gap, []).append(sample)
        arrived = {
            row["wire_id"]: row["at_ns"]
            for ledger in (await venues.ledgers()).values()
            for row in ledger["requests"]
            if row["wire_id"] and row["method"] == "POST"
        }
    return _report(cases, arrived, rounds, gaps)


async def _markets(settings: Settings, clock: AnchoredClock) -> tuple[list[Market], dict[str, Market]]:
    pairs = pairs_of(settings)
    every: list[Market] = []
    for name, venue in settings.venues.items():
        source = market_data(name, venue, venue.keys[0], clock)
        await source.open()
        ids = [paired.market for pair in pairs for paired in pair.markets if paired.venue == name]
        found = await source.markets(ids)
        await source.close()
        if isinstance(found, Failed):
            raise RuntimeError(f"no metadata from {name}: {found.text}")  # noqa: TRY004  no type was wrong
        # fees stay verified for as long as the benchmark lasts
        every += [
            m.model_copy(update={"fees": m.fees.model_copy(update={"verified_at": clock.now() + 3600 * SECOND})})
            for m in found
        ]
    keys = {(paired.venue, paired.market) for paired in pairs[0].markets}
    return every, {market.venue: market for market in every if (market.venue, market.market) in keys}


async def _bare(
    stack: AsyncExitStack, settings: Settings, first: dict[str, Market], clock: AnchoredClock, name: str,
    durability: str = "none", memory: Memory | None = None,
) -> Case:  # fmt: skip
    adapters = {}
    for venue, its in settings.venues.items():
        root = ROOTS.get((its.dialect.value, "rest"), "")
        wire = None if name == "aiohttp" else SocketWire(its.rest + root)
        adapters[venue] = trading(venue, its, its.keys[0], clock, wire=wire)
        await adapters[venue].open()
        stack.push_async_callback(adapters[venue].close)
        adapters[venue].load((first[venue],))
    loop = Bare(adapters, first, memory)

    async def once(number: int) -> Sample:
        return await loop.once(f"{name}-{durability}.{number}")

    return Case(name, durability, once)


def _report(cases: Sequence[Case], arrived: dict[str, int], rounds: int, gaps: Sequence[int]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    by: dict[tuple[str, str, int], dict[str, Any]] = {}
    for case in cases:
        for gap in gaps:
            took = sorted(
                (max(arrived[wire] for wire in sample.wires) - sample.began) / 1_000
                for sample in case.samples[gap]
                if all(wire in arrived for wire in sample.wires)
            )
            row = {
                "case": case.name,
                "durability": case.durability,
                "gap_ms": gap,
                "samples": len(took),
                "p50_us": round(took[len(took) // 2]),
                "p99_us": round(took[min(len(took) - 1, int(len(took) * 0.99))]),
            }
            rows.append(row)
            by[(case.name, case.durability, gap)] = row
    ratios = [
        {
            "gap_ms": gap,
            "ratio_p50": round(by["engine", "process", gap]["p50_us"] / by["bare+commit", "process", gap]["p50_us"], 2),
            "ratio_p99": round(by["engine", "process", gap]["p99_us"] / by["bare+commit", "process", gap]["p99_us"], 2),
        }
        for gap in gaps
    ]
    return {"schema_version": 1, "rounds": rounds, "rows": rows, "ratios": ratios}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.opportunity_to_wire", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="samples of each case at each gap")
    parser.add_argument("--gaps", type=int, nargs="+", default=list(GAPS_MS), metavar="MS")
    parser.add_argument("--json", action="store_true", help="one document on stdout")
    given = parser.parse_args()
    document = asyncio.run(measure(given.rounds, given.gaps))
    if given.json:
        print(json.dumps(document))
        return 0
    print(f"{'case':<14}{'durability':<12}{'gap ms':>7}{'n':>6}{'p50 µs':>9}{'p99 µs':>9}")
    for row in document["rows"]:
        print(
            f"{row['case']:<14}{row['durability']:<12}{row['gap_ms']:>7}{row['samples']:>6}"
            f"{row['p50_us']:>9}{row['p99_us']:>9}"
        )
    for ratio in document["ratios"]:
        print(f"gap {ratio['gap_ms']:>3} ms: engine / bare+commit  p50 {ratio['ratio_p50']}  p99 {ratio['ratio_p99']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
