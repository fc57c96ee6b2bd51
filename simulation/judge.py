"""What must hold in every scenario, after every step; judged by the venue's book and never by what the engine believes.

Each check names the invariant of the design that it stands for. A check that depends on a belief (a trade says that an
order is proved) compares it with what the venue knows at that instant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.desk import Applied, Desk, id_root
from core.keys import BUCKET_S, RESERVE_PERCENT
from core.trade import OrderState, Trade
from core.units import ceil_div, cost_of
from journal.errors import JournalError
from journal.port import Record
from messages.base import Command, Message, parse
from messages.books import Book
from messages.control import Halt, Resume, VenueSeen
from messages.leases import CapitalGranted, ClaimsGranted, ClaimsReturned, KeysGranted, MarketsSeen
from messages.markets import Market, VenueMode
from messages.orders import LookUp, Named, Order, Role, Settlement, Submit
from messages.trades import Escalate, Hashed
from messages.units import SECOND, Nanos, Outcome, Side
from venues.port import Prepared

if TYPE_CHECKING:
    from simulation.exchange import Exchange, Known
    from simulation.world import Resident, Trader, World

INBOX_MOST = 2_000
ASKED_MOST = 150
"""Look-ups of one order: it is asked about for some tens of seconds at the most, ever less often."""
TOKEN = int(SECOND)
NEWS_WITHIN = Nanos(5 * SECOND)
"""The venues' own lists of executions are read on more often than this."""


@dataclass(slots=True)
class Bucket:
    """What a venue would let through: so many requests at once, and so many more every second."""

    capacity: int
    rate: int
    level: int = 0
    at: Nanos = Nanos(0)

    def take(self, now: Nanos) -> bool:
        if not self.at:
            self.level = self.capacity * TOKEN
        self.level = min(self.capacity * TOKEN, self.level + (now - self.at) * self.rate) - TOKEN
        self.at = now
        return self.level >= 0


@dataclass(slots=True)
class Heard:
    """What one incarnation of an executor was told, in the world's own record."""

    markets: dict[tuple[str, str], Market] = field(default_factory=dict)
    books: dict[tuple[str, str], tuple[Book, Nanos]] = field(default_factory=dict)
    modes: dict[str, tuple[VenueMode, Nanos]] = field(default_factory=dict)
    opening_until: dict[str, int] = field(default_factory=dict)
    """By venue: when the last lease that it was granted pays for nothing more that opens."""


