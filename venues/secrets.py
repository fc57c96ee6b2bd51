"""Secrets by reference: `file:PATH` or `env:NAME`. Resolved by the actor that signs, where it signs, and nowhere else.

A configuration, a message, a constructor argument and a journal carry the reference. What it leads to is wrapped: it
prints as stars, and it refuses to be pickled, since a pickle is how it would leave the process unseen. What the text
means (JSON, PEM, a bare word) is for the adapter of its venue to say.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from dotenv import dotenv_values
from pydantic import SecretStr

from venues.port import NotReady

BYTES_MOST = 65_536
REFERENCE = re.compile(r"^(?:file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$")


class SecretUnavailable(NotReady):
    """The reference leads nowhere, or to something that others can read. Says what to do, never what was read."""

    def __init__(self, reference: str, message: str, remedy: str) -> None:
        self.reference, self.message, self.remedy = safe(reference), message, remedy
        super().__init__(f"{self.reference}: {message}; {remedy}")


class Secret(SecretStr):
    """The text behind a reference. `get_secret_value` opens it; only the code that signs may (a test reads the rooms)."""

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret stays in the process that resolved it; pass its reference")


def safe(reference: str) -> str:
    """A reference as it may be printed; what is none is perhaps the secret itself."""
    return reference if REFERENCE.match(reference) else "(not a reference)"


def resolve(reference: str, *, environ: Mapping[str, str] | None = None, dotenv: Path = Path(".env")) -> Secret:
    """Read what a reference leads to, or `SecretUnavailable`."""
    if not REFERENCE.match(reference):
        raise SecretUnavailable(reference, "is neither file:PATH nor env:NAME", "write one of the two")
    scheme, _, rest = reference.partition(":")
    if scheme == "file":
        text = _private_text(Path(rest).expanduser(), reference)
    else:
        text = _variable(rest, reference, os.environ if environ is None else environ, dotenv)
    if not text.strip():
        raise SecretUnavailable(reference, "is empty", "put the secret into it")
    return Secret(text.strip())


def text_behind(reference: str) -> str:
    """The plain text, for an adapter that takes a loader, parses the text itself and hides what it parsed."""
    return resolve(reference).get_secret_value()


def _variable(name: str, reference: str, environ: Mapping[str, str], dotenv: Path) -> str:
    found = environ.get(name)
    if found is None and dotenv.is_file():
        found = dotenv_values(dotenv).get(name)
        if found:
            _private_text(dotenv, reference)
    if not found:
        raise SecretUnavailable(
            reference, f"the variable {name} is not set", "set it, or put it into .env with mode 0600"
        )
    return found


def _private_text(path: Path, reference: str) -> str:
    """The text of a file that nobody else can read. Judged by the open file, so that it cannot be exchanged in between."""
    try:
        # Not blocking: a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretUnavailable(reference, f"cannot be read: {error.strerror}", "name a file of yours") from None
    try:
        _must_be_private(os.fstat(descriptor), path, reference)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            raw = file.read(BYTES_MOST + 1)
    finally:
        os.close(descriptor)
    if len(raw) > BYTES_MOST:
        raise SecretUnavailable(reference, f"is larger than {BYTES_MOST:,} bytes", "is this the right file?")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretUnavailable(reference, "is not text", "is this the right file?") from None


def _must_be_private(about: os.stat_result, path: Path, reference: str) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise SecretUnavailable(reference, "is not a regular file", "name a file")
    if about.st_uid not in {os.geteuid(), 0}:
        raise SecretUnavailable(reference, "belongs to somebody else", "make a copy that is yours, with mode 0600")
    if about.st_mode & 0o077:
        mode = f"{stat.S_IMODE(about.st_mode):04o}"
        raise SecretUnavailable(reference, f"can be read by others (mode {mode})", f"run: chmod 600 '{path}'")
