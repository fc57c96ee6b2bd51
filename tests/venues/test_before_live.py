"""The page of unverified facts is complete in itself: every row says what is taken, where, and how to find out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "outcomes" / "before-live.md").read_text()
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in TEXT.splitlines()
    if re.match(r"^\| B[KP]-", line)
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0].strip("| ") for row in ROWS])
def test_each_row_is_whole_and_names_code_that_exists(row: tuple[str, ...]) -> None:
    assert len(row) == 5, row
    assert all(row)
    files = re.findall(r"`([a-z_/]+\.py)`", row[3])
    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_rows_are_numbered_without_a_gap() -> None:
    for venue in ("BK", "BP"):
        numbers = [int(row[0].strip("| ")[3:]) for row in ROWS if row[0].strip("| ").startswith(venue)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_the_rows_of_policies_that_it_names_exist() -> None:
    policies = "".join((ROOT / "docs" / "outcomes" / f"{venue}.md").read_text() for venue in ("kalshi", "polymarket"))
    named = set(re.findall(r"\b([KP]-\d\d)\b", TEXT))
    assert named
    assert all(f"| {row} |" in policies for row in named)
