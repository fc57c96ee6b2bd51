"""What both outcome policies share: an answer read without belief, and a numbered table of what answers mean.

A policy is a column of rows. The first row that fits decides; its id is in the report's text, in `docs/outcomes/` and in
the test that proves it. The last row fits everything and says `Lost`: what is not understood is unknown, never refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from messages.orders import Ended, EndKind, Landed, Lost, Order, Refused, Rested
from messages.reasons import Refusal, Trouble
from messages.units import Nanos, Quantity
from venues.port import SubmitAnswer
from venues.reading import shown


class Says(StrEnum):
    """What a row concludes."""

    ACCEPTED = "accepted"
    """The body says what became of it: rests or ended."""
    KILLED = "ended, 0 matched"
    REFUSED = "refused"
    LANDED = "landed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer reduced to what rows ask about."""

    status: int
    headers: Mapping[str, str]
    structured: bool
    """The body is JSON of a form in which this venue answers; HTML of a proxy or half a body is not."""
    code: str
    words: str
    """Code, message and details in lower case."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A body that accepts the order, taken apart and found plausible."""

    venue_order: str
    matched: Quantity
    rests: bool


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    when: str
    """For the document and the reader; `fits` is what counts."""
    says: Says
    why: str
    fits: Callable[[Answer], bool] = lambda _: False
    """Rows that no answer reaches by itself are chosen by name: wire errors and accepting bodies."""
    refusal: Refusal | None = None
    trouble: Trouble | None = None

    @property
    def conclusion(self) -> str:
        detail = self.refusal or self.trouble
        return f"{self.says} ({detail})" if detail else str(self.says)


def on(
    *statuses: int, codes: tuple[str, ...] = (), words: tuple[str, ...] = (), structured: bool | None = True
) -> Callable[[Answer], bool]:
    """Fits these statuses with one of these codes or words, where any are given."""

    def fits(answer: Answer) -> bool:
        if statuses and answer.status not in statuses:
            return False
        if structured is not None and answer.structured is not structured:
            return False
        if not codes and not words:
            return True
        return answer.code in codes or any(word in answer.words for word in words)

    return fits


def between(first: int, last: int) -> Callable[[Answer], bool]:
    return lambda answer: first <= answer.status <= last


def first_fit(rows: tuple[Row, ...], answer: Answer) -> Row:
    for row in rows:
        if row.fits(answer):
            return row
    return rows[-1]


def report(row: Row, order: Order, venue_order: str, text: str, at: Nanos, *, repost: bool) -> SubmitAnswer:
    """The row's conclusion as a report; accepting rows go through `accepted`."""
    told = f"{row.id}: {shown(text)}" if text else row.id
    match row.says:
        case Says.REFUSED:
            return Refused(order=order.order, at=at, reason=row.refusal or Refusal.OTHER, text=told, repost=repost)
        case Says.LANDED:
            return Landed(order=order.order, at=at)
        case Says.KILLED:
            return Ended(order=order.order, at=at, venue_order=venue_order, matched=Quantity(0), how=EndKind.KILLED)
        case Says.ACCEPTED | Says.LOST:
            return Lost(order=order.order, at=at, trouble=row.trouble or Trouble.MALFORMED, text=told, repost=repost)


def accepted(order: Order, body: Accepted, at: Nanos) -> Rested | Ended:
    if body.rests:
        return Rested(order=order.order, at=at, venue_order=body.venue_order, matched=body.matched)
    how = EndKind.FILLED if body.matched >= order.quantity else EndKind.KILLED
    return Ended(order=order.order, at=at, venue_order=body.venue_order, matched=body.matched, how=how)


def believable(matched: Quantity, asked: Quantity) -> bool:
    """Venues overfill by dust; half as much again is a wrong unit or a wrong order, and never trusted."""
    return 0 <= 2 * matched <= 3 * asked
