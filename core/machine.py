"""The trade machine: what an event makes of a trade, and what is to be done about it.

`step(trade, event) -> (trade, commands)` is total (every event is legal in every state), pure, and works for any number
of legs. Told the same thing twice it does nothing the second time. It never unwinds while any order is unproven, never
takes silence for an answer, and bounds everything that it repeats; reaching a bound hands the trade to a person.
"""

from __future__ import annotations

from typing import Any

from core import ladder
from core.trade import Mishap, OrderState, Phase, Span, Trade
from messages.base import Command, Event
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
from messages.trades import AskQuotes, Escalate, Opened, Quoted, Restarted, RulesChanged, Woke
from messages.units import SECOND, Nanos, Quantity, Side, TimeInForce

Commands = tuple[Command, ...]
Report = Rested | Ended | Refused | Landed | Lost | Absent | LookUpFailed | Withheld | Filled

QUOTES_LATE = Nanos(2 * SECOND)
"""Quotes that did not come in this time are asked for again."""

TROUBLE_OF = {Refusal.FUNDS: Trouble.FUNDS, Refusal.RATE_LIMIT: Trouble.RATE_LIMITED}
NOT_NOW = (Refusal.RATE_LIMIT, Refusal.MODE)
"""Refusals that say nothing of the order: the same one may be taken a moment later."""
RANK = {Settlement.MATCHED: 0, Settlement.CONFIRMED: 1, Settlement.REVERSED: 2}


def open_trade(opened: Opened) -> tuple[Trade, Commands]:
    """The intent becomes a trade; all its orders leave at once."""
    states = tuple(_sent(order, opened.bounds.send_window) for order in opened.orders)
    return Trade(opened=opened, orders=states), tuple(Submit(order=order) for order in opened.orders)


def step(trade: Trade, event: Event) -> tuple[Trade, Commands]:
    """What follows from one event. An event about another trade's order changes nothing."""
    match event:
        case Quoted():
            return _quoted(trade, event)
        case Woke():
            return _woke(trade, event.at)
        case Restarted():
            return _restarted(trade, event.at)
        case RulesChanged():
            return _rules_changed(trade, event)
        case Named():
            state = trade.state_of(event.order)
            return (trade if state is None or state.wire else _put(trade, state, wire=event.wire, key=event.key)), ()
    if not isinstance(event, Report):
        return trade, ()
    state = trade.state_of(event.order)
    if state is None:
        return trade, ()
    after, commands = _told(trade, state, event)
    if after.proven and any(known.phase is Phase.DOUBT for known in trade.orders):
        after = _resume(after, event.at)
    after, more = _settle(after, event.at)
    return after, commands + more


# What is told of an order


def _told(trade: Trade, state: OrderState, event: Report) -> tuple[Trade, Commands]:
    match event:
        case Rested():
            return _rested(trade, state, event), ()
        case Ended():
            return _ended(trade, state, event), ()
        case Filled():
            return _filled(trade, state, event.fill, event.at), ()
        case Refused():
            return _refused(trade, state, event), ()
        case Landed():
            return _landed(trade, state, event.at)
        case Lost():
            return _lost(trade, state, event)
        case Absent():
            return _absent(trade, state, event)
        case Withheld() if not state.proven:
            return _put(trade, state, ask_after=_later(trade, state, event.at)), ()
    return trade, ()  # a look-up that failed says nothing; the sweep asks again


def _rested(trade: Trade, state: OrderState, event: Rested) -> Trade:
    reported = Quantity(max(state.reported, event.matched))
    if state.how is not None:  # a late copy of an older report: only its total can still teach us something
        return _put(trade, state, reported=reported) if reported != state.reported else trade
    if state.proven:
        trade = _mishap(trade, Trouble.LATE, state.order.leg, event.at)
    if state.phase is Phase.RESTING and reported == state.reported and state.venue_order == event.venue_order:
        return trade
    ask = _later(trade, state.model_copy(update={"asked": 0}), event.at)
    if state.order.expires_at:
        ask = Nanos(min(ask, max(_expiry(trade, state), event.at + trade.bounds.ask_first)))
    return _put(
        trade,
        state,
        phase=Phase.RESTING,
        landed=True,
        absent=False,
        refused=None,
        venue_order=event.venue_order,
        reported=reported,
        asked=0,
        ask_after=ask,
    )


