"""Order entry over Polymarket's CLOB interface: place, cancel, replace, sweep, and the switch that cancels for the dead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from messages.markets import VenueMode
from messages.orders import Ended, LookUpFailed, Order, Refused, Rested
from messages.reasons import Refusal, Trouble
from messages.units import SECOND, Money, Nanos, Side
from venues.calls import Calls, Told
from venues.credentials import PolymarketCredentials
from venues.http import Response, SessionWire, Wire, WireError
from venues.patience import wait_asked
from venues.polymarket.heartbeat import BEAT_EVERY, Heartbeat
from venues.polymarket.meter import Meter, allowance
from venues.polymarket.modes import Modes
from venues.polymarket.outcome import classify, classify_batch, classify_error
from venues.polymarket.placing import token_of
from venues.polymarket.reads import Reads
from venues.polymarket.sign import Signer
from venues.port import (
    ActAnswer,
    Allowance,
    Capabilities,
    Clock,
    Denied,
    Done,
    Failed,
    LookUpAnswer,
    NotReady,
    Prepared,
    SubmitAnswer,
    Traffic,
    Unsure,
)
from venues.reading import is_object, json_of, text_of, whole_of

BATCH_MOST = 15
CANCELS_MOST = 1_000
"""Ids of one request; the venue takes no more."""
STALE_READS_MOST = 3
STALE_PAUSE_S = 0.15
"""A read that still shows what was just cancelled is repeated so often, after such a pause."""
PROBE_EVERY_S = 2.0
NO_ORDER = "0x" + "00" * 32
"""Asked to be cancelled while the venue takes nothing: its answer says whether it takes something again."""
FUNDS_EVERY_S = 1.0
"""The venue's cache of balances is asked to be renewed no more often."""


