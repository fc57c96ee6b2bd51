"""Episodes of crossings: each is judged, each verdict is told once, and the end says how long it was and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from actors.scout import MODE_FOR, Scout
from core.checks import Approved
from core.desk import Desk
from core.intent import intend
from messages.books import Book
from messages.control import Halt, VenueSeen
from messages.leases import CapitalGranted, ClaimsGranted
from messages.markets import Pair, PairedMarket, VenueMode
from messages.opportunities import Opportunity, Verdict
from messages.reasons import Reason
from messages.trades import Rehearsed
from messages.units import DOLLAR, SECOND, Money, Nanos, Price
from tests.core.markets import LIMITS, MARKETS, SIZING, K, P, book, lots
from tests.core.story import BOUNDS, START, kalshi, polymarket

PAIR = Pair(
    pair="pair",
    group="group",
    title="title",
    markets=(PairedMarket(venue=K[0], market=K[1]), PairedMarket(venue=P[0], market=P[1])),
    approved_by="me",
    approved_at="today",
)


@dataclass
class Watch:
    """A scout for whom everything is in order, and a clock in tenths of a second."""

    desk: Desk = field(default_factory=lambda: Desk("g"))
    now: Nanos = START
    keys: int = 9
    dry: bool = False

    def __post_init__(self) -> None:
        self.scout = Scout((PAIR,), self.desk, LIMITS, SIZING, lambda _venue, _now: self.keys)
        self.scout.markets.update(MARKETS)
        self.desk.apply(1, ClaimsGranted(owner_epoch=1, holder="executor", groups=("group",)))
        for venue in ("kalshi", "polymarket"):
            self.desk.apply(1, CapitalGranted(owner_epoch=1, holder="x", venue=venue, total=Money(900 * DOLLAR)))
            self.scout.hear_mode(VenueSeen(venue=venue, mode=VenueMode.OPEN, reachable=True, at=START))

    def see(self, yes: int, no: int, wait: int = 1, **changes: Any) -> list[Approved[Opportunity]]:
        """YES at Kalshi and NO at Polymarket offered at these cents; what is approved is taken."""
        self.now = Nanos(self.now + wait * SECOND // 10)
        told: list[Book] = [book(K, yes_asks=lots((yes, 100)), seen_at=self.now, **changes),
                            book(P, no_asks=lots((no, 100)), seen_at=self.now)]  # fmt: skip
        self.scout.books.update({(one.venue, one.market): one for one in told})
        return self.look()

    def look(self) -> list[Approved[Opportunity]]:
        approved = []
        for one in self.scout.look(K, self.now, 1):
            approved.append(one)
            name = None if self.dry else self.desk.next_trade(1)
            if name is None:
                self.desk.apply(2, Rehearsed(opportunity=one.value, release_after=Nanos(SECOND), at=self.now))
            else:
                terms = (kalshi().model_copy(update={"market": "K"}), polymarket().model_copy(update={"market": "P"}))
                self.desk.apply(2, intend(one, name, terms, BOUNDS, self.now))
            self.scout.taken(one, name, Verdict.DRY_RUN if self.dry else Verdict.TAKEN, self.now)
        return approved

    @property
    def verdicts(self) -> list[tuple[Verdict, Reason | None]]:
        return [(one.verdict, one.reason) for one in self.scout.decisions]

    @property
    def reasons(self) -> list[Reason | None]:
        return [one.reason for one in self.scout.decisions]


def test_a_crossing_that_pays_is_taken_once_while_its_trade_holds_the_market() -> None:
    watch = Watch()
    for _ in range(5):
        watch.see(40, 45)
    assert watch.verdicts == [(Verdict.TAKEN, None)]
    watch.see(60, 45)
    (ended,) = watch.scout.ended
    assert (ended.since, ended.until) == (START + SECOND // 10, START + 6 * SECOND // 10)
    assert (ended.best_gross, ended.decisions, ended.taken, ended.last) == (Price(1_500), 1, 1, None)
    assert watch.scout.seen == 1


def test_a_verdict_is_told_once_and_told_again_when_it_changes() -> None:
    watch = Watch(keys=0)
    for _ in range(50):
        watch.see(40, 45)
    watch.see(53, 45)
    watch.see(53, 45)
    watch.see(40, 45)
    assert watch.reasons == [Reason.KEYS, Reason.UNPROFITABLE, Reason.KEYS]
    names = [one.opportunity.opportunity for one in watch.scout.decisions]
    assert names == ["g.1.o1", "g.1.o2", "g.1.o3"]
    watch.see(60, 45)
    assert [(one.decisions, one.last) for one in watch.scout.ended] == [(3, Reason.KEYS)]


def test_the_best_of_an_episode_is_remembered() -> None:
    watch = Watch(keys=0)
    for yes in (50, 42, 47, 60):
        watch.see(yes, 45)
    assert [one.best_gross for one in watch.scout.ended] == [Price(1_300)]


def test_two_crossings_are_two_episodes() -> None:
    watch = Watch(keys=0)
    for yes in (40, 60, 40, 60):
        watch.see(yes, 45)
    assert [(one.since, one.until) for one in watch.scout.ended] == [
        (START + n * SECOND // 10, START + (n + 1) * SECOND // 10) for n in (1, 3)
    ]
    assert len(watch.scout.decisions) == 2


def test_a_crossing_without_metadata_ends_with_its_reason() -> None:
    """There is nothing to size it by, so there are no figures; but nobody is to wonder why it was passed by."""
    watch = Watch()
    del watch.scout.markets[P]
    watch.see(40, 45)
    watch.see(60, 45)
    assert watch.scout.decisions == []
    (ended,) = watch.scout.ended
    assert (ended.decisions, ended.last) == (0, Reason.UNKNOWN_MARKET)


def test_metadata_that_comes_in_the_middle_is_judged_from_then_on() -> None:
    watch = Watch()
    known = watch.scout.markets.pop(P)
    watch.see(40, 45)
    watch.scout.markets[P] = known
    watch.see(40, 45)
    watch.see(60, 45)
    assert [(one.decisions, one.last) for one in watch.scout.ended] == [(1, None)]


def test_what_is_held_since_we_took_it_is_no_refusal_and_in_flight_for_somebody_else_is() -> None:
    watch = Watch()
    watch.see(40, 45)
    watch.see(60, 45)
    watch.see(40, 45)
    assert watch.verdicts == [(Verdict.TAKEN, None), (Verdict.REFUSED, Reason.IN_FLIGHT)], "another episode"


def test_a_dry_run_rehearses_at_the_pace_of_a_run_and_each_has_a_name_of_its_own() -> None:
    watch = Watch(dry=True)
    for _ in range(25):
        watch.see(40, 45)
    assert watch.verdicts == [(Verdict.DRY_RUN, Reason.DRY_RUN)] * 3, "released after a second"
    watch.see(40, 45, fresh=False)
    watch.see(40, 45)
    names = [one.opportunity.opportunity for one in watch.scout.decisions]
    assert len(set(names)) == len(names)
    assert watch.desk.trades == {}


def test_a_rehearsed_market_that_was_refused_for_something_else_meanwhile_is_still_our_own_doing() -> None:
    watch = Watch(dry=True)
    watch.see(40, 45)
    watch.desk.apply(3, Halt(by="me", why="x"))
    watch.see(40, 45, wait=11)
    watch.desk.halted = ""
    watch.see(40, 45)
    watch.see(40, 45)
    assert watch.reasons == [Reason.DRY_RUN, Reason.HALTED, Reason.DRY_RUN]


def test_draining_and_a_halt_take_nothing() -> None:
    watch = Watch()
    watch.scout.draining = True
    assert watch.see(40, 45) == []
    watch.desk.apply(3, Halt(by="me", why="lunch"))
    assert watch.see(40, 45) == []
    assert watch.reasons == [Reason.DRAINING, Reason.HALTED]


def test_a_stale_book_ends_no_episode_by_itself_and_takes_nothing() -> None:
    watch = Watch(keys=0)
    watch.see(40, 45)
    watch.keys, watch.now = 9, Nanos(watch.now + 3 * SECOND)
    assert watch.look() == []
    assert watch.reasons == [Reason.KEYS, Reason.STALE_BOOK]


def test_a_book_that_nobody_vouches_for_crosses_with_nothing() -> None:
    watch = Watch(keys=0)
    watch.see(40, 45)
    watch.see(40, 45, fresh=False)
    assert len(watch.scout.ended) == 1


def test_the_end_of_the_run_ends_every_episode() -> None:
    watch = Watch(keys=0)
    watch.see(40, 45)
    watch.scout.end_all(Nanos(START + SECOND))
    watch.scout.end_all(Nanos(START + 2 * SECOND))
    assert [one.until for one in watch.scout.ended] == [START + SECOND]


def test_a_venue_that_nobody_has_spoken_of_for_long_is_as_good_as_gone() -> None:
    watch = Watch()
    watch.scout.forget_modes(Nanos(START + MODE_FOR))
    assert watch.scout.view(watch.now).modes["kalshi"] == (VenueMode.OPEN, True)
    watch.scout.hear_mode(VenueSeen(venue="polymarket", mode=VenueMode.OPEN, reachable=True, at=Nanos(START + SECOND)))
    watch.scout.forget_modes(Nanos(START + MODE_FOR + 1))
    assert watch.scout.view(watch.now).modes == {
        "kalshi": (VenueMode.UNKNOWN, False),
        "polymarket": (VenueMode.OPEN, True),
    }
    assert watch.see(40, 45) == []
    assert watch.reasons == [Reason.VENUE_UNREACHABLE]


def test_a_market_of_no_pair_is_nobodys_business() -> None:
    watch = Watch()
    assert list(watch.scout.look(("kalshi", "other"), START, 1)) == []
    assert watch.scout.groups == ("group",)


def test_a_successor_says_again_what_its_predecessor_may_have_died_with() -> None:
    watch = Watch()
    watch.see(45, 50)
    before = watch.scout.decisions[0]
    successor = Scout((PAIR,), watch.desk, LIMITS, SIZING, lambda _venue, _now: 9)
    successor.remember(watch.desk.trades.values())
    (again,) = successor.decisions
    assert (again.opportunity, again.trade, again.verdict) == (before.opportunity, before.trade, Verdict.TAKEN)
