"""The registry: what trades, what is set aside, and what is ambiguous."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from configs.pairs import KalshiListing, PolymarketListing, Registry, load_pairs
from configs.problems import Problem
from configs.settings import Dialect
from messages.markets import PairedMarket
from messages.reasons import Reason

VENUES = {"kalshi": Dialect.KALSHI, "polymarket": Dialect.POLYMARKET, "third": Dialect.KALSHI}
CONDITION = "0x" + "aB" * 32


def entry(identity: str = "rain", /, **changes: str | None) -> str:
    """One pair as YAML; `None` leaves a key away."""
    keys: dict[str, str | None] = {
        "group": "weather",
        "title": "Rain tomorrow",
        "approved_by": "somebody",
        "approved_at": "2026-11-20",
        "rules": "{kalshi: the gauge, polymarket: the same gauge}",
        "kalshi": f"{{ticker: {identity.upper()}, event: E, series: S, fee_multiplier: '0.5'}}",
        "polymarket": f"{{condition_id: '{condition(identity)}', yes_token: '11', no_token: '22', tick: '0.001', fee_rate: '0.07'}}",
    }
    keys.update(changes)
    return f"  - id: {identity}\n" + "".join(
        f"    {key}: {value}\n" for key, value in keys.items() if value is not None
    )


def condition(identity: str) -> str:
    return "0x" + identity.encode().hex().ljust(64, "A")[:64]


def registry(
    tmp_path: Path, *entries: str, venues: Mapping[str, Dialect | None] = VENUES, head: str = "version: 1\n"
) -> Registry:
    found, wrong = read(tmp_path, *entries, venues=venues, head=head)
    assert not wrong
    return found


def read(
    tmp_path: Path, *entries: str, venues: Mapping[str, Dialect | None] = VENUES, head: str = "version: 1\n"
) -> tuple[Registry, dict[str, Problem]]:
    file = tmp_path / "pairs.yaml"
    file.write_text(head + "pairs:\n" + "".join(entries))
    found, wrong = load_pairs(file, venues)
    return found, {problem.path: problem for problem in wrong}


def test_a_pair_names_its_markets_in_the_venues_own_terms(tmp_path: Path) -> None:
    found = registry(tmp_path, entry())
    (pair,) = found.pairs
    assert pair.pair == "rain"
    assert pair.group == "weather"
    assert pair.markets == (
        PairedMarket(venue="kalshi", market="RAIN"),
        PairedMarket(venue="polymarket", market=condition("rain").lower()),
    )
    assert pair.approved_at == "2026-11-20"
    assert isinstance(found.listings["kalshi", "RAIN"], KalshiListing)
    assert isinstance(found.listings["polymarket", condition("rain").lower()], PolymarketListing)


def test_any_configured_venue_may_be_in_a_pair(tmp_path: Path) -> None:
    (pair,) = registry(tmp_path, entry(third="{ticker: RAIN-3, event: E, series: S}")).pairs
    assert [market.venue for market in pair.markets] == ["kalshi", "polymarket", "third"]


@pytest.mark.parametrize("key", ["approved_by", "approved_at", "rules"])
@pytest.mark.parametrize("value", [None, "''", "~"])
def test_an_unapproved_pair_is_set_aside_with_the_reason(tmp_path: Path, key: str, value: str | None) -> None:
    found = registry(tmp_path, entry(**{key: value}), entry("snow"))
    assert [pair.pair for pair in found.pairs] == ["snow"]
    (aside,) = found.set_aside
    assert (aside.pair, aside.reason) == ("rain", Reason.UNAPPROVED_PAIR)
    assert key in aside.why


def test_what_is_ambiguous_is_an_error(tmp_path: Path) -> None:
    same_market = entry("hail", kalshi="{ticker: RAIN, event: E, series: S}")
    _, wrong = read(
        tmp_path, entry(), entry("snow"), entry("snow", kalshi="{ticker: OTHER, event: E, series: S}"), same_market
    )
    assert wrong["pairs[2].id"].message == "this pair id stands already at pairs[1]"
    assert wrong["pairs[2].polymarket"].message == "this market stands already at pairs[1].polymarket"
    assert wrong["pairs[3].kalshi"].given == "'kalshi:RAIN'"


def test_every_mistake_in_every_pair_is_told(tmp_path: Path) -> None:
    _, wrong = read(
        tmp_path,
        entry(kalshii="{ticker: X}", approved_at="yesterday", polymarket=None),
        entry("snow", group=None, titel="x"),
        entry("hail", polymarket="{condition_id: '0x12', yes_token: 11, no_tokn: '22'}"),
        entry("wind", kalshi="nothing"),
        entry("fog", polymarket=None, kalshi="{ticker: FOG, event: E, series: S}"),
        "  - just a word\n",
        entry("b@d"),
    )
    remedies = {path: problem.remedy for path, problem in wrong.items()}
    assert remedies["pairs[0].kalshii"] == "did you mean kalshi?"
    assert wrong["pairs[0].approved_at"].message == "should be a date such as 2026-11-20"
    assert remedies["pairs[1].titel"] == "did you mean title?"
    assert remedies["pairs[1].group"] == "add it"
    assert remedies["pairs[2].polymarket.no_tokn"] == "did you mean pairs[2].polymarket.no_token?"
    assert remedies["pairs[2].polymarket.yes_token"] == "put the value in quotes"
    assert "pairs[2].polymarket.condition_id" in wrong
    assert remedies["pairs[3].kalshi"].startswith("this is a section")
    assert remedies["pairs[4]"] == "add a section for each of: kalshi, polymarket, third"
    assert "pairs[5]" in wrong
    assert "pairs[6].id" in wrong
    assert wrong["pairs[1].titel"].source.endswith("pairs.yaml:18")


@pytest.mark.parametrize(
    ("head", "entries", "path"),
    [
        ("version: 2\n", (entry(),), "version"),
        ("versoin: 1\n", (entry(),), "versoin"),
        ("version: 1\n", (), "pairs"),
        ("version: 1\n", ("  [a\n",), "(the whole file)"),
    ],
)
def test_a_registry_that_is_none(tmp_path: Path, head: str, entries: tuple[str, ...], path: str) -> None:
    found, wrong = read(tmp_path, *entries, head=head)
    assert path in wrong
    assert path in {"version", "versoin"} or found == Registry()


def test_a_venue_with_broken_settings_hides_no_other_mistake(tmp_path: Path) -> None:
    venues = {"kalshi": None, "polymarket": Dialect.POLYMARKET}
    _, wrong = read(tmp_path, entry(kalshi="{anything: 1}", polymarket="{condition_id: '0x1'}"), venues=venues)
    assert set(wrong) == {f"pairs[0].polymarket.{key}" for key in ("condition_id", "yes_token", "no_token")}