class PolymarketTrading(Reads):
    """`Trading` on one Polymarket wallet with one API key."""

    batch_most = BATCH_MOST
    sweep_tail = Nanos(0)
    beat_every = BEAT_EVERY

    def __init__(
        self,
        name: str,
        rest: str,
        credentials: PolymarketCredentials,
        clock: Clock,
        capabilities: Capabilities,
        request_timeout_s: float = 2.0,
        connect_timeout_s: float = 1.0,
        data: str = "",
        wire: Wire | None = None,
    ) -> None:
        signer = Signer(credentials, clock)
        calls = Calls(wire or SessionWire(rest, connect_timeout_s), self._sign, request_timeout_s, self._heed)
        elsewhere = Calls(SessionWire(data, connect_timeout_s), self._sign, request_timeout_s) if data else calls
        super().__init__(name, signer, clock, calls, elsewhere)
        self.capabilities = capabilities
        self._meter, self._modes = Meter(clock), Modes(clock)
        self._heart = Heartbeat(signer.owner, calls, clock)
        self._swept_until = self._funds_asked = Nanos(0)

    async def open(self) -> None:
        self._signer.check()
        await self._calls.open()
        await self._data.open()
        await self._calls.warm_up("/time")
        self._calls.keep(self._calls.keep_warm("/time"))
        self._calls.keep(self._probe())

    async def close(self) -> None:
        self._heart.release()
        await self._calls.close()
        await self._data.close()

    def traffic(self) -> Traffic:
        met = self._calls.traffic
        return Traffic(
            met.requests, met.rate_limited, met.unauthorised, met.failed, met.retry_after, self._meter.allowances
        )

    def mode_told(self) -> VenueMode:
        return self._modes.mode()

    # Placing

    async def submit(self, prepared: Prepared, *, repost: bool = False) -> SubmitAnswer:
        order = prepared.order
        self._posted(order)
        told = await self._post("/order", prepared.body)
        at = self._clock.now()
        if isinstance(told, WireError):
            return classify_error(order, told, at, repost=repost)[1]
        _, answer = classify(order, prepared.wire, told.status, told.headers, told.body, at, repost=repost)
        self._learn(prepared, answer)
        return answer

    async def submit_batch(self, prepared: Sequence[Prepared]) -> tuple[SubmitAnswer, ...]:
        """In requests of fifteen, one after the other; the signer's bucket admits each of them whole or not at all."""
        found: list[SubmitAnswer] = []
        for start in range(0, len(prepared), BATCH_MOST):
            some = prepared[start : start + BATCH_MOST]
            for one in some:
                self._posted(one.order)
            told = await self._post("/orders", b"[" + b",".join(one.body for one in some) + b"]")
            at = self._clock.now()
            if isinstance(told, WireError):
                found += [classify_error(one.order, told, at)[1] for one in some]
                continue
            asked = [(one.order, one.wire) for one in some]
            for one, (_, answer) in zip(
                some, classify_batch(asked, told.status, told.headers, told.body, at), strict=True
            ):
                self._learn(one, answer)
                found.append(answer)
        return tuple(found)

    async def _post(self, path: str, body: bytes) -> Response | WireError:
        headers = self._signer.headers("POST", path, body)
        headers["Content-Type"] = "application/json"
        try:
            return await self._calls.once("POST", path, headers, body)
        except WireError as error:
            return error

    def _learn(self, prepared: Prepared, answer: SubmitAnswer) -> None:
        """What an answer says beside the fate of its order."""
        if isinstance(answer, (Rested, Ended)) and not prepared.terms.post_only:
            self._modes.took()
        elif isinstance(answer, Refused) and answer.reason is Refusal.MODE:
            self._modes.refused()
        elif isinstance(answer, Refused) and answer.reason is Refusal.FUNDS:
            now = self._clock.now()
            # the venue refuses by a cache of balances, which lags behind deposits, approvals and settlements
            if now - self._funds_asked >= FUNDS_EVERY_S * SECOND:
                self._funds_asked = now
                self._calls.keep(self._renew_funds(prepared.order))

    async def _renew_funds(self, order: Order) -> None:
        await self._calls.read("/balance-allowance/update?" + self._funds_of(order))

    def _funds_of(self, order: Order) -> str:
        """The balance that an order draws on, as a query."""
        wallet = f"signature_type={self._signer.signature_type}"
        if order.side is Side.BUY:
            return f"asset_type=COLLATERAL&{wallet}"
        market = self._market(order)
        kind = "CONDITIONAL-V2" if market.generation == "exchange_v3" else "CONDITIONAL"
        return f"asset_type={kind}&token_id={token_of(market, order.outcome)}&{wallet}"

    # Taking back

    async def cancel(self, order: Order, venue_order: str | None) -> LookUpAnswer:
        try:
            wires = (venue_order,) if venue_order else self._identities(order)
        except NotReady as problem:
            return LookUpFailed(order=order.order, at=self._clock.now(), text=str(problem))
        # whether it was cancelled, filled or unknown is not decidable from the answer's text: a read says
        if len(wires) == 1:
            answer = await self._calls.act("DELETE", "/order", msgspec.json.encode({"orderID": wires[0]}))
        else:
            answer = await self._calls.act("DELETE", "/orders", msgspec.json.encode(wires))
        gone = not _cancelled(answer).isdisjoint(wires)
        return await self._look_behind(order, venue_order, shown_gone=gone)

    async def _look_behind(self, order: Order, venue_order: str | None, *, shown_gone: bool) -> LookUpAnswer:
        """Reads may lag: one that still shows a cancelled order resting is repeated a few times."""
        for _ in range(STALE_READS_MOST):
            answer = await self.look_up(order, venue_order)
            if not (shown_gone and isinstance(answer, Rested)):
                return answer
            await asyncio.sleep(STALE_PAUSE_S)
        return await self.look_up(order, venue_order)

    async def cancel_batch(self, orders: Sequence[tuple[Order, str]]) -> tuple[LookUpAnswer, ...]:
        gone = set[str]()
        for start in range(0, len(orders), CANCELS_MOST):
            ids = [venue_order for _, venue_order in orders[start : start + CANCELS_MOST]]
            gone |= _cancelled(await self._calls.act("DELETE", "/orders", msgspec.json.encode(ids)))
        looks = (self._look_behind(order, name, shown_gone=name.lower() in gone) for order, name in orders)
        return tuple(await asyncio.gather(*looks))

    async def replace(self, order: Order, venue_order: str, by: Prepared) -> tuple[LookUpAnswer, SubmitAnswer | None]:
        """The venue has no amend. `by` was sized before anybody knew what `order` fills while it is being cancelled: it
        is not sent either where the two together would come to more than `order` was for.
        """
        fate = await self.cancel(order, venue_order)
        over = isinstance(fate, Ended) and (not fate.matched or fate.matched + by.order.quantity <= order.quantity)
        return fate, await self.submit(by) if over else None

    async def cancel_all(self, market: str | None = None) -> ActAnswer:
        """Of the whole account, or of one market. `Unsure` names what the venue did not cancel: orders in their taker
        delay cannot be.
        """
        if market is None:
            answer = await self._calls.act("DELETE", "/cancel-all")
        else:
            answer = await self._calls.act(
                "DELETE", "/cancel-market-orders", msgspec.json.encode({"market": market, "asset_id": ""})
            )
        self._swept_until = self._clock.now()
        told = None if isinstance(answer, Failed) else json_of(answer.body)
        if isinstance(answer, Failed) or answer.status != 200 or not is_object(told):
            return self._unswept(answer)
        kept = told.get("not_canceled")
        if isinstance(kept, dict) and kept:
            reasons = "; ".join(sorted({reason for reason in kept.values() if isinstance(reason, str)}))
            return Unsure(Trouble.PARTIAL, f"{len(kept)} were not cancelled: {reasons[:160]}")
        return Done(self._clock.now(), f"{len(_cancelled(answer))} cancelled")

    def _unswept(self, answer: Response | Failed) -> ActAnswer:
        if not isinstance(answer, Failed):
            if answer.status in (401, 403) and is_object(json_of(answer.body)):
                return Denied(Refusal.AUTH, f"HTTP {answer.status}")
            if answer.status == 429 and "poly-ratelimit-remaining" in answer.headers:
                return Denied(Refusal.RATE_LIMIT, "HTTP 429", wait_asked(answer))
        # it may arrive yet, and then takes with it what was placed meanwhile
        self._swept_until = Nanos(self._swept_until + self.capabilities.late_arrival)
        if isinstance(answer, Failed):
            return Unsure(Trouble.CONNECTION, answer.text)
        return Unsure(Trouble.SERVER_ERROR, f"HTTP {answer.status}")

    def swept_until(self) -> Nanos:
        return self._swept_until

    # Beside trading

    async def beat(self) -> ActAnswer:
        """From the first one on the venue cancels this key's orders when no other comes within ten seconds."""
        return await self._heart.beat()

    async def closed_only(self) -> bool | Failed:
        """Whether the account may only close positions."""
        told = await self._calls.read("/auth/ban-status/closed-only")
        said = told.value.get("closed_only") if isinstance(told, Told) and is_object(told.value) else None
        if isinstance(told, Failed):
            return told
        return said if isinstance(said, bool) else Failed(text="whether the account is closed-only cannot be read")

    async def budgets(self) -> tuple[Allowance, ...] | Failed:
        """The signer's two buckets by its tier; how full they are is told by answers at order entry only."""
        told = await self._calls.read("/v1/user/rate-limit-tier")
        if isinstance(told, Failed):
            return told
        value = told.value if isinstance(told, Told) else None
        tier = value if isinstance(value, str) else ""
        if is_object(value):
            tier = next((text_of(value, key) for key in ("tier", "tier_name", "name") if text_of(value, key)), "")
        if not tier:
            return Failed(text="the tier of the rate limits cannot be read")
        return tuple(allowance(scope, tier, None, None) for scope in ("orders", "cancels"))

    async def spendable(self, order: Order) -> Money | Failed:
        """What the venue lets this order draw on: micro-dollars for a buy, millionths of a share for a sale; the smaller
        of the balance and of what the exchange contracts may take of it.
        """
        told = await self._calls.read("/balance-allowance?" + self._funds_of(order))
        if isinstance(told, Failed):
            return told
        value = told.value if isinstance(told, Told) else None
        balance = whole_of(value, "balance") if is_object(value) else None
        if balance is None or not is_object(value):
            return Failed(text="the balance cannot be read")
        return Money(min(balance, _allowed(value, balance)))

    async def _probe(self) -> None:
        """While the venue takes nothing, find out when it does again, with a request that can change nothing."""
        body = msgspec.json.encode({"orderID": NO_ORDER})
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            if self._modes.silent:
                await self._calls.act("DELETE", "/order", body)

    def _heed(self, method: str, path: str, response: Response) -> None:
        self._modes.heed(path, response)
        self._meter.heed(method, response)

    async def _sign(self, method: str, path: str, body: bytes) -> Mapping[str, str]:
        headers = self._signer.headers(method, path.partition("?")[0], body)
        return {**headers, "Content-Type": "application/json"} if body else headers


def _cancelled(answer: Response | Failed) -> set[str]:
    """Which orders the venue says it cancelled, in lower case."""
    told = None if isinstance(answer, Failed) or answer.status != 200 else json_of(answer.body)
    listed = told.get("canceled") if is_object(told) else None
    return {name.lower() for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()


def _allowed(told: Mapping[str, Any], balance: int) -> int:
    """The least of what the contracts may take; an allowance that is not told limits nothing here."""
    listed = told.get("allowances")
    texts = list(listed.values()) if isinstance(listed, dict) else [told.get("allowance")]
    found = [
        int(text) for text in texts if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 80
    ]
    return min(found, default=balance)
