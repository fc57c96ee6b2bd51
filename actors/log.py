"""One plain log file per actor, and the last words of a process that ends itself.

Nothing goes to stdout: a worker's output is Ray's, and a person's terminal is the console's. Tracebacks never show the
values of variables (`diagnose=False`), because some of those are credentials.
"""

from __future__ import annotations

import logging
from pathlib import Path

from loguru import logger

LINE = "{time:YYYY-MM-DDTHH:mm:ss.SSSSSS!UTC}Z {level: <7} {extra[actor]} {message}"
FILE_BYTES_MOST = 20_000_000
FILES_KEPT = 5
WORDS_MOST = 600
"""Of a reason that is shown to a person; the traceback stands in the log file."""


class _Bridge(logging.Handler):
    """What libraries say through the standard module goes to the same file."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(exception=record.exc_info).log(min(record.levelno, 40), "{}: {}", record.name, record.getMessage())


def configure(actor: str, run_directory: Path, level: str = "INFO") -> Path:
    """Send everything that this process logs to its own file."""
    path = run_directory / "logs" / f"{actor}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    logger.remove()
    logger.configure(extra={"actor": actor})
    logger.add(
        path,
        level=level,
        format=LINE,
        colorize=False,
        backtrace=False,
        diagnose=False,
        rotation=FILE_BYTES_MOST,
        retention=FILES_KEPT,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)
    return path


def words_of(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}"[:WORDS_MOST] if text else type(error).__name__


def _words_path(run_directory: Path, actor: str, epoch: int) -> Path:
    return run_directory / "last_words" / f"{actor}.{epoch}"


def leave_words(run_directory: Path, actor: str, epoch: int, cause: str, words: str) -> None:
    """Say why this process ends. The supervisor sees only that it ended; the file tells it why."""
    path = _words_path(run_directory, actor, epoch)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{cause} {words}"[:WORDS_MOST])


def last_words(run_directory: Path, actor: str, epoch: int) -> tuple[str, str]:
    """Cause and words of an ended process; both empty where it had no time to speak (SIGKILL)."""
    try:
        cause, _, words = _words_path(run_directory, actor, epoch).read_text().partition(" ")
    except (OSError, UnicodeDecodeError):
        return "", ""
    return cause, words
