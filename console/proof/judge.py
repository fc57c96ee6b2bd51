"""The judgement: what our journals add up to, against what the venues' ledgers and request logs say.

Deposits are an input of the judge. Beside them no figure of ours comes from a venue: our cash is the deposits and the
changes that follow from the executions in our own journals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from console.proof.fold import Folded, Identity, Sheet, Violation
from console.proof.ledgers import Ledger, Request, Unreadable, VenueFill, on_scale, same_terms
from core.ledger import Accounts
from core.trade import Trade
from core.units import contracts, dollars
from messages.leases import Booked
from messages.orders import Fill, Role, Settlement
from messages.units import Money, Outcome, Quantity, Side

SCHEMA_VERSION = 1

KINDS = {
    "cash": "cash is deposits and our own executions, to the micro-dollar",
    "fees": "fees are what the venue charged",
    "position": "positions are what the venue's account holds",
    "execution_unknown_to_us": "no execution of ours is unknown to our journal",
    "execution_unknown_to_venue": "no execution in our journal is unknown to the venue",
    "execution_differs": "both sides tell the same of each execution",
    "unknown_order": "every order at a venue was named by a journal before",
    "position_book": "the position book knows what the executors booked, and nothing else",
    "unsettled": "every trade ended, and its executions are confirmed",
    "reservation": "nothing stays reserved but what an escalated trade may still need",
    "ledger": "our own books sum to zero",
    "venue_ledger": "the venue's own books sum to zero",
    "residual_excess": "no leg has a lot more than another, by the venues' executions",
    "accepted_twice": "no order is accepted twice",
    "one_body_two_ids": "no body goes out under two identities",
    "one_id_two_bodies": "no identity goes out with two bodies",
    "sent_twice": "no order is sent again but as a journaled look-up",
    "order_differs": "the venue was asked for what the journal says",
    "sent_before_intent": "nothing is sent before its intent is durable",
    "underived": "ids and orders follow from the journal alone",
    "undoubted": "a new incarnation doubts what it finds",
    "opened_while_halted": "nothing opens while halted",
    "wrong_hash": "a replay gives the state that the live actor had",
    "no_hash": "a replay gives the state that the live actor had",
}
"""Everything that can be wrong, and the rule that it breaks."""

OF_RECONCILIATION = frozenset(
    {
        *("cash", "fees", "position", "execution_unknown_to_us", "execution_unknown_to_venue", "execution_differs"),
        *("unknown_order", "position_book", "unsettled", "reservation", "ledger", "venue_ledger"),
    }
)
OF_REPLAY = frozenset({"wrong_hash", "no_hash", "underived", "undoubted"})
OF_SENDING_TWICE = frozenset({"accepted_twice", "one_body_two_ids", "sent_twice"})


@dataclass(slots=True)
class Figure:
    """One amount in micro-dollars, as both sides have it."""

    ours: int
    theirs: int

    @property
    def difference(self) -> int:
        return self.ours - self.theirs


@dataclass(slots=True)
class PositionDifference:
    market: str
    outcome: str
    ours: int
    theirs: int


@dataclass(slots=True)
class VenueProof:
    """One venue beside our journals."""

    deposits: int
    cash: Figure
    fees: Figure
    positions_equal: int = 0
    positions_different: list[PositionDifference] = field(default_factory=list)
    executions_equal: int = 0
    executions_only_ours: list[str] = field(default_factory=list)
    executions_only_theirs: list[str] = field(default_factory=list)
    executions_different: list[str] = field(default_factory=list)
    orders_named: int = 0
    orders_accepted: int = 0
    posts: int = 0
    posts_unread: int = 0
    """Turned away before the venue read whose order it was, such as by a rate limit."""
    faults_hit: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Excess:
    """What the legs of one trade have beyond each other, in micro-contracts, by the venues' executions."""

    trade: str
    legs: list[int]
    why: str = ""


