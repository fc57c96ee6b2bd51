"""Reading a signed Polymarket order: payload, hash, signature, amounts, and the venue's texts for what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from venues.simulated.book import Action, Outcome
from venues.simulated.credentials import PolymarketKey
from venues.simulated.ethereum import CONTRACTS, Generation, OrderStruct, same_address
from venues.simulated.happenings import Ticket, TimeInForce
from venues.simulated.polymarket_auth import error
from venues.simulated.polymarket_wallets import Wallet
from venues.simulated.scale import PRICE_ONE, UNIT, plain
from venues.simulated.universe import Pair, PolymarketSpec

TIMES: dict[str, TimeInForce] = {"GTC": "gtc", "GTD": "gtc", "FOK": "fok", "FAK": "ioc"}
SIGNED = (
    "salt", "maker", "signer", "tokenId", "makerAmount", "takerAmount", "side", "signatureType", "timestamp", "metadata",
    "builder", "signature",
)  # fmt: skip
FIRST_VERSION = ("taker", "nonce", "feeRateBps")
SHARE_STEP = UNIT // 100
DOLLAR = UNIT
SECURITY_S = 60  # a GTD order ends this long before its expiration
UNREADABLE = "Invalid order payload"
NO_WALLET = "maker address not allowed, please use the deposit wallet flow"


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """One order whose signature was verified. `condition` is its market; the rules of it are looked up when they count."""

    hash: str
    account: str
    condition: str
    outcome: Outcome
    action: Action
    maker_amount: int
    taker_amount: int
    order_type: str
    post_only: bool
    expiration_s: int


@dataclass(frozen=True, slots=True)
class Reader:
    """Everything that can be said about an order without looking at books or balances."""

    markets: Mapping[str, tuple[Pair, Outcome]]
    wallets: Callable[[str], Wallet | None]

    def read(self, loaded: Any, key: PolymarketKey) -> SignedOrder | web.Response:
        if not isinstance(loaded, dict) or not isinstance(loaded.get("order"), dict):
            return error(400, UNREADABLE)
        order, kind = loaded["order"], loaded.get("orderType")
        if "timestamp" not in order and any(name in order for name in FIRST_VERSION):
            return error(400, "order_version_mismatch")
        if any(name not in order for name in SIGNED) or kind not in TIMES or order["side"] not in ("BUY", "SELL"):
            return error(400, UNREADABLE)
        if str(loaded.get("owner", "")) != key.api_key:
            return error(400, "the order owner has to be the owner of the API KEY")
        if not isinstance(order["tokenId"], str):
            return error(400, UNREADABLE)
        found = self.markets.get(order["tokenId"])
        if found is None:
            return error(400, f"the orderbook {order['tokenId']} does not exist")
        struct = struct_of(order)
        if struct is None:
            return error(400, UNREADABLE)
        wallet = self._maker(struct, key)
        if isinstance(wallet, web.Response):
            return wallet
        generation = found[0].polymarket.generation
        wrong = self._signature(struct, str(order["signature"]), generation, key)
        if wrong is not None:
            return wrong
        try:
            expiration_s = int(order.get("expiration") or 0)
        except ValueError:
            return error(400, "invalid expiration")
        action: Action = "buy" if order["side"] == "BUY" else "sell"
        return SignedOrder(
            "0x" + struct.digest(generation).hex(), wallet.account, found[0].polymarket.condition_id, found[1], action,
            struct.maker_amount, struct.taker_amount, str(kind), bool(loaded.get("postOnly")), expiration_s,
        )  # fmt: skip

    def _maker(self, struct: OrderStruct, key: PolymarketKey) -> Wallet | web.Response:
        """The wallet that pays: of the kind that is claimed, and the API key's own."""
        wallet = self.wallets(struct.maker)
        owned = wallet is not None and same_address(wallet.owner, key.address)
        if struct.signature_type == 3:
            # the deposit wallet signs for itself, through the key that owns it
            if not same_address(struct.signer, struct.maker) or not owned:
                return error(400, "the order signer address has to be the address of the API KEY")
        elif not same_address(struct.signer, key.address):
            return error(400, "the order signer address has to be the address of the API KEY")
        if wallet is None or not owned or wallet.kind != struct.signature_type:
            return error(400, NO_WALLET)
        return wallet

    def _signature(
        self, struct: OrderStruct, signature: str, generation: Generation, key: PolymarketKey
    ) -> web.Response | None:
        def signs(under: Generation) -> bool:
            signer = struct.signed_by(under, signature)
            return signer is not None and same_address(signer, key.address)

        if signs(generation):
            return None
        version = CONTRACTS[generation][1]
        if any(signs(other) for other, (_, theirs) in CONTRACTS.items() if theirs != version):
            return error(400, "order_version_mismatch")
        return error(400, "invalid signature")


