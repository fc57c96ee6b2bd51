"""Kalshi's words: times, errors, pages and the names of states."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from aiohttp import web

from venues.simulated.kalshi_auth import error
from venues.simulated.scale import price_text
from venues.simulated.universe import PriceRange

PREFIX = "/trade-api/v2"


def iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + (
        f".{at_ns // 1_000 % 1_000_000:06d}Z"
    )


def user_id(user: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, user))


def decode_error(field: str, value: object, kind: str = "string") -> web.Response:
    names = {bool: "bool", int: "number", float: "number", dict: "object", list: "array", str: "string"}
    text = f"json: cannot unmarshal {names.get(type(value), 'value')} into Go struct field {field} of type {kind}"
    return flat_error(text)


def flat_error(details: str) -> web.Response:
    return web.json_response({"code": "bad_request", "message": "bad request", "details": details}, status=400)


class KalshiRefusals:
    def rejected(self) -> web.Response:
        return error(400, "invalid_order")

    def unfunded(self) -> web.Response:
        return error(400, "insufficient_balance")

    def rate_limited(self) -> web.Response:
        return web.json_response({"error": "too many requests"}, status=429)


def limit_of(request: web.Request, operation: str, default: int = 100, most: int = 1000) -> int | web.Response:
    text = request.query.get("limit") or str(default)
    limit = int(text) if text.isdigit() else 0
    if limit > most or limit < 1:
        return invalid_query(operation, "Limit", "lte" if limit else "gte")
    return limit


def invalid_query(operation: str, field: str, tag: str) -> web.Response:
    """The third shape of an error: a query parameter that fails its rule."""
    text = (
        f"Parameter validation failed for {operation}: Key: '{operation}Params.{field}' "
        f"Error:Field validation for '{field}' failed on the '{tag}' tag"
    )
    return web.json_response({"msg": text}, status=400)


def names_of(request: web.Request, parameter: str) -> list[str]:
    """A query parameter that is a list: separated by commas, or given several times."""
    return [name for text in request.query.getall(parameter, []) for name in text.split(",") if name]


def count_cents(money: int) -> int:
    return money // 10_000


def page_of(request: web.Request, rows: list[tuple[str, dict[str, object]]], limit: int) -> tuple[list[Any], str]:
    """Rows newest first after the cursor; an unreadable cursor silently means the first page."""
    start = 0
    try:
        after = base64.urlsafe_b64decode(request.query.get("cursor", "")).decode()
        start = next((n + 1 for n, (key, _) in enumerate(rows) if key == after), 0)
    except ValueError:
        pass
    page = rows[start : start + limit]
    more = start + limit < len(rows)
    return [row for _, row in page], base64.urlsafe_b64encode(page[-1][0].encode()).decode() if more else ""


def within(request: web.Request, at_ns: int) -> bool:
    low, high = request.query.get("min_ts", ""), request.query.get("max_ts", "")
    second = at_ns // 1_000_000_000
    return (not low.isdigit() or second >= int(low)) and (not high.isdigit() or second <= int(high))


def json_ratio(value: Fraction | None) -> int | float:
    if value is None:
        return 0
    return value.numerator if value.denominator == 1 else value.numerator / value.denominator


def ranges_told(ranges: tuple[PriceRange, ...]) -> list[dict[str, str]]:
    return [{"start": price_text(r.start), "end": price_text(r.end), "step": price_text(r.step)} for r in ranges]


def status_told(status: str) -> str:
    return {"live": "resting", "matched": "executed"}.get(status, "canceled")
