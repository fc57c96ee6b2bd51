"""Start, follow and kill a writer in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from journal import Entry

ROOT = Path(__file__).parents[2]


class Writer:
    """One process that appends until it is killed, refused, or done."""

    def __init__(self, directory: Path, *options: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("writer.py")), str(directory), *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
        self.acknowledged = 0
        self.genesis, self.epoch = "", 0

    @property
    def pid(self) -> int:
        return self._process.pid

    def line(self) -> str:
        """The next thing it says; empty at its end."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().rstrip()
        word, *rest = line.split() or [""]
        if word == "acknowledged":
            self.acknowledged = int(rest[0])
        elif word == "open":
            self.genesis, self.epoch = rest[0], int(rest[1])
        return line

    def until(self, acknowledged: int) -> Self:
        while self.acknowledged < acknowledged:
            assert self.line(), "the writer ended early"
        return self

    def rest(self) -> list[str]:
        return list(iter(self.line, ""))

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> Self:
        """Kill, read what it had still said, reap; nothing where that was done before."""
        assert self._process.stdout is not None
        if not self._process.stdout.closed:
            self._process.kill()
            self.rest()
            self.reap()
        return self

    def reap(self) -> None:
        """Wait for an end that comes by itself."""
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def writing(directory: Path, *options: str) -> Iterator[Writer]:
    writer = Writer(directory, *options)
    try:
        yield writer
    finally:
        writer.kill()


def killed_after(directory: Path, appends: int, *options: str) -> Writer:
    """A journal as a killed process leaves it: everything acknowledged, nothing closed."""
    with writing(directory, "--appends", str(appends), *options) as writer:
        writer.rest()
    return writer


def check_bodies(entries: list[Entry], size: int = 600) -> None:
    """Every entry is the one that was written there."""
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    for entry in entries:
        assert entry.body == (b"entry %d." % entry.seq).ljust(size, b"-")
