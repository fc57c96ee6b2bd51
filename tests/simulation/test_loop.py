"""Virtual time: what happens when, and what a death leaves undone."""

from __future__ import annotations

import asyncio
import gc
from functools import partial

from messages.units import MILLISECOND, SECOND, Nanos
from simulation.loop import Process, Timeline

START = Nanos(1_000 * SECOND)
Seen = list[object]


def play(timeline: Timeline) -> None:
    while not timeline.idle:
        timeline.step()


def test_things_happen_by_time_and_then_in_the_order_in_which_they_were_asked_for() -> None:
    timeline, seen = Timeline(START), Seen()
    for at, name in ((2, "late"), (1, "first"), (1, "second"), (0, "now")):
        timeline.at(START + at, seen.append, name)
    play(timeline)
    assert seen == ["now", "first", "second", "late"]
    assert timeline.now == START + 2


def test_what_is_asked_for_in_the_past_happens_now() -> None:
    timeline, seen = Timeline(START), Seen()
    timeline.at(START + 5, lambda: timeline.at(START, lambda: seen.append(timeline.now)))
    play(timeline)
    assert seen == [START + 5]


def test_a_process_sleeps_in_virtual_time() -> None:
    timeline = Timeline(START)
    process, woke = Process.born(timeline, "one"), Seen()

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woke.append((name, timeline.now - START, asyncio.get_running_loop() is process, process.time()))

    for name, seconds in (("long", 3_600.0), ("short", 0.25), ("as short", 0.25)):
        process.run(partial(process.create_task, sleeper(name, seconds)))
    timeline.settle()
    play(timeline)
    assert woke == [
        ("short", SECOND // 4, True, 0.25),
        ("as short", SECOND // 4, True, 0.25),
        ("long", 3_600 * SECOND, True, 3_600.0),
    ]


def test_everything_that_follows_without_time_happens_before_time_goes_on() -> None:
    timeline, seen = Timeline(START), Seen()
    process = Process.born(timeline, "one")
    event = asyncio.Event()

    async def waiter() -> None:
        await event.wait()
        seen.append("heard")

    process.run(lambda: process.create_task(waiter()))
    timeline.settle()
    timeline.at(START + 1, process.run, event.set)
    timeline.at(START + 1, seen.append, "the next thing of the same instant")
    play(timeline)
    assert seen == ["heard", "the next thing of the same instant"]


def test_a_cancelled_timer_does_nothing() -> None:
    timeline, seen = Timeline(START), Seen()
    process = Process.born(timeline, "one")
    process.call_later(1.0, seen.append, "no")
    process.call_later(1.0, seen.append, "cancelled").cancel()
    process.call_at(0.5, seen.append, "yes")
    play(timeline)
    assert seen == ["yes", "no"]


def undying(timeline: Timeline, process: Process, seen: Seen) -> None:
    """A task that would clean up, one that waits for it, and one that nobody keeps."""

    async def inner() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("cleaned up")

    async def outer() -> None:
        try:
            await process.create_task(inner())
        except BaseException:
            seen.append("noticed")
            raise

    async def forgotten() -> None:
        try:
            await process.create_future()
        finally:
            seen.append("was collected")

    process.run(lambda: process.create_task(outer()))
    process.run(lambda: process.create_task(forgotten()))
    process.call_later(1.0, seen.append, "a timer")
    timeline.settle()


def test_of_a_killed_process_nothing_more_runs_not_even_finally() -> None:
    timeline, seen = Timeline(START), Seen()
    process, other = Process.born(timeline, "victim"), Process.born(timeline, "other")
    undying(timeline, process, seen)
    timeline.at(START + 1, process.run, lambda: process.call_soon(seen.append, "a callback that was due"))
    timeline.at(START + 1, process.kill)
    timeline.at(START + 2, process.run, lambda: seen.append("called from outside"))
    timeline.at(START + 3, other.run, lambda: seen.append("another process lives on"))
    timeline.step()
    assert seen == ["a callback that was due"], "what was due in the instant before its death"
    play(timeline)
    gc.collect()
    assert seen == ["a callback that was due", "another process lives on"]


def test_a_process_that_kills_itself_goes_no_further_than_its_own_call() -> None:
    timeline, seen = Timeline(START), Seen()
    process = Process.born(timeline, "one")

    async def work() -> None:
        process.kill()
        seen.append("the call in which it died")
        await asyncio.sleep(0)
        seen.append("never")

    process.run(lambda: process.create_task(work()))
    timeline.settle()
    play(timeline)
    assert seen == ["the call in which it died"]


def test_what_the_dead_left_is_ended_when_the_scenario_is_buried_and_never_later() -> None:
    timeline, seen = Timeline(START), Seen()
    process, living = Process.born(timeline, "victim"), Process.born(timeline, "living")
    undying(timeline, process, seen)
    undying(timeline, living, seen)
    process.kill()
    assert not seen
    timeline.bury()
    assert sorted(set(map(str, seen))) == ["cleaned up", "noticed", "was collected"]
    buried = len(seen)
    gc.collect()
    assert len(seen) == buried


def test_a_stopped_process_does_late_what_was_due_and_in_order() -> None:
    timeline, seen = Timeline(START), Seen()
    process = Process.born(timeline, "one")

    async def ticking() -> None:
        for tick in range(3):
            await asyncio.sleep(0.1)
            seen.append((tick, (timeline.now - START) // MILLISECOND))

    process.run(lambda: process.create_task(ticking()))
    timeline.settle()
    timeline.at(START + 150 * MILLISECOND, process.stop_for_now)
    timeline.at(START + 160 * MILLISECOND, process.run, lambda: seen.append("told while it stood"))
    timeline.at(START + 1_000 * MILLISECOND, process.go_on)
    play(timeline)
    assert seen == [(0, 100), "told while it stood", (1, 1_000), (2, 1_100)]


def test_a_process_killed_while_it_stands_does_nothing_of_what_was_due() -> None:
    timeline, seen = Timeline(START), Seen()
    process = Process.born(timeline, "one")
    process.stop_for_now()
    process.run(seen.append, "due")
    process.kill()
    process.go_on()
    timeline.settle()
    assert not seen


def test_a_callback_that_fails_is_kept_for_the_judge() -> None:
    timeline = Timeline(START)
    process = Process.born(timeline, "one")
    process.call_soon(lambda: 1 // 0)
    timeline.settle()
    (failure,) = process.failures
    assert isinstance(failure["exception"], ZeroDivisionError)
