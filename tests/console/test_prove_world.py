"""A small honest world: a real journal, written the way an executor writes it, and ledgers that tell the same.

Three trades: one hedged at once; one whose second leg was lost on its way, looked up, and sent again as a look-up; one
whose second leg was taken back by the venue, so that the first was sold again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from console.proof.judge import Proof
from console.prove import prove
from core.desk import Desk
from core.ladder import PATIENCE
from core.units import cost_of, proceeds_of
from journal import Level, Record, SqliteJournal, open_journal
from messages.base import Command, Message, body_of, name_of
from messages.leases import Booked, CapitalGranted, ClaimsGranted, Reported
from messages.markets import FeeFormula, FeeSchedule, TickBand
from messages.opportunities import Opportunity, OpportunityKind, PlannedLeg
from messages.orders import (
    Absent,
    Ended,
    EndKind,
    Fill,
    Filled,
    LookUp,
    Lost,
    Named,
    Order,
    Repost,
    Role,
    Settlement,
    Submit,
)
from messages.reasons import Trouble
from messages.trades import AskQuotes, Bounds, Hashed, LegTerms, Opened, Quote, Quoted, Restarted
from messages.units import (
    CONTRACT,
    DOLLAR,
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

START = Nanos(1_800_000_000 * SECOND)
DEPOSIT = 20_000 * DOLLAR
KALSHI, POLYMARKET = "kalshi", "polymarket"
LOT = Quantity(10_000)

BOUNDS = Bounds(
    ask_first=Nanos(100 * MILLISECOND),
    ask_most=Nanos(2 * SECOND),
    send_window=Nanos(1500 * MILLISECOND),
    reposts_max=3,
    aggressive_max=8,
    resting_max=3,
    rest=Nanos(SECOND),
    pause=Nanos(100 * MILLISECOND),
    settle_wait=Nanos(2 * SECOND),
    floor=Price(100),
    loss_budget=Money(50 * DOLLAR),
    deadline=Nanos(30 * SECOND),
    spans_max=8,
    release_after=Nanos(SECOND),
    cool_down=Nanos(SECOND),
    reject_storm=5,
    pause_market=Nanos(300 * SECOND),
)


def fees_of(venue: str) -> FeeSchedule:
    formula = FeeFormula.KALSHI if venue == KALSHI else FeeFormula.POLYMARKET
    return FeeSchedule(formula=formula, version=1, taker_ppm=70_000, maker_ppm=0, verified_at=START)


def terms(venue: str, market: str, outcome: Outcome) -> LegTerms:
    return LegTerms(
        venue=venue,
        market=market,
        outcome=outcome,
        ticks=(TickBand(start=Price(100), stop=Price(9_900), step=Price(100)),),
        lot=LOT,
        min_quantity=LOT,
        min_spend=Money(0),
        cash_denominated=False,
        fees=fees_of(venue),
        repost_proves=True,
        kill_consumes=venue == KALSHI,
        late_arrival=Nanos(3 * SECOND),
        sells_after_settlement=venue == POLYMARKET,
        nets=venue == KALSHI,
        reversible=venue == POLYMARKET,
    )


@dataclass
class World:
    """The engine's side is written through the real desk and journal; the venues' side is a plain dictionary."""

    directory: Path
    writer: SqliteJournal
    desk: Desk
    now: Nanos = START
    booked: list[Booked] = field(default_factory=list)
    ledgers: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: int = 0

    @classmethod
    def begin(cls, directory: Path) -> World:
        writer = open_journal(directory / "journal", "executor", level=Level.PROCESS, wall_ns=lambda: START)
        world = cls(directory, writer, Desk(writer.genesis))
        for venue in (KALSHI, POLYMARKET):
            account = {"deposits": DEPOSIT, "cash": DEPOSIT, "reserved": 0, "fees_paid": 0, "positions": {}}
            world.ledgers[venue] = {
                "venue": venue,
                "dialect": venue,
                "seed": 1,
                "now_ns": START,
                "accounts": {"trader-1": account},
                "orders": [],
                "fills": [],
                "requests": [],
                "faults_hit": {"timeout_after_accept": 1},
            }
        world.commit(Restarted(epoch=1, at=world.now))
        for venue in (KALSHI, POLYMARKET):
            world.commit(
                CapitalGranted(owner_epoch=1, holder="executor", venue=venue, total=Money(10_000 * DOLLAR)),
                ClaimsGranted(owner_epoch=1, holder="executor", groups=("g1", "g2", "g3")),
            )
        return world

    # The engine's side

    def commit(self, *messages: Message) -> list[Command]:
        """Fold, name, append: as the executor does."""
        records, commands = [], []
        seq = self.writer.last_seq
        for message in messages:
            if not self.desk.changes(message):
                continue
            seq += 1
            applied = self.desk.apply(seq, message)
            records.append(message)
            self.booked += applied.booked
            commands += applied.commands
            for submit in self.desk.submits(applied.commands):
                seq += 1
                named = Named(order=submit.order.order, wire=wire_of(submit.order))
                self.desk.apply(seq, named)
                records.append(named)
        if records:
            self.writer.append([Record(name_of(m), body_of(m)) for m in records], self.now)
        return commands

    def hash(self, digest: str = "") -> None:
        self.writer.append([Record("Hashed", body_of(Hashed(digest=digest or self.desk.digest())))], self.now)

    def after(self, milliseconds: int) -> Nanos:
        self.now = Nanos(self.now + milliseconds * MILLISECOND)
        return self.now

    def open(self, group: str, legs: tuple[tuple[str, Outcome, int], ...], contracts: int = 10) -> tuple[Order, ...]:
        """One intent: each leg a venue, an outcome and a limit in cents."""
        name = self.desk.next_trade(self.writer.epoch)
        quantity = Quantity(contracts * CONTRACT)
        planned = tuple(
            PlannedLeg(
                venue=venue,
                market=f"{group}-{venue}",
                outcome=outcome,
                limit=Price(cents * 100),
                quantity=quantity,
                cost=cost_of(Price(cents * 100), quantity),
                fee=Money(180_000),
                best=Price(cents * 100),
                book_sequence=7,
                book_age=Nanos(3 * MILLISECOND),
                market_version=1,
                fee_version=1,
            )
            for venue, outcome, cents in legs
        )
        opportunity = Opportunity(
            opportunity=f"{self.writer.genesis}.1.o{self.desk.number + 1}",
            kind=OpportunityKind.CROSS_VENUE,
            pair=f"pair-{group}",
            group=group,
            seen_at=Nanos(self.now - MILLISECOND // 2),
            quantity=quantity,
            payout=ONE_DOLLAR,
            legs=planned,
        )
        orders = tuple(
            Order(
                order=f"{name}.{number}.0",
                trade=name,
                leg=number,
                role=Role.OPEN,
                venue=leg.venue,
                market=leg.market,
                outcome=leg.outcome,
                side=Side.BUY,
                price=leg.limit,
                quantity=quantity,
                time_in_force=TimeInForce.IOC,
                made_at=self.now,
                not_after=Nanos(self.now + BOUNDS.send_window),
            )
            for number, leg in enumerate(planned)
        )
        self.commit(
            Opened(
                trade=name,
                opportunity=opportunity,
                payout=ONE_DOLLAR,
                terms=tuple(terms(leg.venue, leg.market, leg.outcome) for leg in planned),
                bounds=BOUNDS,
                orders=orders,
                at=self.now,
            )
        )
        return orders

    def hear(self, order: Order, fill_id: str, settlement: Settlement = Settlement.CONFIRMED) -> None:
        """The venue's answer and its execution, as the ledger has them."""
        told = self.fill(order.venue, fill_id)
        price = told["price"] if told["outcome"] == order.outcome else ONE_DOLLAR - told["price"]
        fill = Fill(
            fill=fill_id,
            quantity=Quantity(told["quantity"]),
            price=Price(price),
            fee=Money(told["fee"]),
            settlement=settlement,
            maker=False,
        )
        how = EndKind.FILLED
        if settlement is not Settlement.REVERSED:
            ended = Ended(order=order.order, at=self.now, venue_order=fill_id, matched=fill.quantity, how=how)
            self.commit(ended)
        self.commit(Filled(order=order.order, at=self.now, fill=fill))

    # The venues' side

    def post(self, order: Order, *, accepted: bool = True, fault: str | None = None, at: int | None = None) -> None:
        requests = self.ledgers[order.venue]["requests"]
        requests.append(
            {
                "n": len(requests) + 1,
                "at_ns": self.now if at is None else at,
                "method": "POST",
                "path": "/order",
                "account": "trader-1",
                "wire_id": wire_of(order),
                "status": 200 if accepted else None,
                "fault": fault,
                "accepted": accepted,
                "body_sha256": f"body of {order.order}",
            }
        )

    def execute(self, order: Order, *, price: int | None = None, fee: int = 170_000) -> str:
        """Accepted and filled in full; told on the YES scale where the venue has one book a market."""
        self.told += 1
        ledger = self.ledgers[order.venue]
        fill_id = f"fill-{self.told}"
        own = int(order.price if price is None else price)
        outcome, side, shown = order.outcome.value, order.side.value, own
        if order.venue == KALSHI and order.outcome is Outcome.NO:
            outcome, side, shown = "yes", "sell" if side == "buy" else "buy", int(ONE_DOLLAR) - own
        common = {
            "venue_order": f"v-{self.told}",
            "wire_id": wire_of(order),
            "account": "trader-1",
            "market": order.market,
            "outcome": outcome,
            "side": side,
            "price": shown,
            "quantity": order.quantity,
        }
        ledger["orders"].append(
            common
            | {
                "price": int(order.price) if outcome == order.outcome.value else int(ONE_DOLLAR - order.price),
                "spend": None,
                "time_in_force": "ioc",
                "status": "matched",
                "matched": order.quantity,
                "created_ns": self.now,
                "body_sha256": f"body of {order.order}",
            }
        )
        buys = order.side is Side.BUY
        cash = -cost_of(Price(own), order.quantity) if buys else proceeds_of(Price(own), order.quantity)
        ledger["fills"].append(
            common
            | {
                "fill_id": fill_id,
                "cash": cash,
                "fee": fee,
                "settlement": "confirmed",
                "role": "taker",
                "at_ns": self.now,
            }
        )
        self._own(order, order.quantity if buys else -order.quantity, cash, fee)
        return fill_id

    def take_back(self, order: Order, fill_id: str) -> None:
        told = self.fill(order.venue, fill_id)
        told["settlement"] = "failed"
        sign = -1 if order.side is Side.BUY else 1
        self._own(order, sign * told["quantity"], -told["cash"], -told["fee"])

    def _own(self, order: Order, contracts: int, cash: int, fee: int) -> None:
        account = self.account(order.venue)
        account["cash"] += cash - fee
        account["fees_paid"] += fee
        held = account["positions"].setdefault(order.market, {"yes": 0, "no": 0})
        held[order.outcome.value] += contracts

    def account(self, venue: str) -> dict[str, Any]:
        account: dict[str, Any] = self.ledgers[venue]["accounts"]["trader-1"]
        return account

    def fill(self, venue: str, fill_id: str) -> dict[str, Any]:
        found: dict[str, Any] = next(f for f in self.ledgers[venue]["fills"] if f["fill_id"] == fill_id)
        return found

    # The end

    def own(self, entries: list[Booked] | None = None) -> None:
        """The position book's journal, with what the executor reported."""
        book = open_journal(self.directory / "journal", "position_book", level=Level.PROCESS, wall_ns=lambda: START)
        known = tuple(self.booked if entries is None else entries)
        report = Reported(source="executor", epoch=1, after=0, upto=self.writer.last_seq, booked=known)
        if known:
            book.append([Record(name_of(report), body_of(report))], self.now)
        book.close()

    def end(self, *, hashed: bool = True, owned: bool = True) -> None:
        if hashed:
            self.hash()
        self.writer.close()
        if owned:
            self.own()

    @property
    def file(self) -> Path:
        path = self.directory / "ledgers.json"
        path.write_text(json.dumps({"venues": self.ledgers}))
        return path

    def prove(self) -> Proof:
        return prove(self.directory / "journal", self.file)


