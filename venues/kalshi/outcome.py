"""What Kalshi's answers to an order mean. The same rows, with their sources, are in `docs/outcomes/kalshi.md`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from messages.orders import Order
from messages.reasons import Refusal, Trouble
from messages.units import Nanos, Quantity, TimeInForce
from venues.http import WireError
from venues.outcome import Accepted, Answer, Row, Says, accepted, believable, between, first_fit, on, report
from venues.port import SubmitAnswer
from venues.reading import is_object, json_of, object_of, quantity_of, text_of

ROWS: tuple[Row, ...] = (
    Row("K-01", "no answer in time", Says.LOST, "it may have arrived, and may be answered elsewhere", trouble=Trouble.TIMEOUT),
    Row("K-02", "no or broken connection", Says.LOST, "the break may be after the venue read it", trouble=Trouble.CONNECTION),
    Row("K-03", "an answer that breaks off or is too long", Says.LOST, "what was said is unknown", trouble=Trouble.MALFORMED),
    Row("K-04", "2xx with order id and counts", Says.ACCEPTED, "rests if a resting order has something left, else ended"),
    Row(
        "K-05",
        "2xx without order id, with another client_order_id, or with unbelievable counts",
        Says.LOST,
        "seen as a soft rejection; a count in the wrong unit must never become a position",
        trouble=Trouble.MALFORMED,
    ),
    Row(
        "K-06",
        "409 order_already_exists",
        Says.LANDED,
        "client order ids are never freed: this order was accepted earlier, with a fate to be looked up",
        on(409, codes=("order_already_exists",)),
    ),
    Row(
        "K-07",
        "409 fill_or_kill_… or immediate_or_cancel_insufficient_resting_volume",
        Says.KILLED,
        "accepted, found nothing, gone; its id is used up",
        on(
            409,
            codes=("fill_or_kill_insufficient_resting_volume", "immediate_or_cancel_insufficient_resting_volume"),
        ),
    ),
    Row(
        "K-08",
        "400 or 409 MARKET_INACTIVE",
        Says.REFUSED,
        "the market is closed or not yet open",
        on(400, 409, codes=("market_inactive",), words=("market_inactive",)),
        refusal=Refusal.MARKET,
    ),
    Row("K-09", "any other 409", Says.LOST, "a conflict with what is not said", between(409, 409), trouble=Trouble.MALFORMED),
    Row(
        "K-10",
        "400 insufficient_balance, or user_not_found",
        Says.REFUSED,
        "no cash on the market's shard, or no account there",
        on(400, 403, 404, codes=("insufficient_balance", "user_not_found"), words=("user_not_found", "insufficient_balance")),
        refusal=Refusal.FUNDS,
    ),
    Row(
        "K-11", "400 invalid_price", Says.REFUSED, "off the grid", on(400, codes=("invalid_price",)), refusal=Refusal.PRICE
    ),
    Row(
        "K-12",
        "400 naming count or size",
        Says.REFUSED,
        "not a count that the venue takes",
        on(400, codes=("invalid_count", "invalid_order_size", "invalid_quantity")),
        refusal=Refusal.SIZE,
    ),
    Row(
        "K-13",
        "400, 403 or 404 naming a pause",
        Says.REFUSED,
        "trading is paused: a mode, not an error",
        on(400, 403, 404, words=("exchange_paused", "trading_paused", "exchange is paused", "trading is paused")),
        refusal=Refusal.MODE,
    ),
    Row(
        "K-14",
        "400 or 404 market_not_found",
        Says.REFUSED,
        "no such market on the shard that was asked",
        on(400, 404, codes=("market_not_found", "market_closed"), words=("market_not_found",)),
        refusal=Refusal.MARKET,
    ),
    Row(
        "K-15",
        "400 invalid_order, bad_request, or any other with a structured error",
        Says.REFUSED,
        "the request was read and turned down (post-only that would take, numbers that are no strings, retired end points)",
        on(400, 410),
        refusal=Refusal.INVALID,
    ),
    Row("K-16", "401", Says.REFUSED, "signature, key or clock", on(401), refusal=Refusal.AUTH),
    Row("K-17", "403", Says.REFUSED, "the key may not do this", on(403), refusal=Refusal.AUTH),
    Row("K-18", "404", Says.REFUSED, "nothing there to trade", on(404), refusal=Refusal.OTHER),
    Row("K-19", "429 in the venue's own JSON", Says.REFUSED, "no tokens, not admitted", on(429), refusal=Refusal.RATE_LIMIT),
    Row(
        "K-20",
        "429 in any other form",
        Says.LOST,
        "some proxy speaks, perhaps about another attempt",
        between(429, 429),
        trouble=Trouble.RATE_LIMITED,
    ),
    Row("K-21", "408", Says.LOST, "the venue gave up waiting, not necessarily on the order", between(408, 408), trouble=Trouble.TIMEOUT),
    Row("K-22", "5xx", Says.LOST, "502 and 504 come from the edge; the order may rest behind it", between(500, 599), trouble=Trouble.SERVER_ERROR),
    Row("K-23", "425", Says.LOST, "too early is not never", between(425, 425), trouble=Trouble.SERVER_ERROR),
    Row(
        "K-24",
        "anything else: other statuses, redirects, HTML, half JSON",
        Says.LOST,
        "what is not understood is unknown",
        between(0, 10**6),
        trouble=Trouble.MALFORMED,
    ),
)  # fmt: skip

BY_ID = {row.id: row for row in ROWS}


def classify(
    order: Order, wire: str, status: int, headers: Mapping[str, str], body: bytes, at: Nanos, *, repost: bool = False
) -> tuple[str, SubmitAnswer]:
    """The row that fits and what it says of this order."""
    told = json_of(body)
    if 200 <= status < 300:
        taken = accepting(order, wire, told)
        if taken is not None:
            return "K-04", accepted(order, taken, at)
        return "K-05", report(BY_ID["K-05"], order, "", f"HTTP {status}", at, repost=repost)
    answer = answer_of(status, headers, told)
    row = first_fit(ROWS, answer)
    # a kill is told without the venue's id; ours names the order as well
    return row.id, report(row, order, wire, f"HTTP {status} {answer.words}".strip(), at, repost=repost)


def classify_error(order: Order, error: WireError, at: Nanos, *, repost: bool = False) -> tuple[str, SubmitAnswer]:
    row = BY_ID[{Trouble.TIMEOUT: "K-01", Trouble.CONNECTION: "K-02"}.get(error.trouble, "K-03")]
    return row.id, report(row, order, "", error.text, at, repost=repost)


def answer_of(status: int, headers: Mapping[str, str], told: Any) -> Answer:
    """Three forms of error body are in use, and for 429 a fourth, where `error` is a string."""
    code, words = "", ""
    if is_object(told):
        error = told.get("error")
        inner = error if is_object(error) else told
        code = text_of(inner, "code").lower()
        plain = error if isinstance(error, str) else ""
        words = " ".join(
            part for part in (code, plain, *(text_of(inner, key) for key in ("message", "details", "msg"))) if part
        ).lower()
    return Answer(status, headers, structured=bool(words), code=code, words=words)


def accepting(order: Order, wire: str, told: Any) -> Accepted | None:
    """The accepting body, or None where a part of it is missing or cannot be."""
    if not is_object(told):
        return None
    if is_object(told.get("order")):
        told = object_of(told, "order")
    venue_order, echoed = text_of(told, "order_id"), text_of(told, "client_order_id")
    matched, left = quantity_of(told, "fill_count"), quantity_of(told, "remaining_count")
    if not venue_order or matched is None or left is None or (echoed and echoed != wire):
        return None
    if not believable(Quantity(matched + left), order.quantity):
        return None
    rests = order.time_in_force is not TimeInForce.IOC and left > 0
    return Accepted(venue_order, matched, rests)
