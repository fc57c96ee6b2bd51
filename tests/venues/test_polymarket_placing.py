"""What is sent for an order: its type, its terms, and amounts that never come to more than was asked."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.orders import Order
from messages.reasons import Refusal
from messages.units import ONE_DOLLAR, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from tests.venues.making import AT, CONDITION, WALLET, Hand, order, polymarket_market, polymarket_wallet, resting
from venues.polymarket.amounts import AMOUNT_PLACES, amounts_of
from venues.polymarket.preparing import Preparing
from venues.polymarket.sign import Signer
from venues.polymarket.typed_data import EXCHANGES
from venues.port import Denied, Lifetime, NotReady, Prepared, SelfTrade, Shaping, Terms

IOC = order(market=CONDITION, spend=Money(5_200_000))
GTC = resting(market=CONDITION)
LONG = resting(market=CONDITION, expires_at=Nanos(AT + 600 * SECOND))
DEPOSIT_WALLET = next(v["message"]["maker"] for v in WALLET["orders"] if v["signatureType"] == 3)


def preparing(kind: int = 0, funder: str = "", generation: str = "ctf_v2", tick: int = 100) -> Preparing:
    found = Preparing(Signer(polymarket_wallet(kind, funder), Hand()))
    found.load([polymarket_market(generation=generation, tick=tick)])
    return found


@pytest.mark.parametrize(
    ("asked", "terms", "kind", "post_only"),
    [
        (IOC, Terms(), "FAK", False),
        (IOC, Terms(lifetime=Lifetime.IOC), "FAK", False),
        (IOC, Terms(lifetime=Lifetime.FOK), "FOK", False),
        (GTC, Terms(), "GTC", False),
        (GTC, Terms(post_only=True), "GTC", True),
        (GTC, Terms(lifetime=Lifetime.GTC, post_only=True), "GTC", True),
        (LONG, Terms(), "GTD", False),
        (LONG, Terms(lifetime=Lifetime.GTD, post_only=True), "GTD", True),
        (LONG, Terms(lifetime=Lifetime.GTC), "GTC", False),
    ],
)
def test_every_order_type_of_the_venue_can_be_asked_for(asked: Order, terms: Terms, kind: str, post_only: bool) -> None:
    prepared = preparing().prepare_with(asked, terms)
    assert isinstance(prepared, Prepared)
    told = json.loads(prepared.body)
    assert (told["orderType"], told["postOnly"]) == (kind, post_only)
    assert (told["order"]["expiration"] == "0") == (kind != "GTD")
    # terms are not signed, so an order has one hash under all of them
    assert prepared.wire == preparing().identify(asked)


@pytest.mark.parametrize(
    ("asked", "terms", "why"),
    [
        (IOC, Terms(lifetime=Lifetime.GTC), "does not rest"),
        (IOC, Terms(lifetime=Lifetime.GTD), "does not rest"),
        (GTC, Terms(lifetime=Lifetime.FOK), "not immediate"),
        (GTC, Terms(lifetime=Lifetime.IOC), "not immediate"),
        (GTC, Terms(lifetime=Lifetime.GTD), "three minutes"),
        (IOC, Terms(post_only=True), "post-only"),
        (GTC, Terms(reduce_only=True), "reduce-only"),
        (GTC, Terms(self_trade=SelfTrade.MAKER), "gives way"),
        (GTC, Terms(cancel_on_pause=True), "pause"),
        (GTC, Terms(group="g"), "groups"),
        (GTC, Terms(shard=0), "shards"),
    ],
)
def test_what_the_venue_does_not_have_is_refused_before_anything_is_sent(asked: Order, terms: Terms, why: str) -> None:
    found = preparing().prepare_with(asked, terms)
    assert isinstance(found, Denied)
    assert found.reason is Refusal.INVALID
    assert why in found.text


def test_a_repost_of_an_order_with_terms_sends_its_first_bytes() -> None:
    venue = preparing()
    first = venue.prepare_with(IOC, Terms(lifetime=Lifetime.FOK))
    assert venue.prepare(IOC) == first
    assert venue.identify(IOC) == venue.prepare(IOC).wire


@pytest.mark.parametrize("generation", EXCHANGES)
@pytest.mark.parametrize("kind", range(4))
def test_the_domain_follows_the_markets_contract_and_the_signer_the_wallet(generation: str, kind: int) -> None:
    venue = preparing(kind, DEPOSIT_WALLET if kind else "", generation)
    assert isinstance(venue, Shaping)
    told = json.loads(venue.prepare(IOC).body)["order"]
    signer = Signer(polymarket_wallet(), Hand()).address
    assert told["signatureType"] == kind
    assert told["maker"] == (DEPOSIT_WALLET if kind else signer)
    assert told["signer"] == (DEPOSIT_WALLET if kind == 3 else signer)
    # 65 bytes by the key; a deposit wallet's carries what its contract checks: 32 + 32 + 186 + 2 more
    assert len(told["signature"]) == 2 + 2 * (65 + (252 if kind == 3 else 0))
    others = {preparing(kind, DEPOSIT_WALLET if kind else "", other).identify(IOC) for other in EXCHANGES}
    assert len(others) == len(EXCHANGES)


def test_a_market_that_is_not_loaded_cannot_be_signed_for() -> None:
    with pytest.raises(NotReady, match="no metadata"):
        preparing().prepare_with(order(market="0xelse"), Terms(lifetime=Lifetime.FOK))


any_order = st.builds(
    lambda outcome, side, steps, size, spend, immediate: order(
        market=CONDITION,
        outcome=outcome,
        side=side,
        price=Price(steps),
        quantity=Quantity(size),
        spend=Money(spend) if immediate and side is Side.BUY and spend else None,
        time_in_force=TimeInForce.IOC if immediate else TimeInForce.GTD,
        expires_at=Nanos(0 if immediate else AT + SECOND),
    ),
    st.sampled_from(Outcome),
    st.sampled_from(Side),
    st.integers(1, 9_999),
    st.integers(1, 10**11),
    st.integers(0, 10**10),
    st.booleans(),
)


@given(any_order, st.sampled_from(sorted(AMOUNT_PLACES)))
def test_amounts_never_come_to_more_than_was_asked(asked: Order, tick: int) -> None:
    asked = asked.model_copy(update={"price": Price(max(tick, asked.price // tick * tick) if tick < 5_000 else tick)})
    amounts = amounts_of(asked, Price(tick))
    assert amounts.maker >= 0
    assert amounts.taker >= 0
    immediate = asked.time_in_force is TimeInForce.IOC
    if asked.side is Side.SELL:
        # no more shares than were offered, in hundredths
        assert amounts.maker <= asked.quantity
        assert amounts.maker % 10_000 == 0
    elif immediate:
        # no more dollars than were given, in cents
        most = asked.spend if asked.spend is not None else asked.price * asked.quantity // ONE_DOLLAR
        assert amounts.maker <= most
        assert amounts.maker % 10_000 == 0
    else:
        assert amounts.taker <= asked.quantity
        assert amounts.taker % 10_000 == 0
        assert amounts.maker * ONE_DOLLAR <= asked.price * asked.quantity
    places = AMOUNT_PLACES[tick]
    computed = amounts.taker if asked.side is Side.SELL or immediate else amounts.maker
    assert computed % 10 ** (6 - places) == 0


@given(st.sampled_from(sorted(AMOUNT_PLACES)), st.integers(1, 9_999), st.integers(10_000, 10**10))
def test_an_immediate_sale_asks_for_its_limit_exactly_on_every_grid(tick: int, steps: int, size: int) -> None:
    price = Price(min(max(tick, steps // tick * tick), ONE_DOLLAR - tick))
    asked = order(market=CONDITION, side=Side.SELL, price=price, quantity=Quantity(size))
    amounts = amounts_of(asked, Price(tick))
    assert amounts.taker * ONE_DOLLAR == amounts.maker * price