class Judge:
    """The first violation is kept; the scenario ends with it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken = ""
        self.broken_at = Nanos(0)
        self.outcomes: Counter[str] = Counter()
        """How trades ended, and what happened on the way."""
        self._flying: Counter[str] = Counter()
        """Requests on their way to a venue, by order."""
        self._beyond: set[str] = set()
        """Orders that arrived, or will, after every fence: being presumed absent is right for them."""
        self._last_surprise = Nanos(0)
        """When such an order came last."""
        self._holding: dict[str, frozenset[tuple[str, str]]] = {}
        """The markets of each trade that is not over."""
        self._ended_at: dict[tuple[str, str], Nanos] = {}
        """When the last trade in a market was over."""
        self._posted: dict[str, tuple[str, str, Order]] = {}
        """By order, what was first sent of it, and through which key: the bytes name it."""
        self._named: dict[str, set[str]] = {name: set() for name in world.names}
        """Orders that each executor's journal names durably."""
        self._granted: dict[str, dict[str, int]] = {}
        """Capital by venue and holder, as the position book's journal says."""
        self._holders: dict[str, str] = {}
        self._heard: dict[str, Heard] = {name: Heard() for name in world.names}
        self._alerts: Counter[str] = Counter()
        self._asked: Counter[str] = Counter()
        self._halted: set[str] = set()
        """Executors that were told to open nothing, and have not lost that with their life."""
        self._halted_for_good: set[str] = set()
        """Those whose journal says so."""
        self._expected: dict[str, tuple[int, str]] = {}
        """Of each executor, the digest of its state after its last durable record."""
        self._touched: dict[str, Trader] = {}
        self._ends: dict[str, int] = {}
        """Of each journal, the last record that was durable."""
        rate = world.scene.orders_per_second
        capacity = BUCKET_S * rate
        self._buckets = {venue: Bucket(capacity, rate) for venue in world.exchanges}
        kept = ceil_div(capacity * RESERVE_PERCENT, 100)
        self._opening = {venue: Bucket(capacity - kept, rate) for venue in world.exchanges}

    def broke(self, text: str) -> None:
        if not self.broken:
            self.broken, self.broken_at = text, self.world.time.now

    def must(self, holds: bool, text: str, *about: object) -> None:
        if not holds:
            self.broke(f"{text}: {' '.join(str(one) for one in about)}" if about else text)

    # What it sees

    def delivers(self, hearer: Resident, message: Message) -> None:
        heard = self._heard.get(hearer.name)
        if heard is None or self.world.residents[hearer.name] is not hearer:
            return
        match message:
            case MarketsSeen():
                heard.markets.update(((market.venue, market.market), market) for market in message.markets)
            case KeysGranted():
                until = self.world.time.now + message.opening_for
                heard.opening_until[message.venue] = max(until, heard.opening_until.get(message.venue, 0))
            case Halt():
                self._halted.add(hearer.name)
            case Resume():
                self._halted.discard(hearer.name)
            case VenueSeen():
                heard.modes[message.venue] = (message.mode, self.world.time.now)

    def shows(self, hearer: Resident, books: Iterable[Book]) -> None:
        heard = self._heard[hearer.name]
        heard.books.update(((book.venue, book.market), (book, self.world.time.now)) for book in books)

    def started(self, resident: Resident) -> None:
        if resident.name not in self._heard:
            return
        trader: Trader = resident.shell  # type: ignore[assignment]
        self._touched[resident.name] = trader

    def recalled(self, trader: Trader) -> None:
        """A successor has folded its predecessor's journal, and nothing else yet."""
        ended = self._ends.get(trader.place.name, 0)
        self.must(trader.seq >= ended, "I3: what was durable is gone", trader.place.name, ended)
        expected = self._expected.get(trader.place.name)
        if expected is not None and expected[0] == trader.seq:
            self.must(expected[1] == trader.desk.digest(), "I8: a replay gives another state than the life before")
        for trade in trader.desk.trades.values():
            if trade.done and trade.trade in self._holding:  # by the very last record, which nobody saw folded
                self._over(trader, None, trade)

    def died(self, resident: Resident) -> None:
        if resident.name in self._heard:
            self._heard[resident.name] = Heard()
            self._halted.discard(resident.name)
            self._touched.pop(resident.name, None)
            self._lived(resident.shell)  # type: ignore[arg-type]
        self.outcomes["a process died"] += 1

    def _lived(self, trader: Trader) -> None:
        """Remember what its state came to, where no commit was on its way."""
        if hasattr(trader, "desk") and not trader.folding and trader.problem is None:
            self._expected[trader.place.name] = (trader.seq, trader.desk.digest())

    def failed(self, resident: Resident, problem: BaseException) -> None:
        if not isinstance(problem, JournalError):
            self.broke(f"{resident.name} failed: {type(problem).__name__}: {problem}")

    def appended(self, writer: str, records: Sequence[Record], last: int) -> None:
        """Durable from here on."""
        goes_on = last == self._ends.get(writer, 0) + len(records)
        self.must(goes_on, "I17: a journal does not go on where it ended: it has two writers", writer, last)
        self._ends[writer] = last
        if writer in self._named:
            for record in records:
                if record.kind == "Named":
                    named = parse(record.kind, record.body)
                    assert isinstance(named, Named)
                    self._named[writer].add(named.order)
                elif record.kind == "ClaimsGranted":
                    self._believed(writer, parse(record.kind, record.body))
                elif record.kind == "ClaimsReturned":
                    self._returned(writer, parse(record.kind, record.body))
                elif record.kind == "Halt":
                    self._halted_for_good.add(writer)
                elif record.kind == "Resume":
                    self._halted_for_good.discard(writer)
                self.outcomes[record.kind] += 1
        elif writer == "position_book":
            for record in records:
                if record.kind == "CapitalGranted":
                    self._capital(parse(record.kind, record.body))
        elif writer == "in_flight":
            for record in records:
                if record.kind == "ClaimsGranted":
                    self._claimed(parse(record.kind, record.body))

    def _capital(self, grant: Message) -> None:
        assert isinstance(grant, CapitalGranted)
        holders = self._granted.setdefault(grant.venue, {})
        self.must(grant.total >= holders.get(grant.holder, 0), "I6: a grant of capital shrank", grant)
        holders[grant.holder] = grant.total
        self.must(sum(holders.values()) <= self.world.capital, "I6: more capital is leased than there is", holders)

    def _claimed(self, grant: Message) -> None:
        assert isinstance(grant, ClaimsGranted)
        for group in grant.groups:
            self._holders[group] = grant.holder

    def _believed(self, writer: str, message: Message) -> None:
        assert isinstance(message, ClaimsGranted)
        trader: Trader = self.world.residents[writer].shell  # type: ignore[assignment]
        for group in message.groups:
            mine = self._holders.get(group) == writer or group not in trader.desk.claims
            self.must(mine, "I17: it takes a group for its own that it has not, or no more", writer, group)

    def _returned(self, writer: str, message: Message) -> None:
        assert isinstance(message, ClaimsReturned)
        trader: Trader = self.world.residents[writer].shell  # type: ignore[assignment]
        groups = {group for group, _ in message.claims}
        for trade in trader.desk.trades.values():
            if trade.opened.opportunity.group in groups:
                for state in trade.orders:
                    over = self._is_over(state.order)
                    self.must(over, "I17: it gives a group back while an order in it is not over", state.order.order)
        for group in groups:
            if self._holders.get(group) == writer:
                del self._holders[group]

    def _is_over(self, order: Order) -> bool:
        """By the venue's book: it is not on its way, does not rest, and nothing of it can be taken back."""
        known = self.world.exchanges[order.venue].by_order.get(order.order)
        if known is None or order.order in self._beyond:
            return order.order in self._beyond or not self._flying[order.order]
        return known.how is not None and all(f.settlement is not Settlement.MATCHED for f in known.fills.values())

    # The executor

    def moved(self, trader: Trader, applied: Applied) -> None:
        """Some trades changed by one durable record."""
        self._touched[trader.place.name] = trader
        for before, after in applied.moved:
            self._changed(before, after)
            self._holds(trader, trader.desk.trades[after.trade])
            self._over(trader, before, after)
        self.must(not any(trader.desk.accounts.totals.values()), "I15: the ledger does not sum to zero")
        self.outcomes["booked"] += len(applied.booked)

    def _changed(self, before: Trade | None, after: Trade) -> None:
        old = {state.order.order: state for state in before.orders} if before is not None else {}
        bounds = after.bounds
        self.must(after.aggressive <= bounds.aggressive_max, "I18: too many immediate orders", after.trade)
        self.must(after.resting <= bounds.resting_max, "I18: too many resting orders", after.trade)
        self.must(len(after.spans) <= bounds.spans_max + 1, "I18: it fell out of balance too often", after.trade)
        if after.escalated and before is not None and not before.escalated:
            self.outcomes["escalated: " + _kind_of(after.escalation)] += 1
            self.must(not self.world.chance.gentle, "I5: given up although there was a way", after.escalation)
        for state in after.orders:
            was = old.get(state.order.order)
            if was is not state:
                self._order(was, state)

    def _holds(self, trader: Trader, trade: Trade) -> None:
        """Capital for everything that may still be bought."""
        needs: Counter[str] = Counter()
        for state in trade.orders:
            order = state.order
            if order.side is Side.BUY and not (state.proven or state.fills or state.reported):
                needs[order.venue] += order.spend if order.spend is not None else cost_of(order.price, order.quantity)
        for venue, need in needs.items():
            held = trader.desk.committed.get(trade.trade, {}).get(venue, 0)
            self.must(held >= need, "I9: a reservation was let go while its order is in doubt", trade.trade, held, need)

    def _over(self, trader: Trader, before: Trade | None, after: Trade) -> None:
        """Which trades hold their markets, and since when the others have let them go."""
        keys = [(term.venue, term.market) for term in after.terms]
        if after.done and not (before is not None and before.done):
            self._ended_at.update(dict.fromkeys(keys, Nanos(after.balanced_at or after.escalated_at)))
            self._holding.pop(after.trade, None)
        elif not after.done:
            self._holding[after.trade] = frozenset(keys)
        if after.final and not (before is not None and before.final):
            for state in after.orders:
                order = state.order
                known = self.world.exchanges[order.venue].by_order.get(order.order)
                real = known.standing if known is not None else 0
                same = real == state.matched or order.order in self._beyond
                self.must(same, "I12: final with another quantity than the venue's", order.order, state.matched, real)

    def _order(self, was: OrderState | None, state: OrderState) -> None:
        order = state.order
        known = self.world.exchanges[order.venue].by_order.get(order.order)
        self.must(state.reposts <= 2, "I18: too many re-posts", order.order)
        if was is None or len(state.fills) != len(was.fills):
            for fill in state.fills:
                real = known.fills.get(fill.fill) if known is not None else None
                self.must(real is not None, "I4: an execution that the venue does not know", fill.fill)
                if real is not None:
                    same = (fill.quantity, fill.price, fill.fee) == (real.quantity, real.price, real.fee)
                    self.must(same, "I4: an execution differs from the venue's", fill, real)
            self.must(len({fill.fill for fill in state.fills}) == len(state.fills), "I11: an execution counts twice")
        if state.proven and (was is None or not was.proven):
            self._proved(state, known)

    def _proved(self, state: OrderState, known: Known | None) -> None:
        """It says that nothing more can come of this order."""
        order = state.order
        self.outcomes[f"proved {'absent' if state.absent else 'refused' if state.refused else state.how}"] += 1
        if order.order in self._beyond:
            return
        if known is None:  # where the venue has the order, another copy of it on its way comes to nothing
            flying = self._flying[order.order]
            self.must(not flying, "I9: proved while a request of it is on its way", order.order)
            self.must(not state.matched, "I9: proved with executions that the venue does not know", order.order)
            return
        self.must(known.how is not None, "I9: proved while it rests at the venue", order.order)
        self.must(
            state.reported >= known.matched or state.itemised >= known.matched,
            "I9: proved with less than the venue matched",
            order.order,
            state.reported,
            known.matched,
        )

    def performs(self, trader: Trader, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Submit):
                self._submits(trader, command.order)
            elif isinstance(command, Escalate):
                self._alerts[command.trade] += 1
            elif isinstance(command, LookUp):
                self._asked[command.order.order] += 1
                self.must(
                    self._asked[command.order.order] <= ASKED_MOST, "I18: it asks without end", command.order.order
                )

    def _submits(self, trader: Trader, order: Order) -> None:
        trade = trader.desk.trades[order.trade]
        if order.role is Role.OPEN:
            self.must(order in trade.opened.orders, "I3: it opens with an order that no intent names", order.order)
            self._opens(trader, trade, order)
            return
        self.outcomes[f"recovery: {order.role.value}"] += 1
        for state in trade.orders:
            other = state.order.order
            if other == order.order or (state.posted_at == order.made_at and state.order.made_at == order.made_at):
                continue
            self.must(state.proven, "I10: a recovery while an order is unproven", order.order, other)
            if other not in self._beyond:
                known = self.world.exchanges[state.order.venue].by_order.get(other)
                flying = known is None and self._flying[other]
                self.must(not flying, "I10: a recovery while a request is on its way", order.order, other)
                self.must(known is None or known.how is not None, "I10: a recovery while an order rests", order.order)

    def _opens(self, trader: Trader, trade: Trade, order: Order) -> None:
        name, now = trader.place.name, self.world.time.now
        heard, limits = self._heard[name], trader.limits
        key = (order.venue, order.market)
        leg = trade.opened.opportunity.legs[order.leg]
        self.must(not self._is_halted(name), "I13: it opens while halted", order.order)
        group = trade.opened.opportunity.group
        self.must(self._holders.get(group) == name, "I17: it opens in a group that is not its own", name, group)
        others = [other.place.name for other in self._traders() if other is not trader and _may_open(other, group)]
        self.must(not others, "I17: two executors may open in one group", group, name, *others)
        market, shown, mode = heard.markets.get(key), heard.books.get(key), heard.modes.get(order.venue)
        self.must(market is not None and market.open, "I14: it opens in a market that is not open", order.order)
        if market is not None:
            self.must(market.version == leg.market_version, "I14: it opens by old metadata", order.order)
            self.must(market.fees.version == leg.fee_version, "I14: it opens by old fees", order.order)
            self.must(order.price % market.ticks[0].step == 0, "I14: it opens off the grid", order.order)
        self.must(shown is not None and shown[0].fresh, "I14: it opens on a book that nobody vouches for", order.order)
        if shown is not None:
            book, _ = shown
            self.must(now - book.seen_at <= limits.book_age_most, "I14: it opens on a stale book", order.order)
            self.must(leg.book_sequence == book.sequence, "I14: it opens on a book that moved", order.order)
        self.must(
            mode is not None and mode[0] is VenueMode.OPEN, "I14: it opens outside of the venue's mode", order.order
        )
        self._alone(trader, trade, key)
        leased = now < heard.opening_until.get(order.venue, 0)
        self.must(leased, "I7: it opens without a lease that pays for it", order.order)
        desk, venue = trader.desk, order.venue
        spent = -desk.accounts.cash.get(venue, 0)
        truth = self._granted.get(venue, {}).get(name, 0)
        self.must(desk.granted.get(venue, 0) <= truth, "I6: it holds more capital than it was granted", name, venue)
        self.must(spent + desk.reserved.get(venue, 0) <= truth, "I6: it opens beyond its capital", order.order)

    def _alone(self, trader: Trader, trade: Trade, key: tuple[str, str]) -> None:
        """No other trade holds the market, and it has cooled since the last one."""
        others = [name for name, keys in self._holding.items() if key in keys and name != trade.trade]
        self.must(not others, "I17: two trades in one market at a time", trade.trade, *others)
        if not self.world.stepped:  # a clock that was set makes a pause shorter or longer than it is
            cooled = self.world.time.now - self._ended_at.get(key, 0)
            self.must(cooled >= trader.bounds.cool_down, "I14: it opens in a market that still cools", key[1], cooled)

    def _is_halted(self, name: str) -> bool:
        return name in self._halted or name in self._halted_for_good

    def look(self) -> None:
        """After each step: what the step changed."""
        for name, trader in self._touched.items():
            problem = trader.problem
            if problem is not None:
                self.world.ended(self.world.residents[name], problem)
                break
            self.must(trader.waiting <= INBOX_MOST, "I18: an inbox without bound", name)
        self._touched.clear()

    # The wire

    def sent(self, resident: Resident, exchange: Exchange, prepared: Prepared, key: str, *, repost: bool) -> None:
        """A request for an order leaves."""
        order, now = prepared.order, self.world.time.now
        self.outcomes["re-posted" if repost else "sent"] += 1
        self.must(order.order in self._named[resident.name], "I3: it left before its intent was durable", order.order)
        if resident.process.dead:
            self.broke(f"I17: a dead incarnation sends {order.order}")
        if self.world.residents[resident.name] is not resident:
            self.broke(f"I17: an incarnation that has a successor sends {order.order}")
        before = self._posted.get(order.order)
        if repost:
            if order.role is Role.OPEN:
                halted = self._is_halted(resident.name)
                self.must(not halted, "I13: an opening order goes again while halted", order.order)
        else:
            self.must(before is None, "I1: an order is sent twice", order.order)
            in_time = resident.clock.now() <= order.not_after
            self.must(in_time, "I9: it leaves so late that no fence holds", order.order)
        if before is not None:
            self.must(before == (prepared.wire, key, order), "I1: one identity with two bodies", order.order, key)
        self._posted[order.order] = (prepared.wire, key, order)
        venue = exchange.rules.name
        self.must(self._buckets[venue].take(now), "I7: more orders than the budget", venue)
        if order.role is Role.OPEN and not repost:
            self.must(self._opening[venue].take(now), "I7: opening spends what is kept for closing", venue)

    def flying(self, order: Order, by: int) -> None:
        self._flying[order.order] += by
        if by < 0 and order.order in self._beyond:
            self._last_surprise = self.world.time.now

    def beyond(self, order: Order) -> None:
        self._beyond.add(order.order)

    # The end

    def done(self) -> bool:
        return not self.unsettled()

    def unsettled(self) -> str:
        """What is not over yet, for a person; "" where everything is."""
        for resident in self.world.residents.values():
            if resident.process.dead or not resident.up:
                return f"{resident.name} is down"
        for trader in self._traders():
            if trader.waiting:
                return "something waits to be folded"
            for trade in trader.desk.open.values():
                # a person has the exposure of an escalated one; what its orders came to is known all the same
                all_known = all(state.proven and state.settled for state in trade.orders)
                if not (trade.final or (trade.escalated and all_known)):
                    return f"{trade.trade} is {trade.outcome} and not final"
            if trader.unreported:
                return f"{trader.place.name} has not reported everything"
        if any(self._flying.values()):
            return "a request is still on its way"
        for exchange in self.world.exchanges.values():
            for known in exchange.orders.values():
                # one that came after every fence, rests and fills nothing is for whoever compares the books of orders
                if known.how is None and known.order.order not in self._beyond:
                    return f"{known.order.order} rests at {exchange.rules.name}"
                if any(fill.settlement is Settlement.MATCHED for fill in known.fills.values()):
                    return f"{exchange.rules.name} may still take back what {known.order.order} matched"
        if self.world.time.now - self._last_surprise < NEWS_WITHIN:
            return "an order came after every fence, and nobody may have noticed yet"
        return ""

    def _traders(self) -> Iterator[Trader]:
        for name in self.world.names:
            yield self.world.residents[name].shell  # type: ignore[misc]

    def verdict(self) -> None:
        """Everything has settled: the venues' books against ours."""
        for exchange in self.world.exchanges.values():
            for text in exchange.accepted_twice:
                self.broke(f"I1: {text}")
        trades = [trade for trader in self._traders() for trade in trader.desk.trades.values()]
        for trade in trades:
            self._ended(trade)
        for trader in self._traders():
            escalated = any(trade.escalated for trade in trader.desk.trades.values())
            left = {venue: amount for venue, amount in trader.desk.reserved.items() if amount}
            self.must(escalated or not left, "I6: a reservation stayed", left)
            if self.world.scene.replayed:
                self._replayed(trader)
        self._compare(trades)

    def _ended(self, trade: Trade) -> None:
        self.outcomes[trade.outcome] += 1
        if trade.recovery is not None:
            self.outcomes["recovered"] += 1
        if trade.escalated:
            self.must(bool(self._alerts[trade.trade]), "I5: it was escalated and nobody was told", trade.trade)
            return
        nets = [0] * len(trade.terms)
        basket = trade.opened.opportunity.pair == "basket"
        for exchange in self.world.exchanges.values():
            for known in exchange.orders.values():
                if known.order.trade == trade.trade:
                    # a pair is hedged where it pays the same whichever way its event ends, whatever a leg was meant to be
                    pays = known.order.leg if basket else int(known.order.outcome is Outcome.NO)
                    nets[pays] += known.standing if known.order.side is Side.BUY else -known.standing
        lot = max(term.lot for term in trade.terms)
        self.must(max(nets) - min(nets) < lot, "I5: by the venues' books a leg is naked", trade.trade, nets)

    def _replayed(self, trader: Trader) -> None:
        journal = self.world.disks.journals[trader.place.name]
        again = Desk(id_root(journal.genesis, trader.place.name))
        for entry in journal.read():
            message = parse(entry.kind, entry.body)
            if isinstance(message, Hashed):
                self.must(message.digest == again.digest(), "I8: a replay differs from a hash written on the way")
            again.apply(entry.seq, message)
        self.must(again.digest() == trader.desk.digest(), "I8: a replay of the whole journal gives another state")

    def _compare(self, trades: Sequence[Trade]) -> None:
        """Our books, those of the executors and that of the position book, are the venues' own."""
        book = self.world.residents["position_book"].shell
        for venue, exchange in self.world.exchanges.items():
            real = {key: held for key, held in exchange.positions.items() if held}
            ours: Counter[tuple[str, Outcome]] = Counter()
            kept: Counter[tuple[str, Outcome]] = Counter()
            cash = 0
            for trader in self._traders():
                accounts = trader.desk.accounts
                cash += accounts.cash.get(venue, 0)
                for (where, market, outcome), held in accounts.positions.items():
                    if where == venue:
                        ours[(market, outcome)] += held
            for (where, market, outcome), held in book.accounts.positions.items():  # type: ignore[attr-defined]
                if where == venue:
                    kept[(market, outcome)] += held
            if exchange.rules.nets:
                cash += _netted(ours)
            self.must({k: v for k, v in ours.items() if v} == real, "I4: positions differ from the venue's", ours, real)
            spent = exchange.cash - exchange.opening_cash
            self.must(cash == spent, f"I4: cash differs from that of {venue}", cash, spent)
            booked = book.accounts.cash.get(venue, 0)  # type: ignore[attr-defined]
            self.must(booked == spent, "I4: the position book's cash differs", venue, booked, spent)
            self.must({k: v for k, v in kept.items() if v} == real, "I4: the position book's positions differ", kept)


def _kind_of(escalation: str) -> str:
    """The reason without its figures."""
    if "could not be proved" in escalation:
        return "an order could not be proved in time"
    return "every attempt was used up" if "immediate and" in escalation else escalation


def _may_open(trader: Trader, group: str) -> bool:
    """By its own belief, where it is alive and has one."""
    return not trader.resident.process.dead and hasattr(trader, "desk") and group in trader.desk.claims


def _netted(held: Counter[tuple[str, Outcome]]) -> int:
    """Two executors may each hold one side of a market that the venue nets in one account; the cash that it gave."""
    cash = 0
    for market in {market for market, _ in held}:
        yes, no = (market, Outcome.YES), (market, Outcome.NO)
        sets = min(held[yes], held[no])
        held[yes] -= sets
        held[no] -= sets
        cash += sets
    return cash
