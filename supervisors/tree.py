"""The supervision tree: one literal that says who lives, who starts whom, and who may tell whom.

`tells` is the wiring. Whoever is not named there is never introduced and cannot be reached, so the message graph of the
running engine is this table and can be drawn and checked without running anything.

Names are patterns: `{venue}` stands for every configured venue, `executor` becomes `executor`, `executor.2`, … by the
number of shards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from core.claims import EXECUTOR, executors_of
from supervisors.restarts import Kind, Strategy

ROOT = "supervisor.root"
SUPERVISOR_SHELL = "supervisors.supervisor:Supervisor"

HOT = 0
OWNER = 5
"""Owners answer ahead of need; a busy executor goes first."""
BACKGROUND = 10


@dataclass(frozen=True, slots=True)
class Leaf:
    """One actor."""

    name: str
    shell: str
    """`module:Class`, imported in the actor's own process."""
    kind: Kind = Kind.PERMANENT
    tells: tuple[str, ...] = ()
    nice: int = HOT
    region: str = ""
    """Of the node it must run on; empty is anywhere."""


@dataclass(frozen=True, slots=True)
class Node:
    """One supervisor and those it answers for."""

    name: str
    children: tuple[Node | Leaf, ...]
    strategy: Strategy = Strategy.ONE_FOR_ONE
    kind: Kind = Kind.PERMANENT
    in_order: bool = False
    region: str = ""
    shell: str = SUPERVISOR_SHELL
    nice: int = HOT


EXECUTORS = "executor*"
ACCOUNT_OF_ALL = (EXECUTORS, "recorder")

TREE = Node(
    ROOT,
    in_order=True,
    children=(
        Node(
            "supervisor.owners",
            children=(
                Leaf("key_pool.{venue}", "actors.key_pool:KeyPool", tells=ACCOUNT_OF_ALL, nice=OWNER),
                Leaf("position_book", "actors.position_book:PositionBook", tells=ACCOUNT_OF_ALL, nice=OWNER),
                Leaf("in_flight", "actors.in_flight:InFlight", tells=ACCOUNT_OF_ALL, nice=OWNER),
                Leaf("cooldowns", "actors.cooldowns:CooldownOwner", tells=ACCOUNT_OF_ALL, nice=OWNER),
                Leaf("recorder", "actors.recorder:Recorder", nice=BACKGROUND),
            ),
        ),
        Node(
            "supervisor.streams",
            children=(
                Leaf("feed.{venue}", "actors.market_feed:MarketFeed", tells=ACCOUNT_OF_ALL),
                Leaf("account.{venue}", "actors.account_stream:AccountStream", tells=ACCOUNT_OF_ALL),
            ),
        ),
        Node(
            "supervisor.trading",
            children=(
                Leaf(
                    "executor",
                    "actors.executor:Executor",
                    tells=("position_book", "in_flight", "cooldowns", "key_pool.*", "recorder"),
                ),
            ),
        ),
    ),
)


def expand(tree: Node, venues: Sequence[str], executors: int = 1) -> Node:
    """The tree of one run: a leaf for every venue and for every executor shard."""

    def several(child: Node | Leaf) -> Iterator[Node | Leaf]:
        if isinstance(child, Node):
            yield replace(child, children=tuple(grown for one in child.children for grown in several(one)))
        elif "{venue}" in child.name:
            for venue in venues:
                yield replace(child, name=child.name.replace("{venue}", venue))
        elif child.name == EXECUTOR:
            for name in executors_of(executors):
                yield replace(child, name=name)
        else:
            yield child

    grown = next(several(tree))
    assert isinstance(grown, Node)
    problems = wrong_with(grown)
    if problems:
        raise ValueError("the supervision tree does not hold: " + "; ".join(problems))
    return grown


def leaves(node: Node | Leaf) -> tuple[Leaf, ...]:
    if isinstance(node, Leaf):
        return (node,)
    return tuple(leaf for child in node.children for leaf in leaves(child))


def nodes(node: Node) -> tuple[Node, ...]:
    return (node, *(below for child in node.children if isinstance(child, Node) for below in nodes(child)))


def above(node: Node) -> dict[str, str]:
    """The supervisor of everybody."""
    return {child.name: one.name for one in nodes(node) for child in one.children}


def edges(node: Node) -> frozenset[tuple[str, str]]:
    """(teller, hearer) for every pair of actors that `tells` allows."""
    names = [leaf.name for leaf in leaves(node)]
    return frozenset(
        (leaf.name, name)
        for leaf in leaves(node)
        for name in names
        if name != leaf.name and any(fnmatchcase(name, pattern) for pattern in leaf.tells)
    )


def wrong_with(node: Node) -> tuple[str, ...]:
    """What a person would have to repair in an expanded tree; empty is right."""
    everyone = [leaf.name for leaf in leaves(node)] + [one.name for one in nodes(node)]
    problems = [f"{name} appears twice" for name in sorted({name for name in everyone if everyone.count(name) > 1})]
    problems += [
        f"{name!r} is no name" for name in everyone if not name or any(c.isspace() or c in "{}/*" for c in name)
    ]
    for leaf in leaves(node):
        problems += [
            f"{leaf.name} tells {pattern!r}, which is nobody"
            for pattern in leaf.tells
            if not any(fnmatchcase(name, pattern) for name in everyone)
        ]
        if leaf.shell.count(":") != 1:
            problems.append(f"{leaf.name}: {leaf.shell!r} is not module:Class")
    problems += [f"{one.name} has no children" for one in nodes(node) if not one.children]
    return tuple(problems)
