"""What the verbs' arguments may be: readers for argparse, with a sentence for what is wrong."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.durations import parse_duration, parse_moment

T = TypeVar("T")

HIGHEST_PORT = 65_535
LARGEST_CAP = (1 << 31) - 1
"""What the narrowest integer column of the supported databases holds."""


def port(text: str) -> int:
    """0 stands for any that is free."""
    return _whole_number(text, least=0, most=HIGHEST_PORT)


def count(text: str) -> int:
    return _whole_number(text, least=1, most=1_000)


def cap(text: str) -> int | None:
    """None stands for no limit."""
    return None if text == "none" else _whole_number(text, least=1, most=LARGEST_CAP)


def retries(text: str) -> int:
    return _whole_number(text, least=0, most=sys.maxsize)


def row_id(text: str) -> int:
    return _whole_number(text, least=1, most=sys.maxsize)


def duration(text: str) -> timedelta:
    """A bare number is seconds."""
    return _read(parse_duration, text)


def moment(text: str) -> datetime:
    return _read(parse_moment, text)


def header(text: str) -> tuple[str, str]:
    """`Name: value`; the space may be left out."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ArgumentTypeError(f'a header looks like "Name: value", not {text!r}')
    return name.strip(), value.strip()


def json_body(text: str) -> Any:
    """JSON as it is written, from the file after an "@", or from stdin for "-"."""
    return _read(decode_json, _content(text))


def _content(text: str) -> str | bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise ArgumentTypeError(f"{text[1:]} cannot be read: {error.strerror}") from None


def _read(reader: Callable[[Any], T], given: str | bytes) -> T:
    try:
        return reader(given)
    except InvalidInput as error:
        raise ArgumentTypeError(error.message) from None


def _whole_number(text: str, *, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        allowed = f"from {least}" + (f" to {most}" if most < sys.maxsize else "")
        raise ArgumentTypeError(f"{text!r} is not a whole number {allowed}")
    return int(text)
