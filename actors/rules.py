"""Settings as the integers that the law asks for."""

from __future__ import annotations

from actors.shell import Clock
from configs.pairs import load_pairs
from configs.settings import Dialect, Settings, millis, money, price
from core.checks import Limits
from core.detect import SizingLimits
from messages.markets import FeeFormula, FeeSchedule, Pair
from messages.trades import Bounds, LegTerms
from messages.units import CENT, CONTRACT, SECOND, Money, Nanos, Outcome, Quantity
from venues.factory import capabilities, trading
from venues.port import Trading


def limits_of(settings: Settings) -> Limits:
    risk, engine = settings.risk, settings.engine
    return Limits(
        min_profit=Money(int(risk.min_profit_cents * CENT)),
        min_return_bps=risk.min_return_bps,
        notional_most=money(risk.notional_most_dollars),
        open_trades_most=risk.open_trades_most,
        position_most=Quantity(risk.position_most_contracts * CONTRACT),
        group_most=Quantity(risk.group_most_contracts * CONTRACT),
        collar_low=price(risk.collar_low),
        collar_high=price(risk.collar_high),
        book_age_most=millis(engine.book_age_most_ms),
        fees_age_most=Nanos(engine.fees_age_most_s * SECOND),
        loop_lag_most=millis(engine.loop_lag_most_ms),
    )


def sizing_of(settings: Settings) -> SizingLimits:
    risk = settings.risk
    return SizingLimits(
        quantity_most=Quantity(risk.contracts_most * CONTRACT),
        slippage_bps=risk.slippage_bps,
        min_profit=Money(int(risk.min_profit_cents * CENT)),
    )


def bounds_of(settings: Settings) -> Bounds:
    recovery, risk = settings.recovery, settings.risk
    return Bounds(
        ask_first=millis(recovery.ask_first_ms),
        ask_most=millis(recovery.ask_most_ms),
        send_window=millis(recovery.send_window_ms),
        reposts_max=recovery.reposts_most,
        aggressive_max=recovery.aggressive_most,
        resting_max=recovery.resting_most,
        rest=millis(recovery.rest_ms),
        pause=millis(recovery.pause_ms),
        settle_wait=millis(recovery.settle_wait_ms),
        floor=price(recovery.floor),
        loss_budget=money(recovery.loss_most_dollars),
        deadline=Nanos(recovery.deadline_s * SECOND),
        spans_max=8,
        release_after=millis(risk.release_after_ms),
        cool_down=millis(risk.cool_down_ms),
        reject_storm=risk.reject_storm,
        pause_market=Nanos(risk.pause_s * SECOND),
    )


def policy_of(settings: Settings) -> dict[str, LegTerms]:
    """A template of terms by venue; `core.intent.terms_of` puts each market's own rules in."""
    unknown_fees = FeeSchedule(formula=FeeFormula.KALSHI, version=0, taker_ppm=0, maker_ppm=0, verified_at=Nanos(0))
    templates = {}
    for name, venue in settings.venues.items():
        able = capabilities(venue)
        templates[name] = LegTerms(
            venue=name,
            market="",
            outcome=Outcome.YES,
            ticks=(),
            lot=Quantity(1),
            min_quantity=Quantity(1),
            min_spend=Money(0),
            cash_denominated=False,
            fees=unknown_fees,
            repost_proves=able.repost_proves,
            kill_consumes=able.kill_consumes,
            late_arrival=able.late_arrival,
            sells_after_settlement=able.sells_after_settlement,
            nets=able.nets,
            reversible=able.reversible,
        )
    return templates


def pairs_of(settings: Settings) -> tuple[Pair, ...]:
    """The pairs that a person approved; a registry that does not read was refused before any actor was born."""
    registry, problems = load_pairs(settings.pairs, {name: venue.dialect for name, venue in settings.venues.items()})
    if problems:
        raise ValueError(f"the registry of pairs in {settings.pairs} does not read: {problems[0]}")
    return registry.pairs


def yes_scale_of(settings: Settings) -> frozenset[str]:
    """Venues with one book a market, which tell executions on the YES scale."""
    return frozenset(name for name, venue in settings.venues.items() if venue.dialect is Dialect.KALSHI)


def adapters_of(settings: Settings, clock: Clock) -> dict[str, dict[str, Trading]]:
    """One adapter a key; all of a venue's speak for the same account."""
    return {
        name: {key.name: trading(name, venue, key, clock) for key in venue.keys}
        for name, venue in settings.venues.items()
    }
