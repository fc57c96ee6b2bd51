"""Stories of reversals, of un-itemised fills, of strangers, and of a restart in every phase."""

from __future__ import annotations

import itertools

import pytest

from core.trade import Trade
from messages.base import Event
from messages.orders import Filled
from tests.core.story import event_of, parse, play, story

# A match that is taken back

HEDGED = """
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   filled a 10 confirmed |
        0.1s   ended b 10      |
        0.2s   filled b 10 f1  |
"""


def test_a_match_that_is_reversed_after_hedged_reopens_and_is_completed() -> None:
    story(f"""{HEDGED}
        3s     filled b 10 f1 reversed | ask quotes
        3.1s   quoted a 48/50 b 43/46  | submit b.complete buy 10 @46
        3.2s   ended b.complete 10     |
        3.3s   filled b.complete 10 confirmed |
        => hedged, nets 10/10, spans 1, recovery reversed, final
    """)


def test_a_match_that_is_reversed_after_hedged_reopens_and_is_unwound() -> None:
    story(f"""{HEDGED}
        3s     filled b 10 f1 reversed | ask quotes
        3.1s   quoted a 48/50 b 43/70  | submit a.unwind sell 10 @48
        3.2s   ended a.unwind 10       |
        => flat, nets 0/0, spans 1
    """)


def test_part_of_a_match_is_reversed() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   filled a 10 confirmed |
        0.1s   ended b 10      |
        0.2s   filled b 4 f1   |
        0.2s   filled b 6 f2   |
        3s     filled b 4 f1 reversed | ask quotes
        3.1s   quoted a 48/50 b 43/46 | submit b.complete buy 4
        => open, nets 10/6
    """)


def test_a_fill_that_is_first_heard_of_when_it_was_reversed_counts_for_nothing() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 0       |
        0.1s   ended b 10      | ask quotes
        3s     filled b 10 f1 reversed |
        3.1s   quoted a 48/50 b 43/46 |
        => flat, nets 0/0
    """)


def test_a_reversed_unwind_is_done_again() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 0       |
        0.1s   ended b 10      | ask quotes
        0.2s   filled b 10 confirmed |
        0.3s   quoted a 48/90 b 43/46 | submit b.unwind sell 10
        0.4s   ended b.unwind 10      |
        0.4s   filled b.unwind 10 f1  |
        3s     filled b.unwind 10 f1 reversed | ask quotes
        3.1s   quoted a 48/90 b 43/46 | submit b.unwind2 sell 10
        3.2s   ended b.unwind2 10     |
        3.3s   filled b.unwind2 10 confirmed |
        => flat, nets 0/0, spans 2, final
    """)


def test_a_purchase_that_is_reversed_after_it_was_unwound_is_bought_back() -> None:
    """What was sold is owed: the leg stands at minus ten, and nothing else may be sold for it."""
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 0       |
        0.1s   ended b 10      | ask quotes
        0.2s   filled b 10 f1  |
        2.3s   quoted a 48/90 b 43/46 | submit b.unwind sell 10
        2.4s   ended b.unwind 10      |
        3s     filled b 10 f1 reversed | ask quotes
        3.1s   quoted a 48/90 b 43/46 | submit b.complete buy 10 @46
        3.2s   ended b.complete 10    |
        => flat, nets 0/0
    """)


def test_both_legs_are_reversed_and_nothing_is_left_to_do() -> None:
    story(f"""{HEDGED}
        3s     filled b 10 f1 reversed | ask quotes
        3.05s  filled a 10 reversed    |
        3.1s   quoted a 48/50 b 43/46  |
        => flat, nets 0/0, final
    """)


def test_a_reversal_while_quotes_are_awaited_changes_what_is_done() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 6 killed |
        0.1s   ended b 10      | ask quotes
        0.2s   filled b 10 f1  |
        0.3s   filled b 10 f1 reversed |
        0.4s   quoted a 48/50 b 43/46 | submit b.complete buy 6
        => open, nets 6/0
    """)


def test_a_confirmed_fill_does_not_become_merely_matched_again() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   filled a 10 confirmed |
        0.1s   ended b 10      |
        1s     filled b 10 f1 confirmed |
        2s     filled b 10 f1 matched   |
        9s     woke            |
        => hedged, final
    """)


# What the venue has only told the sum of


