"""Names of accounts: a user's cash is apart for each sub-account and each shard of the exchange.

`trader-1` alone is the primary sub-account on shard 0; `trader-1/2/1` is sub-account 2 on shard 1. Each name is one account
of the exchange, with cash, positions and open orders of its own.
"""

from __future__ import annotations

SUBACCOUNTS_MAX = 63


def account_id(user: str, subaccount: int = 0, shard: int = 0) -> str:
    return user if subaccount == shard == 0 else f"{user}/{subaccount}/{shard}"


def parts_of(account: str) -> tuple[str, int, int]:
    """User, sub-account and shard."""
    user, _, rest = account.partition("/")
    if not rest:
        return user, 0, 0
    subaccount, _, shard = rest.partition("/")
    return user, int(subaccount), int(shard)


def subaccount_of(account: str) -> int:
    return parts_of(account)[1]
