"""What only one venue or one client has. The last one is played last for a reason."""

from __future__ import annotations

from conformance.child import Cannot
from conformance.scenarios import scenario, whole_cents
from conformance.stage import CONTRACT, Stage, expect


@scenario("amend and decrease")
async def amend(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    low, higher = book["bids"][-1][0], book["bids"][-2][0]
    if stage.dialect == "polymarket":
        await stage.doer.ask("amend", market=market, order="", at=higher, quantity=0)
    placed = await stage.place(market, "yes", "buy", low, 12, "gtc")
    try:
        await stage.agree(market, placed["order"])
        changed = await stage.doer.ask("amend", market=market, order=placed["order"], at=higher, quantity=20 * CONTRACT)
        expect(changed["order"] == placed["order"] and changed["open"], f"after the amend: {changed}")
        ledger = await stage.agree(market)
        (judged,) = (o for o in ledger["orders"] if o["venue_order"] == placed["order"])
        expect(
            (judged["price"], judged["quantity"]) == (higher, 20 * CONTRACT), f"after the amend the ledger has {judged}"
        )
        await stage.doer.ask("decrease", market=market, order=placed["order"], left=15 * CONTRACT)
        ledger = await stage.agree(market)
        (judged,) = (o for o in ledger["orders"] if o["venue_order"] == placed["order"])
        expect(judged["quantity"] - judged["matched"] == 15 * CONTRACT, f"after the decrease the ledger has {judged}")
    finally:
        await stage.doer.ask("cancel", market=market, order=placed["order"])


@scenario("batches")
async def batches(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    first, second = book["bids"][-1][0], book["bids"][-2][0]
    orders = await stage.doer.ask("place_two", market=market, first=first, second=second, quantity=12 * CONTRACT)
    ledger = await stage.agree(market)
    resting = {o["venue_order"]: o["price"] for o in stage.resting(ledger, market)}
    expect(resting == dict(zip(orders, (first, second), strict=True)), f"asked for {orders}, the ledger has {resting}")
    await stage.doer.ask("cancel_two", market=market, orders=orders)
    ledger = await stage.agree(market)
    expect(not stage.resting(ledger, market), "something still rests")


@scenario("order groups")
async def groups(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    told = await stage.doer.ask("grouped", market=market, at=book["bids"][-1][0], quantity=12 * CONTRACT)
    expect(told["held"], "the group does not list its order")
    expect(told["fenced"], "a triggered group took an order")
    expect(told["listed"], "the group is not among the account's groups")
    ledger = await stage.agree(market)
    expect(not stage.resting(ledger, market), "something still rests")


@scenario("sub-accounts")
async def subaccounts(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    told = await stage.doer.ask("subaccount", market=market, at=book["bids"][-1][0], quantity=12 * CONTRACT)
    expect(told["balance"] == 100 * CONTRACT, f"a hundred dollars were sent, there are {told['balance']}")
    expect(told["seen"] and not told["elsewhere"], f"the order is not the sub-account's alone: {told}")
    expect(told["transfers"] >= 2, f"two transfers were made, {told['transfers']} are listed")
    await stage.agree(market)


@scenario("market order")
async def market_order(stage: Stage) -> None:
    market, _ = await stage.fresh_market()
    for _ in range(24):
        market, book = await stage.fresh_market()
        # the client's floats floor some prices to one tick below: what it then sends is a limit that meets nothing
        if int(book["asks"][0][0] / 10_000 * 100) * 100 == book["asks"][0][0]:
            break
    told = await stage.doer.ask("market_order", market=market, dollars=4 * CONTRACT)
    expect(told["matched"] > 0 and not told["open"], f"it did not fill: {told}")
    expect(
        told["hashes"] == told["trades"], f"the client found {told['hashes']} transactions of {told['trades']} trades"
    )
    await stage.agree(market)


@scenario("wallet types")
async def wallets(stage: Stage) -> None:
    """Proxy, Safe and deposit wallet of the same key: each signs in its own way and spends its own money."""
    if stage.dialect == "kalshi":
        raise Cannot("the venue has accounts, no wallets")
    for kind, suffix in ((1, "proxy"), (2, "safe"), (3, "deposit-wallet")):
        market, book = await stage.fresh_market()
        price = book["asks"][0][0]
        contracts = whole_cents(6, price)
        told = {"market": market, "kind": kind, "at": price, "quantity": contracts * CONTRACT}
        order = await stage.doer.ask("wallet_buys", **told)
        fills = [f for f in (await stage.exchange.ledger())["fills"] if f["venue_order"] == order]
        expect(sum(f["quantity"] for f in fills) == contracts * CONTRACT, f"wallet type {kind} filled {fills}")
        accounts = {f["account"] for f in fills}
        expect(accounts == {f"{stage.account}-{suffix}"}, f"wallet type {kind} spent the money of {accounts}")


@scenario("every contract")
async def contracts(stage: Stage) -> None:
    """CTF Exchange V2, NegRisk Exchange V2 and Exchange V3: an order is signed for the one that settles its market."""
    if stage.dialect == "kalshi":
        raise Cannot("the venue settles by itself")
    for name, market in stage.exchange.contracts().items():
        book = await stage.ours.book(market)
        expect(bool(book["asks"]), f"{name}: nothing to buy")
        price = book["asks"][0][0]
        placed = await stage.place(market, "yes", "buy", price, whole_cents(6, price), "ioc")
        expect(placed["matched"] > 0, f"{name}: it did not fill: {placed}")
        await stage.agree(market, placed["order"])


@scenario("heartbeat")
async def heartbeat(stage: Stage) -> None:
    told = await stage.doer.ask("beat")
    expect(stage.doer is stage.ours or told["first"] != told["second"], f"one heartbeat id was told twice: {told}")


@scenario("cancel all")
async def sweep(stage: Stage) -> None:
    """The last of all: Kalshi goes on cancelling for a minute, and what followed would fall to it."""
    market, book = await stage.fresh_market()
    placed = await stage.place(market, "yes", "buy", book["bids"][-1][0], 12, "gtc")
    try:
        await stage.doer.ask("sweep", market=market)
    except Cannot:
        await stage.doer.ask("cancel", market=market, order=placed["order"])
        raise
    ledger = await stage.agree(market, placed["order"])
    expect(not stage.resting(ledger, market), "something still rests")
