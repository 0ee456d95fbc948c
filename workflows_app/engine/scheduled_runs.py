"""Runs that the schedules of workflows start: one at each time that a cron expression names."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from workflows_app.engine import clock
from workflows_app.engine.ports import get_catalogue
from workflows_app.engine.triggering import start
from workflows_app.errors import UnknownWorkflow
from workflows_app.models import Run, Schedule
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import unix_milliseconds


def start_run(schedule: Schedule, slot: datetime) -> None:
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
        run_id=f"{schedule.cron}-{moment}",
        named_within=True,
        source=Run.Source.SCHEDULE,
        schedule=encode_json({"cron": schedule.cron, "scheduledTime": moment}),
    )
    start(schedule.account, [scheduled], clock.now())
