"""The whole configuration as one typed tree; every key is here, with its unit in its name and its default.

Money is written in dollars as a quoted decimal and becomes integer micro-dollars at once; durations are integers of the
unit in their name. Loading, layering and error texts live in `configs/load.py`.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from messages.units import DOLLAR, ONE_DOLLAR, SECOND, Money, Nanos, Price

Dollars = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=6), PlainSerializer(str, return_type=str)]


def money(amount: Decimal) -> Money:
    return Money(int(amount * DOLLAR))


def price(amount: Decimal) -> Price:
    return Price(int(amount * ONE_DOLLAR))


def millis(amount: int) -> Nanos:
    return Nanos(amount * SECOND // 1000)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Mode(StrEnum):
    SIM = "sim"
    """Simulated venues over real sockets."""
    PAPER = "paper"
    REPLAY = "replay"
    LIVE = "live"


class Dialect(StrEnum):
    KALSHI = "kalshi"
    POLYMARKET = "polymarket"


class Durability(StrEnum):
    PROCESS = "process"
    """The intent survives the death of any process; synced to disk within 50 ms."""
    POWER = "power"
    """The intent is on disk before anything is sent."""


class KeySettings(Part):
    name: str
    secret: str = ""
    """Where the credentials are: `file:PATH` (a JSON or PEM file, mode 0600) or `env:NAME`. In sim mode the run fills it in."""


class VenueSettings(Part):
    dialect: Dialect
    rest: str = ""
    ws_market: str = ""
    ws_user: str = ""
    keys: tuple[KeySettings, ...] = Field(min_length=1)
    capital_dollars: Dollars = Decimal(0)
    """What the engine may tie up here; the account must hold at least this."""
    request_timeout_ms: int = Field(default=2_000, ge=10, le=60_000)
    connect_timeout_ms: int = Field(default=1_000, ge=10, le=60_000)
    late_arrival_ms: int = Field(default=30_000, ge=100)
    """How long an unanswered order may still arrive; after it an order that is absent is presumed so, and watched."""
    orders_per_second: int = Field(default=10, ge=1)
    """Order budget of the account; 30 % of it is kept for closing."""
    signature_type: int = Field(default=0, ge=0, le=3)
    """Polymarket wallet type: 0 EOA, 1 proxy, 2 Safe."""


class EngineSettings(Part):
    durability: Durability = Durability.PROCESS
    book_age_most_ms: int = Field(default=1_500, ge=10)
    """A book older than this is stale: nothing opens on it. Feeds confirm quiet books more often than this."""
    executors: int = Field(default=1, ge=1, le=64)
    """They share the event groups, and the capital in equal parts."""
    loop_lag_most_ms: int = Field(default=50, ge=1)
    fees_age_most_s: int = Field(default=60, ge=1)
    sweep_ms: int = Field(default=20, ge=1, le=10_000)
    """How often an executor looks for orders about which time alone has something to say."""
    errands_ms: int = Field(default=100, ge=1, le=10_000)
    """How often it reports to the owners; it renews its leases at every fifth turn."""
    lag_every_ms: int = Field(default=50, ge=1, le=10_000)
    follow_ms: int = Field(default=5_000, ge=100, le=600_000)
    """How often it reads on in the venues' own lists of executions."""
    hash_ms: int = Field(default=5_000, ge=100, le=600_000)
    """How often it writes down what its state hashes to, for the proof."""
    drain_s: int = Field(default=20, ge=1, le=600)


class RiskSettings(Part):
    min_profit_cents: Decimal = Decimal(1)
    """A contract, net of all fees."""
    min_return_bps: int = Field(default=10, ge=0)
    """Of the capital of all legs, net: 10 is 0.1 %."""
    contracts_most: int = Field(default=50, ge=1)
    """In one trade."""
    notional_most_dollars: Dollars = Decimal(500)
    """Of one leg; above it the size is not believed."""
    open_trades_most: int = Field(default=3, ge=1)
    position_most_contracts: int = Field(default=1_000, ge=1)
    """Per market and outcome."""
    group_most_contracts: int = Field(default=2_000, ge=1)
    slippage_bps: int = Field(default=300, ge=0, le=10_000)
    """How far a limit may lie from the best price seen."""
    collar_low: Dollars = Decimal("0.01")
    collar_high: Dollars = Decimal("0.99")
    cool_down_ms: int = Field(default=30_000, ge=0)
    """Between two trades in one market."""
    release_after_ms: int = Field(default=10_000, ge=0)
    """A market leaves flight this long after a success, a dry run or a lack of liquidity."""
    reject_storm: int = Field(default=5, ge=1)
    pause_s: int = Field(default=300, ge=1)


class RecoverySettings(Part):
    ask_first_ms: int = Field(default=100, ge=1)
    ask_most_ms: int = Field(default=2_000, ge=1)
    send_window_ms: int = Field(default=1_500, ge=10)
    reposts_most: int = Field(default=6, ge=0)
    aggressive_most: int = Field(default=8, ge=1)
    resting_most: int = Field(default=3, ge=0)
    rest_ms: int = Field(default=1_000, ge=10)
    pause_ms: int = Field(default=100, ge=0)
    settle_wait_ms: int = Field(default=2_000, ge=0)
    floor: Dollars = Decimal("0.01")
    loss_most_dollars: Dollars = Decimal(50)
    deadline_s: int = Field(default=60, ge=1)


class SupervisionSettings(Part):
    restarts_most: int = Field(default=5, ge=0)
    restarts_within_s: int = Field(default=10, ge=1)
    heartbeat_stale_ms: int = Field(default=5_000, ge=100)
    start_within_s: int = Field(default=30, ge=1)
    spare: bool = True
    """Keep one warm process, so that a replacement needs no half second to start."""


class SimSettings(Part):
    seed: int = 1
    faults: str = "standard"
    """none, standard, storm, or the path of a fault script."""
    duration_s: int = Field(default=30, ge=1, le=86_400)
    deposit_dollars: Dollars = Decimal(20_000)
    """What each simulated account holds."""
    tape: str = ""
    tape_from: str = ""
    tape_to: str = ""
    tape_speed: Decimal = Decimal(1)


class Settings(Part):
    version: int = Field(default=1, ge=1, le=1)
    mode: Mode = Mode.SIM
    dry_run: bool = False
    home: Path = Path(".crossfill")
    """Runs, journals and logs go below it."""
    pairs: Path = Path("configs/pairs.sim.yaml")
    venues: dict[str, VenueSettings] = Field(min_length=2)
    engine: EngineSettings = EngineSettings()
    risk: RiskSettings = RiskSettings()
    recovery: RecoverySettings = RecoverySettings()
    supervision: SupervisionSettings = SupervisionSettings()
    sim: SimSettings = SimSettings()


@lru_cache(maxsize=8)
def read_settings(text: str) -> Settings:
    """The settings that `Place.settings` carries as JSON; read once in a process, since nothing in them can change."""
    return Settings.model_validate_json(text)
