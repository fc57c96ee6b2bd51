"""When a market is held, when it is let go, and how long it cools: the table of B4, and a market that two trades want."""

from __future__ import annotations

import pytest

from core.desk import Desk
from core.flights import NEVER, PAUSE_MOST, not_before, proved_failure, refused, released_at, why_released
from messages.base import Event
from messages.leases import CooldownsSet
from messages.orders import Refused
from messages.reasons import Refusal
from messages.trades import Opened
from messages.units import CONTRACT, SECOND, Nanos, Outcome, Price, Quantity
from tests.core.story import BOUNDS, START, event_of, kalshi, opening, parse, polymarket, story

HEAD = "0s opened 10 | submit a, submit b\n"

TABLE = [
    ("nothing is known yet", "", "in flight", None),
    ("one leg proved, one in doubt", "1s ended a 0 |\n1s lost b | look up b", "in flight", None),
    ("excess", "1s ended a 10 |\n1s ended b 0 | ask quotes", "in flight", None),
    ("both refused", "1s refused a invalid_order |\n2s refused b invalid_order |", "proved failure", 2),
    ("one refused, one killed", "1s ended a 0 |\n2s refused b invalid_order |", "proved failure", 2),
    ("both killed", "1s ended a 0 |\n2s ended b 0 |", "insufficient liquidity", 12),
    ("both filled", "1s ended a 10 |\n2s ended b 10 |", "success", 12),
    (
        "one refused, the other unwound",
        """1s ended a 10 |
           2s refused b invalid_order  | ask quotes
           3s quoted a 48/50 b 43/90   | submit a.unwind
           4s ended a.unwind 10        |""",
        "insufficient liquidity",
        14,
    ),
    ("presumed absent", "1s ended a 0 |\n1s lost b | look up b\n6s absent b |", "insufficient liquidity", 16),
    (
        "given up",
        "1s ended a 10 |\n1s ended b 0 | ask quotes\n30s quoted a 48/50 b 43/90 | escalate",
        "escalated",
        NEVER,
    ),
    ("late", "1s ended a 0 |\n1s lost b | look up b\n6s absent b |\n7s filled b 10 |", "in flight", None),
]


