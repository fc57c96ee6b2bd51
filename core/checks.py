"""The column of checks: the only place that makes an `Approved`, and so the only way to an order that opens.

The rows run in a fixed order and each gives one reason. A row may cap the quantity instead of refusing; then the
opportunity is sized again and the rows that depend on its size run again. A row whose owner does not exist yet answers
*not configured*, visibly, and never silently passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass
from functools import cache
from typing import Generic, TypeVar

from core.ledger import most_taken
from core.units import cents, contracts, dollars, on_grid
from messages.books import Book
from messages.markets import Market, VenueMode
from messages.opportunities import CheckOutcome, CheckResult, Opportunity, PlannedLeg
from messages.reasons import Reason
from messages.units import CENT, CONTRACT, Money, Nanos, Outcome, Price, Quantity

T = TypeVar("T")
Key = tuple[str, str]

_only_here = object()


@dataclass(frozen=True, slots=True)
class Approved(Generic[T]):
    """Something that passed the column. Nothing else can make one: the type carries the permission."""

    value: T
    results: tuple[CheckResult, ...]
    permit: InitVar[object] = None
    """Given once and not kept, so that a copy with another value is refused too."""

    def __post_init__(self, permit: object) -> None:
        if permit is not _only_here:
            raise TypeError("only core/checks.py approves")


@dataclass(frozen=True, slots=True)
class Denied:
    """Our own refusal, before anything left; a venue's is `Refused`."""

    reason: Reason
    results: tuple[CheckResult, ...]
    opportunity: Opportunity


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that the column needs, as integers."""

    min_profit: Money
    """A contract, net."""
    min_return_bps: int
    notional_most: Money
    open_trades_most: int
    position_most: Quantity
    group_most: Quantity
    collar_low: Price
    collar_high: Price
    book_age_most: Nanos
    fees_age_most: Nanos
    loop_lag_most: Nanos


@dataclass(frozen=True, slots=True)
class View:
    """The state that the column judges by, as it is at this instant."""

    now: Nanos
    limits: Limits
    markets: Mapping[Key, Market]
    books: Mapping[Key, Book]
    modes: Mapping[str, tuple[VenueMode, bool]]
    """venue → (mode, reachable)"""
    claimed: Callable[[str], bool]
    flight_of: Callable[[Key], str | None]
    """The trade that holds the market, or None."""
    not_before: Callable[[Key], Nanos]
    free: Callable[[str], Money]
    held: Callable[[str, str, Outcome], Quantity]
    group_held: Callable[[str], Quantity]
    open_trades: int
    keys: Callable[[str], int]
    """How many more opening orders the venue's key lease pays for."""
    halted: str
    """Why opening is halted; "" where it is not."""
    draining: bool
    lag: Nanos


@dataclass(frozen=True, slots=True)
class Cap:
    """The row would let this much pass."""

    quantity: Quantity
    text: str


@dataclass(frozen=True, slots=True)
class No:
    reason: Reason
    text: str


NOT_CONFIGURED = "not configured"
Answer = None | No | Cap | str


def check(
    opportunity: Opportunity, view: View, resize: Callable[[Quantity], Opportunity]
) -> Approved[Opportunity] | Denied:
    """Run the column. `resize` sizes the same crossing again under a smaller bound."""
    caps: dict[str, str] = {}
    for _ in range(len(COLUMN)):
        results: list[CheckResult] = []
        capped: Cap | None = None
        for name, row in COLUMN:
            answer = row(opportunity, view)
            if isinstance(answer, Cap) and 0 < answer.quantity < opportunity.quantity:
                capped = answer
                caps[name] = answer.text
                break
            if isinstance(answer, Cap):
                answer = No(CAP_REASON[name], answer.text)
            if isinstance(answer, No):
                results.append(CheckResult(check=name, outcome=CheckOutcome.FAILED, text=answer.text))
                return Denied(answer.reason, tuple(results), opportunity)
            results.append(_passed(name, answer, caps.get(name)))
        if capped is None:
            return Approved(opportunity, tuple(results), _only_here)
        smaller = resize(capped.quantity)
        if not 0 < smaller.quantity <= capped.quantity < opportunity.quantity:
            result = CheckResult(check=name, outcome=CheckOutcome.FAILED, text=capped.text)
            return Denied(CAP_REASON[name], (*results, result), opportunity)
        opportunity = smaller
    result = CheckResult(check="caps", outcome=CheckOutcome.FAILED, text="the caps did not come to rest")
    return Denied(Reason.SIZE_INSANE, (result,), opportunity)


