"""Stories: what happened to one trade and what the law did about it, as lines that a trader can dispute.

    given  b.late_arrival 3s, loss_budget $5
    0s     opened 10             | submit a 10, submit b 10
    0.1s   ended a 10            |
    1s     lost b timeout        | look up b
    5s     absent b              | ask quotes
    5s     quoted a 48/50 b -/-  | submit a.unwind 10 @48
    5.1s   ended a.unwind 10     |
    => flat, excess 0

Left of the bar is an event, right of it the commands, all of them, in their order. A command may be told in fewer words
than it has: `submit a 10` is satisfied by `submit a buy 10 @50 ioc`. After the arrow stand facts about the end; `facts`
has them all. Prices are in cents, quantities in contracts, money in dollars. Legs are a, b, c…; a recovery's orders are
a.unwind, a.unwind2, b.complete…. `told` writes the story of events that a simulation has seen, in full, and running what
it wrote gives the same trade.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from core.ledger import committed
from core.machine import open_trade, step
from core.trade import Trade
from core.units import bought_for, cents, contracts, dollars, format_scaled, parse_money, parse_quantity, parse_scaled
from messages.base import Command, Event
from messages.markets import FeeFormula, FeeSchedule, TickBand
from messages.opportunities import Opportunity, OpportunityKind, PlannedLeg
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
    Refused,
    Repost,
    Rested,
    Role,
    Settlement,
    Submit,
    Withheld,
)
from messages.reasons import Refusal, Trouble
from messages.trades import AskQuotes, Bounds, Escalate, LegTerms, Opened, Quote, Quoted, Restarted, RulesChanged, Woke
from messages.units import CENT, CONTRACT, ONE_DOLLAR, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce

START = Nanos(1_000_000 * SECOND)
"""When every story begins; zero means "never" in many places."""
DEEP = Quantity(1_000 * CONTRACT)
TRADE = "g.1.1"
LEGS = "abcdefgh"


def ticks(step: int) -> tuple[TickBand, ...]:
    return (TickBand(start=Price(0), stop=ONE_DOLLAR, step=Price(step)),)


def kalshi(leg: int = 0, outcome: Outcome = Outcome.YES, **changes: Any) -> LegTerms:
    terms = LegTerms(
        venue="kalshi",
        market=f"K{leg}",
        outcome=outcome,
        ticks=ticks(100),
        lot=Quantity(10_000),
        min_quantity=Quantity(10_000),
        min_spend=Money(0),
        cash_denominated=False,
        fees=FeeSchedule(formula=FeeFormula.KALSHI, version=1, taker_ppm=70_000, maker_ppm=17_500, verified_at=START),
        repost_proves=True,
        kill_consumes=True,
        late_arrival=Nanos(5 * SECOND),
        sells_after_settlement=False,
        nets=True,
        reversible=False,
    )
    return terms.model_copy(update=changes)


def polymarket(leg: int = 1, outcome: Outcome = Outcome.NO, **changes: Any) -> LegTerms:
    terms = LegTerms(
        venue="polymarket",
        market=f"P{leg}",
        outcome=outcome,
        ticks=ticks(100),
        lot=Quantity(10_000),
        min_quantity=Quantity(5 * CONTRACT),
        min_spend=Money(1_000_000),
        cash_denominated=True,
        fees=FeeSchedule(formula=FeeFormula.POLYMARKET, version=1, taker_ppm=30_000, maker_ppm=0, verified_at=START),
        repost_proves=True,
        kill_consumes=False,
        late_arrival=Nanos(5 * SECOND),
        sells_after_settlement=True,
        nets=False,
        reversible=True,
    )
    return terms.model_copy(update=changes)


TEMPLATES: dict[str, Callable[[int, Outcome], LegTerms]] = {"kalshi": kalshi, "polymarket": polymarket}

BOUNDS = Bounds(
    ask_first=Nanos(SECOND // 10),
    ask_most=Nanos(2 * SECOND),
    send_window=Nanos(SECOND // 2),
    reposts_max=2,
    aggressive_max=3,
    resting_max=2,
    rest=Nanos(SECOND),
    pause=Nanos(SECOND // 10),
    settle_wait=Nanos(2 * SECOND),
    floor=Price(100),
    loss_budget=Money(20_000_000),
    deadline=Nanos(20 * SECOND),
    spans_max=3,
    release_after=Nanos(10 * SECOND),
    cool_down=Nanos(30 * SECOND),
    reject_storm=3,
    pause_market=Nanos(300 * SECOND),
)


def opening(
    terms: tuple[LegTerms, ...],
    prices: tuple[Price, ...],
    quantity: Quantity,
    at: Nanos = START,
    bounds: Bounds = BOUNDS,
    trade: str = TRADE,
) -> Opened:
    """An intent to buy `quantity` of every leg."""
    legs, orders = [], []
    for number, (term, price) in enumerate(zip(terms, prices, strict=True)):
        cost = Money(price * quantity // ONE_DOLLAR)
        legs.append(
            PlannedLeg(
                venue=term.venue,
                market=term.market,
                outcome=term.outcome,
                limit=price,
                quantity=quantity,
                cost=cost,
                fee=Money(0),
                best=price,
                book_sequence=1,
                book_age=Nanos(0),
                market_version=1,
                fee_version=1,
            )
        )
        orders.append(
            Order(
                order=f"{trade}.{number}.0",
                trade=trade,
                leg=number,
                role=Role.OPEN,
                venue=term.venue,
                market=term.market,
                outcome=term.outcome,
                side=Side.BUY,
                price=price,
                quantity=quantity,
                spend=Money(cost // CENT * CENT) if term.cash_denominated else None,
                time_in_force=TimeInForce.IOC,
                made_at=at,
                not_after=Nanos(at + bounds.send_window),
            )
        )
    opportunity = Opportunity(
        opportunity=f"{trade}.o",
        kind=OpportunityKind.CROSS_VENUE,
        pair="pair",
        group="group",
        seen_at=at,
        quantity=quantity,
        payout=ONE_DOLLAR,
        legs=tuple(legs),
    )
    return Opened(
        trade=trade,
        opportunity=opportunity,
        payout=ONE_DOLLAR,
        terms=terms,
        bounds=bounds,
        orders=tuple(orders),
        at=at,
    )


# The lines of a story


@dataclass(frozen=True, slots=True)
class Line:
    at: Nanos
    event: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Story:
    given: tuple[str, ...]
    lines: tuple[Line, ...]
    end: tuple[str, ...]

    def __str__(self) -> str:
        rows = [(_time(line.at), line.event, ", ".join(line.commands)) for line in self.lines]
        times = max((len(time) for time, _, _ in rows), default=0)
        events = max((len(event) for _, event, _ in rows), default=0)
        text = [f"given  {', '.join(self.given)}"] if self.given else []
        text += [f"{time:<{times}}  {event:<{events}} | {commands}".rstrip() for time, event, commands in rows]
        return "\n".join([*text, f"=> {', '.join(self.end)}"])


class Unreadable(ValueError):
    """The line is in no form that a story has."""


def parse(text: str) -> Story:
    given: tuple[str, ...] = ()
    end: tuple[str, ...] | None = None
    lines = []
    for raw in text.splitlines():
        row = raw.partition(" #")[0].strip()
        if not row or row.startswith("#"):
            continue
        if row.startswith("given "):
            given = _listed(row.removeprefix("given "))
        elif row.startswith("=>"):
            end = _listed(row.removeprefix("=>"))
        else:
            left, bar, right = row.partition("|")
            time, _, event = left.strip().partition(" ")
            if not bar or not event:
                raise Unreadable(f"no event and bar in {row!r}")
            lines.append(Line(_nanos(time), " ".join(event.split()), _listed(right)))
    if end is None:
        raise Unreadable("a story has an end")
    return Story(given, tuple(lines), end)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split(",") if part.strip())


# Running one


def story(text: str) -> Trade:
    """Run it: every command and every fact at the end must be as told."""
    told = parse(text)
    trade: Trade | None = None
    for line in told.lines:
        event = event_of(line, told.given, trade)
        trade, commands = play(trade, event)
        actual = tuple(command_text(command, trade) for command in commands)
        if len(actual) != len(line.commands) or not all(map(_says, actual, line.commands)):
            where = f"{_time(line.at)}  {line.event}"
            raise AssertionError(f"{where}\n  expected: {', '.join(line.commands)}\n  but did:  {', '.join(actual)}")
    if trade is None:
        raise Unreadable("nothing was opened")
    known = facts(trade)
    missing = [fact for fact in told.end if fact not in known]
    if missing:
        raise AssertionError(f"not so at the end: {', '.join(missing)}\n  but: {', '.join(known)}")
    return trade


def play(trade: Trade | None, event: Event) -> tuple[Trade, tuple[Command, ...]]:
    if isinstance(event, Opened):
        return open_trade(event)
    if trade is None:
        raise Unreadable("a story begins with `opened`")
    return step(trade, event)


def _says(actual: str, expected: str) -> bool:
    """Every word that was expected stands in the actual command, in this order."""
    words = iter(actual.split())
    return all(word in words for word in expected.split())


def facts(trade: Trade) -> list[str]:
    """Everything that can be said after the arrow."""
    nets = "/".join(contracts(net) for net in trade.nets)
    excess = [f"excess {LEGS[leg]} {contracts(q)}" for leg, q in enumerate(trade.excess) if q] or ["excess 0"]
    reserved = [f"reserved {venue} {dollars(amount)}" for venue, amount in sorted(committed(trade).items())]
    known = [trade.outcome, f"nets {nets}", *excess, f"spans {len(trade.spans)}", *(reserved or ["reserved 0"])]
    known.append("final" if trade.final else "not final")
    known.append("balanced" if trade.balanced_at else "unbalanced")
    known += [f"dust {contracts(trade.dust)}"] if trade.dust else []
    known += [f"mishap {m.trouble.value} {LEGS[m.leg]}" for m in trade.mishaps] or ["no mishap"]
    known += [f"recovery {trade.recovery.value}"] if trade.recovery else ["no recovery"]
    known += [f"{name_of(state.order, trade)} {state.status}" for state in trade.orders]
    return known


# Names and numbers


def name_of(order: Order, trade: Trade) -> str:
    """a, b.complete, a.unwind2: how a story calls an order."""
    if order.role is Role.OPEN:
        return LEGS[order.leg]
    same = [s.order.order for s in trade.orders if (s.order.leg, s.order.role) == (order.leg, order.role)]
    number = same.index(order.order) + 1
    return f"{LEGS[order.leg]}.{order.role.value}{number if number > 1 else ''}"


def _order_called(name: str, trade: Trade | None) -> str:
    for state in trade.orders if trade is not None else ():
        if trade is not None and name_of(state.order, trade) == name:
            return state.order.order
    return f"stranger.{name}"


def _time(at: Nanos) -> str:
    return format_scaled(at - START, 9, 0) + "s"


def _nanos(text: str) -> Nanos:
    """A moment of the story."""
    return Nanos(START + _span(text))


def _span(text: str) -> int:
    if text.endswith("ms"):
        return parse_scaled(text[:-2], 6)
    if text.endswith("s"):
        return parse_scaled(text[:-1], 9)
    raise Unreadable(f"{text!r} is no time")


def _price(text: str) -> Price:
    return Price(parse_scaled(text, 2))


# What was given


SPANS = {"ask_first", "ask_most", "send_window", "rest", "pause", "settle_wait", "deadline", "release_after"}
SPANS |= {"cool_down", "pause_market", "late_arrival"}
MONEY = {"loss_budget", "min_spend"}
PRICES = {"floor"}
QUANTITIES = {"lot", "min_quantity"}
FLAGS = {"cash_denominated", "repost_proves", "kill_consumes", "sells_after_settlement", "nets", "reversible"}
COUNTS = {"reposts_max", "aggressive_max", "resting_max", "spans_max", "reject_storm"}
FEES = {"taker_ppm", "maker_ppm"}


def _given_value(name: str, text: str) -> Any:
    if name in SPANS:
        return Nanos(_span(text))
    if name in MONEY:
        return parse_money(text.removeprefix("$"))
    if name in PRICES:
        return _price(text)
    if name in QUANTITIES:
        return parse_quantity(text)
    if name in FLAGS:
        return {"yes": True, "no": False}[text]
    if name == "ticks":
        return ticks(_price(text))
    if name in COUNTS | FEES:
        return int(text)
    raise Unreadable(f"nothing is called {name}")


def _given_text(name: str, value: Any) -> str:
    if name in SPANS:
        return f"{name} {format_scaled(value, 9, 0)}s"
    if name in MONEY:
        return f"{name} ${dollars(value)}"
    if name in PRICES:
        return f"{name} {cents(value)}"
    if name in QUANTITIES:
        return f"{name} {contracts(value)}"
    if name in FLAGS:
        return f"{name} {'yes' if value else 'no'}"
    if name == "ticks":
        return f"{name} {cents(value[0].step)}"
    return f"{name} {value}"


def _terms_given(terms: LegTerms, leg: int, given: tuple[str, ...]) -> LegTerms:
    changes: dict[str, Any] = {}
    fees: dict[str, Any] = {}
    for item in given:
        name, value = item.split(" ")
        whose, _, field = name.partition(".")
        if whose == LEGS[leg] and field:
            (fees if field in FEES else changes)[field] = _given_value(field, value)
    return terms.model_copy(update=changes | {"fees": terms.fees.model_copy(update=fees)})


def _bounds_given(given: tuple[str, ...]) -> Bounds:
    pairs = [item.split(" ") for item in given]
    return BOUNDS.model_copy(update={name: _given_value(name, value) for name, value in pairs if "." not in name})


def given_of(opened: Opened) -> tuple[str, ...]:
    """In what the terms and bounds differ from those that a story has by itself."""
    found = [_given_text(name, value) for name, value in opened.bounds if value != getattr(BOUNDS, name)]
    for leg, terms in enumerate(opened.terms):
        usual = TEMPLATES[terms.venue](leg, terms.outcome)
        fields = SPANS | MONEY | QUANTITIES | FLAGS | {"ticks"}
        differ = [name for name, value in terms if name in fields and value != getattr(usual, name)]
        found += [f"{LEGS[leg]}.{_given_text(name, getattr(terms, name))}" for name in differ]
        rates = [name for name in sorted(FEES) if getattr(terms.fees, name) != getattr(usual.fees, name)]
        found += [f"{LEGS[leg]}.{name} {getattr(terms.fees, name)}" for name in rates]
    return tuple(found)


# Events, both ways


LEG_GIVEN = re.compile(r"([a-h]) (\w+) (yes|no) @([\d.]+)")
USUAL = ("kalshi yes @50", "polymarket no @45")


def _opened(words: str, at: Nanos, given: tuple[str, ...]) -> Opened:
    """`10`, or `10 a kalshi yes @50 b polymarket no @45`."""
    quantity, _, rest = words.partition(" ")
    legs = rest or " ".join(f"{LEGS[leg]} {usual}" for leg, usual in enumerate(USUAL))
    terms, prices = [], []
    for leg, (_, venue, outcome, price) in enumerate(LEG_GIVEN.findall(legs)):
        terms.append(_terms_given(TEMPLATES[venue](leg, Outcome(outcome)), leg, given))
        prices.append(_price(price))
    return opening(tuple(terms), tuple(prices), parse_quantity(quantity), at, _bounds_given(given))


def _levels(text: str) -> tuple[tuple[Price, Quantity], ...]:
    if text == "-":
        return ()
    levels = []
    for level in text.split("+"):
        price, _, quantity = level.partition("x")
        levels.append((_price(price), parse_quantity(quantity) if quantity else DEEP))
    return tuple(levels)


def _quoted(words: list[str], at: Nanos, trade: Trade | None) -> Quoted:
    """`a 48/50 b ?`: bid and ask of a leg, `-` for none, `x7` for a depth of 7, `+` between levels; `$3` is what is free."""
    quotes: list[Quote] = []
    free: list[Money] = []
    for word in words:
        if word in LEGS:
            free.append(Money(10_000_000_000))
        elif word.startswith("$"):
            free[-1] = parse_money(word[1:])
        elif word == "?":
            quotes.append(Quote(usable=False))
        else:
            bids, _, asks = word.partition("/")
            quotes.append(Quote(usable=True, bids=_levels(bids), asks=_levels(asks)))
    return Quoted(trade=trade.trade if trade else TRADE, at=at, quotes=tuple(quotes), spendable=tuple(free))


def _filled(order: str, words: list[str], at: Nanos, trade: Trade | None) -> Filled:
    """`4`, `4 @48 f2 confirmed fee 0.07`."""
    state = trade.state_of(order) if trade is not None else None
    price = state.order.price if state is not None else Price(5_000)
    name, fee, settlement = "1", Money(0), Settlement.MATCHED
    rest = iter(words[1:])
    for word in rest:
        if word.startswith("@"):
            price = _price(word[1:])
        elif re.fullmatch(r"f\d+", word):
            name = word[1:]
        elif word == "fee":
            fee = parse_money(next(rest))
        else:
            settlement = Settlement(word)
    fill = Fill(fill=f"{order}/{name}", quantity=parse_quantity(words[0]), price=price, fee=fee, settlement=settlement)
    return Filled(order=order, at=at, fill=fill)


def _ended(order: str, words: list[str], at: Nanos, trade: Trade | None) -> Ended:
    """`10`: filled where that is all of it, else killed; or in a word: `3 cancelled`. `looked` where a look-up says so."""
    looked_up = words[-1] == "looked"
    words = words[: len(words) - looked_up]
    matched = parse_quantity(words[0])
    state = trade.state_of(order) if trade is not None else None
    whole = state is not None and matched >= state.order.quantity
    how = EndKind(words[1]) if len(words) > 1 else EndKind.FILLED if whole else EndKind.KILLED
    return Ended(order=order, at=at, venue_order=f"v/{order}", matched=matched, how=how, looked_up=looked_up)


def event_of(line: Line, given: tuple[str, ...], trade: Trade | None) -> Event:
    verb, _, rest = line.event.partition(" ")
    at, words = line.at, rest.split()
    if verb == "opened":
        return _opened(rest, at, given)
    if verb in {"woke", "restarted"}:
        name = trade.trade if trade is not None else TRADE
        return Woke(trade=name, at=at) if verb == "woke" else Restarted(epoch=2, at=at)
    if verb == "quoted":
        return _quoted(words, at, trade)
    if verb == "changed":
        assert trade is not None
        term = trade.terms[LEGS.index(words[0])]
        return RulesChanged(venue=term.venue, market=term.market, version=2, at=at)
    order, words = _order_called(words[0], trade), words[1:]
    repost = "repost" in words
    match verb:
        case "named":
            return Named(order=order, wire=words[0])
        case "rested":
            return Rested(order=order, at=at, venue_order=f"v/{order}", matched=parse_quantity((words or ["0"])[0]))
        case "ended":
            return _ended(order, words, at, trade)
        case "filled":
            return _filled(order, words, at, trade)
        case "refused":
            return Refused(order=order, at=at, reason=Refusal(words[0]), text="", repost=repost)
        case "lost":
            return Lost(order=order, at=at, trouble=Trouble((words or ["timeout"])[0]), text="", repost=repost)
        case "landed":
            return Landed(order=order, at=at)
        case "absent":
            return Absent(order=order, at=at, as_of=_nanos(words[1]) if words else at)
        case "look-up-failed":
            return LookUpFailed(order=order, at=at, text="")
        case "withheld":
            return Withheld(order=order, at=at, text="")
    raise Unreadable(f"nothing is told by {verb!r}")


def event_text(event: Event, trade: Trade) -> str:
    """The left side of a line; `trade` is as it was before (or, of its intent, after)."""
    match event:
        case Opened():
            legs = " ".join(
                f"{LEGS[leg]} {term.venue} {term.outcome.value} @{cents(order.price)}"
                for leg, (term, order) in enumerate(zip(event.terms, event.orders, strict=True))
            )
            return f"opened {contracts(event.orders[0].quantity)} {legs}"
        case Woke():
            return "woke"
        case Restarted():
            return "restarted"
        case RulesChanged():
            keys = [(term.venue, term.market) for term in trade.terms]
            return f"changed {LEGS[keys.index((event.venue, event.market))]}"
        case Quoted():
            return "quoted " + " ".join(_quote_texts(event))
        case Named():
            return f"named {_known(event.order, trade)} {event.wire}"
        case Rested():
            return f"rested {_known(event.order, trade)} {contracts(event.matched)}"
        case Ended():
            looked = " looked" if event.looked_up else ""
            return f"ended {_known(event.order, trade)} {contracts(event.matched)} {event.how.value}{looked}"
        case Filled(fill=fill):
            name = fill.fill.rpartition("/")[2]
            fee = f" fee {dollars(fill.fee)}" if fill.fee else ""
            what = f"{contracts(fill.quantity)} @{cents(fill.price)} f{name} {fill.settlement.value}{fee}"
            return f"filled {_known(event.order, trade)} {what}"
        case Refused():
            return f"refused {_known(event.order, trade)} {event.reason.value}{' repost' * event.repost}"
        case Lost():
            return f"lost {_known(event.order, trade)} {event.trouble.value}{' repost' * event.repost}"
        case Absent():
            return f"absent {_known(event.order, trade)} asof {_time(event.as_of)}"
        case Landed() | LookUpFailed() | Withheld():
            verb = {"Landed": "landed", "LookUpFailed": "look-up-failed", "Withheld": "withheld"}
            return f"{verb[type(event).__name__]} {_known(event.order, trade)}"
    raise Unreadable(f"a story has no words for {type(event).__name__}")


def _known(order: str, trade: Trade) -> str:
    state = trade.state_of(order)
    return name_of(state.order, trade) if state is not None else order.removeprefix("stranger.")


def _quote_texts(quoted: Quoted) -> Iterable[str]:
    for leg, (quote, free) in enumerate(zip(quoted.quotes, quoted.spendable, strict=True)):
        sides = ["+".join(f"{cents(p)}x{contracts(q)}" for p, q in side) or "-" for side in (quote.bids, quote.asks)]
        yield f"{LEGS[leg]} {'/'.join(sides) if quote.usable else '?'} ${dollars(free)}"


def command_text(command: Command, trade: Trade) -> str:
    """The right side of a line, in full."""
    match command:
        case Submit(order=order):
            spend = f" spend {dollars(order.spend)}" if order.spend is not None else ""
            kind = order.time_in_force.value
            what = f"{order.side.value} {contracts(order.quantity)} @{cents(order.price)} {kind}{spend}"
            return f"submit {name_of(order, trade)} {what}"
        case Repost(order=order):
            return f"repost {name_of(order, trade)}"
        case LookUp(order=order):
            return f"look up {name_of(order, trade)}"
        case Cancel(order=order):
            return f"cancel {name_of(order, trade)}"
        case FetchFills(order=order):
            return f"fetch {name_of(order, trade)}"
        case AskQuotes():
            return "ask quotes"
        case Escalate():
            return "escalate"
    raise Unreadable(f"a story has no words for {type(command).__name__}")


def told(events: Iterable[Event]) -> Story:
    """The story of what was seen: an intent, and all that came after it."""
    trade: Trade | None = None
    given: tuple[str, ...] = ()
    lines: list[Line] = []
    for event in events:
        before = trade
        trade, commands = play(trade, event)
        if isinstance(event, Opened):
            given = given_of(event)
        at = Nanos(getattr(event, "at", lines[-1].at if lines else START))  # an identity has no time of its own
        text = event_text(event, before or trade)
        lines.append(Line(at, text, tuple(command_text(command, trade) for command in commands)))
    if trade is None:
        raise Unreadable("nothing was opened")
    return Story(given, tuple(lines), tuple(facts(trade)))


def spend_of(price: Price, quantity: Quantity) -> Money:
    """What an immediate buy of this many says where it is a sum of money."""
    return Money(price * quantity // ONE_DOLLAR // CENT * CENT)


def bought_at(order: Order, price: Price) -> Quantity:
    """What such an order gets at a price, in the venue's lots of a hundredth."""
    if order.spend is None:
        return order.quantity
    return Quantity(bought_for(order.spend, price) // 10_000 * 10_000)
