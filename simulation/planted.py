"""Planted bugs: what the judge is judged by. A proof that would also pass with a bug in the engine proves nothing.

Each of these is a mistake that a trading engine can make and that some have made. It replaces a rule, a method or a
constant of the engine for as long as a scenario runs, in this process alone, and is taken out again; production code
has no switch for any of it. None of them knows the judge, and the judge knows none of them: what catches a bug is an
invariant that stands on its own.
"""

# ruff: noqa: SLF001  a bug sits inside of what it breaks

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal
from weakref import WeakKeyDictionary

import actors.gateway
from actors.dispatch import Dispatch
from actors.errands import Errands
from actors.executor import Executor
from actors.gateway import Gateway
from actors.in_flight import InFlight
from actors.key_ring import KeyRing
from actors.memory import Memory
from actors.owner import Keeping
from actors.points import reach
from actors.position_book import PositionBook
from actors.shell import Clock, Outbox, Place
from actors.translator import Translator
from core import checks, desk, intent, keys, ladder, ledger, machine
from core.checks import NOT_CONFIGURED, Answer, View
from core.claims import Claims, Heard, Held
from core.desk import Desk
from core.keys import Pool
from core.ledger import Accounts, Posting
from core.trade import OrderState, Phase, Trade
from journal.errors import JournalFailed
from journal.forgetful import ForgetfulJournal
from journal.port import Record
from messages.base import Message
from messages.control import Halt
from messages.leases import (
    Booked,
    Claim,
    ClaimsGranted,
    ClaimsReturned,
    KeysGranted,
    MarketsSeen,
    Reported,
    ReturnClaims,
    WantCapital,
    WantClaims,
)
from messages.markets import FeeSchedule
from messages.opportunities import Opportunity, PlannedLeg
from messages.orders import (
    Absent,
    Cancel,
    Ended,
    EndKind,
    Fill,
    Filled,
    FillSeen,
    LookUp,
    Lost,
    Named,
    Order,
    OrderSeen,
    Refused,
    Repost,
    Role,
    Settlement,
    Submit,
)
from messages.reasons import Refusal, Trouble
from messages.trades import AskQuotes, Bounds, CursorMoved, LegTerms, Quoted, Woke
from messages.units import SECOND, Money, Nanos, Outcome, Quantity
from simulation.batch import run_seed
from venues.port import Failed

FAR_AWAY = Nanos(2**62)

Swap = Callable[[object, str, object], None]
"""Put something else in the place of `owner.name`."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One bug: what it is, in the words of a trader, and which invariants it may break."""

    name: str
    what: str
    breaks: tuple[str, ...]
    _sow: Callable[[Swap], None]

    @contextmanager
    def plant(self) -> Iterator[None]:
        """The engine has this bug for as long as the block runs."""
        with ExitStack() as undone:

            def swap(owner: object, name: str, other: object) -> None:
                undone.callback(setattr, owner, name, vars(owner)[name])
                setattr(owner, name, other)

            self._sow(swap)
            yield


@dataclass(frozen=True, slots=True)
class Caught:
    """The first scenario that breaks an invariant with the bug, and none without it."""

    name: str
    seeds: int
    """Tried up to this one, it included."""
    seed: int
    violation: str


PLANTED: dict[str, Planted] = {}


def run_planted(name: str, seeds: int, start: int = 0) -> Caught | None:
    """Look for a scenario that catches the bug; None where none of these does."""
    bug = PLANTED[name]
    for number in range(seeds):
        seed = start + number
        with bug.plant():
            violation = violated(seed)
        if violation and not violated(seed):
            return Caught(name, number + 1, seed, violation)
    return None


def violated(seed: int) -> str:
    """What a scenario breaks; "" where it holds."""
    return run_seed(seed).broken


def _bug(name: str, what: str, *breaks: str) -> Callable[[Callable[[Swap], None]], Callable[[Swap], None]]:
    def registered(sow: Callable[[Swap], None]) -> Callable[[Swap], None]:
        assert name not in PLANTED, name
        PLANTED[name] = Planted(name, what, breaks, sow)
        return sow

    return registered


# What an answer proves


@_bug("time-out as reject", "An order that got no answer in time is taken for refused.", "I9", "I10", "I5")
def _time_out_as_reject(swap: Swap) -> None:
    swap(machine, "_lost", _lost_as_refused({Trouble.TIMEOUT}))


