"""`run.py simulate`: many scenarios in virtual time, each judged after every step, and what they came to together."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from console.exits import Exit
from console.proof.page import is_ascii, page, plain
from messages.units import SECOND
from simulation.batch import (
    JUDGED_FROM,
    Chunk,
    Crew,
    Differs,
    Sought,
    Summary,
    invariant_of,
    missing,
    planted,
    quiet,
    run_many,
    run_twice,
    seek,
)
from simulation.chance import Fault
from simulation.telling import Finding, investigate

SCHEMA_VERSION = 1
GOAL_PER_CORE = 20_000
"""Events in a second of one core that we want; nothing fails for want of it."""
TOLD_MOST = 10
"""Violations that are shrunk and told in full."""
SAY_EVERY_S = 10
"""Where stderr is no terminal, how often it is said how far it is."""
ENDS = ("hedged", "flat", "escalated", "open")


@dataclass(slots=True)
class Batch:
    """What one call of the command came to."""

    start: int
    asked: int
    """Scenarios that were asked for."""
    jobs: int
    twice: bool
    summary: Summary = field(default_factory=Summary)
    differs: list[Differs] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    wall_s: float = 0.0
    interrupted: bool = False

    @property
    def lacks(self) -> list[str]:
        return missing(self.summary)

    @property
    def exit(self) -> Exit:
        """Whether everything held, and enough happened to say so."""
        if self.interrupted:
            return Exit.INTERRUPTED
        green = not self.summary.violations and not self.differs
        enough = self.summary.scenarios < JUDGED_FROM or not self.lacks
        return Exit.OK if green and enough else Exit.EXPOSED


def simulate(seeds: range, jobs: int, *, twice: bool = False, as_json: bool = False) -> Exit:
    """Run these seeds and print what they came to. 0 where every invariant held and enough happened to show it, 6 where
    not, 130 where a person ended it.
    """
    batch = Batch(seeds.start, len(seeds), jobs, twice)
    if not jobs:
        quiet()
    began = perf_counter()
    try:
        with Crew(_share(jobs, twice), hash_seed=1) as crew:
            with Progressing(len(seeds), "scenarios") as progress:
                for chunk, differs in _chunks(crew, seeds, jobs, twice):
                    batch.summary.add(chunk)
                    batch.differs += differs
                    progress.told(batch.summary)
            batch.wall_s = perf_counter() - began
            first = [seed for seed, _ in batch.summary.violations[:TOLD_MOST]]
            batch.findings += [found for found in crew.map(investigate, first) if found is not None]
    except KeyboardInterrupt:
        batch.interrupted = True
        batch.wall_s = batch.wall_s or perf_counter() - began
    if as_json:
        print(json.dumps(document(batch), indent=2))
    else:
        render(document(batch))
    return batch.exit


def _share(jobs: int, twice: bool) -> int:
    """Where everything is done twice, half of the workers are of the other kind."""
    return max(1, jobs // 2) if jobs and twice else jobs


def _chunks(crew: Crew, seeds: range, jobs: int, twice: bool) -> Iterator[tuple[Chunk, list[Differs]]]:
    if not twice:
        yield from ((chunk, []) for chunk in run_many(crew, seeds))
        return
    with Crew(max(1, jobs // 2), hash_seed=2) as second:
        yield from run_twice(crew, second, seeds)


# The document


def document(batch: Batch) -> dict[str, Any]:
    """Everything that a batch came to, as one JSON document; the page below is made of it."""
    summary = batch.summary
    told = {finding.seed: finding for finding in batch.findings}
    lengths = summary.lengths
    return {
        "schema_version": SCHEMA_VERSION,
        "from": batch.start,
        "asked": batch.asked,
        "jobs": batch.jobs,
        "interrupted": batch.interrupted,
        "scenarios": summary.scenarios,
        "events": summary.events,
        "events_per_scenario": {
            "median": summary.median,
            "min": min(lengths, default=0),
            "max": max(lengths, default=0),
        },
        "virtual_hours": round(summary.virtual / SECOND / 3_600, 3),
        "wall_seconds": round(batch.wall_s, 3),
        "cpu_seconds": round(summary.cpu_s, 3),
        "scenarios_per_second": _rate(summary.scenarios, batch.wall_s),
        "events_per_second": {
            "overall": _rate(summary.events, batch.wall_s),
            "per_core": round(summary.per_core),
            "goal_per_core": GOAL_PER_CORE,
        },
        "faults": {fault.value: summary.faults[fault.value] for fault in Fault},
        "outcomes": dict(sorted(summary.outcomes.items())),
        "violations": [_violation(seed, broken, told.get(seed)) for seed, broken in summary.violations],
        "different": [asdict(differs) for differs in batch.differs] if batch.twice else None,
        "lacking": batch.lacks,
        "lacking_fails": summary.scenarios >= JUDGED_FROM,
        "exit_code": int(batch.exit),
    }


def _violation(seed: int, broken: str, found: Finding | None) -> dict[str, Any]:
    body: dict[str, Any] = {"seed": seed, "invariant": invariant_of(broken), "text": broken}
    if found is not None:
        body |= {
            "faults": list(found.faults),
            "faults_struck": found.struck,
            "smallest": found.smallest,
            "story": found.story.splitlines(),
            "test": found.test,
        }
    return body


def _rate(count: int, seconds: float) -> int:
    return round(count / seconds) if seconds else 0


# For a person


def render(told: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what a batch came to."""
    console = page() if console is None else console
    rates, lengths = told["events_per_second"], told["events_per_scenario"]
    broken = told["violations"]
    last = told["from"] + told["scenarios"] - 1
    console.print(f"[bold]{told['scenarios']:,} scenarios[/], seeds {told['from']} to {last}")
    console.print(
        f"[bold]Events:[/] {told['events']:,}; {lengths['median']} a scenario (median), "
        f"{lengths['min']} at least, {lengths['max']:,} at most"
    )
    console.print(
        f"[bold]Time:[/] {told['virtual_hours']:,.1f} hours of virtual time in {told['wall_seconds']:,.1f} s "
        f"with {_workers(told['jobs'])}"
    )
    console.print(
        f"[bold]Speed:[/] {rates['overall']:,} events/s, {told['scenarios_per_second']:,} scenarios/s; "
        f"{rates['per_core']:,} events/s per core, the goal is {rates['goal_per_core']:,}"
    )
    ends = told["outcomes"]
    console.print("[bold]Trades:[/] " + (", ".join(f"{ends[end]:,} {end}" for end in ENDS if end in ends) or "none"))
    console.print(_pairs("fault", "struck", told["faults"].items()))
    console.print(_pairs("what happened", "times", [(what, n) for what, n in ends.items() if what not in ENDS]))
    _tell_violations(broken, console)
    _tell_differences(told, console)
    if told["lacking"]:
        fails = told["lacking_fails"]
        style = "bold red" if fails else "yellow"
        why = "too little happened" if fails else f"below {JUDGED_FROM:,} scenarios these are chance, and fail nothing"
        console.print(f"[{style}]Not seen enough[/] ({why}):")
        for text in told["lacking"]:
            console.print(f"  {escape(text)}", soft_wrap=True)
    console.print(*_verdict(told), soft_wrap=True)


