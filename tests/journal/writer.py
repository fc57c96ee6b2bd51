"""A writer in a process of its own, to be killed: prints each acknowledged entry, and how it ended."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from pathlib import Path

from journal import Fenced, JournalFailed, Level, Record, open_journal


def body(seq: int, size: int) -> bytes:
    """What entry `seq` must contain, so that a reader can tell."""
    return (b"entry %d." % seq).ljust(size, b"-")


def say(text: str) -> None:
    # Unbuffered: what was printed was acknowledged, and what was acknowledged is printed.
    os.write(sys.stdout.fileno(), f"{text}\n".encode())


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("directory", type=Path)
    options.add_argument("--name", default="executor.0")
    options.add_argument("--level", type=Level, default=Level.PROCESS)
    options.add_argument("--size", type=int, default=600)
    options.add_argument("--appends", type=int, default=10**9)
    options.add_argument("--gap", type=float, default=0.0)
    options.add_argument("--file-bytes", type=int, default=0)
    given = options.parse_args()
    if given.file_bytes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (given.file_bytes, given.file_bytes))
    journal = open_journal(given.directory, given.name, level=given.level, wall_ns=time.time_ns)
    say(f"open {journal.genesis} {journal.epoch}")
    seq = journal.last_seq
    for number in range(given.appends):
        count = 1 + number % 4
        batch = [Record("fill", body(seq + 1 + at, given.size)) for at in range(count)]
        try:
            seq = journal.append(batch, time.time_ns())
        except (Fenced, JournalFailed) as refusal:
            say(f"refused {type(refusal).__name__}")
            if isinstance(refusal, Fenced):
                return
            try:
                journal.append([Record("fill", b"again")], 0)
            except JournalFailed:
                say("refused again")
            return
        say(f"acknowledged {seq}")
        time.sleep(given.gap)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