@_bug("5xx as reject", "An error of the venue's server is taken for a refusal of the order.", "I9", "I10", "I5")
def _server_error_as_reject(swap: Swap) -> None:
    swap(machine, "_lost", _lost_as_refused({Trouble.SERVER_ERROR, Trouble.CONNECTION, Trouble.MALFORMED}))


def _lost_as_refused(troubles: set[Trouble]) -> Callable[[Trade, OrderState, Lost], tuple[Trade, machine.Commands]]:
    real = machine._lost

    def lost(trade: Trade, state: OrderState, event: Lost) -> tuple[Trade, machine.Commands]:
        if event.trouble not in troubles or state.proven or state.phase is Phase.RESTING:
            return real(trade, state, event)
        return machine._put(trade, state, phase=Phase.DONE, refused=Refusal.OTHER), ()

    return lost


@_bug("one empty look-up as proof", "A venue that does not know the order yet never had it.", "I9", "I10", "I5")
def _one_empty_look_up_as_proof(swap: Swap) -> None:
    def absent(trade: Trade, state: OrderState, _: Absent) -> tuple[Trade, machine.Commands]:
        if state.phase is not Phase.DOUBT or state.landed:
            return trade, ()
        return machine._put(trade, state, phase=Phase.DONE, absent=True), ()

    swap(machine, "_absent", absent)


@_bug("fence too short", "The time that an order may still be under way is not waited for.", "I9", "I10", "I5")
def _fence_too_short(swap: Swap) -> None:
    def fence(trade: Trade, state: OrderState) -> Nanos:
        return Nanos(state.posted_at + trade.bounds.send_window)

    swap(machine, "_fence", fence)


@_bug("old look-up believed", "How old the venue's own picture is, is not asked when it shows no order.", "I9", "I5")
def _old_look_up_believed(swap: Swap) -> None:
    real = machine._absent

    def absent(trade: Trade, state: OrderState, event: Absent) -> tuple[Trade, machine.Commands]:
        return real(trade, state, event.model_copy(update={"as_of": event.at}))

    swap(machine, "_absent", absent)


@_bug("duplicate as reject", "“I have this order already” is taken for a refusal of it.", "I9", "I5")
def _duplicate_as_reject(swap: Swap) -> None:
    def landed(trade: Trade, state: OrderState, _: Nanos) -> tuple[Trade, machine.Commands]:
        if state.proven or state.phase is Phase.RESTING:
            return trade, ()
        return machine._put(trade, state, phase=Phase.DONE, refused=Refusal.OTHER), ()

    swap(machine, "_landed", landed)


@_bug("refused copy as proof", "A refusal of the second copy is taken for the fate of the first.", "I9", "I5")
def _refused_copy_as_proof(swap: Swap) -> None:
    real = machine._refused

    def refused(trade: Trade, state: OrderState, event: Refused) -> Trade:
        return real(trade, state.model_copy(update={"reposts": 0}), event.model_copy(update={"repost": False}))

    swap(machine, "_refused", refused)


@_bug("killed copy as proof", "A second copy came to nothing, so the first is taken to have, too.", "I9", "I1", "I5")
def _killed_copy_as_proof(swap: Swap) -> None:
    real = machine._ended

    def ended(trade: Trade, state: OrderState, event: Ended) -> Trade:
        return real(trade, state.model_copy(update={"reposts": 0}), event)

    swap(machine, "_ended", ended)


@_bug("cancel as proof", "A cancel that was sent has cancelled, and nothing filled before it.", "I9", "I5")
def _cancel_as_proof(swap: Swap) -> None:
    async def cancel(self: Gateway, order: Order, venue_order: str | None) -> None:
        await self.reader(order.venue).cancel(order, venue_order)
        self._heard(
            Ended(
                order=order.order,
                at=self._clock.now(),
                venue_order=venue_order or "",
                matched=Quantity(0),
                how=EndKind.CANCELLED,
            )
        )

    swap(Gateway, "_cancel", cancel)


@_bug("resting order left", "An order that has rested for its time is looked at and never taken back.", "I5", "I19")
def _resting_order_left(swap: Swap) -> None:
    real = machine._woke

    def woke(trade: Trade, at: Nanos) -> tuple[Trade, machine.Commands]:
        after, commands = real(trade, at)
        return after, tuple(LookUp(order=c.order) if isinstance(c, Cancel) else c for c in commands)

    swap(machine, "_woke", woke)


