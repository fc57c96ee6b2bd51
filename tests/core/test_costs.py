"""Average cost and realised profit, in integers that add up to the cash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.costs import Costs, Line
from core.ledger import Accounts
from messages.leases import Booked
from messages.units import CONTRACT, DOLLAR, Money, Nanos, Outcome, Quantity

YES, NO = Outcome.YES, Outcome.NO


def booked(outcome: Outcome, contracts: int, cash: int, fee: int = 0) -> Booked:
    return Booked(
        seq=1,
        trade="t",
        order="o",
        fill="f",
        venue="kalshi",
        market="M",
        outcome=outcome,
        contracts=Quantity(contracts),
        cash=Money(cash),
        fee=Money(fee),
        at=Nanos(0),
    )


def line(costs: Costs, outcome: Outcome) -> Line:
    return costs.lines[("kalshi", "M", outcome)]


def test_two_purchases_and_a_sale() -> None:
    costs = Costs()
    costs.post(booked(YES, 10 * CONTRACT, -4 * DOLLAR, 10_000), nets=False)
    costs.post(booked(YES, 10 * CONTRACT, -6 * DOLLAR), nets=False)
    assert (line(costs, YES).average, line(costs, YES).basis) == (5_000, 10 * DOLLAR)
    costs.post(booked(YES, -5 * CONTRACT, 3 * DOLLAR), nets=False)
    held = line(costs, YES)
    assert (held.contracts, held.basis, held.realised, held.fees) == (15 * CONTRACT, 7_500_000, 500_000, 10_000)


def test_both_outcomes_of_a_netting_venue_become_a_dollar_and_the_profit() -> None:
    costs = Costs()
    costs.post(booked(YES, 10 * CONTRACT, -4 * DOLLAR), nets=True)
    costs.post(booked(NO, 10 * CONTRACT, -5 * DOLLAR), nets=True)
    assert (line(costs, YES).contracts, line(costs, NO).contracts) == (0, 0)
    # bought at 40, and buying NO at 50 is selling at 50
    assert (line(costs, YES).realised, line(costs, NO).realised) == (DOLLAR, 0)


def test_selling_more_than_is_held_buys_the_other_outcome() -> None:
    costs = Costs()
    costs.post(booked(YES, -10 * CONTRACT, 6 * DOLLAR), nets=True)
    assert line(costs, YES).contracts == line(costs, YES).realised == 0
    assert (line(costs, NO).contracts, line(costs, NO).average) == (10 * CONTRACT, 4_000)


@pytest.mark.parametrize("nets", [True, False])
def test_a_reversal_leaves_nothing(nets: bool) -> None:
    costs = Costs()
    costs.post(booked(YES, 3 * CONTRACT, -1_000_001, 17), nets=nets)
    costs.post(booked(YES, -3 * CONTRACT, 1_000_001, -17), nets=nets)
    assert line(costs, YES) == Line()


MOVES = st.lists(
    st.tuples(
        st.sampled_from(Outcome), st.integers(1, 10**7), st.integers(1, 9_999), st.booleans(), st.integers(0, 99)
    ),
    max_size=30,
)


@given(MOVES, st.booleans())
def test_realised_less_basis_is_the_cash_and_contracts_are_those_of_the_ledger(
    moves: list[tuple[Outcome, int, int, bool, int]], nets: bool
) -> None:
    costs, accounts = Costs(), Accounts()
    for outcome, contracts, price, buys, fee in moves:
        amount = contracts * price // 10_000 + 1
        entry = booked(outcome, contracts if buys else -contracts, -amount if buys else amount, fee)
        costs.post(entry, nets)
        accounts.post(entry, nets)
    lines = costs.lines.values()
    cash, fees = accounts.cash.get("kalshi", 0), accounts.fees.get("kalshi", 0)
    assert sum(held.realised - held.basis for held in lines) == cash + fees
    assert sum(held.fees for held in lines) == fees
    for (venue, market, outcome), held in costs.lines.items():
        assert held.contracts == accounts.held(venue, market, outcome)
        assert held.contracts or not held.basis
        assert held.basis * held.contracts >= 0 or not held.contracts
