"""When Kalshi trades: its own word of now, and its timetable. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from messages.markets import VenueMode
from messages.units import SECOND, Nanos
from venues.port import VenueState
from venues.reading import is_object, object_of, objects, text_of, time_of, whole_of

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYS_AHEAD = 8
SEVERITY = (VenueMode.OPEN, VenueMode.UNKNOWN, VenueMode.CANCEL_ONLY, VenueMode.PAUSED)


def mode_of(told: Any) -> VenueMode:
    if not is_object(told):
        return VenueMode.UNKNOWN
    active, trading = told.get("exchange_active"), told.get("trading_active")
    if active is False:
        return VenueMode.PAUSED
    if trading is False:
        # a trading pause still takes cancels
        return VenueMode.CANCEL_ONLY
    return VenueMode.OPEN if active is True and trading is True else VenueMode.UNKNOWN


def state_of(told: Any, used: frozenset[int]) -> VenueState:
    """The top of the answer is about shard 0 alone: the worst of it and of the shards that are `used` counts."""
    shards = tuple(
        (shard, mode_of(part))
        for part in objects(told.get("exchange_index_statuses") if is_object(told) else None)
        if (shard := whole_of(part, "exchange_index")) is not None
    )
    concerned = [mode for shard, mode in shards if shard in used] or [mode_of(told)]
    if not used or 0 in used:
        concerned.append(mode_of(told))
    mode = max(concerned, key=SEVERITY.index)
    resumes_at = time_of(text_of(told, "exchange_estimated_resume_time")) if is_object(told) else None
    return VenueState(mode, resumes_at if mode is not VenueMode.OPEN else None, shards)


def next_stop(told: Any, now: Nanos) -> Nanos | None:
    """When trading next stops by the timetable; None where it does not say or does not stop within a week."""
    timetable = object_of(told, "schedule")
    starts = (
        _span(window, "start_datetime", "end_datetime") for window in objects(timetable.get("maintenance_windows"))
    )
    ahead = [max(start, now) for start, end in filter(None, starts) if end > now]
    closing = _closing(timetable, now)
    return min([*ahead, *([] if closing is None else [closing])], default=None)


def _span(told: Mapping[str, Any], first: str, last: str) -> tuple[Nanos, Nanos] | None:
    start, end = time_of(text_of(told, first)), time_of(text_of(told, last))
    return None if start is None or end is None or end <= start else (start, end)


def _closing(timetable: Mapping[str, Any], now: Nanos) -> Nanos | None:
    """The end of the session that we are in, sessions that touch taken as one. None outside of any."""
    try:
        eastern = ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError:
        return None
    today = datetime.fromtimestamp(now // SECOND, UTC).astimezone(eastern).date() - timedelta(days=1)
    until: Nanos | None = None
    sessions = sorted(
        session
        for ahead in range(DAYS_AHEAD + 1)
        for session in _sessions(
            timetable, datetime.combine(today + timedelta(days=ahead), datetime.min.time(), eastern)
        )
    )
    for start, end in sessions:
        if until is None and start <= now < end:
            until = end
        elif until is not None and start <= until:
            until = max(until, end)
    horizon = now + (DAYS_AHEAD - 1) * 86_400 * SECOND
    return None if until is None or until >= horizon else until


def _sessions(timetable: Mapping[str, Any], midnight: datetime) -> Iterator[tuple[Nanos, Nanos]]:
    start_of_day = Nanos(int(midnight.timestamp()) * SECOND)
    for week in objects(timetable.get("standard_hours")):
        valid = _span(week, "start_time", "end_time")
        if valid is not None and not valid[0] <= start_of_day < valid[1]:
            continue
        for session in objects(week.get(DAYS[midnight.weekday()])):
            opens, closes = (_clock_time(text_of(session, key)) for key in ("open_time", "close_time"))
            if opens is None or closes is None:
                continue
            # 00:00 as an end is the end of the day
            closes = closes if closes > opens else closes + timedelta(days=1)
            yield _moment(midnight, opens), _moment(midnight, closes)


def _moment(midnight: datetime, after: timedelta) -> Nanos:
    # by the wall clock, so that a day of 23 or 25 hours ends when it ends
    return Nanos(int((midnight + after).timestamp()) * SECOND)


def _clock_time(text: str) -> timedelta | None:
    hours, _, minutes = text.partition(":")
    minutes = minutes.partition(":")[0]
    if not (hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit()):
        return None
    if len(hours) > 2 or len(minutes) > 2 or int(hours) > 24 or int(minutes) > 59:
        return None
    return timedelta(hours=int(hours), minutes=int(minutes))