@_bug("filled without a number", "“Filled” on the stream means all that was asked for.", "I9", "I12", "I19", "I5")
def _filled_without_a_number(swap: Swap) -> None:
    real = Translator._order

    def order(self: Translator, state: OrderState, seen: OrderSeen) -> None:
        if seen.ended is EndKind.FILLED:
            seen = seen.model_copy(update={"matched": state.order.quantity})
        real(self, state, seen)

    swap(Translator, "_order", order)


@_bug("partial as full", "An order of which something filled is taken to have filled whole.", "I19", "I9", "I5")
def _partial_as_full(swap: Swap) -> None:
    real = machine._ended

    def ended(trade: Trade, state: OrderState, event: Ended) -> Trade:
        if event.how is EndKind.KILLED and event.matched:
            event = event.model_copy(update={"matched": state.order.quantity, "how": EndKind.FILLED})
        return real(trade, state, event)

    swap(machine, "_ended", ended)


# Executions


@_bug("fills counted twice", "An execution that the venue tells twice counts twice.", "I11", "I4")
def _fills_counted_twice(swap: Swap) -> None:
    real = machine._filled

    def filled(trade: Trade, state: OrderState, fill: Fill, at: Nanos) -> Trade:
        if any(known == fill for known in state.fills):
            return machine._put(trade, state, fills=(*state.fills, fill))
        return real(trade, state, fill, at)

    swap(machine, "_filled", filled)


@_bug(
    "matched taken as final",
    "A match is never looked at again, although it may be taken back.",
    "I12",
    "I17",
    "I4",
    "I5",
)
def _matched_taken_as_final(swap: Swap) -> None:
    swap(OrderState, "settled", property(lambda state: state.reported <= state.itemised))


@_bug("reversal ignored", "A match that the venue takes back goes on counting.", "I12", "I4", "I5")
def _reversal_ignored(swap: Swap) -> None:
    real = machine._filled

    def filled(trade: Trade, state: OrderState, fill: Fill, at: Nanos) -> Trade:
        if fill.settlement is Settlement.REVERSED:
            fill = fill.model_copy(update={"settlement": Settlement.CONFIRMED})
        return real(trade, state, fill, at)

    swap(machine, "_filled", filled)


@_bug("late fill dropped", "What is told of an order that was given up for dead is thrown away.", "I12", "I4", "I5")
def _late_fill_dropped(swap: Swap) -> None:
    real = machine._told

    def told(trade: Trade, state: OrderState, event: machine.Report) -> tuple[Trade, machine.Commands]:
        if state.absent or state.refused is not None:
            return trade, ()
        return real(trade, state, event)

    swap(machine, "_told", told)


@_bug("overfill ignored", "More than was asked for cannot be, so it is not counted.", "I12", "I5", "I9")
def _overfill_ignored(swap: Swap) -> None:
    real = OrderState.matched.fget  # type: ignore[attr-defined]

    def matched(state: OrderState) -> Quantity:
        whole: Quantity = real(state)
        return whole if state.order.spend is not None else Quantity(min(whole, state.order.quantity))

    swap(OrderState, "matched", property(matched))


@_bug("YES price taken for NO", "A venue tells prices of YES, and the hedge in NO is booked at them.", "I4")
def _yes_price_taken_for_no(swap: Swap) -> None:
    swap(actors.gateway, "opposite", lambda price: price)


@_bug("fee taken from the plan", "The fee that the schedule lets expect is booked, not the one charged.", "I4")
def _fee_taken_from_the_plan(swap: Swap) -> None:
    real = Gateway.filled

    def filled(self: Gateway, order: Order, schedule: FeeSchedule, seen: FillSeen) -> Filled:
        return real(self, order, schedule, seen.model_copy(update={"fee_known": False}))

    swap(Gateway, "filled", filled)


@_bug("drop copy not read", "The venue's list of executions is never read: the streams will have told all.", "I4", "I5")
def _drop_copy_not_read(swap: Swap) -> None:
    async def follow(_: Errands) -> None:
        await asyncio.Event().wait()

    swap(Errands, "follow_executions", follow)


@_bug("cursor before the fills", "How far a list was read is remembered before what stands in it is.", "I4", "I5")
def _cursor_before_the_fills(swap: Swap) -> None:
    async def follow(self: Errands) -> None:
        while True:
            for venue in self._settings.venues:
                page = await self._gateway.reader(venue).fills_since(self._desk.cursors.get(venue, ""))
                if isinstance(page, Failed):
                    continue
                if page.cursor != self._desk.cursors.get(venue, ""):
                    self._queue(CursorMoved(venue=venue, cursor=page.cursor))
                await asyncio.sleep(3)
                for seen in page.fills:
                    self._translator.hear(seen)
            await asyncio.sleep(self._settings.engine.follow_ms / 1000)

    swap(Errands, "follow_executions", follow)


