"""Durations as they are written in words: "10 seconds", "1 week". A bare number is milliseconds."""

from __future__ import annotations

import re
from datetime import timedelta

from workflows_app.errors import InvalidDuration
from workflows_app.protocol.durations import parse_duration

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "millisecond": timedelta(milliseconds=1),
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
    "year": timedelta(days=365.25),
}
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_WORDED = re.compile(rf"({_NUMBER.pattern}) +([a-z]+)")
_LONGEST_TEXT = 100


def worded_duration(value: timedelta | str | float) -> timedelta:
    """Read milliseconds, words such as "10 seconds", or what is a duration elsewhere: "10s", a
    timedelta. A month has 30 days and a year 365.25.

    Raises InvalidDuration for all else, and for what is negative.
    """
    try:
        duration = _read(value)
    except (InvalidDuration, ValueError, OverflowError):
        duration = None
    if duration is None or duration < timedelta():
        raise InvalidDuration(
            f"{value!r:.100} is not a duration: write a timedelta, a number of milliseconds, or a "
            'text such as "10 seconds" or "90s"; units in words are second, minute, hour, day, '
            "week, month and year"
        )
    return duration


def _read(value: object) -> timedelta | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return timedelta(milliseconds=value)
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        return None
    text = value.strip().lower()
    if _NUMBER.fullmatch(text):
        return timedelta(milliseconds=float(text))
    worded = _WORDED.fullmatch(text)
    if worded is None:
        return parse_duration(text)
    number, unit = worded.groups()
    length = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
    return None if length is None else length * float(number)
