"""Rounding is against ourselves, text is read exactly, and the grid is never left."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.units import (
    NotExact,
    bought_for,
    cents,
    contracts,
    cost_of,
    dollars,
    format_scaled,
    on_grid,
    opposite,
    parse_money,
    parse_price,
    parse_quantity,
    parse_scaled,
    proceeds_of,
    tick_down,
    tick_up,
    whole_lots,
)
from messages.markets import TickBand
from messages.units import Money, Price, Quantity

CENT_GRID = (TickBand(start=Price(0), stop=Price(10_000), step=Price(100)),)
TAPERED = (
    TickBand(start=Price(0), stop=Price(1_000), step=Price(10)),
    TickBand(start=Price(1_000), stop=Price(9_000), step=Price(100)),
    TickBand(start=Price(9_000), stop=Price(10_000), step=Price(10)),
)
NARROW = (TickBand(start=Price(100), stop=Price(9_900), step=Price(100)),)


@given(st.integers(0, 10_000), st.integers(0, 10**12))
def test_what_we_pay_is_rounded_up_and_what_we_get_down(price: int, quantity: int) -> None:
    exact = Decimal(price) * quantity / 10_000
    cost, proceeds = cost_of(Price(price), Quantity(quantity)), proceeds_of(Price(price), Quantity(quantity))
    assert proceeds <= exact <= cost
    assert cost - proceeds <= 1


@given(st.integers(1, 9_999), st.integers(0, 10**12))
def test_a_sum_never_buys_more_than_it_pays_for(price: int, spend: int) -> None:
    quantity = bought_for(Money(spend), Price(price))
    assert cost_of(Price(price), quantity) <= spend
    assert cost_of(Price(price), Quantity(quantity + 2 * 10_000)) > spend


@given(st.integers(-(10**15), 10**15), st.integers(0, 6))
def test_text_and_integers_are_the_same_number(value: int, places: int) -> None:
    text = format_scaled(value, places)
    assert Decimal(text) == Decimal(value).scaleb(-places)
    assert parse_scaled(text, places) == value


@given(st.decimals(min_value=-1000, max_value=1000, allow_nan=False, places=9), st.sampled_from((-1, 0, 1)))
def test_rounding_of_text_goes_the_way_that_was_asked_for(number: Decimal, rounding: int) -> None:
    text = format(number, "f")
    exact = number.scaleb(4)
    if rounding == 0 and exact != exact.to_integral_value():
        with pytest.raises(NotExact):
            parse_scaled(text, 4)
        return
    value = parse_scaled(text, 4, rounding)
    assert abs(value - exact) < 1
    assert value >= exact if rounding > 0 else value <= exact


@given(st.text(max_size=40))
def test_any_text_is_a_number_or_not_exact(text: str) -> None:
    try:
        value = parse_scaled(text, 6)
    except NotExact:
        return
    assert Decimal(text).scaleb(6) == value


@pytest.mark.parametrize(
    "text", ["", ".", "-", "-.", "1e3", " 1", "1 ", "+1", "nan", "inf", "1_0", "١", "0x1", "1.2.3", "9" * 30]
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(NotExact):
        parse_scaled(text, 6)


def test_the_three_units() -> None:
    assert parse_price(".48") == 4_800
    assert parse_price("0.520000") == 5_200
    assert parse_quantity("-54.00") == -54_000_000
    assert parse_money("98.0186") == 98_018_600
    assert dollars(Money(-12_500_000)) == "-12.50"
    assert dollars(Money(125)) == "0.000125"
    assert contracts(Quantity(10_000_000)) == "10"
    assert contracts(Quantity(250_000)) == "0.25"
    assert cents(Price(5_225)) == "52.25"
    assert whole_lots(Quantity(1_239_999), Quantity(10_000)) == 1_230_000
    assert opposite(Price(4_800)) == 5_200


@given(st.integers(0, 10_000), st.sampled_from((CENT_GRID, TAPERED, NARROW)))
def test_the_nearest_ticks_are_found(price: int, ticks: tuple[TickBand, ...]) -> None:
    grid = [p for p in range(1, 10_000) if on_grid(Price(p), ticks)]
    assert tick_down(Price(price), ticks) == max((p for p in grid if p <= price), default=None)
    assert tick_up(Price(price), ticks) == min((p for p in grid if p >= price), default=None)
