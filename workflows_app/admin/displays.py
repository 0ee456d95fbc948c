"""How times, durations and states are written on a page."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from workflows_app.engine import clock
from workflows_app.models import DeadLetter, Run

NOTHING = "-"

_UNITS = (
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("min", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
)


def capped(number: int, most: int) -> str:
    """As "2,345"; with a plus, for "or more", where counting has stopped."""
    return f"{most:,}+" if number >= most else f"{number:,}"


class Tone(StrEnum):
    """What a badge's colour says; its text says the same."""

    GOOD = "good"
    BAD = "bad"
    BUSY = "busy"
    WAITING = "waiting"
    QUIET = "quiet"


def badge(text: str, tone: Tone) -> SafeString:
    return format_html('<span class="wf-badge wf-{}">{}</span>', tone.value, text)


def span(delta: timedelta) -> str:
    """A length of time: "850 µs", "12 ms", "1.25 s", or its two largest units: "3 min 4 s"."""
    seconds = max(delta, timedelta()).total_seconds()
    if 0 < seconds < 0.001:
        return f"{seconds * 1_000_000:.0f} µs"
    if 0 < seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.995:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + " s"
    return _two_units(timedelta(seconds=round(seconds)))


def _two_units(delta: timedelta) -> str:
    parts: list[str] = []
    for name, unit in _UNITS:
        count, delta = divmod(delta, unit)
        if parts:
            return " ".join([*parts, f"{count} {name}"] if count else parts)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts)


def ago(moment: datetime) -> str:
    """How far a moment lies behind or before us: "3 min ago", "in 2 h 5 min", "just now"."""
    delta = clock.now() - moment
    if abs(delta) < timedelta(seconds=1):
        return _("just now")
    distance = _two_units(timedelta(seconds=round(abs(delta).total_seconds())))
    if delta < timedelta():
        return _("in %(distance)s") % {"distance": distance}
    return _("%(distance)s ago") % {"distance": _largest_unit(distance)}


def _largest_unit(distance: str) -> str:
    return " ".join(distance.split(" ")[:2])


def clock_time(moment: datetime) -> str:
    """The time of day in the site's time zone; with the date unless that is today."""
    local, today = timezone.localtime(moment), timezone.localtime(clock.now()).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M:%S}"


def when(moment: datetime | None) -> SafeString | str:
    """The moment, and how long ago it was; the full time, with its zone, on hovering."""
    if moment is None:
        return NOTHING
    return format_html(
        '<time datetime="{0}" title="{0}">{1}</time> <span class="wf-quiet">{2}</span>',
        timezone.localtime(moment).isoformat(timespec="milliseconds"),
        clock_time(moment),
        ago(moment),
    )


def linked_run_title(run: Run) -> SafeString:
    return format_html("{}<br>{}", run.workflow or run.url, run_link(run))


def run_link(run: Run) -> SafeString:
    url = reverse("admin:workflows_app_run_change", args=[run.pk])
    return format_html('<a class="wf-id" href="{}">{}</a>', url, run.run_id)


def changelist_link(model: type[Model], text: str, **conditions: object) -> SafeString:
    """To the rows of a model that meet the conditions."""
    url = reverse(f"admin:workflows_app_{model._meta.model_name}_changelist")
    query = urlencode(sorted(conditions.items()))
    return format_html('<a href="{}?{}">{}</a>', url, query, text)


def row_link(row: Model, text: str) -> SafeString:
    url = reverse(f"admin:workflows_app_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a class="wf-id" href="{}">{}</a>', url, text)


def dead_letter_link(letter: DeadLetter) -> SafeString:
    url = reverse("admin:workflows_app_deadletter_change", args=[letter.pk])
    return format_html('<a class="wf-id" href="{}">{}</a>', url, letter.public_id)
