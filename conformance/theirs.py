"""A published client in its own process and its own environment, asked one question at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.child import Cannot, Refused
from conformance.environment import ROOT

ANSWER_WITHIN_S = 45.0


class Broken(Exception):
    """The client raised what it does not raise for an answer of the venue, or died."""


@dataclass
class Theirs:
    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def ask(self, what: str, **told: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": what, "with": told}).encode() + b"\n")
            await self.process.stdin.drain()
            line = await asyncio.wait_for(self.process.stdout.readline(), ANSWER_WITHIN_S)
        except TimeoutError:
            raise Broken(f"{self.name} did not answer {what} within {ANSWER_WITHIN_S:.0f} s") from None
        except ConnectionError:
            line = b""
        if not line:
            last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
            raise Broken(f"{self.name} has ended: {' '.join(last) or 'it said nothing'}")
        answer = json.loads(line)
        if "refused" in answer:
            raise Refused(answer["refused"], answer["text"])
        if "cannot" in answer:
            raise Cannot(answer["cannot"])
        if "error" in answer:
            raise Broken(f"{self.name}, {what}: {answer['error']}")
        return answer["ok"]


@asynccontextmanager
async def theirs(
    name: str, python: Path, told: Mapping[str, str], log: Path, environment: Mapping[str, str]
) -> AsyncIterator[Theirs]:
    """`environment` is all that the client sees of ours beside PATH: nothing that could point it elsewhere."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            str(python), "-m", f"conformance.with_{name}",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=ROOT, start_new_session=True,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(log.parent), "PYTHONDONTWRITEBYTECODE": "1", **environment},
            limit=1 << 24,
        )  # fmt: skip
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(dict(told)).encode() + b"\n")
        yield Theirs(name, process, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
