"""Kalshi's answers to batches and to acts, row by row as `docs/outcomes/kalshi.md` has them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.orders import Ended, EndKind, Landed, Lost, Refused, Rested
from messages.reasons import Refusal, Trouble
from messages.units import CONTRACT, SECOND, Quantity
from tests.venues.making import AT, order, resting
from venues.http import Response, WireError
from venues.kalshi import codec
from venues.kalshi.acts import ACT_BY_ID, ACT_ROWS, judge
from venues.kalshi.batches import BATCH_ROWS, batch_error, classify_batch
from venues.outcome import Row
from venues.port import Denied, Done, Prepared, Unsure

DOCUMENT = Path(__file__).parents[2] / "docs" / "outcomes" / "kalshi.md"
HTML = "<html><body>502 Bad Gateway</body></html>"


def sent(name: str, *, rests: bool = False) -> Prepared:
    asked = (resting if rests else order)(order=name)
    wire = codec.client_order_id(name)
    return Prepared(asked, wire, codec.order_body(asked, wire))


FIRST, SECOND_ONE = sent("first"), sent("second", rests=True)
BATCH = (FIRST, SECOND_ONE)


def nested(code: str, message: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def made(of: Prepared, filled: str, left: str) -> dict[str, Any]:
    return {
        "order_id": f"V-{of.order.order}", "client_order_id": of.wire, "fill_count": filled, "remaining_count": left,
        "ts_ms": 1, "error": None,
    }  # fmt: skip


def failed(code: str, message: str = "") -> dict[str, Any]:
    return {
        "order_id": None, "client_order_id": None, "fill_count": None, "remaining_count": None, "ts_ms": None,
        "error": {"code": code, "message": message},
    }  # fmt: skip


def body_of(told: Any) -> bytes:
    return told.encode() if isinstance(told, str) else json.dumps(told).encode()


REST_OF_IT = made(SECOND_ONE, "0.00", "10.00")

ItemCase = tuple[str, Any, type, Any]
ITEMS: list[ItemCase] = [
    ("KB-01", made(FIRST, "4.00", "0.00"), Ended, EndKind.KILLED),
    ("KB-01", made(FIRST, "10.00", "0.00"), Ended, EndKind.FILLED),
    ("KB-02", failed("order_already_exists"), Landed, None),
    ("KB-03", failed("fill_or_kill_insufficient_resting_volume"), Ended, EndKind.KILLED),
    ("KB-04", failed("MARKET_INACTIVE"), Refused, Refusal.MARKET),
    ("KB-04", failed("insufficient_balance"), Refused, Refusal.FUNDS),
    ("KB-04", failed("invalid_price"), Refused, Refusal.PRICE),
    ("KB-04", failed("invalid_count"), Refused, Refusal.SIZE),
    ("KB-04", failed("trading_paused"), Refused, Refusal.MODE),
    ("KB-04", failed("market_not_found"), Refused, Refusal.MARKET),
    ("KB-05", failed("invalid_order", "post only cross"), Refused, Refusal.INVALID),
    ("KB-05", failed("bad_request"), Refused, Refusal.INVALID),
    ("KB-06", failed("", "too many requests"), Refused, Refusal.RATE_LIMIT),
    ("KB-07", failed("internal_server_error"), Lost, Trouble.SERVER_ERROR),
    ("KB-07", failed("something_new"), Lost, Trouble.SERVER_ERROR),
    ("KB-07", {"error": {}}, Lost, Trouble.SERVER_ERROR),
    ("KB-07", {"error": "what"}, Lost, Trouble.SERVER_ERROR),
    ("KB-08", made(FIRST, "10.00", "0.00") | {"order_id": ""}, Lost, Trouble.MALFORMED),
    ("KB-08", made(FIRST, "1000.00", "0.00"), Lost, Trouble.MALFORMED),
    ("KB-08", made(FIRST, "4.00", "0.00") | {"fill_count": None}, Lost, Trouble.MALFORMED),
    ("KB-08", None, Lost, Trouble.MALFORMED),
    ("KB-08", 7, Lost, Trouble.MALFORMED),
]


@pytest.mark.parametrize(("row", "item", "kind", "detail"), ITEMS, ids=[f"{c[0]}-{n}" for n, c in enumerate(ITEMS)])
def test_each_item_of_a_batch_is_judged_by_itself(row: str, item: Any, kind: type, detail: Any) -> None:
    judged = classify_batch(BATCH, 201, {}, body_of({"orders": [item, REST_OF_IT]}), AT)
    assert judged[0][0] == row
    answer = judged[0][1]
    assert isinstance(answer, kind)
    told = (getattr(answer, "how", None), getattr(answer, "reason", None), getattr(answer, "trouble", None))
    assert detail in told
    assert answer.order == "first"
    assert judged[1] == ("KB-01", Rested(order="second", at=AT, venue_order="V-second", matched=Quantity(0)))


def test_items_out_of_place_are_known_by_name_and_nameless_ones_not_at_all() -> None:
    swapped = {"orders": [REST_OF_IT, made(FIRST, "10.00", "0.00")]}
    first, second = classify_batch(BATCH, 201, {}, body_of(swapped), AT)
    assert isinstance(first[1], Ended)
    assert first[1].matched == 10 * CONTRACT
    assert isinstance(second[1], Rested)
    # an error without a name, at a place that cannot be trusted, is nobody's refusal
    doubtful = {"orders": [REST_OF_IT, failed("insufficient_balance")]}
    first, second = classify_batch(BATCH, 201, {}, body_of(doubtful), AT)
    assert first[0] == "KB-08"
    assert isinstance(first[1], Lost)
    assert isinstance(second[1], Rested)


@pytest.mark.parametrize("told", [{"orders": []}, {"orders": [REST_OF_IT]}, {"orders": None}, {}, [], "x", HTML])
def test_an_order_that_a_batch_does_not_answer_for_is_lost(told: Any) -> None:
    first, _ = classify_batch(BATCH, 201, {}, body_of(told), AT)
    assert first[0] == "KB-08"
    assert isinstance(first[1], Lost)


@pytest.mark.parametrize(
    ("row", "status", "told", "kind", "detail"),
    [
        ("KB-09", 401, nested("authentication_error"), Refused, Refusal.AUTH),
        ("KB-09", 403, nested("forbidden"), Refused, Refusal.AUTH),
        ("KB-09", 429, {"error": "too many requests"}, Refused, Refusal.RATE_LIMIT),
        ("KB-09", 400, {"code": "bad_request", "message": "bad request", "details": "json"}, Refused, Refusal.INVALID),
        ("KB-10", 429, HTML, Lost, Trouble.RATE_LIMITED),
        ("KB-10", 400, nested("insufficient_balance"), Lost, Trouble.MALFORMED),
        ("KB-10", 404, nested("market_not_found"), Lost, Trouble.MALFORMED),
        ("KB-10", 409, nested("order_already_exists"), Lost, Trouble.MALFORMED),
        ("KB-10", 500, nested("internal"), Lost, Trouble.SERVER_ERROR),
        ("KB-10", 504, HTML, Lost, Trouble.SERVER_ERROR),
        ("KB-10", 302, "", Lost, Trouble.MALFORMED),
    ],
)
def test_an_answer_to_the_whole_batch(row: str, status: int, told: Any, kind: type, detail: Any) -> None:
    judged = classify_batch(BATCH, status, {}, body_of(told), AT)
    assert [found for found, _ in judged] == [row, row]
    for _, answer in judged:
        assert isinstance(answer, kind)
        assert detail in (getattr(answer, "reason", None), getattr(answer, "trouble", None))


def test_a_batch_that_the_wire_could_not_bring_is_lost_whole() -> None:
    for trouble in (Trouble.TIMEOUT, Trouble.CONNECTION, Trouble.MALFORMED):
        judged = batch_error(BATCH, WireError(trouble, "why"), AT)
        assert [answer.trouble for _, answer in judged if isinstance(answer, Lost)] == [trouble, trouble]


def test_every_row_of_a_batch_is_cited() -> None:
    cited = {case[0] for case in ITEMS} | {"KB-09", "KB-10"}
    assert cited == {row.id for row in BATCH_ROWS}


# Acts.

ActCase = tuple[str, int, Any, type, Any]
ACTS: list[ActCase] = [
    ("KA-04", 200, {"order_id": "V1"}, Done, None),
    ("KA-04", 201, {"order_group_id": "g"}, Done, None),
    ("KA-04", 204, "", Done, None),
    ("KA-05", 409, nested("MARKET_INACTIVE"), Denied, Refusal.MARKET),
    ("KA-05", 400, nested("market_inactive"), Denied, Refusal.MARKET),
    ("KA-06", 400, nested("insufficient_balance"), Denied, Refusal.FUNDS),
    ("KA-06", 404, {"error": "user_not_found: 7"}, Denied, Refusal.FUNDS),
    ("KA-07", 400, nested("invalid_price"), Denied, Refusal.PRICE),
    ("KA-08", 400, nested("trading_paused"), Denied, Refusal.MODE),
    ("KA-09", 400, {"msg": "Parameter validation failed"}, Denied, Refusal.INVALID),
    ("KA-09", 410, nested("gone"), Denied, Refusal.INVALID),
    ("KA-10", 401, nested("header_timestamp_expired"), Denied, Refusal.AUTH),
    ("KA-11", 403, nested("forbidden"), Denied, Refusal.AUTH),
    ("KA-12", 404, nested("not_found", "not found"), Denied, Refusal.OTHER),
    ("KA-13", 429, {"error": "too many requests"}, Denied, Refusal.RATE_LIMIT),
    ("KA-14", 408, "", Unsure, Trouble.SERVER_ERROR),
    ("KA-14", 425, nested("too_early"), Unsure, Trouble.SERVER_ERROR),
    ("KA-14", 500, nested("internal"), Unsure, Trouble.SERVER_ERROR),
    ("KA-14", 503, nested("insufficient_balance"), Unsure, Trouble.SERVER_ERROR),
    ("KA-15", 409, nested("something_new"), Unsure, Trouble.MALFORMED),
    ("KA-15", 404, HTML, Unsure, Trouble.MALFORMED),
    ("KA-15", 403, HTML, Unsure, Trouble.MALFORMED),
    ("KA-15", 429, HTML, Unsure, Trouble.MALFORMED),
    ("KA-15", 302, "", Unsure, Trouble.MALFORMED),
]


@pytest.mark.parametrize(
    ("row", "status", "told", "kind", "detail"), ACTS, ids=[f"{c[0]}-{n}" for n, c in enumerate(ACTS)]
)
def test_each_act_means_what_its_row_says(row: str, status: int, told: Any, kind: type, detail: Any) -> None:
    found, answer = judge(Response(status, {}, body_of(told)), AT)
    assert found == row
    assert isinstance(answer, kind)
    if detail is not None:
        assert detail in (getattr(answer, "reason", None), getattr(answer, "trouble", None))
        assert str(getattr(answer, "text", "")).startswith(row)


@pytest.mark.parametrize(
    ("row", "trouble"),
    [("KA-01", Trouble.TIMEOUT), ("KA-02", Trouble.CONNECTION), ("KA-03", Trouble.MALFORMED)],
)
def test_an_act_that_the_wire_could_not_bring_is_unsure(row: str, trouble: Trouble) -> None:
    found, answer = judge(WireError(trouble, "why"), AT)
    assert found == row
    assert isinstance(answer, Unsure)
    assert answer.trouble is trouble


def test_a_limit_says_for_how_long_where_it_does() -> None:
    _, answer = judge(Response(429, {"retry-after": "2"}, body_of({"error": "too many requests"})), AT)
    assert isinstance(answer, Denied)
    assert answer.retry_after == 2 * SECOND


def test_every_row_of_acts_is_cited() -> None:
    assert {case[0] for case in ACTS} | {"KA-01", "KA-02", "KA-03"} == {row.id for row in ACT_ROWS}


@pytest.mark.parametrize(("prefix", "rows"), [("KA", ACT_ROWS), ("KB", BATCH_ROWS)])
def test_the_document_has_the_rows_of_the_code(prefix: str, rows: Sequence[Row]) -> None:
    found = re.findall(
        rf"^\| ({prefix}-\d\d) \| (.*?) \| (.*?) \| .*? \| (.*?) \| .*? \|$", DOCUMENT.read_text(), re.MULTILINE
    )
    assert found == [(row.id, row.when, row.conclusion, row.why) for row in rows]


# Anything at all.

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
ITEM_KEYS = ("error", "order_id", "client_order_id", "fill_count", "remaining_count", "code", "message")
likely = st.dictionaries(
    st.sampled_from(ITEM_KEYS),
    json_values
    | st.sampled_from((FIRST.wire, SECOND_ONE.wire, "V1", "10.00", "0.00", None, {"code": "invalid_price"})),
)
answers = st.one_of(
    st.binary(max_size=120),
    st.builds(body_of, json_values),
    st.builds(lambda items: body_of({"orders": items}), st.lists(likely | json_values, max_size=4)),
)


@given(st.integers(100, 600), answers)
def test_no_answer_to_a_batch_raises_or_overfills(status: int, body: bytes) -> None:
    judged = classify_batch(BATCH, status, {}, body, AT)
    assert [answer.order for _, answer in judged] == ["first", "second"]
    for of, (_, answer) in zip(BATCH, judged, strict=True):
        if isinstance(answer, (Ended, Rested)):
            assert answer.matched <= of.order.quantity * 3 // 2


headers = st.dictionaries(st.sampled_from(("retry-after", "date")), st.text(max_size=30))


@given(st.integers(100, 600), answers, headers)
def test_no_answer_to_an_act_raises(status: int, body: bytes, told: Mapping[str, str]) -> None:
    row, answer = judge(Response(status, told, body), AT)
    assert row in ACT_BY_ID
    assert isinstance(answer, Done) is (200 <= status < 300)
    assert not (status >= 500 and isinstance(answer, Denied))
