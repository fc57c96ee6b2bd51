"""The venue's modes: what it takes at the moment, and in which words it refuses the rest.

A restart answers 425 to everything about orders, then takes only post-only orders and cancels for a while, then everything.
Maintenance refuses everything with 503, then takes cancels only. The sequences are set by an operator or by a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from aiohttp import web

from venues.simulated.happenings import S
from venues.simulated.polymarket_auth import error

Phase = Literal["open", "restarting", "post_only", "cancel_only", "disabled"]
Act = Literal["place", "place_post_only", "cancel"]
POST_ONLY_S = 120.0
POST_ONLY = "post-only mode: only post-only orders and cancels are allowed"
CANCEL_ONLY = "Trading is currently cancel-only. New orders are not accepted, but cancels are allowed."
DISABLED = "Trading is currently disabled. Check polymarket.com for updates"
RESTARTING = "the matching engine is restarting, please retry"


class Mode:
    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._phases: list[tuple[int, Phase]] = []
        """When each phase ends, soonest first."""

    def enter(self, phases: Sequence[tuple[Phase, float]]) -> None:
        """Phases with their lengths in seconds, one after the other from now on; what was planned before is dropped."""
        at_ns = self._now()
        self._phases = []
        for phase, seconds in phases:
            at_ns += int(seconds * S)
            self._phases.append((at_ns, phase))

    def restart(self, engine_s: float, post_only_s: float = POST_ONLY_S) -> None:
        self.enter((("restarting", engine_s), ("post_only", post_only_s)))

    def maintenance(self, disabled_s: float, cancel_only_s: float) -> None:
        self.enter((("disabled", disabled_s), ("cancel_only", cancel_only_s)))

    @property
    def phase(self) -> Phase:
        while self._phases and self._phases[0][0] <= self._now():
            self._phases.pop(0)
        return self._phases[0][1] if self._phases else "open"

    @property
    def left_s(self) -> int:
        """Whole seconds until the next phase, at least one."""
        phase = self.phase
        return 0 if phase == "open" else max(1, -(-(self._phases[0][0] - self._now()) // S))

    def refusal(self, act: Act) -> web.Response | None:
        """What this act is answered at the moment; None where it may go on."""
        match self.phase:
            case "restarting":
                return error(425, RESTARTING)
            case "post_only" if act == "place":
                return self._restricted(POST_ONLY, "post_only_mode")
            case "cancel_only" if act != "cancel":
                return self._restricted(CANCEL_ONLY, "cancel_only_mode")
            case "disabled":
                return self._restricted(DISABLED, "trading_disabled")
            case _:
                return None

    def leg_refusal(self, act: Act) -> str:
        """The same for one order of several, which post-only mode refuses within a good answer; "" where it may go on."""
        return POST_ONLY if self.phase == "post_only" and act == "place" else ""

    def _restricted(self, text: str, code: str) -> web.Response:
        left_s = self.left_s
        body = {"error": text, "code": code, "retry_after_seconds": left_s}
        return web.json_response(body, status=503, headers={"Retry-After": str(left_s)})
