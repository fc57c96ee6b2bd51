"""What runs beside a published client, in the isolated environment: a guard of its sockets, and one JSON line per question.

Standard library only. A question is `{"do": NAME, "with": {...}}`; the answer is `{"ok": ...}`, `{"refused": KIND, "text": ...}`
where the venue said no, `{"cannot": REASON}` where the client has no means, or `{"error": ...}` for anything unforeseen.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from decimal import Decimal
from ipaddress import ip_address

LOOPBACK_NAMES = {"localhost", "", None}


class Escape(OSError):
    """The client wanted to leave this machine."""


class Refused(Exception):
    """The venue said no, in a way that the client told its caller."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Cannot(Exception):
    """The client itself has no means for it; the text says which."""


def is_loopback(host: object) -> bool:
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host.decode() if isinstance(host, bytes) else str(host)).is_loopback
    except ValueError:
        return False


def confine() -> None:
    """From here on no socket of this process reaches anything but loopback, and no other process is started. For good:
    an audit hook cannot be taken away.
    """

    def hook(event: str, told: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"):
            address = told[1] if len(told) > 1 else None
            if isinstance(address, tuple) and not is_loopback(address[0]):
                raise Escape(f"{event} to {address[0]} was blocked: this run does not leave the machine")
        elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
            if not is_loopback(told[0]):
                raise Escape(f"looking up {told[0]!r} was blocked: this run does not leave the machine")
        elif event in ("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.exec"):
            raise Escape(f"{event} was blocked: this run starts no other process")

    sys.addaudithook(hook)


def price(text: object) -> int:
    """Dollars to 1/10,000 dollar."""
    return whole(text, 10_000)


def micro(text: object) -> int:
    """Contracts or dollars to millionths."""
    return whole(text, 1_000_000)


def whole(text: object, unit: int) -> int:
    scaled = Decimal(str(text)) * unit
    if scaled != int(scaled):
        raise ValueError(f"{text} is finer than 1/{unit}")
    return int(scaled)


def levels(rows: list[tuple[object, object]]) -> list[list[int]]:
    """Best first is the caller's business: prices and sizes only."""
    return [[price(p), micro(q)] for p, q in rows]


def serve(make: Callable[[dict[str, str]], object]) -> None:
    """Answer until the questions end. The first line says where the venue is and with which credentials."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the client prints is no answer
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    confine()
    client = make(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        asked = json.loads(line)
        answer: dict[str, object]
        try:
            answer = {"ok": getattr(client, asked["do"])(**asked["with"])}
        except Refused as refusal:
            answer = {"refused": refusal.kind, "text": str(refusal)}
        except Cannot as reason:
            answer = {"cannot": str(reason)}
        except Exception as error:  # noqa: BLE001 - whatever the client raises is what the table has to show
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


def tried(calls: dict[str, Callable[[], object]]) -> dict[str, str]:
    """Each call's outcome: "" where its answer holds, else what is wrong with it."""
    found = {}
    for name, call in calls.items():
        try:
            answer = call()
            found[name] = "" if answer else f"answered {answer!r}"
        except Exception as error:  # noqa: BLE001 - whatever the client raises is what the table has to show
            found[name] = f"{type(error).__name__}: {error}"
    return found


def try_to_leave() -> list[str]:
    """What the guard answers to a connection and to a look-up; empty where one of them was let through."""
    import socket  # noqa: PLC0415 - only this question needs it

    said = []
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=0.2)
    except Escape as blocked:
        said.append(str(blocked))
    except OSError:
        return []
    try:
        socket.getaddrinfo("clob.polymarket.com", 443)
    except Escape as blocked:
        said.append(str(blocked))
    except OSError:
        return []
    return said
