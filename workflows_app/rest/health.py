"""What load balancers and supervisors ask, without a token: does work progress, is all in place?"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Literal, TypedDict

from django.db.migrations.executor import MigrationExecutor
from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.conf import get_settings
from workflows_app.engine import clock, leases
from workflows_app.engine.database import connection
from workflows_app.models import Message
from workflows_app.rest.schema import Access, operation
from workflows_app.rest.views import OpenView

SECOND_LOOK = 0.2
"""Seconds after which limited work must still wait for the same message to count as behind: each is
late by right at the moment in which it is its turn.
"""
_APP = "workflows_app"


class HealthBody(TypedDict):
    status: Literal["ok", "behind"]
    lagSeconds: float
    limitSeconds: float


class ReadyBody(TypedDict):
    status: Literal["ready", "not migrated"]


class HealthView(OpenView):
    @operation(
        Access.ANYONE,
        name="health_progress",
        summary="200 while due work is taken up in time, else 503",
        answer=HealthBody,
        example={"status": "ok", "lagSeconds": 0.0, "limitSeconds": 60.0},
        unwell={"status": "behind", "lagSeconds": 75.0, "limitSeconds": 60.0},
    )
    def get(self, request: Request) -> Response:
        limit = get_settings().READY_LAG
        lag = lag_of_work(limit)
        body: HealthBody = {
            "status": "ok" if lag <= limit else "behind",
            "lagSeconds": lag.total_seconds(),
            "limitSeconds": limit.total_seconds(),
        }
        return Response(body, status=_status_code(body["status"] == "ok"))


class ReadyView(OpenView):
    @operation(
        Access.ANYONE,
        name="health_readiness",
        summary="200 when the database answers and is migrated, else 503",
        answer=ReadyBody,
        example={"status": "ready"},
        unwell={"status": "not migrated"},
    )
    def get(self, request: Request) -> Response:
        body: ReadyBody = {"status": "ready" if is_migrated() else "not migrated"}
        return Response(body, status=_status_code(body["status"] == "ready"))


def _status_code(well: object) -> HTTPStatus:
    return HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE


def lag_of_work(limit: timedelta) -> timedelta:
    """How long the oldest due message has waited for a worker.

    What waits for its flow control, or its account's parallelism, counts only when it is not taken
    though it could be.
    """
    now = clock.now()
    due = Message.objects.due(now)
    unlimited = due.filter(flow_control=None, account__parallelism=None).order_by("due_at")
    lag = _since(unlimited.values_list("due_at", flat=True).first(), now)
    oldest = leases.oldest_due(now)
    if lag > limit or _since(oldest, now) <= limit:
        return lag
    time.sleep(SECOND_LOOK)
    return _since(oldest, now) if leases.oldest_due(clock.now()) == oldest else lag


def _since(moment: datetime | None, now: datetime) -> timedelta:
    return timedelta() if moment is None else now - moment


_migrated = False


def is_migrated() -> bool:
    """Once found, not looked for again: it costs as much as loading all migrations."""
    global _migrated
    with connection().cursor() as cursor:
        cursor.execute("SELECT 1")
    if not _migrated:
        executor = MigrationExecutor(connection())
        targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == _APP]
        _migrated = not executor.migration_plan(targets)
    return _migrated
