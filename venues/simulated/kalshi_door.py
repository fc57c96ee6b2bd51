"""The door of the Kalshi dialect: who may come in, what a request costs, and whether the exchange is open for it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

from venues.simulated.buckets import KALSHI_TIERS, Buckets
from venues.simulated.desk import Desk, RequestRecord
from venues.simulated.exchange import Exchange
from venues.simulated.faults import Endpoint
from venues.simulated.happenings import Fill
from venues.simulated.kalshi_accounts import account_id
from venues.simulated.kalshi_auth import Signer, authenticate, error
from venues.simulated.kalshi_state import KalshiState, Life
from venues.simulated.kalshi_words import PREFIX, KalshiRefusals, flat_error
from venues.simulated.universe import Pair

Needs = Literal["nothing", "exchange", "trading"]
DEFAULT_COST = 10
COSTS: dict[tuple[str, str], int] = {
    ("POST", "/account/api_usage_level/upgrade"): 30,
    ("DELETE", "/portfolio/events/orders"): 2,
    ("DELETE", "/portfolio/events/orders/{order_id}"): 2,
    ("DELETE", "/portfolio/events/orders/batched"): 2,
    ("GET", "/portfolio/orders/{order_id}"): 2,
}  # a request, or an item of a batch; everything else costs the default
CHILD_SCOPES = {"/portfolio/balance": "read::portfolio_balance"}
ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("DELETE", "/portfolio/events/orders/{order_id}"): "cancel",
    ("POST", "/portfolio/events/orders/{order_id}/amend"): "change",
    ("POST", "/portfolio/events/orders/{order_id}/decrease"): "change",
    ("POST", "/portfolio/events/orders/batched"): "batch",
    ("DELETE", "/portfolio/events/orders/batched"): "batch",
    ("GET", "/portfolio/orders/{order_id}"): "lookup",
    ("GET", "/portfolio/fills"): "fills",
    ("GET", "/portfolio/balance"): "balance",
}  # what a fault script can address beside orders


@dataclass(slots=True)
class Asked:
    """A request that came through the door: who signed it, and its body."""

    request: web.Request
    user: str = ""
    signer: Signer | None = None
    body: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    entry: RequestRecord | None = None


class KalshiDoor:
    def __init__(
        self, desk: Desk, pairs: tuple[Pair, ...], signers: dict[str, Signer], *, read_lag_ns: int, buckets: Buckets,
        state: KalshiState | None = None,
    ) -> None:  # fmt: skip
        self.desk, self.pairs, self.read_lag_ns, self.buckets = desk, pairs, read_lag_ns, buckets
        self.by_ticker = {p.kalshi.ticker: p for p in pairs}
        self.state = state or KalshiState(pairs)
        self.signers = signers
        self.refusals = KalshiRefusals()
        self.free_cash: dict[str, deque[tuple[int, int]]] = {}  # its last changes by account: reads lag

    @property
    def exchange(self) -> Exchange:
        return self.desk.exchange

    # who

    def signer_of(self, request: web.Request) -> Signer | web.Response:
        return authenticate(request.headers, request.method, request.raw_path, self.signers, self.desk.now())

    def allowed(self, signer: Signer, method: str, path: str) -> bool:
        scope = "read" if method == "GET" else "write"
        return scope in signer.scopes or CHILD_SCOPES.get(path, scope) in signer.scopes

    # how often

    def affords(self, user: str, scope: str, cost: int) -> bool:
        """Take tokens, all or none; in a storm of refusals nobody has any."""
        return self.desk.now() >= self.desk.storm_until_ns and self.buckets.take(user, scope, cost, self.desk.now())

    # which account

    def accounts_of(self, asked: Asked, *, primary: bool) -> list[str] | web.Response:
        """The accounts that a request is about, by its `subaccount` and `exchange_index`; all of the user's without them.

        With `primary`, no `subaccount` means the primary one.
        """
        subaccount = self.subaccount(asked, asked.request.query.get("subaccount"), primary=primary)
        if isinstance(subaccount, web.Response):
            return subaccount
        shard = asked.request.query.get("exchange_index", "")
        if shard and not shard.lstrip("-").isdigit():
            return flat_error("exchange_index is no integer")
        shards = [int(shard)] if shard and int(shard) >= 0 else list(self.state.shards)
        numbers = range(self.state.subaccounts.get(asked.user, 0) + 1) if subaccount is None else [subaccount]
        names = [account_id(asked.user, number, index) for number in numbers for index in shards]
        return [name for name in names if name in self.exchange.accounts]

    def subaccount(self, asked: Asked, given: object, *, primary: bool) -> int | web.Response | None:
        """The sub-account that is meant; a restricted key has one only and must not name another."""
        own = asked.signer.subaccount if asked.signer is not None else None
        if given is None or given == "":
            return own if own is not None else (0 if primary else None)
        text = str(given)
        if not text.isdigit() or isinstance(given, bool):
            return flat_error("json: cannot unmarshal value into Go struct field subaccount of type int")
        if own is not None and int(text) != own:
            return error(403, "forbidden", details="this key is restricted to another subaccount")
        if int(text) > self.state.subaccounts.get(asked.user, 0):
            return error(404, "not_found", details=f"subaccount {text}")
        return int(text)

    # whether it is open

    def closed(self, shard: int, needs: Needs) -> web.Response | None:
        """The refusal of a request that this shard does not take now."""
        state = self.state.shards.get(shard)
        if state is None or needs == "nothing":
            return None
        if not state.exchange_active:
            return error(503, "exchange_paused", "exchange is paused for maintenance")
        if needs == "trading" and not state.trading_active:
            return error(403, "trading_paused", "trading is paused")
        return None

    def inactive(self, life: Life, *, entry: bool = False) -> web.Response | None:
        """The refusal of anything about orders after the close, and of new orders while the market stands still."""
        ended = life.status not in ("initialized", "active", "inactive") or self.desk.now() >= life.close_ns
        if ended or (entry and life.status != "active"):
            return error(400, "MARKET_INACTIVE", "market is not active")
        return None

    # what can be read

    def as_of_ns(self) -> int:
        """The time that private reads have reached."""
        return self.desk.now() - self.read_lag_ns

    def fills_of(self, accounts: Iterable[str]) -> list[Fill]:
        mine, as_of = set(accounts), self.as_of_ns()
        return [fill for fill in self.exchange.fills if fill.order.account in mine and fill.at_ns <= as_of]

    def open_interest(self, ticker: str) -> int:
        """Contracts that are open, the market makers' own left out."""
        return sum(
            max(account.positions[ticker].yes, account.positions[ticker].no)
            for account in self.exchange.accounts.values()
            if not account.unlimited and ticker in account.positions
        )

    def raise_tier(self, tier: str) -> None:
        self.buckets = Buckets(tier, KALSHI_TIERS[tier])

    def watch_cash(self) -> None:
        """Remember what is free on each account, since a balance that is read lags behind it."""
        now_ns = self.desk.now()
        for name, account in self.exchange.accounts.items():
            if account.unlimited:
                continue
            kept = self.free_cash.setdefault(name, deque([(0, account.available)], maxlen=256))
            if kept[-1][1] != account.available:
                kept.append((now_ns, account.available))

    # routes

    def serve(
        self, method: str, path: str, answer: Callable[[Asked], web.Response], *, private: bool = True,
        charge: Callable[[Asked], int] | None = None, keep: bool = False, bucket: str = "",
        needs: Needs = "nothing",
    ) -> web.RouteDef:  # fmt: skip
        """A route that authenticates, charges, then answers.

        `charge` counts the items of a batch; `keep` writes the request into the judge's log; `bucket` names a bucket
        other than the reads' or the writes'.
        """
        scope = bucket or ("read" if method == "GET" else "write")
        cost = 1 if bucket else COSTS.get((method, path), DEFAULT_COST)
        endpoint = ENDPOINTS.get((method, path))

        async def respond(request: web.Request) -> web.StreamResponse:
            asked = Asked(request)
            refused = self._enter(asked, method, path, private=private)
            asked.raw = await request.read() if method != "GET" else b""
            refused = refused or self._read(asked)
            if keep and asked.signer is not None:
                asked.entry = self.desk.record(request, asked.raw, asked.user, "")
            if refused is None and asked.signer is not None:
                items = 1 if charge is None else charge(asked)
                refused = None if self.affords(asked.user, scope, cost * items) else self.refusals.rate_limited()
            if refused is not None:
                if asked.entry is not None:
                    asked.entry.status = refused.status
                return refused
            self.desk.flush()
            refused = self.closed(0, needs)
            if refused is not None:
                if asked.entry is not None:
                    asked.entry.status = refused.status
                return refused
            if endpoint is not None:
                return await self.desk.guard(request, endpoint, lambda: answer(asked), self.refusals, asked.entry)
            response = answer(asked)
            self.desk.flush()
            if asked.entry is not None:
                asked.entry.status, asked.entry.accepted = response.status, response.status < 300
            return response

        return web.RouteDef(method, PREFIX + path, respond, {})

    def _enter(self, asked: Asked, method: str, path: str, *, private: bool) -> web.Response | None:
        if not private and "KALSHI-ACCESS-KEY" not in asked.request.headers:
            return None  # public data are served to anybody; a key that is shown must be good, and is charged
        signer = self.signer_of(asked.request)
        if isinstance(signer, web.Response):
            return signer
        asked.signer, asked.user = signer, signer.account
        if private and not self.allowed(signer, method, path):
            return error(403, "forbidden", details="the key's scopes do not include this")
        return None

    def _read(self, asked: Asked) -> web.Response | None:
        if not asked.raw:
            return None
        try:
            loaded = json.loads(asked.raw)
        except ValueError:
            return flat_error("invalid character in JSON body")
        if not isinstance(loaded, dict):
            return flat_error("json: cannot unmarshal value into Go value of type object")
        asked.body = loaded
        return None
