"""The command line. It parses, loads the configuration and hands over; everything heavy is imported by the command that
needs it, so that help and reading commands answer at once.

Data goes to stdout, logs and progress to stderr; with --json stdout is exactly one document.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from console.exits import Exit
from console.options import Kill, NotAKill, SessionOptions, parse_kill
from messages.units import SECOND

if TYPE_CHECKING:
    from configs.load import Configuration, Override
    from configs.problems import ConfigurationInvalid

VERSION = "0.1.0"
SCHEMA_VERSION = 1
DEFAULT_CONFIG = Path("configs/sim.yaml")
TAPE_CONFIG = Path("configs/tape.yaml")
DEFAULT_HOME = Path(".crossfill")

app = typer.Typer(
    name="crossfill",
    help="Arbitrage between Kalshi and Polymarket with all legs or none, and the proof of it.",
    epilog="Without a command: run --config configs/sim.yaml",
    no_args_is_help=False,
    # A traceback with local variables could show a secret.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Look at the configuration without starting anything.", rich_markup_mode=None)
app.add_typer(config_app, name="config")
venues_app = typer.Typer(
    help="The simulated venues alone, for any bot: real sockets, throw-away credentials, until Ctrl-C.",
    rich_markup_mode=None,
    invoke_without_command=True,
)
app.add_typer(venues_app, name="venues")


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry of `crossfill` and of run.py."""
    app(with_default_command(sys.argv[1:] if arguments is None else arguments), prog_name="crossfill")


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """`run.py --duration 60` means `run.py run --duration 60`."""
    own = {"-h", "--help", "--install-completion", "--show-completion"}
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in own):
        return ["run", *arguments]
    return list(arguments)


def _kill(text: str) -> Kill:
    try:
        return parse_kill(text)
    except NotAKill as problem:
        raise typer.BadParameter(str(problem)) from None


def _moment(text: str) -> str:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time such as 2026-01-03T23:16 (UTC)") from None
    return text


def _speed(text: str) -> Decimal:
    try:
        speed = Decimal(text)
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is not a number") from None
    if not speed.is_finite() or speed <= 0:
        raise typer.BadParameter(f"{text!r} is not more than 0")
    return speed


def _durability(text: str) -> str:
    if text not in {"process", "power"}:
        raise typer.BadParameter(f"{text!r} is neither process nor power")
    return text


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0))


def _port(text: str, venues: Sequence[str]) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in venues:
        raise typer.BadParameter(f"{text!r}: the venues are {', '.join(venues)}", param_hint="--port")
    if not number.isascii() or not number.isdigit() or int(number) > 65_535:
        raise typer.BadParameter(f"{text!r} is not VENUE=PORT, such as kalshi=8801", param_hint="--port")
    return name, int(number)