def _workers(jobs: int) -> str:
    return f"{jobs} worker{'' if jobs == 1 else 's'}" if jobs else "this process alone"


def _verdict(told: Mapping[str, Any]) -> Iterator[str]:
    broken, different = told["violations"], told["different"] or ()
    if told["interrupted"]:
        yield f"[yellow]Interrupted:[/] {told['scenarios']:,} of {told['asked']:,} scenarios were run."
    if broken:
        yield f"[bold red]{len(broken):,} of {told['scenarios']:,} scenarios broke an invariant.[/]"
    elif told["exit_code"] == Exit.OK:
        yield f"[green]Every invariant held in all of {told['scenarios']:,} scenarios.[/]"
    if different:
        yield f"[bold red]{len(different):,} scenarios did not do the same twice.[/]"
    elif told["different"] is not None:
        yield "[green]Run twice with other hash seeds, every one did exactly the same.[/]"
    if told["lacking"] and told["lacking_fails"]:
        yield "[bold red]Too little happened for this to be a proof.[/]"


def _tell_violations(broken: Sequence[Mapping[str, Any]], console: Console) -> None:
    for number, violation in enumerate(broken):
        if "story" not in violation:
            _tell_rest(broken[number:], console)
            return
        few, many = len(violation["faults"]), violation["faults_struck"]
        console.print(f"\n[bold red]Seed {violation['seed']} breaks {escape(violation['text'])}[/]", soft_wrap=True)
        enough = f"{few} of the {many} faults that struck {'is' if few == 1 else 'are'} enough"
        console.print(enough + ("" if violation["smallest"] else "; perhaps fewer would be") + ":", style="dim")
        console.print("\n".join(escape(line) for line in violation["story"]), soft_wrap=True)
        console.print("\nTo be pasted below `from simulation.batch import replay`:", style="dim")
        console.print(escape(violation["test"]), soft_wrap=True)


