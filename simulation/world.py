"""One scenario: a whole engine, its venues and everything that happens to them, in virtual time.

Two phases. First faults strike, drawn from the seed; then they stop, whatever was broken is mended, and everything must
come to an end within a bounded time. The judge looks after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

import msgspec

from actors import points
from actors.cooldowns import CooldownOwner
from actors.executor import Executor
from actors.in_flight import InFlight
from actors.key_pool import KeyPool
from actors.position_book import PositionBook
from actors.shell import Place, Shell, Unheard
from configs.settings import money, read_settings
from core.checks import Approved, Limits, check
from core.desk import Applied
from core.intent import intend, terms_of
from journal.forgetful import stores
from journal.port import Record
from messages.base import Command, Message, decode, encode, parse
from messages.books import Book
from messages.control import PeerDown, PeerUp, Resume, VenueSeen
from messages.leases import MarketsSeen
from messages.markets import Pair, VenueMode
from messages.opportunities import Opportunity
from messages.orders import FillSeen, OrderSeen
from messages.trades import Bounds
from messages.units import MILLISECOND, SECOND, Nanos, Quantity
from simulation.chance import Chance, Fault, Hit
from simulation.disk import Disks, Fate
from simulation.exchange import KALSHI, POLYMARKET, Exchange
from simulation.judge import Judge
from simulation.loop import Process, Timeline
from simulation.scene import OWNERS, Scene
from simulation.wire import Line
from venues.factory import capabilities
from venues.port import Trading

START = Nanos(1_800_000_000 * SECOND)
"""When every scenario begins; no journal of it is older."""
SETTLED_WITHIN = Nanos(90 * SECOND)
"""How long after the last fault everything must be over."""
LOOK_EVERY = Nanos(50 * MILLISECOND)
"""How often it is asked whether everything is over."""
MAKERS_EVERY = Nanos(800 * MILLISECOND)
DEATH_SEEN = Nanos(26 * MILLISECOND)


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that somebody does, with what it is about."""

    what: str
    about: Message | None = None
    peer: str = ""
    """Whom it comes from or goes to."""

    def __str__(self) -> str:
        about = "" if self.about is None else f" {self.about!r}"
        return f"{self.what}{f' {self.peer}:' if self.peer else ''}{about}"


Telling = Callable[[Nanos, str, Note], None]
"""Hears of everything that happens, as (time since the start, who, what): how a failing scenario becomes a story."""


class Killed(BaseException):
    """The process ends here."""


class Clock:
    """What one incarnation takes for the time: anchored at its start, and true to the nanosecond from there on."""

    __slots__ = ("_offset", "_time")

    def __init__(self, time: Timeline, offset: Nanos) -> None:
        self._time, self._offset = time, offset

    def now(self) -> Nanos:
        return Nanos(self._time.now + self._offset)


@dataclass(slots=True, eq=False)
class Resident:
    """One incarnation of one actor."""

    name: str
    epoch: int
    process: Process
    clock: Clock
    shell: Shell
    up: bool = False
    knows: set[str] = field(default_factory=set)
    """Whom it was introduced to."""
    floors: dict[str, int] = field(default_factory=dict)
    """Of each sender the newest incarnation that it knows; an older one is not heard."""


class Trader(Executor):
    """The executor, with its edges in this world."""

    world: World
    resident: Resident

    def _adapters(self) -> dict[str, dict[str, Trading]]:
        world = self.world
        return {
            name: {
                key.name: Line(world, self.resident, world.exchanges[name], key.name, capabilities(venue))
                for key in venue.keys
            }
            for name, venue in self.settings.venues.items()
        }

    def _pairs(self) -> tuple[Pair, ...]:
        return self.world.scene.pairs

    folding = False
    """Inside a commit the fold is ahead of the journal."""

    # What the judge looks at

    @property
    def seq(self) -> int:
        return self._memory.seq

    @property
    def problem(self) -> BaseException | None:
        return self._problem

    @property
    def waiting(self) -> int:
        return len(self._inbox)

    @property
    def unreported(self) -> int:
        return self._dispatch.unreported

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def bounds(self) -> Bounds:
        return self._bounds

    def shown(self, books: Sequence[Book]) -> None:
        """By a feed."""
        self._books(books)

    # What the judge sees happen

    def _recall(self) -> None:
        super()._recall()
        self.world.judge.recalled(self)

    def _commit(self, messages: Sequence[Message]) -> None:
        self.folding = True
        super()._commit(messages)
        self.folding = False

    def _noted(self, applied: Applied) -> None:
        self.world.judge.moved(self, applied)
        super()._noted(applied)

    def _perform(self, commands: Sequence[Command]) -> None:
        self.world.judge.performs(self, commands)
        super()._perform(commands)

    def offer(self, basket: Opportunity) -> bool:
        """A set of legs that no scout finds yet: the same column, and the same way from permission to the wire."""
        now = self._clock.now()
        approved = check(basket, self.scout.view(now), lambda most: basket.model_copy(update={"quantity": Quantity(0)}))
        if not isinstance(approved, Approved):
            return False
        terms = tuple(terms_of(leg, self.scout.markets, self._policy) for leg in basket.legs)
        self._commit([intend(approved, self.desk.next_trade(self.epoch), terms, self._bounds, now)])
        return True


