"""The exchange: pure matching, accounts, settlement and ledger.

No I/O, no clock: time comes in with every call, and what happened goes out through `events`. One class serves both venues;
`Terms` (in `happenings.py`) says how they differ:

* netting (Kalshi): YES and NO of one market cannot be held together, a complete set becomes a dollar at once;
* settlement (Polymarket): a match is MATCHED, later MINED, later CONFIRMED, or RETRYING and FAILED, which undoes it for
  both sides. Tokens bought and proceeds of sales can be used only once mined, so an undone match never needs what is gone.

Every match moves money between two orders so that nothing is made or lost: with q the quantity, the YES part and the NO
part of the price add up to q dollars, and what leaves the accounts' cash is in complete sets or in the fees collected.
Fractions of a micro-dollar are rounded against the taker.
"""

from __future__ import annotations

import heapq
import random
import uuid
from collections.abc import Callable
from fractions import Fraction
from typing import Literal

from venues.simulated.accounts import PARTICIPANTS, Account, net, owner
from venues.simulated.book import Action, Book, Order, Outcome, Side, opposite, own_price
from venues.simulated.fees import kalshi_fee, kalshi_worst_fee, polymarket_fee
from venues.simulated.happenings import (
    MS,
    Bend,
    Declined,
    FeeRule,
    Fill,
    Happening,
    LevelChanged,
    Match,
    Movement,
    OrderChanged,
    Plan,
    Refusal,
    Role,
    Settlement,
    Taken,
    Terms,
    Ticket,
    Traded,
    TradeSettled,
    Verdict,
)
from venues.simulated.scale import PRICE_ONE, UNIT, notional_ceil, notional_floor

KILLS: tuple[Refusal, ...] = ("fok_unfilled", "fak_unmatched")
"""Refusals of an order that was taken first: it is known from then on."""


