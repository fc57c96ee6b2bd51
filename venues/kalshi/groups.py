"""Order groups: a common limit for several orders, and a fence.

A group that is triggered has its orders cancelled and takes no new ones until it is reset. So an order whose fate is
unknown, and which names the group, cannot arrive any more once the trigger is acknowledged: the next fresh list says
what became of it. A group lives on one shard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from messages.reasons import Trouble
from messages.units import Quantity
from venues.calls import Missing
from venues.http import WireError
from venues.kalshi.account import GROUPS, Account
from venues.kalshi.acts import judge
from venues.kalshi.codec import count_text
from venues.port import ActAnswer, Done, Failed, OrderGroup, Unsure
from venues.reading import is_object, json_of, objects, quantity_of, text_of, whole_of


class Groups(Account):
    async def make_group(self, most: Quantity, shard: int = 0) -> ActAnswer:
        """`most` may match within any 15 s; then the group triggers itself. `Done.text` is its id."""
        asked: dict[str, object] = {"contracts_limit_fp": count_text(most), "exchange_index": shard}
        if self.subaccount is not None:
            asked["subaccount"] = self.subaccount
        answer = await self._act("POST", f"{GROUPS}/create", msgspec.json.encode(asked))
        _, said = judge(answer, self._now())
        if not isinstance(said, Done) or isinstance(answer, WireError):
            return said
        told = json_of(answer.body)
        made = text_of(told, "order_group_id") if is_object(told) else ""
        # made, and not to be named: it hurts nobody, and shows up in the list of groups
        return Done(said.at, made) if made else Unsure(Trouble.MALFORMED, "the venue does not name the group")

    async def groups(self) -> tuple[OrderGroup, ...] | Failed:
        told = await self._calls.read(self._scoped(GROUPS))
        if not isinstance(told, Failed) and not isinstance(told, Missing):
            listed = told.value.get("order_groups", []) if is_object(told.value) else None
            if isinstance(listed, list) and len(objects(listed)) == len(listed):
                found = [_group(text_of(row, "id"), row) for row in objects(listed)]
                if all(group.group for group in found):
                    return tuple(found)
        return told if isinstance(told, Failed) else Failed(text="the list of groups cannot be read")

    async def group(self, group: str) -> OrderGroup | Failed | None:
        told = await self._calls.read(self._scoped(f"{GROUPS}/{quote(group, safe='')}"))
        if isinstance(told, Missing):
            return None
        if isinstance(told, Failed):
            return told
        return _group(group, told.value) if is_object(told.value) else Failed(text="the group cannot be read")

    async def trigger_group(self, group: str, shard: int = 0) -> ActAnswer:
        """The fence: cancels its orders and takes no new ones until it is reset."""
        return await self._change("PUT", group, "/trigger", shard, {})

    async def reset_group(self, group: str, shard: int = 0) -> ActAnswer:
        return await self._change("PUT", group, "/reset", shard, {})

    async def limit_group(self, group: str, most: Quantity, shard: int = 0) -> ActAnswer:
        """A limit that is reached already triggers it."""
        return await self._change("PUT", group, "/limit", shard, {"contracts_limit_fp": count_text(most)})

    async def drop_group(self, group: str, shard: int = 0) -> ActAnswer:
        return await self._change("DELETE", group, "", shard, None)

    async def _change(
        self, method: str, group: str, what: str, shard: int, asked: Mapping[str, object] | None
    ) -> ActAnswer:
        path = self._scoped(f"{GROUPS}/{quote(group, safe='')}{what}?exchange_index={shard}")
        return judge(await self._act(method, path, None if asked is None else msgspec.json.encode(asked)), self._now())[
            1
        ]


def _group(group: str, told: Mapping[str, Any]) -> OrderGroup:
    active = told.get("is_auto_cancel_enabled")
    orders = told.get("orders")
    return OrderGroup(
        group=group,
        most=quantity_of(told, "contracts_limit_fp"),
        active=active if isinstance(active, bool) else None,
        orders=tuple(order for order in orders if isinstance(order, str)) if isinstance(orders, list) else (),
        shard=whole_of(told, "exchange_index"),
    )
