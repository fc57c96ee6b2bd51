"""All rounding and all conversion between text and integers, in one place; every rounding is against ourselves.

What we pay is rounded up, what we get is rounded down, what we may buy is rounded down. A decimal string becomes an
integer exactly or not at all: a venue that sends more digits than a unit has is not guessed at.
"""

from __future__ import annotations

from messages.markets import TickBand
from messages.units import ONE_DOLLAR, Money, Price, Quantity

PRICE_PLACES = 4
QUANTITY_PLACES = 6
MONEY_PLACES = 6

DIGITS_MOST = 24
"""Longer numbers are hostile: no amount in this engine needs them."""


class NotExact(ValueError):
    """The text is no plain decimal number, or has more digits than the unit."""


def ceil_div(value: int, by: int) -> int:
    return -(-value // by)


def cost_of(price: Price, quantity: Quantity) -> Money:
    """What buying costs, rounded up."""
    return Money(ceil_div(price * quantity, ONE_DOLLAR))


def proceeds_of(price: Price, quantity: Quantity) -> Money:
    """What selling brings, rounded down."""
    return Money(price * quantity // ONE_DOLLAR)


def bought_for(spend: Money, price: Price) -> Quantity:
    """How much a sum buys at a price, rounded down."""
    return Quantity(spend * ONE_DOLLAR // price)


def whole_lots(quantity: Quantity, lot: Quantity) -> Quantity:
    return Quantity(quantity // lot * lot)


def opposite(price: Price) -> Price:
    """The same price on the other outcome's scale."""
    return Price(ONE_DOLLAR - price)


# Text to integers. `rounding` is 0 for exact, −1 towards minus infinity, +1 towards plus infinity.


def parse_scaled(text: str, places: int, rounding: int = 0) -> int:
    """A plain decimal (`-12.50`, `.48`, `100`) times 10^places; no exponent, no blanks, no infinities."""
    if type(text) is not str or not 0 < len(text) <= DIGITS_MOST or not text.isascii():
        raise NotExact("not a plain decimal number")
    negative = text[0] == "-"
    whole, _, fraction = text[negative:].partition(".")
    if not (whole + fraction).isdigit():
        raise NotExact("not a plain decimal number")
    kept, lost = fraction[:places], fraction[places:].strip("0")
    value = int(whole + kept.ljust(places, "0"))
    if negative:
        value = -value
    if lost:
        if rounding == 0:
            raise NotExact(f"more than {places} decimals")
        # what was cut off moves the true value away from zero, so only the rounding that goes there adds one
        if rounding > 0 and not negative:
            value += 1
        elif rounding < 0 and negative:
            value -= 1
    return value


def parse_price(text: str) -> Price:
    return Price(parse_scaled(text, PRICE_PLACES))


def parse_quantity(text: str) -> Quantity:
    return Quantity(parse_scaled(text, QUANTITY_PLACES))


def parse_money(text: str) -> Money:
    return Money(parse_scaled(text, MONEY_PLACES))


# Integers to text.


def format_scaled(value: int, places: int, shown_least: int | None = None) -> str:
    """The exact decimal; trailing zeros are cut down to `shown_least` decimals (all are shown where it is not given)."""
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**places)
    digits = str(fraction).rjust(places, "0") if places else ""
    if shown_least is not None:
        digits = digits.rstrip("0").ljust(shown_least, "0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def dollars(amount: Money) -> str:
    """For people: `12.50`, `-0.000125`."""
    return format_scaled(amount, MONEY_PLACES, 2)


def contracts(quantity: Quantity) -> str:
    """For people: `10`, `0.25`."""
    return format_scaled(quantity, QUANTITY_PLACES, 0)


def cents(price: Price) -> str:
    """For people, a price in cents: `52`, `52.25`."""
    return format_scaled(price, 2, 0)


# The price grid.


def on_grid(price: Price, ticks: tuple[TickBand, ...]) -> bool:
    """True where an order may stand at this price; 0 and 1 dollar are on many grids and never tradable."""
    return 0 < price < ONE_DOLLAR and any(
        band.start <= price <= band.stop and (price - band.start) % band.step == 0 for band in ticks
    )


def tick_down(price: Price, ticks: tuple[TickBand, ...]) -> Price | None:
    """The highest tradable price that is not above `price`; None where the grid has none."""
    ceiling = min(price, ONE_DOLLAR - 1)
    found = [
        band.start + (min(ceiling, band.stop) - band.start) // band.step * band.step
        for band in ticks
        if band.start <= ceiling
    ]
    best = max(found, default=0)
    return Price(best) if best > 0 else None


def tick_up(price: Price, ticks: tuple[TickBand, ...]) -> Price | None:
    """The lowest tradable price that is not below `price`; None where the grid has none."""
    floor = max(price, 1)
    found = []
    for band in ticks:
        candidate = band.start + ceil_div(max(floor, band.start) - band.start, band.step) * band.step
        if candidate <= band.stop:
            found.append(candidate)
    best = min(found, default=int(ONE_DOLLAR))
    return Price(best) if best < ONE_DOLLAR else None
