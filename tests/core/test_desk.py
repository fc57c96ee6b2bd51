"""The fold over a journal: what one executor knows, and that a replay knows the same."""

from __future__ import annotations

from core.desk import Desk
from messages.base import Event, Message
from messages.control import Halt, Resume
from messages.leases import CapitalGranted, ClaimsGranted, ClaimsReturned, CooldownsSet, ReturnClaims
from messages.orders import Ended, EndKind, Named, Rested, Submit
from messages.trades import CursorMoved, Hashed, Opened, Quoted, Rehearsed, Restarted, Woke
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


def test_grants_only_grow_and_a_refusal_takes_nothing_back() -> None:
    """A refusal may be older than the grant that it is heard after; a claim goes back by its holder's word alone."""
    desk = Desk("g")
    for total in (5, 9, 7):
        desk.apply(1, CapitalGranted(owner_epoch=1, holder="x", venue="kalshi", total=Money(total)))
    assert desk.granted == {"kalshi": 9}
    desk.apply(2, ClaimsGranted(owner_epoch=1, holder="x", groups=("one", "two")))
    late = ClaimsGranted(owner_epoch=1, holder="x", groups=(), refused=("two",))
    assert not desk.changes(late)
    desk.apply(3, late)
    assert desk.claims.terms == {"one": 1, "two": 1}


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
    assert desk.changes(claims.model_copy(update={"groups": ("a", "c")}))
    assert desk.changes(capital.model_copy(update={"total": Money(6)}))


# Claims that are asked back


GRANTED = ClaimsGranted(owner_epoch=1, holder="x", groups=("group", "other"), terms=(3, 1))
ASKED_BACK = ReturnClaims(owner_epoch=1, holder="x", claims=(("group", 3),))


def gave_back(at_s: int) -> ClaimsReturned:
    return ClaimsReturned(holder="x", claims=(("group", 3),), at=Nanos(START + at_s * SECOND))


def asked_in_mid_trade() -> Desk:
    desk = Desk("g")
    for seq, event in enumerate((GRANTED, intent(), ASKED_BACK), 1):
        assert desk.changes(event)
        desk.apply(seq, event)
    return desk


def quiet(desk: Desk, at_s: int) -> bool:
    return desk.quiet("group", Nanos(START + at_s * SECOND))


def test_a_claim_is_kept_until_its_trade_is_final_and_its_markets_are_released() -> None:
    desk = asked_in_mid_trade()
    assert ("group" in desk.claims, "other" in desk.claims) == (False, True), "nothing more is opened in it"
    assert not quiet(desk, 99), "in doubt"
    lines(desk, "1s ended a 10 |\n1s ended b 10 |")
    assert not quiet(desk, 99), "over, but what matched may be taken back"
    lines(desk, "2s filled a 10 confirmed |\n2s filled b 10 confirmed |")
    assert [quiet(desk, at_s) for at_s in (10, 11)] == [False, True], "released 10 s after it was in balance"
    assert not desk.changes(gave_back(10))
    assert desk.changes(gave_back(11))
    desk.apply(9, gave_back(11))
    assert (desk.claims.asked_back, desk.claims.returned) == ({}, {"group": 3})
    assert not desk.changes(gave_back(12))
    assert not desk.changes(GRANTED), "a late copy of the grant"


def test_a_trade_in_a_persons_hands_keeps_the_claim() -> None:
    desk = asked_in_mid_trade()
    desk.apply(4, Woke(trade="g.1.1", at=Nanos(START + 2 * SECOND)))
    desk.apply(5, Woke(trade="g.1.1", at=Nanos(START + 99 * SECOND)))
    assert desk.trades["g.1.1"].escalated
    lines(desk, "100s ended a 10 |\n100s ended b 10 |\n101s filled a 10 confirmed |\n101s filled b 10 confirmed |")
    assert desk.trades["g.1.1"].final
    assert not quiet(desk, 1_000_000), "proved at last, and yet nobody has looked"
    assert not desk.changes(gave_back(1_000_000))


def test_a_trade_that_falls_open_before_the_word_is_written_keeps_the_claim() -> None:
    desk = asked_in_mid_trade()
    lines(desk, "1s ended a 10 |\n1s ended b 10 |\n2s filled a 10 confirmed |\n2s filled b 10 f1 confirmed |")
    assert quiet(desk, 11)
    lines(desk, "11s filled b 10 f1 reversed |")
    assert not desk.changes(gave_back(11))


def test_late_news_after_the_claim_went_opens_the_trade_and_nothing_else() -> None:
    """It recovers by its own journal; the claim is somebody else's by now."""
    desk = asked_in_mid_trade()
    lines(desk, "1s ended a 10 |\n1s ended b 10 |\n2s filled a 10 confirmed |\n2s filled b 10 f1 confirmed |")
    desk.apply(9, gave_back(11))
    lines(desk, "20s filled b 10 f1 reversed |")
    assert desk.open_trades == 1
    assert "group" not in desk.claims
    assert desk.claims.wish("x", 1, ("group",)).returned == (("group", 3),)


def test_a_group_without_a_trade_is_quiet_and_a_dry_run_is_like_a_trade() -> None:
    desk = Desk("g")
    assert quiet(desk, 0)
    opportunity = intent().opportunity
    desk.apply(1, Rehearsed(opportunity=opportunity, release_after=Nanos(10 * SECOND), at=START))
    assert [quiet(desk, at_s) for at_s in (9, 10)] == [False, True]
    assert desk.quiet("other", START)


def test_every_step_of_a_claim_is_in_the_digest() -> None:
    desk, digests = Desk("g"), set[str]()
    steps = (GRANTED, ASKED_BACK, gave_back(0), GRANTED.model_copy(update={"terms": (5, 1)}))
    for seq, event in enumerate(steps, 1):
        desk.apply(seq, event)
        digests.add(desk.digest())
    assert len(digests) == len(steps)
