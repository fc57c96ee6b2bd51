"""What happens on the chain apart from trading: complete sets made and merged, conversions, resolution and pay-out.

Everything is zero-sum: a set costs a dollar and pays one, a conversion goes through an account that keeps the other side of
it, and `Exchange.imbalance` counts resolved tokens at their pay-out. Quantities in millionths of a share.
"""

from __future__ import annotations

from collections.abc import Sequence

from venues.simulated.accounts import Account
from venues.simulated.exchange import Exchange
from venues.simulated.happenings import MarketResolved, Movement

Payout = tuple[int, int]
"""Halves of a dollar that YES and NO pay."""
YES_WINS: Payout = (2, 0)
NO_WINS: Payout = (0, 2)
EVEN: Payout = (1, 1)
ADAPTER = "neg-risk-adapter"


def resolve(exchange: Exchange, market: str, payout: Payout, now_ns: int) -> int:
    """End trading in a market and fix what its tokens pay. What rests is cancelled; returns how many orders that were."""
    exchange.advance(now_ns)
    if market in exchange.payouts:
        return 0
    resting = [o.venue_order for o in exchange.orders.values() if o.market == market and o.status == "live"]
    for order in resting:
        exchange.cancel(order, now_ns, "MarketResolved")
    for side, price in list(exchange.quoted(market)):
        exchange.quote(market, side, price, 0, now_ns)
    exchange.payouts[market] = payout
    exchange.events.append(MarketResolved(market, payout, now_ns))
    return len(resting)


def redeem(exchange: Exchange, account: Account, market: str, now_ns: int) -> int:
    """Turn all settled tokens of a resolved market into what they pay; returns the cash."""
    payout = exchange.payouts.get(market)
    if payout is None:
        return 0
    yes, no = (max(0, account.settled_tokens(market, outcome)) for outcome in ("yes", "no"))
    cash, half = divmod(yes * payout[0] + no * payout[1], 2)
    exchange.halves += half
    account.positions[market].add("yes", -yes)
    account.positions[market].add("no", -no)
    _move(exchange, account, "redeem", market, cash, now_ns)
    return cash


def split(exchange: Exchange, account: Account, market: str, quantity: int, now_ns: int) -> bool:
    """Make complete sets out of cash."""
    if quantity <= 0 or market in exchange.payouts or account.available < quantity:
        return False
    account.positions[market].add("yes", quantity)
    account.positions[market].add("no", quantity)
    _move(exchange, account, "split", market, -quantity, now_ns)
    return True


def merge(exchange: Exchange, account: Account, market: str, quantity: int, now_ns: int) -> bool:
    """Make cash out of complete sets."""
    if quantity <= 0 or min(account.sellable_tokens(market, "yes"), account.sellable_tokens(market, "no")) < quantity:
        return False
    account.positions[market].add("yes", -quantity)
    account.positions[market].add("no", -quantity)
    _move(exchange, account, "merge", market, quantity, now_ns)
    return True


def convert(
    exchange: Exchange, account: Account, event: Sequence[str], given: Sequence[str], quantity: int, now_ns: int
) -> bool:
    """NO of the markets `given` becomes YES of every other market of the event, and a dollar for each NO beyond the first.

    Exactly one market of such an event pays YES. The adapter makes the sets whose YES it hands out and keeps every NO, so
    that at the end it gets back just what it laid out.
    """
    others = [market for market in event if market not in given]
    if quantity <= 0 or not given or any(market in exchange.payouts for market in event):
        return False
    if any(account.sellable_tokens(market, "no") < quantity for market in given):
        return False
    if ADAPTER not in exchange.accounts:
        exchange.accounts[ADAPTER] = Account(ADAPTER, unlimited=True)
    adapter = exchange.accounts[ADAPTER]
    for market in given:
        account.positions[market].add("no", -quantity)
        adapter.positions[market].add("no", quantity)
    for market in others:
        adapter.cash -= quantity
        adapter.positions[market].add("no", quantity)
        account.positions[market].add("yes", quantity)
    back = (len(given) - 1) * quantity
    adapter.cash -= back
    _move(exchange, account, "convert", given[0], back, now_ns)
    return True


def _move(exchange: Exchange, account: Account, kind: str, market: str, cash: int, now_ns: int) -> None:
    account.cash += cash
    exchange.movements.append(Movement(account.id, kind, market, cash, now_ns))
