"""Why something was not done. Closed: a reason that is not here cannot be given."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why an opportunity was not taken, in the order in which the checks ask."""

    UNKNOWN_MARKET = "unknown_market"
    UNAPPROVED_PAIR = "unapproved_pair"
    NOT_CLAIMED = "not_claimed"
    IN_FLIGHT = "in_flight"
    HALTED = "halted"
    VENUE_UNREACHABLE = "venue_unreachable"
    VENUE_MODE = "venue_mode"
    MARKET_CLOSED = "market_closed"
    STALE_BOOK = "stale_book"
    OLD_METADATA = "old_metadata"
    FEES_UNVERIFIED = "fees_unverified"
    UNPROFITABLE = "unprofitable"
    BELOW_MIN_PROFIT = "below_min_profit"
    BELOW_MIN_RETURN = "below_min_return"
    NO_LIQUIDITY = "no_liquidity"
    TICK = "tick"
    BELOW_MIN_SIZE = "below_min_size"
    PRICE_COLLAR = "price_collar"
    SIZE_INSANE = "size_insane"
    CAPITAL = "capital"
    POSITION_LIMIT = "position_limit"
    TOO_MANY_OPEN = "too_many_open"
    BREAKER = "breaker"
    COOL_DOWN = "cool_down"
    KEYS = "keys"
    CPU_LAG = "cpu_lag"
    MOVED = "moved"
    """The newest book, looked at immediately before the intent, no longer pays."""
    DRY_RUN = "dry_run"
    DRAINING = "draining"


class Refusal(StrEnum):
    """What a venue proved when it refused an order."""

    FUNDS = "insufficient_funds"
    PRICE = "invalid_price"
    SIZE = "invalid_size"
    MARKET = "market_not_trading"
    AUTH = "not_authorised"
    RATE_LIMIT = "rate_limited"
    MODE = "venue_mode"
    INVALID = "invalid_order"
    OTHER = "other"


class Trouble(StrEnum):
    """What took a trade off the straight path, as the engine saw it. A recovery is named after the first one."""

    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    CONNECTION = "connection"
    MALFORMED = "malformed"
    REFUSED = "refused"
    FUNDS = "insufficient_funds"
    RATE_LIMITED = "rate_limited"
    PARTIAL = "partial"
    UNFILLED = "unfilled"
    OVERFILL = "overfill"
    REVERSED = "reversed"
    RESTART = "restart"
    LATE = "late"
    """Something that was presumed absent, or done, moved again."""
