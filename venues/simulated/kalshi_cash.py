"""Where a Kalshi user's cash lies: sub-accounts, shards, and the transfers between them."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from venues.simulated.accounts import Account
from venues.simulated.happenings import S
from venues.simulated.kalshi_accounts import SUBACCOUNTS_MAX, account_id, parts_of
from venues.simulated.kalshi_auth import error
from venues.simulated.kalshi_door import Asked, KalshiDoor
from venues.simulated.kalshi_state import Transfer
from venues.simulated.kalshi_words import limit_of, page_of
from venues.simulated.scale import money_text, price_text

CENT, CENTICENT = 10_000, 100  # in micro-dollars
PATH = "/portfolio/subaccounts"
INSTANCE = "/portfolio/intra_exchange_instance_transfer"


class KalshiCash:
    def __init__(self, door: KalshiDoor) -> None:
        self.door = door

    def routes(self) -> list[web.RouteDef]:
        serve = self.door.serve
        return [
            serve("POST", PATH, self._create, needs="exchange"),
            serve("POST", PATH + "/transfer", self._between_subaccounts, needs="exchange"),
            serve("GET", PATH + "/balances", self._balances),
            serve("GET", PATH + "/transfers", self._subaccount_transfers),
            serve("GET", PATH + "/netting", self._netting),
            serve("PUT", PATH + "/netting", self._set_netting),
            serve("POST", INSTANCE, self._between_shards, needs="exchange"),
            serve("GET", INSTANCE + "s", self._transfers),
            serve("GET", INSTANCE + "s/{transfer_id}", self._transfer),
            serve("GET", "/portfolio/target_balance_allocation", self._allocation),
            serve("POST", "/portfolio/target_balance_allocation", self._allocate, needs="exchange"),
        ]

    def _open(self, user: str, subaccount: int, shard: int) -> Account:
        name = account_id(user, subaccount, shard)
        return self.door.exchange.accounts.get(name) or self.door.exchange.open_account(name, 0)

    def _create(self, asked: Asked) -> web.Response:
        """Sub-accounts are numbered in turn; tiers below Advanced have none."""
        number = self.door.state.subaccounts.get(asked.user, 0) + 1
        if self.door.buckets.tier == "basic":
            return error(400, "invalid_parameters", details="subaccounts need the Advanced tier")
        if number > SUBACCOUNTS_MAX:
            return error(400, "invalid_parameters", details=f"at most {SUBACCOUNTS_MAX} subaccounts")
        shard = asked.body.get("exchange_index") or 0
        if shard not in self.door.state.shards:
            return error(400, "invalid_parameters", details="exchange_index is unknown")
        self.door.state.subaccounts[asked.user] = number
        self._open(asked.user, number, shard)
        return web.json_response({"subaccount_number": number}, status=201)

    # transfers

    def _between_subaccounts(self, asked: Asked) -> web.Response:
        body = asked.body
        if not body.get("client_transfer_id"):
            return error(400, "invalid_parameters", details="client_transfer_id is required")
        shard = body.get("exchange_index") or 0
        moved = self._move(
            asked,
            (body.get("from_subaccount"), shard),
            (body.get("to_subaccount"), shard),
            body.get("amount_cents"),
            CENT,
        )
        return moved if isinstance(moved, web.Response) else web.json_response({})

    def _between_shards(self, asked: Asked) -> web.Response:
        body = asked.body
        if body.get("source") != "event_contract" or body.get("destination") != "event_contract":
            return error(400, "invalid_parameters", details="only event_contract is simulated")
        source = (body.get("source_subaccount") or 0, body.get("source_exchange_shard") or 0)
        destination = (body.get("destination_subaccount") or 0, body.get("destination_exchange_shard") or 0)
        moved = self._move(asked, source, destination, body.get("amount"), CENTICENT)
        return moved if isinstance(moved, web.Response) else web.json_response({"transfer_id": moved.id})

    def _move(
        self, asked: Asked, source: tuple[Any, Any], destination: tuple[Any, Any], amount: object, unit: int
    ) -> Transfer | web.Response:
        numbers = (*source, *destination, amount)
        if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in numbers) or not amount:
            return error(400, "invalid_parameters", details="subaccounts, shards and amount must be integers")
        highest, money = self.door.state.subaccounts.get(asked.user, 0), int(str(amount)) * unit
        if max(source[0], destination[0]) > highest:
            return error(400, "invalid_parameters", details="no such subaccount")
        if source[1] not in self.door.state.shards or destination[1] not in self.door.state.shards:
            return error(400, "invalid_parameters", details="no such exchange index")
        client_id = str(asked.body.get("client_transfer_id") or "")
        if client_id and any(t.client_id == client_id and t.user == asked.user for t in self.door.state.transfers):
            return error(409, "transfer_already_exists")
        sender = self._open(asked.user, source[0], source[1])
        if sender.available < money:
            return error(400, "insufficient_balance")
        receiver = self._open(asked.user, destination[0], destination[1])
        for account, sign in ((sender, -1), (receiver, 1)):
            account.cash += sign * money
            account.deposits += sign * money
        made = Transfer(
            self.door.exchange.next_id(), client_id, asked.user, source, destination, money, self.door.desk.now()
        )
        self.door.state.transfers.append(made)
        self.door.watch_cash()
        return made

    # reads

    def _balances(self, asked: Asked) -> web.Response:
        accounts = self.door.accounts_of(asked, primary=False)
        if isinstance(accounts, web.Response):
            return accounts
        rows = []
        for name in accounts:
            _, number, shard = parts_of(name)
            held = self.door.exchange.accounts[name]
            rows.append(
                {
                    "subaccount_number": number, "exchange_index": shard, "balance": price_text(held.available // 100),
                    "updated_ts": self.door.desk.now() // S,
                }
            )  # fmt: skip
        return web.json_response({"subaccount_balances": rows})

    def _subaccount_transfers(self, asked: Asked) -> web.Response:
        limit = limit_of(asked.request, "GetSubaccountTransfers")
        if isinstance(limit, web.Response):
            return limit
        rows: list[tuple[str, dict[str, object]]] = [
            (
                t.id,
                {
                    "transfer_id": t.id, "from_subaccount": t.source[0], "to_subaccount": t.destination[0],
                    "amount_cents": t.amount // CENT, "created_ts": t.at_ns // S, "exchange_index": t.source[1],
                },
            )
            for t in reversed(self.door.state.transfers)
            if t.user == asked.user and t.source[1] == t.destination[1]
        ]  # fmt: skip
        page, cursor = page_of(asked.request, rows, limit)
        return web.json_response({"transfers": page, "cursor": cursor})

    def _transfer_told(self, transfer: Transfer) -> dict[str, object]:
        told: dict[str, object] = {
            "transfer_id": transfer.id, "source": "event_contract", "destination": "event_contract",
            "source_exchange_shard": transfer.source[1], "destination_exchange_shard": transfer.destination[1],
            "amount": money_text(transfer.amount), "status": "complete", "created_ts": transfer.at_ns // S,
        }  # fmt: skip
        return told | ({"client_transfer_id": transfer.client_id} if transfer.client_id else {})

    def _transfers(self, asked: Asked) -> web.Response:
        limit = limit_of(asked.request, "GetIntraExchangeInstanceTransfers")
        if isinstance(limit, web.Response):
            return limit
        mine = [
            t for t in reversed(self.door.state.transfers) if t.user == asked.user and t.source[1] != t.destination[1]
        ]
        page, cursor = page_of(asked.request, [(t.id, self._transfer_told(t)) for t in mine], limit)
        return web.json_response({"transfers": page} | ({"cursor": cursor} if cursor else {}))

    def _transfer(self, asked: Asked) -> web.Response:
        wanted = asked.request.match_info["transfer_id"]
        found = next((t for t in self.door.state.transfers if t.id == wanted and t.user == asked.user), None)
        if found is None:
            return error(404, "not_found")
        return web.json_response({"transfer": self._transfer_told(found)})

    def _netting(self, asked: Asked) -> web.Response:
        rows = [
            {
                "subaccount_number": number, "exchange_index": 0,
                "enabled": self.door.state.netting.get((asked.user, number), False),
            }
            for number in range(self.door.state.subaccounts.get(asked.user, 0) + 1)
        ]  # fmt: skip
        return web.json_response({"netting_configs": rows})

    def _set_netting(self, asked: Asked) -> web.Response:
        number, enabled = asked.body.get("subaccount_number"), asked.body.get("enabled")
        if not isinstance(number, int) or not isinstance(enabled, bool):
            return error(400, "invalid_parameters", details="subaccount_number and enabled are required")
        if number > self.door.state.subaccounts.get(asked.user, 0):
            return error(400, "invalid_parameters", details="no such subaccount")
        self.door.state.netting[(asked.user, number)] = enabled
        return web.json_response({})

    # a standing target

    def _allocation(self, asked: Asked) -> web.Response:
        shares = self.door.state.allocations.get(asked.user) or {0: 100}
        rows = [{"exchange_index": shard, "percent": percent} for shard, percent in sorted(shares.items())]
        return web.json_response({"allocations": rows, "resting_margin_reservation": "none"})

    def _allocate(self, asked: Asked) -> web.Response:
        """Free cash of the primary sub-account follows the shares ten seconds later."""
        rows = asked.body.get("allocations")
        if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
            return error(400, "invalid_parameters", details="allocations is required")
        shares = {r.get("exchange_index"): r.get("percent") for r in rows}
        known = all(k in self.door.state.shards and isinstance(v, int) for k, v in shares.items())
        if not known or sum(v for v in shares.values() if isinstance(v, int)) != 100:
            return error(400, "invalid_parameters", details="percents of known exchange indexes must add up to 100")
        user = asked.user
        self.door.state.allocations[user] = {int(str(k)): int(str(v)) for k, v in shares.items()}
        self.door.exchange.at(self.door.desk.now() + 10 * S, lambda _: self._rebalance(user))
        return web.json_response({})

    def _rebalance(self, user: str) -> None:
        shares = self.door.state.allocations[user]
        held = {shard: self._open(user, 0, shard) for shard in self.door.state.shards}
        total = sum(max(0, account.available) for account in held.values())
        given = 0
        for shard, account in held.items():
            if shard == 0:
                continue
            target = total * shares.get(shard, 0) // 100
            delta = target - max(0, account.available)
            account.cash, account.deposits = account.cash + delta, account.deposits + delta
            given += delta
        held[0].cash, held[0].deposits = held[0].cash - given, held[0].deposits - given
        self.door.watch_cash()
