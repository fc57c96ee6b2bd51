"""Our own adapters, answering the same questions as the published clients, over the same sockets."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Any

from conformance.child import Cannot, Refused
from messages import orders
from messages.books import Book, Levels
from messages.markets import Market
from messages.orders import Absent, Ended, EndKind, FillSeen, Landed, LookUpFailed, Lost, Order, Rested, Role
from messages.reasons import Refusal
from messages.units import CONTRACT, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from venues.port import (
    AccountData,
    Amending,
    Batching,
    Beating,
    Denied,
    Done,
    Failed,
    FillPage,
    Grouping,
    Lifetime,
    LookUpAnswer,
    MarketData,
    OrderGroup,
    Prepared,
    Shaping,
    StreamEvent,
    SubmitAnswer,
    Sweeping,
    Terms,
    Trading,
)

KINDS = {
    Refusal.FUNDS: "funds", Refusal.PRICE: "price", Refusal.SIZE: "size", Refusal.AUTH: "auth",
}  # fmt: skip
RESTS_S = 300


class Broken(Exception):
    """An adapter answered what no scenario provides for."""


@dataclass
class Ours:
    dialect: str
    trading: Trading
    stranger: Trading
    """With a wrong key."""
    beating: Trading
    """With a key of its own, since a heartbeat once begun must not stop."""
    data: MarketData
    account: AccountData
    spenders: Mapping[int, Callable[[], AbstractAsyncContextManager[Trading]]]
    """The same key for its other wallets, by their kind (Polymarket)."""
    markets: tuple[Market, ...] = ()
    name: str = "ours"
    known: dict[str, Order] = field(default_factory=dict)
    """Orders by the venue's id, whoever placed them."""
    heard: list[dict[str, object]] = field(default_factory=list)
    last: Prepared | None = None
    _numbers: Any = field(default_factory=itertools.count)
    _listening: list[asyncio.Task[None]] = field(default_factory=list)

    async def ask(self, what: str, **told: Any) -> Any:
        return await getattr(self, what)(**told)

    def describe(
        self, market: str, outcome: str, side: str, at: int, quantity: int, lifetime: str, name: str, **_: object
    ) -> Order:
        """The order as our engine would have it; its name decides the identity that the venue sees."""
        now = Nanos(time.time_ns())
        resting = lifetime in ("gtc", "gtd")
        spends = not resting and side == "buy" and self.dialect == "polymarket"
        return Order(
            order=name, trade="c", leg=0, role=Role.OPEN, venue=self.dialect, market=market, outcome=Outcome(outcome),
            side=Side(side), price=Price(at), quantity=Quantity(quantity), spend=Money(at * quantity // 10_000) if spends else None,
            time_in_force=TimeInForce.GTD if resting else TimeInForce.IOC,
            expires_at=Nanos(now + RESTS_S * SECOND) if resting else Nanos(0), made_at=now, not_after=Nanos(now + 5 * SECOND),
        )  # fmt: skip

    # who

    async def strangers(self) -> None:
        told = await self.stranger.cash()
        if isinstance(told, Failed) and told.unauthorised:
            raise Refused("auth", told.text)
        raise Broken(f"a wrong key was answered with {told}")

    async def derive(self) -> None:
        raise Cannot("our adapters take keys that exist; they make none")

    async def reads(self, market: str) -> None:
        raise Cannot("our adapters' reads have tests of their own, in tests/venues")

    async def leave(self) -> None:
        raise Cannot("the guard is for code that is not ours")

    # markets

    async def rules(self, market: str) -> dict[str, object]:
        told = await self.data.markets([market])
        if isinstance(told, Failed):
            raise Broken(told.text)
        (one,) = told
        rules: dict[str, object] = {"open": one.open, "title": one.title}
        if self.dialect == "kalshi":
            return rules | {"event": one.event}
        return rules | {
            "neg_risk": one.neg_risk, "tick": one.ticks[0].step, "tokens": list(one.tokens or ()), "least": one.min_quantity,
        }  # fmt: skip

    async def book(self, market: str) -> dict[str, list[list[int]]]:
        told = await self.trading.book(market)
        if isinstance(told, Failed):
            raise Broken(told.text)
        return {"bids": rows(told.yes_bids), "asks": rows(told.yes_asks)}

    async def prices(self, market: str) -> None:
        raise Cannot("our adapters read books, not single prices")

    async def public_trades(self, market: str) -> None:
        raise Cannot("our engine has no use for other people's trades")

    # orders

    def _prepare(self, order: Order, lifetime: str, post_only: bool) -> Prepared:
        if lifetime == "fok" or post_only:
            if not isinstance(self.trading, Shaping):
                raise Cannot("the adapter has no orders with terms of their own")
            prepared = self.trading.prepare_with(order, Terms(lifetime=Lifetime(lifetime), post_only=post_only))
            if isinstance(prepared, Denied):
                raise Broken(prepared.text)
            return prepared
        return self.trading.prepare(order)

    async def place(self, lifetime: str, post_only: bool = False, **told: Any) -> dict[str, object]:
        order = self.describe(lifetime=lifetime, **told)
        self.last = self._prepare(order, lifetime, post_only)
        return self._concluded(order, await self.trading.submit(self.last))

    async def place_again(self, **_told: Any) -> dict[str, object]:
        assert self.last is not None
        return self._concluded(self.last.order, await self.trading.submit(self.last, repost=True))

    def _concluded(self, order: Order, answer: SubmitAnswer) -> dict[str, object]:
        match answer:
            case orders.Refused(reason=reason, text=text):
                crosses = "cross" in text
                raise Refused("crosses" if crosses else KINDS.get(reason, "other"), text)
            case Landed():
                raise Refused("duplicate", "landed")
            case Ended(matched=0, how=EndKind.KILLED):
                raise Refused("killed", "it met nothing")
            case Rested(venue_order=venue_order, matched=matched) | Ended(venue_order=venue_order, matched=matched):
                self.known[venue_order] = order
                return {
                    "order": venue_order, "open": isinstance(answer, Rested), "matched": matched,
                    "left": order.quantity - matched if isinstance(answer, Rested) else 0,
                }  # fmt: skip
            case Lost(text=text):
                raise Broken(f"lost: {text}")

    async def order(self, market: str, order: str) -> dict[str, object]:
        known = self.known[order]
        told = await self.trading.look_up(known, order)
        if isinstance(told, (Absent, LookUpFailed)):
            raise Refused("unknown", str(told))
        return {"order": order, "open": isinstance(told, Rested), "matched": told.matched, "left": None}

    async def orders(self, market: str) -> list[str]:
        told = await self.trading.orders_since(Nanos(time.time_ns() - 600 * SECOND))
        if isinstance(told, Failed):
            raise Broken(told.text)
        return [str(o.venue_order) for o in told if o.market == market and o.ended is None]

    async def cancel(self, market: str, order: str) -> None:
        told = await self.trading.cancel(self.known[order], order)
        if isinstance(told, Absent):
            told = await self._seen(order)
        if not isinstance(told, Ended):
            raise Broken(f"after a cancel: {told}")

    async def _seen(self, order: str) -> LookUpAnswer:
        """What a look-up says once the venue's reads are as new as the order: one that is absent before then may be there."""
        told = await self.trading.look_up(self.known[order], order)
        while isinstance(told, Absent) and told.as_of <= self.known[order].made_at + SECOND:
            await asyncio.sleep(0.05)
            told = await self.trading.look_up(self.known[order], order)
        return told

    async def amend(self, market: str, order: str, at: int, quantity: int) -> dict[str, object]:
        if not isinstance(self.trading, Amending):
            raise Cannot("the adapter has no amend")
        told = await self.trading.amend(self.known[order], order, price=Price(at), quantity=Quantity(quantity))
        return self._changed(order, told)

    async def decrease(self, market: str, order: str, left: int) -> dict[str, object]:
        if not isinstance(self.trading, Amending):
            raise Cannot("the adapter has no decrease")
        return self._changed(order, await self.trading.decrease(self.known[order], order, left=Quantity(left)))

    def _changed(self, order: str, told: Any) -> dict[str, object]:
        if not isinstance(told, (Rested, Ended)):
            raise Broken(str(told))
        return {"order": order, "open": isinstance(told, Rested), "matched": told.matched, "left": None}

    async def place_two(self, market: str, first: int, second: int, quantity: int) -> list[str]:
        if not isinstance(self.trading, Batching):
            raise Cannot("the adapter has no batches")
        both = [self.describe(market, "yes", "buy", at, quantity, "gtc", self.fresh_name()) for at in (first, second)]
        answers = await self.trading.submit_batch([self.trading.prepare(order) for order in both])
        return [str(self._concluded(o, a)["order"]) for o, a in zip(both, answers, strict=True)]

    async def cancel_two(self, market: str, orders: list[str]) -> None:
        assert isinstance(self.trading, Batching)
        for told in await self.trading.cancel_batch([(self.known[order], order) for order in orders]):
            if not isinstance(told, Ended):
                raise Broken(f"after a cancel: {told}")

    def fresh_name(self) -> str:
        return f"conformance.{time.time_ns()}.{next(self._numbers)}"

    async def grouped(self, market: str, at: int, quantity: int) -> dict[str, object]:
        """A group with an order in it, triggered: the order goes, and the group takes no other until it is reset."""
        trading = self.trading
        if not (isinstance(trading, Grouping) and isinstance(trading, Shaping)):
            raise Cannot("the adapter has no order groups")
        made = await trading.make_group(Quantity(100 * CONTRACT))
        if not isinstance(made, Done):
            raise Broken(str(made))
        group = made.text

        async def place() -> str:
            order = self.describe(market, "yes", "buy", at, quantity, "gtc", self.fresh_name())
            prepared = trading.prepare_with(order, Terms(group=group))
            assert isinstance(prepared, Prepared), prepared
            return str(self._concluded(order, await trading.submit(prepared))["order"])

        first = await place()
        told = await trading.group(group)
        held = isinstance(told, OrderGroup) and first in told.orders
        self._done(await trading.trigger_group(group))
        try:
            await place()
            fenced = False
        except Refused:
            fenced = True
        self._done(await trading.reset_group(group))
        again = await place()
        listed = await trading.groups()
        await self.cancel(market, again)
        known = not isinstance(listed, Failed) and group in [g.group for g in listed]
        return {"first": first, "held": held, "fenced": fenced, "again": again, "listed": known}

    async def subaccount(self, **_told: Any) -> None:
        raise Cannot("our adapter has the one sub-account that its credentials name")

    async def market_order(self, **_told: Any) -> None:
        raise Cannot("our engine always names its limit")

    async def wallet_buys(self, market: str, kind: int, at: int, quantity: int) -> str:
        order = self.describe(market, "yes", "buy", at, quantity, "ioc", self.fresh_name())
        async with self.spenders[kind]() as spender:
            spender.load(self.markets)
            return str(self._concluded(order, await spender.submit(spender.prepare(order)))["order"])

    async def sweep(self, market: str) -> None:
        if not isinstance(self.trading, Sweeping):
            raise Cannot("the adapter has no cancel-all")
        self._done(await self.trading.cancel_all(market if self.dialect == "polymarket" else None))

    async def beat(self) -> dict[str, str]:
        if not isinstance(self.beating, Beating):
            raise Cannot("the venue has no heartbeat" if self.dialect == "kalshi" else "the adapter has no heartbeat")
        first, second = await self.beating.beat(), await self.beating.beat()
        return {"first": self._done(first), "second": self._done(second)}

    def _done(self, told: Any) -> str:
        if not isinstance(told, Done):
            raise Broken(str(told))
        return told.text

    # account

    async def fills(self, market: str) -> list[dict[str, object]]:
        told = await self.trading.fills_since("")
        if not isinstance(told, FillPage):
            raise Broken(told.text)
        return [self._fill(seen) for seen in told.fills if seen.market == market]

    def _fill(self, seen: FillSeen) -> dict[str, object]:
        return {
            "fill": seen.fill.fill.partition(":")[0], "order": seen.venue_order, "price": seen.fill.price,
            "quantity": seen.fill.quantity, "fee": seen.fill.fee if seen.fee_known else None, "maker": seen.fill.maker,
        }  # fmt: skip

    async def cash(self) -> dict[str, int]:
        told = await self.trading.cash()
        if isinstance(told, Failed):
            raise Refused("rate" if told.rate_limited else "other", told.text)
        return {"cash": told, "step": 100 if self.dialect == "kalshi" else 1}

    async def position(self, market: str) -> list[int]:
        told = await self.trading.positions()
        if isinstance(told, Failed):
            raise Broken(told.text)
        return next(([p.yes, p.no] for p in told if p.market == market), [0, 0])

    # streams

    async def listen(self, market: str) -> None:
        told = await self.data.markets([market])
        if isinstance(told, Failed):
            raise Broken(told.text)
        connected = asyncio.Event()
        self._listening = [
            asyncio.create_task(self.data.stream(told, self._hear_book, lambda _: None)),
            asyncio.create_task(self.account.stream(told, self._hear_ours, connected.set)),
        ]
        async with asyncio.timeout(5):
            await connected.wait()
            while not self.heard:  # noqa: ASYNC110 - what is waited for comes by a callback
                await asyncio.sleep(0.02)

    def _hear_book(self, book: Book) -> None:
        self.heard.append({"what": "book", "bids": rows(book.yes_bids), "asks": rows(book.yes_asks)})

    def _hear_ours(self, told: StreamEvent) -> None:
        if isinstance(told, FillSeen):
            self.heard.append({"what": "fill"} | self._fill(told))
        else:
            self.heard.append({"what": "order", "order": told.venue_order, "open": told.ended is None})

    async def heard_so_far(self) -> list[dict[str, object]]:
        return list(self.heard)

    async def hush(self) -> None:
        for task in self._listening:
            task.cancel()
        for task in self._listening:
            with suppress(asyncio.CancelledError):
                await task
        self._listening, self.heard = [], []


def rows(levels: Levels) -> list[list[int]]:
    return [[price, quantity] for price, quantity in levels]