@dataclass(slots=True)
class Proof:
    """Everything that was compared. `violations` is empty, or the run has something to answer for."""

    journals: list[Sheet]
    venues: dict[str, VenueProof] = field(default_factory=dict)
    trades: int = 0
    excess: list[Excess] = field(default_factory=list)
    dust: list[Excess] = field(default_factory=list)
    escalated: list[Excess] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    reposted: int = 0
    hashes: int = 0
    hashes_equal: int = 0
    booked: int = 0
    violations: list[Violation] = field(default_factory=list)

    @property
    def residual_excess(self) -> int:
        """Micro-contracts; without what is escalated, and without dust."""
        return sum(sum(excess.legs) for excess in self.excess)

    @property
    def sent_twice(self) -> int:
        return len(self.twice)

    @property
    def accepted_twice(self) -> int:
        return sum(violation.what == "accepted_twice" for violation in self.violations)

    @property
    def reconciled(self) -> bool:
        return not any(violation.what in OF_RECONCILIATION for violation in self.violations)

    @property
    def replay_equal(self) -> bool:
        return not any(violation.what in OF_REPLAY for violation in self.violations)

    @property
    def clean(self) -> bool:
        return not self.violations and not self.escalated

    @property
    def faults_hit(self) -> dict[str, int]:
        hits: Counter[str] = Counter()
        for venue in self.venues.values():
            hits.update(venue.faults_hit)
        return dict(sorted(hits.items()))

    def to_dict(self) -> dict[str, object]:
        return {
            "schema_version": SCHEMA_VERSION,
            "reconciled": self.reconciled,
            "replay_equal": self.replay_equal,
            "residual_excess": self.residual_excess,
            "residual_excess_contracts": contracts(Quantity(self.residual_excess)),
            "escalated": [asdict(excess) for excess in self.escalated],
            "sent_twice": self.sent_twice,
            "accepted_twice": self.accepted_twice,
            "reposted": self.reposted,
            "violations": [asdict(violation) for violation in self.violations],
            "trades": self.trades,
            "unsettled": self.unsettled,
            "excess": [asdict(excess) for excess in self.excess],
            "dust": [asdict(excess) for excess in self.dust],
            "dust_contracts": contracts(Quantity(sum(sum(excess.legs) for excess in self.dust))),
            "venues": {name: _venue_dict(venue) for name, venue in self.venues.items()},
            "faults_hit": self.faults_hit,
            "executions_booked": self.booked,
            "hashes": {"compared": self.hashes, "equal": self.hashes_equal},
            "journals": [asdict(sheet) for sheet in self.journals],
        }


def _venue_dict(venue: VenueProof) -> dict[str, object]:
    document = asdict(venue)
    for name in ("cash", "fees"):
        figure: Figure = getattr(venue, name)
        document[name] = asdict(figure) | {"difference": figure.difference, "unit": "micro-dollars"}
    return document


# The judgement

Owner = list[tuple[str, Booked]]
"""The position book's entries, with the executor that reported each."""


@dataclass(slots=True)
class _Case:
    """What is before the judge."""

    books: list[Folded]
    ledgers: Mapping[str, Ledger]
    proof: Proof
    identities: dict[tuple[str, str], Identity] = field(default_factory=dict)
    """By venue and wire identity."""
    trades: dict[tuple[str, str], Trade] = field(default_factory=dict)
    """By executor and trade."""

    def broken(self, invariant: str, what: str, text: str) -> None:
        self.proof.violations.append(Violation(invariant, what, text))


def judge(books: list[Folded], journals: list[Sheet], ledgers: Mapping[str, Ledger], owner: Owner) -> Proof:
    """Compare everything with everything; whatever differs is a violation in the proof."""
    case = _Case(books, ledgers, Proof(journals))
    for folded in books:
        case.proof.violations += folded.violations
        case.proof.hashes += folded.hashes
        case.proof.hashes_equal += folded.hashes_equal
        case.trades |= {(folded.name, name): trade for name, trade in folded.desk.trades.items()}
        for identity in folded.identities:
            _identify(case, identity)
    missing = sorted({venue for venue, _ in case.identities} - set(ledgers))
    if missing:
        raise Unreadable(
            f"the file of ledgers says nothing of {', '.join(missing)}. Give the ledgers.json of this run."
        )
    case.proof.trades = len(case.trades)
    accounts = _accounts(case)
    for venue, ledger in sorted(ledgers.items()):
        _judge_venue(case, venue, ledger, accounts)
    _judge_excess(case)
    _judge_ends(case)
    _judge_owner(case, owner)
    return case.proof