@pytest.mark.parametrize(("text", "why", "seconds"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_market_is_let_go(text: str, why: str, seconds: int | None) -> None:
    trade = story(f"{HEAD}{text}\n=> spans {1 if 'quotes' in text else 0}")
    assert why_released(trade) == why
    wanted = 0 if seconds is None else NEVER if seconds == NEVER else START + seconds * SECOND
    assert released_at(trade) == wanted
    assert proved_failure(trade) == (why == "proved failure")


@pytest.mark.parametrize(
    ("refusals", "seconds"), [(0, 30), (1, 30), (2, 30), (3, 300), (5, 300), (6, 600), (9, 1200), (99, 7200)]
)
def test_refusals_in_a_row_pause_a_market_ever_longer(refusals: int, seconds: int) -> None:
    assert not_before(BOUNDS, START, refusals) == START + seconds * SECOND
    assert not_before(BOUNDS, START, 10**9) == START + PAUSE_MOST


def test_without_a_storm_there_is_no_pause() -> None:
    bounds = BOUNDS.model_copy(update={"reject_storm": 0})
    assert not_before(bounds, START, 50) == START + 30 * SECOND


# The desk's side of it

KEY_A, KEY_B = ("kalshi", "K0"), ("polymarket", "P1")


class Played:
    """A desk that hears lines of a story about one of its trades."""

    def __init__(self) -> None:
        self.desk = Desk("g")
        self.seq = 0
        self.cooled: list[tuple[str, bool]] = []
        self.flights: list[tuple[str, str, bool]] = []

    def hear(self, event: Event) -> None:
        self.seq += 1
        applied = self.desk.apply(self.seq, event)
        self.cooled += [(entry.venue, entry.rejected) for entry in applied.cooled]
        self.flights += [(entry.trade, entry.venue, entry.entered) for entry in applied.flights]
        seqs = [e.seq for e in applied.cooled] + [e.seq for e in applied.flights] + [e.seq for e in applied.booked]
        assert set(seqs) <= {self.seq}

    def open(self, trade: str, at: int = 0) -> None:
        self.hear(intent(trade, Nanos(START + at * SECOND)))

    def tell(self, trade: str, text: str) -> None:
        for line in parse(text + "\n=> x").lines:
            self.hear(event_of(line, (), self.desk.trades[trade]))


def intent(trade: str, at: Nanos = START) -> Opened:
    return opening((kalshi(0), polymarket(1)), (Price(5_000), Price(4_500)), Quantity(10 * CONTRACT), at, trade=trade)


def test_a_market_is_in_flight_from_the_intent_and_a_while_after_the_end() -> None:
    played = Played()
    played.open("g.1.1")
    assert played.desk.flight_of(KEY_A, START) == "g.1.1"
    played.tell("g.1.1", "1s ended a 10 |\n1s ended b 10 |")
    assert played.desk.flight_of(KEY_A, Nanos(START + 10 * SECOND)) == "just ended"
    assert played.desk.flight_of(KEY_A, Nanos(START + 11 * SECOND)) is None
    assert played.desk.not_before(KEY_A) == START + 31 * SECOND
    assert played.flights == [
        ("g.1.1", "kalshi", True),
        ("g.1.1", "polymarket", True),
        ("g.1.1", "kalshi", False),
        ("g.1.1", "polymarket", False),
    ]
    assert played.cooled == [("kalshi", False), ("polymarket", False)]


def test_a_trade_that_reopens_does_not_take_the_market_from_the_one_that_holds_it_nor_free_it() -> None:
    played = Played()
    played.open("g.1.1")
    played.tell("g.1.1", "1s ended a 0 |\n1s lost b |\n6s absent b |")
    played.open("g.1.2", 20)
    played.tell("g.1.1", "21s filled b 10 f1 confirmed |")
    assert played.desk.flight_of(KEY_B, Nanos(START + 21 * SECOND)) == "g.1.2"
    assert played.desk.holders[KEY_B] == ["g.1.2", "g.1.1"]
    played.tell("g.1.1", "22s ended b 10 |\n22s quoted a 48/90 b 43/45 |\n23s ended b.unwind 10 |")
    later = Nanos(START + 60 * SECOND)
    assert played.desk.flight_of(KEY_B, later) == "g.1.2"
    played.tell("g.1.2", "24s ended a 10 |\n24s ended b 10 |")
    assert played.desk.flight_of(KEY_B, later) is None
    assert not played.desk.holders


def test_the_one_that_reopened_keeps_the_market_when_the_other_ends() -> None:
    played = Played()
    played.open("g.1.1")
    played.tell("g.1.1", "1s ended a 0 |\n1s lost b |\n6s absent b |")
    played.open("g.1.2", 20)
    played.tell("g.1.1", "21s filled b 10 f1 confirmed |")
    played.tell("g.1.2", "24s ended a 10 |\n24s ended b 10 |")
    assert played.desk.flight_of(KEY_B, Nanos(START + 60 * SECOND)) == "g.1.1"


def test_an_escalated_trade_keeps_its_markets_until_a_person_has_looked() -> None:
    played = Played()
    played.open("g.1.1")
    played.tell("g.1.1", "1s ended a 10 |\n1s ended b 0 |\n30s quoted a 48/50 b 43/90 |\n31s filled a 10 confirmed |")
    assert played.desk.trades["g.1.1"].escalated
    assert played.desk.flight_of(KEY_A, NEVER) == "g.1.1"
    assert played.desk.open_trades == 0


def test_a_market_of_both_outcomes_is_one_market() -> None:
    played = Played()
    terms = (kalshi(0), kalshi(0, Outcome.NO))
    played.hear(opening(terms, (Price(5_000), Price(4_500)), Quantity(10 * CONTRACT), trade="g.1.1"))
    played.tell("g.1.1", "1s refused a invalid_order |\n1s refused b invalid_order |")
    assert len(played.flights) == 2
    assert played.cooled == [("kalshi", True)]
    assert played.desk.refusals[KEY_A] == 1


def test_a_leg_that_is_always_refused_pauses_its_market_though_the_other_was_unwound() -> None:
    """The dearest storm of all: each refusal costs an unwind on the other side."""
    played = Played()
    for number in range(1, 4):
        name = f"g.1.{number}"
        played.open(name)
        played.tell(
            name,
            "1s refused b invalid_order |\n1s ended a 10 |\n2s quoted a 48/50 b 43/90 |\n3s ended a.unwind 10 |",
        )
    assert played.desk.refusals == {KEY_A: 0, KEY_B: 3}
    assert played.desk.not_before(KEY_B) == START + 303 * SECOND
    assert played.desk.not_before(KEY_A) == START + 33 * SECOND
    played.open("g.1.4")
    played.tell("g.1.4", "1s ended a 10 |\n1s ended b 10 |")
    assert played.desk.refusals == {KEY_A: 0, KEY_B: 0}
    assert played.desk.not_before(KEY_B) == START + 303 * SECOND


def test_only_a_refused_opening_is_a_refusal_of_the_market() -> None:
    trade = story(
        f"{HEAD}1s ended a 10 |\n1s ended b 0 | ask quotes\n2s quoted a 48/50 b 43/90 | submit a.unwind\n"
        "3s refused a.unwind invalid_price | ask quotes\n=> open"
    )
    assert not refused(trade, 0)
    assert not refused(trade, 1)


def test_the_later_of_an_owners_and_our_own_cool_down_wins() -> None:
    played = Played()
    played.hear(CooldownsSet(owner_epoch=1, until=(("kalshi", "K0", Nanos(START + 5)),)))
    played.hear(CooldownsSet(owner_epoch=1, until=(("kalshi", "K0", Nanos(START + 3)),)))
    assert played.desk.not_before(KEY_A) == START + 5


def test_a_refusal_by_a_stranger_is_nobodys() -> None:
    played = Played()
    played.hear(Refused(order="x", at=START, reason=Refusal.OTHER, text=""))
    assert not played.desk.refusals
