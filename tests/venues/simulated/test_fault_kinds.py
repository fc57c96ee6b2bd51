"""Each fault: what the venue did, and what the client was told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.venues.simulated.clients import ORDERS, Kalshi, Polymarket, check_books, collect, ledger, running
from venues.simulated.faults import KINDS, UPHEAVALS, Kind, built_in, load_script
from venues.simulated.scale import UNIT
from venues.simulated.universe import ConfigurationError

T = "KXHIGHNY-26DEC01-T55"


def script(folder: Path, kind: str, **more: Any) -> str:
    path = folder / "faults.yaml"
    rule = {"kind": kind, "orders": [1], **more}
    path.write_text(json.dumps({"version": 1, "rules": [rule]}))
    return str(path)


async def hit(folder: Path, kind: str, **order: Any) -> tuple[int | None, Any, dict[str, Any]]:
    """Send one Kalshi order for ten contracts into the fault; (status, body, ledger)."""
    async with running("kalshi", faults=script(folder, kind)) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_000, 40 * UNIT, 0)
        status: int | None = None
        answer: Any = None
        with contextlib.suppress(aiohttp.ClientError):
            status, answer = await trader.order(T, "bid", "10.00", "0.5000", **order)
        if kind == "late_arrival":
            assert not venue.exchange.fills
            await asyncio.sleep(1.6)
        told = await ledger(session, venue.ready(1))
        check_books(told)
        return status, answer, told


@pytest.mark.parametrize(
    ("kind", "answered", "filled"),
    [
        ("request_lost", None, 0),
        ("timeout_after_accept", None, 10),
        ("late_arrival", None, 10),
        ("reject", 400, 0),
        ("insufficient_funds", 400, 0),
        ("rate_limited", 429, 0),
    ],
)
async def test_what_was_answered_and_what_was_done(tmp_path: Path, kind: str, answered: int | None, filled: int):
    status, answer, told = await hit(tmp_path, kind)
    assert status == answered
    assert sum(f["quantity"] for f in told["fills"]) == filled * UNIT
    assert told["faults_hit"] == {kind: 1}
    (request,) = told["requests"]
    assert (request["fault"], request["accepted"], request["status"]) == (kind, filled > 0, answered)
    if kind == "insufficient_funds":
        assert answer["error"]["code"] == "insufficient_balance"
    if kind == "rate_limited":
        assert answer == {"error": "too many requests"}


async def test_an_error_after_acceptance_hides_a_fill(tmp_path: Path):
    status, _, told = await hit(tmp_path, "error_after_accept")
    assert status in (502, 503)
    assert told["requests"][0]["accepted"]
    assert sum(f["quantity"] for f in told["fills"]) == 10 * UNIT


async def test_a_partial_fills_some_and_kills_the_rest(tmp_path: Path):
    status, answer, told = await hit(tmp_path, "partial")
    assert status == 201
    filled = float(answer["fill_count"])
    assert 3 <= filled <= 7
    assert filled == int(filled)
    assert (answer["remaining_count"], told["orders"][0]["status"]) == ("0.00", "canceled")


async def test_a_partial_waits_for_an_order_that_can_be_cut(tmp_path: Path):
    async with running("kalshi", faults=script(tmp_path, "partial")) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_000, 40 * UNIT, 0)
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[1]["fill_count"] == "1.00"
        assert (await trader.order(T, "bid", "5.00", "0.5000", time_in_force="fill_or_kill"))[1]["fill_count"] == "5.00"
        assert venue.desk.script.hits == {}
        assert float((await trader.order(T, "bid", "10.00", "0.5000"))[1]["fill_count"]) < 10
        assert venue.desk.script.hits == {"partial": 1}


@pytest.mark.parametrize("kind", ["request_lost", "timeout_after_accept"])
async def test_the_identical_order_sent_again_tells_what_became_of_it(tmp_path: Path, kind: str):
    rules = script(tmp_path, kind, orders=[1, 2, 3])
    async with running("kalshi", faults=rules) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_000, 40 * UNIT, 0)
        body = trader.body(T, "bid", "10.00", "0.5000")
        with pytest.raises(aiohttp.ClientError):
            await trader.call("POST", ORDERS, body)
        status, answer = await trader.call("POST", ORDERS, body)
        if kind == "request_lost":
            assert (status, answer["fill_count"]) == (201, "10.00")
        else:
            assert (status, answer["error"]["code"]) == (409, "order_already_exists")
        told = await ledger(session, venue.ready(1))
        assert sum(f["quantity"] for f in told["fills"]) == 10 * UNIT
        assert len({r["body_sha256"] for r in told["requests"]}) == 1


async def private_messages(venue: Any, session: aiohttp.ClientSession, seconds: float) -> list[dict[str, Any]]:
    trader = Kalshi(session, venue.ready(1))
    venue.exchange.quote(T, "ask", 4_900, 5 * UNIT, 0)
    venue.exchange.quote(T, "ask", 5_000, 40 * UNIT, 0)
    headers = trader.headers("GET", "/trade-api/ws/v2")
    async with session.ws_connect(venue.ready(1)["ws_user"], headers=headers) as socket:
        params = {"channels": ["user_orders", "fill"]}
        await socket.send_str(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
        await collect(socket, lambda seen: len(seen) == 2)
        await trader.order(T, "bid", "10.00", "0.5000")
        return await collect(socket, lambda seen: False, seconds)


async def test_duplicate_events_come_twice(tmp_path: Path):
    rules = script(tmp_path, "duplicate_events")
    async with running("kalshi", faults=rules) as venue, aiohttp.ClientSession() as session:
        seen = await private_messages(venue, session, 0.4)
        fills = Counter(m["msg"]["trade_id"] for m in seen if m["type"] == "fill")
        assert sorted(fills.values()) == [2, 2]
        assert sum(m["type"] == "user_order" for m in seen) == 2


async def test_disordered_events_come_late_and_changed_about(tmp_path: Path):
    rules = script(tmp_path, "disordered_events")
    async with running("kalshi", faults=rules) as venue, aiohttp.ClientSession() as session:
        seen = await private_messages(venue, session, 1.3)
        assert [m["type"] for m in seen] == ["user_order", "fill", "fill"]
        assert [m["msg"]["yes_price_dollars"] for m in seen[1:]] == ["0.5000", "0.4900"]


async def test_a_frozen_stream_still_answers_pings(tmp_path: Path):
    rules = script(tmp_path, "stream_freeze")
    async with running("polymarket", faults=rules) as venue, aiohttp.ClientSession() as session:
        trader = Polymarket(session, venue.ready(1))
        condition, spec = next(iter(venue.clob.by_condition.items()))
        async with session.ws_connect(venue.ready(1)["ws_market"]) as socket:
            await socket.send_str(json.dumps({"type": "market", "assets_ids": [spec.polymarket.yes_token]}))
            await collect(socket, lambda seen: len(seen) == 1)
            await trader.order(spec.polymarket.yes_token, "BUY", 5 * UNIT, 10 * UNIT, "GTC")
            await socket.send_str("PING")
            assert (await socket.receive(timeout=0.3)).data == "PONG"
            assert await collect(socket, bool, 1.0) == []
            (change, *_) = await collect(socket, bool, 1.5)
            assert change["event_type"] == "price_change"
            assert venue.exchange.books[condition].size("bid", 5_000) == 10 * UNIT


async def test_a_reversed_match_ends_failed_and_gives_everything_back(tmp_path: Path):
    rules = script(tmp_path, "reversed_match")
    async with running("polymarket", faults=rules) as venue, aiohttp.ClientSession() as session:
        trader = Polymarket(session, venue.ready(1))
        condition, pair = next(iter(venue.clob.by_condition.items()))
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
        socket = await trader.sign_in([])
        status, told = await trader.order(pair.polymarket.yes_token, "BUY", 5 * UNIT, 10 * UNIT)
        assert (status, told["status"]) == (200, "matched")
        seen = await collect(socket, lambda seen: any(m.get("status") == "FAILED" for m in seen))
        assert [m["status"] for m in seen if m["event_type"] == "trade"] == ["MATCHED", "RETRYING", "FAILED"]
        judged = await ledger(session, venue.ready(1))
        assert [f["settlement"] for f in judged["fills"]] == ["failed"]
        account = judged["accounts"]["trader-1"]
        assert (account["cash"], account["fees_paid"], account["positions"]) == (account["deposits"], 0, {})
        check_books(judged)
        await socket.close()


async def test_polymarket_says_429_with_its_headers(tmp_path: Path):
    rules = script(tmp_path, "rate_limited")
    async with running("polymarket", faults=rules) as venue, aiohttp.ClientSession() as session:
        trader = Polymarket(session, venue.ready(1))
        token = next(iter(venue.clob.tokens))
        body = trader.signed(token, "BUY", 5 * UNIT, 10 * UNIT, "GTC")
        headers = trader.headers("POST", "/order", body)
        async with session.post(trader.base + "/order", data=body, headers=headers) as response:
            assert response.status == 429
            assert response.headers["Retry-After"] == "1"
            assert response.headers["Poly-RateLimit-Remaining"] == "0"
        assert (await trader.call("POST", "/order", body))[0] == 200


async def test_cancels_and_look_ups_are_addressed_by_files(tmp_path: Path):
    path = tmp_path / "faults.yaml"
    path.write_text(
        "rules:\n- {kind: error_after_accept, endpoint: cancel, every: 1, hits_max: 1}\n"
        "- {kind: rate_limited, endpoint: lookup, orders: [1]}\n"
    )
    async with running("kalshi", faults=str(path), read_lag_ms=0) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        _, made = await trader.order(T, "bid", "1.00", "0.0100", time_in_force="good_till_canceled")
        look_up = f"/trade-api/v2/portfolio/orders/{made['order_id']}"
        assert (await trader.call("GET", look_up))[0] == 429
        status, _ = await trader.call("DELETE", f"{ORDERS}/{made['order_id']}", query=f"?market_ticker={T}")
        assert status in (502, 503)
        assert (await trader.call("GET", look_up))[1]["order"]["status"] == "canceled"


async def test_the_script_is_changed_at_run_time():
    async with running("kalshi", faults="storm") as venue, aiohttp.ClientSession() as session:
        admin = venue.ready(1)["admin"]
        async with session.post(admin + "/faults", json={"script": "none"}) as response:
            assert (await response.json())["script"] == "none"
        async with session.post(admin + "/faults", json={"script": "hurricane"}) as response:
            assert response.status == 400
        async with session.post(admin + "/quiesce") as response:
            assert (await response.json())["quiet"]
        async with session.get(admin + "/status") as response:
            assert (await response.json())["script"] == "none"


def hits(name: str, dialect: str, orders: int) -> list[tuple[int, Kind]]:
    script = built_in(name, dialect, "seed")
    found: list[tuple[int, Kind]] = []
    for number in range(1, orders + 1):
        script.arrive("order", 0)
        kind = script.take("order", lambda _: True)
        if kind is not None:
            found.append((number, kind))
    return found


def test_the_standard_script_shows_the_important_faults_early():
    for dialect in ("kalshi", "polymarket"):
        early = [kind for number, kind in hits("standard", dialect, 20) if number <= 20]
        assert {"timeout_after_accept", "error_after_accept", "reject", "partial"} <= set(early)
        assert ("reversed_match" in early) == (dialect == "polymarket")
        assert len(hits("standard", dialect, 400)) == 100


def test_a_storm_hits_everything_three_times_in_a_hundred_orders():
    met = Counter(kind for dialect in ("kalshi", "polymarket") for _, kind in hits("storm", dialect, 100))
    assert set(met) == set(KINDS) - UPHEAVALS
    assert min(met.values()) >= 3
    assert sum(met.values()) == 80


def test_a_bad_fault_file_is_refused_with_its_remedy(tmp_path: Path):
    path = tmp_path / "bad.yaml"
    path.write_text("rules:\n- {kind: meteor}\n")
    with pytest.raises(ConfigurationError, match=r"bad\.yaml, rule 1: kind 'meteor' is not one of"):
        load_script(str(path), "kalshi", "seed")
    with pytest.raises(ConfigurationError, match="is unknown; use none, standard, storm"):
        load_script("gale", "kalshi", "seed")
