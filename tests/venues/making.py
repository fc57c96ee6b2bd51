"""Orders and credentials for tests of the adapters' pure parts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from messages.markets import FeeFormula, FeeSchedule, Market, TickBand
from messages.orders import Order, Role
from messages.units import CONTRACT, SECOND, Money, Nanos, Outcome, Price, Quantity, Side, TimeInForce
from venues.credentials import KalshiCredentials, PolymarketCredentials

DATA = Path(__file__).parents[1] / "data"
AT = Nanos(1_713_398_400 * SECOND)
WALLET = json.loads((DATA / "polymarket_orders.json").read_text())
KALSHI_AUTH = json.loads((DATA / "kalshi_auth.json").read_text())
CONDITION = "0x" + "ab" * 32


@dataclass
class Hand:
    """A clock that stands where it is put."""

    at: Nanos = AT

    def now(self) -> Nanos:
        return self.at


def order(**changes: object) -> Order:
    told: dict[str, object] = {
        "order": "g.1.t1.0.0",
        "trade": "t1",
        "leg": 0,
        "role": Role.OPEN,
        "venue": "v",
        "market": "M",
        "outcome": Outcome.YES,
        "side": Side.BUY,
        "price": Price(5_200),
        "quantity": Quantity(10 * CONTRACT),
        "time_in_force": TimeInForce.IOC,
        "made_at": AT,
        "not_after": Nanos(AT + SECOND),
    }
    return Order.model_validate(told | changes)


def resting(**changes: object) -> Order:
    return order(**{"time_in_force": TimeInForce.GTD, "expires_at": Nanos(AT + SECOND + 1)} | changes)


def polymarket_wallet(signature_type: int = 0, funder: str = "") -> PolymarketCredentials:
    return PolymarketCredentials(
        private_key=bytes.fromhex(WALLET["private_key"][2:]),
        funder=funder,
        signature_type=signature_type,
        api_key="00000000-0000-0000-0000-000000000001",
        secret=bytes(range(32)),
        passphrase="test-passphrase",
    )


def kalshi_rsa() -> KalshiCredentials:
    return KalshiCredentials(KALSHI_AUTH["key_id"], KALSHI_AUTH["rsa_private_key_pem"].encode())


def polymarket_market(tick: int = 100, generation: str = "ctf_v2", fee_ppm: int = 50_000) -> Market:
    fees = FeeSchedule(
        formula=FeeFormula.POLYMARKET, version=1, taker_ppm=fee_ppm, maker_ppm=0, exponent=1, verified_at=AT
    )
    return Market(
        venue="polymarket",
        market=CONDITION,
        event="e",
        title="t",
        open=True,
        closes_at=None,
        ticks=(TickBand(start=Price(tick), stop=Price(10_000 - tick), step=Price(tick)),),
        lot=Quantity(10_000),
        min_quantity=Quantity(5 * CONTRACT),
        min_spend=Money(1_000_000),
        cash_denominated=True,
        fees=fees,
        generation=generation,
        tokens=(
            "71321045679252212594626385532706912750332728571942532289631379312455583992563",
            "123456789012345678901234567890",
        ),
        version=1,
        seen_at=AT,
    )
