"""Stories without doubt: what the venues said was clear, and only the balance of the legs decides."""

from __future__ import annotations

import pytest

from messages.reasons import Refusal
from tests.core.story import story


def test_both_fill() -> None:
    story("""
        0s     opened 10   | submit a buy 10 @50 ioc, submit b buy 10 @45 ioc spend 4.50
        0.03s  ended a 10  |
        0.05s  ended b 10  |
        0.2s   woke        | fetch a, fetch b
        0.3s   filled a 10 confirmed |
        0.3s   filled b 10 |
        4s     filled b 10 confirmed |
        => hedged, nets 10/10, excess 0, spans 0, no mishap, no recovery, reserved 0, final
    """)


def test_neither_fills() -> None:
    story("""
        0s     opened 10   | submit a, submit b
        0.03s  ended a 0   |
        0.05s  ended b 0   |
        => flat, nets 0/0, spans 0, reserved 0, final, a killed unfilled, b killed unfilled
    """)


def test_both_refused() -> None:
    story("""
        0s     opened 10        | submit a, submit b
        0.03s  refused a invalid_price |
        0.05s  refused b venue_mode    |
        => flat, final, a refused (invalid_price), b refused (venue_mode), reserved 0
    """)


@pytest.mark.parametrize("reason", [reason.value for reason in Refusal])
@pytest.mark.parametrize(("refused", "other"), ["ab", "ba"])
def test_one_is_refused_and_the_other_unwound(reason: str, refused: str, other: str) -> None:
    """Completing the refused leg would be dear, so the filled one is sold."""
    asks = {"a": "a 48/90", "b": "b 43/90"}
    story(f"""
        0s     opened 10                  | submit a, submit b
        0.03s  refused {refused} {reason} |
        0.05s  ended {other} 10           | ask quotes
        0.06s  filled {other} 10 confirmed |
        0.07s  quoted {asks["a"]} {asks["b"]} | submit {other}.unwind sell 10 ioc
        0.09s  ended {other}.unwind 10    |
        => flat, nets {"0/0"}, spans 1, balanced
    """)


@pytest.mark.parametrize("reason", [reason.value for reason in Refusal])
@pytest.mark.parametrize(("refused", "other"), ["ab", "ba"])
def test_one_is_refused_and_completed_after_all(reason: str, refused: str, other: str) -> None:
    """Today's price of the refused leg still leaves more than selling the filled one."""
    story(f"""
        0s     opened 10                  | submit a, submit b
        0.03s  ended {other} 10           |
        0.05s  refused {refused} {reason} | ask quotes
        0.07s  quoted a 48/51 b 43/46     | submit {refused}.complete buy 10 ioc
        0.09s  ended {refused}.complete 10 |
        => hedged, nets 10/10, spans 1, balanced
    """)


def test_insufficient_funds_hedges_with_what_remains() -> None:
    """The other venue's free capital pays for four of the ten; the rest is sold."""
    story("""
        0s     opened 10                       | submit a, submit b
        0.03s  ended b 10                      |
        0.05s  filled b 10 confirmed           |
        0.06s  refused a insufficient_funds    | ask quotes
        0.07s  quoted a 48/50 $2.10 b 20/45    | submit a.complete buy 4.05 @50
        0.09s  ended a.complete 4.05           |
        0.17s  woke                            | ask quotes
        0.18s  quoted a 48/50 $0 b 20/45       | submit b.unwind sell 5.95 @19
        0.19s  ended b.unwind 5.95             |
        => hedged, nets 4.05/4.05, spans 1, recovery insufficient_funds
    """)


def test_what_a_worse_attempt_may_cost_is_paid_for_too() -> None:
    """5.20 dollars pay for ten at 50 and its fee, but at 51, where the second attempt may fill, only for 9.85."""
    story("""
        0s     opened 10                       | submit a, submit b
        0.03s  ended b 10                      |
        0.06s  refused a insufficient_funds    | ask quotes
        0.07s  quoted a 48/50 $5.20 b 20/45    | submit a.complete buy 10 @50
        0.09s  ended a.complete 0              |
        0.17s  woke                            | fetch b, ask quotes
        0.18s  quoted a 48/50 $5.20 b 20/45    | submit a.complete2 buy 9.85 @51
        => open
    """)


