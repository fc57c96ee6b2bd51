"""What may change while Kalshi trades: price grids, fees, and whether trading or the whole exchange is open."""

from __future__ import annotations

from fractions import Fraction

from venues.simulated.fees import KALSHI_MAKER
from venues.simulated.happenings import FeeRule
from venues.simulated.kalshi_accounts import parts_of
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_state import FeeChange, Life
from venues.simulated.kalshi_stream import KalshiStreams
from venues.simulated.kalshi_words import iso, json_ratio, ranges_told
from venues.simulated.universe import PriceRange


def fee_rule(kind: str, multiplier: Fraction) -> FeeRule:
    return FeeRule(multiplier, maker=KALSHI_MAKER.get(kind, Fraction(0)))


class KalshiRules:
    def __init__(self, door: KalshiDoor, streams: KalshiStreams) -> None:
        self.door, self.streams, self.state = door, streams, door.state

    # grids and fees

    def set_grid(self, ticker: str, ranges: tuple[PriceRange, ...]) -> None:
        """Another price grid. What rests off it keeps resting: what the venue does with such orders is not known."""
        life = self.state.lives[ticker]
        life.ranges, life.updated_ns = ranges, self.door.desk.now()
        told = ranges_told(ranges)
        message = {
            "market_ticker": ticker, "event_type": "price_level_structure_updated", "price_ranges": told,
            "price_level_structure": life.structure,
        }  # fmt: skip
        self.streams.tell_market("market_lifecycle_v2", ticker, message)

    def set_event_fee(self, event: str, fee: tuple[str, Fraction] | None) -> None:
        """Override the series' fee for one event from now on, or take the override back."""
        lives = [life for life in self.state.lives.values() if life.pair.kalshi.event == event]
        if fee is None:
            self.state.fee_overrides.pop(event, None)
        else:
            self.state.fee_overrides[event] = fee
        kind, multiplier = fee or (None, None)
        self._announce(FeeChange("", 0, event, lives[0].pair.kalshi.series, kind, multiplier))
        message = {
            "event_ticker": event, "fee_type_override": kind,
            "fee_multiplier_override": None if multiplier is None else json_ratio(multiplier),
        }  # fmt: skip
        self.streams.tell_market("event_fee_update", lives[0].ticker, message)
        self._charge(lives)

    def set_series_fee(self, series: str, fee: tuple[str, Fraction], at_ns: int) -> None:
        """Announce another fee of a series, which holds from `at_ns` on."""
        self._announce(FeeChange("", at_ns, "", series, *fee))
        lives = [life for life in self.state.lives.values() if life.pair.kalshi.series == series]

        def begin(_now_ns: int) -> None:
            self.state.series_fees[series] = fee
            self._charge(lives)

        self.door.exchange.at(at_ns, begin)

    def _announce(self, change: FeeChange) -> None:
        at_ns = change.at_ns or self.door.desk.now()
        named = FeeChange(
            self.door.exchange.next_id(), at_ns, change.event, change.series, change.fee_type, change.multiplier
        )
        self.state.fee_changes.append(named)

    def _charge(self, lives: list[Life]) -> None:
        now_ns = self.door.desk.now()
        for life in lives:
            self.door.exchange.terms.fees[life.ticker] = fee_rule(*self.state.fee(life))
            self.door.exchange.reprice(life.ticker, now_ns)

    # the exchange stands still

    def pause(self, seconds: float | None = None, shard: int | None = None) -> None:
        """Trading pauses: no new orders, no amendments; cancels are taken. Orders that asked for it are cancelled."""
        now_ns = self.door.desk.now()
        for index in self._some(shard):
            self.state.shards[index].trading_active = False
        self._freeze(now_ns)
        self._proclaim("warning", "Trading is paused")
        if seconds is not None:
            self.door.exchange.at(now_ns + int(seconds * 1e9), lambda _: self.resume(shard))

    def resume(self, shard: int | None = None) -> None:
        for index in self._some(shard):
            found = self.state.shards[index]
            found.trading_active = found.exchange_active = True
            found.resumes_ns = None
        for told in self.state.announcements:
            told["status"] = "inactive"
        for life in self.state.lives.values():
            if life.status == "active" and shard in (None, life.shard):
                self.door.exchange.halted.discard(life.ticker)

    def maintain(self, seconds: float) -> None:
        """The whole exchange stops taking anything that changes its state, and sockets break."""
        now_ns = self.door.desk.now()
        for shard in self.state.shards.values():
            shard.exchange_active, shard.resumes_ns = False, now_ns + int(seconds * 1e9)
        self._freeze(now_ns)
        self._proclaim("warning", "The exchange is under maintenance")
        self.streams.break_all()
        self.door.exchange.at(now_ns + int(seconds * 1e9), lambda _: self.resume())

    def _proclaim(self, kind: str, message: str) -> None:
        at = iso(self.door.desk.now())
        self.state.announcements.append({"type": kind, "message": message, "delivery_time": at, "status": "active"})

    def _freeze(self, now_ns: int) -> None:
        exchange = self.door.exchange
        for order in list(exchange.orders.values()):
            if order.status == "live" and self.state.note(order).on_pause and self._paused(parts_of(order.account)[2]):
                exchange.cancel(order.venue_order, now_ns, "HaltCancel")
        exchange.halted |= {life.ticker for life in self.state.lives.values() if self._paused(life.shard)}

    def _paused(self, shard: int) -> bool:
        found = self.state.shards[shard]
        return not (found.trading_active and found.exchange_active)

    def _some(self, shard: int | None) -> list[int]:
        return list(self.state.shards) if shard is None else [shard]
