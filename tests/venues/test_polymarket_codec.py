"""Polymarket's orders and answers: bodies against the official clients', tolerant reading, hostile input."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.orders import EndKind, FillSeen, OrderSeen, Settlement
from messages.units import CONTRACT, SECOND, Money, Nanos, Outcome, Price, Quantity, Side
from tests.venues.making import AT, CONDITION, WALLET, Hand, order, polymarket_market, polymarket_wallet, resting
from venues.polymarket import codec, placing, rules
from venues.polymarket.account import PolymarketAccountData
from venues.polymarket.books import Books, RuleTold
from venues.polymarket.rest import PolymarketTrading
from venues.polymarket.schedules import Schedules
from venues.polymarket.sign import Signer
from venues.polymarket.typed_data import SignedFields
from venues.port import Capabilities, NotReady

US = codec.Account(owner="me", funder="0xAA")
MARKET = polymarket_market()
SCHEDULES = Schedules([MARKET])
YES = (MARKET.tokens or ("", ""))[0]


@pytest.mark.parametrize(
    "vector",
    WALLET["orders"],
    ids=lambda v: "-".join(str(v[key]) for key in ("exchange", "signatureType", "side", "expiration_wire_only")),
)
def test_bodies_say_what_the_official_clients_say(vector: dict[str, Any]) -> None:
    told = vector["message"]
    fields = SignedFields(
        told["salt"], told["maker"], told["signer"], told["tokenId"], told["makerAmount"], told["takerAmount"],
        told["side"], told["signatureType"], told["timestamp"], bytes.fromhex(told["builder"]),
    )  # fmt: skip
    expected = json.loads(vector["post_body_py_clob_client_v2"])
    expires = int(vector["expiration_wire_only"])
    ours = resting() if not expires else resting(expires_at=Nanos((expires - 60) * SECOND))
    body = placing.order_body(ours, fields, vector["signature"], expected["owner"])
    assert json.loads(body) == expected


def trading() -> PolymarketTrading:
    proofs = Capabilities(
        repost_proves=True,
        kill_consumes=False,
        late_arrival=Nanos(0),
        sells_after_settlement=True,
        reversible=True,
        nets=False,
    )
    return PolymarketTrading("p", "http://127.0.0.1:1", polymarket_wallet(), Hand(), proofs)


def test_the_same_order_is_prepared_to_the_same_bytes_even_when_the_grid_changes() -> None:
    venue = trading()
    asked = order(market=CONDITION, price=Price(2_900), spend=Money(10_000_000))
    with pytest.raises(NotReady):
        venue.prepare(asked)
    venue.load([MARKET])
    first = venue.prepare(asked)
    venue.load([polymarket_market(tick=10)])
    assert venue.prepare(asked) == first
    again = trading()
    again.load([polymarket_market(tick=10)])
    assert again.prepare(asked).wire != first.wire
    # a restart behind a change of tick still asks for the hash that went out
    assert first.wire in again._identities(asked)
    told = json.loads(first.body)
    assert told["orderType"] == "FAK"
    assert told["order"]["makerAmount"] == "10000000"
    assert int(told["order"]["takerAmount"]) == 34_482_700


def test_an_unknown_contract_is_not_signed_for() -> None:
    venue = trading()
    venue.load([polymarket_market(generation="v9")])
    with pytest.raises(NotReady, match="unknown contract"):
        venue.identify(order(market=CONDITION, spend=Money(10**6)))


@pytest.mark.parametrize(("rest_s", "kind"), [(1, "GTC"), (179, "GTC"), (180, "GTD"), (600, "GTD")])
def test_only_long_rests_are_gtd(rest_s: int, kind: str) -> None:
    asked = resting(expires_at=Nanos(AT + rest_s * SECOND))
    found, expiration = placing.wire_type(asked)
    assert found == kind
    assert expiration == (AT // SECOND + rest_s + 60 if kind == "GTD" else 0)


@pytest.mark.parametrize(
    ("status", "immediate", "ended"),
    [
        ("LIVE", False, None),
        ("DELAYED", True, None),
        ("MATCHED", False, EndKind.FILLED),
        ("UNMATCHED", False, None),
        ("UNMATCHED", True, EndKind.KILLED),
        ("INVALID", False, EndKind.CANCELLED),
        ("CANCELED", False, EndKind.CANCELLED),
        ("CANCELED", True, EndKind.KILLED),
        ("CANCELED_EXPIRED_ORDER", False, EndKind.EXPIRED),
        ("CANCELED_ORDER COULDN'T BE FULLY FILLED. FOK ORDERS ARE FULLY FILLED OR KILLED.", False, EndKind.KILLED),
        ("SOMETHING_NEW", False, None),
        ("", True, None),
    ],
)
def test_how_an_order_ended(status: str, immediate: bool, ended: EndKind | None) -> None:
    assert codec.end_of(status, immediate=immediate) is ended


def test_an_event_of_empty_strings_is_an_event() -> None:
    told = {
        "id": "0x1",
        "status": "CANCELED_for some reason",
        "size_matched": "",
        "order_type": "GTC",
        "market": CONDITION,
    }
    seen = codec.order_seen("p", told, AT)
    assert seen is not None
    assert (seen.matched, seen.ended) == (0, EndKind.CANCELLED)


def test_an_immediate_buy_is_not_believed_about_its_sizes() -> None:
    told = {
        "id": "0x1",
        "status": "MATCHED",
        "size_matched": "5.2",
        "order_type": "FAK",
        "side": "BUY",
        "market": CONDITION,
    }
    seen = codec.order_seen("p", told, AT)
    assert seen is not None
    assert (seen.matched, seen.ended) == (0, None)


def trade(**changes: Any) -> dict[str, Any]:
    told = {
        "id": "t1", "taker_order_id": "0xtaker", "market": CONDITION, "asset_id": YES, "side": "BUY", "size": "10",
        "price": "0.57", "status": "TRADE_STATUS_MATCHED", "match_time": "1713398400", "trader_side": "TAKER",
        "owner": "me", "maker_address": "0xaa",
        "maker_orders": [
            {"order_id": "0xours", "owner": "me", "maker_address": "0xaa", "matched_amount": "4", "price": "0.43", "side": "BUY"},
            {"order_id": "0xother", "owner": "you", "maker_address": "0xbb", "matched_amount": "6", "price": "0.57"},
        ],
    }  # fmt: skip
    return told | changes


def test_a_taker_has_the_whole_trade_and_pays_the_fee() -> None:
    (seen,) = codec.fills_of("p", trade(), US, SCHEDULES, AT)
    assert (seen.venue_order, seen.fill.fill, seen.fill.quantity) == ("0xtaker", "t1", 10 * CONTRACT)
    assert seen.fill.fee == 122_550
    assert seen.fill.settlement is Settlement.MATCHED
    assert seen.fill.maker is False


def test_a_maker_has_its_own_part_at_its_own_tokens_price() -> None:
    (seen,) = codec.fills_of("p", trade(trader_side="MAKER"), US, SCHEDULES, AT)
    assert (seen.venue_order, seen.fill.fill) == ("0xours", "t1:0xours")
    assert (seen.fill.quantity, seen.fill.price, seen.fill.fee) == (4 * CONTRACT, 4_300, 0)
    assert seen.fill.maker is True


@pytest.mark.parametrize(
    ("status", "settlement"),
    [
        ("MATCHED", Settlement.MATCHED),
        ("TRADE_STATUS_MINED", Settlement.MATCHED),
        ("RETRYING", Settlement.MATCHED),
        ("MATCHED_NOT_BROADCASTED", Settlement.MATCHED),
        ("WHATEVER", Settlement.MATCHED),
        ("TRADE_STATUS_CONFIRMED", Settlement.CONFIRMED),
        ("FAILED", Settlement.REVERSED),
    ],
)
def test_settlements(status: str, settlement: Settlement) -> None:
    (seen,) = codec.fills_of("p", trade(status=status), US, Schedules(), AT)
    assert seen.fill.settlement is settlement


def test_a_price_between_two_units_is_turned_against_us() -> None:
    (bought,) = codec.fills_of("p", trade(price="0.523333"), US, Schedules(), AT)
    (sold,) = codec.fills_of("p", trade(price="0.523333", side="SELL"), US, Schedules(), AT)
    assert (bought.fill.price, sold.fill.price) == (5_234, 5_233)


def about(**changes: Any) -> dict[str, Any]:
    return {
        "question": "Q",
        "acceptingOrders": True,
        "closed": False,
        "negRisk": False,
        "endDate": "2027-01-01T00:00:00Z",
    } | changes


def terms(**changes: Any) -> dict[str, Any]:
    told = {
        "t": [{"t": YES, "o": "Yes"}, {"t": "1234567890123456789012345", "o": "No"}],
        "mos": 5, "mts": 0.01, "nr": False, "fd": {"r": 0.05, "e": 1, "to": True},
    }  # fmt: skip
    return told | changes


def test_a_markets_rules() -> None:
    market = rules.market("p", terms(), about(), CONDITION, AT)
    assert market is not None
    assert (market.ticks[0].start, market.ticks[0].stop, market.ticks[0].step) == (100, 9_900, 100)
    assert (market.fees.taker_ppm, market.min_quantity, market.generation) == (50_000, 5 * CONTRACT, "ctf_v2")
    assert market.open
    assert market.closes_at == 1_798_761_600 * SECOND
    negative = rules.market("p", terms(nr=True), about(negRisk=True), CONDITION, AT)
    assert negative is not None
    assert negative.generation == "neg_risk_v2"


@pytest.mark.parametrize(
    "changes",
    [
        {"fd": None},
        {"fd": {"r": 0.05, "e": 1, "to": False}},
        {"fd": {"e": 1}},
        {"mts": 0.02},
        {"mts": None},
        {"mos": "many"},
        {"t": []},
        {"t": [{"t": "x", "o": "Yes"}, {"t": "2", "o": "No"}]},
        {"nr": None},
    ],
)
def test_rules_that_are_not_fully_said_are_not_guessed(changes: dict[str, Any]) -> None:
    assert rules.market("p", terms(**changes), about(negRisk=None), CONDITION, AT) is None


def test_no_fee_is_believed_only_where_it_is_said() -> None:
    free = rules.fee_schedule({"tbf": 0}, AT)
    assert free is not None
    assert free.taker_ppm == 0
    assert rules.fee_schedule({}, AT) is None


def book(**changes: Any) -> str:
    told = {
        "event_type": "book", "asset_id": YES, "market": CONDITION, "timestamp": "1000",
        "bids": [{"price": ".48", "size": "30"}, {"price": "0.5", "size": "10"}], "asks": [{"price": "0.52", "size": "7"}],
    }  # fmt: skip
    return json.dumps([told | changes])


def change(price: str, size: str, side: str, stamp: int = 1001, **more: str) -> str:
    entry = {"asset_id": YES, "price": price, "size": size, "side": side, **more}
    return json.dumps(
        {"event_type": "price_change", "market": CONDITION, "timestamp": str(stamp), "price_changes": [entry]}
    )


def test_books_of_whole_and_absolute_messages() -> None:
    books = Books([MARKET])
    changed, _ = books.take(book(), AT)
    assert changed == {CONDITION}
    assert not books.known(CONDITION)
    books.take(book(asset_id=(MARKET.tokens or ("", ""))[1], bids=[], asks=[]), AT)
    assert books.known(CONDITION)
    assert books.sides(CONDITION)[0] == ((5_000, 10 * CONTRACT), (4_800, 30 * CONTRACT))
    books.take(change("0.51", "3", "BUY", best_bid="0.51", best_ask="0.52"), AT)
    assert books.sides(CONDITION)[0][0] == (5_100, 3 * CONTRACT)
    books.take(change("0.51", "0", "BUY", best_bid="0.5", best_ask="0.52"), AT)
    assert books.sides(CONDITION)[0][0] == (5_000, 10 * CONTRACT)
    assert books.known(CONDITION)


def test_best_prices_that_differ_give_a_loss_away() -> None:
    books = Books([MARKET])
    books.take(book(), AT)
    books.take(book(asset_id=(MARKET.tokens or ("", ""))[1], bids=[], asks=[]), AT)
    changed, _ = books.take(change("0.40", "3", "BUY", best_bid="0.49", best_ask="0.52"), AT)
    assert changed == {CONDITION}
    assert not books.known(CONDITION)


def test_what_is_older_than_a_read_book_is_left_out() -> None:
    books = Books([MARKET])
    books.take(book(timestamp="2000"), AT)
    books.take(change("0.51", "3", "BUY", stamp=1999), AT)
    assert 5_100 not in books.ladders[YES].bids


def test_a_change_of_tick_is_told() -> None:
    books = Books([MARKET])
    told = {"event_type": "tick_size_change", "market": CONDITION, "asset_id": YES, "new_tick_size": "0.001"}
    assert books.take(json.dumps(told), AT) == (set(), [RuleTold(CONDITION, Price(10))])


def test_frames_of_the_private_stream() -> None:
    account = PolymarketAccountData("p", "ws://127.0.0.1:1", polymarket_wallet(), Hand())
    placed = {
        "event_type": "order",
        "type": "PLACEMENT",
        "id": "0x1",
        "status": "LIVE",
        "market": CONDITION,
        "size_matched": "0",
    }
    frames = json.dumps([placed, {"event_type": "trade", **trade()}, {"event_type": "new"}, 7])
    events = account.events(frames, SCHEDULES)
    assert [type(event) for event in events] == [OrderSeen, FillSeen]
    assert account.skipped == 1


KEYS: tuple[str, ...] = (
    "id",
    "event_type",
    "asset_id",
    "market",
    "price",
    "size",
    "side",
    "status",
    "price_changes",
    "bids",
    "asks",
    "timestamp",
)
KEYS += (
    "maker_orders",
    "order_id",
    "owner",
    "matched_amount",
    "trader_side",
    "taker_order_id",
    "size_matched",
    "t",
    "o",
    "fd",
    "mts",
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ("1", "0.52", YES, CONDITION, "book", "price_change", "trade", "order", "MAKER", "BUY", "SELL", "me", "Yes")
    )
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=15,
)


@given(anything)
def test_no_answer_breaks_the_codec(told: Any) -> None:
    account = PolymarketAccountData("p", "ws://127.0.0.1:1", polymarket_wallet(), Hand())
    account.events(json.dumps(told), SCHEDULES)
    codec.levels(told)
    if isinstance(told, dict):
        codec.order_seen("p", told, AT)
        codec.fills_of("p", told, US, SCHEDULES, AT)
        codec.trade_second(told)
        codec.sides(told)
        rules.market("p", told, told, CONDITION, AT)


@given(st.lists(st.binary(max_size=60) | anything.map(lambda told: json.dumps(told).encode()), max_size=12))
def test_no_frame_breaks_a_book_or_fills_it_with_nonsense(frames: list[bytes]) -> None:
    books = Books([MARKET])
    books.take(book(), AT)
    for frame in frames:
        books.take(frame, AT)
    ladder = books.ladders[YES]
    assert all(0 < price < 10_000 and size > 0 for side in (ladder.bids, ladder.asks) for price, size in side.items())


@given(st.sampled_from(Outcome), st.sampled_from(Side), st.integers(1, 99), st.integers(1, 10**4), st.booleans())
def test_any_order_can_be_signed(outcome: Outcome, side: Side, cents: int, hundredths: int, immediate: bool) -> None:
    make = order if immediate else resting
    asked = make(
        market=CONDITION, outcome=outcome, side=side, price=Price(cents * 100), quantity=Quantity(hundredths * 10_000)
    )
    signer = Signer(polymarket_wallet(), Hand())
    fields, digest = placing.order_fields(asked, MARKET, signer)
    assert len(digest) == 32
    assert len(signer.sign(digest)) == 132
    assert fields.maker_amount >= 0
