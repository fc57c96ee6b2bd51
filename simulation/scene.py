"""What one scenario is about: how many executors and markets, how much capital, what will cross and when, what may strike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from configs.settings import Settings
from core.fees import worst_fee
from core.units import cost_of
from messages.control import Halt, Resume
from messages.leases import MoveClaims
from messages.markets import Pair, PairedMarket, VenueMode
from messages.opportunities import Opportunity, OpportunityKind, PlannedLeg
from messages.units import CONTRACT, DOLLAR, MILLISECOND, ONE_DOLLAR, Money, Nanos, Outcome, Price, Quantity
from simulation.chance import GENTLE, Chance, Fault
from simulation.exchange import Listing

if TYPE_CHECKING:
    from simulation.world import Resident, Trader, World

VENUES = ("kalshi", "polymarket")
OWNERS = ("key_pool.kalshi", "key_pool.polymarket", "position_book", "in_flight", "cooldowns")

TOGETHER = 0.4
"""How likely all pairs are one event group."""
LEASED_FOR = Nanos(700 * MILLISECOND)
"""A holder stops by its own clock before it, and before a successor starts: longer than any order may wait to leave."""
PLENTY = 20
"""Orders a second that no scenario needs."""
SCARCE = 0.15
"""How likely order budgets are what limits a scenario."""
EARLY_MS = 900
"""When everything then begins to cross: by this time leases and claims are there, whatever mail was lost."""
STUBBORN = 0.9
"""How likely a recovery with one attempt is often killed, and so goes on to orders that rest and are cancelled."""
LONGER_MS = 1_200
"""And how much longer faults then strike after the last crossing."""
IN_PLAY = 0.6
"""How likely what happens to a market happens to one that was just traded."""
THEMED = 0.35
LONG_DOUBT_MS = 3_000
"""Longer than any fence, so that what is old or late still strikes when orders are presumed absent."""
THEMES: tuple[tuple[int, dict[Fault, float]], ...] = (
    (0, {Fault.ANSWER_LOST: 0.4, Fault.STREAM_LOST: 1.3, Fault.STALE_READ: 0.8}),
    (LONG_DOUBT_MS, {Fault.LATE_ARRIVAL: 0.8, Fault.STREAM_LOST: 1.3, Fault.STALE_READ: 0.95}),
    (0, {Fault.TOO_LATE_ARRIVAL: 0.5, Fault.STREAM_LOST: 1.3, Fault.STREAM_FROZEN: 0.6}),
    (0, {Fault.CLAIM_MOVED: 0.6, Fault.MAIL_TWICE: 0.6, Fault.MAIL_LATE: 0.3}),
    (0, {Fault.REQUEST_LOST: 0.5, Fault.TICK_CHANGED: 0.8}),
    (0, {Fault.HALTED: 0.6, Fault.REQUEST_LOST: 0.5, Fault.EXECUTOR_KILLED: 0.3}),
)
"""Faults that do their harm together, and how much longer they then strike after the last crossing."""
RUNGS_OF_THE_GENTLE = 40
"""Where every fault leaves a way out, nobody may give up for want of attempts or money."""


@dataclass(frozen=True, slots=True)
class Size:
    """Choices for a scenario; one is drawn of each."""

    executors: tuple[int, ...]
    pairs: tuple[int, ...]
    crossings: tuple[int, ...]
    """Instants at which one or two pairs cross, or a basket is offered."""
    faults_ms: tuple[int, ...]


SIZES = (
    Size(executors=(1,), pairs=(1,), crossings=(1,), faults_ms=(600, 1_000)),
    Size(executors=(1, 1, 1, 2), pairs=(1, 2), crossings=(1, 2), faults_ms=(900, 1_500)),
    Size(executors=(1, 2), pairs=(1, 2, 3), crossings=(2, 3, 4), faults_ms=(1_500, 3_000)),
    Size(executors=(1, 2), pairs=(2, 3, 4), crossings=(4, 5, 7), faults_ms=(3_000, 5_000)),
)
SHARES = (45, 35, 15, 5)
"""Most bugs show in a small scenario, and those are quick; some need many trades at once."""


@lru_cache(maxsize=64)
def _settings(executors: int, power: bool, dollars: int, open_most: int, rungs: int, rate: int, cool_ms: int) -> str:
    """A whole configuration with everything that takes its time made short."""
    venue = {
        "capital_dollars": str(dollars),
        "request_timeout_ms": 300,
        "late_arrival_ms": 2_000,
        "orders_per_second": rate,
    }
    settings = Settings.model_validate(
        {
            "venues": {
                name: {**venue, "dialect": name, "keys": [{"name": f"{name}-{n}"} for n in (1, 2)]} for name in VENUES
            },
            "engine": {
                "executors": executors,
                "durability": "power" if power else "process",
                "sweep_ms": 100,
                "errands_ms": 200,
                "lag_every_ms": 1_000,
                "follow_ms": 3_000,
                "hash_ms": 5_000,
                "loop_lag_most_ms": 100_000,
                "fees_age_most_s": 3_600,
            },
            "risk": {
                "contracts_most": 20,
                "open_trades_most": open_most,
                "cool_down_ms": cool_ms,
                "release_after_ms": 200,
                "min_profit_cents": "0.5",
                "reject_storm": 3,
                "pause_s": 2,
            },
            "recovery": {
                "send_window_ms": 500,
                "rest_ms": 250,
                "ask_most_ms": 1_000,
                "settle_wait_ms": 1_500,
                "deadline_s": 20,
                "aggressive_most": rungs,
                "resting_most": 4 if rungs == RUNGS_OF_THE_GENTLE else 2,
                "loss_most_dollars": "10000" if rungs == RUNGS_OF_THE_GENTLE else "20",
                "reposts_most": 2,
            },
        }
    )
    return settings.model_dump_json()


@dataclass(slots=True)
class Scene:
    chance: Chance
    executors: int
    pairs: tuple[Pair, ...]
    settings: str
    power: bool
    """Every journal is on disk before anything is sent, so that a power cut takes nothing."""
    orders_per_second: int
    """At each venue; where they are few, everything crosses at once."""
    deposit: Money
    crossings: int
    faults_for: Nanos
    encoded: bool
    """Messages travel as bytes, as between real processes; otherwise as they are, which is quicker."""
    longer_ms: int
    """How much longer faults strike after the last crossing: by then orders rest, and doubts are old."""
    replayed: bool
    """At the end the whole journal is folded again; at each restart it is in any case."""

    latest: Pair | None = None
    """What crossed last."""

    @classmethod
    def drawn(cls, chance: Chance) -> Scene:
        draw = chance.stream("scene")
        size = draw.choices(SIZES, SHARES)[0]
        executors = draw.choice(size.executors)
        power = draw.random() < 0.5
        tight = draw.random() < 0.25
        dollars = draw.choice((15, 30)) if tight else 500
        rungs = RUNGS_OF_THE_GENTLE if chance.gentle else draw.choice((1, 1, 1, 2, 5))
        stubborn = rungs == 1 and draw.random() < STUBBORN
        if stubborn:
            chance.rates[Fault.KILLED_UNFILLED] = 0.5
            chance.rates.setdefault(Fault.CANCEL_LOST, 0.4)
            chance.rates.setdefault(Fault.CANCEL_ANSWER_LOST, 0.6)
        more = chance.stream("scarcity")
        rate = PLENTY
        if not chance.gentle and more.random() < SCARCE:
            size = SIZES[-1]
            executors = more.choice(size.executors)
            rate = executors * more.choice((1, 2))
            chance.rates[Fault.MAIL_TWICE] = 0.9
        longer_ms = LONGER_MS if stubborn else 0
        if more.random() < THEMED:
            themed_ms, harm = more.choice(THEMES)
            longer_ms = max(longer_ms, themed_ms)
            chance.rates.update((fault, harm[fault]) for fault in harm if fault in GENTLE or not chance.gentle)
        cool_ms = more.choice((300, 300, 1_000))
        return cls(
            chance=chance,
            executors=executors,
            pairs=tuple(_pairs(draw.choice(size.pairs) if rate == PLENTY else 4, 1 if draw.random() < TOGETHER else 4)),
            settings=_settings(executors, power, dollars, draw.choice((1, 3, 8)), rungs, rate, cool_ms),
            power=power,
            orders_per_second=rate,
            deposit=Money(2_000 * DOLLAR),
            crossings=draw.choice(size.crossings),
            faults_for=Nanos((draw.choice(size.faults_ms) + longer_ms) * MILLISECOND),
            encoded=draw.random() < 0.06,
            longer_ms=longer_ms,
            replayed=draw.random() < 0.3,
        )

    def listings(self, venue: str) -> Iterator[Listing]:
        draw = self.chance.stream(f"listings {venue}")
        for pair in self.pairs:
            for paired in pair.markets:
                if paired.venue == venue:
                    yield Listing(paired.market, pair.group, draw.randint(30, 70), 1, draw.choice((5, 12, 40, 200)))

    # What happens

    def plan(self, world: World) -> None:
        """Everything that is not an answer to something else, put on the timeline."""
        draw, time = self.chance.stream("plan"), world.time
        last = self.faults_for // MILLISECOND - max(300, self.longer_ms)
        instants = sorted(draw.randint(150, last) for _ in range(self.crossings))
        if self.orders_per_second < PLENTY:
            instants = [EARLY_MS + instant // 4 for instant in instants]
        for instant in instants:
            at = Nanos(time.start + instant * MILLISECOND)
            if draw.random() < 0.2:
                time.at(at, self._basket, world)
            else:
                many = draw.choice((1, 1, 2)) if self.orders_per_second == PLENTY else len(self.pairs)
                for pair in draw.sample(self.pairs, min(len(self.pairs), many)):
                    time.at(at, self._cross, world, pair)
            for happening in HAPPENINGS:
                time.at(at + draw.randint(0, 700) * MILLISECOND, happening, self, world)

    def _cross(self, world: World, pair: Pair) -> None:
        """For a while the two venues disagree by more than all fees."""
        draw = self.chance.stream("crossings")
        self.latest = pair
        names = {paired.venue: paired.market for paired in pair.markets}
        one, other = (world.exchanges[venue].listings[names[venue]] for venue in VENUES)
        fair = draw.randint(20, 70)
        apart = draw.randint(5, 14) * draw.choice((1, -1))
        one.fair, other.fair = fair, min(92, max(8, fair + apart))
        keys = [(venue, names[venue]) for venue in VENUES]
        world.refresh(metadata=False)
        self._requote(world, keys)
        world.time.after(self.chance.ms("crossings", 200, 1_500), self._converge, world, keys)
        world.time.after(self.chance.ms("in flight", 20, 400), _change, self, world, keys)
        if self.chance.hit(Fault.MAINTENANCE, 0.5):  # these books are on their way, and vouched for
            _pause(self, world, self.chance.pick("venues", VENUES))
            world.refresh(metadata=False)

    def _converge(self, world: World, keys: list[tuple[str, str]]) -> None:
        one, other = (world.exchanges[venue].listings[market] for venue, market in keys)
        other.fair = one.fair
        self._requote(world, keys)

    def _requote(self, world: World, keys: list[tuple[str, str]]) -> None:
        for venue, market in keys:
            world.exchanges[venue].listings[market].quote()
        world.show(keys)

    def _basket(self, world: World) -> None:
        """Three legs or more that pay a dollar together, offered to whoever holds their group."""
        world.refresh(metadata=False)
        group = self.chance.pick("baskets", self.pairs).group
        keys = [(paired.venue, paired.market) for pair in self.pairs if pair.group == group for paired in pair.markets]
        chosen = keys[: self.chance.pick("baskets", (3, 4))]
        if len(chosen) < 3:
            return
        self._requote(world, chosen)
        world.time.after(Nanos(25 * MILLISECOND), self._offer, world, chosen, group)

    def _offer(self, world: World, keys: list[tuple[str, str]], group: str) -> None:
        for name in world.names:
            resident = world.residents[name]
            if resident.up and not resident.process.dead and not resident.process.stopped:
                world.events += 1
                resident.process.run(self._offered, world, world.trader(name), keys, group)

    def _offered(self, world: World, trader: Trader, keys: list[tuple[str, str]], group: str) -> None:
        quantity = Quantity(self.chance.pick("baskets", (5, 8, 12)) * CONTRACT)
        legs = []
        for venue, market in keys:
            book, known = trader.scout.books.get((venue, market)), trader.scout.markets.get((venue, market))
            if book is None or known is None or not book.yes_asks:
                return
            price = Price(book.yes_asks[0][0])
            cost = cost_of(price, quantity)
            legs.append(
                PlannedLeg(
                    venue=venue,
                    market=market,
                    outcome=Outcome.YES,
                    limit=Price(min(9_900, price + 200)),
                    quantity=quantity,
                    cost=Money(cost // 10_000 * 10_000),
                    fee=worst_fee(known.fees, price, quantity),
                    best=price,
                    book_sequence=book.sequence,
                    book_age=Nanos(0),
                    market_version=known.version,
                    fee_version=known.fees.version,
                )
            )
        payout = Price(len(legs) * ONE_DOLLAR)  # what it would pay does not matter here, that all of it is taken does
        trader.offer(
            Opportunity(
                opportunity=f"basket-{world.events}",
                kind=OpportunityKind.CROSS_VENUE,
                pair="basket",
                group=group,
                seen_at=world.time.now,
                quantity=quantity,
                payout=payout,
                legs=tuple(legs),
            )
        )


def _pairs(many: int, groups: int) -> Iterator[Pair]:
    for number in range(1, many + 1):
        yield Pair(
            pair=f"pair-{number}",
            group=f"group-{1 + number % groups}",
            title=f"pair {number}",
            markets=(
                PairedMarket(venue="kalshi", market=f"K{number}"),
                PairedMarket(venue="polymarket", market=f"P{number}"),
            ),
            approved_by="the simulation",
            approved_at="2026-01-01",
        )


# What may strike around a crossing, each where its fault says so


def _kill_executor(scene: Scene, world: World) -> None:
    if scene.chance.hit(Fault.EXECUTOR_KILLED):
        world.kill(scene.chance.pick("victims", world.names))


def _kill_owner(scene: Scene, world: World) -> None:
    if scene.chance.hit(Fault.OWNER_KILLED):
        world.kill(scene.chance.pick("victims", OWNERS))
    if scene.chance.hit(Fault.SUPERVISOR_KILLED, 0.5):
        for name in OWNERS:
            world.kill(name)


def _kill_all(scene: Scene, world: World) -> None:
    engine = scene.chance.hit(Fault.ENGINE_KILLED, 0.5)
    power = scene.power and scene.chance.hit(Fault.POWER_CUT, 0.5)
    if power:
        for journal in world.disks.journals.values():
            journal.crash(lose=0.5, tear=True, seed=scene.chance.seed)
    if engine or power:
        for name in list(world.residents):
            world.kill(name)


def _stop(scene: Scene, world: World) -> None:
    if scene.chance.hit(Fault.STOPPED):
        cut_off = scene.chance.stream("cut off").random() < 0.3
        name = scene.chance.pick("victims", world.names if cut_off else tuple(world.residents))
        world.stop_for(name, scene.chance.ms("stops", 100, 4_000))
        if cut_off:
            world.time.after(LEASED_FOR, _give_up, world, world.residents[name])


def _give_up(world: World, old: Resident) -> None:
    """Nobody can end a process on a node that is cut off: its successor waits its lease out, and then both may run."""
    if world.residents[old.name] is not old or not old.up or old.process.dead or not old.process.stopped:
        return
    world.note(old.name, "is given up, and lives on")
    world.judge.outcomes["a successor began beside its predecessor"] += 1
    world.judge.died(old)
    del world.residents[old.name]
    world._start(old.name)  # noqa: SLF001
    world._death_seen(old)  # noqa: SLF001


def _freeze(scene: Scene, world: World) -> None:
    """A private stream that still answers pings and tells nothing more, for longer than any fence."""
    if scene.chance.hit(Fault.STREAM_FROZEN, 0.5):
        until = Nanos(world.time.now + scene.chance.ms("freezes", 5_000, 20_000))
        world._frozen_until[scene.chance.pick("venues", VENUES)] = until  # noqa: SLF001


def _halt(scene: Scene, world: World) -> None:
    if scene.chance.hit(Fault.HALTED):
        world.halted = True
        world.tell_executors(Halt(by="operator", why="a drill"))
        if scene.chance.stream("halts").random() < 0.5:
            world.time.after(
                scene.chance.ms("halts", 200, 1_500), world.tell_executors, Resume(by="operator", why="over")
            )


def _move(scene: Scene, world: World) -> None:
    """A person sends a group elsewhere while something of it may be in flight; sometimes back again before it is there."""
    if len(world.names) == 1 or not scene.chance.hit(Fault.CLAIM_MOVED):
        return
    group = scene.chance.pick("moves", scene.pairs).group
    for name in scene.chance.stream("moves").sample(world.names, scene.chance.pick("moves", (1, 1, 2))):
        move = MoveClaims(groups=(group,), to=name, by="operator", why="a drill", at=world.time.now)
        world.hear(world.residents["in_flight"], "operator", move)


def _market(scene: Scene, world: World) -> None:
    hit, venue = scene.chance.hit, scene.chance.pick("venues", VENUES)
    exchange = world.exchanges[venue]
    market = scene.chance.pick("markets", tuple(exchange.listings))
    if scene.latest is not None and scene.chance.stream("in play").random() < IN_PLAY:
        market = next(paired.market for paired in scene.latest.markets if paired.venue == venue)
    if hit(Fault.FEE_CHANGED):
        exchange.change_fee(market)
    if hit(Fault.TICK_CHANGED):
        exchange.change_tick(market)
    if hit(Fault.MARKET_HALTED, 0.5):
        exchange.halt(market, for_good=False)
        world.time.after(scene.chance.ms("reopens", 300, 3_000), exchange.reopen, market)
    if hit(Fault.MARKET_RESOLVED, 0.3):
        exchange.halt(market, for_good=True)
    if hit(Fault.MAINTENANCE, 0.5):
        _pause(scene, world, venue)
    if scene.chance.stream("metadata").random() < 0.7:
        world.time.after(scene.chance.ms("metadata", 5, 300), world.refresh)


def _change(scene: Scene, world: World, keys: list[tuple[str, str]]) -> None:
    """The rules of a market change while orders are on their way to it."""
    venue, market = scene.chance.pick("in flight", keys)
    fee, tick = scene.chance.hit(Fault.FEE_CHANGED, 0.5), scene.chance.hit(Fault.TICK_CHANGED, 0.5)
    if fee:
        world.exchanges[venue].change_fee(market)
    if tick:
        world.exchanges[venue].change_tick(market)
    if fee or tick:
        world.refresh()


def _pause(scene: Scene, world: World, venue: str) -> None:
    world.exchanges[venue].mode = VenueMode.PAUSED
    world.time.after(scene.chance.ms("reopens", 300, 3_000), _reopened, world, venue)


def _reopened(world: World, venue: str) -> None:
    world.exchanges[venue].mode = VenueMode.OPEN
    world.refresh()


HAPPENINGS: tuple[Callable[[Scene, World], None], ...] = (
    _kill_executor,
    _kill_owner,
    _kill_all,
    _stop,
    _freeze,
    _halt,
    _move,
    _market,
)
