"""The registry of approved pairs: which markets of which venues mean the same, who says so, and by which rules.

Only a person can say that two markets settle alike, so a pair trades only with a name, a date and the rules of its venues
beside each other. One that lacks any of these is kept apart with the reason: it is not an error, it just does not trade.
What is ambiguous is an error: an id twice, a market in two pairs, a venue that nobody configured.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from configs.documents import read
from configs.problems import Problem, did_you_mean, from_validation, shown
from configs.settings import Dialect
from messages.markets import Pair, PairedMarket
from messages.reasons import Reason

PAIRS_MOST = 20_000
MARKETS_LEAST = 2

Ratio = Annotated[Decimal, Field(ge=0, le=100)]
Unit = Annotated[Decimal, Field(gt=0, le=1)]
Digits = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,77}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceRange(_Part):
    start: Annotated[Decimal, Field(ge=0, lt=1)]
    end: Unit
    step: Unit


class KalshiListing(_Part):
    """A market as Kalshi lists it; fees and ticks are what the simulated venue tells, a real one tells its own."""

    ticker: Name
    event: Name
    series: Name
    fee_multiplier: Ratio = Decimal(1)
    price_ranges: tuple[PriceRange, ...] = ()
    exchange_index: int = Field(default=0, ge=0, le=63)

    @property
    def market(self) -> str:
        return self.ticker


class PolymarketListing(_Part):
    condition_id: Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{64}$")]
    yes_token: Digits
    no_token: Digits
    neg_risk: bool = False
    tick: Unit = Decimal("0.01")
    min_size: Annotated[Decimal, Field(gt=0)] = Decimal(5)
    fee_rate: Ratio = Decimal(0)
    fee_exponent: int = Field(default=1, ge=0, le=8)

    @property
    def market(self) -> str:
        return self.condition_id.lower()


Listing = KalshiListing | PolymarketListing
LISTINGS: Mapping[Dialect, type[Listing]] = {Dialect.KALSHI: KalshiListing, Dialect.POLYMARKET: PolymarketListing}


class _Entry(_Part):
    """One pair without its venues, whose names only the configuration knows."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    group: Name
    title: Annotated[str, Field(max_length=500)] = ""
    approved_by: Annotated[str, Field(max_length=200)] = ""
    approved_at: str = ""
    rules: str | dict[str, str] = ""

    @field_validator("approved_at")
    @classmethod
    def is_a_date(cls, text: str) -> str:
        if text:
            try:
                dt.datetime.fromisoformat(text)
            except ValueError:
                raise ValueError("should be a date such as 2026-11-20") from None
        return text

    @field_validator("approved_by", "approved_at", "rules", mode="before")
    @classmethod
    def nothing_is_empty(cls, value: object) -> object:
        return "" if value is None else value


@dataclass(frozen=True, slots=True)
class SetAside:
    """A pair that is known and does not trade."""

    pair: str
    title: str
    reason: Reason
    why: str


