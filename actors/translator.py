"""From the venue's terms to ours: which of our orders a stream or a list is talking about."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from actors.gateway import Gateway
from core.desk import Desk
from core.trade import OrderState
from messages.orders import Ended, EndKind, FillSeen, OrderReport, OrderSeen, Rested
from messages.units import SECOND, Nanos, TimeInForce

STRANGERS_MAX = 2_000
"""Reports that name no order of ours yet; the oldest go first, since the fill feed tells executions again."""
STRANGE_FOR = Nanos(10 * SECOND)


class Translator:
    """Keeps what it cannot name for a while: an execution may be told before the answer that names its order."""

    def __init__(self, desk: Desk, gateway: Gateway, heard: Callable[[OrderReport], None]) -> None:
        self._desk = desk
        self._gateway = gateway
        self._heard = heard
        self._strangers: deque[OrderSeen | FillSeen] = deque(maxlen=STRANGERS_MAX)

    def hear(self, seen: OrderSeen | FillSeen) -> None:
        state = self._ours(seen)
        if state is None:
            self._strangers.append(seen)
        elif isinstance(seen, FillSeen):
            schedule = self._desk.trades[state.order.trade].terms[state.order.leg].fees
            self._heard(self._gateway.filled(state.order, schedule, seen))
        else:
            self._order(state, seen)

    def _ours(self, seen: OrderSeen | FillSeen) -> OrderState | None:
        name = self._desk.by_wire.get((seen.venue, seen.wire)) if seen.wire is not None else None
        if name is None and seen.venue_order is not None:
            name = self._desk.by_venue_order.get((seen.venue, seen.venue_order))
        return self._desk.state_of(name) if name is not None else None

    def _order(self, state: OrderState, seen: OrderSeen) -> None:
        order, venue_order, ended = state.order, seen.venue_order or seen.wire or "", seen.ended
        immediate = order.time_in_force is TimeInForce.IOC
        if ended is EndKind.FILLED and (not seen.matched or (not immediate and seen.matched < order.quantity)):
            # without a number, or with too small a one, it is no final word: the look-up will have that
            ended = None
        if ended is EndKind.CANCELLED and immediate:
            ended = EndKind.KILLED
        report: OrderReport
        if ended is None:
            report = Rested(order=order.order, at=seen.at, venue_order=venue_order, matched=seen.matched)
        else:
            report = Ended(order=order.order, at=seen.at, venue_order=venue_order, matched=seen.matched, how=ended)
        self._heard(report)

    def again(self, now: Nanos) -> None:
        """Try the strangers once more; those that nobody claims in time are somebody else's."""
        while self._strangers and now - self._strangers[0].at > STRANGE_FOR:
            self._strangers.popleft()
        for _ in range(len(self._strangers)):
            self.hear(self._strangers.popleft())

    @property
    def strangers(self) -> int:
        return len(self._strangers)