# What is sent, and when


@_bug("retry under a new id", "An order without an answer is sent again as another order.", "I3", "I14", "I7")
def _retry_under_a_new_id(swap: Swap) -> None:
    real = machine._lost

    def lost(trade: Trade, state: OrderState, event: Lost) -> tuple[Trade, machine.Commands]:
        after, commands = real(trade, state, event)
        order, window = state.order, trade.bounds.send_window
        if after is trade or order.role is not Role.OPEN or order.order.endswith("r"):
            return after, commands
        again = order.model_copy(
            update={"order": f"{order.order}r", "made_at": event.at, "not_after": Nanos(event.at + window)}
        )
        orders = (*after.orders, machine._sent(again, window))
        return after.model_copy(update={"orders": orders}), (*commands, Submit(order=again))

    swap(machine, "_lost", lost)


@_bug("send before commit", "The journal is written a moment behind the orders.", "I3", "I8")
def _send_before_commit(swap: Swap) -> None:
    real = Memory.remember
    behind: WeakKeyDictionary[Memory, list[Message]] = WeakKeyDictionary()

    def remember(self: Memory, messages: Sequence[Message]) -> int:
        if not self._journal.name.startswith("executor"):
            return real(self, messages)
        behind.setdefault(self, []).extend(messages)
        asyncio.get_running_loop().call_later(0.002, write, self)
        return self.seq

    def write(self: Memory) -> None:
        if waiting := behind.pop(self, []):
            real(self, waiting)

    swap(Memory, "seq", property(lambda self: self._journal.last_seq + len(behind.get(self, ()))))
    swap(Memory, "remember", remember)


@_bug("restart resends", "A new incarnation sends again what it finds without an answer.", "I1")
def _restart_resends(swap: Swap) -> None:
    real = Executor.start

    async def start(self: Executor, outbox: Outbox, clock: Clock) -> str:
        address = await real(self, outbox, clock)
        for trade in self.desk.open.values():
            for state in trade.orders:
                if not state.proven:
                    self.gateway._spawn(again(self, state.order))
        return address

    async def again(self: Executor, order: Order) -> None:
        adapter = self.gateway.reader(order.venue)
        self._queue(await adapter.submit(adapter.prepare(order)))

    swap(Executor, "start", start)


@_bug("restart ignored", "A new incarnation waits for answers that went to the one before it.", "I19", "I9", "I5")
def _restart_ignored(swap: Swap) -> None:
    real = machine._sent

    def restarted(trade: Trade, _: Nanos) -> tuple[Trade, machine.Commands]:
        return trade, ()

    def sent(order: Order, window: Nanos) -> OrderState:
        return real(order, window).model_copy(update={"ask_after": FAR_AWAY})

    swap(machine, "_restarted", restarted)
    swap(machine, "_sent", sent)


@_bug("late leg sent", "An order leaves however late it has become.", "I9")
def _late_leg_sent(swap: Swap) -> None:
    late, held_back = Gateway._submit, Gateway._held_back

    def for_ever(order: Order) -> Order:
        return order.model_copy(update={"not_after": FAR_AWAY})

    async def submit(self: Gateway, order: Order) -> None:
        await late(self, for_ever(order))

    def never_late(self: Gateway, opening: Sequence[Order]) -> tuple[Refusal, str] | None:
        return held_back(self, [for_ever(order) for order in opening])

    swap(Gateway, "_submit", submit)
    swap(Gateway, "_held_back", never_late)


@_bug("other bytes as the copy", "What is sent again is made anew, by the market's rules of now.", "I1")
def _other_bytes_as_the_copy(swap: Swap) -> None:
    swap(actors.gateway, "_same", lambda adapter, order, wire: True)


@_bug("key of another account", "A copy goes through the key of now, not through that of the order.", "I1")
def _key_of_another_account(swap: Swap) -> None:
    real = Executor._named

    def named(self: Executor, order: str) -> Named:
        state = self.desk.state_of(order)
        key = self.gateway._key(state.order.venue) if state is not None else ""
        return real(self, order).model_copy(update={"key": key})

    swap(Executor, "_named", named)