def _passed(name: str, answer: str | None, cap: str | None) -> CheckResult:
    if answer is NOT_CONFIGURED:
        return _plain(name, CheckOutcome.NOT_CONFIGURED)
    if cap is not None:
        return CheckResult(check=name, outcome=CheckOutcome.CAPPED, text=cap)
    if answer:
        return CheckResult(check=name, outcome=CheckOutcome.PASSED, text=answer)
    return _plain(name, CheckOutcome.PASSED)


@cache
def _plain(name: str, outcome: CheckOutcome) -> CheckResult:
    """A row without a remark, made once: there are some twenty in every decision."""
    return CheckResult(check=name, outcome=outcome)


# The rows. Each returns None (passed), a text (passed, with a remark), `No`, `Cap` or `NOT_CONFIGURED`.


def _known_market(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        market = view.markets.get((leg.venue, leg.market))
        if market is None:
            return No(Reason.UNKNOWN_MARKET, f"{leg.venue} has told nothing of {leg.market}")
        if not market.open or (market.closes_at is not None and market.closes_at <= view.now):
            return No(Reason.MARKET_CLOSED, f"{leg.market} is not trading at {leg.venue}")
        if market.version != leg.market_version:
            return No(Reason.OLD_METADATA, f"{leg.market} changed its rules since it was sized")
    return None


def _claimed(opportunity: Opportunity, view: View) -> Answer:
    if not view.claimed(opportunity.group):
        return No(Reason.NOT_CLAIMED, f"no claim on event group {opportunity.group}")
    return None


def _in_flight(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        holder = view.flight_of((leg.venue, leg.market))
        if holder is not None:
            return No(Reason.IN_FLIGHT, f"{leg.market} is held by trade {holder}")
    return None


def _halted(_: Opportunity, view: View) -> Answer:
    if view.halted:
        return No(Reason.HALTED, view.halted)
    if view.draining:
        return No(Reason.DRAINING, "the engine is finishing what is open")
    return None


def _venue(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        mode, reachable = view.modes.get(leg.venue, (VenueMode.UNKNOWN, False))
        if not reachable:
            return No(Reason.VENUE_UNREACHABLE, f"{leg.venue} has not been heard from")
        if mode is not VenueMode.OPEN:
            return No(Reason.VENUE_MODE, f"{leg.venue} is {mode.value}")
    return None


def _fresh(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        book = view.books.get((leg.venue, leg.market))
        if book is None or not book.fresh:
            return No(Reason.STALE_BOOK, f"the book of {leg.market} at {leg.venue} is not vouched for")
        age = view.now - book.seen_at
        if age > view.limits.book_age_most:
            return No(Reason.STALE_BOOK, f"the book of {leg.market} at {leg.venue} is {age // 1_000_000} ms old")
        if book.sequence != leg.book_sequence:
            return No(Reason.MOVED, f"the book of {leg.market} at {leg.venue} moved since it was sized")
    return None


def _fees(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        fees = view.markets[(leg.venue, leg.market)].fees
        age = view.now - fees.verified_at
        if age > view.limits.fees_age_most or fees.version != leg.fee_version:
            return No(Reason.FEES_UNVERIFIED, f"fees of {leg.market} at {leg.venue} were verified {age // 10**9} s ago")
    return None


def _profit(opportunity: Opportunity, view: View) -> Answer:
    if not opportunity.quantity:
        return None  # nothing to judge; the next row says why
    net = opportunity.net
    figures = f"gross {dollars(opportunity.gross)} − fees {dollars(opportunity.fees)} = {dollars(net)}"
    if net <= 0:
        return No(Reason.UNPROFITABLE, figures)
    if net * CONTRACT < view.limits.min_profit * opportunity.quantity:
        return No(Reason.BELOW_MIN_PROFIT, f"{figures} on {contracts(opportunity.quantity)} contracts")
    capital = opportunity.cost + opportunity.fees
    if net * 10_000 <= view.limits.min_return_bps * capital:
        return No(Reason.BELOW_MIN_RETURN, f"{figures} on capital of {dollars(Money(capital))}")
    return figures


def _liquidity(opportunity: Opportunity, _: View) -> Answer:
    if opportunity.quantity < CONTRACT:
        return No(Reason.NO_LIQUIDITY, "the books do not hold the smallest piece that all legs can order")
    return None


def _grid(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        market = view.markets[(leg.venue, leg.market)]
        if not on_grid(leg.limit, market.ticks):
            return No(Reason.TICK, f"{cents(leg.limit)} is off the grid of {leg.market}")
        if leg.quantity % market.lot:
            return No(Reason.BELOW_MIN_SIZE, f"{contracts(leg.quantity)} is no multiple of the lot")
        if leg.cost < market.min_spend:
            return No(
                Reason.BELOW_MIN_SIZE, f"{dollars(leg.cost)} is under the least order of {dollars(market.min_spend)}"
            )
    return None


def _collar(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        if not view.limits.collar_low <= leg.limit <= view.limits.collar_high:
            return No(Reason.PRICE_COLLAR, f"{cents(leg.limit)} for {leg.market} is outside the collar")
    return None


def _sanity(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        if leg.cost > view.limits.notional_most:
            return Cap(_share(opportunity, view.limits.notional_most, leg.cost), f"a leg of {dollars(leg.cost)}")
    return None


def _capital(opportunity: Opportunity, view: View) -> Answer:
    needs: dict[str, int] = {}
    for leg in opportunity.legs:
        market = view.markets[(leg.venue, leg.market)]
        needs[leg.venue] = needs.get(leg.venue, 0) + dearest(leg, market)
    for venue, need in needs.items():
        free = view.free(venue)
        if need > free:
            text = f"{dollars(Money(need))} needed at {venue}, {dollars(free)} free"
            return Cap(_share(opportunity, free, need), text)
    return None


def dearest(leg: PlannedLeg, market: Market) -> Money:
    """The most that an opening leg can take from the capital: exactly what its intent will reserve."""
    spend = Money(leg.cost // CENT * CENT) if market.cash_denominated else None
    return most_taken(market.fees, leg.limit, leg.quantity, spend)


def _share(opportunity: Opportunity, have: int, need: int) -> Quantity:
    return Quantity(opportunity.quantity * max(have, 0) // max(need, 1) // CONTRACT * CONTRACT)


def _positions(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        room = view.limits.position_most - view.held(leg.venue, leg.market, leg.outcome)
        if leg.quantity > room:
            return Cap(
                Quantity(max(0, room) // CONTRACT * CONTRACT), f"{leg.market} {leg.outcome} is near its position limit"
            )
    room = view.limits.group_most - view.group_held(opportunity.group)
    if opportunity.quantity > room:
        return Cap(Quantity(max(0, room) // CONTRACT * CONTRACT), f"event group {opportunity.group} is near its limit")
    return None


def _open_trades(_: Opportunity, view: View) -> Answer:
    if view.open_trades >= view.limits.open_trades_most:
        return No(Reason.TOO_MANY_OPEN, f"{view.open_trades} trades are open")
    return None


def _breaker(_: Opportunity, _view: View) -> Answer:
    return NOT_CONFIGURED


def _cool_down(opportunity: Opportunity, view: View) -> Answer:
    for leg in opportunity.legs:
        until = view.not_before((leg.venue, leg.market))
        if view.now < until:
            return No(Reason.COOL_DOWN, f"{leg.market} cools for another {(until - view.now) // 1_000_000} ms")
    return None


def _keys(opportunity: Opportunity, view: View) -> Answer:
    for venue in dict.fromkeys(leg.venue for leg in opportunity.legs):
        if view.keys(venue) < sum(1 for leg in opportunity.legs if leg.venue == venue):
            return No(Reason.KEYS, f"no key lease at {venue} pays for another opening order")
    return None


def _lag(_: Opportunity, view: View) -> Answer:
    if view.lag > view.limits.loop_lag_most:
        return No(Reason.CPU_LAG, f"this process was {view.lag // 1_000_000} ms late")
    return None


COLUMN: tuple[tuple[str, Callable[[Opportunity, View], Answer]], ...] = (
    ("known market", _known_market),
    ("claim", _claimed),
    ("in flight", _in_flight),
    ("halt", _halted),
    ("venue", _venue),
    ("fresh books", _fresh),
    ("fees verified", _fees),
    ("profit", _profit),
    ("liquidity", _liquidity),
    ("tick and minimum", _grid),
    ("price collar", _collar),
    ("size sanity", _sanity),
    ("capital", _capital),
    ("position limits", _positions),
    ("open trades", _open_trades),
    ("breaker", _breaker),
    ("cool-down", _cool_down),
    ("keys", _keys),
    ("loop lag", _lag),
)

CAP_REASON = {"size sanity": Reason.SIZE_INSANE, "capital": Reason.CAPITAL, "position limits": Reason.POSITION_LIMIT}
