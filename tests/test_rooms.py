"""The check of the rooms: what may be imported where, and a few habits of the house. A failure names the room that the
code belongs in. Reads the text of the modules with `ast`; imports none of them.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parent.parent
ROOMS = (
    *("messages", "core", "journal", "venues", "configs", "actors", "simulation", "supervisors", "console"),
    "benchmarks",
    "conformance",
)
OUTSIDE = {"benchmarks", "conformance"}
"""They measure and compare what is installed, and are not part of it."""
HOUSEHOLD = tuple(room for room in ROOMS if room not in OUTSIDE)

MAY_IMPORT = {
    "messages": set(),
    "core": {"messages"},
    "journal": {"messages"},
    "venues": {"messages", "core.units", "core.fees"},
    "configs": {"messages"},
    "actors": {"messages", "core", "journal", "venues", "configs"},
    "simulation": {"messages", "core", "journal", "venues", "configs", "actors"},
    "supervisors": {"messages", "core", "journal", "venues", "configs", "actors"},
    "console": {"messages", "core", "journal", "venues", "configs", "actors", "simulation", "supervisors"},
    "benchmarks": {
        "messages",
        "core",
        "journal",
        "venues",
        "configs",
        "actors",
        "simulation",
        "supervisors",
        "console",
    },
    # What stands beside a published client imports nothing of ours at all: that is checked on its own.
    "conformance": {"messages", "core", "journal", "venues", "configs", "console"},
    "run": {"console"},
}
"""run → console → supervisors → actors → {core, journal, venues} → messages; configs is read by the shells only.
simulation → actors: it supervises by itself, in virtual time.
"""

WHY_NOT = {
    "configs": "settings are read by the shells: take the value as an argument, and read it in actors/",
    "ray": "Ray is one thin layer: this belongs in actors/runtime.py (or supervisors/)",
    "aiohttp": "sockets of the venues belong in venues/, those of people in console/",
    "sqlite3": "what is kept belongs in journal/",
}

PURE = ("messages", "core")
PURE_MODULES = {
    *(
        "__future__",
        "abc",
        "bisect",
        "collections",
        "contextlib",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
        "functools",
    ),
    *("hashlib", "heapq", "itertools", "json", "math", "operator", "re", "string", "struct", "types", "typing"),
    *("msgspec", "pydantic", "pydantic_core"),
}
"""All that pure rooms may import beside each other: nothing here reads a clock, draws, waits, or touches the world."""
PURE_CALLS_NEVER = {"open", "print", "input", "eval", "exec", "__import__", "breakpoint", "float", "id", "hash"}
"""`float` is never money; `id` and `hash` differ from run to run and would spoil a replay."""

ONLY_IN = {
    "ray": ("actors/runtime.py", "supervisors/", "benchmarks/"),
    "aiohttp": ("venues/", "console/", "benchmarks/", "conformance/"),
    "sqlite3": ("journal/",),
    "asyncpg": ("journal/",),
    "typer": ("console/", "run.py"),
    "rich": ("console/",),
}
BESIDE_CLIENTS = ("conformance/with_", "conformance/child")
SECRETS_ARE_OPENED_IN = re.compile(r"^venues/([a-z_]+/)*(sign|credentials|secrets)\.py$")


@dataclass(frozen=True, slots=True)
class Import:
    file: str
    line: int
    module: str
    typing_only: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def room(self) -> str:
        return self.file.partition("/")[0].removesuffix(".py")

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


@cache
def trees() -> dict[str, ast.Module]:
    files = [HOUSE / "run.py", *(file for room in ROOMS for file in sorted((HOUSE / room).rglob("*.py")))]
    return {str(file.relative_to(HOUSE)): ast.parse(file.read_text()) for file in files if file.is_file()}


def imports_of(file: str, tree: ast.AST) -> Iterator[Import]:
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(file, node.lineno, name.name, id(node) in typing_only)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the whole name, so that the rooms can be checked"
            module = node.module or ""
            # `from core import fees` imports core.fees
            below = [f"{module}.{name.name}" for name in node.names] if module in ROOMS else [module]
            for imported in below:
                yield Import(file, node.lineno, imported, id(node) in typing_only)


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for file, tree in trees().items() for found in imports_of(file, tree))


def forbidden(found: Import) -> str | None:
    """Why this import stands in the wrong room, or None."""
    if found.room in PURE and found.top not in {*PURE_MODULES, *ROOMS}:
        return (
            f"{found.room}/ is pure: what needs {found.module} belongs in actors/, and its result comes as an argument"
        )
    if found.top in ROOMS and found.top != found.room:
        allowed = MAY_IMPORT[found.room]
        if not any(found.module == name or found.module.startswith(f"{name}.") for name in allowed):
            fits = [room for room in HOUSEHOLD if room == found.top or found.top in MAY_IMPORT[room]]
            return WHY_NOT.get(found.top, f"code that needs both belongs in {fits[-1]}/")
    places = ONLY_IN.get(found.top)
    if places is not None and not found.file.startswith(places):
        return WHY_NOT.get(found.top, f"this belongs in {places[0]}")
    return None


def test_every_import_stands_in_its_room() -> None:
    wrong = [f"{found}: {why}" for found in imports() if (why := forbidden(found)) is not None]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "text", "belongs"),
    [
        ("core/x.py", "import time", "belongs in actors/"),
        ("core/x.py", "from random import Random", "belongs in actors/"),
        ("core/x.py", "from datetime import datetime", "belongs in actors/"),
        ("core/x.py", "from journal.port import Journal", "belongs in console/"),
        ("messages/x.py", "import loguru", "belongs in actors/"),
        ("messages/x.py", "from core.units import ceil", "belongs in console/"),
        ("journal/x.py", "from venues.port import Clock", "belongs in console/"),
        ("venues/x.py", "from core.checks import approve", "belongs in console/"),
        ("venues/x.py", "from core import checks", "belongs in console/"),
        ("venues/x.py", "from configs.settings import Settings", "read it in actors/"),
        ("venues/x.py", "import sqlite3", "belongs in journal/"),
        ("actors/executor.py", "import ray", "actors/runtime.py"),
        ("actors/executor.py", "import aiohttp", "belong in venues/"),
        ("actors/executor.py", "from console.cli import main", "belongs in console/"),
        ("actors/executor.py", "from simulation.world import World", "belongs in console/"),
        ("simulation/world.py", "from supervisors.tree import TREE", "belongs in console/"),
        ("simulation/batch.py", "import ray", "actors/runtime.py"),
        ("simulation/disk.py", "import sqlite3", "belongs in journal/"),
        ("simulation/wire.py", "import aiohttp", "belong in venues/"),
        ("run.py", "from actors.runtime import start", "belongs in console/"),
    ],
)
def test_an_import_in_the_wrong_room_is_found(file: str, text: str, belongs: str) -> None:
    (found,) = imports_of(file, ast.parse(text))
    assert belongs in (forbidden(found) or "allowed")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("venues/kalshi/rest.py", "from core import fees"),
        ("venues/kalshi/rest.py", "from core.units import ceil"),
        ("actors/runtime.py", "import ray"),
        ("supervisors/x.py", "import ray.actor"),
        ("console/x.py", "from aiohttp import web"),
        ("core/x.py", "from collections.abc import Mapping"),
        ("run.py", "from console.cli import main"),
    ],
)
def test_an_import_in_its_room_passes(file: str, text: str) -> None:
    assert [forbidden(found) for found in imports_of(file, ast.parse(text))] == [None]


def pure_trees() -> Iterator[tuple[str, ast.Module]]:
    return ((file, tree) for file, tree in trees().items() if file.startswith(tuple(f"{room}/" for room in PURE)))


def impurities(file: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in PURE_CALLS_NEVER:
                yield f"{file}:{node.lineno} calls {name}(): this belongs in actors/, or needs integers"
            case ast.Call(func=ast.Attribute(attr="uuid4" | "now" | "utcnow" | "time_ns" | "urandom" as name)):
                yield f"{file}:{node.lineno} calls .{name}(): time and chance come as arguments, from actors/"
            case ast.Constant(value=float()):
                yield f"{file}:{node.lineno} has the float {node.value!r}: units are integers"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"{file}:{node.lineno} divides with /: integers divide with //, and rounding is core/units.py"
            case ast.AsyncFunctionDef() | ast.Await() | ast.Global():
                yield f"{file}:{node.lineno} waits or keeps state between calls: this belongs in actors/"
            case _:
                pass


def test_the_law_and_the_language_are_pure() -> None:
    wrong = [text for file, tree in pure_trees() for text in impurities(file, tree)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "price = float(x)",
        "half = 0.5",
        "x = a / b",
        "x /= 2",
        "async def f(): ...",
        "print(1)",
        "x = uuid.uuid4()",
        "hash(x)",
    ],
)
def test_an_impurity_is_found(text: str) -> None:
    assert list(impurities("core/x.py", ast.parse(text)))


def test_secrets_are_opened_where_they_sign_and_nowhere_else() -> None:
    wrong = [
        f"{file}:{node.lineno}: a secret is opened in venues/*/sign.py or venues/credentials.py; pass its reference"
        for file, tree in trees().items()
        if not SECRETS_ARE_OPENED_IN.match(file)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "get_secret_value"
    ]
    assert not wrong, "\n".join(wrong)


def test_own_code_is_not_mocked() -> None:
    wrong = [
        str(found)
        for file in sorted((HOUSE / "tests").rglob("*.py"))
        for found in imports_of(str(file.relative_to(HOUSE)), ast.parse(file.read_text()))
        if found.module.startswith("unittest.mock")
    ]
    assert not wrong, "write a small fake by hand, or use the simulated venue: " + ", ".join(wrong)


GIVEN_LATER = {"BREAKER"}
"""Their owners are not built yet: those checks answer *not configured*, visibly."""


def test_every_reason_can_be_given() -> None:
    """A reason that nothing gives is a promise in the language that the law does not keep."""
    (enumeration,) = (
        node
        for node in ast.walk(trees()["messages/reasons.py"])
        if isinstance(node, ast.ClassDef) and node.name == "Reason"
    )
    reasons = {
        target.id
        for node in enumeration.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    given = {
        node.attr
        for file, tree in trees().items()
        if not file.startswith(("messages/", "console/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }
    assert not reasons - given - GIVEN_LATER, f"nothing gives these reasons: {', '.join(sorted(reasons - given))}"
    assert not given & GIVEN_LATER, "these are given now: take them off the list"


# -------------------------------------------------------------------------------------------------- habits of the house


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-conformance.lock"])
def test_a_lock_pins_everything_by_hash_and_names_no_address(lock: str) -> None:
    text = (HOUSE / lock).read_text()
    assert "://" not in text, "an index address belongs to whoever installs"
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|-f|--find-links|--trusted-host)\b", text, re.MULTILINE)
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 40
    assert not [entry.partition(" ")[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ \\]+)", (HOUSE / lock).read_text(), re.MULTILINE))


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in requirements}

    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert not names(project["dependencies"] + extras["test"] + extras["speed"]) - set(runtime), "run: make lock"
    assert not names(extras["dev"]) - set(dev), "run: make lock"
    assert runtime.items() <= dev.items(), "the two locks disagree; run: make lock"


def test_every_third_party_import_is_declared() -> None:
    """What is imported is asked for by name, never had by luck through another package."""
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    asked = [
        *project["dependencies"],
        *(entry for extra in project["optional-dependencies"].values() for entry in extra),
    ]
    declared = {re.split(r"[<>=;\[ ]", entry)[0].replace("-", "_") for entry in asked}
    called = {"yaml": "pyyaml", "dotenv": "python_dotenv", "pydantic_core": "pydantic"}
    wrong = sorted(
        {
            f"{found}"
            for found in imports()
            if not found.file.startswith(BESIDE_CLIENTS)
            and found.top not in {*sys.stdlib_module_names, *ROOMS, *declared}
            and called.get(found.top) not in declared
        }
    )
    assert not wrong, "add them to pyproject.toml: " + "; ".join(wrong)


def test_what_stands_beside_a_published_client_needs_the_client_alone() -> None:
    """It runs in the clients' environment, which has nothing of ours: neither our rooms nor our packages."""
    wanted = pins("requirements-conformance.lock")
    clients = {name for name in ("pykalshi", "py-clob-client-v2") if name in wanted}
    assert len(clients) == 2, "run: make lock"
    allowed = {*sys.stdlib_module_names, *(name.replace("-", "_") for name in clients)}
    wrong = [
        str(found)
        for found in imports()
        if found.file.startswith(BESIDE_CLIENTS)
        and found.top not in allowed
        and not found.module.startswith("conformance.child")
    ]
    assert not wrong, "; ".join(wrong)


