"""A scenario as a story that a trader can follow: orders, answers, executions, deaths and decisions, and where each fault
struck. What the parts say to each other all the time is left out, unless a fault struck it or the invariant is about it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from core.desk import Applied, Desk, id_root
from core.story import milliseconds
from core.story import tell as decisions
from core.units import cents, contracts, dollars, opposite
from messages.base import Message, name_of, parse
from messages.control import Halt, Resume, VenueSeen
from messages.leases import (
    CapitalGranted,
    ClaimsGranted,
    ClaimsReturned,
    KeysGranted,
    MarketsSeen,
    MoveClaims,
    Reported,
    ReturnClaims,
    WantCapital,
    WantClaims,
    WantKeys,
)
from messages.markets import Market
from messages.orders import (
    Absent,
    Ended,
    Filled,
    FillSeen,
    Landed,
    LookUpFailed,
    Lost,
    Named,
    Order,
    OrderReport,
    OrderSeen,
    Refused,
    Rested,
    Withheld,
)
from messages.trades import Quote, Quoted, Restarted
from messages.units import Nanos, Outcome, TimeInForce
from simulation.batch import NO_FAULT, invariant_of, played
from simulation.chance import Hit
from simulation.shrink import Shrunk, shrink
from simulation.world import Note, World

GENESIS = re.compile(r"\b[0-9a-f]{8}(?:-(\d+))?\.(?=\d)")
"""What every id of an engine begins with; a second executor's has its number."""
LINES_FIRST, LINES_LAST = 60, 120
"""Of a long story its beginning and its end; what stands between is seldom why it broke."""
WIDTH = 120
SHOWN_MOST = 110
"""Characters of a message that is shown as it is."""
TOLD_STAGES = {"opened", "doubt", "excess", "recovery", "escalated", "settled", "reversed", "final"}
"""Of what the law decided. The fate of an order is told by the venue's own words already."""
MATTER: dict[str, tuple[type[Message], ...]] = {
    "I6": (CapitalGranted, WantCapital),
    "I7": (KeysGranted, WantKeys),
    "I17": (ClaimsGranted, WantClaims, ReturnClaims, ClaimsReturned, MoveClaims),
}
"""What owners and holders say to each other belongs in a story about just that."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, `at` nanoseconds after the start."""

    at: Nanos
    who: str
    text: str
    fault: bool = False

    def __str__(self) -> str:
        mark = "**" if self.fault else "  "
        return f"{milliseconds(self.at):>9} ms {mark} {self.who:<14} {self.text}".rstrip()


@dataclass(frozen=True, slots=True)
class Story:
    """What led to a violation; `broken` is "" where none came."""

    seed: int
    broken: str
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, _cut(self.lines)))


def story(seed: int, only: Collection[Hit] | None = None) -> Story:
    """Run the scenario of this seed, with these of its faults or all of them, and tell it up to its end."""
    known = World(seed, only)
    about = played(known)
    known.time.bury()
    teller = _Teller(about)
    world = teller.world = World(seed, only, teller.hear)
    broken = played(world)
    teller.end(Nanos(world.time.now - world.time.start), broken)
    world.time.bury()
    return Story(seed, broken, tuple(_together(teller.lines)))


@dataclass(frozen=True, slots=True)
class Finding:
    """Everything that a person needs of a failing seed, in words."""

    seed: int
    broken: str
    """With the faults below alone."""
    faults: tuple[str, ...]
    """As few as were found to be enough."""
    struck: int
    """How many struck before anything was left out."""
    smallest: bool
    """Every single one of the faults is needed."""
    story: str
    test: str


def investigate(seed: int) -> Finding | None:
    """Shrink a failing seed and tell its story; None where it breaks nothing. Takes up to 20 s."""
    shrunk = shrink(seed)
    if shrunk is None:
        return None
    told = story(seed, shrunk.hits)
    faults = tuple(str(hit) for hit in shrunk.hits)
    return Finding(seed, shrunk.broken, faults, shrunk.struck, shrunk.smallest, str(told), as_test(shrunk))


