"""The pairs file, read into the markets of one venue.

A pair is one event that trades on both venues. Everything the servers tell about a market (tick, fee rate, minimum size,
contract generation) comes from here, so that two processes started on the same file agree without talking.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from venues.simulated.ethereum import Generation
from venues.simulated.scale import PRICE_ONE, UNIT, parse_scaled


class ConfigurationError(Exception):
    """A file given on the command line cannot be used; the text names path, value and remedy."""


@dataclass(frozen=True, slots=True)
class PriceRange:
    start: int
    end: int
    step: int


LINEAR_CENT = (PriceRange(0, PRICE_ONE, 100),)


@dataclass(frozen=True, slots=True)
class KalshiSpec:
    ticker: str
    event: str
    series: str
    fee_multiplier: Fraction
    price_ranges: tuple[PriceRange, ...]
    market_id: str
    exchange_index: int

    def on_grid(self, price: int) -> bool:
        return 0 < price < PRICE_ONE and any(
            r.start <= price <= r.end and (price - r.start) % r.step == 0 for r in self.price_ranges
        )

    def step_at(self, price: int) -> int:
        return next((r.step for r in self.price_ranges if r.start <= price <= r.end), 100)

    @property
    def structure(self) -> str:
        if self.price_ranges == LINEAR_CENT:
            return "linear_cent"
        return "deci_cent" if len(self.price_ranges) == 1 else "tapered_deci_cent"


@dataclass(frozen=True, slots=True)
class PolymarketSpec:
    condition_id: str
    yes_token: str
    no_token: str
    neg_risk: bool
    tick: int
    tick_text: str
    min_size: int
    fee_rate: Fraction
    fee_exponent: int
    augmented: bool = False
    """Outcomes may be added to its event later."""
    taker_delay_ms: int = 0
    """A marketable order waits so long at the venue, and its answer with it."""
    answered_delay_ms: int = 0
    """The same, but answered `delayed` at once."""

    @property
    def generation(self) -> Generation:
        if is_v2_position(int(self.yes_token)):
            return "exchange_v3"
        return "neg_risk_v2" if self.neg_risk else "ctf_v2"

    def token(self, outcome: str) -> str:
        return self.yes_token if outcome == "yes" else self.no_token

    @property
    def amount_step(self) -> int:
        """Smallest step of an order's dollar amount, which the tick decides."""
        return {1000: 1000, 100: 100, 50: 10, 25: 1, 10: 10, 1: 1}.get(self.tick, 1)


@dataclass(frozen=True, slots=True)
class Pair:
    id: str
    group: str
    title: str
    rules: str
    kalshi: KalshiSpec
    polymarket: PolymarketSpec


def is_v2_position(token: int) -> bool:
    return token & (((1 << 64) - 1) << 40) == 0


def load_pairs(path: Path) -> tuple[Pair, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"pairs file {path}: {error.strerror}; give an existing file with --pairs") from None
    try:
        loaded = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"pairs file {path}: not YAML ({error}); correct the file") from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("pairs"), list) or not loaded["pairs"]:
        raise ConfigurationError(f"pairs file {path}: no list 'pairs'; see configs/pairs.sim.yaml for the form")
    pairs = tuple(_pair(path, number, entry) for number, entry in enumerate(loaded["pairs"]))
    for name, keys in (("id", [p.id for p in pairs]), ("ticker", [p.kalshi.ticker for p in pairs])):
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ConfigurationError(f"pairs file {path}: {name} {twice!r} occurs twice; make it unique")
    return pairs


def _pair(path: Path, number: int, entry: Any) -> Pair:
    where = f"pairs file {path}, pair {number + 1}"

    def need(mapping: Any, key: str) -> Any:
        if not isinstance(mapping, dict) or key not in mapping:
            raise ConfigurationError(f"{where}: {key!r} is missing; add it as in configs/pairs.sim.yaml")
        return mapping[key]

    def scaled(mapping: Any, key: str, places: int) -> int:
        raw = need(mapping, key)
        value = parse_scaled(str(raw), places)
        if value is None or value <= 0:
            raise ConfigurationError(f"{where}: {key} is {raw!r}; write a positive decimal in quotes")
        return value

    def ratio(mapping: Any, key: str) -> Fraction:
        raw = need(mapping, key)
        try:
            return Fraction(str(raw))
        except (ValueError, ZeroDivisionError):
            raise ConfigurationError(f"{where}: {key} is {raw!r}; write a decimal in quotes") from None

    kalshi, polymarket = need(entry, "kalshi"), need(entry, "polymarket")
    identity = str(need(entry, "id"))
    tokens = []
    for key in ("yes_token", "no_token"):
        raw = str(need(polymarket, key))
        if not raw.isdigit() or int(raw) >= 1 << 256:
            raise ConfigurationError(f"{where}: {key} {raw!r} is not a token id or position id; change it")
        tokens.append(raw)
    if is_v2_position(int(tokens[0])) != is_v2_position(int(tokens[1])):
        raise ConfigurationError(f"{where}: one of the tokens is a position id and the other is not; change one")
    condition = str(need(polymarket, "condition_id"))
    if len(condition) not in (64, 66) or not condition.startswith("0x"):
        raise ConfigurationError(f"{where}: condition_id {condition!r} is not 0x and 64 hexadecimal digits; correct it")
    ticker = str(need(kalshi, "ticker"))
    ranges = tuple(
        PriceRange(parse_scaled(str(r["start"]), 4) or 0, scaled(r, "end", 4), scaled(r, "step", 4))
        for r in kalshi.get("price_ranges") or []
    )
    tick = scaled(polymarket, "tick", 4)
    return Pair(
        id=identity,
        group=str(need(entry, "group")),
        title=str(need(entry, "title")),
        rules=str(entry.get("rules", "")),
        kalshi=KalshiSpec(
            ticker=ticker,
            event=str(need(kalshi, "event")),
            series=str(need(kalshi, "series")),
            fee_multiplier=ratio(kalshi, "fee_multiplier"),
            price_ranges=ranges or LINEAR_CENT,
            market_id=str(uuid.UUID(hashlib.sha256(ticker.encode()).hexdigest()[:32])),
            exchange_index=int(kalshi.get("exchange_index", 0)),
        ),
        polymarket=PolymarketSpec(
            condition_id=condition.lower(),
            yes_token=tokens[0],
            no_token=tokens[1],
            neg_risk=bool(need(polymarket, "neg_risk")),
            tick=tick,
            tick_text=str(polymarket["tick"]),
            min_size=scaled(polymarket, "min_size", 6),
            fee_rate=ratio(polymarket, "fee_rate"),
            fee_exponent=int(need(polymarket, "fee_exponent")),
            augmented=bool(polymarket.get("neg_risk_augmented", False)),
            taker_delay_ms=int(polymarket.get("taker_delay_ms", 0)),
            answered_delay_ms=int(polymarket.get("answered_delay_ms", 0)),
        ),
    )


def contracts(whole: int) -> int:
    return whole * UNIT
