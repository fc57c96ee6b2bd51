"""Public and private reads: pages, prices, metadata, positions; and what the streams say of markets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.venues.simulated.clients import collect, running
from tests.venues.simulated.polymarket_trader import Trader, admin, market, migrate, pairs_with
from venues.simulated.polymarket_markets import PAGE
from venues.simulated.scale import UNIT
from venues.simulated.venue import Venue


async def get(session: aiohttp.ClientSession, venue: Venue, path: str) -> Any:
    async with session.get(venue.ready(1)["rest"] + path) as response:
        return await response.json()


async def test_every_price_of_a_book_alone_and_together():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        condition, yes, no = market(venue)
        venue.exchange.quote(condition, "bid", 4_300, 10 * UNIT, 0)
        venue.exchange.quote(condition, "ask", 4_600, 10 * UNIT, 0)
        assert await get(session, venue, f"/price?token_id={yes}&side=BUY") == {"price": "0.43"}
        assert await get(session, venue, f"/price?token_id={no}&side=SELL") == {"price": "0.57"}
        assert await get(session, venue, f"/midpoint?token_id={yes}") == {"mid": "0.445"}
        assert await get(session, venue, f"/spread?token_id={no}") == {"spread": "0.03"}
        assert (await get(session, venue, "/price?token_id=5&side=BUY"))["error"].startswith("No orderbook exists")
        trader = Trader(session, venue.ready(1))
        await trader.post(yes, "BUY", 46 * UNIT // 10, 10 * UNIT, "FAK")
        assert await get(session, venue, f"/last-trade-price?token_id={yes}") == {"price": "0.46", "side": "BUY"}
        assert (await get(session, venue, f"/prices-history?market={no}"))["history"][0]["p"] == 0.54
        asked = [{"token_id": yes, "side": "BUY"}, {"token_id": no, "side": "SELL"}, {"token_id": "5", "side": "BUY"}]
        many = {
            "/prices": {yes: {"BUY": "0.43"}, no: {"SELL": "0.57"}},
            "/midpoints": {yes: "0.715", no: "0.285"},
            "/spreads": {yes: "0.57", no: "0.57"},
        }
        for path, expected in many.items():
            async with session.post(venue.ready(1)["rest"] + path, json=asked) as response:
                assert await response.json() == expected, path
        async with session.post(venue.ready(1)["rest"] + "/last-trades-prices", json=asked) as response:
            assert [row["token_id"] for row in await response.json()] == [yes, no]


async def test_the_lists_of_markets_are_read_page_by_page():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        everything = {p.polymarket.condition_id for p in venue.clob.pairs}
        assert len(everything) > PAGE
        for path in ("/markets", "/simplified-markets", "/sampling-markets", "/sampling-simplified-markets"):
            seen, cursor = list[str](), "MA=="
            while cursor != "LTE=":
                page = await get(session, venue, f"{path}?next_cursor={cursor}")
                assert page["count"] == len(page["data"]) <= page["limit"]
                seen += [row["condition_id"] for row in page["data"]]
                cursor = page["next_cursor"]
            assert (len(seen), set(seen)) == (len(everything), everything)
        condition, yes, no = market(venue)
        await admin(session, venue, "resolve", market=condition, outcome="no")
        assert condition not in {
            row["condition_id"] for row in (await get(session, venue, "/sampling-markets"))["data"]
        }
        one = await get(session, venue, f"/markets/{condition}")
        assert [token["token_id"] for token in one["tokens"]] == [yes, no]
        assert one["closed"] is True
        assert await get(session, venue, "/markets/0x00") == {"error": "market not found"}


async def test_keyset_pages_hold_together_and_old_pages_say_that_they_are_old():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        seen, after = list[str](), ""
        for _ in range(99):
            page = await get(session, venue, f"/markets/keyset?limit=7{after}")
            seen += [row["conditionId"] for row in page["markets"]]
            if "next_cursor" not in page:
                break
            after = f"&after_cursor={page['next_cursor']}"
        assert len(seen) == len(set(seen)) == len(venue.clob.pairs)
        events = (await get(session, venue, "/events/keyset?limit=100"))["events"]
        assert sum(len(event["markets"]) for event in events) == len(seen)
        assert "error" in await get(session, venue, "/markets/keyset?limit=101")
        async with session.get(venue.ready(1)["rest"] + "/markets?limit=5&offset=3") as response:
            assert (response.headers["deprecation"], len(await response.json())) == ("true", 5)
        async with session.get(venue.ready(1)["rest"] + "/events?offset=2001") as response:
            assert response.status == 422


async def test_a_market_of_the_third_exchange_has_positions_instead_of_tokens(tmp_path: Path):
    def change(pairs: list[dict[str, Any]]) -> None:
        migrate(pairs[0])

    async with running("polymarket", pairs=pairs_with(tmp_path, change)) as venue, aiohttp.ClientSession() as session:
        condition, yes, no = market(venue)
        (row,) = (await get(session, venue, f"/markets/keyset?condition_ids={condition}"))["markets"]
        assert (row["version"], row["positionIds"], row["clobTokenIds"]) == ("v2", [yes, no], None)
        trader = Trader(session, venue.ready(1))
        await admin(session, venue, "split", market=condition, quantity=10 * UNIT)
        query = f"?asset_type=CONDITIONAL-V2&token_id={yes}"
        assert (await trader.call("GET", "/balance-allowance", query=query))[1]["balance"] == str(10 * UNIT)
        query = f"?asset_type=CONDITIONAL&token_id={yes}"
        assert (await trader.call("GET", "/balance-allowance", query=query))[0] == 400


async def test_orders_and_trades_come_in_pages_and_by_filter():
    async with running("polymarket", deposit=10_000) as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, no), (other, _, _) = Trader(session, venue.ready(1)), market(venue), market(venue, 1)
        for _ in range(7):
            legs = [trader.made(yes, "BUY", UNIT, 10 * UNIT) for _ in range(15)]
            await trader.send(legs, "/orders")
        _, first = await trader.call("GET", "/data/orders", query="?next_cursor=MA==")
        assert (first["count"], first["limit"]) == (100, 100)
        _, second = await trader.call("GET", "/data/orders", query=f"?next_cursor={first['next_cursor']}")
        assert (second["count"], second["next_cursor"]) == (5, "LTE=")
        assert (await trader.call("GET", "/data/orders", query=f"?market={other}"))[1]["count"] == 0
        assert (await trader.call("GET", "/data/orders", query=f"?asset_id={no}"))[1]["count"] == 0
        venue.exchange.quote(condition, "bid", 5_000, 10 * UNIT, 0)
        venue.exchange.quote(condition, "ask", 5_500, 10 * UNIT, 0)
        trade = (await trader.post(no, "BUY", 5 * UNIT, 10 * UNIT, "FAK"))[1]["tradeIDs"][0]
        await asyncio.sleep(1.1)  # settled
        for query, count in ((f"?id={trade}", 1), (f"?asset_id={no}", 1), (f"?asset_id={yes}", 0), ("?before=1", 0),
                             (f"?maker_address={trader.wallet.lower()}", 1), ("?after=1", 1)):  # fmt: skip
            _, told = await trader.call("GET", "/data/trades", query=query)
            assert told["count"] == count, query
        (row,) = (await trader.call("GET", "/data/trades", query=f"?id={trade}"))[1]["data"]
        assert (row["status"], row["trader_side"], row["transaction_hash"][:2]) == ("CONFIRMED", "TAKER", "0x")
        held = (await get(session, venue, f"/v2/positions?user={trader.wallet}&status=OPEN"))["data"]
        assert [(p["asset"], p["size"]) for p in held] == [(no, "10")]
        assert (await get(session, venue, f"/v2/positions?user={trader.wallet}&status=REDEEMABLE"))["data"] is None
        (old,) = await get(session, venue, f"/positions?user={trader.wallet}")
        assert (old["conditionId"], old["size"]) == (condition, 10.0)
        (done,) = (await get(session, venue, f"/v2/trades?user={trader.wallet}"))["data"]
        assert (done["asset"], done["side"], done["price"]) == (no, "BUY", "0.5")
        (value,) = await get(session, venue, f"/value?user={trader.wallet}")
        assert value["value"] == 6.75  # YES is bid at 0.10 and offered at 0.55; NO is worth a dollar less the middle
        await admin(session, venue, "split", market=condition, quantity=UNIT)
        kinds = {row["type"] for row in (await get(session, venue, f"/v2/activity?user={trader.wallet}"))["data"]}
        assert kinds == {"TRADE", "SPLIT"}


async def watched(session: aiohttp.ClientSession, venue: Venue, *tokens: str, **more: Any) -> Any:
    socket = await session.ws_connect(venue.ready(1)["ws_market"])
    await socket.send_str(json.dumps({"type": "market", "assets_ids": list(tokens), **more}))
    await collect(socket, lambda seen: len(seen) == len(tokens))
    return socket


async def test_a_change_of_tick_is_told_for_both_tokens_and_old_orders_stay():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, no) = Trader(session, venue.ready(1)), market(venue)
        socket = await watched(session, venue, yes, no)
        status, refused = await trader.post(yes, "BUY", 4_510_000, 10 * UNIT)
        assert (status, refused["error"].endswith("tick size rule: 0.01")) == (400, True)
        await admin(session, venue, "tick", market=condition, tick="0.001")
        told = await collect(socket, lambda seen: len(seen) == 2)
        assert [(m["event_type"], m["asset_id"], m["old_tick_size"], m["new_tick_size"]) for m in told] == [
            ("tick_size_change", yes, "0.01", "0.001"), ("tick_size_change", no, "0.01", "0.001"),
        ]  # fmt: skip
        fine = (await trader.post(yes, "BUY", 4_510_000, 10 * UNIT))[1]["orderID"]
        assert (await get(session, venue, f"/tick-size?token_id={yes}")) == {"minimum_tick_size": 0.001}
        await admin(session, venue, "tick", market=condition, tick="0.01")
        _, found = await trader.call("GET", f"/data/order/{fine}")
        assert (found["status"], found["price"]) == ("ORDER_STATUS_LIVE", "0.451")
        assert (await trader.post(yes, "BUY", 4_510_000, 10 * UNIT))[0] == 400
        await socket.close()


async def test_a_trade_near_the_end_of_the_scale_makes_the_grid_finer():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        socket = await watched(session, venue, yes)
        for price, tick in ((9_600, 100), (9_700, 10)):
            venue.exchange.quote(condition, "ask", price, 10 * UNIT, 0)
            await trader.post(yes, "BUY", price * 10 * UNIT // 10_000, 10 * UNIT, "FAK")
            assert venue.clob.by_condition[condition].polymarket.tick == tick
        told = await collect(socket, lambda seen: any(m["event_type"] == "tick_size_change" for m in seen))
        assert told[-1]["new_tick_size"] == "0.001"
        await socket.close()


async def test_a_change_of_contract_refuses_the_old_signatures():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        before = (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"]
        assert await admin(session, venue, "contract", market=condition) == "neg_risk_v2"
        assert venue.exchange.orders[before].status == "canceled"
        assert (await get(session, venue, f"/neg-risk?token_id={yes}")) == {"neg_risk": True}
        assert (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1] == {"error": "invalid signature"}
        assert (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT, generation="neg_risk_v2"))[0] == 200


async def test_who_asks_for_it_is_told_the_best_prices_by_themselves():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        condition, yes, _ = market(venue)
        plain = await watched(session, venue, yes)
        custom = await watched(session, venue, yes, custom_feature_enabled=True)
        venue.exchange.quote(condition, "bid", 4_300, 10 * UNIT, 0)
        venue.desk.flush()
        assert [m["event_type"] for m in await collect(plain, lambda seen: len(seen) == 2, 0.3)] == ["price_change"]
        change, best = await collect(custom, lambda seen: len(seen) == 2)
        assert (best["event_type"], best["best_bid"], best["best_ask"], best["spread"]) == (
            "best_bid_ask", "0.43", "1", "0.57",
        )  # fmt: skip
        assert change["price_changes"][0]["best_bid"] == "0.43"
        bare = await session.ws_connect(venue.ready(1)["ws_market"])
        await bare.send_str(json.dumps({"type": "market", "assets_ids": [yes], "initial_dump": False}))
        assert await collect(bare, bool, 0.2) == []
        for socket in (plain, custom, bare):
            await socket.close()