def as_test(shrunk: Shrunk) -> str:
    """A test that fails until it is mended, ready to be pasted beside `from simulation.batch import replay`."""
    few, many = len(shrunk.hits), shrunk.struck
    enough = f"{few} fault{'' if few == 1 else 's'} of {many} {'is' if few == 1 else 'are'} enough"
    faults = [f'"{hit}"' for hit in shrunk.hits] or [f'"{NO_FAULT}"']
    call = f'    assert replay({", ".join([str(shrunk.seed), *faults])}) == ""'
    if len(call) > WIDTH:
        inside = "".join(f"        {argument},\n" for argument in (str(shrunk.seed), *faults))
        call = f'    assert (\n        replay(\n{_indented(inside)}        )\n        == ""\n    )'
    said = short(shrunk.broken).replace("\\", "/").replace('"', "'")
    return f'def test_{slug(shrunk.broken)}_seed_{shrunk.seed}() -> None:\n    """{said}; {enough}."""\n{call}\n'


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def slug(broken: str) -> str:
    """`i9_proved_while_it_rests_at_the_venue`: the invariant and its text as a part of a name."""
    invariant, _, rest = broken.partition(":")
    words = re.sub(r"[^a-z0-9]+", "_", f"{invariant} {rest.partition(':')[0]}".lower()).strip("_")
    return words[:70].rstrip("_")


def short(text: str) -> str:
    """With ids as a person says them: `1.2.0.1` for trade 2 of incarnation 1, leg 0, rung 1; `2/1.2` of executor 2."""
    return GENESIS.sub(lambda found: f"{found[1]}/" if found[1] else "", text)


def _cut(lines: tuple[Line, ...]) -> Iterator[str]:
    if len(lines) <= LINES_FIRST + LINES_LAST:
        yield from map(str, lines)
        return
    yield from map(str, lines[:LINES_FIRST])
    yield f"{'...':>12}    {len(lines) - LINES_FIRST - LINES_LAST} lines left out"
    yield from map(str, lines[-LINES_LAST:])


def _together(lines: Iterable[Line]) -> Iterator[Line]:
    """One line for what is said again and again."""
    last, times = None, 0
    for line in [*lines, None]:
        if last is not None and line is not None and (line.who, line.text) == (last.who, last.text):
            times += 1
            continue
        if last is not None:
            yield Line(last.at, last.who, f"{last.text} ({times} times)", last.fault) if times > 1 else last
        last, times = line, 1


