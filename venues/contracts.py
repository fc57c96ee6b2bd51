"""How a venue's adapter declares what it uses of the venue's contract, so that a newer contract can be compared with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """What we use of one operation; one line a field: its place, its type (`?`: may be null, `!`: always there,
    or always wanted), and its values where they are listed. `[]` is a list's items.
    """

    method: str
    path: str
    id: str
    status: str
    """Of the answer that we read."""
    query: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a declaration."""

    path: str
    type: str
    nullable: bool
    always: bool
    values: tuple[str, ...]


def under(place: str, fields: Iterable[str]) -> tuple[str, ...]:
    """The same fields at a deeper place."""
    return tuple(place + field for field in fields)


def field_of(line: str) -> Field:
    path, kind, *values = line.split(" ")
    bare = kind.rstrip("?!")
    listed = tuple("" if value == "''" else value for value in values[0].split("|")) if values else ()
    return Field(path, bare, "?" in kind, "!" in kind, listed)
