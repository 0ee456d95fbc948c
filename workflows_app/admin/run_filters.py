"""By what runs are found in the admin. No filter reads the whole table to offer its choices."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from workflows_app.admin.input_filters import InputFilter, moment_in, primary_key_in
from workflows_app.admin.permissions import allowed_workflows
from workflows_app.engine import clock
from workflows_app.engine.backlog import stuck
from workflows_app.engine.states import ENDED, State, in_state
from workflows_app.models import Definition, FlowControl, Run, RunLabel, Version
from workflows_app.sdk.authoring import registered_workflows

OTHER_URLS = "-"
"""Stands in the address for runs of URLs that no workflow registered here serves."""
OFFERED = 50
"""Of what there may be many, so many are offered; the address takes any."""
_SLACK = timedelta(minutes=1)
"""How much later than a run one with a smaller id may have begun: ids are given first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time, and the primary keys of the runs that began in it: as these grow with time, a page in
    their order reads nothing else.
    """

    first: datetime | None
    last: datetime | None
    oldest: int | None
    newest: int | None

    @classmethod
    def of(cls, *, first: datetime | None = None, last: datetime | None = None) -> Span:
        keys = Run.objects.values_list("pk", flat=True)
        oldest = newest = None
        if first is not None:
            since = keys.filter(created_at__gte=first - _SLACK).order_by("created_at")
            oldest = since.first() or sys.maxsize
        if last is not None:
            newest = keys.filter(created_at__lte=last + _SLACK).order_by("-created_at").first() or 0
        return cls(first=first, last=last, oldest=oldest, newest=newest)

    def cut(self, rows: QuerySet[Any], key: str) -> QuerySet[Any]:
        """Those whose runs have such keys."""
        if self.oldest is not None:
            rows = rows.filter(**{f"{key}__gte": self.oldest})
        if self.newest is not None:
            rows = rows.filter(**{f"{key}__lte": self.newest})
        return rows

    def runs(self, runs: QuerySet[Run]) -> QuerySet[Run]:
        runs = self.cut(runs, "pk")
        if self.first is not None:
            runs = runs.filter(created_at__gte=self.first)
        if self.last is not None:
            runs = runs.filter(created_at__lte=self.last)
        return runs


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "status"
    states = {
        State.QUEUED: _("Queued"),
        State.RUNNING: _("At work"),
        State.WAITING: _("Waiting"),
        State.PAUSING: _("Pausing"),
        State.PAUSED: _("Paused"),
        State.ROLLING_BACK: _("Rolling back"),
        State.SUCCEEDED: _("Succeeded"),
        State.FAILED: _("Failed"),
        State.CANCELED: _("Cancelled"),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        states = ((state.value, title) for state, title in self.states.items())
        return [("live", _("Live")), ("stuck", _("Stuck")), *states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        value = self.value()
        if value == "live":
            return queryset.filter(status=Run.Status.RUNNING)
        if value == "stuck":
            return stuck(queryset)
        return in_state(queryset, State(value)) if value in set(self.states) else queryset

    @property
    def has_index(self) -> bool:
        return self.value() in {"live", *ENDED}


class WorkflowFilter(admin.SimpleListFilter):
    """Offers those registered here, and those whose versions are known from another process; asking
    the table of runs would read all of it.
    """

    title = _("workflow")
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        names = set(allowed_workflows(request.user) or _known_workflows())
        names.add(request.GET.get(self.parameter_name, ""))
        offered = [(name, name) for name in sorted(names - {"", OTHER_URLS})]
        return [*offered, (OTHER_URLS, _("other URLs"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        name = self.value()
        return queryset.filter(workflow="" if name == OTHER_URLS else name) if name else queryset


def _known_workflows() -> set[str]:
    known = Definition.objects.order_by("-modified_at").values_list("name", flat=True)
    return {*registered_workflows(), *known[:OFFERED]}


class VersionFilter(admin.SimpleListFilter):
    """Offers those of the chosen workflow."""

    title = _("version")
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        workflow = request.GET.get(WorkflowFilter.parameter_name)
        if not workflow:
            return [(value, value)] if (value := self.value()) else []
        allowed = allowed_workflows(request.user)
        if allowed is not None and workflow not in allowed:
            return []
        versions = Version.objects.filter(definition__name=workflow).order_by("-pk")
        return [(str(version.pk), str(version)) for version in versions[:OFFERED]]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        version = primary_key_in(self.value())
        return queryset if version is None else queryset.filter(version=version)


class SourceFilter(admin.SimpleListFilter):
    title = _("started by")
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return list(Run.Source.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        value = self.value()
        return queryset.filter(source=value) if value in Run.Source.values else queryset


class FlowControlFilter(admin.SimpleListFilter):
    title = _("flow-control key")
    parameter_name = "flow_control"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        is_limited = allowed_workflows(request.user) is not None
        controls = [] if is_limited else FlowControl.objects.order_by("-pk")[:OFFERED]
        offered = [(str(control.pk), control.key) for control in controls]
        value = self.value()
        return offered if not value or value in dict(offered) else [*offered, (value, value)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        control = primary_key_in(self.value())
        return queryset if control is None else queryset.filter(flow_control=control)


class LabelFilter(InputFilter):
    title = _("label or linked object")
    fields = (("label", _("Label, as shop.order/17"), "text"),)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        label = self.value("label")
        if not label:
            return queryset
        return queryset.filter(pk__in=RunLabel.objects.filter(name=label).values("run"))


class StartedFilter(admin.SimpleListFilter):
    title = _("start")
    parameter_name = "started"
    periods = {
        "1h": (_("In the last hour"), timedelta(hours=1)),
        "24h": (_("In the last 24 hours"), timedelta(days=1)),
        "7d": (_("In the last 7 days"), timedelta(days=7)),
        "30d": (_("In the last 30 days"), timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [(name, title) for name, (title, _) in self.periods.items()]

    @cached_property
    def span(self) -> Span:
        period = self.periods.get(self.value() or "")
        return Span.of(first=clock.now() - period[1] if period else None)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return self.span.runs(queryset)


class DateFilter(InputFilter):
    title = _("date")
    fields = (
        ("from", _("From"), "datetime-local"),
        ("to", _("To"), "datetime-local"),
    )

    @cached_property
    def span(self) -> Span:
        return Span.of(first=moment_in(self.value("from")), last=moment_in(self.value("to")))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        return self.span.runs(queryset)