class _Teller:
    """Hears everything and keeps what is worth telling."""

    world: World

    def __init__(self, broken: str) -> None:
        self.lines: list[Line] = []
        self._matter = MATTER.get(invariant_of(broken), ())
        self._books = invariant_of(broken) == "I14"
        found = re.search(r"\b([0-9a-f]{8}(?:-\d+)?\.\d+\.\d+)\b", broken)
        self._trade = found[1] if found else ""
        """The trade that it is about; where there is one, the orders of others are left out."""
        self._behind: Line | None = None
        """What happened last and was not worth a line, unless a fault strikes it."""
        self._hits = 0
        self._orders: dict[str, Order] = {}
        self._named: dict[str, str] = {}
        """Orders by the identity under which their venue knows them."""
        self._desks: dict[str, Desk] = {}
        self._seqs: dict[str, int] = {}
        self._born: set[str] = set()
        self._markets: dict[tuple[str, str, str], Market] = {}
        self._modes: dict[tuple[str, str], str] = {}

    def hear(self, at: Nanos, who: str, note: Note) -> None:
        self._mark()
        texts = [short(text) for text in self._texts(who, note)]
        self._behind = None if texts else Line(at, who, short(self._plain(note)))
        self.lines += [Line(at, who, text) for text in texts]

    def end(self, at: Nanos, broken: str) -> None:
        self._mark()
        self.lines.append(Line(at, "judge", short(broken) if broken else "everything holds", fault=bool(broken)))

    def _mark(self) -> None:
        """The faults that struck since the last thing happened: they struck it."""
        struck = self.world.chance.struck
        for instant, hit in struck[self._hits :]:
            at = Nanos(instant - self.world.time.start)
            if self._behind is not None and self._behind.at == at:
                self.lines.append(self._behind)
            self._behind = None
            self.lines.append(Line(at, "fault", str(hit), fault=True))
        self._hits = len(struck)

    def _texts(self, who: str, note: Note) -> Iterator[str]:
        about = note.about
        if isinstance(about, Order):
            yield from self._about_order(note.what, about)
        elif about is None:
            yield from self._about_life(who, note.what)
        elif note.what == "announces" and isinstance(about, OrderSeen | FillSeen):
            if self._is_about(self._named.get(about.wire or "", "")):
                yield self._seen(about)
        elif note.what == "remembers":
            yield from self._remembered(who, about)
        elif note.what == "hears":
            yield from self._heard(who, about)

    def _plain(self, note: Note) -> str:
        about, peer = note.about, f" {note.peer}:" if note.peer else ""
        if about is None:
            return note.what
        if isinstance(about, Order):
            return f"{note.what} {about.order}"
        if isinstance(about, OrderSeen | FillSeen):
            return f"{note.what}{peer} {self._seen(about)}"
        return f"{note.what}{peer} {_brief(about)}"

    def _is_about(self, order: str) -> bool:
        return not self._trade or order.startswith(f"{self._trade}.") or order == self._trade

    # Who lives, and what is asked of the venues

    def _about_life(self, who: str, what: str) -> Iterator[str]:
        if what.startswith("is up"):
            if who in self._born:
                yield what
            self._born.add(who)
        elif what.startswith("sees "):
            if self._books:
                yield what
        elif not what.startswith("is asked"):
            yield what

    def _about_order(self, what: str, order: Order) -> Iterator[str]:
        self._orders[order.order] = order
        if what.startswith(("is asked about", "is asked for")) or not self._is_about(order.order):
            return
        yield f"{what} {_order(order) if what in {'sends', 're-posts'} else order.order}"

    def _seen(self, seen: OrderSeen | FillSeen) -> str:
        name = self._named.get(seen.wire or "", "an order of nobody")
        order = self._orders.get(name)
        if isinstance(seen, FillSeen):
            price = seen.fill.price
            if order is not None and order.outcome is Outcome.NO and self.world.exchanges[seen.venue].rules.nets:
                price = opposite(price)
            return f"{name}: {contracts(seen.fill.quantity)} at {cents(price)}¢, {seen.fill.settlement.value}"
        state = f"over, {seen.ended.value}" if seen.ended is not None else "rests"
        return f"{name}: {state}, {contracts(seen.matched)} matched"

    # What an actor makes of it

    def _heard(self, who: str, message: Message) -> Iterator[str]:
        match message:
            case MarketsSeen():
                for market in message.markets:
                    key = (who, market.venue, market.market)
                    before = self._markets.get(key)
                    self._markets[key] = market
                    if before is not None and before.version != market.version:
                        yield f"hears that {market.market} {_changes(before, market)}"
            case VenueSeen():
                before_mode = self._modes.get((who, message.venue), "open")
                self._modes[(who, message.venue)] = message.mode.value
                if before_mode != message.mode.value:
                    yield f"hears that {message.venue} is {message.mode.value}"
            case _ if isinstance(message, self._matter):
                yield f"hears {_brief(message)}"

    def _remembered(self, who: str, message: Message) -> Iterator[str]:
        if not who.startswith("executor"):
            if isinstance(message, self._matter):
                yield f"writes {_brief(message)}"
            return
        if isinstance(message, Named):
            self._named[message.wire] = message.order
        applied = self._fold(who, message)
        yield from self._fact(message)
        for before, after in applied.moved:
            if self._is_about(after.trade):
                for stage, text in decisions(before, after, self.world.time.now):
                    if stage in TOLD_STAGES:
                        yield f"{after.trade} {stage}: {text}"

    def _fold(self, who: str, message: Message) -> Applied:
        if isinstance(message, Restarted):
            journal = self.world.disks.journals[who]
            desk = self._desks[who] = Desk(id_root(journal.genesis, who))
            for entry in journal.read():
                self._seqs[who] = entry.seq
                before = parse(entry.kind, entry.body)
                if before == message:
                    break
                desk.apply(entry.seq, before)
        else:
            self._seqs[who] += 1
        return self._desks[who].apply(self._seqs[who], message)

    def _fact(self, message: Message) -> Iterator[str]:
        match message:
            case Halt() | Resume():
                yield f"{name_of(message).lower()}: {message.why}"
            case Restarted() if message.epoch > 1:
                yield "doubts every order that is not proved finished"
            case Quoted() if self._is_about(message.trade):
                yield f"{message.trade}: prices now {'; '.join(_quote(quote) for quote in message.quotes)}"
            case OrderReport() if self._is_about(message.order):
                yield f"{message.order}: {_report(message)}"
            case _ if isinstance(message, self._matter):
                yield f"writes {_brief(message)}"


