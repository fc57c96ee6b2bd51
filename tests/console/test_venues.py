"""`run.py venues`: both venues as processes that any bot can reach, credentials that work, and an end without remains."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from conformance import environment
from console.exits import Exit
from console.throwaway import WallClock
from console.venues import kind_of
from venues.credentials import KalshiCredentials
from venues.kalshi.sign import Signer

HOUSE = Path(__file__).resolve().parents[2]
OPENAPI = HOUSE.parent / "shared" / "reference" / "kalshi" / "openapi.yaml"
BALANCE = "/trade-api/v2/portfolio/balance"
ORDERS = "/trade-api/v2/portfolio/events/orders"
WITHIN_S = 40


@contextmanager
def started(*options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "run.py", "venues", *options],
        cwd=HOUSE,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def asked(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", "venues", *options],
        cwd=HOUSE,
        text=True,
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
    )


def call(venue: dict[str, Any], key: dict[str, str], method: str, path: str, body: object = None) -> Any:
    signer = Signer(KalshiCredentials(key["key_id"], key["private_key_pem"].encode()), WallClock())
    headers = signer.headers(method, path) | {"Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(venue["rest"] + path, data, headers, method=method), timeout=10) as answer:  # noqa: S310 - loopback
        return json.load(answer)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_bot_trades_with_the_keys_of_the_ready_line_until_ctrl_c(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with started(
        "--json",
        "--seed",
        "5",
        "--home",
        str(tmp_path),
        "--port",
        f"kalshi={port}",
        "--deposit",
        "500",
        "--accounts",
        "2",
    ) as box:
        assert box.stdout is not None
        ready = json.loads(box.stdout.readline())
        assert (ready["ready"], ready["seed"], set(ready["venues"])) == (True, 5, {"kalshi", "polymarket"})
        kalshi = ready["venues"]["kalshi"]
        assert kalshi["rest"] == f"http://127.0.0.1:{port}"
        # both kinds of key sign, for both traders
        (other,) = kalshi["accounts"]
        for key in (kalshi["credentials"], kalshi["credentials"]["rsa"], other["keys"][0], other["rsa"]):
            assert call(kalshi, key, "GET", BALANCE)["balance_dollars"] == "500.0000"
        markets = call(kalshi, kalshi["credentials"], "GET", "/trade-api/v2/markets")["markets"]
        order = {
            "ticker": markets[0]["ticker"], "side": "bid", "count": "3.00", "price": "0.9000",
            "time_in_force": "immediate_or_cancel", "self_trade_prevention_type": "taker_at_cross",
        }  # fmt: skip
        assert call(kalshi, kalshi["credentials"]["rsa"], "POST", ORDERS, order)["fill_count"] == "3.00"
        box.send_signal(signal.SIGINT)
        out, errors = box.communicate(timeout=WITHIN_S)
        assert box.returncode == Exit.OK, errors
        ended = json.loads(out)
        assert ended["ended"]
        told = ended["venues"]["kalshi"]
        assert told["requests"][f"POST {ORDERS}"] == 1
        assert told["fills"] >= 1
        assert told["imbalance"] == ended["venues"]["polymarket"]["imbalance"] == 0
        assert all(gone(venue["pid"]) for venue in ready["venues"].values())


def test_for_people_it_prints_where_to_go_and_keeps_the_secrets_in_a_private_file(tmp_path: Path) -> None:
    done = asked("--duration", "1", "--home", str(tmp_path), "--empty", "--faults", "standard")
    assert done.returncode == Exit.OK, done.stderr
    kept = tmp_path / "venues" / "ready.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    told = json.loads(kept.read_text())["venues"]
    for venue in told.values():
        assert venue["rest"] in done.stdout
        for secret in ("private_key_pem", "private_key", "secret", "passphrase"):
            assert (
                venue["credentials"].get(secret, "-----") not in done.stdout.replace("-----", "") or secret not in venue
            )
    assert "orders and cancels: none" in done.stdout
    assert all(gone(venue["pid"]) for venue in told.values())


def test_a_port_in_use_is_told_with_its_number_and_nothing_is_left_running(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        done = asked("--json", "--duration", "5", "--home", str(tmp_path), "--port", f"polymarket={port}")
    assert done.returncode == Exit.PREFLIGHT
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["error"] == "preflight_failed"


def test_a_fault_script_that_cannot_be_used_is_told_in_its_own_words(tmp_path: Path) -> None:
    script = tmp_path / "faults.yaml"
    script.write_text("version: 1\nrules:\n  - kind: earthquake\n")
    done = asked("--duration", "5", "--home", str(tmp_path), "--faults", str(script))
    assert done.returncode == Exit.PREFLIGHT
    assert "kind 'earthquake' is not one of" in done.stderr


def test_a_venue_that_dies_ends_the_other(tmp_path: Path) -> None:
    with started("--json", "--home", str(tmp_path)) as box:
        assert box.stdout is not None
        ready = json.loads(box.stdout.readline())
        os.kill(ready["venues"]["kalshi"]["pid"], signal.SIGKILL)
        out, errors = box.communicate(timeout=WITHIN_S)
        assert box.returncode == Exit.ERROR
        assert "venue kalshi ended by itself (exit -9)" in errors
        assert json.loads(out)["error"] == "venue_gone"
        assert all(gone(venue["pid"]) for venue in ready["venues"].values())


@pytest.mark.parametrize("port", ["kalsi=8801", "kalshi", "kalshi=x", "kalshi=65536", "8801"])
def test_a_port_that_names_no_venue_or_is_none_is_a_usage_error(port: str) -> None:
    done = asked("--port", port)
    assert done.returncode == Exit.USAGE
    assert port in done.stderr


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/order", "/order"),
        (ORDERS, ORDERS),
        (f"{ORDERS}/2597b999-7a3f-4f5e-8a54-0f4b7c2d9e11/amend", f"{ORDERS}/{{id}}/amend"),
        ("/data/order/0xfe164185c1b55f4f6d59d98b3c4b947cf8f6ab7d", "/data/order/{id}"),
        ("/markets-by-token/4662094524921303737492777369186547291935", "/markets-by-token/{id}"),
        ("/trade-api/v2/markets/KXHIGHNY-26DEC01-T55", "/trade-api/v2/markets/KXHIGHNY-26DEC01-T55"),
    ],
)
def test_requests_are_counted_by_kind(path: str, kind: str) -> None:
    assert kind_of(path) == kind


# ---------------------------------------------------------------------------------------------------------------- drift


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    if not OPENAPI.is_file():
        pytest.skip("the venue's OpenAPI document is not beside the project")
    told: dict[str, Any] = yaml.load(OPENAPI.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    return told


def test_the_contract_that_we_were_written_for_has_not_drifted(contract: dict[str, Any]) -> None:
    done = asked("drift", "--openapi", str(OPENAPI), "--json")
    assert done.returncode == Exit.OK, done.stdout
    told = json.loads(done.stdout)
    assert told["changes"] == []
    assert told["version"] == contract["info"]["version"]
    assert told["operations"] > 20


def test_a_path_that_is_gone_is_told_and_asks_for_a_person(contract: dict[str, Any], tmp_path: Path) -> None:
    newer = tmp_path / "newer.yaml"
    paths = {path: told for path, told in contract["paths"].items() if path != "/portfolio/balance"}
    newer.write_text(json.dumps(contract | {"paths": paths}, default=str))
    done = asked("drift", "--openapi", str(newer))
    assert done.returncode == Exit.EXPOSED
    assert "/portfolio/balance: removed" in done.stdout
    assert "1 changes in" in done.stdout


def test_what_is_no_contract_is_a_configuration_error(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: b")
    done = asked("drift", "--openapi", str(file), "--json")
    assert done.returncode == Exit.CONFIGURATION
    assert "has no paths" in json.loads(done.stdout)["text"]
    assert asked("drift", "--openapi", str(tmp_path / "none")).returncode == Exit.USAGE


# ------------------------------------------------------------------------------------------------------------- the page


def blocks(runs: str) -> list[str]:
    """What docs/exchange-in-a-box.md says that one can run, as it stands there."""
    page = (HOUSE / "docs" / "exchange-in-a-box.md").read_text()
    return re.findall(rf"<!-- runs: {runs} -->\n```[a-z]+\n(.*?)```", page, re.DOTALL)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("box")
    with started("--home", str(folder / ".crossfill"), "--duration", "100") as process:
        assert process.stdout is not None
        while "Ctrl-C ends them" not in (line := process.stdout.readline()):
            assert line, process.communicate()[1]
        yield folder


def run_block(command: list[str], block: str, folder: Path) -> str:
    done = subprocess.run(
        [*command, block], cwd=folder, text=True, capture_output=True, timeout=WITHIN_S, check=False,
        env=dict(os.environ, PYTHONPATH=str(HOUSE)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_points_our_adapters_at_the_box(box: Path) -> None:
    (block,) = blocks("ours")
    assert re.match(r"[1-9][0-9]+ \(", run_block([sys.executable, "-c"], block, box))


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "openssl", "bash"))), reason="needs curl, openssl and bash")
def test_the_page_signs_with_openssl_and_asks_with_curl(box: Path) -> None:
    (block,) = blocks("shell")
    assert '"balance_dollars": ' in run_block(["bash", "-euc"], block, box)


@pytest.mark.conformance
def test_the_page_points_published_clients_at_the_box(box: Path) -> None:
    if not environment.ready():
        pytest.skip("needs the environment of published clients: make conformance builds it")
    found = blocks("clients")
    assert len(found) == 2
    python = str(environment.python_of(environment.FOLDER))
    said = "".join(run_block([python, "-c"], block, box) for block in found)
    assert "OrderStatus.EXECUTED 3.00" in said
    assert "'status': 'matched'" in said
