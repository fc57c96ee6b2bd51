"""Matching, netting, settlement: the exchange without its wires."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from venues.simulated.exchange import Exchange
from venues.simulated.happenings import Bend, Declined, FeeRule, Fill, OrderChanged, Taken, Terms, Ticket, TradeSettled
from venues.simulated.scale import UNIT

S = 1_000_000_000
M = "market"


def kalshi(deposit: int = 1_000) -> Exchange:
    exchange = Exchange((M,), Terms(netting=True, settles=False, fees={M: FeeRule(Fraction(1))}), "seed")
    exchange.open_account("ann", deposit * UNIT)
    exchange.open_account("bob", deposit * UNIT)
    return exchange


def polymarket(deposit: int = 1_000) -> Exchange:
    terms = Terms(netting=False, settles=True, fees={M: FeeRule(Fraction("0.04"))}, kills_unmatched_ioc=True)
    exchange = Exchange((M,), terms, "seed")
    exchange.open_account("ann", deposit * UNIT)
    exchange.open_account("bob", deposit * UNIT)
    return exchange


def ticket(account: str, wire: str, action: Any, price: int, contracts: float, **more: Any) -> Ticket:
    asked: dict[str, Any] = {"outcome": "yes", "time_in_force": "ioc", **more}
    return Ticket(
        account=account, wire_id=wire, market=M, action=action, price=price, quantity=round(contracts * UNIT), **asked
    )


def take(exchange: Exchange, asked: Ticket, at_ns: int = 0, bend: Bend | None = None) -> tuple[Fill, ...]:
    verdict = exchange.submit(asked, at_ns, bend)
    assert isinstance(verdict, Taken), verdict
    return verdict.fills


def test_the_better_price_goes_first_and_then_the_older_order():
    exchange = kalshi()
    take(exchange, ticket("bob", "late-but-better", "sell", 5_000, 5, time_in_force="gtc"), 1)
    take(exchange, ticket("bob", "old", "sell", 5_100, 5, time_in_force="gtc"), 2)
    take(exchange, ticket("bob", "young", "sell", 5_100, 5, time_in_force="gtc"), 3)
    fills = take(exchange, ticket("ann", "a", "buy", 5_100, 12), 4)
    assert [(f.match.maker.wire_id, f.price, f.quantity // UNIT) for f in fills] == [
        ("late-but-better", 5_000, 5), ("old", 5_100, 5), ("young", 5_100, 2),
    ]  # fmt: skip


def test_a_limit_is_never_crossed_and_the_rest_of_an_ioc_is_killed():
    exchange = kalshi()
    exchange.quote(M, "ask", 5_000, 4 * UNIT, 0)
    exchange.quote(M, "ask", 5_200, 50 * UNIT, 0)
    fills = take(exchange, ticket("ann", "a", "buy", 5_100, 10))
    assert sum(f.quantity for f in fills) == 4 * UNIT
    assert (fills[0].order.status, fills[0].order.remaining) == ("canceled", 0)
    assert exchange.books[M].best("bid") is None


def test_yes_and_no_net_into_cash_on_kalshi():
    exchange = kalshi()
    exchange.quote(M, "ask", 4_000, 100 * UNIT, 0)
    take(exchange, ticket("ann", "a", "buy", 4_000, 10))
    assert exchange.accounts["ann"].positions[M].yes == 10 * UNIT
    exchange.quote(M, "ask", 4_000, 0, 0)
    exchange.quote(M, "bid", 4_500, 100 * UNIT, 0)
    (fill,) = take(exchange, ticket("ann", "b", "sell", 4_500, 15))
    # ten contracts are sold at 45 cents; five more are NO bought at 55
    assert fill.cash == 10 * 450_000 - 5 * 550_000
    assert (exchange.accounts["ann"].positions[M].yes, exchange.accounts["ann"].positions[M].no) == (0, 5 * UNIT)
    assert fill.position == -5 * UNIT
    assert exchange.imbalance() == 0


def test_a_dollar_buy_gets_more_shares_when_the_price_is_better_than_its_limit():
    exchange = polymarket()
    exchange.quote(M, "ask", 4_500, 7 * UNIT, 0)
    exchange.quote(M, "ask", 4_600, 200 * UNIT, 0)
    fills = take(exchange, ticket("ann", "a", "buy", 5_000, 20, spend=10 * UNIT))
    assert [f.quantity for f in fills] == [7 * UNIT, 14_891_304]  # (10 - 3.15) / 0.46, cut to six decimals
    assert sum(f.cash for f in fills) == -10 * UNIT
    assert fills[0].order.matched > 20 * UNIT


def test_buying_no_is_selling_yes_at_the_complement():
    exchange = polymarket()
    exchange.quote(M, "bid", 6_000, 10 * UNIT, 0)
    (fill,) = take(exchange, ticket("ann", "a", "buy", 4_000, 10, outcome="no", spend=4 * UNIT))
    assert (fill.outcome, fill.price, fill.quantity) == ("no", 4_000, 10 * UNIT)
    assert (fill.match.maker.outcome, fill.match.maker.action, fill.match.yes_price) == ("yes", "buy", 6_000)
    assert exchange.accounts["ann"].positions[M].no == 10 * UNIT
    assert exchange.imbalance() == 0


def test_a_fill_or_kill_is_all_or_nothing_and_uses_its_id_up():
    exchange = kalshi()
    exchange.quote(M, "ask", 5_000, 4 * UNIT, 0)
    assert exchange.submit(ticket("ann", "a", "buy", 5_000, 5, time_in_force="fok"), 0) == Declined("fok_unfilled")
    assert exchange.submit(ticket("ann", "a", "buy", 5_000, 4, time_in_force="fok"), 0) == Declined("duplicate")
    assert exchange.accounts["ann"].cash == 1_000 * UNIT
    assert len(take(exchange, ticket("ann", "b", "buy", 5_000, 4, time_in_force="fok"))) == 1


def test_what_is_refused_for_want_of_funds_leaves_its_id_free():
    exchange = kalshi(deposit=1)
    exchange.quote(M, "ask", 5_000, 40 * UNIT, 0)
    assert exchange.submit(ticket("ann", "a", "buy", 5_000, 2), 0) == Declined("funds")  # the fee no longer fits
    assert len(take(exchange, ticket("ann", "a", "buy", 5_000, 1))) == 1


def test_an_account_never_trades_with_itself():
    exchange = kalshi()
    take(exchange, ticket("ann", "rest", "buy", 5_000, 3, time_in_force="gtc"))
    exchange.quote(M, "bid", 5_100, 2 * UNIT, 0)
    fills = take(exchange, ticket("ann", "cross", "sell", 5_000, 5))
    assert sum(f.quantity for f in fills) == 2 * UNIT
    assert exchange.books[M].size("bid", 5_000) == 3 * UNIT
    assert fills[0].order.reason == "SelfTradeCancel"


def test_open_orders_hold_their_money():
    exchange = kalshi(deposit=10)
    take(exchange, ticket("ann", "a", "buy", 5_000, 18, time_in_force="gtc"))
    assert exchange.accounts["ann"].reserved >= 9 * UNIT
    assert exchange.submit(ticket("ann", "b", "buy", 5_000, 5, time_in_force="gtc"), 0) == Declined("funds")
    exchange.cancel(next(iter(exchange.orders)), 1)
    assert exchange.accounts["ann"].reserved == 0
    take(exchange, ticket("ann", "b", "buy", 5_000, 5, time_in_force="gtc"))


def test_an_order_with_an_expiry_leaves_by_itself():
    exchange = kalshi()
    take(exchange, ticket("ann", "a", "buy", 5_000, 5, time_in_force="gtc", expires_ns=2 * S))
    exchange.advance(S)
    assert exchange.books[M].size("bid", 5_000) == 5 * UNIT
    exchange.advance(2 * S)
    assert exchange.books[M].size("bid", 5_000) == 0
    ends = [e for e in exchange.events if isinstance(e, OrderChanged)][-1]
    assert (ends.kind, ends.reason) == ("cancellation", "ExpiryCancel")


def test_a_token_is_sellable_only_once_its_trade_is_mined():
    exchange = polymarket()
    exchange.quote(M, "ask", 5_000, 10 * UNIT, 0)
    exchange.quote(M, "bid", 4_800, 10 * UNIT, 0)
    take(exchange, ticket("ann", "a", "buy", 5_000, 10, spend=5 * UNIT), S)
    sale = ticket("ann", "b", "sell", 4_800, 10)
    assert exchange.submit(sale, S + S // 10) == Declined("tokens")
    (fill,) = take(exchange, sale, 2 * S)
    assert fill.cash == 4_800_000
    exchange.advance(4 * S)
    told = [e.settlement for e in exchange.events if isinstance(e, TradeSettled)]
    assert told == ["mined", "confirmed", "mined", "confirmed"]


def test_a_reversed_trade_is_undone_for_both_sides():
    exchange = polymarket()
    take(exchange, ticket("bob", "rest", "buy", 4_000, 10, outcome="no", time_in_force="gtc"))
    (fill,) = take(exchange, ticket("ann", "a", "buy", 6_000, 10, spend=6 * UNIT), 0, Bend(reverse=True))
    assert fill.fee > 0
    assert exchange.accounts["ann"].cash == 1_000 * UNIT - 6 * UNIT - fill.fee
    exchange.advance(5 * S)
    for name in ("ann", "bob"):
        account = exchange.accounts[name]
        assert (account.cash, account.fees_paid) == (1_000 * UNIT, 0)
        assert (account.positions[M].yes, account.positions[M].no) == (0, 0)
    assert exchange.imbalance() == 0
    assert [e.settlement for e in exchange.events if isinstance(e, TradeSettled)] == ["retrying", "failed"]


def test_money_of_a_sale_that_may_be_reversed_cannot_be_spent():
    exchange = polymarket(deposit=6)
    exchange.quote(M, "ask", 5_000, 10 * UNIT, 0)
    take(exchange, ticket("ann", "a", "buy", 5_000, 10, spend=5 * UNIT), 0)
    exchange.quote(M, "ask", 5_000, 100 * UNIT, 0)
    exchange.quote(M, "bid", 4_800, 100 * UNIT, 0)
    take(exchange, ticket("ann", "b", "sell", 4_800, 10), S, Bend(reverse=True))
    assert exchange.submit(ticket("ann", "c", "buy", 5_000, 8, spend=4 * UNIT), S) == Declined("funds")
    exchange.advance(9 * S)
    assert exchange.accounts["ann"].positions[M].yes == 10 * UNIT
    assert exchange.accounts["ann"].available == exchange.accounts["ann"].cash >= 0


def test_the_makers_trade_with_a_resting_order_they_would_cross():
    exchange = kalshi()
    take(exchange, ticket("ann", "a", "buy", 5_000, 5, time_in_force="gtc"))
    exchange.quote(M, "ask", 4_900, 8 * UNIT, 1)
    assert exchange.accounts["ann"].positions[M].yes == 5 * UNIT
    assert exchange.books[M].ladder("ask") == [(4_900, 3 * UNIT)]
    assert exchange.imbalance() == 0


Step = tuple[str, str, str, str, int, int, int]
STEPS: st.SearchStrategy[Step] = st.tuples(
    st.sampled_from(("ann", "bob")), st.sampled_from(("buy", "sell")), st.sampled_from(("yes", "no")),
    st.sampled_from(("gtc", "ioc", "fok", "cancel", "wait", "quote")), st.integers(1, 99), st.integers(1, 4_000),
    st.integers(0, 3),
)  # fmt: skip


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(STEPS, max_size=30), nets=st.booleans())
def test_nothing_is_made_or_lost_whatever_is_traded(steps: list[Step], *, nets: bool):
    exchange = kalshi(50) if nets else polymarket(50)
    now_ns = 0
    for number, (account, action, outcome, what, price, size, extra) in enumerate(steps):
        quantity = size * UNIT // 100
        if what == "wait":
            now_ns += extra * S // 3
            exchange.advance(now_ns)
        elif what == "quote":
            exchange.quote(M, "bid" if action == "buy" else "ask", price * 100, quantity, now_ns)
        elif what == "cancel":
            exchange.cancel(list(exchange.orders)[size % len(exchange.orders)] if exchange.orders else "", now_ns)
        else:
            dollars = not nets and action == "buy" and what != "gtc"
            asked = ticket(
                account, str(number), action, price * 100, size / 100, outcome="yes" if nets else outcome,
                time_in_force=what, spend=price * quantity // 100 if dollars else None,
            )  # fmt: skip
            bend = Bend(keep=Fraction(1, 2)) if extra == 1 and what != "fok" else Bend(reverse=True)
            exchange.submit(asked, now_ns, bend if extra in (1, 2) and (extra == 1 or not nets) else None)
        assert exchange.imbalance() == 0
        for name in ("ann", "bob"):
            held = exchange.accounts[name]
            assert held.available >= 0
            assert held.cash >= 0
            assert held.positions[M].yes >= 0
            assert held.positions[M].no >= 0
            standing = [f for f in exchange.fills if f.order.account == name and f.match.settlement != "failed"]
            assert held.cash == held.deposits + sum(f.cash - f.fee for f in standing)
            assert held.fees_paid == sum(f.fee for f in standing)
