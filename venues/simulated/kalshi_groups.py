"""Order groups: a fence that the venue itself keeps.

A group counts the contracts that its orders have matched in the last 15 seconds. When they reach the limit all of its open
orders are cancelled, and new ones are refused until it is reset. The order that reaches the limit is matched in full first.
"""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web

from venues.simulated.happenings import Happening, Traded
from venues.simulated.kalshi_accounts import account_id, parts_of
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import Asked, KalshiDoor
from venues.simulated.kalshi_forms import count_of
from venues.simulated.kalshi_state import Group
from venues.simulated.kalshi_stream import KalshiStreams
from venues.simulated.scale import UNIT, count_text

PATH = "/portfolio/order_groups"
Event = Literal["created", "triggered", "reset", "deleted", "limit_updated"]


class KalshiGroups:
    def __init__(self, door: KalshiDoor, streams: KalshiStreams) -> None:
        self.door, self._streams = door, streams
        streams.listeners.append(self.watch)

    def routes(self) -> list[web.RouteDef]:
        serve, one = self.door.serve, PATH + "/{order_group_id}"
        return [
            serve("POST", PATH + "/create", self._create, needs="exchange"),
            serve("GET", PATH, self._list),
            serve("GET", one, self._get),
            serve("DELETE", one, self._delete, needs="exchange"),
            serve("PUT", one + "/reset", self._reset, needs="exchange"),
            serve("PUT", one + "/trigger", self._trigger, needs="exchange"),
            serve("PUT", one + "/limit", self._limit, needs="exchange"),
        ]

    # what the group does by itself

    def watch(self, happenings: list[Happening]) -> None:
        for happening in happenings:
            if not isinstance(happening, Traded):
                continue
            for fill in happening.match.fills:
                group = self.door.state.group_of(fill.order)
                if group is not None and group.count(fill.at_ns, fill.quantity) and not group.triggered:
                    self._fire(group, fill.at_ns)

    def _fire(self, group: Group, now_ns: int) -> None:
        group.triggered = True
        for order in group.orders:
            self.door.exchange.cancel(order.venue_order, now_ns)
        self._tell(group, "triggered", now_ns)

    def _tell(self, group: Group, event: Event, now_ns: int, **more: str) -> None:
        message = {"event_type": event, "order_group_id": group.id, "ts_ms": now_ns // 1_000_000, **more}
        user, subaccount, _ = parts_of(group.account)
        self._streams.tell_group(user, subaccount, message)

    # what is asked of it

    def _limit_of(self, body: dict[str, Any]) -> int | web.Response:
        whole, text = body.get("contracts_limit"), body.get("contracts_limit_fp")
        limit = count_of(text) if text is not None else None
        if isinstance(whole, int) and not isinstance(whole, bool) and whole >= 1:
            if limit not in (None, whole * UNIT):
                return error(400, "invalid_parameters", details="contracts_limit and contracts_limit_fp differ")
            return whole * UNIT
        return limit or error(400, "invalid_parameters", details="contracts_limit or contracts_limit_fp is required")

    def _create(self, asked: Asked) -> web.Response:
        limit = self._limit_of(asked.body)
        subaccount = self.door.subaccount(asked, asked.body.get("subaccount"), primary=True)
        shard = asked.body.get("exchange_index") or 0
        if isinstance(limit, web.Response):
            return limit
        if isinstance(subaccount, web.Response):
            return subaccount
        if shard not in self.door.state.shards:
            return error(400, "invalid_parameters", details="exchange_index is unknown")
        account = account_id(asked.user, subaccount or 0, shard)
        group = Group(self.door.exchange.next_id(), account, limit)
        self.door.state.groups[group.id] = group
        self._tell(group, "created", self.door.desk.now(), contracts_limit_fp=count_text(limit))
        told = {"order_group_id": group.id, "subaccount": subaccount or 0, "exchange_index": shard}
        return web.json_response(told, status=201)

    def _find(self, asked: Asked, *, primary: bool) -> Group | web.Response:
        group = self.door.state.groups.get(asked.request.match_info["order_group_id"])
        if group is None:
            return error(404, "not_found")
        subaccount = self.door.subaccount(asked, asked.request.query.get("subaccount"), primary=primary)
        if isinstance(subaccount, web.Response):
            return subaccount
        user, number, shard = parts_of(group.account)
        pinned = asked.request.query.get("exchange_index")
        if user != asked.user or subaccount not in (None, number) or pinned not in (None, str(shard)):
            return error(404, "not_found")
        return group

    def _told(self, group: Group) -> dict[str, Any]:
        return {
            "is_auto_cancel_enabled": not group.triggered, "contracts_limit_fp": count_text(group.limit),
            "exchange_index": parts_of(group.account)[2],
        }  # fmt: skip

    def _list(self, asked: Asked) -> web.Response:
        accounts = self.door.accounts_of(asked, primary=False)
        if isinstance(accounts, web.Response):
            return accounts
        mine = [g for g in self.door.state.groups.values() if parts_of(g.account)[0] == asked.user]
        wanted = {parts_of(name)[1] for name in accounts}
        rows = [{"id": g.id, **self._told(g)} for g in mine if parts_of(g.account)[1] in wanted]
        return web.json_response({"order_groups": rows})

    def _get(self, asked: Asked) -> web.Response:
        group = self._find(asked, primary=False)
        if isinstance(group, web.Response):
            return group
        return web.json_response({**self._told(group), "orders": [o.venue_order for o in group.orders]})

    def _delete(self, asked: Asked) -> web.Response:
        group = self._find(asked, primary=True)
        if isinstance(group, web.Response):
            return group
        now_ns = self.door.desk.now()
        for order in group.orders:
            self.door.exchange.cancel(order.venue_order, now_ns)
        del self.door.state.groups[group.id]
        self._tell(group, "deleted", now_ns)
        return web.json_response({})

    def _reset(self, asked: Asked) -> web.Response:
        group = self._find(asked, primary=True)
        if isinstance(group, web.Response):
            return group
        group.triggered = False
        group.matched.clear()
        self._tell(group, "reset", self.door.desk.now())
        return web.json_response({})

    def _trigger(self, asked: Asked) -> web.Response:
        group = self._find(asked, primary=True)
        if isinstance(group, web.Response):
            return group
        if not group.triggered:
            self._fire(group, self.door.desk.now())
        return web.json_response({})

    def _limit(self, asked: Asked) -> web.Response:
        group, limit = self._find(asked, primary=True), self._limit_of(asked.body)
        if isinstance(group, web.Response):
            return group
        if isinstance(limit, web.Response):
            return limit
        group.limit, now_ns = limit, self.door.desk.now()
        self._tell(group, "limit_updated", now_ns, contracts_limit_fp=count_text(limit))
        if not group.triggered and group.matched and group.within(now_ns) >= limit:
            self._fire(group, now_ns)
        return web.json_response({})