def struct_of(order: dict[str, Any]) -> OrderStruct | None:
    """The signed fields as the wire has them, or None where one is not what it should be."""
    if any(not isinstance(order[name], str) for name in ("makerAmount", "takerAmount", "timestamp", "tokenId")):
        return None
    try:
        struct = OrderStruct(
            salt=int(order["salt"]), maker=order["maker"], signer=order["signer"], token=int(order["tokenId"]),
            maker_amount=int(order["makerAmount"]), taker_amount=int(order["takerAmount"]),
            side=0 if order["side"] == "BUY" else 1, signature_type=int(order["signatureType"]),
            timestamp_ms=int(order["timestamp"]), metadata=bytes.fromhex(order["metadata"].removeprefix("0x")),
            builder=bytes.fromhex(order["builder"].removeprefix("0x")),
        )  # fmt: skip
        if (
            len(struct.metadata) != 32
            or len(struct.builder) != 32
            or len(struct.maker) != 42
            or len(struct.signer) != 42
        ):
            return None
        struct.hash()
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
    good = struct.signature_type in (0, 1, 2, 3) and struct.maker_amount > 0 and struct.taker_amount > 0
    return struct if good else None


def to_ticket(order: SignedOrder, spec: PolymarketSpec, body_sha256: str, now_ns: int) -> Ticket | str:
    """Price and size out of the amounts, by the market's rules of this moment; or what is wrong with them."""
    dollars, shares = order.maker_amount, order.taker_amount
    if order.action == "sell":
        dollars, shares = shares, dollars
    price = nearest_price(dollars, shares, spec.tick, spec.amount_step)
    if price is None:
        text = plain(dollars * PRICE_ONE // shares, 4)
        return f"order {order.hash} is invalid. Price ({text}) breaks minimum tick size rule: {spec.tick_text}"
    immediate = order.order_type in ("FOK", "FAK")
    if order.post_only and immediate:
        return "invalid post-only order: only GTC and GTD orders can be post-only"
    places = len(str(UNIT // spec.amount_step)) - 1
    if immediate and order.action == "buy":
        if dollars % SHARE_STEP or shares % spec.amount_step:
            return (
                "invalid amounts, the market buy orders maker amount supports a max accuracy of 2 decimals, "
                f"taker amount a max of {places} decimals"
            )
    elif shares % SHARE_STEP or dollars % spec.amount_step:
        return (
            "invalid amounts, the size supports a max accuracy of 2 decimals, "
            f"the dollar amount a max of {places} decimals"
        )
    if not immediate and shares < spec.min_size:
        least = plain(spec.min_size, 6)
        return f"order {order.hash} is invalid. Size ({plain(shares, 6)}) lower than the minimum: {least}"
    expires_ns = None
    if order.order_type == "GTD":
        expires_ns = (order.expiration_s - SECURITY_S) * 1_000_000_000
        if expires_ns <= now_ns:
            return "invalid expiration"
    elif order.expiration_s:
        return "invalid expiration"
    return Ticket(
        account=order.account, wire_id=order.hash, market=spec.condition_id, outcome=order.outcome, action=order.action,
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