@_bug("re-post while halted", "A copy of an opening order is sent although a person said halt.", "I13")
def _repost_while_halted(swap: Swap) -> None:
    real = Executor._forbidden

    def forbidden(self: Executor, command: Repost) -> str:
        halted, self.desk.halted = self.desk.halted, ""
        try:
            return real(self, command)
        finally:
            self.desk.halted = halted

    swap(Executor, "_forbidden", forbidden)


@_bug("copies without end", "A copy is sent again as often as it takes.", "I18")
def _copies_without_end(swap: Swap) -> None:
    real = machine._repost_wanted

    def wanted(trade: Trade, state: OrderState) -> bool:
        return real(trade, state.model_copy(update={"reposts": 0, "repost_useless": False}))

    swap(machine, "_repost_wanted", wanted)


@_bug("wrong side of a complement", "The hedge is bought in the same outcome as what it hedges.", "I5")
def _wrong_side_of_a_complement(swap: Swap) -> None:
    real = intent._opening

    def opening(leg: PlannedLeg, number: int, terms: LegTerms, trade: str, now: Nanos, bounds: Bounds) -> Order:
        order = real(leg, number, terms, trade, now, bounds)
        return order.model_copy(update={"outcome": Outcome.YES})

    swap(intent, "_opening", opening)


@_bug(
    "ids that are drawn",
    "The id of a recovery order comes from a counter and not from the journal.",
    "I2",
    "I8",
    "I4",
    "I5",
    "I19",
)
def _ids_that_are_drawn(swap: Swap) -> None:
    real, drawn = ladder._order, count(1)

    def order(*args: Any) -> Order:
        made = real(*args)
        return made.model_copy(update={"order": f"{made.order}x{next(drawn)}"})

    swap(ladder, "_order", order)


# Recovery


@_bug("unwind before proof", "A recovery begins as soon as any order of the trade is proved.", "I10", "I6", "I12")
def _unwind_before_proof(swap: Swap) -> None:
    swap(Trade, "proven", property(lambda trade: any(state.proven for state in trade.orders)))


@_bug("ten lots of dust", "Legs that differ by less than ten lots are taken for balanced.", "I5")
def _ten_lots_of_dust(swap: Swap) -> None:
    def balanced(trade: Trade) -> bool:
        lot = 10 * max(term.lot for term in trade.terms)
        return all(quantity < lot for quantity in trade.excess)

    swap(Trade, "balanced", property(balanced))


@_bug("rungs without end", "Immediate orders of a recovery are not counted.", "I18")
def _rungs_without_end(swap: Swap) -> None:
    real = ladder.choose

    def choose(trade: Trade, quoted: Quoted) -> ladder.Send | ladder.Wait | ladder.GiveUp:
        least = min(trade.aggressive, trade.bounds.aggressive_max - 1)
        return real(trade.model_copy(update={"aggressive": least}), quoted)

    swap(ladder, "choose", choose)


@_bug("gives up at once", "A recovery whose first order did not end it is left to a person.", "I5")
def _gives_up_at_once(swap: Swap) -> None:
    real = ladder.choose

    def choose(trade: Trade, quoted: Quoted) -> ladder.Send | ladder.Wait | ladder.GiveUp:
        return ladder.GiveUp("the first attempt did not end it") if trade.aggressive else real(trade, quoted)

    swap(ladder, "choose", choose)


@_bug("escalation not told", "A trade is given up, and no person hears of it.", "I5")
def _escalation_not_told(swap: Swap) -> None:
    real = machine._escalate

    def escalate(trade: Trade, at: Nanos, text: str) -> tuple[Trade, machine.Commands]:
        return real(trade, at, text)[0], ()

    swap(machine, "_escalate", escalate)


@_bug("prices awaited for ever", "Prices that were asked for before a restart are still awaited.", "I19")
def _prices_awaited_for_ever(swap: Swap) -> None:
    real = machine._restarted

    def restarted(trade: Trade, at: Nanos) -> tuple[Trade, machine.Commands]:
        after, commands = real(trade, at)
        if not trade.quotes_asked_at:
            return after, commands
        waits = after.model_copy(update={"quotes_asked_at": trade.quotes_asked_at})
        return waits, tuple(command for command in commands if not isinstance(command, AskQuotes))

    swap(machine, "_restarted", restarted)
    swap(machine, "QUOTES_LATE", FAR_AWAY)


