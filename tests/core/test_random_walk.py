"""Random walks: one desk against venues that lose, delay, repeat, refuse, kill and take back, in virtual time.

Every seed first draws which faults exist and how often. They stop after a while, and then every trade must come to an
end: flat, hedged, or in a person's hands, with our books equal to the venues' own. A seed that fails is told as the
story of its trade, ready to become a test.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from core.desk import Desk
from core.ledger import most_taken
from core.trade import Trade
from core.units import bought_for, cost_of, on_grid, proceeds_of
from messages.base import Command, Event, Message
from messages.leases import CapitalGranted
from messages.orders import (
    Absent,
    Cancel,
    Ended,
    EndKind,
    FetchFills,
    Fill,
    Filled,
    Landed,
    LookUp,
    LookUpFailed,
    Lost,
    Named,
    Order,
    OrderReport,
    Refused,
    Repost,
    Rested,
    Role,
    Settlement,
    Submit,
    Withheld,
)
from messages.reasons import Refusal, Trouble
from messages.trades import AskQuotes, Escalate, LegTerms, Opened, Quote, Quoted, Restarted, Woke
from messages.units import (
    CENT,
    CONTRACT,
    MILLISECOND,
    ONE_DOLLAR,
    SECOND,
    Money,
    Nanos,
    Outcome,
    Price,
    Quantity,
    Side,
    TimeInForce,
)
from tests.core.story import BOUNDS, START, kalshi, opening, polymarket, told

WIRE = ("lost request", "lost answer", "late", "duplicate", "slow", "stream lost", "look-up failed", "stale read")
CRASHES = ("crash", "crash before sending", "cancel lost", "withheld")
MARKET = ("too late", "kill", "partial", "refuse", "reverse", "no quotes", "thin")
FAULTS_FOR = Nanos(12 * SECOND)
OVER_BY = Nanos(120 * SECOND)
STEP = Nanos(100 * MILLISECOND)
GRANT = Money(100_000_000_000)
GENTLE = BOUNDS.model_copy(
    update={"aggressive_max": 40, "resting_max": 4, "loss_budget": Money(10_000_000_000), "spans_max": 6}
)


@dataclass(slots=True)
class Known:
    """An order as its venue knows it."""

    order: Order
    since: int
    fills: dict[str, Fill] = field(default_factory=dict)
    how: EndKind | None = None

    @property
    def matched(self) -> Quantity:
        return Quantity(sum(fill.quantity for fill in self.fills.values()))


class Walk:
    """One seed. `gentle` leaves out whatever could leave a trade without a way out."""

    def __init__(self, seed: int, *, gentle: bool) -> None:
        self.random = Random(seed)  # noqa: S311  a seed, no secret
        kinds = WIRE + CRASHES + (("late", "partial", "refuse", "kill", "thin") if gentle else MARKET)
        most = 0.25 if gentle else 0.4
        self.rates = {kind: self.random.uniform(0, most) for kind in kinds if self.random.random() < 0.5}
        self.gentle = gentle
        self.now = START
        self.faults_until = START + FAULTS_FOR
        self.queue: list[tuple[int, int, Callable[[], object]]] = []
        self.pushed = 0
        self.epoch = 1
        self.desk = Desk("g")
        self.journal: list[Message] = []
        self.known: dict[str, Known] = {}
        self.sent: set[str] = set()
        self.accepted: list[str] = []
        self.escalated: list[str] = []
        self.yes = self.random.randrange(2_000, 8_000, 100)
        self.mutes = False
        self.flying: dict[str, int] = {}
        """Requests on their way, by order."""

    # Chance and time

    def hit(self, kind: str) -> bool:
        return self.now < self.faults_until and self.random.random() < self.rates.get(kind, 0)

    def later(self, delay: int, do: Callable[[], object]) -> None:
        self.pushed += 1
        heapq.heappush(self.queue, (self.now + delay, self.pushed, do))

    def ms(self, low: int, high: int) -> int:
        return self.random.randint(low * 1_000, high * 1_000) * 1_000

    def run(self) -> None:
        self.hear(CapitalGranted(owner_epoch=1, holder="x", venue="kalshi", total=GRANT))
        self.hear(CapitalGranted(owner_epoch=1, holder="x", venue="polymarket", total=GRANT))
        for _ in range(self.random.randint(1, 3)):
            self.later(self.ms(0, 4_000), self.open)
        self.later(STEP, self.sweep)
        self.later(3 * SECOND, self.feed)
        while self.queue and self.now < START + OVER_BY:
            at, _, do = heapq.heappop(self.queue)
            self.now = Nanos(max(at, self.now))
            do()
        self.judge()

    # The engine around the desk

    def hear(self, event: Message) -> None:
        if not self.desk.changes(event):
            return
        self.journal.append(event)
        if isinstance(event, Quoted | Woke):
            self.before = self.desk.trades[event.trade]
        elif isinstance(event, OrderReport):
            self.before = self.desk.trades[self.desk.by_order[event.order]]
        commands = self.desk.apply(len(self.journal), event).commands
        if commands and self.hit("crash before sending"):
            commands = commands[: self.random.randrange(len(commands))]
            self.perform(commands, event)
            self.crash()
            return
        self.perform(commands, event)

    def tell(self, report: Event, delay: int) -> None:
        """An answer or a stream's word on its way; it dies with the process that waits for it."""
        epoch = self.epoch
        delay += self.ms(0, 3_000) if self.hit("slow") else 0

        def arrive() -> None:
            if epoch == self.epoch:
                self.hear(report.model_copy(update={"at": self.now}))

        self.later(delay, arrive)
        if self.hit("duplicate"):
            self.later(delay + self.ms(0, 2_000), arrive)

    def crash(self) -> None:
        self.epoch += 1
        again = Desk("g")
        for seq, event in enumerate(self.journal, 1):
            again.apply(seq, event)
        assert again.digest() == self.desk.digest(), "a replay differs"
        self.desk = again
        self.later(self.ms(100, 1_000), self.restart)
        self.mutes = True

    def restart(self) -> None:
        self.mutes = False
        self.hear(Restarted(epoch=self.epoch, at=self.now))

    def sweep(self) -> None:
        self.yes = min(9_000, max(1_000, self.yes + self.random.choice((-100, 0, 0, 0, 100))))
        if self.mutes:
            self.later(STEP, self.sweep)
            return
        if self.hit("crash") and self.random.random() < 0.1:
            self.crash()
        for trade in list(self.desk.open.values()):
            self.hear(Woke(trade=trade.trade, at=self.now))
        self.later(STEP, self.sweep)

    def feed(self) -> None:
        """The drop copy: what no stream told is read from the venue's own list of executions."""
        for known in list(self.known.values()):
            for fill in known.fills.values():
                self.hear(Filled(order=known.order.order, at=self.now, fill=fill))
        self.later(3 * SECOND, self.feed)

    def open(self) -> None:
        if self.mutes:
            self.later(SECOND, self.open)
            return
        market = self.random.choice((0, 1))
        terms = (kalshi(market), polymarket(market)) if self.random.random() < 0.8 else self.basket(market)
        if any(self.desk.flight_of((term.venue, term.market), self.now) for term in terms):
            return
        prices = tuple(Price(self.ask(term)) for term in terms)
        bounds = GENTLE if self.gentle else BOUNDS
        quantity = Quantity(self.random.randint(2, 40) * CONTRACT)
        if not all(
            Money(price * quantity // ONE_DOLLAR) >= term.min_spend for price, term in zip(prices, terms, strict=True)
        ):
            return
        opened = opening(terms, prices, quantity, self.now, bounds, self.desk.next_trade(self.epoch))
        self.hear(opened)

    def basket(self, market: int) -> tuple[LegTerms, ...]:
        return kalshi(market), polymarket(market), kalshi(market + 10, Outcome.NO)

    def perform(self, commands: list[Command], cause: Message) -> None:
        for command in commands:
            match command:
                case Submit(order=order):
                    self.check(order, cause)
                    self.sent.add(order.order)
                    self.hear(Named(order=order.order, wire=f"w/{order.order}"))
                    self.submit(order, repost=False)
                case Repost(order=order):
                    if self.hit("withheld"):
                        self.tell(Withheld(order=order.order, at=self.now, text=""), MILLISECOND)
                    else:
                        self.submit(order, repost=True)
                case LookUp(order=order):
                    self.look_up(order)
                case Cancel(order=order):
                    self.cancel(order)
                case FetchFills(order=order):
                    self.fetch(order)
                case AskQuotes(trade=trade):
                    self.quote(self.desk.trades[trade])
                case Escalate(trade=trade):
                    assert trade not in self.escalated or isinstance(cause, Restarted), "escalated twice"
                    self.escalated.append(trade)

    def check(self, order: Order, cause: Message) -> None:
        """What every order that leaves must keep."""
        terms = self.terms_of(order)
        assert order.order not in self.sent, "an order left twice"
        assert on_grid(order.price, terms.ticks)
        assert order.quantity > 0
        assert order.quantity % terms.lot == 0
        assert order.not_after == order.made_at + BOUNDS.send_window
        if order.spend is not None:
            assert order.spend % CENT == 0
            assert max(CENT, terms.min_spend) <= order.spend <= cost_of(order.price, order.quantity)
        if order.role is Role.OPEN:
            return
        assert isinstance(cause, Quoted)
        assert self.before.proven, "a recovery began while an order was unproven"
        assert not self.before.escalated
        if self.gentle:
            live = [o.order.order for o in self.before.orders if self.flying.get(o.order.order)]
            assert all(name in self.known for name in live), "a recovery began while a request could still execute"
            for state in self.before.orders:
                there = self.known.get(state.order.order)
                assert state.matched == (there.matched if there else 0), "a recovery began on a wrong belief"
            # in the other walks an order may arrive, and rest, after it was rightly presumed absent
            assert all(k.how is not None for k in self.known.values() if k.order.trade == order.trade)
        if order.side is Side.SELL:
            assert order.price >= BOUNDS.floor
            assert order.quantity <= self.before.net(order.leg), "sold more than was held"
        else:
            spendable = cause.spendable[order.leg]
            assert most_taken(terms.fees, order.price, order.quantity, order.spend) <= spendable
        after = self.desk.trades[order.trade]
        assert after.aggressive <= after.bounds.aggressive_max
        assert after.resting <= after.bounds.resting_max

    # The venues

    def terms_of(self, order: Order) -> LegTerms:
        return self.desk.trades[order.trade].terms[order.leg]

    def ask(self, term: LegTerms) -> int:
        fair = self.yes if term.outcome is Outcome.YES else ONE_DOLLAR - self.yes
        return int(min(9_800, max(200, fair + (100 if term.venue == "kalshi" else 200))))

    def bid(self, term: LegTerms) -> int:
        return max(100, self.ask(term) - 300)

    def submit(self, order: Order, *, repost: bool) -> None:
        terms = self.terms_of(order)
        lost = Lost(order=order.order, at=self.now, trouble=Trouble.TIMEOUT, text="", repost=repost)
        if self.hit("lost request"):
            self.tell(lost, self.ms(200, 400))
            return
        if self.hit("late"):
            self.tell(lost, self.ms(200, 400))
            self.flying[order.order] = self.flying.get(order.order, 0) + 1
            self.later(self.ms(400, terms.late_arrival // MILLISECOND), lambda: self.arrive_late(order, repost=repost))
            return
        if self.hit("too late"):
            self.tell(lost, self.ms(200, 400))
            self.later(terms.late_arrival + self.ms(0, 9_000), lambda: self.accept(order, repost=repost))
            return

        def arrive() -> None:
            answer = self.accept(order, repost=repost)
            self.tell(lost if self.hit("lost answer") else answer, self.ms(1, 60))

        self.later(self.ms(1, 40), arrive)

    def arrive_late(self, order: Order, *, repost: bool) -> None:
        self.flying[order.order] -= 1
        self.accept(order, repost=repost)

    def accept(self, order: Order, *, repost: bool) -> OrderReport:
        terms, name, at = self.terms_of(order), order.order, self.now
        if name in self.known:
            return Landed(order=name, at=at)
        if self.hit("refuse"):
            return Refused(order=name, at=at, reason=self.random.choice(list(Refusal)), text="", repost=repost)
        if order.side is Side.SELL and terms.sells_after_settlement and self.settled(order) < order.quantity:
            return Refused(order=name, at=at, reason=Refusal.FUNDS, text="", repost=repost)
        known = Known(order, at)
        buys = order.side is Side.BUY
        price = Price(self.ask(terms) if buys else self.bid(terms))
        depth = Quantity(self.random.randint(1, 5) * CONTRACT) if self.hit("thin") else Quantity(10_000 * CONTRACT)
        crosses = price <= order.price if buys else price >= order.price
        if order.time_in_force is TimeInForce.GTD:
            self.known[name] = known
            self.accepted.append(name)
            for _ in range(self.random.randint(0, 2)):
                self.later(self.ms(10, 1_500), lambda: self.hit_resting(known))
            return Rested(order=name, at=at, venue_order=f"v/{name}", matched=Quantity(0))
        wanted = order.quantity if order.spend is None else Quantity(bought_for(order.spend, price) // 10_000 * 10_000)
        got = 0 if not crosses or self.hit("kill") else min(wanted, depth)
        if got and self.hit("partial"):
            got = self.random.randrange(0, got, 10_000)
        if got or terms.kill_consumes:
            self.known[name] = known
            self.accepted.append(name)
        known.how = EndKind.FILLED if got >= wanted else EndKind.KILLED
        first = self.random.randrange(10_000, got, 10_000) if got > 20_000 and self.random.random() < 0.5 else got
        for part in (first, got - first):
            if part:
                self.fill(known, Quantity(part), price)
        return Ended(order=name, at=at, venue_order=f"v/{name}", matched=Quantity(got), how=known.how)

    def hit_resting(self, known: Known) -> None:
        order = known.order
        left = order.quantity - known.matched
        if known.how is None and left > 0:
            part = left if self.random.random() < 0.7 else self.random.randrange(10_000, left + 1, 10_000)
            self.fill(known, Quantity(part), order.price)
            if known.matched == order.quantity:
                known.how = EndKind.FILLED

    def fill(self, known: Known, quantity: Quantity, price: Price) -> None:
        order, terms = known.order, self.terms_of(known.order)
        name = f"{order.order}/{len(known.fills) + 1}"
        settlement = Settlement.MATCHED if terms.reversible else Settlement.CONFIRMED
        fee = Money(self.random.randint(0, 5) * 100)
        known.fills[name] = Fill(fill=name, quantity=quantity, price=price, fee=fee, settlement=settlement)
        self.announce(known, name)
        if terms.reversible:
            end = Settlement.REVERSED if self.hit("reverse") else Settlement.CONFIRMED

            def settle() -> None:
                known.fills[name] = known.fills[name].model_copy(update={"settlement": end})
                self.announce(known, name)

            self.later(self.ms(500, 6_000), settle)

    def announce(self, known: Known, name: str) -> None:
        if not self.hit("stream lost"):
            self.tell(Filled(order=known.order.order, at=self.now, fill=known.fills[name]), self.ms(1, 80))

    def settled(self, order: Order) -> int:
        """Confirmed tokens of the whole account."""
        total = 0
        for known in self.known.values():
            other = known.order
            if (other.venue, other.market, other.outcome) == (order.venue, order.market, order.outcome):
                for fill in known.fills.values():
                    if other.side is Side.SELL and fill.settlement is not Settlement.REVERSED:
                        total -= fill.quantity
                    elif other.side is Side.BUY and fill.settlement is Settlement.CONFIRMED:
                        total += fill.quantity
        return total

    def state_of(self, order: Order) -> OrderReport:
        known, at, name = self.known[order.order], self.now, f"v/{order.order}"
        if known.how is None:
            return Rested(order=order.order, at=at, venue_order=name, matched=known.matched)
        return Ended(order=order.order, at=at, venue_order=name, matched=known.matched, how=known.how)

    def look_up(self, order: Order) -> None:
        def arrive() -> None:
            lag = self.ms(0, 2_000) if self.hit("stale read") else 0
            known = self.known.get(order.order)
            if self.hit("look-up failed"):
                self.tell(LookUpFailed(order=order.order, at=self.now, text=""), self.ms(1, 60))
            elif known is None or known.since > self.now - lag:
                self.tell(Absent(order=order.order, at=self.now, as_of=Nanos(self.now - lag)), self.ms(1, 60))
            else:
                self.tell(self.state_of(order), self.ms(1, 60))

        self.later(self.ms(1, 60), arrive)

    def cancel(self, order: Order) -> None:
        def arrive() -> None:
            if self.hit("cancel lost"):
                return
            known = self.known[order.order]
            known.how = known.how or EndKind.CANCELLED
            self.tell(self.state_of(order), self.ms(1, 60))

        self.later(self.ms(1, 60), arrive)

    def fetch(self, order: Order) -> None:
        if order.order in self.known and not self.hit("look-up failed"):
            for name in list(self.known[order.order].fills):
                self.announce(self.known[order.order], name)

    def quote(self, trade: Trade) -> None:
        quotes = []
        for term in trade.terms:
            usable = not self.hit("no quotes")
            depth = Quantity(self.random.randint(1, 60) * CONTRACT)
            bids, asks = ((Price(self.bid(term)), depth),), ((Price(self.ask(term)), depth),)
            quotes.append(Quote(usable=usable, bids=bids, asks=asks))
        free = tuple(self.desk.free(term.venue) for term in trade.terms)
        if not self.hit("look-up failed"):
            self.tell(Quoted(trade=trade.trade, at=self.now, quotes=tuple(quotes), spendable=free), self.ms(1, 5))

    # The end

    def judge(self) -> None:
        assert len(self.accepted) == len(set(self.accepted)), "an order was accepted twice"
        for trade in self.desk.trades.values():
            assert trade.done, f"{trade.trade} came to no end"
            assert trade.outcome in {"flat", "hedged", "escalated"}
            assert trade.final or trade.escalated, f"{trade.trade} never became final"
            assert all(state.settled and state.proven for state in trade.orders), f"{trade.trade} has unknowns left"
            assert not (self.gentle and trade.escalated), f"{trade.trade} was given up: {trade.escalation}"
        assert not any(self.desk.reserved.values()), "a reservation stayed"
        self.compare()
        for key, holder in self.desk.flights.items():
            assert self.desk.trades[holder].escalated, f"{key} stayed in flight"

    def compare(self) -> None:
        """Our books are the venues' own."""
        cash: dict[str, int] = {"kalshi": 0, "polymarket": 0}
        held: dict[tuple[str, str, Outcome], int] = {}
        for known in self.known.values():
            order = known.order
            sign = 1 if order.side is Side.BUY else -1
            for fill in known.fills.values():
                if fill.settlement is not Settlement.REVERSED:
                    amount = -cost_of(fill.price, fill.quantity) if sign > 0 else proceeds_of(fill.price, fill.quantity)
                    cash[order.venue] += amount - fill.fee
                    key = (order.venue, order.market, order.outcome)
                    held[key] = held.get(key, 0) + sign * fill.quantity
        for venue, market, _ in list(held):
            if venue == "kalshi":
                yes, no = (venue, market, Outcome.YES), (venue, market, Outcome.NO)
                sets = min(held.get(yes, 0), held.get(no, 0))
                cash[venue] += sets
                held[yes], held[no] = held.get(yes, 0) - sets, held.get(no, 0) - sets
        accounts = self.desk.accounts
        assert {k: v for k, v in accounts.positions.items() if v} == {k: v for k, v in held.items() if v}
        assert {venue: accounts.cash.get(venue, 0) for venue in cash} == cash
        assert not any(accounts.totals.values())

    def story(self) -> str:
        """The trade that looks worst, as a story."""
        bad = [t for t in self.desk.trades.values() if t.escalated or not t.final] or list(self.desk.trades.values())
        name = bad[0].trade
        mine = [e for e in self.journal if isinstance(e, Opened | Quoted | Woke) and e.trade == name]
        own = {id(e) for e in mine}
        for event in self.journal:
            if isinstance(event, Restarted) or (
                isinstance(event, OrderReport | Named) and self.desk.by_order.get(event.order) == name
            ):
                own.add(id(event))
        events = [e for e in self.journal if id(e) in own and isinstance(e, Event)]
        first = next(i for i, e in enumerate(events) if isinstance(e, Opened))
        return str(told(events[first:]))


def walk(seed: int, *, gentle: bool) -> Walk:
    it = Walk(seed, gentle=gentle)
    try:
        it.run()
    except AssertionError as problem:
        raise AssertionError(f"seed {seed}, gentle={gentle}: {problem}\n{it.story()}") from None
    return it


@pytest.mark.parametrize("block", range(8))
def test_every_trade_ends_and_the_books_are_equal(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        walk(seed, gentle=False)


@pytest.mark.parametrize("block", range(8))
def test_nothing_is_given_up_while_there_is_a_way(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        walk(seed, gentle=True)