def _identify(case: _Case, identity: Identity) -> None:
    key = (identity.order.venue, identity.wire)
    other = case.identities.setdefault(key, identity)
    if other is not identity and (other.executor, other.order.order) != (identity.executor, identity.order.order):
        text = (
            f"{other.executor} and {identity.executor} know {identity.wire} at {identity.order.venue} "
            f"as {other.order.order} and {identity.order.order}"
        )
        case.broken("I2", "underived", text)


def _accounts(case: _Case) -> Accounts:
    """One set of books for all executors: what a venue nets, it nets over all of them."""
    accounts = Accounts()
    nets: dict[str, bool] = {}
    for folded in case.books:
        nets |= folded.nets()
    for folded in case.books:
        for entry in folded.booked:
            accounts.post(entry, nets[entry.venue])
        for commodity, total in folded.desk.accounts.totals.items():
            if total:
                case.broken("I15", "ledger", f"{folded.name}: {commodity} sums to {total}")
    return accounts


def _judge_venue(case: _Case, venue: str, ledger: Ledger, accounts: Accounts) -> None:
    proof = VenueProof(
        deposits=ledger.deposits,
        cash=Figure(ledger.deposits + accounts.cash.get(venue, 0), ledger.cash),
        fees=Figure(accounts.fees.get(venue, 0), ledger.fees),
        faults_hit=ledger.faults_hit,
    )
    case.proof.venues[venue] = proof
    for name, figure in (("cash", proof.cash), ("fees", proof.fees)):
        if figure.difference:
            text = (
                f"{venue}: {name} {dollars(Money(figure.ours))} by our journal, {dollars(Money(figure.theirs))} "
                f"by the venue, difference {dollars(Money(figure.difference))}"
            )
            case.broken("I4", name, text)
    if ledger.imbalance:
        case.broken("I15", "venue_ledger", f"{venue}: the venue's own books are off by {ledger.imbalance}")
    _judge_positions(case, venue, ledger, accounts)
    _judge_executions(case, venue, ledger)
    _judge_orders(case, venue, ledger)
    _judge_requests(case, venue, ledger)


def _judge_positions(case: _Case, venue: str, ledger: Ledger, accounts: Accounts) -> None:
    proof = case.proof.venues[venue]
    ours = {(m, o): held for (v, m, o), held in accounts.positions.items() if v == venue and held}
    theirs = ledger.positions
    for market, outcome in sorted(ours.keys() | theirs.keys()):
        mine, its = ours.get((market, outcome), 0), theirs.get((market, outcome), 0)
        if mine == its:
            proof.positions_equal += 1
            continue
        proof.positions_different.append(PositionDifference(market, outcome.value, mine, its))
        text = (
            f"{venue}: {outcome} of {market} is {contracts(Quantity(mine))} by our journal, "
            f"{contracts(Quantity(its))} by the venue"
        )
        case.broken("I4", "position", text)


def _judge_executions(case: _Case, venue: str, ledger: Ledger) -> None:
    """Each execution is known to both sides, and both tell the same of it."""
    proof = case.proof.venues[venue]
    ours: dict[tuple[str, str], tuple[str, Outcome, Fill]] = {}
    for (where, wire), identity in case.identities.items():
        if where == venue:
            state = case.trades[identity.executor, identity.order.trade].state_of(identity.order.order)
            for fill in state.fills if state is not None else ():
                # as a maker an execution is known by the trade's id and the order's
                ours[(wire, fill.fill.partition(":")[0])] = (identity.order.order, identity.order.outcome, fill)
    theirs: dict[tuple[str, str], VenueFill] = {(told.wire_id, told.fill_id): told for told in ledger.fills}
    for key, (order, outcome, fill) in ours.items():
        told = theirs.get(key)
        if told is None:
            proof.executions_only_ours.append(f"{order} {fill.fill}")
            text = f"{venue}: our journal has execution {fill.fill} of order {order}, the venue has not"
            case.broken("I4", "execution_unknown_to_venue", text)
        elif different := _differences(fill, outcome, told):
            proof.executions_different.append(f"{order} {fill.fill}: {different}")
            case.broken("I4", "execution_differs", f"{venue}: execution {fill.fill} of order {order}: {different}")
        else:
            proof.executions_equal += 1
    for key, told in theirs.items():
        if key not in ours and told.stands:
            known = case.identities.get((venue, told.wire_id))
            name = known.order.order if known is not None else told.wire_id or told.venue_order
            proof.executions_only_theirs.append(f"{name} {told.fill_id}")
            text = (
                f"{venue}: execution {told.fill_id} of order {name} ({contracts(Quantity(told.quantity))} of "
                f"{told.market}) is not in our journal"
            )
            case.broken("I4", "execution_unknown_to_us", text)


