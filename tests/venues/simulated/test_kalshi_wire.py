"""Kalshi as a client meets it: signatures, answers, reads that lag, and a stream that rebuilds the book."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from tests.venues.simulated.clients import ORDERS, Kalshi, check_books, collect, ledger, running
from venues.simulated.scale import UNIT

T = "KXHIGHNY-26DEC01-T55"
BALANCE = "/trade-api/v2/portfolio/balance"


async def test_an_order_is_answered_read_and_counted():
    async with running("kalshi", read_lag_ms=50) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_200, 10 * UNIT, 0)
        status, answer = await trader.order(T, "bid", "3.00", "0.9900")
        assert (status, answer["fill_count"], answer["remaining_count"]) == (201, "3.00", "0.00")
        assert (answer["average_fill_price"], answer["average_fee_paid"]) == ("0.5200", "0.0175")
        path = f"/trade-api/v2/portfolio/orders/{answer['order_id']}"
        assert (await trader.call("GET", path))[0] == 404  # reads lag writes
        await asyncio.sleep(0.08)
        _, told = await trader.call("GET", path)
        assert told["order"]["status"] == "executed"
        assert told["order"]["taker_fill_cost_dollars"] == "1.560000"
        _, fills = await trader.call("GET", "/trade-api/v2/portfolio/fills", query="?limit=10")
        assert [(f["count_fp"], f["yes_price_dollars"], f["fee_cost"]) for f in fills["fills"]] == [
            ("3.00", "0.5200", "0.052500")
        ]
        _, positions = await trader.call("GET", "/trade-api/v2/portfolio/positions")
        assert positions["market_positions"][0]["position_fp"] == "3.00"
        _, balance = await trader.call("GET", BALANCE)
        assert balance["balance_dollars"] == "998.3875"
        told = await ledger(session, venue.ready(1))
        check_books(told)
        assert [(r["status"], r["accepted"], r["wire_id"]) for r in told["requests"]] == [(201, True, "test-1")]


@pytest.mark.parametrize(("skew_ms", "status"), [(0, 200), (-9_000, 200), (9_000, 200), (-30_000, 401), (300_000, 401)])
async def test_a_signature_is_good_for_some_seconds(skew_ms: int, status: int):
    async with running("kalshi") as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1), key=1)
        async with session.get(trader.base + BALANCE, headers=trader.headers("GET", BALANCE, skew_ms)) as response:
            assert response.status == status
            if status == 401:
                assert (await response.json())["error"]["code"] == "header_timestamp_expired"
            assert "Date" in response.headers


async def test_bad_signatures_are_told_apart():
    async with running("kalshi") as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))

        async def code(headers: dict[str, str]) -> tuple[str, str | None]:
            async with session.get(trader.base + BALANCE, headers=headers) as response:
                assert response.status == 401
                told = (await response.json())["error"]
                return told["code"], told.get("details")

        wrong = trader.headers("GET", BALANCE + "/")
        assert await code(wrong) == ("authentication_error", "INCORRECT_API_KEY_SIGNATURE")
        assert await code(wrong | {"KALSHI-ACCESS-KEY": "nobody"}) == ("authentication_error", "NOT_FOUND")
        del wrong["KALSHI-ACCESS-SIGNATURE"]
        assert (await code(wrong))[0] == "signature_is_missing_from_headers"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(venue.ready(1)["ws_market"])


async def test_an_id_is_used_once_for_ever():
    async with running("kalshi") as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_000, 2 * UNIT, 0)
        resting = trader.body(T, "bid", "1.00", "0.0100", time_in_force="good_till_canceled")
        status, answer = await trader.call("POST", ORDERS, resting)
        assert (status, answer["remaining_count"]) == (201, "1.00")
        path = f"{ORDERS}/{answer['order_id']}"
        status, told = await trader.call("DELETE", path, query=f"?market_ticker={T}")
        assert (status, told["reduced_by"]) == (200, "1.00")
        assert (await trader.call("DELETE", path, query=f"?market_ticker={T}"))[0] == 404
        status, told = await trader.call("POST", ORDERS, resting)
        assert (status, told["error"]["code"]) == (409, "order_already_exists")
        killed = trader.body(T, "bid", "3.00", "0.5000", time_in_force="fill_or_kill")
        status, told = await trader.call("POST", ORDERS, killed)
        assert (status, told["error"]["code"]) == (409, "fill_or_kill_insufficient_resting_volume")
        status, told = await trader.call("POST", ORDERS, killed)
        assert (status, told["error"]["code"]) == (409, "order_already_exists")
        refused = trader.body(T, "bid", "1.00", "0.5050")
        assert (await trader.call("POST", ORDERS, refused))[1]["error"]["code"] == "invalid_price"
        assert (await trader.call("POST", ORDERS, refused | {"price": "0.5000"}))[0] == 201


async def test_refusals_have_the_venues_shapes():
    async with running("kalshi", deposit=10) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_000, 100 * UNIT, 0)
        status, told = await trader.call("POST", ORDERS, trader.body(T, "bid", "1.00", "0.5000") | {"count": 1})
        assert (status, told["code"]) == (400, "bad_request")
        assert told["details"].endswith("CreateOrderV2Request.count of type string")
        assert (await trader.call("POST", ORDERS, b"{"))[1]["code"] == "bad_request"
        assert (await trader.order(T, "bid", "90.00", "0.5000"))[1]["error"]["code"] == "insufficient_balance"
        status, told = await trader.order(
            T, "bid", "1.00", "0.5000", time_in_force="good_till_canceled", post_only=True
        )
        assert (status, told["error"]["details"]) == (400, "post only cross")
        status, told = await trader.call("GET", "/trade-api/v2/portfolio/orders", query="?limit=1001")
        assert (status, "lte" in told["msg"]) == (400, True)
        status, told = await trader.order(T, "bid", "1.00", "0.4900")
        assert (status, told["fill_count"], told["remaining_count"]) == (201, "0.00", "0.00")


async def test_pages_end_with_an_empty_cursor_and_garbage_means_the_first():
    async with running("kalshi", read_lag_ms=0) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        for _ in range(5):
            await trader.order(T, "bid", "1.00", "0.0100", time_in_force="good_till_canceled")
        seen, cursor = [], ""
        for _ in range(3):
            query = f"?limit=2&cursor={cursor}&status=resting"
            _, page = await trader.call("GET", "/trade-api/v2/portfolio/orders", query=query)
            seen += [o["client_order_id"] for o in page["orders"]]
            cursor = page["cursor"]
        assert (seen, cursor) == ([f"test-{n}" for n in (5, 4, 3, 2, 1)], "")
        _, page = await trader.call("GET", "/trade-api/v2/portfolio/orders", query="?limit=2&cursor=%21%21")
        assert page["orders"][0]["client_order_id"] == "test-5"


def rebuild(messages: list[dict[str, Any]], ticker: str) -> dict[str, dict[str, float]]:
    sides: dict[str, dict[str, float]] = {"yes": {}, "no": {}}
    for message in messages:
        told = message["msg"]
        if told.get("market_ticker") != ticker:
            continue
        if message["type"] == "orderbook_snapshot":
            sides = {side: {p: float(s) for p, s in told.get(f"{side}_dollars_fp", [])} for side in ("yes", "no")}
        elif message["type"] == "orderbook_delta":
            levels = sides[told["side"]]
            size = levels.get(told["price_dollars"], 0) + float(told["delta_fp"])
            levels[told["price_dollars"]] = round(size, 2)
            if levels[told["price_dollars"]] == 0:
                del levels[told["price_dollars"]]
    return sides


@pytest.mark.parametrize("yes_scale", [True, False])
async def test_snapshot_and_deltas_are_the_book(*, yes_scale: bool):
    async with running("kalshi", quiet=False) as venue, aiohttp.ClientSession() as session:
        ready = venue.ready(1)
        trader = Kalshi(session, ready)
        tickers = list(venue.exchange.books)[:4]
        headers = trader.headers("GET", "/trade-api/ws/v2")
        async with session.ws_connect(ready["ws_market"], headers=headers) as socket:
            params = {"channels": ["orderbook_delta"], "market_tickers": tickers, "use_yes_price": yes_scale}
            await socket.send_str(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
            messages = await collect(socket, lambda seen: False, 1.0)
            venue.desk.quiet = True
            await trader.order(tickers[0], "bid", "5.00", "0.9900")
            messages += await collect(socket, lambda seen: False, 0.3)
            assert [m["seq"] for m in messages[1:]] == list(range(1, len(messages)))
            assert len(messages) > 5
            for ticker in tickers:
                _, told = await trader.call("GET", f"/trade-api/v2/markets/{ticker}/orderbook")
                sides = rebuild(messages, ticker)
                assert sides["yes"] == {p: float(s) for p, s in told["orderbook_fp"]["yes_dollars"]}
                no = {p: float(s) for p, s in told["orderbook_fp"]["no_dollars"]}
                if yes_scale:
                    no = {f"{1 - float(p):.4f}": s for p, s in no.items()}
                assert sides["no"] == no


async def test_an_empty_side_has_no_key_and_commands_are_checked():
    async with running("kalshi") as venue, aiohttp.ClientSession() as session:
        ready = venue.ready(1)
        trader = Kalshi(session, ready)
        venue.exchange.quote(T, "bid", 4_000, 3 * UNIT, 0)
        headers = trader.headers("GET", "/trade-api/ws/v2")
        async with session.ws_connect(ready["ws_market"], headers=headers) as socket:
            commands: list[dict[str, Any]] = [
                {"cmd": "subscribe", "params": {"channels": ["orderbook_delta"], "market_ticker": T}},
                {"cmd": "subscribe", "params": {"channels": ["weather"]}},
                {"cmd": "unsubscribe", "params": {"sids": [9]}},
                {"cmd": "dance"},
                {"cmd": "update_subscription", "params": {"sids": [1], "action": "get_snapshot", "market_ticker": T}},
            ]
            for number, command in enumerate(commands, 1):
                await socket.send_str(json.dumps({"id": number, **command}))
            seen = await collect(socket, lambda seen: len(seen) == 6)
            assert "no_dollars_fp" not in seen[1]["msg"]
            assert seen[1]["msg"]["yes_dollars_fp"] == [["0.4000", "3.00"]]
            assert [m["msg"]["code"] for m in seen if m["type"] == "error"] == [8, 7, 5]
            assert (seen[-1]["type"], seen[-1]["seq"]) == ("orderbook_snapshot", 2)


async def test_private_messages_name_the_order():
    async with running("kalshi") as venue, aiohttp.ClientSession() as session:
        ready = venue.ready(1)
        trader = Kalshi(session, ready)
        venue.exchange.quote(T, "ask", 5_000, 3 * UNIT, 0)
        async with session.ws_connect(ready["ws_user"], headers=trader.headers("GET", "/trade-api/ws/v2")) as socket:
            params = {"channels": ["user_orders", "fill", "trade"]}
            await socket.send_str(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
            await collect(socket, lambda seen: len(seen) == 3)
            await trader.order(T, "bid", "4.00", "0.5000", time_in_force="good_till_canceled")
            seen = await collect(socket, lambda seen: len(seen) == 3)
            told = {m["type"]: m for m in seen}
            assert told["fill"]["msg"]["client_order_id"] == "test-1"
            assert (told["fill"]["msg"]["count_fp"], told["fill"]["msg"]["post_position_fp"]) == ("3.00", "3.00")
            assert told["user_order"]["msg"]["status"] == "resting"
            assert told["user_order"]["msg"]["remaining_count_fp"] == "1.00"
            assert "seq" not in told["fill"]
            assert told["trade"]["seq"] == 1
