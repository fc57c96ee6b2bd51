"""Stories of doubt: a request may or may not have reached the venue, and nothing is believed without proof."""

from __future__ import annotations

import pytest

from tests.core.story import story

HEAD = """
        0s     opened 10    | submit a, submit b
        0.1s   ended a 10   |
        0.1s   filled a 10 confirmed |
"""
"""Leg b is at Polymarket: tokens settle, and a killed order does not use up its identity. Its fence is at 5.5 s."""

HEAD_K = """
        0s     opened 10    | submit a, submit b
        0.1s   ended b 10   |
        0.1s   filled b 10 confirmed |
"""
"""Leg a is at Kalshi, where a killed order uses up its identity."""


@pytest.mark.parametrize("trouble", ["timeout", "server_error", "connection", "malformed"])
def test_a_time_out_after_acceptance_is_found_by_looking_it_up(trouble: str) -> None:
    story(f"""{HEAD}
        0.3s   lost b {trouble}  | look up b
        0.35s  ended b 10        |
        => hedged, nets 10/10, spans 0, recovery {trouble}
    """)


def test_a_look_up_that_fails_proves_nothing_and_is_repeated_ever_more_slowly() -> None:
    story(f"""{HEAD}
        0.3s   lost b            | look up b
        0.32s  look-up-failed b  |
        0.39s  woke              |
        0.4s   woke              | look up b
        0.45s  look-up-failed b  |
        0.5s   woke              | look up b
        0.69s  woke              |
        0.7s   woke              | look up b
        1.1s   woke              | look up b
        9s     woke              | look up b
        10.5s  woke              |
        10.6s  woke              | look up b
        12.5s  woke              |
        12.6s  woke              | look up b
        => open, b in doubt, nets 10/0
    """)


def test_a_request_that_is_lost_while_the_other_leg_filled_is_sent_again_and_fills() -> None:
    story(f"""{HEAD}
        0.3s   lost b        | look up b
        0.4s   absent b      | repost b
        0.5s   ended b 10    |
        => hedged, nets 10/10, spans 0, recovery timeout
    """)


def test_what_is_sent_again_and_had_landed_is_looked_up_and_counted_once() -> None:
    story(f"""{HEAD}
        0.3s   lost b        | look up b
        0.4s   absent b      | repost b
        0.5s   landed b      | look up b
        0.5s   landed b      |
        0.55s  absent b      |
        6s     absent b      |
        7s     ended b 10    |
        => hedged, nets 10/10, spans 0
    """)


def test_killed_when_sent_again_is_proof_where_a_killed_order_uses_up_its_identity() -> None:
    story(f"""{HEAD_K}
        0.3s   lost a        | look up a
        0.4s   absent a      | repost a
        0.5s   ended a 0     | ask quotes
        0.6s   quoted a 48/90 b 43/45 | submit b.unwind sell 10
        => open, a killed unfilled
    """)


def test_killed_when_sent_again_is_no_proof_where_the_first_copy_may_still_come() -> None:
    """The first request may arrive as long as the venue's late time runs, and here it does."""
    story(f"""{HEAD}
        0.3s   lost b        | look up b
        0.4s   absent b      | repost b
        0.5s   ended b 0     |
        1s     absent b      |
        2s     woke          |
        5.8s   woke          |
        5.9s   woke          | look up b
        5.95s  ended b 10    |
        => hedged, nets 10/10, spans 0
    """)


def test_killed_when_sent_again_is_proof_once_nothing_can_arrive_any_more() -> None:
    story(f"""{HEAD}
        0.3s   lost b        | look up b
        0.4s   absent b      | repost b
        0.5s   ended b 0     |
        5.9s   woke          | look up b
        5.95s  ended b 0     | ask quotes
        6s     quoted a 48/50 b 43/90 | submit a.unwind sell 10 @48
        6.1s   ended a.unwind 10 |
        => flat, b killed unfilled
    """)


