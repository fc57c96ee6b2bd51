"""Reading a signed Polymarket order: payload, hash, signature, amounts, and the venue's texts for what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from venues.simulated.book import Action, Outcome
from venues.simulated.credentials import PolymarketKey
from venues.simulated.ethereum import order_digest, same_address, signer_of
from venues.simulated.happenings import Ticket, TimeInForce
from venues.simulated.polymarket_auth import error
from venues.simulated.scale import PRICE_ONE, UNIT, plain
from venues.simulated.universe import Pair

TIMES: dict[str, TimeInForce] = {"GTC": "gtc", "GTD": "gtc", "FOK": "fok", "FAK": "ioc"}
SIGNED = (
    "salt", "maker", "signer", "tokenId", "makerAmount", "takerAmount", "side", "signatureType", "timestamp", "metadata",
    "builder", "signature",
)  # fmt: skip
SHARE_STEP = UNIT // 100
DOLLAR = UNIT
SECURITY_S = 60  # a GTD order ends this long before its expiration


@dataclass(frozen=True, slots=True)
class SignedOrder:
    hash: str
    pair: Pair
    outcome: Outcome
    action: Action
    maker_amount: int
    taker_amount: int
    order_type: str
    post_only: bool
    expiration_s: int


def read_order(loaded: Any, key: PolymarketKey, markets: dict[str, tuple[Pair, Outcome]]) -> SignedOrder | web.Response:
    """Everything that can be said about an order without looking at books or balances."""
    if not isinstance(loaded, dict) or not isinstance(loaded.get("order"), dict):
        return error(400, "Invalid order payload")
    order, kind = loaded["order"], loaded.get("orderType")
    if any(name not in order for name in SIGNED) or kind not in TIMES or order["side"] not in ("BUY", "SELL"):
        return error(400, "Invalid order payload")
    if not same_address(str(loaded.get("owner", "")), key.api_key):
        return error(400, "the order owner has to be the owner of the API KEY")
    if not same_address(str(order["signer"]), key.address):
        return error(400, "the order signer address has to be the address of the API KEY")
    found = markets.get(str(order["tokenId"]))
    if found is None:
        return error(400, f"the orderbook {order['tokenId']} does not exist")
    pair, outcome = found
    if order["signatureType"] == 3:
        return error(400, "maker address not allowed, please use the EOA, proxy or Safe flow")
    if any(not isinstance(order[name], str) for name in ("makerAmount", "takerAmount", "timestamp", "tokenId")):
        return error(400, "Invalid order payload")
    try:
        maker_amount, taker_amount = int(order["makerAmount"]), int(order["takerAmount"])
        expiration_s = int(order.get("expiration") or 0)
        digest = order_digest(
            salt=int(order["salt"]), maker=order["maker"], signer=order["signer"], token=int(order["tokenId"]),
            maker_amount=maker_amount, taker_amount=taker_amount, side=0 if order["side"] == "BUY" else 1,
            signature_type=int(order["signatureType"]), timestamp_ms=int(order["timestamp"]),
            metadata=bytes.fromhex(order["metadata"].removeprefix("0x")),
            builder=bytes.fromhex(order["builder"].removeprefix("0x")), neg_risk=pair.polymarket.neg_risk,
        )  # fmt: skip
    except (ValueError, TypeError, AttributeError, OverflowError):
        return error(400, "Invalid order payload")
    if int(order["signatureType"]) not in (0, 1, 2) or maker_amount <= 0 or taker_amount <= 0:
        return error(400, "Invalid order payload")
    if int(order["signatureType"]) == 0 and not same_address(order["maker"], order["signer"]):
        return error(400, "invalid signature")
    signer = signer_of(digest, str(order["signature"]))
    if signer is None or not same_address(signer, order["signer"]):
        return error(400, "invalid signature")
    if not same_address(order["maker"], key.address):
        return error(400, "maker address not allowed, please use the deposit wallet flow")
    action: Action = "buy" if order["side"] == "BUY" else "sell"
    return SignedOrder(
        "0x" + digest.hex(), pair, outcome, action, maker_amount, taker_amount, str(kind),
        bool(loaded.get("postOnly")), expiration_s,
    )  # fmt: skip


def to_ticket(order: SignedOrder, account: str, body_sha256: str, now_ns: int) -> Ticket | web.Response:
    """Price and size out of the amounts, with the rules of tick, precision and expiration."""
    spec = order.pair.polymarket
    dollars, shares = order.maker_amount, order.taker_amount
    if order.action == "sell":
        dollars, shares = shares, dollars
    price = nearest_price(dollars, shares, spec.tick, spec.amount_step)
    if price is None:
        text = plain(dollars * PRICE_ONE // shares, 4)
        return error(
            400, f"order {order.hash} is invalid. Price ({text}) breaks minimum tick size rule: {spec.tick_text}"
        )
    immediate = order.order_type in ("FOK", "FAK")
    if order.post_only and immediate:
        return error(400, "invalid post-only order: only GTC and GTD orders can be post-only")
    if immediate and order.action == "buy":
        if dollars % SHARE_STEP or shares % spec.amount_step:
            return error(
                400, "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals, "
                f"taker amount a max of {len(str(UNIT // spec.amount_step)) - 1} decimals",
            )  # fmt: skip
    elif shares % SHARE_STEP or dollars % spec.amount_step:
        return error(
            400, "invalid amounts, the size supports a max accuracy of 2 decimals, "
            f"the dollar amount a max of {len(str(UNIT // spec.amount_step)) - 1} decimals",
        )  # fmt: skip
    if not immediate and shares < spec.min_size:
        return error(
            400, f"order {order.hash} is invalid. Size ({plain(shares, 6)}) lower than the minimum: {plain(spec.min_size, 6)}"
        )  # fmt: skip
    expires_ns = None
    if order.order_type == "GTD":
        expires_ns = (order.expiration_s - SECURITY_S) * 1_000_000_000
        if expires_ns <= now_ns:
            return error(400, "invalid expiration")
    elif order.expiration_s:
        return error(400, "invalid expiration")
    return Ticket(
        account=account, wire_id=order.hash, market=spec.condition_id, outcome=order.outcome, action=order.action,
        price=price, quantity=shares, spend=dollars if immediate and order.action == "buy" else None,
        time_in_force=TIMES[order.order_type], post_only=order.post_only, expires_ns=expires_ns,
        body_sha256=body_sha256, venue_order=order.hash, label=order.order_type,
    )  # fmt: skip


def nearest_price(dollars: int, shares: int, tick: int, amount_step: int) -> int | None:
    """The grid price that these rounded amounts stand for, or None where there is none."""
    price = (2 * dollars * PRICE_ONE // shares + tick) // (2 * tick) * tick
    if not tick <= price <= PRICE_ONE - tick:
        return None
    return price if abs(dollars * PRICE_ONE - price * shares) <= amount_step * PRICE_ONE else None