def test_executions_that_are_only_known_in_sum_are_fetched_ever_more_slowly() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   filled a 10 confirmed |
        0.1s   ended b 10      |
        0.19s  woke            |
        0.2s   woke            | fetch b
        0.3s   woke            | fetch b
        0.5s   woke            | fetch b
        0.9s   woke            | fetch b
        1.7s   woke            | fetch b
        3.29s  woke            |
        3.3s   woke            | fetch b
        5.29s  woke            |
        5.3s   woke            | fetch b
        7.3s   woke            | fetch b
        7.4s   filled b 4 f1 confirmed |
        9.3s   woke            | fetch b
        9.4s   filled b 6 f2 confirmed |
        12s    woke            |
        => hedged, final, reserved 0
    """)


def test_what_is_bought_but_not_known_one_by_one_stays_reserved() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   filled a 4 f1 confirmed |
        0.1s   ended b 0       | ask quotes
        => not final, reserved kalshi 3.105099
    """)


# Strangers


def test_what_is_told_of_unknown_orders_changes_nothing() -> None:
    before = story("0s opened 10 | submit a, submit b\n=> open")
    after = story("""
        0s     opened 10       | submit a, submit b
        1s     ended x 10      |
        1s     filled x 10     |
        1s     refused x invalid_order |
        1s     lost x          |
        1s     landed x        |
        1s     absent x        |
        1s     rested x 1      |
        1s     withheld x      |
        1s     look-up-failed x |
        1s     named x w       |
        => open
    """)
    assert after == before


def test_an_identity_is_taken_once() -> None:
    trade = story("""
        0s     opened 10       | submit a, submit b
        0s     named a w1      |
        0s     named a w2      |
        => open
    """)
    assert trade.orders[0].wire == "w1"


# Restarts


def test_a_restart_throws_all_that_was_sent_into_doubt() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.2s   restarted       | look up a, look up b
        0.3s   ended a 10      |
        0.4s   absent b        | repost b
        0.5s   ended b 10      |
        => hedged, recovery restart, mishap restart a, mishap restart b
    """)


def test_a_restart_while_an_order_is_in_doubt_asks_again() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.2s   lost b          | look up b
        0.4s   restarted       | look up b
        0.5s   ended b 10      |
        => hedged, recovery timeout
    """)


def test_a_restart_while_an_order_rests_finds_it_resting_and_cancels_it_in_time() -> None:
    story("""
        given  aggressive_max 1
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/51 b 43/60    | submit a.unwind sell 10 @48 ioc
        0.09s  ended a.unwind 0          |
        0.17s  woke                      | ask quotes
        0.2s   quoted a 48/51 b 43/60    | submit a.unwind2 sell 10 @49 gtd
        0.22s  rested a.unwind2 0        |
        0.5s   restarted                 | look up a.unwind2
        0.6s   absent a.unwind2          |
        0.7s   rested a.unwind2 2        |
        1.2s   woke                      | cancel a.unwind2
        1.3s   ended a.unwind2 2 cancelled | ask quotes
        => open, nets 8/0
    """)


def test_a_restart_while_quotes_are_awaited_asks_for_them_again() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 0                 | ask quotes
        0.1s   restarted                 | ask quotes
        0.2s   quoted a 48/51 b 43/46    | submit b.complete buy 10
        0.3s   restarted                 | look up b.complete
        0.4s   absent b.complete         | repost b.complete
        0.5s   ended b.complete 10       |
        => hedged, nets 10/10
    """)


def test_a_restart_while_it_waits_for_the_next_rung_keeps_the_pause() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/50 b 43/60    | submit a.unwind sell 10
        0.09s  ended a.unwind 0          |
        0.1s   restarted                 |
        0.17s  woke                      | ask quotes
        => open
    """)


