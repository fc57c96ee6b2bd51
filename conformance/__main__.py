"""`make conformance`: published clients trade against the simulated venues, unchanged, and see what our adapters see.

    python -m conformance [--json] [--only WORD] [--venue kalshi|polymarket] [--seed N] [--keep]

Prints a table of scenario × client. Ends with 0 where none failed, 1 where one did, 2 where
no scenario has that word, 4 where the environment could not be made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from conformance import environment
from conformance.exchanges import Dialect
from conformance.playbill import SCENARIOS
from conformance.run import Cell, played

EXIT_FAILED, EXIT_USAGE, EXIT_NOT_READY = 1, 2, 4
WHY_MOST = 160


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout and nothing else there")
    parser.add_argument("--only", default="", metavar="WORD", help="scenarios whose name has this in it")
    parser.add_argument("--venue", choices=("kalshi", "polymarket"), help="one venue alone")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what the venues and the clients said there")
    return parser.parse_args()


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def table(cells: list[Cell]) -> str:
    clients = list(dict.fromkeys((c.venue, c.client) for c in cells))
    stories = list(dict.fromkeys(c.scenario for c in cells))
    marks = {"passed": "passed", "failed": "FAILED", "cannot": "–"}
    known = {(c.scenario, c.venue, c.client): c for c in cells}
    wide = max(map(len, stories)) + 2
    heads = [f"{client} on {venue}" for venue, client in clients]
    lines = [" " * wide + "  ".join(heads)]
    for story in stories:
        row = [known.get((story, venue, client)) for venue, client in clients]
        texts = [(marks[c.result] if c else "").ljust(len(head)) for c, head in zip(row, heads, strict=True)]
        lines.append(story.ljust(wide) + "  ".join(texts).rstrip())
    notes = [
        f"  {c.client} on {c.venue}, {c.scenario}: {c.why[: 1_000 if c.result == 'failed' else WHY_MOST]}"
        for c in cells
        if c.why
    ]
    return "\n".join([*lines, "", "– where a client has no means for it, and what else is to be said:", *notes])


def main() -> int:
    given = arguments()
    if not any(given.only in name for name in SCENARIOS):
        say(f"no scenario has {given.only!r} in its name; there are: {', '.join(SCENARIOS)}")
        return EXIT_USAGE
    try:
        took = environment.build()
    except environment.CannotBuild as problem:
        say(f"the isolated environment could not be made: {problem}")
        return EXIT_NOT_READY
    if took:
        say(f"made the isolated environment in {took:.0f} s")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conformance-") as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        venues: list[Dialect] = [given.venue] if given.venue else ["kalshi", "polymarket"]
        cells = asyncio.run(played(folder, venues, given.only, given.seed))
    seconds = time.monotonic() - began
    failed = [c for c in cells if c.result == "failed"]
    if given.json:
        counts = {result: sum(c.result == result for c in cells) for result in ("passed", "failed", "cannot")}
        body = {
            "schema_version": 1, "seconds": round(seconds, 1), "build_seconds": round(took, 1), **counts,
            "cells": [c.told() for c in cells],
        }  # fmt: skip
        sys.stdout.write(json.dumps(body, indent=2) + "\n")
    else:
        sys.stdout.write(table(cells) + "\n")
        passed = sum(c.result == "passed" for c in cells)
        cannot = len(cells) - passed - len(failed)
        sys.stdout.write(f"\n{passed} passed, {len(failed)} failed, {cannot} without means; {seconds:.0f} s\n")
    return EXIT_FAILED if failed else 0


if __name__ == "__main__":
    sys.exit(main())
