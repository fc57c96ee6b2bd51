"""Complete sets, conversions, resolution and pay-out: nothing is made and nothing is lost."""

from __future__ import annotations

import asyncio
import json
from fractions import Fraction

import aiohttp

from tests.venues.simulated.clients import collect, ledger, running
from tests.venues.simulated.polymarket_trader import Trader, admin, market
from venues.simulated.exchange import Exchange
from venues.simulated.happenings import FeeRule, Terms
from venues.simulated.resolution import EVEN, NO_WINS, YES_WINS, convert, merge, redeem, resolve, split
from venues.simulated.scale import UNIT

EVENT = ("a", "b", "c")


def bench(deposit: int = 100) -> Exchange:
    terms = Terms(netting=False, settles=True, fees=dict.fromkeys(EVENT, FeeRule(Fraction(0))))
    exchange = Exchange(EVENT, terms, "seed")
    exchange.open_account("we", deposit * UNIT)
    return exchange


def test_a_set_costs_a_dollar_and_pays_one():
    exchange = bench()
    we = exchange.accounts["we"]
    assert split(exchange, we, "a", 30 * UNIT, 0)
    assert (we.cash, we.positions["a"].yes, we.positions["a"].no) == (70 * UNIT, 30 * UNIT, 30 * UNIT)
    assert not split(exchange, we, "a", 71 * UNIT, 0)
    assert not merge(exchange, we, "a", 31 * UNIT, 0)
    assert merge(exchange, we, "a", 10 * UNIT, 0)
    assert (we.cash, exchange.imbalance()) == (80 * UNIT, 0)
    assert [m.cash for m in exchange.movements] == [-30 * UNIT, 10 * UNIT]


def test_no_becomes_yes_of_all_others_and_everything_is_paid_out_whoever_wins():
    for given in (("a",), ("a", "b"), ("a", "b", "c")):
        for winner in EVENT:
            exchange = bench()
            we = exchange.accounts["we"]
            for name in given:
                split(exchange, we, name, 10 * UNIT, 0)
            assert not convert(exchange, we, EVENT, given, 11 * UNIT, 0)
            assert convert(exchange, we, EVENT, given, 10 * UNIT, 0)
            assert we.cash == (100 - 10 * len(given) + 10 * (len(given) - 1)) * UNIT
            assert all(we.positions[name].no == 0 and we.positions[name].yes == 10 * UNIT for name in EVENT)
            assert exchange.imbalance() == 0
            for name in EVENT:
                resolve(exchange, name, YES_WINS if name == winner else NO_WINS, 0)
                assert exchange.imbalance() == 0
            for account in list(exchange.accounts.values()):
                for name in EVENT:
                    redeem(exchange, account, name, 0)
            assert we.cash == 100 * UNIT, (given, winner)
            assert exchange.accounts["neg-risk-adapter"].cash == 0
            assert exchange.imbalance() == 0


def test_a_split_result_pays_both_sides_half_and_loses_no_half():
    exchange = bench()
    we, you = exchange.accounts["we"], exchange.open_account("you", 100 * UNIT)
    split(exchange, we, "a", 3, 0)
    you.positions["a"].add("no", 3)
    we.positions["a"].add("no", -3)
    resolve(exchange, "a", EVEN, 0)
    assert (redeem(exchange, we, "a", 0), redeem(exchange, you, "a", 0)) == (1, 1)
    assert (exchange.halves, exchange.imbalance()) == (2, 0)