def _ended(trade: Trade, state: OrderState, event: Ended) -> Trade:
    terms = trade.terms[state.order.leg]
    reported = Quantity(max(state.reported, event.matched))
    if state.how is not None:
        return _put(trade, state, reported=reported) if reported != state.reported else trade
    killed_unfilled = event.how is EndKind.KILLED and reported == 0
    unsure = killed_unfilled and state.reposts and not terms.kill_consumes
    if unsure and state.landed and not event.looked_up:
        # one copy of it was killed; of the other something was seen, and that one's fate is still open
        return _put(trade, state, **_doubted(state, event.at), repost_useless=True, asked=0, ask_after=event.at)
    if unsure and not state.landed and event.at < _fence(trade, state):
        # this may be the answer to our re-post alone: where a killed order does not use up its identity,
        # the first request may still arrive
        return _put(trade, state, **_doubted(state, event.at), repost_useless=True, ask_after=_fence(trade, state))
    if state.proven and reported:
        trade = _mishap(trade, Trouble.LATE, state.order.leg, event.at)
    return _put(
        trade,
        state,
        phase=Phase.DONE,
        landed=True,
        absent=False,
        refused=None,
        how=event.how,
        venue_order=event.venue_order,
        reported=reported,
        asked=0,
        ask_after=Nanos(event.at + trade.bounds.ask_first),
    )


def _filled(trade: Trade, state: OrderState, fill: Fill, at: Nanos) -> Trade:
    known = {f.fill: f for f in state.fills}
    old = known.get(fill.fill)
    if old is not None and RANK[fill.settlement] <= RANK[old.settlement]:
        return trade
    known[fill.fill] = fill if old is None else old.model_copy(update={"settlement": fill.settlement})
    if fill.settlement is Settlement.REVERSED:
        trade = _mishap(trade, Trouble.REVERSED, state.order.leg, at)
    if old is None and (state.absent or state.refused is not None):
        trade = _mishap(trade, Trouble.LATE, state.order.leg, at)
    fills = tuple(known[name] for name in sorted(known))
    changes: dict[str, Any] = {"fills": fills, "landed": True}
    if state.absent or state.refused is not None:
        # presumed dead, and it moved: what else it did must be asked
        changes |= {
            "absent": False,
            "refused": None,
            "phase": Phase.DOUBT,
            "ask_after": at,
            "doubted_at": at,
            "asked": 0,
        }
    elif state.proven and fill.settlement is Settlement.MATCHED:
        changes |= {"asked": 0, "ask_after": Nanos(at + trade.bounds.ask_most)}
    trade = _put(trade, state, **changes)
    after = trade.state_of(state.order.order)
    if after is not None and state.order.spend is None and after.matched > state.order.quantity:
        trade = _mishap(trade, Trouble.OVERFILL, state.order.leg, at)
    return trade


def _refused(trade: Trade, state: OrderState, event: Refused) -> Trade:
    if state.proven or state.phase is Phase.RESTING:
        return trade
    trade = _mishap(trade, TROUBLE_OF.get(event.reason, Trouble.REFUSED), state.order.leg, event.at)
    if state.landed:
        # refused, and yet something of it was seen: neither word is the last
        return _put(trade, state, **_doubted(state, event.at))
    if event.repost or state.reposts:
        # there is more than one request: a refusal of one proves nothing of the other
        useless = event.reason is not Refusal.RATE_LIMIT
        ask = _later(trade, state, event.at)
        useless = useless or state.repost_useless
        return _put(trade, state, **_doubted(state, event.at), repost_useless=useless, ask_after=ask)
    trade = _put(trade, state, phase=Phase.DONE, refused=event.reason)
    return _not_now(trade, state.order, event.at) if event.reason in NOT_NOW and state.order.reduces else trade


def _not_now(trade: Trade, order: Order, at: Nanos) -> Trade:
    """A recovery met a venue that was busy or closed for a moment: that is no attempt, and the next one waits longer.

    What bounds it is the deadline, and the pause that doubles.
    """
    refused = [state.order for state in trade.orders if state.order.reduces and state.refused in NOT_NOW]
    pause = min(trade.bounds.pause << min(len(refused), 16), trade.bounds.ask_most)
    changes: dict[str, Any] = {"next_rung_at": Nanos(max(trade.next_rung_at, at + pause))}
    if not any(other.made_at == order.made_at and other.order != order.order for other in refused):
        rung = "aggressive" if order.time_in_force is TimeInForce.IOC else "resting"
        changes[rung] = max(0, getattr(trade, rung) - 1)
    return trade.model_copy(update=changes)


