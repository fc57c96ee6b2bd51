"""What the real venue answered, beside what the simulated one answers: the same keys, the same kinds of values, the same decimals.

Answers of the demo venue, recorded in June 2026, are read from where they lie. Keys that the venue has dropped since are named
here; everything else that was recorded must be there.
"""

from __future__ import annotations

import json
import re
from typing import Any

import aiohttp
import pytest

from tests.venues.simulated.clients import ORDERS, Kalshi, collect, running
from tests.venues.simulated.kalshi_contract import FOLDER
from venues.simulated.scale import UNIT

pytestmark = pytest.mark.skipif(
    not (FOLDER / "recorded").is_dir(), reason="../shared/reference/kalshi/recorded is absent"
)

T = "KXHIGHNY-26DEC01-T55"
API = "/trade-api/v2"
# dropped by the venue since, or only where a market has such a thing
GONE = {
    "fractional_trading_enabled", "liquidity_dollars", "response_price_units", "service", "custom_strike", "strike_type",
    "early_close_condition", "occurrence_datetime",
}  # fmt: skip
DECIMAL = re.compile(r"^-?\d+\.(\d+)$")


def recorded(name: str) -> Any:
    return json.loads((FOLDER / "recorded" / f"{name}.json").read_text(encoding="utf-8"))


def differences(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """Where ours lacks a key of theirs, has another kind of value, or a decimal with another number of places."""
    if type(theirs) is not type(ours):
        return [f"{where}: {ours!r} is not like {theirs!r}"]
    if isinstance(theirs, dict):
        found = [f"{where}.{key}: missing" for key in theirs if key not in ours and key not in GONE]
        return found + [
            d for key in theirs if key in ours for d in differences(theirs[key], ours[key], f"{where}.{key}")
        ]
    if isinstance(theirs, list) and theirs:
        return [f"{where}: empty"] if not ours else differences(theirs[0], ours[0], where + "[]")
    if isinstance(theirs, str) and (places := DECIMAL.match(theirs)):
        mine = DECIMAL.match(ours)
        return [] if mine and len(mine[1]) == len(places[1]) else [f"{where}: {ours!r} is not written like {theirs!r}"]
    return []


def test_a_difference_is_found():
    assert differences({"a": "1.00", "b": [{"c": 1}]}, {"a": "2.50", "b": [{"c": 2, "d": 3}]}) == []
    assert differences({"a": "1.00"}, {"a": "1.0"}) == [".a: '1.0' is not written like '1.00'"]
    assert differences({"a": 1, "b": 2}, {"a": "1"}) == [".b: missing", ".a: '1' is not like 1"]


async def test_answers_are_like_the_recorded_ones():
    async with running("kalshi", read_lag_ms=0, tier="basic") as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_200, 5 * UNIT, 0)
        venue.exchange.quote(T, "bid", 4_700, 5 * UNIT, 0)
        gtc = "good_till_canceled"
        seen: dict[str, tuple[int, Any]] = {}

        async def get(name: str, path: str, query: str = "") -> None:
            seen[name] = await trader.call("GET", API + path, query=query)

        seen["orders__create_v2_taker_ioc"] = await trader.order(T, "bid", "1.00", "0.5200")
        maker = trader.body(T, "bid", "1.00", "0.0100", time_in_force=gtc)
        seen["orders__create_v2_maker"] = await trader.call("POST", ORDERS, maker)
        one = seen["orders__create_v2_maker"][1]["order_id"]
        await get("orders__get_after_create", f"/portfolio/orders/{one}")
        seen["orders__duplicate_client_order_id"] = await trader.call("POST", ORDERS, maker)
        seen["orders__cancel_v2"] = await trader.call("DELETE", f"{ORDERS}/{one}", query=f"?market_ticker={T}")
        seen["orders__cancel_already_canceled"] = await trader.call(
            "DELETE", f"{ORDERS}/{one}", query=f"?market_ticker={T}"
        )
        await get("orders__get_after_cancel", f"/portfolio/orders/{one}")
        seen["orders__reuse_canceled_client_id"] = await trader.call("POST", ORDERS, maker)
        seen["orders__insufficient_balance"] = await trader.order(T, "bid", "99999.00", "0.0100", time_in_force=gtc)
        seen["orders__invalid_price_structure"] = await trader.order(T, "bid", "1.00", "0.0150", time_in_force=gtc)
        seen["orders__post_only_cross"] = await trader.order(
            T, "bid", "1.00", "0.5200", time_in_force=gtc, post_only=True
        )
        await get("portfolio__orders_list", "/portfolio/orders", "?limit=1")
        await get("fills__after_taker", "/portfolio/fills")
        await get("portfolio__positions", "/portfolio/positions")
        await get("auth__balance_ok", "/portfolio/balance")
        await get("settlements__page", "/portfolio/settlements")
        await get("account__limits", "/account/limits")
        await get("exchange__status", "/exchange/status")
        await get("series__fee_changes", "/series/fee_changes")
        await get("markets__single", f"/markets/{T}")
        await get("orderbook__base", f"/markets/{T}/orderbook")
        await get("trades__public_recorded", "/markets/trades", "?limit=1")
        await get("markets__limit_over_max", "/markets", "?limit=1001")
        for name, (status, ours) in seen.items():
            meta = recorded(name + ".meta")
            assert (name, status) == (name, meta["status"])
            assert differences(recorded(name), ours, name) == []
        assert recorded("account__limits") == seen["account__limits"][1]
        assert recorded("markets__limit_over_max") == seen["markets__limit_over_max"][1]


async def test_frames_are_like_the_recorded_ones():
    lines = (FOLDER / "recorded" / "ws__orderbook_trade_yes.jsonl").read_text(encoding="utf-8").splitlines()
    theirs = [json.loads(line) for line in lines if line.strip()]
    async with running("kalshi") as venue, aiohttp.ClientSession() as session:
        trader = Kalshi(session, venue.ready(1))
        venue.exchange.quote(T, "ask", 5_200, 5 * UNIT, 0)
        venue.exchange.quote(T, "bid", 4_700, 5 * UNIT, 0)
        headers = trader.headers("GET", "/trade-api/ws/v2")
        async with session.ws_connect(venue.ready(1)["ws_market"], headers=headers) as socket:
            params = {"channels": ["orderbook_delta", "trade"], "market_tickers": [T], "use_yes_price": True}
            await socket.send_str(json.dumps({"id": 1, "cmd": "subscribe", "params": params}))
            ours = await collect(socket, lambda seen: len(seen) == 3)
            venue.exchange.quote(T, "ask", 5_200, 4 * UNIT, venue.desk.now())
            venue.desk.flush()
            ours += await collect(socket, bool)
    by_type = {frame["type"]: frame for frame in ours}
    assert {frame["type"] for frame in theirs} <= set(by_type)
    for frame in theirs:
        assert differences(frame, by_type[frame["type"]], frame["type"]) == []
