"""The edge in front of Polymarket: budgets by address and path, over sliding windows. What exceeds them is held back, and
what would be held back too long gets a page of the edge's own, without the venue's headers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from venues.simulated.happenings import S

WINDOW_S = 10
LONG_S = 600
HELD_MOST_S = 3.0
PAGE = (
    "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head><title>Access denied | Cloudflare used to restrict access</title></head>\n"
    "<body><h1>Error 1015</h1><p>You are being rate limited</p></body>\n</html>\n"
)  # fmt: skip
BUDGETS: tuple[tuple[str, str, int, int], ...] = (
    ("POST", "/order", 5_000, 120_000),
    ("DELETE", "/order", 5_000, 120_000),
    ("POST", "/orders", 2_000, 21_000),
    ("DELETE", "/orders", 2_000, 15_000),
    ("DELETE", "/cancel-all", 250, 6_000),
    ("DELETE", "/cancel-market-orders", 1_500, 21_000),
    ("", "/books", 500, 0),
    ("", "/book", 1_500, 0),
    ("", "/price", 1_500, 0),
    ("", "/midpoint", 1_500, 0),
    ("", "/data/orders", 500, 0),
    ("", "/data/trades", 500, 0),
    ("", "/balance-allowance/update", 50, 0),
    ("", "/balance-allowance", 200, 0),
    ("", "/tick-size", 200, 0),
    ("", "/auth/", 100, 0),
    ("", "/markets", 300, 0),
    ("", "/events", 500, 0),
    ("", "/v2/positions", 150, 0),
    ("", "/positions", 150, 0),
    ("", "/v2/trades", 200, 0),
    ("", "/trades", 200, 0),
    ("", "", 9_000, 0),
)
"""Method ("" is any), beginning of the path, requests in ten seconds, and in ten minutes (0: no second budget)."""


@dataclass(slots=True)
class Window:
    """A sliding window out of two fixed ones: the former counts for as much of it as still lies inside."""

    budget: int
    length_s: int
    start: int = 0
    count: int = 0
    before: int = 0

    def wait_s(self, now_ns: int) -> float:
        """How long until another request fits; 0 lets it in and counts it."""
        length_ns = self.length_s * S
        number = now_ns // length_ns
        if number != self.start:
            self.before = self.count if number == self.start + 1 else 0
            self.start, self.count = number, 0
        left = 1 - (now_ns % length_ns) / length_ns
        over = self.count + self.before * left + 1 - self.budget
        if over <= 0:
            self.count += 1
            return 0.0
        if self.before == 0:
            return left * self.length_s
        return min(left, over / self.before) * self.length_s


@dataclass
class Edge:
    now: Callable[[], int]
    windows: dict[tuple[str, str, str, int], Window] = field(default_factory=dict)
    held: int = 0
    refused: int = 0

    def _wait_s(self, method: str, path: str, address: str) -> float:
        verb, head, short, long = next(
            row for row in BUDGETS if row[0] in ("", method) and _meant(path, row[1])
        )  # fmt: skip
        waits = [0.0]
        for budget, length_s in ((short, WINDOW_S), (long, LONG_S)):
            if budget:
                key = (address, verb, head, length_s)
                window = self.windows.setdefault(key, Window(budget, length_s))
                waits.append(window.wait_s(self.now()))
        return max(waits)

    def middleware(self) -> Middleware:
        @web.middleware
        async def limit(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(("/admin/", "/ws/")):
                return await handler(request)
            waited = 0.0
            while (wait_s := self._wait_s(request.method, request.path, request.remote or "")) > 0:
                self.held += waited == 0
                waited += wait_s
                if waited > HELD_MOST_S:
                    self.refused += 1
                    return web.Response(status=429, text=PAGE, content_type="text/html")
                await asyncio.sleep(wait_s)
            return await handler(request)

        return limit


def _meant(path: str, head: str) -> bool:
    """`/order` does not mean `/orders`; what ends in a stroke means everything below it."""
    return head in ("", path) or path.startswith(head if head.endswith("/") else head + "/")
