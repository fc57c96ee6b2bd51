"""The market makers: one world in two processes, with arbitrage in it that outlives the fees."""

from __future__ import annotations

from fractions import Fraction

from tests.venues.simulated.clients import SIM_PAIRS
from venues.simulated.exchange import Exchange
from venues.simulated.kalshi import terms as kalshi_terms
from venues.simulated.participants import STEP_NS, Makers, Quoter
from venues.simulated.polymarket import terms as polymarket_terms
from venues.simulated.scale import PRICE_ONE, UNIT
from venues.simulated.universe import Pair, load_pairs

PAIRS = load_pairs(SIM_PAIRS)
STEPS = 150  # one minute


def edge(pair: Pair, kalshi: tuple[int, int], polymarket: tuple[int, int]) -> Fraction:
    """Best profit of one contract bought on one venue and sold on the other, after both fees, in price units."""

    def fees(k: int, p: int) -> Fraction:
        mine = Fraction(7, 100) * pair.kalshi.fee_multiplier * k * (PRICE_ONE - k) / PRICE_ONE
        return mine + pair.polymarket.fee_rate * p * (PRICE_ONE - p) / PRICE_ONE

    return max(
        kalshi[0] - polymarket[1] - fees(kalshi[0], polymarket[1]),
        polymarket[0] - kalshi[1] - fees(kalshi[1], polymarket[0]),
    )


def test_about_three_opportunities_a_second_begin_and_each_lasts_one_to_three_seconds():
    starts, lengths, edges, homes = 0, [], [], set()
    for pair in PAIRS:
        quoter, open_since = Quoter(7, pair), None
        for step in range(STEPS):
            left = edge(pair, quoter.touch("kalshi", step), quoter.touch("polymarket", step))
            if left > 0:
                edges.append(left)
                if open_since is None:
                    starts, open_since = starts + 1, step
                    homes.add(pair.id)
            elif open_since is not None:
                lengths.append((step - open_since) * STEP_NS / 1e9)
                open_since = None
    assert 2.2 < starts / 60 < 3.8
    assert homes == {pair.id for pair in PAIRS}
    assert 1.0 <= min(lengths) <= max(lengths) <= 3.0
    assert 100 <= min(edges) <= max(edges) <= 420


def test_quotes_lie_on_each_markets_grid_with_whole_contracts_on_both_sides():
    for pair in PAIRS:
        quoter = Quoter(3, pair)
        for step in range(0, STEPS, 7):
            for venue in ("kalshi", "polymarket"):
                ladder = quoter.ladder(venue, step)
                bid, ask = quoter.touch(venue, step)
                assert 100 <= ask - bid <= 300
                for side in ("bid", "ask"):
                    assert sum(1 for s, _ in ladder if s == side) >= 5
                for (_, price), size in ladder.items():
                    assert 10 * UNIT <= size <= 200 * UNIT
                    assert size % UNIT == 0
                    on_grid = pair.kalshi.on_grid(price) if venue == "kalshi" else price % pair.polymarket.tick == 0
                    assert on_grid


def test_two_processes_with_one_seed_quote_one_world():
    for number in (0, 11, 23):
        one, other = Quoter(7, PAIRS[number]), Quoter(7, PAIRS[number])
        for step in (500, 3, 77, 1_000):
            assert one.ladder("kalshi", step) == other.ladder("kalshi", step)
    assert Quoter(8, PAIRS[0]).ladder("kalshi", 5) != Quoter(7, PAIRS[0]).ladder("kalshi", 5)


def test_makers_touch_only_what_changed_and_refill_what_was_taken():
    for terms in (kalshi_terms(PAIRS), polymarket_terms(PAIRS)):
        venue = "kalshi" if terms.netting else "polymarket"
        exchange = Exchange(tuple(terms.fees), terms, "seed")
        makers = Makers(exchange, PAIRS, "kalshi" if terms.netting else "polymarket", 7)
        makers.requote_all(0, 0)
        market = next(iter(terms.fees))
        best = exchange.books[market].best("ask")
        assert best is not None
        size = exchange.books[market].size("ask", best)
        exchange.quote(market, "ask", best, 0, 0)
        exchange.events.clear()
        makers.requote_all(0, 1)
        assert len(exchange.events) == 1, venue
        assert exchange.books[market].size("ask", best) == size
        assert exchange.imbalance() == 0
