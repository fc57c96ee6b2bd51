"""Every violation that the proof knows is planted in an honest world, alone, and must be shown: that one and no other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from console.proof.fold import fold, sheets
from console.proof.judge import KINDS, judge
from console.proof.ledgers import Unreadable, read_ledgers
from journal import Level, open_journal
from messages.control import Halt, Resume
from messages.orders import Ended, EndKind, Named, Settlement
from messages.trades import Quote, Quoted, Restarted
from messages.units import MILLISECOND, Money, Outcome, Quantity
from tests.console.test_prove_world import KALSHI, POLYMARKET, START, World, hedged, reposted, unwound, wire_of


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three honest trades, the journals closed; what follows changes the venues' side."""
    world = World.begin(tmp_path)
    hedged(world)
    reposted(world)
    unwound(world)
    world.end()
    return world


@pytest.fixture
def begun(tmp_path: Path) -> World:
    """A journal that is still being written."""
    return World.begin(tmp_path)


def shown(world: World) -> set[str]:
    proof = world.prove()
    assert {violation.what for violation in proof.violations} <= set(KINDS)
    assert not proof.clean
    return {violation.what for violation in proof.violations}


def test_nothing_is_planted(world: World) -> None:
    assert world.prove().violations == []


# In the venues' ledgers


def test_a_micro_dollar_of_cash(world: World) -> None:
    world.account(KALSHI)["cash"] += 1
    assert shown(world) == {"cash"}
    proof = world.prove()
    assert proof.venues[KALSHI].cash.difference == -1
    assert not proof.reconciled
    assert "-0.000001" in proof.violations[0].text


def test_a_deposit_is_no_gain(world: World) -> None:
    world.account(KALSHI)["deposits"] += 5
    world.account(KALSHI)["cash"] += 5
    assert world.prove().clean


def test_a_fee(world: World) -> None:
    world.account(POLYMARKET)["fees_paid"] += 1
    assert shown(world) == {"fees"}


def test_a_fee_that_was_charged_otherwise(world: World) -> None:
    world.ledgers[KALSHI]["fills"][0]["fee"] += 100
    assert shown(world) == {"execution_differs"}
    assert "fee 0.17 here, 0.1701 there" in world.prove().violations[0].text


def test_a_position(world: World) -> None:
    world.account(KALSHI)["positions"]["g1-kalshi"]["yes"] -= 1
    assert shown(world) == {"position"}
    (difference,) = world.prove().venues[KALSHI].positions_different
    assert (difference.ours - difference.theirs, difference.outcome) == (1, "yes")


def test_a_position_that_nobody_booked(world: World) -> None:
    world.account(POLYMARKET)["positions"]["elsewhere"] = {"yes": 0, "no": 7}
    assert shown(world) == {"position"}


def test_an_execution_that_the_venue_does_not_have(world: World) -> None:
    del world.ledgers[POLYMARKET]["fills"][0]
    # the leg of the venue's own executions is then missing as well
    assert shown(world) == {"execution_unknown_to_venue", "residual_excess"}


def test_an_execution_that_our_journal_does_not_have(world: World) -> None:
    extra = world.ledgers[KALSHI]["fills"][0] | {"fill_id": "fill-99", "quantity": 9_999}
    world.ledgers[KALSHI]["fills"].append(extra)
    assert shown(world) == {"execution_unknown_to_us"}
    assert [sum(excess.legs) for excess in world.prove().dust] == [9_999]


def test_an_execution_that_was_taken_back_there_only(world: World) -> None:
    world.ledgers[POLYMARKET]["fills"][0]["settlement"] = "failed"
    assert shown(world) == {"execution_differs", "residual_excess"}


def test_a_failed_match_that_we_never_heard_of_is_nothing(world: World) -> None:
    failed = world.ledgers[POLYMARKET]["fills"][0] | {"fill_id": "fill-99", "settlement": "failed"}
    world.ledgers[POLYMARKET]["fills"].append(failed)
    assert world.prove().clean


def test_residual_excess_by_the_venues_own_executions(world: World) -> None:
    world.ledgers[KALSHI]["fills"][0]["quantity"] -= 10_000
    assert shown(world) == {"execution_differs", "residual_excess"}
    proof = world.prove()
    assert proof.residual_excess == 10_000
    assert proof.to_dict()["residual_excess_contracts"] == "0.01"
    assert proof.reconciled is False


