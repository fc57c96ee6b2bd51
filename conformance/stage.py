"""One venue with the two who trade on it, and the judge: what the client sees, what our adapters see, and the venue's own ledger
must be one.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from conformance.child import Cannot, Refused
from conformance.exchanges import Exchange
from conformance.ours import Ours
from conformance.theirs import Theirs
from venues.kalshi.codec import client_order_id

AGREE_WITHIN_S = 8.0
"""Reads lag writes, and matches settle later."""
BALANCE_EVERY_S = 0.21
"""Kalshi counts calls for the balance in a bucket of their own, without a burst."""
CONTRACT = 1_000_000
BEST_LEAST = 25
"""Contracts at the best price, so that a small order fills there alone."""
LIVE = ("live", "delayed")


class Differs(AssertionError):
    """Not everybody sees the same; the text says who sees what."""


def expect(held: bool, otherwise: str) -> None:
    if not held:
        raise Differs(otherwise)


@dataclass
class Stage:
    exchange: Exchange
    doer: Theirs | Ours
    theirs: Theirs
    ours: Ours
    limits: list[str] = field(default_factory=list)
    """What of a scenario could not be shown, and why."""
    last: dict[str, Any] = field(default_factory=dict)
    """The last order as it was asked for."""
    _turn: int = 0
    _asked_at: float = 0.0

    @property
    def dialect(self) -> str:
        return self.exchange.dialect

    @property
    def account(self) -> str:
        return str(self.exchange.told["credentials"]["account"])

    def resting(self, ledger: dict[str, Any], market: str) -> list[dict[str, Any]]:
        """What the ledger has of ours in this market that can still fill."""
        return [
            o for o in ledger["orders"] if (o["account"], o["market"]) == (self.account, market) and o["status"] in LIVE
        ]

    @property
    def watcher(self) -> Theirs | Ours:
        return self.ours if self.doer is self.theirs else self.theirs

    async def fresh_market(self, levels: int = 3, spread: int = 0) -> tuple[str, dict[str, list[list[int]]]]:
        """A market with enough on both sides of its book and at least so wide a spread; another one each time."""
        markets = self.exchange.markets()
        for _ in markets:
            market = markets[self._turn % len(markets)]
            self._turn += 1
            book = await self.ours.book(market)
            sides = (book["bids"], book["asks"])
            deep = all(len(side) >= levels and side[0][1] >= BEST_LEAST * CONTRACT for side in sides)
            if deep and book["asks"][0][0] - book["bids"][0][0] >= spread:
                return market, book
        raise Differs("no market is left with a book to trade on")

    # acts

    async def place(
        self, market: str, outcome: str, side: str, at: int, contracts: int, lifetime: str, **more: Any
    ) -> Any:
        """One order by whoever acts. It goes out under the identity that our engine would give it, where the client can say
        one, so that our adapters can be asked about it by name.
        """
        name = self.ours.fresh_name()
        told = {
            "market": market, "outcome": outcome, "side": side, "at": at, "quantity": contracts * CONTRACT,
            "lifetime": lifetime, **more,
        }  # fmt: skip
        order = self.ours.describe(name=name, **told)
        self.last = told | {"name": client_order_id(name) if self.doer is self.theirs else name}
        placed = await self.doer.ask("place", **self.last)
        self.ours.known[placed["order"]] = order
        return placed

    async def refused(self, kinds: tuple[str, ...], what: str, **told: Any) -> None:
        """The venue says no, for one of these reasons."""
        try:
            answer = await (self.place(**told) if what == "place" else self.doer.ask(what, **told))
        except Refused as refusal:
            expect(refusal.kind in kinds, f"refused as {refusal.kind}, not as {'/'.join(kinds)}: {refusal}")
            return
        raise Differs(f"{what} was accepted: {answer}")

    async def clear(self) -> None:
        """After a scenario that broke off: nothing of it may rest in the way of the next."""
        ledger = await self.exchange.ledger()
        for order in ledger["orders"]:
            if order["account"] == self.account and order["status"] in LIVE:
                with suppress(Refused, Cannot):
                    await self.theirs.ask("cancel", market=order["market"], order=self._id(order))

    # agreement

    async def agree(self, market: str, *orders: str) -> dict[str, Any]:
        """Everybody sees the same of this market and these orders, as soon as the venue's reads have caught up. Returns what the
        ledger says.
        """
        deadline = time.monotonic() + AGREE_WITHIN_S
        while True:
            ledger = await self.exchange.ledger()
            wrong = [
                f"{client.name}: {text}"
                for client in (self.theirs, self.ours)
                for text in await self._differences(client, market, orders, ledger)
            ]
            if not wrong:
                return ledger
            if time.monotonic() > deadline:
                raise Differs("; ".join(wrong))
            await asyncio.sleep(0.1)

    async def _differences(
        self, client: Theirs | Ours, market: str, orders: tuple[str, ...], ledger: dict[str, Any]
    ) -> list[str]:
        wrong: list[str] = []

        def compare(what: str, seen: object, judged: object) -> None:
            if seen != judged:
                wrong.append(f"{what} is {seen}, the ledger has {judged}")

        try:
            account = ledger["accounts"][self.account]
            held = account["positions"].get(market, {"yes": 0, "no": 0})
            compare("position", await client.ask("position", market=market), [held["yes"], held["no"]])
            rest = sorted(self._id(o) for o in self.resting(ledger, market))
            compare("open orders", sorted(await client.ask("orders", market=market)), rest)
            for order in orders:
                (judged,) = (o for o in ledger["orders"] if self._id(o) == order)
                seen = await client.ask("order", market=market, order=order)
                compare(f"order {order[:10]} open", seen["open"], judged["status"] in LIVE)
                compare(f"order {order[:10]} matched", seen["matched"], judged["matched"])
                if seen["left"] is not None and seen["open"]:
                    compare(f"order {order[:10]} left", seen["left"], judged["quantity"] - judged["matched"])
            await self._compare_fills(client, market, ledger, compare)
            if not wrong:  # the scarcest read comes last
                cash = account["cash"] - (account["reserved"] if self.dialect == "kalshi" else 0)
                told = await self._cash(client)
                compare("cash", told["cash"] // told["step"], cash // told["step"])
        except Refused as refusal:
            wrong.append(f"a read was refused ({refusal.kind}): {refusal}")
        return wrong

    def _signs_for(self, account: str) -> bool:
        """A key sees the orders and executions of all that it signs for: sub-accounts (Kalshi), wallets (Polymarket)."""
        return account == self.account or account.startswith((f"{self.account}/", f"{self.account}-"))

    def _id(self, order: dict[str, Any]) -> str:
        return str(order["venue_order"])

    async def _compare_fills(self, client: Theirs | Ours, market: str, ledger: dict[str, Any], compare: Any) -> None:
        told = await client.ask("fills", market=market)
        fees = all(f["fee"] is not None for f in told)
        makers = all(f["maker"] is not None for f in told)

        def row(fill: str, order: str, price: int, quantity: int, fee: int, maker: object) -> tuple[object, ...]:
            return (fill, order, price, quantity, fee if fees else None, maker if makers else None)

        seen = {row(f["fill"], f["order"], f["price"], f["quantity"], f["fee"], f["maker"]) for f in told}
        judged = {
            row(f["fill_id"], f["venue_order"], f["price"], f["quantity"], f["fee"], f["role"] == "maker")
            for f in ledger["fills"]
            if f["market"] == market and self._signs_for(f["account"])
        }
        compare("fills", sorted(map(str, seen - judged)), sorted(map(str, judged - seen)))

    async def _cash(self, client: Theirs | Ours) -> dict[str, int]:
        if self.dialect == "kalshi":
            await asyncio.sleep(max(0.0, self._asked_at + BALANCE_EVERY_S - time.monotonic()))
            self._asked_at = time.monotonic()
        told: dict[str, int] = await client.ask("cash")
        return told

    async def possible(self, what: str, **told: Any) -> Any:
        """The answer, or None where whoever acts has no means for this part, which is then noted beside the result."""
        try:
            return await self.doer.ask(what, **told)
        except Cannot as reason:
            self.limits.append(f"{what}: {reason}")
            return None
