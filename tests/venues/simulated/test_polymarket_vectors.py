"""The venue's own checks against what the official clients sign and calculate."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from coincurve import PrivateKey

from venues.simulated.book import Outcome
from venues.simulated.credentials import PolymarketKey
from venues.simulated.ethereum import CONTRACTS, Generation, OrderStruct, wallet_of
from venues.simulated.exchange import Exchange
from venues.simulated.polymarket import terms
from venues.simulated.polymarket_auth import check_l1, check_l2
from venues.simulated.polymarket_book import digest
from venues.simulated.polymarket_orders import Reader, SignedOrder, struct_of, to_ticket
from venues.simulated.polymarket_wallets import Wallets
from venues.simulated.scale import parse_scaled
from venues.simulated.universe import Pair, PolymarketSpec, is_v2_position, load_pairs

ROOT = Path(__file__).parents[3]
VECTORS = ROOT.parent / "shared" / "reference" / "vectors"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason=f"the vectors lie beside the project, in {VECTORS}")


@cache
def told(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def vector_orders() -> list[Any]:
    return list(told("polymarket_orders.json")["orders"]) if VECTORS.is_dir() else []


def name_of(row: Any) -> str:
    end = "gtd" if row["expiration_wire_only"] != "0" else "gtc"
    return f"{row['exchange']}-{row['signatureType']}-{row['side']}-{end}"


def text_of(response: web.Response) -> str:
    return str(json.loads(response.text or "{}")["error"])


def spec(token: str, *, neg_risk: bool = False, tick: int = 100) -> PolymarketSpec:
    other = str(int(token) ^ 1)
    return PolymarketSpec("0x" + "ab" * 32, token, other, neg_risk, tick, str(tick / 10_000), 5_000_000, Fraction(0), 1)


class Bench:
    """A reader that knows one market and the vectors' key, with its wallets where the vectors have them."""

    def __init__(self, token: str, *, neg_risk: bool = False) -> None:
        auth = told("polymarket_auth.json")
        first = load_pairs(ROOT / "configs" / "pairs.sim.yaml")[0]
        self.spec = spec(token, neg_risk=neg_risk)
        pair = Pair(first.id, first.group, first.title, first.rules, first.kalshi, self.spec)
        wallets = Wallets(Exchange((self.spec.condition_id,), terms((pair,)), "seed"), 0)
        wallets.enrol(auth["address"], "vector", {3: auth["derived_wallets_polygon"]["DEPOSIT_WALLET_BEACON(3)"]})
        markets: dict[str, tuple[Pair, Outcome]] = {token: (pair, "yes")}
        self.reader = Reader(markets, wallets.at)
        self.key = PolymarketKey(
            "", auth["address"], "00000000-0000-0000-0000-000000000001", auth["L2"]["secret_base64url"],
            "test-passphrase", "vector",
        )  # fmt: skip


def test_proxy_and_safe_lie_where_their_factories_put_them():
    auth = told("polymarket_auth.json")
    derived = auth["derived_wallets_polygon"]
    assert wallet_of(auth["address"], 0) == auth["address"]
    assert wallet_of(auth["address"], 1) == derived["POLY_PROXY(1)"]
    assert wallet_of(auth["address"], 2) == derived["GNOSIS_SAFE(2)"]


@pytest.mark.parametrize("row", vector_orders(), ids=name_of)
@pytest.mark.parametrize("client", ["post_body_py_clob_client_v2", "post_body_polymarket_client"])
def test_every_signed_order_of_both_clients_is_accepted_under_its_hash(row: Any, client: str):
    bench = Bench(str(row["message"]["tokenId"]), neg_risk=row["exchange"] == "neg_risk_v2")
    assert bench.spec.generation == row["exchange"]
    order = bench.reader.read(json.loads(row[client]), bench.key)
    assert isinstance(order, SignedOrder), text_of(order)
    assert order.hash == row["order_hash_orderID"]
    assert order.account == "vector" + ("", "-proxy", "-safe", "-deposit-wallet")[row["signatureType"]]
    now_ns = 1_713_398_400 * 10**9
    ticket = to_ticket(order, bench.spec, "", now_ns)
    assert not isinstance(ticket, str), ticket
    assert (ticket.price, ticket.quantity) == (5_200, 100_000_000)


@pytest.mark.parametrize("row", vector_orders(), ids=name_of)
def test_a_signature_counts_under_one_domain_only(row: Any):
    order = struct_of(json.loads(row["post_body_py_clob_client_v2"])["order"])
    assert isinstance(order, OrderStruct)
    good: list[Generation] = [
        generation for generation in CONTRACTS
        if order.signed_by(generation, row["signature"]) == told("polymarket_auth.json")["address"]
    ]  # fmt: skip
    assert good == [row["exchange"]]


@pytest.mark.parametrize("kind", [0, 3])
def test_a_signature_for_another_contract_is_refused_in_the_words_for_it(kind: int):
    rows = {row["exchange"]: row for row in vector_orders() if row["signatureType"] == kind and row["side"] == "BUY"}
    ctf = json.loads(rows["ctf_v2"]["post_body_py_clob_client_v2"])
    wrong_contract = Bench(ctf["order"]["tokenId"], neg_risk=True)
    refused = wrong_contract.reader.read(ctf, wrong_contract.key)
    assert isinstance(refused, web.Response)
    assert (refused.status, text_of(refused)) == (400, "invalid signature")
    last = json.loads(rows["exchange_v3"]["post_body_py_clob_client_v2"])
    bench = Bench(last["order"]["tokenId"])
    domains = Bench(ctf["order"]["tokenId"])
    ctf["order"]["tokenId"], token = last["order"]["tokenId"], ctf["order"]["tokenId"]
    refused = bench.reader.read(ctf, bench.key)
    assert isinstance(refused, web.Response)  # another token than the one that was signed for
    assert text_of(refused) == "invalid signature"
    assert (
        domains.reader.read({**ctf, "order": {**ctf["order"], "tokenId": token}}, domains.key).__class__ is SignedOrder
    )


