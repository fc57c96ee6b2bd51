"""Reading what others wrote. A venue may send anything: nothing here raises, and what does not fit becomes None."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeGuard

import msgspec

from core.units import NotExact, parse_scaled
from messages.units import SECOND, Money, Nanos, Price, Quantity

QUANTITY_MOST = 10**15
"""A billion contracts: more is not believed."""

TEXT_MOST = 200
"""How much of a venue's words goes into a report."""

OPENINGS_MOST = 10_000
"""Brackets of one body. The decoder recurses in C, where nesting beyond the stack ends the process, and only Python's
recursion limit, which any library may raise, stands before that."""

_decode = msgspec.json.Decoder().decode


def json_of(body: bytes | str) -> Any:
    """The JSON value, or None where there is none (a bare `null` means as little)."""
    if len(body) > OPENINGS_MOST and _openings(body) > OPENINGS_MOST:
        return None
    try:
        return _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError):
        return None


def _openings(body: bytes | str) -> int:
    return body.count("[") + body.count("{") if isinstance(body, str) else body.count(b"[") + body.count(b"{")


def is_object(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def objects(value: Any) -> list[Mapping[str, Any]]:
    """The JSON objects of a list; whatever else stands in it is left out."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def object_of(message: Any, key: str) -> Mapping[str, Any]:
    value = message.get(key) if isinstance(message, dict) else None
    return value if isinstance(value, dict) else {}


def text_of(message: Mapping[str, Any], key: str) -> str:
    """A string field; "" where it is absent, empty or no string."""
    value = message.get(key)
    return value if isinstance(value, str) else ""


def whole_of(message: Mapping[str, Any], key: str) -> int | None:
    """A whole number, sent as a number or as digits."""
    value = message.get(key)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**63 else None
    if isinstance(value, str) and 0 < len(value) < 20 and value.isascii() and value.lstrip("-").isdigit():
        try:
            return int(value)
        except ValueError:
            return None
    return None


def _scaled(value: Any, places: int, rounding: int) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        # the shortest text that reads back as the same number is what the venue wrote
        value = str(value)
    if not isinstance(value, str):
        return None
    try:
        return parse_scaled(value, places, rounding)
    except NotExact:
        return None


def price_of(message: Mapping[str, Any], key: str, rounding: int = 0) -> Price | None:
    """A price from 0 to 1 dollar; `rounding` says which way a finer one goes (0: it is refused)."""
    value = _scaled(message.get(key), 4, rounding)
    return None if value is None or not 0 <= value <= 10_000 else Price(value)


def quantity_of(message: Mapping[str, Any], key: str, rounding: int = 0) -> Quantity | None:
    """A number of contracts, not negative."""
    value = _scaled(message.get(key), 6, rounding)
    return None if value is None or not 0 <= value <= QUANTITY_MOST else Quantity(value)


def signed_quantity_of(message: Mapping[str, Any], key: str) -> Quantity | None:
    value = _scaled(message.get(key), 6, 0)
    return None if value is None or abs(value) > QUANTITY_MOST else Quantity(value)


def money_of(message: Mapping[str, Any], key: str, rounding: int = 0) -> Money | None:
    value = _scaled(message.get(key), 6, rounding)
    return None if value is None or abs(value) > QUANTITY_MOST else Money(value)


def level_of(raw_price: Any, raw_size: Any) -> tuple[int, int] | None:
    """One book level in our units."""
    price, size = _scaled(raw_price, 4, 0), _scaled(raw_size, 6, 0)
    if price is None or size is None or not 0 < price < 10_000 or not 0 <= size <= QUANTITY_MOST:
        return None
    return price, size


def ratio_ppm(value: Any) -> int | None:
    """A rate as parts per million, rounded up: a fee is never underestimated."""
    number = _scaled(value, 6, 1)
    return number if number is not None and 0 <= number <= 10**8 else None


def time_of(text: str) -> Nanos | None:
    """RFC 3339 as nanoseconds; fractions beyond a microsecond are cut off."""
    if not text or len(text) > 40:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _nanos(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def http_date(text: str | None) -> Nanos | None:
    """The `Date` header of an answer."""
    if not text or len(text) > 60:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return _nanos(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _nanos(moment: datetime) -> Nanos | None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    try:
        passed = moment - epoch
    except OverflowError:
        return None
    return Nanos((passed.days * 86_400 + passed.seconds) * SECOND + passed.microseconds * 1_000)


def shown(text: str) -> str:
    """A venue's words, cut and made printable, for a report that a person reads."""
    return "".join(c if c.isprintable() else " " for c in text[:TEXT_MOST])
