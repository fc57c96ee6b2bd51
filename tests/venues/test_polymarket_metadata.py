"""What a market is by both services that describe it, and how its changes reach the engine as higher versions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.markets import Market, VenueMode
from messages.reasons import Trouble
from messages.units import CONTRACT, ONE_DOLLAR, SECOND, Nanos, Price
from tests.venues.making import AT, CONDITION, Hand
from venues import http
from venues.http import Response, WireError
from venues.polymarket import refresher, rules
from venues.polymarket.amounts import AMOUNT_PLACES
from venues.polymarket.books import RuleTold
from venues.polymarket.schedules import VERIFIED_FOR, Schedules
from venues.polymarket.stream import PolymarketMarketData
from venues.port import Describing, Failed, MarketData

YES, NO = (
    "71321045679252212594626385532706912750332728571942532289631379312455583992563",
    "33333333333333333333333333333333333333333333333333333333333333333333333333333",
)
P_YES, P_NO = (str((1 << 248) + (0x1234 << 120) + outcome) for outcome in (0, 1))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "READ_PAUSE_MOST_S", 0.002)


def about(**changes: Any) -> dict[str, Any]:
    told = {
        "conditionId": CONDITION, "question": "Q", "slug": "q", "acceptingOrders": True, "closed": False, "active": True,
        "negRisk": False, "endDate": "2027-01-01T00:00:00Z", "version": "v1", "outcomes": '["Yes", "No"]',
        "clobTokenIds": json.dumps([YES, NO]), "description": "By the official count.",
    }  # fmt: skip
    return told | changes


def terms(**changes: Any) -> dict[str, Any]:
    told = {
        "t": [{"t": YES, "o": "Yes"}, {"t": NO, "o": "No"}], "mos": 5, "mts": 0.01, "nr": False,
        "fd": {"r": 0.05, "e": 1, "to": True},
    }  # fmt: skip
    return told | changes


def read(told: Mapping[str, Any], described: Mapping[str, Any]) -> Market | None:
    return rules.market("p", told, described, CONDITION, AT)


# Generations


@pytest.mark.parametrize(
    ("neg_risk", "version", "ids", "generation"),
    [
        (False, "v1", (YES, NO), "ctf_v2"),
        (True, "v1", (YES, NO), "neg_risk_v2"),
        (False, None, (YES, NO), "ctf_v2"),
        (False, "v2", (P_YES, P_NO), "exchange_v3"),
        (True, "v2", (P_YES, P_NO), "exchange_v3"),
    ],
)
def test_the_contract_follows_from_the_version_the_tokens_and_neg_risk(
    neg_risk: bool, version: str | None, ids: tuple[str, str], generation: str
) -> None:
    traded = [{"t": ids[0], "o": "Yes"}, {"t": ids[1], "o": "No"}]
    described = about(negRisk=neg_risk, version=version, positionIds=[P_YES, P_NO])
    market = read(terms(nr=neg_risk, t=traded), described)
    assert market is not None
    assert (market.generation, market.tokens, market.neg_risk) == (generation, ids, neg_risk)


def test_a_market_of_the_second_protocol_is_traded_by_its_positions_even_where_both_ids_stand() -> None:
    market = read(terms(), about(version="v2", positionIds=json.dumps([P_YES, P_NO])))
    assert market is not None
    assert (market.tokens, market.generation) == ((P_YES, P_NO), "exchange_v3")
    swapped = read(terms(), about(version="v2", outcomes='["No", "Yes"]', positionIds=[P_NO, P_YES]))
    assert swapped is not None
    assert swapped.tokens == (P_YES, P_NO)


@pytest.mark.parametrize(
    ("told", "described"),
    [
        (terms(nr=True), about()),
        (terms(), about(negRisk=True)),
        (terms(nr=None), about(negRisk=None)),
        (terms(), about(clobTokenIds=json.dumps([NO, YES]))),
        (terms(), about(clobTokenIds=json.dumps([YES, "12"]))),
        (terms(t=[{"t": P_YES, "o": "Yes"}, {"t": P_NO, "o": "No"}]), about(clobTokenIds=json.dumps([P_YES, P_NO]))),
        (terms(), about(version="v2")),
        (terms(), about(version="v2", positionIds=[YES, NO])),
        (terms(t=[{"t": YES, "o": "Yes"}, {"t": P_NO, "o": "No"}]), about(clobTokenIds=None)),
        (terms(t=[{"t": YES, "o": "Yes"}, {"t": YES, "o": "No"}]), about(clobTokenIds=None)),
        (terms(t=[{"t": YES, "o": "Home"}, {"t": NO, "o": "Away"}]), about(outcomes='["Home", "Away"]')),
    ],
)
def test_two_services_that_contradict_each_other_make_no_market(
    told: dict[str, Any], described: dict[str, Any]
) -> None:
    assert read(told, described) is None


# Trading or not


@pytest.mark.parametrize(
    ("changes", "trades"),
    [
        ({}, True),
        ({"acceptingOrders": False}, False),
        ({"acceptingOrders": None}, False),
        ({"closed": True}, False),
        ({"active": False}, False),
        ({"archived": True}, False),
        # a proposed answer is no end of trading, and what is held must still be sold
        ({"umaResolutionStatus": "proposed"}, True),
        ({"umaResolutionStatus": "disputed"}, True),
        ({"umaResolutionStatus": "resolved"}, False),
        ({"negRiskAugmented": True, "enableNegRisk": True, "groupItemTitle": "Ada Lovelace"}, True),
        ({"negRiskAugmented": True, "enableNegRisk": True, "groupItemTitle": "Other"}, False),
        ({"negRiskAugmented": True, "enableNegRisk": True, "groupItemTitle": "Person AB"}, False),
        ({"negRiskAugmented": True, "enableNegRisk": True, "groupItemTitle": "another team"}, False),
        ({"negRiskAugmented": True, "enableNegRisk": True}, False),
        ({"negRiskAugmented": False, "enableNegRisk": True, "groupItemTitle": "Other"}, True),
        (
            {"events": [{"slug": "e", "negRiskAugmented": True, "enableNegRisk": True}], "groupItemTitle": "Other"},
            False,
        ),
    ],
)
def test_what_takes_orders_and_has_a_name_is_open(changes: dict[str, Any], trades: bool) -> None:
    market = read(terms(), about(**changes))
    assert market is not None
    assert market.open == trades


# Fees


@pytest.mark.parametrize(
    ("fd", "schedule", "more", "rate"),
    [
        ({"r": 0.05, "e": 1, "to": True}, None, {}, 50_000),
        (None, {"rate": 0.04, "exponent": 1, "takerOnly": True}, {}, 40_000),
        # one of them heard of a change first: the dearer one is booked
        ({"r": 0.03, "e": 1, "to": True}, {"rate": 0.05, "exponent": 1, "takerOnly": True}, {}, 50_000),
        ({"r": 0.07, "e": 1, "to": True}, {"rate": 0.05, "exponent": 1, "takerOnly": True}, {}, 70_000),
        ({"r": 0.05, "e": 1}, {"rate": "?", "exponent": 1}, {}, None),
        ({"r": 0.05, "e": 1}, {"rate": 0.05, "exponent": 1, "takerOnly": False}, {}, None),
        (None, None, {"tbf": 0}, 0),
        (None, None, {"tbf": 30}, None),
        (None, None, {}, None),
    ],
)
def test_the_dearer_of_two_sources_of_fees_is_believed(
    fd: Any, schedule: Any, more: dict[str, Any], rate: int | None
) -> None:
    found = rules.fee_schedule({"fd": fd, **more}, AT, {"feeSchedule": schedule})
    assert (None if found is None else found.taker_ppm) == rate


def test_no_schedule_and_fees_switched_on_is_unknown() -> None:
    assert rules.fee_schedule({"tbf": 0}, AT, {"feesEnabled": True}) is None


def fees_at(ppm: int, seconds: int) -> Market:
    market = read(terms(fd={"r": ppm / 10**6, "e": 1, "to": True}), about())
    assert market is not None
    fees = market.fees.model_copy(update={"verified_at": Nanos(AT + seconds * SECOND)})
    return market.model_copy(update={"fees": fees})


def test_an_execution_is_charged_by_the_schedule_of_its_own_time() -> None:
    known = Schedules([fees_at(30_000, 0), fees_at(30_000, 600), fees_at(50_000, 660), fees_at(50_000, 1_200)])

    def rate(seconds: int) -> int | None:
        found = known.at(CONDITION, Nanos(AT + seconds * SECOND))
        return None if found is None else found.taker_ppm

    assert [rate(second) for second in (0, 300, 600)] == [30_000] * 3
    # somewhere here it changed: the dearer one
    assert [rate(second) for second in (601, 630, 659)] == [50_000] * 3
    assert [rate(second) for second in (660, 900, 1_200, 1_300)] == [50_000] * 4
    # nobody looked then, and today's schedule is not yesterday's
    assert rate(-3_600) is None
    assert rate(1_200 + VERIFIED_FOR // SECOND + 1) is None
    assert known.at("0xelse", AT) is None


# Descriptions


def test_a_description() -> None:
    told = about(
        category="Politics", umaResolutionStatus="proposed", enableNegRisk=True, orderPriceMinTickSize=0.001,
        events=[{"slug": "election"}], series=[{"slug": "elections"}],
    )  # fmt: skip
    found = rules.description(told, CONDITION)
    assert (found.event, found.series, found.category, found.status) == (
        "election",
        "elections",
        "Politics",
        "proposed",
    )
    assert (found.rules, found.result, found.exclusive) == ("By the official count.", "", True)
    assert (found.closes_at, found.tick_structure) == (1_798_761_600 * SECOND, "10")


@pytest.mark.parametrize(
    ("prices", "result"), [('["1", "0"]', "yes"), ('["0", "1"]', "no"), ('["0.5", "0.5"]', "0.5/0.5"), ('["1"]', "")]
)
def test_how_a_closed_market_ended(prices: str, result: str) -> None:
    closed = about(closed=True, umaResolutionStatus="resolved", outcomePrices=prices)
    assert rules.description(closed, CONDITION).result == result
    assert rules.description(about(outcomePrices=prices), CONDITION).result == ""


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("[1]") | st.just("v2"),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from((
            "t", "o", "mos", "mts", "nr", "fd", "r", "e", "to", "negRisk", "version", "positionIds", "clobTokenIds",
            "outcomes", "outcomePrices", "events", "slug", "feeSchedule", "rate", "closed", "endDate", "description",
        )),
        inner,
        max_size=6,
    ),
    max_leaves=20,
)  # fmt: skip


@given(anything, anything)
def test_no_description_breaks_the_reading_or_makes_an_impossible_market(told: Any, described: Any) -> None:
    told, described = (value if isinstance(value, dict) else {"t": value} for value in (told, described))
    market = read(told, described)
    rules.description(described, CONDITION)
    rules.facts_of(described)
    if market is not None:
        assert market.tokens is not None
        assert market.tokens[0] != market.tokens[1]


# Reading


class Office:
    """Both services on one wire: descriptions by pages, trading parameters by market."""

    def __init__(self) -> None:
        self.about: dict[str, dict[str, Any]] = {}
        self.terms: dict[str, dict[str, Any]] = {}
        self.page = 100
        self.asked: list[str] = []
        self.broken: set[str] = set()
        self.ok: tuple[int, Any] = (200, "OK")

    def add(self, condition: str, **changes: Any) -> None:
        self.about[condition] = about(conditionId=condition, **changes)
        self.terms[condition] = terms()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def request(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> Response:
        self.asked.append(path)
        status, told = self._answer(path)
        return Response(status, {}, json.dumps(told).encode())

    def _answer(self, path: str) -> tuple[int, Any]:
        head, _, query = path.partition("?")
        if head == "/ok":
            return self.ok
        if head.startswith("/clob-markets/"):
            condition = head.rpartition("/")[2]
            if condition in self.broken:
                return 500, {}
            return (200, self.terms[condition]) if condition in self.terms else (404, {"error": "market not found"})
        parts = [part.partition("=")[::2] for part in query.split("&")]
        wanted = [value for name, value in parts if name == "condition_ids"]
        closed, after = dict(parts).get("closed") == "true", int(dict(parts).get("after_cursor", "0"))
        rows = [
            self.about[name] for name in wanted if name in self.about and bool(self.about[name]["closed"]) == closed
        ]
        more = after + self.page < len(rows)
        return 200, {
            "markets": rows[after : after + self.page],
            "next_cursor": str(after + self.page) if more else None,
        }


def data(office: Office, clock: Hand | None = None) -> PolymarketMarketData:
    return PolymarketMarketData("p", "http://x", "ws://x", clock or Hand(), wire=office)


async def test_descriptions_are_read_to_their_last_page_and_closed_ones_are_asked_for() -> None:
    office = Office()
    names = [f"0x{number:064x}" for number in range(45)]
    for name in names:
        office.add(name)
    office.about[names[7]]["closed"] = True
    office.page = 3
    adapter = data(office)
    found = await adapter.markets(names)
    assert not isinstance(found, Failed), found
    assert [market.market for market in found] == names
    assert [market.open for market in found] == [name != names[7] for name in names]
    assert any("after_cursor=3" in path for path in office.asked)
    assert isinstance(adapter, Describing)
    port: MarketData = adapter
    assert port.name == "p"
    described = await adapter.describe(names[:2])
    assert not isinstance(described, Failed)
    assert [entry.market for entry in described] == names[:2]
    unknown = await adapter.markets([names[0], "0xelse"])
    assert isinstance(unknown, Failed)
    assert "0xelse" in unknown.text
    assert isinstance(await adapter.describe(["0xelse"]), Failed)


async def test_pages_that_repeat_themselves_are_left() -> None:
    class Loop(Office):
        def _answer(self, path: str) -> tuple[int, Any]:
            return (200, {"markets": [], "next_cursor": "again"}) if "keyset" in path else super()._answer(path)

    found = await data(Loop()).markets([CONDITION])
    assert isinstance(found, Failed)
    assert "repeat" in found.text


@pytest.mark.parametrize(
    "change",
    [
        lambda office: office.terms[CONDITION].update(mts=0.001),
        lambda office: office.terms[CONDITION].update(mos=15),
        lambda office: office.terms[CONDITION].update(fd={"r": 0.06, "e": 1, "to": True}),
        lambda office: (office.terms[CONDITION].update(nr=True), office.about[CONDITION].update(negRisk=True)),
        lambda office: office.about[CONDITION].update(version="v2", positionIds=[P_YES, P_NO]),
        lambda office: office.about[CONDITION].update(description="By another count."),
        lambda office: office.about[CONDITION].update(endDate="2027-02-01T00:00:00Z"),
        lambda office: office.about[CONDITION].update(acceptingOrders=False),
    ],
    ids=["tick", "minimum", "fee", "negRisk", "generation", "rules", "end", "closed"],
)
async def test_every_change_of_the_rules_is_a_higher_version(change: Callable[[Office], Any]) -> None:
    office = Office()
    office.add(CONDITION)
    adapter = data(office)

    async def version() -> int:
        found = await adapter.markets([CONDITION])
        assert not isinstance(found, Failed)
        return found[0].version

    first = await version()
    assert await version() == first
    change(office)
    changed = await version()
    assert changed > first
    assert await version() == changed


# Being told


async def running(adapter: PolymarketMarketData, ids: list[str], heard: list[Market]) -> asyncio.Task[None]:
    task = asyncio.create_task(adapter._refresher.run(ids, heard.append))
    async with asyncio.timeout(2):
        while {market.market for market in heard} != {name for name in ids if name != "0xbroken"}:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return task


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_tick_that_the_stream_tells_is_a_new_version_at_once_and_stands_against_old_reads() -> None:
    office, clock, heard = Office(), Hand(), list[Market]()
    office.add(CONDITION)
    adapter = data(office, clock)
    task = await running(adapter, [CONDITION], heard)
    first = heard[-1]
    assert first.ticks == rules.bands(Price(100))
    adapter._refresher.told(RuleTold(CONDITION, Price(10)), heard.append)
    told = heard[-1]
    assert (told.ticks, told.version > first.version) == (rules.bands(Price(10)), True)
    # it is told once for each token of the market
    adapter._refresher.told(RuleTold(CONDITION, Price(10)), heard.append)
    assert heard[-1].version == told.version
    assert told.fees.verified_at == first.fees.verified_at
    # the read that it caused still shows the old tick
    asked = len(heard)
    await asyncio.sleep(0.05)
    assert len(heard) > asked
    assert heard[-1].ticks == rules.bands(Price(10))
    assert heard[-1].version == told.version
    office.terms[CONDITION]["mts"] = 0.001
    adapter._refresher.wake([CONDITION])
    await asyncio.sleep(0.05)
    assert heard[-1].version == told.version
    # from now on reads are believed again
    office.terms[CONDITION]["mts"] = 0.01
    adapter._refresher.wake([CONDITION])
    await asyncio.sleep(0.05)
    assert heard[-1].ticks == rules.bands(Price(100))
    await stopped(task)


async def test_a_tick_that_no_read_confirms_is_given_up_after_a_while() -> None:
    office, clock, heard = Office(), Hand(), list[Market]()
    office.add(CONDITION)
    adapter = data(office, clock)
    task = await running(adapter, [CONDITION], heard)
    adapter._refresher.told(RuleTold(CONDITION, Price(10)), heard.append)
    clock.at = Nanos(clock.at + refresher.HELD_FOR)
    adapter._refresher.wake([CONDITION])
    await asyncio.sleep(0.05)
    assert heard[-1].ticks == rules.bands(Price(100))
    # a step that no order can be rounded to is not taken from the stream; the reads say it or nothing does
    adapter._refresher.told(RuleTold(CONDITION, Price(7)), heard.append)
    adapter._refresher.told(RuleTold(CONDITION, None), heard.append)
    assert heard[-1].ticks == rules.bands(Price(100))
    await stopped(task)


async def test_a_resolved_market_stays_closed_whatever_reads_still_say() -> None:
    office, heard = Office(), list[Market]()
    office.add(CONDITION)
    adapter = data(office)
    task = await running(adapter, [CONDITION], heard)
    first = heard[-1]
    adapter._refresher.told(RuleTold(CONDITION, resolved=True), heard.append)
    assert not heard[-1].open
    assert heard[-1].version > first.version
    await asyncio.sleep(0.05)
    assert not any(market.open for market in heard[-2:])
    # what nobody has read yet has nothing to pass on
    adapter._refresher.told(RuleTold("0xelse", resolved=True), heard.append)
    assert {market.market for market in heard} == {CONDITION}
    await stopped(task)


async def test_a_market_that_cannot_be_read_keeps_no_other_one_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresher, "REFRESH_S", 0.1)
    monkeypatch.setattr(refresher, "PARTLY_AGAIN_S", 0.02)
    office, heard = Office(), list[Market]()
    names = [f"0x{number:064x}" for number in range(5)]
    for name in (*names, "0xbroken"):
        office.add(name)
    office.broken.add("0xbroken")
    adapter = data(office)
    task = await running(adapter, [*names, "0xbroken"], heard)
    assert adapter._refresher.failure
    office.broken.clear()
    async with asyncio.timeout(2):
        while "0xbroken" not in {market.market for market in heard}:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    # and the turns of all go on, although some are woken all the time
    heard.clear()
    for _ in range(20):
        adapter._refresher.wake([names[0]])
        await asyncio.sleep(0.01)
    assert {market.market for market in heard} >= set(names)
    await stopped(task)


@pytest.mark.parametrize(
    ("ok", "mode"),
    [
        ((200, "OK"), VenueMode.OPEN),
        ((425, {"error": "restarting"}), VenueMode.PAUSED),
        ((503, {"error": "Trading is currently disabled. Check polymarket.com for updates"}), VenueMode.CLOSED),
        ((503, {"error": "Trading is currently cancel-only."}), VenueMode.CANCEL_ONLY),
        ((500, {}), VenueMode.UNKNOWN),
        ((404, {}), VenueMode.UNKNOWN),
    ],
)
async def test_the_mode_of_public_data(ok: tuple[int, Any], mode: VenueMode) -> None:
    office = Office()
    adapter = data(office)
    office.ok = 200, "OK"
    assert await adapter.mode() is VenueMode.OPEN
    office.ok = ok
    assert await adapter.mode() is mode


async def test_a_venue_that_answers_nothing_has_no_known_mode() -> None:
    class Dead(Office):
        async def request(self, *_: Any, **__: Any) -> Response:
            raise WireError(Trouble.TIMEOUT, "slow")

    assert await data(Dead()).mode() is VenueMode.UNKNOWN


def test_the_grid_of_a_tick_is_whole() -> None:
    assert all(ONE_DOLLAR % tick == 0 for tick in AMOUNT_PLACES)
    assert rules.LOT * 100 == CONTRACT
