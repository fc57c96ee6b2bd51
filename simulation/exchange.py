"""The venue of a simulation, and the judge of it: order book, matching, settlement, and an account that is never wrong.

What an engine believes is compared with this. Everything here happens at once and in order; whatever is lost, late,
doubled or stale is so on the way to it or from it (`simulation/wire.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from core.fees import fee_of_fill
from core.units import bought_for, cost_of, proceeds_of
from messages.books import Book, Levels, mirror
from messages.markets import FeeFormula, FeeSchedule, Market, TickBand, VenueMode
from messages.orders import EndKind, Fill, FillSeen, Order, OrderSeen, Settlement
from messages.reasons import Refusal
from messages.units import (
    CONTRACT,
    ONE_DOLLAR,
    Money,
    Nanos,
    Outcome,
    Price,
    Quantity,
    Side,
    TimeInForce,
)
from simulation.chance import Chance, Fault

LOT = Quantity(10_000)
CENT_TICK = Price(100)
DIME_TICK = Price(10)


@dataclass(frozen=True, slots=True)
class Rules:
    """How one venue behaves; the two real ones differ in each of these."""

    name: str
    nets: bool
    cash_denominated: bool
    kill_consumes: bool
    sells_after_settlement: bool
    reversible: bool
    min_quantity: Quantity
    min_spend: Money
    formula: FeeFormula
    taker_ppm: int
    maker_ppm: int


KALSHI = Rules(
    name="kalshi",
    nets=True,
    cash_denominated=False,
    kill_consumes=True,
    sells_after_settlement=False,
    reversible=False,
    min_quantity=LOT,
    min_spend=Money(0),
    formula=FeeFormula.KALSHI,
    taker_ppm=70_000,
    maker_ppm=17_500,
)
POLYMARKET = Rules(
    name="polymarket",
    nets=False,
    cash_denominated=True,
    kill_consumes=False,
    sells_after_settlement=True,
    reversible=True,
    min_quantity=Quantity(5 * CONTRACT),
    min_spend=Money(1_000_000),
    formula=FeeFormula.POLYMARKET,
    taker_ppm=30_000,
    maker_ppm=0,
)


@dataclass(slots=True)
class Known:
    """An order as its venue knows it."""

    order: Order
    wire: str
    venue_order: str
    since: Nanos
    fills: dict[str, Fill] = field(default_factory=dict)
    filled_at: dict[str, Nanos] = field(default_factory=dict)
    how: EndKind | None = None
    ended_at: Nanos = Nanos(0)
    carried: Money = Money(0)

    @property
    def matched(self) -> Quantity:
        """What was ever matched, whatever became of it."""
        return Quantity(sum(fill.quantity for fill in self.fills.values()))

    @property
    def standing(self) -> Quantity:
        """What was matched and not taken back."""
        return Quantity(sum(f.quantity for f in self.fills.values() if f.settlement is not Settlement.REVERSED))

    def matched_by(self, at: Nanos) -> Quantity:
        return Quantity(sum(fill.quantity for name, fill in self.fills.items() if self.filled_at[name] <= at))


@dataclass(slots=True)
class Listing:
    """One market of the venue."""

    market: str
    event: str
    fair: int
    """The middle of the YES book, in cents."""
    gap: int
    """From the middle to the best price of either side, in cents; below zero nobody would quote."""
    depth: int
    """Contracts at each level."""
    open: bool = True
    resolved: bool = False
    version: int = 1
    tick: Price = CENT_TICK
    taker_ppm: int = 0
    fee_version: int = 1
    sequence: int = 0
    asks: list[list[int]] = field(default_factory=list)
    """[price, quantity] of YES, best first."""
    bids: list[list[int]] = field(default_factory=list)

    def deep(self, levels: list[list[int]]) -> bool:
        """Whether its best level still holds what it began with."""
        return bool(levels) and levels[0][1] >= self.depth * CONTRACT

    def quote(self) -> None:
        """Fresh levels around the middle; a cent apart."""
        self.sequence += 1
        size = self.depth * CONTRACT
        self.asks = [[(self.fair + self.gap + n) * 100, size] for n in range(3) if self.fair + self.gap + n < 99]
        self.bids = [[(self.fair - self.gap - n) * 100, size] for n in range(3) if self.fair - self.gap - n > 1]


class Refuse(Exception):
    """The venue does not accept the order."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Duplicate(Exception):
    """It has this very order already."""


