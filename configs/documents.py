"""YAML as configuration needs it: nothing is guessed, nothing is read twice, nothing can grow.

Only plain values exist: text, whole numbers, exact decimals, true, false, nothing. `yes` is text and not true, a date is
text and not a date, `010` is text and not eight, 0.1 is exactly a tenth. A key that stands twice is a mistake that would
silently win; an anchor can make a small file huge; both are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from configs.problems import Problem, dotted, shown

BYTES_MOST = 1_000_000
DEPTH_MOST = 16
NODES_MOST = 100_000
DIGITS_MOST = 18

_STR, _INT, _FLOAT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_BOOL, _NULL = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Document:
    """What a file said, on which line it said it, and what was wrong with it."""

    values: Mapping[str, object]
    sources: Mapping[str, str]
    problems: tuple[Problem, ...] = ()


class _TooMuch(Exception):
    def __init__(self, message: str, event: yaml.Event) -> None:
        super().__init__(message)
        self.line = event.start_mark.line + 1 if event.start_mark is not None else None


class _Loader(yaml.SafeLoader):
    """Composes nodes only; `_Reading` turns them into values. Limits hold while composing, before memory is spent."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the library's own name for them, declared without ClassVar

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _TooMuch("anchors and aliases (& and *) are not allowed", event)
        self._depth += 1
        self._nodes += 1
        if self._depth > DEPTH_MOST:
            raise _TooMuch(f"deeper than {DEPTH_MOST} levels", event)
        if self._nodes > NODES_MOST:
            raise _TooMuch(f"more than {NODES_MOST} values", event)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|false|True|False|TRUE|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_NULL, re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_INT, re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT, re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?$"), list("-+0123456789")
)


_SCALARS: Mapping[str, Callable[[str], object]] = {
    _STR: str,
    _BOOL: lambda text: text.lower() == "true",
    _NULL: lambda _text: None,
    # Longer ones are identities and not amounts; as text they meet a field that says so.
    _INT: lambda text: int(text) if len(text) <= DIGITS_MOST else text,
    _FLOAT: Decimal,
}


@dataclass(slots=True)
class _Reading:
    name: str
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def value(self, node: yaml.Node, location: tuple[str | int, ...]) -> object:
        self.sources[dotted(location)] = self._source(node)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, location)
            case yaml.SequenceNode():
                return [self.value(entry, (*location, number)) for number, entry in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node, location)
            case _:
                return None

    def _mapping(self, node: yaml.MappingNode, location: tuple[str | int, ...]) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != _STR:
                path, name = dotted(location), shown("", getattr(key, "value", "a section"))
                self._problem(path, name, "a key is not a word", "put the key in quotes", key)
                continue
            place = (*location, key.value)
            if key.value in values:
                first = self.sources[dotted(place)]
                text = f"the key stands twice, first at {first}"
                self._problem(
                    dotted(place), shown(dotted(place), getattr(value, "value", None)), text, "remove one of them", key
                )
                continue
            values[key.value] = self.value(value, place)
            self.sources[dotted(place)] = self._source(key)
        return values

    def _scalar(self, node: yaml.ScalarNode, location: tuple[str | int, ...]) -> object:
        path = dotted(location)
        read = _SCALARS.get(node.tag)
        try:
            if read is not None:
                return read(str(node.value))
        except (ValueError, ArithmeticError):
            pass
        kind = node.tag.removeprefix("tag:yaml.org,2002:")[:40]
        self._problem(path, shown(path, node.value), f"the tag {kind} cannot be used here", "remove it", node)
        return None

    def _problem(self, path: str, given: str, message: str, remedy: str, node: yaml.Node) -> None:
        self.problems.append(Problem(path, given, message, remedy, self._source(node)))

    def _source(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}"


def read(path: Path) -> Document:
    """Read one file. What cannot be read is a problem with a remedy, never an exception and never an empty document."""
    name = str(path)

    def refused(message: str, remedy: str, line: int | None = None) -> Document:
        source = name if line is None else f"{name}:{line}"
        return Document({}, {}, (Problem("(the whole file)", repr(name), message, remedy, source),))

    try:
        raw = path.read_bytes() if path.stat().st_size <= BYTES_MOST else None
    except OSError as error:
        return refused(f"cannot be read: {error.strerror}", "name a file that exists and that you may read")
    if raw is None:
        return refused(f"larger than {BYTES_MOST:,} bytes", "is this the right file?")
    try:
        loader = _Loader(raw.decode("utf-8-sig"))
        node: Any = loader.get_single_node()
    except UnicodeDecodeError:
        return refused("is not UTF-8 text", "save it as UTF-8")
    except _TooMuch as error:
        return refused(str(error), "write it plainly", error.line)
    except yaml.MarkedYAMLError as error:
        # Not the excerpt that the parser offers: the line may hold a secret.
        line = error.problem_mark.line + 1 if error.problem_mark is not None else None
        return refused(f"is not valid here: {error.problem}", "correct that line", line)
    except yaml.YAMLError:
        return refused("has characters that YAML does not allow", "save it as plain text")
    if node is None:
        return Document({}, {})
    if not isinstance(node, yaml.MappingNode):
        return refused(
            "is not a list of keys and values", "start it with a line such as `version: 1`", node.start_mark.line + 1
        )
    reading = _Reading(name)
    values = reading.value(node, ())
    return Document(values if isinstance(values, dict) else {}, reading.sources, tuple(reading.problems))
