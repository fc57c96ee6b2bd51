"""From permission to intent: every order named, bounded and reserved for before any is sent."""

from __future__ import annotations

from dataclasses import replace

from core.checks import Approved, check, dearest
from core.desk import Desk
from core.detect import size
from core.intent import intend, terms_of
from messages.base import decode, encode
from messages.leases import CapitalGranted
from messages.opportunities import Opportunity
from messages.orders import Role, Submit
from messages.trades import LegTerms, Opened
from messages.units import CONTRACT, DOLLAR, Money, Nanos, Price, Quantity, Side, TimeInForce
from tests.core.markets import BOOKS, CROSSING, MARKETS, NOW, SIZING, K, P, market, view
from tests.core.story import BOUNDS, kalshi, polymarket, ticks

POLICY: dict[str, LegTerms] = {
    "kalshi": kalshi(market="", ticks=(), lot=Quantity(1)),
    "polymarket": polymarket(market="", ticks=(), lot=Quantity(1), cash_denominated=False),
}


def approved(most: int = 100) -> Approved[Opportunity]:
    def resize(quantity: Quantity) -> Opportunity:
        return size(CROSSING, BOOKS, MARKETS, replace(SIZING, quantity_most=quantity), "o", NOW)

    answer = check(resize(Quantity(most * CONTRACT)), view(), resize)
    assert isinstance(answer, Approved)
    return answer


def intent(at: Nanos = NOW, trade: str = "g.1.1") -> Opened:
    good = approved()
    terms = tuple(terms_of(leg, MARKETS, POLICY) for leg in good.value.legs)
    return intend(good, trade, terms, BOUNDS, at)


def test_the_intent_names_every_order_and_draws_nothing() -> None:
    opened = intent()
    assert opened == intent()
    assert decode(encode(opened)) == opened
    assert [o.order for o in opened.orders] == ["g.1.1.0.0", "g.1.1.1.0"]
    for number, (order, leg) in enumerate(zip(opened.orders, opened.opportunity.legs, strict=True)):
        assert (order.leg, order.role, order.side) == (number, Role.OPEN, Side.BUY)
        assert order.time_in_force is TimeInForce.IOC
        assert (order.price, order.quantity) == (leg.limit, leg.quantity)
        assert (order.made_at, order.not_after) == (NOW, NOW + BOUNDS.send_window)
        assert not order.reduces


def test_a_leg_that_is_a_sum_of_money_says_it_in_whole_cents() -> None:
    first, second = intent().orders
    assert first.spend is None
    assert second.spend == 45 * DOLLAR
    assert second.spend <= second.price * second.quantity // 10_000


def test_terms_are_the_venues_policy_with_the_markets_own_rules() -> None:
    markets = MARKETS | {P: market(P, ticks=ticks(10), lot=Quantity(7), min_spend=Money(3))}
    terms = terms_of(approved().value.legs[1], markets, POLICY)
    assert (terms.market, terms.outcome) == ("P", approved().value.legs[1].outcome)
    assert (terms.ticks, terms.lot, terms.min_spend, terms.cash_denominated) == (ticks(10), 7, 3, True)
    assert (terms.fees, terms.min_quantity) == (MARKETS[P].fees, MARKETS[P].min_quantity)
    assert terms.sells_after_settlement
    assert not terms.kill_consumes


def test_what_the_checks_asked_for_is_exactly_what_the_intent_reserves() -> None:
    """So that whatever passes the capital row leaves nobody below zero."""
    opened = intent()
    desk = Desk("g")
    needs = {leg.venue: dearest(leg, MARKETS[(leg.venue, leg.market)]) for leg in opened.opportunity.legs}
    for seq, (venue, need) in enumerate(needs.items(), 1):
        desk.apply(seq, CapitalGranted(owner_epoch=1, holder="x", venue=venue, total=need))
    applied = desk.apply(3, opened)
    assert [c.order for c in applied.commands if isinstance(c, Submit)] == list(opened.orders)
    assert desk.reserved == needs
    assert [desk.free(venue) for venue in needs] == [0, 0]


def test_the_limit_is_the_opportunitys_and_the_market_version_is_kept() -> None:
    opened = intent()
    assert [o.price for o in opened.orders] == [Price(leg.limit) for leg in opened.opportunity.legs]
    assert {leg.market_version for leg in opened.opportunity.legs} == {1}
    assert K in MARKETS
