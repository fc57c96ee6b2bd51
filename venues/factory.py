"""Adapters by dialect. Everything comes as plain values, so that this room knows neither the configuration nor its file."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from messages.units import MILLISECOND, Nanos
from venues.credentials import SecretLoader, kalshi_credentials, polymarket_credentials
from venues.http import Wire
from venues.kalshi.rest import KalshiTrading
from venues.kalshi.stream import KalshiAccountData, KalshiMarketData
from venues.polymarket.account import PolymarketAccountData
from venues.polymarket.rest import PolymarketTrading
from venues.polymarket.stream import PolymarketMarketData
from venues.port import AccountData, Capabilities, Clock, MarketData, NotReady, Trading
from venues.secrets import text_behind


class Key(Protocol):
    """One key: its name, and where its secret is (`file:PATH`, `env:NAME`)."""

    @property
    def name(self) -> str: ...

    @property
    def secret(self) -> str: ...


class Venue(Protocol):
    """What an adapter needs to know of its venue."""

    @property
    def dialect(self) -> str: ...

    @property
    def rest(self) -> str: ...

    @property
    def ws_market(self) -> str: ...

    @property
    def ws_user(self) -> str: ...

    @property
    def request_timeout_ms(self) -> int: ...

    @property
    def connect_timeout_ms(self) -> int: ...

    @property
    def late_arrival_ms(self) -> int: ...

    @property
    def signature_type(self) -> int: ...


def capabilities(venue: Venue) -> Capabilities:
    """What each venue's outcome policy can prove; reasons in `docs/outcomes/`."""
    late_arrival = Nanos(venue.late_arrival_ms * MILLISECOND)
    if venue.dialect == "kalshi":
        return Capabilities(
            repost_proves=True,
            kill_consumes=True,
            late_arrival=late_arrival,
            sells_after_settlement=False,
            reversible=False,
            nets=True,
        )
    return Capabilities(
        repost_proves=True,
        kill_consumes=False,
        late_arrival=late_arrival,
        sells_after_settlement=True,
        reversible=True,
        nets=False,
    )


def trading(
    name: str, venue: Venue, key: Key, clock: Clock, loader: SecretLoader = text_behind, wire: Wire | None = None
) -> Trading:
    """`wire` replaces the HTTP client of order entry, for comparisons."""
    request_s, connect_s = _timeouts(venue)
    rest = _url(name, venue, "rest")
    if _dialect(name, venue) == "kalshi":
        credentials = kalshi_credentials(key.name, key.secret, loader)
        return KalshiTrading(name, rest, credentials, clock, capabilities(venue), request_s, connect_s, wire)
    wallet = polymarket_credentials(key.name, key.secret, loader, venue.signature_type)
    data = _sibling(rest, "data-api")
    return PolymarketTrading(name, rest, wallet, clock, capabilities(venue), request_s, connect_s, data, wire)


def market_data(name: str, venue: Venue, key: Key, clock: Clock, loader: SecretLoader = text_behind) -> MarketData:
    """The key is used where the public stream wants a signature (Kalshi)."""
    request_s, connect_s = _timeouts(venue)
    rest, ws = _url(name, venue, "rest"), _url(name, venue, "ws_market")
    if _dialect(name, venue) == "kalshi":
        credentials = kalshi_credentials(key.name, key.secret, loader)
        return KalshiMarketData(name, rest, ws, credentials, clock, request_s, connect_s)
    return PolymarketMarketData(name, rest, ws, clock, request_s, connect_s, _sibling(rest, "gamma-api"))


def account_data(name: str, venue: Venue, key: Key, clock: Clock, loader: SecretLoader = text_behind) -> AccountData:
    _, connect_s = _timeouts(venue)
    ws = _url(name, venue, "ws_user")
    if _dialect(name, venue) == "kalshi":
        return KalshiAccountData(name, ws, kalshi_credentials(key.name, key.secret, loader), clock, connect_s)
    wallet = polymarket_credentials(key.name, key.secret, loader, venue.signature_type)
    return PolymarketAccountData(name, ws, wallet, clock, connect_s)


def _timeouts(venue: Venue) -> tuple[float, float]:
    return venue.request_timeout_ms / 1_000, venue.connect_timeout_ms / 1_000


def _dialect(name: str, venue: Venue) -> str:
    if venue.dialect not in ("kalshi", "polymarket"):
        raise NotReady(f"venues.{name}.dialect is {venue.dialect!r}; use kalshi or polymarket")
    return str(venue.dialect)


ROOTS = {
    ("kalshi", "rest"): "/trade-api/v2",
    ("kalshi", "ws_market"): "/trade-api/ws/v2",
    ("kalshi", "ws_user"): "/trade-api/ws/v2",
    ("polymarket", "ws_market"): "/ws/market",
    ("polymarket", "ws_user"): "/ws/user",
}
"""Where each interface lives on its host, for addresses that name only the host."""


def _url(name: str, venue: Venue, setting: str) -> str:
    url: str = getattr(venue, setting)
    schemes = ("http", "https") if setting == "rest" else ("ws", "wss")
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.netloc:
        raise NotReady(f"venues.{name}.{setting} is {url!r}; give the address, beginning with {schemes[1]}://")
    root = "" if parts.path.strip("/") else ROOTS.get((_dialect(name, venue), setting), "")
    return url.rstrip("/") + root


def _sibling(rest: str, service: str) -> str:
    """Polymarket keeps descriptions and positions on hosts of their own; elsewhere one host serves all. "" is the same."""
    parts = urlsplit(rest)
    if parts.netloc != "clob.polymarket.com":
        return ""
    return f"{parts.scheme}://{service}.polymarket.com"