@_bug("flat not watched", "A trade that is flat is not looked at until its fills are confirmed.", "I19")
def _flat_not_watched(swap: Swap) -> None:
    async def sweep(self: Executor) -> None:
        while True:
            await asyncio.sleep(self.settings.engine.sweep_ms / 1000)
            self._must_be_sound()
            now = self._clock.now()
            for trade in self.desk.open.values():
                if not trade.done:
                    self._queue(Woke(trade=trade.trade, at=now))

    swap(Executor, "_sweep", sweep)


# The checks before a trade


def _row_passes(swap: Swap, name: str) -> None:
    """The column without one of its rows."""

    def passes(_: Opportunity, _view: View) -> Answer:
        return NOT_CONFIGURED

    assert any(row == name for row, _ in checks.COLUMN), name
    swap(checks, "COLUMN", tuple((row, passes if row == name else check) for row, check in checks.COLUMN))


@_bug("halt not heeded", "It goes on opening after a person said halt.", "I13")
def _halt_not_heeded(swap: Swap) -> None:
    _row_passes(swap, "halt")


@_bug("halt lost with a restart", "A new incarnation opens again, although nobody lifted the halt.", "I13", "I8")
def _halt_lost_with_a_restart(swap: Swap) -> None:
    real = Executor.start

    async def start(self: Executor, outbox: Outbox, clock: Clock) -> str:
        address = await real(self, outbox, clock)
        self.desk.halted = ""
        return address

    swap(Executor, "start", start)


@_bug("halt not journaled", "A halt is obeyed and not written down, so it dies with the process.", "I13", "I8")
def _halt_not_journaled(swap: Swap) -> None:
    real = Executor.hear

    async def hear(self: Executor, sender: str, message: Message) -> Message | None:
        if isinstance(message, Halt):
            self.desk.halted = f"{message.by}: {message.why}"
            return None
        return await real(self, sender, message)

    swap(Executor, "hear", hear)


@_bug("mode not heeded", "It opens at a venue that does not take orders now.", "I14")
def _mode_not_heeded(swap: Swap) -> None:
    _row_passes(swap, "venue")


@_bug("stale book accepted", "How old a book is, and whether the feed vouches for it, is not asked.", "I14")
def _stale_book_accepted(swap: Swap) -> None:
    _row_passes(swap, "fresh books")


@_bug("fee version ignored", "A market's new fees are not taken over.", "I14")
def _fee_version_ignored(swap: Swap) -> None:
    real = Executor.hear

    async def hear(self: Executor, sender: str, message: Message) -> Message | None:
        if isinstance(message, MarketsSeen):
            old = self.scout.markets
            kept = tuple(
                market.model_copy(update={"fees": old[(market.venue, market.market)].fees})
                if (market.venue, market.market) in old
                else market
                for market in message.markets
            )
            message = message.model_copy(update={"markets": kept})
        return await real(self, sender, message)

    swap(Executor, "hear", hear)


@_bug("old metadata accepted", "What a market was like at the start is what it is like.", "I14")
def _old_metadata_accepted(swap: Swap) -> None:
    real = Executor.hear

    async def hear(self: Executor, sender: str, message: Message) -> Message | None:
        if isinstance(message, MarketsSeen):
            old = self.scout.markets
            kept = tuple(old.get((market.venue, market.market), market) for market in message.markets)
            message = message.model_copy(update={"markets": kept})
        return await real(self, sender, message)

    swap(Executor, "hear", hear)


@_bug("cool-down forgotten", "A market is opened again as soon as the trade in it is over.", "I14")
def _cool_down_forgotten(swap: Swap) -> None:
    swap(Desk, "not_before", lambda self, key: Nanos(0))


@_bug("lock of the market forgotten", "A market is opened again while a trade in it is not over.", "I17", "I14")
def _lock_of_the_market_forgotten(swap: Swap) -> None:
    swap(Desk, "flight_of", lambda self, key, now: None)
    swap(Desk, "not_before", lambda self, key: Nanos(0))


# Money


@_bug("capital not checked", "Whether the capital of a venue pays for a leg is not asked.", "I6")
def _capital_not_checked(swap: Swap) -> None:
    _row_passes(swap, "capital")


@_bug("reservation released in doubt", "An order without proof no longer ties up its capital.", "I9", "I6")
def _reservation_released_in_doubt(swap: Swap) -> None:
    real = ledger._need

    def need(state: OrderState, fees: FeeSchedule) -> int:
        return 0 if state.phase is Phase.DOUBT else real(state, fees)

    swap(ledger, "_need", need)


