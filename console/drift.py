"""`run.py venues drift`: what a newer contract of a venue changed in what we use of it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from console.exits import Exit
from venues.drift import Unreadable, drift, read, shown
from venues.kalshi.contract import USES

SCHEMA_VERSION = 1


def compare(path: Path, *, as_json: bool) -> int:
    """0 where everything that we use is as it was, 6 where a person has to look, 3 where the file is no such document."""
    try:
        document = read(path.read_text(encoding="utf-8", errors="replace"))
    except (Unreadable, OSError) as problem:
        sys.stderr.write(f"{path}: {problem}\n")
        if as_json:
            _print({"error": "unreadable", "text": f"{path}: {problem}"})
        return Exit.CONFIGURATION
    changes = drift(document)
    told = document.get("info")
    version = str(told.get("version", "")) if isinstance(told, dict) else ""
    if as_json:
        _print({"version": version, "operations": len(USES), "changes": [asdict(change) for change in changes]})
    else:
        of = f"version {version}" if version else "the document"
        for line in shown(changes):
            print(line)
        print(f"{of}: {len(changes)} changes in the {len(USES)} operations that we use")
    return Exit.EXPOSED if changes else Exit.OK


def _print(body: dict[str, object]) -> None:
    print(json.dumps({"schema_version": SCHEMA_VERSION} | body, indent=2))