ConfigOption = Annotated[
    list[Path] | None,
    typer.Option("--config", "-c", metavar="FILE", help="Configuration; repeat it, and the later file wins."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout and nothing else there.")]
JournalOption = Annotated[
    Path | None, typer.Option("--journal", metavar="DIR", help="A run's journals; else the last run's.")
]
HomeOption = Annotated[
    Path | None, typer.Option("--home", metavar="DIR", help=f"Runs, journals and logs go below it ({DEFAULT_HOME}).")
]


@app.command()
def run(
    config: ConfigOption = None,
    duration: Annotated[
        int | None, typer.Option(min=1, max=86_400, metavar="SECONDS", help="How long to trade.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Decides prices, participants and faults of the simulation.")
    ] = None,
    faults: Annotated[
        str | None, typer.Option(metavar="none|standard|storm|FILE", help="What the venues do wrong.")
    ] = None,
    kill: Annotated[
        list[Kill] | None,
        typer.Option(
            parser=_kill, metavar="ACTOR@SECONDS|POINT", help="SIGKILL that actor's process; may be repeated."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and journal, send nothing.")] = False,
    as_json: JsonOption = False,
    tape: Annotated[Path | None, typer.Option(metavar="DIR", help="A recording that the venues follow.")] = None,
    tape_from: Annotated[
        str | None, typer.Option("--from", parser=_moment, metavar="TIME", help="Where the tape starts.")
    ] = None,
    tape_to: Annotated[str | None, typer.Option("--to", parser=_moment, metavar="TIME", help="Where it ends.")] = None,
    speed: Annotated[Decimal | None, typer.Option(parser=_speed, metavar="N", help="Tape seconds per second.")] = None,
    home: HomeOption = None,
    durability: Annotated[
        str | None,
        typer.Option(parser=_durability, metavar="process|power", help="What an intent survives before it is sent."),
    ] = None,
    executors: Annotated[
        int | None,
        typer.Option(min=1, max=64, metavar="N", help="Executors that share the event groups and the capital."),
    ] = None,
) -> None:
    """Trade until the time is over, then report and prove. Ctrl-C drains; a second one forces."""
    given: list[tuple[str, str, object]] = [
        ("--duration", "sim.duration_s", duration),
        ("--seed", "sim.seed", seed),
        ("--faults", "sim.faults", faults),
        ("--dry-run", "dry_run", dry_run or None),
        ("--tape", "sim.tape", None if tape is None else str(tape)),
        ("--from", "sim.tape_from", tape_from),
        ("--to", "sim.tape_to", tape_to),
        ("--speed", "sim.tape_speed", speed),
        ("--home", "home", None if home is None else str(home)),
        ("--durability", "engine.durability", durability),
        ("--executors", "engine.executors", executors),
    ]
    files = _files(config, TAPE_CONFIG if tape is not None else DEFAULT_CONFIG)
    configuration = _configured(files, as_json, [entry for entry in given if entry[2] is not None])
    settings = configuration.settings
    if not settings.sim.tape and (tape_from or tape_to or speed):
        raise typer.BadParameter("--from, --to and --speed belong to --tape")
    kills = tuple(kill or ())
    _check_kills(kills, settings.sim.duration_s, settings.engine.executors, list(settings.venues))

    from console.session import run_session

    options = SessionOptions(
        settings=settings,
        pairs=configuration.registry.pairs,
        set_aside=configuration.registry.set_aside,
        listings=dict(configuration.registry.listings),
        kills=kills,
        as_json=as_json,
        config_files=tuple(str(file) for file in files),
    )
    raise typer.Exit(int(run_session(options)))


@app.command()
def prove(
    journal: Annotated[Path, typer.Option("--journal", metavar="DIR", help="The run's journals.")],
    ledgers: Annotated[Path, typer.Option("--ledgers", metavar="FILE", help="The venues' ledgers and request logs.")],
    as_json: JsonOption = False,
) -> None:
    """Compute the proof again from the journals' bytes and the venues' own ledgers."""
    _must_exist(journal, "--journal", folder=True)
    _must_exist(ledgers, "--ledgers", folder=False)

    from console.prove import main as compute

    raise typer.Exit(int(compute(journal, ledgers, as_json=as_json)))


@app.command()
def simulate(
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1, max=100_000_000, metavar="N", help="How many scenarios: 1000; with --planted at most 10000 a bug."
        ),
    ] = None,
    start: Annotated[int, typer.Option("--from", min=0, metavar="SEED", help="The first of them.")] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=max(2, _cores()),
            metavar="J",
            help="Worker processes; else one for each core. 0: this very process, for a debugger.",
        ),
    ] = None,
    planted: Annotated[
        list[str] | None,
        typer.Option(metavar="all|NAME", help="Plant this bug in the engine and see it caught; may be repeated."),
    ] = None,
    twice: Annotated[
        bool, typer.Option("--twice", help="Each twice, in processes with other hash seeds: the same must happen.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Whole engines in virtual time, against venues, disks, networks and clocks that fail; judged after every step."""
    from console import simulate as simulation

    workers = _cores() if jobs is None else jobs
    if planted is None:
        scenarios = range(start, start + (seeds or 1_000))
        raise typer.Exit(int(simulation.simulate(scenarios, workers, twice=twice, as_json=as_json)))
    if twice:
        raise typer.BadParameter("--twice does not go with --planted")
    names, unknown = simulation.names_of(planted)
    if unknown:
        from difflib import get_close_matches

        close = get_close_matches(unknown[0], simulation.names_of(["all"])[0], n=1, cutoff=0.4)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise typer.BadParameter(f"{unknown[0]!r} is no planted bug{hint}", param_hint="--planted")
    scenarios = range(start, start + (seeds or 10_000))
    raise typer.Exit(int(simulation.simulate_planted(names, scenarios, workers, as_json=as_json)))


@app.command()
def explain(
    opportunity: Annotated[str, typer.Argument(metavar="ID", help="An opportunity.")],
    journal: JournalOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why was it taken, or not: the checks in their order, and gross → fees → net."""
    if journal is not None:
        _must_exist(journal, "--journal", folder=True)

    from console.stories import explain as tell

    raise typer.Exit(int(tell(opportunity, journal=journal, home=_home(home), as_json=as_json)))


@app.command()
def trade(
    identity: Annotated[str, typer.Argument(metavar="ID", help="A trade.")],
    journal: JournalOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """A trade's story with the time of every step, from the journal."""
    if journal is not None:
        _must_exist(journal, "--journal", folder=True)

    from console.stories import trade as tell

    raise typer.Exit(int(tell(identity, journal=journal, home=_home(home), as_json=as_json)))


@venues_app.callback()
def venues(
    context: typer.Context,
    config: ConfigOption = None,
    port: Annotated[
        list[str] | None,
        typer.Option(metavar="VENUE=PORT", help="Where a venue listens, else on a free port; repeat it."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, metavar="N", help="Decides keys, prices and faults.")] = None,
    pairs: Annotated[Path | None, typer.Option(metavar="FILE", help="Which markets there are.")] = None,
    faults: Annotated[str, typer.Option(metavar="none|standard|storm|FILE", help="What the venues do wrong.")] = "none",
    deposit: Annotated[int | None, typer.Option(min=1, metavar="DOLLARS", help="On each trading account.")] = None,
    accounts: Annotated[
        int,
        typer.Option(min=1, max=20, metavar="N", help="Traders at each venue, with keys and a deposit of their own."),
    ] = 1,
    empty: Annotated[
        bool, typer.Option("--empty", help="No market makers: books hold what the bots put there.")
    ] = False,
    duration: Annotated[int | None, typer.Option(min=1, metavar="SECONDS", help="End after so long.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document a line: the first when ready, the last at the end.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """The simulated venues alone, for any bot: real sockets, throw-away credentials, until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    given: list[tuple[str, str, object]] = [
        ("--seed", "sim.seed", seed),
        ("--pairs", "pairs", None if pairs is None else str(pairs)),
        ("--faults", "sim.faults", faults),
        ("--home", "home", None if home is None else str(home)),
    ]
    files = _files(config, DEFAULT_CONFIG)
    settings = _configured(files, as_json, [entry for entry in given if entry[2] is not None]).settings
    if deposit is not None:  # no engine runs here, so it need not cover what an engine may tie up
        sim = settings.sim.model_copy(update={"deposit_dollars": Decimal(deposit)})
        settings = settings.model_copy(update={"sim": sim})
    ports = dict(_port(text, list(settings.venues)) for text in port or [])

    from console.venues import BoxOptions, run_venues

    raise typer.Exit(int(run_venues(BoxOptions(settings, ports, accounts, duration, empty, as_json))))


@venues_app.command()
def drift(
    openapi: Annotated[
        Path, typer.Option("--openapi", metavar="FILE", help="Kalshi's OpenAPI document, YAML or JSON.")
    ],
    as_json: JsonOption = False,
) -> None:
    """What a newer document changed in what the engine uses. Ends with 6 where something did."""
    _must_exist(openapi, "--openapi", folder=False)

    from console.drift import compare

    raise typer.Exit(int(compare(openapi, as_json=as_json)))


@config_app.command()
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Say everything that is wrong with the configuration, or that nothing is."""
    files = _files(config, DEFAULT_CONFIG)
    configuration = _configured(files, as_json)
    registry = configuration.registry
    aside = [{"pair": pair.pair, "reason": pair.reason.value, "why": pair.why} for pair in registry.set_aside]
    if as_json:
        _document(
            {"valid": True, "mode": configuration.settings.mode.value, "pairs": len(registry.pairs), "set_aside": aside}
        )
        return
    print(f"{', '.join(map(str, files))}: valid; {len(registry.pairs)} pairs trade, {len(aside)} are set aside")
    for pair in aside:
        print(f"  {pair['pair']}: {pair['why']}")


@config_app.command()
def show(
    config: ConfigOption = None,
    origin: Annotated[bool, typer.Option("--origin", help="With where each value comes from.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Every setting in force. Secrets are references and are not followed."""
    configuration = _configured(_files(config, DEFAULT_CONFIG), as_json)
    tree = configuration.settings.model_dump(mode="json")
    if as_json:
        body: dict[str, object] = {"settings": tree}
        if origin:
            body["origins"] = {path: configuration.origin(path) for path, _ in _leaves(tree)}
        _document(body)
        return
    for path, value in _leaves(tree):
        print(f"{path} = {json.dumps(value)}" + (f"   ({configuration.origin(path)})" if origin else ""))


@app.command()
def version(as_json: JsonOption = False) -> None:
    """Print the version."""
    if as_json:
        _document({"version": VERSION})
    else:
        print(f"crossfill {VERSION}")


def _files(given: list[Path] | None, default: Path) -> list[Path]:
    if given:
        return given
    named = os.environ.get("CROSSFILL_CONFIG", "")
    return [Path(name) for name in named.split(os.pathsep) if name] or [default]


def _home(given: Path | None) -> Path:
    return given if given is not None else Path(os.environ.get("CROSSFILL_HOME") or DEFAULT_HOME)


def _configured(files: Sequence[Path], as_json: bool, given: Sequence[tuple[str, str, object]] = ()) -> Configuration:
    from configs.load import Override, load
    from configs.problems import ConfigurationInvalid

    overrides: list[Override] = [Override(option, path, value) for option, path, value in given]
    try:
        return load(files, overrides=overrides)
    except ConfigurationInvalid as invalid:
        _refuse(invalid, as_json)


def _refuse(invalid: ConfigurationInvalid, as_json: bool) -> NoReturn:
    print(invalid, file=sys.stderr)
    if as_json:
        problems = [
            {"path": p.path, "given": p.given, "message": p.message, "remedy": p.remedy, "source": p.source}
            for p in invalid.problems
        ]
        _document({"error": "configuration_invalid", "problems": problems})
    raise typer.Exit(Exit.CONFIGURATION)


def _check_kills(kills: Sequence[Kill], duration: int, executors: int, venues: Sequence[str]) -> None:
    """Everything about a kill that only this run can say."""
    for kill in kills:
        kind, _, which = kill.actor.partition(".")
        if kill.after is not None and kill.after >= duration * SECOND:
            raise typer.BadParameter(f"{kill}: the run ends after {duration} s", param_hint="--kill")
        if kind == "executor" and which and int(which) > executors:
            raise typer.BadParameter(f"{kill}: there are {executors} executors", param_hint="--kill")
        if kind in {"key_pool", "feed", "account"} and which not in venues:
            raise typer.BadParameter(f"{kill}: the venues are {', '.join(venues)}", param_hint="--kill")


def _must_exist(path: Path, option: str, *, folder: bool) -> None:
    if not (path.is_dir() if folder else path.is_file()):
        raise typer.BadParameter(f"{path} is no {'folder' if folder else 'file'}", param_hint=option)


def _document(body: dict[str, object]) -> None:
    print(json.dumps({"schema_version": SCHEMA_VERSION} | body, indent=2))


def _leaves(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(tree, list) and tree:
        for number, value in enumerate(tree):
            yield from _leaves(value, f"{path}[{number}]")
    else:
        yield path, tree
