"""From permission to intent: an approved opportunity becomes `Opened`, which names every order before any is sent."""

from __future__ import annotations

from collections.abc import Mapping

from core.checks import Approved
from messages.markets import Market
from messages.opportunities import Opportunity, PlannedLeg
from messages.orders import Order, Role
from messages.trades import Bounds, LegTerms, Opened
from messages.units import CENT, Money, Nanos, Side, TimeInForce

Key = tuple[str, str]


def intend(
    approved: Approved[Opportunity], trade: str, terms: tuple[LegTerms, ...], bounds: Bounds, now: Nanos
) -> Opened:
    """The intent of one trade. Everything in it is data; nothing is drawn."""
    opportunity = approved.value
    orders = tuple(
        _opening(leg, number, term, trade, now, bounds)
        for number, (leg, term) in enumerate(zip(opportunity.legs, terms, strict=True))
    )
    return Opened(
        trade=trade,
        opportunity=opportunity,
        payout=opportunity.payout,
        terms=terms,
        bounds=bounds,
        orders=orders,
        at=now,
    )


def _opening(leg: PlannedLeg, number: int, terms: LegTerms, trade: str, now: Nanos, bounds: Bounds) -> Order:
    return Order(
        order=f"{trade}.{number}.0",
        trade=trade,
        leg=number,
        role=Role.OPEN,
        venue=leg.venue,
        market=leg.market,
        outcome=leg.outcome,
        side=Side.BUY,
        price=leg.limit,
        quantity=leg.quantity,
        spend=Money(leg.cost // CENT * CENT) if terms.cash_denominated else None,
        time_in_force=TimeInForce.IOC,
        made_at=now,
        not_after=Nanos(now + bounds.send_window),
    )


def terms_of(leg: PlannedLeg, markets: Mapping[Key, Market], policy: Mapping[str, LegTerms]) -> LegTerms:
    """The venue's policy (`policy`, a template by venue) with this market's own rules in it."""
    market = markets[(leg.venue, leg.market)]
    return policy[leg.venue].model_copy(
        update={
            "market": leg.market,
            "outcome": leg.outcome,
            "ticks": market.ticks,
            "lot": market.lot,
            "min_quantity": market.min_quantity,
            "min_spend": market.min_spend,
            "cash_denominated": market.cash_denominated,
            "fees": market.fees,
        }
    )