def _differences(fill: Fill, outcome: Outcome, told: VenueFill) -> str:
    price = on_scale(told.price, told.outcome, outcome)
    found = []
    if fill.quantity != told.quantity:
        found.append(f"quantity {contracts(fill.quantity)} here, {contracts(Quantity(told.quantity))} there")
    if fill.price != price:
        found.append(f"price {fill.price} here, {price} there")
    if fill.fee != told.fee:
        found.append(f"fee {dollars(fill.fee)} here, {dollars(Money(told.fee))} there")
    if (fill.settlement is Settlement.REVERSED) == told.stands:
        found.append(f"{fill.settlement.value} here, {told.settlement} there")
    return ", ".join(found)


def _judge_orders(case: _Case, venue: str, ledger: Ledger) -> None:
    proof = case.proof.venues[venue]
    proof.orders_named = sum(1 for where, _ in case.identities if where == venue)
    proof.orders_accepted = len(ledger.orders)
    accepted = Counter(order.wire_id for order in ledger.orders)
    answered = Counter(request.wire_id for request in ledger.posts() if request.accepted)
    for wire in sorted(wire for wire in accepted | answered if max(accepted[wire], answered[wire]) > 1):
        _twice(case, "accepted_twice", venue, wire, f"was accepted {max(accepted[wire], answered[wire])} times")
    bodies: dict[str, set[str]] = {}
    for order in ledger.orders:
        bodies.setdefault(order.body_sha256, set()).add(order.wire_id)
        identity = case.identities.get((venue, order.wire_id))
        if identity is None:
            text = f"{venue}: order {order.wire_id or order.venue_order} stands on our account and in no journal"
            case.broken("I3", "unknown_order", text)
        elif not same_terms(identity.order, order):
            text = (
                f"{venue}: order {identity.order.order} is {order.side} {contracts(Quantity(order.quantity))} "
                f"{order.outcome} of {order.market} there, {identity.order.side} "
                f"{contracts(identity.order.quantity)} {identity.order.outcome} of {identity.order.market} in the journal"
            )
            case.broken("I1", "order_differs", text)
    for body, wires in bodies.items():
        if body and len(wires) > 1:
            first, *others = sorted(wires)
            for wire in others:
                _twice(case, "one_body_two_ids", venue, wire, f"has the body of {first}")


def _judge_requests(case: _Case, venue: str, ledger: Ledger) -> None:
    proof = case.proof.venues[venue]
    by_wire: dict[str, list[Request]] = {}
    for request in ledger.posts():
        proof.posts += 1
        if request.wire_id:
            by_wire.setdefault(request.wire_id, []).append(request)
        else:
            proof.posts_unread += 1
    at_venue = {order.wire_id for order in ledger.orders}
    for wire, posts in by_wire.items():
        identity = case.identities.get((venue, wire))
        if identity is None:
            if wire not in at_venue:
                text = f"{venue}: an order was sent as {wire}, which no journal has named"
                case.broken("I3", "unknown_order", text)
            continue
        _judge_posts(case, venue, identity, posts)


