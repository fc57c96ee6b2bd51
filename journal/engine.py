"""The engine's directory: its genesis id, and where each journal lives in it."""

from __future__ import annotations

import json
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from journal.errors import JournalDamaged, JournalFailed, JournalVersion

ENGINE_VERSION = 1
"""Of `engine.json`; the format of the journals has its own."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_GENESIS = re.compile(r"[0-9a-f]{8}")


def database(directory: Path, name: str) -> Path:
    """The file of one journal. Names may contain dots, so suffixes are added, never replaced."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a journal: small letters, digits, '_', '.', '-', at most 100")
    return directory / f"{name}.sqlite"


def lock_file(directory: Path, name: str) -> Path:
    return directory / f"{name}.lock"


def names(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name.removesuffix(".sqlite") for path in directory.glob("*.sqlite")))


def sync_directory(directory: Path) -> None:
    """A new name in a directory survives a power cut only after this."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def take_genesis(directory: Path) -> str:
    """The engine's genesis id, drawn now if nobody did before; writers that race agree."""
    path = directory / "engine.json"
    if not path.exists():
        # Listed before the second look: whoever created a journal had a genesis then, so journals without one mean
        # that it was removed, and a second genesis must not be drawn beside them.
        orphans = names(directory)
        if not path.exists():
            if orphans:
                raise JournalDamaged(path, 0, f"it is missing, yet there are journals here ({', '.join(orphans[:5])})")
            _draw(path)
    return read_genesis(directory)


def read_genesis(directory: Path) -> str:
    path = directory / "engine.json"
    try:
        stated = json.loads(path.read_bytes())
        version, genesis = int(stated["version"]), str(stated["genesis"])
    except FileNotFoundError:
        raise JournalDamaged(path, 0, "it is missing") from None
    except (ValueError, KeyError, TypeError) as fault:
        raise JournalDamaged(path, 0, f"it cannot be read ({type(fault).__name__})") from fault
    if version != ENGINE_VERSION:
        raise JournalVersion(path, version, ENGINE_VERSION)
    if not _GENESIS.fullmatch(genesis):
        raise JournalDamaged(path, 0, "its genesis id is not eight hexadecimal digits")
    return genesis


def _draw(path: Path) -> None:
    # Written whole under a name of its own, then linked: linking is as exclusive as O_EXCL, but the loser of the race,
    # or whoever comes after a crash, never sees half a file.
    draft = path.with_name(f".engine.{os.getpid()}.{secrets.token_hex(4)}")
    text = json.dumps({"version": ENGINE_VERSION, "genesis": secrets.token_hex(4)}) + "\n"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            if os.write(fd, text.encode()) != len(text):
                raise JournalFailed(str(path), "a short write; is the disk full?")
            os.fsync(fd)
        finally:
            os.close(fd)
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    sync_directory(path.parent)
