"""Cron expressions: five fields, optionally after a time zone."""

from __future__ import annotations

import re
import zoneinfo
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from croniter import CroniterBadDateError, croniter

from workflows_app.errors import InvalidCron

_ZONE = "CRON_TZ="
_FIELDS = 5
_RANDOM = re.compile(r"(?:^|,)[rR](?![a-zA-Z])")
"""croniter's "any number", which it draws anew whenever it reads the expression."""
_SOME_DAY = datetime(2030, 1, 1, tzinfo=UTC)


def check_cron(text: str) -> str:
    """The expression without superfluous blanks. Raises InvalidCron, saying which part is wrong.

    "0 9 * * 1-5" or "CRON_TZ=Europe/Berlin 0 9 * * 1-5" (Upstash reference 1.8).
    """
    zone, fields = _parts(text)
    if zone is not None:
        _check_zone(zone, text)
    is_random = any(map(_RANDOM.search, fields))
    if len(fields) != _FIELDS or is_random or not croniter.is_valid(" ".join(fields)):
        raise InvalidCron(
            f'"{text:.80}" is not a cron expression: it has five fields (minute, hour, day of '
            'month, month, day of week), optionally after "CRON_TZ=Area/City "'
        )
    checked = " ".join(fields if zone is None else [f"{_ZONE}{zone}", *fields])
    try:
        next_slot(checked, _SOME_DAY)
    except CroniterBadDateError:
        raise InvalidCron(f'"{text:.80}" names a time that never comes') from None
    return checked


def next_slot(checked: str, after: datetime) -> datetime:
    """The first time after `after` that a checked expression names, in UTC.

    Where clocks go forward, a time that is left out stands for the moment at which they do. Where
    they go back, a time of day comes once, and what is named by every hour comes in both.
    """
    zone, fields = _parts(checked)
    slots = croniter(" ".join(fields), after.astimezone(zoneinfo.ZoneInfo(zone or "UTC")))
    while True:
        slot: datetime = slots.get_next(datetime)
        if fields[1].startswith("*") or not slot.fold:
            return slot.astimezone(UTC)


def slots_until(checked: str, last: datetime, most: int) -> list[datetime]:
    """The newest times up to this one that a checked expression names, newest first."""
    zone, fields = _parts(checked)
    after = (last + timedelta(seconds=1)).astimezone(zoneinfo.ZoneInfo(zone or "UTC"))
    slots = croniter(" ".join(fields), after)
    found: list[datetime] = []
    with suppress(CroniterBadDateError):
        while len(found) < most:
            slot: datetime = slots.get_prev(datetime)
            found.append(slot.astimezone(UTC))
    return found


def _parts(text: str) -> tuple[str | None, list[str]]:
    """The zone, if one is named, and the fields."""
    fields = text.split()
    if fields and fields[0].startswith(_ZONE):
        return fields[0].removeprefix(_ZONE), fields[1:]
    return None, fields


def _check_zone(name: str, text: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):  # such as for a directory
        raise InvalidCron(
            f'"{text:.80}" names the time zone "{name:.40}", which is unknown; '
            "write it as Area/City"
        ) from None
