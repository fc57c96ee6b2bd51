"""What an actor is, apart from where it runs: a plain asyncio class that a runtime hosts.

The same shell runs in a Ray process and in a test without Ray. It reaches others only through `Outbox`, which the
runtime fills with whoever has been introduced; it never looks anyone up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.units import Nanos


class Clock(Protocol):
    def now(self) -> Nanos:
        """Wall time at start, monotonic after it."""


class Unheard(Exception):
    """An ask got no answer in its time: the peer is unknown, dead, hung or slow. The request may have had its effect."""


class Outbox(Protocol):
    """How a shell reaches its peers. Names may be patterns (`executor*`)."""

    def tell(self, to: str, message: Message) -> int:
        """Send without waiting to every introduced peer that `to` matches; the number of peers. Never blocks or raises."""

    async def ask(self, to: str, message: Message, within: Nanos) -> Message:
        """One answer from one peer, or `Unheard`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Everything a shell is given at birth. Small values only: no handles, no secrets, nothing that cannot be pickled."""

    name: str
    epoch: int
    """Given by the supervisor; a shell with a journal uses the journal's own, which is at least as new."""
    run_directory: Path
    """Journals, logs, sockets and kill records of this engine."""
    settings: str
    """The whole configuration as JSON; each shell reads its own part."""
    kill_at: tuple[str, ...] = ()
    """Named points at which this process kills itself (chaos runs)."""
    tags: tuple[tuple[str, str], ...] = field(default=())
    store: str = ""
    """Where journals are kept: "" is the run directory; a simulation names a store in memory (`journal.forgetful`)."""


class Shell(Protocol):
    """One actor. `start` recovers and returns when ready; a raise in it is a failed start, said to the supervisor."""

    place: Place

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        """Lock, read, fold, open. Returns the address of its own socket, or ""."""

    async def hear(self, sender: str, message: Message) -> Message | None:
        """One message. May come twice and in any order; never raises for what a peer can send."""

    def introduced(self, peer: PeerUp | PeerDown) -> None: ...

    def snapshot(self) -> dict[str, object]:
        """What it owns, cheap and without waiting; called on the loop once a second and served from the copy."""

    async def stop(self) -> None:
        """Flush and close."""