def _landed(trade: Trade, state: OrderState, at: Nanos) -> tuple[Trade, Commands]:
    if state.how is not None or (state.landed and state.phase is not Phase.SENT):
        return trade, ()  # known already, and being asked about
    changes = _doubted(state, at) | {"landed": True, "absent": False, "refused": None}
    trade = _put(trade, state, **changes, asked=0, ask_after=_first(trade, at))
    return trade, (LookUp(order=state.order),)


def _lost(trade: Trade, state: OrderState, event: Lost) -> tuple[Trade, Commands]:
    if state.proven or state.phase is Phase.RESTING or event.at <= state.doubted_at:
        return trade, ()  # the venue has shown it meanwhile, or it is being asked about already
    trade = _mishap(trade, event.trouble, state.order.leg, event.at)
    trade = _put(trade, state, phase=Phase.DOUBT, doubted_at=event.at, asked=0, ask_after=_first(trade, event.at))
    return trade, (LookUp(order=state.order),)


def _absent(trade: Trade, state: OrderState, event: Absent) -> tuple[Trade, Commands]:
    if state.phase is not Phase.DOUBT or state.landed:
        return trade, ()
    if event.as_of >= _fence(trade, state):
        return _put(trade, state, phase=Phase.DONE, absent=True), ()
    if not _repost_wanted(trade, state):
        return trade, ()
    trade = _put(
        trade, state, reposts=state.reposts + 1, posted_at=event.at, asked=0, ask_after=_later(trade, state, event.at)
    )
    return trade, (Repost(order=state.order),)


def _repost_wanted(trade: Trade, state: OrderState) -> bool:
    """A re-post may execute. It is wanted only where that would bring the legs together, by what is known now."""
    order, terms = state.order, trade.terms[state.order.leg]
    if trade.escalated:
        return False  # the exposure is frozen: a person decides
    if not terms.repost_proves or state.repost_useless or state.reposts >= trade.bounds.reposts_max:
        return False
    if order.time_in_force is not TimeInForce.IOC:
        return False
    nets = trade.nets
    low = min((net for leg, net in enumerate(nets) if leg != order.leg), default=nets[order.leg])
    gap = low - nets[order.leg] if order.side is Side.BUY else nets[order.leg] - low
    # more than half of it must be wanted, or executing it would leave the legs further apart than they are
    return gap >= max(t.lot for t in trade.terms) and 2 * gap > order.quantity


# Time, quotes, restarts


def _woke(trade: Trade, at: Nanos) -> tuple[Trade, Commands]:
    commands: list[Command] = []
    for state in trade.orders:
        if at < state.ask_after or (state.proven and state.settled):
            continue
        changes: dict[str, Any] = {"asked": state.asked + 1, "ask_after": _later(trade, state, at)}
        if state.phase is Phase.RESTING and at < _expiry(trade, state) <= changes["ask_after"]:
            changes = {"asked": 0, "ask_after": _expiry(trade, state)}  # its cancel must not wait for a slow poll
        if state.proven:
            commands.append(FetchFills(order=state.order))
        elif state.phase is Phase.RESTING and state.order.expires_at and at >= _expiry(trade, state):
            commands.append(Cancel(order=state.order))
        else:
            if state.phase is Phase.SENT:  # no answer at all came back to us: as good as lost
                changes |= {"phase": Phase.DOUBT, "doubted_at": at}
                trade = _mishap(trade, Trouble.TIMEOUT, state.order.leg, at)
            commands.append(LookUp(order=state.order))
        trade = _put(trade, state, **changes)
    if trade.quotes_asked_at and at - trade.quotes_asked_at > QUOTES_LATE:
        trade = trade.model_copy(update={"quotes_asked_at": Nanos(0)})
    stuck = _stuck(trade, at)
    if stuck is not None and not trade.escalated:
        trade, more = _escalate(trade, at, f"order {stuck.order.order} could not be proved in time")
        return trade, tuple(commands) + more
    trade, more = _settle(trade, at)
    return trade, tuple(commands) + more


