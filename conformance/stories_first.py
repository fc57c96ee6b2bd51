"""Who one is, and what there is to trade."""

from __future__ import annotations

from conformance.scenarios import scenario, whole_cents
from conformance.stage import Stage, expect


@scenario("confined to this machine")
async def confined(stage: Stage) -> None:
    said = await stage.doer.ask("leave")
    expect(len(said) == 2 and all("blocked" in text for text in said), f"the guard let something through: {said}")


@scenario("authentication")
async def authentication(stage: Stage) -> None:
    expect((await stage.doer.ask("cash"))["cash"] > 0, "the account has no money")
    await stage.refused(("auth",), "strangers")


@scenario("a key from the wallet")
async def key_from_wallet(stage: Stage) -> None:
    told = await stage.doer.ask("derive")
    expect(told["listed"], "the key that was made is not among the account's keys")


@scenario("market data")
async def market_data(stage: Stage) -> None:
    for _ in range(3):
        market, _ = await stage.fresh_market()
        theirs, ours = await stage.theirs.ask("rules", market=market), await stage.ours.rules(market)
        expect(theirs == ours, f"theirs {theirs}, ours {ours}")
        seen, book = await stage.theirs.ask("book", market=market), await stage.ours.book(market)
        expect(seen == book, f"the client's book {seen}, ours {book}")
        if stage.dialect == "polymarket" and stage.doer is stage.theirs:
            prices = await stage.doer.ask("prices", market=market)
            bid, ask = book["bids"][0][0], book["asks"][0][0]
            expect({prices["bid"], prices["ask"]} == {bid, ask}, f"prices {prices}, the book has {bid} and {ask}")
            expect(prices["spread"] == ask - bid, f"spread {prices['spread']}, the book has {ask - bid}")
            expect(prices["middle"] == (bid + ask) * 50, f"middle {prices['middle']}, the book has {bid} and {ask}")


@scenario("every other read")
async def reads(stage: Stage) -> None:
    market, book = await stage.fresh_market()
    price = book["asks"][0][0]
    await stage.place(market, "yes", "buy", price, whole_cents(6, price), "ioc")
    told = await stage.doer.ask("reads", market=market)
    wrong = {name: text[:200] for name, text in told.items() if text}
    expect(not wrong, f"{len(wrong)} of {len(told)}: {wrong}")
