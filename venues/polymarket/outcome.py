"""What Polymarket's answers to an order mean. The same rows, with their sources, are in `docs/outcomes/polymarket.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from messages.orders import Lost, Order
from messages.reasons import Refusal, Trouble
from messages.units import Nanos, Quantity, Side, TimeInForce
from venues.http import WireError
from venues.outcome import Accepted, Answer, Row, Says, accepted, believable, between, first_fit, on, report
from venues.polymarket.amounts import SHARE_STEP, asked_shares, spend_of
from venues.port import SubmitAnswer
from venues.reading import is_object, json_of, quantity_of, text_of

# Refusals come as 400, and as 200 with a message and no id: the words decide, not the status.
SAID = (200, 201, 400, 403, 404)


def masked(answer: Answer) -> bool:
    """The venue turns whatever says "not found" into a 404 and "unauthorized" into a 401, an inner failure's words too."""
    if not answer.structured:
        return False
    if answer.status == 401:
        return "unauthorized" in answer.words and "api key" not in answer.words
    return answer.status == 404 and "not found" in answer.words


def restricted(answer: Answer) -> bool:
    said = ("post_only_mode", "post-only mode", "cancel-only", "currently disabled")
    return answer.status == 503 and any(word in answer.words for word in said)


ROWS: tuple[Row, ...] = (
    Row("P-01", "no answer in time", Says.LOST, "all orders of one such time-out were later found filled", trouble=Trouble.TIMEOUT),
    Row("P-02", "no or broken connection", Says.LOST, "closing a request does not stop the order", trouble=Trouble.CONNECTION),
    Row("P-03", "an answer that breaks off or is too long", Says.LOST, "what was said is unknown", trouble=Trouble.MALFORMED),
    Row(
        "P-04",
        "200, success, no errorMsg, our own hash, status live, matched or delayed",
        Says.ACCEPTED,
        "live and delayed rest; matched ended, with its amounts, if immediate or complete",
    ),
    Row(
        "P-05",
        "200 that accepts with another hash, another status or unbelievable amounts",
        Says.LOST,
        "amounts are documented in two units; neither a wrong one nor another's order may become a position",
        trouble=Trouble.MALFORMED,
    ),
    Row(
        "P-06",
        "`Duplicated`",
        Says.LANDED,
        "the same signed order is already known: it landed earlier, with a fate to be looked up",
        on(*SAID, words=("duplicated",)),
    ),
    Row(
        "P-07",
        "no orders found to match with FAK order; FOK orders are fully filled or killed",
        Says.KILLED,
        "taken, found nothing, gone",
        on(*SAID, words=("no orders found to match", "fully filled or killed")),
    ),
    Row(
        "P-08",
        "order match delayed; context canceled",
        Says.LOST,
        "the venue stopped looking, which says nothing about the order",
        on(*SAID, words=("match delayed", "context canceled", "context deadline")),
        trouble=Trouble.SERVER_ERROR,
    ),
    Row(
        "P-09",
        "not enough balance / allowance",
        Says.REFUSED,
        "funds, or tokens that have not settled, or the venue's cache of both",
        on(*SAID, words=("not enough balance", "balance is not enough", "allowance is not enough")),
        refusal=Refusal.FUNDS,
    ),
    Row(
        "P-10",
        "breaks minimum tick size rule",
        Says.REFUSED,
        "off the grid, which may have changed",
        on(*SAID, words=("tick size", "invalid price")),
        refusal=Refusal.PRICE,
    ),
    Row(
        "P-11",
        "lower than the minimum; invalid amount; min size",
        Says.REFUSED,
        "too small, or more decimals than the grid allows",
        on(*SAID, words=("lower than the minimum", "min size", "invalid amount")),
        refusal=Refusal.SIZE,
    ),
    Row(
        "P-12",
        "owner, signer or maker not allowed; banned; closed only",
        Says.REFUSED,
        "permanent until the account is put right",
        on(
            *SAID,
            words=(
                "order owner has to be",
                "order signer address has to be",
                "maker address not allowed",
                "address banned",
                "closed only",
                "unauthorized",
                "invalid api key",
            ),
        ),
        refusal=Refusal.AUTH,
    ),
    Row(
        "P-13",
        "order_version_mismatch; invalid signature",
        Says.REFUSED,
        "the market settles on another contract than was signed for: its rules are old, and the key is sound",
        on(*SAID, words=("order_version_mismatch", "invalid order version", "invalid signature")),
        refusal=Refusal.INVALID,
    ),
    Row(
        "P-14",
        "market not ready, not found, closed, or without order book or fee",
        Says.REFUSED,
        "nothing to trade there",
        on(
            *SAID,
            words=(
                "not yet ready",
                "no orderbook exists",
                "market not found",
                "fee rate not found for market",
                "market is closed",
                "not accepting orders",
            ),
        ),
        refusal=Refusal.MARKET,
    ),
    Row(
        "P-25",
        "rate limit exceeded, in words",
        Says.REFUSED,
        "a batch's own way of saying that one of its orders was not admitted",
        on(*SAID, words=("rate limit exceeded",)),
        refusal=Refusal.RATE_LIMIT,
    ),
    Row(
        "P-28",
        "post-only or cancel-only mode, in the words of an order's own answer",
        Says.REFUSED,
        "how a batch says of one order what a single one is told by 503",
        on(200, 201, 400, words=("post-only mode", "cancel-only")),
        refusal=Refusal.MODE,
    ),
    Row(
        "P-26",
        "401 or 404 that may be another failure's words: unauthorized, not found",
        Says.LOST,
        "these words make these statuses whatever the failure was, and it may have come after the order",
        masked,
        trouble=Trouble.SERVER_ERROR,
    ),
    Row(
        "P-15",
        "200 with a message and no id, or 400 with any other structured error",
        Says.REFUSED,
        "the request was read and turned down",
        on(200, 201, 400),
        refusal=Refusal.INVALID,
    ),
    Row("P-16", "401", Says.REFUSED, "key, passphrase, HMAC or clock", on(401), refusal=Refusal.AUTH),
    Row("P-17", "403 in the venue's own JSON", Says.REFUSED, "the account may not do this", on(403), refusal=Refusal.AUTH),
    Row("P-18", "404 in the venue's own JSON", Says.REFUSED, "nothing there to trade", on(404), refusal=Refusal.OTHER),
    Row(
        "P-19",
        "429 with Poly-RateLimit headers",
        Says.REFUSED,
        "the venue's own bucket: not admitted",
        lambda answer: answer.status == 429 and any(key.startswith("poly-ratelimit-") for key in answer.headers),
        refusal=Refusal.RATE_LIMIT,
    ),
    Row(
        "P-20",
        "429 without them",
        Says.LOST,
        "the edge speaks; it delays and queues what it limits",
        between(429, 429),
        trouble=Trouble.RATE_LIMITED,
    ),
    Row("P-21", "425", Says.LOST, "the engine restarts; what it had taken may be matched", between(425, 425), trouble=Trouble.SERVER_ERROR),
    Row("P-22", "408", Says.LOST, "the venue gave up waiting, not necessarily on the order", between(408, 408), trouble=Trouble.TIMEOUT),
    Row(
        "P-27",
        "503 in the words of a restricted mode",
        Says.LOST,
        "most likely not taken; but it is a 5xx, and the venue nowhere says that such an order cannot rest",
        restricted,
        trouble=Trouble.SERVER_ERROR,
    ),
    Row(
        "P-23",
        "any other 5xx",
        Says.LOST,
        "orders were found accepted behind 500, 502 and 504",
        between(500, 599),
        trouble=Trouble.SERVER_ERROR,
    ),
    Row(
        "P-24",
        "anything else: other statuses, redirects, block pages, half JSON, 200 with neither id nor message",
        Says.LOST,
        "what is not understood is unknown",
        between(0, 10**6),
        trouble=Trouble.MALFORMED,
    ),
)  # fmt: skip

