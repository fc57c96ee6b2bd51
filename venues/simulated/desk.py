"""What both servers share: the clock, the order desk with its faults, the streams, and the log of requests.

The desk is the only place where a fault touches a request. A dialect gives it two functions, one that says what an order
would do and one that does it, and gets the answer to send, or none.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from venues.simulated.exchange import Exchange
from venues.simulated.faults import UPHEAVALS, Endpoint, Kind, Script
from venues.simulated.happenings import Bend, Happening
from venues.simulated.scale import UNIT

log = logging.getLogger("venues.simulated")

HOLD_S = 5.0
LATE_S = (0.8, 1.8)
DELAY_S = (0.3, 0.9)
FREEZE_NS = 1_500_000_000
QUEUE_MAX = 20_000
GATEWAY_PAGE = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n"
    "<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)


@dataclass(slots=True)
class RequestRecord:
    n: int
    at_ns: int
    method: str
    path: str
    account: str
    wire_id: str
    body_sha256: str
    status: int | None = None
    fault: str | None = None
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """What an order would do if nothing went wrong."""

    accepted: bool
    quantity: int
    time_in_force: str


@dataclass(frozen=True, slots=True)
class Reply:
    response: web.Response
    accepted: bool


class Refusals(Protocol):
    """Definite and gateway answers in the words of one venue."""

    def rejected(self) -> web.Response: ...

    def unfunded(self) -> web.Response: ...

    def rate_limited(self) -> web.Response: ...


@dataclass(frozen=True, slots=True)
class Upheaval:
    """How a dialect makes one happen, by the market of the order that meets it."""

    possible: Callable[[str], bool]
    strike: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Struck:
    """An upheaval that happened, and how many orders of accounts were open: resting, delayed, or not answered yet."""

    kind: Kind
    at_ns: int
    market: str
    orders_open: int


class Stream:
    """One web socket: messages leave in order, and stand still while the venue is frozen."""

    def __init__(self, desk: Desk, socket: web.WebSocketResponse) -> None:
        self._desk, self.socket = desk, socket
        self._queue: deque[str] = deque()
        self._waiting = asyncio.Event()
        self.overflowed = False

    def send(self, text: str) -> None:
        if len(self._queue) >= QUEUE_MAX:
            self.overflowed = True
        else:
            self._queue.append(text)
        self._waiting.set()

    async def write(self, farewell: str | None = None) -> None:
        """Runs until the socket closes; a consumer that is too slow is told so, where the venue does, and dropped."""
        try:
            while not self.socket.closed:
                await self._waiting.wait()
                self._waiting.clear()
                if self.overflowed:
                    if farewell is not None:
                        await self.socket.send_str(farewell)
                    await self.socket.close()
                    return
                while self._queue:
                    await self._desk.thaw()
                    await self.socket.send_str(self._queue.popleft())
        except (ConnectionError, RuntimeError, asyncio.CancelledError):
            return


@dataclass
class Desk:
    name: str
    dialect: str
    seed: int
    exchange: Exchange
    script: Script
    start_ns: int
    tell: Callable[[list[Happening]], None] = lambda _: None
    now: Callable[[], int] = time.time_ns
    requests: list[RequestRecord] = field(default_factory=list)
    frozen_until_ns: int = 0
    storm_until_ns: int = 0  # every order and cancel meets a rate limit
    down_until_ns: int = 0  # no connection is taken
    upheavals: dict[Kind, Upheaval] = field(default_factory=dict)
    struck: list[Struck] = field(default_factory=list)
    unanswered: int = 0  # order requests under way
    quiet: bool = False
    still: Callable[[], bool] = lambda: False
    """Whether the books stand still: nobody trades, the makers neither."""
    hold_s: float = HOLD_S
    draw: random.Random = field(default_factory=random.Random)
    _effects: dict[str, list[Kind | int]] = field(default_factory=dict)
    _seen: set[tuple[str, str, str]] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _connected: dict[int, web.Request] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.draw = random.Random(f"{self.seed}/{self.name}/desk")

    # events

    def flush(self) -> None:
        """Let what is due happen, then tell what happened."""
        self.exchange.advance(self.now())
        while self.exchange.events:  # who listens may cause more
            happenings, self.exchange.events = self.exchange.events, []
            self.tell(happenings)

    async def thaw(self) -> None:
        while (wait_ns := self.frozen_until_ns - self.now()) > 0:  # noqa: ASYNC110  a second fault may prolong it
            await asyncio.sleep(wait_ns / 1e9)

    def deliver(self, wire_id: str, text: str, streams: Callable[[], Iterable[Stream]]) -> None:
        """Send a private message of one order, as the fault on that order wants it."""

        def send() -> None:
            for stream in streams():
                stream.send(text)

        effect = self._effects.get(wire_id)
        if effect is None:
            send()
        elif effect[0] == "duplicate_events":
            send()
            send()
        else:
            # the first message waits longest, so even two of them change places
            count = int(effect[1])
            effect[1] = count + 1
            delay_s = max(0.05, 1.0 - 0.3 * count) + self.draw.uniform(0, 0.1)
            asyncio.get_running_loop().call_later(delay_s, send)

    # connections

    def doorman(self) -> Middleware:
        """Middleware that knows who is connected, and that turns everybody away while the process is down."""

        @web.middleware
        async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith("/admin/"):
                return await handler(request)
            if self.now() < self.down_until_ns:
                return self._abort(request)
            self._connected[id(request)] = request
            try:
                return await handler(request)
            finally:
                self._connected.pop(id(request), None)

        return watch

    def restart(self, seconds: float) -> None:
        """As if the process ended and came back: every connection breaks, none is taken for a while, the state survives."""
        self.down_until_ns = self.now() + int(seconds * 1e9)
        for request in list(self._connected.values()):
            self._abort(request)

    def _abort(self, request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=499)

    # requests

    def record(self, request: web.Request, body: bytes, account: str, wire_id: str) -> RequestRecord:
        entry = RequestRecord(
            len(self.requests) + 1, self.now(), request.method, request.path, account, wire_id,
            hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        self.requests.append(entry)
        return entry

    async def take_order(
        self, request: web.Request, entry: RequestRecord, preview: Callable[[], Preview],
        process: Callable[[Bend | None], Reply], refusals: Refusals, market: str = "",
    ) -> web.StreamResponse:  # fmt: skip
        """Process one well-formed order, or do to it what the script says."""
        self.unanswered += 1
        try:
            return await self._take(request, entry, preview, process, refusals, market)
        finally:
            self.unanswered -= 1

    async def _take(
        self, request: web.Request, entry: RequestRecord, preview: Callable[[], Preview],
        process: Callable[[Bend | None], Reply], refusals: Refusals, market: str,
    ) -> web.StreamResponse:  # fmt: skip
        identity = (entry.account, entry.wire_id, entry.body_sha256)
        fault: Kind | None = None
        if identity not in self._seen:
            self._seen.add(identity)
            self.script.arrive("order", self.now() - self.start_ns)
            self.exchange.advance(self.now())
            seen = preview()
            fault = self.script.take("order", lambda kind: self._feasible(kind, seen, market))
        entry.fault = fault
        if fault is None:
            return self._answer(entry, self._process(entry, process, None).response)
        log.info("%s: order %s meets %s", self.name, entry.wire_id, fault)
        if fault in UPHEAVALS:
            self._strike(fault, market)
            reply = self._process(entry, process, None)
            return self._abort(request) if self.now() < self.down_until_ns else self._answer(entry, reply.response)
        match fault:
            case "request_lost":
                return await self._drop(request)
            case "late_arrival":
                self.spawn(self._late(entry, process))
                return await self._drop(request)
            case "reject":
                return self._answer(entry, refusals.rejected())
            case "insufficient_funds":
                return self._answer(entry, refusals.unfunded())
            case "rate_limited":
                return self._answer(entry, refusals.rate_limited())
            case "stream_freeze":
                self.frozen_until_ns = self.now() + FREEZE_NS
            case "duplicate_events" | "disordered_events":
                self._effects[entry.wire_id] = [fault, 0]
            case _:
                pass
        reply = self._process(entry, process, self._bend(fault))
        if fault == "timeout_after_accept":
            return await self._drop(request)
        if fault == "error_after_accept":
            return self._answer(entry, self.gateway_error())
        return self._answer(entry, reply.response)

    async def guard(
        self, request: web.Request, endpoint: Endpoint, process: Callable[[], web.Response], refusals: Refusals,
        entry: RequestRecord | None = None,
    ) -> web.StreamResponse:  # fmt: skip
        """The same for the other endpoints, which only file scripts address."""
        self.script.arrive(endpoint, self.now() - self.start_ns)
        fault = self.script.take(endpoint, lambda _: True)
        if entry is not None:
            entry.fault = fault
        if fault == "request_lost":
            return await self._drop(request)
        if fault == "rate_limited":
            return self._answer(entry, refusals.rate_limited())
        if fault == "reject":
            return self._answer(entry, refusals.rejected())
        response = process()
        self.flush()
        if entry is not None:
            entry.accepted = response.status < 300
        if fault == "timeout_after_accept":
            return await self._drop(request)
        return self._answer(entry, self.gateway_error() if fault == "error_after_accept" else response)

    def gateway_error(self) -> web.Response:
        if self.draw.random() < 0.5:
            return web.Response(status=502, text=GATEWAY_PAGE, content_type="text/html")
        return web.json_response({"error": "service unavailable"}, status=503)

    def _bend(self, fault: Kind) -> Bend | None:
        match fault:
            case "partial":
                return Bend(keep=Fraction(self.draw.randint(30, 70), 100))
            case "reversed_match":
                return Bend(reverse=True)
            case "taker_delay":
                return Bend(delay_ns=int(self.draw.uniform(*DELAY_S) * 1e9))
            case _:
                return None

    def _strike(self, kind: Kind, market: str) -> None:
        resting = sum(order.status in ("live", "delayed") for order in self.exchange.orders.values())
        self.struck.append(Struck(kind, self.now(), market, resting + self.unanswered))
        self.upheavals[kind].strike(market)
        self.flush()

    def _feasible(self, kind: Kind, seen: Preview, market: str) -> bool:
        if kind in UPHEAVALS:
            # one that nothing but a refused order would meet is not worth having
            return seen.accepted and kind in self.upheavals and self.upheavals[kind].possible(market)
        match kind:
            case "request_lost" | "rate_limited" | "stream_freeze":
                return True
            case "partial":
                return seen.accepted and seen.quantity >= 2 * UNIT and seen.time_in_force != "fok"
            case "reversed_match" | "taker_delay":
                return seen.accepted and seen.quantity > 0 and self.dialect == "polymarket"
            case _:
                return seen.accepted

    def _process(self, entry: RequestRecord, process: Callable[[Bend | None], Reply], bend: Bend | None) -> Reply:
        reply = process(bend)
        entry.accepted = reply.accepted
        self.flush()
        return reply

    def _answer(self, entry: RequestRecord | None, response: web.Response) -> web.Response:
        if entry is not None:
            entry.status = response.status
        return response

    async def _late(self, entry: RequestRecord, process: Callable[[Bend | None], Reply]) -> None:
        await asyncio.sleep(self.draw.uniform(*LATE_S))
        self._process(entry, process, None)

    async def _drop(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.hold_s)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=499)

    def spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel_tasks(self) -> None:
        for task in list(self._tasks):
            task.cancel()

    # the judge

    def ledger(self) -> dict[str, object]:
        self.flush()
        exchange = self.exchange
        accounts = {
            a.id: {
                "deposits": a.deposits, "cash": a.cash, "reserved": a.reserved, "fees_paid": a.fees_paid,
                "positions": {m: {"yes": p.yes, "no": p.no} for m, p in a.positions.items() if p.yes or p.no},
            }
            for a in exchange.accounts.values() if not a.unlimited
        }  # fmt: skip
        orders = [
            {
                "venue_order": o.venue_order, "wire_id": o.wire_id, "account": o.account, "market": o.market,
                "outcome": o.outcome, "side": o.action, "price": o.price, "quantity": o.quantity, "spend": o.spend,
                "time_in_force": o.time_in_force, "status": o.status, "matched": o.matched, "created_ns": o.created_ns,
                "body_sha256": o.body_sha256,
            }
            for o in exchange.orders.values()
        ]  # fmt: skip
        fills = [
            {
                "fill_id": f.fill_id, "venue_order": f.order.venue_order, "wire_id": f.order.wire_id,
                "account": f.order.account, "market": f.order.market, "outcome": f.outcome, "side": f.action,
                "price": f.price, "quantity": f.quantity, "cash": f.cash, "fee": f.fee,
                "settlement": "matched" if f.match.settlement == "retrying" else f.match.settlement,
                "role": f.role, "at_ns": f.at_ns,
            }
            for f in exchange.fills
        ]  # fmt: skip
        return {
            "venue": self.name, "dialect": self.dialect, "seed": self.seed, "now_ns": self.now(), "accounts": accounts,
            "orders": orders, "fills": fills, "requests": [asdict(r) for r in self.requests],
            "movements": [asdict(m) for m in exchange.movements], "upheavals": [asdict(s) for s in self.struck],
            "faults_hit": dict(self.script.hits), "imbalance": exchange.imbalance(),
        }  # fmt: skip