def test_an_order_accepted_twice_in_the_request_log(world: World) -> None:
    first = world.ledgers[KALSHI]["requests"][0]
    world.ledgers[KALSHI]["requests"].append(first | {"n": 99})
    assert shown(world) == {"accepted_twice", "sent_twice"}
    assert world.prove().sent_twice == 1


def test_an_order_that_stands_twice(world: World) -> None:
    order = world.ledgers[POLYMARKET]["orders"][1]
    world.ledgers[POLYMARKET]["orders"].append(order | {"venue_order": "v-99"})
    assert shown(world) == {"accepted_twice"}


def test_one_body_under_two_identities(world: World) -> None:
    first, second, *_ = world.ledgers[KALSHI]["orders"]
    second["body_sha256"] = first["body_sha256"]
    assert shown(world) == {"one_body_two_ids"}
    assert world.prove().sent_twice == 1


def test_one_identity_with_two_bodies(world: World) -> None:
    world.ledgers[POLYMARKET]["requests"][2]["body_sha256"] = "another"
    assert world.ledgers[POLYMARKET]["requests"][1]["wire_id"] == world.ledgers[POLYMARKET]["requests"][2]["wire_id"]
    assert shown(world) == {"one_id_two_bodies"}


def test_a_request_before_its_intent_was_durable(world: World) -> None:
    request = world.ledgers[KALSHI]["requests"][0]
    request["at_ns"] -= 3 * MILLISECOND  # exactly when it was appended
    assert world.prove().clean
    request["at_ns"] -= 1
    assert shown(world) == {"sent_before_intent"}


def test_a_request_sent_again_without_a_journaled_look_up(world: World) -> None:
    first = world.ledgers[KALSHI]["requests"][0]
    world.ledgers[KALSHI]["requests"].append(first | {"n": 99, "accepted": False, "status": 409})
    assert shown(world) == {"sent_twice"}
    assert "sent 2 times, the journal has 0 re-posts" in world.prove().violations[0].text


def test_a_look_up_that_is_journaled_covers_one_repeat_and_not_two(world: World) -> None:
    again = world.ledgers[POLYMARKET]["requests"][2]
    world.ledgers[POLYMARKET]["requests"].append(again | {"n": 99, "accepted": False, "status": 400})
    assert shown(world) == {"sent_twice"}


def test_a_repeat_that_the_venue_turned_away_unread_is_known_by_its_bytes(world: World) -> None:
    first = world.ledgers[POLYMARKET]["requests"][0]
    world.ledgers[POLYMARKET]["requests"].append(first | {"wire_id": "", "accepted": False, "status": 429})
    assert shown(world) == {"sent_twice"}
    world.ledgers[POLYMARKET]["requests"][-1]["body_sha256"] = "never understood"
    assert world.prove().clean
    assert world.prove().venues[POLYMARKET].posts_unread == 1


def test_an_order_that_no_journal_named(world: World) -> None:
    request = world.ledgers[KALSHI]["requests"][0] | {"n": 99, "wire_id": "0xstranger", "accepted": False}
    world.ledgers[KALSHI]["requests"].append(request)
    assert shown(world) == {"unknown_order"}


def test_an_order_on_our_account_that_no_journal_named(world: World) -> None:
    order = world.ledgers[KALSHI]["orders"][0] | {"wire_id": "0xstranger", "venue_order": "v-99", "body_sha256": "x"}
    world.ledgers[KALSHI]["orders"].append(order)
    assert shown(world) == {"unknown_order"}


@pytest.mark.parametrize(
    "change", [{"side": "sell"}, {"market": "another"}, {"quantity": 1}, {"price": 4_900}, {"outcome": "no"}]
)
def test_the_venue_was_asked_for_something_else(world: World, change: dict[str, Any]) -> None:
    world.ledgers[KALSHI]["orders"][0] |= change
    assert shown(world) == {"order_differs"}


def test_the_judges_own_books(world: World) -> None:
    world.ledgers[KALSHI]["imbalance"] = 1
    assert shown(world) == {"venue_ledger"}


# In our own journals


def test_a_wrong_state_hash(begun: World) -> None:
    hedged(begun)
    begun.hash("0" * 64)
    begun.end()
    assert shown(begun) == {"wrong_hash"}
    proof = begun.prove()
    assert proof.replay_equal is False
    assert proof.reconciled is True
    assert (proof.hashes, proof.hashes_equal) == (2, 1)


def test_no_state_hash_at_all(begun: World) -> None:
    hedged(begun)
    begun.end(hashed=False)
    assert shown(begun) == {"no_hash"}