def test_a_partial_fill_when_sent_again_is_proof_everywhere() -> None:
    story(f"""{HEAD}
        0.3s   lost b        | look up b
        0.4s   absent b      | repost b
        0.5s   ended b 4 killed | ask quotes
        0.6s   quoted a 48/50 b 43/90 | submit a.unwind sell 6
        0.7s   ended a.unwind 6 |
        => hedged, nets 4/4
    """)


def test_a_refusal_of_what_was_sent_again_proves_nothing_of_the_first() -> None:
    """Another copy would be refused as well, so the venue's late time is waited for."""
    story(f"""{HEAD}
        0.3s   lost b            | look up b
        0.4s   absent b          | repost b
        0.5s   refused b market_not_trading repost |
        0.6s   woke              | look up b
        0.65s  absent b          |
        5.8s   absent b          |
        5.9s   absent b          | ask quotes
        6s     quoted a 48/50 b 43/90 | submit a.unwind sell 10
        6.1s   ended a.unwind 10 |
        => flat, b never arrived, mishap refused b
    """)


def test_a_rate_limit_on_what_was_sent_again_allows_another() -> None:
    story(f"""{HEAD}
        0.3s   lost b                      | look up b
        0.4s   absent b                    | repost b
        0.5s   refused b rate_limited repost |
        0.7s   absent b                    | repost b
        0.8s   ended b 10                  |
        => hedged
    """)


def test_sending_again_is_bounded() -> None:
    story(f"""{HEAD}
        0.3s   lost b          | look up b
        0.4s   absent b        | repost b
        0.7s   lost b timeout repost | look up b
        0.8s   absent b        | repost b
        1.1s   lost b timeout repost | look up b
        1.2s   absent b        |
        6.2s   absent b        |
        6.3s   absent b        | ask quotes
        => open, b never arrived
    """)


def test_a_repost_that_was_withheld_leaves_the_doubt_to_time() -> None:
    story(f"""{HEAD}
        0.3s   lost b          | look up b
        0.4s   absent b        | repost b
        0.4s   withheld b      |
        0.6s   absent b        | repost b
        0.6s   withheld b      |
        1s     absent b        |
        6.1s   absent b        | ask quotes
        => open, b never arrived
    """)


def test_both_requests_are_lost_and_neither_is_sent_again() -> None:
    """While neither has filled, executing one would only open what is shut."""
    story("""
        0s     opened 10     | submit a, submit b
        0.3s   lost a        | look up a
        0.3s   lost b        | look up b
        0.4s   absent a      |
        0.4s   absent b      |
        5.5s   absent a      |
        5.5s   absent b      |
        => flat, spans 0, reserved 0, final, a never arrived, b never arrived
    """)


def test_absence_counts_only_as_of_the_time_that_the_venue_vouches_for() -> None:
    story("""
        0s     opened 10          | submit a, submit b
        0.1s   ended a 0          |
        0.3s   lost b             | look up b
        9s     absent b asof 5.4s |
        => open, b in doubt
    """)


def test_absence_as_of_the_fence_is_believed() -> None:
    story("""
        0s     opened 10          | submit a, submit b
        0.1s   ended a 0          |
        0.3s   lost b             | look up b
        9s     absent b asof 5.5s |
        => flat, b never arrived
    """)


def test_the_fence_counts_from_the_last_moment_at_which_the_order_may_have_left() -> None:
    """It may leave until its window ends, half a second in; then five seconds of late arrival."""
    story("""
        0s     opened 10          | submit a, submit b
        0.1s   ended a 0          |
        0.3s   lost b             | look up b
        5.2s   absent b           |
        => open, b in doubt
    """)


