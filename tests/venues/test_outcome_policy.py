"""Every row of both outcome policies, cited by its id: what an answer is taken to prove."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.orders import Ended, EndKind, Landed, Lost, Order, Refused, Rested
from messages.reasons import Refusal, Trouble
from messages.units import CONTRACT, Money, Nanos, Price, Quantity, Side
from tests.venues.making import AT, order, resting
from venues.http import WireError
from venues.kalshi import outcome as kalshi
from venues.outcome import Row
from venues.polymarket import outcome as polymarket
from venues.port import SubmitAnswer

DOCS = Path(__file__).parents[2] / "docs" / "outcomes"
WIRE = "0x" + "5a" * 32
HTML = "<html><body>error code: 1015</body></html>"

BUY = order(spend=Money(5_200_000))
SELL = order(side=Side.SELL)
REST = resting()


def nested(code: str, message: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "service": "exchange"}}


def created(**changes: Any) -> dict[str, Any]:
    told = {"order_id": "V1", "client_order_id": WIRE, "fill_count": "4.00", "remaining_count": "0.00", "ts_ms": 1}
    return {key: value for key, value in (told | changes).items() if value is not None}


Case = tuple[str, Order, int, Any, Mapping[str, str], SubmitAnswer]


def ended(matched: int, how: EndKind = EndKind.KILLED, venue_order: str = WIRE) -> Ended:
    return Ended(order=BUY.order, at=AT, venue_order=venue_order, matched=Quantity(matched), how=how)


def refused(reason: Refusal) -> Refused:
    return Refused(order=BUY.order, at=AT, reason=reason, text="")


def lost(trouble: Trouble) -> Lost:
    return Lost(order=BUY.order, at=AT, trouble=trouble, text="")


def rested(matched: int, venue_order: str = WIRE) -> Rested:
    return Rested(order=BUY.order, at=AT, venue_order=venue_order, matched=Quantity(matched))


LANDED = Landed(order=BUY.order, at=AT)
MALFORMED = lost(Trouble.MALFORMED)

KALSHI: list[Case] = [
    ("K-04", BUY, 201, created(), {}, ended(4 * CONTRACT, venue_order="V1")),
    ("K-04", BUY, 201, created(fill_count="10.00"), {}, ended(10 * CONTRACT, EndKind.FILLED, "V1")),
    ("K-04", BUY, 201, created(fill_count="0.00"), {}, ended(0, venue_order="V1")),
    ("K-04", BUY, 200, {"order": created()}, {}, ended(4 * CONTRACT, venue_order="V1")),
    ("K-04", REST, 201, created(remaining_count="6.00"), {}, rested(4 * CONTRACT, "V1")),
    ("K-04", REST, 201, created(fill_count="10.00"), {}, ended(10 * CONTRACT, EndKind.FILLED, "V1")),
    ("K-05", BUY, 201, created(order_id=None), {}, MALFORMED),
    ("K-05", BUY, 201, created(order_id=""), {}, MALFORMED),
    ("K-05", BUY, 201, created(client_order_id="another"), {}, MALFORMED),
    ("K-05", BUY, 201, created(fill_count="1000.00"), {}, MALFORMED),
    ("K-05", BUY, 201, created(fill_count="-1.00"), {}, MALFORMED),
    ("K-05", BUY, 201, created(fill_count="NaN"), {}, MALFORMED),
    ("K-05", BUY, 201, created(fill_count=10**400), {}, MALFORMED),
    ("K-05", BUY, 201, created(fill_count=None), {}, MALFORMED),
    ("K-05", BUY, 201, [], {}, MALFORMED),
    ("K-05", BUY, 204, None, {}, MALFORMED),
    ("K-06", BUY, 409, nested("order_already_exists", "order already exists"), {}, LANDED),
    ("K-06", BUY, 409, {"code": "ORDER_ALREADY_EXISTS"}, {}, LANDED),
    ("K-07", BUY, 409, nested("fill_or_kill_insufficient_resting_volume"), {}, ended(0)),
    ("K-07", BUY, 409, nested("immediate_or_cancel_insufficient_resting_volume"), {}, ended(0)),
    ("K-08", BUY, 409, nested("MARKET_INACTIVE"), {}, refused(Refusal.MARKET)),
    ("K-08", BUY, 400, nested("MARKET_INACTIVE"), {}, refused(Refusal.MARKET)),
    ("K-09", BUY, 409, nested("something_new"), {}, MALFORMED),
    ("K-09", BUY, 409, HTML, {}, MALFORMED),
    ("K-10", BUY, 400, nested("insufficient_balance"), {}, refused(Refusal.FUNDS)),
    ("K-10", BUY, 404, {"error": "user_not_found: 7"}, {}, refused(Refusal.FUNDS)),
    ("K-11", BUY, 400, nested("invalid_price"), {}, refused(Refusal.PRICE)),
    ("K-12", BUY, 400, nested("invalid_count"), {}, refused(Refusal.SIZE)),
    ("K-13", BUY, 400, nested("trading_paused"), {}, refused(Refusal.MODE)),
    ("K-14", BUY, 404, nested("market_not_found"), {}, refused(Refusal.MARKET)),
    ("K-15", BUY, 400, {"code": "bad_request", "details": "json: cannot unmarshal"}, {}, refused(Refusal.INVALID)),
    ("K-15", BUY, 400, {"msg": "Please switch to the V2 endpoints"}, {}, refused(Refusal.INVALID)),
    ("K-15", BUY, 400, nested("invalid_order", "post only cross"), {}, refused(Refusal.INVALID)),
    ("K-16", BUY, 401, nested("authentication_error"), {}, refused(Refusal.AUTH)),
    ("K-17", BUY, 403, nested("forbidden"), {}, refused(Refusal.AUTH)),
    ("K-18", BUY, 404, nested("not_found"), {}, refused(Refusal.OTHER)),
    ("K-19", BUY, 429, {"error": "too many requests"}, {}, refused(Refusal.RATE_LIMIT)),
    ("K-20", BUY, 429, HTML, {}, lost(Trouble.RATE_LIMITED)),
    ("K-21", BUY, 408, nested("timeout"), {}, lost(Trouble.TIMEOUT)),
    ("K-22", BUY, 500, nested("internal"), {}, lost(Trouble.SERVER_ERROR)),
    ("K-22", BUY, 502, HTML, {}, lost(Trouble.SERVER_ERROR)),
    ("K-22", BUY, 503, nested("insufficient_balance"), {}, lost(Trouble.SERVER_ERROR)),
    ("K-22", BUY, 504, "", {}, lost(Trouble.SERVER_ERROR)),
    ("K-23", BUY, 425, nested("too_early"), {}, lost(Trouble.SERVER_ERROR)),
    ("K-24", BUY, 400, HTML, {}, MALFORMED),
    ("K-24", BUY, 401, HTML, {}, MALFORMED),
    ("K-24", BUY, 400, '{"error":{"code":"insufficient_bal', {}, MALFORMED),
    ("K-24", BUY, 302, "", {}, MALFORMED),
    ("K-24", BUY, 418, nested("teapot"), {}, MALFORMED),
]


def placed(**changes: Any) -> dict[str, Any]:
    told = {
        "success": True,
        "orderID": WIRE,
        "status": "matched",
        "makingAmount": "5.2",
        "takingAmount": "10",
        "errorMsg": "",
    }
    return {key: value for key, value in (told | changes).items() if value is not None}


def said(text: str) -> dict[str, str]:
    return {"error": text}


POLYMARKET: list[Case] = [
    ("P-04", BUY, 200, placed(), {}, ended(10 * CONTRACT, EndKind.FILLED)),
    ("P-04", BUY, 200, placed(makingAmount="2.6", takingAmount="5"), {}, ended(5 * CONTRACT)),
    ("P-04", BUY, 200, placed(makingAmount="5.2", takingAmount="26"), {}, ended(26 * CONTRACT, EndKind.FILLED)),
    ("P-04", SELL, 200, placed(makingAmount="10", takingAmount="5.2"), {}, ended(10 * CONTRACT, EndKind.FILLED)),
    ("P-04", REST, 200, placed(status="live", makingAmount="", takingAmount=""), {}, rested(0)),
    ("P-04", BUY, 200, placed(status="delayed", makingAmount=None), {}, rested(0)),
    ("P-04", REST, 200, placed(makingAmount="2.08", takingAmount="4"), {}, rested(4 * CONTRACT)),
    ("P-04", REST, 200, placed(), {}, ended(10 * CONTRACT, EndKind.FILLED)),
    ("P-05", BUY, 200, placed(orderID="0x" + "00" * 32), {}, MALFORMED),
    ("P-05", BUY, 200, placed(status="unmatched"), {}, MALFORMED),
    ("P-05", BUY, 200, placed(makingAmount="5200000", takingAmount="10000000"), {}, MALFORMED),
    ("P-05", BUY, 200, placed(takingAmount="1"), {}, MALFORMED),
    ("P-05", BUY, 200, placed(takingAmount="-10"), {}, MALFORMED),
    ("P-05", BUY, 200, placed(makingAmount="", takingAmount=""), {}, MALFORMED),
    ("P-05", SELL, 200, placed(makingAmount="100", takingAmount="52"), {}, MALFORMED),
    ("P-05", BUY, 200, placed(errorMsg="what now"), {}, MALFORMED),
    ("P-06", BUY, 400, said(f"order {WIRE} is invalid. Duplicated."), {}, LANDED),
    ("P-06", BUY, 200, placed(success=False, orderID="", errorMsg="order is invalid. Duplicated."), {}, LANDED),
    (
        "P-07",
        BUY,
        400,
        said("no orders found to match with FAK order. FAK orders are partially filled or killed"),
        {},
        ended(0),
    ),
    ("P-07", BUY, 400, said("order couldn't be fully filled. FOK orders are fully filled or killed."), {}, ended(0)),
    ("P-08", BUY, 400, said("order match delayed due to market conditions"), {}, lost(Trouble.SERVER_ERROR)),
    ("P-08", BUY, 400, said("context canceled"), {}, lost(Trouble.SERVER_ERROR)),
    ("P-09", BUY, 400, said("not enough balance / allowance: the balance is not enough"), {}, refused(Refusal.FUNDS)),
    (
        "P-10",
        BUY,
        400,
        said("order is invalid. Price (0.5) breaks minimum tick size rule: 0.01"),
        {},
        refused(Refusal.PRICE),
    ),
    ("P-11", BUY, 400, said("Size (1) lower than the minimum: 5"), {}, refused(Refusal.SIZE)),
    (
        "P-11",
        BUY,
        400,
        said("invalid amount for a marketable BUY order ($0.5), min size: $1"),
        {},
        refused(Refusal.SIZE),
    ),
    ("P-12", BUY, 400, said("'0x1' address banned"), {}, refused(Refusal.AUTH)),
    ("P-13", BUY, 400, said("invalid signature"), {}, refused(Refusal.INVALID)),
    ("P-12", BUY, 400, said("the order owner has to be the owner of the API KEY"), {}, refused(Refusal.AUTH)),
    ("P-13", BUY, 400, said("order_version_mismatch"), {}, refused(Refusal.INVALID)),
    ("P-14", BUY, 400, said("the market is not yet ready to process new orders"), {}, refused(Refusal.MARKET)),
    ("P-14", BUY, 404, said("No orderbook exists for the requested token id"), {}, refused(Refusal.MARKET)),
    ("P-15", BUY, 400, said("Invalid order payload"), {}, refused(Refusal.INVALID)),
    (
        "P-15",
        REST,
        200,
        placed(orderID="", status="", errorMsg="invalid post-only order: order crosses book"),
        {},
        refused(Refusal.INVALID),
    ),
    ("P-16", BUY, 401, said("Invalid L1 Request headers"), {}, refused(Refusal.AUTH)),
    ("P-17", BUY, 403, said("Trading restricted in your region"), {}, refused(Refusal.AUTH)),
    ("P-18", BUY, 404, said("page lost"), {}, refused(Refusal.OTHER)),
    ("P-19", BUY, 429, said("slow down"), {"poly-ratelimit-remaining": "0"}, refused(Refusal.RATE_LIMIT)),
    ("P-19", BUY, 429, HTML, {"poly-ratelimit-tier": "Gold"}, refused(Refusal.RATE_LIMIT)),
    ("P-20", BUY, 429, said("slow down"), {}, lost(Trouble.RATE_LIMITED)),
    ("P-20", BUY, 429, HTML, {"retry-after": "1"}, lost(Trouble.RATE_LIMITED)),
    ("P-21", BUY, 425, said("restarting"), {}, lost(Trouble.SERVER_ERROR)),
    ("P-22", BUY, 408, "", {}, lost(Trouble.TIMEOUT)),
    ("P-23", BUY, 500, said("could not insert order"), {}, lost(Trouble.SERVER_ERROR)),
    ("P-23", BUY, 503, said("upstream is gone"), {}, lost(Trouble.SERVER_ERROR)),
    (
        "P-25",
        BUY,
        200,
        placed(orderID="", errorMsg="Rate limit exceeded for tokenId: 7"),
        {},
        refused(Refusal.RATE_LIMIT),
    ),
    (
        "P-28",
        BUY,
        200,
        placed(orderID="", status="", errorMsg="post-only mode: only post-only orders and cancels are allowed"),
        {},
        refused(Refusal.MODE),
    ),
    ("P-26", BUY, 404, said("user not found"), {}, lost(Trouble.SERVER_ERROR)),
    ("P-26", BUY, 401, said("ledger: unauthorized"), {}, lost(Trouble.SERVER_ERROR)),
    ("P-27", BUY, 503, {"error": "post-only mode", "code": "post_only_mode"}, {}, lost(Trouble.SERVER_ERROR)),
    ("P-23", BUY, 502, HTML, {}, lost(Trouble.SERVER_ERROR)),
    ("P-24", BUY, 403, HTML, {}, MALFORMED),
    ("P-24", BUY, 200, placed(orderID="", errorMsg=""), {}, MALFORMED),
    ("P-24", BUY, 200, '{"success":true,"orderID":"0x5a', {}, MALFORMED),
    ("P-24", BUY, 200, {}, {}, MALFORMED),
    ("P-24", BUY, 301, "", {}, MALFORMED),
]


def body_of(told: Any) -> bytes:
    if told is None:
        return b""
    return told.encode() if isinstance(told, str) else json.dumps(told).encode()


def named(case: Case) -> str:
    return f"{case[0]}-{case[2]}-{hash(str(case[3])) % 1000}"


def without_words(answer: SubmitAnswer) -> SubmitAnswer:
    return answer.model_copy(update={"text": ""}) if isinstance(answer, (Refused, Lost)) else answer


POLICIES = {"kalshi": (kalshi, KALSHI), "polymarket": (polymarket, POLYMARKET)}
CASES = [(venue, number, case[0]) for venue, (_, cases) in POLICIES.items() for number, case in enumerate(cases)]


@pytest.mark.parametrize(("venue", "number", "row"), CASES, ids=[f"{row}-{number}" for _, number, row in CASES])
@pytest.mark.parametrize("repost", [False, True])
def test_each_row_means_what_it_says(venue: str, number: int, row: str, repost: bool) -> None:
    policy, cases = POLICIES[venue]
    _, asked, status, told, headers, expected = cases[number]
    found, answer = policy.classify(asked, WIRE, status, headers, body_of(told), AT, repost=repost)
    assert found == row
    if isinstance(expected, (Refused, Lost)):
        expected = expected.model_copy(update={"repost": repost})
        assert isinstance(answer, (Refused, Lost))
        assert answer.text.startswith(row)
    assert without_words(answer) == expected


@pytest.mark.parametrize(
    ("row", "trouble"),
    [("01", Trouble.TIMEOUT), ("02", Trouble.CONNECTION), ("03", Trouble.MALFORMED)],
)
@pytest.mark.parametrize("venue", POLICIES)
def test_what_the_wire_could_not_bring_is_lost(venue: str, row: str, trouble: Trouble) -> None:
    found, answer = POLICIES[venue][0].classify_error(BUY, WireError(trouble, "why"), AT)
    assert found == f"{venue[0].upper()}-{row}"
    assert isinstance(answer, Lost)
    assert answer.trouble is trouble


@pytest.mark.parametrize("venue", POLICIES)
def test_every_row_is_cited_by_a_case(venue: str) -> None:
    policy, cases = POLICIES[venue]
    cited = {case[0] for case in cases} | {f"{venue[0].upper()}-0{number}" for number in (1, 2, 3)}
    assert cited == {row.id for row in policy.ROWS}


@pytest.mark.parametrize("venue", POLICIES)
def test_the_document_has_the_rows_of_the_code(venue: str) -> None:
    rows: tuple[Row, ...] = POLICIES[venue][0].ROWS
    lines = re.findall(
        r"^\| ([KP]-\d\d) \| (.*?) \| (.*?) \| .*? \| (.*?) \| .*? \|$",
        (DOCS / f"{venue}.md").read_text(),
        re.MULTILINE,
    )
    assert lines == [(row.id, row.when, row.conclusion, row.why) for row in rows]


@pytest.mark.parametrize("venue", POLICIES)
def test_the_last_row_believes_nothing(venue: str) -> None:
    assert POLICIES[venue][0].ROWS[-1].conclusion == "lost (malformed)"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KEYS = (
    "error",
    "code",
    "msg",
    "message",
    "details",
    "order_id",
    "client_order_id",
    "fill_count",
    "remaining_count",
    "order",
)
MORE = ("success", "orderID", "status", "makingAmount", "takingAmount", "errorMsg")
likely = st.dictionaries(
    st.sampled_from(KEYS + MORE), json_values | st.sampled_from(("10", "", WIRE, "matched", "live", True))
)
bodies = st.binary(max_size=200) | st.builds(body_of, json_values) | st.builds(body_of, likely)


@given(
    st.sampled_from(sorted(POLICIES)), st.integers(-1, 700), bodies, st.booleans(), st.sampled_from((BUY, SELL, REST))
)
def test_no_answer_whatsoever_raises_or_makes_a_position(
    venue: str, status: int, body: bytes, repost: bool, asked: Order
) -> None:
    row, answer = POLICIES[venue][0].classify(asked, WIRE, status, {}, body, AT, repost=repost)
    assert row in POLICIES[venue][0].BY_ID
    if isinstance(answer, (Ended, Rested)) and answer.matched > asked.quantity * 3 // 2:
        # only a buy of a sum may bring more, and only at better prices
        assert venue == "polymarket"
        assert asked is BUY
    if status >= 500:
        assert isinstance(answer, Lost)


def test_the_price_of_a_sum_is_judged_and_not_its_shares() -> None:
    cheap = order(spend=Money(5_200_000), price=Price(9_900))
    told = body_of(placed(makingAmount="5.2", takingAmount="52"))
    _, answer = polymarket.classify(cheap, WIRE, 200, {}, told, Nanos(AT))
    assert isinstance(answer, Ended)
    assert answer.matched == 52 * CONTRACT
