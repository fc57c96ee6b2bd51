"""The state of one trade: what is known of each order, and what follows from it. The rules that move it are in `machine`.

Theory. Each order is in one of four phases. It is *sent* until anything is heard, *in doubt* once a request may or may
not have reached the venue, *resting* while the venue works it, and *done* only with proof: the venue's final word, a
definitive refusal, or an absence that outlived the time in which the order could still arrive. What an order has
matched is the larger of the venue's own total and the sum of its single executions, less what was taken back; so
reports may come twice, late and in any order.

A leg's *net* is what its buys matched less what its sells matched. Legs are balanced when their nets are equal; what a
leg has above the smallest net is *excess*, and below one lot it is dust, which is held and shown but never chased.
"""

from __future__ import annotations

from enum import StrEnum

from messages.base import Message
from messages.orders import EndKind, Fill, Order, Settlement
from messages.reasons import Refusal, Trouble
from messages.trades import Bounds, LegTerms, Opened
from messages.units import ONE_DOLLAR, Money, Nanos, Quantity, Side


class Phase(StrEnum):
    SENT = "sent"
    DOUBT = "doubt"
    RESTING = "resting"
    DONE = "done"


class OrderState(Message):
    """All that is known of one order."""

    order: Order
    wire: str = ""
    key: str = ""
    venue_order: str | None = None
    phase: Phase = Phase.SENT
    how: EndKind | None = None
    refused: Refusal | None = None
    absent: bool = False
    """Presumed never to have arrived; watched for ever."""
    landed: bool = False
    """The venue has it: it can no longer be presumed absent."""
    reported: Quantity = Quantity(0)
    fills: tuple[Fill, ...] = ()
    """By fill id; sorted, so that equal knowledge is equal state."""
    posted_at: Nanos
    """When it, or its latest re-post, was sent."""
    doubted_at: Nanos = Nanos(0)
    ask_after: Nanos
    asked: int = 0
    recalled_at: Nanos = Nanos(0)
    """When the rules under which it rests changed, so that it is taken back before its time; 0 where they did not."""
    reposts: int = 0
    repost_useless: bool = False
    """A re-post was answered without proving anything; the next would be too."""

    @property
    def itemised(self) -> Quantity:
        return Quantity(sum(fill.quantity for fill in self.fills))

    @property
    def matched(self) -> Quantity:
        itemised = reversed_ = 0
        for fill in self.fills:
            itemised += fill.quantity
            if fill.settlement is Settlement.REVERSED:
                reversed_ += fill.quantity
        return Quantity(max(self.reported, itemised) - reversed_)

    @property
    def confirmed(self) -> Quantity:
        return Quantity(sum(fill.quantity for fill in self.fills if fill.settlement is Settlement.CONFIRMED))

    @property
    def proven(self) -> bool:
        return self.phase is Phase.DONE

    @property
    def settled(self) -> bool:
        """Every execution is known one by one, and none of them can still be taken back."""
        return self.reported <= self.itemised and all(fill.settlement is not Settlement.MATCHED for fill in self.fills)

    @property
    def status(self) -> str:
        """In the words of the field, for a person."""
        if self.phase is not Phase.DONE:
            if self.phase is Phase.RESTING and self.matched:
                return "partly filled"
            return {"sent": "sent", "doubt": "in doubt", "resting": "live"}[self.phase.value]
        if self.refused is not None:
            return f"refused ({self.refused.value})"
        if self.absent:
            return "never arrived"
        if self.how is EndKind.KILLED:
            return "partly filled, rest killed" if self.matched else "killed unfilled"
        return self.how.value if self.how is not None else "done"


class Span(Message):
    """One time out of balance: from the proof of excess, over when it could be acted on, to flat."""

    proved_at: Nanos
    able_at: Nanos
    """Later than `proved_at` where only a sale of tokens that had yet to settle could help."""
    resumed_at: Nanos = Nanos(0)
    """When doubt about an order of the recovery ended, or a new incarnation came; the deadline counts from here."""
    flat_at: Nanos | None = None


class Mishap(Message):
    trouble: Trouble
    leg: int
    at: Nanos


