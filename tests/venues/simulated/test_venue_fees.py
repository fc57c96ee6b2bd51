"""The venues' fees: figures from their published tables, and the shared vectors where they are at hand."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from tests.venues.simulated.clients import ROOT
from venues.simulated.fees import kalshi_fee, polymarket_fee
from venues.simulated.scale import UNIT, parse_scaled, plain

SHARED = Path(os.environ.get("CROSSFILL_SHARED", ROOT.parent / "shared"))
VECTORS = SHARED / "reference" / "vectors" / "kalshi_fees.json"


@pytest.mark.parametrize(
    ("price", "contracts", "fee"), [(5_000, 100, 1_750_000), (5_200, 1, 17_500), (9_900, 1, 700), (100, 1, 700)]
)
def test_kalshi_takers_pay_seven_per_cent_of_the_variance(price: int, contracts: int, fee: int):
    assert kalshi_fee(price, contracts * UNIT, -price * contracts * 100, 0, Fraction(1), taker=True).net == fee


def test_kalshi_gives_the_rounding_back_a_step_at_a_time():
    nets, accumulator = [], 0
    for _ in range(3):
        fee = kalshi_fee(5_000, 300_000, -150_000, accumulator, Fraction(1), taker=True)
        accumulator = fee.accumulator
        nets.append(fee.net)
    assert nets == [5_300, 5_200, 5_300]


@pytest.mark.skipif(not VECTORS.is_file(), reason=f"vectors are not at {VECTORS}")
def test_kalshi_fees_are_those_of_the_vectors():
    checked = 0
    for case in json.loads(VECTORS.read_text())["cases"]:
        if not case["taker"]:
            continue
        accumulator = 0
        step = round(Decimal(case["precision"]) * UNIT)
        for fill in case["fills"]:
            price, quantity = parse_scaled(fill["price"], 4), parse_scaled(fill["count"], 6)
            assert price is not None
            assert quantity is not None
            revenue = -price * quantity // 10_000
            fee = kalshi_fee(price, quantity, revenue, accumulator, Fraction(case["multiplier"]), taker=True, step=step)
            accumulator = fee.accumulator
            assert fee.net == round(Decimal(fill["net_fee"]) * UNIT), case["name"]
            assert revenue - fee.net == round(Decimal(fill["balance_change"]) * UNIT), case["name"]
            assert accumulator == round(Decimal(fill["accumulator"]) * UNIT), case["name"]
            checked += 1
    assert checked > 10


@pytest.mark.parametrize(
    ("shares", "rate", "price", "fee"),
    [("100", "0.07", 5_000, "1.75"), ("100", "0.07", 100, "0.0693"), ("100", "0.04", 3_500, "0.91"),
     ("5", "0.07", 9_990, "0.00035"), ("0.01", "0.04", 10, "0"), ("0.0007", "0.05", 5_000, "0")],
)  # fmt: skip
def test_polymarket_takers_pay_to_the_fifth_decimal(shares: str, rate: str, price: int, fee: str):
    quantity = parse_scaled(shares, 6)
    assert quantity is not None
    assert plain(polymarket_fee(price, quantity, Fraction(rate), 1), 6) == fee
