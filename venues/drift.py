"""What a newer OpenAPI document of a venue changed in what we use of it: removed, renamed, of another type, newly wanted,
no longer always there, with other values. Pure: a document in, a list out; an empty list is the good answer.

The uses are declared beside each venue's code (`venues.kalshi.contract`), not guessed from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Any

import yaml

from venues.contracts import Field, Operation, field_of
from venues.kalshi.contract import USES

REFERENCES_MOST = 32
"""One schema behind another: a document that refers to itself ends here."""


class Kind(StrEnum):
    REMOVED = "removed"
    RENAMED = "renamed"
    TYPE = "type"
    WANTED = "now required"
    OPTIONAL = "no longer always there"
    VALUES = "values"
    DEPRECATED = "deprecated"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between what we use and what the document says."""

    operation: str
    """Method and path."""
    where: str
    """`query`, `body` or `answer`, and the place in it; "" for the operation itself."""
    kind: Kind
    was: str
    now: str


class Unreadable(Exception):
    """No OpenAPI document; the text says what is wrong with it."""


def read(text: str) -> Mapping[str, Any]:
    """An OpenAPI document from YAML or JSON; raises `Unreadable`."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)  # noqa: S506 - a safe loader, the fast one where it is there
    except yaml.YAMLError as problem:
        raise Unreadable(f"the document is neither YAML nor JSON: {str(problem).splitlines()[0]}") from None
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise Unreadable("the document has no paths; give an OpenAPI document")
    return document


def drift(document: Mapping[str, Any], uses: Sequence[Operation] = USES) -> list[Change]:
    """Everything that differs from what Kalshi's adapter uses, in the sequence of its declaration."""
    return [change for use in uses for change in _operation(document, use)]


def shown(changes: Sequence[Change]) -> list[str]:
    """A line for each, for people."""
    lines = []
    for change in changes:
        what = f"{change.was} → {change.now}" if change.was and change.now else change.was or change.now
        place = f"  {change.where}" if change.where else ""
        lines.append(f"{change.operation}{place}: {change.kind}{f' ({what})' if what else ''}")
    return lines


def _operation(document: Mapping[str, Any], use: Operation) -> Iterator[Change]:
    told = _object(_object(document["paths"].get(use.path)).get(use.method.lower()))
    if not told:
        other = next(_named(document, use.id), "")
        kind = Kind.RENAMED if other else Kind.REMOVED
        yield Change(use.name, "", kind, use.id, other)
        return
    if told.get("deprecated") is True:
        yield Change(use.name, "", Kind.DEPRECATED, "", "")
    yield from _query(document, use, told)
    if use.sends or told.get("requestBody"):
        schema = _content(document, told.get("requestBody"))
        yield from _sent(document, use, schema)
    if use.reads:
        answer = _object(told.get("responses")).get(use.status)
        if answer is None:
            yield Change(use.name, "answer", Kind.REMOVED, f"status {use.status}", "")
            return
        yield from _fields(document, use, "answer", use.reads, _content(document, answer))


def _named(document: Mapping[str, Any], operation: str) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, told in _object(methods).items():
            if _object(told).get("operationId") == operation:
                yield f"{str(method).upper()} {path}"


def _query(document: Mapping[str, Any], use: Operation, told: Mapping[str, Any]) -> Iterator[Change]:
    shared = _object(document["paths"][use.path]).get("parameters")
    listed = [_resolved(document, _object(part)) for part in [*_list(shared), *_list(told.get("parameters"))]]
    asked = {str(part.get("name")): part for part in listed if part.get("in") == "query"}
    declared = [field_of(line) for line in use.query]
    for field in declared:
        part = asked.get(field.path)
        if part is None:
            yield _gone(use, "query", field.path, [name for name in asked if name not in {f.path for f in declared}])
            continue
        schema = _resolved(document, _object(part.get("schema")))
        yield from _compared(use, f"query {field.path}", field, schema, always=field.always)
    for name, part in asked.items():
        if part.get("required") is True and name not in {field.path for field in declared}:
            yield Change(use.name, f"query {name}", Kind.WANTED, "", "")


def _sent(document: Mapping[str, Any], use: Operation, schema: Mapping[str, Any]) -> Iterator[Change]:
    yield from _fields(document, use, "body", use.sends, schema, sent=True)
    declared = {field_of(line).path for line in use.sends}
    for place in sorted({"", *(path.rpartition(".")[0] for path in declared)}):
        inner = _at(document, schema, place) if place else schema
        for name in _list(_object(inner).get("required")):
            path = f"{place}.{name}" if place else str(name)
            if not any(known == path or known.startswith((f"{path}.", f"{path}[]")) for known in declared):
                yield Change(use.name, f"body {path}", Kind.WANTED, "", "")


