"""The overview, on the page of the app in the admin: how runs fare, what is owed, who works on it.

Each part is shown to those who may see the list behind it, and counts the rows that they may see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.charts import BarChart, Column, bar_chart
from workflows_app.admin.displays import NOTHING, span
from workflows_app.admin.lists import Lists
from workflows_app.admin.overview_figures import Figure, Period, about, figures, percentage
from workflows_app.admin.overview_rows import Slot, StuckRun, WorkerRow, next_slots, stuck, workers
from workflows_app.admin.permissions import allowed_workflows
from workflows_app.admin.run_filters import OTHER_URLS
from workflows_app.engine import backlog, clock, statistics
from workflows_app.models import Run, Schedule
from workflows_app.protocol.durations import format_duration

MOST_WORKFLOWS = 20
"""How many the table of workflows names."""


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
    form: str
    """The address of the form that starts one; empty for who may not."""
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
        figures=figures(lists, runs, trend, period, len(working)),
        is_empty=not trend.looked_at and not runs.exists(),
        form=lists.form(Run),
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
        f"{about(part.runs[status], trend)} {title}"
        for status, title in reversed(STATUSES.items())
        if part.runs[status]
    ]
    return f"{_moment(part.began_at)}: {', '.join(told) or _('no run started')}"


def _moment(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%a %H:%M}"


def _part_row(part: statistics.Part, trend: statistics.Trend) -> PartRow:
    numbers = [about(part.runs[status], trend) for status in reversed(STATUSES)]
    return PartRow(began=_moment(part.began_at), numbers=numbers)


def _pace_row(
    pace: statistics.Pace, trend: statistics.Trend, period: Period, lists: Lists
) -> PaceRow:
    half, most, rate = pace.within(0.5), pace.within(0.95), pace.failure_rate
    chosen = {"started": period.name, "workflow": pace.workflow or OTHER_URLS}
    return PaceRow(
        workflow=pace.workflow or _("other URLs"),
        url=lists.url(Run, **chosen),
        started=about(pace.started, trend),
        failed=about(pace.runs[Run.Status.FAILED], trend),
        failed_url=lists.url(Run, **chosen, status=Run.Status.FAILED.value),
        rate=NOTHING if rate is None else percentage(rate),
        half=NOTHING if half is None else span(half),
        most=NOTHING if most is None else span(most),
        seen=len(pace.durations),
    )
