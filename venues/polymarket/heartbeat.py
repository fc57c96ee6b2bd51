"""The venue's dead-man switch: once an API key has beaten, the venue cancels its orders when it stops.

Each beat carries the id that the last one brought. A wrong id is refused with the right one, and a switch that is not fed in
time cancels everything of the key. So there is one owner per key, and one beat at a time.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

import msgspec

from messages.reasons import Refusal, Trouble
from messages.units import SECOND, Nanos
from venues.calls import Calls
from venues.patience import wait_asked
from venues.port import ActAnswer, Clock, Denied, Done, Failed, Unsure
from venues.reading import is_object, json_of, text_of

PATH = "/v1/heartbeats"
BEAT_EVERY = Nanos(5 * SECOND)
LAPSES_AFTER = Nanos(10 * SECOND)

_owners: WeakValueDictionary[str, Heartbeat] = WeakValueDictionary()
"""By API key, who feeds its switch in this process."""


class Heartbeat:
    def __init__(self, key: str, calls: Calls, clock: Clock) -> None:
        self._key = key
        self._calls = calls
        self._clock = clock
        self._turn = asyncio.Lock()
        self._last = ""
        self._fed_at = Nanos(0)

    @property
    def armed(self) -> bool:
        """Once fed it cannot be disarmed, but by letting it lapse."""
        return self._fed_at > 0

    def lapsed(self) -> bool:
        """Fed too long ago: the venue has cancelled this key's resting orders, or is about to."""
        return self.armed and self._clock.now() - self._fed_at >= LAPSES_AFTER

    def release(self) -> None:
        """Let another owner feed it."""
        if _owners.get(self._key) is self:
            del _owners[self._key]

    async def beat(self) -> ActAnswer:
        """`Denied` and `Unsure` mean that the key's orders may be cancelled: look them up."""
        if _owners.setdefault(self._key, self) is not self:
            return Denied(Refusal.OTHER, "another adapter of this process feeds the switch of this key")
        async with self._turn:
            body = msgspec.json.encode({"heartbeat_id": self._last})
            answer = await self._calls.act("POST", PATH, body)
            if isinstance(answer, Failed):
                # the beat may have counted, and then our id is no longer the last: the next answer says which is
                return Unsure(Trouble.TIMEOUT, answer.text)
            told = json_of(answer.body)
            following = text_of(told, "heartbeat_id") if is_object(told) else ""
            expected = is_object(told) and "heartbeat_id" in told
            if answer.status == 200 and is_object(told):
                self._last, self._fed_at = following, self._clock.now()
                return Done(self._fed_at)
            if answer.status == 400 and expected:
                self._last = following
                text = "the heartbeat's id was not the last one: another owner feeds this key, or a beat was lost"
                return Denied(Refusal.INVALID, text)
            if answer.status == 401:
                return Denied(Refusal.AUTH, "HTTP 401")
            if answer.status == 429:
                return Denied(Refusal.RATE_LIMIT, "HTTP 429", wait_asked(answer))
            return Unsure(Trouble.SERVER_ERROR, f"HTTP {answer.status}")
