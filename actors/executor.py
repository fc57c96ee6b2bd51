"""The executor: owns its journal, its open trades and the leases it holds; fans out legs and sees each trade to its end.

One loop. Order events come first and are never dropped; books are conflated and judged after them. Whatever changes
the state is appended before anything is performed, all of one turn in one transaction, and between seeing an
opportunity and sending its legs no other actor is asked.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeGuard

import msgspec
from loguru import logger

from actors.book_wire import BookClient
from actors.dispatch import Dispatch
from actors.errands import Errands
from actors.gateway import Gateway
from actors.key_ring import KeyRing
from actors.memory import Memory
from actors.points import reach
from actors.rules import (
    adapters_of,
    bounds_of,
    limits_of,
    pairs_of,
    policy_of,
    sizing_of,
    yes_scale_of,
)
from actors.scout import Scout
from actors.shell import Clock, Outbox, Place
from actors.stages import Stages
from actors.translator import Translator
from configs.settings import read_settings
from core.checks import Approved
from core.desk import Applied, Desk, id_root
from core.intent import intend, terms_of
from core.story import DRY_RUN, FINAL, offered, result, tell
from core.trade import OrderState
from messages.base import Command, Message
from messages.books import Book
from messages.control import (
    Ask,
    Drain,
    Drained,
    Halt,
    PeerDown,
    PeerUp,
    Resume,
    Snapshot,
    TradeStory,
    VenueSeen,
)
from messages.leases import (
    Acknowledged,
    CapitalGranted,
    ClaimsGranted,
    CooldownsSet,
    KeysGranted,
    MarketsSeen,
    ReturnClaims,
)
from messages.markets import Market, Pair, VenueMode
from messages.opportunities import Opportunity, Verdict
from messages.orders import Cancel, FetchFills, FillSeen, LookUp, Named, OrderSeen, Repost, Role, Submit
from messages.trades import AskQuotes, Escalate, Quote, Quoted, Rehearsed, Restarted, RulesChanged, Woke
from messages.units import MILLISECOND, SECOND, Nanos
from venues.port import Failed, Trading

BOOKS_A_TURN = 64
CLOCKS_APART = Nanos(100 * MILLISECOND)
"""Processes of one machine agree better than this unless its clock was set between their starts."""
MESSAGES_A_COMMIT = 256
"""One message becomes a record, and one more for every order that it sends; an append has a bound."""


class Executor:
    """The state is `core.desk.Desk`, the rules are `core`; here they meet the world."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.settings = read_settings(place.settings)
        self.stages = Stages()
        self._inbox: deque[Message] = deque()
        self._dirty: dict[tuple[str, str], None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: dict[str, asyncio.Task[None]] = {}
        """The readers of the feeds' sockets; each is among the tasks as well."""
        self._failed: BaseException | None = None
        self._clocks_apart: set[str] = set()
        """Venues whose feed was seen to be ahead of us."""
        self._due = float("inf")
        """When this loop is to look at the clock next, on the loop's own time."""

    # Birth and end

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        settings = self.settings
        self._clock, self._wake = clock, asyncio.Event()
        self._memory = Memory(self.place, clock, settings.engine.durability.value)
        self.epoch = self._memory.epoch
        self.desk = Desk(id_root(self._memory.genesis, self.place.name))
        self._dispatch = Dispatch(self.place.name, self.epoch)
        self._recall()
        self.ring = KeyRing(self.place.name, self.epoch)
        self.gateway = Gateway(self._adapters(), self.ring, clock, self._queue, yes_scale_of(settings))
        await self.gateway.open()
        self._bounds, self._policy, self._limits = bounds_of(settings), policy_of(settings), limits_of(settings)
        self.scout = Scout(self._pairs(), self.desk, self._limits, sizing_of(settings), self.ring.opening_left)
        self._translator = Translator(self.desk, self.gateway, self._queue)
        self._errands = Errands(
            self.place,
            settings,
            self.desk,
            self._memory,
            outbox,
            clock,
            self._dispatch,
            self.ring,
            self.scout,
            self.gateway,
            self._translator,
            self._queue,
        )
        self.scout.remember(self.desk.trades.values())
        self._commit([Restarted(epoch=self.epoch, at=clock.now())])
        for loop in (
            self._work(),
            self._sweep(),
            self._watch_lag(),
            self._errands.run(),
            self._errands.follow_executions(),
            self._errands.hash_now_and_then(),
        ):
            self._spawn(loop)
        return ""

    def _recall(self) -> None:
        self._memory.recall(lambda seq, message: self._dispatch.add(self.desk.apply(seq, message)))

    def _adapters(self) -> Mapping[str, Mapping[str, Trading]]:
        return adapters_of(self.settings, self._clock)

    def _pairs(self) -> Iterable[Pair]:
        return pairs_of(self.settings)

    async def stop(self) -> None:
        """What is in flight stays in doubt, as after a death: the successor asks the venues."""
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        try:
            self.scout.end_all(self._clock.now())
            self._errands.flush()
            if self._problem is None:
                self._errands.hash()
        finally:
            await self.gateway.close()
            self._memory.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._watched(asyncio.get_running_loop().create_task(work))

    def _watched(self, task: asyncio.Task[None]) -> None:
        """A task whose failure is the actor's: an executor that half works is worse than a dead one."""
        self._tasks.add(task)

        def done(finished: asyncio.Task[None]) -> None:
            self._tasks.discard(finished)
            if not finished.cancelled() and (problem := finished.exception()) is not None:
                logger.opt(exception=problem).error("a loop of the executor failed")
                self._fail(problem)

        task.add_done_callback(done)

    def _fail(self, problem: BaseException) -> None:
        """Until the process ends nothing more is told, written or sent."""
        self._failed = self._failed or problem
        for task in self._tasks:
            task.cancel()

    # Hearing

    async def hear(self, sender: str, message: Message) -> Message | None:
        self._must_be_sound()
        match message:
            case OrderSeen() | FillSeen():
                # the stream's clock need not agree with ours, and every pause and deadline is counted on ours
                self._translator.hear(message.model_copy(update={"at": self._clock.now()}))
            case CapitalGranted() | CooldownsSet() | Halt() | Resume():
                self._queue(message)
            case ClaimsGranted() | ReturnClaims() if message.holder == self.place.name:
                if isinstance(message, ClaimsGranted):
                    self._errands.answered()
                self._queue(message)
            case KeysGranted():
                self.ring.granted(message, self._clock.now())
            case MarketsSeen():
                self.gateway.load(message.venue, message.markets)
                for market in message.markets:
                    before = self.scout.markets.get((market.venue, market.market))
                    if before is not None and market.version > before.version:
                        self._queue(
                            RulesChanged(
                                venue=market.venue,
                                market=market.market,
                                version=market.version,
                                at=self._clock.now(),
                            )
                        )
                    self.scout.markets[(market.venue, market.market)] = self._believed(market)
            case VenueSeen():
                # it may have waited for us; and no clock but ours says how old it is
                self.scout.hear_mode(message.model_copy(update={"at": min(message.at, self._clock.now())}))
            case Acknowledged():
                self._dispatch.acknowledged(message)
                self._errands.give_back()
            case Drain():
                self.scout.draining = True
                return self._drained()
            case Ask():
                body = json.dumps(self.snapshot())
                return Snapshot(name=self.place.name, epoch=self.epoch, at=self._clock.now(), body=body)
        return None

    def _queue(self, message: Message) -> None:
        self._inbox.append(message)
        self._wake.set()

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        if isinstance(peer, PeerDown):
            self._dispatch.owner_died(peer.name)
            return
        if peer.address:
            if (old := self._clients.get(peer.name)) is not None:
                old.cancel()
            self._clients[peer.name] = asyncio.create_task(BookClient().run(peer.address, self._books))
            self._watched(self._clients[peer.name])
        self._dispatch.owner_restarted(peer.name)

    def _believed(self, market: Market) -> Market:
        """By a clock that is ahead of ours nobody can tell how old a word is: its fees count as not verified."""
        fees = market.fees
        if not self._ahead(market.venue, fees.verified_at):
            return market
        return market.model_copy(update={"fees": fees.model_copy(update={"verified_at": Nanos(0)})})

    def _ahead(self, venue: str, at: int) -> bool:
        """Whether a feed's clock is ahead of ours: ours, or its, was set between our start and its start."""
        by = at - self._clock.now()
        if by <= CLOCKS_APART:
            return False
        if venue not in self._clocks_apart:
            self._clocks_apart.add(venue)
            logger.error(
                "the clock of feed.{} is {} ms ahead of this process's: nothing opens there until one of them restarts",
                venue,
                by // MILLISECOND,
            )
        return True

    def _books(self, books: Sequence[Book]) -> None:
        for book in books:
            if self._ahead(book.venue, book.seen_at):
                book = msgspec.structs.replace(book, fresh=False)  # noqa: PLW2901
            key = (book.venue, book.market)
            self.scout.books[key] = book
            self._dirty[key] = None
        self._wake.set()

    # The loop

    async def _work(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._turn()
            await asyncio.sleep(0)

    def _turn(self) -> None:
        self._must_be_sound()
        while self._inbox:
            self._commit([self._inbox.popleft() for _ in range(min(len(self._inbox), MESSAGES_A_COMMIT))])
        self.scout.lag = max(self.scout.lag, self._late())
        taken = False
        for key in list(self._dirty)[:BOOKS_A_TURN]:
            del self._dirty[key]
            seen = self._clock.now()
            for approved in self.scout.look(key, seen, self.epoch):
                self._take(approved, seen)
                taken = True
            if taken:
                break  # its requests leave as soon as this turn ends: the other books can wait
        if self._dirty:
            self._wake.set()

    @property
    def _problem(self) -> BaseException | None:
        return self._failed or self.gateway.failed

    def _must_be_sound(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _take(self, approved: Approved[Opportunity], seen: Nanos) -> None:
        """From permission to both requests on their way: one commit, no call to anybody."""
        if self.settings.dry_run:
            now = self._clock.now()
            would = approved.value
            self._commit([Rehearsed(opportunity=would, release_after=self._bounds.release_after, at=now)])
            text = f"would have opened {offered(would)}"
            self._errands.stories.append(TradeStory(trade=would.opportunity, at=now, stage=DRY_RUN, text=text))
            self.scout.taken(approved, None, Verdict.DRY_RUN, seen)
            return
        name = self.desk.next_trade(self.epoch)
        terms = tuple(terms_of(leg, self.scout.markets, self._policy) for leg in approved.value.legs)
        self._commit([intend(approved, name, terms, self._bounds, self._clock.now())])
        self.stages.add("sent", self._clock.now() - seen)
        self.scout.taken(approved, name, Verdict.TAKEN, seen)

    def _commit(self, messages: Sequence[Message]) -> None:
        """Fold, append, perform: nothing is sent or told before its cause is durable."""
        began = self._clock.now()
        try:
            records, folded = self._fold(messages)
            if not records:
                return
            reach("before-append")
            self._memory.remember(records)
        except BaseException as problem:
            # the fold is ahead of the journal now, and everything that is derived from it is wrong
            self._fail(problem)
            raise
        reach("after-append")
        self.stages.add("commit", self._clock.now() - began)
        for applied in folded:
            self._noted(applied)
        self._perform([command for applied in folded for command in applied.commands])

    def _fold(self, messages: Sequence[Message]) -> tuple[list[Message], list[Applied]]:
        """What is to be remembered of these messages, and what each of those records caused."""
        seq = self._memory.seq
        records: list[Message] = []
        folded: list[Applied] = []
        for message in messages:
            if not self.desk.changes(message):
                continue
            applied = self.desk.apply(seq := seq + 1, message)
            records.append(message)
            folded.append(applied)
            for submit in self.desk.submits(applied.commands):
                if (named := self.gateway.prepare(submit.order)) is not None:
                    folded.append(self.desk.apply(seq := seq + 1, named))
                    records.append(named)
        return records, folded

    def _noted(self, applied: Applied) -> None:
        self._dispatch.add(applied)
        now = self._clock.now()
        for before, after in applied.moved:
            for stage, text in tell(before, after, now):
                came_to = result(after) if stage == FINAL else None
                self._errands.stories.append(
                    TradeStory(trade=after.trade, at=now, stage=stage, text=text, result=came_to)
                )

    def _perform(self, commands: Sequence[Command]) -> None:
        self.gateway.submit(command for command in commands if isinstance(command, Submit))
        for command in commands:
            match command:
                case LookUp():
                    self.gateway.look_up(command, self._venue_order(command.order.order))
                case FetchFills():
                    self.gateway.fetch_fills(command, self._venue_order(command.order.order))
                case Cancel():
                    self.gateway.cancel(command, self._venue_order(command.order.order))
                case Repost():
                    self.gateway.repost(command, self._named(command.order.order), self._forbidden(command))
                case AskQuotes():
                    self._spawn(self._quote(command.trade))
                case Escalate():
                    logger.error("ESCALATED trade {}: {}", command.trade, command.text)

    def _venue_order(self, order: str) -> str | None:
        state = self.desk.state_of(order)
        return state.venue_order if state is not None else None

    def _named(self, order: str) -> Named:
        state = self.desk.state_of(order)
        return Named(order=order, wire=state.wire if state else "", key=state.key if state else "")

    def _forbidden(self, command: Repost) -> str:
        """Why executing the order now would break I13 or I14; "" where it would not."""
        order, now = command.order, self._clock.now()
        if self.desk.halted and order.role is Role.OPEN:
            return f"halted: {self.desk.halted}"
        if closed := self._closed((order.venue, order.market), now):
            return closed
        if now - self.scout.markets[(order.venue, order.market)].fees.verified_at > self._limits.fees_age_most:
            return "fees not verified"
        return "" if self._young(self.scout.books.get((order.venue, order.market)), now) else "no fresh book"

    def _closed(self, key: tuple[str, str], now: Nanos) -> str:
        """Why nothing may be sent to the market, whatever its price; "" where it may."""
        market = self.scout.markets.get(key)
        if market is None:
            return f"no metadata of {key[1]} yet"
        if not market.open or (market.closes_at is not None and market.closes_at <= now):
            return f"{key[1]} is not trading"
        mode, reachable, _ = self.scout.modes.get(key[0], (VenueMode.UNKNOWN, False, 0))
        # a venue that its feed lost is judged by whether it still shows a book
        return f"{key[0]} is {mode.value}" if reachable and mode is not VenueMode.OPEN else ""

    def _young(self, book: Book | Failed | None, now: Nanos) -> TypeGuard[Book]:
        return isinstance(book, Book) and book.fresh and now - book.seen_at <= self._limits.book_age_most

    async def _quote(self, name: str) -> None:
        """Today's prices for a recovery: from the stream where it is fresh, else read from the venue.

        Where an order at the streamed price came to nothing, the stream is not believed again: a frozen one looks
        fresh until its age says otherwise.
        """
        terms, now = self.desk.trades[name].terms, self._clock.now()
        disproved = self.desk.trades[name].aggressive > 0
        keys = list(dict.fromkeys((term.venue, term.market) for term in terms))
        missing = [
            key
            for key in keys
            if not self._closed(key, now) and (disproved or not self._young(self.scout.books.get(key), now))
        ]
        read = await asyncio.gather(*(self.gateway.reader(venue).book(market) for venue, market in missing))
        answers = dict(zip(missing, read, strict=True))
        # while one venue answered, what was known of the other has aged
        now = self._clock.now()
        quotes = []
        for term in terms:
            key = (term.venue, term.market)
            streamed = self.scout.books.get(key)
            book = answers.get(key)
            if not self._young(book, now):
                book = streamed
            if self._closed(key, now) or not self._young(book, now):
                quotes.append(Quote(usable=False))
                continue
            ticks = self.scout.markets[key].ticks
            levels = {"bids": book.bids(term.outcome), "asks": book.asks(term.outcome), "ticks": ticks}
            quotes.append(Quote.model_validate({"usable": True, **levels}))
        spendable = tuple(self.desk.free(term.venue) for term in terms)
        self._queue(Quoted(trade=name, at=now, quotes=tuple(quotes), spendable=spendable))

    # Time

    async def _sweep(self) -> None:
        """One sweep asks again about all that is unproven, instead of a timer for each order."""
        while True:
            await asyncio.sleep(self.settings.engine.sweep_ms / 1000)
            self._must_be_sound()
            now = self._clock.now()
            for trade in self.desk.open.values():
                if not trade.done or any(now >= state.ask_after and not _over(state) for state in trade.orders):
                    self._inbox.append(Woke(trade=trade.trade, at=now))
            if self._inbox:
                self._wake.set()

    async def _watch_lag(self) -> None:
        """How late this loop runs; too late is a reason not to open."""
        while True:
            every_s = self.settings.engine.lag_every_ms / 1000
            self._due = asyncio.get_running_loop().time() + every_s
            await asyncio.sleep(every_s)
            self.scout.lag = self._late()
            self.scout.forget_modes(self._clock.now())

    def _late(self) -> Nanos:
        """How far the look at the clock that is due next is behind its time, also where it has not come to it yet."""
        return Nanos(int(max(0.0, asyncio.get_running_loop().time() - self._due) * SECOND))

    # Being looked at

    def _drained(self) -> Drained:
        waiting = sum(1 for trade in self.desk.open.values() if not trade.final and not trade.escalated)
        return Drained(open_trades=waiting, in_doubt=self.desk.in_doubt, unreported=self._dispatch.unreported)

    def snapshot(self) -> dict[str, object]:
        desk = self.desk
        return {
            "epoch": self.epoch,
            "trades": len(desk.trades),
            "open_trades": desk.open_trades,
            "not_final": len(desk.open),
            "in_doubt": desk.in_doubt,
            "unreported": self._dispatch.unreported,
            "halted": desk.halted,
            "draining": self.scout.draining,
            "claims": len(desk.claims),
            "asked_back": sorted(desk.claims.asked_back),
            "free": {venue: desk.free(venue) for venue in self.settings.venues},
            "reserved": dict(desk.reserved),
            "keys": self.ring.snapshot(self._clock.now()),
            "books": len(self.scout.books),
            "lag_us": self.scout.lag // 1000,
            "crossings": self.scout.seen,
            "sent": self.gateway.sent,
            "strangers": self._translator.strangers,
            "stages": self.stages.snapshot(),
            "journal_seq": self._memory.seq,
            "failed": type(self._problem).__name__ if self._problem is not None else "",
        }


def _over(state: OrderState) -> bool:
    """Time has nothing more to say of this order."""
    return state.proven and state.settled
