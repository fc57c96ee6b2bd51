"""What Polymarket's answers to an order mean. The same rows, with their sources, are in `docs/outcomes/polymarket.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messages.orders import Order
from messages.reasons import Refusal, Trouble
from messages.units import Nanos, Quantity, Side, TimeInForce
from venues.http import WireError
from venues.outcome import Accepted, Answer, Row, Says, accepted, believable, between, first_fit, on, report
from venues.polymarket.amounts import SHARE_STEP, asked_shares, spend_of
from venues.port import SubmitAnswer
from venues.reading import is_object, json_of, quantity_of, text_of

# Refusals come as 400, and as 200 with a message and no id: the words decide, not the status.
SAID = (200, 201, 400, 403, 404)

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
        "owner, signer or maker not allowed; invalid signature; banned; closed only",
        Says.REFUSED,
        "permanent until the account or the contract table is put right",
        on(
            *SAID,
            words=(
                "order owner has to be",
                "order signer address has to be",
                "maker address not allowed",
                "invalid signature",
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
        "order_version_mismatch",
        Says.REFUSED,
        "the market settles on another contract than was signed for",
        on(*SAID, words=("order_version_mismatch", "invalid order version")),
        refusal=Refusal.INVALID,
    ),
    Row(
        "P-14",
        "market not ready, not found, closed, or without order book",
        Says.REFUSED,
        "nothing to trade there",
        on(*SAID, words=("not yet ready", "no orderbook exists", "market not found", "market is closed", "not accepting orders")),
        refusal=Refusal.MARKET,
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
        "P-23",
        "5xx, the restricted modes' 503 among them",
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

ACCEPTING = ("live", "matched", "delayed")


def classify(
    order: Order, wire: str, status: int, headers: Mapping[str, str], body: bytes, at: Nanos, *, repost: bool = False
) -> tuple[str, SubmitAnswer]:
    """The row that fits and what it says of this order."""
    told = json_of(body)
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
