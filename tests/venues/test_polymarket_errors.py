"""Every row of the venue's error tables, in its own words, and what each is taken to prove."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from messages.orders import Ended, EndKind, Landed, Lost, Refused, Rested
from messages.reasons import Refusal
from messages.units import CONTRACT, Money
from tests.venues.making import AT, order, resting
from venues.outcome import Says
from venues.polymarket.outcome import BY_ID, classify, classify_batch

ROOT = Path(__file__).parents[2]
WIRE = "0x" + "5a" * 32
OTHER = "0x" + "6b" * 32
BUY = order(spend=Money(5_200_000))
REST = resting(order="g.1.t1.0.1")

ACCEPTED, REFUSED, LOST, KILLED, LANDED = "accepted", "refused", "lost", "killed", "landed"
MEANING = {
    Says.ACCEPTED: ACCEPTED, Says.REFUSED: REFUSED, Says.LOST: LOST, Says.KILLED: KILLED, Says.LANDED: LANDED,
}  # fmt: skip

PAGE: list[tuple[int, str, str, str]] = [
    (401, "Unauthorized/Invalid api key", "P-16", REFUSED),
    (401, "Invalid L1 Request headers", "P-16", REFUSED),
    (400, "Invalid order payload", "P-15", REFUSED),
    (400, "Too many orders in payload: 16, max allowed: 15", "P-15", REFUSED),
    (400, "Invalid orderID", "P-15", REFUSED),
    (400, "the order owner has to be the owner of the API KEY", "P-12", REFUSED),
    (400, "the order signer address has to be the address of the API KEY", "P-12", REFUSED),
    (400, "maker address not allowed, please use the deposit wallet flow", "P-12", REFUSED),
    (400, "'0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266' address banned", "P-12", REFUSED),
    (400, "'0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266' address in closed only mode", "P-12", REFUSED),
    (400, "invalid signature", "P-13", REFUSED),
    (400, "order_version_mismatch", "P-13", REFUSED),
    (400, "invalid order version", "P-13", REFUSED),
    (400, f"order {WIRE} is invalid. Price (0.505) breaks minimum tick size rule: 0.01", "P-10", REFUSED),
    (400, f"order {WIRE} is invalid. Size (4) lower than the minimum: 5", "P-11", REFUSED),
    (400, "invalid amount for a marketable BUY order ($0.5), min size: $1", "P-11", REFUSED),
    (400, "not enough balance / allowance", "P-09", REFUSED),
    (
        400,
        "not enough balance / allowance: the balance is not enough -> balance: 0, order amount: 5200000",
        "P-09",
        REFUSED,
    ),
    (
        400,
        "not enough balance / allowance: the allowance is not enough -> spender: 0xE1, allowance: 0",
        "P-09",
        REFUSED,
    ),
    (400, f"order {WIRE} is invalid. Duplicated.", "P-06", LANDED),
    (400, "invalid post-only order: order crosses book", "P-15", REFUSED),
    (400, f"order {WIRE} crosses the book", "P-15", REFUSED),
    (400, "invalid expiration", "P-15", REFUSED),
    (400, "order couldn't be fully filled. FOK orders are fully filled or killed.", "P-07", KILLED),
    (
        400,
        "no orders found to match with FAK order. FAK orders are partially filled or killed if no match is found.",
        "P-07",
        KILLED,
    ),
    (400, "the market is not yet ready to process new orders", "P-14", REFUSED),
    (400, "order match delayed due to market conditions", "P-08", LOST),
    (400, "order canceled in the CTF exchange contract", "P-15", REFUSED),
    (404, "No orderbook exists for the requested token id", "P-14", REFUSED),
    (404, "market not found", "P-14", REFUSED),
    (404, "fee rate not found for market", "P-14", REFUSED),
    (404, "Order not found", "P-26", LOST),
    (425, "the matching engine is restarting", "P-21", LOST),
    (500, "could not insert order", "P-23", LOST),
    (500, "there are no matching orders", "P-23", LOST),
    (500, "FOK orders are filled or killed", "P-23", LOST),
    (500, "the trade contains rounding issues", "P-23", LOST),
    (
        500,
        "the price of the taker's order has a discrepancy greater than allowed with the worst maker order",
        "P-23",
        LOST,
    ),
    (500, "Internal server error", "P-23", LOST),
    (503, "Trading is currently disabled. Check polymarket.com for updates", "P-27", LOST),
    (503, "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed.", "P-27", LOST),
    (503, "post-only mode: only post-only orders and cancels are allowed", "P-27", LOST),
    # the venue turns words into statuses, whatever the failure was
    (404, "insert: record not found", "P-26", LOST),
    (401, "settlement service: unauthorized", "P-26", LOST),
    (400, "context canceled", "P-08", LOST),
    (429, "Too Many Requests", "P-20", LOST),
]


def said(row: str) -> str:
    return MEANING[BY_ID[row].says]


@pytest.mark.parametrize(
    ("status", "text", "row", "meaning"), PAGE, ids=[f"{entry[0]}-{entry[1][-40:]}" for entry in PAGE]
)
def test_each_error_of_the_venues_pages(status: int, text: str, row: str, meaning: str) -> None:
    found, answer = classify(BUY, WIRE, status, {}, json.dumps({"error": text}).encode(), AT)
    assert (found, said(found)) == (row, meaning)
    kind = {REFUSED: Refused, LOST: Lost, KILLED: Ended, LANDED: Landed}[meaning]
    assert isinstance(answer, kind)


IN_A_LEG = [entry for entry in PAGE if entry[0] == 400]


@pytest.mark.parametrize(("_", "text", "row", "meaning"), IN_A_LEG, ids=[entry[1][-40:] for entry in IN_A_LEG])
def test_the_same_words_mean_the_same_in_a_leg_of_a_batch(_: int, text: str, row: str, meaning: str) -> None:
    legs = [leg(orderID="", status="", errorMsg=text), leg(orderID=OTHER, status="live")]
    first, second = batch(200, legs)
    assert (first[0], said(first[0])) == (row, meaning)
    assert isinstance(second[1], Rested)


def leg(**changes: Any) -> dict[str, Any]:
    return {
        "success": True, "orderID": WIRE, "status": "matched", "makingAmount": "5.2", "takingAmount": "10",
        "errorMsg": "",
    } | changes  # fmt: skip


def batch(status: int, told: Any, headers: Mapping[str, str] | None = None) -> tuple[tuple[str, Any], ...]:
    body = told.encode() if isinstance(told, str) else json.dumps(told).encode()
    return classify_batch([(BUY, WIRE), (REST, OTHER)], status, headers or {}, body, AT)


def test_each_leg_of_a_batch_has_its_own_fate() -> None:
    """PB-01"""
    (_, filled), (row, crossed) = batch(200, [leg(), leg(orderID="", status="", errorMsg="invalid post-only order")])
    assert isinstance(filled, Ended)
    assert (filled.matched, filled.how) == (10 * CONTRACT, EndKind.FILLED)
    assert (row, isinstance(crossed, Refused)) == ("P-15", True)
    # success beside neither an id nor a message says nothing
    assert [row for row, _ in batch(200, [leg(), leg(orderID="", errorMsg="")])] == ["P-04", "P-24"]
    assert [row for row, _ in batch(200, [leg(orderID=OTHER), leg(orderID=WIRE)])] == ["P-05", "P-05"]


def test_of_a_list_of_another_length_only_what_names_its_order_is_believed() -> None:
    """PB-02"""
    assert [row for row, _ in batch(200, [leg(orderID=OTHER, status="live")])] == ["P-24", "P-04"]
    assert [row for row, _ in batch(200, [leg(orderID="", errorMsg="Duplicated.")])] == ["P-24", "P-24"]
    assert [row for row, _ in batch(200, [])] == ["P-24", "P-24"]


@pytest.mark.parametrize(
    ("status", "told", "headers", "row"),
    [
        (400, {"error": "Too many orders in payload: 16, max allowed: 15"}, {}, "P-15"),
        (400, {"error": "Invalid order payload"}, {}, "P-15"),
        (401, {"error": "Unauthorized/Invalid api key"}, {}, "P-16"),
        (403, {"error": "restricted region"}, {}, "P-17"),
        (429, {"error": "Too Many Requests"}, {"poly-ratelimit-remaining": "-3"}, "P-19"),
        (429, {"error": "Too Many Requests"}, {}, "P-20"),
        # about one of them, and perhaps after another one was placed
        (400, {"error": "invalid signature"}, {}, "P-24"),
        (400, {"error": "not enough balance / allowance"}, {}, "P-24"),
        (400, {"error": "Duplicated."}, {}, "P-24"),
        (404, {"error": "market not found"}, {}, "P-24"),
        (425, {"error": "restarting"}, {}, "P-21"),
        (503, {"error": "post-only mode", "code": "post_only_mode"}, {}, "P-27"),
        (502, "<html>", {}, "P-23"),
        (200, "[", {}, "P-24"),
    ],
)
def test_what_comes_instead_of_the_list(status: int, told: Any, headers: Mapping[str, str], row: str) -> None:
    """PB-03, PB-04, PB-05"""
    found = batch(status, told, headers)
    assert [name for name, _ in found] == [row, row]
    wanted = Refused if said(row) == REFUSED else Lost
    assert all(isinstance(answer, wanted) for _, answer in found)


def test_an_answer_to_one_order_is_none_to_a_batch() -> None:
    (_, first), (_, second) = batch(200, leg())
    assert isinstance(first, Lost)
    assert isinstance(second, Lost)


def test_a_rate_limit_in_a_leg_is_a_rate_limit() -> None:
    _, (row, answer) = batch(200, [leg(), leg(orderID="", errorMsg="Rate limit exceeded for tokenId: 7")])
    assert row == "P-25"
    assert isinstance(answer, Refused)
    assert answer.reason is Refusal.RATE_LIMIT


def test_every_row_about_batches_and_acts_is_cited_by_a_test() -> None:
    told = set(re.findall(r"^\| (P[AB]-\d\d) \|", (ROOT / "docs/outcomes/polymarket.md").read_text(), re.MULTILINE))
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_polymarket_*.py"))
    assert len(told) == 15
    assert told == set(re.findall(r"P[AB]-\d\d", tests))
