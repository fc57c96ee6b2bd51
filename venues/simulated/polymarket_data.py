"""Polymarket's Data service: what a wallet holds and did, for anybody who asks. Today's paths and the older ones."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from venues.simulated.accounts import Account
from venues.simulated.book import Outcome
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.polymarket_gamma import PolymarketGamma
from venues.simulated.polymarket_wallets import Wallet
from venues.simulated.scale import PRICE_ONE, UNIT, plain

PAGE_MOST = 500
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")
OPEN, REDEEMABLE, LOST, MERGEABLE = "OPEN", "REDEEMABLE", "REDEEMABLE_LOST", "MERGEABLE"


class PolymarketData:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door
        self.gamma = PolymarketGamma(door)

    def routes(self) -> list[web.RouteDef]:
        public = self.door.public
        return [
            web.get("/v2/positions", public(lambda r: self._paged(r, self._positions(r)))),
            web.get("/v2/trades", public(lambda r: self._paged(r, self._trades(r)))),
            web.get("/v2/activity", public(lambda r: self._paged(r, self._activity(r)))),
            web.get("/v2/value", public(lambda r: self._paged(r, self._value(r)))),
            web.get("/positions", public(lambda r: self._plain(r, self._positions(r)))),
            web.get("/trades", public(lambda r: self._plain(r, self._trades(r)))),
            web.get("/activity", public(lambda r: self._plain(r, self._activity(r)))),
            web.get("/value", public(lambda r: self._plain(r, self._value(r)))),
        ]

    def _paged(self, request: web.Request, rows: list[dict[str, Any]]) -> web.Response:
        limit = request.query.get("limit", "100")
        if not limit.isdigit() or not 0 < int(limit) <= PAGE_MOST:
            return error(400, f"limit must be between 1 and {PAGE_MOST}")
        try:
            start = int(base64.urlsafe_b64decode(request.query.get("cursor", "") or "MA=="))
        except ValueError:
            return error(400, "invalid cursor")
        page = rows[start : start + int(limit)]
        more = start + int(limit) < len(rows)
        cursor = base64.urlsafe_b64encode(str(start + int(limit)).encode()).decode() if more else None
        return web.json_response({"data": page or None, "pagination": {"next_cursor": cursor}})

    def _plain(self, request: web.Request, rows: list[dict[str, Any]]) -> web.Response:
        """The older form: a bare list, keys in camel case."""
        limit, offset = (
            int(v) if (v := request.query.get(k, d)).isdigit() else 0 for k, d in (("limit", "100"), ("offset", "0"))
        )
        return web.json_response([_camel(row) for row in rows[offset : offset + limit]])

    def _account(self, request: web.Request) -> tuple[Wallet, Account] | None:
        wallet = self.door.wallets.at(request.query.get("user", ""))
        return None if wallet is None else (wallet, self.door.exchange.accounts[wallet.account])

    def _held(self, account: Account) -> Iterator[tuple[str, Outcome, int]]:
        for market in list(account.positions):
            for outcome in OUTCOMES:
                size = account.settled_tokens(market, outcome)
                if size > 0:
                    yield market, outcome, size

    def _status(self, account: Account, market: str, outcome: Outcome) -> str:
        pays = self.door.exchange.payouts.get(market)
        if pays is not None:
            return REDEEMABLE if pays[OUTCOMES.index(outcome)] else LOST
        both = all(account.settled_tokens(market, each) > 0 for each in OUTCOMES)
        return MERGEABLE if both else OPEN

    def _positions(self, request: web.Request) -> list[dict[str, Any]]:
        found = self._account(request)
        if found is None:
            return []
        wallet, account = found
        asked = {s for s in request.query.get("status", "").upper().split(",") if s}
        rows = []
        for market, outcome, size in self._held(account):
            pair, status = self.door.by_condition[market], self._status(account, market, outcome)
            # a mergeable position is open as well
            if asked and status not in asked and not (status == MERGEABLE and OPEN in asked):
                continue
            price = self.gamma.price(pair, outcome)
            spec = pair.polymarket
            rows.append(
                {
                    "user": wallet.address, "asset": spec.token(outcome), "condition_id": market, "size": plain(size, 6),
                    "outcome": outcome.capitalize(), "outcome_index": OUTCOMES.index(outcome),
                    "opposite_asset": spec.token("no" if outcome == "yes" else "yes"),
                    "cur_price": plain(price, 4), "current_value": plain(size * price // PRICE_ONE, 6),
                    "negative_risk": spec.neg_risk, "redeemable": status in (REDEEMABLE, LOST),
                    "mergeable": status == MERGEABLE, "status": status, "title": pair.title, "slug": pair.id,
                }
            )  # fmt: skip
        return rows

    def _trades(self, request: web.Request) -> list[dict[str, Any]]:
        found = self._account(request)
        market = request.query.get("market", "").lower()
        taker_only = request.query.get("takerOnly", request.query.get("taker_only", "true")) != "false"
        rows = []
        for fill in reversed(self.door.exchange.fills):
            if found is not None and fill.order.account != found[0].account:
                continue
            # what the chain has not taken in, or has thrown out, is nobody's trade yet
            if fill.match.settlement not in ("mined", "confirmed") or (taker_only and fill.role != "taker"):
                continue
            if ("user" in request.query and found is None) or market not in ("", fill.order.market):
                continue
            pair = self.door.by_condition[fill.order.market]
            rows.append(
                {
                    "proxy_wallet": self.door.owner_of(fill.order.account)[1], "side": fill.action.upper(),
                    "asset": pair.polymarket.token(fill.outcome), "condition_id": fill.order.market,
                    "size": plain(fill.quantity, 6), "price": plain(fill.price, 4), "timestamp": fill.at_ns // 1_000_000_000,
                    "outcome": fill.outcome.capitalize(), "outcome_index": OUTCOMES.index(fill.outcome),
                    "transaction_hash": self.door.hash_of(fill.match), "title": pair.title, "slug": pair.id,
                }
            )  # fmt: skip
        return rows

    def _activity(self, request: web.Request) -> list[dict[str, Any]]:
        found = self._account(request)
        if found is None:
            return []
        trades = [{**row, "type": "TRADE"} for row in self._trades(request)]
        moved = [
            {
                "proxy_wallet": found[0].address, "type": m.kind.upper(), "condition_id": m.market,
                "usdc_size": plain(abs(m.cash), 6), "timestamp": m.at_ns // 1_000_000_000,
            }
            for m in self.door.exchange.movements if m.account == found[0].account
        ]  # fmt: skip
        return sorted([*trades, *moved], key=lambda row: -int(str(row["timestamp"])))

    def _value(self, request: web.Request) -> list[dict[str, Any]]:
        found = self._account(request)
        if found is None:
            return []
        worth = sum(
            size * self.gamma.price(self.door.by_condition[market], outcome) // PRICE_ONE
            for market, outcome, size in self._held(found[1])
        )
        return [{"user": found[0].address, "value": worth / UNIT}]


def _camel(row: dict[str, Any]) -> dict[str, Any]:
    told = {}
    for name, value in row.items():
        first, *rest = name.split("_")
        number = name in ("size", "price", "cur_price", "current_value", "usdc_size")
        told[first + "".join(part.capitalize() for part in rest)] = float(value) if number else value
    return told
