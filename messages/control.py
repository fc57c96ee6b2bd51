"""Between supervisors, actors and the person at the console."""

from __future__ import annotations

from messages.base import Command, Event, Message
from messages.markets import VenueMode
from messages.opportunities import CrossingEnded, Decision
from messages.units import Money, Nanos


class PeerUp(Event):
    """An introduction: this peer lives under this epoch; older incarnations are to be ignored."""

    name: str
    epoch: int
    address: str = ""
    """Where its own socket listens, if it has one."""


class PeerDown(Event):
    name: str
    epoch: int


class VenueSeen(Event):
    """What a feed or a gateway learnt of its venue's state."""

    venue: str
    mode: VenueMode
    reachable: bool
    at: Nanos


class Halt(Command):
    """Stop opening at once; closing goes on."""

    by: str
    why: str


class Resume(Command):
    by: str
    why: str


class Drain(Command):
    """Open nothing more, finish what is open, flush; answer when flat or at the deadline."""

    within: Nanos


class Drained(Event):
    open_trades: int
    in_doubt: int
    unreported: int


class Decided(Event):
    """Decision records and ended crossings on their way to the recorder."""

    source: str
    epoch: int
    sequence: int
    decisions: tuple[Decision, ...] = ()
    crossings: tuple[CrossingEnded, ...] = ()


class TradeStory(Message):
    """One line about a trade in plain words, for a person to follow the run."""

    trade: str
    at: Nanos
    stage: str
    text: str
    result: Money | None = None
    """Of a final trade: what it came to, net of fees."""


class Told(Event):
    """Stories on their way to the recorder and the console."""

    source: str
    epoch: int
    stories: tuple[TradeStory, ...]


class Ask(Command):
    """An inspection: answered from a snapshot, never from the work itself."""

    what: str = "snapshot"


class Snapshot(Event):
    """A frozen look at one actor: `body` is JSON, so that any actor can say what it owns in its own words."""

    name: str
    epoch: int
    at: Nanos
    body: str
