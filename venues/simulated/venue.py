"""One venue put together: exchange, dialect, market makers or tape, and the loop that moves them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from venues.simulated import admin, kalshi, polymarket, tape
from venues.simulated.credentials import TRADER, kalshi_keys, polymarket_keys
from venues.simulated.desk import HOLD_S, Desk
from venues.simulated.exchange import Exchange
from venues.simulated.faults import load_script
from venues.simulated.kalshi_stream import PATH as KALSHI_WS
from venues.simulated.kalshi_venue import KalshiVenue
from venues.simulated.participants import Dialect, Makers
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.polymarket_venue import PolymarketVenue
from venues.simulated.scale import UNIT
from venues.simulated.tape_player import TapePlayer
from venues.simulated.universe import ConfigurationError, load_pairs

WAKE_MAX_S = 0.05


@dataclass(frozen=True, slots=True)
class Settings:
    dialect: Dialect
    name: str
    seed: int
    pairs: Path
    port: int = 0
    faults: str = "none"
    start_ns: int | None = None
    deposit_dollars: int = 10_000
    tape: Path | None = None
    tape_from: str = ""
    tape_to: str = ""
    speed: float = 1.0
    read_lag_ms: int = 50
    tier: str = ""
    quiet: bool = False
    hold_s: float = HOLD_S
    accounts: int = 1  # traders who may meet each other, each with the same deposit


class Venue:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        pairs = load_pairs(settings.pairs)
        on_kalshi = settings.dialect == "kalshi"
        terms = (kalshi if on_kalshi else polymarket).terms(pairs)
        self.exchange = Exchange(tuple(terms.fees), terms, f"{settings.seed}/{settings.name}")
        names = [TRADER, *(f"trader-{number}" for number in range(2, settings.accounts + 1))]
        for name in names:
            self.exchange.open_account(name, settings.deposit_dollars * UNIT)
        start_ns = time.time_ns() if settings.start_ns is None else settings.start_ns
        script = load_script(settings.faults, settings.dialect, f"{settings.seed}/{settings.name}")
        self.desk = Desk(settings.name, settings.dialect, settings.seed, self.exchange, script, start_ns)
        self.desk.quiet = settings.quiet
        self.desk.hold_s = settings.hold_s
        self.keys: list[dict[str, object]]
        self.clob: PolymarketDoor
        self.polymarket: PolymarketVenue
        self._middlewares: tuple[Middleware, ...] = ()
        self.kalshi: KalshiVenue
        if on_kalshi:
            own = [key for name in names for key in kalshi_keys(settings.seed, name)]
            self.keys = [key.told() for key in own]
            self.kalshi = KalshiVenue(
                self.desk, pairs, own, tier=settings.tier or "prime", read_lag_ns=settings.read_lag_ms * 1_000_000,
                deposit=settings.deposit_dollars * UNIT,
            )  # fmt: skip
            self._routes = self.kalshi.routes()
        else:
            wallet = [key for name in names for key in polymarket_keys(settings.seed, name)]
            self.keys = [key.told() for key in wallet]
            tier = settings.tier or "elite"
            self.polymarket = PolymarketVenue(
                self.desk, pairs, wallet, seed=settings.seed, tier=tier, deposit=settings.deposit_dollars * UNIT
            )
            self.clob = self.polymarket.door
            self._routes = self.polymarket.routes()
            self._middlewares = self.polymarket.middlewares()
        self._player: TapePlayer | None = None
        self._makers: Makers | None = None
        if settings.tape is not None:
            self._player = self._tape(settings.tape, next(iter(terms.fees)))
        else:
            self._makers = Makers(self.exchange, pairs, settings.dialect, settings.seed)
        self._runner: web.AppRunner | None = None
        self._pump: asyncio.Task[None] | None = None
        self.port = 0

    def _tape(self, directory: Path, market: str) -> TapePlayer:
        settings = self.settings
        file = directory / tape.FILES[settings.dialect]
        if not file.is_file():
            raise ConfigurationError(f"tape file {file}: not found; give the folder of the recordings with --tape")
        try:
            from_ns, to_ns = tape.instant_ns(settings.tape_from), tape.instant_ns(settings.tape_to)
        except ValueError:
            span = f"{settings.tape_from!r} to {settings.tape_to!r}"
            raise ConfigurationError(f"tape from/to {span}: write both like 2026-01-03T23:16 (UTC)") from None
        rows = tape.read_tape(directory, settings.dialect, from_ns, to_ns)
        return TapePlayer(self.exchange, market, rows, from_ns, settings.speed)

    async def start(self) -> None:
        """Serve; raises OSError where the port is taken."""
        app = web.Application(client_max_size=1 << 20, middlewares=[self.desk.doorman(), *self._middlewares])
        app.add_routes([*self._routes, *admin.routes(self.desk)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.settings.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._move(everything=True)
        self._pump = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        self.desk.cancel_tasks()
        if self._runner is not None:
            await self._runner.cleanup()

    def ready(self, pid: int) -> dict[str, Any]:
        host = f"127.0.0.1:{self.port}"
        mine = [key for key in self.keys if key["account"] == TRADER]
        others = sorted({str(key["account"]) for key in self.keys} - {TRADER})
        on_kalshi = self.settings.dialect == "kalshi"
        return {
            "ready": True, "name": self.settings.name, "dialect": self.settings.dialect, "rest": f"http://{host}",
            "ws_market": f"ws://{host}{KALSHI_WS if on_kalshi else '/ws/market'}",
            "ws_user": f"ws://{host}{KALSHI_WS if on_kalshi else '/ws/user'}",
            "admin": f"http://{host}/admin", "pid": pid, "credentials": {**mine[0], "keys": mine},
            "accounts": [{"account": name, "keys": [k for k in self.keys if k["account"] == name]} for name in others],
        }  # fmt: skip

    def _move(self, everything: bool = False) -> None:
        now_ns = self.desk.now()
        elapsed_ns = max(0, now_ns - self.desk.start_ns)  # a zero that is yet to come holds the tape at its beginning
        if not self.desk.quiet and not self.desk.still():
            if self._player is not None:
                self._player.play(elapsed_ns, now_ns)
            elif self._makers is not None and everything:
                self._makers.requote_all(elapsed_ns, now_ns)
            elif self._makers is not None:
                self._makers.requote_due(elapsed_ns, now_ns)
        self.desk.flush()

    async def _run(self) -> None:
        while True:
            now_ns = self.desk.now()
            elapsed_ns = now_ns - self.desk.start_ns
            waits = [WAKE_MAX_S]
            due_ns = self.exchange.next_due_ns()
            if due_ns is not None:
                waits.append((due_ns - now_ns) / 1e9)
            if not self.desk.quiet:
                source = self._player or self._makers
                moves_ns = source.next_due_ns() if source is not None else None
                if moves_ns is not None:
                    waits.append((moves_ns - elapsed_ns) / 1e9)
            await asyncio.sleep(max(0.001, min(waits)))
            self._move()
