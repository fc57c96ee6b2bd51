"""pykalshi, as published, answering the questions of a scenario. Runs in the isolated environment."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from pykalshi import KalshiClient  # type: ignore[import-not-found, unused-ignore]
from pykalshi.enums import BookSide, OrderStatus, SelfTradePrevention, TimeInForce  # type: ignore[import-not-found, unused-ignore]
from pykalshi.exceptions import (  # type: ignore[import-not-found, unused-ignore]
    AuthenticationError,
    InsufficientFundsError,
    KalshiAPIError,
    ResourceNotFoundError,
)

from conformance.child import Cannot, Refused, levels, micro, price, serve, tried, try_to_leave

LIFETIMES = {"gtc": TimeInForce.GTC, "gtd": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
KINDS = {
    "invalid_price": "price",
    "order_already_exists": "duplicate",
    "fill_or_kill_insufficient_resting_volume": "killed",
    "immediate_or_cancel_insufficient_resting_volume": "killed",
}


def refusal(error: KalshiAPIError) -> Refused:
    text = f"{error.status_code} {error.error_code} {error.message} {error.response_body}"
    if isinstance(error, AuthenticationError):
        kind = "auth"
    elif isinstance(error, InsufficientFundsError):
        kind = "funds"
    elif "post only cross" in text:
        kind = "crosses"
    elif isinstance(error, ResourceNotFoundError):
        kind = "unknown"
    else:
        kind = KINDS.get(error.error_code or "", "other")
    return Refused(kind, text)


def dollars(units: int, one: int = 10_000, places: int = 4) -> str:
    return f"{Decimal(units) / one:.{places}f}"


class Theirs:
    def __init__(self, told: dict[str, str]) -> None:
        self.told = told
        self.client = self._client(told["key_file"])
        self.feed: Any = None
        self.rival: Any = None
        self.heard: list[dict[str, object]] = []

    def _client(self, key_file: str) -> KalshiClient:
        return KalshiClient(
            api_key_id=self.told["key_id"], private_key_path=key_file, api_base=self.told["rest"], max_retries=0
        )

    def _ask(self, what: Any) -> Any:
        try:
            return what()
        except KalshiAPIError as error:
            raise refusal(error) from error

    # who

    def leave(self) -> list[str]:
        return try_to_leave()

    def strangers(self) -> None:
        """The same key id with somebody else's key."""
        with self._client(self.told["wrong_key_file"]) as stranger:
            self._ask(stranger.portfolio.get_balance)

    def derive(self) -> None:
        raise Cannot("keys are made in the account page; the client has no sign-in by wallet")

    # markets

    def rules(self, market: str) -> dict[str, object]:
        told = self._ask(lambda: self.client.get_market(market))
        return {"open": told.status.value == "active", "event": told.event_ticker, "title": told.title}

    def book(self, market: str) -> dict[str, list[list[int]]]:
        told = self._ask(lambda: self.client.get_market(market).get_orderbook()).orderbook
        bids = levels(told.yes_dollars or [])
        asks = [[10_000 - p, q] for p, q in levels(told.no_dollars or [])]
        return {"bids": sorted(bids, reverse=True), "asks": sorted(asks)}

    def public_trades(self, market: str) -> list[dict[str, object]]:
        told = self._ask(lambda: self.client.get_trades(ticker=market, limit=100))
        return [{"trade": t.trade_id, "price": price(t.yes_price_dollars), "quantity": micro(t.count_fp)} for t in told]

    def reads(self, market: str) -> dict[str, str]:
        """Every other read of the client that a bot may use: what each one came to."""
        client, portfolio = self.client, self.client.portfolio
        event = str(client.get_market(market).event_ticker)
        series = client.get_event(event).series_ticker
        return tried(
            {
                "exchange.get_status": lambda: client.exchange.get_status().trading_active is True,
                "exchange.is_trading": client.exchange.is_trading,
                "exchange.get_schedule": client.exchange.get_schedule,
                "get_markets": lambda: market in [m.ticker for m in client.get_markets(fetch_all=True, limit=5)],
                "get_markets(tickers)": lambda: [m.ticker for m in client.get_markets(tickers=[market])] == [market],
                "get_event(nested)": lambda: client.get_event(event, with_nested_markets=True),
                "get_event().get_markets": lambda: client.get_event(event).get_markets(),
                "get_events": lambda: event in [e.event_ticker for e in client.get_events(fetch_all=True)],
                "get_series": lambda: client.get_series(series).ticker == series,
                "get_all_series": lambda: series in [s.ticker for s in client.get_all_series()],
                "get_market().get_trades": lambda: client.get_market(market).get_trades() is not None,
                "get_orderbook(depth)": lambda: (
                    len(client.get_market(market).get_orderbook(depth=1).orderbook.yes_dollars) == 1
                ),
                "portfolio.get_settlements": lambda: portfolio.get_settlements() is not None,
                "portfolio.get_queue_positions": lambda: (
                    portfolio.get_queue_positions(market_tickers=[market]) is not None
                ),
                "portfolio.get_order_groups": lambda: portfolio.get_order_groups() is not None,
                "portfolio.get_resting_order_value": portfolio.get_resting_order_value,
                "portfolio.get_subaccount_balances": lambda: portfolio.get_subaccount_balances() is not None,
                "portfolio.get_subaccount_netting": lambda: portfolio.get_subaccount_netting() is not None,
                "api_keys.list": lambda: self.told["key_id"] in str(client.api_keys.list()),
            }
        )

    # orders

    def place(
        self, market: str, outcome: str, side: str, at: int, quantity: int, lifetime: str, name: str, expires_s: int = 0,
        post_only: bool = False,
    ) -> dict[str, object]:  # fmt: skip
        bid = (side == "buy") is (outcome == "yes")
        order = self._ask(
            lambda: self.client.portfolio.place_order(
                market, book_side=BookSide.BID if bid else BookSide.ASK, count_fp=dollars(quantity, 1_000_000, 2),
                price_dollars=dollars(at if outcome == "yes" else 10_000 - at), client_order_id=name or None,
                time_in_force=LIFETIMES[lifetime], post_only=post_only, expiration_ts=expires_s or None,
                self_trade_prevention=SelfTradePrevention.CANCEL_INCOMING,
            )
        )  # fmt: skip
        return self._order(order)

    def place_again(self, **told: Any) -> dict[str, object]:
        """The same order a second time, under the same client order id."""
        return self.place(**told)

    def _order(self, order: Any) -> dict[str, object]:
        return {
            "order": order.order_id, "open": order.status is OrderStatus.RESTING,
            "matched": micro(order.fill_count_fp or "0"), "left": micro(order.remaining_count_fp or "0"),
        }  # fmt: skip

    def order(self, market: str, order: str) -> dict[str, object]:
        return self._order(self._ask(lambda: self.client.portfolio.get_order(order)))

    def orders(self, market: str) -> list[str]:
        """Ids of what rests."""
        return [
            o.order_id
            for o in self._ask(
                lambda: self.client.portfolio.get_orders(ticker=market, status=OrderStatus.RESTING, fetch_all=True)
            )
        ]

    def cancel(self, market: str, order: str) -> None:
        self._ask(lambda: self.client.portfolio.cancel_order(order))

    def amend(self, market: str, order: str, at: int, quantity: int) -> dict[str, object]:
        def change() -> Any:
            return self.client.portfolio.amend_order(
                order,
                ticker=market,
                book_side=BookSide.BID,
                price_dollars=dollars(at),
                count_fp=dollars(quantity, 1_000_000, 2),
            )

        return self._order(self._ask(change))

    def decrease(self, market: str, order: str, left: int) -> dict[str, object]:
        """The client says how much is to go, not how much is to be left."""
        there = micro(self._ask(lambda: self.client.portfolio.get_order(order)).remaining_count_fp)
        by = dollars(there - left, 1_000_000, 2)
        return self._order(self._ask(lambda: self.client.portfolio.decrease_order(order, by)))

    def subaccount(self, market: str, at: int, quantity: int) -> dict[str, object]:
        """A new sub-account gets money, rests an order that is its own alone, and cancels it."""
        portfolio, size = self.client.portfolio, dollars(quantity, 1_000_000, 2)
        number = self._ask(portfolio.create_subaccount).subaccount_number
        self._ask(lambda: portfolio.transfer_between_subaccounts(0, number, 10_000))
        balances = {b.subaccount_number: micro(b.balance) for b in self._ask(portfolio.get_subaccount_balances)}
        order = self._ask(
            lambda: portfolio.place_order(
                market, book_side=BookSide.BID, count_fp=size, price_dollars=dollars(at), subaccount=number
            )
        ).order_id
        time.sleep(0.3)  # reads lag writes
        seen = [o.order_id for o in self._ask(lambda: portfolio.get_orders(ticker=market, subaccount=number))]
        others = [o.order_id for o in self._ask(lambda: portfolio.get_orders(ticker=market, subaccount=0))]
        self._ask(lambda: portfolio.cancel_order(order, subaccount=number))
        self._ask(lambda: portfolio.transfer_between_subaccounts(number, 0, 10_000))
        moved = len(self._ask(portfolio.get_subaccount_transfers))
        return {
            "number": number, "balance": balances.get(number), "seen": order in seen, "elsewhere": order in others,
            "transfers": moved,
        }  # fmt: skip

    def place_two(self, market: str, first: int, second: int, quantity: int) -> list[str]:
        wanted = [
            {
                "ticker": market,
                "book_side": "bid",
                "price_dollars": dollars(at),
                "count_fp": dollars(quantity, 1_000_000, 2),
            }
            for at in (first, second)
        ]
        return [o.order_id for o in self._ask(lambda: self.client.portfolio.batch_place_orders(wanted))]

    def cancel_two(self, market: str, orders: list[str]) -> None:
        gone = self._ask(lambda: self.client.portfolio.batch_cancel_orders(orders))
        if len(gone) != len(orders):
            raise Refused("other", f"{len(gone)} of {len(orders)} are told as cancelled")

    def grouped(self, market: str, at: int, quantity: int) -> dict[str, object]:
        """A group with an order in it, triggered: the order goes, and the group takes no other until it is reset."""
        portfolio = self.client.portfolio
        group = self._ask(lambda: portfolio.create_order_group("100.00")).id

        def place() -> Any:
            return portfolio.place_order(
                market, book_side=BookSide.BID, count_fp=dollars(quantity, 1_000_000, 2), price_dollars=dollars(at),
                order_group_id=group,
            )  # fmt: skip

        first = self._ask(place).order_id
        held = self._ask(lambda: portfolio.get_order_group(group)).orders or []
        self._ask(lambda: portfolio.trigger_order_group(group))
        try:
            self._ask(place)
            fenced = False
        except Refused:
            fenced = True
        self._ask(lambda: portfolio.reset_order_group(group))
        again = self._ask(place).order_id
        listed = [g.id for g in self._ask(portfolio.get_order_groups)]
        self._ask(lambda: portfolio.cancel_order(again))
        return {"first": first, "held": first in held, "fenced": fenced, "again": again, "listed": group in listed}

    def market_order(self, **_told: Any) -> None:
        raise Cannot("the venue has limit orders only")

    def rival_sells(self, market: str, at: int, quantity: int) -> int:
        """Somebody else sells YES; what it sold."""
        if self.rival is None:
            self.rival = KalshiClient(
                api_key_id=self.told["rival_key_id"], private_key_path=self.told["rival_key_file"], api_base=self.told["rest"],
                max_retries=0,
            )  # fmt: skip
        sold = self._ask(
            lambda: self.rival.portfolio.place_order(
                market, book_side=BookSide.ASK, count_fp=dollars(quantity, 1_000_000, 2), price_dollars=dollars(at),
                time_in_force=TimeInForce.IOC,
            )
        )  # fmt: skip
        return micro(sold.fill_count_fp)

    def sweep(self, market: str) -> None:
        raise Cannot("the client has no cancel-all")

    def beat(self) -> None:
        raise Cannot("the venue has no heartbeat for REST keys")

    # account

    def fills(self, market: str) -> list[dict[str, object]]:
        return [
            {
                "fill": f.fill_id or f.trade_id, "order": f.order_id, "price": price(f.yes_price_dollars),
                "quantity": micro(f.count_fp), "fee": micro(f.fee_cost_dollars), "maker": f.is_taker is False,
            }
            for f in self._ask(lambda: self.client.portfolio.get_fills(ticker=market, fetch_all=True))
        ]  # fmt: skip

    def cash(self) -> dict[str, int]:
        return {"cash": self._ask(self.client.portfolio.get_balance).balance * 10_000, "step": 10_000}

    def position(self, market: str) -> list[int]:
        for p in self._ask(lambda: self.client.portfolio.get_positions(ticker=market, fetch_all=True)):
            if p.ticker == market:
                held = micro(p.position_fp)
                return [max(held, 0), max(-held, 0)]
        return [0, 0]

    # streams

    def listen(self, market: str) -> None:
        self.feed = self.client.feed()
        for channel in ("orderbook_delta", "user_orders", "fill"):
            self.feed.on(channel, lambda told, channel=channel: self._hear(channel, told))
        self.feed.subscribe("orderbook_delta", market_ticker=market)
        self.feed.subscribe("user_orders")
        self.feed.subscribe("fill")
        self.feed.start()
        deadline = time.monotonic() + 5
        while not any(h["what"] == "book" for h in self.heard):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no book within 5 s (connected: {self.feed.is_connected})")
            time.sleep(0.02)

    def _hear(self, channel: str, told: Any) -> None:
        if isinstance(told, dict):
            self.heard.append({"what": "unreadable", "text": f"{channel}: {told}"})
        elif channel == "fill":
            self.heard.append(
                {"what": "fill", "order": told.order_id, "fill": told.trade_id, "quantity": micro(told.count_fp)}
            )
        elif channel == "user_orders":
            self.heard.append({"what": "order", "order": told.order_id, "open": told.status == "resting"})
        elif hasattr(told, "delta_fp"):
            at = price(told.price_dollars)
            self.heard.append(
                {
                    "what": "change", "side": "bid" if told.side == "yes" else "ask",
                    "price": at if told.side == "yes" else 10_000 - at, "by": micro(told.delta_fp),
                }
            )  # fmt: skip
        else:
            bids = levels(told.yes_dollars_fp or [])
            asks = [[10_000 - p, q] for p, q in levels(told.no_dollars_fp or [])]
            self.heard.append({"what": "book", "bids": sorted(bids, reverse=True), "asks": sorted(asks)})

    def heard_so_far(self) -> list[dict[str, object]]:
        return list(self.heard)

    def hush(self) -> None:
        if self.feed is not None:
            self.feed.stop()
            self.feed = None
            self.heard = []


if __name__ == "__main__":
    serve(Theirs)
