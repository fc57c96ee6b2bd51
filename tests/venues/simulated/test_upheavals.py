"""What shakes a whole venue or one of its markets while orders are open, and how the venue counts it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.venues.simulated.clients import check_books, ledger, running
from tests.venues.simulated.polymarket_trader import Trader, market
from venues.simulated.faults import SHAKEN, built_in
from venues.simulated.scale import UNIT


def script(folder: Path, kind: str, **more: Any) -> str:
    path = folder / "faults.yaml"
    path.write_text(json.dumps({"version": 1, "rules": [{"kind": kind, "orders": [2], **more}]}))
    return str(path)


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("restart", None),
        ("maintenance", (503, "Trading is currently disabled. Check polymarket.com for updates")),
        ("rate_storm", (200, "live")),  # it was let in before the storm began
        ("tick_change", (200, "live")),
        ("contract_change", (200, "live")),
        ("resolution", (400, "the market is not yet ready to process new orders")),
    ],
)
async def test_each_upheaval_strikes_with_orders_open_and_is_counted(tmp_path: Path, kind: str, answer: Any):
    async with running("polymarket", faults=script(tmp_path, kind)) as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        first = (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"]
        told: Any = None
        with contextlib.suppress(aiohttp.ClientError):
            status, body = await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT)
            told = (status, body.get("error") or body.get("status"))
        assert told == answer
        if kind == "restart":
            await asyncio.sleep(0.4)
            assert (await trader.cancel(first)) == {"error": "the matching engine is restarting, please retry"}
        if kind == "rate_storm":
            assert (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[0] == 429
            await asyncio.sleep(0.75)
            assert (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[0] == 200
        if kind == "tick_change":
            assert (await trader.post(yes, "BUY", 4_010_000, 10 * UNIT))[1]["status"] == "live"
        if kind == "contract_change":
            assert (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1] == {"error": "invalid signature"}
        if kind == "resolution":
            assert venue.exchange.orders[first].reason == "MarketResolved"
        judged = await ledger(session, venue.ready(1))
        (struck,) = judged["upheavals"]
        assert (struck["kind"], struck["market"], struck["orders_open"]) == (kind, condition, 2)
        assert judged["faults_hit"] == {kind: 1}
        check_books(judged)


async def test_a_delay_of_the_script_is_answered_and_then_filled(tmp_path: Path):
    faults = script(tmp_path, "taker_delay", orders=[1])
    async with running("polymarket", faults=faults) as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        # an order that would only rest is never delayed, so the fault waits for one that takes
        assert (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["status"] == "live"
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
        _, told = await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT, "FAK")
        assert told["status"] == "delayed"
        await asyncio.sleep(1)
        assert venue.exchange.orders[told["orderID"]].status == "matched"
        assert venue.desk.script.hits == {"taker_delay": 1}
        check_books(await ledger(session, venue.ready(1)))


async def test_a_market_is_never_resolved_when_few_are_left(tmp_path: Path):
    faults = script(tmp_path, "resolution", every=1, orders=list(range(1, 40)))
    async with running("polymarket", faults=faults) as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1))
        for pair in venue.clob.pairs:
            spec = pair.polymarket
            with contextlib.suppress(aiohttp.ClientError):
                await trader.post(spec.yes_token, "BUY", 4 * UNIT, 10 * UNIT, generation=spec.generation)
        left = sum(venue.clob.accepting(p.polymarket.condition_id) for p in venue.clob.pairs)
        assert 4 <= left <= 6  # the last one may take its event along
        assert len((await ledger(session, venue.ready(1)))["upheavals"]) >= 10


def test_a_storm_of_a_minute_has_each_upheaval_three_times_whatever_the_rate_of_orders():
    for dialect, shaken in SHAKEN.items():
        for per_second in (2, 5, 40):
            told = built_in("upheaval", dialect, "seed")
            met: Counter[str] = Counter()
            for number in range(50 * per_second):
                told.arrive("order", 7 * 10**9 + number * 10**9 // per_second)
                kind = told.take("order", lambda _: True)
                if kind is not None:
                    met[kind] += 1
            assert set(met) == set(shaken)
            assert min(met.values()) >= 3, (dialect, per_second, met)
            assert sum(met.values()) <= 4 * len(shaken)
