"""What orders leave behind: money, positions, executions, and what streams tell of them."""

from __future__ import annotations

import asyncio
import time

from conformance.scenarios import scenario, whole_cents
from conformance.stage import CONTRACT, Differs, Stage, expect


@scenario("balances")
async def balances(stage: Stage) -> None:
    """The money that is gone is the price and the fee, to the last unit that each one tells."""
    market, book = await stage.fresh_market()
    before = await stage.agree(market)
    price = book["asks"][0][0]
    placed = await stage.place(market, "yes", "buy", price, whole_cents(9, price), "ioc")
    after = await stage.agree(market, placed["order"])
    fills = [f for f in after["fills"] if f["venue_order"] == placed["order"]]
    spent = sum(f["price"] * f["quantity"] // 10_000 + f["fee"] for f in fills)
    old, new = before["accounts"][stage.account], after["accounts"][stage.account]
    gone = old["cash"] - new["cash"]
    expect(spent > 0 and abs(gone - spent) <= len(fills), f"{gone} are gone, the fills cost {spent}")


@scenario("positions")
async def positions(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    before = await stage.doer.ask("position", market=market)
    price = book["asks"][0][0]
    contracts = whole_cents(9, price)
    bought = await stage.place(market, "yes", "buy", price, contracts, "ioc")
    await stage.agree(market, bought["order"])
    sold = await stage.place(market, "yes", "sell", book["bids"][0][0], 4, "ioc")
    await stage.agree(market, bought["order"], sold["order"])
    now = await stage.doer.ask("position", market=market)
    gained = (now[0] - now[1]) - (before[0] - before[1])
    expect(gained == (contracts - 4) * CONTRACT, f"{contracts} bought and four sold made {gained}")


@scenario("trades")
async def trades(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    (low, there), (high, _) = book["asks"][0], book["asks"][1]
    placed = await stage.place(market, "yes", "buy", high, whole_cents(there // CONTRACT + 2, high), "ioc")
    await stage.agree(market, placed["order"])
    mine = [f for f in await stage.doer.ask("fills", market=market) if f["order"] == placed["order"]]
    expect(sorted({f["price"] for f in mine}) == [low, high], f"two levels were taken, the fills say {mine}")
    public = await stage.possible("public_trades", market=market)
    if public is not None:
        wanted = {(f["fill"], f["price"], f["quantity"]) for f in mine}
        told = {(t["trade"], t["price"], t["quantity"]) for t in public}
        expect(wanted <= told, f"the venue's public trades lack {wanted - told}")


@scenario("streams")
async def streams(stage: Stage) -> None:
    """What is heard adds up to what can be read: the book after its changes, the order, the fills."""
    market, book = await stage.fresh_market()
    await stage.doer.ask("listen", market=market)
    try:
        watching = Stage(stage.exchange, stage.watcher, stage.theirs, stage.ours)
        price, there = book["asks"][0]
        placed = await watching.place(market, "yes", "buy", price, there // CONTRACT + 7, "gtc")
        deadline = time.monotonic() + 5
        while (wrong := await unheard(stage, market, placed)) is not None:
            if time.monotonic() > deadline:
                raise Differs(wrong)
            await asyncio.sleep(0.1)
        await watching.doer.ask("cancel", market=market, order=placed["order"])
    finally:
        await stage.doer.ask("hush")
    await stage.agree(market, placed["order"])


async def unheard(stage: Stage, market: str, placed: dict[str, object]) -> str | None:
    heard = await stage.doer.ask("heard_so_far")
    odd = [h["text"] for h in heard if h["what"] == "unreadable"]
    if odd:
        return f"the client could not read {odd}"
    sides: dict[str, dict[int, int]] = {"bids": {}, "asks": {}}
    for told in heard:
        if told["what"] == "book":
            sides = {side: {int(p): int(q) for p, q in told[side]} for side in sides}
        elif told["what"] == "change":
            levels = sides[f"{told['side']}s"]
            levels[told["price"]] = levels.get(told["price"], 0) + told["by"]
    read = await stage.ours.book(market)
    for side, levels in sides.items():
        standing = {p: q for p, q in levels.items() if q}
        if standing != {price: there for price, there in read[side]}:  # noqa: C416 - a level is a list of two
            return f"the {side} that were heard are {standing}, those that are read {read[side]}"
    if not any(h["what"] == "order" and h["order"] == placed["order"] and h["open"] for h in heard):
        return "nothing was heard of the order"
    filled = {h["fill"]: h["quantity"] for h in heard if h["what"] == "fill" and h["order"] == placed["order"]}
    if sum(filled.values()) != placed["matched"]:
        return f"fills heard: {filled}; matched: {placed['matched']}"
    return None