def _stuck(trade: Trade, at: Nanos) -> OrderState | None:
    """An order that has gone without proof for too long, be it in doubt or resting beyond its time."""
    for state in trade.orders:
        since = max(state.posted_at, state.doubted_at, _expiry(trade, state))
        if not state.proven and at - since > trade.terms[state.order.leg].late_arrival + trade.bounds.deadline:
            return state
    return None


def _restarted(trade: Trade, at: Nanos) -> tuple[Trade, Commands]:
    """A new incarnation, whose clock need not agree with the last one's: whatever is still to come counts from now.

    An order may have left at the predecessor's last instant, so it can arrive for its whole time from here.
    """
    commands: list[Command] = []
    for state in trade.orders:
        if state.proven:
            trade = _put(trade, state, ask_after=Nanos(min(state.ask_after, _first(trade, at))))
            continue
        trade = _mishap(trade, Trouble.RESTART, state.order.leg, at)
        left = Nanos(at - trade.bounds.send_window)
        trade = _put(
            trade, state, phase=Phase.DOUBT, posted_at=left, doubted_at=at, asked=0, ask_after=_first(trade, at)
        )
        commands.append(LookUp(order=state.order))
    changes: dict[str, Any] = {
        "quotes_asked_at": Nanos(0),
        "next_rung_at": Nanos(min(trade.next_rung_at, at + 2 * trade.bounds.pause)),
    }
    if _out_of_balance(trade):
        span = trade.spans[-1]
        span = span.model_copy(update={"proved_at": min(span.proved_at, at), "able_at": min(span.able_at, at)})
        changes["spans"] = (*trade.spans[:-1], span)
    if any(getattr(trade, name) != value for name, value in changes.items()):
        trade = trade.model_copy(update=changes)
    trade, more = _settle(_resume(trade, at), at)
    if trade.escalated:
        # the predecessor may have died before it told anybody
        more = (*more, Escalate(trade=trade.trade, text=trade.escalation))
    return trade, tuple(commands) + more


def _rules_changed(trade: Trade, event: RulesChanged) -> tuple[Trade, Commands]:
    """What rests in that market is cancelled now, and what is not proved to rest as soon as it is seen to."""
    commands: list[Command] = []
    for state in trade.orders:
        order = state.order
        there = (order.venue, order.market) == (event.venue, event.market)
        if not there or not order.expires_at or state.proven or state.recalled_at:
            continue
        trade = _put(trade, state, recalled_at=event.at, ask_after=min(state.ask_after, _first(trade, event.at)))
        if state.phase is Phase.RESTING:
            commands.append(Cancel(order=order))
    return trade, tuple(commands)


def _quoted(trade: Trade, quoted: Quoted) -> tuple[Trade, Commands]:
    if not trade.quotes_asked_at or {len(quoted.quotes), len(quoted.spendable)} != {len(trade.terms)}:
        return trade, ()  # nobody waits for these (asked twice, or before a restart), or they are not of this trade
    trade = trade.model_copy(update={"quotes_asked_at": Nanos(0)})
    if trade.escalated or not trade.proven or trade.balanced or not _out_of_balance(trade):
        return _settle(trade, quoted.at)
    match ladder.choose(trade, quoted):
        case ladder.Send(orders, resting):
            states = tuple(_sent(order, trade.bounds.send_window) for order in orders)
            rungs = {"resting": trade.resting + 1} if resting else {"aggressive": trade.aggressive + 1}
            changes = {"orders": trade.orders + states, "next_rung_at": Nanos(quoted.at + trade.bounds.pause)} | rungs
            return trade.model_copy(update=changes), tuple(Submit(order=order) for order in orders)
        case ladder.Wait(until, blocked):
            spans = trade.spans
            if blocked:
                spans = (*spans[:-1], spans[-1].model_copy(update={"able_at": until}))
            return trade.model_copy(update={"next_rung_at": until, "spans": spans}), ()
        case ladder.GiveUp(text):
            return _escalate(trade, quoted.at, text)


# Balance


