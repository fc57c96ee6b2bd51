"""The executor's gateway: nothing late or unpaid leaves, both legs or neither, and every answer comes back once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from actors.clock import HandClock
from actors.gateway import Gateway
from actors.key_ring import KeyRing
from messages.orders import (
    Cancel,
    Ended,
    EndKind,
    FetchFills,
    Filled,
    LookUp,
    LookUpFailed,
    Lost,
    Named,
    Order,
    OrderReport,
    Refused,
    Repost,
    Role,
    Submit,
    Withheld,
)
from messages.reasons import Refusal, Trouble
from messages.units import SECOND, Money, Nanos, Outcome, Price, Quantity
from tests.actors.cast import RAIN, WET, FakeVenue, fill, leased, order, seen, settle
from tests.actors.stage import until
from tests.core.markets import market
from tests.core.story import START
from venues.port import Failed, SubmitAnswer

YES = order("t.0.0")
NO = order("t.1.0", "polymarket", leg=1, outcome=Outcome.NO)
SALE = order("t.0.1", role=Role.UNWIND)


@dataclass
class Door:
    """A gateway with two keys at Kalshi and one at Polymarket, and what it was heard to say."""

    clock: HandClock = field(default_factory=lambda: HandClock(START))
    said: list[OrderReport] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.one, self.two = (FakeVenue("kalshi", self.clock, signs_as=key) for key in ("", "2."))
        self.other = FakeVenue("polymarket", self.clock)
        adapters = {"kalshi": {"kalshi-1": self.one, "kalshi-2": self.two}, "polymarket": {"polymarket-1": self.other}}
        self.ring = KeyRing("executor", 1)
        self.gateway = Gateway(adapters, self.ring, self.clock, self.said.append, frozenset({"kalshi"}))

    def lease(self, kalshi: int = 9, polymarket: int = 9) -> None:
        self.ring.granted(leased("kalshi", kalshi), self.clock.now())
        self.ring.granted(leased("polymarket", polymarket), self.clock.now())

    def know(self) -> None:
        for key in (RAIN, WET):
            self.gateway.load(key[0], [market(key)])

    async def submit(self, *orders: Order) -> list[OrderReport]:
        for one in orders:
            self.gateway.prepare(one)
        self.gateway.submit(Submit(order=one) for one in orders)
        await settle()
        return self.said

    def refused(self) -> list[tuple[str, Refusal]]:
        return [(report.order, report.reason) for report in self.said if isinstance(report, Refused)]

    @property
    def sent(self) -> list[str]:
        return [one.order for venue in (self.one, self.two, self.other) for one, _ in venue.sent]


@asynccontextmanager
async def door(*, leases: bool = True, metadata: bool = True) -> AsyncIterator[Door]:
    built = Door()
    await built.gateway.open()
    if leases:
        built.lease()
    if metadata:
        built.know()
    try:
        yield built
    finally:
        await built.gateway.close()
        assert built.one.closed
        assert built.other.closed


# Sending


async def test_both_legs_leave_at_once_and_each_answer_comes_back_once() -> None:
    async with door() as here:
        here.one.answering.clear()
        await here.submit(YES, NO)
        assert here.sent == [YES.order, NO.order]
        assert [report.order for report in here.said] == [NO.order], "no leg waits for the other's answer"
        here.one.answering.set()
        await settle()
        assert [report.order for report in here.said] == [NO.order, YES.order]
        assert here.gateway.sent == 2
        assert here.ring.opening_left("kalshi", START) == here.ring.opening_left("polymarket", START) == 8


async def test_an_order_is_named_and_sent_through_the_leased_key() -> None:
    async with door() as here:
        here.ring.granted(leased("kalshi", lease=2, key="kalshi-2"), START)
        assert here.gateway.prepare(YES) == Named(order=YES.order, wire=f"2.w-{YES.order}", key="kalshi-2")
        # the lease moves on between the commit and the send: what was signed is what leaves
        here.ring.granted(leased("kalshi", lease=3, key="kalshi-1"), START)
        here.gateway.submit([Submit(order=YES)])
        await settle()
        assert [one.order for one, _ in here.two.sent] == [YES.order]


async def test_a_late_trade_does_not_leave_at_all() -> None:
    async with door() as here:
        here.gateway.prepare(YES)
        here.gateway.prepare(NO)
        here.clock.advance(Nanos(SECOND + 1))
        here.lease()
        here.gateway.submit([Submit(order=YES), Submit(order=NO)])
        await settle()
        assert here.sent == []
        assert here.refused() == [(YES.order, Refusal.OTHER), (NO.order, Refusal.OTHER)]


def poor(here: Door) -> None:
    here.lease(polymarket=0)


def expired(here: Door) -> None:
    here.lease()
    here.clock.advance(Nanos(2 * SECOND))


def unsignable(here: Door) -> None:
    here.lease()
    here.other.unsignable.add(WET[1])


@pytest.mark.parametrize("spoilt", [poor, expired, unsignable])
async def test_what_stops_one_leg_stops_the_other_before_it_leaves(spoilt: Callable[[Door], None]) -> None:
    async with door(leases=False) as here:
        spoilt(here)
        before = here.ring.opening_left("kalshi", here.clock.now())
        in_time = {"not_after": Nanos(here.clock.now() + SECOND)}
        await here.submit(YES.model_copy(update=in_time), NO.model_copy(update=in_time))
        assert here.sent == []
        assert [name for name, _ in here.refused()] == [YES.order, NO.order]
        assert here.ring.opening_left("kalshi", here.clock.now()) == before, "what did not leave is not paid for"


async def test_a_closing_order_waits_a_little_for_its_budget() -> None:
    async with door(leases=False) as here:
        await here.submit(SALE)
        assert here.sent == []
        here.lease()
        await until(lambda: here.said)
        assert here.sent == [SALE.order]


async def test_a_closing_order_that_nothing_pays_for_in_time_is_not_sent() -> None:
    async with door(leases=False) as here:
        await here.submit(SALE)
        here.clock.advance(Nanos(SECOND))
        await until(lambda: here.said)
        assert here.refused() == [(SALE.order, Refusal.RATE_LIMIT)]
        here.lease()
        await settle()
        assert here.sent == []


async def test_a_recovery_that_cannot_be_signed_is_refused_and_the_executor_lives() -> None:
    async with door() as here:
        here.one.unsignable.add(RAIN[1])
        assert here.gateway.prepare(SALE) is None
        await here.submit(SALE)
        assert here.refused() == [(SALE.order, Refusal.INVALID)]
        assert here.gateway.failed is None


async def test_an_adapter_that_raises_is_seen_and_the_other_answers_still_come() -> None:
    async with door() as here:
        here.one.on_submit = lambda _: KeyError("order_id")
        await here.submit(YES, NO)
        assert [report.order for report in here.said] == [NO.order]
        assert isinstance(here.gateway.failed, KeyError)
        here.one.on_submit = lambda _: ValueError("later")
        await here.submit(SALE)
        assert isinstance(here.gateway.failed, KeyError), "the first is the cause"


@pytest.mark.parametrize(
    ("answer", "met"),
    [
        (Refused(order="x", at=START, reason=Refusal.RATE_LIMIT, text=""), (1, 0)),
        (Refused(order="x", at=START, reason=Refusal.AUTH, text=""), (0, 1)),
        (Refused(order="x", at=START, reason=Refusal.FUNDS, text=""), (0, 0)),
        (Lost(order="x", at=START, trouble=Trouble.RATE_LIMITED, text=""), (1, 0)),
        (Lost(order="x", at=START, trouble=Trouble.TIMEOUT, text=""), (0, 0)),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else f"{type(value).__name__}",
)
async def test_the_key_that_met_a_limit_is_told_of(answer: SubmitAnswer, met: tuple[int, int]) -> None:
    async with door() as here:
        here.one.on_submit = lambda one: answer.model_copy(update={"order": one.order})
        await here.submit(YES)
        want = here.ring.want("kalshi")
        assert (want.rate_limited, want.unauthorised) == met
        assert here.ring.want("polymarket").rate_limited == 0


# Looking


async def test_nothing_is_asked_before_the_venue_has_told_of_the_market() -> None:
    """After a restart doubt comes first and metadata later; a question that cannot be put has no answer to be believed."""
    async with door(metadata=False) as here:
        here.gateway.look_up(LookUp(order=NO), None)
        here.gateway.fetch_fills(FetchFills(order=NO), None)
        here.gateway.cancel(Cancel(order=NO), None)
        await settle()
        assert here.other.asked == []
        assert [type(report) for report in here.said] == [LookUpFailed]
        here.know()
        here.gateway.look_up(LookUp(order=NO), None)
        await settle()
        assert here.other.asked == [f"look up {NO.order}"]


async def test_executions_are_told_before_the_end_that_they_add_up_to() -> None:
    async with door() as here:
        here.one.on_look_up = lambda one: Ended(
            order=one.order, at=START, venue_order="v1", matched=Quantity(5), how=EndKind.KILLED
        )
        here.one.of_orders[YES.order] = [seen(fill())]
        here.gateway.look_up(LookUp(order=YES), None)
        await settle()
        assert [type(report) for report in here.said] == [Filled, Ended]


async def test_one_question_at_a_time_and_the_next_after_its_answer() -> None:
    async with door() as here:
        for _ in range(5):
            here.gateway.look_up(LookUp(order=YES), None)
            here.gateway.fetch_fills(FetchFills(order=YES), None)
        await settle()
        assert sorted(here.one.asked) == [f"fills of {YES.order}", f"look up {YES.order}"]
        here.gateway.look_up(LookUp(order=YES), None)
        await settle()
        assert len(here.one.asked) == 3


async def test_a_look_up_that_raises_is_seen_and_can_be_asked_again() -> None:
    async with door() as here:
        here.one.on_look_up = lambda _: RuntimeError("no")
        here.gateway.look_up(LookUp(order=YES), None)
        await settle()
        assert isinstance(here.gateway.failed, RuntimeError)
        assert not here.gateway._asking


async def test_a_read_that_failed_says_nothing_and_a_limit_that_it_met_is_told() -> None:
    async with door() as here:
        here.one.on_fills = Failed("429", rate_limited=True)
        here.gateway.fetch_fills(FetchFills(order=YES), None)
        await settle()
        assert here.said == []
        assert here.ring.want("kalshi").rate_limited == 1


async def test_reads_go_through_the_leased_key_or_before_a_lease_through_any() -> None:
    async with door(leases=False) as here:
        assert here.gateway.reader("kalshi") is here.one
        here.ring.granted(leased("kalshi", key="kalshi-2"), START)
        assert here.gateway.reader("kalshi") is here.two
        here.ring.granted(leased("kalshi", lease=2, key="removed from the configuration"), START)
        assert here.gateway.reader("kalshi") is here.one


async def test_an_execution_of_an_order_of_no_is_on_its_own_scale() -> None:
    async with door() as here:
        here.one.of_orders["n"] = [seen(fill(price=Price(3_000), fee=Money(5)))]
        here.gateway.fetch_fills(FetchFills(order=order("n", outcome=Outcome.NO)), "v")
        await settle()
        (told,) = here.said
        assert isinstance(told, Filled)
        assert (told.fill.price, told.fill.fee) == (7_000, 5)


# Posting again, as a look-up


def again(here: Door, *, key: str = "kalshi-1", wire: str = "", one: Order = YES, forbidden: str = "") -> None:
    here.gateway.repost(Repost(order=one), Named(order=one.order, wire=wire or f"w-{one.order}", key=key), forbidden)


async def test_the_identical_order_goes_through_the_key_that_sent_it_whatever_is_leased_now() -> None:
    async with door() as here:
        here.ring.granted(leased("kalshi", lease=2, key="kalshi-2"), START)
        again(here)
        await settle()
        assert here.one.sent == [(YES, True)]
        assert here.two.sent == []
        assert [type(report) for report in here.said] == [Ended]


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"forbidden": "halted: a person"}, "halted"),
        ({"key": "gone"}, "not configured any more"),
        ({"wire": "another grid, another hash"}, "would not be identical"),
        ({"one": order(market="unheard-of")}, "no metadata"),
        ({"key": "kalshi-2"}, "would not be identical"),
    ],
)
async def test_anything_but_the_identical_order_is_withheld(case: dict[str, object], why: str) -> None:
    async with door() as here:
        again(here, **case)  # type: ignore[arg-type]
        await settle()
        assert here.sent == []
        (told,) = here.said
        assert isinstance(told, Withheld)
        assert why in told.text


async def test_a_copy_that_cannot_be_signed_or_paid_for_is_withheld() -> None:
    async with door(leases=False) as here:
        again(here)
        here.lease()
        here.one.unsignable.add(RAIN[1])
        again(here)
        await settle()
        assert here.sent == []
        assert [type(report) for report in here.said] == [Withheld, Withheld]


async def test_closing_ends_what_is_in_flight_without_an_answer() -> None:
    async with door() as here:
        here.one.answering.clear()
        await here.submit(YES)
        await here.gateway.close()
        assert here.said == []