def test_an_order_of_the_second_version_on_a_market_of_the_third_is_a_version_mismatch():
    """The market migrated: its tokens are the same here, its contract is another one."""
    row = next(row for row in vector_orders() if (row["exchange"], row["signatureType"]) == ("exchange_v3", 0))
    bench = Bench(str(row["message"]["tokenId"]))
    order = json.loads(row["post_body_py_clob_client_v2"])
    struct = struct_of(order["order"])
    assert struct is not None
    private = bytes.fromhex(told("polymarket_orders.json")["private_key"][2:])
    raw = PrivateKey(private).sign_recoverable(struct.digest("ctf_v2"), hasher=None)
    order["order"]["signature"] = "0x" + raw[:64].hex() + f"{27 + raw[64]:02x}"
    refused = bench.reader.read(order, bench.key)
    assert isinstance(refused, web.Response)
    assert (refused.status, text_of(refused)) == (400, "order_version_mismatch")


@pytest.mark.parametrize("field", ["salt", "makerAmount", "takerAmount", "timestamp", "builder", "maker", "side"])
def test_nothing_that_is_signed_can_be_changed(field: str):
    for row in vector_orders():
        if row["signatureType"] not in (0, 3):
            continue
        order = json.loads(row["post_body_py_clob_client_v2"])
        struct = struct_of(order["order"])
        was = order["order"][field]
        order["order"][field] = {
            "salt": 1, "side": "SELL" if was == "BUY" else "BUY", "builder": "0x" + "01" * 32,
            "maker": "0x" + "11" * 20,
        }.get(field, str(was) + "0")  # fmt: skip
        changed = struct_of(order["order"])
        assert struct is not None
        assert changed is not None
        assert changed.signed_by(row["exchange"], row["signature"]) != struct.signed_by(
            row["exchange"], row["signature"]
        )


def test_unsigned_fields_do_not_change_the_identity():
    row = vector_orders()[0]
    order = json.loads(row["post_body_py_clob_client_v2"])
    bench = Bench(order["order"]["tokenId"])
    order["order"]["expiration"], order["postOnly"], order["orderType"] = "99", True, "GTD"
    read = bench.reader.read(order, bench.key)
    assert isinstance(read, SignedOrder)
    assert read.hash == row["order_hash_orderID"]


def test_all_amounts_stand_for_a_price_of_their_grid():
    rows = told("polymarket_amounts_fees.json")["amounts"]
    assert len(rows) == 900
    for row in rows:
        tick = parse_scaled(row["tick"], 4) or 0
        market = row["kind"] != "limit"
        order = SignedOrder(
            "0x0", "vector", "0x" + "ab" * 32, "yes", "buy" if row["side"] == "BUY" else "sell", row["makerAmount"],
            row["takerAmount"], "FAK" if market else "GTC", False, 0,
        )  # fmt: skip
        small = spec("7132104567925221259462638553270691275033272857194253228963137931", tick=tick)
        ticket = to_ticket(order, small, "", 0)
        if isinstance(ticket, str):
            assert "lower than the minimum: 5" in ticket, (row, ticket)
            continue
        assert ticket.price == parse_scaled(row["price"], 4), row
        dollars, shares = sorted((row["makerAmount"], row["takerAmount"]))
        assert ticket.spend == (dollars if market and row["side"] == "BUY" else None)
        assert ticket.quantity == shares


def test_private_headers_of_the_clients_are_accepted():
    auth = told("polymarket_auth.json")
    secret, checked = auth["L2"], 0
    for case in secret["cases"]:
        key = PolymarketKey(
            "", auth["address"], secret["api_key"], secret["secret_base64url"], secret["passphrase"], "v"
        )
        headers = {
            "POLY_ADDRESS": auth["address"], "POLY_API_KEY": secret["api_key"], "POLY_PASSPHRASE": secret["passphrase"],
            "POLY_TIMESTAMP": secret["timestamp"], "POLY_SIGNATURE": case["POLY_SIGNATURE"],
        }  # fmt: skip
        now_ns = int(secret["timestamp"]) * 10**9
        body = (case["body"] or "").encode()
        answer = check_l2(headers, case["method"], case["path_signed"], body, {key.api_key: key}, now_ns)
        assert answer is key, (case, text_of(answer) if isinstance(answer, web.Response) else "")
        forged = check_l2(headers, case["method"], case["path_signed"] + "x", body, {key.api_key: key}, now_ns)
        assert isinstance(forged, web.Response)
        checked += 1
    assert checked >= 5


def test_wallets_prove_themselves_with_the_clients_headers():
    for case in told("polymarket_auth.json")["L1_clob_auth"]:
        if case["chainId"] != 137:
            continue
        assert check_l1(case["headers"]) == (case["address"], case["nonce"])
        forged = case["headers"] | {"POLY_NONCE": str(case["nonce"] + 1)}
        assert isinstance(check_l1(forged), web.Response)


def test_the_hash_of_a_book_and_the_kinds_of_ids():
    vectors = told("polymarket_amounts_fees.json")
    assert digest(vectors["orderbook_sha1"]["input"]) == vectors["orderbook_sha1"]["sha1"]
    for row in vectors["position_ids"]:
        assert is_v2_position(int(row["id"])) == row["is_v2_position_id"]
