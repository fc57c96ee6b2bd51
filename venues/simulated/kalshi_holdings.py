"""Kalshi's reads of what is held: positions, settlements and cash. They lag behind what was done, as those of orders do."""

from __future__ import annotations

from aiohttp import web

from venues.simulated.happenings import Fill, S
from venues.simulated.kalshi_accounts import parts_of
from venues.simulated.kalshi_door import Asked, KalshiDoor
from venues.simulated.kalshi_positions import Tally, tally
from venues.simulated.kalshi_words import count_cents, invalid_query, iso, limit_of, names_of, page_of, within
from venues.simulated.scale import PRICE_ONE, count_text, money_text, notional_ceil, price_text


class KalshiHoldings:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        serve = self.door.serve
        return [
            serve("GET", "/portfolio/positions", self._positions),
            serve("GET", "/portfolio/settlements", self._settlements),
            serve("GET", "/portfolio/balance", self._balance, bucket="balance"),
            serve("GET", "/portfolio/summary/total_resting_order_value", self._resting_value),
        ]

    def _positions(self, asked: Asked) -> web.Response:
        request = asked.request
        limit, accounts = limit_of(request, "GetPositions"), self.door.accounts_of(asked, primary=True)
        if isinstance(limit, web.Response):
            return limit
        if isinstance(accounts, web.Response):
            return accounts
        which = request.query.get("settlement_status") or "unsettled"
        if which not in ("unsettled", "settled", "all"):
            return invalid_query("GetPositions", "SettlementStatus", "oneof")
        fields = names_of(request, "count_filter")
        tickers, event = names_of(request, "ticker"), request.query.get("event_ticker")
        by_market: dict[str, list[Fill]] = {}
        for fill in self.door.fills_of(accounts):
            by_market.setdefault(fill.order.market, []).append(fill)
        rows: list[tuple[str, dict[str, object]]] = []
        by_event: dict[str, list[Tally]] = {}
        for market, fills in by_market.items():
            life, folded = self.door.state.lives[market], tally(fills)
            if (tickers and market not in tickers) or (event and life.pair.kalshi.event != event):
                continue
            paid = [s for s in self.door.state.settled if s.ticker == market and s.account in accounts]
            if which != "all" and bool(paid) != (which == "settled"):
                continue
            if paid:
                folded.realized += sum(s.revenue for s in paid) - folded.cost
                folded.position = folded.cost = 0
            if fields and not ("position" in fields and folded.position) and "total_traded" not in fields:
                continue
            by_event.setdefault(life.pair.kalshi.event, []).append(folded)
            resting = sum(len(self.door.exchange.accounts[a].resting[market]) for a in accounts)
            rows.append((market, position_told(market, life.shard, folded, resting)))
        page, cursor = page_of(request, rows, limit)
        events = [event_told(name, tallies) for name, tallies in by_event.items()]
        return web.json_response({"cursor": cursor, "market_positions": page, "event_positions": events})

    def _settlements(self, asked: Asked) -> web.Response:
        request = asked.request
        limit, accounts = limit_of(request, "GetSettlements"), self.door.accounts_of(asked, primary=False)
        if isinstance(limit, web.Response):
            return limit
        if isinstance(accounts, web.Response):
            return accounts
        tickers, event = names_of(request, "ticker"), request.query.get("event_ticker")
        rows: list[tuple[str, dict[str, object]]] = []
        for paid in reversed(self.door.state.settled):
            life = self.door.state.lives[paid.ticker]
            if paid.account not in accounts or (tickers and paid.ticker not in tickers):
                continue
            if (event and life.pair.kalshi.event != event) or not within(request, paid.at_ns):
                continue
            told: dict[str, object] = {
                "ticker": paid.ticker, "exchange_index": life.shard, "event_ticker": life.pair.kalshi.event,
                "market_result": life.result, "yes_count_fp": count_text(paid.yes),
                "yes_total_cost_dollars": money_text(paid.yes_cost), "no_count_fp": count_text(paid.no),
                "no_total_cost_dollars": money_text(paid.no_cost), "revenue": count_cents(paid.revenue),
                "settled_time": iso(paid.at_ns), "fee_cost": money_text(paid.fees), "value": (life.value or 0) // 100,
            }  # fmt: skip
            rows.append((f"{paid.account}/{paid.ticker}", told))
        page, cursor = page_of(request, rows, limit)
        return web.json_response({"cursor": cursor, "settlements": page})

    # cash

    def _available(self, account: str) -> int:
        """Free cash as of the time that reads have reached."""
        as_of, found = self.door.as_of_ns(), None
        for at_ns, free in self.door.free_cash.get(account, ()):
            if at_ns > as_of and found is not None:
                break
            found = free
        return self.door.exchange.accounts[account].available if found is None else found

    def _balance(self, asked: Asked) -> web.Response:
        accounts = self.door.accounts_of(asked, primary=True)
        if isinstance(accounts, web.Response):
            return accounts
        free = {parts_of(name)[2]: self._available(name) for name in accounts}
        worth = 0
        for name in accounts:
            for market, held in self.door.exchange.accounts[name].positions.items():
                book = self.door.exchange.books[market]
                worth += held.yes * (book.best("bid") or 0) + held.no * (PRICE_ONE - (book.best("ask") or PRICE_ONE))
        total = sum(free.values())
        told: dict[str, object] = {
            "balance": total // 10_000, "balance_dollars": price_text(total // 100),
            "portfolio_value": worth // (PRICE_ONE * 10_000), "updated_ts": self.door.as_of_ns() // S,
        }  # fmt: skip
        if asked.signer is None or asked.signer.subaccount is None:
            told["balance_breakdown"] = [
                {"balance": price_text(money // 100), "exchange_index": shard} for shard, money in sorted(free.items())
            ]
        return web.json_response(told)

    def _resting_value(self, asked: Asked) -> web.Response:
        accounts = self.door.accounts_of(asked, primary=False)
        if isinstance(accounts, web.Response):
            return accounts
        by_shard: dict[int, int] = {}
        for name in accounts:
            shard = parts_of(name)[2]
            for resting in self.door.exchange.accounts[name].resting.values():
                for o in resting:
                    price = o.price if o.action == "buy" else PRICE_ONE - o.price
                    by_shard[shard] = by_shard.get(shard, 0) + notional_ceil(price, o.remaining)
        rows = [{"exchange_index": shard, "balance": price_text(v // 100)} for shard, v in sorted(by_shard.items())]
        total = sum(by_shard.values()) // 10_000
        return web.json_response({"total_resting_order_value": total, "resting_order_value_breakdown": rows})


def position_told(market: str, shard: int, folded: Tally, resting: int) -> dict[str, object]:
    return {
        "ticker": market, "exchange_index": shard, "position_fp": count_text(folded.position),
        "total_traded_dollars": money_text(folded.traded), "market_exposure_dollars": money_text(folded.cost),
        "realized_pnl_dollars": money_text(folded.realized), "fees_paid_dollars": money_text(folded.fees),
        "resting_orders_count": resting, "last_updated_ts": iso(folded.at_ns),
    }  # fmt: skip


def event_told(event: str, tallies: list[Tally]) -> dict[str, object]:
    return {
        "event_ticker": event, "total_cost_dollars": money_text(sum(t.traded for t in tallies)),
        "total_cost_shares_fp": count_text(sum(t.volume for t in tallies)),
        "event_exposure_dollars": money_text(sum(t.cost for t in tallies)),
        "realized_pnl_dollars": money_text(sum(t.realized for t in tallies)),
        "fees_paid_dollars": money_text(sum(t.fees for t in tallies)),
    }  # fmt: skip
