"""One Kalshi account as our key sees it: the session, the signature, and which sub-account everything is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from messages.units import Nanos
from venues.calls import Calls, Told
from venues.credentials import KalshiCredentials
from venues.http import Response, SessionWire, Wire, WireError
from venues.kalshi.sign import Signer
from venues.port import Allowance, Capabilities, Clock, Failed, Traffic
from venues.reading import is_object, object_of, objects, text_of, whole_of

ORDERS = "/portfolio/events/orders"
GROUPS = "/portfolio/order_groups"


class Account:
    """What all parts of order entry share."""

    def __init__(
        self,
        name: str,
        rest: str,
        credentials: KalshiCredentials,
        clock: Clock,
        capabilities: Capabilities,
        request_timeout_s: float = 2.0,
        connect_timeout_s: float = 1.0,
        wire: Wire | None = None,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self.subaccount = credentials.subaccount
        """None: the key's own, which the venue knows; then nothing is said of it."""
        self._clock = clock
        self._root = urlsplit(rest).path.rstrip("/")
        self._signer = Signer(credentials, clock)
        self._calls = Calls(wire or SessionWire(rest, connect_timeout_s), self._sign, request_timeout_s)
        self._allowances: tuple[Allowance, ...] = ()

    async def open(self) -> None:
        await self._calls.open()
        self._signer.check()
        if self._signer.slow:
            await self._signer.renew("POST", self._root + ORDERS)
            self._calls.keep(self._signer.keep_ready("POST", self._root + ORDERS))
        await self._calls.warm_up("/exchange/status")
        self._calls.keep(self._calls.keep_warm("/exchange/status"))

    async def close(self) -> None:
        await self._calls.close()

    def traffic(self) -> Traffic:
        return replace(self._calls.traffic, allowances=self._allowances)

    async def limits(self) -> tuple[Allowance, ...] | Failed:
        """Our tier's read and write budgets: 10 tokens a request, 2 a cancel or a single order."""
        told = await self._calls.read("/account/limits")
        if not isinstance(told, Told):
            return told if isinstance(told, Failed) else Failed(text="HTTP 404 to the limits")
        found = []
        for scope in ("read", "write"):
            bucket = object_of(told.value, scope)
            most, rate = whole_of(bucket, "bucket_capacity"), whole_of(bucket, "refill_rate")
            if most is None or rate is None or not 0 < rate < 10**9 or not 0 < most < 10**9:
                return Failed(text=f"the {scope} limit cannot be read")
            found.append(Allowance(scope=scope, most=most, per_second=rate))
        self._allowances = tuple(found)
        return self._allowances

    async def costs(self) -> Mapping[str, int] | Failed:
        """Tokens by `METHOD path`, as the venue writes paths (`:order_id`); "" is any other."""
        told = await self._calls.read("/account/endpoint_costs", public=True)
        if isinstance(told, Failed):
            return told
        rest = whole_of(told.value, "default_cost") if isinstance(told, Told) and is_object(told.value) else None
        listed = told.value.get("endpoint_costs") if isinstance(told, Told) and is_object(told.value) else None
        if rest is None or not isinstance(listed, list) or len(objects(listed)) != len(listed):
            return Failed(text="the costs of requests cannot be read")
        found = {"": rest}
        for row in objects(listed):
            cost = whole_of(row, "cost")
            if cost is None or cost < 0:
                return Failed(text="the cost of a request cannot be read")
            found[f"{text_of(row, 'method')} {text_of(row, 'path').removeprefix(self._root)}"] = cost
        return found

    def _scoped(self, path: str) -> str:
        """The path with our sub-account in its query, where one is configured."""
        if self.subaccount is None:
            return path
        return f"{path}{'&' if '?' in path else '?'}subaccount={self.subaccount}"

    async def _act(self, method: str, path: str, body: bytes | None = None) -> Response | WireError:
        """One signed request that changes something: never repeated."""
        try:
            return await self._calls.once(method, path, await self._sign(method, path, body or b""), body)
        except WireError as error:
            return error

    async def _sign(self, method: str, path: str, body: bytes) -> Mapping[str, str]:
        signed = await self._signer.signed(method, self._root + path.partition("?")[0])
        return {**signed, "Content-Type": "application/json"} if body else signed

    def _now(self) -> Nanos:
        return self._clock.now()
