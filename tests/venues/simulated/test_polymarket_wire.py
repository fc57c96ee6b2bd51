"""Polymarket as a client meets it: signed orders, dollars and shares, settlement, and absolute level sizes."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
from eth_account import Account

from tests.venues.simulated.clients import Polymarket, check_books, collect, ledger, running
from venues.simulated.polymarket_book import digest
from venues.simulated.scale import UNIT
from venues.simulated.venue import Venue


def market(venue: Venue, number: int = 0) -> tuple[str, str, str]:
    spec = list(venue.clob.by_condition.values())[number].polymarket
    return spec.condition_id, spec.yes_token, spec.no_token


async def settled(session: aiohttp.ClientSession, venue: Venue) -> dict[str, Any]:
    """The ledger once no trade is under way any more."""
    while venue.exchange.next_due_ns() is not None:  # noqa: ASYNC110  the venue's own time decides
        await asyncio.sleep(0.02)
    return await ledger(session, venue.ready(1))


async def test_a_dollar_buy_is_matched_told_mined_and_sold_again():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        ready = venue.ready(1)
        trader, (condition, yes, _) = Polymarket(session, ready), market(venue)
        venue.exchange.quote(condition, "ask", 4_500, 100 * UNIT, 0)
        venue.exchange.quote(condition, "bid", 4_300, 100 * UNIT, 0)
        socket = await trader.sign_in([condition])
        status, told = await trader.order(yes, "BUY", 10 * UNIT, 20 * UNIT)
        assert (status, told["success"], told["status"], told["errorMsg"]) == (200, True, "matched", "")
        assert (told["makingAmount"], told["takingAmount"]) == ("10", "22.222222")
        assert len(told["tradeIDs"]) == 1
        assert "transactionsHashes" not in told
        sale = trader.signed(yes, "SELL", 20 * UNIT, 86 * UNIT // 10)
        status, refused = await trader.call("POST", "/order", sale)
        assert status == 400
        assert refused["error"].startswith("not enough balance / allowance")
        seen = await collect(socket, lambda seen: any(m.get("status") == "CONFIRMED" for m in seen))
        trades = [m for m in seen if m["event_type"] == "trade"]
        assert [t["status"] for t in trades] == ["MATCHED", "MINED", "CONFIRMED"]
        assert {t["id"] for t in trades} == set(told["tradeIDs"])
        (maker,) = trades[0]["maker_orders"]
        assert (maker["matched_amount"], maker["outcome"], maker["price"]) == ("22.222222", "No", "0.55")
        _, held = await trader.call("GET", "/balance-allowance", query=f"?asset_type=CONDITIONAL&token_id={yes}")
        assert held["balance"] == "22222222"
        assert (await trader.call("POST", "/order", sale))[0] == 200  # what was refused was not used up
        _, listed = await trader.call("GET", "/data/trades", query=f"?market={condition}")
        assert (listed["next_cursor"], listed["count"], listed["data"][0]["side"]) == ("LTE=", 2, "SELL")
        check_books(await settled(session, venue))
        await socket.close()


async def test_the_order_hash_is_the_identity_and_is_used_once():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (_, yes, _) = Polymarket(session, venue.ready(1), key=2), market(venue)
        body = trader.signed(yes, "BUY", 5 * UNIT, 10 * UNIT)
        status, told = await trader.call("POST", "/order", body)
        assert (status, told["error"][:36]) == (400, "no orders found to match with FAK or")
        status, told = await trader.call("POST", "/order", body)
        assert (status, told["error"].endswith("is invalid. Duplicated.")) == (400, True)
        resting = trader.signed(yes, "BUY", 5 * UNIT, 10 * UNIT, "GTC")
        status, told = await trader.call("POST", "/order", resting)
        assert (status, told["status"]) == (200, "live")
        order = told["orderID"]
        status, told = await trader.call("GET", f"/data/order/{order}")
        assert (status, told["status"], told["original_size"], told["price"]) == (200, "ORDER_STATUS_LIVE", "10", "0.5")
        _, told = await trader.call("DELETE", "/order", json.dumps({"orderID": order}).encode())
        assert told == {"canceled": [order], "not_canceled": {}}
        _, told = await trader.call("DELETE", "/orders", json.dumps([order, "0x01"]).encode())
        assert set(told["not_canceled"]) == {order, "0x01"}
        assert (await trader.call("GET", "/data/order/0x01"))[0] == 404


async def test_each_exchange_contract_has_its_own_signatures():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader = Polymarket(session, venue.ready(1))
        pair = next(p for p in venue.clob.by_condition.values() if p.polymarket.neg_risk)
        token = pair.polymarket.no_token
        status, told = await trader.order(token, "BUY", 5 * UNIT, 10 * UNIT, "GTC")
        assert (status, told["error"]) == (400, "invalid signature")
        assert (await trader.order(token, "BUY", 5 * UNIT, 10 * UNIT, "GTC", neg_risk=True))[0] == 200


async def test_refusals_have_the_venues_texts():
    async with running("polymarket", deposit=50) as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, no) = Polymarket(session, venue.ready(1)), market(venue)
        venue.exchange.quote(condition, "ask", 5_000, 500 * UNIT, 0)
        cases = [
            (trader.signed(yes, "BUY", 5_050_000, 10 * UNIT, "GTC"), "breaks minimum tick size rule: 0.01"),
            (trader.signed(yes, "BUY", UNIT, 2 * UNIT, "GTC"), "lower than the minimum: 5"),
            (trader.signed(yes, "BUY", 500_000, UNIT), "min size: $1"),
            (trader.signed(yes, "BUY", 100 * UNIT, 200 * UNIT), "the balance is not enough"),
            (trader.signed(no, "SELL", 10 * UNIT, 5 * UNIT), "not enough balance / allowance"),
            (trader.signed(yes, "BUY", 5 * UNIT, 10 * UNIT, "GTC", postOnly=True), "order crosses book"),
            (trader.signed(yes, "BUY", 5 * UNIT, 10 * UNIT, "GTD", expiration=int(time.time()) + 30), "expiration"),
            (trader.signed("123456", "BUY", 5 * UNIT, 10 * UNIT), "does not exist"),
            (trader.signed(yes, "BUY", 5 * UNIT, 10 * UNIT, "GTC").replace(b'"owner": "', b'"owner": "x'), "owner"),
            (b"{}", "Invalid order payload"),
        ]
        for body, text in cases:
            status, told = await trader.call("POST", "/order", body)
            assert (status, text in told["error"]) == (400, True), (text, told)
        status, told = await trader.order(yes, "BUY", 20 * UNIT, 40 * UNIT, "FOK")
        assert (status, told["status"]) == (200, "matched")
        assert (await ledger(session, venue.ready(1)))["imbalance"] == 0


async def test_private_calls_need_the_hmac_and_keys_come_from_the_wallet():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        ready = venue.ready(1)
        trader = Polymarket(session, ready)
        headers = trader.headers("GET", "/data/orders")
        async with session.get(trader.base + "/data/trades", headers=headers) as response:
            assert response.status == 401
        stamp = str(int(time.time()))
        message = {"address": trader.key["address"], "timestamp": stamp, "nonce": 1,
                   "message": "This message attests that I control the given wallet"}  # fmt: skip
        types = {"ClobAuth": [{"name": n, "type": t} for n, t in
                              (("address", "address"), ("timestamp", "string"), ("nonce", "uint256"), ("message", "string"))]}  # fmt: skip
        domain = {"name": "ClobAuthDomain", "version": "1", "chainId": 137}
        signature = Account.sign_typed_data(trader.key["private_key"], domain, types, message)
        wallet = {"POLY_ADDRESS": trader.key["address"], "POLY_TIMESTAMP": stamp, "POLY_NONCE": "1",
                  "POLY_SIGNATURE": "0x" + signature.signature.hex()}  # fmt: skip
        async with session.get(trader.base + "/auth/derive-api-key", headers=wallet) as response:
            assert (await response.json())["apiKey"] == ready["credentials"]["keys"][1]["api_key"]
        async with session.post(trader.base + "/auth/api-key", headers=wallet | {"POLY_NONCE": "2"}) as response:
            assert response.status == 401


async def test_levels_are_absolute_and_both_tokens_are_told():
    async with running("polymarket", quiet=False) as venue, aiohttp.ClientSession() as session:
        ready = venue.ready(1)
        condition, yes, no = market(venue)
        async with session.ws_connect(ready["ws_market"]) as socket:
            await socket.send_str(json.dumps({"type": "market", "assets_ids": [yes, no]}))
            await socket.send_str("PING")
            messages = await collect(socket, lambda seen: False, 0.9)
            venue.desk.quiet = True
            venue.exchange.quote(condition, "bid", 100, 7_250_000, 0)
            venue.exchange.quote(condition, "ask", 9_900, 0, 0)
            venue.desk.flush()
            messages += await collect(socket, lambda seen: False, 0.3)
        for token in (yes, no):
            books: dict[str, dict[float, float]] = {}
            for message in messages:
                if message["event_type"] == "book" and message["asset_id"] == token:
                    assert digest({k: v for k, v in message.items() if k != "event_type"}) == message["hash"]
                    for side in ("bids", "asks"):
                        books[side] = {float(level["price"]): float(level["size"]) for level in message[side]}
                for change in message.get("price_changes", []):
                    if change["asset_id"] == token:
                        side = "bids" if change["side"] == "BUY" else "asks"
                        books[side][float(change["price"])] = float(change["size"])
            async with session.get(f"{ready['rest']}/book?token_id={token}") as response:
                told = await response.json()
            for side in ("bids", "asks"):
                real = {float(level["price"]): float(level["size"]) for level in told[side]}
                assert {p: s for p, s in books[side].items() if s} == real


async def test_a_ping_before_the_subscription_closes_the_socket():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        socket = await session.ws_connect(venue.ready(1)["ws_market"])
        await socket.send_str("PING")
        closed = await socket.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1008)


@pytest.mark.parametrize("path", ["/time", "/ok", "/version", "/markets/keyset", "/v2/positions?user=0x0"])
async def test_public_reads_need_no_key(path: str):
    async with (
        running("polymarket") as venue,
        aiohttp.ClientSession() as session,
        session.get(venue.ready(1)["rest"] + path) as response,
    ):
        assert response.status == 200
        assert await response.json()


async def test_metadata_says_what_the_pairs_file_says():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        base = venue.ready(1)["rest"]
        condition, yes, no = market(venue, 6)

        async def get(path: str) -> Any:
            async with session.get(base + path) as response:
                return await response.json()

        told = await get(f"/clob-markets/{condition}")
        assert (told["mts"], told["nr"], told["fd"]["r"]) == (0.001, True, 0.05)
        assert (await get(f"/tick-size?token_id={yes}"))["minimum_tick_size"] == 0.001
        assert (await get(f"/neg-risk?token_id={no}"))["neg_risk"] is True
        assert (await get(f"/markets-by-token/{no}"))["condition_id"] == condition
        async with session.post(base + "/books", json=[{"token_id": yes}, {"token_id": no}, {"token_id": "5"}]) as many:
            assert [book["asset_id"] for book in await many.json()] == [yes, no]
        assert (await get("/book?token_id=5"))["error"] == "No orderbook exists for the requested token id"
