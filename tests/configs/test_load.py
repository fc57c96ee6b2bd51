"""Loading: who wins, and that everything wrong is told at once, with its remedy and without a secret."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from configs.load import Configuration, Override, load
from configs.problems import ConfigurationInvalid, Problem, shown
from configs.settings import Mode

PAIRS = """
version: 1
pairs:
  - id: rain
    group: weather
    title: Rain
    approved_by: somebody
    approved_at: 2026-11-20
    rules: the same gauge on both sides
    kalshi: {ticker: RAIN-1, event: RAIN, series: RAIN}
    polymarket: {condition_id: "0x%064x", yes_token: "111", no_token: "222"}
"""

BASE = """
version: 1
pairs: {pairs}
venues:
  kalshi:
    dialect: kalshi
    keys: [{{name: k1}}]
  polymarket:
    dialect: polymarket
    keys: [{{name: p1}}]
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    (tmp_path / "pairs.yaml").write_text(PAIRS % 7)
    file = tmp_path / "base.yaml"
    file.write_text(BASE.format(pairs=tmp_path / "pairs.yaml"))
    return file


def loaded(
    *files: Path, overrides: tuple[Override, ...] = (), dotenv: Path | None = None, **environ: str
) -> Configuration:
    return load(files, overrides=overrides, environ=environ, dotenv=dotenv or Path("no such file"))


def problems(
    *files: Path, overrides: tuple[Override, ...] = (), dotenv: Path | None = None, **environ: str
) -> dict[str, Problem]:
    with pytest.raises(ConfigurationInvalid) as raised:
        loaded(*files, overrides=overrides, dotenv=dotenv, **environ)
    return {problem.path: problem for problem in raised.value.problems}