class Exchange:
    """One venue with one account of ours on it."""

    def __init__(
        self,
        rules: Rules,
        listings: Iterable[Listing],
        cash: Money,
        chance: Chance,
        now: Callable[[], Nanos],
        after: Callable[[Nanos, Callable[[], None]], None],
        tell: Callable[[OrderSeen | FillSeen], None],
    ) -> None:
        self.rules, self.chance, self._now, self._after, self._tell = rules, chance, now, after, tell
        self.listings = {listing.market: listing for listing in listings}
        for listing in self.listings.values():
            listing.taker_ppm = rules.taker_ppm
            listing.quote()
        self.mode = VenueMode.OPEN
        self.revoked: set[str] = set()
        self.opening_cash = self.cash = int(cash)
        self.positions: dict[tuple[str, Outcome], int] = {}
        self.confirmed: dict[tuple[str, Outcome], int] = {}
        self.orders: dict[str, Known] = {}
        """By the identity under which the venue knows them; never removed."""
        self.by_order: dict[str, Known] = {}
        self.accepted_twice: list[str] = []
        self.log: list[FillSeen] = []
        """Executions as a list would show them, oldest first, with today's settlement."""
        self._numbered = self._taken_in = 0
        self.traces: dict[str, Known] = {}
        """By order: what was killed unfilled and does not use up its identity, where the venue still shows it."""
        self.shows_killed = chance.stream(f"{rules.name} traces").random() < 0.5
        self._told_markets: dict[str, Market] = {}

    # Metadata and books

    def market(self, name: str) -> Market:
        listing = self.listings[name]
        known = self._told_markets.get(name)
        if known is not None and known.version == listing.version:
            return known
        self._told_markets[name] = Market(
            venue=self.rules.name,
            market=name,
            event=listing.event,
            title=name,
            open=listing.open,
            closes_at=None,
            ticks=(TickBand(start=Price(0), stop=ONE_DOLLAR, step=listing.tick),),
            lot=LOT,
            min_quantity=self.rules.min_quantity,
            min_spend=self.rules.min_spend,
            cash_denominated=self.rules.cash_denominated,
            fees=self.fees(listing),
            version=listing.version,
            seen_at=self._now(),
        )
        return self._told_markets[name]

    def fees(self, listing: Listing) -> FeeSchedule:
        return FeeSchedule(
            formula=self.rules.formula,
            version=listing.fee_version,
            taker_ppm=listing.taker_ppm,
            maker_ppm=self.rules.maker_ppm,
            verified_at=self._now(),
        )

    def book(self, name: str) -> Book:
        listing = self.listings[name]
        asks: Levels = tuple((price, size) for price, size in listing.asks if size)
        bids: Levels = tuple((price, size) for price, size in listing.bids if size)
        return Book(
            venue=self.rules.name,
            market=name,
            sequence=listing.sequence,
            seen_at=self._now(),
            fresh=listing.open and self.mode is VenueMode.OPEN,
            yes_bids=bids,
            yes_asks=asks,
            no_bids=mirror(asks),
            no_asks=mirror(bids),
        )

    # Orders

    def accept(self, order: Order, wire: str, key: str) -> Known | None:
        """Take the order in and match it. None where nothing matched and nothing is kept of it; raises what the venue
        would refuse it with.
        """
        if wire in self.orders:
            if self.orders[wire].order != order:
                self.accepted_twice.append(f"{wire} came with another body")
            raise Duplicate
        listing = self.listings[order.market]
        self._admit(order, listing, key)
        self._taken_in += 1
        known = Known(order, wire, f"{self.rules.name[0]}{self._taken_in}", self._now())
        wanted = order.quantity if order.spend is None else None
        taken = self._match(known, listing)
        rests = order.time_in_force is TimeInForce.GTD and (wanted is None or taken < wanted)
        if not rests:
            full = taken >= order.quantity if wanted is not None else taken > 0 and self._spent_all(known)
            known.how = EndKind.FILLED if full else EndKind.KILLED
            known.ended_at = self._now()
        if taken or rests or self.rules.kill_consumes:
            if order.order in self.by_order:
                self.accepted_twice.append(f"{order.order} was accepted twice")
            self.orders[wire] = self.by_order[order.order] = known
            if rests:
                self._work(known)
            self._announce(known)
            return known
        if self.shows_killed:
            self.traces[order.order] = known
        return None

    def _spent_all(self, known: Known) -> bool:
        spent = sum(cost_of(f.price, f.quantity) for f in known.fills.values())
        return known.order.spend is not None and known.order.spend - spent < 2 * LOT

    def _admit(self, order: Order, listing: Listing, key: str) -> None:
        hit = self.chance.hit
        if key in self.revoked or hit(Fault.KEY_REVOKED, 0.4):
            self.revoked.add(key)
            raise Refuse(Refusal.AUTH)
        if hit(Fault.RATE_LIMITED):
            raise Refuse(Refusal.RATE_LIMIT)
        if self.mode is not VenueMode.OPEN:
            raise Refuse(Refusal.MODE)
        if not listing.open:
            raise Refuse(Refusal.MARKET)
        if hit(Fault.REJECTED):
            raise Refuse(self.chance.pick("refusal", (Refusal.PRICE, Refusal.SIZE, Refusal.INVALID, Refusal.OTHER)))
        if order.price % listing.tick:
            raise Refuse(Refusal.PRICE)
        settled = self.confirmed.get((order.market, order.outcome), 0)
        if order.side is Side.SELL and self.rules.sells_after_settlement and settled < order.quantity:
            raise Refuse(Refusal.FUNDS)
        need = order.spend if order.spend is not None else cost_of(order.price, order.quantity)
        if hit(Fault.FUNDS) or (order.side is Side.BUY and need > self.cash):
            raise Refuse(Refusal.FUNDS)

    def _match(self, known: Known, listing: Listing) -> Quantity:
        """Take what crosses, level by level."""
        order, hit = known.order, self.chance.hit
        if order.time_in_force is TimeInForce.IOC and hit(Fault.KILLED_UNFILLED):
            return Quantity(0)
        if hit(Fault.PRICE_MOVED):
            listing.fair = min(95, max(5, listing.fair + self.chance.pick("moves", (-4, -2, -1, 1, 2, 4))))
            listing.quote()
        if hit(Fault.THIN_BOOK):
            for level in (*listing.asks, *listing.bids):
                level[1] = min(level[1], self.chance.pick("thin", (1, 2, 5)) * CONTRACT)
        most = 10**18
        if hit(Fault.PARTIAL):
            most = self.chance.stream("partial").randrange(1, max(2, order.quantity // LOT)) * LOT
        buys_yes = (order.side is Side.BUY) == (order.outcome is Outcome.YES)
        limit = order.price if order.outcome is Outcome.YES else ONE_DOLLAR - order.price
        left: int = order.quantity
        money = order.spend
        taken = 0
        for level in listing.asks if buys_yes else listing.bids:
            if (level[0] > limit) if buys_yes else (level[0] < limit):
                break
            own = Price(level[0] if order.outcome is Outcome.YES else ONE_DOLLAR - level[0])
            wanted = left if money is None else bought_for(money, own) // LOT * LOT
            piece = min(level[1] // LOT * LOT, wanted, most - taken)
            if piece <= 0:
                continue
            level[1] -= piece
            taken += piece
            left -= piece
            if money is not None:
                money = Money(money - cost_of(own, Quantity(piece)))
            self._fill(known, Quantity(piece), own, maker=False)
        if taken and money is None and taken == order.quantity and hit(Fault.OVERFILL):
            self._fill(known, LOT, order.price, maker=False)
            taken += LOT
        if taken:
            listing.sequence += 1
        return Quantity(taken)

    def _fill(self, known: Known, quantity: Quantity, price: Price, *, maker: bool) -> None:
        order, schedule = known.order, self.market(known.order.market).fees
        charge = fee_of_fill(schedule, price, quantity, maker=maker, side=order.side, carried=known.carried)
        known.carried = charge.carried
        self._numbered += 1
        name = f"{self.rules.name[0]}f{self._numbered}"
        settlement = Settlement.MATCHED if self.rules.reversible else Settlement.CONFIRMED
        known.fills[name] = Fill(
            fill=name, quantity=quantity, price=price, fee=charge.fee, settlement=settlement, maker=maker
        )
        known.filled_at[name] = self._now()
        self._book(order, known.fills[name], +1)
        if settlement is Settlement.CONFIRMED or order.side is Side.SELL:
            self._confirm(order, quantity)
        self.log.append(self.seen(known, name))
        if self.rules.reversible:
            slow = self.chance.hit(Fault.SLOW_SETTLEMENT)
            delay = self.chance.ms("settlement", 2_000, 6_000) if slow else self.chance.ms("settlement", 200, 1_200)
            self._after(delay, lambda: self._settle(known, name))
        self._tell(self.seen(known, name))

    def _confirm(self, order: Order, quantity: int) -> None:
        key = (order.market, order.outcome)
        sign = 1 if order.side is Side.BUY else -1
        self.confirmed[key] = self.confirmed.get(key, 0) + sign * quantity

    def _book(self, order: Order, fill: Fill, sign: int) -> None:
        """The account after an execution (+1) or after its reversal (−1)."""
        buys = order.side is Side.BUY
        cash = -cost_of(fill.price, fill.quantity) if buys else proceeds_of(fill.price, fill.quantity)
        self.cash += sign * (cash - fill.fee)
        key = (order.market, order.outcome)
        self.positions[key] = self.positions.get(key, 0) + sign * (fill.quantity if buys else -fill.quantity)
        if self.rules.nets:
            yes, no = (order.market, Outcome.YES), (order.market, Outcome.NO)
            held = self.positions.get(yes, 0), self.positions.get(no, 0)
            sets = min(held)  # below zero where more was sold than was held
            self.positions[yes], self.positions[no] = held[0] - sets, held[1] - sets
            self.cash += sets

    def _settle(self, known: Known, name: str) -> None:
        reverse = self.chance.hit(Fault.REVERSED)
        end = Settlement.REVERSED if reverse else Settlement.CONFIRMED
        fill = known.fills[name] = known.fills[name].model_copy(update={"settlement": end})
        if reverse:
            self._book(known.order, fill, -1)
            if known.order.side is Side.SELL:
                self._confirm(known.order, -fill.quantity)
        elif known.order.side is Side.BUY:
            self._confirm(known.order, fill.quantity)
        self._tell(self.seen(known, name))

    # Resting orders

    def _work(self, known: Known) -> None:
        """Somebody may come and trade with it, once or twice, whole or in part."""
        draws = self.chance.stream("takers")
        for _ in range(draws.choice((0, 0, 1, 2))):
            self._after(self.chance.ms("takers", 10, 500), lambda: self._taken(known))

    def _taken(self, known: Known) -> None:
        order, left = known.order, known.order.quantity - known.matched
        if known.how is not None or left <= 0 or not self.listings[order.market].open:
            return
        draws = self.chance.stream("takers")
        part = left if draws.random() < 0.7 else draws.randrange(LOT, left + 1, LOT)
        self._fill(known, Quantity(part), order.price, maker=True)
        if known.matched >= order.quantity:
            self._end(known, EndKind.FILLED)

    def cancel(self, known: Known) -> None:
        if known.how is None:
            self._end(known, EndKind.CANCELLED)

    def _end(self, known: Known, how: EndKind) -> None:
        known.how, known.ended_at = how, self._now()
        self._announce(known)

    # What it tells

    def _announce(self, known: Known) -> None:
        order = known.order
        self._tell(
            OrderSeen(
                venue=self.rules.name,
                wire=known.wire,
                venue_order=known.venue_order,
                market=order.market,
                matched=known.matched,
                ended=known.how,
                at=self._now(),
            )
        )

    def seen(self, known: Known, name: str, at: Nanos | None = None) -> FillSeen:
        """An execution as the venue tells it: where YES and NO are one book, on the YES scale."""
        fill = known.fills[name]
        if self.rules.nets and known.order.outcome is Outcome.NO:
            fill = fill.model_copy(update={"price": Price(ONE_DOLLAR - fill.price)})
        return FillSeen(
            venue=self.rules.name,
            wire=known.wire,
            venue_order=known.venue_order,
            market=known.order.market,
            fill=fill,
            at=at or self._now(),
        )

    # What can happen to a market

    def halt(self, market: str, *, for_good: bool) -> None:
        """No trading there; what rests is taken back."""
        listing = self.listings[market]
        listing.open, listing.resolved = False, for_good
        listing.version += 1
        for known in self.orders.values():
            if known.order.market == market:
                self.cancel(known)

    def reopen(self, market: str) -> None:
        listing = self.listings[market]
        if not listing.resolved and not listing.open:
            listing.open = True
            listing.version += 1
            listing.quote()

    def change_fee(self, market: str) -> None:
        listing = self.listings[market]
        listing.taker_ppm += listing.taker_ppm // 5
        listing.fee_version += 1
        listing.version += 1

    def change_tick(self, market: str) -> None:
        """From a tenth of a cent to a whole one or the reverse: prices that were good may be off the grid."""
        listing = self.listings[market]
        listing.tick = CENT_TICK if listing.tick != CENT_TICK else DIME_TICK
        listing.version += 1