def _settle(trade: Trade, at: Nanos) -> tuple[Trade, Commands]:
    """Is it over, may it go on, or must it wait for proof?"""
    if not trade.proven:
        return (trade.model_copy(update={"balanced_at": Nanos(0)}) if trade.balanced_at else trade), ()
    if trade.balanced:
        if trade.balanced_at:
            return trade, ()
        spans = trade.spans
        if _out_of_balance(trade):
            able = Nanos(min(spans[-1].able_at, at))  # it may be over before it could have acted
            spans = (*spans[:-1], spans[-1].model_copy(update={"flat_at": at, "able_at": able}))
        return trade.model_copy(update={"balanced_at": at, "spans": spans}), ()
    if not _out_of_balance(trade):
        trade = _open_span(trade, at)
        if len(trade.spans) > trade.bounds.spans_max and not trade.escalated:
            return _escalate(trade, at, "it fell out of balance too often")
    if trade.escalated or trade.quotes_asked_at or at < trade.next_rung_at:
        return trade, ()
    return trade.model_copy(update={"quotes_asked_at": at}), (AskQuotes(trade=trade.trade),)


def _resume(trade: Trade, at: Nanos) -> Trade:
    """Doubt is over, or we are back. Meanwhile nothing could be done, so a recovery's deadline counts from here."""
    if not _out_of_balance(trade):
        return trade
    span = trade.spans[-1].model_copy(update={"resumed_at": at})
    return trade.model_copy(update={"spans": (*trade.spans[:-1], span)})


def _out_of_balance(trade: Trade) -> bool:
    """A span is open."""
    return bool(trade.spans) and trade.spans[-1].flat_at is None


def _open_span(trade: Trade, at: Nanos) -> Trade:
    for state in trade.orders:
        if state.order.role is Role.OPEN and state.how is not None and state.reported < state.order.quantity:
            trade = _mishap(trade, Trouble.PARTIAL if state.reported else Trouble.UNFILLED, state.order.leg, at)
    return trade.model_copy(
        update={
            "spans": (*trade.spans, Span(proved_at=at, able_at=at)),
            "aggressive": 0,
            "resting": 0,
            "next_rung_at": at,
            "balanced_at": Nanos(0),
        }
    )


def _escalate(trade: Trade, at: Nanos, text: str) -> tuple[Trade, Commands]:
    trade = trade.model_copy(update={"escalated_at": at, "escalation": text})
    return trade, (Escalate(trade=trade.trade, text=text),)


# Small pieces


def _sent(order: Order, window: Nanos) -> OrderState:
    # every gateway answers within its time-outs; this is for an answer that died inside this process
    return OrderState(order=order, posted_at=order.made_at, ask_after=Nanos(order.made_at + 4 * window))


def _first(trade: Trade, at: Nanos) -> Nanos:
    return Nanos(at + trade.bounds.ask_first)


def _later(trade: Trade, state: OrderState, at: Nanos) -> Nanos:
    return Nanos(at + min(trade.bounds.ask_first << min(state.asked, 16), trade.bounds.ask_most))


def _fence(trade: Trade, state: OrderState) -> Nanos:
    """After it nothing of the order can arrive: it may have left as late as its window allowed."""
    return Nanos(state.posted_at + trade.bounds.send_window + trade.terms[state.order.leg].late_arrival)


def _expiry(trade: Trade, state: OrderState) -> Nanos:
    """When a resting order is cancelled: `expires_at`, and after a restart no later than it may rest from there on."""
    due = min(state.order.expires_at, state.posted_at + trade.bounds.rest)
    return Nanos(min(due, state.recalled_at) if state.recalled_at else due)


def _doubted(state: OrderState, at: Nanos) -> dict[str, Any]:
    """Into doubt, since when it was first doubted."""
    return {"phase": Phase.DOUBT, "doubted_at": state.doubted_at if state.phase is Phase.DOUBT else at}


def _mishap(trade: Trade, trouble: Trouble, leg: int, at: Nanos) -> Trade:
    if any(m.trouble is trouble and m.leg == leg for m in trade.mishaps):
        return trade
    return trade.model_copy(update={"mishaps": (*trade.mishaps, Mishap(trouble=trouble, leg=leg, at=at))})


def _put(trade: Trade, state: OrderState, **changes: Any) -> Trade:
    if all(getattr(state, name) == value for name, value in changes.items()):
        return trade  # nothing that was not known: nothing to journal
    after = state.model_copy(update=changes)
    orders = tuple(after if s.order.order == state.order.order else s for s in trade.orders)
    return trade.model_copy(update={"orders": orders})
