"""The isolated environment of the published clients: made from its own lock, apart from ours, and made anew when the lock changes."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements-conformance.lock"
FOLDER = ROOT / ".crossfill" / "conformance"
INSTALL_WITHIN_S = 600


class CannotBuild(Exception):
    """The environment could not be made; the text is the installer's own complaint."""


def python_of(folder: Path) -> Path:
    return folder / "venv" / "bin" / "python"


def ready(folder: Path = FOLDER) -> bool:
    """It is as the lock says, and its interpreter runs."""
    mark = folder / "installed.lock"
    if not mark.is_file() or mark.read_bytes() != LOCK.read_bytes():
        return False
    try:
        probe = [str(python_of(folder)), "-c", "import pykalshi, py_clob_client_v2, websockets"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def build(folder: Path = FOLDER) -> float:
    """Make it where it is not ready; returns the seconds that took, 0 where nothing was to do.

    The index is whoever installs' choice: nothing here or in the lock names one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "building").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two runs at once share one environment
        if ready(folder):
            return 0.0
        began = time.monotonic()
        (folder / "installed.lock").unlink(missing_ok=True)
        _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")])
        _run(
            [
                str(python_of(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
                "--require-hashes", "-r", str(LOCK),
            ]
        )  # fmt: skip
        shutil.copyfile(LOCK, folder / "installed.lock")
        return time.monotonic() - began


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_WITHIN_S, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise CannotBuild(f"{Path(command[0]).name}: {problem}") from None
    if done.returncode:
        complaint = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
        raise CannotBuild("\n".join(complaint[-8:]) or f"{command[2]} ended with {done.returncode}")
