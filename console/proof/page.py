"""Where text for a person is printed: colours only on a terminal that wants them, and plain ASCII where nothing else fits."""

from __future__ import annotations

import sys
from typing import IO, cast

from rich.console import Console

WIDTH_LEAST = 100
PLAIN = str.maketrans({"→": "->", "·": "-", "–": "-", "—": "-", "−": "-", "×": "x", "…": "...", "≥": ">=", "≤": "<="})


def plain(text: str) -> str:
    """The same in ASCII."""
    return text.translate(PLAIN).encode("ascii", "replace").decode()


def is_ascii(stream: IO[str]) -> bool:
    """Whether a stream takes no more than ASCII for certain."""
    return not (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "").startswith("utf")


class _Ascii:
    """A stream that cannot show everything gets what it can show."""

    encoding = "ascii"

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(plain(text))

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


def page(stream: IO[str] | None = None) -> Console:
    """A console on a stream (stdout); a file or a pipe gets lines that are long enough to be searched."""
    stream = sys.stdout if stream is None else stream
    file = cast("IO[str]", _Ascii(stream)) if is_ascii(stream) else stream
    console = Console(file=file, highlight=False, safe_box=True, emoji=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH_LEAST)
    return console
