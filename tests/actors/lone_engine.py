"""A whole engine in one process without Ray, for tests that kill it: run as `python -m tests.actors.lone_engine`.

All actors share the process, so that a kill takes the owners with the executor: harder than any single death.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from actors import points
from actors.local import LocalNet
from configs.settings import Settings
from messages.control import Drain, Drained
from messages.units import SECOND, Nanos
from supervisors.tree import TREE, edges, expand, leaves

DRAIN_S = 15


async def live(run_directory: Path, settings_json: str, deadly: tuple[str, ...], seconds: float) -> int:
    settings = Settings.model_validate_json(settings_json)
    tree = expand(TREE, tuple(settings.venues))
    shells = {leaf.name: leaf.shell for leaf in leaves(tree)}
    async with LocalNet(shells, edges(tree), run_directory, settings_json) as net:
        await net.up()
        if deadly:
            points.arm("executor", deadly, run_directory, net.shell("executor").snapshot)
        await asyncio.sleep(seconds)
        left: Drained | None = None
        for _ in range(DRAIN_S * 5):
            answer = await net.ask("executor", Drain(within=SECOND), Nanos(2 * SECOND))
            assert isinstance(answer, Drained)
            left = answer
            if not (left.open_trades or left.in_doubt or left.unreported):
                break
            await asyncio.sleep(0.2)
        sys.stdout.write(json.dumps({"left": left.model_dump() if left else None, "deaths": net.deaths}))
    return 0


if __name__ == "__main__":
    directory, settings_file, armed, length = sys.argv[1:5]
    settings_text = Path(settings_file).read_text()
    run_points = tuple(point for point in armed.split(",") if point)
    sys.exit(asyncio.run(live(Path(directory), settings_text, run_points, float(length))))