def wire_of(order: Order) -> str:
    return f"0x{order.order}"


def expect(commands: list[Command], kind: type[Command]) -> Command:
    return next(command for command in commands if isinstance(command, kind))


def hedged(world: World, group: str = "g1") -> tuple[Order, Order]:
    """Both legs filled at once: YES here for 48, NO there for 49."""
    world.after(100)
    a, b = world.open(group, ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    world.after(3)
    fills = []
    for order in (a, b):
        world.post(order)
        fills.append(world.execute(order))
    world.after(5)
    for order, fill in zip((a, b), fills, strict=True):
        world.hear(order, fill)
    return a, b


def reposted(world: World, group: str = "g2") -> tuple[Order, Order]:
    """The second request never arrived. It is looked up, absent, and goes out once more as a look-up, and fills."""
    world.after(100)
    a, b = world.open(group, ((KALSHI, Outcome.NO, 45), (POLYMARKET, Outcome.YES, 50)))
    world.after(3)
    world.post(a)
    fill = world.execute(a)
    world.post(b, accepted=False, fault="request_lost")
    world.after(2)
    world.hear(a, fill)
    world.after(700)
    expect(world.commit(Lost(order=b.order, at=world.now, trouble=Trouble.TIMEOUT, text="no answer")), LookUp)
    world.after(10)
    expect(world.commit(Absent(order=b.order, at=world.now, as_of=world.now)), Repost)
    world.after(2)
    world.post(b)
    fill = world.execute(b)
    world.after(2)
    world.hear(b, fill)
    return a, b


def unwound(world: World, group: str = "g3") -> tuple[Order, Order, Order]:
    """The second leg's match failed on the chain; the first is sold again."""
    world.after(100)
    a, b = world.open(group, ((KALSHI, Outcome.YES, 40), (POLYMARKET, Outcome.NO, 55)))
    world.after(3)
    fills = []
    for order in (a, b):
        world.post(order)
        fills.append(world.execute(order))
    world.after(5)
    world.hear(a, fills[0])
    world.hear(b, fills[1], Settlement.MATCHED)
    world.after(600)
    world.take_back(b, fills[1])
    told = world.fill(POLYMARKET, fills[1])
    reversed_ = Fill(
        fill=fills[1],
        quantity=Quantity(told["quantity"]),
        price=b.price,
        fee=Money(told["fee"]),
        settlement=Settlement.REVERSED,
        maker=False,
    )
    expect(world.commit(Filled(order=b.order, at=world.now, fill=reversed_)), AskQuotes)
    world.after(1)
    bids = ((Price(3_900), Quantity(50 * CONTRACT)),)
    dear = ((Price(9_500 + PATIENCE), Quantity(50 * CONTRACT)),)
    quotes = (Quote(usable=True, bids=bids), Quote(usable=True, asks=dear))
    spendable = (Money(1_000 * DOLLAR),) * 2
    commands = world.commit(Quoted(trade=a.trade, at=world.now, quotes=quotes, spendable=spendable))
    sale = next(command.order for command in commands if isinstance(command, Submit))
    world.after(2)
    world.post(sale)
    fill = world.execute(sale, price=3_900)
    world.after(3)
    world.hear(sale, fill)
    return a, b, sale


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.begin(tmp_path)


Plant = Callable[[World], None]


def test_an_honest_world_is_proved(world: World) -> None:
    hedged(world)
    reposted(world)
    unwound(world)
    world.end()
    proof = world.prove()
    assert [v.text for v in proof.violations] == []
    assert proof.clean
    assert proof.reconciled
    assert proof.replay_equal
    assert (proof.trades, proof.reposted, proof.sent_twice, proof.residual_excess) == (3, 1, 0, 0)
    assert (proof.hashes, proof.hashes_equal) == (1, 1)
    kalshi = proof.venues[KALSHI]
    assert kalshi.cash.ours == DEPOSIT - 480 * 10_000 - 450 * 10_000 - 10 * 10_000 - 4 * 170_000
    assert kalshi.cash.difference == kalshi.fees.difference == 0
    assert (kalshi.orders_named, kalshi.orders_accepted, kalshi.posts) == (4, 4, 4)
    assert proof.venues[POLYMARKET].posts == 4
    assert proof.faults_hit == {"timeout_after_accept": 2}
