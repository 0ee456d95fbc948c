"""How long what has ended is kept: read as milliseconds or as a text, written as milliseconds."""

from __future__ import annotations

import re
from datetime import timedelta

from workflows_app.errors import InvalidInput
from workflows_app.rest.cloudflare.reading import Fields

_DURATION = re.compile(r"([0-9]{1,15})\s+(second|minute|hour|day|week|month|year)s?")
_SECOND = 1000
_DAY = 24 * 60 * 60 * _SECOND
_UNITS = {
    "second": _SECOND,
    "minute": 60 * _SECOND,
    "hour": 60 * 60 * _SECOND,
    "day": _DAY,
    "week": 7 * _DAY,
    "month": 30 * _DAY,
    "year": 365 * _DAY + _DAY // 4,
}
_MOST = 1000 * _UNITS["year"]
"""Calendars end; a server's own limit is lower."""


def read_retention(fields: Fields, name: str) -> timedelta | None:
    """Raises InvalidInput, naming the field."""
    value = fields.value(name)
    if value is None:
        return None
    milliseconds = (
        _milliseconds(value) if isinstance(value, str) else fields.number(name, least=0, most=_MOST)
    )
    if milliseconds is None or milliseconds > _MOST:
        raise InvalidInput(
            f"{fields.name_of(name)} is {value!r:.80} but must be milliseconds, "
            'or a text such as "7 days"'
        )
    return timedelta(milliseconds=milliseconds)


def write_retention(retention: timedelta) -> int:
    return retention // timedelta(milliseconds=1)


def _milliseconds(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    return None if match is None else int(match[1]) * _UNITS[match[2]]
