"""What supervisors say of those they look after: records for the driver, in the order in which things happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from actors.runtime import Remote


class What(StrEnum):
    DIED = "died"
    """Noticed dead; `reason` says of what."""
    BECAME = "became"
    """A warm process took the name."""
    STARTED = "started"
    """Its `start` returned: it has recovered."""
    INTRODUCED = "introduced"
    """Its peers know it: it is back in service."""
    ESCALATED = "escalated"
    """Its supervisor gave up."""
    HALTED = "halted"
    """Nobody is left to give up to: the safe state."""
    RESUMED = "resumed"


@dataclass(frozen=True, slots=True)
class Happening:
    what: What
    name: str
    at: int
    """Wall time in nanoseconds."""
    epoch: int = 0
    pid: int = 0
    reason: str = ""
    region: str = ""
    address: str = ""
    node: str = ""
    spare: bool = False
    """It stepped into a process that stood by."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One incarnation, ready to be introduced."""

    name: str
    epoch: int
    pid: int
    node: str
    address: str
    region: str
    remote: Remote
    became_at: int
    started_at: int
    spare: bool


@dataclass(frozen=True, slots=True)
class News:
    """One entry of the root's bulletin."""

    number: int
    happening: Happening
    remote: Remote | None = None