def test_a_part_that_is_wanted_does_not_justify_sending_the_whole_again() -> None:
    """The other leg has 4 of 10: another 10 here would be further from balance than none."""
    story("""
        0s     opened 10          | submit a, submit b
        0.1s   ended a 4 killed   |
        0.3s   lost b             | look up b
        0.4s   absent b           |
        5.5s   absent b           | ask quotes
        5.6s   quoted a 48/50 b 43/45 | submit b.complete buy 4
        5.7s   ended b.complete 4 |
        => hedged, nets 4/4
    """)


def test_more_than_half_that_is_wanted_does_justify_it() -> None:
    story("""
        0s     opened 10          | submit a, submit b
        0.1s   ended a 6 killed   |
        0.3s   lost b             | look up b
        0.4s   absent b           | repost b
        0.5s   ended b 10         | ask quotes
        0.6s   quoted a 48/50 b 43/45 | submit a.complete buy 4
        => open, nets 6/10
    """)


def test_no_answer_at_all_becomes_doubt_by_the_sweep() -> None:
    """Four send windows: a gateway answers within its time-outs, or has died."""
    story(f"""{HEAD}
        1.9s   woke       |
        2s     woke       | look up b
        2.1s   ended b 10 |
        => hedged, recovery timeout
    """)


def test_a_loss_that_is_told_late_or_twice_changes_nothing() -> None:
    story(f"""{HEAD}
        0.2s   rested b 0 |
        0.3s   lost b     |
        0.4s   woke       | look up b
        0.45s  ended b 10 |
        0.5s   lost b     |
        => hedged, no mishap
    """)


def test_a_loss_told_twice_asks_once() -> None:
    story(f"""{HEAD}
        0.3s   lost b     | look up b
        0.3s   lost b     |
        => open, b in doubt
    """)


def test_no_unwind_while_another_order_is_unproven() -> None:
    """Leg a is 10 too many for five seconds; the law asks for quotes only when b is proved."""
    story("""
        given  b.repost_proves no
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   filled a 10 confirmed |
        0.3s   lost b          | look up b
        0.4s   absent b        |
        0.5s   quoted a 48/50 b 43/45 |
        3s     woke            | look up b
        3.1s   absent b        |
        5.4s   absent b        |
        5.5s   absent b        | ask quotes
        5.6s   quoted a 48/50 b 43/90 | submit a.unwind sell 10
        => open
    """)


UNWINDING = f"""{HEAD}
        0.2s   ended b 0         | ask quotes
        0.3s   quoted a 48/50 b 43/90 | submit a.unwind sell 10
"""


def test_no_second_unwind_while_the_first_is_in_doubt() -> None:
    story(f"""{UNWINDING}
        0.6s   lost a.unwind     | look up a.unwind
        0.7s   quoted a 48/50 b 43/90 |
        1s     woke              | look up a.unwind
        1.1s   ended a.unwind 4 killed | ask quotes
        1.2s   quoted a 48/50 b 43/90 | submit a.unwind2 sell 6
        1.3s   ended a.unwind2 6 |
        => flat, nets 0/0
    """)


def test_an_unwind_that_is_lost_is_sent_again_under_its_own_name() -> None:
    story(f"""{UNWINDING}
        0.6s   lost a.unwind     | look up a.unwind
        0.7s   absent a.unwind   | repost a.unwind
        0.8s   landed a.unwind   | look up a.unwind
        0.9s   ended a.unwind 10 |
        => flat, nets 0/0
    """)


def test_doubt_that_outlives_the_deadline_leaves_time_to_go_on_afterwards() -> None:
    """Nothing could be done while the unwind was in doubt: the deadline counts again from its proof."""
    story("""
        given  deadline 4s, a.repost_proves no
        0s     opened 10         | submit a, submit b
        0.1s   ended a 10        |
        0.1s   filled a 10 confirmed |
        0.2s   ended b 0         | ask quotes
        0.3s   quoted a 48/50 b 43/90 | submit a.unwind sell 10
        0.6s   lost a.unwind     | look up a.unwind
        5.8s   absent a.unwind   | ask quotes
        5.9s   quoted a 48/50 b 43/90 | submit a.unwind2 sell 10
        6s     ended a.unwind2 10 |
        => flat, a.unwind never arrived
    """)


