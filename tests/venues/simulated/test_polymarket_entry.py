"""Orders of every kind, in batches, delayed, and their cancels, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.venues.simulated.clients import check_books, collect, ledger, running
from tests.venues.simulated.polymarket_trader import Trader, admin, market, pairs_with
from venues.simulated.scale import UNIT

FOK_TEXT = "order couldn't be fully filled. FOK orders are fully filled or killed."


async def test_a_batch_is_judged_leg_by_leg_and_answered_in_its_order():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, no) = Trader(session, venue.ready(1)), market(venue)
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
        stranger = trader.made(yes, "BUY", 5 * UNIT, 10 * UNIT)
        stranger["owner"] = "somebody-else"
        legs = [
            trader.made(yes, "BUY", 4 * UNIT, 10 * UNIT),
            trader.made(yes, "BUY", 5 * UNIT, 10 * UNIT, "FAK"),
            trader.made(yes, "BUY", 6 * UNIT, 10 * UNIT, postOnly=True),
            stranger,
            trader.made(no, "SELL", 10 * UNIT, 5 * UNIT),
        ]
        status, told = await trader.send(legs, "/orders")
        assert status == 200
        assert [leg["success"] for leg in told] == [True] * 5
        assert [leg["status"] for leg in told] == ["live", "matched", "", "", ""]
        assert [leg["orderID"] for leg in told] == [trader.id_of(legs[0]), trader.id_of(legs[1]), "", "", ""]
        assert [leg["errorMsg"] for leg in told[:4]] == [
            "", "", "invalid post-only order: order crosses book",
            "the order owner has to be the owner of the API KEY",
        ]  # fmt: skip
        assert told[4]["errorMsg"].startswith("not enough balance / allowance")
        status, refused = await trader.send([legs[0]] * 16, "/orders")
        assert (status, refused["error"]) == (400, "Too many orders in payload: 16, max allowed: 15")
        status, told = await trader.send([legs[0]], "/orders")
        assert told[0]["errorMsg"].endswith("is invalid. Duplicated.")


async def test_cancels_one_many_by_market_and_all():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1))
        (condition, yes, no), (other, yes_2, _) = market(venue), market(venue, 1)

        async def rest(token: str) -> str:
            return str((await trader.post(token, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"])

        async def swept(path: str, body: Any = None) -> dict[str, Any]:
            status, told = await trader.call("DELETE", path, b"" if body is None else json.dumps(body).encode())
            assert status == 200, told
            return dict(told)

        first, second, third, fourth = [await rest(token) for token in (yes, yes, no, yes_2)]
        assert await swept("/orders", [first, first, "0xunknown"]) == {
            "canceled": [first], "not_canceled": {"0xunknown": "Order not found or already canceled"},
        }  # fmt: skip
        assert (await swept("/orders", [first]))["not_canceled"] == {first: "already canceled or matched"}
        assert (await swept("/cancel-market-orders", {"market": condition, "asset_id": no}))["canceled"] == [third]
        assert (await swept("/cancel-market-orders", {"market": condition, "asset_id": ""}))["canceled"] == [second]
        fifth = await rest(yes)
        assert set((await swept("/cancel-all"))["canceled"]) == {fourth, fifth}
        status, _ = await trader.call("DELETE", "/cancel-market-orders", b"{}")
        assert status == 400
        venue.exchange.quote(other, "ask", 4_000, 10 * UNIT, 0)
        matched = await rest(yes_2)
        assert (await trader.cancel(matched))["not_canceled"] == {matched: "Order already matched"}


async def test_a_good_till_date_order_ends_a_minute_before_its_date():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        expiration = int(time.time()) + 180
        _, told = await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT, "GTD", expiration=expiration)
        socket = await trader.sign_in([condition])
        await socket.send_str("PING")
        assert (await socket.receive(timeout=1)).data == "PONG"
        venue.desk.now = lambda: (expiration - 61) * 10**9
        venue.desk.flush()
        assert venue.exchange.orders[told["orderID"]].status == "live"
        venue.desk.now = lambda: (expiration - 60) * 10**9
        venue.desk.flush()
        (ended,) = await collect(socket, bool)
        assert (ended["type"], ended["status"], ended["expiration"]) == (
            "CANCELLATION", "CANCELED_EXPIRED_ORDER", str(expiration),
        )  # fmt: skip
        await socket.close()


async def test_a_killed_order_is_told_with_free_text_and_empty_numbers():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        venue.exchange.quote(condition, "ask", 5_000, 5 * UNIT, 0)
        socket = await trader.sign_in([condition])
        await socket.send_str("PING")
        await socket.receive(timeout=1)
        assert await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT, "FOK") == (400, {"error": FOK_TEXT})
        (killed,) = await collect(socket, bool)
        assert killed["status"] == f"CANCELED_{FOK_TEXT}"
        assert (killed["size_matched"], killed["created_at"], killed["outcome"]) == ("", "", "")
        await socket.close()


def slow(**delay: int) -> Any:
    def change(pairs: list[dict[str, Any]]) -> None:
        pairs[0]["polymarket"].update(delay)

    return change


async def test_a_delayed_order_is_held_with_its_funds_and_cannot_be_cancelled(tmp_path: Path):
    pairs = pairs_with(tmp_path, slow(answered_delay_ms=400))
    async with running("polymarket", pairs=pairs, deposit=20) as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
        socket = await trader.sign_in([condition])
        payload = trader.made(yes, "BUY", 15 * UNIT, 30 * UNIT, "FAK")
        status, told = await trader.send(payload)
        assert (status, told["status"], told["orderID"]) == (200, "delayed", trader.id_of(payload))
        assert (told["makingAmount"], told["takingAmount"]) == ("", "")
        assert (await trader.send(payload))[1]["error"].endswith("Duplicated.")
        refused = await trader.cancel(told["orderID"])
        assert refused["not_canceled"] == {
            told["orderID"]: "cannot cancel because the order is in pending/delayed status"
        }
        status, poor = await trader.post(yes, "BUY", 8 * UNIT, 16 * UNIT, "FAK")
        assert (status, "not enough balance" in poor["error"]) == (400, True)
        assert not venue.exchange.fills
        seen = await collect(socket, lambda seen: any(m["event_type"] == "trade" for m in seen))
        told_of = [(m["event_type"], m["status"]) for m in seen][:3]
        assert told_of[0] == ("order", "DELAYED")
        assert ("order", "MATCHED") in [(m["event_type"], m["status"]) for m in seen] or told_of[1][0] == "trade"
        _, found = await trader.call("GET", f"/data/order/{told['orderID']}")
        assert (found["status"], found["size_matched"]) == ("ORDER_STATUS_MATCHED", "30")
        check_books(await ledger(session, venue.ready(1)))
        await socket.close()


async def test_a_delayed_order_finds_nothing_when_the_offer_is_gone(tmp_path: Path):
    pairs = pairs_with(tmp_path, slow(answered_delay_ms=200))
    async with running("polymarket", pairs=pairs) as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
        fak = (await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT, "FAK"))[1]["orderID"]
        gtc = (await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT, "GTC"))[1]["orderID"]
        resting = (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT, "GTC"))[1]  # takes nothing: no delay
        assert resting["status"] == "live"
        venue.exchange.quote(condition, "ask", 5_000, 0, 0)
        await asyncio.sleep(0.3)
        assert (await trader.call("GET", f"/data/order/{fak}"))[1]["status"] == "ORDER_STATUS_UNMATCHED"
        assert (await trader.call("GET", f"/data/order/{gtc}"))[1]["status"] == "ORDER_STATUS_LIVE"
        assert venue.exchange.accounts["trader-1"].reserved == 9 * UNIT


async def test_a_short_delay_is_waited_for_and_a_closed_request_does_not_stop_the_order(tmp_path: Path):
    pairs = pairs_with(tmp_path, slow(taker_delay_ms=250))
    async with running("polymarket", pairs=pairs) as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
        assert (await trader.call("GET", f"/clob-markets/{condition}"))[1]["itode"] is True
        began = time.monotonic()
        _, told = await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT, "FAK")
        assert (told["status"], told["takingAmount"], len(told["tradeIDs"])) == ("matched", "10", 1)
        assert time.monotonic() - began >= 0.25
        payload = trader.made(yes, "BUY", 5 * UNIT, 10 * UNIT, "FAK")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(trader.send(payload), 0.1)
        await asyncio.sleep(0.4)
        _, found = await trader.call("GET", f"/data/order/{trader.id_of(payload)}")
        assert found["status"] == "ORDER_STATUS_MATCHED"
        check_books(await ledger(session, venue.ready(1)))


async def test_an_account_in_closed_only_mode_may_sell_but_not_buy():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        assert await admin(session, venue, "split", market=condition, quantity=20 * UNIT)
        await admin(session, venue, "closed-only", closed_only=True)
        assert (await trader.call("GET", "/auth/ban-status/closed-only"))[1] == {"closed_only": True}
        status, told = await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT)
        assert (status, told["error"]) == (400, f"'{trader.wallet}' address in closed only mode")
        assert (await trader.post(yes, "SELL", 10 * UNIT, 5 * UNIT))[1]["status"] == "live"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"salt": -1}, "Invalid order payload"),
        ({"metadata": "0x00"}, "Invalid order payload"),
        ({"signatureType": 4}, "Invalid order payload"),
        ({"makerAmount": 5_000_000}, "Invalid order payload"),
        ({"takerAmount": "0"}, "Invalid order payload"),
        ({"tokenId": 5}, "Invalid order payload"),
        ({"expiration": "soon"}, "invalid expiration"),
        ({"signature": "0x" + "11" * 65}, "invalid signature"),
        ({"makerAmount": "5000001"}, "invalid signature"),
    ],
)
async def test_what_is_wrong_with_an_order_is_said(change: dict[str, Any], text: str):
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1))
        payload = trader.made(market(venue)[1], "BUY", 5 * UNIT, 10 * UNIT)
        payload["order"] |= change
        assert await trader.send(payload) == (400, {"error": text})
        assert venue.exchange.orders == {}