def test_an_execution_that_is_never_confirmed(begun: World) -> None:
    a, b = begun.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    for order, settlement in ((a, Settlement.CONFIRMED), (b, Settlement.MATCHED)):
        begun.post(order)
        begun.hear(order, begun.execute(order), settlement)
    begun.end()
    assert shown(begun) == {"unsettled"}
    assert "not confirmed" in begun.prove().violations[0].text


def test_a_trade_that_is_left_with_one_leg(begun: World) -> None:
    a, b = begun.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    begun.post(a)
    begun.hear(a, begun.execute(a))
    begun.commit(Ended(order=b.order, at=begun.now, venue_order="", matched=Quantity(0), how=EndKind.KILLED))
    begun.end()
    assert shown(begun) == {"unsettled", "residual_excess"}
    proof = begun.prove()
    assert proof.unsettled == [a.trade]
    assert proof.residual_excess == a.quantity


def test_doubt_that_is_left_keeps_its_reservation_and_is_shown_as_a_trade(begun: World) -> None:
    begun.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    begun.end()
    assert shown(begun) == {"unsettled"}


def test_an_entry_that_the_position_book_lacks(begun: World) -> None:
    hedged(begun)
    begun.end(owned=False)
    begun.own(begun.booked[:-1])
    assert shown(begun) == {"position_book"}
    assert "does not know" in begun.prove().violations[0].text


def test_an_entry_that_only_the_position_book_has(begun: World) -> None:
    hedged(begun)
    begun.end(owned=False)
    begun.own([*begun.booked, begun.booked[0].model_copy(update={"fill": "fill-99"})])
    assert shown(begun) == {"position_book"}


def test_an_entry_that_the_position_book_has_otherwise(begun: World) -> None:
    hedged(begun)
    begun.end(owned=False)
    changed = begun.booked[0].model_copy(update={"cash": Money(begun.booked[0].cash - 1)})
    begun.own([changed, *begun.booked[1:]])
    assert [v.what for v in begun.prove().violations] == ["position_book"] * 2


def test_a_position_book_without_a_journal(begun: World) -> None:
    hedged(begun)
    begun.end(owned=False)
    assert shown(begun) == {"position_book"}


def test_an_entry_that_the_position_book_kept_twice(begun: World) -> None:
    hedged(begun)
    begun.end()
    begun.own(begun.booked[:1])
    assert shown(begun) == {"position_book"}
    assert "no executor booked" in begun.prove().violations[0].text


def test_opening_while_halted(begun: World) -> None:
    hedged(begun)
    begun.commit(Halt(by="operator", why="to see it shown"))
    hedged(begun, "g2")
    begun.end()
    assert shown(begun) == {"opened_while_halted"}


def test_opening_after_the_halt_was_lifted(begun: World) -> None:
    begun.commit(Halt(by="operator", why="a look"))
    begun.after(5_000)
    begun.commit(Resume(by="operator", why="looked"))
    hedged(begun)
    begun.end()
    assert begun.prove().clean


def test_an_opening_order_that_arrives_long_after_the_halt(begun: World) -> None:
    a, _ = hedged(begun)
    begun.commit(Halt(by="operator", why="to see it shown"))
    begun.end()
    begun.ledgers[KALSHI]["requests"][0]["at_ns"] = begun.now + a.not_after - a.made_at
    assert begun.prove().clean, "it had left before the halt, and its window was still open"
    begun.ledgers[KALSHI]["requests"][0]["at_ns"] += 1
    assert shown(begun) == {"opened_while_halted"}


def test_a_trade_whose_name_does_not_follow(begun: World) -> None:
    begun.desk.number = 7
    hedged(begun)
    begun.desk.number = 1
    begun.end()
    assert shown(begun) == {"underived"}


def test_an_order_that_nothing_plans(begun: World) -> None:
    hedged(begun)
    begun.commit(Named(order="an order from nowhere", wire="0xnowhere"))
    begun.end()
    assert shown(begun) == {"underived"}


def test_an_incarnation_that_does_not_doubt(begun: World) -> None:
    hedged(begun)
    begun.hash()
    begun.writer.close()
    begun.writer = open_journal(begun.directory / "journal", "executor", level=Level.PROCESS, wall_ns=lambda: START)
    begun.end()
    assert shown(begun) == {"undoubted"}