def _fields(
    document: Mapping[str, Any],
    use: Operation,
    part: str,
    lines: Sequence[str],
    schema: Mapping[str, Any],
    *,
    sent: bool = False,
) -> Iterator[Change]:
    declared = [field_of(line) for line in lines]
    reported: set[str] = set()
    for field in declared:
        place, _, name = field.path.rpartition(".")
        holder = _at(document, schema, place) if place else schema
        found = None if holder is None else _at(document, holder, name)
        if holder is None or found is None:
            gone, rest = _first_missing(document, schema, field.path)
            if gone not in reported:
                reported.add(gone)
                known = {known.path.removeprefix(f"{place}.") if place else known.path for known in declared}
                yield _gone(use, part, gone, [name for name in rest if name not in known])
            continue
        always = name.removesuffix("[]") in _list(holder.get("required"))
        yield from _compared(use, f"{part} {field.path}", field, found, always=always, sent=sent)


def _compared(
    use: Operation, where: str, field: Field, schema: Mapping[str, Any], *, always: bool, sent: bool = False
) -> Iterator[Change]:
    kind, nullable = _type(schema)
    if kind != field.type:
        yield Change(use.name, where, Kind.TYPE, field.type, kind)
    if sent and always and not field.always:
        yield Change(use.name, where, Kind.WANTED, "optional", "required")
    if not sent and field.always and not always:
        yield Change(use.name, where, Kind.OPTIONAL, "always", "sometimes")
    if not sent and nullable and not field.nullable:
        yield Change(use.name, where, Kind.OPTIONAL, "never null", "may be null")
    values = tuple(str(value) for value in _list(schema.get("enum")) if value is not None)
    if set(values) != set(field.values):
        gone = sorted(f"−{value}" for value in set(field.values) - set(values))
        new = sorted(f"+{value}" for value in set(values) - set(field.values))
        yield Change(use.name, where, Kind.VALUES, "", " ".join([*gone, *new]))


def _gone(use: Operation, part: str, path: str, others: Sequence[str]) -> Change:
    name = path.rpartition(".")[2].removesuffix("[]")
    close = get_close_matches(name, others, n=1, cutoff=0.6)
    return Change(use.name, f"{part} {path}", Kind.RENAMED if close else Kind.REMOVED, "", close[0] if close else "")


def _first_missing(document: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> tuple[str, list[str]]:
    """The first part of a path that is not there, and what stands in its place's object."""
    so_far: list[str] = []
    inner: Mapping[str, Any] = schema
    for part in path.split("."):
        so_far.append(part)
        found = _at(document, inner, part)
        if found is None:
            break
        inner = found
    return ".".join(so_far), [str(name) for name in _object(inner.get("properties"))]


def _at(document: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The schema at a place, references followed; None where it is not there."""
    inner = schema
    for part in path.split("."):
        properties = _object(inner.get("properties"))
        name = part.removesuffix("[]")
        if name not in properties:
            return None
        inner = _resolved(document, _object(properties[name]))
        if part.endswith("[]"):
            if not isinstance(inner.get("items"), dict):
                return None
            inner = _resolved(document, inner["items"])
    return inner


def _content(document: Mapping[str, Any], told: Any) -> Mapping[str, Any]:
    content = _object(_resolved(document, _object(told)).get("content"))
    return _resolved(document, _object(_object(content.get("application/json")).get("schema")))


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any], depth: int = 0) -> Mapping[str, Any]:
    """References followed and parts of an `allOf` put together."""
    if depth > REFERENCES_MOST:
        return {}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        target: Any = document
        for part in reference.removeprefix("#/").split("/"):
            target = _object(target).get(part)
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return {**_resolved(document, _object(target), depth + 1), **beside}
    if not isinstance(schema.get("allOf"), list):
        return schema
    together: dict[str, Any] = {}
    for part in _list(schema["allOf"]):
        found = _resolved(document, _object(part), depth + 1)
        properties = {**_object(together.get("properties")), **_object(found.get("properties"))}
        required = [*_list(together.get("required")), *_list(found.get("required"))]
        together = {**together, **found, "properties": properties, "required": required}
    return {**together, **{name: value for name, value in schema.items() if name != "allOf"}}


def _type(schema: Mapping[str, Any]) -> tuple[str, bool]:
    """The type, and whether it may be null: by its own word, or as one of several types (3.1)."""
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kinds = [str(one) for one in kind if one != "null"]
        return (kinds[0] if len(kinds) == 1 else "|".join(kinds)), "null" in kind
    return str(kind), schema.get("nullable") is True


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
