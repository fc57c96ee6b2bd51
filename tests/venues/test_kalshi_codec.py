"""Kalshi's signatures, orders and answers: vectors, and what was recorded at the demo venue (read where it lies)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from hypothesis import given
from hypothesis import strategies as st

from messages.orders import Ended, EndKind, Landed, Refused, Rested
from messages.reasons import Refusal
from messages.units import CONTRACT, SECOND, Nanos, Outcome, Price, Side
from tests.venues.making import AT, KALSHI_AUTH, Hand, kalshi_rsa, order, resting
from venues.credentials import KalshiCredentials
from venues.kalshi import codec, markets
from venues.kalshi.books import Books, Unsubscribed
from venues.kalshi.fees import fee_schedule
from venues.kalshi.outcome import classify
from venues.kalshi.sign import USED_UP_TO, Signer
from venues.port import NotReady

SHARED = Path(os.environ.get("CROSSFILL_SHARED", Path(__file__).parents[3] / "shared"))
RECORDED = SHARED / "reference" / "kalshi" / "recorded"
recorded = pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recorded answers in {RECORDED}")


def answer(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


def ed25519() -> KalshiCredentials:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(KALSHI_AUTH["ed25519_seed_hex"]))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return KalshiCredentials(KALSHI_AUTH["key_id"], pem)


STAMP = Hand(Nanos(int(KALSHI_AUTH["timestamp_ms"]) * 1_000_000))


@pytest.mark.parametrize("case", KALSHI_AUTH["cases"], ids=lambda case: case["message"][13:])
def test_requests_are_signed_like_the_official_client(case: dict[str, str]) -> None:
    path = re.sub(r"^https://[^/]+|\?.*$", "", case["url"]).replace("wss://", "")
    path = case["message"][len(KALSHI_AUTH["timestamp_ms"]) + len(case["method"]) :] if "wss" in case["url"] else path
    headers = Signer(ed25519(), STAMP).headers(case["method"], path)
    assert headers["KALSHI-ACCESS-SIGNATURE"] == case["ed25519_signature_b64"]
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == KALSHI_AUTH["timestamp_ms"]
    public = serialization.load_pem_public_key(KALSHI_AUTH["rsa_public_key_pem"].encode())
    assert isinstance(public, RSAPublicKey)
    signed = Signer(kalshi_rsa(), STAMP).headers(case["method"], path)["KALSHI-ACCESS-SIGNATURE"]
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    public.verify(base64.b64decode(signed), case["message"].encode(), pss, hashes.SHA256())


async def test_a_signature_lies_ready_while_it_is_fresh() -> None:
    clock = Hand()
    signer = Signer(kalshi_rsa(), clock)
    signer.check()
    await signer.renew("POST", "/x")
    ready = await signer.ready("POST", "/x")
    clock.at = Nanos(AT + USED_UP_TO)
    assert await signer.ready("POST", "/x") is ready
    clock.at = Nanos(AT + USED_UP_TO + 1)
    assert await signer.ready("POST", "/x") is not ready
    clock.at = Nanos(AT - 1)
    assert await signer.ready("POST", "/x") is not ready
    task = asyncio.create_task(signer.keep_ready("POST", "/x"))
    await asyncio.sleep(0.05)
    task.cancel()
    assert await signer.ready("POST", "/x") is not ready


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----"])
def test_an_unreadable_key_is_said_without_the_key(pem: bytes) -> None:
    with pytest.raises(NotReady, match="private_key_pem"):
        Signer(KalshiCredentials("k", pem), STAMP)


@pytest.mark.parametrize(
    ("side", "outcome", "expected"),
    [
        (Side.BUY, Outcome.YES, ("bid", "0.5200")),
        (Side.SELL, Outcome.YES, ("ask", "0.5200")),
        (Side.BUY, Outcome.NO, ("ask", "0.4800")),
        (Side.SELL, Outcome.NO, ("bid", "0.4800")),
    ],
)
def test_four_kinds_of_orders_and_two_sides(side: Side, outcome: Outcome, expected: tuple[str, str]) -> None:
    told = json.loads(codec.order_body(order(side=side, outcome=outcome), "w"))
    assert (told["side"], told["price"]) == expected
    assert told["count"] == "10.00"
    assert told["time_in_force"] == "immediate_or_cancel"
    assert "expiration_time" not in told


def test_a_resting_order_expires_rounded_up_and_leaves_on_a_pause() -> None:
    told = json.loads(codec.order_body(resting(), "w"))
    assert told["expiration_time"] == AT // SECOND + 2
    assert told["time_in_force"] == "good_till_canceled"
    assert told["cancel_order_on_pause"] is True


def test_the_identity_is_a_uuid_of_the_order_id() -> None:
    first, second = codec.client_order_id("a"), codec.client_order_id("b")
    assert first == codec.client_order_id("a") != second
    assert str(uuid.UUID(first)) == first


@recorded
@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("orders__create_v2_maker", "K-04", Rested),
        ("orders__create_v2_taker_ioc", "K-04", Ended),
        ("orders__settlement_seed", "K-04", Ended),
        ("orders__stp_self_cross", "K-04", Ended),
        ("orders__duplicate_client_order_id", "K-06", Landed),
        ("orders__reuse_canceled_client_id", "K-06", Landed),
        ("orders__insufficient_balance", "K-10", Refused),
        ("orders__invalid_price_structure", "K-11", Refused),
        ("orders__post_only_cross", "K-15", Refused),
        ("orders__numeric_field_types", "K-15", Refused),
        ("auth__bad_signature", "K-16", Refused),
        ("auth__unknown_key_id", "K-16", Refused),
        ("auth__skew_minus5min", "K-16", Refused),
    ],
)
def test_recorded_answers_to_orders(name: str, row: str, expected: type) -> None:
    about = json.loads((RECORDED / f"{name}.meta.json").read_text())
    asked = about.get("request_body") or {}
    kind = order if asked.get("time_in_force", "immediate_or_cancel") == "immediate_or_cancel" else resting
    ours = kind(quantity=CONTRACT)
    body = (RECORDED / f"{name}.json").read_bytes()
    found, told = classify(ours, asked.get("client_order_id", "w"), about["status"], {}, body, AT)
    assert found == row
    assert isinstance(told, expected)
    if name == "orders__create_v2_taker_ioc":
        assert isinstance(told, Ended)
        assert (told.matched, told.how) == (CONTRACT, EndKind.FILLED)
    if name == "orders__insufficient_balance":
        assert isinstance(told, Refused)
        assert told.reason is Refusal.FUNDS


@recorded
def test_recorded_orders_fills_positions_and_balance() -> None:
    listed = [codec.order_seen("k", told, AT) for told in answer("portfolio__orders_list")["orders"]]
    assert listed
    assert all(listed)
    live = codec.order_seen("k", answer("orders__get_after_create")["order"], AT)
    assert live is not None
    assert (live.ended, live.matched) == (None, 0)
    fills = [codec.fill_seen("k", told, AT) for told in answer("fills__after_taker")["fills"]]
    assert fills[0] is not None
    assert all(fills)
    assert (fills[0].fill.price, fills[0].fill.fee, fills[0].fill.maker) == (5_200, 17_500, False)
    assert fills[0].wire is None
    assert codec.fill_second(answer("fills__after_taker")["fills"][0]) == 1_781_159_370
    positions = [codec.position(told) for told in answer("portfolio__positions")["market_positions"]]
    assert positions
    assert all(positions)
    assert codec.cash(answer("auth__balance_ok")) == 98_018_600


@recorded
def test_recorded_books_and_markets() -> None:
    sides = codec.rest_book(answer("orderbook__base"))
    assert sides == (((4_700, 3_000_000),), ((5_200, 3_000_000),))
    fees = fee_schedule({}, {"fee_type": "quadratic", "fee_multiplier": 1}, AT)
    for told in answer("markets__status_open")["markets"]:
        market = markets.market("k", told, {}, fees, AT)
        assert market is not None
        assert market.open
        assert market.fees.taker_ppm == 70_000
    assert markets.market("k", answer("markets__single")["market"], {}, None, AT) is None


@recorded
@pytest.mark.parametrize("name", ["ws__orderbook_trade_yes"])
def test_recorded_frames_make_a_book(name: str) -> None:
    frames = (RECORDED / f"{name}.jsonl").read_text().splitlines()
    books = Books(["KXWTACHALLENGERMATCH-26JUN11JIMLEP-LEP"])
    for frame in filter(None, frames):
        books.take(frame, AT)
    (ladder,) = books.ladders.values()
    assert ladder.known
    assert books.gaps == 0
    assert ladder.sides()[0] == ((4_700, 3_000_000),)
    assert ladder.sides()[1] == ((5_200, 2_000_000),)
    assert ladder.sides()[3] == ((5_300, 3_000_000),)


def test_fees_follow_series_multiplier_and_event_override() -> None:
    half = fee_schedule({}, {"fee_type": "quadratic_with_maker_fees", "fee_multiplier": 0.5}, AT)
    assert half is not None
    assert (half.taker_ppm, half.maker_ppm) == (35_000, 8_750)
    override = {"fee_type_override": "quadratic", "fee_multiplier_override": "2"}
    double = fee_schedule(override, {"fee_type": "quadratic", "fee_multiplier": 1}, AT)
    assert double is not None
    assert (double.taker_ppm, double.maker_ppm) == (140_000, 0)
    assert fee_schedule({}, {"fee_type": "flat", "fee_multiplier": 1}, AT) is None
    assert fee_schedule({}, {"fee_type": "quadratic"}, AT) is None


KEYS: tuple[str, ...] = (
    "order_id",
    "ticker",
    "market_ticker",
    "fill_count_fp",
    "status",
    "trade_id",
    "yes_price_dollars",
    "count_fp",
)
KEYS += ("fee_cost", "price_ranges", "position_fp", "orderbook_fp", "yes_dollars", "type", "msg", "sid", "seq")
KEYS += ("yes_dollars_fp", "price_dollars", "delta_fp", "side", "channel", "code", "created_time", "ts")
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(("1.00", "0.5200", "M", "yes", "orderbook_delta", "orderbook_snapshot", "subscribed", "error"))
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=15,
)


@given(anything)
def test_no_answer_breaks_the_codec(told: Any) -> None:
    codec.rest_book(told)
    codec.cash(told)
    markets.tick_bands(told)
    codec.levels(told)
    if isinstance(told, dict):
        codec.order_seen("k", told, AT)
        codec.fill_seen("k", told, AT)
        codec.fill_second(told)
        codec.position(told)
        markets.market("k", told, told, fee_schedule(told, told, AT), AT)


@given(st.lists(st.binary(max_size=60) | anything.map(lambda told: json.dumps(told).encode()), max_size=12))
def test_no_frame_breaks_a_book_or_fills_it_with_nonsense(frames: list[bytes]) -> None:
    books = Books(["M"])
    books.take('{"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}', AT)
    books.take('{"type":"orderbook_snapshot","sid":1,"seq":1,"msg":{"market_ticker":"M"}}', AT)
    for frame in frames:
        try:
            books.take(frame, AT)
        except Unsubscribed:
            return
    ladder = books.ladders["M"]
    assert all(0 < price < 10_000 and size > 0 for side in (ladder.bids, ladder.asks) for price, size in side.items())


def frame(kind: str, seq: int, **inner: object) -> str:
    return json.dumps({"type": kind, "sid": 1, "seq": seq, "msg": {"market_ticker": "M", **inner}})


def test_a_gap_spoils_every_book_until_its_snapshot() -> None:
    books = Books(["M", "N"])
    books.take('{"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}', AT)
    books.take(frame("orderbook_snapshot", 1, yes_dollars_fp=[["0.4000", "5.00"]]), AT)
    books.take(frame("orderbook_snapshot", 2, market_ticker="N"), AT)
    assert books.missing() == []
    changed, _ = books.take(frame("orderbook_delta", 4, price_dollars="0.4000", delta_fp="1.00", side="yes"), AT)
    assert changed == {"M", "N"}
    assert books.missing() == ["M", "N"]
    books.take(frame("orderbook_delta", 5, price_dollars="0.4000", delta_fp="1.00", side="yes"), AT)
    assert books.missing() == ["M", "N"]
    books.take(frame("orderbook_snapshot", 6, yes_dollars_fp=[["0.4000", "7.00"]]), AT)
    assert books.missing() == ["N"]
    assert books.ladders["M"].bids == {Price(4_000): 7 * CONTRACT}


def test_taking_more_than_there_is_shows_that_the_picture_was_wrong() -> None:
    books = Books(["M"])
    books.take('{"type":"subscribed","msg":{"channel":"orderbook_delta","sid":1}}', AT)
    books.take(frame("orderbook_snapshot", 1, no_dollars_fp=[["0.6000", "5.00"]]), AT)
    books.take(frame("orderbook_delta", 2, price_dollars="0.6000", delta_fp="-6.00", side="no"), AT)
    assert books.missing() == ["M"]
