"""Wallets: whose money an order spends. One key owns four of them, one of each kind, each with an account of its own.

Kinds are those of the signed field `signatureType`: 0 the key's own address, 1 its proxy, 2 its Safe, 3 its deposit wallet.
"""

from __future__ import annotations

from dataclasses import dataclass

from venues.simulated.ethereum import wallet_of
from venues.simulated.exchange import Exchange

KINDS = (0, 1, 2, 3)
SUFFIXES = ("", "-proxy", "-safe", "-deposit-wallet")


@dataclass(frozen=True, slots=True)
class Wallet:
    address: str
    kind: int
    owner: str
    """Address of the key that signs for it."""
    account: str


class Wallets:
    def __init__(self, exchange: Exchange, deposit: int) -> None:
        self._exchange, self._deposit = exchange, deposit
        self._by_address: dict[str, Wallet] = {}
        self._by_owner: dict[tuple[str, int], Wallet] = {}

    def enrol(self, owner: str, account: str, addresses: dict[int, str] | None = None) -> None:
        """Make the four wallets of a key known; `addresses` names those that lie elsewhere than their factory says."""
        for kind in KINDS:
            address = (addresses or {}).get(kind) or wallet_of(owner, kind)
            wallet = Wallet(address, kind, owner, account + SUFFIXES[kind])
            self._by_address[address.lower()] = self._by_owner[(owner.lower(), kind)] = wallet

    def at(self, address: str) -> Wallet | None:
        """The wallet at an address; its account is opened with the venue's deposit when it is first asked for."""
        return self._opened(self._by_address.get(address.lower()))

    def of(self, owner: str, kind: int) -> Wallet | None:
        return self._opened(self._by_owner.get((owner.lower(), kind)))

    def _opened(self, wallet: Wallet | None) -> Wallet | None:
        if wallet is not None and wallet.account not in self._exchange.accounts:
            self._exchange.open_account(wallet.account, self._deposit)
        return wallet

    def holder(self, account: str) -> Wallet | None:
        return next((w for w in self._by_address.values() if w.account == account), None)

    def accounts(self, owner: str) -> frozenset[str]:
        """Every account that one key signs for."""
        return frozenset(self._by_owner[(owner.lower(), kind)].account for kind in KINDS)