def _tell_rest(rest: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Those that nobody wants to read one by one."""
    console.print(f"\n[bold red]{len(rest):,} more:[/]")
    by_text: dict[str, list[int]] = {}
    for violation in rest:
        what = ":".join(violation["text"].split(":")[:2])
        by_text.setdefault(what, []).append(violation["seed"])
    for what, seeds in sorted(by_text.items(), key=lambda item: -len(item[1])):
        some = ", ".join(map(str, seeds[:8])) + (", ..." if len(seeds) > 8 else "")
        console.print(f"  {len(seeds):>6,}  {escape(what)}  (seeds {some})", soft_wrap=True)


def _tell_differences(told: Mapping[str, Any], console: Console) -> None:
    for differs in (told["different"] or ())[:TOLD_MOST]:
        console.print(
            f"[bold red]Seed {differs['seed']} is not the same twice:[/] trace {differs['first'][:16]} and "
            f"{differs['second'][:16]}"
        )


def _pairs(what: str, many: str, counts: Iterable[tuple[str, int]], columns: int = 2) -> Table:
    """Names and numbers, several to a line; read downwards."""
    rows = list(counts)
    table = Table()
    for _ in range(columns):
        table.add_column(what)
        table.add_column(many, justify="right")
    height = -(-len(rows) // columns)
    for at in range(height):
        cells = [
            cell
            for row in rows[at::height][:columns]
            for cell in (escape(row[0]), f"{row[1]:,}" if row[1] else "[yellow]0[/]")
        ]
        table.add_row(*cells)
    return table


# Planted bugs


def simulate_planted(names: Sequence[str], seeds: range, jobs: int, *, as_json: bool = False) -> Exit:
    """Run the scenarios with each of these bugs in the engine until one shows it. 6 where a bug is not caught."""
    if not jobs:
        quiet()
    began = perf_counter()
    sought: list[Sought] = []
    interrupted = False
    try:
        with Crew(jobs, hash_seed=1) as crew, Progressing(len(names), "planted bugs") as progress:
            for one in crew.map(seek, [(name, seeds) for name in names]):
                sought.append(one)
                progress.advance(1, f"{sum(not bug.caught for bug in sought)} not caught")
    except KeyboardInterrupt:
        interrupted = True
    missed = [bug.name for bug in sought if not bug.caught]
    code = Exit.INTERRUPTED if interrupted else Exit.EXPOSED if missed else Exit.OK
    wall_s = round(perf_counter() - began, 3)
    if as_json:
        body = {
            "schema_version": SCHEMA_VERSION,
            "from": seeds.start,
            "seeds": len(seeds),
            "wall_seconds": wall_s,
            "interrupted": interrupted,
            "planted": [
                asdict(bug) | {"caught": bug.caught, "invariant": invariant_of(bug.violation)} for bug in sought
            ],
            "exit_code": int(code),
        }
        print(json.dumps(body, indent=2))
    else:
        _render_planted(sought, len(names), len(seeds), wall_s)
    return code


def _render_planted(sought: Sequence[Sought], asked: int, seeds: int, wall_s: float) -> None:
    console = page()
    table = Table()
    for column in ("planted bug", "what it does"):
        table.add_column(column)
    table.add_column("scenarios", justify="right")
    table.add_column("caught by", no_wrap=True)
    for bug in sought:
        by = invariant_of(bug.violation)
        caught = escape(by) if bug.caught else "not caught"
        if bug.caught and by not in bug.expected:
            caught += f" [yellow](not {escape(', '.join(bug.expected))})[/]"
        style = "" if bug.caught else "bold red"
        table.add_row(escape(bug.name), escape(bug.what), f"{bug.tried:,}", caught, style=style)
    console.print(table)
    missed = [bug.name for bug in sought if not bug.caught]
    most = max((bug.tried for bug in sought if bug.caught), default=0)
    if missed:
        console.print(f"[bold red]Not caught within {seeds:,} scenarios:[/] {escape(', '.join(missed))}")
    total = len(sought) - len(missed)
    style = "green" if total == asked else "bold red"
    console.print(f"[{style}]{total} of {asked} caught[/], the last after {most:,} scenarios; {wall_s:,.1f} s")


# While it runs


class Progressing:
    """How far it is, on stderr: a bar on a terminal, else a line now and then."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what = total, what
        self._done = 0
        self._began = self._said = perf_counter()
        console = page(sys.stderr)
        self._progress: Progress | None = None
        if console.is_terminal and not is_ascii(sys.stderr):
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[told]}"),
                TimeRemainingColumn(),
                console=console,
                transient=True,
            )
            self._task = self._progress.add_task(what, total=total, told="")

    def told(self, summary: Summary) -> None:
        """A part of a batch is done."""
        took = perf_counter() - self._began
        rates = f"{_rate(summary.scenarios, took):,}/s, {_rate(summary.events, took):,} events/s"
        self.advance(summary.scenarios - self._done, f"{rates}, {len(summary.violations):,} violations")

    def advance(self, by: int, told: str) -> None:
        self._done += by
        if self._progress is not None:
            self._progress.update(self._task, completed=self._done, told=told)
        elif perf_counter() - self._said >= SAY_EVERY_S:
            self._said = perf_counter()
            percent = 100 * self._done // max(1, self._total)
            text = f"{self._done:,} of {self._total:,} {self._what} ({percent} %), {told}"
            print(plain(text), file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()


def names_of(wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which planted bugs are meant, `all` of them or by name, and the words that name none."""
    known = planted()
    if "all" in wanted:
        return list(known), [name for name in wanted if name not in {"all", *known}]
    return list(dict.fromkeys(wanted)), [name for name in wanted if name not in known]
