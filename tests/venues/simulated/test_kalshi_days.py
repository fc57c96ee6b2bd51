"""Bad days at Kalshi: halts, closes, pay-outs, pauses, maintenance, restarts, storms, other grids and other fees."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from tests.venues.simulated.clients import ORDERS, Kalshi, check_books, collect, ledger, running
from venues.simulated.desk import Upheaval
from venues.simulated.faults import SHAKEN, UPHEAVALS
from venues.simulated.kalshi_state import Status
from venues.simulated.scale import UNIT
from venues.simulated.venue import Venue

T, U = "KXHIGHNY-26DEC01-T55", "KXHIGHNY-26DEC01-T60"
API = "/trade-api/v2"


@asynccontextmanager
async def trading(**more: Any) -> AsyncIterator[tuple[Venue, Kalshi]]:
    async with running("kalshi", **{"read_lag_ms": 0, **more}) as venue, aiohttp.ClientSession() as session:
        venue.exchange.quote(T, "ask", 5_000, 40 * UNIT, 0)
        yield venue, Kalshi(session, venue.ready(1))


async def rest(trader: Kalshi, **more: Any) -> str:
    status, told = await trader.order(T, "bid", "5.00", "0.1000", time_in_force="good_till_canceled", **more)
    assert status == 201, told
    return str(told["order_id"])


async def switch(venue: Venue, trader: Kalshi, **what: Any) -> None:
    async with trader.session.post(venue.ready(1)["admin"] + "/kalshi", json=what) as response:
        assert response.status == 200, await response.text()


async def shown(trader: Kalshi, order: str) -> str:
    return str((await trader.call("GET", f"{API}/portfolio/orders/{order}"))[1]["order"]["status"])


@asynccontextmanager
async def listening(trader: Kalshi, venue: Venue, *channels: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = trader.headers("GET", "/trade-api/ws/v2")
    async with trader.session.ws_connect(venue.ready(1)["ws_market"], headers=headers) as socket:
        await socket.send_str(json.dumps({"id": 1, "cmd": "subscribe", "params": {"channels": list(channels)}}))
        await collect(socket, lambda seen: len(seen) == len(channels))
        yield socket


async def test_a_market_that_trades_again_after_a_halt_has_lost_its_orders():
    async with trading() as (venue, trader), listening(trader, venue, "market_lifecycle_v2", "user_orders") as socket:
        order = await rest(trader)
        await switch(venue, trader, do="halt", ticker=T)
        assert (await trader.call("GET", f"{API}/markets/{T}"))[1]["market"]["status"] == "inactive"
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[1]["error"]["code"] == "MARKET_INACTIVE"
        assert await shown(trader, order) == "resting"
        await switch(venue, trader, do="activate", ticker=T)
        assert await shown(trader, order) == "canceled"
        seen = await collect(socket, lambda seen: len(seen) == 4)
        told = [(m["msg"].get("event_type"), m["msg"].get("last_update_reason")) for m in seen]
        assert set(told) == {(None, None), ("deactivated", None), ("activated", None), (None, "HaltCancel")}
        assert (await rest(trader)) != order


async def test_after_the_close_even_cancels_are_refused_and_what_rested_goes():
    async with trading() as (venue, trader), listening(trader, venue, "user_orders") as socket:
        order = await rest(trader)
        await switch(venue, trader, do="close", ticker=T)
        for method, path, body in (
            ("POST", ORDERS, trader.body(T, "bid", "1.00", "0.5000")), ("DELETE", f"{ORDERS}/{order}?", None),
            ("POST", f"{ORDERS}/{order}/decrease", {"reduce_by": "1.00", "market_ticker": T}),
        ):  # fmt: skip
            status, told = await trader.call(method, path.rstrip("?"), body, "?market_ticker=" + T)
            assert (status, told["error"]["code"]) == (400, "MARKET_INACTIVE")
        seen = await collect(socket, lambda seen: len(seen) == 2)
        assert [m["msg"].get("last_update_reason") for m in seen] == [None, "CloseCancel"]
        assert (await trader.call("GET", f"{API}/markets", query="?status=closed"))[1]["markets"][0]["ticker"] == T


async def test_a_market_closes_by_itself_when_its_time_has_come():
    async with trading() as (venue, trader):
        order = await rest(trader)
        await switch(venue, trader, do="close", ticker=T, seconds=0.4)
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[0] == 201
        await asyncio.sleep(0.8)
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[1]["error"]["code"] == "MARKET_INACTIVE"
        assert await shown(trader, order) == "canceled"


@pytest.mark.parametrize(
    ("value", "result", "paid"), [("1.00", "yes", 4_000_000), ("0.00", "no", 0), ("0.37", "scalar", 1_480_000)]
)
async def test_a_pay_out_makes_no_money_and_loses_none(value: str, result: str, paid: int):
    async with trading() as (venue, trader):
        await trader.order(T, "bid", "4.00", "0.5000")
        before = (await ledger(trader.session, trader.ready))["accounts"]["trader-1"]["cash"]
        await switch(venue, trader, do="determine", ticker=T, value=value, timer_s=0)
        await asyncio.sleep(0.3)
        told = await ledger(trader.session, trader.ready)
        assert (told["imbalance"], told["accounts"]["trader-1"]["cash"] - before) == (0, paid)
        moved = [m for m in told["movements"] if m["kind"] == "settlement"]
        assert [(m["account"], m["cash"]) for m in moved] == [("trader-1", paid)]
        market = (await trader.call("GET", f"{API}/markets/{T}"))[1]["market"]
        assert (market["status"], market["result"]) == ("finalized", result)
        assert market["status"] in get_args(Status)


async def test_during_a_pause_cancels_are_taken_and_nothing_else():
    async with trading() as (venue, trader):
        stays, goes, cancelled = await rest(trader), await rest(trader, cancel_order_on_pause=True), await rest(trader)
        await switch(venue, trader, do="pause")
        status = (await trader.call("GET", API + "/exchange/status"))[1]
        assert (status["exchange_active"], status["trading_active"]) == (True, False)
        (announced,) = (await trader.call("GET", API + "/exchange/announcements"))[1]["announcements"]
        assert (announced["message"], announced["status"]) == ("Trading is paused", "active")
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[1]["error"]["code"] == "trading_paused"
        amend = {"ticker": T, "side": "bid", "price": "0.1100", "count": "5.00"}
        assert (await trader.call("POST", f"{ORDERS}/{stays}/amend", amend))[0] == 403
        assert (await trader.call("DELETE", f"{ORDERS}/{cancelled}", query=f"?market_ticker={T}"))[0] == 200
        assert [await shown(trader, order) for order in (stays, goes)] == ["resting", "canceled"]
        await switch(venue, trader, do="resume")
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[0] == 201


async def test_one_shard_may_be_paused_alone():
    async with trading() as (venue, trader):
        await switch(venue, trader, do="pause", exchange_index=2)
        told = (await trader.call("GET", API + "/exchange/status"))[1]
        assert [s["trading_active"] for s in told["exchange_index_statuses"]] == [True, True, False, True]
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[0] == 201


async def test_maintenance_takes_nothing_breaks_the_sockets_and_ends():
    async with trading() as (venue, trader):
        order = await rest(trader)
        async with listening(trader, venue, "user_orders") as socket:
            await switch(venue, trader, do="maintenance", seconds=0.5)
            assert (await socket.receive(timeout=1)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[0] == 503
        assert (await trader.call("DELETE", f"{ORDERS}/{order}", query=f"?market_ticker={T}"))[0] == 503
        status = (await trader.call("GET", API + "/exchange/status"))[1]
        assert (status["exchange_active"], "exchange_estimated_resume_time" in status) == (False, True)
        assert await shown(trader, order) == "resting"  # reads go on
        await asyncio.sleep(0.6)
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[0] == 201


async def test_after_a_restart_everything_is_still_there():
    async with trading() as (venue, trader):
        order = await rest(trader)
        await trader.order(T, "bid", "2.00", "0.5000")
        async with listening(trader, venue, "user_orders") as socket:
            await switch(venue, trader, do="restart", seconds=0.4)
            assert (await socket.receive(timeout=1)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        with pytest.raises(aiohttp.ClientError):
            await trader.call("GET", API + "/portfolio/balance")
        await asyncio.sleep(0.5)
        assert await shown(trader, order) == "resting"
        assert (
            await trader.call("POST", ORDERS, trader.body(T, "bid", "1.00", "0.1000") | {"client_order_id": "test-1"})
        )[0] == 409
        positions = (await trader.call("GET", API + "/portfolio/positions"))[1]["market_positions"]
        assert positions[0]["position_fp"] == "2.00"
        check_books(await ledger(trader.session, trader.ready))


async def test_in_a_storm_nobody_has_tokens():
    async with trading() as (venue, trader):
        await switch(venue, trader, do="rate_storm", seconds=0.4)
        assert await trader.order(T, "bid", "1.00", "0.5000") == (429, {"error": "too many requests"})
        assert (await trader.call("GET", API + "/portfolio/balance"))[0] == 429
        await asyncio.sleep(0.45)
        assert (await trader.order(T, "bid", "1.00", "0.5000"))[0] == 201


async def test_another_grid_takes_other_prices():
    async with trading() as (venue, trader):
        assert (await trader.order(T, "bid", "1.00", "0.1010"))[1]["error"]["code"] == "invalid_price"
        await switch(venue, trader, do="tick", ticker=T, structure="deci_cent")
        fine = await trader.order(T, "bid", "1.00", "0.1010", time_in_force="good_till_canceled")
        assert fine[0] == 201
        market = (await trader.call("GET", f"{API}/markets/{T}"))[1]["market"]
        assert (market["price_level_structure"], market["price_ranges"][0]["step"]) == ("deci_cent", "0.0010")
        await switch(venue, trader, do="tick", ticker=T, structure="linear_cent")
        assert (await trader.order(T, "bid", "1.00", "0.1010"))[1]["error"]["code"] == "invalid_price"
        assert await shown(trader, fine[1]["order_id"]) == "resting"


async def test_a_fee_override_holds_from_the_next_fill_on():
    async with trading() as (venue, trader):

        async def fee() -> str:
            await trader.order(T, "bid", "1.00", "0.5000")
            told = (await trader.call("GET", API + "/portfolio/fills", query="?limit=1"))[1]
            return str(told["fills"][0]["fee_cost"])

        assert await fee() == "0.017500"
        await switch(venue, trader, do="event_fee", ticker=T, multiplier="2")
        assert await fee() == "0.035000"
        await switch(venue, trader, do="event_fee", ticker=T, multiplier=None)
        assert await fee() == "0.017500"
        changes = (await trader.call("GET", API + "/events/fee_changes"))[1]["event_fee_changes"]
        assert [c["fee_multiplier_override"] for c in changes] == [None, 2]
        check_books(await ledger(trader.session, trader.ready))


async def test_makers_pay_where_the_series_says_so():
    async with trading() as (venue, trader):
        kind = "quadratic_with_maker_fees"
        await switch(venue, trader, do="series_fee", ticker=T, multiplier="1", fee_type=kind)
        await trader.order(T, "bid", "10.00", "0.2500", time_in_force="good_till_canceled")
        venue.exchange.quote(T, "ask", 2_500, 10 * UNIT, venue.desk.now())
        venue.desk.flush()
        (fill,) = (await trader.call("GET", API + "/portfolio/fills"))[1]["fills"]
        exact = Fraction(175, 10_000) * 10 * Fraction(1, 4) * Fraction(3, 4)
        assert (fill["is_taker"], exact <= Fraction(fill["fee_cost"]) <= exact + Fraction(1, 10_000)) == (False, True)


@pytest.mark.parametrize("kind", [*SHAKEN["kalshi"], "resolution"])
async def test_an_upheaval_of_a_script_strikes_while_orders_are_open(tmp_path: Path, kind: str):
    path = tmp_path / "faults.yaml"
    path.write_text(f"rules: [{{kind: {kind}, orders: [2]}}]\n", encoding="utf-8")
    async with trading(faults=str(path)) as (_, trader):
        await rest(trader)
        try:
            await trader.order(T, "bid", "1.00", "0.5000")
        except aiohttp.ClientError:
            assert kind == "restart"
        await asyncio.sleep(1.3)
        told = await ledger(trader.session, trader.ready)
        assert told["faults_hit"] == {kind: 1}
        (struck,) = told["upheavals"]
        assert (struck["kind"], struck["market"], struck["orders_open"]) == (kind, T, 2)
        assert told["imbalance"] == 0
        if kind != "resolution":
            assert (await trader.order(T, "bid", "1.00", "0.5000"))[0] == 201  # it is over


def test_the_venue_knows_every_upheaval_of_its_script():
    assert set(SHAKEN["kalshi"]) < UPHEAVALS
    assert {"restart", "maintenance", "rate_storm", "tick_change", "fee_change", "pause"} <= set(SHAKEN["kalshi"])
    assert Upheaval.__dataclass_fields__.keys() == {"possible", "strike"}


async def test_a_wrong_switch_is_explained():
    async with trading() as (venue, trader):
        wrong: list[Any] = [
            {"do": "dance", "ticker": T},
            {"do": "halt"},
            {"do": "tick", "ticker": T, "structure": "x"},
            [],
        ]
        for body in wrong:
            async with trader.session.post(venue.ready(1)["admin"] + "/kalshi", json=body) as response:
                assert response.status == 400
                assert "maintenance" in (await response.json())["error"]


async def test_a_new_market_is_told_before_it_can_be_read_and_opens_in_silence():
    async with trading() as (venue, trader), listening(trader, venue, "market_lifecycle_v2") as socket:
        fresh = "KXHIGHNY-26DEC09-T55"
        await switch(venue, trader, do="create", ticker=T, new=fresh, event="KXHIGHNY-26DEC09", seconds=0.6)
        created, event = await collect(socket, lambda seen: len(seen) == 2)
        assert (created["msg"]["event_type"], event["type"]) == ("created", "event_lifecycle")
        assert (await trader.call("GET", f"{API}/markets/{fresh}"))[0] == 404
        await asyncio.sleep(0.4)
        assert (await trader.call("GET", f"{API}/markets/{fresh}"))[1]["market"]["status"] == "initialized"
        assert (await trader.order(fresh, "bid", "1.00", "0.5000"))[1]["error"]["code"] == "MARKET_INACTIVE"
        await asyncio.sleep(0.3)
        assert (await trader.order(fresh, "bid", "1.00", "0.5000"))[0] == 201
        assert await collect(socket, bool, 0.1) == []


async def test_a_disputed_result_is_amended_before_it_pays():
    async with trading() as (venue, trader):
        await trader.order(T, "bid", "4.00", "0.5000")
        await switch(venue, trader, do="determine", ticker=T, value="0.00", timer_s=0)
        await switch(venue, trader, do="dispute", ticker=T)
        await asyncio.sleep(0.3)
        assert (await trader.call("GET", f"{API}/markets/{T}"))[1]["market"]["status"] == "disputed"
        await switch(venue, trader, do="determine", ticker=T, value="1.00", timer_s=0)
        assert (await trader.call("GET", f"{API}/markets/{T}"))[1]["market"]["status"] == "amended"
        await asyncio.sleep(0.3)
        (paid,) = (await trader.call("GET", API + "/portfolio/settlements"))[1]["settlements"]
        assert (paid["market_result"], paid["revenue"]) == ("yes", 400)
