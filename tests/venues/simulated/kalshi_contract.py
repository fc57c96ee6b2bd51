"""Kalshi's own descriptions of its interface, as a judge of answers and frames.

The documents are read where they are at hand and never copied. `Contract` says of an answer what is wrong with it: a status
that the end point does not list, a body that its schema refuses, or a key that the schema does not know.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.venues.simulated.clients import ROOT, Kalshi

SHARED = Path(os.environ.get("CROSSFILL_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "reference" / "kalshi"
PREFIX = "/trade-api/v2"
# recorded at the venue, though its document does not have them
RECORDED_KEYS = {"resting_orders_count", "purchased_side"}
# answers whose status the document does not list, though traders report them or the sheet of facts records them
UNLISTED = {400, 401, 403, 404, 409, 429, 503}

needs_documents = pytest.mark.skipif(
    not (FOLDER / "openapi.yaml").is_file(), reason="../shared/reference/kalshi is absent"
)


@cache
def document(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return loaded


def plain(node: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable` becomes a choice, and what stands beside a reference is kept."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {
        key: plain(value)
        for key, value in node.items()
        if key not in ("nullable", "example", "examples", "discriminator")
    }
    return {"anyOf": [made, {"type": "null"}]} if node.get("nullable") is True else made


@cache
def judge(name: str, schema: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    schemas = plain(document(name)["components"]["schemas"])
    root = {"$ref": f"#/components/schemas/{schema}", "components": {"schemas": schemas}}
    return jsonschema.Draft202012Validator(root, format_checker=jsonschema.FormatChecker())


def complaints(name: str, schema: str, value: Any) -> list[str]:
    found = [
        f"{'/'.join(map(str, e.absolute_path)) or '.'}: {e.message}"[:300]
        for e in judge(name, schema).iter_errors(value)
    ]
    schemas = document(name)["components"]["schemas"]
    return found + strangers(schemas, schemas[schema], value, schema)


def strangers(schemas: dict[str, Any], schema: dict[str, Any], value: Any, where: str) -> list[str]:
    """Keys that the schema does not know: an invented key is as wrong as a missing one."""
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    for part in schema.get("allOf", []):
        schema = {**(schemas[part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part), **schema}
    found: list[str] = []
    if isinstance(value, dict) and schema.get("properties"):
        known = schema["properties"]
        for key, inner in value.items():
            if key not in known:
                found += [] if key in RECORDED_KEYS else [f"{where}.{key} is in no schema"]
            else:
                found += strangers(schemas, known[key], inner, f"{where}.{key}")
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for inner in value:
            found += strangers(schemas, schema["items"], inner, f"{where}[]")
    return found


class Contract:
    """Judges everything that a client is told, and remembers which end points it has seen."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.frames: set[str] = set()

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        paths = document("openapi.yaml")["paths"]
        bare = path.removeprefix(PREFIX)
        # a literal path wins over one with a parameter
        for template in sorted(paths, key=lambda one: one.count("{")):
            if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), bare) and method.lower() in paths[template]:
                return template, paths[template][method.lower()]
        raise AssertionError(f"{method} {bare} is no end point of the venue")

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        template, operation = self.operation(method, path)
        told = operation["responses"].get(str(status))
        if told is None:
            assert status in UNLISTED, f"{method} {template} answers {status}"
        if status >= 400:
            assert one_of_the_shapes(body), f"{method} {template} {status}: {body}"
            return
        self.seen.add(f"{method} {template}")
        schema = (told or {}).get("content", {}).get("application/json", {}).get("schema", {})
        if "$ref" in schema:
            wrong = complaints("openapi.yaml", schema["$ref"].rsplit("/", 1)[1], body)
            assert not wrong, f"{method} {template} {status}: {wrong} in {str(body)[:400]}"

    def frame(self, frame: dict[str, Any]) -> None:
        """A frame of the stream, held to every schema of its type; one of them must take it."""
        schemas = document("asyncapi.yaml")["components"]["schemas"]
        named = [
            name for name, schema in schemas.items()
            if schema.get("properties", {}).get("type", {}).get("const") == frame.get("type")
        ]  # fmt: skip
        assert named, f"no frame of the venue is of type {frame.get('type')!r}"
        wrong = {name: complaints("asyncapi.yaml", name, frame) for name in named}
        assert any(not found for found in wrong.values()), f"{wrong} in {frame}"
        self.frames.add(str(frame["type"]))


def one_of_the_shapes(body: Any) -> bool:
    """Three recorded shapes of an error, and the one of a rate limit, where `error` is a string."""
    if not isinstance(body, dict):
        return False
    inner = body.get("error")
    if isinstance(inner, dict):
        return set(inner) <= {"code", "message", "details"} and {"code", "message"} <= set(inner)
    return body == {"error": "too many requests"} or set(body) == {"msg"} or set(body) == {"code", "message", "details"}


class Judged(Kalshi):
    """A trader whose every answer is held to the contract."""

    contract: Contract

    async def call(self, method: str, path: str, body: Any = None, query: str = "") -> tuple[int, Any]:
        full = path if path.startswith(PREFIX) else PREFIX + path
        status, answer = await super().call(method, full, body, query)
        self.contract.check(method, full, status, answer)
        return status, answer
