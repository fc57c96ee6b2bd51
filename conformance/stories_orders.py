"""Orders: placed, matched, filled in part, cancelled, refused."""

from __future__ import annotations

import time

from conformance.scenarios import scenario, whole_cents
from conformance.stage import CONTRACT, LIVE, Stage, expect


@scenario("place")
async def place(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    for lifetime in ("gtc", "gtd"):
        expires_s = {"expires_s": int(time.time()) + 300} if lifetime == "gtd" else {}
        placed = await stage.place(market, "yes", "buy", book["bids"][-1][0], 12, lifetime, **expires_s)
        expect(placed["open"] and placed["matched"] == 0, f"it does not rest: {placed}")
        await stage.agree(market, placed["order"])
        await stage.doer.ask("cancel", market=market, order=placed["order"])


@scenario("match")
async def match(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    price = book["asks"][0][0]
    contracts = whole_cents(6, price)
    placed = await stage.place(market, "yes", "buy", price, contracts, "ioc")
    expect(not placed["open"] and placed["matched"] == contracts * CONTRACT, f"it did not fill at once: {placed}")
    await stage.agree(market, placed["order"])


@scenario("match on NO")
async def match_no(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    price = 10_000 - book["bids"][0][0]
    contracts = whole_cents(6, price)
    placed = await stage.place(market, "no", "buy", price, contracts, "ioc")
    expect(not placed["open"] and placed["matched"] == contracts * CONTRACT, f"it did not fill at once: {placed}")
    ledger = await stage.agree(market, placed["order"])
    account = ledger["accounts"][stage.account]
    expect(account["positions"][market]["no"] >= contracts * CONTRACT, "no position on NO came of it")


@scenario("partial, the rest rests")
async def partial_rests(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    price, there = book["asks"][0]
    placed = await stage.place(market, "yes", "buy", price, there // CONTRACT + 7, "gtc")
    expect(placed["open"] and placed["matched"] == there, f"{there} were there, it says {placed}")
    await stage.agree(market, placed["order"])
    await stage.doer.ask("cancel", market=market, order=placed["order"])
    await stage.agree(market, placed["order"])


@scenario("partial, the rest is killed")
async def partial_killed(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    price, there = book["asks"][0]
    placed = await stage.place(market, "yes", "buy", price, whole_cents(there // CONTRACT + 7, price), "ioc")
    expect(not placed["open"] and placed["matched"] == there, f"{there} were there, it says {placed}")
    await stage.agree(market, placed["order"])


@scenario("matched while it rests")
async def made(stage: Stage) -> None:
    """Somebody else, with an account of their own, takes half of what rests: a maker's execution, without a fee on Polymarket."""
    market, book = await stage.fresh_market(spread=200)
    price = book["bids"][0][0] + 100
    resting = await stage.place(market, "yes", "buy", price, 20, "gtc")
    expect(resting["open"], f"it does not rest: {resting}")
    try:
        sold = await stage.theirs.ask("rival_sells", market=market, at=price, quantity=10 * CONTRACT)
        expect(sold == 10 * CONTRACT, f"the other one sold {sold}")
        ledger = await stage.agree(market, resting["order"])
        (mine,) = (f for f in ledger["fills"] if f["venue_order"] == resting["order"])
        expect((mine["role"], mine["price"]) == ("maker", price), f"the ledger has {mine}")
    finally:
        await stage.doer.ask("cancel", market=market, order=resting["order"])
    await stage.agree(market, resting["order"])


@scenario("cancel")
async def cancel(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    placed = await stage.place(market, "yes", "buy", book["bids"][-1][0], 12, "gtc")
    await stage.doer.ask("cancel", market=market, order=placed["order"])
    await stage.agree(market, placed["order"])
    if stage.doer is stage.theirs:
        # our adapter looks the order up after every cancel, so that it answers with its fate instead of with a refusal
        await stage.refused(("unknown",), "cancel", market=market, order=placed["order"])
    else:
        await stage.doer.ask("cancel", market=market, order=placed["order"])
    await stage.agree(market, placed["order"])


@scenario("reject: a price off the grid")
async def off_grid(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    await unchanged(
        stage, ("price",), market=market, outcome="yes", side="buy", at=book["bids"][-1][0] + 7, contracts=12
    )


@scenario("reject: not enough money")
async def too_dear(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    await unchanged(
        stage, ("funds",), market=market, outcome="yes", side="buy", at=book["bids"][0][0], contracts=100_000
    )


@scenario("reject: post-only would trade")
async def post_only(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    await unchanged(
        stage,
        ("crosses",),
        market=market,
        outcome="yes",
        side="buy",
        at=book["asks"][0][0],
        contracts=12,
        post_only=True,
    )


@scenario("reject: fill-or-kill without enough")
async def fill_or_kill(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    price, there = book["asks"][0]
    await unchanged(
        stage, ("killed",), market=market, outcome="yes", side="buy", at=price, contracts=whole_cents(there // CONTRACT + 50, price),
        lifetime="fok",
    )  # fmt: skip


@scenario("reject: the same order twice")
async def twice(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    placed = await stage.place(market, "yes", "buy", book["bids"][-1][0], 12, "gtc")
    await stage.refused(("duplicate",), "place_again", **stage.last)
    ledger = await stage.agree(market, placed["order"])
    resting = [o["venue_order"] for o in stage.resting(ledger, market)]
    expect(resting == [placed["order"]], f"the copy left {resting}")
    await stage.doer.ask("cancel", market=market, order=placed["order"])


async def unchanged(stage: Stage, kinds: tuple[str, ...], lifetime: str = "gtc", **told: object) -> None:
    """A refused order leaves nothing behind: no order, no fill, no money moved."""
    market = str(told["market"])
    before = await stage.agree(market)
    await stage.refused(kinds, "place", lifetime=lifetime, **told)
    after = await stage.agree(market)
    expect(before["accounts"] == after["accounts"], "a refused order moved money or contracts")
    for ledger in (before, after):
        # what was killed at once may stay in the venue's memory: its id is used up
        ledger["orders"] = [o for o in ledger["orders"] if o["status"] in LIVE or o["matched"]]
    for part, key in (("orders", "venue_order"), ("fills", "fill_id")):
        expect([row[key] for row in before[part]] == [row[key] for row in after[part]], f"a refused order left {part}")
