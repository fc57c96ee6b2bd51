"""What a person is told of a trade: each stage once, in plain words, and a result that is the accounts' own."""

from __future__ import annotations

import pytest

from core.machine import open_trade, step
from core.story import result, tell
from core.trade import Phase, Trade
from messages.base import Event
from messages.leases import ClaimsGranted
from tests.core.story import START, event_of, parse, play, story


def told(text: str) -> tuple[Trade, list[tuple[str, str]]]:
    trade: Trade | None = None
    heard: list[tuple[str, str]] = []
    read = parse(text)
    for line in read.lines:
        event: Event = event_of(line, read.given, trade)
        before = trade
        trade, _ = play(trade, event)
        if trade is not before:
            heard += tell(before, trade, line.at)
    assert trade is not None
    return trade, heard


RECOVERED = """
    0s     opened 10                | submit a, submit b
    0.1s   ended a 10               |
    0.1s   filled a 10 confirmed fee 0.17 |
    0.3s   lost b                   | look up b
    0.4s   absent b                 | repost b
    0.5s   ended b 0                |
    6s     absent b                 | ask quotes
    6.1s   quoted a 48/50 b 43/90   | submit a.unwind
    6.2s   filled a.unwind 10 @48 confirmed fee 0.17 |
    6.2s   ended a.unwind 10        |
    => flat, final
"""


def test_each_stage_is_told_once_and_in_its_order() -> None:
    trade, heard = told(RECOVERED)
    stages = [stage for stage, _ in heard]
    assert stages == ["opened", "order", "doubt", "doubt", "order", "excess", "recovery", "order", "settled", "final"]
    assert dict(heard)["excess"] == "proved out of balance: 10 yes at kalshi too many"
    assert dict(heard)["recovery"].startswith("unwinding: sell 10 yes@kalshi, limit 48")
    assert "back in balance 200.0 ms after it could act" in dict(heard)["settled"]
    assert result(trade) == -540_000
    assert "0.54" in dict(heard)["final"]


def test_a_reversal_and_an_escalation_are_told() -> None:
    trade, heard = told("""
        given  spans_max 0
        0s     opened 10      | submit a, submit b
        0.1s   ended a 10     |
        0.1s   ended b 10     |
        0.2s   filled b 10 f1 |
        3s     filled b 10 f1 reversed | escalate
        => escalated
    """)
    assert ("reversed", "buy no@polymarket: 10 taken back by the venue") in heard
    assert heard[-1] == ("escalated", "a person must decide: it fell out of balance too often")
    assert trade.outcome == "escalated"


def test_what_was_over_before_it_could_act_took_no_time() -> None:
    """The tokens were awaited until 0.17 s; at 0.1 s the other leg turned out to have filled after all."""
    trade, _ = told("""
        0s     opened 10                | submit a, submit b
        0.03s  ended b 10               |
        0.04s  filled b 10              |
        0.05s  ended a 0                | ask quotes
        0.07s  quoted a 48/90 b 43/46   |
        0.1s   filled a 10              |
        => hedged
    """)
    (span,) = trade.spans
    assert span.flat_at is not None
    assert span.able_at <= span.flat_at


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", "sent"),
        ("1s lost a | look up a", "in doubt"),
        ("1s rested a 0 |", "live"),
        ("1s rested a 3 |", "partly filled"),
        ("1s refused a venue_mode |", "refused (venue_mode)"),
        ("1s ended a 0 |", "killed unfilled"),
        ("1s ended a 3 |", "partly filled, rest killed"),
        ("1s ended a 3 expired |", "expired"),
        ("1s ended a 3 cancelled |", "cancelled"),
        ("1s ended a 10 |", "filled"),
    ],
)
def test_an_order_has_one_word_for_its_state(text: str, status: str) -> None:
    trade = story(f"0s opened 10 | submit a, submit b\n{text}\n=> open")
    assert trade.orders[0].status == status
    assert [s.order.leg for s in trade.doubtful] == [s.order.leg for s in trade.orders if s.phase is Phase.DOUBT]
    assert trade.orders[1].status == "sent"


def test_an_event_that_is_no_trades_business_changes_nothing() -> None:
    trade, _ = open_trade(story("0s opened 10 | submit a, submit b\n=> open").opened)
    after, commands = step(trade, ClaimsGranted(owner_epoch=1, holder="x", groups=()))
    assert after is trade
    assert not commands
    assert trade.opened.at == START
