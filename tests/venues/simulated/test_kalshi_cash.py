"""Whose money it is and who may spend it: shards, sub-accounts, keys, tiers and buckets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.venues.simulated.clients import ORDERS, SIM_PAIRS, Kalshi, check_books, ledger, running
from venues.simulated.scale import UNIT

T, U = "KXHIGHNY-26DEC01-T55", "KXHIGHNY-26DEC01-T60"
API = "/trade-api/v2"
MOVE = API + "/portfolio/intra_exchange_instance_transfer"


def two_shards(folder: Path) -> Path:
    """The sample pairs, the first of them on shard 2."""
    told = yaml.safe_load(SIM_PAIRS.read_text(encoding="utf-8"))
    told["pairs"][0]["kalshi"]["exchange_index"] = 2
    path = folder / "pairs.yaml"
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    return path


async def balance(trader: Kalshi, query: str = "") -> Any:
    status, told = await trader.call("GET", API + "/portfolio/balance", query=query)
    assert status == 200
    return told


async def move(trader: Kalshi, centicents: int, **more: Any) -> int:
    body = {"source": "event_contract", "destination": "event_contract", "amount": centicents, **more}
    return (await trader.call("POST", MOVE, body))[0]


async def test_cash_lies_on_a_shard_and_buys_there_only(tmp_path: Path):
    async with (
        running("kalshi", read_lag_ms=0, pairs=two_shards(tmp_path)) as venue,
        aiohttp.ClientSession() as session,
    ):
        trader = Kalshi(session, venue.ready(1))
        assert await move(trader, 9_999_000, source_exchange_shard=2) == 200  # ten cents stay on shard 2
        told = await balance(trader)
        assert told["balance_dollars"] == "2000.0000"
        assert [row["balance"] for row in told["balance_breakdown"]] == ["1999.9000", "0.1000"]
        status, answer = await trader.order(T, "bid", "1.00", "0.5000", time_in_force="good_till_canceled")
        assert (status, answer["error"]["code"]) == (400, "insufficient_balance")  # though the sum is healthy
        status, made = await trader.order(T, "bid", "1.00", "0.0500", time_in_force="good_till_canceled")
        assert status == 201
        assert (await trader.call("DELETE", f"{ORDERS}/{made['order_id']}"))[0] == 404  # that goes to shard 0
        assert (await trader.call("DELETE", f"{ORDERS}/{made['order_id']}", query="?exchange_index=2"))[0] == 200
        for pinned, wanted in ((0, 404), (2, 201), (-1, 201)):
            body = trader.body(T, "bid", "1.00", "0.0100", time_in_force="good_till_canceled", exchange_index=pinned)
            assert (await trader.call("POST", ORDERS, body))[0] == wanted
        assert (await balance(trader, "?exchange_index=2"))["balance_dollars"] < "0.0800"
        check_books(await ledger(session, venue.ready(1)))


async def test_a_shard_without_an_account_knows_no_user(tmp_path: Path):
    async with (
        running("kalshi", read_lag_ms=0, pairs=two_shards(tmp_path)) as venue,
        aiohttp.ClientSession() as session,
    ):
        trader = Kalshi(session, venue.ready(1))
        await trader.call("POST", API + "/portfolio/subaccounts", {})
        status, told = await trader.order(T, "bid", "1.00", "0.0100", subaccount=1)
        assert (status, told["error"]["code"]) == (404, "user_not_found")
        assert told["error"]["details"].startswith("user_not_found: ")


async def test_a_target_allocation_moves_free_cash_after_a_while(tmp_path: Path):
    async with running("kalshi", read_lag_ms=0) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        shares = {"allocations": [{"exchange_index": 0, "percent": 75}, {"exchange_index": 2, "percent": 25}]}
        assert (await trader.call("POST", API + "/portfolio/target_balance_allocation", shares))[0] == 200
        assert (await balance(trader))["balance_breakdown"] == [{"balance": "1000.0000", "exchange_index": 0}]
        real, venue.desk.now = venue.desk.now, lambda: real() + 11 * 10**9
        await asyncio.sleep(0.1)
        held = {name: account.cash for name, account in venue.exchange.accounts.items() if not account.unlimited}
        assert (held["trader-1"], held["trader-1/0/2"]) == (750 * UNIT, 250 * UNIT)
        check_books(await ledger(session, venue.ready(1)))


async def test_subaccounts_trade_apart_and_share_the_users_ids():
    async with running("kalshi", read_lag_ms=0) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_000, 40 * UNIT, 0)
        assert (await trader.call("POST", API + "/portfolio/subaccounts", {}))[1] == {"subaccount_number": 1}
        assert (await trader.order(T, "bid", "2.00", "0.5000", subaccount=1))[1]["error"][
            "code"
        ] == "insufficient_balance"
        body = {"client_transfer_id": "t", "from_subaccount": 0, "to_subaccount": 1, "amount_cents": 10_000}
        assert (await trader.call("POST", API + "/portfolio/subaccounts/transfer", body))[0] == 200
        bought = trader.body(T, "bid", "2.00", "0.5000", subaccount=1)
        assert (await trader.call("POST", ORDERS, bought))[1]["fill_count"] == "2.00"
        assert (await trader.call("POST", ORDERS, {**bought, "subaccount": 0}))[0] == 409
        # orders and fills are those of all sub-accounts, positions and balances those of the primary one
        _, fills = await trader.call("GET", API + "/portfolio/fills")
        assert [f["subaccount_number"] for f in fills["fills"]] == [1]
        positions = API + "/portfolio/positions"
        assert (await trader.call("GET", positions))[1]["market_positions"] == []
        assert len((await trader.call("GET", positions, query="?subaccount=1"))[1]["market_positions"]) == 1
        assert (await balance(trader))["balance_dollars"] == "900.0000"
        await asyncio.sleep(0.25)
        assert (await balance(trader, "?subaccount=1"))["balance_dollars"] == "98.9650"
        check_books(await ledger(session, venue.ready(1)))


async def test_own_orders_of_two_subaccounts_do_not_trade():
    async with running("kalshi", read_lag_ms=0) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        await trader.call("POST", API + "/portfolio/subaccounts", {})
        body = {"client_transfer_id": "t", "from_subaccount": 0, "to_subaccount": 1, "amount_cents": 10_000}
        await trader.call("POST", API + "/portfolio/subaccounts/transfer", body)
        await trader.order(T, "bid", "2.00", "0.5000", time_in_force="good_till_canceled")
        _, told = await trader.order(T, "ask", "2.00", "0.5000", subaccount=1)
        assert told["fill_count"] == "0.00"


async def test_a_restricted_key_sees_its_subaccount_only():
    async with running("kalshi", read_lag_ms=0) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        await trader.call("POST", API + "/portfolio/subaccounts", {})
        mine = (await trader.order(T, "bid", "1.00", "0.1000", time_in_force="good_till_canceled"))[1]["order_id"]
        narrow = Kalshi(session, venue.ready(1))
        await key_for(trader, narrow, subaccount=1)
        assert "balance_breakdown" not in await balance(narrow)
        assert (await balance(narrow))["balance_dollars"] == "0.0000"
        assert (await narrow.call("GET", API + "/portfolio/balance", query="?subaccount=0"))[0] == 403
        assert (await narrow.call("GET", f"{API}/portfolio/orders/{mine}"))[0] == 404
        assert (await narrow.call("GET", API + "/portfolio/orders"))[1]["orders"] == []


async def key_for(trader: Kalshi, narrow: Kalshi, **more: Any) -> None:
    body = {"name": "narrow", "key_type": "ed25519", **more}
    status, made = await trader.call("POST", API + "/api_keys/generate", body)
    assert status == 201
    loaded = serialization.load_pem_private_key(made["private_key"].encode(), None)
    assert isinstance(loaded, Ed25519PrivateKey)
    narrow.private, narrow.key_id = loaded, made["api_key_id"]


async def test_a_key_does_what_its_scopes_say_and_nothing_once_it_is_gone():
    async with running("kalshi", read_lag_ms=0) as venue, aiohttp.ClientSession() as session:
        trader, reader, watcher = (Kalshi(session, venue.ready(1)) for _ in range(3))
        await key_for(trader, reader, scopes=["read"])
        await key_for(trader, watcher, scopes=["read::portfolio_balance"])
        assert (await reader.order(T, "bid", "1.00", "0.1000"))[0] == 403
        assert (await reader.call("GET", API + "/portfolio/orders"))[0] == 200
        assert (await watcher.call("GET", API + "/portfolio/orders"))[0] == 403
        assert (await balance(watcher))["balance_dollars"] == "1000.0000"
        assert (await trader.call("DELETE", f"{API}/api_keys/{reader.key_id}"))[0] == 204
        status, told = await reader.call("GET", API + "/portfolio/orders")
        assert (status, told["error"]["details"]) == (401, "NOT_FOUND")


async def test_every_request_costs_what_the_venue_says():
    async with running("kalshi", read_lag_ms=0, tier="basic") as venue, aiohttp.ClientSession() as session:
        frozen = venue.desk.now()
        venue.desk.now = lambda: frozen  # no token comes back meanwhile
        trader = Kalshi(session, venue.ready(1))
        trader.headers = lambda method, path, skew_ms=0: Kalshi.headers(trader, method, path)  # type: ignore[method-assign]
        _, limits = await trader.call("GET", API + "/account/limits")
        assert limits["write"] == {"bucket_capacity": 100, "refill_rate": 100}
        _, costs = await trader.call("GET", API + "/account/endpoint_costs")
        listed = {(row["method"], row["path"]): row["cost"] for row in costs["endpoint_costs"]}
        assert listed["DELETE", API + "/portfolio/events/orders/:order_id"] == 2
        writes = [
            (await trader.order(T, "bid", "1.00", "0.1000", time_in_force="good_till_canceled")) for _ in range(9)
        ]
        assert [status for status, _ in writes] == [201] * 9
        ids = [told["order_id"] for _, told in writes]
        # ten tokens are left: five cancels at two each
        cancels = [(await trader.call("DELETE", f"{ORDERS}/{order}"))[0] for order in ids[:6]]
        assert cancels == [200] * 5 + [429]
        # 180 of 200 reading tokens are left: 17 lists, then five single orders at two each
        assert [(await trader.call("GET", API + "/portfolio/orders"))[0] for _ in range(17)] == [200] * 17
        singles = [(await trader.call("GET", f"{API}/portfolio/orders/{ids[0]}"))[0] for _ in range(6)]
        assert singles == [200] * 5 + [429]
        # balances have a bucket of their own, without a burst
        assert (await trader.call("GET", API + "/portfolio/balance"))[0] == 200
        headers = trader.headers("GET", API + "/portfolio/balance")
        async with session.get(trader.base + API + "/portfolio/balance", headers=headers) as refused:
            assert (refused.status, await refused.json()) == (429, {"error": "too many requests"})
            assert not [name for name in refused.headers if "Retry" in name or "RateLimit" in name]
        async with session.get(trader.base + API + "/markets") as public:
            assert public.status == 200  # who shows no key is not charged


async def test_the_lowest_tier_upgrades_by_itself_once_it_has_traded():
    async with running("kalshi", tier="basic") as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        upgrade = API + "/account/api_usage_level/upgrade"
        assert (await trader.call("POST", upgrade))[0] == 403
        assert (await trader.call("POST", API + "/portfolio/subaccounts", {}))[0] == 400
        await trader.order(T, "bid", "1.00", "0.1000")
        assert (await trader.call("POST", upgrade))[0] == 201
        assert (await trader.call("GET", API + "/account/limits"))[1]["usage_tier"] == "advanced"


async def test_a_balance_that_is_read_lags_like_everything_else():
    async with running("kalshi", read_lag_ms=300) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        await trader.order(T, "bid", "10.00", "0.1000", time_in_force="good_till_canceled")
        assert (await balance(trader))["balance_dollars"] == "1000.0000"
        await asyncio.sleep(0.35)
        assert (await balance(trader))["balance_dollars"] < "999.0000"
        assert (await trader.call("GET", f"{API}/portfolio/positions", query=f"?ticker={U}"))[1][
            "market_positions"
        ] == []


async def test_two_traders_meet_each_other():
    async with running("kalshi", read_lag_ms=0, accounts=2) as venue, aiohttp.ClientSession() as session:
        ready = venue.ready(1)
        (other,) = ready["accounts"]
        maker = Kalshi(session, ready)
        taker = Kalshi(session, {**ready, "credentials": other})
        resting = maker.body(T, "bid", "5.00", "0.4000", time_in_force="good_till_canceled")
        assert (await maker.call("POST", ORDERS, resting))[0] == 201
        status, told = await taker.call("POST", ORDERS, taker.body(T, "ask", "2.00", "0.4000"))
        assert (status, told["fill_count"]) == (201, "2.00")
        for trader, held, is_taker in ((maker, "2.00", False), (taker, "-2.00", True)):
            (position,) = (await trader.call("GET", API + "/portfolio/positions"))[1]["market_positions"]
            (fill,) = (await trader.call("GET", API + "/portfolio/fills"))[1]["fills"]
            assert (position["position_fp"], fill["is_taker"]) == (held, is_taker)
        check_books(await ledger(session, ready))
