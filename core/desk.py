"""Everything one executor knows, as a fold over its journal.

The same `apply` runs live, in recovery and in the proof: live its commands are performed after the commit, elsewhere
they are dropped. What the owners must hear is derived here too, each entry with the sequence of the record that caused
it, so that a successor derives the very same entries and an owner can tell which it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.claims import Held
from core.flights import NEVER, not_before, refused, released_at, why_released
from core.ledger import Accounts, booked, committed
from core.machine import open_trade, step
from core.trade import OrderState, Trade
from messages.base import Command, Event, Message, body_of
from messages.control import Halt, Resume
from messages.leases import (
    Booked,
    CapitalGranted,
    ClaimsGranted,
    ClaimsReturned,
    CooldownsSet,
    Cooled,
    Flight,
    ReturnClaims,
)
from messages.orders import Named, OrderReport, Submit
from messages.trades import CursorMoved, Opened, Quoted, Rehearsed, Restarted, RulesChanged, Woke
from messages.units import Money, Nanos, Outcome, Quantity

Key = tuple[str, str]


@dataclass(slots=True)
class Applied:
    """What one record caused: commands to perform, and entries for the owners."""

    commands: list[Command] = field(default_factory=list)
    booked: list[Booked] = field(default_factory=list)
    flights: list[Flight] = field(default_factory=list)
    cooled: list[Cooled] = field(default_factory=list)
    moved: list[tuple[Trade | None, Trade]] = field(default_factory=list)
    """Trades before and after, for whoever tells stories about them."""


def id_root(genesis: str, executor: str) -> str:
    """What every id of one executor begins with: executors of one engine share a genesis and must not share ids."""
    _, dot, shard = executor.partition(".")
    return f"{genesis}-{shard}" if dot else genesis


class Desk:
    """The state of one executor. Mutable for speed, but changed by `apply` alone and by nothing that is not journaled."""

    def __init__(self, genesis: str) -> None:
        self.genesis = genesis
        self.number = 0
        """Trades opened so far; the next id is made of it."""
        self.trades: dict[str, Trade] = {}
        self.open: dict[str, Trade] = {}
        """Those that are not final yet: the sweep looks at these alone."""
        self.by_order: dict[str, str] = {}
        self.by_wire: dict[tuple[str, str], str] = {}
        self.by_venue_order: dict[tuple[str, str], str] = {}
        self.halted = ""
        """Who stopped opening and why; lasts over restarts until a person lifts it."""
        self.claims = Held()
        self.granted: dict[str, int] = {}
        self.accounts = Accounts()
        self.committed: dict[str, dict[str, Money]] = {}
        self.reserved: dict[str, int] = {}
        self.flights: dict[Key, str] = {}
        """The trade that holds a market: the first of `holders`."""
        self.holders: dict[Key, list[str]] = {}
        """Mostly one; more where a trade that was over fell open again while another one held its market."""
        self.released: dict[Key, Nanos] = {}
        self.rested: dict[str, Nanos] = {}
        """By event group: when the last of its markets may be touched again."""
        self.cool: dict[Key, Nanos] = {}
        self.refusals: dict[Key, int] = {}
        self.cursors: dict[str, str] = {}
        self._digests: dict[str, bytes] = {}
        self._last: tuple[Event, Trade, tuple[Trade, tuple[Command, ...]]] | None = None

    # The fold

    def apply(self, seq: int, event: Message) -> Applied:
        """Fold one record. Total: an event that fits nothing changes nothing."""
        applied = Applied()
        match event:
            case Opened() if event.trade not in self.trades:  # its orders may not leave twice
                trade, commands = open_trade(event)
                self.number += 1
                self._moved(applied, seq, None, trade, event.at)
                applied.commands += commands
            case Rehearsed():
                self._rehearse(applied, seq, event)
            case Restarted():
                for trade in list(self.open.values()):
                    self._step(applied, seq, trade, event, event.at)
            case RulesChanged():
                for trade in list(self.open.values()):
                    self._step(applied, seq, trade, event, event.at)
            case Quoted() | Woke():
                self._step(applied, seq, self.trades.get(event.trade), event, event.at)
            case Named():
                self._named(applied, seq, event)
            case OrderReport():
                self._step(applied, seq, self._trade_of(event.order), event, event.at)
            case _:
                self._fact(event)
        return applied

    def _fact(self, event: Message) -> None:
        """What owners grant and people order: it moves no trade."""
        match event:
            case CapitalGranted():
                self.granted[event.venue] = max(self.granted.get(event.venue, 0), event.total)
            case ClaimsGranted() | ReturnClaims() | ClaimsReturned():
                self.claims.fold(event)
            case CooldownsSet():
                for venue, market, until in event.until:
                    self.cool[(venue, market)] = Nanos(max(self.cool.get((venue, market), 0), until))
            case CursorMoved():
                self.cursors[event.venue] = event.cursor
            case Halt():
                self.halted = f"{event.by}: {event.why}"
            case Resume():
                self.halted = ""

    def changes(self, event: Message) -> bool:
        """Whether folding the event would change anything: what changes nothing is not journaled."""
        trade: Trade | None
        match event:
            case Woke() | Quoted():
                trade = self.trades.get(event.trade)
            case OrderReport():
                trade = self._trade_of(event.order)
            case RulesChanged():
                return any(step(one, event)[0] is not one for one in self.open.values())
            case CapitalGranted():
                return event.total > self.granted.get(event.venue, 0)
            case ClaimsGranted() | ReturnClaims():
                return self.claims.changes(event)
            case ClaimsReturned():
                # a trade may have fallen open again since this was decided
                return self.claims.changes(event) and all(self.quiet(group, event.at) for group, _ in event.claims)
            case CooldownsSet():
                return any(until > self.cool.get((venue, market), 0) for venue, market, until in event.until)
            case _:
                return True
        if trade is None:
            return False
        after, commands = self._stepped(trade, event)
        return after is not trade or bool(commands)

    def _stepped(self, trade: Trade, event: Event) -> tuple[Trade, tuple[Command, ...]]:
        """What follows from the event; worked out once where `changes` was asked before `apply`."""
        if self._last is None or self._last[0] is not event or self._last[1] is not trade:
            self._last = event, trade, step(trade, event)
        return self._last[2]

    def _step(self, applied: Applied, seq: int, trade: Trade | None, event: Event, at: Nanos) -> None:
        if trade is None:
            return
        after, commands = self._stepped(trade, event)
        applied.commands += commands
        if after is not trade:
            self._moved(applied, seq, trade, after, at)

    def _named(self, applied: Applied, seq: int, event: Named) -> None:
        trade = self._trade_of(event.order)
        state = trade.state_of(event.order) if trade is not None else None
        if trade is None or state is None:
            return
        self._step(applied, seq, trade, event, state.order.made_at)
        self.by_wire[(state.order.venue, event.wire)] = event.order

    def _moved(self, applied: Applied, seq: int, before: Trade | None, after: Trade, at: Nanos) -> None:
        name = after.trade
        self.trades[name] = after
        self._digests.pop(name, None)
        if after.final:
            self.open.pop(name, None)
        else:
            self.open[name] = after
        for state in after.orders:
            self.by_order[state.order.order] = name
            if state.venue_order:
                self.by_venue_order[(state.order.venue, state.venue_order)] = state.order.order
        nets = {term.venue: term.nets for term in after.terms}
        for entry in booked(before, after, seq, at):
            self.accounts.post(entry, nets[entry.venue])
            applied.booked.append(entry)
        self._reserve(after)
        self._fly(applied, seq, before, after, at)
        applied.moved.append((before, after))

    def _reserve(self, trade: Trade) -> None:
        old = self.committed.pop(trade.trade, {})
        new = committed(trade)
        for venue, amount in old.items():
            self.reserved[venue] = self.reserved[venue] - amount
        for venue, amount in new.items():
            self.reserved[venue] = self.reserved.get(venue, 0) + amount
        if new:
            self.committed[trade.trade] = new

    def _fly(self, applied: Applied, seq: int, before: Trade | None, after: Trade, at: Nanos) -> None:
        was = released_at(before) if before is not None else None
        now = released_at(after)
        if was == now:
            return
        why = why_released(after)
        for key in dict.fromkeys((term.venue, term.market) for term in after.terms):
            venue, market = key
            self._hold(key, after.trade, holds=now in (0, NEVER))
            if now not in (0, NEVER):
                self._release(key, after.opened.opportunity.group, now)
                self._cool(applied, seq, key, after, at)
            applied.flights.append(
                Flight(
                    seq=seq,
                    trade=after.trade,
                    group=after.opened.opportunity.group,
                    venue=venue,
                    market=market,
                    entered=now in (0, NEVER),
                    why=why,
                    released_at=now,
                    at=at,
                )
            )

    def _hold(self, key: Key, trade: str, *, holds: bool) -> None:
        others = [name for name in self.holders.pop(key, []) if name != trade or holds]
        holders = others if trade in others or not holds else [*others, trade]
        self.flights.pop(key, None)
        if holders:
            self.holders[key], self.flights[key] = holders, holders[0]

    def _release(self, key: Key, group: str, until: Nanos) -> None:
        self.released[key] = Nanos(max(until, self.released.get(key, 0)))
        self.rested[group] = Nanos(max(until, self.rested.get(group, 0)))

    def _rehearse(self, applied: Applied, seq: int, event: Rehearsed) -> None:
        until = Nanos(event.at + event.release_after)
        for leg in event.opportunity.legs:
            key = (leg.venue, leg.market)
            self._release(key, event.opportunity.group, until)
            applied.flights.append(
                Flight(
                    seq=seq,
                    trade=event.opportunity.opportunity,
                    group=event.opportunity.group,
                    venue=leg.venue,
                    market=leg.market,
                    entered=False,
                    why="dry run",
                    released_at=until,
                    at=event.at,
                )
            )

    def _cool(self, applied: Applied, seq: int, key: Key, trade: Trade, at: Nanos) -> None:
        legs = [leg for leg, term in enumerate(trade.terms) if (term.venue, term.market) == key]
        rejected = any(refused(trade, leg) for leg in legs)
        self.refusals[key] = self.refusals.get(key, 0) + 1 if rejected else 0
        until = not_before(trade.bounds, at, self.refusals[key])
        self.cool[key] = Nanos(max(self.cool.get(key, 0), until))
        applied.cooled.append(Cooled(seq=seq, venue=key[0], market=key[1], not_before=until, rejected=rejected, at=at))

    def _trade_of(self, order: str) -> Trade | None:
        name = self.by_order.get(order)
        return self.trades[name] if name is not None else None

    def state_of(self, order: str) -> OrderState | None:
        trade = self._trade_of(order)
        return trade.state_of(order) if trade is not None else None

    # What the checks ask

    def next_trade(self, epoch: int) -> str:
        """The id of the next trade: never repeated, since the genesis differs by journal and the number only grows."""
        return f"{self.genesis}.{epoch}.{self.number + 1}"

    def free(self, venue: str) -> Money:
        """Capital granted, less what was spent of it and what is reserved. Never shown below zero."""
        spent = -self.accounts.cash.get(venue, 0)
        return Money(max(0, self.granted.get(venue, 0) - spent - self.reserved.get(venue, 0)))

    def flight_of(self, key: Key, now: Nanos) -> str | None:
        """The trade that holds a market, or held it and has not been released yet."""
        if key in self.flights:
            return self.flights[key]
        if now < self.released.get(key, 0):
            return "just ended"
        return None

    def quiet(self, group: str, now: Nanos) -> bool:
        """Nothing of this event group is in flight here: every trade in it is final and no market of it waits for release.

        Never so again where a trade of it was handed to a person. Looks at all open trades: ask only where it matters.
        """
        if now < self.rested.get(group, 0):
            return False
        holding = (self.trades[name] for names in self.holders.values() for name in names)
        return not any(trade.opened.opportunity.group == group for trade in (*self.open.values(), *holding))

    def not_before(self, key: Key) -> Nanos:
        return self.cool.get(key, Nanos(0))

    def held(self, venue: str, market: str, outcome: Outcome) -> Quantity:
        return self.accounts.held(venue, market, outcome)

    @property
    def open_trades(self) -> int:
        """Trades that are not over: neither flat nor hedged nor handed to a person."""
        return sum(1 for trade in self.open.values() if not trade.done)

    @property
    def in_doubt(self) -> int:
        return sum(1 for trade in self.open.values() for state in trade.orders if not state.proven)

    # Proof

    def digest(self) -> str:
        """A hash of everything that was folded, equal on any machine that folds the same records."""
        whole = hashlib.sha256()
        for name in sorted(self.trades):
            if name not in self._digests:
                self._digests[name] = hashlib.sha256(body_of(self.trades[name])).digest()
            whole.update(self._digests[name])
        for part in (
            self.number,
            self.halted,
            sorted(self.claims.terms.items()),
            sorted(self.claims.asked_back.items()),
            sorted(self.claims.returned.items()),
            sorted(self.granted.items()),
            sorted(self.accounts.cash.items()),
            sorted(self.accounts.fees.items()),
            sorted((v, m, o.value, n) for (v, m, o), n in self.accounts.positions.items()),
            sorted(self.reserved.items()),
            sorted(self.holders.items()),
            sorted(self.released.items()),
            sorted(self.refusals.items()),
            sorted(self.cool.items()),
            sorted(self.cursors.items()),
        ):
            whole.update(repr(part).encode())
        return whole.hexdigest()

    def submits(self, commands: Iterable[Command]) -> list[Submit]:
        return [command for command in commands if isinstance(command, Submit)]
