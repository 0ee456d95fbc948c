"""By what runs are found in the admin. No filter reads the whole table to offer its choices."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from workflows_app.engine import clock
from workflows_app.engine.backlog import stuck
from workflows_app.engine.states import State, in_state
from workflows_app.models import Run
from workflows_app.sdk.authoring import registered_workflows

OTHER_URLS = "-"
"""Stands in the address for runs of URLs that no workflow registered here serves."""


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "status"
    states = {
        State.QUEUED: "Queued",
        State.RUNNING: "At work",
        State.WAITING: "Waiting",
        State.PAUSING: "Pausing",
        State.PAUSED: "Paused",
        State.ROLLING_BACK: "Rolling back",
        State.SUCCEEDED: "Succeeded",
        State.FAILED: "Failed",
        State.CANCELED: "Cancelled",
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        states = [(state.value, title) for state, title in self.states.items()]
        return [("live", "Live"), ("stuck", "Stuck"), *states]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        value = self.value()
        if value == "live":
            return queryset.filter(status=Run.Status.RUNNING)
        if value == "stuck":
            return stuck(queryset)
        return in_state(queryset, State(value)) if value in set(self.states) else queryset


class WorkflowFilter(admin.SimpleListFilter):
    """Offers the workflows registered here; asking the table for its own would read all of it."""

    title = "workflow"
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        names = set(registered_workflows()) | {request.GET.get(self.parameter_name, "")}
        offered = [(name, name) for name in sorted(names - {"", OTHER_URLS})]
        return [*offered, (OTHER_URLS, "other URLs")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        name = self.value()
        return queryset.filter(workflow="" if name == OTHER_URLS else name) if name else queryset


class StartedFilter(admin.SimpleListFilter):
    title = "start"
    parameter_name = "started"
    periods = {
        "1h": ("In the last hour", timedelta(hours=1)),
        "24h": ("In the last 24 hours", timedelta(days=1)),
        "7d": ("In the last 7 days", timedelta(days=7)),
        "30d": ("In the last 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        return [(name, title) for name, (title, _) in self.periods.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        period = self.periods.get(self.value() or "")
        return queryset.filter(created_at__gte=clock.now() - period[1]) if period else queryset
