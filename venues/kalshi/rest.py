"""Order entry over Kalshi's REST interface."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import quote

from messages.markets import Market
from messages.orders import Ended, Order, Rested
from messages.reasons import Refusal, Trouble
from messages.units import SECOND, Money, Nanos, Price, Quantity
from venues.http import WireError
from venues.kalshi import codec
from venues.kalshi.account import ORDERS
from venues.kalshi.acts import judge
from venues.kalshi.batches import batch_error, classify_batch
from venues.kalshi.groups import Groups
from venues.kalshi.outcome import classify, classify_error
from venues.kalshi.reads import Reads
from venues.port import (
    PLAIN,
    ActAnswer,
    ChangeAnswer,
    Denied,
    Done,
    Failed,
    LookUpAnswer,
    Prepared,
    SubmitAnswer,
    Terms,
    Unsure,
)
from venues.reading import is_object, json_of, text_of

BATCHED = f"{ORDERS}/batched"

REREADS = 3
REREAD_PAUSE_S = 0.08
"""Reads lag writes: an order that was cancelled may be shown as resting for some hundred milliseconds."""

ORDER_COST = 10
"""Tokens of the write budget; a batch costs as much as its items."""
BATCH_MOST = 10
"""What the smallest write budget admits at once, until the venue has told us ours."""

SWEEP_TAIL = Nanos(60 * SECOND)


class KalshiTrading(Reads, Groups):
    """`Trading` on one Kalshi account with one key; also shapes, batches, amends, groups, sweeps and shards."""

    sweep_tail = SWEEP_TAIL
    _swept_until = Nanos(0)

    def load(self, markets: Sequence[Market]) -> None:
        """Nothing: an order of Kalshi says everything by itself."""

    @property
    def batch_most(self) -> int:
        write = next((told.most for told in self._allowances if told.scope == "write"), None)
        return BATCH_MOST if write is None else max(1, write // ORDER_COST)

    def identify(self, order: Order) -> str:
        return codec.client_order_id(order.order)

    def prepare(self, order: Order) -> Prepared:
        return self._prepared(order, PLAIN)

    def prepare_with(self, order: Order, terms: Terms) -> Prepared | Denied:
        if wrong := codec.contradiction(order, terms):
            return Denied(Refusal.INVALID, wrong)
        return self._prepared(order, terms)

    def _prepared(self, order: Order, terms: Terms) -> Prepared:
        wire = codec.client_order_id(order.order)
        return Prepared(order, wire, codec.order_body(order, wire, terms, self.subaccount), terms)

    async def submit(self, prepared: Prepared, *, repost: bool = False) -> SubmitAnswer:
        order = prepared.order
        signed = await self._signer.ready("POST", self._root + ORDERS)
        try:
            response = await self._calls.once(
                "POST", ORDERS, {**signed, "Content-Type": "application/json"}, prepared.body
            )
        except WireError as error:
            return classify_error(order, error, self._clock.now(), repost=repost)[1]
        _, answer = classify(
            order, prepared.wire, response.status, response.headers, response.body, self._clock.now(), repost=repost
        )
        return answer

    async def submit_batch(self, prepared: Sequence[Prepared]) -> tuple[SubmitAnswer, ...]:
        answers: list[SubmitAnswer] = []
        for start in range(0, len(prepared), self.batch_most):
            part = prepared[start : start + self.batch_most]
            body = b'{"orders":[' + b",".join(sent.body for sent in part) + b"]}"
            told = await self._act("POST", BATCHED, body)
            if isinstance(told, WireError):
                judged = batch_error(part, told, self._now())
            else:
                judged = classify_batch(part, told.status, told.headers, told.body, self._now())
            answers.extend(answer for _, answer in judged)
        return tuple(answers)

    # Taking back.

    async def cancel(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        if venue_order is None:
            found = await self.look_up(order, None)
            if not isinstance(found, Rested):
                return found
            venue_order = found.venue_order
        # without the ticker the request goes to shard 0, whatever the order's own
        path = f"{ORDERS}/{quote(venue_order, safe='')}?market_ticker={quote(order.market, safe='')}"
        done = await self._act("DELETE", self._scoped(path))
        return await self._after_cancel(order, venue_order, not isinstance(done, WireError) and done.status == 200)

    async def cancel_batch(self, orders: Sequence[tuple[Order, str]]) -> tuple[LookUpAnswer, ...]:
        """Each is looked up afterwards: what a cancel's answer says has been about other orders."""
        answers: list[LookUpAnswer] = []
        for start in range(0, len(orders), self.batch_most):
            part = orders[start : start + self.batch_most]
            acknowledged = await self._cancel_listed([(order.market, told) for order, told in part])
            answers.extend([await self._after_cancel(order, told, told in acknowledged) for order, told in part])
        return tuple(answers)

    async def _cancel_listed(self, orders: Sequence[tuple[str, str]]) -> set[str]:
        """One request; which of these the venue says it cancelled."""
        done = await self._act("DELETE", BATCHED, codec.cancels_body(orders, self.subaccount))
        told = None if isinstance(done, WireError) or done.status != 200 else json_of(done.body)
        listed = told.get("orders") if is_object(told) else None
        return {
            text_of(item, "order_id")
            for item in (listed if isinstance(listed, list) else ())
            if is_object(item) and item.get("error") is None
        }

    async def _after_cancel(self, order: Order, venue_order: str, acknowledged: bool) -> LookUpAnswer:
        answer = await self.look_up(order, venue_order)
        for _ in range(REREADS):
            if not (acknowledged and isinstance(answer, Rested)):
                break
            await asyncio.sleep(REREAD_PAUSE_S)
            answer = await self.look_up(order, venue_order)
        return answer

    async def cancel_all(self, market: str | None = None) -> ActAnswer:
        """The whole account on all shards (or our sub-account): direct members only. One market: by its list of resting
        orders, so an order that the list does not show yet stays.
        """
        if market is not None:
            return await self._cancel_market(market)
        before = self._swept_until
        # counted from before the request: without an answer it may still have begun
        self._swept_until = Nanos(self._now() + self.sweep_tail)
        _, said = judge(await self._act("DELETE", self._scoped(ORDERS)), self._now())
        if isinstance(said, Denied):
            self._swept_until = before
        elif isinstance(said, Done):
            self._swept_until = Nanos(self._now() + self.sweep_tail)
        return said

    def swept_until(self) -> Nanos:
        return self._swept_until

    async def _cancel_market(self, market: str) -> ActAnswer:
        listed = await self._pages("/portfolio/orders", f"ticker={quote(market, safe='')}", "status=resting", "orders")
        if isinstance(listed, Failed):
            return Unsure(Trouble.MALFORMED, f"the resting orders of {market} cannot be listed: {listed.text}")
        found = [text_of(told, "order_id") for told in listed]
        gone: set[str] = set()
        for start in range(0, len(found), self.batch_most):
            gone |= await self._cancel_listed([(market, told) for told in found[start : start + self.batch_most]])
        left = len(set(found) - gone)
        if left:
            return Unsure(Trouble.MALFORMED, f"{left} of {len(found)} orders of {market} were not said to be cancelled")
        return Done(self._now(), f"{len(found)} cancelled")

    async def move_cash(self, amount: Money, source: int, target: int, name: str) -> ActAnswer:
        """Of the primary account; between sub-accounts the venue keeps no identity and moves in steps that may stop."""
        if self.subaccount:
            return Denied(Refusal.INVALID, "cash is moved between the shards of the primary account alone")
        body = codec.transfer_body(amount, source, target, codec.client_order_id(name))
        answer = await self._act("POST", "/portfolio/intra_exchange_instance_transfer", body)
        _, said = judge(answer, self._now())
        if not isinstance(answer, WireError) and answer.status == 409 and is_object(json_of(answer.body)):
            # accepted before under this name
            return Done(self._now())
        return said

    # Changing in place.

    async def amend(self, order: Order, venue_order: str, *, price: Price, quantity: Quantity) -> ChangeAnswer:
        """A change of expiry or a smaller size keeps the place in the queue; another price or a larger size does not."""
        if quantity < codec.LOT:
            return Denied(Refusal.SIZE, "less than a hundredth of a contract; cancel it instead")
        body = codec.amend_body(order, codec.client_order_id(order.order), price, quantity)
        path = self._scoped(f"{ORDERS}/{quote(venue_order, safe='')}/amend")
        return await self._changed(order, venue_order, path, body, quantity)

    async def decrease(self, order: Order, venue_order: str, *, left: Quantity) -> ChangeAnswer:
        if left < codec.LOT:
            return Denied(Refusal.SIZE, "less than a hundredth of a contract; cancel it instead")
        path = self._scoped(f"{ORDERS}/{quote(venue_order, safe='')}/decrease")
        return await self._changed(order, venue_order, path, codec.decrease_body(order, left), order.quantity)

    async def _changed(self, order: Order, venue_order: str, path: str, body: bytes, most: Quantity) -> ChangeAnswer:
        """Believed only by a look at the order: an answer has described another order, and tells no total."""
        answer = await self._act("POST", path, body)
        _, said = judge(answer, self._now())
        if not isinstance(said, Done) or isinstance(answer, WireError):
            return said if not isinstance(said, Done) else Unsure(Trouble.MALFORMED, "no answer")
        larger = order.model_copy(update={"quantity": Quantity(max(most, order.quantity))})
        for pause_s in (0.0, *[REREAD_PAUSE_S] * REREADS):
            # an order so young that reads do not know it yet
            await asyncio.sleep(pause_s)
            seen = await self.look_up(larger, venue_order)
            if isinstance(seen, (Rested, Ended)):
                return seen
        return Unsure(Trouble.MALFORMED, "the change was acknowledged, and the order cannot be read")
