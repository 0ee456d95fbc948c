"""Cron expressions in words, where a few words will do."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

_ZONE = "CRON_TZ="
_EVERY = re.compile(r"\*/([0-9]{1,2})")
_NUMBER = re.compile(r"[0-9]{1,2}")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def cron_in_words(cron: str) -> str:
    """As "every day at 09:00, Europe/Berlin"; empty for what takes more than that. Without a zone,
    times are in UTC.
    """
    zone, fields = "UTC", cron.split()
    if fields and fields[0].startswith(_ZONE):
        zone, fields = fields[0].removeprefix(_ZONE), fields[1:]
    if len(fields) != 5:
        return ""
    minute, hour, *days = fields
    if hour == "*" or _EVERY.fullmatch(hour):
        return _within_day(minute, hour) if days == ["*", "*", "*"] else ""
    on = _on_days(*days)
    if not on or not _NUMBER.fullmatch(minute) or not _NUMBER.fullmatch(hour):
        return ""
    time = f"{int(hour):02}:{int(minute):02}"
    return _("%(days)s at %(time)s, %(zone)s") % {"days": on, "time": time, "zone": zone}


def _within_day(minute: str, hour: str) -> str:
    if hour == "*" and minute == "*":
        return _("every minute")
    step = _step(minute, 60) if hour == "*" else None
    if step:
        return ngettext("every minute", "every %(number)d minutes", step) % {"number": step}
    hours = 1 if hour == "*" else _step(hour, 24)
    if not hours or not _NUMBER.fullmatch(minute):
        return ""
    said = ngettext("every hour", "every %(number)d hours", hours) % {"number": hours}
    return _("%(hours)s, at minute %(minute)d") % {"hours": said, "minute": int(minute)}


def _step(field: str, whole: int) -> int | None:
    """Of what comes at even distances; "*/7" does not."""
    found = _EVERY.fullmatch(field)
    number = int(found[1]) if found else 0
    return number if number and whole % number == 0 else None


def _on_days(day: str, month: str, weekday: str) -> str:
    if (day, month, weekday) == ("*", "*", "*"):
        return _("every day")
    if (day, month) == ("*", "*"):
        return _on_weekdays(weekday)
    if weekday != "*" or not _NUMBER.fullmatch(day):
        return ""
    if month == "*":
        return _("on day %(day)d of each month") % {"day": int(day)}
    if _NUMBER.fullmatch(month) and int(month) in MONTHS:
        return _("each %(month)s %(day)d") % {"month": MONTHS[int(month)], "day": int(day)}
    return ""


def _on_weekdays(field: str) -> str:
    begin, dash, end = field.partition("-")
    if dash:
        return _named([begin, end], lambda days: _("%(first)s to %(last)s") % days)
    if "," not in field:
        return _named([field, field], lambda days: _("each %(first)s") % days)
    return ""


def _named(days: list[str], say: Callable[[dict[str, str]], str]) -> str:
    numbers = [_weekday(each) for each in days]
    known = [str(WEEKDAYS[each]) for each in numbers if each is not None]
    return say({"first": known[0], "last": known[-1]}) if len(known) == len(days) else ""


def _weekday(text: str) -> int | None:
    """From Monday, 0, as Python has it; in cron expressions Sunday is 0 and 7."""
    number = _DAYS.index(text.lower()) if text.lower() in _DAYS else -1
    if re.fullmatch("[0-7]", text):
        number = int(text)
    return (number - 1) % 7 if number >= 0 else None