class Trade(Message):
    """One attempt to take an opportunity, from its intent to the last settled fill."""

    opened: Opened
    orders: tuple[OrderState, ...]
    mishaps: tuple[Mishap, ...] = ()
    spans: tuple[Span, ...] = ()
    aggressive: int = 0
    resting: int = 0
    """Rungs used in the present span."""
    next_rung_at: Nanos = Nanos(0)
    quotes_asked_at: Nanos = Nanos(0)
    """0 where no quotes are awaited."""
    balanced_at: Nanos = Nanos(0)
    """When it was first, or again, in balance with every order proved; 0 while it is not."""
    escalated_at: Nanos = Nanos(0)
    escalation: str = ""

    @property
    def trade(self) -> str:
        return self.opened.trade

    @property
    def terms(self) -> tuple[LegTerms, ...]:
        return self.opened.terms

    @property
    def bounds(self) -> Bounds:
        return self.opened.bounds

    def net(self, leg: int) -> Quantity:
        return self.nets[leg]

    @property
    def nets(self) -> tuple[Quantity, ...]:
        totals = [0] * len(self.opened.terms)
        for state in self.orders:
            order, matched = state.order, state.matched
            totals[order.leg] += matched if order.side is Side.BUY else -matched
        return tuple(Quantity(total) for total in totals)

    @property
    def hedged(self) -> Quantity:
        """What every leg has: this much pays out whatever happens."""
        return Quantity(max(0, min(self.nets)))

    @property
    def excess(self) -> tuple[Quantity, ...]:
        nets = self.nets
        low = min(nets)
        return tuple(Quantity(net - low) for net in nets)

    @property
    def proven(self) -> bool:
        return all(state.proven for state in self.orders)

    @property
    def balanced(self) -> bool:
        """No leg has a whole lot more than another. What is left below a lot is dust."""
        nets = self.nets
        return max(nets) - min(nets) < max(term.lot for term in self.terms)

    @property
    def dust(self) -> Quantity:
        return Quantity(sum(self.excess)) if self.balanced else Quantity(0)

    @property
    def escalated(self) -> bool:
        return self.escalated_at > 0

    @property
    def done(self) -> bool:
        """Flat or hedged with proof, or in a person's hands."""
        return self.escalated or self.balanced_at > 0

    @property
    def final(self) -> bool:
        return self.balanced_at > 0 and all(state.settled for state in self.orders)

    @property
    def doubtful(self) -> tuple[OrderState, ...]:
        return tuple(state for state in self.orders if state.phase is Phase.DOUBT)

    @property
    def recovery(self) -> Trouble | None:
        """What it had to recover from: the first mishap, where there was doubt or excess at all."""
        if not self.mishaps or not (self.spans or any(state.doubted_at for state in self.orders)):
            return None
        return self.mishaps[0].trouble

    @property
    def outcome(self) -> str:
        """hedged, flat, escalated or open, in one word."""
        if self.escalated:
            return "escalated"
        if not self.balanced_at:
            return "open"
        return "hedged" if self.hedged else "flat"

    def state_of(self, order: str) -> OrderState | None:
        for state in self.orders:
            if state.order.order == order:
                return state
        return None

    def confirmed_holding(self, leg: int) -> Quantity:
        """What of this leg could be sold now where a sale needs settled tokens."""
        total = 0
        for state in self.orders:
            if state.order.leg == leg:
                total += state.confirmed if state.order.side is Side.BUY else -state.matched
        return Quantity(max(0, total))


def cash_of(trade: Trade) -> Money:
    """What came in less what went out so far, fees included; for judging losses, not for accounts.

    What is matched but not known one by one is taken at its order's limit, the worst that it can have been.
    """
    total = 0
    for state in trade.orders:
        sign = -1 if state.order.side is Side.BUY else 1
        for fill in state.fills:
            if fill.settlement is not Settlement.REVERSED:
                total += sign * fill.price * fill.quantity // ONE_DOLLAR - fill.fee
        total += sign * state.order.price * max(0, state.reported - state.itemised) // ONE_DOLLAR
    return Money(total)
