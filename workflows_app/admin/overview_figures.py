"""The numbers at the top of the overview, each with the list behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from workflows_app.admin.displays import capped, span
from workflows_app.admin.lists import Lists
from workflows_app.engine import backlog, statistics
from workflows_app.models import DeadLetter, Event, Message, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    name: str
    """As the address and the filter of runs have it."""
    title: Any
    parts: int
    length: timedelta
    """Of each part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    label: str
    value: str
    note: str = ""
    url: str = ""
    alarm: bool = False
    """Somebody should look at it."""


def figures(
    lists: Lists,
    runs: QuerySet[Run],
    trend: statistics.Trend,
    period: Period,
    workers_alive: int,
) -> list[Figure]:
    return [
        *_of_trend(trend, period, lists),
        *_of_runs(runs, lists),
        *_of_work(lists, workers_alive),
    ]


def _of_trend(trend: statistics.Trend, period: Period, lists: Lists) -> list[Figure]:
    runs = trend.runs
    started, failed = runs.total(), runs[Run.Status.FAILED]
    hourly = started / (period.parts * period.length / timedelta(hours=1))
    rate, share = statistics.failure_rate(runs), ""
    if rate is not None:
        share = _("%(rate)s of what succeeded or failed") % {"rate": percentage(rate)}
    return [
        Figure(
            label=_("Started in %(period)s") % {"period": period.title},
            value=about(started, trend),
            note=_("%(number)s an hour") % {"number": _few_digits(hourly)},
            url=lists.url(Run, started=period.name),
        ),
        Figure(
            label=_("Failed of these"),
            value=about(failed, trend),
            note=share,
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
            label=_("Live"), value=_capped(backlog.count(live)), url=lists.url(Run, status="live")
        ),
        Figure(
            label=_("At work"),
            value=_capped(backlog.count(backlog.at_work(live))),
            url=lists.url(Run, status="running"),
        ),
        Figure(label=_("Paused"), value=_capped(paused), url=lists.url(Run, status="paused")),
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
            held = _("%(number)s under flow control") % {"number": _capped(owed.limited)}
            note = f"{note}; {held}" if note else held
        url = lists.url(Message, state="due")
        value = _capped(owed.due)
        figures.append(Figure(label=_("Due work"), value=value, note=note, url=url, alarm=late))
    if letters is not None:
        number = backlog.count(letters)
        url = lists.url(DeadLetter)
        alarm = number > 0
        figures.append(Figure(label=_("Dead letters"), value=_capped(number), url=url, alarm=alarm))
    if events is not None:
        url = lists.url(Event)
        value = _capped(backlog.count(events))
        figures.append(Figure(label=_("Unclaimed events"), value=value, url=url))
    return figures


def _capped(number: int) -> str:
    return capped(number, backlog.MOST)


def about(number: int, trend: statistics.Trend) -> str:
    """An estimate is marked as one, and has no more digits than it is worth."""
    if not (trend.is_estimate and number):
        return f"{number:,}"
    unit = 10 ** max(0, len(str(number)) - 2)
    return f"≈ {round(number / unit) * unit:,}"


def _few_digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def percentage(rate: float) -> str:
    return f"{_few_digits(rate * 100)} %"
