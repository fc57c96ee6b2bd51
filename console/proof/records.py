"""What was seen and decided, from the recorder's read model. It serves people; no proof rests on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from console.proof.ledgers import Unreadable
from journal.read_model import ReadModel, open_read_model
from messages.opportunities import Decision, Verdict

ALL = 10_000_000
"""More decisions than a run can have."""


@dataclass(slots=True)
class Records:
    """What the report needs of them."""

    verdicts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    crossings: int = 0
    refused: str = ""
    """The last opportunity that was not taken, to be looked at."""
    problem: str = ""
    """Why there is nothing, where it could not be read."""


def read_records(run_directory: Path) -> Records:
    """The counts of a run. What cannot be read is a problem to be shown, and no reason to show nothing else."""
    try:
        with _opened(run_directory) as model:
            counts = model.counts()
            refused = model.decisions(verdict=Verdict.REFUSED.value, limit=1)
    except Unreadable as problem:
        return Records(problem=str(problem))
    except Exception as problem:  # noqa: BLE001  whatever is wrong with it, the report goes on without it
        return Records(problem=f"{run_directory}: the read model cannot be read ({problem})")
    return Records(
        verdicts=counts["verdicts"],
        reasons=counts["reasons"],
        crossings=counts["rows"].get("crossings", 0),
        refused=refused[-1].opportunity.opportunity if refused else "",
    )


def read_decisions(run_directory: Path) -> list[Decision]:
    """Every decision of a run, oldest first."""
    try:
        with _opened(run_directory) as model:
            return model.decisions(limit=ALL)
    except Unreadable:
        raise
    except Exception as problem:  # noqa: BLE001  whatever a database objects to, it is said in our words
        raise Unreadable(f"{run_directory}: the read model cannot be read ({problem})") from None


def _opened(run_directory: Path) -> ReadModel:
    try:
        return open_read_model(run_directory)
    except FileNotFoundError as problem:
        raise Unreadable(str(problem)) from None