def test_unequal_partials_on_both_sides_are_completed() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 7 killed          |
        0.05s  ended b 4 killed          | ask quotes
        0.07s  quoted a 48/50 b 43/46    | submit b.complete buy 3 @46 spend 1.38
        0.09s  ended b.complete 3        |
        => hedged, nets 7/7, mishap partial a, mishap partial b, recovery partial
    """)


def test_unequal_partials_on_both_sides_are_unwound_where_that_is_cheaper() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 7 killed          |
        0.05s  ended b 4 killed          | ask quotes
        0.07s  quoted a 48/50 b 43/60    | submit a.unwind sell 3 @48
        0.09s  ended a.unwind 3          |
        => hedged, nets 4/4
    """)


def test_a_gap_too_small_for_the_venues_least_order_is_unwound_on_the_other_leg() -> None:
    """Two contracts at 46 are under a dollar, which the venue does not take; so two are sold."""
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 7 killed          |
        0.05s  ended b 5 killed          | ask quotes
        0.07s  quoted a 48/50 b 43/46    | submit a.unwind sell 2 @48
        0.09s  ended a.unwind 2          |
        => hedged, nets 5/5
    """)


def test_a_sum_of_money_that_buys_a_shade_less_leaves_dust_that_is_held() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 9.995 filled      |
        => hedged, nets 10/9.995, dust 0.005, spans 0, excess a 0.005
    """)


def test_a_sum_of_money_that_buys_more_is_evened_out_once_and_not_for_ever() -> None:
    """At 44 the sum bought 10.22. The other leg follows by 0.22, and that is the end of it."""
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 10.22 filled      | ask quotes
        0.07s  quoted a 48/50 b 43/44    | submit a.complete buy 0.22 @50
        0.09s  ended a.complete 0.22     |
        0.12s  filled b 10.2272 @44 confirmed |
        0.14s  quoted a 48/50 b 43/44    |
        => hedged, nets 10.22/10.2272, dust 0.0072, spans 1
    """)


def test_a_sum_of_money_that_completes_too_much_is_followed_by_the_other_leg() -> None:
    """The completion itself buys more than was missing; the other leg buys the difference, exactly."""
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/50 b 43/46    | submit b.complete buy 10 @46 spend 4.60
        0.09s  ended b.complete 11.5 filled |
        0.17s  woke                      | fetch a, ask quotes
        0.18s  quoted a 48/50 b 40/46    | submit a.complete buy 1.5 @51
        0.19s  ended a.complete 1.5      |
        => hedged, nets 11.5/11.5
    """)


def test_lots_that_differ_call_dust_what_the_coarser_cannot_trade() -> None:
    story("""
        given  a.lot 1
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 9.4 filled        |
        => hedged, dust 0.6, spans 0
    """)


def test_a_venue_that_fills_more_than_was_asked_is_evened_out() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  filled a 11               |
        0.03s  ended a 11                |
        0.05s  ended b 10                | ask quotes
        0.07s  quoted a 48/50 b 43/46    | submit a.unwind sell 1 @48
        0.09s  ended a.unwind 1          |
        => hedged, nets 10/10, mishap overfill a
    """)


def test_an_unwind_that_sold_too_much_is_bought_back_and_never_answered_by_a_naked_sale() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/50 b 43/90    | submit a.unwind sell 10 @48
        0.09s  ended a.unwind 10.5 filled |
        0.17s  woke                      | fetch a, ask quotes
        0.18s  quoted a 48/50 b 95/99    | submit a.complete buy 0.5 @51
        0.19s  ended a.complete 0.5      |
        => flat, nets 0/0
    """)


# Rungs


