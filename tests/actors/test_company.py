"""Loops in the background: none ends in silence, and none outlives its shell."""

from __future__ import annotations

import asyncio

import pytest

from actors.company import Chores


async def test_a_loop_that_swallows_its_cancellation_is_ended_all_the_same() -> None:
    chores, swallowed = Chores(), asyncio.Event()

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if swallowed.is_set():
                    raise
                swallowed.set()

    chores.begin(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await chores.stop()
    assert swallowed.is_set()


async def test_a_loop_that_fails_is_shown_and_raised() -> None:
    chores = Chores()

    async def failing() -> None:
        raise ValueError("the reason")

    chores.begin(failing())
    await asyncio.sleep(0.01)
    assert chores.failed == "ValueError: the reason"
    with pytest.raises(ValueError, match="the reason"):
        chores.must_be_sound()
