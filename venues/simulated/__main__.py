"""`python -m venues.simulated`: one venue, one process, one ready line on standard output."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from pathlib import Path

from venues.simulated.universe import ConfigurationError
from venues.simulated.venue import Settings, Venue

EXIT_CONFIGURATION = 3
EXIT_PORT = 4
PARENT_POLL_S = 0.5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m venues.simulated", description=__doc__)
    parser.add_argument("--dialect", choices=("kalshi", "polymarket"), required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=Path, default=Path("configs/pairs.sim.yaml"))
    parser.add_argument("--faults", default="none", help="none, standard, storm or a .yaml file")
    parser.add_argument("--start-ns", type=int, help="wall time that counts as zero; give both venues the same")
    parser.add_argument("--deposit", type=int, default=10_000, help="dollars on the trading account")
    parser.add_argument("--accounts", type=int, default=1, help="how many traders, each with the deposit")
    parser.add_argument("--tape", type=Path, help="folder of recordings to play instead of the market makers")
    parser.add_argument("--from", dest="tape_from", default="")
    parser.add_argument("--to", dest="tape_to", default="")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--read-lag-ms", type=int, default=50, help="Kalshi: how far order and fill reads lag")
    parser.add_argument("--tier", default="", help="rate-limit tier; the highest by default")
    parser.add_argument("--quiet", action="store_true", help="no market makers, an empty book")
    parser.add_argument("--parent-pid", type=int, help="end when this process has ended")
    return parser.parse_args()


def complain(text: str) -> None:
    sys.stderr.write(text + "\n")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def orphaned(parent_pid: int | None) -> None:
    """Returns once the process that this one belongs to is gone."""
    first = os.getppid()
    while os.getppid() == first and (parent_pid is None or alive(parent_pid)):  # noqa: ASYNC110  the system tells nobody
        await asyncio.sleep(PARENT_POLL_S)


async def serve(venue: Venue, parent_pid: int | None) -> int:
    try:
        await venue.start()
    except OSError as error:
        await venue.stop()
        complain(
            f"{venue.settings.name}: cannot listen on 127.0.0.1:{venue.settings.port} ({error.strerror}); "
            "stop what uses this port, or use --port 0"
        )
        return EXIT_PORT
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    sys.stdout.write(json.dumps(venue.ready(os.getpid())) + "\n")  # whoever reads this may end us at once
    sys.stdout.flush()
    watch = asyncio.create_task(orphaned(parent_pid))
    stop = asyncio.create_task(ended.wait())
    await asyncio.wait((watch, stop), return_when=asyncio.FIRST_COMPLETED)
    watch.cancel()
    stop.cancel()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(venue.stop(), 2)
    return 0


def main() -> int:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    given = arguments()
    try:
        venue = Venue(
            Settings(
                dialect=given.dialect, name=given.name, seed=given.seed, pairs=given.pairs, port=given.port,
                faults=given.faults, start_ns=given.start_ns, deposit_dollars=given.deposit, tape=given.tape,
                tape_from=given.tape_from, tape_to=given.tape_to, speed=given.speed, read_lag_ms=given.read_lag_ms,
                tier=given.tier, quiet=given.quiet, accounts=given.accounts,
            )
        )  # fmt: skip
    except ConfigurationError as error:
        complain(f"{given.name}: {error}")
        return EXIT_CONFIGURATION
    return asyncio.run(serve(venue, given.parent_pid))


if __name__ == "__main__":
    sys.exit(main())
