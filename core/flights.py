"""When a market is in flight, when it is released, and how long it then cools: the rules behind two owners.

In flight from the intent until the trade is proved over. Released at once where the venue proved that nothing happened,
after a pause where something did or nothing was there to take; never while there is doubt or exposure, whatever the
error; an escalated trade keeps its markets until a person has looked.
"""

from __future__ import annotations

from core.trade import Trade
from messages.orders import Role
from messages.trades import Bounds
from messages.units import Nanos

PAUSE_MOST = Nanos(2 * 3600 * 1_000_000_000)
"""A paused market is tried again after at most two hours."""
NEVER = Nanos(2**62)


def released_at(trade: Trade) -> Nanos:
    """When the trade's markets may be touched again; 0 while they are in flight, `NEVER` in a person's hands."""
    if trade.escalated:
        return NEVER
    if not trade.balanced_at:
        return Nanos(0)
    return Nanos(trade.balanced_at + (0 if proved_failure(trade) else trade.bounds.release_after))


def proved_failure(trade: Trade) -> bool:
    """Some leg was refused, and all of it is proved to have come to nothing."""
    nothing = all(state.matched == 0 for state in trade.orders)
    return nothing and any(state.refused is not None for state in trade.orders)


def refused(trade: Trade, leg: int) -> bool:
    """The venue refused to open this leg, whatever became of the others."""
    return any(s.order.leg == leg and s.order.role is Role.OPEN and s.refused is not None for s in trade.orders)


def why_released(trade: Trade) -> str:
    if trade.escalated:
        return "escalated"
    if not trade.balanced_at:
        return "in flight"
    if proved_failure(trade):
        return "proved failure"
    return "success" if trade.hedged else "insufficient liquidity"


def not_before(bounds: Bounds, at: Nanos, refusals: int) -> Nanos:
    """When a market may be opened again after a trade at `at`, given its refusals in a row."""
    storms = refusals // bounds.reject_storm if bounds.reject_storm else 0
    if not storms:
        return Nanos(at + bounds.cool_down)
    pause = min(bounds.pause_market << min(storms - 1, 16), PAUSE_MOST)
    return Nanos(at + max(pause, bounds.cool_down))
