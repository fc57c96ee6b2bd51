"""A newer contract of Kalshi against what we use of it; and that what we declare is what the code uses."""

from __future__ import annotations

import ast
import copy
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venues import drift
from venues.contracts import Operation, field_of
from venues.drift import Change, Kind, Unreadable
from venues.kalshi.contract import USES

ROOM = Path(__file__).parents[2] / "venues" / "kalshi"
SHARED = Path(os.environ.get("CROSSFILL_SHARED", Path(__file__).parents[3] / "shared"))
DOCUMENT = SHARED / "reference" / "kalshi" / "openapi.yaml"
published = pytest.mark.skipif(not DOCUMENT.is_file(), reason=f"no OpenAPI document at {DOCUMENT}")


@cache
def document() -> Any:
    return drift.read(DOCUMENT.read_text())


@published
def test_the_published_contract_is_the_one_that_we_use() -> None:
    assert drift.drift(document()) == []


# A small contract of our own, and everything that can become of it.

OURS = (
    Operation(
        "POST",
        "/orders",
        "CreateOrder",
        "201",
        query=("shard integer",),
        sends=("count string!", "kind string! a|b"),
        reads=("order.id string!", "order.status string! open|done", "order.parts[].size string!"),
    ),
)


def contract() -> dict[str, Any]:
    order = {
        "type": "object",
        "required": ["id", "status", "parts"],
        "properties": {
            "id": {"type": "string"},
            "status": {"$ref": "#/components/schemas/Status"},
            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Part"}},
        },
    }
    asked = {
        "type": "object",
        "required": ["count", "kind"],
        "properties": {"count": {"type": "string"}, "kind": {"type": "string", "enum": ["a", "b"]}},
    }
    return {
        "paths": {
            "/orders": {
                "parameters": [{"name": "shard", "in": "query", "schema": {"type": "integer"}}],
                "post": {
                    "operationId": "CreateOrder",
                    "requestBody": {"content": {"application/json": {"schema": asked}}},
                    "responses": {
                        "201": {
                            "content": {
                                "application/json": {
                                    "schema": {"type": "object", "properties": {"order": {"allOf": [order]}}}
                                }
                            }
                        }
                    },
                },
            }
        },
        "components": {
            "schemas": {
                "Status": {"type": "string", "enum": ["open", "done"]},
                "Part": {"type": "object", "required": ["size"], "properties": {"size": {"type": "string"}}},
            }
        },
    }


def test_the_same_contract_has_no_drift() -> None:
    assert drift.drift(contract(), OURS) == []


def asked_of(told: Any) -> Any:
    return told["paths"]["/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]


def order_of(told: Any) -> Any:
    answer = told["paths"]["/orders"]["post"]["responses"]["201"]["content"]["application/json"]["schema"]
    return answer["properties"]["order"]["allOf"][0]


def moved(told: Any) -> None:
    told["paths"]["/v3/orders"] = told["paths"].pop("/orders")


def renamed(told: Any) -> None:
    order_of(told)["properties"]["statuses"] = order_of(told)["properties"].pop("status")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda told: told["paths"].clear(), Change("POST /orders", "", Kind.REMOVED, "CreateOrder", "")),
        (moved, Change("POST /orders", "", Kind.RENAMED, "CreateOrder", "POST /v3/orders")),
        (
            lambda told: told["paths"]["/orders"]["post"].update(deprecated=True),
            Change("POST /orders", "", Kind.DEPRECATED, "", ""),
        ),
        (
            lambda told: told["paths"]["/orders"]["post"]["responses"].update({"200": told, "201": None}),
            Change("POST /orders", "answer", Kind.REMOVED, "status 201", ""),
        ),
        (
            lambda told: told["paths"]["/orders"]["parameters"][0].update(name="shards"),
            Change("POST /orders", "query shard", Kind.RENAMED, "", "shards"),
        ),
        (
            lambda told: told["paths"]["/orders"]["parameters"].clear(),
            Change("POST /orders", "query shard", Kind.REMOVED, "", ""),
        ),
        (
            lambda told: told["paths"]["/orders"]["parameters"][0]["schema"].update(type="string"),
            Change("POST /orders", "query shard", Kind.TYPE, "integer", "string"),
        ),
        (
            lambda told: told["paths"]["/orders"]["parameters"].append(
                {"name": "who", "in": "query", "required": True}
            ),
            Change("POST /orders", "query who", Kind.WANTED, "", ""),
        ),
        (
            lambda told: asked_of(told)["properties"].pop("count"),
            Change("POST /orders", "body count", Kind.REMOVED, "", ""),
        ),
        (
            lambda told: asked_of(told)["required"].append("nonce"),
            Change("POST /orders", "body nonce", Kind.WANTED, "", ""),
        ),
        (
            lambda told: asked_of(told)["properties"]["count"].update(type="number"),
            Change("POST /orders", "body count", Kind.TYPE, "string", "number"),
        ),
        (
            lambda told: asked_of(told)["properties"]["kind"].update(enum=["b", "c"]),
            Change("POST /orders", "body kind", Kind.VALUES, "", "−a +c"),
        ),
        (renamed, Change("POST /orders", "answer order.status", Kind.RENAMED, "", "statuses")),
        (
            lambda told: order_of(told)["properties"].pop("parts"),
            Change("POST /orders", "answer order.parts[]", Kind.REMOVED, "", ""),
        ),
        (
            lambda told: order_of(told)["required"].remove("id"),
            Change("POST /orders", "answer order.id", Kind.OPTIONAL, "always", "sometimes"),
        ),
        (
            lambda told: order_of(told)["properties"]["id"].update(nullable=True),
            Change("POST /orders", "answer order.id", Kind.OPTIONAL, "never null", "may be null"),
        ),
        (
            lambda told: order_of(told)["properties"]["id"].update(type=["string", "null"]),
            Change("POST /orders", "answer order.id", Kind.OPTIONAL, "never null", "may be null"),
        ),
        (
            lambda told: told["components"]["schemas"]["Status"]["enum"].append("paused"),
            Change("POST /orders", "answer order.status", Kind.VALUES, "", "+paused"),
        ),
        (
            lambda told: told["components"]["schemas"]["Part"]["properties"]["size"].update(type="integer"),
            Change("POST /orders", "answer order.parts[].size", Kind.TYPE, "string", "integer"),
        ),
    ],
)
def test_each_kind_of_change_is_found(change: Callable[[Any], object], expected: Change) -> None:
    newer = contract()
    change(newer)
    assert drift.drift(newer, OURS) == [expected]
    (line,) = drift.shown([expected])
    assert line.startswith("POST /orders")
    assert str(expected.kind) in line