@_bug("capital granted twice", "Whoever asks again, since the answer was lost, is granted as much again.", "I6")
def _capital_granted_twice(swap: Swap) -> None:
    def grant(self: PositionBook, sender: str, want: WantCapital) -> None:
        key = (want.venue, want.holder)
        granted = self._granting(want, Money(self._granted.get(key, 0) + want.wanted))
        self._keeping.remember([granted])
        self._outbox.tell(sender, granted)

    swap(PositionBook, "_grant", grant)


@_bug("netting forgotten", "YES and NO of one market are kept where the venue turned them into cash.", "I4")
def _netting_forgotten(swap: Swap) -> None:
    def netting(_: Accounts, _entry: Booked) -> Iterator[Posting]:
        return iter(())

    swap(Accounts, "_netting", netting)


@_bug("reversal not booked", "A match that was taken back stays in the books.", "I4")
def _reversal_not_booked(swap: Swap) -> None:
    real = vars(desk)["booked"]

    def booked(before: Trade | None, after: Trade, seq: int, at: Nanos) -> Iterator[Booked]:
        reversed_ = {
            fill.fill for state in after.orders for fill in state.fills if fill.settlement is Settlement.REVERSED
        }
        return (entry for entry in real(before, after, seq, at) if entry.fill not in reversed_)

    swap(desk, "booked", booked)


# Order budgets


@_bug("reserve spent on opening", "Opening may use up what is kept for closing.", "I7")
def _reserve_spent_on_opening(swap: Swap) -> None:
    swap(keys, "RESERVE_PERCENT", 0)


@_bug("closing budget opens", "An opening order is paid from the part of the lease that is for closing.", "I7")
def _closing_budget_opens(swap: Swap) -> None:
    left, spend = KeyRing.opening_left, KeyRing.spend

    def opening_left(self: KeyRing, venue: str, now: Nanos) -> int:
        lease = self._leases.get(venue)
        closing = lease.closing - lease.closed if lease is not None and now < lease.closing_until else 0
        return left(self, venue, now) + max(0, closing)

    def spent(self: KeyRing, venue: str, now: Nanos, *, closing: bool) -> bool:
        return spend(self, venue, now, closing=closing) or spend(self, venue, now, closing=True)

    swap(KeyRing, "opening_left", opening_left)
    swap(KeyRing, "spend", spent)


@_bug("lease minted twice", "A lease is granted and not taken out of the budget.", "I7", "I6")
def _lease_minted_twice(swap: Swap) -> None:
    real = Pool._granted

    def granted(self: Pool, grant: KeysGranted) -> None:
        level = self.level
        real(self, grant)
        self.level = level

    swap(Pool, "_granted", granted)
    swap(Pool, "_room", property(lambda self: self.capacity * keys.TOKEN))


@_bug("lease that comes twice", "A lease that the mail brings again, or late, may be spent again.", "I7")
def _lease_that_comes_twice(swap: Swap) -> None:
    real = KeyRing.granted

    def granted(self: KeyRing, grant: KeysGranted, now: Nanos) -> None:
        held = self._leases.get(grant.venue)
        if held is not None and grant.lease <= held.number and grant.opening:
            del self._leases[grant.venue]
        real(self, grant, now)

    swap(KeyRing, "granted", granted)


@_bug("expired lease spent", "A lease is spent on after its time, when somebody else may have what was in it.", "I7")
def _expired_lease_spent(swap: Swap) -> None:
    left, spend = KeyRing.opening_left, KeyRing.spend
    swap(KeyRing, "opening_left", lambda self, venue, now: left(self, venue, Nanos(0)))

    def spent(self: KeyRing, venue: str, _: Nanos, *, closing: bool) -> bool:
        return spend(self, venue, Nanos(0), closing=closing)

    swap(KeyRing, "spend", spent)


# Claims


@_bug("custody returned by time", "A claim that was not renewed for a while is given to whoever asks.", "I17")
def _custody_returned_by_time(swap: Swap) -> None:
    real, may_have = InFlight._claim, Claims._may_have
    heard: WeakKeyDictionary[InFlight, dict[str, Nanos]] = WeakKeyDictionary()

    def claim(self: InFlight, sender: str, want: WantClaims) -> None:
        now, renewed = self._clock.now(), heard.setdefault(self, {})
        renewed[want.holder] = now
        for group, holder in list(self.claims.holders.items()):
            if now - renewed.get(holder, now) > SECOND:
                del self.claims.holders[group]
        real(self, sender, want)

    swap(InFlight, "_claim", claim)
    swap(Claims, "_may_have", lambda self, holder, group: may_have(self, holder, group) or group not in self.holders)