class Outbox:
    """What a shell tells goes into the world's mail."""

    def __init__(self, world: World, resident: Resident) -> None:
        self._world, self._resident = world, resident

    def tell(self, to: str, message: Message) -> int:
        found = [name for name in sorted(self._resident.knows) if fnmatchcase(name, to)]
        for name in found:
            self._world.post(self._resident, name, message)
        return len(found)

    async def ask(self, to: str, message: Message, within: Nanos) -> Message:
        raise Unheard(to)


class World:
    """Everything of one scenario; `run` is the whole of it."""

    def __init__(self, seed: int, only: Collection[Hit] | None = None, told: Telling | None = None) -> None:
        self.seed = seed
        self.told = told
        self.time = Timeline(START)
        self.chance = Chance(seed, only, now=lambda: self.time.now)
        self.scene = Scene.drawn(self.chance)
        self.events = 0
        self.exchanges = {
            rules.name: Exchange(
                rules,
                self.scene.listings(rules.name),
                self.scene.deposit,
                self.chance,
                lambda: self.time.now,
                self.time.after,
                self._stream,
            )
            for rules in (KALSHI, POLYMARKET)
        }
        self.disks = Disks(self)
        self.residents: dict[str, Resident] = {}
        self.waiting: dict[str, list[tuple[Resident, Message]]] = {}
        self._epochs = 0
        self._offset = Nanos(0)
        self.stepped = False
        """Whether the machine's clock was ever set."""
        self._frozen_until: dict[str, Nanos] = {}
        self._deadly: dict[str, str] = {}
        self.names = tuple(f"executor.{n}" if n > 1 else "executor" for n in range(1, self.scene.executors + 1))
        self.judge = Judge(self)
        self.halted = False
        settings = read_settings(self.scene.settings)
        self.capital = money(settings.venues["kalshi"].capital_dollars)
        """At each venue, for all executors."""

    def note(self, who: str, what: str, about: Message | None = None, peer: str = "") -> None:
        if self.told is not None:
            self.told(Nanos(self.time.now - START), who, Note(what, about, peer))

    def trace(self) -> str:
        """A hash of all that happened: every record of every journal with its time, and what the venues know."""
        whole = sha256(f"{self.seed} {self.events} {self.time.now} {self.judge.broken}".encode())
        for name, journal in sorted(self.disks.journals.items()):
            whole.update(f"{name} {journal.epoch} {journal.last_seq}".encode() + journal.last_hash)
        for venue, exchange in self.exchanges.items():
            whole.update(f"{venue} {exchange.cash} {sorted(exchange.orders)} {len(exchange.log)}".encode())
        whole.update(repr([(at, str(hit)) for at, hit in self.chance.struck]).encode())
        return whole.hexdigest()

    # A scenario

    def run(self) -> Judge:
        key = f"scenario-{self.seed}"
        stores[key] = self.disks
        points.watch(self)
        try:
            self._begin(key)
            self._play()
            if not self.judge.broken:
                self.judge.verdict()
        except Broken as problem:
            self.judge.broke(str(problem))
        finally:
            points.watch(None)
            del stores[key]
        return self.judge

    def _begin(self, key: str) -> None:
        self._place_key = key
        for names in (OWNERS, self.names):
            for name in names:
                self._start(name)
            self.time.settle()
        self.scene.plan(self)

    def _play(self) -> None:
        time = self.time
        over_at = START + self.scene.faults_for
        time.at(over_at, self._mend)
        time.after(MAKERS_EVERY, self._makers_return)
        next_look = over_at
        while not time.idle:
            time.step()
            self.judge.look()
            if self.judge.broken:
                return
            if time.now >= next_look:
                next_look = Nanos(time.now + LOOK_EVERY)
                if self.chance.over and self.judge.done():
                    return
            if time.now > over_at + SETTLED_WITHIN:
                self.judge.broke("I19: it did not settle in time: " + self.judge.unsettled())
                return

    def _makers_return(self) -> None:
        """Who quotes comes back where a book was emptied, so that there is a price for everything at last."""
        for exchange in self.exchanges.values():
            for listing in exchange.listings.values():
                if listing.open and not (listing.deep(listing.asks) and listing.deep(listing.bids)):
                    listing.quote()
        self.time.after(MAKERS_EVERY, self._makers_return)

    def _mend(self) -> None:
        """The faults are over: what is stopped continues, what is dead comes back, people lift their halts."""
        self.chance.over = True
        self.note("world", "stops its faults")
        for exchange in self.exchanges.values():
            exchange.mode = VenueMode.OPEN
            exchange.revoked.clear()
            for listing in exchange.listings.values():
                exchange.reopen(listing.market)
        for resident in list(self.residents.values()):
            if not resident.process.dead and resident.process.stopped:
                resident.process.go_on()
        if self.halted:
            self.tell_executors(Resume(by="operator", why="the faults are over"))
        self.refresh()

    # Living and dying

    def _start(self, name: str) -> None:
        if name in self.residents and not self.residents[name].process.dead:
            return
        self._epochs += 1
        if name in self.residents and self.chance.hit(Fault.CLOCK_STEPPED):
            step = self.chance.pick("steps", (-3_600, -60, -3, 3, 60, 3_600))
            self._offset = Nanos(self._offset + step * SECOND)
            self.stepped = True
        process = Process.born(self.time, f"{name}#{self._epochs}")
        place = Place(name, self._epochs, Path(), self.scene.settings, store=self._place_key)
        shell = self._shell(place)
        resident = Resident(name, self._epochs, process, Clock(self.time, self._offset), shell)
        if isinstance(shell, Trader):
            shell.world, shell.resident = self, resident
        self.residents[name] = resident
        process.run(self._started, resident)

    def trader(self, name: str) -> Trader:
        """The executor of this name, in its latest incarnation."""
        shell = self.residents[name].shell
        assert isinstance(shell, Trader)
        return shell

    def _shell(self, place: Place) -> Shell:
        kind = place.name.partition(".")[0]
        shells: dict[str, Callable[[Place], Shell]] = {
            "executor": Trader,
            "key_pool": KeyPool,
            "position_book": PositionBook,
            "in_flight": InFlight,
            "cooldowns": CooldownOwner,
        }
        return shells[kind](place)

    def _started(self, resident: Resident) -> None:
        """Peers that are up already can be told something from the first line of its start."""
        for other in self.residents.values():
            if other.up and not other.process.dead and _linked(resident.name, other.name):
                resident.knows.add(other.name)
                resident.floors[other.name] = other.epoch
                other.knows.add(resident.name)  # what it tells us waits until we are up
        work = resident.shell.start(Outbox(self, resident), resident.clock)
        task = resident.process.create_task(work)
        task.add_done_callback(lambda done: self._ready(resident, done.exception()))

    def _ready(self, resident: Resident, problem: BaseException | None) -> None:
        if resident.process.dead:
            return
        if problem is not None:
            self.ended(resident, problem)
            return
        resident.up = True
        self.note(resident.name, f"is up, incarnation {resident.epoch}")
        self.judge.started(resident)
        self.time.after(0, self._introduce_all, resident)

    def _introduce_all(self, resident: Resident) -> None:
        """It hears of everybody that it may tell, and they of it; none waits for another."""
        for other in list(self.residents.values()):
            if other is resident or not _linked(resident.name, other.name):
                continue
            if other.up and not other.process.dead and other.name in resident.knows:
                self._introduce(resident, other)
            for hearer, peer in ((resident, other), (other, resident)):
                if hearer is resident and other.name in resident.knows:
                    continue
                late = self.chance.hit(Fault.INTRODUCTION_LATE, 0.3)
                delay = self.chance.ms("introductions", 200, 2_500) if late else self.chance.ms("introductions", 0.2, 3)
                self.time.after(delay, self._introduce, hearer, peer)
        for sender, message in self.waiting.pop(resident.name, ()):
            self._deliver(sender, resident.name, message)
        if resident.name in self.names:
            self.refresh(resident.name)

    def _introduce(self, hearer: Resident, peer: Resident) -> None:
        if hearer.process.dead or not peer.up or hearer.floors.get(peer.name, -1) > peer.epoch:
            return
        self.events += 1
        hearer.floors[peer.name] = peer.epoch
        hearer.knows.add(peer.name)
        if peer.process.dead:
            return
        hearer.process.run(hearer.shell.introduced, PeerUp(name=peer.name, epoch=peer.epoch))

    def kill(self, name: str) -> None:
        """SIGKILL: at once, wherever it stands."""
        resident = self.residents.get(name)
        if resident is None or resident.process.dead:
            return
        resident.process.kill()
        self.note(name, "dies")
        journal = self.disks.journals.get(name)
        if journal is not None:
            journal.crash()
        self.judge.died(resident)
        self.events += 1
        self.time.after(DEATH_SEEN, self._death_seen, resident)
        again = self.chance.ms("restarts", 30, 120)
        if self.chance.hit(Fault.SLOW_RESTART):
            again = self.chance.ms("restarts", 500, 4_000)
        self.time.after(again, self._start, name)

    def _death_seen(self, dead: Resident) -> None:
        for other in self.residents.values():
            if other.process.dead or not other.up or not _linked(other.name, dead.name):
                continue
            if other.floors.get(dead.name, dead.epoch) <= dead.epoch:
                other.process.run(other.shell.introduced, PeerDown(name=dead.name, epoch=dead.epoch))

    def ended(self, resident: Resident, problem: BaseException) -> None:
        """It failed by itself; its supervisor ends it and starts another."""
        self.judge.failed(resident, problem)
        self.kill(resident.name)

    def stop_for(self, name: str, long: Nanos) -> None:
        resident = self.residents[name]
        if resident.process.dead or resident.process.stopped:
            return
        resident.process.stop_for_now()
        self.note(name, f"is stopped for {long // MILLISECOND} ms")
        self.time.after(long, self._go_on, resident)

    def _go_on(self, resident: Resident) -> None:
        if not resident.process.dead and resident.process.stopped:
            self.note(resident.name, "continues")
            resident.process.go_on()

    # Where a process dies (`actors.points`), and what its disk does to it

    DEADLY: ClassVar[dict[str, tuple[Fault | None, Fault | None]]] = {
        "before-append": (Fault.KILLED_BEFORE_APPEND, Fault.OWNER_KILLED_BEFORE_APPEND),
        "after-append": (Fault.KILLED_AFTER_APPEND, None),
        "between-legs": (Fault.KILLED_BETWEEN_LEGS, None),
        "before-report": (Fault.KILLED_BEFORE_REPORT, None),
        "before-reply": (None, Fault.OWNER_KILLED_BEFORE_REPLY),
    }

    def armed(self, point: str) -> bool:
        """Whether the next passage is deadly; drawn here, so that the legs are sent apart where it is."""
        process = self.time.running
        if process is None or point != "between-legs" or not self.chance.hit(Fault.KILLED_BETWEEN_LEGS):
            return False
        self._deadly[process.name] = point
        return True

    def reach(self, point: str) -> None:
        process = self.time.running
        if process is None or process.dead or point not in self.DEADLY:
            return
        if point == "between-legs":
            if self._deadly.pop(process.name, "") == point:
                self._die(process)
            return
        fault = self.DEADLY[point][0 if process.name.startswith("executor") else 1]
        if fault is not None and self.chance.hit(fault, 0.15):
            self._die(process)

    def _die(self, process: Process) -> None:
        self.kill(process.name.partition("#")[0])
        raise Killed

    def fate(self, writer: str) -> Fate:
        trades = writer in self.names
        if self.chance.hit(Fault.KILLED_IN_APPEND if trades else Fault.OWNER_KILLED_IN_APPEND, 0.1):
            return self.chance.pick("fates", (Fate.DIES_LANDED, Fate.DIES_LOST))
        if self.chance.hit(Fault.DISK_FULL, 0.05):
            return Fate.FULL
        return Fate.GOOD

    def appended(self, writer: str, records: Sequence[Record], last: int) -> None:
        if self.told is not None:
            for record in records:
                self.note(writer, "remembers", parse(record.kind, record.body))
        self.judge.appended(writer, records, last)

    def dies(self, writer: str) -> None:
        self.kill(writer)
        raise Killed

    # Mail

    def post(self, sender: Resident, to: str, message: Message) -> None:
        if sender.process.dead:
            return
        if self.scene.encoded:
            message = decode(encode(message))
        self.note(sender.name, "tells", message, to)
        hit = self.chance.hit
        if hit(Fault.MAIL_LOST, 0.5):
            return
        delay = self.chance.ms("mail", 0.2, 1.5)
        if hit(Fault.MAIL_LATE, 0.5):
            delay = self.chance.ms("mail", 20, 3_000)
        self.time.after(delay, self._deliver, sender, to, message)
        if hit(Fault.MAIL_TWICE, 0.5):
            self.time.after(self.chance.ms("mail", 0.2, 2_500), self._deliver, sender, to, message)

    def _deliver(self, sender: Resident, to: str, message: Message) -> None:
        hearer = self.residents.get(to)
        if hearer is None or hearer.process.dead or not hearer.up:
            self.waiting.setdefault(to, []).append((sender, message))
            return
        if sender.epoch < hearer.floors.get(sender.name, -1):
            return
        hearer.floors[sender.name] = sender.epoch
        self.hear(hearer, sender.name, message)

    def hear(self, hearer: Resident, sender: str, message: Message) -> None:
        if hearer.process.dead or not hearer.up:
            return
        self.events += 1
        hearer.process.run(self._heard, hearer, sender, message)

    def _heard(self, hearer: Resident, sender: str, message: Message) -> None:
        self.judge.delivers(hearer, message)
        if self.told is not None:
            self.note(hearer.name, "hears", message, sender)
        work = hearer.shell.hear(sender, message)
        try:
            work.send(None)
        except StopIteration:
            pass
        except Killed:
            pass
        except Exception as problem:  # noqa: BLE001  its supervisor ends whoever cannot bear a message
            self.ended(hearer, problem)
        else:
            raise Broken(f"{hearer.name} made its other messages wait while it heard {type(message).__name__}")

    def tell_executors(self, message: Message) -> None:
        for name in self.names:
            resident = self.residents[name]
            self.hear(resident, "operator", message)

    # The venues' voices

    def _stream(self, seen: OrderSeen | FillSeen) -> None:
        """The private stream of a venue, as every executor hears it."""
        self.note(seen.venue, "announces", seen)
        hit = self.chance.hit
        if self.time.now < self._frozen_until.get(seen.venue, 0):
            return
        if hit(Fault.STREAM_FROZEN, 0.3):
            self._frozen_until[seen.venue] = Nanos(self.time.now + self.chance.ms("frozen", 500, 4_000))
            return
        for name in self.names:
            if hit(Fault.STREAM_LOST, 0.7):
                continue
            delay = self.chance.ms("stream", 1, 80)
            if hit(Fault.STREAM_LATE, 0.7):
                delay = self.chance.ms("stream", 80, 2_500)
            self.time.after(delay, self._streamed, name, seen)
            if hit(Fault.STREAM_TWICE, 0.7):
                self.time.after(self.chance.ms("stream", 1, 2_500), self._streamed, name, seen)

    def _streamed(self, name: str, seen: OrderSeen | FillSeen) -> None:
        resident = self.residents[name]
        self.hear(resident, f"account.{seen.venue}", seen)

    def refresh(self, *names: str, metadata: bool = True) -> None:
        """The venues' modes, and their metadata, as the feeds tell them again and again."""
        now = self.time.now
        for venue, exchange in self.exchanges.items():
            told: list[Message] = [VenueSeen(venue=venue, mode=exchange.mode, reachable=True, at=now)]
            if metadata:
                markets = tuple(exchange.market(market) for market in exchange.listings)
                told.append(MarketsSeen(venue=venue, markets=markets, at=now))
            for executor in names or self.names:
                for message in told:
                    self.hear(self.residents[executor], f"feed.{venue}", message)

    def show(self, keys: Sequence[tuple[str, str]]) -> None:
        """These books, as they are now, to every executor."""
        hit = self.chance.hit
        books = []
        for venue, market in keys:
            book = self.exchanges[venue].book(market)
            if hit(Fault.BOOK_GAP):
                book = msgspec.structs.replace(book, fresh=False)
            books.append(book)
        for name in self.names:
            delay = self.chance.ms("books", 1, 20)
            if hit(Fault.BOOK_STALE):
                delay = self.chance.ms("books", 300, 3_000)
            self.time.after(delay, self._shown, name, books)

    def _shown(self, name: str, books: list[Book]) -> None:
        resident = self.residents[name]
        if resident.up and not resident.process.dead and isinstance(resident.shell, Trader):
            self.events += 1
            if self.told is not None:
                self.note(name, "sees " + ", ".join(f"book {book.sequence} of {book.market}" for book in books))
            self.judge.shows(resident, books)
            resident.process.run(resident.shell.shown, books)


class Broken(Exception):
    """An invariant does not hold."""


def _linked(one: str, other: str) -> bool:
    """Whether they are introduced to each other: executors and owners are."""
    return one.startswith("executor") != other.startswith("executor")