def over(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "over.yaml"
    file.write_text(text)
    return file


def test_the_nearest_place_wins(base: Path, tmp_path: Path) -> None:
    file = over(tmp_path, "sim: {seed: 2, duration_s: 20, faults: none}\nrisk: {contracts_most: 20}")
    dotenv = tmp_path / ".env"
    dotenv.write_text("CROSSFILL_SIM__SEED=3\nCROSSFILL_RISK__CONTRACTS_MOST=30\nSOMETHING_ELSE=x\n")
    found = loaded(
        base,
        file,
        dotenv=dotenv,
        CROSSFILL_SIM__SEED="4",
        CROSSFILL_LOG_LEVEL="DEBUG",
        overrides=(Override("--seed", "sim.seed", 5),),
    )
    assert found.settings.sim.seed == 5
    assert found.settings.risk.contracts_most == 30
    assert found.settings.sim.duration_s == 20
    assert found.settings.mode is Mode.SIM
    assert found.origin("sim.seed") == "--seed"
    assert found.origin("risk.contracts_most") == f"variable CROSSFILL_RISK__CONTRACTS_MOST in {dotenv}"
    assert found.origin("sim.duration_s") == f"{file}:1"
    assert found.origin("risk.slippage_bps") == "default"


def test_sections_merge_and_lists_replace(base: Path, tmp_path: Path) -> None:
    file = over(tmp_path, "venues: {kalshi: {keys: [{name: a}, {name: b}], capital_dollars: '12.50'}}")
    found = loaded(
        base,
        file,
        CROSSFILL_VENUES__POLYMARKET__CAPITAL_DOLLARS="7",
        CROSSFILL_VENUES__POLYMARKET__KEYS='[{"name":"z"}]',
    )
    venues = found.settings.venues
    assert [key.name for key in venues["kalshi"].keys] == ["a", "b"]
    assert venues["kalshi"].capital_dollars == Decimal("12.50")
    assert venues["kalshi"].dialect == "kalshi"
    assert [key.name for key in venues["polymarket"].keys] == ["z"]
    assert venues["polymarket"].capital_dollars == 7


def test_an_unquoted_amount_is_exact(base: Path, tmp_path: Path) -> None:
    found = loaded(base, over(tmp_path, "recovery: {loss_most_dollars: 0.1}\nrisk: {min_profit_cents: 1.25}"))
    assert found.settings.risk.min_profit_cents == Decimal("1.25")
    assert found.settings.recovery.loss_most_dollars == Decimal("0.1")


def test_everything_wrong_is_told_at_once(base: Path, tmp_path: Path) -> None:
    file = over(
        tmp_path,
        """
mode: simm
seed: 4
venues:
  Kalshi 2: {dialect: kalshi, keys: [{name: x}]}
  polymarket:
    dialect: polymarkt
    request_timeout_ms: 5
    keys:
      - {name: a}
      - {}
risk:
  min_proft_cents: 2
  contracts_most: yes
  reject_storm: true
  loss_most_dollars: "5"
recovery: {ask_first_ms: 500, ask_most_ms: 100}
sim: {faults: strom, tape_from: "2026-01-03T23:58", tape_to: "2026-01-03T23:16", deposit_dollars: lots}
""",
    )
    found = problems(
        base,
        file,
        CROSSFILL_RSK__CONTRACTS_MOST="1",
        CROSSFILL_ENGINE="{not json",
        CROSSFILL_SUPERVISION__RESTARTS_MOST="many",
        overrides=(Override("--duration", "sim.duration_s", 0),),
    )
    remedies = {path: problem.remedy for path, problem in found.items()}
    assert remedies["mode"] == "did you mean sim?"
    assert remedies["seed"] == "did you mean sim.seed?"
    assert remedies["venues.polymarket.dialect"] == "did you mean polymarket?"
    assert remedies["venues.polymarket.request_timeout_ms"] == "write 10 or more"
    assert remedies["venues.polymarket.keys[1].name"] == "add it"
    assert remedies["risk.min_proft_cents"] == "did you mean risk.min_profit_cents?"
    assert remedies["risk.loss_most_dollars"] == "did you mean recovery.loss_most_dollars?"
    assert remedies["risk.contracts_most"] == "write a whole number"
    assert remedies["sim.deposit_dollars"].startswith("write a number in quotes")
    assert remedies["CROSSFILL_RSK__CONTRACTS_MOST"] == "did you mean CROSSFILL_RISK?"
    assert remedies["CROSSFILL_ENGINE"].startswith("write it as JSON")
    assert remedies["supervision.restarts_most"] == "write a whole number"
    assert {"venues.Kalshi 2", "risk.reject_storm", "recovery.ask_first_ms"} <= set(found)
    assert found["sim.duration_s"].source == "--duration"
    assert found["supervision.restarts_most"].source == "variable CROSSFILL_SUPERVISION__RESTARTS_MOST"
    assert found["risk.min_proft_cents"].source == f"{file}:13"
    assert found["risk.contracts_most"].given == "'yes'"
    text = str(ConfigurationInvalid(found.values()))
    assert text.startswith(f"configuration invalid: {len(found)} problems\n")
    assert "risk.min_proft_cents = 2   (" in text


def test_sections_that_contradict_each_other(base: Path, tmp_path: Path) -> None:
    file = over(
        tmp_path,
        """
venues:
  kalshi:
    capital_dollars: "90000"
    late_arrival_ms: 1000
    keys: [{name: a}, {name: a}, {name: ""}]
risk: {contracts_most: 50, position_most_contracts: 10, collar_low: "1.5", collar_high: "1.5"}
sim: {faults: strom, tape: no such folder, tape_from: "soon", tape_speed: 0}
""",
    )
    found = problems(base, file)
    assert set(found) == {
        "venues.kalshi.capital_dollars",
        "venues.kalshi.late_arrival_ms",
        "venues.kalshi.keys[1].name",
        "venues.kalshi.keys[2].name",
        "risk.contracts_most",
        "risk.collar_low",
        "risk.collar_high",
        "sim.faults",
        "sim.tape",
        "sim.tape_from",
        "sim.tape_speed",
    }
    assert all(problem.remedy and problem.message and problem.source for problem in found.values())


def test_a_tape_that_ends_before_it_starts(base: Path, tmp_path: Path) -> None:
    file = over(tmp_path, 'sim: {tape_from: "2026-01-03T23:58", tape_to: "2026-01-03T23:16:00+00:00"}')
    assert set(problems(base, file)) == {"sim.tape_to"}


def test_a_mode_that_is_not_built_yet_is_refused(base: Path) -> None:
    found = problems(base, CROSSFILL_MODE="live")
    assert found["mode"].remedy == "write mode: sim"
    assert found["venues.kalshi.keys[0].secret"].remedy == "write file:PATH or env:NAME"


def test_a_secret_in_the_wrong_place_is_told_and_never_shown(base: Path, tmp_path: Path) -> None:
    canary = "c4n4ry"
    file = over(
        tmp_path,
        f"""
venues:
  kalshi:
    keys: [{{name: a, secret: {canary}}}, {{name: b, {canary}-key: x}}, {{}}]
    private_key: {canary}
  polymarket: {{api_key: [{canary}], passphrase: {canary}, anything: {canary}}}
passphrase: {canary}
sim: {{faults: "-----BEGIN PRIVATE KEY----- {canary}"}}
""",
    )
    with pytest.raises(ConfigurationInvalid) as raised:
        loaded(base, file, CROSSFILL_API_KEY=canary, CROSSFILL_PRIVATE_KEY=canary)
    text = str(raised.value).replace(f"{canary}-key", "")
    assert canary not in text
    paths = {problem.path for problem in raised.value.problems}
    assert {"venues.kalshi.private_key", "venues.kalshi.keys[0].secret", "passphrase", "CROSSFILL_API_KEY"} <= paths


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("venues: [", "is not valid here"),
        ("- a\n- b", "is not a list of keys"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: " + "[" * 5_000, "deeper than"),
        ("a: " + "{b: " * 40, "deeper than"),
        ("a: [" + "1," * 120_000 + "]", "more than"),
        ("a: " + "x" * 1_000_001, "larger than"),
        ("a: \x01", "characters that YAML does not allow"),
        ("a: 1\n---\nb: 2", "is not valid here"),
    ],
    ids=["broken", "list", "anchor", "deep-list", "deep-section", "many", "huge", "control", "two-documents"],
)
def test_a_file_that_is_no_configuration_is_refused(base: Path, tmp_path: Path, text: str, message: str) -> None:
    found = problems(base, over(tmp_path, text))
    assert message in found["(the whole file)"].message


def test_a_broken_line_is_named_and_not_quoted(base: Path, tmp_path: Path) -> None:
    found = problems(base, over(tmp_path, "version: 1\nsecret: 'c4n4ry"))
    (problem,) = found.values()
    assert "c4n4ry" not in str(problem)
    assert problem.source.endswith(("over.yaml:2", "over.yaml:1"))


def test_files_that_are_missing_or_no_text(base: Path, tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert problems(base, tmp_path / "none.yaml")["(the whole file)"].message.startswith("cannot be read")
    assert problems(base, tmp_path)["(the whole file)"].message.startswith("cannot be read")
    assert problems(base, tmp_path / "binary.yaml")["(the whole file)"].remedy == "save it as UTF-8"


def test_a_key_that_stands_twice_is_refused_with_both_lines(base: Path, tmp_path: Path) -> None:
    file = over(tmp_path, "risk:\n  floor: 1\n  contracts_most: 5\n  contracts_most: 6\n1: x\n? [a]\n: b\n")
    found = problems(base, file)
    assert found["risk.contracts_most"].source == f"{file}:4"
    assert found["risk.contracts_most"].message == f"the key stands twice, first at {file}:3"
    assert any(problem.remedy == "put the key in quotes" for problem in found.values())


def test_a_tag_makes_no_object(base: Path, tmp_path: Path) -> None:
    found = problems(base, over(tmp_path, "sim: {faults: !!python/object/apply:os.system [ls], seed: !!int x}"))
    assert "sim.faults" in found


def test_an_empty_file_and_an_empty_variable_change_nothing(base: Path, tmp_path: Path) -> None:
    assert loaded(base, over(tmp_path, "# nothing"), CROSSFILL_MODE="").settings == loaded(base).settings


def test_a_section_where_a_value_belongs_and_the_reverse(base: Path, tmp_path: Path) -> None:
    found = problems(base, over(tmp_path, "risk: 5\nhome: {a: 1}\nvenues: {kalshi: {keys: nope}}\nengine: []"))
    assert found["risk"].remedy == found["engine"].remedy == "this is a section: write its keys below it, indented"
    assert found["venues.kalshi.keys"].remedy.startswith("this is a list")
    assert found["home"].given == "(a section with 1 keys)"


def test_a_missing_registry_is_one_clear_problem(base: Path, tmp_path: Path) -> None:
    found = problems(base, over(tmp_path, "pairs: nowhere.yaml"))
    assert found["pairs"].given == "'nowhere.yaml'"


def test_one_venue_is_no_arbitrage(tmp_path: Path, base: Path) -> None:
    file = over(tmp_path, "venues: {kalshi: {dialect: kalshi, keys: [{name: a}]}}")
    assert problems(file)["venues"].remedy == "name at least 2"


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("x.secret", "file:/a/b", "'file:/a/b'"),
        ("x.secret", "hunter2", "(hidden)"),
        ("x.api_key", "hunter2", "(hidden)"),
        ("x.anything", "a" * 64, "(hidden)"),
        ("x.anything", "-----BEGIN EC PRIVATE KEY-----", "(hidden)"),
        ("x.yes_token", "1" * 77, "'" + "1" * 59 + "…'"),
        ("x.title", "a b " * 40, "'" + ("a b " * 40)[:59] + "…'"),
        ("x.n", 5, "5"),
        ("x.n", None, "(nothing)"),
        ("x.n", [1, 2], "(a list of 2)"),
    ],
)
def test_a_value_is_shown_only_where_it_may_be(path: str, value: object, text: str) -> None:
    assert shown(path, value) == text


@pytest.mark.parametrize("name", ["sim", "tape"])
def test_the_sample_configurations_are_valid_but_for_their_registry(name: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.yaml").write_text(PAIRS % 7)
    found = load(
        [Path(f"configs/{name}.yaml")],
        overrides=(Override("test", "pairs", str(tmp_path / "pairs.yaml")),),
        environ={},
        dotenv=Path("no such file"),
    )
    assert {venue: len(settings.keys) for venue, settings in found.settings.venues.items()} == {
        "kalshi": 2,
        "polymarket": 3,
    }
    assert [pair.pair for pair in found.registry.pairs] == ["rain"]
