"""The literal itself: what it grows into, and who may reach whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from supervisors.tree import TREE, Leaf, Node, above, edges, expand, leaves, nodes, wrong_with

VENUES = ("kalshi", "polymarket")


def test_one_leaf_for_every_venue_and_every_shard():
    tree = expand(TREE, VENUES, executors=2)
    assert [leaf.name for leaf in leaves(tree)] == [
        *("key_pool.kalshi", "key_pool.polymarket", "position_book", "in_flight", "cooldowns", "recorder"),
        *("feed.kalshi", "feed.polymarket", "account.kalshi", "account.polymarket"),
        *("executor", "executor.2"),
    ]


def test_owners_start_before_streams_and_streams_before_trading():
    tree = expand(TREE, VENUES)
    assert tree.in_order
    assert [child.name for child in tree.children] == ["supervisor.owners", "supervisor.streams", "supervisor.trading"]


@pytest.mark.parametrize(
    ("teller", "hearer", "may"),
    [
        ("executor", "key_pool.kalshi", True),
        ("executor", "position_book", True),
        ("executor", "in_flight", True),
        ("executor", "cooldowns", True),
        ("executor", "recorder", True),
        ("executor", "executor.2", False),
        ("executor", "feed.kalshi", False),
        ("key_pool.kalshi", "executor.2", True),
        ("key_pool.kalshi", "key_pool.polymarket", False),
        ("position_book", "executor", True),
        ("feed.kalshi", "executor.2", True),
        ("feed.kalshi", "in_flight", False),
        ("account.polymarket", "executor", True),
        ("account.polymarket", "recorder", True),
        ("recorder", "executor", False),
    ],
)
def test_the_wiring(teller: str, hearer: str, may: bool):
    assert ((teller, hearer) in edges(expand(TREE, VENUES, executors=2))) is may


def test_everybody_has_one_supervisor():
    tree = expand(TREE, VENUES)
    assert above(tree)["executor"] == "supervisor.trading"
    assert above(tree)["supervisor.trading"] == "supervisor.root"
    assert len(above(tree)) == len(leaves(tree)) + len(nodes(tree)) - 1


LEAF = Leaf("a", "somewhere:A")


@pytest.mark.parametrize(
    ("children", "problem"),
    [
        ((LEAF, LEAF), "a appears twice"),
        ((LEAF, Leaf("b", "x:B", tells=("c*",))), "b tells 'c*', which is nobody"),
        ((Leaf("a b", "x:B"),), "'a b' is no name"),
        ((Leaf("b/c", "x:B"),), "'b/c' is no name"),
        ((Leaf("b", "x.B"),), "b: 'x.B' is not module:Class"),
        ((Node("empty", ()),), "empty has no children"),
        ((replace(LEAF, name="c.{venue}"),), "'c.{venue}' is no name"),
    ],
)
def test_a_tree_that_does_not_hold_says_what_is_wrong(children: tuple[Leaf | Node, ...], problem: str):
    assert problem in wrong_with(Node("root", children))


def test_a_tree_that_does_not_hold_is_not_grown():
    with pytest.raises(ValueError, match="which is nobody"):
        expand(Node("root", (Leaf("a.{venue}", "x:A", tells=("b",)),)), VENUES)
