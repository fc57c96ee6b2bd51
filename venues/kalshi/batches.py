"""What Kalshi's answer to a batch of orders means for each of them. The same rows are in `docs/outcomes/kalshi.md`.

A batch is admitted whole or not at all (it costs as much as its items together); once admitted, each item is judged by
itself. An item's error has a code and no status, so only codes that are known to refuse are taken for refusals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from messages.orders import Order
from messages.reasons import Trouble
from messages.units import Nanos
from venues.http import WireError
from venues.kalshi.outcome import BY_ID, ROWS, accepting, answer_of, classify_error
from venues.outcome import Answer, Row, Says, accepted, first_fit, report
from venues.port import Prepared, SubmitAnswer
from venues.reading import is_object, json_of, text_of

BATCH_ROWS: tuple[Row, ...] = (
    Row("KB-01", "an item with order id and counts", Says.ACCEPTED, "as K-04"),
    Row("KB-02", "an item whose error is order_already_exists", Says.LANDED, "as K-06"),
    Row("KB-03", "an item whose error is a kill of K-07", Says.KILLED, "as K-07"),
    Row("KB-04", "an item whose error is one of K-08 or K-10 to K-14", Says.REFUSED, "as that row"),
    Row("KB-05", "an item whose error is invalid_order, invalid_parameters or bad_request", Says.REFUSED, "as K-15"),
    Row("KB-06", "an item whose error speaks of too many requests", Says.REFUSED, "as K-19"),
    Row(
        "KB-07",
        "an item with any other error",
        Says.LOST,
        "what failed inside the venue may have failed after the order was taken",
        trouble=Trouble.SERVER_ERROR,
    ),
    Row(
        "KB-08",
        "an item that is missing, names another order, or has neither error nor believable counts",
        Says.LOST,
        "nothing is said of this order",
        trouble=Trouble.MALFORMED,
    ),
    Row("KB-09", "401, 403, 429 in the venue's own JSON, or 400 bad_request, to the whole", Says.REFUSED, "as K-16, K-17, K-19, K-15: turned down before any item was looked at"),
    Row(
        "KB-10",
        "any other answer to the whole",
        Says.LOST,
        "how far it came is unknown",
        trouble=Trouble.MALFORMED,
    ),
)  # fmt: skip

BATCH_BY_ID = {row.id: row for row in BATCH_ROWS}

BY_CODE = {"K-06": "KB-02", "K-07": "KB-03"} | dict.fromkeys(("K-08", "K-10", "K-11", "K-12", "K-13", "K-14"), "KB-04")
INVALID = ("invalid_order", "invalid_parameters", "bad_request")
LIMITED = ("too many requests", "too_many_requests", "rate_limit")
BEFORE_ANY = ("K-16", "K-17", "K-19")

Judged = tuple[str, SubmitAnswer]


def classify_batch(
    prepared: Sequence[Prepared], status: int, headers: Mapping[str, str], body: bytes, at: Nanos
) -> tuple[Judged, ...]:
    """One verdict per order, in their sequence."""
    told = json_of(body)
    if 200 <= status < 300:
        listed = told.get("orders") if is_object(told) else None
        items = _placed(prepared, listed if isinstance(listed, list) else [])
        return tuple(_item(sent, item, at) for sent, item in zip(prepared, items, strict=True))
    answer = answer_of(status, headers, told)
    row = first_fit(ROWS, answer)
    text = f"the whole batch: HTTP {status} {answer.words}".strip()
    if row.id in BEFORE_ANY or (status == 400 and answer.code == "bad_request"):
        return tuple(("KB-09", report(row, sent.order, sent.wire, text, at, repost=False)) for sent in prepared)
    # a refusal that may be about one item proves nothing of the others
    lost = row if row.says is Says.LOST and row.id != "K-24" else BATCH_BY_ID["KB-10"]
    return tuple(("KB-10", report(lost, sent.order, "", text, at, repost=False)) for sent in prepared)


def batch_error(prepared: Sequence[Prepared], error: WireError, at: Nanos) -> tuple[Judged, ...]:
    return tuple(classify_error(sent.order, error, at) for sent in prepared)


def _placed(prepared: Sequence[Prepared], listed: Sequence[Any]) -> list[Any]:
    """The item of each order: by its name where that is told, else by its place while places can be trusted."""
    named = {text_of(item, "client_order_id"): item for item in listed if is_object(item)}
    places = len(listed) == len(prepared) and all(
        not is_object(item) or text_of(item, "client_order_id") in ("", sent.wire)
        for sent, item in zip(prepared, listed, strict=True)
    )
    if places:
        return list(listed)
    return [named.get(sent.wire) for sent in prepared]


def _item(sent: Prepared, item: Any, at: Nanos) -> Judged:
    order: Order = sent.order
    if is_object(item) and item.get("error") is None:
        taken = accepting(order, sent.wire, item)
        if taken is not None:
            return "KB-01", accepted(order, taken, at)
        return "KB-08", report(BATCH_BY_ID["KB-08"], order, "", "", at, repost=False)
    if not is_object(item):
        return "KB-08", report(BATCH_BY_ID["KB-08"], order, "", "", at, repost=False)
    row_id, row, answer = _by_code(item)
    return row_id, report(row, order, sent.wire, answer.words, at, repost=False)


def _by_code(item: Mapping[str, Any]) -> tuple[str, Row, Answer]:
    # told without a status: whatever status a row wants, its codes are what it goes by
    told = {"error": item.get("error")}
    for answer in (answer_of(status, {}, told) for status in (409, 400, 404)):
        row = first_fit(ROWS, answer)
        if row.id in BY_CODE:
            return BY_CODE[row.id], row, answer
    answer = answer_of(0, {}, told)
    if answer.code in INVALID:
        return "KB-05", BY_ID["K-15"], answer
    if any(word in answer.words for word in LIMITED):
        return "KB-06", BY_ID["K-19"], answer
    return "KB-07", BATCH_BY_ID["KB-07"], answer
