"""What the Kalshi venue says about itself: status by shard, schedule, announcements, limits, costs, and how fresh reads are."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from venues.simulated.happenings import S
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import COSTS, DEFAULT_COST, Asked, KalshiDoor
from venues.simulated.kalshi_state import OPENED_NS, SHARDS
from venues.simulated.kalshi_words import PREFIX, iso

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
PAUSE = {"thursday": [{"open_time": "00:00", "close_time": "03:00"}, {"open_time": "05:00", "close_time": "24:00"}]}
ARCHIVE_NS = 14 * 86_400 * S


class KalshiExchange:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        serve = self.door.serve
        return [
            serve("GET", "/exchange/status", self._status, private=False),
            serve("GET", "/exchange/schedule", self._schedule, private=False),
            serve("GET", "/exchange/announcements", self._announcements, private=False),
            serve("GET", "/exchange/user_data_timestamp", self._as_of, private=False),
            serve("GET", "/account/endpoint_costs", self._costs, private=False),
            serve("GET", "/account/limits", self._limits),
            serve("POST", "/account/api_usage_level/upgrade", self._upgrade),
            serve("GET", "/historical/cutoff", self._cutoff, private=False),
            serve("GET", "/historical/orders", lambda _: web.json_response({"orders": [], "cursor": ""})),
            serve("GET", "/historical/fills", lambda _: web.json_response({"fills": [], "cursor": ""})),
        ]

    def _status(self, _asked: Asked) -> web.Response:
        state = self.door.state
        rows: list[dict[str, Any]] = []
        for index, shard in state.shards.items():
            row = {
                "exchange_index": index, "description": SHARDS.get(index, f"shard {index}"),
                "exchange_active": shard.exchange_active, "trading_active": shard.exchange_active and shard.trading_active,
                "intra_exchange_transfers_active": shard.exchange_active,
            }  # fmt: skip
            rows.append(row)
        told = {key: rows[0][key] for key in ("exchange_active", "trading_active", "intra_exchange_transfers_active")}
        resumes = state.shards[0].resumes_ns
        told |= {"exchange_estimated_resume_time": iso(resumes)} if resumes is not None else {}
        return web.json_response(told | {"exchange_index_statuses": rows})

    def _schedule(self, _asked: Asked) -> web.Response:
        """All week, but for the two hours of every Thursday in which trading is paused (Eastern Time)."""
        whole = [{"open_time": "00:00", "close_time": "24:00"}]
        week: dict[str, object] = {day: PAUSE.get(day, whole) for day in DAYS}
        hours = week | {"start_time": iso(OPENED_NS), "end_time": iso(OPENED_NS + 730 * 86_400 * S)}
        windows = [
            {"start_datetime": iso(self.door.desk.now()), "end_datetime": iso(shard.resumes_ns)}
            for shard in (self.door.state.shards[0],)
            if shard.resumes_ns is not None and not shard.exchange_active
        ]
        return web.json_response({"schedule": {"standard_hours": [hours], "maintenance_windows": windows}})

    def _announcements(self, _asked: Asked) -> web.Response:
        return web.json_response({"announcements": self.door.state.announcements})

    def _as_of(self, _asked: Asked) -> web.Response:
        return web.json_response({"as_of_time": iso(self.door.as_of_ns())})

    def _costs(self, _asked: Asked) -> web.Response:
        """The end points that do not cost the default."""
        rows = [
            {"method": method, "path": PREFIX + path.replace("{order_id}", ":order_id"), "cost": cost}
            for (method, path), cost in COSTS.items()
        ]
        return web.json_response({"default_cost": DEFAULT_COST, "endpoint_costs": rows})

    def _limits(self, _asked: Asked) -> web.Response:
        def told(scope: str) -> dict[str, int]:
            rate, burst = self.door.buckets.size(scope)
            return {"bucket_capacity": burst, "refill_rate": rate}

        return web.json_response(
            {"grants": [], "read": told("read"), "usage_tier": self.door.buckets.tier, "write": told("write")}
        )

    def _upgrade(self, asked: Asked) -> web.Response:
        """Basic becomes Advanced by itself, for whoever has traded through the interface."""
        if self.door.buckets.tier != "basic":
            return error(403, "forbidden", details="only the basic tier upgrades by itself")
        if not any(order.account.partition("/")[0] == asked.user for order in self.door.exchange.orders.values()):
            return error(403, "forbidden", details="one order through the interface is needed first")
        self.door.raise_tier("advanced")
        return web.Response(status=201)

    def _cutoff(self, _asked: Asked) -> web.Response:
        cutoff = iso(self.door.desk.now() - ARCHIVE_NS)
        return web.json_response(
            {"market_settled_ts": cutoff, "trades_created_ts": cutoff, "orders_updated_ts": cutoff}
        )
