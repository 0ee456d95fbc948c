"""Instances as lists show them, and as they are told of when they are new (Cloudflare reference 2.4
and 2.5).
"""

from __future__ import annotations

from collections.abc import Sequence

from workflows_app.engine import clock
from workflows_app.engine.states import states_of
from workflows_app.models import Definition, Run
from workflows_app.rest.cloudflare.instance_bodies import (
    CreatedInstanceBody,
    InstanceChangeBody,
    InstanceItemBody,
)
from workflows_app.rest.cloudflare.instance_runs import version_ids
from workflows_app.rest.cloudflare.instance_times import times_of
from workflows_app.rest.cloudflare.times import write_optional_time, write_time
from workflows_app.rest.cloudflare.vocabulary import SOURCES, STATUSES


def render_items(definition: Definition, runs: Sequence[Run]) -> list[InstanceItemBody]:
    """In a fixed number of queries."""
    states, times, versions = states_of(runs), times_of(runs), version_ids(definition, runs)
    return [
        {
            "id": run.run_id,
            "workflow_id": str(definition.public_id),
            "version_id": versions[run.pk],
            "status": STATUSES[states[run.pk]],
            "created_on": write_time(run.created_at),
            "modified_on": write_time(times[run.pk].changed_at),
            "started_on": write_optional_time(times[run.pk].began_at),
            "ended_on": write_optional_time(run.ended_at),
            "trigger_source": SOURCES[run.source],
        }
        for run in runs
    ]


def render_created(definition: Definition, runs: Sequence[Run]) -> list[CreatedInstanceBody]:
    versions = version_ids(definition, runs)
    return [
        {
            "id": run.run_id,
            "workflow_id": str(definition.public_id),
            "version_id": versions[run.pk],
            "status": "queued",
            "trigger_source": SOURCES[run.source],
        }
        for run in runs
    ]


def render_change(instance_id: str) -> InstanceChangeBody:
    return {"instanceId": instance_id, "timestamp": write_time(clock.now())}
