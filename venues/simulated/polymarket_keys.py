"""API keys of wallets, what a key may do, and the heartbeat that guards its orders."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from venues.simulated.credentials import PolymarketKey, derived_key
from venues.simulated.ethereum import same_address
from venues.simulated.happenings import S
from venues.simulated.polymarket_auth import check_l1, error
from venues.simulated.polymarket_door import PolymarketDoor

BEAT_WITHIN_NS = 10 * S


@dataclass(slots=True)
class Pulse:
    """The dead-man switch of one API key: which id its next beat must carry, and until when it must come."""

    expected: str
    due_ns: int


class PolymarketKeys:
    def __init__(self, door: PolymarketDoor) -> None:
        self.door = door
        self._pulses: dict[str, Pulse] = {}
        self.missed: list[tuple[str, int, int]] = []
        """API key, time, and how many orders were cancelled for want of a beat."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/auth/api-key", self._api_key),
            web.get("/auth/derive-api-key", self._api_key),
            web.get("/auth/api-keys", self._private(lambda key, _: self._listed(key))),
            web.delete("/auth/api-key", self._private(lambda key, _: self._deleted(key))),
            web.get("/auth/ban-status/closed-only", self._private(
                lambda key, _: web.json_response({"closed_only": self.door.closed_only(key.account)})
            )),
            web.get("/v1/user/rate-limit-tier", self._private(lambda _, __: self._tier())),
            web.post("/v1/heartbeats", self._private(self._beat)),
            web.get("/notifications", self._private(lambda _, __: web.json_response([]))),
            web.delete("/notifications", self._private(lambda _, __: web.json_response("OK"))),
        ]  # fmt: skip

    def _private(self, answer: Callable[[PolymarketKey, bytes], web.Response]) -> Handler:
        async def respond(request: web.Request) -> web.Response:
            signed = await self.door.key_and_body(request)
            if isinstance(signed, web.Response):
                return signed
            self.door.desk.flush()
            return answer(*signed)

        return respond

    async def _api_key(self, request: web.Request) -> web.Response:
        """Create or derive: the same key for the same nonce. A wallet never seen before gets an account with the venue's
        deposit, so that a bot can come with a key of its own.
        """
        proved = check_l1(request.headers)
        if isinstance(proved, web.Response):
            return proved
        address, nonce = proved
        account = next((k.account for k in self.door.keys.values() if same_address(k.address, address)), None)
        if account is None:
            account = f"wallet-{address[2:10].lower()}"
            self.door.wallets.enrol(address, account)
            self.door.wallets.at(address)
        key = derived_key(self.door.seed, nonce, account, address)
        self.door.keys[key.api_key] = key
        return web.json_response({"apiKey": key.api_key, "secret": key.secret, "passphrase": key.passphrase})

    def _listed(self, key: PolymarketKey) -> web.Response:
        mine = [k.api_key for k in self.door.keys.values() if same_address(k.address, key.address)]
        return web.json_response({"apiKeys": mine})

    def _deleted(self, key: PolymarketKey) -> web.Response:
        del self.door.keys[key.api_key]
        return web.json_response("OK")

    def _tier(self) -> web.Response:
        buckets = self.door.buckets
        rates = {scope: dict(zip(("rate", "burst"), buckets.size(scope), strict=True)) for scope in ("order", "cancel")}
        return web.json_response({"tier": buckets.tier.capitalize(), **rates})

    # the heartbeat

    def _beat(self, key: PolymarketKey, body: bytes) -> web.Response:
        try:
            given = str(json.loads(body or b"{}").get("heartbeat_id") or "")
        except (ValueError, AttributeError):
            return error(400, "Invalid payload")
        pulse = self._pulses.get(key.api_key)
        if given != (pulse.expected if pulse else ""):
            # somebody else feeds this key, or a beat was lost: the switch goes on running
            expected = pulse.expected if pulse else ""
            return web.json_response({"error_msg": "Invalid Heartbeat ID", "heartbeat_id": expected}, status=400)
        now_ns = self.door.desk.now()
        following = str(uuid.uuid5(uuid.UUID(key.api_key), f"{now_ns}/{given}"))
        self._pulses[key.api_key] = Pulse(following, now_ns + BEAT_WITHIN_NS)
        if pulse is None:
            self._watch(key.api_key, now_ns + BEAT_WITHIN_NS)
        return web.json_response({"heartbeat_id": following})

    def _watch(self, api_key: str, at_ns: int) -> None:
        """Look again when the beat is due: there is no disarming, and each missed window sweeps the key's orders."""

        def look(now_ns: int) -> None:
            pulse = self._pulses[api_key]
            if now_ns >= pulse.due_ns:
                self._sweep(api_key, now_ns)
                pulse.due_ns = now_ns + BEAT_WITHIN_NS
            self._watch(api_key, pulse.due_ns)

        self.door.exchange.at(at_ns, look)

    def _sweep(self, api_key: str, now_ns: int) -> None:
        mine = [
            o.venue_order for o in self.door.exchange.orders.values()
            if o.status == "live" and self.door.placed_by.get(o.wire_id) == api_key
        ]  # fmt: skip
        for order in mine:
            self.door.exchange.cancel(order, now_ns, "HeartbeatMissed")
        self.missed.append((api_key, now_ns, len(mine)))
