"""What a death means, told as stories. Left of the bar what happens, right of it what is ordered at that moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.units import MILLISECOND, SECOND, Nanos
from supervisors.restarts import (
    Cause,
    Child,
    Escalate,
    Kill,
    Kind,
    Limits,
    Order,
    Phase,
    Roster,
    Start,
    Strategy,
    begin,
    on_death,
    on_started,
)

CAUSES = {
    "died": Cause.KILLED,
    "failed": Cause.FAILED,
    "hung": Cause.HUNG,
    "escalated": Cause.ESCALATED,
    "ended": Cause.ENDED,
}


def roster_of(line: str) -> Roster:
    """`one_for_one a b:temporary, in_order, last, most 2`"""
    head, *options = [part.strip() for part in line.split(",")]
    strategy, *names = head.split()
    most = next((int(option.split()[1]) for option in options if option.startswith("most ")), 5)
    children = []
    for name in names:
        who, _, kind = name.partition(":")
        children.append(Child(who, Kind(kind or "permanent")))
    return Roster(
        tuple(children),
        Strategy(strategy),
        Limits(most=most),
        in_order="in_order" in options,
        last="last" in options,
    )


def written(order: Order, now: Nanos) -> str:
    match order:
        case Start(name, at):
            later = (at - now) / SECOND
            return f"start {name}" if later <= 0 else f"start {name} in {later:g}s"
        case Kill(name):
            return f"kill {name}"
        case Escalate():
            return "escalate"


def story(text: str) -> Roster:
    first, *lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    roster = roster_of(first)
    for line in lines:
        if line.startswith("=>"):
            expected = dict(part.strip().split() for part in line[2:].split(","))
            assert {child.name: child.phase.value for child in roster.children} == expected, line
            continue
        left, _, right = line.partition("|")
        at, what, *who = left.split()
        now = Nanos(round(float(at.removesuffix("s")) * SECOND))
        orders: list[Order] = []
        for name in who or [""]:
            match what:
                case "begin":
                    roster, said = begin(roster, now)
                case "up":
                    roster, said = on_started(roster, name, now)
                case _:
                    roster, said = on_death(roster, name, now, CAUSES[what])
            orders += said
        assert ", ".join(written(order, now) for order in orders) == right.strip(), line
    return roster


def test_all_start_at_once_and_only_the_dead_one_is_restarted():
    story("""
        one_for_one a b c
        0s  begin      | start a, start b, start c
        1s  up a b c   |
        5s  died b     | start b
        => a up, b starting, c up
        6s  up b       |
        => a up, b up, c up
    """)


def test_an_ordered_start_waits_for_each_and_later_restarts_wait_for_nobody():
    story("""
        one_for_one a b c, in_order
        0s  begin      | start a
        1s  up a       | start b
        1s  died a     | start a
        2s  up b       | start c
        2s  died b     | start b
        3s  up a c b   |
        => a up, b up, c up
    """)


def test_a_start_that_fails_is_a_death_and_the_order_is_kept():
    story("""
        one_for_one a b, in_order
        0s  begin      | start a
        1s  failed a   | start a
        2s  failed a   | start a in 0.05s
        3s  up a       | start b
        4s  up b       |
    """)


def test_one_for_all_stops_the_others_last_first_and_starts_all_in_order():
    story("""
        one_for_all a b c
        0s  begin      | start a
        0s  up a       | start b
        0s  up b       | start c
        0s  up c       |
        1s  died b     | kill c, kill a
        => a stopping, b down, c stopping
        1s  died c     |
        1s  died a     | start a
        2s  up a       | start b
        2s  up b       | start c
        2s  up c       |
        => a up, b up, c up
    """)


def test_rest_for_one_takes_along_only_who_was_started_later():
    story("""
        rest_for_one a b c
        0s  begin      | start a
        0s  up a       | start b
        0s  up b       | start c
        0s  up c       |
        1s  died b     | kill c
        => a up, b down, c stopping
        1s  died c     | start b
        2s  up b       | start c
        2s  up c       |
    """)


def test_a_death_of_an_earlier_sibling_joins_the_group_that_is_restarting():
    story("""
        rest_for_one a b c
        0s  begin      | start a
        0s  up a       | start b
        0s  up b       | start c
        0s  up c       |
        1s  died b     | kill c
        1s  died a     |
        => a down, b down, c stopping
        1s  died c     | start a
        2s  up a       | start b
        2s  up b       | start c
    """)


@pytest.mark.parametrize(
    ("kind", "what", "restarted"),
    [
        ("permanent", "ended", True),
        ("permanent", "died", True),
        ("transient", "ended", False),
        ("transient", "died", True),
        ("transient", "hung", True),
        ("temporary", "ended", False),
        ("temporary", "died", False),
    ],
)
def test_restart_kinds(kind: str, what: str, restarted: bool):
    roster = story(f"""
        one_for_one a:{kind}
        0s  begin      | start a
        0s  up a       |
        1s  {what} a   | {"start a" if restarted else ""}
    """)
    assert roster.phase("a") is (Phase.STARTING if restarted else Phase.GONE)


def test_a_temporary_sibling_that_was_taken_along_does_not_come_back():
    story("""
        one_for_all a b:temporary
        0s  begin      | start a
        0s  up a       | start b
        0s  up b       |
        1s  died a     | kill b
        1s  died b     | start a
        1s  up a       |
        => a up, b gone
    """)


def test_the_first_restart_is_immediate_and_the_next_ones_wait_longer():
    story("""
        one_for_one a b, most 9
        0s     begin   | start a, start b
        0s     up a b  |
        1s     died a  | start a
        2s     died a  | start a in 0.05s
        3s     died a  | start a in 0.1s
        4s     died a  | start a in 0.2s
        4s     died b  | start b
        5s     died a  | start a in 0.4s
        6s     died a  | start a in 0.8s
        30s    died a  | start a
    """)


def test_deaths_outside_the_window_are_forgotten():
    story("""
        one_for_one a, most 2
        0s   begin     | start a
        1s   died a    | start a
        2s   died a    | start a in 0.05s
        11s  died a    | start a in 0.05s
        12s  died a    | start a in 0.05s
    """)


def test_too_many_deaths_escalate_and_then_nothing_has_an_effect():
    roster = story("""
        one_for_one a b, most 2
        0s  begin      | start a, start b
        0s  up a b     |
        1s  died a     | start a
        1s  died b     | start b
        2s  hung a     | escalate
        3s  died b     |
        3s  up b       |
        4s  begin      |
    """)
    assert roster.closed


def test_at_the_top_too_many_deaths_mean_the_safe_state_and_slow_restarts():
    roster = story("""
        one_for_one a b, most 1, last
        0s   begin     | start a, start b
        0s   up a b    |
        1s   died a    | start a
        2s   died a    | escalate, start a in 10s
        13s  up a      |
        14s  died a    | start a in 10s
        14s  died b    | start b in 10s
        14s  died b    | start b in 10s
    """)
    assert roster.halted
    assert not roster.closed


def test_the_safe_state_does_not_keep_the_others_waiting_for_the_one_that_fails():
    story("""
        one_for_one a b c, in_order, most 1, last
        0s  begin      | start a
        1s  failed a   | start a
        2s  failed a   | escalate, start b, start c, start a in 10s
    """)


def test_a_second_escalation_from_below_escalates_although_deaths_are_few():
    story("""
        one_for_one a b, most 5, last
        0s    begin        | start a, start b
        0s    up a b       |
        10s   escalated a  | start a
        50s   escalated a  | escalate, start a in 10s
    """)


def test_what_makes_no_sense_has_no_effect():
    roster = story("""
        one_for_one a b
        0s  died a     |
        0s  up a       |
        0s  begin      | start a, start b
        0s  up a       |
        0s  up a       |
        0s  begin      |
        1s  died nobody |
        1s  up nobody  |
    """)
    assert roster.deaths == ()


# ------------------------------------------------------------------------------------------------------------ properties


@dataclass
class World:
    """Performs orders as a supervisor would: who was killed dies at the next step, who was started may come up or die."""

    roster: Roster
    running: set[str] = field(default_factory=set)
    killed: list[str] = field(default_factory=list)
    starts: list[tuple[Nanos, str, bool]] = field(default_factory=list)
    escalations: int = 0

    def perform(self, outcome: tuple[Roster, tuple[Order, ...]], now: Nanos) -> None:
        halted_before = self.roster.halted
        self.roster, orders = outcome
        for order in orders:
            match order:
                case Start(name, at):
                    assert name not in self.running, "started twice at once"
                    assert at >= now - 20 * SECOND
                    self.running.add(name)
                    self.starts.append((at, name, halted_before or self.roster.halted))
                case Kill(name):
                    assert name in self.running, "nobody to kill"
                    self.killed.append(name)
                case Escalate():
                    self.escalations += 1

    def step(self, now: Nanos, what: str, who: str) -> None:
        if self.killed:
            who, what = self.killed.pop(0), "died"
        if what == "up":
            self.perform(on_started(self.roster, who, now), now)
        else:
            self.running.discard(who)
            self.perform(on_death(self.roster, who, now, CAUSES[what]), now)


NAMES = "abcd"
steps = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=3_000),
        st.sampled_from(["up", "up", "up", "died", "failed", "hung", "ended"]),
        st.sampled_from(NAMES),
    ),
    max_size=60,
)
rosters = st.builds(
    lambda strategy, kinds, most, in_order, last: Roster(
        tuple(Child(name, kind) for name, kind in zip(NAMES, kinds, strict=True)),
        strategy,
        Limits(most=most),
        in_order=in_order,
        last=last,
    ),
    st.sampled_from(Strategy),
    st.lists(st.sampled_from(Kind), min_size=4, max_size=4),
    st.integers(min_value=0, max_value=4),
    st.booleans(),
    st.booleans(),
)


def lived(roster: Roster, happened: list[tuple[int, str, str]]) -> Iterator[tuple[World, Nanos, Roster]]:
    world = World(roster)
    now = Nanos(0)
    world.perform(begin(roster, now), now)
    for later, what, who in happened:
        now = Nanos(now + later * MILLISECOND)
        before = world.roster
        world.step(now, what, who)
        yield world, now, before


@given(rosters, steps)
def test_nobody_is_ever_started_twice_and_everybody_running_is_known_as_such(
    roster: Roster, happened: list[tuple[int, str, str]]
):
    for world, _, _ in lived(roster, happened):
        if world.roster.closed:
            continue
        for child in world.roster.children:
            active = child.phase in (Phase.STARTING, Phase.UP, Phase.STOPPING)
            assert active == (child.name in world.running), child


@given(rosters, steps)
def test_restarts_are_bounded_in_every_window(roster: Roster, happened: list[tuple[int, str, str]]):
    limits = roster.limits
    world = World(roster)
    for world, _, _ in lived(roster, happened):  # noqa: B007  the last state is what is judged
        pass
    counted = [(at, name) for at, name, halted in world.starts if not halted]
    for at, _ in counted:
        for name in NAMES:
            inside = sum(1 for when, who in counted if who == name and at <= when < at + limits.within)
            # One for each death that counts, one for the first start, and one that a pause moved into the window.
            assert inside <= limits.most + 2
    slow = [(at, name) for at, name, halted in world.starts if halted]
    assert len(slow) <= len(happened) + len(NAMES)


@given(rosters, steps)
def test_after_giving_up_nothing_is_ordered(roster: Roster, happened: list[tuple[int, str, str]]):
    for world, _, before in lived(roster, happened):
        if before.closed:
            assert world.roster == before
        assert world.escalations <= (1 if not roster.last else 1 + len(happened))


@given(rosters, steps)
def test_everybody_permanent_comes_up_once_the_faults_stop(roster: Roster, happened: list[tuple[int, str, str]]):
    world, now = World(roster), Nanos(0)
    for world, now, _ in lived(roster, happened):  # noqa: B007
        pass
    if not happened or world.roster.closed:
        return
    for _ in range(40):
        now = Nanos(now + 20 * SECOND)
        if world.killed:
            world.step(now, "died", "")
        for child in world.roster.children:
            if world.roster.phase(child.name) is Phase.STARTING and child.name not in world.killed:
                world.step(now, "up", child.name)
    for child in world.roster.children:
        wanted = (Phase.UP,) if child.kind is Kind.PERMANENT else (Phase.UP, Phase.GONE)
        assert child.phase in wanted


@given(steps)
def test_one_for_one_never_touches_a_sibling(happened: list[tuple[int, str, str]]):
    roster = Roster(tuple(Child(name) for name in NAMES), limits=Limits(most=1000))
    for world, _, before in lived(roster, happened):
        assert not world.killed
        changed = [new.name for old, new in zip(before.children, world.roster.children, strict=True) if old != new]
        assert len(changed) <= 1


def test_every_order_can_be_written_down():
    for order in (Start("a", Nanos(0)), Kill("a"), Escalate("why")):
        assert re.match(r"start a|kill a|escalate", written(order, Nanos(0)))
