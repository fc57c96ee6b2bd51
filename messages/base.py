"""What every message is: frozen, strict, closed, and nameable, so that a journal row or a wire frame can be read back.

A message travels as its name, one space, and its JSON body. JSON and not pickle: whoever can write to a socket or a
journal must not be able to run code.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError


class UnknownMessage(ValueError):
    """The bytes name no message that this version knows, or their body does not fit it."""


class Message(BaseModel):
    """A value: equal by content, never changed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    registry: ClassVar[dict[str, type[Message]]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        known = Message.registry.setdefault(cls.__name__, cls)
        if known.__module__ != cls.__module__:
            raise TypeError(f"two messages are called {cls.__name__}: {known.__module__} and {cls.__module__}")


class Command(Message):
    """Imperative; travels outward."""


class Event(Message):
    """Past tense; travels inward, and is journaled before anyone acts on it."""


def name_of(message: Message) -> str:
    return type(message).__name__


def body_of(message: Message) -> bytes:
    return message.__pydantic_serializer__.to_json(message)


def parse(name: str, body: bytes) -> Message:
    """Read one message back; `UnknownMessage` names what was wrong with it."""
    kind = Message.registry.get(name)
    if kind is None:
        raise UnknownMessage(f"no message is called {name[:60]!r}; was this written by a newer version?")
    try:
        return kind.model_validate_json(body)
    except ValidationError as problem:
        raise UnknownMessage(f"{name} does not fit: {problem.errors(include_url=False, include_input=False)}") from None


def encode(message: Message) -> bytes:
    return name_of(message).encode() + b" " + body_of(message)


def decode(frame: bytes) -> Message:
    name, _, body = frame.partition(b" ")
    return parse(name.decode("ascii", "replace"), body)