def _judge_posts(case: _Case, venue: str, identity: Identity, posts: list[Request]) -> None:
    order = identity.order
    trade = case.trades[identity.executor, order.trade]
    state = trade.state_of(order.order)
    reposts = state.reposts if state is not None else 0
    if len(posts) > 1 + reposts:
        text = f"was sent {len(posts)} times, the journal has {reposts} re-posts"
        _twice(case, "sent_twice", venue, identity.wire, text)
    if len({post.body_sha256 for post in posts}) > 1:
        text = f"{venue}: order {order.order} was sent with {len({p.body_sha256 for p in posts})} different bodies"
        case.broken("I1", "one_id_two_bodies", text)
    early = identity.at_ns - min(post.at_ns for post in posts)
    if early > 0:
        text = f"{venue}: order {order.order} was sent {early / 1e6:.3f} ms before its intent was durable"
        case.broken("I3", "sent_before_intent", text)
    if order.role is not Role.OPEN:
        return
    for halted in next(book.halts for book in case.books if book.name == identity.executor):
        # what had left the loop when the halt came may arrive until its window closes
        since = halted.since_ns + trade.bounds.send_window
        if any(since < post.at_ns < halted.until_ns for post in posts):
            text = f"{venue}: order {order.order} opens, and was sent while halted ({halted.why})"
            case.broken("I13", "opened_while_halted", text)


def _twice(case: _Case, what: str, venue: str, wire: str, text: str) -> None:
    identity = case.identities.get((venue, wire))
    name = identity.order.order if identity is not None else wire
    case.broken("I1", what, f"{venue}: order {name} {text}")
    if f"{venue} {name}" not in case.proof.twice:
        case.proof.twice.append(f"{venue} {name}")


def _judge_excess(case: _Case) -> None:
    """Legs against each other by the venues' own executions, whatever the journal says they filled."""
    matched: Counter[tuple[str, str, int]] = Counter()
    for venue, ledger in case.ledgers.items():
        for told in ledger.fills:
            identity = case.identities.get((venue, told.wire_id))
            if identity is not None and told.stands:
                sign = 1 if identity.order.side is Side.BUY else -1
                matched[identity.executor, identity.order.trade, identity.order.leg] += sign * told.quantity
    for (executor, name), trade in case.trades.items():
        nets = [matched[executor, name, leg] for leg in range(len(trade.terms))]
        legs = [net - min(nets) for net in nets]
        lot = max(term.lot for term in trade.terms)
        if trade.escalated:
            case.proof.escalated.append(Excess(name, legs, trade.escalation))
        elif max(legs) >= lot:
            case.proof.excess.append(Excess(name, legs))
            text = f"trade {name} is out of balance by {_legs(trade, legs)}"
            case.broken("I5", "residual_excess", text)
        elif any(legs):
            case.proof.dust.append(Excess(name, legs))


def _legs(trade: Trade, legs: Iterable[int]) -> str:
    told = zip(legs, trade.terms, strict=True)
    return ", ".join(f"{contracts(Quantity(n))} {term.outcome} at {term.venue}" for n, term in told if n)


def _judge_ends(case: _Case) -> None:
    for (_, name), trade in case.trades.items():
        case.proof.reposted += sum(state.reposts for state in trade.orders)
        if trade.escalated or trade.final:
            continue
        case.proof.unsettled.append(name)
        why = "executions are not confirmed" if trade.done else "it is neither hedged nor flat nor escalated"
        case.broken("I5", "unsettled", f"trade {name} is not over: {why}")
    for folded in case.books:
        held: Counter[str] = Counter(folded.desk.reserved)
        for name, amounts in folded.desk.committed.items():
            # doubt holds its reservation until there is proof, and a trade in a person's hands may have both
            if folded.desk.trades[name].escalated or name in case.proof.unsettled:
                held.subtract(amounts)
        for venue, amount in held.items():
            if amount:
                text = f"{folded.name}: {dollars(Money(amount))} at {venue} is reserved for nothing that is open"
                case.broken("I6", "reservation", text)


def _judge_owner(case: _Case, owner: Owner) -> None:
    ours = [(folded.name, entry) for folded in case.books for entry in folded.booked]
    case.proof.booked = len(ours)
    missing, extra = Counter(ours), Counter(owner)
    missing, extra = missing - extra, extra - missing
    for entries, text in ((missing, "does not know"), (extra, "has, and no executor booked,")):
        for source, entry in entries.elements():
            told = f"execution {entry.fill} of order {entry.order} ({dollars(Money(entry.cash))}), told by {source}"
            case.broken("I4", "position_book", f"the position book {text} {told}")
