"""py-clob-client-v2, as published, answering the questions of a scenario. Runs in the isolated environment."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from py_clob_client_v2 import (  # type: ignore[import-not-found, unused-ignore]
    ApiCreds,
    AssetType,
    BalanceAllowanceParams,
    BookParams,
    ClobClient,
    MarketOrderArgs,
    OpenOrderParams,
    OrderArgs,
    OrderMarketCancelParams,
    OrderPayload,
    OrderType,
    PostOrdersV2Args,
    TradeParams,
)
from py_clob_client_v2.exceptions import PolyApiException  # type: ignore[import-not-found, unused-ignore]

from conformance.child import Cannot, Refused, levels, micro, price, serve, tried, try_to_leave

POLYGON = 137
BEATING_NONCE = 77
LIFETIMES = {"gtc": OrderType.GTC, "gtd": OrderType.GTD, "ioc": OrderType.FAK, "fok": OrderType.FOK}
KINDS = (
    ("not enough balance", "funds"),
    ("minimum tick size", "price"),
    ("lower than the minimum", "size"),
    ("Duplicated", "duplicate"),
    ("crosses", "crosses"),
    ("killed", "killed"),
    ("not found", "unknown"),
)


def refusal(error: PolyApiException) -> Exception:
    text = f"{error.status_code} {error.error_msg}"
    if error.status_code is None:
        return RuntimeError(f"no answer: {text}")
    kind = "auth" if error.status_code == 401 else next((kind for part, kind in KINDS if part in text), "other")
    return Refused(kind, text)


class Theirs:
    def __init__(self, told: dict[str, str]) -> None:
        self.told = told
        self.client = self._client(self._creds())
        self.tokens: dict[str, dict[str, str]] = {}
        self.last: Any = None
        self.rival: Any = None

    def _creds(self, secret: str = "") -> ApiCreds:
        return ApiCreds(
            api_key=self.told["api_key"],
            api_secret=secret or self.told["secret"],
            api_passphrase=self.told["passphrase"],
        )

    def _client(self, creds: ApiCreds | None) -> ClobClient:
        return ClobClient(self.told["rest"], POLYGON, key=self.told["private_key"], creds=creds)

    def _ask(self, what: Any) -> Any:
        try:
            return what()
        except PolyApiException as error:
            raise refusal(error) from error

    def _token(self, market: str, outcome: str) -> str:
        if market not in self.tokens:
            told = self._ask(lambda: self.client.get_clob_market_info(market))
            self.tokens[market] = {entry["o"].lower(): entry["t"] for entry in told["t"]}
        return self.tokens[market][outcome]

    # who

    def leave(self) -> list[str]:
        return try_to_leave()

    def strangers(self) -> None:
        """The right key id with another secret."""
        wrong = self._client(self._creds(self.told["wrong_secret"]))
        self._ask(lambda: wrong.get_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.COLLATERAL)))

    def derive(self) -> dict[str, object]:
        """From the wallet alone to a key that works: the usual first step of every bot of this client."""
        fresh = self._client(None)
        creds = self._ask(fresh.create_or_derive_api_key)
        fresh.set_api_creds(creds)
        self._ask(lambda: fresh.get_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.COLLATERAL)))
        listed = self._ask(fresh.get_api_keys)
        return {"same": creds.api_key == self.told["api_key"], "listed": creds.api_key in str(listed)}

    # markets

    def rules(self, market: str) -> dict[str, object]:
        yes = self._token(market, "yes")
        told = self._ask(lambda: self.client.get_market(market))
        info = self._ask(lambda: self.client.get_clob_market_info(market))
        return {
            "open": told["active"] and not told["closed"], "title": told["question"], "neg_risk": self.client.get_neg_risk(yes),
            "tick": price(self.client.get_tick_size(yes)), "tokens": [yes, self._token(market, "no")],
            "least": micro(info["mos"]),
        }  # fmt: skip

    def book(self, market: str) -> dict[str, list[list[int]]]:
        told = self._ask(lambda: self.client.get_order_book(self._token(market, "yes")))
        if self.client.get_order_book_hash(dict(told)) != told["hash"]:
            raise ValueError("the book's hash is not the one that the client computes")
        return {
            "bids": sorted(levels([(r["price"], r["size"]) for r in told["bids"]]), reverse=True),
            "asks": sorted(levels([(r["price"], r["size"]) for r in told["asks"]])),
        }

    def public_trades(self, market: str) -> None:
        raise Cannot("the venue's public trades are on its Data service, which this client does not speak to")

    def prices(self, market: str) -> dict[str, int]:
        token = self._token(market, "yes")
        return {
            "bid": price(self._ask(lambda: self.client.get_price(token, "BUY"))["price"]),
            "ask": price(self._ask(lambda: self.client.get_price(token, "SELL"))["price"]),
            "middle": micro(self._ask(lambda: self.client.get_midpoint(token))["mid"]),
            "spread": price(self._ask(lambda: self.client.get_spread(token))["spread"]),
        }

    def reads(self, market: str) -> dict[str, str]:
        """Every other read of the client that a bot may use: what each one came to."""
        client, token = self.client, self._token(market, "yes")
        asked = [BookParams(token_id=token, side="BUY")]
        return tried(
            {
                "get_ok": lambda: client.get_ok() == "OK",
                "get_version": lambda: client.get_version() == 2,
                "get_server_time": lambda: abs(int(client.get_server_time()) - time.time()) < 5,
                "get_order_books": lambda: client.get_order_books(asked)[0]["asset_id"] == token,
                "get_prices": lambda: client.get_prices(asked)[token]["BUY"] == client.get_price(token, "BUY")["price"],
                "get_midpoints": lambda: client.get_midpoints(asked)[token] == client.get_midpoint(token)["mid"],
                "get_spreads": lambda: client.get_spreads(asked)[token] == client.get_spread(token)["spread"],
                "get_last_trade_price": lambda: client.get_last_trade_price(token)["price"] is not None,
                "get_last_trades_prices": lambda: client.get_last_trades_prices(asked) is not None,
                "get_fee_rate_bps": lambda: client.get_fee_rate_bps(token) >= 0,
                "get_fee_exponent": lambda: client.get_fee_exponent(token) == 1,
                "get_markets": lambda: market in str(client.get_markets()["data"]),
                "get_simplified_markets": lambda: market in str(client.get_simplified_markets()["data"]),
                "get_closed_only_mode": lambda: client.get_closed_only_mode()["closed_only"] is False,
                "get_trades_paginated": lambda: client.get_trades_paginated(TradeParams(market=market))["next_cursor"],
                "update_balance_allowance": lambda: (
                    client.update_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.COLLATERAL)) is not None
                ),
                "calculate_market_price": lambda: client.calculate_market_price(token, "BUY", 1.0) > 0,
            }
        )

    # orders

    def _asset(self, market: str, outcome: str) -> dict[str, str]:
        """How the client is told what to trade: a position of the newer protocol, or a token."""
        token = self._token(market, outcome)
        return {"position_id" if is_position(token) else "token_id": token}

    def _signed(self, market: str, outcome: str, side: str, at: int, quantity: int, expires_s: int = 0) -> Any:
        return self.client.create_order(
            OrderArgs(
                **self._asset(market, outcome), price=at / 10_000, size=quantity / 1_000_000, side=side.upper(),
                expiration=expires_s,
            )
        )  # fmt: skip

    def place(
        self, market: str, outcome: str, side: str, at: int, quantity: int, lifetime: str, name: str, expires_s: int = 0,
        post_only: bool = False,
    ) -> dict[str, object]:  # fmt: skip
        tick = price(self.client.get_tick_size(self._token(market, outcome)))
        if at % tick:
            raise Cannot("the client rounds a price to the market's grid before it signs")
        signed = self._signed(market, outcome, side, at, quantity, expires_s if lifetime == "gtd" else 0)
        self.last = (signed, LIFETIMES[lifetime], post_only)
        return self._settled(market, lifetime, self._post(side))

    def _settled(self, market: str, lifetime: str, placed: dict[str, object]) -> dict[str, object]:
        """`matched` is told of an order that has matched at all: whether its rest rests, a read has to say."""
        if lifetime in ("gtc", "gtd") and placed["matched"]:
            return self.order(market, str(placed["order"]))
        return placed

    def place_again(self, side: str, **_told: Any) -> dict[str, object]:
        """The same signed bytes a second time."""
        return self._post(side)

    def _post(self, side: str) -> dict[str, object]:
        return self._placed(self._ask(lambda: self.client.post_order(*self.last)), side)

    def _placed(self, told: dict[str, Any], side: str) -> dict[str, object]:
        if not told["success"] or told["errorMsg"] or not told["orderID"]:
            raise refusal_of_leg(told)
        matched = told["takingAmount" if side == "buy" else "makingAmount"] or "0"
        return {"order": told["orderID"], "open": told["status"] == "live", "matched": micro(matched), "left": None}

    def order(self, market: str, order: str) -> dict[str, object]:
        told = self._ask(lambda: self.client.get_order(order))
        matched = micro(told["size_matched"] or "0")
        still = told["status"].removeprefix("ORDER_STATUS_") == "LIVE"
        return {"order": told["id"], "open": still, "matched": matched, "left": micro(told["original_size"]) - matched}

    def orders(self, market: str) -> list[str]:
        return [o["id"] for o in self._ask(lambda: self.client.get_open_orders(OpenOrderParams(market=market)))]

    def cancel(self, market: str, order: str) -> None:
        told = self._ask(lambda: self.client.cancel_order(OrderPayload(orderID=order)))
        if order not in told["canceled"]:
            raise Refused("unknown", told["not_canceled"][order])

    def amend(self, **_told: Any) -> None:
        raise Cannot("the venue has no amend: cancel and replace")

    def decrease(self, **_told: Any) -> None:
        raise Cannot("the venue has no decrease: cancel and replace")

    def place_two(self, market: str, first: int, second: int, quantity: int) -> list[str]:
        wanted = [
            PostOrdersV2Args(order=self._signed(market, "yes", "buy", at, quantity), orderType=OrderType.GTC)
            for at in (first, second)
        ]
        return [str(self._placed(leg, "buy")["order"]) for leg in self._ask(lambda: self.client.post_orders(wanted))]

    def cancel_two(self, market: str, orders: list[str]) -> None:
        told = self._ask(lambda: self.client.cancel_orders(orders))
        if sorted(told["canceled"]) != sorted(orders):
            raise Refused("other", str(told))

    def subaccount(self, **_told: Any) -> None:
        raise Cannot("the venue has wallets instead of sub-accounts")

    def grouped(self, **_told: Any) -> None:
        raise Cannot("the venue has no order groups")

    def market_order(self, market: str, dollars: int) -> dict[str, object]:
        """So many dollars' worth at whatever the book asks: the client reads the book and sets the limit itself."""
        told = self._ask(
            lambda: self.client.create_and_post_market_order(
                MarketOrderArgs(
                    **self._asset(market, "yes"), amount=float(Decimal(dollars) / 1_000_000), side="BUY",
                    order_type=OrderType.FAK,
                ),
                order_type=OrderType.FAK,
            )
        )  # fmt: skip
        return self._placed(told, "buy") | {
            "hashes": len(told.get("transactionsHashes") or []),
            "trades": len(told["tradeIDs"]),
        }

    def rival_sells(self, market: str, at: int, quantity: int) -> int:
        """Somebody else's wallet, which signs in for the first time, sells YES by buying NO; what it sold."""
        if self.rival is None:
            self.rival = ClobClient(self.told["rest"], POLYGON, key=self.told["rival_key"])
            self.rival.set_api_creds(self._ask(self.rival.create_or_derive_api_key))
        told = self._ask(
            lambda: self.rival.create_and_post_order(
                OrderArgs(
                    **self._asset(market, "no"), price=(10_000 - at) / 10_000, size=quantity / 1_000_000, side="BUY"
                ),
                order_type=OrderType.FAK,
            )
        )  # fmt: skip
        return micro(told["takingAmount"] or "0")

    def wallet_buys(self, market: str, kind: int, at: int, quantity: int) -> str:
        """With the same key for another wallet of its owner; the id of the order."""
        spender = ClobClient(
            self.told["rest"], POLYGON, key=self.told["private_key"], creds=self._creds(), signature_type=kind,
            funder=self.told[f"wallet_{kind}"],
        )  # fmt: skip
        wanted = OrderArgs(**self._asset(market, "yes"), price=at / 10_000, size=quantity / 1_000_000, side="BUY")
        told = self._ask(lambda: spender.create_and_post_order(wanted, order_type=OrderType.FAK))
        self._ask(lambda: spender.update_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.COLLATERAL)))
        return str(self._placed(told, "buy")["order"])

    def sweep(self, market: str) -> None:
        """First one market, then everything."""
        told = self._ask(lambda: self.client.cancel_market_orders(OrderMarketCancelParams(market=market)))
        if told["not_canceled"]:
            raise Refused("other", str(told))
        self._ask(self.client.cancel_all)

    def beat(self) -> dict[str, str]:
        """With a key of its own: once it has beaten, the venue cancels that key's orders when it stops."""
        own = self._client(None)
        own.set_api_creds(self._ask(lambda: own.create_api_key(nonce=BEATING_NONCE)))
        first = self._ask(lambda: own.post_heartbeat(""))["heartbeat_id"]
        second = self._ask(lambda: own.post_heartbeat(first))["heartbeat_id"]
        return {"first": first, "second": second}

    # account

    def fills(self, market: str) -> list[dict[str, object]]:
        ours = self.told["address"].lower()
        found: list[dict[str, object]] = []
        for trade in self._ask(lambda: self.client.get_trades(TradeParams(market=market))):
            taker = trade["trader_side"] == "TAKER"
            legs = [trade] if taker else [m for m in trade["maker_orders"] if m["maker_address"].lower() == ours]
            found += [
                {
                    "fill": trade["id"], "order": trade["taker_order_id"] if taker else leg["order_id"],
                    "price": price(leg["price"]), "quantity": micro(leg["size" if taker else "matched_amount"]),
                    "fee": None, "maker": not taker,
                }
                for leg in legs
            ]  # fmt: skip
        return found

    def cash(self) -> dict[str, int]:
        told = self._ask(
            lambda: self.client.get_balance_allowance(BalanceAllowanceParams(asset_type=AssetType.COLLATERAL))
        )
        return {"cash": int(told["balance"]), "step": 1}

    def position(self, market: str) -> list[int]:
        def held(outcome: str) -> int:
            token = self._token(market, outcome)
            kind = "CONDITIONAL-V2" if is_position(token) else AssetType.CONDITIONAL
            asked = BalanceAllowanceParams(asset_type=kind, token_id=token)
            return int(self._ask(lambda: self.client.get_balance_allowance(asked))["balance"])

        return [held("yes"), held("no")]

    # streams

    def listen(self, market: str) -> None:
        raise Cannot("the client has no streams")


def is_position(token: str) -> bool:
    """An id of the newer protocol has nothing in the middle; the client's caller has to tell them apart."""
    return int(token) & (((1 << 64) - 1) << 40) == 0


def refusal_of_leg(told: dict[str, Any]) -> Refused:
    text = str(told["errorMsg"])
    return Refused(next((kind for part, kind in KINDS if part in text), "other"), text)


if __name__ == "__main__":
    serve(Theirs)
