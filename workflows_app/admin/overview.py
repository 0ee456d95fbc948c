"""The overview, on the page of the app in the admin: how runs fare, what is owed, who works on it.

Each part is shown to those who may see the list behind it, and counts the rows that they may see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.contrib.admin.exceptions import NotRegistered
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.charts import BarChart, Column, bar_chart
from workflows_app.admin.displays import NOTHING, span
from workflows_app.admin.overview_rows import Slot, StuckRun, WorkerRow, next_slots, stuck, workers
from workflows_app.admin.permissions import allowed_workflows
from workflows_app.admin.run_filters import OTHER_URLS
from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.engine import backlog, clock, statistics
from workflows_app.models import DeadLetter, Event, Message, Run, Schedule
from workflows_app.protocol.durations import format_duration

MOST_WORKFLOWS = 20
"""How many the table of workflows names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    name: str
    """As the address and the filter of runs have it."""
    title: Any
    parts: int
    length: timedelta
    """Of each part."""


PERIODS = (
    Period(name="24h", title=gettext_lazy("24 hours"), parts=24, length=timedelta(hours=1)),
    Period(name="7d", title=gettext_lazy("7 days"), parts=28, length=timedelta(hours=6)),
)

# From the bottom up: what failed stands where it can be compared.
STATUSES = {
    Run.Status.FAILED: gettext_lazy("failed"),
    Run.Status.CANCELED: gettext_lazy("cancelled"),
    Run.Status.RUNNING: gettext_lazy("live"),
    Run.Status.SUCCEEDED: gettext_lazy("succeeded"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    label: str
    value: str
    note: str = ""
    url: str = ""
    alarm: bool = False
    """Somebody should look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    began: str
    numbers: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceRow:
    workflow: str
    url: str
    started: str
    failed: str
    failed_url: str
    rate: str
    half: str
    most: str
    seen: int
    """How many runs the times are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    period: Period
    periods: Sequence[Period]
    figures: Sequence[Figure]
    is_empty: bool
    """Whether there is no run yet."""
    trend: statistics.Trend
    chart: BarChart | None
    legend: Sequence[tuple[str, Any]]
    parts: Sequence[PartRow]
    paces: Sequence[PaceRow]
    more_workflows: int
    stuck: Sequence[StuckRun]
    """The oldest few."""
    all_stuck: str
    ready_lag: str
    workers: Sequence[WorkerRow]
    slots: Sequence[Slot] | None
    """None for who may not see schedules."""


class Lists:
    """The lists of an admin site that a user may see."""

    def __init__(self, site: AdminSite, request: HttpRequest) -> None:
        self._site = site
        self._request = request

    def rows(self, model: type[Model]) -> QuerySet[Any] | None:
        """None when they may not be seen."""
        found = self._admin(model)
        return None if found is None else found.get_queryset(self._request)

    def url(self, model: type[Model], **conditions: str) -> str:
        found = self._admin(model)
        if found is None:
            return ""
        query = f"?{urlencode(conditions)}" if conditions else ""
        return f"{found.url_of('changelist')}{query}"

    def page(self, row: Model) -> str:
        found = self._admin(type(row))
        return "" if found is None else found.url_of("change", row.pk)

    def _admin(self, model: type[Model]) -> VerbAdmin | None:
        try:
            found = self._site.get_model_admin(model)
        except NotRegistered:
            return None
        if isinstance(found, VerbAdmin) and found.has_view_permission(self._request):
            return found
        return None


def build(site: AdminSite, request: HttpRequest) -> Overview | None:
    """None for who may not see runs."""
    lists = Lists(site, request)
    runs = lists.rows(Run)
    if runs is None:
        return None
    asked = request.GET.get("period")
    period = next((each for each in PERIODS if each.name == asked), PERIODS[0])
    trend = statistics.trend(
        clock.now(), period.parts, period.length, workflows=allowed_workflows(request.user)
    )
    working = workers(runs, lists.page)
    schedules = lists.rows(Schedule)
    paces = trend.paces[:MOST_WORKFLOWS]
    return Overview(
        period=period,
        periods=PERIODS,
        figures=[
            *_of_trend(trend, period, lists),
            *_of_runs(runs, lists),
            *_of_work(lists, len(working)),
        ],
        is_empty=not trend.looked_at and not runs.exists(),
        trend=trend,
        chart=_chart(trend) if trend.looked_at else None,
        legend=[(status.value, title) for status, title in reversed(STATUSES.items())],
        parts=[_part_row(part, trend) for part in trend.parts],
        paces=[_pace_row(pace, trend, period, lists) for pace in paces],
        more_workflows=len(trend.paces) - len(paces),
        stuck=stuck(runs, lists.page),
        all_stuck=lists.url(Run, status="stuck"),
        ready_lag=format_duration(backlog.ready_lag()),
        workers=working,
        slots=None if schedules is None else next_slots(schedules, lists.page),
    )


# -- numbers


def _of_trend(trend: statistics.Trend, period: Period, lists: Lists) -> list[Figure]:
    runs = trend.runs
    started, failed = runs.total(), runs[Run.Status.FAILED]
    hourly = started / (period.parts * period.length / timedelta(hours=1))
    rate = statistics.failure_rate(runs)
    return [
        Figure(
            label=_("Started in %(period)s") % {"period": period.title},
            value=_about(started, trend),
            note=_("%(number)s an hour") % {"number": _few_digits(hourly)},
            url=lists.url(Run, started=period.name),
        ),
        Figure(
            label=_("Failed of these"),
            value=_about(failed, trend),
            note="" if rate is None else _("%(rate)s of those that ended") % {"rate": _rate(rate)},
            url=lists.url(Run, started=period.name, status=Run.Status.FAILED.value),
            alarm=failed > 0,
        ),
    ]


def _of_runs(runs: QuerySet[Run], lists: Lists) -> list[Figure]:
    live = backlog.live(runs)
    paused = backlog.count(live.filter(paused_at__isnull=False))
    troubled = backlog.count_stuck(runs)
    return [
        Figure(
            label=_("Live"), value=capped(backlog.count(live)), url=lists.url(Run, status="live")
        ),
        Figure(
            label=_("At work"),
            value=capped(backlog.count(backlog.at_work(live))),
            url=lists.url(Run, status="running"),
        ),
        Figure(label=_("Paused"), value=capped(paused), url=lists.url(Run, status="paused")),
        Figure(
            label=_("Stuck"),
            value=capped(troubled, backlog.MOST_STUCK),
            url=lists.url(Run, status="stuck"),
            alarm=troubled > 0,
        ),
    ]


def _of_work(lists: Lists, workers_alive: int) -> list[Figure]:
    figures = [
        Figure(
            label=_("Workers alive"),
            value=str(workers_alive),
            url="#wf-workers",
            alarm=not workers_alive,
        )
    ]
    messages, letters, events = lists.rows(Message), lists.rows(DeadLetter), lists.rows(Event)
    if messages is not None:
        owed = backlog.backlog(messages)
        late = owed.oldest > backlog.ready_lag()
        note = _("oldest for %(time)s") % {"time": span(owed.oldest)} if owed.free else ""
        if owed.limited:
            held = _("%(number)s under flow control") % {"number": capped(owed.limited)}
            note = f"{note}; {held}" if note else held
        url = lists.url(Message, state="due")
        value = capped(owed.due)
        figures.append(Figure(label=_("Due work"), value=value, note=note, url=url, alarm=late))
    if letters is not None:
        number = backlog.count(letters)
        url = lists.url(DeadLetter)
        alarm = number > 0
        figures.append(Figure(label=_("Dead letters"), value=capped(number), url=url, alarm=alarm))
    if events is not None:
        url = lists.url(Event)
        value = capped(backlog.count(events))
        figures.append(Figure(label=_("Unclaimed events"), value=value, url=url))
    return figures


def capped(number: int, most: int = backlog.MOST) -> str:
    """As "2,345"; with a plus where counting stopped."""
    return f"{number:,}+" if number >= most else f"{number:,}"


def _about(number: int, trend: statistics.Trend) -> str:
    """An estimate is marked as one, and has no more digits than it is worth."""
    if not (trend.is_estimate and number):
        return f"{number:,}"
    unit = 10 ** max(0, len(str(number)) - 2)
    return f"≈ {round(number / unit) * unit:,}"


def _few_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _rate(rate: float) -> str:
    return f"{_few_digits(rate * 100)} %"


# -- over time


def _chart(trend: statistics.Trend) -> BarChart:
    columns = [
        Column(title=_sentence(part, trend), numbers=[part.runs[status] for status in STATUSES])
        for part in trend.parts
    ]
    return bar_chart([status.value for status in STATUSES], columns)


def _sentence(part: statistics.Part, trend: statistics.Trend) -> str:
    """As "Mon 14:00: 12 succeeded, 1 failed"."""
    told = [
        f"{_about(part.runs[status], trend)} {title}"
        for status, title in reversed(STATUSES.items())
        if part.runs[status]
    ]
    return f"{_moment(part.began_at)}: {', '.join(told) or _('no run started')}"


def _moment(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%a %H:%M}"


def _part_row(part: statistics.Part, trend: statistics.Trend) -> PartRow:
    numbers = [_about(part.runs[status], trend) for status in reversed(STATUSES)]
    return PartRow(began=_moment(part.began_at), numbers=numbers)


def _pace_row(
    pace: statistics.Pace, trend: statistics.Trend, period: Period, lists: Lists
) -> PaceRow:
    half, most, rate = pace.within(0.5), pace.within(0.95), pace.failure_rate
    chosen = {"started": period.name, "workflow": pace.workflow or OTHER_URLS}
    return PaceRow(
        workflow=pace.workflow or _("other URLs"),
        url=lists.url(Run, **chosen),
        started=_about(pace.started, trend),
        failed=_about(pace.runs[Run.Status.FAILED], trend),
        failed_url=lists.url(Run, **chosen, status=Run.Status.FAILED.value),
        rate=NOTHING if rate is None else _rate(rate),
        half=NOTHING if half is None else span(half),
        most=NOTHING if most is None else span(most),
        seen=len(pace.durations),
    )
