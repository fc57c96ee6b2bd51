"""What no single key can say: values that must fit each other. Each section that is valid by itself is examined, also
where another one is not, so that a person sees every mistake at once.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from configs.problems import Problem, shown
from configs.settings import Mode, RecoverySettings, RiskSettings, Settings, SimSettings, VenueSettings

FAULTS = ("none", "standard", "storm")
REFERENCE = re.compile(r"^(?:file:.+|env:[A-Za-z_][A-Za-z0-9_]*)$")
"""The form of a reference to a secret; `venues/secrets.py` says what each leads to."""
VENUE_NAME = re.compile(r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")
SourceOf = Callable[[str], str]
Section = TypeVar("Section", bound=BaseModel)


def valid(model: type[Section], values: object) -> Section | None:
    """The section where it is valid by itself."""
    try:
        return model.model_validate(values)
    except ValidationError:
        return None


def examine(merged: Mapping[str, object], source_of: SourceOf) -> Iterator[Problem]:
    mode = _mode(merged)
    for path, given, message, remedy in _examine(merged, mode):
        yield Problem(path, shown(path, given), message, remedy, source_of(path))


def venues_of(merged: Mapping[str, object]) -> dict[str, VenueSettings | None]:
    """Every venue that is named; None where its own settings are not valid."""
    named = merged.get("venues")
    if not isinstance(named, Mapping):
        return {}
    return {str(name): valid(VenueSettings, values) for name, values in named.items()}


Finding = tuple[str, object, str, str]


def _examine(merged: Mapping[str, object], mode: Mode | None) -> Iterator[Finding]:
    if mode is not None and mode is not Mode.SIM:
        yield "mode", mode.value, "this version trades with simulated venues only", "write mode: sim"
    sim = valid(SimSettings, merged.get("sim", {}))
    for name, venue in venues_of(merged).items():
        yield from _references(name, merged)
        yield from _venue(name, venue, mode, sim)
    risk = valid(RiskSettings, merged.get("risk", {}))
    if risk is not None:
        yield from _risk(risk)
    recovery = valid(RecoverySettings, merged.get("recovery", {}))
    if recovery is not None and recovery.ask_first_ms > recovery.ask_most_ms:
        text = f"is more than recovery.ask_most_ms ({recovery.ask_most_ms})"
        yield "recovery.ask_first_ms", recovery.ask_first_ms, text, "the first question comes before the rarest"
    if sim is not None:
        yield from _sim(sim)


def _mode(merged: Mapping[str, object]) -> Mode | None:
    try:
        return Mode(str(merged.get("mode", Settings.model_fields["mode"].default)))
    except ValueError:
        return None


def _venue(name: str, venue: VenueSettings | None, mode: Mode | None, sim: SimSettings | None) -> Iterator[Finding]:
    path = f"venues.{name}"
    if not VENUE_NAME.match(name):
        remedy = "use small letters, digits and single underscores: it becomes part of actor names and variables"
        yield path, name, "this cannot be the name of a venue", remedy
    if venue is None:
        return
    names = [key.name for key in venue.keys]
    for number, key in enumerate(venue.keys):
        if not key.name or key.name in names[:number]:
            text = "two keys have this name" if key.name else "a key needs a name"
            yield f"{path}.keys[{number}].name", key.name, text, "give each key a name of its own"
        if not key.secret and mode is not None and mode is not Mode.SIM:
            yield f"{path}.keys[{number}].secret", None, "this mode needs credentials", "write file:PATH or env:NAME"
    if mode is Mode.SIM and sim is not None and venue.capital_dollars > sim.deposit_dollars:
        text = f"is more than the simulated account holds (sim.deposit_dollars {sim.deposit_dollars})"
        yield f"{path}.capital_dollars", venue.capital_dollars, text, "lower it, or raise sim.deposit_dollars"
    if venue.late_arrival_ms < venue.request_timeout_ms:
        text = f"is less than request_timeout_ms ({venue.request_timeout_ms}): an order may arrive later than that"
        yield f"{path}.late_arrival_ms", venue.late_arrival_ms, text, f"write {venue.request_timeout_ms} or more"


def _references(name: str, merged: Mapping[str, object]) -> Iterator[Finding]:
    """Judged on what was written, so that a secret in the wrong place is told also where the rest of its venue is wrong."""
    venues = merged.get("venues")
    venue = venues.get(name) if isinstance(venues, Mapping) else None
    keys = venue.get("keys") if isinstance(venue, Mapping) else None
    for number, key in enumerate(keys if isinstance(keys, list) else []):
        secret = key.get("secret") if isinstance(key, Mapping) else None
        if isinstance(secret, str) and secret and not REFERENCE.match(secret):
            remedy = (
                "write file:PATH or env:NAME; if a real secret stood here, replace it, since it was in a plain file"
            )
            yield f"venues.{name}.keys[{number}].secret", secret, "is neither file:PATH nor env:NAME", remedy


def _risk(risk: RiskSettings) -> Iterator[Finding]:
    if risk.collar_low >= risk.collar_high:
        text = f"is not below risk.collar_high ({risk.collar_high})"
        yield "risk.collar_low", risk.collar_low, text, "leave room between the two"
    if risk.collar_high > 1:
        yield (
            "risk.collar_high",
            risk.collar_high,
            "is more than a dollar, which is all a contract can pay",
            "write 1 or less",
        )
    if risk.contracts_most > risk.position_most_contracts:
        text = f"is more than risk.position_most_contracts ({risk.position_most_contracts})"
        yield "risk.contracts_most", risk.contracts_most, text, "one trade must fit into a position"


def _sim(sim: SimSettings) -> Iterator[Finding]:
    if sim.faults not in FAULTS and not Path(sim.faults).is_file():
        yield (
            "sim.faults",
            sim.faults,
            "is no known script and no file",
            f"write one of: {', '.join(FAULTS)}, or a path",
        )
    if sim.tape and not Path(sim.tape).is_dir():
        yield "sim.tape", sim.tape, "is not a folder", "name the folder of a recording"
    if sim.tape_speed <= 0:
        yield "sim.tape_speed", sim.tape_speed, "time must pass", "write more than 0"
    moments = {"sim.tape_from": moment(sim.tape_from), "sim.tape_to": moment(sim.tape_to)}
    for path, when in moments.items():
        text = getattr(sim, path.removeprefix("sim."))
        if text and when is None:
            yield path, text, "is not a time", "write it like 2026-01-03T23:16 (UTC)"
    start, end = moments.values()
    if start is not None and end is not None and start >= end:
        yield "sim.tape_to", sim.tape_to, f"is not after sim.tape_from ({sim.tape_from})", "write a later time"


def moment(text: str) -> dt.datetime | None:
    """A time as people write it, UTC where they do not say; None where it is none."""
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=dt.UTC)
