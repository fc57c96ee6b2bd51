"""Every wallet on every exchange contract, and bots that come with a key of their own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eth_account import Account

from tests.venues.simulated.clients import check_books, ledger, running
from tests.venues.simulated.polymarket_trader import Trader, market, migrate, pairs_with
from venues.simulated.ethereum import wallet_of
from venues.simulated.scale import UNIT


def with_third_exchange(pairs: list[dict[str, Any]]) -> None:
    migrate(pairs[1])


@pytest.mark.parametrize("signature_type", [0, 1, 2, 3])
async def test_a_wallet_of_each_kind_trades_on_each_exchange(tmp_path: Path, signature_type: int):
    pairs = pairs_with(tmp_path, with_third_exchange)
    async with running("polymarket", pairs=pairs) as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1), signature_type=signature_type)
        for number, generation in ((0, "ctf_v2"), (6, "neg_risk_v2"), (1, "exchange_v3")):
            condition, yes, _ = market(venue, number)
            venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
            payload = trader.made(yes, "BUY", 5 * UNIT, 10 * UNIT, "FOK", generation)
            status, told = await trader.send(payload)
            assert (status, told.get("status")) == (200, "matched"), told
            assert told["orderID"] == trader.id_of(payload, generation)
            _, found = await trader.call("GET", f"/data/order/{told['orderID']}")
            assert (found["maker_address"], found["status"]) == (trader.wallet, "ORDER_STATUS_MATCHED")
            for other in {"ctf_v2", "neg_risk_v2", "exchange_v3"} - {generation}:
                status, told = await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT, "FOK", other)
                wrong = "order_version_mismatch" if "exchange_v3" in (generation, other) else "invalid signature"
                assert (status, told["error"]) == (400, wrong)
        judged = await ledger(session, venue.ready(1))
        account = "trader-1" + ("", "-proxy", "-safe", "-deposit-wallet")[signature_type]
        assert {fill["account"] for fill in judged["fills"]} == {account}
        check_books(judged)


async def test_each_wallet_has_its_own_money_and_one_key_sees_all_of_them():
    async with running("polymarket", deposit=100) as venue, aiohttp.ClientSession() as session:
        ready = venue.ready(1)
        plain, proxy = Trader(session, ready), Trader(session, ready, signature_type=1)
        _, yes, _ = market(venue)
        first = (await plain.post(yes, "BUY", 80 * UNIT, 160 * UNIT))[1]["orderID"]
        second = (await proxy.post(yes, "BUY", 80 * UNIT, 160 * UNIT))[1]["orderID"]
        status, told = await proxy.post(yes, "BUY", 40 * UNIT, 80 * UNIT)
        assert (status, "not enough balance" in told["error"]) == (400, True)
        _, listed = await plain.call("GET", "/data/orders")
        assert {(row["id"], row["maker_address"]) for row in listed["data"]} == {
            (first, plain.wallet), (second, proxy.wallet),
        }  # fmt: skip
        told = await proxy.cancel(second)
        assert told["canceled"] == [second]
        for kind, query in ((0, ""), (2, "?asset_type=COLLATERAL&signature_type=2")):
            _, held = await plain.call("GET", "/balance-allowance", query=query)
            assert held["balance"] == str(100 * UNIT), kind
            assert len(held["allowances"]) == 3


async def test_a_maker_that_is_no_wallet_of_the_key_is_sent_to_the_deposit_wallet():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1), signature_type=2)
        _, yes, _ = market(venue)
        stranger = Account.create().address
        trader.signature_type = 2
        payload = trader.made(yes, "BUY", 5 * UNIT, 10 * UNIT)
        payload["order"]["maker"] = stranger
        status, told = await trader.send(payload)
        assert (status, told["error"]) == (400, "maker address not allowed, please use the deposit wallet flow")
        payload = trader.made(yes, "BUY", 5 * UNIT, 10 * UNIT)
        payload["order"]["signatureType"] = 1  # the Safe's address, but the proxy's kind
        assert (await trader.send(payload))[1]["error"].startswith("maker address not allowed")
        deposit = Trader(session, venue.ready(1), signature_type=3)
        payload = deposit.made(yes, "BUY", 5 * UNIT, 10 * UNIT)
        payload["order"]["maker"] = payload["order"]["signer"] = wallet_of(stranger, 3)
        assert (await deposit.send(payload))[1]["error"].startswith("the order signer address has to be")
        payload = deposit.made(yes, "BUY", 5 * UNIT, 10 * UNIT)
        payload["order"]["signature"] = payload["order"]["signature"][: 2 + 130]  # without its statement of the wallet
        assert (await deposit.send(payload))[1]["error"] == "invalid signature"


async def test_an_order_of_the_first_version_is_refused_by_name():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1))
        payload = trader.made(market(venue)[1], "BUY", 5 * UNIT, 10 * UNIT)
        del payload["order"]["timestamp"]
        payload["order"] |= {"taker": "0x" + "00" * 20, "nonce": "0", "feeRateBps": "0"}
        assert await trader.send(payload) == (400, {"error": "order_version_mismatch"})


async def test_a_bot_comes_with_its_own_key_and_finds_money():
    async with running("polymarket", deposit=250) as venue, aiohttp.ClientSession() as session:
        ready, own = venue.ready(1), Account.create()
        stamp = str(int(time.time()))
        message = {"address": own.address, "timestamp": stamp, "nonce": 0,
                   "message": "This message attests that I control the given wallet"}  # fmt: skip
        fields = (("address", "address"), ("timestamp", "string"), ("nonce", "uint256"), ("message", "string"))
        types = {"ClobAuth": [{"name": name, "type": kind} for name, kind in fields]}
        domain = {"name": "ClobAuthDomain", "version": "1", "chainId": 137}
        signed = Account.sign_typed_data(own.key, domain, types, message).signature.hex()
        wallet = {
            "POLY_ADDRESS": own.address,
            "POLY_TIMESTAMP": stamp,
            "POLY_NONCE": "0",
            "POLY_SIGNATURE": "0x" + signed,
        }
        made = []
        for method, path in (("POST", "/auth/api-key"), ("GET", "/auth/derive-api-key")):
            async with session.request(method, ready["rest"] + path, headers=wallet) as response:
                assert response.status == 200
                made.append(await response.json())
        assert made[0] == made[1]
        trader = Trader(session, ready)
        trader.key = {
            "private_key": own.key.hex(), "address": own.address, "api_key": made[0]["apiKey"],
            "secret": made[0]["secret"], "passphrase": made[0]["passphrase"],
        }  # fmt: skip
        assert (await trader.call("GET", "/balance-allowance"))[1]["balance"] == str(250 * UNIT)
        status, told = await trader.post(market(venue)[1], "BUY", 5 * UNIT, 10 * UNIT)
        assert (status, told["status"]) == (200, "live")
        assert (await trader.call("GET", "/auth/api-keys"))[1] == {"apiKeys": [made[0]["apiKey"]]}
        assert (await trader.call("DELETE", "/auth/api-key"))[0] == 200
        assert (await trader.call("GET", "/data/orders"))[0] == 401
        assert (await ledger(session, ready))["imbalance"] == 0
