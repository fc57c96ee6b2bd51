"""The recorder: owns the read model, in which other processes look up what was decided and what happened.

Nothing here decides anything, and losing it loses no money: it is rebuilt by nobody and asked by people. Rows wait in
memory and are written five times a second in a thread of their own, so that nobody's loop waits for the disk.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter, deque
from collections.abc import Iterable, Sequence

from loguru import logger

from actors.company import Chores, Peers
from actors.shell import Clock, Outbox, Place
from journal.read_model import FILE, TABLES, Row, Tables, open_read_model
from messages.base import Message, body_of
from messages.control import Ask, Decided, PeerDown, PeerUp, Snapshot, Told, TradeStory
from messages.opportunities import Decision

__all__ = ["Recorder", "open_read_model"]

STORIES = "stories.jsonl"
WRITE_EVERY_S = 0.2
WAITING_MOST = 100_000
"""Rows in memory; a disk that keeps up needs some hundred."""
SEQUENCES_KEPT = 4_096
"""Of one incarnation of a source, by which repetitions are known."""


class Recorder:
    def __init__(self, place: Place) -> None:
        self.place = place
        self._peers, self._chores = Peers(), Chores()
        self._heard: dict[tuple[str, int], deque[int]] = {}
        self._waiting: deque[Row] = deque()
        self._turn = threading.Lock()
        self.verdicts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()
        self._repeated = self._lost = 0

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        del outbox  # it tells nobody anything
        self._clock = clock
        directory = self.place.run_directory
        directory.mkdir(parents=True, exist_ok=True)
        self._stories = directory / STORIES
        self._tables = Tables(directory / FILE)
        with open_read_model(directory) as model:
            counts = model.counts()
        self.verdicts.update(counts["verdicts"])
        self.reasons.update(counts["reasons"])
        self.rows.update(counts["rows"])
        self._chores.begin(self._keep_writing())
        return ""

    async def stop(self) -> None:
        await self._chores.stop()
        self._write(self._taken())
        self._tables.close()

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        self._peers.introduced(peer)

    async def hear(self, sender: str, message: Message) -> Message | None:
        del sender
        self._chores.must_be_sound()
        match message:
            case Decided() if self._is_new(message):
                self._keep(message.decisions)
                self._keep(message.crossings)
            case Told():
                self._keep(message.stories)
            case Ask():
                body = self._counts() if message.what == "counts" else self.snapshot()
                epoch, now = self.place.epoch, self._clock.now()
                return Snapshot(name=self.place.name, epoch=epoch, at=now, body=json.dumps(body))
        return None

    def _is_new(self, decided: Decided) -> bool:
        known = self._heard.setdefault((decided.source, decided.epoch), deque(maxlen=SEQUENCES_KEPT))
        if decided.sequence in known:
            self._repeated += 1
            return False
        known.append(decided.sequence)
        for source, epoch in list(self._heard):
            if source == decided.source and epoch < decided.epoch - 1:
                del self._heard[source, epoch]
        return True

    def _keep(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if len(self._waiting) >= WAITING_MOST:
                self._lost += 1
                if self._lost == 1:
                    logger.error("the read model cannot keep up: rows are lost from here on")
                continue
            self._waiting.append(row)

    # Writing

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            if self._waiting:
                await asyncio.to_thread(self._write, self._taken())

    def _taken(self) -> Sequence[Row]:
        rows, self._waiting = self._waiting, deque()
        return rows

    def _write(self, rows: Sequence[Row]) -> None:
        """One transaction; then the lines that people follow, of what is in it and was not before."""
        with self._turn:
            new = self._tables.add(rows)
            lines = b"".join(body_of(row) + b"\n" for row in new if isinstance(row, TradeStory))
            if lines:
                with self._stories.open("ab") as file:
                    file.write(lines)
            decisions = [row for row in new if isinstance(row, Decision)]
            self.verdicts.update(row.verdict.value for row in decisions)
            self.reasons.update(row.reason.value for row in decisions if row.reason is not None)
            self.rows.update(TABLES[type(row)] for row in new)

    # Being looked at

    def _counts(self) -> dict[str, object]:
        return {"verdicts": dict(self.verdicts), "reasons": dict(self.reasons), "rows": dict(self.rows)}

    def snapshot(self) -> dict[str, object]:
        return {
            "epoch": self.place.epoch,
            **self._counts(),
            "waiting": len(self._waiting),
            "repeated": self._repeated,
            "lost": self._lost,
            "peers": self._peers.up(),
            "failed": self._chores.failed,
        }
