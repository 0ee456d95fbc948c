"""The logs of runs with their steps (Upstash reference 1.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import clock
from workflows_app.errors import InvalidInput
from workflows_app.models import Run
from workflows_app.rest.authentication import account_of
from workflows_app.rest.pagination import Page, paginate
from workflows_app.rest.upstash import operations
from workflows_app.rest.upstash.bodies import RunsBody
from workflows_app.rest.upstash.redacting import BODIES
from workflows_app.rest.upstash.run_events import (
    DEFAULT_EVENTS,
    MOST_EVENTS,
    EventFilter,
    list_events,
)
from workflows_app.rest.upstash.run_filters import RunFilter
from workflows_app.rest.upstash.run_logs import render_run
from workflows_app.rest.upstash.run_rows import with_rows
from workflows_app.rest.views import ApiView, read_parameters

MOST_RUNS = 10
"""On one page, by default and at most (Upstash reference 1.4, E10)."""


class LogsView(ApiView):
    @operations.list_logs
    def get(self, request: Request) -> Response:
        given = read_parameters(request)
        runs = with_rows(RunFilter.read(given).runs_of(account_of(request)))
        page = paginate(runs, given.page(default=MOST_RUNS, most=MOST_RUNS))
        return Response(trimmed(render_runs(page), given.number("trimBody")))


class EventsView(LogsView):
    @operations.list_events
    def get(self, request: Request) -> Response:
        given = read_parameters(request)
        grouping = given.text("groupBy")
        if grouping == "workflowRunId":
            return super().get(request)
        if grouping is not None:
            raise InvalidInput(f"groupBy is {grouping[:100]!r} but must be workflowRunId or absent")
        page = given.page(default=DEFAULT_EVENTS, most=MOST_EVENTS)
        events = list_events(account_of(request), EventFilter.read(given), page)
        return Response(trimmed(events, given.number("trimBody")))


def render_runs(page: Page[Run]) -> RunsBody:
    now = clock.now()
    body: RunsBody = {"runs": [render_run(run, now) for run in page.rows]}
    if page.cursor is not None:
        body["cursor"] = page.cursor
    return body


def trimmed(value: Any, most: int | None, name: str = "") -> Any:
    """With no payload or result longer than `most` characters."""
    if most is None:
        return value
    if isinstance(value, Mapping):
        return {key: trimmed(item, most, key) for key, item in value.items()}
    if isinstance(value, list):
        return [trimmed(item, most) for item in value]
    return value[:most] if name in BODIES and isinstance(value, str) else value
