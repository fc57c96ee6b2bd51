"""From the venue's terms to ours: what a stream says is about one of our orders, about one not named yet, or not about us."""

from __future__ import annotations

import pytest

from actors.clock import HandClock
from actors.gateway import Gateway
from actors.key_ring import KeyRing
from actors.translator import STRANGE_FOR, STRANGERS_MAX, Translator
from core.desk import Desk
from core.fees import fee_of_fill
from messages.orders import Ended, EndKind, Filled, FillSeen, Named, OrderReport, OrderSeen, Rested, Role
from messages.units import CONTRACT, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from tests.actors.cast import fill, seen
from tests.core.story import START, TRADE, kalshi, opening, polymarket

A, B = f"{TRADE}.0.0", f"{TRADE}.1.0"
"""YES at Kalshi, NO at Polymarket."""


class Hearing:
    """A desk with one trade, its translator, and what that said."""

    def __init__(self, *, named: bool = True, outcome: Outcome = Outcome.YES) -> None:
        self.desk, self.said = Desk("g"), list[OrderReport]()
        terms = (kalshi(0, outcome), polymarket(1, outcome.opposite))
        self.desk.apply(1, opening(terms, (Price(4_000), Price(4_500)), Quantity(10 * CONTRACT)))
        if named:
            self.name()
        gateway = Gateway({}, KeyRing("executor", 1), HandClock(START), self.said.append, frozenset({"kalshi"}))
        self.translator = Translator(self.desk, gateway, self.said.append)

    def name(self) -> None:
        for order in (A, B):
            self.desk.apply(2, Named(order=order, wire=f"w-{order}"))

    def hear(self, *told: OrderSeen | FillSeen) -> list[OrderReport]:
        for one in told:
            self.translator.hear(one)
        return self.said


def listed(venue: str = "kalshi", order: str = A, matched: int = 0, ended: EndKind | None = None) -> OrderSeen:
    return OrderSeen(
        venue=venue,
        wire=f"w-{order}",
        venue_order="v1",
        market="",
        matched=Quantity(matched * CONTRACT),
        ended=ended,
        at=START,
    )


def test_an_order_is_known_by_our_name_for_it_or_by_the_venues() -> None:
    hearing = Hearing()
    hearing.desk.apply(3, Rested(order=B, at=START, venue_order="v2", matched=Quantity(0)))
    hearing.hear(listed(matched=3), seen(fill("f2"), "polymarket", venue_order="v2"))
    assert [(type(report), report.order) for report in hearing.said] == [(Rested, A), (Filled, B)]
    assert hearing.translator.strangers == 0


def test_a_name_of_one_venue_means_nothing_at_the_other() -> None:
    hearing = Hearing()
    assert hearing.hear(listed("polymarket"), seen(fill(), "polymarket", wire=f"w-{A}")) == []


def test_an_execution_before_the_answer_that_names_its_order_is_kept_until_then() -> None:
    hearing = Hearing(named=False)
    assert hearing.hear(seen(fill(), wire=f"w-{A}")) == []
    hearing.translator.again(Nanos(START + SECOND))
    assert hearing.translator.strangers == 1
    hearing.name()
    hearing.translator.again(Nanos(START + SECOND))
    assert [report.order for report in hearing.said] == [A]
    assert hearing.translator.strangers == 0


def test_strangers_are_forgotten_in_time_and_never_too_many() -> None:
    hearing = Hearing()
    hearing.hear(*(seen(fill(f"f{n}"), wire="somebody else's") for n in range(STRANGERS_MAX + 100)))
    assert hearing.translator.strangers == STRANGERS_MAX
    hearing.translator.again(Nanos(START + STRANGE_FOR))
    assert hearing.translator.strangers == STRANGERS_MAX
    hearing.translator.again(Nanos(START + STRANGE_FOR + 1))
    assert hearing.translator.strangers == 0
    assert hearing.said == []


