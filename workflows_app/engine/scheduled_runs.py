"""Runs that the schedules of workflows start: one at each time that a cron expression names."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db.models import QuerySet

from workflows_app.engine import clock
from workflows_app.engine.ports import get_catalogue
from workflows_app.engine.triggering import start
from workflows_app.errors import UnknownWorkflow
from workflows_app.models import Run, Schedule
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.cron import slots_until
from workflows_app.protocol.durations import unix_milliseconds


def start_run(schedule: Schedule, slot: datetime) -> Run:
    """In the caller's transaction. The id names the expression and the slot, which has one run.

    Raises UnknownWorkflow when its code is not registered any more.
    """
    assert schedule.definition is not None, "others publish"  # noqa: S101
    name = schedule.definition.name
    request = get_catalogue().request_for(name)
    if request is None:
        raise UnknownWorkflow(f'no workflow "{name}" is registered here')
    moment = unix_milliseconds(slot)
    scheduled = replace(
        request,
        run_id=_run_id(schedule, slot),
        named_within=True,
        source=Run.Source.SCHEDULE,
        schedule=encode_json({"cron": schedule.cron, "scheduledTime": moment}),
    )
    (started,) = start(schedule.account, [scheduled], clock.now())
    return started.run


def runs_of(schedule: Schedule, slots: int) -> QuerySet[Run]:
    """Those that it has started at its last slots: as many of them as are asked for."""
    if schedule.definition is None or schedule.last_slot_at is None:
        return Run.objects.none()
    moments = slots_until(schedule.cron, schedule.last_slot_at, slots)
    return Run.objects.filter(
        account=schedule.account_id,
        workflow=schedule.definition.name,
        run_id__in=[_run_id(schedule, moment) for moment in moments],
    )


def _run_id(schedule: Schedule, slot: datetime) -> str:
    return f"{schedule.cron}-{unix_milliseconds(slot)}"
