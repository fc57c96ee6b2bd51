"""What happened to a trade, in words that a trader would use; and what it came to in money."""

from __future__ import annotations

from collections.abc import Iterator

from core.ledger import booked
from core.trade import OrderState, Phase, Trade
from core.units import cents, contracts, dollars
from messages.opportunities import Opportunity
from messages.orders import Role
from messages.units import ONE_DOLLAR, Money, Nanos

DRY_RUN = "dry_run"
FINAL = "final"
"""The stage of a trade's last story."""


def result(trade: Trade) -> Money:
    """Pay-out of what is hedged, less what it cost, fees included; by the executions known one by one."""
    cash = sum(entry.cash - entry.fee for entry in booked(None, trade, 0, Nanos(0)))
    return Money(cash + trade.opened.payout * trade.hedged // ONE_DOLLAR)


def tell(before: Trade | None, after: Trade, at: Nanos) -> Iterator[tuple[str, str]]:
    """(stage, text) for everything worth telling that changed."""
    if before is None:
        yield "opened", _opened(after)
        return
    old = {state.order.order: state for state in before.orders}
    for state in after.orders:
        was = old.get(state.order.order)
        if was is None:
            yield "recovery", _sent(state)
        elif was is not state:
            yield from _order(was, state, at)
    if len(after.spans) > len(before.spans):
        legs = ", ".join(
            f"{contracts(quantity)} {term.outcome} at {term.venue}"
            for quantity, term in zip(after.excess, after.terms, strict=True)
            if quantity
        )
        yield "excess", f"proved out of balance: {legs} too many"
    if after.escalated and not before.escalated:
        yield "escalated", f"a person must decide: {after.escalation}"
    if after.balanced_at and not before.balanced_at:
        yield "settled", _settled(after)
    if after.final and not before.final:
        yield FINAL, f"every fill known and final, result {_usd(result(after))} net of fees"


def _usd(amount: Money) -> str:
    return f"-${dollars(Money(-amount))}" if amount < 0 else f"${dollars(amount)}"


def _opened(trade: Trade) -> str:
    return offered(trade.opened.opportunity)


def offered(opportunity: Opportunity) -> str:
    """An opportunity as it was sized: legs with their limits, and what it should come to."""
    legs = " + ".join(f"{leg.outcome}@{leg.venue} {cents(leg.limit)}¢" for leg in opportunity.legs)
    return (
        f"{opportunity.pair}  {legs}  {contracts(opportunity.quantity)} ct  gross {_usd(opportunity.gross)}"
        f"  fees {_usd(opportunity.fees)}  net {_usd(opportunity.net)}"
    )


def _name(state: OrderState) -> str:
    return f"{state.order.side} {state.order.outcome}@{state.order.venue}"


def _sent(state: OrderState) -> str:
    verb = "completing" if state.order.role is Role.COMPLETE else "unwinding"
    order = state.order
    return (
        f"{verb}: {order.side} {contracts(order.quantity)} {order.outcome}@{order.venue}, limit {cents(order.price)}¢"
    )


def _order(was: OrderState, state: OrderState, at: Nanos) -> Iterator[tuple[str, str]]:
    took = f"after {milliseconds(at - state.order.made_at)} ms"
    if state.phase is not was.phase:
        if state.phase is Phase.DOUBT:
            yield "doubt", f"{_name(state)}: no proof of its fate, asking {state.order.venue}"
        elif state.phase is Phase.DONE:
            filled = (
                f" {contracts(state.matched)} of {contracts(state.order.quantity)}" if state.refused is None else ""
            )
            yield "order", f"{_name(state)}: {state.status}{filled} {took}"
    if state.reposts > was.reposts:
        yield "doubt", f"{_name(state)}: sent again as a look-up, the identical bytes"
    if state.matched < was.matched:
        yield (
            "reversed",
            f"{_name(state)}: {contracts(type(state.matched)(was.matched - state.matched))} taken back by the venue",
        )


def milliseconds(nanos: int) -> str:
    """With one decimal place, rounded down."""
    tenths = nanos // 100_000
    return f"{tenths // 10}.{tenths % 10}"


def _settled(trade: Trade) -> str:
    span = trade.spans[-1] if trade.spans else None
    recovered = ""
    if span is not None and span.flat_at is not None:
        recovered = f", back in balance {milliseconds(span.flat_at - span.able_at)} ms after it could act"
    dust = f", dust {contracts(trade.dust)} held" if trade.dust else ""
    return f"{trade.outcome.upper()} {contracts(trade.hedged)} ct{recovered}{dust}"
