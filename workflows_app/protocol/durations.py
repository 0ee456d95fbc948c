"""Durations and moments as they are written on the wire and by workflow authors.

Upstash reference 5.3: a sequence of number and unit, such as "10s", "1h30m3s" or "1d10h30m"; a bare
number counts seconds. A month ("mo") is 30 days and a year ("y") 365.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from workflows_app.errors import InvalidDuration

_SECONDS = {
    "s": 1,
    "m": 60,
    "h": 3_600,
    "d": 86_400,
    "w": 604_800,
    "mo": 2_592_000,
    "y": 31_536_000,
}
_GO_FRACTIONS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PART = re.compile(rf"({_NUMBER.pattern})([a-zµμ]+)")

_LONGEST_TEXT = 100
_LONGEST_RETRY_AFTER = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(value: str | float | timedelta) -> timedelta:
    """Read a duration from the wire, a setting or the command line. A bare number, or its text, is
    seconds.

    Raises InvalidDuration for anything that is negative, not finite, too large or not a duration.
    """
    duration = _read_duration(value, _SECONDS)
    if duration is None:
        raise InvalidDuration(
            f"{_shown(value)} is not a duration: write numbers with the units s, m, h, d, w, mo "
            f'or y, such as "30s", "1h30m" or "1d", or a number of seconds.'
        )
    return duration


def author_duration(value: str | timedelta) -> timedelta:
    """Read a duration in Python code. A bare number is refused: its reader would guess the unit."""
    number = str(value).strip()  # untyped code passes numbers, too
    if _NUMBER.fullmatch(number):
        raise InvalidDuration(
            f"{_shown(value)} is a duration without a unit: "
            f'write "{number}s" or timedelta(seconds={number}).'
        )
    return parse_duration(value)


def format_duration(value: timedelta) -> str:
    """Write a duration compactly in days to seconds, such as "1d10h30m", "1.5s" or "0s"."""
    if value < timedelta():
        return f"-{format_duration(-value)}"
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [
        f"{count}{unit}"
        for count, unit in ((value.days, "d"), (hours, "h"), (minutes, "m"))
        if count
    ]
    if seconds or value.microseconds or not parts:
        fraction = f".{value.microseconds:06}".rstrip("0").rstrip(".")
        parts.append(f"{seconds}{fraction}s")
    return "".join(parts)


def parse_moment(value: datetime | str | float) -> datetime:
    """Read a point in time as an aware datetime in UTC.

    ISO texts and datetimes without an offset are taken as UTC; numbers and their texts are unix
    seconds. Raises InvalidDuration for anything else.
    """
    try:
        moment = _read_moment(value)
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise InvalidDuration(
            f"{_shown(value)} is not a point in time: give a datetime, an ISO 8601 text such as "
            f'"2030-01-31T08:00:00Z", or unix seconds (not milliseconds).'
        )
    return moment


def unix_milliseconds(moment: datetime) -> int:
    """The whole milliseconds since 1970; as floats, some moments would lose one."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """Read a header such as Retry-After as the delay that it asks for (Upstash reference 5.4).

    Its value is a number of seconds, a duration (also in ms, us or ns) or an HTTP date, which may
    lie in the past and then means "at once". None when it is unusable or more than a day ahead.
    """
    delay = _read_duration(value, _SECONDS | _GO_FRACTIONS)
    if delay is None:
        delay = _time_until(value, now)
    if delay is None or delay > _LONGEST_RETRY_AFTER:
        return None
    return max(delay, timedelta())


def _read_duration(value: object, units: dict[str, float] | dict[str, int]) -> timedelta | None:
    try:
        if isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            value = timedelta(seconds=value)
        if isinstance(value, timedelta):
            return value if value >= timedelta() else None
        return _read_text(value.strip(), units) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _read_text(text: str, units: dict[str, float] | dict[str, int]) -> timedelta | None:
    if len(text) > _LONGEST_TEXT:
        return None
    if _NUMBER.fullmatch(text):
        return timedelta(seconds=float(text))
    total, position = timedelta(), 0
    while part := _PART.match(text, position):
        number, unit = part.groups()
        if unit not in units:
            return None
        total += timedelta(seconds=float(number) * units[unit])
        position = part.end()
    return total if text and position == len(text) else None


def _read_moment(value: object) -> datetime | None:
    if isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text) and len(text) <= _LONGEST_TEXT:
            return _EPOCH + timedelta(seconds=float(text))
        value = datetime.fromisoformat(text)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return _EPOCH + timedelta(seconds=value)
    return None


def _time_until(http_date: str, now: datetime) -> timedelta | None:
    try:
        moment = parsedate_to_datetime(http_date)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError, IndexError):
        return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
