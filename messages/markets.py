"""What a venue says of a market, and what a person approved about two of them."""

from __future__ import annotations

from enum import StrEnum

from messages.base import Event, Message
from messages.units import Money, Nanos, Price, Quantity


class VenueMode(StrEnum):
    """What a venue accepts now. A mode is a state, not an error."""

    OPEN = "open"
    POST_ONLY = "post_only"
    CANCEL_ONLY = "cancel_only"
    PAUSED = "paused"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class FeeFormula(StrEnum):
    KALSHI = "kalshi"
    """ceil(rate × C × p(1−p)) to 1e-6 dollar, then each fill aligned to `step` with an accumulator per order."""
    POLYMARKET = "polymarket"
    """rate × C × (p(1−p))^exponent, takers only, half-up to 1e-5 dollar."""


class FeeSchedule(Message):
    """One version of a market's fees. `verified_at` is when the venue last confirmed it, not when it last changed."""

    formula: FeeFormula
    version: int
    taker_ppm: int
    """Taker rate in parts per million of p(1−p), the series' multiplier included (0.07 × M → 70,000 × M)."""
    maker_ppm: int
    exponent: int = 1
    step: Money = Money(100)
    """What a Kalshi balance change is aligned to: 100 (1/100 cent, direct member) or 10,000 (a cent)."""
    verified_at: Nanos


class TickBand(Message):
    """Prices from `start` up to and with `stop` lie on `start + n × step`."""

    start: Price
    stop: Price
    step: Price


class Market(Event):
    """A market's trading rules as its venue stated them: version `version`, read at `seen_at`."""

    venue: str
    market: str
    """Kalshi: the ticker. Polymarket: the condition id."""
    event: str
    title: str
    open: bool
    closes_at: Nanos | None
    """None is "the venue did not say", never "already closed"."""
    ticks: tuple[TickBand, ...]
    lot: Quantity
    """Orders are whole multiples of it."""
    min_quantity: Quantity
    """Smallest resting order."""
    min_spend: Money
    """Smallest amount of an order that buys at once."""
    cash_denominated: bool
    """An immediate buy is a sum of money, not a number of contracts (Polymarket FAK and FOK)."""
    fees: FeeSchedule
    neg_risk: bool = False
    generation: str = ""
    """Which contract settles it, and so which domain signs its orders."""
    tokens: tuple[str, str] | None = None
    """Polymarket token ids, YES then NO."""
    version: int
    """Grows whenever tick, minimum, generation, negRisk or fees change; intents of an older version are refused."""
    seen_at: Nanos


class PairedMarket(Message):
    venue: str
    market: str


class Pair(Message):
    """Markets on which YES means the same thing, as a person approved them."""

    pair: str
    group: str
    """The event group: claims are per group, locks per market."""
    title: str
    markets: tuple[PairedMarket, ...]
    approved_by: str
    approved_at: str
