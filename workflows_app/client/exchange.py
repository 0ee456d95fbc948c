"""One request to the server and what comes of it, free of any HTTP library.

The client's logic is written as flows: generators that yield what is to be done and are sent what
came of it. The two shells differ in how they do it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Repeat(Enum):
    """When a request may be sent again after it failed."""

    ALWAYS = "always"
    """It changes nothing, or nothing more the second time."""
    IF_NOTHING_WAS_DONE = "if nothing was done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    target: str
    """Path and query, below the address of the server."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    repeat: Repeat = Repeat.IF_NOTHING_WAS_DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """With names in lower case."""
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Why there is none, and whether the server may have been asked all the same."""

    reason: str
    was_sent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    length: timedelta


Outcome = Answer | NoAnswer | None
"""None of a pause."""
Flow = Generator[Request | Pause, Outcome, T]
