"""A supervisor: the shell around a `Keeper`, hosted like any other actor.

It creates its children, so they die with it, and it is ordered about by calls that messages cannot express, because they
carry the way to reach a process. Whoever keeps the top of the tree is also the registry of everybody below.
"""

from __future__ import annotations

from typing import Any

from actors.runtime import Remote, end_process, in_time
from actors.shell import Clock, Outbox, Place
from messages.base import Message
from messages.control import PeerDown, PeerUp
from messages.units import SECOND, Nanos
from supervisors.happenings import Arrival
from supervisors.keeper import Duty, Keeper, Permit, rules_of
from supervisors.restarts import Cause
from supervisors.root import Root
from supervisors.tree import Node

REGISTRY_WITHIN = Nanos(5 * SECOND)
ESCALATED_EXIT = 72


class RootsRegistry:
    """The registry as seen from below: calls to the root."""

    def __init__(self, root: Remote) -> None:
        self._root = root

    async def permit(self, name: str) -> Permit:
        permit = await in_time(self._root.order("permit", name), REGISTRY_WITHIN)
        assert isinstance(permit, Permit)
        return permit

    async def arrived(self, arrival: Arrival) -> None:
        await in_time(self._root.order("arrived", arrival), REGISTRY_WITHIN)

    async def departed(self, name: str, epoch: int, reason: str, at: int) -> None:
        await in_time(self._root.order("departed", name, epoch, reason, at), REGISTRY_WITHIN)


class Supervisor:
    """One node of the tree."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._keeper: Keeper | None = None
        self._root: Root | None = None

    async def start(self, outbox: Outbox, clock: Clock) -> str:
        return ""  # the children come by `begin`, once this process is known itself

    async def hear(self, sender: str, message: Message) -> Message | None:
        return None

    def introduced(self, peer: PeerUp | PeerDown) -> None:
        return None

    def snapshot(self) -> dict[str, object]:
        if self._keeper is None:
            return {}
        roster = self._keeper.roster
        return {
            "strategy": roster.strategy.value,
            "halted": roster.halted,
            "deaths_in_window": len(roster.deaths),
            "spare": self._keeper.spare_pid,
            "children": {
                child.name: {"phase": child.phase.value, "restarts": child.restarts} for child in roster.children
            },
        }

    async def stop(self) -> None:
        if self._keeper is not None:
            await self._keeper.close()

    async def order(self, what: str, *details: Any) -> Any:
        if what == "begin":
            return await self._begin(*details)
        if what == "ages":
            return self._keeper.ages_ms() if self._keeper else {}
        if self._root is None:
            raise RuntimeError(f"{self.place.name} does not understand {what!r}")
        return await self._root.order(what, *details)

    async def _begin(self, duty: Duty) -> None:
        if duty.root is None:
            self._root = Root(duty, self.place)
            self._keeper = self._root.keeper
            await self._root.begin()
            return
        root = duty.root

        def duty_below(node: Node) -> Duty:
            return Duty(node, duty.kill_at, root)

        self._keeper = Keeper(
            duty.node,
            RootsRegistry(root),
            self.place,
            rules_of(self.place.settings),
            duty.kill_at,
            duty_below,
            self._give_up,
        )
        await self._keeper.begin()

    def _give_up(self, why: str) -> None:
        """End with everybody below; the parent decides what that means."""
        end_process(self.place, Cause.ESCALATED.value, why, ESCALATED_EXIT)
