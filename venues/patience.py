"""How long an answer asks us to wait: by header in seconds or as a date, or in the body."""

from __future__ import annotations

from messages.units import SECOND, Nanos
from venues.http import Response
from venues.reading import http_date, is_object, json_of, whole_of

WAIT_MOST = Nanos(3_600 * SECOND)
"""Longer is not believed: whoever waits asks again after it."""


def wait_asked(response: Response) -> Nanos:
    """0 where it did not say. A date counts from the answer's own, so no clock of ours comes into it."""
    told = response.headers.get("retry-after", "").strip()
    if told.isascii() and told.isdigit() and len(told) < 10:
        return Nanos(min(int(told) * SECOND, WAIT_MOST))
    until, said = http_date(told), http_date(response.headers.get("date"))
    if until is not None and said is not None:
        return Nanos(min(max(until - said, 0), WAIT_MOST))
    body = json_of(response.body)
    seconds = whole_of(body, "retry_after_seconds") if is_object(body) else None
    return Nanos(min(max(seconds or 0, 0) * SECOND, WAIT_MOST))
