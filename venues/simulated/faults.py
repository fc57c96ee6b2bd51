"""The fault script: which requests go wrong, and how.

A script is a list of rules. The n-th request of an endpoint (counted from 1, re-posts of the same bytes left out) makes the
rules that address it *due*; a due fault stays pending until a request comes on which it can really take effect, so that a
hit is always a hit. One request meets one fault at most.

Kinds for orders:
    request_lost          never processed; the connection is held, then dropped
    timeout_after_accept  processed; the connection is held, then dropped
    error_after_accept    processed; then a gateway's 502 page or a 503
    late_arrival          the connection is held and dropped; processed 0.8 to 1.8 s later
    reject                a definite refusal in the venue's own words
    insufficient_funds    the venue's own refusal for want of funds
    partial               30 to 70 % of what would fill is filled, the rest is killed (never a fill-or-kill)
    duplicate_events      the order's private messages come twice
    disordered_events     the order's private messages come late and out of order
    stream_freeze         all streams of the venue stop for a while, pings are still answered
    reversed_match        Polymarket: the order's trades end FAILED
    rate_limited          429 in the venue's own form
    taker_delay           Polymarket: answered `delayed`, meets the book a while later
Upheavals, which strike the whole venue or the market of the order that meets them, and with it what is open there:
    restart               sockets break, nothing answers for a moment, the state survives; Polymarket then says 425, takes
                          only post-only orders for a while, then everything
    maintenance           trading stops, then only cancels are taken, then everything
    rate_storm            every order and every cancel is answered 429 for a while
    tick_change           the market's price grid becomes another one
    contract_change       Polymarket: the market settles on another contract, so signatures of the old one are refused
    resolution            the market resolves; what rests there is cancelled
    pause                 Kalshi: trading pauses for a moment; cancels are taken
    fee_change            Kalshi: the fee of the market's event becomes another one, or the old one again
    market_halt           Kalshi: the market stands still, then trades again with an empty book
For other endpoints: request_lost, timeout_after_accept, error_after_accept, reject, rate_limited.

A file:
    version: 1
    rules:
      - kind: timeout_after_accept        # or kinds: [a, b, c], taken in turn
        orders: [3, 7]                    # ordinals of the endpoint's requests, from 1
      - kinds: [reject, partial]
        every: 10                         # ordinals 5, 15, 25 ...
        offset: 5
      - kind: rate_limited
        probability: 0.1                  # drawn from the venue's seed
        window_s: [5, 20]                 # only in this time since the start
      - kinds: [restart, maintenance]
        every_s: 10                       # one about every ten seconds from the first order on
      - kind: error_after_accept
        endpoint: cancel                  # order (default), cancel, lookup, fills, balance; Kalshi also: change (amend, decrease), batch
        every: 2
        hits_max: 3
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from venues.simulated.universe import ConfigurationError

Kind = Literal[
    "request_lost", "timeout_after_accept", "error_after_accept", "late_arrival", "reject", "insufficient_funds",
    "partial", "duplicate_events", "disordered_events", "stream_freeze", "reversed_match", "rate_limited",
    "taker_delay", "restart", "maintenance", "rate_storm", "tick_change", "contract_change", "resolution",
    "pause", "fee_change", "market_halt",
]  # fmt: skip
Endpoint = Literal["order", "cancel", "change", "batch", "lookup", "fills", "balance"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ELSEWHERE: frozenset[Kind] = frozenset(
    ("request_lost", "timeout_after_accept", "error_after_accept", "reject", "rate_limited")
)
UPHEAVALS: frozenset[Kind] = frozenset(
    (
        "restart",
        "maintenance",
        "rate_storm",
        "tick_change",
        "contract_change",
        "resolution",
        "pause",
        "fee_change",
        "market_halt",
    )
)
PENDING_MAX = 64
SHAKEN_WITHIN_S = 46
"""Of orders: so that in a storm of a minute each upheaval comes three times."""

STANDARD: dict[str, tuple[Kind, ...]] = {
    "kalshi": (
        "timeout_after_accept", "reject", "partial", "error_after_accept", "late_arrival", "duplicate_events",
        "request_lost", "disordered_events", "insufficient_funds", "stream_freeze", "rate_limited",
    ),
    "polymarket": (
        "timeout_after_accept", "partial", "reversed_match", "error_after_accept", "reject", "late_arrival",
        "duplicate_events", "request_lost", "disordered_events", "rate_limited", "stream_freeze", "insufficient_funds",
    ),
}  # fmt: skip

STORM_ONLY: dict[str, tuple[Kind, ...]] = {"kalshi": (), "polymarket": ("taker_delay",)}
SHAKEN: dict[str, tuple[Kind, ...]] = {
    "kalshi": ("restart", "tick_change", "maintenance", "fee_change", "rate_storm", "pause"),
    "polymarket": ("restart", "tick_change", "maintenance", "contract_change", "rate_storm"),
}
"""The upheavals of each venue, in turn."""


@dataclass(frozen=True, slots=True)
class Rule:
    kinds: tuple[Kind, ...]
    endpoint: Endpoint = "order"
    orders: frozenset[int] | None = None
    every: int | None = None
    every_s: float | None = None
    ahead_s: float = 0.0
    offset: int = 0
    residues: frozenset[int] | None = None
    probability: float | None = None
    window_ns: tuple[int, int] | None = None
    hits_max: int | None = None

    def addresses(self, ordinal: int, elapsed_ns: int, draw: random.Random) -> bool:
        if self.window_ns is not None and not self.window_ns[0] <= elapsed_ns < self.window_ns[1]:
            return False
        if self.orders is not None and ordinal not in self.orders:
            return False
        if self.residues is not None and self.every and ordinal % self.every not in self.residues:
            return False
        if self.residues is None and self.every is not None and (ordinal - self.offset) % self.every:
            return False
        return self.probability is None or draw.random() < self.probability


@dataclass(slots=True)
class Script:
    name: str
    rules: tuple[Rule, ...]
    seed: str = ""
    hits: Counter[str] = field(default_factory=Counter)
    _ordinals: Counter[str] = field(default_factory=Counter)
    _turns: Counter[int] = field(default_factory=Counter)
    _since_ns: dict[str, int] = field(default_factory=dict)
    _pending: list[tuple[Endpoint, Kind]] = field(default_factory=list)
    _draw: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._draw = random.Random(f"{self.seed}/faults")

    def arrive(self, endpoint: Endpoint, elapsed_ns: int) -> int:
        """Count a request and make due what addresses it."""
        self._ordinals[endpoint] += 1
        ordinal = self._ordinals[endpoint]
        since_ns = self._since_ns.setdefault(endpoint, elapsed_ns)
        for number, rule in enumerate(self.rules):
            if rule.endpoint != endpoint or not rule.addresses(ordinal, elapsed_ns, self._draw):
                continue
            if rule.hits_max is not None and self._turns[number] >= rule.hits_max:
                continue
            if rule.every_s is not None:
                due_s = rule.every_s * (self._turns[number] + 1) - rule.ahead_s
                if (elapsed_ns - since_ns) / 1e9 < due_s:
                    continue
            kind = rule.kinds[self._turns[number] % len(rule.kinds)]
            self._turns[number] += 1
            if len(self._pending) < PENDING_MAX:
                self._pending.append((endpoint, kind))
        return ordinal

    def take(self, endpoint: Endpoint, feasible: Callable[[Kind], bool]) -> Kind | None:
        """The oldest pending fault that can take effect on this request; it is counted as hit."""
        for number, (place, kind) in enumerate(self._pending):
            if place == endpoint and feasible(kind):
                del self._pending[number]
                self.hits[kind] += 1
                return kind
        return None


def upheavals(dialect: str) -> Rule:
    """All upheavals of a venue in turn. The venues are out of step, so that as a rule one of the two is well."""
    every_s = SHAKEN_WITHIN_S / (3 * len(SHAKEN[dialect]))
    return Rule(SHAKEN[dialect], every_s=every_s, ahead_s=every_s / 2 if dialect == "polymarket" else 0.0)


def built_in(name: str, dialect: str, seed: str) -> Script:
    kinds = STANDARD[dialect]
    if name == "none":
        return Script("none", (), seed)
    if name == "standard":
        # the venues are out of step, so that as a rule one leg of a trade is hit and the other is not
        offset = 2 if dialect == "kalshi" else 4
        return Script("standard", (Rule(kinds, every=4, offset=offset),), seed)
    if name == "storm":
        single = Rule(kinds + STORM_ONLY[dialect], every=5, residues=frozenset((1, 3)))
        return Script("storm", (single, upheavals(dialect)), seed)
    if name == "upheaval":
        return Script("upheaval", (upheavals(dialect),), seed)
    raise ConfigurationError(
        f"fault script {name!r} is unknown; use none, standard, storm, upheaval or the path of a .yaml file"
    )


def load_script(name: str, dialect: str, seed: str) -> Script:
    if not name.endswith((".yaml", ".yml")):
        return built_in(name, dialect, seed)
    path = Path(name)
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"fault file {path}: {error.strerror}; give an existing file with --faults") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"fault file {path}: not YAML ({error}); correct the file") from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("rules"), list):
        raise ConfigurationError(f"fault file {path}: no list 'rules'; see the head of venues/simulated/faults.py")
    return Script(name, tuple(_rule(path, number, entry) for number, entry in enumerate(loaded["rules"])), seed)


def _rule(path: Path, number: int, entry: Any) -> Rule:
    where = f"fault file {path}, rule {number + 1}"
    known = {"kind", "kinds", "endpoint", "orders", "every", "every_s", "offset", "probability", "window_s", "hits_max"}
    if not isinstance(entry, dict) or set(entry) - known:
        odd = sorted(set(entry) - known) if isinstance(entry, dict) else entry
        raise ConfigurationError(f"{where}: {odd!r} is not understood; use {', '.join(sorted(known))}")
    kinds = entry.get("kinds") or [entry.get("kind")]
    endpoint = entry.get("endpoint", "order")
    allowed = KINDS if endpoint == "order" else ELSEWHERE
    for kind in kinds:
        if kind not in allowed:
            raise ConfigurationError(f"{where}: kind {kind!r} is not one of {', '.join(sorted(allowed))}; correct it")
    if endpoint not in get_args(Endpoint):
        raise ConfigurationError(
            f"{where}: endpoint {endpoint!r} is not one of {', '.join(get_args(Endpoint))}; correct it"
        )
    try:
        window = entry.get("window_s")
        return Rule(
            kinds=tuple(kinds),
            endpoint=endpoint,
            orders=frozenset(int(n) for n in entry["orders"]) if "orders" in entry else None,
            every=int(entry["every"]) if "every" in entry else None,
            every_s=float(entry["every_s"]) if "every_s" in entry else None,
            offset=int(entry.get("offset", 0)),
            probability=float(entry["probability"]) if "probability" in entry else None,
            window_ns=(int(window[0] * 1e9), int(window[1] * 1e9)) if window else None,
            hits_max=int(entry["hits_max"]) if "hits_max" in entry else None,
        )
    except (TypeError, ValueError, IndexError) as error:
        raise ConfigurationError(f"{where}: {entry!r} has a wrong value ({error}); correct it") from None