def test_a_hedge_that_is_killed_is_tried_again_a_cent_worse() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/50 b 43/60    | submit a.unwind sell 10 @48
        0.09s  ended a.unwind 0          |
        0.12s  woke                      |
        0.17s  woke                      | fetch a, ask quotes
        0.18s  quoted a 47/49 b 43/60    | submit a.unwind2 sell 10 @46
        0.19s  ended a.unwind2 10        |
        => flat, nets 0/0
    """)


def test_a_hedge_that_is_refused_goes_on_to_the_next_rung() -> None:
    story("""
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/50 b 43/60    | submit a.unwind sell 10 @48
        0.09s  refused a.unwind invalid_price |
        0.17s  woke                      | fetch a, ask quotes
        0.18s  quoted a 48/50 b 43/46    | submit b.complete buy 10 @47
        0.19s  ended b.complete 10       |
        => hedged, nets 10/10
    """)


def test_a_hedge_that_fills_in_part_goes_on_with_the_rest_and_its_loss_is_counted_once() -> None:
    """What was sold no longer stands in what the rest has cost: 9 of 10 sold must not look like a loss of all."""
    story("""
        given  loss_budget $2
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/50 b 43/90    | submit a.unwind sell 10 @48
        0.09s  ended a.unwind 9          |
        0.17s  woke                      | fetch a, ask quotes
        0.18s  quoted a 48/50 b 43/90    | submit a.unwind2 sell 1
        0.19s  ended a.unwind2 1         |
        => flat, nets 0/0
    """)


RESTING = """
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
"""


def test_rung_two_rests_inside_the_spread_and_fills() -> None:
    story(f"""{RESTING}
        0.4s   woke                      | look up a.unwind2
        0.41s  rested a.unwind2 0        |
        0.8s   filled a.unwind2 4 @49 f1 confirmed |
        0.9s   filled a.unwind2 6 @49 f2 confirmed |
        0.9s   ended a.unwind2 10        |
        => flat, nets 0/0, final
    """)


def test_a_resting_order_expires_and_is_cancelled_by_us_at_its_time() -> None:
    """However slow the polls have become, the cancel leaves when the order expires, 1.2 s."""
    story(f"""{RESTING}
        0.4s   woke                      | look up a.unwind2
        0.41s  rested a.unwind2 0        |
        0.6s   woke                      | look up a.unwind2
        0.95s  woke                      | look up a.unwind2
        1.19s  woke                      |
        1.2s   woke                      | cancel a.unwind2
        1.25s  ended a.unwind2 3 cancelled | ask quotes
        1.26s  quoted a 48/51 b 43/60    | submit a.unwind3 sell 7 @49 gtd
        1.3s   rested a.unwind3 0        |
        1.4s   ended a.unwind3 7         |
        => flat, a.unwind2 cancelled
    """)


def test_a_cancel_that_is_raced_by_a_fill_counts_the_fill() -> None:
    story(f"""{RESTING}
        1.2s   woke                      | cancel a.unwind2
        1.21s  filled a.unwind2 10 @49 confirmed |
        1.25s  ended a.unwind2 10 filled |
        => flat, nets 0/0
    """)


def test_a_cancel_that_gets_no_answer_is_repeated_ever_more_slowly_and_at_last_told_to_a_person() -> None:
    story(f"""{RESTING}
        1.2s   woke                      | cancel a.unwind2
        1.25s  woke                      |
        1.3s   woke                      | cancel a.unwind2
        1.49s  woke                      |
        1.5s   woke                      | cancel a.unwind2
        1.9s   woke                      | cancel a.unwind2
        26.1s  woke                      | cancel a.unwind2
        26.3s  woke                      | escalate
        29s    woke                      | cancel a.unwind2
        30s    ended a.unwind2 0 cancelled |
        => escalated, nets 10/0
    """)


def test_every_rung_used_up_is_told_to_a_person_once() -> None:
    story("""
        given  aggressive_max 1, resting_max 1
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/51 b 43/60    | submit a.unwind sell 10 @48 ioc
        0.09s  ended a.unwind 0          |
        0.17s  woke                      | ask quotes
        0.2s   quoted a 48/51 b 43/60    | submit a.unwind2 sell 10 @49 gtd
        0.3s   refused a.unwind2 invalid_price | ask quotes
        0.4s   quoted a 48/51 b 43/60    | escalate
        0.5s   woke                      |
        0.6s   quoted a 48/51 b 43/60    |
        30s    woke                      |
        => escalated, nets 10/0, excess a 10
    """)


def test_what_rests_in_a_market_whose_rules_change_is_taken_back_at_once() -> None:
    """It was made for another grid or contract; a second word of the same change says nothing new."""
    story("""
        given  aggressive_max 1, resting_max 2
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/51 b 43/60    | submit a.unwind sell 10 @48 ioc
        0.09s  ended a.unwind 0          |
        0.17s  woke                      | ask quotes
        0.2s   quoted a 48/51 b 43/60    | submit a.unwind2 sell 10 @49 gtd
        0.25s  rested a.unwind2          |
        0.3s   changed b                 |
        0.4s   changed a                 | cancel a.unwind2
        0.41s  changed a                 |
        0.5s   woke                      | cancel a.unwind2
        0.6s   ended a.unwind2 4 cancelled | ask quotes
        => open, nets 6/0
    """)


def test_what_is_only_then_seen_to_rest_is_taken_back_too() -> None:
    story("""
        given  aggressive_max 1, resting_max 2
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/51 b 43/60    | submit a.unwind sell 10 @48 ioc
        0.09s  ended a.unwind 0          |
        0.17s  woke                      | ask quotes
        0.2s   quoted a 48/51 b 43/60    | submit a.unwind2 sell 10 @49 gtd
        0.3s   changed a                 |
        0.35s  rested a.unwind2          |
        0.46s  woke                      | cancel a.unwind2
        => open
    """)


def test_a_storm_of_rate_limits_uses_up_no_attempts() -> None:
    """A venue answered 429 for 0.7 seconds: eleven attempts were gone by then, and a person was asked for nothing."""
    story("""
        given  aggressive_max 1, resting_max 0
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/51 b 43/60    | submit a.unwind sell 10
        0.09s  refused a.unwind rate_limited |
        0.25s  woke                      |
        0.3s   woke                      | ask quotes
        0.31s  quoted a 48/51 b 43/60    | submit a.unwind2 sell 10
        0.33s  refused a.unwind2 venue_mode |
        0.7s   woke                      |
        0.75s  woke                      | ask quotes
        0.76s  quoted a 48/51 b 43/60    | submit a.unwind3 sell 10
        0.78s  ended a.unwind3 10        |
        0.78s  filled a.unwind3 10 confirmed |
        => flat
    """)


def test_a_storm_that_does_not_end_is_bounded_by_the_deadline() -> None:
    story("""
        given  aggressive_max 1, resting_max 0, deadline 1s
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 48/51 b 43/60    | submit a.unwind sell 10
        0.09s  refused a.unwind rate_limited |
        0.9s   woke                      | ask quotes
        0.91s  quoted a 48/51 b 43/60    | submit a.unwind2 sell 10
        0.93s  refused a.unwind2 rate_limited |
        1.4s   woke                      | ask quotes
        1.41s  quoted a 48/51 b 43/60    | escalate
        => escalated
    """)


def test_a_resting_order_below_the_venues_minimum_goes_as_an_immediate_one() -> None:
    """Four contracts may not rest there, so the second rung is immediate too, and still counted."""
    story("""
        given  aggressive_max 1, resting_max 1
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.05s  ended b 6 killed          | ask quotes
        0.07s  quoted a 10/51 b 43/46    | submit b.complete buy 4 @46 ioc spend 1.84
        0.09s  ended b.complete 0        |
        0.17s  woke                      | fetch a, fetch b, ask quotes
        0.2s   quoted a 10/51 b 43/46    | submit b.complete2 buy 4 @47 ioc spend 1.84
        0.3s   ended b.complete2 0       | ask quotes
        0.4s   quoted a 10/51 b 43/46    | escalate
        => escalated
    """)


# Quotes, deadline, budget


def test_stale_quotes_wait_until_the_deadline_and_then_a_person_is_asked_once() -> None:
    story("""
        given  deadline 1s
        0s     opened 10           | submit a, submit b
        0.03s  ended a 10          |
        0.03s  filled a 10 confirmed |
        0.05s  ended b 0           | ask quotes
        0.1s   quoted a ? b ?      |
        0.2s   woke                |
        0.3s   woke                | ask quotes
        0.31s  quoted a -/- b -/-  |
        0.52s  woke                | ask quotes
        1s     quoted a ? b ?      |
        1.3s   woke                | ask quotes
        1.31s  quoted a 48/50 b ?  | escalate
        9s     woke                |
        => escalated, reserved 0
    """)


def test_quotes_that_never_come_are_asked_for_again() -> None:
    story("""
        0s     opened 10           | submit a, submit b
        0.03s  ended a 10          |
        0.03s  filled a 10 confirmed |
        0.05s  ended b 0           | ask quotes
        1s     woke                |
        2.05s  woke                |
        2.06s  woke                | ask quotes
        2.1s   quoted a 48/50 b 43/60 | submit a.unwind sell 10
        2.2s   quoted a 48/50 b 43/60 |
        => open, nets 10/0
    """)


def test_quotes_that_come_twice_send_one_order_and_keep_the_pause() -> None:
    """The second answer must not hurry the next rung."""
    story("""
        0s     opened 10               | submit a, submit b
        0.03s  ended a 10              |
        0.03s  filled a 10 confirmed   |
        0.05s  ended b 0               | ask quotes
        0.07s  quoted a 48/50 b 43/60  | submit a.unwind sell 10
        0.08s  ended a.unwind 0        |
        0.09s  quoted a 48/50 b 43/60  |
        0.16s  woke                    |
        0.17s  woke                    | ask quotes
        => open
    """)


def test_quotes_of_another_number_of_legs_are_not_ours() -> None:
    story("""
        0s     opened 10               | submit a, submit b
        0.03s  ended a 10              |
        0.05s  ended b 0               | ask quotes
        0.07s  quoted a 48/50          |
        0.09s  quoted a 48/50 b 43/60  | submit a.unwind sell 10
        => open
    """)


def test_a_loss_beyond_the_budget_is_not_taken_but_told() -> None:
    story("""
        given  loss_budget $1, deadline 1s
        0s     opened 10               | submit a, submit b
        0.03s  ended a 10              |
        0.03s  filled a 10 confirmed   |
        0.05s  ended b 0               | ask quotes
        0.07s  quoted a 30/50 b 43/90  |
        0.5s   woke                    | ask quotes
        0.6s   quoted a 30/50 b 43/90  |
        1.1s   woke                    | ask quotes
        1.2s   quoted a 30/50 b 43/90  | escalate
        => escalated, nets 10/0
    """)


def test_many_small_losses_do_not_add_up_beyond_the_budget() -> None:
    """Each rung alone would stay under the three dollars; together they may not exceed them."""
    story("""
        given  loss_budget $3, deadline 1s
        0s     opened 10                 | submit a, submit b
        0.03s  ended a 10                |
        0.03s  filled a 10 confirmed     |
        0.05s  ended b 0                 | ask quotes
        0.07s  quoted a 22x9/50 b 43/90  | submit a.unwind sell 9 @22
        0.09s  filled a.unwind 9 @22 confirmed |
        0.09s  ended a.unwind 9          |
        0.17s  woke                      | ask quotes
        0.18s  quoted a 1/50 b 43/99     |
        0.5s   woke                      | ask quotes
        1.2s   quoted a 1/50 b 43/99     | escalate
        => escalated, nets 1/0
    """)


def test_a_worse_attempt_stays_within_what_the_budget_still_bears() -> None:
    """Second attempt: a cent worse would cost ten cents more, and only a few are left."""
    story("""
        given  loss_budget $0.45, a.ticks 0.1
        0s     opened 10               | submit a, submit b
        0.03s  ended a 10              |
        0.03s  filled a 10 confirmed   |
        0.05s  ended b 0               | ask quotes
        0.07s  quoted a 48/50 b 43/90  | submit a.unwind sell 10 @48
        0.09s  ended a.unwind 0        |
        0.17s  woke                    | ask quotes
        0.18s  quoted a 48/50 b 43/90  | submit a.unwind2 sell 10 @47.3
        => open
    """)


def test_no_sale_goes_below_the_floor() -> None:
    story("""
        given  floor 10, deadline 1s
        0s     opened 10               | submit a, submit b
        0.03s  ended a 10              |
        0.05s  ended b 0               | ask quotes
        0.07s  quoted a 9/50 b 43/-    |
        0.4s   woke                    | fetch a, ask quotes
        0.45s  quoted a 10/50 b 43/-   | submit a.unwind sell 10 @10
        0.5s   ended a.unwind 0        |
        0.6s   woke                    | fetch a, ask quotes
        0.7s   quoted a 10/50 b 43/-   | submit a.unwind2 sell 10 @10
        => open
    """)


# Settlement


def test_a_sale_waits_for_its_tokens_to_settle() -> None:
    story("""
        0s     opened 10                | submit a, submit b
        0.03s  ended b 10               |
        0.05s  ended a 0                | ask quotes
        0.06s  filled b 10              |
        0.07s  quoted a 48/90 b 43/46   |
        0.17s  woke                     | ask quotes
        0.18s  quoted a 48/90 b 43/46   |
        0.2s   filled b 10 confirmed    |
        0.28s  woke                     | ask quotes
        0.3s   quoted a 48/90 b 43/46   | submit b.unwind sell 10 @43
        0.31s  ended b.unwind 10        |
        => flat, nets 0/0
    """)


def test_while_a_sale_waits_a_completion_that_is_not_much_dearer_goes_first() -> None:
    """Selling would bring 43, completing leaves 100 − 56 − fee: a shade less, but now."""
    story("""
        0s     opened 10                | submit a, submit b
        0.03s  ended b 10               |
        0.05s  ended a 0                | ask quotes
        0.07s  quoted a 48/56 b 43/46   | submit a.complete buy 10 @56
        0.09s  ended a.complete 10      |
        => hedged, nets 10/10
    """)


def test_a_sale_whose_tokens_do_not_settle_is_tried_once_and_then_waits_for_them() -> None:
    """The venue refuses for lack of tokens. The rungs are not wasted on that: it goes on once they are there."""
    story("""
        0s     opened 10                | submit a, submit b
        0.03s  ended b 10               |
        0.04s  filled b 10              |
        0.05s  ended a 0                | ask quotes
        0.07s  quoted a 48/90 b 43/46   |
        2.1s   woke                     | fetch b, ask quotes
        2.2s   quoted a 48/90 b 43/46   | submit b.unwind sell 10 @43
        2.3s   refused b.unwind insufficient_funds | ask quotes
        2.4s   quoted a 48/90 b 43/46   |
        3s     woke                     | fetch b, ask quotes
        3.1s   quoted a 48/90 b 43/46   |
        6s     filled b 10 confirmed    | ask quotes
        6.1s   quoted a 48/90 b 43/46   | submit b.unwind2 sell 10 @42
        6.2s   ended b.unwind2 10       |
        => flat, nets 0/0
    """)


def test_tokens_that_never_settle_are_told_to_a_person_at_the_deadline() -> None:
    story("""
        given  deadline 3s
        0s     opened 10                | submit a, submit b
        0.03s  ended b 10               |
        0.04s  filled b 10              |
        0.05s  ended a 0                | ask quotes
        0.07s  quoted a 48/90 b 43/46   |
        2.1s   woke                     | fetch b, ask quotes
        2.2s   quoted a 48/90 b 43/46   | submit b.unwind sell 10 @43
        2.3s   refused b.unwind insufficient_funds | ask quotes
        2.4s   quoted a 48/90 b 43/46   |
        4.2s   woke                     | fetch b, ask quotes
        4.3s   quoted a 48/90 b 43/46   | escalate
        => escalated, nets 0/10
    """)


# More legs than two


BASKET = """
        0s     opened 10 a kalshi yes @30 b polymarket yes @30 c kalshi yes @30 | submit a, submit b, submit c
