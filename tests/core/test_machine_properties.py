"""What holds whatever is told, in whatever order: the machine is total, idempotent and bounded, and a replay is equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st

from core.desk import Desk
from core.ledger import booked, committed
from core.machine import open_trade, step
from core.trade import Phase, Trade
from core.units import on_grid
from messages.base import Event
from messages.leases import CapitalGranted, ClaimsGranted, CooldownsSet
from messages.orders import (
    Absent,
    Ended,
    EndKind,
    Fill,
    Filled,
    Landed,
    LookUpFailed,
    Lost,
    Named,
    Refused,
    Rested,
    Settlement,
    Submit,
    Withheld,
)
from messages.reasons import Refusal, Trouble
from messages.trades import CursorMoved, Opened, Quote, Quoted, Restarted, Woke
from messages.units import CONTRACT, SECOND, Money, Nanos, Outcome, Price, Quantity, Side
from tests.core.story import BOUNDS, START, TRADE, kalshi, opening, polymarket

T = TypeVar("T")

TERMS = (
    (kalshi(0), polymarket(1)),
    (polymarket(0, Outcome.YES), kalshi(1, Outcome.NO)),
    (kalshi(0), kalshi(1), polymarket(2)),
    (polymarket(0), polymarket(1), kalshi(2)),
    (kalshi(0), kalshi(0, Outcome.NO)),
)


class Choices:
    """One number as a row of small choices, so that hypothesis shrinks a journey to few and simple steps."""

    def __init__(self, number: int) -> None:
        self.left = number

    def below(self, many: int) -> int:
        self.left, chosen = divmod(self.left, many)
        return chosen

    def of(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]


def _levels(choices: Choices, around: int) -> tuple[tuple[Price, Quantity], ...]:
    many = choices.of((1, 2, 1, 0))
    return tuple((Price(around), Quantity(choices.of((500, 3, 40_000)) * 10_000)) for _ in range(many))


def _quotes(choices: Choices, trade: Trade, at: Nanos) -> Quoted:
    told, free = [], []
    for _ in trade.terms:
        bid = choices.of((40, 20, 48, 1, 90)) * 100
        ask = bid + choices.of((1, 5, 9)) * 100
        usable = choices.below(8) != 7
        told.append(Quote(usable=usable, bids=_levels(choices, bid), asks=_levels(choices, ask)))
        free.append(Money(choices.of((100_000_000, 100_000_000, 2_000_000, -1))))
    return Quoted(trade=trade.trade, at=at, quotes=tuple(told), spendable=tuple(free))


def _fill(choices: Choices, order: str) -> Fill:
    number = choices.of((1, 2, 3))
    # an id always names the same execution: only its settlement is told anew
    return Fill(
        fill=f"{order}/{number}",
        quantity=Quantity((number * 137 % 500 + 1) * 10_000),
        price=Price(4_000 + number * 100),
        fee=Money(number * 100),
        settlement=choices.of((Settlement.CONFIRMED, Settlement.MATCHED, Settlement.REVERSED)),
    )


def _event(choices: Choices, trade: Trade, at: Nanos) -> Event:
    """Mostly what would come next: answers to what is open, quotes where they are awaited."""
    if choices.below(3) and trade.quotes_asked_at:
        return _quotes(choices, trade, at)
    kind = choices.below(20)
    states = [s for s in trade.orders if not s.proven] if choices.below(4) else list(trade.orders)
    state = choices.of(states or list(trade.orders))
    order = state.order.order if choices.below(16) else "stranger"
    whole = int(state.order.quantity)
    matched = Quantity(choices.of((whole, whole, 0, whole // 20_000 * 10_000, whole + 30_000)))
    match kind:
        case 0:
            return Rested(order=order, at=at, venue_order=f"v/{order}", matched=matched)
        case 1:
            reason = choices.of((Refusal.FUNDS, Refusal.PRICE, Refusal.RATE_LIMIT))
            return Refused(order=order, at=at, reason=reason, text="", repost=bool(choices.below(2)))
        case 2:
            return Landed(order=order, at=at)
        case 3 | 4:
            return Lost(order=order, at=at, trouble=Trouble.TIMEOUT, text="")
        case 5 | 6:
            return Absent(order=order, at=at, as_of=Nanos(at - choices.of((0, SECOND, 9 * SECOND))))
        case 7:
            return choices.of((LookUpFailed(order=order, at=at, text=""), Withheld(order=order, at=at, text="")))
        case 8 | 9 | 10:
            return Filled(order=order, at=at, fill=_fill(choices, order))
        case 11:
            return Restarted(epoch=2, at=at)
        case 12:
            return Named(order=order, wire=f"w/{order}")
        case 13 | 14:
            return Woke(trade=trade.trade, at=at)
        case 15:
            return _quotes(choices, trade, at)
    how = choices.of((EndKind.FILLED, EndKind.KILLED, EndKind.CANCELLED, EndKind.EXPIRED))
    return Ended(order=order, at=at, venue_order=f"v/{order}", matched=matched, how=how)


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Opened, list[Event]]:
    terms = draw(st.sampled_from(TERMS))
    price = draw(st.sampled_from((50, 45, 5, 30)))
    opened = opening(terms, tuple(Price(price * 100) for _ in terms), Quantity(draw(st.integers(3, 12)) * CONTRACT))
    trade, _ = open_trade(opened)
    at, told = int(START), []
    for number in draw(st.lists(st.integers(0, 2**16), min_size=draw(st.sampled_from((30, 12, 0))), max_size=40)):
        choices = Choices(number * 0x9E3779B97F4A7C15 % 2**61)  # small numbers far apart
        at += choices.of((SECOND // 10, 1, SECOND // 2, 0)) * choices.of((1, 1, 2, 0, 1, 3, 1, 8))
        at += 30 * SECOND if choices.below(40) == 39 else 0
        event = _event(choices, trade, Nanos(at))
        told.append(event)
        trade, _ = step(trade, event)
    return opened, told


def _matched(trade: Trade) -> dict[str, int]:
    """Before what was taken back."""
    return {s.order.order: max(s.reported, s.itemised) for s in trade.orders}


@settings(max_examples=400, deadline=None)
@given(journeys())
def test_any_event_in_any_state_is_taken_and_every_order_keeps_its_bounds(journey: tuple[Opened, list[Event]]) -> None:
    opened, told = journey
    trade, commands = open_trade(opened)
    seen = {command.order.order for command in commands if isinstance(command, Submit)}
    for event in told:
        after, commands = step(trade, event)
        for command in commands:
            if isinstance(command, Submit):
                _keeps_bounds(trade, command, event)
                assert command.order.order not in seen
                seen.add(command.order.order)
        old, new = _matched(trade), _matched(after)
        assert all(new[name] >= old[name] for name in old), "what was matched became less without a reversal"
        assert all(amount >= 0 for amount in committed(after).values())
        assert len(after.orders) <= 2 * len(opened.terms) * BOUNDS.spans_max * (BOUNDS.aggressive_max + 3)
        again, more = step(after, event)
        if not isinstance(event, Quoted | Woke | Restarted | Absent | Withheld):
            assert again is after, "told twice, it did something the second time"
            assert not more
        trade = after


def _keeps_bounds(trade: Trade, command: Submit, event: Event) -> None:
    order = command.order
    terms = trade.terms[order.leg]
    assert isinstance(event, Quoted)
    assert all(state.phase is Phase.DONE for state in trade.orders)
    assert not trade.escalated
    assert trade.aggressive < BOUNDS.aggressive_max or trade.resting < BOUNDS.resting_max
    assert on_grid(order.price, terms.ticks)
    assert order.quantity > 0
    assert order.quantity % terms.lot == 0
    assert order.not_after == order.made_at + BOUNDS.send_window
    if order.side is Side.SELL:
        assert order.price >= BOUNDS.floor
        assert order.quantity <= trade.net(order.leg)
    if order.spend is not None:
        assert order.spend % 10_000 == 0
        assert terms.min_spend <= order.spend <= order.price * order.quantity // 10_000
        assert order.spend <= event.spendable[order.leg]


@settings(max_examples=200, deadline=None)
@given(journeys(), st.randoms(use_true_random=False))
def test_fills_in_any_order_are_the_same_knowledge(journey: tuple[Opened, list[Event]], random: Any) -> None:
    opened, told = journey
    reports = [e for e in told if isinstance(e, Filled | Rested | Lost | Landed)]
    mixed = list(reports)
    random.shuffle(mixed)
    clocks = {"posted_at", "doubted_at", "ask_after", "asked"}
    seen = []
    for some in (reports, mixed):
        trade, _ = open_trade(opened)
        for event in some:
            trade, _ = step(trade, event)
        seen.append([state.model_dump(exclude=clocks) for state in trade.orders])
    assert seen[0] == seen[1]


@settings(max_examples=150, deadline=None)
@given(journeys())
def test_a_replay_gives_the_same_digest_and_the_accounts_are_the_fills(journey: tuple[Opened, list[Event]]) -> None:
    opened, told = journey
    grants: list[Event] = [
        CapitalGranted(owner_epoch=1, holder="x", venue=term.venue, total=Money(100_000_000)) for term in opened.terms
    ]
    owners: list[Event] = [
        ClaimsGranted(owner_epoch=1, holder="x", groups=("group",)),
        CooldownsSet(owner_epoch=1, until=(("kalshi", "K0", Nanos(5)),)),
        CursorMoved(venue="kalshi", cursor="7"),
    ]
    journal = [*grants, opened, *told, *owners]
    desk, again = Desk("g"), Desk("g")
    for seq, event in enumerate(journal, 1):
        if desk.changes(event):
            desk.apply(seq, event)
        assert not any(desk.accounts.totals.values())
        assert all(amount >= 0 for amount in desk.reserved.values())
        assert all(desk.free(term.venue) >= 0 for term in opened.terms)
    for seq, event in enumerate(journal, 1):
        again.apply(seq, event)
    assert desk.digest() == again.digest()
    trade = desk.trades[TRADE]
    cash: dict[str, int] = {}
    for entry in booked(None, trade, 0, Nanos(0)):
        cash[entry.venue] = cash.get(entry.venue, 0) + entry.cash - entry.fee
    fees = sum(f.fee for s in trade.orders for f in s.fills if f.settlement is not Settlement.REVERSED)
    assert sum(desk.accounts.fees.values()) == fees
    if len({term.market for term in opened.terms}) == len(opened.terms):
        for venue, amount in cash.items():
            assert desk.accounts.cash[venue] == amount + _netted(trade, venue)


def _netted(trade: Trade, venue: str) -> int:
    """Only one outcome of each market is traded here, but selling more than was held turns into the other outcome."""
    total = 0
    for leg, term in enumerate(trade.terms):
        if term.venue == venue and term.nets:
            held = sum(e.contracts for e in booked(None, trade, 0, Nanos(0)) if e.order.split(".")[3] == str(leg))
            total += min(0, held)
    return total
