"""The judge's door: ledger, status and the switches of a run. Loopback only, so it asks for no credentials."""

from __future__ import annotations

import json

from aiohttp import web

from venues.simulated.desk import Desk
from venues.simulated.faults import load_script
from venues.simulated.universe import ConfigurationError


def routes(desk: Desk) -> list[web.RouteDef]:
    started_ns = desk.now()

    async def ledger(_request: web.Request) -> web.Response:
        return web.json_response(desk.ledger())

    async def status(_request: web.Request) -> web.Response:
        return web.json_response(
            {
                "venue": desk.name, "dialect": desk.dialect, "uptime_s": (desk.now() - started_ns) // 1_000_000_000,
                "script": desk.script.name, "quiet": desk.quiet, "faults_hit": dict(desk.script.hits),
                "orders": len(desk.exchange.orders), "fills": len(desk.exchange.fills), "requests": len(desk.requests),
                "imbalance": desk.exchange.imbalance(),
            }
        )  # fmt: skip

    async def faults(request: web.Request) -> web.Response:
        try:
            name = str((await request.json())["script"])
            script = load_script(name, desk.dialect, f"{desk.seed}/{desk.name}")
        except (json.JSONDecodeError, KeyError, TypeError):
            return web.json_response({"error": 'send {"script": "none|standard|storm|FILE.yaml"}'}, status=400)
        except ConfigurationError as error:
            return web.json_response({"error": str(error)}, status=400)
        script.hits = desk.script.hits  # what has hit stays counted for the whole run
        desk.script = script
        return web.json_response({"script": script.name, "faults_hit": dict(script.hits)})

    async def quiesce(_request: web.Request) -> web.Response:
        desk.quiet = True
        return web.json_response({"quiet": True})

    return [
        web.get("/admin/ledger", ledger),
        web.get("/admin/status", status),
        web.post("/admin/faults", faults),
        web.post("/admin/quiesce", quiesce),
    ]