def test_an_incarnation_that_does(begun: World) -> None:
    hedged(begun)
    begun.writer.close()
    begun.writer = open_journal(begun.directory / "journal", "executor", level=Level.PROCESS, wall_ns=lambda: START)
    begun.commit(Restarted(epoch=2, at=begun.after(50)))
    hedged(begun, "g2")
    begun.end()
    assert begun.prove().clean
    assert begun.prove().journals[0].epochs == 2


def test_two_executors_that_share_an_identity(begun: World) -> None:
    """Each journal is honest by itself; together they use the same ids, and the venue cannot tell them apart."""
    hedged(begun)
    begun.end()
    other = open_journal(begun.directory / "journal", "executor.2", level=Level.PROCESS, wall_ns=lambda: START)
    again = World(begun.directory, other, type(begun.desk)(other.genesis), ledgers=begun.ledgers)
    again.commit(Restarted(epoch=1, at=START))
    again.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    again.end(owned=False)
    assert {"underived", "unsettled"} <= shown(again)


def test_an_escalated_trade_is_apart_and_is_not_fine(begun: World) -> None:
    a, b = begun.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    begun.post(a)
    begun.hear(a, begun.execute(a))
    begun.commit(Ended(order=b.order, at=begun.now, venue_order="", matched=Quantity(0), how=EndKind.KILLED))
    name = a.trade
    _give_up(begun, name)
    begun.end()
    proof = begun.prove()
    assert proof.violations == []
    assert [(e.trade, sum(e.legs)) for e in proof.escalated] == [(name, a.quantity)]
    assert proof.residual_excess == 0
    assert not proof.clean


def _give_up(world: World, name: str) -> None:
    """Nobody quotes anything until the deadline passed."""
    world.after(31_000)
    nothing = (Quote(usable=False), Quote(usable=False))
    world.commit(Quoted(trade=name, at=world.now, quotes=nothing, spendable=(Money(0), Money(0))))
    assert world.desk.trades[name].escalated


# What a sound journal cannot hold: the fold itself would have to be wrong


def tampered(world: World, change: Callable[[Any], object]) -> set[str]:
    journal = world.directory / "journal"
    found = sheets(journal)
    folded = fold(journal, next(sheet for sheet in found if sheet.name == "executor"))
    change(folded)
    owner = [(folded.name, entry) for entry in folded.booked]
    proof = judge([folded], found, read_ledgers(world.file), owner)
    return {violation.what for violation in proof.violations}


def test_a_reservation_that_is_left(world: World) -> None:
    assert tampered(world, lambda folded: folded.desk.reserved.update(kalshi=1)) == {"reservation"}


def test_books_that_do_not_sum_to_zero(world: World) -> None:
    assert tampered(world, lambda folded: folded.desk.accounts.totals.update(usd=1)) == {"ledger"}


def test_an_execution_booked_twice(world: World) -> None:
    def twice(folded: Any) -> None:
        folded.booked.append(folded.booked[0])

    assert tampered(world, twice) == {"cash", "fees", "position"}


def test_a_maker_is_known_by_trade_and_order(begun: World) -> None:
    a, b = begun.open("g1", ((KALSHI, Outcome.YES, 48), (POLYMARKET, Outcome.NO, 49)))
    for order in (a, b):
        begun.post(order)
        begun.execute(order)
    begun.hear(a, "fill-1")
    told = begun.fill(POLYMARKET, "fill-2")
    told["fill_id"] = f"fill-2:{wire_of(b)}"
    begun.hear(b, told["fill_id"])
    told["fill_id"] = "fill-2"
    begun.end()
    assert begun.prove().clean


# In the bytes: nothing is computed from what is damaged


def flip(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (seq, body) = connection.execute("SELECT seq, body FROM entries ORDER BY seq LIMIT 1 OFFSET 5").fetchone()
        changed = bytes([body[0] ^ 1]) + body[1:]
        connection.execute("UPDATE entries SET body = ? WHERE seq = ?", (changed, seq))
        connection.commit()


def test_a_flipped_byte(world: World) -> None:
    flip(world.directory / "journal" / "executor.sqlite")
    with pytest.raises(Unreadable, match=r"executor\.sqlite is damaged at entry 6: its hash does not match"):
        world.prove()


def test_a_flipped_byte_in_an_owners_journal(begun: World) -> None:
    hedged(begun)
    begun.end(owned=False)
    for _ in range(6):
        begun.own()
    flip(begun.directory / "journal" / "position_book.sqlite")
    with pytest.raises(Unreadable, match="position_book"):
        begun.prove()


def test_every_kind_of_violation_has_a_test() -> None:
    text = Path(__file__).read_text()
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []
