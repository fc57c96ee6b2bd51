"""A market's rules and fees as Polymarket states them; what it does not state, or states in two ways, is not guessed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from messages.markets import FeeFormula, FeeSchedule, Market, TickBand
from messages.units import DOLLAR, ONE_DOLLAR, Nanos, Price, Quantity
from venues.polymarket.amounts import AMOUNT_PLACES
from venues.polymarket.typed_data import generation_of, is_position_id
from venues.port import Description
from venues.reading import is_object, json_of, objects, price_of, quantity_of, ratio_ppm, text_of, time_of

LOT = Quantity(10_000)
"""Shares have two decimals."""

NAMELESS = re.compile(
    r"^(other|another\b.*|(person|candidate|player|team|company|country|option|party|film) [a-z]{1,3})?$"
)
"""Names of outcomes that stand for nobody yet, and whose meaning shifts when somebody is named."""


def market(venue: str, told: Mapping[str, Any], about: Mapping[str, Any], condition: str, at: Nanos) -> Market | None:
    """A market's rules from its trading parameters and its description; version 0 until it is numbered."""
    neg_risk = _neg_risk(told, about)
    tokens = _tokens(told, about)
    tick, least = price_of(told, "mts"), quantity_of(told, "mos")
    fees = fee_schedule(told, at, about)
    if tokens is None or tick not in AMOUNT_PLACES or least is None or fees is None or neg_risk is None:
        return None
    return Market(
        venue=venue,
        market=condition,
        event=event_of(about) or condition,
        title=text_of(about, "question") or condition,
        open=trades(about),
        closes_at=time_of(text_of(about, "endDate")),
        ticks=bands(tick),
        lot=LOT,
        min_quantity=least,
        min_spend=DOLLAR,
        cash_denominated=True,
        fees=fees,
        neg_risk=neg_risk,
        generation=generation_of(int(tokens[0]), neg_risk=neg_risk),
        tokens=tokens,
        version=0,
        seen_at=at,
    )


def bands(tick: Price) -> tuple[TickBand, ...]:
    return (TickBand(start=tick, stop=Price(ONE_DOLLAR - tick), step=tick),)


def trades(about: Mapping[str, Any]) -> bool:
    """It takes orders, and its outcome is one that has a name."""
    stopped = about.get("closed") is True or about.get("active") is False or about.get("archived") is True
    resolved = text_of(about, "umaResolutionStatus").lower() == "resolved"
    return about.get("acceptingOrders") is True and not stopped and not resolved and named(about)


def named(about: Mapping[str, Any]) -> bool:
    """False for the placeholders of an augmented event, and for its "Other", which means fewer people by the day."""
    if not (_of_event(about, "negRiskAugmented") is True and _of_event(about, "enableNegRisk") is not False):
        return True
    return NAMELESS.match(text_of(about, "groupItemTitle").strip().lower()) is None


def event_of(about: Mapping[str, Any]) -> str:
    """The event's own name where the market tells it, else the market's."""
    events = objects(about.get("events"))
    return next((text_of(event, "slug") for event in events if text_of(event, "slug")), "") or text_of(about, "slug")


def facts_of(about: Mapping[str, Any]) -> str:
    """Stands for the words by which it resolves and for what else makes another contract of it."""
    parts = (text_of(about, "description"), text_of(about, "resolutionSource"), str(about.get("version")))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def description(told: Mapping[str, Any], condition: str) -> Description:
    """What the venue tells beside the rules of trading. `told` is its description (Gamma)."""
    resolution = text_of(told, "umaResolutionStatus").lower()
    closed = told.get("closed") is True
    status = resolution or ("closed" if closed else "active" if told.get("acceptingOrders") is True else "inactive")
    tick = price_of(told, "orderPriceMinTickSize")
    return Description(
        market=condition,
        event=event_of(told),
        series=next((text_of(series, "slug") for series in objects(told.get("series"))), ""),
        category=text_of(told, "category") or _text(_of_event(told, "category")),
        status=status,
        rules=text_of(told, "description"),
        closes_at=time_of(text_of(told, "endDate")),
        # an answer may be proposed as soon as the world knows it
        may_close_early=True,
        settles_after=None,
        result=_result(told) if closed and resolution in ("", "resolved") else "",
        exclusive=True if _of_event(told, "enableNegRisk") is True or told.get("negRisk") is True else None,
        tick_structure="" if tick is None else str(tick),
    )


