"""One configuration from many places. What is said nearer to the command wins:

    option  >  CROSSFILL_SECTION__KEY  >  .env  >  the last file named … the first  >  default

Everything that is wrong, anywhere, is told at once (`ConfigurationInvalid`); then nothing has been started.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from configs.consistency import examine, venues_of
from configs.documents import read
from configs.pairs import Registry, load_pairs
from configs.problems import (
    ConfigurationInvalid,
    Problem,
    annotation_at,
    did_you_mean,
    dotted,
    from_validation,
    shown,
)
from configs.settings import Settings

PREFIX = "CROSSFILL_"
DELIMITER = "__"
OTHERS = frozenset({"CROSSFILL_CONFIG", "CROSSFILL_LOG_LEVEL", "CROSSFILL_LOG_FORMAT", "CROSSFILL_ALLOW_LIVE"})
"""Variables with our prefix that are not settings."""
DEFAULT = "default"
HOUSE = Path(__file__).resolve().parent.parent
"""Where the sample files are, whatever folder the command is given in."""


@dataclass(frozen=True, slots=True)
class Override:
    """A value from the command line."""

    option: str
    path: str
    value: object


@dataclass(frozen=True, slots=True)
class Configuration:
    settings: Settings
    registry: Registry
    origins: Mapping[str, str] = field(default_factory=dict)
    """Dotted path → file and line, variable or option; what is not here is a default."""

    def origin(self, path: str) -> str:
        return self.origins.get(path, DEFAULT)


class _Shape(BaseSettings, Settings):
    """The settings as the library that splits variables wants to see them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter=DELIMITER, env_ignore_empty=True)


class _OneVariable(EnvSettingsSource):
    """One variable at a time, so that each value knows where it came from and one bad variable does not hide another."""

    def __init__(self, name: str, text: str) -> None:
        self._named = {name.lower(): text}
        super().__init__(_Shape)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._named


@dataclass(slots=True)
class _Layers:
    merged: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, values: Mapping[str, object], sources: Mapping[str, str] | str) -> None:
        """Lay these values over what is there. Sections merge; a list replaces a list."""
        for location, value in _leaves(values, ()):
            path = dotted(location)
            source = sources if isinstance(sources, str) else sources.get(path, "")
            self._forget_below(path)
            self.origins[path] = source
            section = self.merged
            for key in location[:-1]:
                inner = section.get(key)
                if not isinstance(inner, dict):
                    inner = section[key] = {}
                section = inner
            section[location[-1]] = value
            if not isinstance(sources, str):
                self.origins.update({inner: at for inner, at in sources.items() if inner.startswith(f"{path}[")})

    def source_of(self, path: str) -> str:
        """Where a value was given; for one that is missing, where its section was."""
        while path:
            if path in self.origins:
                return self.origins[path]
            below = next((at for inner, at in self.origins.items() if inner.startswith((f"{path}.", f"{path}["))), None)
            if below is not None:
                return below
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return ""

    def _forget_below(self, path: str) -> None:
        for inner in [known for known in self.origins if known.startswith((f"{path}.", f"{path}["))]:
            del self.origins[inner]


def load(
    files: Sequence[Path],
    *,
    overrides: Sequence[Override] = (),
    environ: Mapping[str, str] | None = None,
    dotenv: Path = Path(".env"),
) -> Configuration:
    """The whole configuration, or `ConfigurationInvalid` with everything that is wrong with it."""
    layers = _Layers()
    for file in files:
        document = read(house(file))
        layers.problems += document.problems
        layers.put(document.values, document.sources)
    if dotenv.is_file():
        _variables(layers, {name: text for name, text in dotenv_values(dotenv).items() if text}, f" in {dotenv}")
    _variables(layers, os.environ if environ is None else environ, "")
    for override in overrides:
        _override(layers, override)
    return _judged(layers)


def house(path: Path) -> Path:
    """A relative path from the working folder, or else from the house."""
    beside = HOUSE / path
    return beside if not path.exists() and beside.exists() else path


def _variables(layers: _Layers, variables: Mapping[str, str], where: str) -> None:
    sections = list(Settings.model_fields)
    for name, text in sorted(variables.items()):
        if not name.startswith(PREFIX) or name in OTHERS or not text:
            continue
        section = name.removeprefix(PREFIX).split(DELIMITER)[0].lower()
        if section not in sections:
            remedy = did_you_mean(section, sections).upper().replace("DID YOU MEAN ", f"did you mean {PREFIX}")
            layers.problems.append(Problem(name, shown(name, text), "no such variable", remedy, f"variable{where}"))
            continue
        try:
            values = _OneVariable(name, text)()
        except SettingsError:
            remedy = f"write it as JSON, or one key at a time: {PREFIX}{section.upper()}{DELIMITER}KEY=VALUE"
            layers.problems.append(Problem(name, shown(name, text), "is not JSON", remedy, f"variable{where}"))
            continue
        layers.put(values, f"variable {name}{where}")


def _override(layers: _Layers, override: Override) -> None:
    *above, last = override.path.split(".")
    values: dict[str, object] = {last: override.value}
    for key in reversed(above):
        values = {key: values}
    layers.put(values, override.option)


def _judged(layers: _Layers) -> Configuration:
    problems = [*layers.problems, *_truths(layers)]
    settings = None
    try:
        settings = Settings.model_validate(layers.merged)
    except ValidationError as error:
        problems += from_validation(error, Settings, source_of=layers.source_of)
    problems += examine(layers.merged, layers.source_of)
    venues = {name: venue.dialect if venue is not None else None for name, venue in venues_of(layers.merged).items()}
    path = house(Path(str(layers.merged.get("pairs", Settings.model_fields["pairs"].default))))
    registry = Registry()
    if not path.is_file():
        problems.append(Problem("pairs", repr(str(path)), "is no file", "name a registry", layers.source_of("pairs")))
    elif venues:
        registry, wrong = load_pairs(path, venues)
        problems += wrong
    if problems or settings is None:
        raise ConfigurationInvalid(problems)
    return Configuration(settings.model_copy(update={"pairs": path}), registry, layers.origins)


def _truths(layers: _Layers) -> Iterator[Problem]:
    """`true` where a number belongs: Python takes it for one, and a limit of one contract is not what was meant."""
    for location, value in _leaves(layers.merged, ()):
        if isinstance(value, bool) and annotation_at(Settings, location) not in {bool, None}:
            path = dotted(location)
            yield Problem(
                path, str(value).lower(), "is not a number or a text", "write the value itself", layers.source_of(path)
            )


def _leaves(values: Mapping[str, object], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """What is no section, with its place. An empty section is a leaf, so that it is not lost."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, str(key)))
        else:
            yield (*above, str(key)), value
