"""The command line: what is a usage error, what is a configuration error, and what help must not import."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from console.cli import VERSION, app, with_default_command
from console.exits import Exit
from console.options import Kill, NotAKill, SessionOptions, parse_kill
from messages.units import SECOND, Nanos

HOUSE = Path(__file__).resolve().parents[2]

PAIRS = """
version: 1
pairs:
  - {id: rain, group: g, title: Rain, approved_by: me, approved_at: 2026-11-20, rules: same,
     kalshi: {ticker: RAIN, event: E, series: S},
     polymarket: {condition_id: "0x%064x", yes_token: "1", no_token: "2"}}
  - {id: snow, group: g, title: Snow,
     kalshi: {ticker: SNOW, event: E, series: S},
     polymarket: {condition_id: "0x%064x", yes_token: "3", no_token: "4"}}
"""
VENUES = "venues: {kalshi: {dialect: kalshi, keys: [{name: k}]}, polymarket: {dialect: polymarket, keys: [{name: p}]}}"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.yaml").write_text(PAIRS % (1, 2))
    (tmp_path / "tape").mkdir()
    file = tmp_path / "c.yaml"
    file.write_text(f"version: 1\npairs: pairs.yaml\n{VENUES}\n")
    return file


@dataclass
class FakeSession:
    """Stands for `console.session`, which would start the engine."""

    asked: list[SessionOptions] = field(default_factory=list)
    ends_with: int = 0

    def run_session(self, options: SessionOptions) -> int:
        self.asked.append(options)
        return self.ends_with


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    fake = FakeSession()
    module = ModuleType("console.session")
    module.__dict__["run_session"] = fake.run_session
    monkeypatch.setitem(sys.modules, "console.session", module)
    return fake


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, with_default_command([str(argument) for argument in arguments]))


def test_exit_codes_are_frozen() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "ERROR": 1,
        "USAGE": 2,
        "CONFIGURATION": 3,
        "PREFLIGHT": 4,
        "HALTED": 5,
        "EXPOSED": 6,
        "UNREACHABLE": 7,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], ["run"]),
        (["--duration", "5"], ["run", "--duration", "5"]),
        (["--help"], ["--help"]),
        (["-h"], ["-h"]),
        (["explain", "x"], ["explain", "x"]),
    ],
)
def test_without_a_command_it_runs(given: list[str], meant: list[str]) -> None:
    assert with_default_command(given) == meant


def test_every_option_reaches_the_session(config: Path, session: FakeSession, tmp_path: Path) -> None:
    session.ends_with = Exit.EXPOSED
    words = [
        "--duration",
        "60",
        "--seed",
        "7",
        "--faults",
        "storm",
        "--dry-run",
        "--json",
        "--durability",
        "power",
        "--executors",
        "2",
        "--speed",
        "2.5",
    ]
    result = call(
        "run", "-c", config, *words, "--tape", "tape", "--from", "2026-01-03T23:16", "--to", "2026-01-03T23:58",
        "--kill", "executor@12.5", "--kill", "executor.2@between-legs#3", "--kill", "key_pool.kalshi@0",
    )  # fmt: skip
    assert result.exit_code == Exit.EXPOSED, result.output
    assert result.stdout == ""
    (asked,) = session.asked
    sim = asked.settings.sim
    assert (sim.duration_s, sim.seed, sim.faults, sim.tape) == (60, 7, "storm", "tape")
    assert (sim.tape_from, sim.tape_to, sim.tape_speed) == ("2026-01-03T23:16", "2026-01-03T23:58", Decimal("2.5"))
    assert asked.settings.dry_run
    assert asked.settings.engine.durability == "power"
    assert asked.settings.pairs == Path("pairs.yaml")
    assert asked.kills == (
        Kill("executor", after=Nanos(12 * SECOND + SECOND // 2)),
        Kill("executor.2", point="between-legs#3"),
        Kill("key_pool.kalshi", after=Nanos(0)),
    )
    assert (asked.settings.engine.executors, asked.as_json) == (2, True)
    assert [pair.pair for pair in asked.pairs] == ["rain"]
    assert [pair.pair for pair in asked.set_aside] == ["snow"]
    assert set(asked.listings) >= {("kalshi", "RAIN"), ("kalshi", "SNOW")}


def test_without_options_the_configuration_stands(config: Path, session: FakeSession) -> None:
    assert call("-c", config).exit_code == Exit.OK
    (asked,) = session.asked
    assert (asked.settings.sim.duration_s, asked.settings.dry_run, asked.kills, asked.as_json) == (30, False, (), False)


def test_the_configuration_may_be_named_by_a_variable(
    config: Path, session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config.parent / "with space.yaml").write_text("sim: {seed: 9}")
    monkeypatch.setenv("CROSSFILL_CONFIG", "c.yaml:with space.yaml")
    assert call().exit_code == Exit.OK
    assert session.asked[0].settings.sim.seed == 9
    assert session.asked[0].config_files == ("c.yaml", "with space.yaml")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--kill executor", "ACTOR@SECONDS"),
        ("--kill exekutor@5", "names no actor"),
        ("--kill executor.1@5", "names no actor"),
        ("--kill executor@Between", "neither a number of seconds nor a point"),
        ("--kill executor@-5", "neither a number of seconds nor a point"),
        ("--kill executor@45", "the run ends after 30 s"),
        ("--kill executor.3@5", "there are 1 executors"),
        ("--kill feed.binance@5", "the venues are kalshi, polymarket"),
        ("--duration 0", "--duration"),
        ("--duration soon", "--duration"),
        ("--seed -1", "--seed"),
        ("--executors 0", "--executors"),
        ("--speed 0", "not more than 0"),
        ("--speed fast", "not a number"),
        ("--from 2026-01-03T23:16", "belong to --tape"),
        ("--tape tape --from yesterday", "is not a time"),
        ("--durability steel", "neither process nor power"),
        ("--no-such-option", "--no-such-option"),
    ],
)
def test_a_usage_error_exits_2_and_says_what_is_expected(
    config: Path, session: FakeSession, words: str, told: str
) -> None:
    result = call("run", "-c", config, *words.split())
    assert result.exit_code == Exit.USAGE, result.output
    assert told in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert not session.asked


@pytest.mark.parametrize(
    "words", ["nonsense", "prove", "prove --journal nowhere --ledgers c.yaml", "explain", "trade x --journal nowhere"]
)
def test_commands_without_what_they_need_exit_2(config: Path, words: str) -> None:
    assert call(*words.split()).exit_code == Exit.USAGE


def test_a_configuration_error_exits_3_with_every_problem_and_starts_nothing(
    config: Path, session: FakeSession
) -> None:
    config.write_text(config.read_text() + "risk: {min_proft_cents: 1, contracts_most: 0}\nsim: {sead: 1}\n")
    result = call("run", "-c", config, "--faults", "strom")
    assert result.exit_code == Exit.CONFIGURATION
    assert result.stdout == ""
    assert "configuration invalid: 3 problems" in result.stderr
    for text in ("did you mean risk.min_profit_cents?", "write 1 or more", "did you mean sim.seed?"):
        assert text in result.stderr
    assert not session.asked


def test_a_configuration_error_is_one_document_with_json(config: Path) -> None:
    config.write_text(config.read_text() + "risk: {contracts_most: 0}\n")
    result = call("-c", config, "--json", "--faults", "strom")
    assert result.exit_code == Exit.CONFIGURATION
    document = json.loads(result.stdout)
    assert document["schema_version"] == 1
    assert document["error"] == "configuration_invalid"
    assert [problem["path"] for problem in document["problems"]] == ["risk.contracts_most", "sim.faults"]
    assert document["problems"][1]["source"] == "--faults"


def test_config_check_counts_what_trades(config: Path) -> None:
    result = call("config", "check", "-c", config)
    assert result.exit_code == Exit.OK
    assert "valid; 1 pairs trade, 1 are set aside" in result.stdout
    assert "snow: nobody approved it" in result.stdout
    document = json.loads(call("config", "check", "-c", config, "--json").stdout)
    assert (document["valid"], document["pairs"], document["set_aside"][0]["pair"]) == (True, 1, "snow")
    config.write_text("{")
    assert call("config", "check", "-c", config).exit_code == Exit.CONFIGURATION


def test_config_show_says_where_each_value_comes_from(config: Path) -> None:
    result = call("config", "show", "-c", config, "--origin")
    assert f'venues.kalshi.keys[0].name = "k"   ({config}:3)' in result.stdout
    assert "risk.contracts_most = 50   (default)" in result.stdout
    assert "(default)" not in call("config", "show", "-c", config).stdout
    document = json.loads(call("config", "show", "-c", config, "--json", "--origin").stdout)
    assert document["settings"]["sim"]["seed"] == 1
    assert document["origins"]["sim.seed"] == "default"


def test_version_is_that_of_the_package() -> None:
    assert call("version").stdout == f"crossfill {VERSION}\n"
    assert json.loads(call("version", "--json").stdout) == {"schema_version": 1, "version": VERSION}
    assert f'version = "{VERSION}"' in (HOUSE / "pyproject.toml").read_text()


def test_reading_commands_hand_over_what_was_asked(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[Any, ...]] = []

    def told(*arguments: object, **options: object) -> int:
        heard.append((arguments, options))
        return Exit.EXPOSED

    for name, functions in {"console.prove": ["main"], "console.stories": ["explain", "trade"]}.items():
        module = ModuleType(name)
        module.__dict__.update(dict.fromkeys(functions, told))
        monkeypatch.setitem(sys.modules, name, module)
    assert call("prove", "--journal", "tape", "--ledgers", "c.yaml", "--json").exit_code == Exit.EXPOSED
    assert call("explain", "o1", "--journal", "tape").exit_code == Exit.EXPOSED
    assert call("trade", "t1", "--home", "somewhere").exit_code == Exit.EXPOSED
    assert heard == [
        ((Path("tape"), Path("c.yaml")), {"as_json": True}),
        (("o1",), {"journal": Path("tape"), "home": Path(".crossfill"), "as_json": False}),
        (("t1",), {"journal": None, "home": Path("somewhere"), "as_json": False}),
    ]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["prove", "--help"], ["config", "--help"], ["version"]]
)
def test_help_answers_at_once_and_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    script = (
        "import sys\nfrom console.cli import main\n"
        "try: main()\nexcept SystemExit as end: code = end.code\n"
        "heavy = {'ray', 'aiohttp', 'eth_account', 'yaml', 'cryptography', 'configs.settings'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(HOUSE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text", ["executor@12.5", "in_flight@3", "account.kalshi@before-report", "supervisor.trading@after-append#2"]
)
def test_a_kill_reads_back_as_it_was_written(text: str) -> None:
    assert str(parse_kill(text)) == text


@pytest.mark.parametrize(
    "text", ["", "@", "executor@", "@5", "executor@1e9", "key_pool@5", "executor@a#0", "executor@a b"]
)
def test_what_is_no_kill_is_refused(text: str) -> None:
    with pytest.raises(NotAKill):
        parse_kill(text)
