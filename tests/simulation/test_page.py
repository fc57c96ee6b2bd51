"""`docs/simulation.md` says what there is: every fault and every invariant, and none that is gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from simulation.chance import Fault

HOUSE = Path(__file__).resolve().parents[2]
PAGE = (HOUSE / "docs" / "simulation.md").read_text()


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table below a heading, without its head."""
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    section = rest.partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    for line in table[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_fault_is_described_in_the_order_of_the_list() -> None:
    described = [cells[0].strip("`") for cells in rows("The faults") if not cells[0].startswith("**")]
    assert described == [fault.value for fault in Fault]


def test_no_description_is_empty() -> None:
    assert not [cells for cells in rows("The faults") if not cells[0].startswith("**") and not cells[1]]


def test_every_invariant_that_is_judged_is_described_and_no_other() -> None:
    judged = {
        found
        for file in (HOUSE / "simulation").glob("*.py")
        if file.name != "planted.py"
        for found in re.findall(r'"(I\d+): ', file.read_text())
    }
    described = [cells[0] for cells in rows("The invariants, and where each is judged")]
    assert set(described) == judged
    assert described == sorted(described, key=lambda name: int(name[1:]))
