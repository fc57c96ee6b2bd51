"""The life of a market at Kalshi: it opens, halts, closes, is determined and pays out.

    initialized → active ⇄ inactive → closed → determined → (disputed → amended →) finalized

What the streams say of it: `created`, often before the market can be read; nothing at the opening and nothing at the close;
`deactivated` and `activated` around a halt; `close_date_updated` where the close moves; `determined`; and `settled`. A market
that trades again after a halt has lost all its resting orders. From the close on even cancels are refused; what rested goes
shortly after.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial

from venues.simulated.accounts import PARTICIPANTS
from venues.simulated.happenings import MS, Happening, Movement, OrderChanged, S
from venues.simulated.kalshi_door import KalshiDoor
from venues.simulated.kalshi_positions import tally
from venues.simulated.kalshi_rules import fee_rule
from venues.simulated.kalshi_state import Life, Result, Settled
from venues.simulated.kalshi_stream import KalshiStreams
from venues.simulated.kalshi_words import ranges_told
from venues.simulated.scale import PRICE_ONE, price_text

SWEPT_AFTER_NS = 50 * MS  # how long an order lives that is placed in the minute after cancel-all
SHORTLY_NS = 200 * MS
UNREADABLE_NS = 300 * MS  # how long a created market answers 404


class KalshiLifecycle:
    def __init__(self, door: KalshiDoor, streams: KalshiStreams) -> None:
        self.door, self.streams = door, streams
        self.state = door.state
        streams.listeners.append(self._sweep)

    def start(self) -> None:
        """Let every market close when its time has come."""
        for life in self.state.lives.values():
            self._await_close(life)

    def _await_close(self, life: Life) -> None:
        self.door.exchange.at(life.close_ns, lambda at_ns: self._closes(life, at_ns))

    def _closes(self, life: Life, at_ns: int) -> None:
        if life.status in ("active", "inactive") and at_ns >= life.close_ns:  # it may have been moved since
            self._shut(life, at_ns)

    def _sweep(self, happenings: list[Happening]) -> None:
        for happening in happenings:
            if not isinstance(happening, OrderChanged) or happening.kind != "placement":
                continue
            if self.state.swept(happening.order.account, happening.at_ns):
                gone = partial(self._gone, happening.order.venue_order)
                self.door.exchange.at(happening.at_ns + SWEPT_AFTER_NS, gone)

    def _gone(self, venue_order: str, now_ns: int) -> None:
        self.door.exchange.cancel(venue_order, now_ns)

    def _tell(self, life: Life, event: str, **more: object) -> None:
        message = {"market_ticker": life.ticker, "event_type": event, **more}
        self.streams.tell_market("market_lifecycle_v2", life.ticker, message)

    def _cancel_resting(self, market: str, now_ns: int, reason: str) -> None:
        for account in list(self.door.exchange.accounts.values()):
            if not account.unlimited:
                for order in list(account.resting[market]):
                    self.door.exchange.cancel(order.venue_order, now_ns, reason)

    # a market begins

    def create(self, ticker: str, event: str, like: str, opens_ns: int) -> None:
        """List another market like one that exists. The stream tells it before it can be read."""
        model, now_ns = self.state.lives[like], self.door.desk.now()
        market_id = str(uuid.uuid5(uuid.NAMESPACE_OID, ticker))
        spec = replace(model.pair.kalshi, ticker=ticker, event=event, market_id=market_id)
        pair = replace(model.pair, kalshi=spec)
        life = Life(pair, model.ranges, "initialized", opens_ns, model.close_ns, updated_ns=now_ns)
        self._tell(life, "created", **created_told(life))
        if not any(other.pair.kalshi.event == event for other in self.state.lives.values()):
            told = {
                "event_ticker": event, "exchange_index": life.shard, "title": pair.title, "subtitle": "",
                "collateral_return_type": "", "series_ticker": spec.series,
            }  # fmt: skip
            self.streams.tell_market("event_lifecycle", ticker, told)
        self.door.exchange.at(now_ns + UNREADABLE_NS, lambda _: self._list(life))
        self.door.exchange.at(max(opens_ns, now_ns + UNREADABLE_NS), lambda at_ns: self._open(life, at_ns))

    def _list(self, life: Life) -> None:
        self.door.exchange.open_market(life.ticker, fee_rule(*self.state.fee(life)))
        self.door.by_ticker[life.ticker] = life.pair
        self.state.lives[life.ticker] = life
        self._await_close(life)

    def _open(self, life: Life, now_ns: int) -> None:
        life.status, life.updated_ns = "active", now_ns

    # a market stands still

    def halt(self, ticker: str) -> None:
        life, now_ns = self.state.lives[ticker], self.door.desk.now()
        if life.status != "active":
            return
        life.status, life.updated_ns = "inactive", now_ns
        self.door.exchange.clear_quotes(ticker, now_ns)
        self.door.exchange.halted.add(ticker)
        self._tell(life, "deactivated", is_deactivated=True)

    def activate(self, ticker: str) -> None:
        life, now_ns = self.state.lives[ticker], self.door.desk.now()
        if life.status != "inactive":
            return
        life.status, life.updated_ns = "active", now_ns
        self._cancel_resting(ticker, now_ns, "HaltCancel")
        self.door.exchange.halted.discard(ticker)
        self._tell(life, "activated", is_deactivated=False)

    # a market ends

    def close(self, ticker: str, at_ns: int | None = None) -> None:
        """Close now, or move the close to another time."""
        life, now_ns = self.state.lives[ticker], self.door.desk.now()
        if life.status not in ("active", "inactive"):
            return
        life.close_ns = now_ns if at_ns is None else at_ns
        life.updated_ns = now_ns
        self._tell(life, "close_date_updated", close_ts=life.close_ns // S)
        if life.close_ns <= now_ns:
            self._shut(life, now_ns)
        else:
            self._await_close(life)

    def _shut(self, life: Life, now_ns: int) -> None:
        life.status, life.updated_ns = "closed", now_ns
        exchange = self.door.exchange
        exchange.clear_quotes(life.ticker, now_ns)
        exchange.halted.add(life.ticker)
        exchange.at(now_ns + SHORTLY_NS, lambda at_ns: self._cancel_resting(life.ticker, at_ns, "CloseCancel"))

    def determine(self, ticker: str, value: int, timer_s: int | None = None) -> None:
        """Say what YES pays, in price units; the money moves when the settlement timer has run."""
        life, now_ns = self.state.lives[ticker], self.door.desk.now()
        if life.status in ("active", "inactive"):
            self.close(ticker)
        if life.status not in ("closed", "disputed"):
            return
        results: dict[int, Result] = {PRICE_ONE: "yes", 0: "no"}
        life.status = "determined" if life.status == "closed" else "amended"
        life.result, life.value, life.timers = results.get(value, "scalar"), value, life.timers + 1
        life.timer_s, life.updated_ns = life.timer_s if timer_s is None else timer_s, now_ns
        self._tell(
            life, "determined", result=life.result, settlement_value=price_text(value), determination_ts=now_ns // S
        )
        self.door.exchange.at(now_ns + max(SHORTLY_NS, life.timer_s * S), partial(self._pay, life, life.timers))

    def dispute(self, ticker: str) -> None:
        """Stop the pay-out until the result is determined again."""
        life = self.state.lives[ticker]
        if life.status == "determined":
            life.status, life.timers, life.updated_ns = "disputed", life.timers + 1, self.door.desk.now()

    def _pay(self, life: Life, timer: int, now_ns: int) -> None:
        """Every contract becomes what it is worth; fractions of a micro-dollar stay with the market makers."""
        if timer != life.timers:
            return
        exchange, ticker, value = self.door.exchange, life.ticker, life.value or 0
        self._cancel_resting(ticker, now_ns, "CloseCancel")
        makers = exchange.accounts[PARTICIPANTS]
        sets = sum(account.positions[ticker].yes for account in exchange.accounts.values())
        for account in list(exchange.accounts.values()):
            held = account.positions[ticker]
            if account.unlimited or not (held.yes or held.no):
                continue
            paid = (held.yes * value + held.no * (PRICE_ONE - value)) // PRICE_ONE
            sets -= paid
            folded = tally(f for f in exchange.fills if f.order.account == account.id and f.order.market == ticker)
            self.state.settled.append(
                Settled(
                    account.id, ticker, now_ns, held.yes, held.no, folded.cost if held.yes else 0,
                    folded.cost if held.no else 0, paid, folded.fees,
                )
            )  # fmt: skip
            exchange.movements.append(Movement(account.id, "settlement", ticker, paid, now_ns))
            account.cash += paid
            held.yes = held.no = 0
            self.streams.tell_position(account.id, ticker)
        makers.cash += sets
        makers.positions[ticker].yes = makers.positions[ticker].no = 0
        exchange.payouts[ticker] = (2 * value // PRICE_ONE, 2 * (PRICE_ONE - value) // PRICE_ONE)
        life.status, life.settled_ns, life.updated_ns = "finalized", now_ns, now_ns
        self._tell(life, "settled", settled_ts=now_ns // S)
        self.door.watch_cash()


def created_told(life: Life) -> dict[str, object]:
    pair, closes = life.pair, life.close_ns // S
    return {
        "exchange_index": life.shard, "open_ts": life.open_ns // S, "close_ts": closes,
        "price_level_structure": life.structure, "price_ranges": ranges_told(life.ranges),
        "additional_metadata": {
            "name": pair.title, "title": pair.title, "yes_sub_title": pair.title, "no_sub_title": pair.title,
            "rules_primary": pair.rules, "rules_secondary": "", "can_close_early": True, "event_ticker": pair.kalshi.event,
            "expected_expiration_ts": closes,
        },
    }  # fmt: skip
