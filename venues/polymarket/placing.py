"""Our orders in Polymarket's words: what is signed, what is sent, and which terms this venue has."""

from __future__ import annotations

import msgspec

from messages.markets import Market
from messages.orders import Order
from messages.reasons import Refusal
from messages.units import MILLISECOND, SECOND, Outcome, Price, Side, TimeInForce
from venues.polymarket.amounts import amounts_of
from venues.polymarket.sign import Signer, salt_of
from venues.polymarket.typed_data import SEPARATORS, SignedFields
from venues.port import PLAIN, Denied, Lifetime, NotReady, SelfTrade, Terms

GTD_LEAST_S = 180
GTD_MARGIN_S = 60
"""The venue ends a GTD order a minute before its expiry, and takes none that expires within three minutes."""

_encode = msgspec.json.Encoder().encode


def token_of(market: Market, outcome: Outcome) -> str:
    if market.tokens is None:
        raise NotReady(f"{market.market} has no tokens; load its metadata before orders")
    return market.tokens[0 if outcome is Outcome.YES else 1]


def order_fields(order: Order, market: Market, signer: Signer, tick: Price | None = None) -> tuple[SignedFields, bytes]:
    """What is signed, and its digest. A function of the order, the wallet, and the market's tokens, contract and tick."""
    separator = SEPARATORS.get(market.generation)
    if separator is None:
        raise NotReady(
            f"{market.market} settles on an unknown contract ({market.generation!r}); this version signs none for it"
        )
    amounts = amounts_of(order, market.ticks[0].step if tick is None else tick)
    fields = SignedFields(
        salt=salt_of(order.order),
        maker=signer.funder,
        signer=signer.order_signer,
        token=int(token_of(market, order.outcome)),
        maker_amount=amounts.maker,
        taker_amount=amounts.taker,
        side=0 if order.side is Side.BUY else 1,
        signature_type=signer.signature_type,
        timestamp_ms=order.made_at // MILLISECOND,
    )
    return fields, fields.digest(separator)


def order_body(order: Order, fields: SignedFields, signature: str, owner: str, terms: Terms = PLAIN) -> bytes:
    kind, expiration = wire_type(order, terms)
    zero = "0x" + "0" * 64
    return _encode(
        {
            "order": {
                "salt": fields.salt,
                "maker": fields.maker,
                "signer": fields.signer,
                "tokenId": str(fields.token),
                "makerAmount": str(fields.maker_amount),
                "takerAmount": str(fields.taker_amount),
                "side": "SELL" if fields.side else "BUY",
                "expiration": str(expiration),
                "signatureType": fields.signature_type,
                "timestamp": str(fields.timestamp_ms),
                "metadata": zero,
                "builder": "0x" + fields.builder.hex(),
                "signature": signature,
            },
            "owner": owner,
            "orderType": kind,
            "deferExec": False,
            "postOnly": terms.post_only,
        }
    )


def wire_type(order: Order, terms: Terms = PLAIN) -> tuple[str, int]:
    """Order type and expiry. A rest of seconds cannot be GTD at this venue: it is sent as GTC, and we cancel it."""
    if order.time_in_force is TimeInForce.IOC:
        return "FOK" if terms.lifetime is Lifetime.FOK else "FAK", 0
    if terms.lifetime is not Lifetime.GTC and _lives_long(order):
        return "GTD", -(-order.expires_at // SECOND) + GTD_MARGIN_S
    return "GTC", 0


def _lives_long(order: Order) -> bool:
    return order.expires_at - order.made_at >= GTD_LEAST_S * SECOND


def denial(order: Order, terms: Terms) -> Denied | None:
    """Which term this venue does not have, or what contradicts what; None where the order can be sent so."""
    immediate = order.time_in_force is TimeInForce.IOC
    wrong = (
        (terms.lifetime in (Lifetime.GTC, Lifetime.GTD) and immediate, "an immediate order does not rest"),
        (terms.lifetime in (Lifetime.IOC, Lifetime.FOK) and not immediate, "a resting order is not immediate"),
        (terms.lifetime is Lifetime.GTD and not _lives_long(order), "a GTD order lives three minutes or more"),
        (terms.post_only and immediate, "an immediate order cannot be post-only"),
        (terms.reduce_only, "this venue has no reduce-only orders"),
        (terms.self_trade is not SelfTrade.TAKER, "this venue has no choice of who gives way to oneself"),
        (terms.cancel_on_pause is not None, "this venue has no choice of what a pause cancels"),
        (bool(terms.group), "this venue has no order groups"),
        (terms.shard is not None, "this venue has no shards"),
    )
    said = "; ".join(text for is_so, text in wrong if is_so)
    return Denied(Refusal.INVALID, said) if said else None
