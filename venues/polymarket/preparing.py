"""Orders made ready for the wire, and every hash that one of them may have gone out under."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from messages.markets import Market
from messages.orders import Order
from messages.units import Price, Side, TimeInForce
from venues.polymarket import placing
from venues.polymarket.amounts import AMOUNT_PLACES
from venues.polymarket.schedules import Schedules
from venues.polymarket.sign import Signer
from venues.polymarket.typed_data import EXCHANGES, SEPARATORS
from venues.port import PLAIN, Denied, NotReady, Prepared, Terms

PREPARED_MOST = 4_096


class Preparing:
    """What is known of markets, and the orders that were signed for them."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._markets: dict[str, Market] = {}
        self._schedules = Schedules()
        self._prepared: OrderedDict[str, Prepared] = OrderedDict()
        self._sent: OrderedDict[str, None] = OrderedDict()
        """Orders that this process posted itself."""

    def load(self, markets: Sequence[Market]) -> None:
        self._markets.update((market.market, market) for market in markets)
        self._schedules.load(markets)

    def identify(self, order: Order) -> str:
        """The order's hash. Its terms are not in it."""
        known = self._prepared.get(order.order)
        return known.wire if known is not None and known.order == order else self.prepare(order).wire

    def prepare(self, order: Order) -> Prepared:
        return self._prepare(order, PLAIN)

    def prepare_with(self, order: Order, terms: Terms) -> Prepared | Denied:
        return placing.denial(order, terms) or self._prepare(order, terms)

    def _prepare(self, order: Order, terms: Terms) -> Prepared:
        known = self._prepared.get(order.order)
        # the first preparation stands: what is posted again must be what was posted, whatever the grid is by then
        if known is not None and known.order == order and (terms in (PLAIN, known.terms)):
            return known
        market = self._market(order)
        fields, digest = placing.order_fields(order, market, self._signer)
        signature = self._signer.sign_order(fields, SEPARATORS[market.generation])
        body = placing.order_body(order, fields, signature, self._signer.owner, terms)
        prepared = Prepared(order=order, wire="0x" + digest.hex(), body=body, terms=terms)
        self._prepared[order.order] = prepared
        if len(self._prepared) > PREPARED_MOST:
            self._prepared.popitem(last=False)
        return prepared

    def _market(self, order: Order) -> Market:
        market = self._markets.get(order.market)
        if market is None:
            raise NotReady(f"no metadata of {order.market} was loaded; an order of it cannot be signed")
        return market

    def _posted(self, order: Order) -> None:
        """From now on there is no doubt under which hash it went out."""
        self._sent[order.order] = None
        if len(self._sent) > PREPARED_MOST:
            self._sent.popitem(last=False)

    def _identities(self, order: Order) -> tuple[str, ...]:
        """Every hash that the order may have gone out under, ours first.

        The contract is part of it, and of an immediate buy the grid: where another process sent it, either may have
        changed before this question.
        """
        found = [self.identify(order)]
        if order.order in self._sent:
            return tuple(found)
        market = self._market(order)
        by_grid = order.time_in_force is TimeInForce.IOC and order.side is Side.BUY
        ticks = tuple(AMOUNT_PLACES) if by_grid else (market.ticks[0].step,)
        for generation in EXCHANGES:
            there = market.model_copy(update={"generation": generation})
            wires = ("0x" + placing.order_fields(order, there, self._signer, Price(tick))[1].hex() for tick in ticks)
            found += [wire for wire in wires if wire not in found]
        return tuple(found)