@dataclass(frozen=True, slots=True)
class Registry:
    pairs: tuple[Pair, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    listings: Mapping[tuple[str, str], Listing] = field(default_factory=dict)
    """(venue, market) → how that venue lists it."""


def load_pairs(path: Path, venues: Mapping[str, Dialect | None]) -> tuple[Registry, tuple[Problem, ...]]:
    """Read the registry for these venues. A venue whose own settings are broken has no dialect: its listings pass unread."""
    document = read(path)
    if document.problems:
        return Registry(), document.problems
    reading = _Reading(path, document.sources, venues)
    reading.document(document.values)
    return reading.registry(), tuple(reading.problems)


class _Reading:
    """One pass over the registry; collects pairs and problems."""

    def __init__(self, path: Path, sources: Mapping[str, str], venues: Mapping[str, Dialect | None]) -> None:
        self.problems: list[Problem] = []
        self._sources = sources
        self._venues = venues
        self._path = path
        self._pairs: list[Pair] = []
        self._set_aside: list[SetAside] = []
        self._listings: dict[tuple[str, str], Listing] = {}
        self._identities: dict[tuple[str, ...], str] = {}
        self._markets: dict[tuple[str, ...], str] = {}

    def registry(self) -> Registry:
        return Registry(tuple(self._pairs), tuple(self._set_aside), self._listings)

    def document(self, values: Mapping[str, object]) -> None:
        for key in values:
            if key not in {"version", "pairs"}:
                self._problem(key, "(not read)", "no such key", did_you_mean(key, ["version", "pairs"]))
        if values.get("version", 1) != 1:
            given = shown("version", values["version"])
            self._problem("version", given, "this version of the registry is unknown", "write version: 1")
        entries = values.get("pairs")
        if not isinstance(entries, list) or not entries:
            self._problem(
                "pairs", shown("pairs", entries), "the registry has no pairs", "list at least one below `pairs:`"
            )
            return
        if len(entries) > PAIRS_MOST:
            self._problem("pairs", f"{len(entries)} pairs", f"more than {PAIRS_MOST:,}", "split the registry")
            return
        for number, entry in enumerate(entries):
            self._entry(f"pairs[{number}]", number, entry)

    def _entry(self, path: str, number: int, entry: object) -> None:
        if not isinstance(entry, Mapping):
            self._problem(path, shown(path, entry), "a pair is a section", "write its keys below it, indented")
            return
        before = len(self.problems)
        own = {key: value for key, value in entry.items() if key in _Entry.model_fields}
        try:
            fields = _Entry.model_validate(own)
        except ValidationError as error:
            self.problems += from_validation(error, _Entry, source_of=self._source, prefix=("pairs", number))
            fields = None
        markets = [
            market
            for key, value in entry.items()
            if key not in _Entry.model_fields
            and (market := self._market(f"{path}.{key}", number, key, value)) is not None
        ]
        if fields is not None:
            self._unique(f"{path}.id", (fields.id,), self._identities, "pair id", path)
        if len(self.problems) > before or fields is None:
            return
        if len(markets) < MARKETS_LEAST:
            text = "a pair needs markets of two venues"
            self._problem(path, repr(fields.id), text, f"add a section for each of: {', '.join(self._venues)}")
            return
        self._keep(fields, tuple(markets))

    def _market(self, path: str, number: int, venue: str, value: object) -> PairedMarket | None:
        if venue not in self._venues:
            if isinstance(value, Mapping):
                remedy = did_you_mean(venue, list(self._venues), otherwise=f"configured are: {', '.join(self._venues)}")
                self._problem(path, shown(path, value), "no venue of this name is configured", remedy)
            else:
                known = [*_Entry.model_fields, *self._venues]
                self._problem(path, shown(path, value), "no such key", did_you_mean(venue, known))
            return None
        dialect = self._venues[venue]
        if dialect is None:
            return None
        model = LISTINGS[dialect]
        try:
            listing = model.model_validate(value)
        except ValidationError as error:
            self.problems += from_validation(error, model, source_of=self._source, prefix=("pairs", number, venue))
            return None
        if not self._unique(path, (venue, listing.market), self._markets, "market", path):
            return None
        self._listings[venue, listing.market] = listing
        return PairedMarket(venue=venue, market=listing.market)

    def _unique(self, path: str, key: tuple[str, ...], seen: dict[tuple[str, ...], str], what: str, owner: str) -> bool:
        first = seen.setdefault(key, owner)
        if first == owner:
            return True
        self._problem(path, repr(":".join(key)), f"this {what} stands already at {first}", "remove one of the two")
        return False

    def _keep(self, fields: _Entry, markets: tuple[PairedMarket, ...]) -> None:
        lacking = [
            text
            for text, value in (
                ("nobody approved it (approved_by)", fields.approved_by),
                ("it has no date of approval (approved_at)", fields.approved_at),
                ("the rules of its venues are not written down (rules)", fields.rules),
            )
            if not value
        ]
        if lacking:
            self._set_aside.append(SetAside(fields.id, fields.title, Reason.UNAPPROVED_PAIR, "; ".join(lacking)))
            return
        self._pairs.append(
            Pair(
                pair=fields.id,
                group=fields.group,
                title=fields.title,
                markets=markets,
                approved_by=fields.approved_by,
                approved_at=fields.approved_at,
            )
        )

    def _problem(self, path: str, given: str, message: str, remedy: str) -> None:
        self.problems.append(Problem(path, given, message, remedy, self._source(path)))

    def _source(self, path: str) -> str:
        return self._sources.get(path, str(self._path))
