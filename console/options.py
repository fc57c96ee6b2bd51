"""What a person asked of one session, typed: the command line turns words into this, and the session reads nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from messages.units import SECOND, Nanos

if TYPE_CHECKING:
    from configs.pairs import Listing, SetAside
    from configs.settings import Settings
    from messages.markets import Pair

_ACTOR = re.compile(
    r"^(?:executor(?:\.(?:[2-9]|[1-9][0-9]))?|in_flight|cooldowns|position_book|recorder"
    r"|(?:key_pool|feed|account|supervisor)\.[a-z][a-z0-9_]*)$"
)
_POINT = re.compile(r"^[a-z][a-z0-9-]*(?:#[1-9][0-9]{0,5})?$")
_SECONDS = re.compile(r"^[0-9]{1,6}(?:\.[0-9]{1,9})?$")


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL of one actor's process: at a time of the run, or as it passes a named point (`POINT#N`: the N-th time)."""

    actor: str
    after: Nanos | None = None
    point: str | None = None

    def __str__(self) -> str:
        if self.after is None:
            return f"{self.actor}@{self.point}"
        return f"{self.actor}@{Decimal(self.after) / SECOND:f}"


class NotAKill(ValueError):
    """The text says what was expected."""


def parse_kill(text: str) -> Kill:
    """`executor@12.5`, `key_pool.kalshi@8`, `executor@between-legs`, `executor.2@after-append#3`."""
    actor, at, when = text.partition("@")
    if not at or not actor or not when:
        raise NotAKill(f"{text!r} is not ACTOR@SECONDS or ACTOR@POINT, such as executor@12 or executor@between-legs")
    if not _ACTOR.match(actor):
        raise NotAKill(
            f"{actor!r} names no actor; there are executor, executor.2 and on, in_flight, cooldowns, position_book, recorder, "
            "key_pool.VENUE, feed.VENUE, account.VENUE, supervisor.NAME"
        )
    if _SECONDS.match(when):
        return Kill(actor, after=Nanos(int(Decimal(when) * SECOND)))
    if not _POINT.match(when):
        raise NotAKill(f"{when!r} is neither a number of seconds nor a point such as after-append or between-legs#2")
    return Kill(actor, point=when)


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """One run. `settings` already holds what the options of the command line changed."""

    settings: Settings
    pairs: tuple[Pair, ...]
    set_aside: tuple[SetAside, ...] = ()
    """Pairs that do not trade, with the reason."""
    listings: dict[tuple[str, str], Listing] = field(default_factory=dict)
    """(venue, market) → how the registry says that venue lists it."""
    kills: tuple[Kill, ...] = ()
    as_json: bool = False
    """One document on stdout and nothing else there; logs go to stderr either way."""
    config_files: tuple[str, ...] = ()
