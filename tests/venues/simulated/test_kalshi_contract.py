"""Every answer and every frame of the simulated Kalshi venue, held to the venue's own OpenAPI and AsyncAPI documents.

A walk with real sockets through all end points and channels that an engine uses. At the end of each walk stands the list of
what was seen, so that an end point which silently drops out of the walk is noticed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.venues.simulated.clients import check_books, ledger, running
from tests.venues.simulated.kalshi_contract import Contract, Judged, needs_documents
from venues.simulated.scale import UNIT
from venues.simulated.venue import Venue

pytestmark = needs_documents

T, U = "KXHIGHNY-26DEC01-T55", "KXHIGHNY-26DEC01-T60"
EVENT, SERIES = "KXHIGHNY-26DEC01", "KXHIGHNY"
ORDERS = "/portfolio/events/orders"


@asynccontextmanager
async def trading(**more: Any) -> AsyncIterator[tuple[Venue, Judged, aiohttp.ClientSession]]:
    async with running("kalshi", read_lag_ms=0, **more) as venue, aiohttp.ClientSession() as session:
        trader = Judged(session, venue.ready(1))
        trader.contract = Contract()
        venue.exchange.quote(T, "ask", 5_200, 40 * UNIT, 0)
        venue.exchange.quote(T, "bid", 4_800, 40 * UNIT, 0)
        yield venue, trader, session


async def rest(trader: Judged, ticker: str = T, price: str = "0.1000", **more: Any) -> str:
    status, told = await trader.order(ticker, "bid", "5.00", price, time_in_force="good_till_canceled", **more)
    assert status == 201, told
    return str(told["order_id"])


async def done(venue: Venue, session: aiohttp.ClientSession, **what: Any) -> None:
    async with session.post(venue.ready(1)["admin"] + "/kalshi", json=what) as response:
        assert response.status == 200, await response.text()


async def test_orders_from_placing_to_the_last_read():
    async with trading() as (_, trader, _):
        call = trader.call
        status, bought = await trader.order(T, "bid", "3.00", "0.5200")
        assert (status, bought["fill_count"]) == (201, "3.00")
        mine = await rest(trader, expiration_time=4_000_000_000, cancel_order_on_pause=True)
        assert (await call("GET", f"/portfolio/orders/{mine}"))[1]["order"]["status"] == "resting"
        assert (await call("GET", f"/portfolio/orders/{mine}/queue_position"))[1] == {"queue_position_fp": "40.00"}
        query = f"?market_tickers={T}"
        assert len((await call("GET", "/portfolio/orders/queue_positions", query=query))[1]["queue_positions"]) == 1
        amend = {"ticker": T, "side": "bid", "price": "0.1100", "count": "6.00"}
        assert (await call("POST", f"{ORDERS}/{mine}/amend", amend))[1]["remaining_count"] == "6.00"
        decrease = {"reduce_by": "1.00", "market_ticker": T}
        assert (await call("POST", f"{ORDERS}/{mine}/decrease", decrease))[1]["remaining_count"] == "5.00"
        assert (await call("GET", "/portfolio/summary/total_resting_order_value"))[1]["total_resting_order_value"] == 55
        batch = [trader.body(T, "bid", "1.00", "0.2000", time_in_force="good_till_canceled") for _ in range(2)]
        status, told = await call("POST", f"{ORDERS}/batched", {"orders": [*batch, {**batch[0], "price": "0.2050"}]})
        assert [(o["error"] or {}).get("code") for o in told["orders"]] == [None, None, "order_already_exists"]
        ids = [o["order_id"] for o in told["orders"][:2]]
        gone = {"orders": [{"order_id": ids[0], "market_ticker": T}, {"order_id": "nobody's", "market_ticker": T}]}
        status, told = await call("DELETE", f"{ORDERS}/batched", gone)
        assert [o["reduced_by"] for o in told["orders"]] == ["1.00", "0.00"]
        assert (await call("DELETE", f"{ORDERS}/{ids[1]}", query=f"?market_ticker={T}"))[0] == 200
        assert (await call("GET", "/portfolio/orders", query="?status=resting"))[1]["orders"][0]["order_id"] == mine
        assert (await call("DELETE", ORDERS))[0] == 204
        assert (await call("GET", "/portfolio/orders", query="?status=resting"))[1]["orders"] == []
        assert len((await call("GET", "/portfolio/fills", query="?limit=1"))[1]["fills"]) == 1
        _, held = await call("GET", "/portfolio/positions")
        assert held["market_positions"][0]["position_fp"] == "3.00"
        assert held["event_positions"][0]["event_exposure_dollars"] == "1.560000"
        for path in ("/portfolio/balance", "/portfolio/settlements", "/historical/orders", "/historical/fills"):
            assert (await call("GET", path))[0] == 200
        assert trader.contract.seen == {
            "POST /portfolio/events/orders", "DELETE /portfolio/events/orders", "POST /portfolio/events/orders/batched",
            "DELETE /portfolio/events/orders/batched", "DELETE /portfolio/events/orders/{order_id}",
            "POST /portfolio/events/orders/{order_id}/amend", "POST /portfolio/events/orders/{order_id}/decrease",
            "GET /portfolio/orders", "GET /portfolio/orders/{order_id}", "GET /portfolio/orders/queue_positions",
            "GET /portfolio/orders/{order_id}/queue_position", "GET /portfolio/summary/total_resting_order_value",
            "GET /portfolio/fills", "GET /portfolio/positions", "GET /portfolio/balance", "GET /portfolio/settlements",
            "GET /historical/orders", "GET /historical/fills",
        }  # fmt: skip


async def test_groups_subaccounts_shards_and_keys():
    async with trading() as (_, trader, _):
        call = trader.call
        group = {"contracts_limit_fp": "10.00"}
        status, told = await call("POST", "/portfolio/order_groups/create", group)
        one = f"/portfolio/order_groups/{told['order_group_id']}"
        await rest(trader, order_group_id=told["order_group_id"])
        assert len((await call("GET", one))[1]["orders"]) == 1
        for method, path, body in (
            ("PUT", one + "/limit", {"contracts_limit": 20}), ("PUT", one + "/trigger", {}), ("PUT", one + "/reset", {}),
            ("GET", "/portfolio/order_groups", None), ("DELETE", one, None),
        ):  # fmt: skip
            assert (await call(method, path, body))[0] == 200
        assert (await call("GET", one))[0] == 404
        assert (await call("POST", "/portfolio/subaccounts", {}))[1] == {"subaccount_number": 1}
        move = {"client_transfer_id": "a", "from_subaccount": 0, "to_subaccount": 1, "amount_cents": 5_000}
        assert (await call("POST", "/portfolio/subaccounts/transfer", move))[0] == 200
        assert (await call("POST", "/portfolio/subaccounts/transfer", move))[0] == 409
        shard = {"source": "event_contract", "destination": "event_contract", "amount": 10_000}
        status, told = await call(
            "POST", "/portfolio/intra_exchange_instance_transfer", {**shard, "destination_exchange_shard": 2}
        )
        path = "/portfolio/intra_exchange_instance_transfers"
        assert (await call("GET", f"{path}/{told['transfer_id']}"))[1]["transfer"]["amount"] == "1.000000"
        shares = {"allocations": [{"exchange_index": 0, "percent": 90}, {"exchange_index": 2, "percent": 10}]}
        assert (await call("POST", "/portfolio/target_balance_allocation", shares))[0] == 200
        netting = {"subaccount_number": 1, "enabled": True}
        assert (await call("PUT", "/portfolio/subaccounts/netting", netting))[0] == 200
        for read in (
            path, "/portfolio/target_balance_allocation", "/portfolio/subaccounts/netting", "/portfolio/subaccounts/balances",
            "/portfolio/subaccounts/transfers",
        ):  # fmt: skip
            assert (await call("GET", read))[0] == 200
        status, made = await call("POST", "/api_keys/generate", {"name": "rsa"})
        assert (status, made["private_key"].splitlines()[0]) == (201, "-----BEGIN RSA PRIVATE KEY-----")
        status, made = await call("POST", "/api_keys/generate", {"name": "ed", "key_type": "ed25519", "subaccount": 1})
        assert [k["name"] for k in (await call("GET", "/api_keys"))[1]["api_keys"]] == ["main", "main", "rsa", "ed"]
        assert (await call("DELETE", f"/api_keys/{made['api_key_id']}"))[0] == 204
        assert len(trader.contract.seen) == 22


async def test_public_reads_and_what_the_venue_says_of_itself():
    async with trading() as (venue, trader, session):
        await done(venue, session, do="event_fee", ticker=T, multiplier="1.5")
        await done(venue, session, do="series_fee", ticker=T, multiplier="2", seconds=3600)
        await trader.order(T, "bid", "3.00", "0.5200")
        for path, query in (
            ("/exchange/status", ""), ("/exchange/schedule", ""), ("/exchange/user_data_timestamp", ""),
            ("/markets", "?limit=2&status=open&mve_filter=exclude"), ("/markets", "?status=settled"), (f"/markets/{T}", ""),
            (f"/markets/{T}/orderbook", "?depth=1"), ("/markets/orderbooks", f"?tickers={T},{U}"),
            ("/markets/trades", f"?ticker={T}"), ("/series", ""), (f"/series/{SERIES}", ""),
            ("/series/fee_changes", "?show_historical=true"), ("/events/fee_changes", ""), ("/events", "?limit=1"),
            (f"/events/{EVENT}", "?with_nested_markets=true"), (f"/events/{EVENT}", ""), ("/account/limits", ""),
            ("/account/endpoint_costs", ""), ("/historical/cutoff", ""),
        ):  # fmt: skip
            assert (await trader.call("GET", path, query=query))[0] == 200, path
        _, event = await trader.call("GET", f"/events/{EVENT}")
        assert event["event"]["fee_multiplier_override"] == 1.5
        _, changes = await trader.call("GET", "/series/fee_changes")
        assert [c["fee_multiplier"] for c in changes["series_fee_change_arr"]] == [2]
        _, trades = await trader.call("GET", "/markets/trades")
        assert [t["count_fp"] for t in trades["trades"]] == ["3.00"]
        assert len(trader.contract.seen) == 18


async def test_markets_page_by_cursor_and_a_broken_cursor_is_the_first_page():
    async with trading() as (_, trader, _):
        seen: list[str] = []
        cursor = ""
        while True:
            _, page = await trader.call("GET", "/markets", query=f"?limit=7&cursor={cursor}")
            seen += [market["ticker"] for market in page["markets"]]
            cursor = page["cursor"]
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == 24
        _, first = await trader.call("GET", "/markets", query="?limit=7&cursor=garbage")
        assert [market["ticker"] for market in first["markets"]] == seen[:7]


async def test_a_market_to_its_pay_out():
    async with trading() as (venue, trader, session):
        await trader.order(T, "bid", "3.00", "0.5200")
        mine = await rest(trader)
        await done(venue, session, do="close", ticker=T)
        status, told = await trader.call("DELETE", f"{ORDERS}/{mine}", query=f"?market_ticker={T}")
        assert (status, told["error"]["code"]) == (400, "MARKET_INACTIVE")
        await asyncio.sleep(0.35)
        assert (await trader.call("GET", f"/portfolio/orders/{mine}"))[1]["order"]["status"] == "canceled"
        await done(venue, session, do="determine", ticker=T, value="1.00", timer_s=0)
        assert (await trader.call("GET", f"/markets/{T}"))[1]["market"]["status"] == "determined"
        await asyncio.sleep(0.35)
        _, market = await trader.call("GET", f"/markets/{T}")
        assert (market["market"]["status"], market["market"]["settlement_value_dollars"]) == ("finalized", "1.0000")
        _, paid = await trader.call("GET", "/portfolio/settlements")
        assert [(s["market_result"], s["revenue"], s["value"]) for s in paid["settlements"]] == [("yes", 300, 100)]
        assert (await trader.call("GET", "/portfolio/positions"))[1]["market_positions"] == []
        query = "?settlement_status=settled"
        (settled,) = (await trader.call("GET", "/portfolio/positions", query=query))[1]["market_positions"]
        assert (settled["position_fp"], settled["realized_pnl_dollars"]) == ("0.00", "1.440000")
        told = await ledger(session, venue.ready(1))
        assert told["imbalance"] == 0
        account = told["accounts"]["trader-1"]
        assert account["positions"] == {}
        assert account["cash"] == 1_000 * UNIT - 1_560_000 - account["fees_paid"] + 3 * UNIT


async def test_refusals_have_the_recorded_shapes():
    async with trading(deposit=1) as (_, trader, _):
        gtc = "good_till_canceled"
        for body, status, code in (
            (trader.body(T, "bid", "9.00", "0.5200"), 400, "insufficient_balance"),
            (trader.body(T, "bid", "1.00", "0.5250"), 400, "invalid_price"),
            (trader.body(T, "bid", "1.00", "0.5200", time_in_force=gtc, post_only=True), 400, "invalid_order"),
            (trader.body(T, "bid", "1.00", "0.4000", time_in_force="fill_or_kill"), 409, "fill_or_kill_insufficient_resting_volume"),
            (trader.body("NOWHERE", "bid", "1.00", "0.4000"), 404, "market_not_found"),
            (trader.body(T, "bid", "1.00", "0.4000", exchange_index=2), 404, "market_not_found"),
            (trader.body(T, "bid", "1.00", "0.4000", subaccount=3), 404, "not_found"),
            (trader.body(T, "bid", "1.00", "0.4000", order_group_id="none"), 404, "order_group_not_found"),
            (trader.body(T, "bid", "1.00", "0.4000", reduce_only=True), 400, "invalid_order"),
        ):  # fmt: skip
            answered, told = await trader.call("POST", ORDERS, body)
            assert (answered, told["error"]["code"]) == (status, code)
        for field, value in (
            ("count", 1),
            ("price", 0.5),
            ("ticker", 7),
            ("expiration_time", "soon"),
            ("post_only", "yes"),
        ):
            answered, told = await trader.call("POST", ORDERS, trader.body(T, "bid", "1.00", "0.5000") | {field: value})
            assert (answered, told["code"]) == (400, "bad_request")
        for path, query in (
            ("/portfolio/orders", "?limit=1001"),
            ("/markets", "?limit=0"),
            ("/portfolio/fills", "?limit=x"),
        ):
            answered, told = await trader.call("GET", path, query=query)
            assert (answered, list(told)) == (400, ["msg"])


async def test_frames_of_every_channel():
    async with trading() as (venue, trader, session):
        contract, ready = trader.contract, venue.ready(1)
        headers = trader.headers("GET", "/trade-api/ws/v2")
        async with session.ws_connect(ready["ws_market"], headers=headers) as socket:
            frames: list[dict[str, Any]] = []

            async def ask(number: int, cmd: str, **params: Any) -> None:
                await socket.send_str(json.dumps({"id": number, "cmd": cmd, "params": params}))

            async def listen(seconds: float = 0.15) -> list[dict[str, Any]]:
                fresh: list[dict[str, Any]] = []
                try:
                    while True:
                        frame = await socket.receive(timeout=seconds)
                        fresh.append(json.loads(frame.data))
                        contract.frame(fresh[-1])
                except TimeoutError:
                    frames.extend(fresh)
                    return fresh

            await ask(
                1, "subscribe", channels=["orderbook_delta", "ticker"], market_tickers=[T], send_initial_snapshot=True
            )
            private = ["trade", "fill", "user_orders", "market_positions", "market_lifecycle_v2", "order_group_updates"]
            await ask(2, "subscribe", channels=private)
            await listen()
            await trader.order(T, "bid", "3.00", "0.5200")
            mine = await rest(trader)
            await trader.call("DELETE", f"{ORDERS}/{mine}", query=f"?market_ticker={T}")
            group = (await trader.call("POST", "/portfolio/order_groups/create", {"contracts_limit": 2}))[1][
                "order_group_id"
            ]
            await trader.order(T, "bid", "3.00", "0.5200", order_group_id=group)
            for action in ("reset", "limit", "trigger"):
                await trader.call("PUT", f"/portfolio/order_groups/{group}/{action}", {"contracts_limit": 5})
            await trader.call("DELETE", f"/portfolio/order_groups/{group}")
            await ask(3, "update_subscription", sids=[1], action="add_markets", market_tickers=[U])
            await ask(4, "update_subscription", sids=[1], action="get_snapshot", market_tickers=[U])
            await ask(5, "update_subscription", sid=1, action="delete_markets", market_tickers=[U])
            await ask(6, "list_subscriptions")
            for number, params in enumerate(({}, {"channels": ["nonsense"]}, {"channels": ["orderbook_delta"]}), 10):
                await ask(number, "subscribe", **params)
            await ask(20, "update_subscription", sids=[1], action="dance", market_tickers=[U])
            await ask(21, "unsubscribe", sids=[99])
            await ask(22, "unsubscribe", sids=[1, 2])
            await listen()
            await done(venue, session, do="create", ticker=T, new="KXNEW-1", event="KXNEW")
            await done(venue, session, do="halt", ticker=T)
            await done(venue, session, do="activate", ticker=T)
            await done(venue, session, do="tick", ticker=T, structure="deci_cent")
            await done(venue, session, do="event_fee", ticker=T, multiplier="1.5")
            await done(venue, session, do="event_fee", ticker=T, multiplier=None)
            await done(venue, session, do="determine", ticker=T, value="0.00", timer_s=0)
            told = await listen(0.5)
        assert contract.frames == {
            "subscribed", "orderbook_snapshot", "orderbook_delta", "ticker", "trade", "fill", "user_order", "market_position",
            "order_group_updates", "ok", "error", "unsubscribed", "market_lifecycle_v2", "event_fee_update",
            "event_lifecycle",
        }  # fmt: skip
        events = [f["msg"]["event_type"] for f in told if f["type"] == "market_lifecycle_v2"]
        assert events == [
            "created", "deactivated", "activated", "price_level_structure_updated", "close_date_updated", "determined",
            "settled",
        ]  # fmt: skip
        groups = [f["msg"]["event_type"] for f in frames if f["type"] == "order_group_updates"]
        assert groups == ["created", "triggered", "reset", "limit_updated", "triggered", "deleted"]
        assert [f["msg"]["code"] for f in frames if f["type"] == "error"] == [3, 8, 14, 13, 7]
        by_sid: dict[int, list[int]] = {}
        for frame in frames:
            if "seq" in frame:
                by_sid.setdefault(frame["sid"], []).append(frame["seq"])
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_sid.values())
        assert all("sending_ts_ms" in frame for frame in frames)


async def test_the_judge_itself_finds_what_is_wrong():
    contract = Contract()
    good = {"order_id": "x", "fill_count": "0.00", "remaining_count": "1.00", "ts_ms": 1}
    contract.check("POST", "/trade-api/v2" + ORDERS, 201, good)
    for bad in (good | {"fill_count": 0}, good | {"invented": "1"}, {"order_id": "x"}):
        try:
            contract.check("POST", "/trade-api/v2" + ORDERS, 201, bad)
        except AssertionError:
            continue
        raise AssertionError(f"{bad} passed")


async def test_the_books_are_right_at_the_end_of_a_walk():
    async with trading() as (venue, trader, session):
        await trader.order(T, "bid", "3.00", "0.5200")
        await trader.order(T, "ask", "2.00", "0.4800")
        check_books(await ledger(session, venue.ready(1)))
