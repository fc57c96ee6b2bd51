"""The HTTP edge against a hostile server, reads that are repeated, lists that are whole or nothing, and credentials."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.books import Book
from messages.orders import LookUpFailed, Lost
from messages.reasons import Trouble
from messages.units import Nanos, Quantity
from tests.venues.making import KALSHI_AUTH, WALLET, Hand, kalshi_rsa, order, polymarket_market, polymarket_wallet
from venues import factory, http, reading
from venues.board import Board, Sides
from venues.calls import Calls, Missing, Told
from venues.credentials import kalshi_credentials, polymarket_credentials
from venues.http import BODY_MOST, Response, SessionWire, WireError
from venues.kalshi.rest import KalshiTrading
from venues.polymarket.rest import PolymarketTrading
from venues.polymarket.sign import Signer
from venues.port import Failed, NotReady
from venues.sockets import Broken, Socket, follow
from venues.versions import Versions

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated reads wait hardly at all."""
    monkeypatch.setattr(http, "READ_PAUSE_MOST_S", 0.002)


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[str]:
    """A server that says whatever a test wants, byte by byte."""

    async def each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(each, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def request_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            head += await reader.readexactly(int(line.split(b":")[1]))
    return head


def saying(*parts: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        for part in parts:
            writer.write(part)

    return talk


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await request_of(reader)
    await asyncio.sleep(5)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("talk", "trouble"),
    [
        (silence, Trouble.TIMEOUT),
        (saying(), Trouble.CONNECTION),
        (saying(HEAD + b"Content-Length: 50\r\n\r\n{"), Trouble.MALFORMED),
        (saying(HEAD + f"Content-Length: {BODY_MOST + 1}\r\n\r\n".encode()), Trouble.MALFORMED),
        (saying(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), None),
        (saying(b"SSH-2.0-nonsense\r\n\r\n"), None),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"), None),
        (saying(HEAD + b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n"), None),
    ],
    ids=["silence", "hang-up", "half a body", "long", "bad chunk", "no HTTP", "bad length", "long header"],
)
async def test_whatever_a_network_can_do_becomes_trouble(talk: Talk, trouble: Trouble | None) -> None:
    async with serving(talk) as base:
        wire = SessionWire(base, 0.5)
        await wire.open()
        try:
            with pytest.raises(WireError) as problem:
                await wire.request("POST", "/x?secret=1", {"SECRET": "hidden"}, b"body", 0.3)
        finally:
            await wire.close()
    assert problem.value.trouble in ([trouble] if trouble else list(Trouble))
    assert problem.value.__cause__ is None
    assert not any(word in repr(problem.value) + str(problem.value) for word in ("hidden", "secret", "body"))


async def test_an_endless_body_is_cut_off() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(BODY_MOST // 65_536 + 20):
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    async with serving(talk) as base:
        wire = SessionWire(base, 0.5)
        await wire.open()
        with pytest.raises(WireError, match="too long"):
            await wire.request("GET", "/", {}, None, 5.0)
        await wire.close()


async def test_nobody_there_is_told_apart() -> None:
    wire = SessionWire("http://127.0.0.1:9", 0.5)
    with pytest.raises(WireError, match="not open"):
        await wire.request("GET", "/", {}, None, 0.5)
    await wire.open()
    with pytest.raises(WireError) as problem:
        await wire.request("GET", "/", {}, None, 0.5)
    await wire.close()
    assert problem.value.connected is False


async def test_an_order_is_sent_once_even_when_a_kept_connection_dies_under_it() -> None:
    seen: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await request_of(reader))
        writer.write(HEAD + b"Content-Length: 2\r\n\r\n{}")
        await writer.drain()
        seen.append(await request_of(reader))

    async with serving(talk) as base:
        trading = KalshiTrading("k", base + "/trade-api/v2", kalshi_rsa(), Hand(), factory.capabilities(PLACE))
        await trading.open()
        answer = await trading.submit(trading.prepare(order()))
        await trading.close()
    assert isinstance(answer, Lost)
    assert answer.trouble is Trouble.CONNECTION
    assert [line.split(b" ")[0] for line in seen] == [b"GET", b"POST"]


class Place:
    dialect = "kalshi"
    rest = "http://127.0.0.1:1"
    ws_market = "ws://127.0.0.1:1"
    ws_user = "ws://127.0.0.1:1"
    request_timeout_ms = 300
    connect_timeout_ms = 300
    late_arrival_ms = 1_000
    signature_type = 0


PLACE = Place()


class Told2:
    """A wire that answers from a list."""

    def __init__(self, *answers: Response | WireError) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def request(self, method: str, path: str, headers: object, body: bytes | None, timeout_s: float) -> Response:
        self.asked.append(f"{method} {path}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, WireError):
            raise answer
        return answer


def says(status: int, told: object, **headers: str) -> Response:
    return Response(status, headers, told if isinstance(told, bytes) else json.dumps(told).encode())


async def unsigned(method: str, path: str, body: bytes) -> dict[str, str]:
    return {}


OUT = WireError(Trouble.TIMEOUT, "slow")


@pytest.mark.parametrize(
    ("answers", "tries", "kind"),
    [
        ((OUT, OUT, says(200, {"a": 1})), 3, Told),
        ((OUT,), 3, Failed),
        ((says(502, b"<html>"), says(200, {"a": 1})), 2, Told),
        ((says(503, b""),), 3, Failed),
        ((says(404, {"error": "x"}),), 1, Missing),
        ((says(404, b"<html>"),), 1, Failed),
        ((says(429, {"error": "x"}),), 1, Failed),
        ((says(401, {"error": "x"}),), 1, Failed),
        ((says(200, b'{"a":'),), 1, Failed),
    ],
    ids=[
        "third time",
        "never",
        "gateway page once",
        "down",
        "missing",
        "missing page",
        "limited",
        "no key",
        "half JSON",
    ],
)
async def test_reads_are_repeated_only_where_that_may_help(
    answers: tuple[Response | WireError, ...], tries: int, kind: type
) -> None:
    wire = Told2(*answers)
    assert isinstance(await Calls(wire, unsigned, 1.0).read("/x"), kind)
    assert len(wire.asked) == tries


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((says(200, {"rows": [{"n": 1}], "cursor": "c"}), says(200, {"rows": [{"n": 2}], "cursor": ""})), 2),
        ((says(200, {"rows": [{"n": 1}], "cursor": "c"}),), None),
        ((says(200, {"rows": [{"n": 1}], "cursor": "c"}), says(429, {})), None),
        ((says(200, {"cursor": ""}),), None),
        ((says(200, {"rows": [1], "cursor": ""}),), None),
        ((says(200, {"rows": None, "cursor": ""}),), 0),
        ((says(200, [1]),), None),
    ],
    ids=["two pages", "no end", "limited", "no rows", "no objects", "null", "a list"],
)
async def test_a_list_is_whole_or_not_at_all(answers: tuple[Response, ...], expected: int | None) -> None:
    found = await Calls(Told2(*answers), unsigned, 1.0).all_pages("/x?", "rows", "cursor", "")
    assert isinstance(found, Failed) if expected is None else len(found) == expected  # type: ignore[arg-type]


async def test_a_look_up_that_fails_is_never_absence() -> None:
    for answer in (OUT, says(500, b""), says(200, b"<html>"), says(200, {}), says(200, [1]), says(429, {"error": "x"})):
        kalshi = KalshiTrading("k", "http://x/r", kalshi_rsa(), Hand(), factory.capabilities(PLACE), wire=Told2(answer))
        assert isinstance(await kalshi.look_up(order(), None), LookUpFailed)
        assert isinstance(await kalshi.look_up(order(), "V1"), LookUpFailed)
    polymarket = PolymarketTrading(
        "p", "http://x", polymarket_wallet(), Hand(), factory.capabilities(PLACE), wire=Told2(says(200, [1]))
    )
    assert isinstance(await polymarket.look_up(order(), "0x1"), LookUpFailed)
    polymarket.load([polymarket_market()])
    asked = order(market=polymarket_market().market)
    assert isinstance(await polymarket.look_up(asked, "0x1"), LookUpFailed)
    another = says(200, {"id": "0x2", "status": "MATCHED", "size_matched": "10"})
    polymarket = PolymarketTrading(
        "p", "http://x", polymarket_wallet(), Hand(), factory.capabilities(PLACE), wire=Told2(another)
    )
    polymarket.load([polymarket_market()])
    assert isinstance(await polymarket.look_up(asked, "0x1"), LookUpFailed)


@pytest.mark.parametrize("count", ["1000000.00", "-1", "x", None, 10**40])
async def test_an_unbelievable_count_is_never_a_position(count: object) -> None:
    told = {"order": {"order_id": "V1", "ticker": "M", "status": "executed", "fill_count_fp": count}}
    kalshi = KalshiTrading(
        "k", "http://x/r", kalshi_rsa(), Hand(), factory.capabilities(PLACE), wire=Told2(says(200, told))
    )
    assert isinstance(await kalshi.look_up(order(quantity=Quantity(10**7)), "V1"), LookUpFailed)


# Credentials.


def written(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return f"file:{path}"


def test_kalshi_credentials_in_all_their_forms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = KALSHI_AUTH["rsa_private_key_pem"]
    inline = kalshi_credentials("main", written(tmp_path / "a", json.dumps({"key_id": "id", "private_key_pem": pem})))
    path = written(tmp_path / "b.pem", pem).removeprefix("file:")
    by_path = kalshi_credentials(
        "main", written(tmp_path / "c", json.dumps({"key_id": "id", "private_key_path": path}))
    )
    assert inline.key_id == by_path.key_id == "id"
    monkeypatch.setenv("CROSSFILL_TEST_PEM", pem)
    assert kalshi_credentials("id", "env:CROSSFILL_TEST_PEM").key_id == "id"
    assert "PRIVATE" not in repr(inline)
    for text in ("x", "{}", json.dumps({"key_id": "id"})):
        with pytest.raises(NotReady, match="main"):
            kalshi_credentials("main", written(tmp_path / "d", text))


def polymarket_json(**changes: object) -> str:
    told = {"private_key": WALLET["private_key"], "api_key": "k", "secret": "AAAA", "passphrase": "hush", "funder": ""}
    return json.dumps(told | changes)


def test_polymarket_credentials_say_what_is_missing_and_hide_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "p"
    found = polymarket_credentials("main", written(file, polymarket_json()))
    assert found.signature_type == 0
    assert all(word not in repr(found) for word in ("hush", WALLET["private_key"][2:], "AAAA"))
    for text, named in (
        ("[]", "JSON"),
        (polymarket_json(secret=""), "secret"),
        (polymarket_json(signature_type=4), "signature_type"),
        (polymarket_json(signature_type=1), "funder"),
        (polymarket_json(private_key="0x12"), "32 bytes"),
        (polymarket_json(private_key="zz"), "hex"),
    ):
        with pytest.raises(NotReady, match=named) as problem:
            polymarket_credentials("main", written(file, text))
        assert WALLET["private_key"][2:] not in str(problem.value)


@pytest.mark.parametrize(("kind", "funder"), [(0, "0x" + "12" * 20), (2, "0x12"), (1, "nonsense")])
def test_a_funder_that_cannot_be_is_refused(kind: int, funder: str) -> None:
    with pytest.raises(NotReady, match="funder"):
        Signer(polymarket_wallet(kind, funder), Hand())


@pytest.mark.parametrize(
    ("setting", "url"), [("rest", ""), ("rest", "ws://x"), ("ws_user", "x"), ("dialect", "bourse")]
)
def test_a_wrong_setting_is_named(tmp_path: Path, setting: str, url: str) -> None:
    place = Place()
    setattr(place, setting, url)
    key = type("Key", (), {"name": "n", "secret": written(tmp_path / "p", polymarket_json())})()
    with pytest.raises(NotReady, match=setting):
        (factory.account_data if setting == "ws_user" else factory.trading)("here", place, key, Hand())


# Small parts.


async def test_a_stream_that_breaks_is_built_anew_until_cancelled() -> None:
    tries = 0
    lost = 0

    async def session(_: Socket) -> None:
        raise Broken("at once")

    async def headers() -> dict[str, str]:
        nonlocal tries
        tries += 1
        return {}

    def losing() -> None:
        nonlocal lost
        lost += 1

    task = asyncio.create_task(follow("ws://127.0.0.1:9/x", headers, session, losing, 0.2))
    began = time.monotonic()
    while tries < 3 and time.monotonic() - began < 3:  # noqa: ASYNC110 - a count, not an event
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tries >= 3
    assert lost >= 2


def test_a_board_tells_changes_confirmations_and_doubt() -> None:
    clock = Hand()
    told: list[Book] = []
    board = Board("v", ["M"], told.append, clock)
    sides: Sides = (((5_000, 1),), ((5_100, 1),), (), ())
    board.confirm("M", clock.at)
    assert told == []
    board.show("M", sides, clock.at)
    board.show("M", sides, clock.at)
    assert len(told) == 1
    board.confirm("M", Nanos(clock.at + 300_000_000))
    assert told[-1].fresh
    assert told[-1].seen_at == clock.at + 300_000_000
    board.doubt("M")
    board.doubt("M")
    board.confirm("M", Nanos(clock.at + 10**9))
    assert [book.fresh for book in told] == [True, True, False]
    board.show("M", sides, Nanos(clock.at + 10**9))
    assert told[-1].fresh
    assert [book.sequence for book in told] == sorted({book.sequence for book in told})


def test_versions_grow_with_rules_and_fees_and_not_with_time() -> None:
    versions = Versions()
    market = polymarket_market()
    first = versions.number(market)
    later = market.model_copy(
        update={
            "seen_at": Nanos(market.seen_at + 10**9),
            "fees": market.fees.model_copy(update={"verified_at": Nanos(7)}),
        }
    )
    same = versions.number(later)
    assert (same.version, same.fees.version, same.fees.verified_at) == (first.version, first.fees.version, 7)
    dearer = versions.number(later.model_copy(update={"fees": later.fees.model_copy(update={"taker_ppm": 70_000})}))
    assert dearer.version > first.version
    assert dearer.fees.version > first.fees.version
    moved = versions.number(dearer.model_copy(update={"min_quantity": Quantity(1)}))
    assert moved.version > dearer.version
    assert moved.fees.version == dearer.fees.version


@given(st.text(max_size=60))
def test_times_and_dates_are_read_or_none(text: str) -> None:
    for read in (reading.time_of, reading.http_date):
        found = read(text)
        assert found is None or isinstance(found, int)


def test_dates_as_they_come() -> None:
    assert reading.http_date("Thu, 01 Jan 1970 00:00:10 GMT") == 10 * 10**9
    assert reading.time_of("1970-01-01T00:00:10.5Z") == 10_500_000_000
    assert reading.json_of(b"[" * 100_000) is None
