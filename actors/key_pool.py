"""The key pool of one venue: owns its keys and the order budget of its account. The rules are `core/keys.py`.

Budgets perish, so nothing waits for them to come back: an executor renews its lease about twice a second, ahead of need.
"""

from __future__ import annotations

from collections.abc import Sequence

from loguru import logger

from actors.company import Peers
from actors.memory import Memory
from actors.points import reach
from actors.shell import Clock, Outbox, Place
from configs.settings import read_settings
from core.keys import HOUR, MINUTE, TOKEN, Pool
from messages.base import Message
from messages.control import PeerDown, PeerUp, Resume
from messages.leases import KeysGranted, WantKeys


class KeyPool:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._settings = read_settings(place.settings)
        self.venue = place.name.partition(".")[2]
        self._own = self._settings.venues[self.venue]
        self._peers = Peers()
        self._out = False

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        self._outbox, self._clock = outbox, clock
        self._memory = Memory(self.place, clock, self._settings.engine.durability.value)
        self.epoch = self._memory.epoch
        self.pool = Pool(self._own.orders_per_second, [key.name for key in self._own.keys], clock.now())
        self._memory.recall(lambda _, fact: self.pool.fold(fact))
        self.pool.restarted(clock.now())
        return ""

    async def stop(self) -> None:
        self._memory.close()

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        self._peers.introduced(peer)

    async def hear(self, sender: str, message: Message) -> Message | None:
        match message:
            case WantKeys() if message.venue == self.venue and not self.pool.outdated(message):
                grant = self._lease(message)
                reach("before-reply")
                self._outbox.tell(sender, grant)
                return grant  # whoever asked and did not tell has it from here; twice is harmless
            case Resume():
                self._remember([message])
        return None

    def _lease(self, want: WantKeys) -> KeysGranted:
        now = self._clock.now()
        self.pool.pass_time(now)
        if self.pool.tells(want):
            self._remember([want])
        self._alert()
        grant = self.pool.grant(want, self.epoch, now)
        if grant is None:
            return self.pool.repeat(want, self.epoch, now)
        self._remember([grant])
        return grant

    def _alert(self) -> None:
        out = not self.pool.choose(self._clock.now()).healthy
        if out and not self._out:
            logger.error("every key of {} is out: nothing opens there", self.venue)
        self._out = out

    def _remember(self, facts: Sequence[Message]) -> None:
        reach("before-append")
        self._memory.remember(facts)
        reach("after-append")
        for fact in facts:
            self.pool.fold(fact)

    def snapshot(self) -> dict[str, object]:
        pool, now = self.pool, self._clock.now()
        return {
            "epoch": self.epoch,
            "venue": self.venue,
            "capacity": pool.capacity,
            "reserve": pool.reserve,
            "level": pool.level // TOKEN,
            "outstanding": pool.outstanding,
            "preferred": pool.preferred,
            "out": self._out,
            "keys": {
                name: {
                    "state": "quarantined" if key.quarantined else "healthy" if key.healthy(now) else "backing off",
                    "backing_off_until": key.backing_off_until,
                    "strikes": key.strikes,
                    "used_minute": key.used(now, MINUTE),
                    "used_hour": key.used(now, HOUR),
                    "outstanding": pool.outstanding_of(name),
                }
                for name, key in pool.keys.items()
            },
            "leases": len(pool.leases),
            "peers": self._peers.up(),
            "journal_seq": self._memory.seq,
            "failed": "",
        }
