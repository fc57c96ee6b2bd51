"""The Kalshi stream as a careful client uses it: numbers without a gap, snapshots on demand, commands that are refused by number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.venues.simulated.clients import ORDERS, Kalshi, collect, running
from venues.simulated.scale import UNIT
from venues.simulated.venue import Venue

T, U, V = "KXHIGHNY-26DEC01-T55", "KXHIGHNY-26DEC01-T60", "KXHIGHNY-26DEC01-T65"


class Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.number = socket, 0

    async def ask(
        self, cmd: str, params: Any = None, answers: int = 1, number: int | None = None
    ) -> list[dict[str, Any]]:
        self.number += 1
        body = {"id": self.number if number is None else number, "cmd": cmd}
        await self.socket.send_str(json.dumps(body if params is None else body | {"params": params}))
        return await self.hear(answers)

    async def hear(self, count: int, seconds: float = 1.0) -> list[dict[str, Any]]:
        return await collect(self.socket, lambda seen: len(seen) >= count, seconds)


@asynccontextmanager
async def streaming() -> AsyncIterator[tuple[Venue, Kalshi, Socket]]:
    async with running("kalshi", read_lag_ms=0) as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        headers = trader.headers("GET", "/trade-api/ws/v2")
        async with session.ws_connect(venue.ready(1)["ws_market"], headers=headers) as socket:
            yield venue, trader, Socket(socket)


def quote(venue: Venue, ticker: str, side: Any, price: int, size: int) -> None:
    venue.exchange.quote(ticker, side, price, size * UNIT, venue.desk.now())
    venue.desk.flush()


async def test_one_subscription_counts_over_all_its_markets_and_answers():
    async with streaming() as (venue, _, socket):
        seen = await socket.ask("subscribe", {"channels": ["orderbook_delta"], "market_tickers": [T, U]}, 3)
        quote(venue, T, "bid", 4_000, 5)
        quote(venue, U, "ask", 6_000, 5)
        seen += await socket.hear(2)
        seen += await socket.ask("update_subscription", {"sids": [1], "action": "add_markets", "market_ticker": V}, 2)
        seen += await socket.ask("update_subscription", {"sids": [1], "action": "dance", "market_ticker": V})
        seen += await socket.ask("unsubscribe", {"sids": [1]})
        numbered = [(m["type"], m["seq"]) for m in seen if "seq" in m]
        assert numbered == [
            ("orderbook_snapshot", 1), ("orderbook_snapshot", 2), ("orderbook_delta", 3), ("orderbook_delta", 4), ("ok", 5),
            ("orderbook_snapshot", 6), ("error", 7), ("unsubscribed", 8),
        ]  # fmt: skip
        quote(venue, T, "bid", 4_000, 9)
        assert await socket.hear(1, 0.2) == []


async def test_a_snapshot_on_demand_heals_a_gap_and_names_its_question():
    async with streaming() as (venue, _, socket):
        await socket.ask(
            "subscribe", {"channels": ["orderbook_delta"], "market_tickers": [T], "use_yes_price": True}, 2
        )
        quote(venue, T, "ask", 6_000, 5)
        (delta,) = await socket.hear(1)
        (snapshot,) = await socket.ask(
            "update_subscription", {"sid": 1, "action": "get_snapshot", "market_tickers": [T]}
        )
        assert (snapshot["type"], snapshot["id"], snapshot["seq"]) == ("orderbook_snapshot", 2, delta["seq"] + 1)
        assert snapshot["msg"]["clock"] == delta["msg"]["clock"]
        assert snapshot["msg"]["no_dollars_fp"] == [["0.6000", "5.00"]]
        assert "yes_dollars_fp" not in snapshot["msg"]


async def test_two_connections_see_one_clock():
    async with streaming() as (venue, trader, first):
        headers = trader.headers("GET", "/trade-api/ws/v2")
        async with trader.session.ws_connect(venue.ready(1)["ws_market"], headers=headers) as other:
            second = Socket(other)
            for one in (first, second):
                await one.ask("subscribe", {"channels": ["orderbook_delta"], "market_tickers": [T]}, 2)
            quote(venue, T, "ask", 6_000, 5)
            (here,), (there,) = await first.hear(1), await second.hear(1)
            assert here["msg"] == there["msg"]
            assert here["msg"]["price_dollars"] == "0.4000"  # the NO bid, where the YES scale was not asked for


async def test_a_ticker_is_told_once_for_what_moved_together():
    async with streaming() as (venue, _, socket):
        market_id = venue.kalshi.door.by_ticker[T].kalshi.market_id
        params = {"channels": ["ticker"], "market_ids": [market_id], "send_initial_snapshot": True}
        _, first = await socket.ask("subscribe", params, 2)
        assert (first["msg"]["yes_bid_dollars"], first["msg"]["yes_ask_dollars"]) == ("0.0000", "1.0000")
        venue.exchange.quote(T, "bid", 4_000, 5 * UNIT, venue.desk.now())
        venue.exchange.quote(T, "ask", 4_100, 7 * UNIT, venue.desk.now())
        venue.desk.flush()
        (told,) = await socket.hear(2, 0.3)
        assert (told["msg"]["yes_bid_dollars"], told["msg"]["yes_ask_size_fp"], "seq" in told) == (
            "0.4000",
            "7.00",
            False,
        )


async def test_commands_are_refused_by_number():
    async with streaming() as (_, _, socket):
        book = {"channels": ["orderbook_delta"]}
        await socket.ask("subscribe", {**book, "market_tickers": [T]}, 2)
        for cmd, params, code in (
            ("subscribe", None, 2), ("subscribe", {}, 3), ("unsubscribe", {}, 4), ("sing", {}, 5),
            ("unsubscribe", {"sids": [9]}, 7), ("subscribe", {"channels": ["x"]}, 8),
            ("subscribe", {**book, "market_tickers": ["NOWHERE"]}, 11), ("update_subscription", {"sids": [1, 2]}, 12),
            ("update_subscription", {"sids": [1], "action": "x", "market_tickers": [T]}, 13), ("subscribe", book, 14),
            ("update_subscription", {"sids": [1], "action": "add_markets"}, 14), ("update_subscription", {"sids": [1]}, 15),
        ):  # fmt: skip
            (told,) = await socket.ask(cmd, params)
            assert (told["type"], told["msg"]["code"], told["id"]) == ("error", code, socket.number)
        await socket.socket.send_str("no json")
        (told,) = await socket.hear(1)
        assert (told["msg"]["code"], "id" in told) == (1, False)
        (listed,) = await socket.ask("list_subscriptions", number=0)
        assert (listed["msg"], "id" in listed) == ([{"channel": "orderbook_delta", "sid": 1}], False)


async def test_a_subscription_that_has_lost_its_last_market_is_silent():
    async with streaming() as (venue, _, socket):
        await socket.ask("subscribe", {"channels": ["trade"], "market_tickers": [T]})
        await socket.ask("update_subscription", {"sids": [1], "action": "delete_markets", "market_tickers": [T]})
        quote(venue, T, "bid", 4_000, 5)
        quote(venue, T, "ask", 4_000, 5)
        assert await socket.hear(1, 0.2) == []


async def test_fills_orders_and_positions_of_one_trade():
    async with streaming() as (venue, trader, socket):
        quote(venue, T, "ask", 5_200, 10)
        await socket.ask("subscribe", {"channels": ["fill", "user_orders", "market_positions"]}, 3)
        status, made = await trader.order(T, "bid", "3.00", "0.5200")
        assert status == 201
        fill, position, order = await socket.hear(3)
        assert (fill["type"], position["type"], order["type"]) == ("fill", "market_position", "user_order")
        assert (fill["msg"]["order_id"], fill["msg"]["fee_cost"]) == (made["order_id"], "0.052500")
        assert (position["msg"]["position_fp"], position["msg"]["position_cost_dollars"]) == ("3.00", "1.560000")
        assert (order["msg"]["status"], order["msg"]["last_update_reason"]) == ("executed", "Trade")
        assert not any("seq" in message for message in (fill, position, order))


async def test_one_users_private_messages_are_not_the_others():
    async with streaming() as (venue, trader, socket):
        await trader.call("POST", "/trade-api/v2/portfolio/subaccounts", {})
        signer = venue.kalshi.door.signers[trader.key_id]
        await socket.ask("subscribe", {"channels": ["user_orders"]})
        venue.exchange.open_account("trader-9", 100 * UNIT)
        assert signer.account == "trader-1"
        other = venue.kalshi.door.signers[venue.ready(1)["credentials"]["keys"][1]["key_id"]]
        assert other.account == "trader-1"
        venue.kalshi.door.signers[trader.key_id] = type(signer)(signer.key, "trader-9")
        assert (await trader.order(T, "bid", "1.00", "0.1000", time_in_force="good_till_canceled"))[0] == 201
        assert await socket.hear(1, 0.2) == []
        assert (await trader.call("GET", ORDERS.replace("/events", "")))[1]["orders"][0]["remaining_count_fp"] == "1.00"


async def test_pings_are_answered():
    async with streaming() as (_, _, socket):
        await socket.socket.ping(b"are you there")
        await asyncio.sleep(0.1)
        assert not socket.socket.closed
        assert (await socket.ask("list_subscriptions"))[0]["msg"] == []