def test_what_is_added_beside_what_we_use_is_no_drift() -> None:
    newer = contract()
    order_of(newer)["properties"]["more"] = {"type": "string"}
    asked_of(newer)["properties"]["more"] = {"type": "string"}
    newer["paths"]["/else"] = {"get": {"operationId": "Else"}}
    assert drift.drift(newer, OURS) == []


def test_a_document_that_refers_to_itself_ends() -> None:
    newer = contract()
    newer["components"]["schemas"]["Status"] = {"$ref": "#/components/schemas/Status"}
    assert [change.kind for change in drift.drift(newer, OURS)] == [Kind.TYPE, Kind.VALUES]


@pytest.mark.parametrize("text", ["", "just words", "[1]", "paths: 7", "a: [", "{"])
def test_what_is_no_document_is_said(text: str) -> None:
    with pytest.raises(Unreadable, match="document"):
        drift.read(text)


places = st.lists(st.integers(0, 30), min_size=1, max_size=6)
rubbish = st.sampled_from((None, 7, "x", [], {}, True, ["null"], {"$ref": "#/nowhere"}, {"allOf": 3}))


@given(st.lists(st.tuples(places, rubbish), max_size=3))
def test_no_document_breaks_the_comparison(damage: list[tuple[list[int], object]]) -> None:
    newer: Any = contract()
    for path, what in damage:
        place = newer
        for number, step in enumerate(path):
            keys = (
                list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
            )
            if not keys or (place is newer and list(newer)[step % len(keys)] == "paths" and number == len(path) - 1):
                break
            key = keys[step % len(keys)]
            if number == len(path) - 1:
                place[key] = copy.deepcopy(what)
            else:
                place = place[key]
    drift.shown(drift.drift(newer, OURS))


# What we declare, and what the code asks for.

READERS = {
    "text_of", "whole_of", "price_of", "quantity_of", "signed_quantity_of", "money_of", "object_of", "time_of",
}  # fmt: skip
OTHER_CONTRACT = {"books.py", "private.py"}
"""They read the streams, which are described elsewhere (AsyncAPI)."""


def read_by_name(tree: ast.AST) -> set[str]:
    """Fields that are read by a literal name: `text_of(told, "x")`, `told.get("x")`."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        taken = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        arguments = node.args[1:2] if name in READERS else node.args[:1] if taken == "get" else []
        found |= {one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


STREAM_AND_HEADERS = {
    # lifecycle messages, private messages and header fields that files of REST answers read as well
    "event_type", "close_ts", "last_update_reason", "retry-after", "date", "market_result", "msg", "message", "details",
    "code", "error",
}  # fmt: skip
FORMS = {"order"}
"""`{"order": {…}}` around a created order: another client's recording had it."""


def test_every_field_that_the_code_reads_is_declared() -> None:
    declared = {
        part.removesuffix("[]")
        for use in USES
        for line in (*use.reads, *use.sends)
        for part in field_of(line).path.split(".")
    }
    for file in sorted(ROOM.glob("*.py")):
        if file.name in OTHER_CONTRACT:
            continue
        unknown = read_by_name(ast.parse(file.read_text())) - declared - STREAM_AND_HEADERS - FORMS
        assert not unknown, f"{file.name} reads {sorted(unknown)}: declare it in venues/kalshi/contract.py"


def test_every_field_of_an_order_that_the_code_sends_is_declared() -> None:
    declared = {field_of(line).path for use in USES if use.id == "CreateOrderV2" for line in use.sends}
    tree = ast.parse((ROOM / "codec.py").read_text())
    (writer,) = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "order_fields"]
    sent = {
        key.value
        for node in ast.walk(writer)
        for key in (
            node.keys if isinstance(node, ast.Dict) else [node.slice] if isinstance(node, ast.Subscript) else []
        )
        if isinstance(key, ast.Constant)
    }
    assert sent == declared
