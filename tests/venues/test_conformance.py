"""The comparison itself: it cannot be left through a socket, and it fails when somebody sees something else.

The last test lets published clients trade; it needs the environment that `make conformance` builds, and skips without.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conformance import __main__ as command
from conformance import environment, stage
from conformance.__main__ import table
from conformance.adapters import ours
from conformance.child import Refused, is_loopback, whole
from conformance.exchanges import exchange
from conformance.ours import Ours
from conformance.playbill import SCENARIOS
from conformance.run import Cell, played
from conformance.scenarios import play
from conformance.stage import CONTRACT, Differs, Stage
from conformance.tunnel import Tunnel, tunnel

HOUSE = Path(__file__).resolve().parents[2]
CONFINED = """
import socket, subprocess
from conformance.child import Escape, confine, try_to_leave
listening = socket.create_server(("127.0.0.1", 0))
confine()
socket.create_connection(listening.getsockname()).close()
socket.getaddrinfo("localhost", 1)
print(len(try_to_leave()))
try:
    subprocess.run(["true"])
except Escape as blocked:
    print(blocked)
"""


def test_beside_a_client_loopback_is_open_and_everything_else_is_closed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFINED], cwd=HOUSE, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.splitlines() == ["2", "subprocess.Popen was blocked: this run starts no other process"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", b"127.0.0.2", "127.9.9.9", None, ""])
def test_loopback_is_loopback(host: object) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "clob.polymarket.com", "localhost.example", "0.0.0.0", "::"])  # noqa: S104
def test_nothing_else_is(host: object) -> None:
    assert not is_loopback(host)


def test_what_is_finer_than_our_units_is_not_rounded_away() -> None:
    assert whole("0.0175", 10_000) == 175
    with pytest.raises(ValueError, match="finer"):
        whole("0.01755", 10_000)


# --------------------------------------------------------------------------------------------------------------- tunnel


async def ask(way: Tunnel, host: str) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
    writer.write(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    return await reader.readuntil(b"\r\n\r\n"), reader, writer


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write((await reader.readline()).upper())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_the_tunnel_ends_encryption_for_one_host_and_refuses_all_others(echo: int, tmp_path: Path) -> None:
    async with tunnel(tmp_path, "venue.example", echo) as way:
        said, _, refused = await ask(way, "elsewhere.example")
        assert b" 403 " in said
        refused.close()
        await refused.wait_closed()
        said, reader, writer = await ask(way, "venue.example")
        assert b" 200 " in said
        trusting = ssl.create_default_context(cafile=str(way.authority))
        await writer.start_tls(trusting, server_hostname="venue.example")
        writer.write(b"hello\n")
        assert await reader.readline() == b"HELLO\n"
        writer.close()
        with suppress(ssl.SSLError):  # the other end does not wait for our farewell
            await writer.wait_closed()
        assert way.hosts == ["elsewhere.example:443", "venue.example:443"]


# ------------------------------------------------------------------------------------------------------------- the judge


@dataclass
class Liar:
    """Sees what our adapters see, but for one thing."""

    honest: Ours
    about: str
    name: str = "liar"

    async def ask(self, what: str, **told: Any) -> Any:
        answer = await self.honest.ask(what, **told)
        if what != self.about:
            return answer
        match what:
            case "cash":
                return answer | {"cash": answer["cash"] + answer["step"]}
            case "fills":
                return [answer[0] | {"price": answer[0]["price"] + 1}, *answer[1:]]
            case "position":
                return [answer[0], answer[1] + 1]
            case "orders":
                return [*answer, "0xnever"]
            case "order":
                return answer | {"matched": answer["matched"] + 1}
        raise AssertionError(what)


async def test_who_sees_something_else_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with exchange("kalshi", tmp_path, 3) as place, ours(place, tmp_path) as mine:
        honest: Any = Liar(mine, "")
        scene = Stage(place, mine, honest, mine)
        market, book = await scene.fresh_market()
        placed = await scene.place(market, "yes", "buy", book["asks"][0][0], 6, "ioc")
        assert placed["matched"] == 6 * CONTRACT
        await scene.agree(market, placed["order"])
        monkeypatch.setattr(stage, "AGREE_WITHIN_S", 0.1)
        for about in ("cash", "fills", "position", "orders", "order"):
            liar: Any = Liar(mine, about)
            with pytest.raises(Differs, match=r"^liar: .*the ledger has"):
                await Stage(place, mine, liar, mine).agree(market, placed["order"])


async def test_a_scenario_that_breaks_off_leaves_nothing_resting(tmp_path: Path) -> None:
    async with exchange("kalshi", tmp_path, 3) as place, ours(place, tmp_path) as mine:
        both: Any = mine
        scene = Stage(place, both, both, both)

        async def broken(at: Stage) -> None:
            market, book = await at.fresh_market()
            await at.place(market, "yes", "buy", book["bids"][-1][0], 12, "gtc")
            raise Refused("other", "no more")

        assert await play(broken, scene) == ("failed", "refused (other): no more")
        ledger = await place.ledger()
        assert [o["status"] for o in ledger["orders"] if o["account"] == scene.account] != ["live"]


def test_every_thing_that_was_promised_is_played() -> None:
    promised = (
        "authentication",
        "market data",
        "place",
        "match",
        "partial",
        "cancel",
        "reject",
        "balances",
        "positions",
    )
    for word in (*promised, "trades", "streams"):
        assert any(name.startswith(word) for name in SCENARIOS), word


@pytest.mark.conformance
@pytest.mark.slow
@pytest.mark.parametrize("word", ["place", "match on NO", "cancel"])
async def test_published_clients_trade_here_unchanged(word: str, tmp_path: Path) -> None:
    """A part of `make conformance`, which plays every scenario."""
    if not environment.ready():
        pytest.skip("needs the environment of published clients: make conformance builds it")
    cells = await played(tmp_path, ["kalshi", "polymarket"], word, 1)
    assert len(cells) >= 4
    assert [(cell.client, cell.scenario, cell.why) for cell in cells if cell.result == "failed"] == []
    assert {cell.venue for cell in cells if cell.result == "passed"} == {"kalshi", "polymarket"}


def test_the_table_says_who_failed_and_why() -> None:
    cells = [
        Cell("kalshi", "theirs", "place", "passed", ""),
        Cell("kalshi", "ours", "place", "failed", "cash is 1, the ledger has 2"),
        Cell("kalshi", "theirs", "streams", "cannot", "it has none"),
    ]
    told = table(cells).splitlines()
    assert " ".join(told[0].split()) == "theirs on kalshi ours on kalshi"
    assert told[1].split() == ["place", "passed", "FAILED"]
    assert told[2].split() == ["streams", "–"]
    assert told[-2:] == [
        "  ours on kalshi, place: cash is 1, the ledger has 2",
        "  theirs on kalshi, streams: it has none",
    ]


@pytest.mark.parametrize(("result", "code"), [("passed", 0), ("cannot", 0), ("failed", 1)])
def test_one_difference_is_enough_to_fail_the_run(
    result: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def play_one(*_: object) -> list[Cell]:
        return [Cell("kalshi", "theirs", "place", result, "")]

    monkeypatch.setattr(command, "played", play_one)
    monkeypatch.setattr(environment, "build", lambda: 0.0)
    monkeypatch.setattr(sys, "argv", ["conformance", "--json"])
    assert command.main() == code
    told = json.loads(capsys.readouterr().out)
    assert told[result] == 1
    assert told["cells"][0]["result"] == result


def test_an_environment_that_cannot_be_made_is_told_and_nothing_is_played(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = environment._run
    # no index is asked: a program that fails stands for the installer
    monkeypatch.setattr(environment, "_run", lambda _: run([sys.executable, "-c", "import sys; sys.exit('no index')"]))
    monkeypatch.setattr(environment.build, "__defaults__", (tmp_path / "here",))
    monkeypatch.setattr(sys, "argv", ["conformance"])
    assert command.main() == 4
    assert "the isolated environment could not be made: no index" in capsys.readouterr().err
    assert not (tmp_path / "here" / "installed.lock").exists()
