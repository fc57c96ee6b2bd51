"""Integer scales and their text forms.

Price in 1/10,000 dollar, quantity in 1/1,000,000 contract, money in 1/1,000,000 dollar. One contract pays one dollar, so
a quantity read as money is the worth of that many complete sets.
"""

from __future__ import annotations

import re

PRICE_ONE = 10_000
UNIT = 1_000_000
CENT_OF_CONTRACT = UNIT // 100

_DECIMAL = re.compile(r"^(-?)(\d*)(?:\.(\d*))?$")


def parse_scaled(text: str, places: int) -> int | None:
    """Exact integer of a plain decimal text at `places` decimals, or None where the text is not one or is finer."""
    found = _DECIMAL.match(text)
    if found is None or not (found[2] or found[3]):
        return None
    fraction = (found[3] or "").rstrip("0")
    if len(fraction) > places:
        return None
    value = int(found[2] or "0") * int(10**places) + int((fraction or "0").ljust(places, "0") if places else "0")
    return -value if found[1] else value


def fixed(value: int, scale_places: int, places: int) -> str:
    """`value` at 10**-scale_places as text with exactly `places` decimals, truncated towards zero."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), int(10**scale_places))
    digits = str(rest).rjust(scale_places, "0")[:places].ljust(places, "0")
    return f"{sign}{whole}.{digits}" if places else f"{sign}{whole}"


def plain(value: int, scale_places: int) -> str:
    """Shortest decimal text of `value` at 10**-scale_places."""
    text = fixed(value, scale_places, scale_places)
    return text.rstrip("0").rstrip(".") if "." in text else text


def price_text(price: int) -> str:
    return fixed(price, 4, 4)


def count_text(quantity: int) -> str:
    return fixed(quantity, 6, 2)


def money_text(money: int) -> str:
    return fixed(money, 6, 6)


def notional_floor(price: int, quantity: int) -> int:
    return price * quantity // PRICE_ONE


def notional_ceil(price: int, quantity: int) -> int:
    return -(-price * quantity // PRICE_ONE)
