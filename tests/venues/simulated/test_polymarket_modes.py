"""Restarts, maintenance, rate limits and the dead-man switch of the Polymarket venue."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from tests.venues.simulated.clients import collect, ledger, running
from tests.venues.simulated.polymarket_trader import Trader, admin, market
from venues.simulated.scale import UNIT

POST_ONLY = "post-only mode: only post-only orders and cancels are allowed"


async def test_a_restart_breaks_sockets_keeps_the_state_and_comes_back_in_steps():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        order = (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"]
        socket = await trader.sign_in([condition])
        await socket.send_str("PING")
        assert (await socket.receive(timeout=1)).data == "PONG"
        await admin(session, venue, "restart", down_s=0.3, engine_s=0.4, post_only_s=1.5)
        assert (await socket.receive(timeout=1)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        with pytest.raises(aiohttp.ClientError):
            await trader.call("GET", "/time")
        await asyncio.sleep(0.35)
        assert (await trader.call("GET", f"/data/order/{order}"))[1]["status"] == "ORDER_STATUS_LIVE"
        for method, path, body in (
            ("POST", "/order", trader.made(yes, "BUY", 4 * UNIT, 10 * UNIT, postOnly=True)),
            ("POST", "/orders", [trader.made(yes, "BUY", 4 * UNIT, 10 * UNIT)]),
            ("DELETE", "/order", {"orderID": order}),
            ("DELETE", "/cancel-all", {}),
        ):
            assert (await trader.send(body, path, method))[0] == 425
        await asyncio.sleep(0.4)
        payload = trader.made(yes, "BUY", 4 * UNIT, 10 * UNIT)
        data = json.dumps(payload).encode()
        async with session.post(
            trader.base + "/order", data=data, headers=trader.headers("POST", "/order", data)
        ) as response:
            told = await response.json()
            assert (response.status, told["error"], told["code"]) == (503, POST_ONLY, "post_only_mode")
            assert response.headers["Retry-After"] == str(told["retry_after_seconds"])
            assert told["retry_after_seconds"] in (1, 2)
        status, told = await trader.send(
            [payload, trader.made(yes, "BUY", 3 * UNIT, 10 * UNIT, postOnly=True)], "/orders"
        )
        assert status == 200
        assert (told[0]["success"], told[0]["orderID"], told[0]["errorMsg"]) == (True, "", POST_ONLY)
        assert told[1]["status"] == "live"
        assert (await trader.cancel(order))["canceled"] == [order]
        await asyncio.sleep(1.5)
        status, told = await trader.send(payload)
        assert (status, told["status"]) == (200, "live")  # what was refused was not used up


async def test_maintenance_refuses_everything_then_takes_cancels_only():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (_, yes, _) = Trader(session, venue.ready(1)), market(venue)
        order = (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"]
        await admin(session, venue, "maintenance", disabled_s=0.3, cancel_only_s=0.4)
        for body, method in ((trader.made(yes, "BUY", 4 * UNIT, 10 * UNIT), "POST"), ({"orderID": order}, "DELETE")):
            status, told = await trader.send(body, method=method)
            assert (status, told["error"][:32]) == (503, "Trading is currently disabled. C")
        await asyncio.sleep(0.35)
        status, told = await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT, postOnly=True)
        assert (status, told["error"][:35]) == (503, "Trading is currently cancel-only. N")
        assert (await trader.cancel(order))["canceled"] == [order]
        await asyncio.sleep(0.4)
        assert (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[0] == 200


async def test_a_market_that_accepts_no_orders_says_so():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        await admin(session, venue, "accepting", market=condition, accepting=False)
        status, told = await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT)
        assert (status, told["error"]) == (400, "the market is not yet ready to process new orders")
        assert (await trader.call("GET", f"/markets/{condition}"))[1]["accepting_orders"] is False


async def limited(session: aiohttp.ClientSession, trader: Trader, method: str, path: str, body: Any) -> Any:
    data = json.dumps(body).encode()
    headers = trader.headers(method, path, data)
    async with session.request(method, trader.base + path, data=data, headers=headers) as response:
        return response.status, await response.json(), response.headers


async def test_each_tier_has_its_budget_and_says_how_much_is_left():
    async with running("polymarket", tier="standard") as venue, aiohttp.ClientSession() as session:
        trader, (_, yes, _) = Trader(session, venue.ready(1)), market(venue)
        frozen = time.time_ns()
        venue.desk.now = lambda: frozen
        assert (await trader.call("GET", "/v1/user/rate-limit-tier"))[1]["tier"] == "Standard"
        orders, headers = list[str](), dict[str, str]()
        for left in range(45, -1, -15):
            batch = [trader.made(yes, "BUY", 4 * UNIT, 10 * UNIT) for _ in range(15)]
            status, told, headers = await limited(session, trader, "POST", "/orders", batch)
            assert (status, headers["Poly-RateLimit-Remaining"], headers["Poly-RateLimit-Tier"]) == (
                200,
                str(left),
                "Standard",
            )
            orders += [leg["orderID"] for leg in told]
        assert headers["Poly-RateLimit-Warning"]
        assert int(headers["Poly-RateLimit-Reset"]) == frozen // 10**9 + 2  # sixty tokens at forty a second
        status, told, headers = await limited(session, trader, "POST", "/order", trader.made(yes, "BUY", UNIT, UNIT))
        assert (status, headers["Poly-RateLimit-Remaining"], int(headers["Retry-After"])) == (429, "0", 1)
        assert told["retry_after_seconds"] == 1
        # cancels have a bucket of their own; a sweep costs what it cancels and may leave it in debt
        status, told, headers = await limited(session, trader, "DELETE", "/orders", orders)
        assert (len(told["canceled"]), headers["Poly-RateLimit-Remaining"]) == (60, "60")
        frozen += 2 * 10**9
        for _ in range(4):
            batch = [trader.made(yes, "BUY", 4 * UNIT, 10 * UNIT) for _ in range(15)]
            orders = (await limited(session, trader, "POST", "/orders", batch))[1]
        for _ in range(7):
            await limited(session, trader, "DELETE", "/orders", [f"0x{n}" for n in range(15)])
        status, told, headers = await limited(session, trader, "DELETE", "/cancel-all", {})
        assert (len(told["canceled"]), int(headers["Poly-RateLimit-Remaining"])) == (60, 120 - 105 - 61)
        assert (await limited(session, trader, "DELETE", "/order", {"orderID": "0x"}))[0] == 429
        frozen += 2 * 10**9
        assert (await limited(session, trader, "DELETE", "/order", {"orderID": "0x"}))[0] == 200


async def test_a_batch_larger_than_the_bucket_never_passes_and_takes_nothing():
    async with running("polymarket", tier="standard") as venue, aiohttp.ClientSession() as session:
        trader, (_, yes, _) = Trader(session, venue.ready(1)), market(venue)
        frozen = time.time_ns()
        venue.desk.now = lambda: frozen
        for _ in range(50):
            assert (await trader.post(yes, "BUY", UNIT, 10 * UNIT))[0] == 200
        batch = [trader.made(yes, "BUY", 4 * UNIT, 10 * UNIT) for _ in range(15)]
        status, _, headers = await limited(session, trader, "POST", "/orders", batch)
        assert (status, venue.clob.buckets.left(trader.key["address"], "order")) == (429, 10)
        assert (await limited(session, trader, "POST", "/orders", batch[:10]))[0] == 200
        told = await ledger(session, venue.ready(1))
        assert sum(order["status"] == "live" for order in told["orders"]) == 60
        assert "Retry-After" in headers


async def test_a_missed_heartbeat_cancels_the_orders_of_its_key_and_only_those():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        ready, (_, yes, _) = venue.ready(1), market(venue)
        guarded, free = Trader(session, ready, key=0), Trader(session, ready, key=1)

        async def beat(last: str) -> tuple[int, Any]:
            return await guarded.send({"heartbeat_id": last}, "/v1/heartbeats")

        first = (await guarded.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"]
        other = (await free.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"]
        status, told = await beat("")
        assert status == 200
        _, again = await beat(told["heartbeat_id"])
        assert again["heartbeat_id"] != told["heartbeat_id"]
        # a second owner does not know the last id, and is told it without being counted
        status, refused = await beat("")
        assert (status, refused) == (400, {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": again["heartbeat_id"]})
        start = time.time_ns()
        venue.desk.now = lambda: start + 9 * 10**9
        venue.desk.flush()
        assert venue.exchange.orders[first].status == "live"
        venue.desk.now = lambda: start + 11 * 10**9
        venue.desk.flush()
        assert (venue.exchange.orders[first].status, venue.exchange.orders[other].status) == ("canceled", "live")


async def test_a_second_sweep_takes_what_was_placed_without_a_beat():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        socket = await trader.sign_in([condition])
        _, told = await trader.send({"heartbeat_id": ""}, "/v1/heartbeats")
        start = time.time_ns()
        venue.desk.now = lambda: start + 11 * 10**9
        venue.desk.flush()
        venue.desk.now = time.time_ns
        late = (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"]
        venue.desk.now = lambda: start + 22 * 10**9
        venue.desk.flush()
        seen = await collect(socket, lambda seen: len(seen) == 2)
        assert [(m["type"], m["status"], m["id"]) for m in seen] == [
            ("PLACEMENT", "LIVE", late), ("CANCELLATION", "CANCELED", late),
        ]  # fmt: skip
        assert told["heartbeat_id"]
        await socket.close()
