"""How a workflow is shown: its row, its newest version, and what its runs are doing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db.models import OuterRef, Subquery

from workflows_app.engine.ports import get_catalogue
from workflows_app.engine.schedules import next_slot_of
from workflows_app.engine.states import count_by_state
from workflows_app.engine.versions import in_force_of
from workflows_app.models import Account, Definition, Run, Schedule, Version
from workflows_app.rest.cloudflare.bodies import ScheduleBody, UpdatedBody, WorkflowBody
from workflows_app.rest.cloudflare.times import write_time
from workflows_app.rest.cloudflare.vocabulary import STATUSES


def render_workflows(account: Account, definitions: Sequence[Definition]) -> list[WorkflowBody]:
    """In a number of queries that does not grow with theirs."""
    versions = in_force_of(definitions)
    counts = count_by_state(account, [each.name for each in definitions])
    triggered = _last_triggered(definitions)
    schedules = _schedules_of(definitions)
    registered = set(get_catalogue().names())
    return [
        {
            "id": str(each.public_id),
            "name": each.name,
            "class_name": versions[each.pk].class_name,
            "script_name": versions[each.pk].script_name,
            "created_on": write_time(each.created_at),
            "modified_on": write_time(each.modified_at),
            "triggered_on": _time_or_none(triggered[each.pk]),
            "instances": {STATUSES[state]: n for state, n in counts[each.name].items()},
            "schedules": schedules.get(each.pk, []),
            "script_deleted": each.name not in registered,
        }
        for each in definitions
    ]


def render_update(version: Version, *, is_terminating: bool) -> UpdatedBody:
    definition = version.definition
    return {
        "id": str(definition.public_id),
        "version_id": str(version.public_id),
        "name": definition.name,
        "class_name": version.class_name,
        "script_name": version.script_name,
        "created_on": write_time(definition.created_at),
        "modified_on": write_time(definition.modified_at),
        "triggered_on": _time_or_none(_last_triggered([definition])[definition.pk]),
        "is_deleted": int(definition.deleted_at is not None),
        "terminator_running": int(is_terminating),
    }


def _last_triggered(definitions: Iterable[Definition]) -> Mapping[int, datetime | None]:
    name = OuterRef("name")
    # A range of one name: with "=", PostgreSQL walks all newer runs by their primary key instead.
    runs = Run.objects.filter(account=OuterRef("account"), workflow__gte=name, workflow__lte=name)
    newest = Subquery(runs.order_by("-workflow", "-pk").values("created_at")[:1])
    rows = Definition.objects.filter(pk__in=[each.pk for each in definitions])
    return dict(rows.values_list("pk", newest))


def _schedules_of(definitions: Collection[Definition]) -> Mapping[int, list[ScheduleBody]]:
    found: dict[int, list[ScheduleBody]] = {}
    for schedule in Schedule.objects.filter(definition__in=definitions).order_by("pk"):
        slot = next_slot_of(schedule)
        found.setdefault(schedule.definition_id or 0, []).append(
            {"cron": schedule.cron, "next_instance": "" if slot is None else write_time(slot)}
        )
    return found


def _time_or_none(moment: datetime | None) -> str | None:
    return None if moment is None else write_time(moment)
