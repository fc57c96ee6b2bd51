"""What Kalshi says of its markets, its fees and its hours, and what its stream changes between two reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.markets import Market, VenueMode
from messages.units import SECOND, Nanos
from tests.venues.making import AT, Hand
from venues.calls import Calls
from venues.http import Response
from venues.kalshi import hours, metadata
from venues.kalshi.fees import AHEAD, REMEMBERED, Fees, event_change, fee_schedule, series_change
from venues.kalshi.metadata import HELD, Metadata
from venues.port import Failed

CLOSE = "2027-12-31T23:59:00Z"


def at_text(moment: int) -> str:
    return datetime.fromtimestamp(moment // SECOND, UTC).isoformat().replace("+00:00", "Z")


class Venue:
    """A wire that holds one market of one event of one series."""

    def __init__(self) -> None:
        self.market: dict[str, Any] = {
            "ticker": "S-E-M", "event_ticker": "S-E", "title": "Rain", "status": "active", "close_time": CLOSE,
            "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}], "exchange_index": 2,
            "price_level_structure": "linear_cent", "can_close_early": True, "settlement_timer_seconds": 60,
            "result": "", "rules_primary": "If it rains.", "rules_secondary": "In Oslo.",
        }  # fmt: skip
        self.event: dict[str, Any] = {
            "event_ticker": "S-E", "series_ticker": "S", "title": "Rain?", "mutually_exclusive": True,
            "collateral_return_type": "MECNET",
        }  # fmt: skip
        self.series: dict[str, Any] = {
            "ticker": "S", "category": "Climate", "fee_type": "quadratic", "fee_multiplier": 1,
        }  # fmt: skip
        self.answers: dict[str, Any] = {
            "/series/fee_changes": {"series_fee_change_arr": []},
            "/events/fee_changes": {"event_fee_changes": [], "cursor": ""},
            "/exchange/status": {"exchange_active": True, "trading_active": True},
        }
        self.asked: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        self.asked.append(path)
        plain = path.partition("?")[0]
        told = self.answers.get(plain)
        if told is None:
            told = {
                "/markets": {"markets": [self.market], "cursor": ""},
                "/events/S-E": {"event": self.event},
                "/series/S": {"series": self.series},
            }.get(plain)
        if told is None:
            return Response(404, {}, b'{"error":{"code":"not_found"}}')
        return Response(200, {}, json.dumps(told).encode())


async def unsigned(method: str, path: str, body: bytes) -> Mapping[str, str]:
    return {}


def reading(venue: Venue) -> tuple[Metadata, Hand]:
    clock = Hand()
    return Metadata("k", Calls(venue, unsigned, 1.0), clock), clock


async def one(about: Metadata) -> Market:
    read = await about.markets(["S-E-M"])
    assert not isinstance(read, Failed), read
    return read[0]


async def test_a_market_with_its_grid_its_fees_and_its_close() -> None:
    about, _ = reading(Venue())
    market = await one(about)
    assert (market.market, market.event, market.title, market.open) == ("S-E-M", "S-E", "Rain", True)
    assert market.closes_at is not None
    assert at_text(market.closes_at) == CLOSE
    assert [(band.start, band.stop, band.step) for band in market.ticks] == [(0, 10_000, 100)]
    assert (market.lot, market.min_quantity) == (10_000, 10_000)
    assert (market.fees.taker_ppm, market.fees.maker_ppm, market.fees.verified_at) == (70_000, 0, AT)


async def test_what_a_venue_tells_beside_the_rules_of_trading() -> None:
    about, _ = reading(Venue())
    (told,) = await about.describe(["S-E-M"])  # type: ignore[misc]
    assert (told.series, told.category, told.shard, told.exclusive) == ("S", "Climate", 2, True)
    assert (told.rules, told.may_close_early, told.settles_after) == ("If it rains.\nIn Oslo.", True, 60 * SECOND)
    assert (told.status, told.result, told.tick_structure) == ("active", "", "linear_cent")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("market", {"price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]}),
        ("market", {"rules_primary": "If it snows."}),
        ("market", {"exchange_index": 3}),
        ("market", {"close_time": "2027-12-30T00:00:00Z"}),
        ("market", {"status": "inactive"}),
        ("market", {"settlement_bounds_type": "floor", "settlement_floor_dollars": "0.1000"}),
        ("event", {"collateral_return_type": ""}),
        ("event", {"fee_type_override": "quadratic", "fee_multiplier_override": 2}),
        ("series", {"fee_multiplier": 1.5}),
        ("series", {"fee_type": "quadratic_with_maker_fees"}),
    ],
)
async def test_a_change_that_makes_another_contract_is_a_new_version(part: str, change: dict[str, Any]) -> None:
    venue = Venue()
    about, clock = reading(venue)
    first = await one(about)
    clock.at = Nanos(clock.at + SECOND)
    assert (await one(about)).version == first.version
    getattr(venue, part).update(change)
    clock.at = Nanos(clock.at + SECOND)
    changed = await one(about)
    assert changed.version > first.version


async def test_what_changes_with_every_trade_is_no_new_version() -> None:
    venue = Venue()
    about, clock = reading(venue)
    first = await one(about)
    venue.market |= {"volume_fp": "7.00", "yes_bid_dollars": "0.4100", "updated_time": at_text(AT)}
    clock.at = Nanos(clock.at + SECOND)
    assert (await one(about)).version == first.version


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"price_ranges": []}, "market"),
        ({"price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0"}]}, "market"),
        ({"fee_type": "flat"}, "series"),
        ({"fee_type": "quadratic_with_something_new"}, "series"),
        ({"fee_multiplier": None}, "series"),
        ({"fee_type_override": "quadratic", "fee_multiplier_override": None}, "event"),
    ],
)
async def test_a_grid_or_a_fee_that_is_not_understood_is_not_traded_on(change: dict[str, Any], part: str) -> None:
    venue = Venue()
    getattr(venue, part).update(change)
    assert isinstance(await reading(venue)[0].markets(["S-E-M"]), Failed)


async def test_a_market_is_shut_when_its_time_has_come_whatever_its_status_says() -> None:
    venue = Venue()
    venue.market["close_time"] = at_text(AT)
    assert (await one(reading(venue)[0])).open is False


# The stream's word between two reads.


async def test_a_pause_counts_at_once_and_against_a_read_that_lags() -> None:
    about, clock = reading(Venue())
    first = await one(about)
    (told,) = about.hear({"market_ticker": "S-E-M", "event_type": "deactivated", "is_deactivated": True})
    assert (told.open, told.version > first.version) == (False, True)
    assert (await one(about)).open is False
    # longer than any lag: then what is read counts again
    clock.at = Nanos(clock.at + HELD)
    assert (await one(about)).open is True


async def test_a_market_that_is_active_again_waits_for_no_time_but_for_its_read() -> None:
    venue = Venue()
    venue.market["status"] = "inactive"
    about, _ = reading(venue)
    await one(about)
    (told,) = about.hear({"market_ticker": "S-E-M", "event_type": "activated"})
    assert told.open is False
    venue.market["status"] = "active"
    assert (await one(about)).open is True


@pytest.mark.parametrize("kind", ["determined", "settled"])
async def test_what_is_decided_is_shut(kind: str) -> None:
    about, _ = reading(Venue())
    await one(about)
    (told,) = about.hear({"market_ticker": "S-E-M", "event_type": kind, "result": "yes"})
    assert told.open is False


async def test_an_earlier_close_and_another_grid_count_at_once() -> None:
    about, clock = reading(Venue())
    await one(about)
    soon = AT // SECOND + 5
    (told,) = about.hear({"market_ticker": "S-E-M", "event_type": "close_date_updated", "close_ts": soon})
    assert (told.closes_at, told.open) == (soon * SECOND, True)
    grid = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    (told,) = about.hear(
        {"market_ticker": "S-E-M", "event_type": "price_level_structure_updated", "price_ranges": grid}
    )
    assert [band.step for band in told.ticks] == [10]
    assert told.closes_at == soon * SECOND
    clock.at = Nanos(clock.at + 5 * SECOND)
    assert (await one(about)).open is False


@pytest.mark.parametrize(
    "told",
    [
        {"market_ticker": "another", "event_type": "deactivated"},
        {"market_ticker": "S-E-M", "event_type": "created"},
        {"market_ticker": "S-E-M", "event_type": "unheard of"},
        {"event_ticker": "S-E", "fee_type_override": None},
        {},
    ],
)
async def test_what_is_not_about_our_markets_changes_nothing(told: dict[str, Any]) -> None:
    about, _ = reading(Venue())
    await one(about)
    assert about.hear(told) == ()


# Fees.


async def test_a_scheduled_change_counts_from_its_time_and_is_waited_for() -> None:
    venue = Venue()
    due = Nanos(AT + 3_600 * SECOND)
    row = {"id": "c", "series_ticker": "S", "fee_type": "quadratic", "fee_multiplier": 2, "scheduled_ts": at_text(due)}
    venue.answers["/series/fee_changes"] = {"series_fee_change_arr": [row]}
    about, clock = reading(venue)
    assert (await one(about)).fees.taker_ppm == 70_000
    assert about.next_change() == due - AHEAD
    clock.at = Nanos(due - AHEAD - 1)
    assert (await one(about)).fees.taker_ppm == 70_000
    clock.at = Nanos(due - AHEAD)
    early = await one(about)
    assert early.fees.taker_ppm == 140_000
    assert about.next_change() is None
    # the venue's own answer follows, and the version of the fees stays what it was
    venue.series["fee_multiplier"] = 2
    clock.at = Nanos(due + 60 * SECOND)
    assert (await one(about)).fees.version == early.fees.version


async def test_a_change_to_lower_fees_waits_for_the_venues_own_answer() -> None:
    venue = Venue()
    row = {
        "id": "c", "event_ticker": "S-E", "fee_type_override": "quadratic", "fee_multiplier_override": 0,
        "scheduled_ts": at_text(AT),
    }  # fmt: skip
    venue.answers["/events/fee_changes"] = {"event_fee_changes": [row], "cursor": ""}
    about, _ = reading(venue)
    assert (await one(about)).fees.taker_ppm == 70_000
    venue.event |= {"fee_type_override": "quadratic", "fee_multiplier_override": 0}
    assert (await one(about)).fees.taker_ppm == 0


async def test_changes_are_read_now_and_then_and_a_list_that_fails_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    venue = Venue()
    about, clock = reading(venue)
    for _ in range(3):
        await one(about)
    assert sum(path.startswith("/series/fee_changes") for path in venue.asked) == 1
    clock.at = Nanos(clock.at + metadata.CHANGES_EVERY)
    venue.answers["/events/fee_changes"] = [1]
    for _ in range(2):
        await one(about)
    assert sum(path.startswith("/series/fee_changes") for path in venue.asked) == 3


kinds = st.sampled_from(("quadratic", "quadratic_with_maker_fees", "quadratic_with_combo_maker_fees"))
multipliers = st.integers(0, 4_000_000).map(lambda millionths: f"{millionths / 1_000_000:.6f}")
RATES = {"quadratic": 0, "quadratic_with_maker_fees": 17_500, "quadratic_with_combo_maker_fees": 35_000}


@given(kinds, multipliers)
def test_a_rate_is_never_below_the_venues(kind: str, multiplier: str) -> None:
    fees = fee_schedule({}, {"fee_type": kind, "fee_multiplier": multiplier}, AT)
    assert fees is not None
    exact = Fraction(multiplier)
    assert 70_000 * exact <= fees.taker_ppm < 70_000 * exact + 1
    assert RATES[kind] * exact <= fees.maker_ppm < RATES[kind] * exact + 1


@given(kinds, multipliers, kinds, multipliers, st.integers(-1_000, 1_000))
def test_around_a_change_the_dearer_counts(old: str, was: str, new: str, will: str, second: int) -> None:
    series = {"ticker": "S", "fee_type": old, "fee_multiplier": was}
    change = series_change({"series_ticker": "S", "fee_type": new, "fee_multiplier": will, "scheduled_ts": at_text(AT)})
    assert change is not None
    fees = Fees()
    fees.remember([change], Nanos(0))
    now = Nanos(AT + second * SECOND)
    before = fee_schedule({}, series, now)
    after = fee_schedule({}, {"fee_type": new, "fee_multiplier": will}, now)
    told = fees.schedule({}, series, now)
    assert told is not None
    assert before is not None
    assert after is not None
    due = -AHEAD <= second * SECOND < REMEMBERED
    assert told.taker_ppm == (max(before.taker_ppm, after.taker_ppm) if due else before.taker_ppm)
    assert told.maker_ppm == (max(before.maker_ppm, after.maker_ppm) if due else before.maker_ppm)


def test_the_end_of_an_events_own_fees_is_a_change_to_its_series() -> None:
    event = {"event_ticker": "E", "fee_type_override": "quadratic", "fee_multiplier_override": "0.5"}
    series = {"ticker": "S", "fee_type": "quadratic", "fee_multiplier": "1"}
    change = event_change(
        {"event_ticker": "E", "fee_type_override": None, "fee_multiplier_override": None, "scheduled_ts": at_text(AT)}
    )
    assert change is not None
    fees = Fees()
    fees.remember([change], AT)
    told = fees.schedule(event, series, AT)
    assert told is not None
    assert told.taker_ppm == 70_000


def test_a_change_that_cannot_be_read_stops_trading_at_its_time_and_not_before() -> None:
    series = {"ticker": "S", "fee_type": "quadratic", "fee_multiplier": "1"}
    change = series_change({"series_ticker": "S", "fee_type": "new", "fee_multiplier": 1, "scheduled_ts": at_text(AT)})
    assert change is not None
    fees = Fees()
    fees.remember([change], AT)
    assert fees.schedule({}, series, Nanos(AT - 60 * SECOND)) is not None
    assert fees.schedule({}, series, AT) is None


# Status and hours.


def status(exchange: object, trading: object, *shards: tuple[int, bool, bool], **more: str) -> dict[str, Any]:
    parts = [{"exchange_index": n, "exchange_active": e, "trading_active": t} for n, e, t in shards]
    return {"exchange_active": exchange, "trading_active": trading, "exchange_index_statuses": parts, **more}


@pytest.mark.parametrize(
    ("told", "used", "mode"),
    [
        (status(True, True), (), VenueMode.OPEN),
        (status(True, False), (), VenueMode.CANCEL_ONLY),
        (status(False, False), (), VenueMode.PAUSED),
        (status(False, True), (), VenueMode.PAUSED),
        (status(None, True), (), VenueMode.UNKNOWN),
        ({}, (), VenueMode.UNKNOWN),
        ([1], (), VenueMode.UNKNOWN),
        # the top speaks of shard 0 alone
        (status(True, True, (0, True, True), (2, True, False)), (2,), VenueMode.CANCEL_ONLY),
        (status(True, True, (0, True, True), (2, True, False)), (0,), VenueMode.OPEN),
        (status(False, False, (0, False, False), (2, True, True)), (2,), VenueMode.OPEN),
        (status(False, False, (0, False, False), (2, True, True)), (0, 2), VenueMode.PAUSED),
        # a shard that is not told of: what is said of the venue counts
        (status(True, False, (0, True, False)), (2,), VenueMode.CANCEL_ONLY),
    ],
)
def test_the_mode_is_the_worst_of_the_shards_in_use(told: Any, used: tuple[int, ...], mode: VenueMode) -> None:
    assert hours.state_of(told, frozenset(used)).mode is mode


def test_an_estimate_counts_while_it_is_shut() -> None:
    shut = hours.state_of(status(True, False, exchange_estimated_resume_time=CLOSE), frozenset())
    assert shut.resumes_at is not None
    assert hours.state_of(status(True, True, exchange_estimated_resume_time=CLOSE), frozenset()).resumes_at is None


async def test_the_mode_asks_about_the_shards_of_our_markets() -> None:
    venue = Venue()
    venue.answers["/exchange/status"] = status(True, True, (0, True, True), (2, True, False))
    about, _ = reading(venue)
    assert await about.mode() is VenueMode.OPEN
    await one(about)
    assert await about.mode() is VenueMode.CANCEL_ONLY
    venue.answers["/exchange/status"] = [1]
    assert await about.mode() is VenueMode.UNKNOWN


def week(**sessions: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "start_time": "2024-01-01T00:00:00Z", "end_time": "2030-01-01T00:00:00Z",
        **{day: [{"open_time": a, "close_time": b} for a, b in spans] for day, spans in sessions.items()},
    }  # fmt: skip


ROUND_THE_CLOCK = {day: [("00:00", "00:00")] for day in hours.DAYS}
THURSDAYS = ROUND_THE_CLOCK | {"thursday": [("00:00", "03:00"), ("05:00", "00:00")]}


def timetable(sessions: dict[str, list[tuple[str, str]]], *windows: tuple[str, str]) -> dict[str, Any]:
    return {
        "schedule": {
            "standard_hours": [week(**sessions)],
            "maintenance_windows": [{"start_datetime": a, "end_datetime": b} for a, b in windows],
        }
    }


def moment(text: str) -> Nanos:
    return Nanos(int(datetime.fromisoformat(text).timestamp()) * SECOND)


@pytest.mark.parametrize(
    ("told", "now", "stop"),
    [
        (timetable(ROUND_THE_CLOCK), "2026-11-18T12:00:00+00:00", None),
        # three in the morning of New York, in winter and in summer
        (timetable(THURSDAYS), "2026-11-18T12:00:00+00:00", "2026-11-19T08:00:00+00:00"),
        (timetable(THURSDAYS), "2026-07-01T12:00:00+00:00", "2026-07-02T07:00:00+00:00"),
        (timetable(THURSDAYS), "2026-11-19T11:00:00+00:00", "2026-11-26T08:00:00+00:00"),
        # within the pause nothing closes: it is shut
        (timetable(THURSDAYS), "2026-11-19T09:00:00+00:00", None),
        (
            timetable(THURSDAYS, ("2026-11-18T20:00:00Z", "2026-11-18T22:00:00Z")),
            "2026-11-18T12:00:00+00:00",
            "2026-11-18T20:00:00+00:00",
        ),
        (
            timetable(ROUND_THE_CLOCK, ("2026-11-18T11:00:00Z", "2026-11-18T22:00:00Z")),
            "2026-11-18T12:00:00+00:00",
            "2026-11-18T12:00:00+00:00",
        ),
        (
            timetable(ROUND_THE_CLOCK, ("2026-11-17T11:00:00Z", "2026-11-17T22:00:00Z")),
            "2026-11-18T12:00:00+00:00",
            None,
        ),
        ({}, "2026-11-18T12:00:00+00:00", None),
        (timetable({"monday": [("x", "y"), ("25:00", "26:00")]}), "2026-11-16T12:00:00+00:00", None),
    ],
)
def test_the_next_planned_stop(told: Any, now: str, stop: str | None) -> None:
    assert hours.next_stop(told, moment(now)) == (None if stop is None else moment(stop))


async def test_the_state_has_the_next_stop() -> None:
    venue = Venue()
    venue.answers["/exchange/schedule"] = timetable(ROUND_THE_CLOCK, ("2024-04-18T01:00:00Z", "2024-04-18T02:00:00Z"))
    state = await reading(venue)[0].timetable()
    assert not isinstance(state, Failed)
    assert (state.mode, state.closes_at) == (VenueMode.OPEN, AT + 3_600 * SECOND)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from((CLOSE, "03:00", "S")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            (
                "schedule", "standard_hours", "maintenance_windows", "start_datetime", "end_datetime", "thursday",
                "open_time", "close_time", "exchange_index_statuses", "exchange_index", "exchange_active", "fee_type",
                "fee_multiplier", "scheduled_ts", "series_ticker", "event_ticker", "market_ticker", "event_type",
            )
        ),
        inner,
        max_size=5,
    ),
    max_leaves=14,
)  # fmt: skip


@given(anything)
def test_nothing_that_is_told_of_hours_status_or_fees_raises(told: Any) -> None:
    hours.next_stop(told, AT)
    hours.state_of(told, frozenset((0,)))
    if isinstance(told, dict):
        series_change(told)
        event_change(told)
        fee_schedule(told, told, AT)
        Metadata("k", Calls(Venue(), unsigned, 1.0), Hand()).hear(told)
