"""Fees against published figures, and never better than the bound we traded on."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.fees import fee_of_fill, worst_fee
from core.units import cost_of, parse_money, parse_price, parse_quantity
from messages.markets import FeeFormula, FeeSchedule
from messages.units import Money, Nanos, Price, Quantity, Side

DATA = Path(__file__).parents[1] / "data"
KALSHI = json.loads((DATA / "kalshi_fees.json").read_text())["cases"]
POLYMARKET = json.loads((DATA / "polymarket_amounts_fees.json").read_text())["taker_fee_examples"]
MAKER_PPM = {"quadratic": 0, "quadratic_with_maker_fees": 17_500, "quadratic_with_combo_maker_fees": 35_000}


def schedule(
    formula: FeeFormula, taker_ppm: int, maker_ppm: int = 0, step: int = 100, exponent: int = 1
) -> FeeSchedule:
    return FeeSchedule(
        formula=formula,
        version=1,
        taker_ppm=taker_ppm,
        maker_ppm=maker_ppm,
        exponent=exponent,
        step=Money(step),
        verified_at=Nanos(0),
    )


@pytest.mark.parametrize("case", KALSHI, ids=lambda case: case["name"])
def test_kalshi_fees_are_the_published_ones(case: dict[str, Any]) -> None:
    multiplier = Decimal(case["multiplier"])
    terms = schedule(
        FeeFormula.KALSHI,
        int(70_000 * multiplier),
        int(MAKER_PPM[case["fee_type"]] * multiplier),
        parse_money(case["precision"]),
    )
    carried = Money(0)
    for fill in case["fills"]:
        price, quantity = parse_price(fill["price"]), parse_quantity(fill["count"])
        charge = fee_of_fill(terms, price, quantity, maker=not case["taker"], carried=carried)
        carried = charge.carried
        assert charge.trade_fee == parse_money(fill["trade_fee"])
        assert charge.rounding_fee == parse_money(fill["rounding_fee"])
        assert charge.rebate == parse_money(fill["rebate"])
        assert charge.fee == parse_money(fill["net_fee"])
        assert charge.carried == parse_money(fill["accumulator"])
        assert -cost_of(price, quantity) - charge.fee == parse_money(fill["balance_change"])
        assert charge.fee <= worst_fee(terms, price, quantity, maker=not case["taker"])


@pytest.mark.parametrize("case", POLYMARKET, ids=lambda case: f"{case['shares']}@{case['price']}x{case['rate']}")
def test_polymarket_fees_are_the_published_ones(case: dict[str, Any]) -> None:
    terms = schedule(FeeFormula.POLYMARKET, int(Decimal(case["rate"]) * 1_000_000))
    price, quantity = parse_price(case["price"]), parse_quantity(case["shares"])
    assert fee_of_fill(terms, price, quantity, maker=False).fee == parse_money(case["fee_pUSD_5dp"])
    assert fee_of_fill(terms, price, quantity, maker=True).fee == 0


terms_of_any_venue = st.builds(
    schedule,
    st.sampled_from(FeeFormula),
    st.integers(0, 300_000),
    st.integers(0, 50_000),
    st.sampled_from((100, 10_000)),
    st.integers(0, 2),
)


@given(
    terms_of_any_venue,
    st.integers(1, 9_999),
    st.lists(st.integers(1, 10**9), min_size=1, max_size=6),
    st.booleans(),
    st.sampled_from(Side),
)
def test_no_split_of_a_level_costs_more_than_the_bound(
    terms: FeeSchedule, price: int, parts: list[int], maker: bool, side: Side
) -> None:
    carried, paid = Money(0), 0
    for part in parts:
        charge = fee_of_fill(terms, Price(price), Quantity(part), maker=maker, side=side, carried=carried)
        assert charge.fee >= 0
        carried, paid = charge.carried, paid + charge.fee
    assert paid <= worst_fee(terms, Price(price), Quantity(sum(parts)), maker, len(parts))


@given(terms_of_any_venue, st.integers(1, 9_999), st.integers(1, 10**10), st.booleans())
def test_the_bound_is_never_below_the_formula_and_stays_close(
    terms: FeeSchedule, price: int, quantity: int, maker: bool
) -> None:
    rate = terms.maker_ppm if maker else terms.taker_ppm
    exponent = terms.exponent if terms.formula is FeeFormula.POLYMARKET else 1
    exact = Fraction(rate, 1_000_000) * quantity * Fraction(price * (10_000 - price), 10**8) ** exponent
    bound = worst_fee(terms, Price(price), Quantity(quantity), maker)
    assert exact <= bound <= exact + max(terms.step, 10) + 1


def test_an_unknown_role_is_charged_as_a_taker() -> None:
    terms = schedule(FeeFormula.KALSHI, 70_000)
    price, quantity = Price(5_000), Quantity(100_000_000)
    assert fee_of_fill(terms, price, quantity, maker=None) == fee_of_fill(terms, price, quantity, maker=False)