async def test_a_market_resolves_with_orders_open_and_the_winner_is_paid():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        ready, (condition, yes, _) = venue.ready(1), market(venue)
        trader = Trader(session, ready)
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
        user = await trader.sign_in([condition])
        watcher = await session.ws_connect(ready["ws_market"])
        await watcher.send_str(json.dumps({"type": "market", "assets_ids": [yes], "custom_feature_enabled": True}))
        await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT, "FAK")
        await collect(user, lambda seen: any(m["status"] == "CONFIRMED" for m in seen))
        resting = (await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT))[1]["orderID"]
        assert await admin(session, venue, "resolve", market=condition, outcome="yes") == 1
        ended = await collect(user, lambda seen: any(m["type"] == "CANCELLATION" for m in seen))
        assert (ended[-1]["id"], ended[-1]["status"]) == (resting, "CANCELED_MARKET_RESOLVED")
        _, found = await trader.call("GET", f"/data/order/{resting}")
        assert found["status"] == "ORDER_STATUS_CANCELED_MARKET_RESOLVED"
        told = await collect(watcher, lambda seen: any(m["event_type"] == "market_resolved" for m in seen))
        assert (told[-1]["winning_asset_id"], told[-1]["winning_outcome"]) == (yes, "Yes")
        status, refused = await trader.post(yes, "BUY", 4 * UNIT, 10 * UNIT)
        assert (status, refused["error"]) == (400, "the market is not yet ready to process new orders")
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)  # the makers have not heard of it
        assert venue.exchange.books[condition].ladder("ask") == []
        _, gamma = await trader.call("GET", "/markets/keyset", query=f"?condition_ids={condition}")
        (row,) = gamma["markets"]
        assert (row["closed"], row["acceptingOrders"], row["umaResolutionStatus"]) == (True, False, "resolved")
        assert json.loads(row["outcomePrices"]) == ["1", "0"]
        _, clob = await trader.call("GET", f"/markets/{condition}")
        assert [token["winner"] for token in clob["tokens"]] == [True, False]
        _, held = await trader.call("GET", "/v2/positions", query=f"?user={trader.wallet}")
        assert [(p["asset"], p["status"], p["size"]) for p in held["data"]] == [(yes, "REDEEMABLE", "10")]
        before = venue.exchange.accounts["trader-1"].cash
        assert await admin(session, venue, "redeem", market=condition) == 10 * UNIT
        judged = await ledger(session, ready)
        account = judged["accounts"]["trader-1"]
        assert (account["cash"], account["positions"]) == (before + 10 * UNIT, {})
        assert [(m["kind"], m["cash"]) for m in judged["movements"]] == [("redeem", 10 * UNIT)]
        assert judged["imbalance"] == 0
        await user.close()
        await watcher.close()


async def test_one_winner_decides_a_whole_neg_risk_event():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1))
        condition = next(p.polymarket.condition_id for p in venue.clob.pairs if p.group == "fed-dec")
        members = venue.clob.event_of(condition)
        assert len(members) == 3
        for member in members:
            await admin(session, venue, "split", market=member, quantity=10 * UNIT)
        assert await admin(session, venue, "convert", markets=members[:2], quantity=10 * UNIT)
        _, events = await trader.call("GET", "/events/keyset")
        (event,) = [e for e in events["events"] if e["id"] == "fed-dec"]
        assert (event["negRisk"], event["closed"], len(event["markets"])) == (True, False, 3)
        await admin(session, venue, "resolve", market=condition, outcome="yes")
        assert {member: venue.exchange.payouts[member] for member in members} == {
            members[0]: YES_WINS, members[1]: NO_WINS, members[2]: NO_WINS,
        }  # fmt: skip
        paid = [await admin(session, venue, "redeem", market=member) for member in members]
        # of three sets two NO were given away for one dollar and a second YES of the third market
        assert paid == [10 * UNIT, 0, 10 * UNIT]
        assert (await ledger(session, venue.ready(1)))["accounts"]["trader-1"]["cash"] == 1_000 * UNIT


async def test_a_reversed_match_after_the_resolution_takes_nothing_that_is_gone():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader, (condition, yes, _) = Trader(session, venue.ready(1)), market(venue)
        venue.exchange.quote(condition, "ask", 5_000, 100 * UNIT, 0)
        await trader.post(yes, "BUY", 5 * UNIT, 10 * UNIT, "FAK")
        for match in venue.exchange.matches.values():
            match.doomed = True
        await admin(session, venue, "resolve", market=condition, outcome="yes")
        assert await admin(session, venue, "redeem", market=condition) == 0  # nothing has settled
        while venue.exchange.next_due_ns() is not None:  # noqa: ASYNC110  the venue's own time decides
            await asyncio.sleep(0.02)
        judged = await ledger(session, venue.ready(1))
        assert judged["accounts"]["trader-1"]["cash"] == 1_000 * UNIT
        assert judged["imbalance"] == 0