def test_of_an_immediate_buy_for_a_sum_only_its_existence_is_told() -> None:
    """Its sizes are dollars here and shares there; that the venue has it is certain all the same."""
    hearing = Hearing()
    hearing.hear(listed("polymarket", B))
    assert hearing.said == [Rested(order=B, at=START, venue_order="v1", matched=Quantity(0))]
    hearing.desk.apply(3, hearing.said[0])
    state = hearing.desk.state_of(B)
    assert state is not None
    assert (state.landed, state.proven, state.matched) == (True, False, 0)


@pytest.mark.parametrize(
    ("told", "how"),
    [
        pytest.param(listed(matched=10, ended=EndKind.FILLED), EndKind.FILLED, id="filled"),
        pytest.param(listed(matched=4, ended=EndKind.KILLED), EndKind.KILLED, id="rest killed"),
        pytest.param(listed(matched=4, ended=EndKind.CANCELLED), EndKind.KILLED, id="cancelled at once is killed"),
        pytest.param(listed(matched=0, ended=EndKind.EXPIRED), EndKind.EXPIRED, id="expired"),
        pytest.param(listed(matched=0, ended=EndKind.FILLED), None, id="filled, without a number"),
        pytest.param(listed(matched=4), None, id="lives"),
    ],
)
def test_what_a_venue_says_of_an_immediate_order(told: OrderSeen, how: EndKind | None) -> None:
    (report,) = Hearing().hear(told)
    if how is None:
        assert isinstance(report, Rested)
    else:
        assert isinstance(report, Ended)
        assert (report.how, report.matched) == (how, told.matched)


def test_a_resting_order_that_is_called_matched_may_have_the_rest_of_itself_in_the_book() -> None:
    hearing = Hearing()
    state = hearing.desk.state_of(A)
    assert state is not None
    rung = state.order.model_copy(
        update={"order": "rung", "time_in_force": TimeInForce.GTD, "role": Role.UNWIND, "side": Side.SELL}
    )
    trade = hearing.desk.trades[TRADE]
    rest = state.model_copy(update={"order": rung, "wire": "w-rung"})
    hearing.desk.trades[TRADE] = trade.model_copy(update={"orders": (*trade.orders, rest)})
    hearing.desk.by_order["rung"] = TRADE
    hearing.desk.by_wire[("kalshi", "w-rung")] = "rung"
    hearing.hear(listed(order="rung", matched=4, ended=EndKind.FILLED))
    hearing.hear(listed(order="rung", matched=10, ended=EndKind.FILLED))
    hearing.hear(listed(order="rung", matched=4, ended=EndKind.CANCELLED))
    assert [type(report) for report in hearing.said] == [Rested, Ended, Ended]
    assert isinstance(hearing.said[2], Ended)
    assert hearing.said[2].how is EndKind.CANCELLED, "a resting order was cancelled, not killed"


def test_a_price_on_the_yes_scale_is_turned_for_an_order_of_no() -> None:
    hearing = Hearing(outcome=Outcome.NO)
    hearing.hear(seen(fill(price=Price(3_000)), wire=f"w-{A}"))
    hearing.hear(seen(fill(price=Price(3_000)), "polymarket", wire=f"w-{B}"))
    prices = [report.fill.price for report in hearing.said if isinstance(report, Filled)]
    assert prices == [7_000, 3_000], "the other venue has a book for each outcome"


def test_a_fee_that_nobody_told_is_that_of_the_trades_own_schedule_and_no_guess() -> None:
    hearing = Hearing()
    execution = fill(price=Price(4_500), fee=Money(0))
    hearing.hear(seen(execution, "polymarket", wire=f"w-{B}", fee_known=False))
    hearing.hear(seen(fill(fee=Money(77)), wire=f"w-{A}"))
    fees = [report.fill.fee for report in hearing.said if isinstance(report, Filled)]
    schedule = polymarket().fees
    exact = fee_of_fill(schedule, Price(4_500), execution.quantity, maker=False).fee
    assert exact > 0
    assert fees == [exact, 77]
