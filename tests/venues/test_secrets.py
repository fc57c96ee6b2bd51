"""Secrets: found by reference, refused where others can read them, and shown nowhere."""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import pickle
import traceback
from pathlib import Path

import pytest
from loguru import logger

from venues.secrets import Secret, SecretUnavailable, resolve, text_behind

CANARY = "c4n4ry-in-the-mine"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key with a space.pem"
    path.write_text(f"{CANARY}\n")
    path.chmod(0o600)
    return path


def test_a_private_file_and_a_variable_are_read(file: Path) -> None:
    assert resolve(f"file:{file}").get_secret_value() == CANARY
    assert resolve("env:KEY", environ={"KEY": CANARY}).get_secret_value() == CANARY
    assert text_behind(f"file:{file}") == CANARY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_file_that_others_can_reach_is_refused_with_the_command_that_mends_it(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(SecretUnavailable) as raised:
        resolve(f"file:{file}")
    assert raised.value.remedy == f"run: chmod 600 '{file}'"
    assert f"{mode:04o}" in raised.value.message


def test_a_link_is_judged_by_what_it_leads_to(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    assert resolve(f"file:{link}")
    file.chmod(0o644)
    with pytest.raises(SecretUnavailable, match="can be read by others"):
        resolve(f"file:{link}")


def test_dotenv_gives_a_variable_only_if_it_is_private(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"KEY={CANARY}\n")
    dotenv.chmod(0o644)
    with pytest.raises(SecretUnavailable, match="can be read by others"):
        resolve("env:KEY", environ={}, dotenv=dotenv)
    dotenv.chmod(0o600)
    assert resolve("env:KEY", environ={}, dotenv=dotenv).get_secret_value() == CANARY
    assert resolve("env:KEY", environ={"KEY": "nearer"}, dotenv=dotenv).get_secret_value() == "nearer"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (CANARY, "is neither file:PATH nor env:NAME"),
        ("env:", "is neither"),
        ("file:", "is neither"),
        ("env:NO_SUCH", "the variable NO_SUCH is not set"),
        ("file:/no/such/file", "cannot be read"),
    ],
)
def test_a_reference_that_leads_nowhere(reference: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable) as raised:
        resolve(reference, environ={}, dotenv=tmp_path / ".env")
    assert message in str(raised.value)
    assert raised.value.remedy
    assert CANARY not in str(raised.value)


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(0o700)
    contents = {"huge": b"x" * 70_000, "binary": b"\xff\xfe", "empty": b" \n"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    for name in ("pipe", "folder", *contents):
        with pytest.raises(SecretUnavailable):
            resolve(f"file:{tmp_path / name}")


def test_a_secret_shows_nowhere(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = resolve(f"file:{file}")
    sink = io.StringIO()
    identity = logger.add(sink, format="{message} {extra}")
    logger.bind(secret=secret).info("loaded {}", secret)
    logger.remove(identity)
    with caplog.at_level(logging.INFO):
        logging.getLogger(__name__).info("loaded %s %r", secret, [secret])
    try:
        raise ValueError(secret)
    except ValueError:
        trace = traceback.format_exc()
    shown = f"{secret} {secret!r} {[secret]} {sink.getvalue()} {caplog.text} {trace}" + json.dumps(str(secret))
    assert CANARY not in shown
    assert isinstance(secret, Secret)


@pytest.mark.parametrize("carry", [pickle.dumps, copy.deepcopy, copy.copy])
def test_a_secret_does_not_travel(file: Path, carry: object) -> None:
    assert callable(carry)
    with pytest.raises(TypeError, match="pass its reference"):
        carry(resolve(f"file:{file}"))
