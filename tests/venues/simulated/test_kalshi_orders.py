"""Changing and taking back orders on Kalshi: amend, decrease, batches, groups, cancel-all and its tail, own orders that meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.venues.simulated.clients import ORDERS, Kalshi, check_books, ledger, running
from venues.simulated.scale import UNIT
from venues.simulated.venue import Venue

T, U = "KXHIGHNY-26DEC01-T55", "KXHIGHNY-26DEC01-T60"
API = "/trade-api/v2"


@asynccontextmanager
async def trading(**more: Any) -> AsyncIterator[tuple[Venue, Kalshi]]:
    async with running("kalshi", **{"read_lag_ms": 0, **more}) as venue, aiohttp.ClientSession() as session:
        yield venue, Kalshi(session, venue.ready(1))
        check_books(await ledger(session, venue.ready(1)))


async def rest(trader: Kalshi, price: str = "0.4000", count: str = "10.00", side: str = "bid", **more: Any) -> str:
    status, told = await trader.order(T, side, count, price, time_in_force="good_till_canceled", **more)
    assert status == 201, told
    return str(told["order_id"])


async def amend(trader: Kalshi, order: str, price: str, count: str, **more: Any) -> tuple[int, Any]:
    body = {"ticker": T, "side": "bid", "price": price, "count": count, **more}
    return await trader.call("POST", f"{ORDERS}/{order}/amend", body)


async def decrease(trader: Kalshi, order: str, **body: Any) -> tuple[int, Any]:
    return await trader.call("POST", f"{ORDERS}/{order}/decrease", body)


async def shown(trader: Kalshi, order: str) -> dict[str, Any]:
    told: dict[str, Any] = (await trader.call("GET", f"{API}/portfolio/orders/{order}"))[1]["order"]
    return told


async def test_a_decrease_keeps_the_place_in_the_queue_and_a_greater_size_loses_it():
    async with trading() as (venue, trader):
        first, second = await rest(trader), await rest(trader)
        assert (await decrease(trader, first, reduce_by="4.00"))[1]["remaining_count"] == "6.00"
        queue = venue.exchange.books[T].queue("bid", 4_000)
        assert [o.venue_order for o in queue] == [first, second]
        _, ahead = await trader.call("GET", f"{API}/portfolio/orders/{second}/queue_position")
        assert ahead == {"queue_position_fp": "6.00"}
        assert (await amend(trader, first, "0.4000", "5.00"))[1]["remaining_count"] == "5.00"
        assert [o.venue_order for o in queue] == [first, second]
        assert (await amend(trader, first, "0.4000", "7.00"))[1]["remaining_count"] == "7.00"
        assert [o.venue_order for o in venue.exchange.books[T].queue("bid", 4_000)] == [second, first]
        told = await shown(trader, first)
        assert (told["initial_count_fp"], told["remaining_count_fp"], told["status"]) == ("10.00", "7.00", "resting")


async def test_a_decrease_to_nothing_ends_the_order():
    async with trading() as (_, trader):
        order = await rest(trader)
        assert (await decrease(trader, order, reduce_to="0.00"))[1]["remaining_count"] == "0.00"
        assert (await shown(trader, order))["status"] == "canceled"
        assert (await decrease(trader, order, reduce_by="1.00"))[0] == 404
        for body in ({}, {"reduce_by": "1.00", "reduce_to": "1.00"}, {"reduce_by": 1}, {"reduce_to": "11.00"}):
            assert (await decrease(trader, await rest(trader, count="2.00"), **body))[0] == 400


async def test_an_amended_order_counts_what_was_filled_and_may_trade_at_once():
    async with trading() as (venue, trader):
        order = await rest(trader)
        venue.exchange.quote(T, "ask", 4_000, 3 * UNIT, 0)  # meets our bid: three of ten are filled
        venue.exchange.quote(T, "ask", 4_500, 4 * UNIT, 0)
        status, told = await amend(trader, order, "0.4500", "10.00")
        assert (status, told["fill_count"], told["remaining_count"]) == (200, "4.00", "3.00")
        assert told["average_fill_price"] == "0.4500"
        read = await shown(trader, order)
        assert (read["fill_count_fp"], read["yes_price_dollars"], read["status"]) == ("7.00", "0.4500", "resting")
        assert (await amend(trader, order, "0.4500", "7.00"))[0] == 400  # no more than what is filled
        assert (await amend(trader, order, "0.4505", "9.00"))[1]["error"]["code"] == "invalid_price"
        assert (await amend(trader, order, "0.9900", "9000.00"))[1]["error"]["code"] == "insufficient_balance"
        assert (await shown(trader, order))["remaining_count_fp"] == "3.00"  # a refused change changes nothing


async def test_an_amendment_gives_a_new_name_that_is_used_up_like_any_other():
    async with trading() as (_, trader):
        order = await rest(trader)
        status, told = await amend(trader, order, "0.3000", "10.00", updated_client_order_id="second-name")
        assert (status, told["client_order_id"]) == (200, "second-name")
        again = trader.body(T, "bid", "1.00", "0.1000") | {"client_order_id": "second-name"}
        assert (await trader.call("POST", ORDERS, again))[0] == 409
        assert (await trader.call("POST", ORDERS, again | {"client_order_id": "test-1"}))[0] == 409


async def test_an_expiry_can_be_moved_and_taken_away():
    async with trading() as (venue, trader):
        soon = venue.desk.now() // 10**9 + 1
        order = await rest(trader, expiration_time=soon)
        kept = await rest(trader, expiration_time=soon)
        assert (await amend(trader, kept, "0.4000", "10.00", expiration_time=0))[0] == 200
        await asyncio.sleep(max(0, soon - venue.desk.now() / 1e9) + 0.15)
        assert (await shown(trader, order))["status"] == "canceled"
        assert (await shown(trader, kept))["status"] == "resting"


async def test_a_cancel_finds_its_order_by_the_market_or_on_shard_0():
    async with trading() as (_, trader):
        order = await rest(trader)
        path = f"{ORDERS}/{order}"
        for query in (f"?market_ticker={U}", "?exchange_index=2", "?subaccount=1"):
            assert (await trader.call("DELETE", path, query=query))[0] == 404
        assert (await trader.call("DELETE", path))[0] == 200
        assert (await trader.call("DELETE", path, query=f"?market_ticker={T}"))[0] == 404


async def test_cancel_all_goes_on_for_a_minute():
    async with trading() as (_, trader):
        first = await rest(trader)
        assert (await trader.call("DELETE", ORDERS))[0] == 204
        assert (await shown(trader, first))["status"] == "canceled"
        late = await rest(trader)
        assert (await shown(trader, late))["status"] == "resting"
        await asyncio.sleep(0.15)
        assert (await shown(trader, late))["status"] == "canceled"


async def test_a_batch_is_billed_by_the_item_and_refused_as_a_whole():
    async with trading(tier="basic") as (venue, trader):
        bodies = [trader.body(T, "bid", "1.00", "0.1000", time_in_force="good_till_canceled") for _ in range(11)]
        status, told = await trader.call("POST", ORDERS + "/batched", {"orders": bodies})
        assert (status, told) == (429, {"error": "too many requests"})
        status, told = await trader.call("POST", ORDERS + "/batched", {"orders": bodies[:9]})
        assert (status, [o["error"] for o in told["orders"]]) == (201, [None] * 9)
        assert len([o for o in venue.exchange.orders.values() if o.status == "live"]) == 9
        judged = [(r["wire_id"], r["status"]) for r in (await ledger(trader.session, trader.ready))["requests"]]
        assert judged == [(body["client_order_id"], 201) for body in bodies[:9]]


async def test_a_group_that_reaches_its_limit_ends_until_it_is_reset():
    async with trading() as (venue, trader):
        venue.exchange.quote(T, "ask", 5_000, 40 * UNIT, 0)
        groups = f"{API}/portfolio/order_groups"
        _, made = await trader.call("POST", groups + "/create", {"contracts_limit_fp": "5.00"})
        group = made["order_group_id"]
        resting = await rest(trader, order_group_id=group)
        apart = await rest(trader)
        assert (await trader.order(T, "bid", "4.00", "0.5000", order_group_id=group))[0] == 201
        assert (await shown(trader, resting))["status"] == "resting"
        assert (await trader.order(T, "bid", "2.00", "0.5000", order_group_id=group))[1]["fill_count"] == "2.00"
        assert (await shown(trader, resting))["status"] == "canceled"
        assert (await shown(trader, apart))["status"] == "resting"
        status, told = await trader.order(T, "bid", "1.00", "0.5000", order_group_id=group)
        assert (status, told["error"]["code"]) == (400, "invalid_order")
        assert (await trader.call("GET", f"{groups}/{group}"))[1]["is_auto_cancel_enabled"] is False
        assert (await trader.call("PUT", f"{groups}/{group}/reset", {}))[0] == 200
        fresh = await rest(trader, order_group_id=group)
        assert (await trader.call("DELETE", f"{groups}/{group}"))[0] == 200
        assert (await shown(trader, fresh))["status"] == "canceled"


async def test_a_makers_fill_counts_for_its_group():
    async with trading() as (venue, trader):
        groups = f"{API}/portfolio/order_groups"
        _, made = await trader.call("POST", groups + "/create", {"contracts_limit": 3})
        order = await rest(trader, order_group_id=made["order_group_id"])
        venue.exchange.quote(T, "ask", 4_000, 3 * UNIT, venue.desk.now())
        venue.desk.flush()
        read = await shown(trader, order)
        assert (read["status"], read["fill_count_fp"]) == ("canceled", "3.00")


async def test_own_orders_that_would_meet():
    async with trading() as (_, trader):
        resting = await rest(trader, side="bid", price="0.5000")
        status, told = await trader.order(T, "ask", "1.00", "0.5000")
        assert (status, told["fill_count"], told["remaining_count"]) == (201, "0.00", "0.00")
        assert (await shown(trader, resting))["status"] == "resting"
        _, told = await trader.order(T, "ask", "1.00", "0.5000", self_trade_prevention_type="maker")
        assert told["fill_count"] == "0.00"
        assert (await shown(trader, resting))["status"] == "canceled"


async def test_an_own_order_out_of_reach_stays():
    async with trading() as (venue, trader):
        venue.exchange.quote(T, "bid", 5_100, 5 * UNIT, 0)
        resting = await rest(trader, price="0.5000")
        _, told = await trader.order(T, "ask", "5.00", "0.5000", self_trade_prevention_type="maker")
        assert (told["fill_count"], await status_of(trader, resting)) == ("5.00", "resting")


async def status_of(trader: Kalshi, order: str) -> str:
    return str((await shown(trader, order))["status"])


async def test_a_refused_amendment_does_not_use_up_its_new_name():
    async with trading() as (_, trader):
        order = await rest(trader)
        status, _ = await amend(trader, order, "0.9900", "9000.00", updated_client_order_id="fresh")
        assert status == 400
        assert (await shown(trader, order))["client_order_id"] == "test-1"
        body = trader.body(T, "bid", "1.00", "0.1000", time_in_force="good_till_canceled") | {
            "client_order_id": "fresh"
        }
        assert (await trader.call("POST", ORDERS, body))[0] == 201


async def test_reduce_only_never_turns_a_position_around():
    async with trading() as (venue, trader):
        venue.exchange.quote(T, "ask", 5_000, 9 * UNIT, 0)
        venue.exchange.quote(T, "bid", 4_900, 9 * UNIT, 0)
        assert (await trader.order(T, "ask", "1.00", "0.4900", reduce_only=True))[0] == 400
        await trader.order(T, "bid", "3.00", "0.5000")
        _, told = await trader.order(T, "ask", "8.00", "0.4900", reduce_only=True)
        assert told["fill_count"] == "3.00"


async def test_the_dead_order_endpoints_say_so():
    async with trading() as (_, trader):
        for method, path in (("POST", ""), ("DELETE", "/some-id"), ("POST", "/batched"), ("POST", "/some-id/amend")):
            status, told = await trader.call(method, f"{API}/portfolio/orders{path}", {"ticker": T})
            assert (status, told["error"]["message"]) == (400, "Please switch to the V2 endpoints")


async def test_an_immediate_order_that_meets_nothing_is_answered_in_either_of_two_ways():
    async with trading() as (venue, trader):
        status, told = await trader.order(T, "bid", "1.00", "0.5000")
        assert (status, told["fill_count"], told["remaining_count"]) == (201, "0.00", "0.00")
        async with trader.session.post(venue.ready(1)["admin"] + "/kalshi", json={"do": "kill_unmatched"}) as response:
            assert response.status == 200
        killed = trader.body(T, "bid", "1.00", "0.5000")
        status, told = await trader.call("POST", ORDERS, killed)
        assert (status, told["error"]["code"]) == (409, "immediate_or_cancel_insufficient_resting_volume")
        assert (await trader.call("POST", ORDERS, killed))[1]["error"]["code"] == "order_already_exists"


async def test_changes_and_batches_are_addressed_by_fault_files(tmp_path: Path):
    path = tmp_path / "faults.yaml"
    path.write_text(
        "rules:\n- {kind: error_after_accept, endpoint: change, orders: [1]}\n"
        "- {kind: timeout_after_accept, endpoint: batch, orders: [1]}\n"
        "- {kind: request_lost, endpoint: batch, orders: [2]}\n",
        encoding="utf-8",
    )
    async with trading(faults=str(path)) as (venue, trader):
        order = await rest(trader)
        assert (await amend(trader, order, "0.3000", "10.00"))[0] in (502, 503)
        assert (await shown(trader, order))["yes_price_dollars"] == "0.3000"  # it was changed all the same
        bodies = [trader.body(T, "bid", "1.00", "0.1000", time_in_force="good_till_canceled") for _ in range(2)]
        for placed in (2, 2):
            with pytest.raises(aiohttp.ClientError):
                await trader.call("POST", ORDERS + "/batched", {"orders": bodies})
            assert len([o for o in venue.exchange.orders.values() if o.price == 1_000]) == placed
        status, told = await trader.call("POST", ORDERS + "/batched", {"orders": bodies})
        assert (status, {o["error"]["code"] for o in told["orders"]}) == (201, {"order_already_exists"})
