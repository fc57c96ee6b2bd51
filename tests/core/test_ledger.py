"""Double entry: every movement sums to zero, a fill moves once, its reversal moves back, and equal outcomes net to cash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.fees import fee_of_fill
from core.ledger import Accounts, Unbalanced, booked, committed, most_taken
from core.trade import cash_of
from messages.leases import Booked
from messages.markets import FeeFormula
from messages.units import CONTRACT, DOLLAR, Money, Nanos, Outcome, Price, Quantity
from tests.core.markets import fees_of
from tests.core.story import START, story


def entry(outcome: Outcome, contracts: float, cash: float, fee: float = 0, **changes: Any) -> Booked:
    usual = Booked(
        seq=1,
        trade="t",
        order="o",
        fill="f",
        venue="kalshi",
        market="M:1",
        outcome=outcome,
        contracts=Quantity(round(contracts * CONTRACT)),
        cash=Money(round(cash * DOLLAR)),
        fee=Money(round(fee * DOLLAR)),
        at=START,
    )
    return usual.model_copy(update=changes)


def test_buying_moves_cash_fee_and_contracts() -> None:
    accounts = Accounts()
    postings = accounts.post(entry(Outcome.YES, 10, -5, 0.07), nets=True)
    assert accounts.cash == {"kalshi": -5_070_000}
    assert accounts.fees == {"kalshi": 70_000}
    assert accounts.held("kalshi", "M:1", Outcome.YES) == 10 * CONTRACT
    assert sum(p.amount for p in postings if p.commodity == "usd") == 0
    assert not any(accounts.totals.values())


def test_yes_and_no_of_one_market_become_a_dollar_each() -> None:
    accounts = Accounts()
    accounts.post(entry(Outcome.YES, 10, -5), nets=True)
    accounts.post(entry(Outcome.NO, 4, -2), nets=True)
    assert accounts.held("kalshi", "M:1", Outcome.YES) == 6 * CONTRACT
    assert accounts.held("kalshi", "M:1", Outcome.NO) == 0
    assert accounts.cash == {"kalshi": -3 * DOLLAR}


def test_where_nothing_nets_both_outcomes_are_held() -> None:
    accounts = Accounts()
    accounts.post(entry(Outcome.YES, 10, -5), nets=False)
    accounts.post(entry(Outcome.NO, 4, -2), nets=False)
    assert [accounts.held("kalshi", "M:1", o) for o in Outcome] == [10 * CONTRACT, 4 * CONTRACT]
    assert accounts.cash == {"kalshi": -7 * DOLLAR}


def test_selling_more_than_is_held_becomes_the_other_outcome_against_a_dollar() -> None:
    accounts = Accounts()
    accounts.post(entry(Outcome.YES, -5, 3), nets=True)
    assert accounts.held("kalshi", "M:1", Outcome.YES) == 0
    assert accounts.held("kalshi", "M:1", Outcome.NO) == 5 * CONTRACT
    assert accounts.cash == {"kalshi": -2 * DOLLAR}


def test_a_reversal_after_netting_restores_what_was() -> None:
    accounts = Accounts()
    accounts.post(entry(Outcome.YES, 10, -5), nets=True)
    before = dict(accounts.cash), accounts.held("kalshi", "M:1", Outcome.YES)
    accounts.post(entry(Outcome.NO, 4, -2, 0.1), nets=True)
    accounts.post(entry(Outcome.NO, -4, 2, -0.1), nets=True)
    assert (dict(accounts.cash), accounts.held("kalshi", "M:1", Outcome.YES)) == before
    assert accounts.held("kalshi", "M:1", Outcome.NO) == 0
    assert accounts.fees == {"kalshi": 0}


@given(st.lists(st.tuples(st.sampled_from(Outcome), st.integers(-50, 50), st.integers(-50, 50)), max_size=30))
def test_everything_sums_to_zero_and_a_set_is_always_worth_a_dollar(moves: list[tuple[Outcome, int, int]]) -> None:
    netted, plain = Accounts(), Accounts()
    for outcome, many, cash in moves:
        netted.post(entry(outcome, many, cash), nets=True)
        plain.post(entry(outcome, many, cash), nets=False)
    assert not any(netted.totals.values())
    assert min(netted.held("kalshi", "M:1", o) for o in Outcome) >= 0
    assert 0 in [netted.held("kalshi", "M:1", o) for o in Outcome]
    sets = plain.held("kalshi", "M:1", Outcome.YES) - netted.held("kalshi", "M:1", Outcome.YES)
    assert sets == plain.held("kalshi", "M:1", Outcome.NO) - netted.held("kalshi", "M:1", Outcome.NO)
    assert netted.cash.get("kalshi", 0) == plain.cash.get("kalshi", 0) + sets


def test_books_that_do_not_balance_stop_everything() -> None:
    accounts = Accounts()
    accounts.totals["usd"] = 1
    with pytest.raises(Unbalanced):
        accounts.post(entry(Outcome.YES, 1, -1), nets=False)


# What a trade books

FILLED = "0s opened 10 | submit a, submit b\n1s filled a 4 @48 f1 confirmed fee 0.07 |\n"


def test_a_fill_books_once_and_its_reversal_books_the_opposite() -> None:
    before = story("0s opened 10 | submit a, submit b\n=> open")
    filled = story(f"{FILLED}=> open")
    twice = story(f"{FILLED}2s filled a 4 @48 f1 confirmed fee 0.07 |\n=> open")
    reversed_ = story(f"{FILLED}2s filled a 4 @48 f1 reversed |\n=> open")
    (one,) = booked(before, filled, 3, Nanos(5))
    assert (one.contracts, one.cash, one.fee, one.seq, one.at) == (4_000_000, -1_920_000, 70_000, 3, 5)
    assert list(booked(filled, twice, 4, START)) == []
    (back,) = booked(filled, reversed_, 5, START)
    assert (back.contracts, back.cash, back.fee) == (-4_000_000, 1_920_000, -70_000)
    assert list(booked(before, reversed_, 5, START)) == []


def test_selling_books_proceeds() -> None:
    head = "0s opened 10 | submit a, submit b\n1s ended a 10 |\n1s ended b 0 | ask quotes\n"
    head += "1s quoted a 48/50 b 43/90 | submit a.unwind\n"
    before, after = story(f"{head}=> open"), story(f"{head}2s filled a.unwind 10 @48.33 confirmed fee 0.01 |\n=> open")
    (one,) = booked(before, after, 1, START)
    assert (one.contracts, one.cash, one.fee) == (-10_000_000, 4_833_000, 10_000)
    assert cash_of(after) == -5_000_000 + 4_833_000 - 10_000


# What stays reserved


def test_an_order_in_doubt_keeps_its_whole_reservation_and_proof_gives_it_back() -> None:
    sent = story("0s opened 10 | submit a, submit b\n=> open")
    doubt = story("0s opened 10 | submit a, submit b\n1s lost a | look up a\n1s lost b | look up b\n=> open")
    proved = story("0s opened 10 | submit a, submit b\n1s ended a 0 |\n1s refused b venue_mode |\n=> flat")
    assert committed(doubt) == committed(sent)
    assert committed(sent) == {
        "kalshi": most_taken(sent.terms[0].fees, Price(5_000), Quantity(10 * CONTRACT)),
        "polymarket": most_taken(sent.terms[1].fees, Price(4_500), Quantity(0), Money(4_500_000)),
    }
    assert committed(proved) == {}


def test_a_sum_of_money_stays_reserved_until_it_is_spent_however_many_contracts_it_bought() -> None:
    """At 40 the first 10.2 contracts cost 4.08; the other 0.42 dollars can still be spent."""
    trade = story("0s opened 10 | submit a, submit b\n1s ended a 0 |\n1s filled b 10.2 @40 f1 |\n=> open")
    assert 420_000 < committed(trade)["polymarket"] < 440_000


def test_a_sale_reserves_no_capital() -> None:
    trade = story(
        "0s opened 10 | submit a, submit b\n1s ended a 10 |\n1s filled a 10 |\n1s ended b 0 | ask quotes\n"
        "1s quoted a 48/50 b 43/90 | submit a.unwind\n=> reserved 0"
    )
    assert committed(trade) == {}


@given(
    st.sampled_from(FeeFormula),
    st.sampled_from((0, 20_000, 70_000, 250_000)),
    st.integers(1, 9_999),
    st.integers(1, 9_999),
    st.integers(1, 5_000),
)
def test_no_fill_within_the_limit_takes_more_than_was_reserved(
    formula: FeeFormula, ppm: int, one: int, other: int, hundredths: int
) -> None:
    limit, price = Price(max(one, other)), Price(min(one, other))
    fees = fees_of(formula, ppm)
    quantity = Quantity(hundredths * 10_000)
    fee = fee_of_fill(fees, price, quantity, maker=False).fee
    assert price * quantity / 10_000 + fee <= most_taken(fees, limit, quantity)
    spend = Money(limit * quantity // 10_000)
    bought = Quantity(spend * 10_000 // price // 10_000 * 10_000)
    fee = fee_of_fill(fees, price, bought, maker=False).fee
    assert price * bought / 10_000 + fee <= most_taken(fees, limit, quantity, spend)
