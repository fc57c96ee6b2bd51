"""Hashes, signatures and amounts against vectors that the venue's own clients made."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.units import parse_price, parse_scaled, tick_down
from messages.markets import TickBand
from messages.units import Nanos, Price, Quantity, Side
from venues.credentials import PolymarketCredentials
from venues.polymarket import sign
from venues.polymarket.amounts import AMOUNT_PLACES, limit_amounts, market_amounts
from venues.polymarket.sign import Signer, salt_of
from venues.polymarket.typed_data import EXCHANGES, SEPARATORS, SignedFields, generation_of, login_digest
from venues.port import NotReady

DATA = Path(__file__).parents[1] / "data"
ORDERS = json.loads((DATA / "polymarket_orders.json").read_text())
AMOUNTS = json.loads((DATA / "polymarket_amounts_fees.json").read_text())
AUTH = json.loads((DATA / "polymarket_auth.json").read_text())


class Still:
    def now(self) -> Nanos:
        return Nanos(1_700_000_000 * 10**9)


def signer(signature_type: int = 0, funder: str = "") -> Signer:
    return Signer(
        PolymarketCredentials(
            private_key=bytes.fromhex(ORDERS["private_key"][2:]),
            funder=funder,
            signature_type=signature_type,
            api_key=AUTH["L2"]["api_key"],
            secret=bytes.fromhex(AUTH["L2"]["secret_bytes_hex"]),
            passphrase=AUTH["L2"]["passphrase"],
        ),
        Still(),
    )


def order_name(vector: dict[str, Any]) -> str:
    return "-".join(str(vector[key]) for key in ("exchange", "signatureType", "side", "expiration_wire_only"))


@pytest.mark.parametrize("vector", ORDERS["orders"], ids=order_name)
def test_hash_and_signature_are_the_official_clients(vector: dict[str, Any]) -> None:
    told = vector["message"]
    assert EXCHANGES[vector["exchange"]].contract == vector["verifyingContract"]
    assert EXCHANGES[vector["exchange"]].version == vector["domain_version"]
    fields = SignedFields(
        told["salt"],
        told["maker"],
        told["signer"],
        told["tokenId"],
        told["makerAmount"],
        told["takerAmount"],
        told["side"],
        told["signatureType"],
        told["timestamp"],
        bytes.fromhex(told["builder"]),
    )
    digest = fields.digest(SEPARATORS[vector["exchange"]])
    assert "0x" + digest.hex() == vector["order_hash_orderID"]
    assert "0x" + fields.wallet_digest(SEPARATORS[vector["exchange"]]).hex() == vector["signed_digest"] or (
        vector["signatureType"] != 3 and vector["signed_digest"] == vector["order_hash_orderID"]
    )
    own = signer(vector["signatureType"], told["maker"])
    assert own.order_signer == told["signer"]
    assert own.sign_order(fields, SEPARATORS[vector["exchange"]]) == vector["signature"]


def test_the_vectors_name_every_contract_and_every_wallet_type_both_ways() -> None:
    named = {(v["exchange"], v["signatureType"], v["side"]) for v in ORDERS["orders"]}
    assert named == {(e, kind, side) for e in EXCHANGES for kind in range(4) for side in ("BUY", "SELL")}
    assert len(ORDERS["orders"]) == 30


@pytest.mark.parametrize("kind", [0, 1, 2, 3])
def test_the_boot_check_agrees_for_every_wallet_type(kind: int) -> None:
    wallets = AUTH["derived_wallets_polygon"]
    signer(kind, [*[""], *wallets.values()][kind]).check()


def test_a_signature_that_differs_from_the_general_librarys_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    wallet = AUTH["derived_wallets_polygon"]["DEPOSIT_WALLET_BEACON(3)"]
    monkeypatch.setattr(sign, "WALLET_VERSION", "2")
    signer(0).check()
    with pytest.raises(NotReady, match="ctf_v2"):
        signer(3, wallet).check()


def test_a_deposit_wallet_is_not_the_key_itself() -> None:
    with pytest.raises(NotReady, match="deposit wallet"):
        signer(3, AUTH["address"])


@pytest.mark.parametrize("case", AUTH["L1_clob_auth"], ids=lambda case: str(case["nonce"]))
def test_a_login_is_the_official_clients(case: dict[str, Any]) -> None:
    digest = login_digest(case["address"], str(case["timestamp"]), case["nonce"])
    assert "0x" + digest.hex() == case["digest"]
    assert signer().sign(digest) == case["signature"]
    if case["timestamp"] == 1_700_000_000:
        assert signer().login_headers(case["nonce"]) == case["headers"]


def test_the_address_follows_from_the_key() -> None:
    assert signer().address == AUTH["address"]


@pytest.mark.parametrize("case", AUTH["L2"]["cases"], ids=lambda case: case["method"] + case["path_signed"])
def test_private_requests_are_signed_over_the_bytes_that_are_sent(case: dict[str, Any]) -> None:
    headers = signer().headers(case["method"], case["path_signed"], (case["body"] or "").encode())
    assert headers["POLY_SIGNATURE"] == case["POLY_SIGNATURE"]
    assert headers["POLY_TIMESTAMP"] == AUTH["L2"]["timestamp"]
    assert headers["POLY_ADDRESS"] == AUTH["address"]


@pytest.mark.parametrize("case", AUTH["L2"]["cases"][:1])
def test_the_stream_login_gives_the_secret_back_as_it_was(case: dict[str, Any]) -> None:
    assert case
    assert signer().stream_login()["secret"] == AUTH["L2"]["secret_base64url"]


def test_all_900_amounts_are_the_decimal_clients() -> None:
    wrong = []
    for row in AMOUNTS["amounts"]:
        side, price = Side(row["side"].lower()), parse_price(row["price"])
        places = AMOUNT_PLACES[parse_price(row["tick"])]
        if row["kind"] == "limit":
            found = limit_amounts(side, price, Quantity(parse_scaled(row["size"], 6)), places)
        else:
            found = market_amounts(side, price, parse_scaled(row["amount"], 6), places)
        if (found.maker, found.taker) != (row["makerAmount"], row["takerAmount"]):
            wrong.append((row, found))
    assert len(AMOUNTS["amounts"]) == 900
    assert not wrong


@given(st.sampled_from(sorted(AMOUNT_PLACES)), st.integers(1, 9_999), st.integers(100, 10**6))
def test_an_immediate_buy_never_reaches_an_offer_above_its_limit(tick: int, steps: int, cents: int) -> None:
    grid = (TickBand(start=Price(tick), stop=Price(10_000 - tick), step=Price(tick)),)
    price = tick_down(Price(max(tick, steps)), grid)
    assert price is not None
    amounts = market_amounts(Side.BUY, price, cents * 10_000, AMOUNT_PLACES[tick])
    # the highest price at which an offer can stand and still be within what the amounts imply
    implied = Decimal(amounts.maker) / amounts.taker * 10_000
    assert tick_down(Price(int(implied)), grid) == price


@given(
    st.sampled_from(sorted(AMOUNT_PLACES)), st.integers(1, 9_999), st.integers(10_000, 10**10), st.sampled_from(Side)
)
def test_amounts_in_shares_are_exactly_the_limit_on_every_grid(tick: int, steps: int, size: int, side: Side) -> None:
    price = Price(max(tick, steps // tick * tick))
    amounts = limit_amounts(side, price, Quantity(size), AMOUNT_PLACES[tick])
    dollars, shares = (amounts.maker, amounts.taker) if side is Side.BUY else (amounts.taker, amounts.maker)
    assert dollars * 10_000 == shares * price


def test_salts_are_reproducible_and_fit_a_double() -> None:
    assert salt_of("a.1.t.0.0") == salt_of("a.1.t.0.0") != salt_of("a.1.t.0.1")
    assert all(0 <= salt_of(str(n)) < 2**53 for n in range(100))


@pytest.mark.parametrize("case", AMOUNTS["position_ids"], ids=lambda case: case["id"][:8])
def test_the_generation_follows_from_the_position_id(case: dict[str, Any]) -> None:
    expected = "exchange_v3" if case["is_v2_position_id"] else "neg_risk_v2"
    assert generation_of(int(case["id"]), neg_risk=True) == expected