def test_an_order_that_cannot_be_proved_is_told_to_a_person_and_still_asked_about() -> None:
    story(f"""{HEAD}
        0.3s   lost b          | look up b
        25.3s  woke            | look up b
        25.4s  woke            | look up b, escalate
        27s    woke            | look up b
        28s    ended b 10      |
        => escalated, nets 10/10, excess 0, balanced
    """)


def test_what_landed_but_cannot_be_looked_up_is_told_to_a_person_too() -> None:
    story(f"""{HEAD}
        0.2s   landed b        | look up b
        0.3s   absent b        |
        25.3s  woke            | look up b, escalate
        => escalated
    """)


def test_an_immediate_order_that_the_venue_delays_is_followed_and_at_last_told_to_a_person() -> None:
    story(f"""{HEAD}
        0.2s   rested b 0      |
        0.3s   woke            | look up b
        0.31s  rested b 0      |
        25s    woke            | look up b
        25.1s  woke            | escalate
        => escalated, b live
    """)


def test_a_delayed_order_that_ends_is_counted() -> None:
    story(f"""{HEAD}
        0.2s   rested b 0      |
        3.2s   ended b 10      |
        => hedged, no mishap
    """)


# Later than presumed


def test_a_late_fill_after_presumed_absence_reopens() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 0       |
        0.3s   lost b          | look up b
        6s     absent b        |
        8s     filled b 10     |
        8s     woke            | look up b
        8.1s   ended b 10      | ask quotes
        8.2s   filled b 10 confirmed |
        8.3s   quoted a 48/90 b 43/45 | submit b.unwind sell 10
        8.4s   ended b.unwind 10 |
        => flat, spans 1, mishap late b
    """)


def test_an_order_that_is_seen_resting_after_presumed_absence_reopens() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 0       |
        0.3s   lost b          | look up b
        6s     absent b        |
        8s     rested b 0      |
        8.2s   ended b 0       |
        => flat, spans 0, mishap late b
    """)


def test_an_end_after_presumed_absence_counts() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   filled a 10 confirmed |
        0.3s   lost b          | look up b
        6s     absent b        | ask quotes
        6.1s   ended b 10      |
        6.2s   quoted a 48/50 b 43/45 |
        => hedged, spans 1, mishap late b
    """)


def test_a_late_fill_after_the_unwind_is_unwound_too() -> None:
    story("""
        given  b.repost_proves no
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   filled a 10 confirmed |
        0.3s   lost b          | look up b
        6s     absent b        | ask quotes
        6.1s   quoted a 48/50 b 43/90 | submit a.unwind sell 10
        6.2s   ended a.unwind 10 |
        6.2s   filled a.unwind 10 @48 confirmed |
        8s     filled b 10 confirmed |
        8s     woke            | look up b
        8.1s   ended b 10      | ask quotes
        8.3s   quoted a 48/50 b 43/45 | submit a.complete buy 10
        8.4s   ended a.complete 10 |
        => hedged, spans 2, nets 10/10
    """)


def test_it_falls_out_of_balance_only_so_often_before_a_person_is_asked() -> None:
    story("""
        given  spans_max 1
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.1s   ended b 10      |
        0.2s   filled b 10 f1  |
        1s     filled b 10 f1 reversed | ask quotes
        1.1s   quoted a 48/50 b 43/45 | submit b.complete buy 10
        1.2s   filled b.complete 10 f1 |
        1.2s   ended b.complete 10 |
        2s     filled b.complete 10 f1 reversed | escalate
        3s     woke            | fetch a
        => escalated, nets 10/0, spans 2
    """)


def test_proof_after_an_escalation_is_taken_in_and_sends_nothing() -> None:
    story(f"""{HEAD}
        0.3s   lost b          | look up b
        25.4s  woke            | look up b, escalate
        26s    ended b 4 killed |
        27s    woke            | fetch b
        27.1s  filled b 4 confirmed |
        => escalated, nets 10/4, excess a 6, reserved 0
    """)


def test_a_fill_of_what_was_refused_throws_it_into_doubt() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 0       |
        0.2s   refused b invalid_order |
        0.3s   filled b 10     |
        0.3s   woke            | look up b
        0.4s   ended b 10      | ask quotes
        => open, nets 0/10, mishap late b
    """)


