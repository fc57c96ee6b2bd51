"""What Kalshi charges, and from when: a series' fees, an event's override of them, and changes that are scheduled.

From shortly before a scheduled change until the venue's own answer shows it, the dearer of both counts, for takers and for
makers each: nobody knows to the second which one a fill meets. Pure: answers and times in, schedules out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from messages.markets import FeeFormula, FeeSchedule
from messages.units import SECOND, Money, Nanos
from venues.reading import ratio_ppm, text_of, time_of

TAKER_PPM = 70_000
MAKER_PPM = {"quadratic": 0, "quadratic_with_maker_fees": 17_500, "quadratic_with_combo_maker_fees": 35_000}
FEE_STEP = Money(100)
"""Balance changes are aligned to 1/100 cent for direct members, as every recorded fee is."""

AHEAD = Nanos(10 * SECOND)
"""A change counts this much early: two clocks, and an order on its way."""
REMEMBERED = Nanos(600 * SECOND)
"""How long after its time a change counts beside what the venue answers, which may lag."""


def fee_schedule(event: Mapping[str, Any], series: Mapping[str, Any], at: Nanos) -> FeeSchedule | None:
    """None where the venue states no multiplier, or a kind of fee that is not known: an unknown fee is no fee of nothing."""
    kind, raw = text_of(series, "fee_type"), series.get("fee_multiplier")
    if text_of(event, "fee_type_override"):
        kind, raw = text_of(event, "fee_type_override"), event.get("fee_multiplier_override")
    multiplier = ratio_ppm(raw)
    if multiplier is None or kind not in MAKER_PPM:
        return None
    return FeeSchedule(
        formula=FeeFormula.KALSHI,
        version=0,
        taker_ppm=-(-TAKER_PPM * multiplier // 1_000_000),
        maker_ppm=-(-MAKER_PPM[kind] * multiplier // 1_000_000),
        step=FEE_STEP,
        verified_at=at,
    )


@dataclass(frozen=True, slots=True)
class FeeChange:
    """One scheduled change of a series' fees or of an event's override."""

    id: str
    at: Nanos
    series: str
    """"" for a change of an event."""
    event: str
    """"" for a change of a series."""
    told: Mapping[str, Any]


def series_change(told: Mapping[str, Any]) -> FeeChange | None:
    at, series = time_of(text_of(told, "scheduled_ts")), text_of(told, "series_ticker")
    if at is None or not series:
        return None
    about = {"fee_type": told.get("fee_type"), "fee_multiplier": told.get("fee_multiplier")}
    return FeeChange(text_of(told, "id") or f"{series}@{at}", at, series, "", about)


def event_change(told: Mapping[str, Any]) -> FeeChange | None:
    """A change without override ends the event's own fees: it then pays its series'."""
    at, event = time_of(text_of(told, "scheduled_ts")), text_of(told, "event_ticker")
    if at is None or not event:
        return None
    about = {name: told.get(name) for name in ("fee_type_override", "fee_multiplier_override")}
    return FeeChange(text_of(told, "id") or f"{event}@{at}", at, "", event, about)


class Fees:
    """The scheduled changes that were told of."""

    def __init__(self) -> None:
        self._changes: dict[str, FeeChange] = {}

    def remember(self, changes: Iterable[FeeChange], now: Nanos) -> None:
        self._changes |= {change.id: change for change in changes}
        self._changes = {k: change for k, change in self._changes.items() if change.at > now - REMEMBERED}

    def next_at(self, now: Nanos) -> Nanos | None:
        """When the next change begins to count."""
        ahead = [Nanos(change.at - AHEAD) for change in self._changes.values() if change.at - AHEAD > now]
        return min(ahead, default=None)

    def schedule(self, event: Mapping[str, Any], series: Mapping[str, Any], now: Nanos) -> FeeSchedule | None:
        """What counts now; None where any fee that may count cannot be read."""
        found = fee_schedule(event, series, now)
        for change in sorted(self._changes.values(), key=lambda change: change.at):
            if not change.at - AHEAD <= now < change.at + REMEMBERED:
                continue
            if change.series and change.series == text_of(series, "ticker"):
                also = fee_schedule(event, {**series, **change.told}, now)
            elif change.event and change.event == text_of(event, "event_ticker"):
                also = fee_schedule({**event, **change.told}, series, now)
            else:
                continue
            found = _dearer(found, also)
        return found


def _dearer(one: FeeSchedule | None, other: FeeSchedule | None) -> FeeSchedule | None:
    if one is None or other is None:
        return None
    dearer = {name: max(getattr(one, name), getattr(other, name)) for name in ("taker_ppm", "maker_ppm")}
    return one.model_copy(update=dearer)
