"""What is played, on each venue, once with the published client acting and once with our adapters acting. A scenario reads as a
story; whoever does not act watches, and the venue's ledger judges.

A scenario passes, differs (`Differs`), or cannot be played by this client at all (`Cannot`, with the reason). The stories are in
`stories_*.py`, in the sequence in which they are played.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from conformance.child import Cannot, Refused
from conformance.stage import Stage

Scenario = Callable[[Stage], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    def enter(story: Scenario) -> Scenario:
        SCENARIOS[name] = story
        return story

    return enter


def whole_cents(contracts: int, price: int) -> int:
    """No fewer contracts, which cost whole cents together: an immediate buy on Polymarket is a sum with two decimals."""
    while contracts * price % 100:
        contracts += 1
    return contracts


async def play(story: Scenario, stage: Stage) -> tuple[str, str]:
    """passed, failed or cannot, and why."""
    stage.limits.clear()
    try:
        await story(stage)
    except Cannot as reason:
        return "cannot", str(reason)
    except Refused as refusal:
        why = f"refused ({refusal.kind}): {refusal}"
    except Exception as problem:  # noqa: BLE001 - a client may raise anything, and the table shows it
        why = f"{type(problem).__name__}: {problem}"
    else:
        return "passed", "; ".join(stage.limits)
    with suppress(Exception):
        await stage.clear()
    return "failed", why
