"""The operator's door of a Polymarket venue: its modes, its markets, and the chain, all without credentials on loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from venues.simulated import resolution
from venues.simulated.polymarket_door import PolymarketDoor
from venues.simulated.polymarket_upheavals import PolymarketUpheavals
from venues.simulated.scale import parse_scaled

PAYOUTS = {"yes": resolution.YES_WINS, "no": resolution.NO_WINS, "even": resolution.EVEN}


class PolymarketOperator:
    def __init__(self, door: PolymarketDoor, upheavals: PolymarketUpheavals) -> None:
        self.door, self.upheavals = door, upheavals

    def routes(self) -> list[web.RouteDef]:
        acts: dict[str, Callable[[dict[str, Any]], object]] = {
            "restart": self._restart, "maintenance": self._maintenance, "tick": self._tick, "contract": self._contract,
            "resolve": self._resolve, "accepting": self._accepting, "closed-only": self._closed_only,
            "redeem": self._redeem, "split": self._split, "merge": self._merge, "convert": self._convert,
        }  # fmt: skip
        return [web.post(f"/admin/{name}", self._taking(act)) for name, act in acts.items()]

    def _taking(self, act: Callable[[dict[str, Any]], object]) -> Callable[[web.Request], Any]:
        async def respond(request: web.Request) -> web.Response:
            try:
                given = await request.json() if request.can_read_body else {}
                done = act(given)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                text = f"{request.path}: {type(error).__name__} {error}; see docs for what it takes"
                return web.json_response({"error": text}, status=400)
            self.door.desk.flush()
            return web.json_response({"done": done})

        return respond

    def _restart(self, given: dict[str, Any]) -> object:
        self.upheavals.restart(
            float(given.get("down_s", 0.3)), float(given.get("engine_s", 1)), float(given.get("post_only_s", 120))
        )
        return True

    def _maintenance(self, given: dict[str, Any]) -> object:
        self.door.mode.maintenance(float(given.get("disabled_s", 60)), float(given.get("cancel_only_s", 60)))
        return True

    def _tick(self, given: dict[str, Any]) -> object:
        self.upheavals.set_tick(self._market(given), parse_scaled(str(given["tick"]), 4) or 100)
        return True

    def _contract(self, given: dict[str, Any]) -> object:
        self.upheavals.next_contract(self._market(given))
        return self.door.by_condition[self._market(given)].polymarket.generation

    def _resolve(self, given: dict[str, Any]) -> object:
        """Returns how many resting orders that cancelled."""
        return self.upheavals.resolve(self._market(given), PAYOUTS[str(given["outcome"])])

    def _accepting(self, given: dict[str, Any]) -> object:
        market = self._market(given)
        (self.door.closed.discard if given["accepting"] else self.door.closed.add)(market)
        return self.door.accepting(market)

    def _closed_only(self, given: dict[str, Any]) -> object:
        account = self._account(given).id
        (self.door.closing.add if given["closed_only"] else self.door.closing.discard)(account)
        return self.door.closed_only(account)

    def _redeem(self, given: dict[str, Any]) -> object:
        """Returns the cash in micro-dollars."""
        return resolution.redeem(self.door.exchange, self._account(given), self._market(given), self.door.desk.now())

    def _split(self, given: dict[str, Any]) -> object:
        return resolution.split(
            self.door.exchange, self._account(given), self._market(given), int(given["quantity"]), self.door.desk.now()
        )

    def _merge(self, given: dict[str, Any]) -> object:
        return resolution.merge(
            self.door.exchange, self._account(given), self._market(given), int(given["quantity"]), self.door.desk.now()
        )

    def _convert(self, given: dict[str, Any]) -> object:
        chosen = [str(market).lower() for market in given["markets"]]
        event = self.door.event_of(chosen[0])
        if not set(chosen) <= set(event):
            return False
        return resolution.convert(
            self.door.exchange, self._account(given), event, chosen, int(given["quantity"]), self.door.desk.now()
        )

    def _market(self, given: dict[str, Any]) -> str:
        market = str(given["market"]).lower()
        if market not in self.door.by_condition:
            raise ValueError(f"market {market} is unknown")
        return market

    def _account(self, given: dict[str, Any]) -> Any:
        return self.door.exchange.accounts[str(given.get("account", "trader-1"))]
