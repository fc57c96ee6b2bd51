"""A market's rules and fees as Polymarket states them; what it does not state is not guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messages.markets import FeeFormula, FeeSchedule, Market, TickBand
from messages.units import DOLLAR, ONE_DOLLAR, Nanos, Price, Quantity
from venues.polymarket.amounts import AMOUNT_PLACES
from venues.polymarket.sign import generation_of
from venues.reading import is_object, objects, price_of, quantity_of, ratio_ppm, text_of, time_of

LOT = Quantity(10_000)
"""Shares have two decimals."""


def market(venue: str, told: Mapping[str, Any], about: Mapping[str, Any], condition: str, at: Nanos) -> Market | None:
    """A market's rules from its trading parameters and its description; version 0 until it is numbered."""
    tokens = _tokens(told)
    tick, least = price_of(told, "mts"), quantity_of(told, "mos")
    fees, neg_risk = fee_schedule(told, at), told.get("nr")
    neg_risk = about.get("negRisk") if not isinstance(neg_risk, bool) else neg_risk
    if tokens is None or tick not in AMOUNT_PLACES or least is None or fees is None or not isinstance(neg_risk, bool):
        return None
    return Market(
        venue=venue,
        market=condition,
        event=text_of(about, "slug") or condition,
        title=text_of(about, "question") or condition,
        open=about.get("acceptingOrders") is True and about.get("closed") is not True,
        closes_at=time_of(text_of(about, "endDate")),
        ticks=(TickBand(start=tick, stop=Price(ONE_DOLLAR - tick), step=tick),),
        lot=LOT,
        min_quantity=least,
        min_spend=DOLLAR,
        cash_denominated=True,
        fees=fees,
        neg_risk=neg_risk,
        generation=generation_of(int(tokens[0]), neg_risk=neg_risk),
        tokens=tokens,
        version=0,
        seen_at=at,
    )


def _tokens(told: Mapping[str, Any]) -> tuple[str, str] | None:
    by_outcome = {text_of(part, "o").lower(): text_of(part, "t") for part in objects(told.get("t"))}
    pair = by_outcome.get("yes", ""), by_outcome.get("no", "")
    if not all(0 < len(token) <= 78 and token.isascii() and token.isdigit() and int(token) < 2**256 for token in pair):
        return None
    return pair


def fee_schedule(told: Mapping[str, Any], at: Nanos) -> FeeSchedule | None:
    """None where the venue does not say: an unknown fee is not a fee of nothing."""
    terms = told.get("fd")
    if not is_object(terms):
        if told.get("tbf") == 0:
            return _schedule(0, 1, at)
        return None
    rate, exponent = ratio_ppm(terms.get("r")), terms.get("e", 1)
    if rate is None or not isinstance(exponent, (int, float)) or not 0 <= exponent <= 8 or terms.get("to") is False:
        # a fee that makers pay as well is not one that we know to calculate
        return None
    # a smaller exponent is a larger fee
    return _schedule(rate, int(exponent), at)


def _schedule(taker_ppm: int, exponent: int, at: Nanos) -> FeeSchedule:
    return FeeSchedule(
        formula=FeeFormula.POLYMARKET, version=0, taker_ppm=taker_ppm, maker_ppm=0, exponent=exponent, verified_at=at
    )
