"""What every owner that executors report to has in common: it hears each entry once, remembers it, and says how far it is.

Hear, append, fold, perform: an acknowledgement leaves only after the append, and what is folded live is what a successor
folds from the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from actors.company import Peers
from actors.memory import Memory
from actors.points import reach
from actors.shell import Clock, Outbox, Place
from configs.settings import Settings
from core.claims import Heard
from messages.base import Message
from messages.leases import Reported


class Keeping:
    """An owner's journal, its reports and its peers. `fold` changes the owner's state by one fact and nothing else."""

    def __init__(
        self,
        place: Place,
        settings: Settings,
        entries: Literal["booked", "flights", "cooled"],
        fold: Callable[[Message], None],
    ) -> None:
        self._place, self._settings, self._entries, self._fold = place, settings, entries, fold
        self.heard, self.peers = Heard(), Peers()

    def open(self, outbox: Outbox, clock: Clock) -> int:
        """Fold the past; the epoch of this incarnation."""
        self._outbox = outbox
        self._memory = Memory(self._place, clock, self._settings.engine.durability.value)
        self._memory.recall(lambda _, fact: self._take(fact))
        return self._memory.epoch

    def close(self) -> None:
        self._memory.close()

    def report(self, sender: str, report: Reported) -> None:
        """Entries that are new, and an answer in any case: a report that repeats asks how far we are."""
        if part := self.heard.part(report, self._entries):
            self.remember([part])
        reach("before-reply")
        self._outbox.tell(sender, self.heard.answer(self._place.name, self._memory.epoch, report.source))

    def remember(self, facts: Sequence[Message]) -> None:
        reach("before-append")
        self._memory.remember(facts)
        reach("after-append")
        for fact in facts:
            self._take(fact)

    def _take(self, fact: Message) -> None:
        if isinstance(fact, Reported):
            self.heard.fold(fact)
        self._fold(fact)

    def seen(self) -> dict[str, object]:
        """The part of a snapshot that all owners share."""
        return {
            "epoch": self._memory.epoch,
            "acknowledged": dict(self.heard.upto),
            "peers": self.peers.up(),
            "journal_seq": self._memory.seq,
            "failed": "",
        }
