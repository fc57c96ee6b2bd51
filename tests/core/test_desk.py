"""The fold over a journal: what one executor knows, and that a replay knows the same."""

from __future__ import annotations

from core.desk import Desk
from messages.base import Event, Message
from messages.control import Halt, Resume
from messages.leases import CapitalGranted, ClaimsGranted, CooldownsSet
from messages.orders import Ended, EndKind, Named, Rested, Submit
from messages.trades import CursorMoved, Hashed, Opened, Quoted, Restarted, Woke
from messages.units import CONTRACT, SECOND, Money, Nanos, Price, Quantity
from tests.core.story import START, event_of, kalshi, opening, parse, polymarket


def intent(trade: str = "g.1.1") -> Opened:
    return opening((kalshi(0), polymarket(1)), (Price(5_000), Price(4_500)), Quantity(10 * CONTRACT), trade=trade)


def lines(desk: Desk, text: str, trade: str = "g.1.1") -> list[Event]:
    heard: list[Event] = []
    for line in parse(text + "\n=> x").lines:
        event = event_of(line, (), desk.trades[trade])
        heard.append(event)
        desk.apply(100 + len(heard), event)
    return heard


def test_trades_are_numbered_and_never_repeat_a_name() -> None:
    desk = Desk("g")
    assert desk.next_trade(4) == "g.4.1"
    desk.apply(1, intent("g.4.1"))
    assert desk.next_trade(5) == "g.5.2"


def test_an_intent_that_is_folded_twice_sends_once() -> None:
    desk = Desk("g")
    assert len(desk.submits(desk.apply(1, intent()).commands)) == 2
    lines(desk, "1s ended a 10 |")
    before = desk.digest()
    assert desk.apply(2, intent()).commands == []
    assert desk.digest() == before


def test_grants_only_grow_and_claims_are_taken_back_by_a_refusal() -> None:
    desk = Desk("g")
    for total in (5, 9, 7):
        desk.apply(1, CapitalGranted(owner_epoch=1, holder="x", venue="kalshi", total=Money(total)))
    assert desk.granted == {"kalshi": 9}
    desk.apply(2, ClaimsGranted(owner_epoch=1, holder="x", groups=("one", "two")))
    desk.apply(3, ClaimsGranted(owner_epoch=1, holder="x", groups=(), refused=("two",)))
    assert desk.claims == {"one"}


def test_a_halt_lasts_until_a_person_lifts_it() -> None:
    desk = Desk("g")
    desk.apply(1, Halt(by="me", why="lunch"))
    assert desk.halted == "me: lunch"
    desk.apply(2, Resume(by="me", why="back"))
    assert not desk.halted


def test_orders_are_known_by_their_wire_and_by_the_venues_own_name() -> None:
    desk = Desk("g")
    desk.apply(1, intent())
    desk.apply(2, Named(order="g.1.1.0.0", wire="hash"))
    desk.apply(3, Named(order="stranger", wire="other"))
    desk.apply(4, Rested(order="g.1.1.0.0", at=START, venue_order="v1", matched=Quantity(0)))
    assert desk.by_wire == {("kalshi", "hash"): "g.1.1.0.0"}
    assert desk.by_venue_order == {("kalshi", "v1"): "g.1.1.0.0"}


def test_what_would_change_nothing_is_not_journaled() -> None:
    desk = Desk("g")
    desk.apply(1, intent())
    told = lines(desk, "1s rested a 3 |\n1s filled a 3 f1 |\n1s ended a 10 |")
    assert not any(desk.changes(event) for event in told)
    assert not desk.changes(Woke(trade="g.1.1", at=START))
    assert not desk.changes(Woke(trade="nobody", at=START))
    assert not desk.changes(Quoted(trade="g.1.1", at=START, quotes=(), spendable=()))
    assert not desk.changes(Ended(order="x", at=START, venue_order="v", matched=Quantity(0), how=EndKind.KILLED))
    assert desk.changes(Woke(trade="g.1.1", at=Nanos(START + 9 * SECOND)))


def test_a_final_trade_leaves_the_sweep_and_a_reversal_brings_it_back() -> None:
    desk = Desk("g")
    desk.apply(1, intent())
    lines(desk, "1s ended a 10 |\n1s ended b 10 |")
    assert (desk.open_trades, desk.in_doubt, len(desk.open)) == (0, 0, 1)
    lines(desk, "2s filled a 10 confirmed |\n2s filled b 10 f1 confirmed |")
    assert not desk.open
    assert desk.accounts.cash == {"kalshi": -5_000_000, "polymarket": -4_500_000}
    lines(desk, "9s filled b 10 f1 reversed |")
    assert (desk.open_trades, len(desk.open)) == (1, 1)
    assert desk.accounts.cash == {"kalshi": -5_000_000, "polymarket": 0}


def test_free_capital_is_what_was_granted_less_what_is_spent_and_reserved() -> None:
    desk = Desk("g")
    desk.apply(1, CapitalGranted(owner_epoch=1, holder="x", venue="kalshi", total=Money(20_000_000)))
    desk.apply(2, intent())
    assert desk.free("kalshi") == 20_000_000 - desk.reserved["kalshi"]
    lines(desk, "1s filled a 10 @48 confirmed fee 0.17 |\n1s ended a 10 |")
    assert desk.reserved["kalshi"] == 0
    assert desk.free("kalshi") == 20_000_000 - 4_800_000 - 170_000
    assert desk.free("polymarket") == 0
    assert desk.held("kalshi", "K0", kalshi().outcome) == 10 * CONTRACT


def test_a_restart_asks_about_everything_unproven_and_the_digest_of_a_replay_is_equal() -> None:
    journal: list[Message] = [
        CapitalGranted(owner_epoch=1, holder="x", venue="kalshi", total=Money(20_000_000)),
        intent(),
        Named(order="g.1.1.0.0", wire="hash"),
        Restarted(epoch=2, at=Nanos(START + SECOND)),
        CursorMoved(venue="kalshi", cursor="12"),
        Hashed(digest="x"),
    ]
    desk, again = Desk("g"), Desk("g")
    for seq, event in enumerate(journal, 1):
        applied = desk.apply(seq, event)
        if isinstance(event, Restarted):
            assert len(applied.commands) == 2
            assert not any(isinstance(command, Submit) for command in applied.commands)
    for seq, event in enumerate(journal, 1):
        again.apply(seq, event)
    assert desk.in_doubt == 2
    assert desk.cursors == {"kalshi": "12"}
    assert desk.digest() == again.digest()
    again.apply(9, Halt(by="me", why="x"))
    assert desk.digest() != again.digest()


def test_a_grant_that_is_told_again_is_not_journaled_again() -> None:
    desk = Desk("g")
    capital = CapitalGranted(owner_epoch=1, holder="executor", venue="kalshi", total=Money(5))
    claims = ClaimsGranted(owner_epoch=1, holder="executor", groups=("a", "b"))
    cools = CooldownsSet(owner_epoch=1, until=(("kalshi", "k", Nanos(9)),))
    for seq, grant in enumerate((capital, claims, cools), start=1):
        assert desk.changes(grant)
        desk.apply(seq, grant)
        assert not desk.changes(grant)
    assert desk.changes(claims.model_copy(update={"groups": (), "refused": ("a",)}))
    assert desk.changes(capital.model_copy(update={"total": Money(6)}))