@_bug("claims granted to two", "A group is granted to whoever asks for it, whoever has it.", "I17")
def _claims_granted_to_two(swap: Swap) -> None:
    swap(Claims, "_may_have", lambda self, holder, group: True)


@_bug("claim kept after its return", "A group that was given back is still opened in.", "I17")
def _claim_kept_after_its_return(swap: Swap) -> None:
    real = Held.fold

    def fold(self: Held, message: ClaimsGranted | ReturnClaims | ClaimsReturned) -> None:
        before = dict(self.terms)
        real(self, message)
        self.terms = before | self.terms

    swap(Held, "fold", fold)


@_bug("late grant revives a claim", "A grant that comes late brings back what was given back since.", "I17")
def _late_grant_revives_a_claim(swap: Swap) -> None:
    def granted(self: Held, claim: Claim) -> bool:
        return claim[0] not in self.asked_back and claim[1] > self.terms.get(claim[0], 0)

    swap(Held, "_granted", granted)


@_bug("claim given back in mid-trade", "A group is given back while a trade in it is not over.", "I17")
def _claim_given_back_in_mid_trade(swap: Swap) -> None:
    swap(Desk, "quiet", lambda self, group, now: True)


# Reports


@_bug("report lost with its owner", "What an owner has not acknowledged is forgotten when it restarts.", "I4")
def _report_lost_with_its_owner(swap: Swap) -> None:
    real = Dispatch.owner_restarted

    def restarted(self: Dispatch, owner: str) -> None:
        real(self, owner)
        if owner in self._lines:
            self._lines[owner].entries.clear()

    swap(Dispatch, "owner_restarted", restarted)


@_bug("report lost with its source", "What was not reported before a restart is not reported after it.", "I4")
def _report_lost_with_its_source(swap: Swap) -> None:
    def recall(self: Executor) -> None:
        self._memory.recall(self.desk.apply)

    swap(Executor, "_recall", recall)


@_bug("report counted twice", "A report that comes twice is booked twice.", "I4")
def _report_counted_twice(swap: Swap) -> None:
    real = Heard.part

    def part(self: Heard, report: Reported, kind: Literal["booked", "flights", "cooled"]) -> Reported | None:
        known, self.upto[report.source] = self.upto.get(report.source, 0), report.after
        try:
            return real(self, report, kind)
        finally:
            self.upto[report.source] = known

    swap(Heard, "part", part)


@_bug("acknowledged before the append", "An owner says that it has a report, and then writes it down.", "I4", "I19")
def _acknowledged_before_the_append(swap: Swap) -> None:
    def report(self: Keeping, sender: str, told: Reported) -> None:
        part = self.heard.part(told, self._entries)
        answer = self.heard.answer(self._place.name, self._memory.epoch, told.source)
        if part is not None:
            answer = answer.model_copy(update={"upto": part.upto})
        self._outbox.tell(sender, answer)
        reach("before-reply")
        if part is not None:
            self.remember([part])

    swap(Keeping, "report", report)


# The journal


@_bug("old epoch accepted", "The journal takes records of an incarnation that has a successor.", "I17")
def _old_epoch_accepted(swap: Swap) -> None:
    real = ForgetfulJournal.append

    def append(self: ForgetfulJournal, records: Sequence[Record], at_ns: int) -> int:
        newest, self._disk.epoch = self._disk.epoch, self.epoch
        try:
            return real(self, records, at_ns)
        finally:
            self._disk.epoch = newest

    swap(ForgetfulJournal, "append", append)


@_bug("failed append ignored", "It goes on trading when the journal could not be written.", "I3", "I6", "I8", "I17")
def _failed_append_ignored(swap: Swap) -> None:
    real = Memory.remember

    def remember(self: Memory, messages: Sequence[Message]) -> int:
        try:
            return real(self, messages)
        except JournalFailed:
            return self.seq

    swap(Memory, "remember", remember)


@_bug("power level ignored", "Intents are not on disk yet when their orders leave.", "I3", "I8", "I17")
def _power_level_ignored(swap: Swap) -> None:
    real = Memory.__init__

    def init(self: Memory, place: Place, clock: Clock, level: str, wait_s: float = 10.0) -> None:
        del level
        real(self, place, clock, "process", wait_s)

    swap(Memory, "__init__", init)
