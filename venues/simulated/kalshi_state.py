"""What the Kalshi venue knows beside its books: shards, lives of markets, order groups, sub-accounts, transfers.

Pure data with the questions that the dialect asks of it; time comes in, nothing goes out. All of it survives a restart.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from venues.simulated.book import Order
from venues.simulated.happenings import S
from venues.simulated.kalshi_accounts import account_id, parts_of
from venues.simulated.scale import PRICE_ONE
from venues.simulated.universe import LINEAR_CENT, Pair, PriceRange

Status = Literal["initialized", "active", "inactive", "closed", "determined", "disputed", "amended", "finalized"]
Result = Literal["", "yes", "no", "scalar"]

DECI_CENT = (PriceRange(0, PRICE_ONE, 10),)
OPENED_NS = 1_767_225_600 * S  # 2026-01-01
CLOSES_NS = 1_830_297_540 * S  # 2027-12-31 23:59
GROUP_WINDOW_NS = 15 * S
CANCEL_ALL_TAIL_NS = 60 * S
SHARDS = {0: "default", 1: "combos", 2: "crypto", 3: "sports"}


@dataclass(slots=True)
class Life:
    """One market from its opening to its pay-out."""

    pair: Pair
    ranges: tuple[PriceRange, ...]
    status: Status = "active"
    open_ns: int = OPENED_NS
    close_ns: int = CLOSES_NS
    timer_s: int = 60
    updated_ns: int = OPENED_NS
    result: Result = ""
    value: int | None = None  # what YES pays, in price units
    settled_ns: int | None = None
    timers: int = 0  # settlement timers that were started; only the newest pays
    volume: int = 0
    dollar_volume: int = 0
    last_size: int = 0

    @property
    def ticker(self) -> str:
        return self.pair.kalshi.ticker

    @property
    def shard(self) -> int:
        return self.pair.kalshi.exchange_index

    @property
    def structure(self) -> str:
        if self.ranges == LINEAR_CENT:
            return "linear_cent"
        return "deci_cent" if len(self.ranges) == 1 else "tapered_deci_cent"

    def on_grid(self, price: int) -> bool:
        return 0 < price < PRICE_ONE and any(
            r.start <= price <= r.end and (price - r.start) % r.step == 0 for r in self.ranges
        )


@dataclass(slots=True)
class Shard:
    exchange_active: bool = True
    trading_active: bool = True
    resumes_ns: int | None = None


@dataclass(slots=True)
class Group:
    """An order group: after `limit` contracts within 15 s all its orders go, and new ones are refused until it is reset."""

    id: str
    account: str
    limit: int
    triggered: bool = False
    orders: list[Order] = field(default_factory=list)
    matched: deque[tuple[int, int]] = field(default_factory=deque)

    def count(self, at_ns: int, quantity: int) -> bool:
        """Count contracts that were matched; true where the limit is reached."""
        self.matched.append((at_ns, quantity))
        return self.within(at_ns) >= self.limit

    def within(self, at_ns: int) -> int:
        while self.matched and self.matched[0][0] <= at_ns - GROUP_WINDOW_NS:
            self.matched.popleft()
        return sum(quantity for _, quantity in self.matched)


@dataclass(slots=True)
class Note:
    """What an order carries that the exchange need not know."""

    initial: int
    group: str = ""
    on_pause: bool = False
    post_only: bool = False


@dataclass(frozen=True, slots=True)
class FeeChange:
    id: str
    at_ns: int
    event: str
    series: str
    fee_type: str | None  # None: the override ends
    multiplier: Fraction | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """Cash moved between sub-accounts or shards of one user."""

    id: str
    client_id: str
    user: str
    source: tuple[int, int]  # sub-account, shard
    destination: tuple[int, int]
    amount: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Settled:
    """One account's pay-out in one market."""

    account: str
    ticker: str
    at_ns: int
    yes: int
    no: int
    yes_cost: int
    no_cost: int
    revenue: int
    fees: int


class KalshiState:
    def __init__(self, pairs: tuple[Pair, ...]) -> None:
        self.lives = {p.kalshi.ticker: Life(p, p.kalshi.price_ranges) for p in pairs}
        self.shards = {index: Shard() for index in sorted({*SHARDS, *(p.kalshi.exchange_index for p in pairs)})}
        self.notes: dict[str, Note] = {}
        self.groups: dict[str, Group] = {}
        self.client_ids: set[tuple[str, str]] = set()  # used up for ever, by user
        self.subaccounts: dict[str, int] = {}  # the highest number of each user
        self.netting: dict[tuple[str, int], bool] = {}
        self.transfers: list[Transfer] = []
        self.settled: list[Settled] = []
        self.fee_changes: list[FeeChange] = []
        self.fee_overrides: dict[str, tuple[str, Fraction]] = {}  # by event
        self.series_fees: dict[str, tuple[str, Fraction]] = {}
        self.allocations: dict[str, dict[int, int]] = {}
        self.announcements: list[dict[str, str]] = []
        self._tails: list[tuple[str, int | None, int]] = []

    def note(self, order: Order) -> Note:
        return self.notes.get(order.venue_order) or Note(order.quantity)

    def group_of(self, order: Order) -> Group | None:
        return self.groups.get(self.note(order).group)

    def cancel_all(self, user: str, subaccount: int | None, now_ns: int) -> None:
        """Orders placed within the next minute go as well."""
        self._tails = [tail for tail in self._tails if tail[2] > now_ns]
        self._tails.append((user, subaccount, now_ns + CANCEL_ALL_TAIL_NS))

    def swept(self, account: str, now_ns: int) -> bool:
        user, subaccount, _ = parts_of(account)
        return any(u == user and s in (None, subaccount) and now_ns < until for u, s, until in self._tails)

    def account(self, user: str, subaccount: int, ticker: str) -> str:
        return account_id(user, subaccount, self.lives[ticker].shard)

    def fee(self, life: Life) -> tuple[str, Fraction]:
        """Fee type and multiplier that hold for a market now: its event's where there is an override, else its series'."""
        spec = life.pair.kalshi
        series = self.series_fees.get(spec.series) or ("quadratic", spec.fee_multiplier)
        return self.fee_overrides.get(spec.event) or series
