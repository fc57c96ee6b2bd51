"""What is wrong with a configuration: every mistake at once, each with its path, the value given and the remedy.

The reader is somebody whose engine did not start. A secret pasted into the wrong place must not reach the screen, so a
value is shown only where nothing secret can stand.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

SHOWN_MOST = 60
HIDDEN = "(hidden)"
NOTHING = "(nothing)"

_SECRET_KEY = re.compile(r"secret|private|passphrase|password|mnemonic|credential|pem|api_?key|(^|_)auth|(^|_)token$")
_PUBLIC_KEY = re.compile(r"^(yes|no)_token$|^condition_id$")
_SECRET_TEXT = re.compile(r"PRIVATE KEY|^(0x)?[0-9a-fA-F]{64}$|^[A-Za-z0-9+/_-]{40,}={0,2}$")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake."""

    path: str
    given: str
    message: str
    remedy: str
    source: str = ""
    """Where the value came from: a file and its line, a variable, an option."""

    def __str__(self) -> str:
        where = f"   ({self.source})" if self.source else ""
        return f"{self.path} = {self.given}{where}\n    {self.message}\n    → {self.remedy}"


class ConfigurationInvalid(Exception):
    """Nothing was started. `problems` is everything that is wrong, not the first thing."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(str(self))

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"configuration invalid: {count} {'problem' if count == 1 else 'problems'}"
        return "\n".join([head, *(f"  {line}" for problem in self.problems for line in str(problem).splitlines())])


def dotted(location: Iterable[str | int]) -> str:
    """`("venues", "kalshi", "keys", 0, "name")` as a person writes it: `venues.kalshi.keys[0].name`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text or "(the whole file)"


def shown(path: str, value: object) -> str:
    """The value as it may be printed."""
    key = path.rsplit(".", 1)[-1].lower()
    if isinstance(value, Mapping):
        return f"(a section with {len(value)} keys)"
    if isinstance(value, list | tuple):
        return f"(a list of {len(value)})"
    if value is None:
        return NOTHING
    text = str(value)
    if key == "secret" and text.startswith(("file:", "env:")):
        return repr(text)
    if not _PUBLIC_KEY.search(key) and (_SECRET_KEY.search(key) or _SECRET_TEXT.search(text)):
        return HIDDEN
    if len(text) > SHOWN_MOST:
        text = text[: SHOWN_MOST - 1] + "…"
    return repr(text) if isinstance(value, str) else text


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    found = difflib.get_close_matches(name.lower(), list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, known: Sequence[str], prefix: str = "", otherwise: str = "") -> str:
    meant = nearest(name, known)
    if meant is not None:
        return f"did you mean {prefix}{meant}?"
    return otherwise or f"known here: {', '.join(known)}"


def from_validation(
    error: ValidationError,
    model: type[BaseModel],
    *,
    source_of: Callable[[str], str] = lambda _path: "",
    prefix: tuple[str | int, ...] = (),
) -> list[Problem]:
    """Every error that pydantic found in `model`, in our words. `prefix` is where the model stands in the whole tree."""
    problems = []
    for detail in error.errors(include_url=False):
        path = dotted((*prefix, *detail["loc"]))
        given = NOTHING if detail["type"] == "missing" else shown(path, detail["input"])
        if detail["type"] == "extra_forbidden" and _may_hold_credentials(path) and given is not NOTHING:
            given = HIDDEN
        problems.append(Problem(path, given, _message(detail), _remedy(detail, model, prefix), source_of(path)))
    return problems


def places_of(key: str, model: type[BaseModel]) -> list[str]:
    """Where else in the tree a key of this name is known."""
    found = []
    for name, field in model.model_fields.items():
        if name == key:
            found.append(name)
        inner = unwrapped(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += [f"{name}.{place}" for place in places_of(key, inner)]
    return found


def annotation_at(model: type[BaseModel], location: Sequence[str | int]) -> Any:
    """The declared type at a place in the tree, or None where the place does not exist."""
    annotation: Any = model
    for part in location:
        annotation = unwrapped(annotation)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            if field is None:
                return None
            annotation = field.annotation
        elif origin in {dict, Mapping}:
            annotation = arguments[1]
        elif origin in {tuple, list}:
            annotation = arguments[0]
        else:
            return None
    return unwrapped(annotation)


def unwrapped(annotation: Any) -> Any:
    """Without `Annotated` and without `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, UnionType}:
        real = [choice for choice in get_args(annotation) if choice is not type(None)]
        if len(real) == 1:
            return unwrapped(real[0])
    return annotation


def _may_hold_credentials(path: str) -> bool:
    return path.startswith("venues.")


def _message(detail: ErrorDetails) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return "no such key"
        case "missing":
            return "this key is needed"
        case "value_error":
            return str(detail["ctx"]["error"]) if "ctx" in detail else detail["msg"]
        case _:
            return detail["msg"].replace("Input should", "should")


_REMEDIES = {
    "missing": "add it",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "decimal_parsing": 'write a number in quotes, such as "12.50"',
    "decimal_type": 'write a number in quotes, such as "12.50"',
    "decimal_max_places": "write at most 6 decimals",
    "decimal_max_digits": "write a smaller number",
    "decimal_whole_digits": "write a smaller number",
    "finite_number": "write a finite number",
    "string_type": "put the value in quotes",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "model_type": "this is a section: write its keys below it, indented",
    "model_attributes_type": "this is a section: write its keys below it, indented",
    "dict_type": "this is a section: write its keys below it, indented",
    "tuple_type": "this is a list: write its entries below it, each after a dash",
    "list_type": "this is a list: write its entries below it, each after a dash",
    "path_type": "write a path in quotes",
}


def _remedy(detail: ErrorDetails, model: type[BaseModel], prefix: tuple[str | int, ...]) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "extra_forbidden":
            return _remedy_for_unknown(detail["loc"], model, prefix)
        case "enum" | "literal_error":
            choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            meant = nearest(str(detail["input"]), choices)
            return f"did you mean {meant}?" if meant is not None else f"write one of: {', '.join(choices)}"
        case "greater_than_equal":
            return f"write {context['ge']} or more"
        case "greater_than":
            return f"write more than {context['gt']}"
        case "less_than_equal":
            return f"write {context['le']} or less"
        case "less_than":
            return f"write less than {context['lt']}"
        case "too_short":
            return f"name at least {context['min_length']}"
        case _:
            return _REMEDIES.get(kind, "correct the value")


def _remedy_for_unknown(location: tuple[str | int, ...], model: type[BaseModel], prefix: tuple[str | int, ...]) -> str:
    *above, last = location
    key = str(last)
    parent = annotation_at(model, above)
    known = list(parent.model_fields) if isinstance(parent, type) and issubclass(parent, BaseModel) else []
    elsewhere = places_of(key, model)
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    inside = dotted((*prefix, *above)) + "." if (*prefix, *above) else ""
    return did_you_mean(key, known, inside)
