"""Complete or unwind, by price: the next order of a recovery, or the reason why there is none.

Rung one is an immediate order at a bounded price, rung two one that rests inside the spread, and after those a person.
Completing buys what the other legs lack; unwinding sells what one leg has too much. What a contract is worth decides:
completing is worth the pay-out less today's price of the missing legs, unwinding today's proceeds. A sale that needs
settled tokens waits for them, and meanwhile a completion that is not much dearer goes first, since a naked second
costs more than a cent.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.ledger import most_taken
from core.trade import Trade, cash_of
from core.units import tick_down, tick_up, whole_lots
from core.walk import Walk, walk_asks, walk_bids
from messages.markets import TickBand
from messages.orders import Order, Role
from messages.reasons import Refusal
from messages.trades import LegTerms, Quote, Quoted
from messages.units import CENT, ONE_DOLLAR, SECOND, Money, Nanos, Price, Quantity, Side, TimeInForce

PATIENCE = Price(200)
"""How much dearer a completion may be than a sale that still waits for its tokens: 2 cents a contract."""
IMPATIENCE = Price(100)
"""…and by this much more with every second that the tokens are late."""
SHRINK_MAX = 4
"""A completion that the free capital does not pay for is cut to its share; rounding may ask for another cut."""
SLACK = Price(100)
"""Each further immediate attempt accepts a cent worse; the venue still gives the best price there is."""


@dataclass(frozen=True, slots=True)
class Send:
    orders: tuple[Order, ...]
    resting: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask for quotes again at `until`. `blocked`: only unsettled tokens stand in the way."""

    until: Nanos
    blocked: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    text: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one leg would do."""

    leg: int
    side: Side
    walk: Walk


@dataclass(frozen=True, slots=True)
class _Way:
    role: Role
    pieces: tuple[_Piece, ...]
    worth: int
    """Micro-dollars a contract out of balance, so that ways of different depth compare."""
    loss: int
    """What the whole trade would have lost after it, in micro-dollars: sums over all rungs, so that many small
    losses cannot exceed a budget that each of them keeps."""


def choose(trade: Trade, quoted: Quoted) -> Send | Wait | GiveUp:
    """The next step of a trade that is proved and out of balance."""
    bounds, span, at = trade.bounds, trade.spans[-1], quoted.at
    if at - max(span.proved_at, span.able_at, span.resumed_at) > bounds.deadline:
        return GiveUp("the deadline passed with exposure left")
    used_up = trade.aggressive >= bounds.aggressive_max
    if used_up and trade.resting >= bounds.resting_max:
        return GiveUp(f"{trade.aggressive} immediate and {trade.resting} resting orders did not end it")
    complete = _complete(trade, quoted)
    unwind = _unwind(trade, quoted)
    unsettled = unwind is not None and not _sellable(trade, unwind)
    blocked = unsettled and at < span.proved_at + bounds.settle_wait
    # tried all the same, and refused: only settlement helps, and the rungs are kept for it
    useless = unsettled and any(s.order.role is Role.UNWIND and s.refused is Refusal.FUNDS for s in trade.orders)
    patience = PATIENCE + IMPATIENCE * max(0, at - span.proved_at - bounds.settle_wait) // SECOND
    way = _better(complete, unwind, patience if blocked or useless else None)
    if way is None:
        pause = bounds.pause if blocked else Nanos(bounds.pause * 2)
        return Wait(Nanos(at + pause), blocked)
    slack = _slack(trade, way)
    orders = tuple(_order(trade, piece, way.role, quoted, used_up, slack) for piece in way.pieces)
    return Send(orders, resting=used_up)


def _better(complete: _Way | None, unwind: _Way | None, patience: int | None) -> _Way | None:
    """The dearer of the two; where the sale has to wait (`patience`), a completion that is not much worse, or nothing."""
    if unwind is None:
        return complete
    if complete is None:
        return None if patience is not None else unwind
    if patience is not None:
        return complete if complete.worth >= unwind.worth - patience * 100 else None
    return complete if complete.worth >= unwind.worth else unwind


def _complete(trade: Trade, quoted: Quoted) -> _Way | None:
    nets = trade.nets
    high, gap = max(nets), max(nets) - min(nets)
    pieces, cost = [], 0
    taken: dict[str, int] = {}
    for leg, terms in enumerate(trade.terms):
        lacking = whole_lots(Quantity(high - nets[leg]), terms.lot)
        if lacking <= 0:
            continue
        free = Money(quoted.spendable[leg] - taken.get(terms.venue, 0))  # two legs of one venue share its capital
        affordable = _affordable(quoted.quotes[leg], terms, lacking, free, _widest(trade))
        if affordable is None:
            return None
        walk, need = affordable
        taken[terms.venue] = taken.get(terms.venue, 0) + need
        pieces.append(_Piece(leg, Side.BUY, walk))
        cost += (walk.money + walk.fee) * lacking // walk.quantity
    if not pieces:
        return None
    worth = (trade.opened.payout * gap // ONE_DOLLAR - cost) * 1_000_000 // gap
    return _within_budget(trade, _Way(Role.COMPLETE, tuple(pieces), worth, _loss(trade, Quantity(high), -cost)))


def _affordable(
    quote: Quote, terms: LegTerms, lacking: Quantity, spendable: Money, slack: int
) -> tuple[Walk, Money] | None:
    """The walk that the free capital pays for, `slack` included, and the most that it takes.

    None below what the venue takes as an order.
    """
    if not quote.usable:
        return None
    for _ in range(SHRINK_MAX):
        walk = walk_asks(quote.asks, lacking, terms.lot, terms.fees)
        if walk is None:
            return None
        spend = Money(walk.money // CENT * CENT) if terms.cash_denominated else None
        if spend is not None and spend < max(CENT, terms.min_spend):
            return None
        need = most_taken(terms.fees, Price(min(walk.worst + slack, ONE_DOLLAR)), walk.quantity, spend)
        if need <= spendable:
            return walk, need
        lacking = Quantity(min(walk.quantity * max(0, spendable) // need, walk.quantity - terms.lot))
    return None


def _unwind(trade: Trade, quoted: Quoted) -> _Way | None:
    nets = trade.nets
    low = max(0, min(nets))  # what is not held cannot be sold: a short leg is bought back
    gap = max(nets) - low
    pieces, proceeds = [], 0
    for leg, terms in enumerate(trade.terms):
        above = whole_lots(Quantity(nets[leg] - low), terms.lot)
        if above <= 0:
            continue
        quote = quoted.quotes[leg]
        walk = walk_bids(quote.bids, above, terms.lot, terms.fees, trade.bounds.floor) if quote.usable else None
        if walk is None:
            return None
        pieces.append(_Piece(leg, Side.SELL, walk))
        proceeds += (walk.money - walk.fee) * above // walk.quantity
    if not pieces:
        return None
    worth = proceeds * 1_000_000 // gap
    return _within_budget(trade, _Way(Role.UNWIND, tuple(pieces), worth, _loss(trade, Quantity(low), proceeds)))


def _loss(trade: Trade, hedged: Quantity, cash: int) -> int:
    """What the trade would have lost in all if it ended with `hedged` contracts after another `cash`."""
    return -(cash_of(trade) + cash + trade.opened.payout * hedged // ONE_DOLLAR)


def _widest(trade: Trade) -> int:
    return SLACK * min(trade.aggressive, 8)


def _slack(trade: Trade, way: _Way) -> int:
    """How much worse than the walk an order may fill: a cent more each attempt, within what the budget still bears."""
    quantity = sum(piece.walk.quantity for piece in way.pieces)
    room = max(0, trade.bounds.loss_budget - way.loss)
    return min(_widest(trade), room * ONE_DOLLAR // quantity)


def _within_budget(trade: Trade, way: _Way) -> _Way | None:
    return way if way.loss <= trade.bounds.loss_budget else None


def _sellable(trade: Trade, way: _Way) -> bool:
    """Everything the sale needs has settled."""
    return all(
        not trade.terms[piece.leg].sells_after_settlement or trade.confirmed_holding(piece.leg) >= piece.walk.quantity
        for piece in way.pieces
    )


def _order(trade: Trade, piece: _Piece, role: Role, quoted: Quoted, used_up: bool, slack: int) -> Order:
    terms, walk, bounds, at = trade.terms[piece.leg], piece.walk, trade.bounds, quoted.at
    ticks = quoted.quotes[piece.leg].ticks or terms.ticks
    resting = used_up and walk.quantity >= terms.min_quantity
    if resting:
        price = _inside(ticks, piece)
    elif piece.side is Side.SELL:
        price = tick_up(Price(max(bounds.floor, walk.worst - slack)), ticks) or walk.worst
    else:
        price = tick_down(Price(walk.worst + slack), ticks) or walk.worst
    spends = terms.cash_denominated and piece.side is Side.BUY and not resting
    rung = sum(1 for state in trade.orders if state.order.leg == piece.leg)
    return Order(
        order=f"{trade.trade}.{piece.leg}.{rung}",
        trade=trade.trade,
        leg=piece.leg,
        role=role,
        venue=terms.venue,
        market=terms.market,
        outcome=terms.outcome,
        side=piece.side,
        price=price,
        quantity=walk.quantity,
        spend=Money(walk.money // CENT * CENT) if spends else None,
        time_in_force=TimeInForce.GTD if resting else TimeInForce.IOC,
        expires_at=Nanos(at + bounds.rest) if resting else Nanos(0),
        made_at=at,
        not_after=Nanos(at + bounds.send_window),
    )


def _inside(ticks: tuple[TickBand, ...], piece: _Piece) -> Price:
    """One tick better for the other side than its best price, on the grid."""
    best = piece.walk.best
    if piece.side is Side.SELL:
        return tick_up(Price(best + 1), ticks) or best
    return tick_down(Price(best - 1), ticks) or best