def _result(told: Mapping[str, Any]) -> str:
    """Yes, no, or how it was divided, by the prices at which it is paid out."""
    prices, outcomes = _texts(told, "outcomePrices"), _texts(told, "outcomes")
    paid = dict(zip((outcome.lower() for outcome in outcomes), prices, strict=False))
    yes, no = (price_of(paid, outcome) for outcome in ("yes", "no"))
    if yes is None or no is None or yes + no != ONE_DOLLAR:
        return ""
    return {ONE_DOLLAR: "yes", 0: "no"}.get(yes, f"{paid['yes']}/{paid['no']}")


def _of_event(about: Mapping[str, Any], key: str) -> Any:
    """A fact that some answers tell of the market and others of its event."""
    value = about.get(key)
    return (
        value
        if value is not None
        else next((event[key] for event in objects(about.get("events")) if key in event), None)
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _neg_risk(told: Mapping[str, Any], about: Mapping[str, Any]) -> bool | None:
    """It selects the contract that is signed for: two sources that differ are none."""
    said = {value for value in (told.get("nr"), about.get("negRisk")) if isinstance(value, bool)}
    return said.pop() if len(said) == 1 else None


def _texts(told: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts, which this venue also sends as a text that holds the list."""
    value = told.get(key)
    value = json_of(value) if isinstance(value, str) else value
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _tokens(told: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[str, str] | None:
    """YES and NO. A market of the second protocol has ids of both, and its version says which are traded."""
    by_outcome = {text_of(part, "o").lower(): text_of(part, "t") for part in objects(told.get("t"))}
    traded = _pair(by_outcome)
    version = text_of(about, "version")
    ids = _texts(about, "positionIds" if version == "v2" else "clobTokenIds")
    outcomes = [outcome.lower() for outcome in _texts(about, "outcomes")]
    described = _pair(dict(zip(outcomes, ids, strict=False))) if len(ids) == len(outcomes) == 2 else None
    if version == "v2":
        traded = described or traded
    elif described is not None and described != traded:
        return None
    if traded is None or traded[0] == traded[1]:
        return None
    positions = {is_position_id(int(token)) for token in traded}
    # whoever signs for the wrong contract is refused at best
    if len(positions) != 1 or (version in ("v1", "v2") and positions != {version == "v2"}):
        return None
    return traded


def _pair(by_outcome: Mapping[str, str]) -> tuple[str, str] | None:
    pair = by_outcome.get("yes", ""), by_outcome.get("no", "")
    if not all(0 < len(token) <= 78 and token.isascii() and token.isdigit() and int(token) < 2**256 for token in pair):
        return None
    return pair


def fee_schedule(told: Mapping[str, Any], at: Nanos, about: Mapping[str, Any] | None = None) -> FeeSchedule | None:
    """The dearer of what the two services say. None where neither does: an unknown fee is not a fee of nothing."""
    about = about or {}
    sources = (told.get("fd"), ("r", "e", "to")), (about.get("feeSchedule"), ("rate", "exponent", "takerOnly"))
    said = [_terms(source, keys) for source, keys in sources if is_object(source)]
    if not said:
        return _schedule(0, 1, at) if told.get("tbf") == 0 and about.get("feesEnabled") is not True else None
    known = [terms for terms in said if terms is not None]
    if len(known) < len(said):
        return None
    rate, exponent = max(known, key=lambda terms: (terms[0], -terms[1]))
    return _schedule(rate, exponent, at)


def _terms(told: Mapping[str, Any], keys: tuple[str, str, str]) -> tuple[int, int] | None:
    """Rate in ppm and exponent; None where they cannot be read."""
    rate, exponent = ratio_ppm(told.get(keys[0])), told.get(keys[1], 1)
    if rate is None or not isinstance(exponent, (int, float)) or not 0 <= exponent <= 8 or told.get(keys[2]) is False:
        # a fee that makers pay as well is not one that we know to calculate
        return None
    # a smaller exponent is a larger fee
    return rate, int(exponent)


def _schedule(taker_ppm: int, exponent: int, at: Nanos) -> FeeSchedule:
    return FeeSchedule(
        formula=FeeFormula.POLYMARKET, version=0, taker_ppm=taker_ppm, maker_ppm=0, exponent=exponent, verified_at=at
    )