def test_a_restart_long_after_the_deadline_still_acts_before_it_gives_up() -> None:
    """Nobody was there to act; the deadline is for those who are."""
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        600s   restarted                 | ask quotes
        600.1s quoted a 48/50 b 43/90    | submit a.unwind sell 10
        600.2s ended a.unwind 10         |
        => flat, nets 0/0
    """)


def test_a_restart_of_what_is_over_changes_nothing() -> None:
    story(f"""{HEDGED}
        5s     restarted       |
        => hedged, balanced, no mishap
    """)


def test_a_restart_after_an_escalation_sends_nothing_new_and_tells_the_person_again() -> None:
    """The predecessor may have died between writing it down and saying it."""
    story("""
        given  loss_budget $0.01, deadline 1s
        0s     opened 10               | submit a, submit b
        0.03s  ended a 10              |
        0.03s  filled a 10 confirmed   |
        0.05s  ended b 0               | ask quotes
        1.2s   quoted a 30/50 b 43/90  | escalate
        2s     restarted               | escalate
        3s     woke                    |
        => escalated
    """)


# The successor's clock


def test_a_clock_that_was_set_forward_ends_no_doubt_early() -> None:
    """An hour passed on the wall and a tenth of a second in truth: the request can still arrive."""
    story("""
        given  b.late_arrival 5s, reposts_max 1
        0s        opened 10                | submit a, submit b
        0.03s     ended a 10               |
        0.03s     filled a 10 confirmed    |
        3600s     restarted                | look up b
        3600.1s   absent b                 | repost b
        3604.9s   absent b                 |
        => open, b in doubt
    """)


def test_a_clock_that_was_set_back_keeps_nobody_waiting() -> None:
    """The pause, the next look-up and the deadline of the predecessor lie an hour ahead; nobody waits for them."""
    story("""
        3600s     opened 10                | submit a, submit b
        3600.03s  ended a 10               |
        3600.03s  filled a 10 confirmed    |
        3600.05s  ended b 0                | ask quotes
        3600.07s  quoted a 48/50 b 43/60   | submit a.unwind sell 10
        3600.09s  ended a.unwind 0         |
        0s        restarted                |
        0.3s      woke                     | ask quotes
        0.32s     quoted a 48/50 b 43/60   | submit a.unwind2 sell 10
        0.4s      ended a.unwind2 10       |
        0.4s      filled a.unwind2 10 confirmed |
        => flat
    """)


# Duplicates and any order

ENDINGS = {
    "both filled": """
        1s  named a w1
        1s  rested a 3
        1s  filled a 3 f1
        1s  filled a 7 f2
        1s  ended a 10
        1s  ended b 10 filled
        1s  filled b 10 f1 confirmed
    """,
    "a reversal and a partial": """
        1s  filled a 4 f1 matched
        1s  filled a 4 f1 reversed
        1s  filled a 3 f2 confirmed
        1s  ended a 7 killed
        1s  refused b invalid_price
    """,
    "lost, landed and filled": """
        1s  lost a timeout
        1s  landed a
        1s  filled a 10 f1
        1s  ended a 10
        1s  ended b 0
    """,
}


def _knowledge(trade: Trade) -> list[object]:
    """What is known of the orders, without when it was learnt."""
    clocks = {"posted_at", "doubted_at", "ask_after", "asked"}
    return [state.model_dump(exclude=clocks) for state in trade.orders]


@pytest.mark.parametrize("name", ENDINGS)
def test_any_order_and_any_number_of_times_gives_the_same_knowledge(name: str) -> None:
    opened, _ = play(None, event_of(parse("0s opened 10 |\n=> x").lines[0], (), None))
    lines = [f"{row} |" for row in ENDINGS[name].strip().splitlines()]
    events = [event_of(line, (), opened) for line in parse("\n".join([*lines, "=> x"])).lines]
    wanted: list[object] | None = None
    for permutation in itertools.islice(itertools.permutations(events), 0, None, 7):
        seen = _knowledge(_all(opened, permutation))
        wanted = wanted or seen
        assert seen == wanted
        assert _knowledge(_all(opened, (*permutation, *permutation))) == wanted


def _all(trade: Trade, events: tuple[Event, ...]) -> Trade:
    for event in events:
        trade, _ = play(trade, event)
    return trade


def test_the_order_of_fills_does_not_matter_to_the_byte() -> None:
    opened, _ = play(None, event_of(parse("0s opened 10 |\n=> x").lines[0], (), None))
    lines = "1s filled a 1 f1 |\n1s filled a 2 f2 |\n1s filled a 3 f3 confirmed |\n1s filled a 4 f4 |\n=> x"
    events = [event_of(line, (), opened) for line in parse(lines).lines]
    assert all(isinstance(event, Filled) for event in events)
    assert len({_all(opened, order).model_dump_json() for order in itertools.permutations(events)}) == 1