# Words


def _order(order: Order) -> str:
    asks = f"{order.side} {contracts(order.quantity)} {order.outcome}@{order.venue}"
    money = f" for ${dollars(order.spend)}" if order.spend is not None else ""
    how = "immediate" if order.time_in_force is TimeInForce.IOC else "resting"
    return f"{order.order} ({order.role}): {asks}{money}, limit {cents(order.price)}¢, {how}"


def _report(report: OrderReport) -> str:
    match report:
        case Rested():
            return f"rests, {contracts(report.matched)} matched"
        case Ended():
            return f"over, {report.how}, {contracts(report.matched)} matched"
        case Refused():
            return f"refused{' the copy' if report.repost else ''}, {report.reason.value.replace('_', ' ')}"
        case Landed():
            return "the venue has it already"
        case Lost():
            return f"no answer{' to the copy' if report.repost else ''}, {report.trouble.value.replace('_', ' ')}"
        case Absent():
            return "the venue does not know it"
        case LookUpFailed():
            return "could not be looked up"
        case Withheld():
            return f"not re-posted, {report.text}"
        case Filled():
            fill = report.fill
            return f"execution {fill.fill}, {contracts(fill.quantity)} at {cents(fill.price)}¢, {fill.settlement.value}"
    return _brief(report)


def _quote(quote: Quote) -> str:
    if not quote.usable:
        return "none"
    bid = f"{cents(quote.bids[0][0])}¢" if quote.bids else "-"
    ask = f"{cents(quote.asks[0][0])}¢" if quote.asks else "-"
    return f"{bid}/{ask}"


def _changes(before: Market, now: Market) -> str:
    found = []
    if before.open != now.open:
        found.append("trades again" if now.open else "is closed")
    if before.fees.version != now.fees.version:
        found.append("has other fees")
    if before.ticks != now.ticks:
        found.append(f"has a tick of {cents(now.ticks[0].step)}¢")
    return ", ".join(found) or "changed"


SKIPPED = {"epoch", "owner_epoch", "at", "source", "seen_at"}


def _brief(message: Message) -> str:
    """A message on a part of a line."""
    if isinstance(message, Reported):
        return f"Reported up to {message.upto}: {len(message.booked)} executions, {len(message.flights)} flights"
    shown = []
    for name in type(message).model_fields:
        value = getattr(message, name)
        if name in SKIPPED or value in ((), "", None):
            continue
        if isinstance(value, Message):
            value = _brief(value)
        shown.append(f"{name} {_value(value)}")
    text = f"{name_of(message)} {', '.join(shown)}".rstrip()
    return text if len(text) <= SHOWN_MOST else text[: SHOWN_MOST - 3] + "..."


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_brief(one) if isinstance(one, Message) else _value(one) for one in value) + ")"
    return str(value)
