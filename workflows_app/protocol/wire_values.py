"""Values inside what crosses the wire as JSON. Reading raises one of `MALFORMED`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

Json = dict[str, Any]
T = TypeVar("T")

MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""A part is missing, or not of its kind."""


def write_bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def write_moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def read_optional(read: Callable[[Json, str], T], wire: Json, name: str) -> T | None:
    return None if wire[name] is None else read(wire, name)


def read_text(wire: Json, name: str) -> str:
    return read_kind(str, wire[name])


def read_count(wire: Json, name: str) -> int:
    count = read_kind(int, wire[name])
    if count < 0 or isinstance(count, bool):
        raise ValueError(f"{name} is {count}")
    return count


def read_texts(values: object) -> list[str]:
    return [read_kind(str, value) for value in read_kind(list, values)]


def read_headers(wire: Json) -> dict[str, str]:
    headers = read_kind(dict, wire["headers"])
    read_texts(list(headers.values()))
    return headers


def read_bytes(wire: Json, name: str) -> bytes:
    return base64.b64decode(read_text(wire, name), validate=True)


def read_moment(wire: Json, name: str) -> datetime:
    moment = datetime.fromisoformat(read_text(wire, name))
    if moment.tzinfo is None:
        raise ValueError(f"{name} has no time zone")
    return moment


def read_kind(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.80} is not of the type {kind.__name__}")
    return value


def write_seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def read_seconds(value: float | None) -> timedelta | None:
    duration = None if value is None else timedelta(seconds=value)
    if duration is not None and duration < timedelta():
        raise ValueError(f"{value} seconds are no timeout")
    return duration