BY_ID = {row.id: row for row in ROWS}
"""Ids are never given again: journals keep them."""

ACCEPTING = ("live", "matched", "delayed")


def classify(
    order: Order, wire: str, status: int, headers: Mapping[str, str], body: bytes, at: Nanos, *, repost: bool = False
) -> tuple[str, SubmitAnswer]:
    """The row that fits and what it says of this order."""
    return judge(order, wire, status, headers, json_of(body), at, repost=repost)


def judge(
    order: Order, wire: str, status: int, headers: Mapping[str, str], told: Any, at: Nanos, *, repost: bool = False
) -> tuple[str, SubmitAnswer]:
    """The same of a body that was read already."""
    if 200 <= status < 300 and is_object(told) and claims_acceptance(told):
        taken = accepting(order, wire, told)
        if taken is not None:
            return "P-04", accepted(order, taken, at)
        return "P-05", report(BY_ID["P-05"], order, "", f"HTTP {status}", at, repost=repost)
    answer = answer_of(status, headers, told)
    row = first_fit(ROWS, answer)
    return row.id, report(row, order, wire, f"HTTP {status} {answer.words}".strip(), at, repost=repost)


def classify_error(order: Order, error: WireError, at: Nanos, *, repost: bool = False) -> tuple[str, SubmitAnswer]:
    row = BY_ID[{Trouble.TIMEOUT: "P-01", Trouble.CONNECTION: "P-02"}.get(error.trouble, "P-03")]
    return row.id, report(row, order, "", error.text, at, repost=repost)