class Exchange:
    def __init__(self, markets: tuple[str, ...], terms: Terms, seed: str) -> None:
        self.terms = terms
        self.books = {market: Book(market) for market in markets}
        self.accounts = {PARTICIPANTS: Account(PARTICIPANTS, unlimited=True)}
        self.orders: dict[str, Order] = {}
        self.matches: dict[str, Match] = {}
        self.fills: list[Fill] = []
        self.known: dict[tuple[str, str], Order] = {}  # identities that are used up, for ever
        self.events: list[Happening] = []
        self.fees_collected = 0
        self._draw = random.Random(seed)
        self.payouts: dict[str, tuple[int, int]] = {}  # resolved markets: halves of a dollar that YES and NO pay
        self.halted: set[str] = set()  # markets that stand still: the makers quote nothing there
        self.movements: list[Movement] = []  # cash that moved apart from fills
        self.halves = 0  # of a micro-dollar, lost in rounding split pay-outs down
        self._due: list[tuple[int, int, Match | Order | Callable[[int], None]]] = []
        self._sequence = 0
        self._quotes: dict[str, dict[tuple[Side, int], Order]] = {market: {} for market in markets}

    # accounts

    def open_account(self, account: str, deposit: int) -> Account:
        opened = self.accounts[account] = Account(account, deposits=deposit, cash=deposit)
        return opened

    def open_market(self, market: str, fee: FeeRule) -> None:
        """List a market that was not there at the start."""
        self.books[market], self._quotes[market] = Book(market), {}
        self.terms.fees[market] = fee

    def imbalance(self) -> int:
        """Zero, always: cash plus complete sets (resolved ones at their pay-out) plus fees is what was deposited."""
        doubled = self.halves
        for market in self.books:
            yes = sum(a.positions[market].yes for a in self.accounts.values())
            no = sum(a.positions[market].no for a in self.accounts.values())
            pays = self.payouts.get(market)
            if pays is None and yes != no:
                return yes - no
            doubled += 2 * yes if pays is None else yes * pays[0] + no * pays[1]
        cash = sum(a.cash - a.deposits for a in self.accounts.values())
        return cash + doubled // 2 + self.fees_collected

    def next_id(self) -> str:
        return str(uuid.UUID(int=self._draw.getrandbits(128), version=4))

    # orders

    def plan(self, ticket: Ticket) -> Plan:
        """What an order would do to the book now, without doing it."""
        limit = own_price(ticket.outcome, ticket.price)
        left, spend = ticket.quantity, ticket.spend
        hits: list[tuple[Order, int]] = []
        met_itself, mine = False, owner(ticket.account)
        for maker in self.books[ticket.market].crossing(ticket.side, limit):
            if owner(maker.account) == mine:
                met_itself = True
                break
            price = own_price(ticket.outcome, maker.book_price)
            wanted = left if spend is None else spend * PRICE_ONE // price
            quantity = min(wanted, maker.remaining)
            if quantity <= 0:
                break
            hits.append((maker, quantity))
            if spend is None:
                left -= quantity
            else:
                spend -= notional_ceil(price, quantity)
        total = sum(quantity for _, quantity in hits)
        filled = left == 0 if spend is None else spend * PRICE_ONE < ticket.price
        return Plan(tuple(hits), total, spend or 0, met_itself, filled)

    def refusal(self, ticket: Ticket, plan: Plan) -> Refusal | None:
        if (ticket.account, ticket.wire_id) in self.known:
            return "duplicate"
        if ticket.market in self.payouts:
            return "resolved"
        account = self.accounts[ticket.account]
        if ticket.post_only and plan.hits:
            return "post_only_cross"
        if not account.unlimited:
            if not self.terms.netting and ticket.action == "sell":
                if account.sellable_tokens(ticket.market, ticket.outcome) < ticket.quantity:
                    return "tokens"
            elif self.needed(ticket, plan) > account.available:
                return "funds"
        if ticket.time_in_force == "fok" and not plan.filled:
            return "fok_unfilled"
        if ticket.time_in_force == "ioc" and not plan.hits and self.terms.kills_unmatched_ioc:
            return "fak_unmatched"
        return None

    def needed(self, ticket: Ticket, plan: Plan) -> int:
        """Cash that must be free for this order, fee included, whatever part of it fills at its limit or better."""
        rule = self.terms.fees[ticket.market]
        if self.terms.netting:
            price = ticket.price if ticket.action == "buy" else PRICE_ONE - ticket.price
            closed = min(ticket.quantity, self.accounts[ticket.account].closable(ticket.market, ticket.action))
            fee = kalshi_worst_fee(price, ticket.quantity, rule.rate)
            return max(0, notional_ceil(price, ticket.quantity) + fee - closed)
        asked = ticket.spend if ticket.spend is not None else notional_ceil(ticket.price, ticket.quantity)
        worst = polymarket_fee(ticket.price, asked * PRICE_ONE // ticket.price, rule.rate, rule.exponent)
        planned = 0
        for maker, quantity in plan.hits:
            price = own_price(ticket.outcome, maker.book_price)
            planned += notional_ceil(price, quantity) + polymarket_fee(price, quantity, rule.rate, rule.exponent)
        return max(asked + worst, planned)

    def hold(self, ticket: Ticket, now_ns: int) -> Verdict:
        """Take an order in without letting it at the book: its id is used up and its funds are promised.

        It waits, and nobody can cancel it, until it is given to `submit`.
        """
        self.advance(now_ns)
        plan = self.plan(ticket)
        refusal = self.refusal(ticket, plan)
        if refusal is not None and refusal not in KILLS:
            return Declined(refusal)
        order = self._new(ticket, now_ns)
        order.status = "delayed"
        self._enter(order)
        held = (self.needed(ticket, plan), 0) if ticket.action == "buy" else (0, ticket.quantity)
        self.accounts[ticket.account].held[ticket.wire_id] = (ticket.market, ticket.outcome, *held)
        self._changed(order, "placement", "Delayed", now_ns)
        return Taken(order, ())

    def _new(self, ticket: Ticket, now_ns: int) -> Order:
        return Order(
            venue_order=ticket.venue_order or self.next_id(), wire_id=ticket.wire_id, account=ticket.account,
            market=ticket.market, outcome=ticket.outcome, action=ticket.action, price=ticket.price,
            quantity=ticket.quantity, spend=ticket.spend, time_in_force=ticket.label or ticket.time_in_force,
            created_ns=now_ns, changed_ns=now_ns, expires_ns=ticket.expires_ns, body_sha256=ticket.body_sha256,
            remaining=ticket.quantity,
        )  # fmt: skip

    def _enter(self, order: Order) -> None:
        self.known[(order.account, order.wire_id)] = order
        self.orders[order.venue_order] = order

    def submit(self, ticket: Ticket, now_ns: int, bend: Bend | None = None, held: Order | None = None) -> Verdict:
        """Place an order, or let in one that was held; one that is refused then has ended with the reason."""
        self.advance(now_ns)
        if held is not None:
            del self.known[(held.account, held.wire_id)]
            del self.accounts[held.account].held[held.wire_id]
        plan = self.plan(ticket)
        refusal = self.refusal(ticket, plan)
        if refusal is not None and refusal not in KILLS:
            if held is not None:
                self._enter(held)
                self._kill(held, refusal, now_ns)
            return Declined(refusal)
        order = held or self._new(ticket, now_ns)
        order.status = "live"
        if ticket.account != PARTICIPANTS:
            self._enter(order)
        if refusal is not None:
            self._kill(order, refusal, now_ns)
            return Declined(refusal)
        hits = plan.hits if bend is None or bend.keep is None else keep_part(plan, bend.keep)
        cut = len(hits) != len(plan.hits) or sum(q for _, q in hits) != plan.quantity
        doomed = bend is not None and bend.reverse
        fills = tuple(self._match(order, maker, quantity, now_ns, doomed=doomed) for maker, quantity in hits)
        self._conclude(order, ticket, cut or plan.met_itself, plan.met_itself, now_ns)
        self._reserve(order.account, order.market, now_ns)
        return Taken(order, fills)

    def _kill(self, order: Order, refusal: Refusal, now_ns: int) -> None:
        order.status, order.reason, order.remaining = "killed", refusal, 0
        self._changed(order, "cancellation", refusal, now_ns)

    def _conclude(
        self, order: Order, ticket: Ticket, killed: bool, met_itself: bool, now_ns: int, why: str = ""
    ) -> None:
        done = order.remaining == 0 if order.spend is None else ticket.time_in_force != "gtc"
        if ticket.time_in_force == "gtc" and not killed and not done:
            self._rest(order, now_ns, why)
            return
        complete = order.matched >= order.quantity or (self.terms.settles and order.matched > 0)
        order.remaining = 0
        order.status = "matched" if complete else "canceled"
        reason = "SelfTradeCancel" if met_itself else "Trade" if order.matched else ""
        order.reason = reason
        self._changed(order, "update" if order.matched else "cancellation", reason, now_ns)

    def _rest(self, order: Order, now_ns: int, why: str = "") -> None:
        self.books[order.market].add(order)
        if order.account != PARTICIPANTS:
            self.accounts[order.account].resting[order.market].append(order)
            if order.expires_ns is not None:
                self._later(order.expires_ns, order)
            self._changed(order, "placement", why or ("Trade" if order.matched else ""), now_ns)
        else:
            self._quotes[order.market][(order.side, order.book_price)] = order
        self._level(order, order.remaining, now_ns)

    def cancel(self, venue_order: str, now_ns: int, reason: str = "") -> int | None:
        """Quantity taken off the book, or None where nothing rests under this id."""
        order = self.orders.get(venue_order)
        if order is None or order.status != "live":
            return None
        removed = order.remaining
        self.books[order.market].reduce(order, removed)
        self._level(order, -removed, now_ns)
        self.accounts[order.account].resting[order.market].remove(order)
        order.status, order.reason = "canceled", reason
        self._changed(order, "cancellation", reason, now_ns)
        self._reserve(order.account, order.market, now_ns)
        return removed

    def decrease(self, venue_order: str, remaining: int, now_ns: int, reason: str) -> None:
        """Leave only `remaining` of a resting order; it keeps its place in the queue."""
        order = self.orders[venue_order]
        removed = order.remaining - remaining
        if removed <= 0:
            return
        self.books[order.market].reduce(order, removed)
        self._level(order, -removed, now_ns)
        order.quantity -= removed
        if order.remaining == 0:
            self.accounts[order.account].resting[order.market].remove(order)
            order.status, order.reason = "canceled", reason
        self._changed(order, "update" if order.remaining else "cancellation", reason, now_ns)
        self._reserve(order.account, order.market, now_ns)

    def amend(self, venue_order: str, ticket: Ticket, now_ns: int) -> Verdict:
        """Give a resting order another price or a greater size: it goes to the end of the queue, or trades at once.

        The ticket's quantity is what shall still rest.
        """
        order = self.orders[venue_order]
        before = order.remaining
        order.remaining = 0  # what it has promised so far is free for the amended order
        self._reserve(order.account, order.market, now_ns)
        plan = self.plan(ticket)
        account, refusal = self.accounts[order.account], None
        if ticket.post_only and plan.hits:
            refusal = "post_only_cross"
        elif self.needed(ticket, plan) > account.available:
            refusal = "funds"
        order.remaining = before
        if refusal is not None:
            self._reserve(order.account, order.market, now_ns)
            return Declined("post_only_cross" if refusal == "post_only_cross" else "funds")
        self.books[order.market].reduce(order, before)
        self._level(order, -before, now_ns)
        account.resting[order.market].remove(order)
        order.price, order.remaining, order.expires_ns = ticket.price, ticket.quantity, ticket.expires_ns
        order.quantity = order.matched + ticket.quantity
        fills = tuple(self._match(order, maker, quantity, now_ns, doomed=False) for maker, quantity in plan.hits)
        self._conclude(order, ticket, plan.met_itself, plan.met_itself, now_ns, "Amend")
        self._reserve(order.account, order.market, now_ns)
        return Taken(order, fills)

    def expire(self, venue_order: str, expires_ns: int | None, now_ns: int) -> None:
        """Give a resting order another time of expiry, or none; it keeps its place."""
        order = self.orders[venue_order]
        order.expires_ns = expires_ns
        if expires_ns is not None:
            self._later(expires_ns, order)
        self._changed(order, "update", "Amend", now_ns)

    def clear_quotes(self, market: str, now_ns: int) -> None:
        for side, price in list(self._quotes[market]):
            self.quote(market, side, price, 0, now_ns)

    def reprice(self, market: str, now_ns: int) -> None:
        """Promise the cash of every open order of a market anew, after its fee has changed."""
        for account in list(self.accounts.values()):
            if account.resting[market]:
                self._reserve(account.id, market, now_ns)

    # the market makers

    def quote(self, market: str, side: Side, price: int, quantity: int, now_ns: int) -> None:
        """Set the makers' size at one level. What would cross an order of somebody else trades with it first."""
        if market in self.halted:
            return
        key = (side, price)
        book, resting = self.books[market], self._quotes[market].get(key)
        if resting is not None:
            delta = quantity - resting.remaining
            if delta < 0:
                book.reduce(resting, -delta)
                if quantity == 0:
                    del self._quotes[market][key]
                self._level(resting, delta, now_ns)
            elif delta > 0:
                book.reduce(resting, resting.remaining)
                resting.remaining = resting.quantity = quantity
                book.add(resting)
                self._level(resting, delta, now_ns)
            return
        if quantity <= 0 or market in self.payouts:
            return
        outcome: Outcome = "yes" if side == "bid" else "no"
        if self.terms.netting:
            action: Action = "buy" if side == "bid" else "sell"
            ticket = Ticket(PARTICIPANTS, "", market, "yes", action, price, quantity, "gtc")
        else:
            ticket = Ticket(PARTICIPANTS, "", market, outcome, "buy", own_price(outcome, price), quantity, "gtc")
        order = Order(
            venue_order=f"m{self._sequence}", wire_id="", account=PARTICIPANTS, market=market, outcome=ticket.outcome,
            action=ticket.action, price=ticket.price, quantity=quantity, spend=None, time_in_force="gtc",
            created_ns=now_ns, remaining=quantity,
        )  # fmt: skip
        self._sequence += 1
        best = book.best(opposite(side))
        if best is not None and (best <= price if side == "bid" else best >= price):
            for maker, hit in self.plan(ticket).hits:
                self._match(order, maker, hit, now_ns, doomed=False)
        if order.remaining > 0:
            self._rest(order, now_ns)

    def quoted(self, market: str) -> dict[tuple[Side, int], int]:
        return {key: order.remaining for key, order in self._quotes[market].items()}

    # time

    def advance(self, now_ns: int) -> None:
        """Let everything happen that was due: settlements move on, orders expire."""
        while self._due and self._due[0][0] <= now_ns:
            at_ns, _, item = heapq.heappop(self._due)
            if isinstance(item, Order):
                if item.expires_ns is not None and item.expires_ns <= at_ns:  # an amended order may have more time
                    self.cancel(item.venue_order, at_ns, "ExpiryCancel")
            elif isinstance(item, Match):
                self._settle(item, at_ns)
            else:
                item(at_ns)

    def at(self, at_ns: int, act: Callable[[int], None]) -> None:
        """Let `act(at_ns)` happen when its time has come, in one order with everything else that is due."""
        self._later(at_ns, act)

    def next_due_ns(self) -> int | None:
        return self._due[0][0] if self._due else None

    def _later(self, at_ns: int, item: Match | Order | Callable[[int], None]) -> None:
        self._sequence += 1
        heapq.heappush(self._due, (at_ns, self._sequence, item))

    def _settle(self, match: Match, at_ns: int) -> None:
        following: dict[Settlement, Settlement] = {
            "matched": "retrying" if match.doomed else "mined", "retrying": "failed", "mined": "confirmed",
        }  # fmt: skip
        match.settlement = following[match.settlement]
        match.changed_ns = at_ns
        if match.settlement in ("mined", "failed"):
            for fill in match.fills:
                self._release(fill, undo=match.settlement == "failed")
        if match.settlement in ("mined", "retrying"):
            self._later(at_ns + self._draw.randint(*self.terms.confirmed_after_ms) * MS, match)
        self.events.append(TradeSettled(match, match.settlement, at_ns))

    def _release(self, fill: Fill, undo: bool) -> None:
        account, market = self.accounts[fill.order.account], fill.order.market
        if fill.action == "buy":
            account.unsettled_tokens[(market, fill.outcome)] -= fill.quantity
        else:
            account.unsettled_cash -= fill.cash - fill.fee
        if undo:
            account.positions[market].add(fill.outcome, -fill.quantity if fill.action == "buy" else fill.quantity)
            account.cash -= fill.cash - fill.fee
            account.fees_paid -= fill.fee
            self.fees_collected -= fill.fee

    # matching

    def _match(self, taker: Order, maker: Order, quantity: int, now_ns: int, *, doomed: bool) -> Fill:
        price = maker.book_price
        mine = own_price(taker.outcome, price)
        own_cash = notional_ceil(mine, quantity) if taker.action == "buy" else notional_floor(mine, quantity)
        yes_cash = own_cash if taker.outcome == "yes" else quantity - own_cash
        match = Match(
            self.next_id(), maker.market, price, quantity, now_ns, now_ns, taker, maker,
            "matched" if self.terms.settles else "confirmed", doomed, len(self.matches),
        )  # fmt: skip
        self.books[maker.market].reduce(maker, quantity)
        self.books[maker.market].last_trade = price
        if maker.account == PARTICIPANTS and maker.remaining == 0:
            del self._quotes[maker.market][(maker.side, price)]
        if taker.spend is None:
            taker.remaining -= quantity
        taker.spent += own_cash
        fill = self._book_fill(match, taker, price, quantity, yes_cash, "taker", now_ns)
        self._book_fill(match, maker, price, quantity, yes_cash, "maker", now_ns)
        if taker.account != PARTICIPANTS or maker.account != PARTICIPANTS:
            self.matches[match.id] = match
        if self.terms.settles:
            self._later(now_ns + self._draw.randint(*self.terms.mined_after_ms) * MS, match)
        self._level(maker, -quantity, now_ns)
        self.events.append(Traded(match, now_ns))
        if maker.account != PARTICIPANTS:
            if maker.remaining == 0:
                maker.status = "matched"
                self.accounts[maker.account].resting[maker.market].remove(maker)
            self._changed(maker, "update", "Trade", now_ns)
            self._reserve(maker.account, maker.market, now_ns)
        return fill

    def _book_fill(
        self, match: Match, order: Order, yes_price: int, quantity: int, yes_cash: int, role: Role, now_ns: int
    ) -> Fill:
        account = self.accounts[order.account]
        position = account.positions[order.market]
        part = yes_cash if order.outcome == "yes" else quantity - yes_cash
        revenue = -part if order.action == "buy" else part
        if self.terms.netting:
            cash = revenue + net(position, order.action, quantity)
        else:
            cash = revenue
            position.add(order.outcome, quantity if order.action == "buy" else -quantity)
        fee = 0 if account.unlimited else self._fee(order, yes_price, quantity, revenue, role)
        account.cash += cash - fee
        account.fees_paid += fee
        self.fees_collected += fee
        if self.terms.settles:
            if order.action == "buy":
                account.unsettled_tokens[(order.market, order.outcome)] += quantity
            else:
                account.unsettled_cash += cash - fee
        order.matched += quantity
        order.changed_ns = now_ns
        order.trades.append(match.id)
        if role == "taker":
            order.taker_fees += fee
            order.taker_cost += part
        else:
            order.maker_fees += fee
            order.maker_cost += part
        fill = Fill(
            match.id, order, order.outcome, order.action, own_price(order.outcome, yes_price), quantity, cash, fee, role,
            now_ns, position.yes - position.no, match,
        )  # fmt: skip
        match.fills.append(fill)
        if not account.unlimited:
            self.fills.append(fill)
        return fill

    def _fee(self, order: Order, yes_price: int, quantity: int, revenue: int, role: Role) -> int:
        rule = self.terms.fees[order.market]
        if not self.terms.netting:
            if role == "maker":
                return 0
            return polymarket_fee(own_price(order.outcome, yes_price), quantity, rule.rate, rule.exponent)
        fee = kalshi_fee(yes_price, quantity, revenue, order.accumulator, rule.rate, role == "taker", maker=rule.maker)
        order.accumulator = fee.accumulator
        return fee.net

    def _reserve(self, account_id: str, market: str, now_ns: int) -> None:
        """Promise cash to the account's open orders anew; where it no longer suffices the newest order goes."""
        account = self.accounts[account_id]
        if account.unlimited:
            return
        position = account.positions[market]
        closable: dict[Action, int] = {"buy": position.no, "sell": position.yes}
        total, rule = 0, self.terms.fees[market]
        for order in account.resting[market]:
            if self.terms.netting:
                price = order.price if order.action == "buy" else PRICE_ONE - order.price
                closed = min(closable[order.action], order.remaining)
                closable[order.action] -= closed
                fee = kalshi_worst_fee(price, order.remaining, rule.rate)
                total += max(0, notional_ceil(price, order.remaining) + fee - closed)
            elif order.action == "buy":
                total += notional_ceil(order.price, order.remaining)
        account.reserved_by_market[market] = total
        if account.available < 0 and account.resting[market]:
            self.cancel(account.resting[market][-1].venue_order, now_ns, "MarginCancel")

    # what is told

    def _level(self, order: Order, delta: int, now_ns: int) -> None:
        book, side, price = self.books[order.market], order.side, order.book_price
        book.clock += 1
        mine = order if order.account != PARTICIPANTS else None
        self.events.append(
            LevelChanged(book.market, side, price, book.size(side, price), delta, book.clock, now_ns, mine)
        )

    def _changed(
        self, order: Order, kind: Literal["placement", "update", "cancellation"], reason: str, now_ns: int
    ) -> None:
        if order.account == PARTICIPANTS:
            return
        order.changed_ns = now_ns
        state = order.state()
        order.history.append((now_ns, state))
        self.events.append(OrderChanged(order, state, kind, reason, now_ns))


def keep_part(plan: Plan, keep: Fraction) -> tuple[tuple[Order, int], ...]:
    """The first part of a plan, in whole contracts where there is room for one, never nothing and never all."""
    cap = int(plan.quantity * keep)
    if plan.quantity >= 2 * UNIT:
        cap = max(UNIT, cap // UNIT * UNIT)
    hits: list[tuple[Order, int]] = []
    for maker, quantity in plan.hits:
        take = min(quantity, cap)
        if take <= 0:
            break
        hits.append((maker, take))
        cap -= take
    return tuple(hits)
