"""An actor's journal, in messages: what was remembered is a fold of messages, and what is remembered is appended first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.shell import Clock, Place
from journal import Journal, Level, Record, open_journal, stores
from messages.base import Message, body_of, name_of, parse


class Memory:
    """Opened by `recall`, which locks before it reads; after that `remember` appends before anybody acts."""

    def __init__(self, place: Place, clock: Clock, level: str, wait_s: float = 10.0) -> None:
        self._clock = clock
        self._failure: BaseException | None = None
        self._journal: Journal
        if place.store:
            self._journal = stores[place.store].open(place.name, Level(level))
        else:
            self._journal = open_journal(
                place.run_directory / "journal",
                place.name,
                level=Level(level),
                wait_s=wait_s,
                wall_ns=lambda: int(clock.now()),
            )
        self.genesis = self._journal.genesis
        self.epoch = self._journal.epoch

    @property
    def seq(self) -> int:
        """Of the last record; the next append continues from it."""
        return self._journal.last_seq

    def recall(self, fold: Callable[[int, Message], object]) -> int:
        """Fold everything that earlier incarnations remembered, in order; how many records that was."""
        count = 0
        for entry in self._journal.replay():
            fold(entry.seq, parse(entry.kind, entry.body))
            count += 1
        return count

    def remember(self, messages: Sequence[Message]) -> int:
        """Append all of these in one transaction; durable when it returns. A failure is fatal to the actor: whatever it
        folded of them is not what the journal says, so nothing may be remembered after it.
        """
        if self._failure is not None:
            raise self._failure
        records = [Record(name_of(message), body_of(message)) for message in messages]
        try:
            return self._journal.append(records, int(self._clock.now()))
        except BaseException as failure:
            self._failure = failure
            raise

    def close(self) -> None:
        self._journal.close()
