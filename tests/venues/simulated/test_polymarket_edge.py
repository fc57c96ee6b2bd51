"""The edge in front of the venue: it holds back what exceeds its budgets, and speaks HTML when it has had enough."""

from __future__ import annotations

import time

import aiohttp

from tests.venues.simulated.clients import running
from tests.venues.simulated.polymarket_trader import Trader
from venues.simulated.polymarket_edge import HELD_MOST_S, Window

S = 10**9


def test_a_window_never_lets_more_through_than_its_budget_allows():
    window, passed = Window(100, 10), list[int]()
    for ms in range(0, 40_000, 7):
        if window.wait_s(ms * 10**6) == 0:
            passed.append(ms)
    for start in range(0, 30_000, 500):
        # two fixed windows stand for a sliding one, so a burst at their seam may count for a little less than it was
        assert sum(start <= ms < start + 10_000 for ms in passed) <= 120
    assert 380 <= len(passed) <= 420


def test_a_window_says_how_long_to_wait():
    window = Window(2, 10)
    assert [window.wait_s(20 * S), window.wait_s(20 * S)] == [0, 0]
    assert window.wait_s(24 * S) == 6
    assert 0 < window.wait_s(31 * S) < 9
    assert window.wait_s(45 * S) == 0


async def test_the_fifty_first_refresh_is_answered_by_the_edge_without_the_venues_headers():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1))
        frozen = time.time_ns() // (10 * S) * 10 * S + 100  # the window has just begun
        venue.desk.now = lambda: frozen
        for _ in range(50):
            assert (await trader.call("GET", "/balance-allowance/update"))[0] == 200
        path = "/balance-allowance/update"
        async with session.get(trader.base + path, headers=trader.headers("GET", path)) as response:
            assert (response.status, response.content_type) == (429, "text/html")
            assert not [name for name in response.headers if name.lower().startswith(("poly-", "retry-"))]
        assert venue.polymarket.edge.refused == 1
        assert (await trader.call("GET", "/balance-allowance"))[0] == 200  # a budget of its own


async def test_what_fits_soon_is_held_and_then_answered():
    async with running("polymarket") as venue, aiohttp.ClientSession() as session:
        trader = Trader(session, venue.ready(1))
        began, slack = time.time_ns(), time.time_ns() // (10 * S) * 10 * S + 9 * S
        venue.desk.now = lambda: slack + (time.time_ns() - began)  # a second before the window ends
        for _ in range(50):
            await trader.call("GET", "/balance-allowance/update")
        start = time.monotonic()
        assert (await trader.call("GET", "/balance-allowance/update"))[0] == 200
        assert 0.3 < time.monotonic() - start < HELD_MOST_S
        assert (venue.polymarket.edge.held, venue.polymarket.edge.refused) == (1, 0)