"""


def test_a_basket_of_three_fills() -> None:
    story(f"""{BASKET}
        0.1s   ended c 10   |
        0.1s   ended a 10   |
        0.2s   ended b 10   |
        => hedged, nets 10/10/10, spans 0
    """)


def test_a_basket_with_two_legs_missing_completes_both_at_once() -> None:
    story(f"""{BASKET}
        0.1s   ended a 10   |
        0.1s   ended b 0    |
        0.2s   ended c 5 killed | ask quotes
        0.3s   quoted a 28/30 b 28/31 c 28/32 | submit b.complete buy 10 @31, submit c.complete buy 5 @32
        0.4s   ended c.complete 5  |
        0.5s   ended b.complete 10 |
        => hedged, nets 10/10/10
    """)


def test_two_legs_that_are_completed_at_one_venue_share_its_capital() -> None:
    """Six dollars: five for the first, and what is left for the second."""
    story("""
        given  b.sells_after_settlement no
        0s     opened 10 a kalshi yes @30 b polymarket yes @30 c kalshi yes @30 | submit a, submit b, submit c
        0.1s   ended b 10   |
        0.1s   ended a 0    |
        0.2s   ended c 0    | ask quotes
        0.3s   quoted a 28/31 $6 b 2/90 c 28/32 $6 | submit a.complete buy 10 @31, submit c.complete buy 8.2 @32
        => open
    """)


def test_a_basket_with_two_legs_too_many_unwinds_both_at_once() -> None:
    story(f"""{BASKET}
        0.1s   ended a 10   |
        0.1s   ended b 0    |
        0.2s   ended c 5 killed | ask quotes
        0.3s   quoted a 28/30 b 28/90 c 28/90 | submit a.unwind sell 10 @28, submit c.unwind sell 5 @28
        0.4s   ended c.unwind 5  |
        0.5s   ended a.unwind 10 |
        => flat, nets 0/0/0
    """)


def test_a_basket_with_a_leg_in_doubt_waits_for_it() -> None:
    story(f"""{BASKET}
        0.1s   ended a 10      |
        0.1s   lost b          | look up b
        0.2s   ended c 0       |
        1s     absent b        |
        6s     absent b        | ask quotes
        6.1s   quoted a 28/30 b 28/90 c 28/90 | submit a.unwind sell 10 @28
        6.2s   ended a.unwind 10 |
        => flat, b never arrived
    """)


def test_every_second_that_tokens_are_late_makes_a_dearer_completion_acceptable() -> None:
    """Selling would bring 43, completing leaves 100 − 80 − fee, 25 cents less: taken when the tokens are 23 s late."""
    story("""
        given  deadline 60s
        0s     opened 10                | submit a, submit b
        0.03s  ended b 10               |
        0.04s  filled b 10              |
        0.05s  ended a 0                | ask quotes
        2.2s   quoted a 48/80 b 43/46   | submit b.unwind sell 10 @43
        2.3s   refused b.unwind insufficient_funds | ask quotes
        2.4s   quoted a 48/80 b 43/46   |
        20s    woke                     | fetch b, ask quotes
        20.1s  quoted a 48/80 b 43/46   |
        25s    woke                     | fetch b, ask quotes
        25.1s  quoted a 48/80 b 43/46   | submit a.complete buy 10 @81
        25.2s  ended a.complete 10      |
        => hedged
    """)