def test_the_wheel_holds_every_room_that_runs() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages == set(HOUSEHOLD)
    assert packages == set(project["tool"]["coverage"]["run"]["source"])


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(file.name for file in (HOUSE / "docs" / "decisions").glob("*.md"))
    assert names
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1)), names


def tracked() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=HOUSE,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [HOUSE / name for name in listed.stdout.decode().split("\0") if name and (HOUSE / name).is_file()]


def test_no_file_holds_a_path_of_this_machine() -> None:
    here = str(HOUSE.parent)
    if len(here) < len("/a/b"):
        pytest.skip("the checkout lies at the root: its path is too short to look for")
    wrong = [str(file.relative_to(HOUSE)) for file in tracked() if f"{here}/".encode() in file.read_bytes()]
    assert not wrong


def test_no_private_key_lies_about() -> None:
    marker = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{40,}")
    wrong = [
        str(file.relative_to(HOUSE))
        for file in tracked()
        if not file.is_relative_to(HOUSE / "tests") and marker.search(file.read_bytes())
    ]
    assert not wrong


def test_scripts_can_be_run() -> None:
    assert (HOUSE / ".ci" / "run").stat().st_mode & 0o111


def test_nothing_that_is_cancelled_waits_by_wait_for() -> None:
    """Up to Python 3.11 `asyncio.wait_for` swallows a cancellation that comes together with what it waits for: a loop lives on."""
    wrong = [
        f"{file}:{node.lineno}"
        for file, tree in trees().items()
        if file.startswith(("actors/", "venues/", "supervisors/")) and not file.startswith("venues/simulated/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "wait_for"
    ]
    assert not wrong, "use `async with asyncio.timeout(...)`: " + ", ".join(wrong)
