"""The venue's mode, as its answers at order entry tell it: it tells it nowhere else.

A restart of the matching engine answers 425 to everything at order entry, and is followed by two minutes in which only
post-only orders and cancels are taken. Other restrictions are told by 503 and words. None of them says when it ends
unless it says how long to wait, so a mode is believed until something disproves it, or for a bounded time.
"""

from __future__ import annotations

from messages.markets import VenueMode
from messages.units import SECOND, Nanos
from venues.http import Response
from venues.patience import wait_asked
from venues.port import Clock
from venues.reading import is_object, json_of, text_of

AFTER_RESTART = Nanos(120 * SECOND)
"""Only post-only orders for so long after the engine is back."""
BELIEVED_FOR = Nanos(60 * SECOND)
"""A restriction without an end; the next order after it asks again."""
ORDER_ENTRY = ("/order", "/orders", "/cancel-all", "/cancel-market-orders")


def mode_in(response: Response) -> VenueMode | None:
    """What an answer says of the venue's mode; None where it says nothing of it."""
    if response.status == 425:
        return VenueMode.PAUSED
    if response.status != 503:
        return None
    told = json_of(response.body)
    if not is_object(told):
        return None
    code, words = text_of(told, "code"), text_of(told, "error").lower()
    if code == "post_only_mode" or "post-only" in words:
        return VenueMode.POST_ONLY
    if code == "cancel_only_mode" or "cancel-only" in words:
        return VenueMode.CANCEL_ONLY
    if "currently disabled" in words:
        return VenueMode.CLOSED
    return None


class Modes:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._mode = VenueMode.OPEN
        self._until = Nanos(0)
        """When the restriction is no longer believed; 0 for one that only another answer ends."""

    def mode(self) -> VenueMode:
        """`OPEN` where nothing speaks against it."""
        if self._until and self._clock.now() >= self._until:
            self._mode, self._until = VenueMode.OPEN, Nanos(0)
        return self._mode

    @property
    def silent(self) -> bool:
        """Nothing is taken, cancels included, and only an answer ends that: so somebody has to ask."""
        return self.mode() in (VenueMode.PAUSED, VenueMode.CLOSED)

    def heed(self, path: str, response: Response) -> None:
        if path.partition("?")[0] not in ORDER_ENTRY:
            return
        now, told = self._clock.now(), mode_in(response)
        if told in (VenueMode.PAUSED, VenueMode.CLOSED):
            self._mode, self._until = told, Nanos(0)
        elif told is not None:
            self._mode, self._until = told, Nanos(now + (wait_asked(response) or BELIEVED_FOR))
        elif response.status < 500 and response.status != 429 and self.silent:
            # the engine answers again: after a restart it takes no order that would take
            after_restart = self._mode is VenueMode.PAUSED
            self._mode = VenueMode.POST_ONLY if after_restart else VenueMode.OPEN
            self._until = Nanos(now + AFTER_RESTART) if after_restart else Nanos(0)

    def refused(self) -> None:
        """An order was refused for the venue's mode, in an answer that was otherwise good."""
        if self.mode() is VenueMode.OPEN:
            self._mode, self._until = VenueMode.POST_ONLY, Nanos(self._clock.now() + BELIEVED_FOR)

    def took(self) -> None:
        """An order that was not post-only was accepted: nothing is restricted."""
        self._mode, self._until = VenueMode.OPEN, Nanos(0)
