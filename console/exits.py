"""Exit codes. Frozen: scripts and schedulers of other people branch on them."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    """Done, and everything is reconciled."""
    ERROR = 1
    """Something that nobody foresaw; the text is on stderr."""
    USAGE = 2
    """The command line makes no sense."""
    CONFIGURATION = 3
    """The configuration is invalid; every problem was told, and nothing was started."""
    PREFLIGHT = 4
    """The configuration is valid and the world is not ready: a port, a journal of another version, a venue, a key."""
    HALTED = 5
    """A kill switch or a limit stopped the engine."""
    EXPOSED = 6
    """It ended with exposure, escalated or not, or it did not reconcile; a simulation broke an invariant or showed too
    little. A person has to look.
    """
    UNREACHABLE = 7
    """The engine that the command wanted to talk to is not there."""
    INTERRUPTED = 130
    """Forced by a second SIGINT."""
    TERMINATED = 143
    """Forced by a second SIGTERM."""