def test_a_refusal_of_what_has_filled_is_not_the_last_word() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 0       |
        0.3s   filled b 10     |
        0.3s   refused b invalid_order |
        2s     woke            | look up b
        2.1s   ended b 10      | ask quotes
        => open, nets 0/10
    """)


def test_refused_and_then_landed_is_looked_up() -> None:
    trade = story(f"""{HEAD}
        0.2s   refused b invalid_order | ask quotes
        0.3s   landed b        | look up b
        => open, b in doubt
    """)
    assert trade.orders[1].refused is None
    story(f"""{HEAD}
        0.2s   refused b invalid_order | ask quotes
        0.3s   landed b        | look up b
        0.4s   quoted a 48/50 b 43/45 |
        0.5s   ended b 10      |
        => hedged, nets 10/10
    """)


def test_rested_after_ended_teaches_only_its_total() -> None:
    story("""
        0s     opened 10       | submit a, submit b
        0.1s   ended a 10      |
        0.2s   ended b 8 killed | ask quotes
        0.3s   rested b 5      |
        0.3s   rested b 10     |
        0.4s   ended b 9 killed |
        => hedged, nets 10/10
    """)


def test_a_late_refusal_of_the_first_request_proves_nothing_of_the_copy() -> None:
    """The answer took longer than the sweep's patience; meanwhile the copy was sent, and it fills."""
    story(f"""{HEAD}
        2s     woke            | look up b
        2.1s   absent b        | repost b
        2.2s   refused b invalid_order |
        2.3s   ended b 10      |
        => hedged, nets 10/10, spans 0
    """)


def test_nothing_is_sent_again_once_a_person_has_been_asked() -> None:
    story("""
        given  a.late_arrival 1s, deadline 1s, b.late_arrival 60s
        0s     opened 10       | submit a, submit b
        0.1s   lost a          | look up a
        0.1s   lost b          | look up b
        2.2s   woke            | look up a, look up b, escalate
        2.3s   ended a 10      |
        2.4s   absent b        |
        => escalated, b in doubt
    """)


def test_a_copy_that_was_killed_says_nothing_of_the_one_that_is_filling() -> None:
    """The first request arrives after its copy was killed; the answer to the copy is slow and comes last. Where a kill
    leaves no trace, its "killed, nothing matched" is the copy's fate alone.
    """
    story("""
        given  b.late_arrival 5s
        0s     opened 20                 | submit a, submit b
        0.03s  ended a 20                |
        0.03s  filled a 20 confirmed     |
        0.3s   lost b timeout            | look up b
        0.4s   absent b                  | repost b
        0.5s   filled b 8 f1             |
        0.6s   ended b 0                 |
        0.7s   woke                      | look up b
        0.8s   ended b 20                |
        => hedged, nets 20/20
    """)


def test_a_look_up_knows_of_every_copy_that_arrived() -> None:
    """The venue has the order, and says itself that it was killed unfilled: that is its end, and nobody asks again."""
    story("""
        given  b.late_arrival 5s
        0s     opened 20                 | submit a, submit b
        0.03s  ended a 20                |
        0.03s  filled a 20 confirmed     |
        0.3s   lost b timeout            | look up b
        0.4s   absent b                  | repost b
        0.5s   landed b                  | look up b
        0.6s   ended b 0                 |
        0.7s   woke                      | look up b
        0.8s   ended b 0 killed looked   | ask quotes
        => open, nets 20/0
    """)