WHOLE = ("P-16", "P-17", "P-19")
"""Rows that hold for every order of a batch when they come instead of its list."""
WHOLE_WORDS = ("invalid order payload", "too many orders in payload")


def classify_batch(
    orders: Sequence[tuple[Order, str]], status: int, headers: Mapping[str, str], body: bytes, at: Nanos
) -> tuple[tuple[str, SubmitAnswer], ...]:
    """The same for a batch of orders with their hashes. Each leg is judged like an answer of its own; a refusal instead
    of the list is one of all of them only where it is about the request and not about an order in it.
    """
    told = json_of(body)
    if 200 <= status < 300 and isinstance(told, list):
        legs = _legs(told, [wire for _, wire in orders])
        return tuple(
            judge(order, wire, status, headers, leg, at) for (order, wire), leg in zip(orders, legs, strict=True)
        )
    found = []
    for order, wire in orders:
        row, answer = judge(order, wire, status, headers, told, at)
        whole = row in WHOLE or any(word in answer_of(status, headers, told).words for word in WHOLE_WORDS)
        if not isinstance(answer, Lost) and not whole:
            row = "P-24"
            answer = report(BY_ID[row], order, "", f"HTTP {status} to a batch", at, repost=False)
        found.append((row, answer))
    return tuple(found)


def _legs(told: Sequence[Any], wires: Sequence[str]) -> list[Any]:
    """The legs in our sequence: the venue keeps it; in a list of another length only those that name their order."""
    if len(told) == len(wires):
        return list(told)
    named = {text_of(leg, "orderID").lower(): leg for leg in told if is_object(leg)}
    return [named.get(wire.lower(), {}) for wire in wires]


def answer_of(status: int, headers: Mapping[str, str], told: Any) -> Answer:
    code = words = ""
    if is_object(told):
        code = text_of(told, "code").lower()
        words = " ".join(
            part
            for part in (code, *(text_of(told, key) for key in ("error", "errorMsg", "error_msg", "message")))
            if part
        ).lower()
    return Answer(status, headers, structured=bool(words), code=code, words=words)


def claims_acceptance(told: Mapping[str, Any]) -> bool:
    """An id, and success or no message. Without an id a message makes it a refusal, even beside `success`."""
    said = told.get("errorMsg") or told.get("error")
    return text_of(told, "orderID") != "" and (told.get("success") is True or not said)


def accepting(order: Order, wire: str, told: Mapping[str, Any]) -> Accepted | None:
    """The accepting body, or None where a part of it is missing or cannot be."""
    status = text_of(told, "status").lower()
    if told.get("success") is not True or told.get("errorMsg") or told.get("error"):
        return None
    if text_of(told, "orderID").lower() != wire.lower() or status not in ACCEPTING:
        return None
    if status != "matched":
        return Accepted(wire, Quantity(0), rests=True)
    making, taking = quantity_of(told, "makingAmount"), quantity_of(told, "takingAmount")
    if making is None or taking is None:
        return None
    buys = order.side is Side.BUY
    matched, dollars = (taking, making) if buys else (making, taking)
    if not plausible(order, matched, dollars):
        return None
    immediate = order.time_in_force is TimeInForce.IOC
    # a resting order that met something has the rest of itself in the book
    return Accepted(wire, matched, rests=not immediate and matched + SHARE_STEP <= asked_shares(order))


def plausible(order: Order, shares: Quantity, dollars: int) -> bool:
    """Neither a wrong unit (a factor of a million) nor a wrong order.

    A buy of a sum may bring far more shares than at its limit, so there the dollars are judged, and that no share cost
    more than the limit by more than rounding.
    """
    if order.side is Side.BUY and order.time_in_force is TimeInForce.IOC:
        within = believable(Quantity(dollars), Quantity(spend_of(order)))
        return (
            within and 0 < shares <= dollars * 10_000 and dollars * 10_000 <= (shares + SHARE_STEP) * (order.price + 1)
        )
    return shares > 0 and believable(shares, asked_shares(order)) and 0 <= dollars <= shares
