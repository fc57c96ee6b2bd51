"""The column of checks: one refusal a row, in a fixed order, and the only door to an order that opens."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from core.checks import COLUMN, Approved, Denied, check, dearest
from core.detect import size
from messages.markets import VenueMode
from messages.opportunities import CheckOutcome, Opportunity
from messages.reasons import Reason
from messages.units import CONTRACT, DOLLAR, Money, Nanos, Price, Quantity
from tests.core.markets import BOOKS, CROSSING, LIMITS, MARKETS, NOW, SIZING, K, P, book, fees_of, lots, market, view
from tests.core.story import ticks


def resize(most: Quantity) -> Opportunity:
    return size(CROSSING, BOOKS, MARKETS, replace(SIZING, quantity_most=most), "o", NOW)


GOOD = resize(Quantity(100 * CONTRACT))


def judge(opportunity: Opportunity = GOOD, **changes: Any) -> Approved[Opportunity] | Denied:
    return check(opportunity, view(**changes), resize)


def limits(**changes: Any) -> dict[str, Any]:
    return {"limits": replace(LIMITS, **changes)}


def with_leg(**changes: Any) -> Opportunity:
    first = GOOD.legs[0].model_copy(update=changes)
    return GOOD.model_copy(update={"legs": (first, *GOOD.legs[1:])})


def markets(**changes: Any) -> dict[str, Any]:
    return {"markets": MARKETS | {K: market(K, **changes)}}


def books(**changes: Any) -> dict[str, Any]:
    return {"books": BOOKS | {K: book(K, yes_asks=lots((40, 100)), **changes)}}


STALE = NOW - LIMITS.book_age_most - 1
OLD_FEES = fees_of(MARKETS[K].fees.formula, 70_000, verified_at=Nanos(NOW - LIMITS.fees_age_most - 1))

REFUSALS: list[tuple[str, Reason, Opportunity, dict[str, Any]]] = [
    ("known market", Reason.UNKNOWN_MARKET, GOOD, {"markets": {P: MARKETS[P]}}),
    ("known market", Reason.MARKET_CLOSED, GOOD, markets(open=False)),
    ("known market", Reason.MARKET_CLOSED, GOOD, markets(closes_at=NOW)),
    ("known market", Reason.OLD_METADATA, GOOD, markets(version=2)),
    ("claim", Reason.NOT_CLAIMED, GOOD, {"claimed": lambda group: False}),
    ("in flight", Reason.IN_FLIGHT, GOOD, {"flight_of": lambda key: "g.1.9" if key == P else None}),
    ("halt", Reason.HALTED, GOOD, {"halted": "me: lunch"}),
    ("halt", Reason.DRAINING, GOOD, {"draining": True}),
    ("venue", Reason.VENUE_UNREACHABLE, GOOD, {"modes": {"kalshi": (VenueMode.OPEN, True)}}),
    ("venue", Reason.VENUE_MODE, GOOD, {"modes": dict.fromkeys(("kalshi", "polymarket"), (VenueMode.POST_ONLY, True))}),
    ("fresh books", Reason.STALE_BOOK, GOOD, {"books": {P: BOOKS[P]}}),
    ("fresh books", Reason.STALE_BOOK, GOOD, books(fresh=False)),
    ("fresh books", Reason.STALE_BOOK, GOOD, books(seen_at=STALE)),
    ("fresh books", Reason.MOVED, GOOD, books(sequence=8)),
    ("fees verified", Reason.FEES_UNVERIFIED, GOOD, markets(fees=OLD_FEES)),
    ("fees verified", Reason.FEES_UNVERIFIED, with_leg(fee_version=0), {}),
    ("profit", Reason.UNPROFITABLE, with_leg(cost=Money(60 * DOLLAR)), {}),
    ("profit", Reason.BELOW_MIN_PROFIT, GOOD, limits(min_profit=Money(990_000))),
    ("profit", Reason.BELOW_MIN_RETURN, GOOD, limits(min_return_bps=9_000)),
    ("liquidity", Reason.NO_LIQUIDITY, resize(Quantity(0)), {}),
    ("tick and minimum", Reason.TICK, with_leg(limit=Price(4_001)), {}),
    ("tick and minimum", Reason.BELOW_MIN_SIZE, with_leg(quantity=Quantity(1)), {}),
    ("tick and minimum", Reason.BELOW_MIN_SIZE, GOOD, markets(min_spend=Money(41 * DOLLAR))),
    ("price collar", Reason.PRICE_COLLAR, GOOD, limits(collar_high=Price(4_000))),
    ("size sanity", Reason.SIZE_INSANE, GOOD, limits(notional_most=Money(300_000))),
    ("capital", Reason.CAPITAL, GOOD, {"free": lambda venue: Money(300_000)}),
    ("capital", Reason.CAPITAL, GOOD, {"free": lambda venue: Money(0)}),
    ("position limits", Reason.POSITION_LIMIT, GOOD, {"held": lambda v, m, o: Quantity(500 * CONTRACT)}),
    ("position limits", Reason.POSITION_LIMIT, GOOD, {"held": lambda v, m, o: Quantity(900 * CONTRACT)}),
    ("position limits", Reason.POSITION_LIMIT, GOOD, {"group_held": lambda g: Quantity(500 * CONTRACT)}),
    ("open trades", Reason.TOO_MANY_OPEN, GOOD, {"open_trades": 3}),
    ("cool-down", Reason.COOL_DOWN, GOOD, {"not_before": lambda key: Nanos(NOW + 1)}),
    ("keys", Reason.KEYS, GOOD, {"keys": lambda venue: 0}),
    ("loop lag", Reason.CPU_LAG, GOOD, {"lag": Nanos(LIMITS.loop_lag_most + 1)}),
]


def test_what_is_in_order_is_approved_and_every_row_is_shown() -> None:
    answer = judge()
    assert isinstance(answer, Approved)
    assert [r.check for r in answer.results] == [name for name, _ in COLUMN]
    outcomes = {r.check: r.outcome for r in answer.results}
    assert outcomes.pop("breaker") is CheckOutcome.NOT_CONFIGURED
    assert set(outcomes.values()) == {CheckOutcome.PASSED}
    assert next(r.text for r in answer.results if r.check == "profit").startswith("gross 15.00 − fees ")


@pytest.mark.parametrize(("row", "reason", "opportunity", "changes"), REFUSALS)
def test_each_row_refuses_with_its_reason(
    row: str, reason: Reason, opportunity: Opportunity, changes: dict[str, Any]
) -> None:
    answer = judge(opportunity, **changes)
    assert isinstance(answer, Denied)
    assert answer.reason is reason
    assert answer.results[-1].check == row
    assert answer.results[-1].outcome is CheckOutcome.FAILED
    assert answer.results[-1].text
    assert [r.check for r in answer.results] == [name for name, _ in COLUMN][: len(answer.results)]


def test_every_row_that_can_refuse_is_refused_above() -> None:
    assert {row for row, *_ in REFUSALS} == {name for name, _ in COLUMN} - {"breaker"}


def test_the_order_of_the_rows_is_fixed() -> None:
    """Broken in every way at once, the refusals come in the order of the column as one after the other is mended."""
    seen = []
    broken: dict[str, dict[str, Any]] = {}
    for row, _, opportunity, changes in REFUSALS:
        if opportunity is GOOD and row not in broken and "limits" not in changes and "markets" not in changes:
            broken[row] = changes
    while broken:
        merged = {name: value for changes in reversed(broken.values()) for name, value in changes.items()}
        answer = judge(**merged)
        assert isinstance(answer, Denied)
        seen.append(answer.results[-1].check)
        del broken[seen[-1]]
    names = [name for name, _ in COLUMN]
    assert seen == sorted(seen, key=names.index)
    assert len(seen) >= 8


# Caps


@pytest.mark.parametrize(
    ("row", "changes", "quantity"),
    [
        ("size sanity", limits(notional_most=Money(20 * DOLLAR)), 44),
        ("capital", {"free": lambda venue: Money(20 * DOLLAR)}, 42),
        ("position limits", {"held": lambda v, m, o: Quantity(470 * CONTRACT)}, 30),
        ("position limits", {"group_held": lambda g: Quantity(480 * CONTRACT)}, 20),
    ],
)
def test_a_cap_sizes_again_and_shows_that_it_did(row: str, changes: dict[str, Any], quantity: int) -> None:
    answer = judge(**changes)
    assert isinstance(answer, Approved)
    assert answer.value.quantity == quantity * CONTRACT
    capped = [r for r in answer.results if r.outcome is CheckOutcome.CAPPED]
    assert [r.check for r in capped] == [row]
    assert capped[0].text
    assert len(answer.results) == len(COLUMN)


def test_caps_run_again_until_all_of_them_hold() -> None:
    answer = judge(
        **limits(notional_most=Money(20 * DOLLAR)),
        held=lambda v, m, o: Quantity(470 * CONTRACT),
        free=lambda venue: Money(10 * DOLLAR) if venue == "polymarket" else Money(1_000 * DOLLAR),
    )
    assert isinstance(answer, Approved)
    assert answer.value.quantity <= 22 * CONTRACT
    for leg in answer.value.legs:
        assert leg.cost <= 20 * DOLLAR
    polymarket = answer.value.legs[1]
    assert dearest(polymarket, MARKETS[P]) <= 10 * DOLLAR


def test_a_cap_under_the_smallest_piece_is_a_refusal_by_that_cap() -> None:
    """Tens of contracts only, and capital for three: no liquidity is not the reason."""
    finer = MARKETS | {P: market(P, ticks=ticks(10))}
    tens = BOOKS | {P: book(P, no_asks=((4_510, 100 * CONTRACT),))}

    def again(most: Quantity) -> Opportunity:
        return size(CROSSING, tens, finer, replace(SIZING, quantity_most=most), "o", NOW)

    world = view(markets=finer, books=tens, free=lambda venue: Money(2 * DOLLAR))
    answer = check(again(Quantity(100 * CONTRACT)), world, again)
    assert isinstance(answer, Denied)
    assert answer.reason is Reason.CAPITAL


@pytest.mark.parametrize(
    "bad", [lambda most: GOOD, lambda most: resize(Quantity(most + CONTRACT))], ids=["the same", "one too many"]
)
def test_a_resize_that_does_not_obey_is_refused(bad: Callable[[Quantity], Opportunity]) -> None:
    answer = check(GOOD, view(held=lambda v, m, o: Quantity(470 * CONTRACT)), bad)
    assert isinstance(answer, Denied)
    assert answer.reason is Reason.POSITION_LIMIT


def test_caps_that_never_come_to_rest_are_refused() -> None:
    room = iter(range(99, 0, -1))
    answer = judge(held=lambda v, m, o: Quantity((500 - next(room)) * CONTRACT))
    assert isinstance(answer, Denied)
    assert answer.reason is Reason.SIZE_INSANE
    assert [r.check for r in answer.results] == ["caps"]


# The door


def test_an_approval_cannot_be_made_elsewhere_nor_turned_into_another() -> None:
    answer = judge()
    assert isinstance(answer, Approved)
    with pytest.raises(TypeError, match="only core/checks"):
        Approved(GOOD, ())
    with pytest.raises(TypeError, match="only core/checks"):
        Approved(GOOD, (), object())
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(answer, value=with_leg(limit=Price(9_999)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.value = GOOD  # type: ignore[misc]
    assert copy.copy(answer).value is answer.value
