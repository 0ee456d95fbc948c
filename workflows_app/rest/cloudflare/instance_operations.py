"""How /schema/ describes the routes of instances."""

from __future__ import annotations

from typing import Any, Literal

from workflows_app.rest.cloudflare.describing import BAD, CONFLICT, TOO_LARGE, described
from workflows_app.rest.cloudflare.envelope import RAW
from workflows_app.rest.cloudflare.instance_bodies import (
    BatchTerminatedBody,
    CreatedInstanceBody,
    DeletedInstancesBody,
    InstanceBody,
    InstanceChangeBody,
    InstanceItemBody,
    StatusChangeBody,
    StepOutputBody,
    TerminatingBody,
    TerminationStateBody,
)
from workflows_app.rest.cloudflare.instance_requests import LOCATIONS, LONGEST_ID, MOST_IN_BATCH
from workflows_app.rest.cloudflare.names import PATTERN
from workflows_app.rest.cloudflare.vocabulary import STATES
from workflows_app.rest.schema import Access, Schema, in_query

_WORKFLOW_ID = "0d1f6d3c-92c5-4f0e-9f0a-6a4f2a6d5a01"
_VERSION_ID = "5b1c2f4e-7d0a-4c58-8a64-0f5f3a1f6b02"
_RETENTION: Schema = {
    "oneOf": [
        {"type": "integer", "minimum": 0, "description": "Milliseconds."},
        {
            "type": "string",
            "pattern": r"^(\d+)\s+(second|minute|hour|day|week|month|year)s?$",
        },
    ]
}
_INSTANCE: Schema = {
    "type": "object",
    "properties": {
        "instance_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_ID,
            "pattern": f"^{PATTERN}$",
        },
        "instance_retention": {
            "type": "object",
            "properties": {"success_retention": _RETENTION, "error_retention": _RETENTION},
        },
        "location_hint": {"type": "string", "enum": list(LOCATIONS)},
        "params": {"description": "The payload; a text is the JSON of the payload."},
    },
}
_CREATED: CreatedInstanceBody = {
    "id": "order-7",
    "workflow_id": _WORKFLOW_ID,
    "version_id": _VERSION_ID,
    "status": "queued",
    "trigger_source": "api",
}
_ITEM: InstanceItemBody = {
    "id": "order-7",
    "workflow_id": _WORKFLOW_ID,
    "version_id": _VERSION_ID,
    "status": "waiting",
    "created_on": "2030-01-02T12:00:00.000Z",
    "modified_on": "2030-01-02T12:00:01.250Z",
    "started_on": "2030-01-02T12:00:00.010Z",
    "ended_on": None,
    "trigger_source": "api",
}
_DETAIL: InstanceBody = {
    "status": "waiting",
    "params": {"order": 7},
    "trigger": {"source": "api"},
    "versionId": _VERSION_ID,
    "queued": "2030-01-02T12:00:00.000Z",
    "start": "2030-01-02T12:00:00.010Z",
    "end": None,
    "success": None,
    "error": None,
    "output": "",
    "rollback": None,
    "step_count": 2,
    "steps": [
        {
            "type": "step",
            "name": "charge-1",
            "start": "2030-01-02T12:00:00.010Z",
            "end": "2030-01-02T12:00:01.250Z",
            "success": True,
            "output": '{"paid":true}',
            "config": {
                "retries": {"limit": 5, "delay": 10000, "backoff": "exponential"},
                "timeout": 600000,
            },
            "attempts": [
                {
                    "start": "2030-01-02T12:00:00.010Z",
                    "end": "2030-01-02T12:00:01.250Z",
                    "success": True,
                    "error": None,
                }
            ],
        },
        {
            "type": "waitForEvent",
            "name": "approval-1",
            "start": "2030-01-02T12:00:01.250Z",
            "end": "2030-01-03T12:00:01.250Z",
            "finished": False,
            "error": None,
            "event_type": "approved",
        },
    ],
}
_COMMAND: Schema = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["pause", "resume", "terminate", "restart"]},
        "rollback": {
            "type": "boolean",
            "description": "Of terminate: whether what was done is undone first.",
        },
        "from": {
            "type": "object",
            "description": "Of restart: the first step that is done again.",
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 256},
                "count": {"type": "integer", "minimum": 1, "default": 1},
                "type": {
                    "type": "string",
                    "enum": ["do", "sleep", "waitForEvent"],
                    "default": "do",
                },
            },
            "required": ["name"],
        },
    },
    "required": ["status"],
}
_IDS: Schema = {
    "type": "array",
    "items": {"type": "string", "minLength": 1, "maxLength": 271},
    "minItems": 1,
    "maxItems": MOST_IN_BATCH,
}
_CHANGED: InstanceChangeBody = {
    "instanceId": "order-7",
    "timestamp": "2030-01-02T12:05:00.000Z",
}
_STEP: StepOutputBody = {"status": "complete", "error": None, "output": {"paid": True}}


def _choice(*words: str) -> Any:
    return Literal[words]


list_instances = described(
    Access.ANY_TOKEN,
    name="instances_list",
    summary="The instances of a workflow, newest first",
    result=list[InstanceItemBody],
    example=[_ITEM],
    page={"count": 1, "per_page": 50, "total_count": 1, "page": 1},
    refused=[BAD],
    parameters=[
        in_query("cursor", "Where the page before ended."),
        in_query("date_end", "The latest moment of creation; ISO 8601."),
        in_query("date_start", "The earliest moment of creation; ISO 8601."),
        in_query("direction", '"desc" (newest first) or "asc".', _choice("asc", "desc")),
        in_query("page", "Which page, from 1; counted from the cursor, if there is one.", int),
        in_query("per_page", "How many to a page, 1 to 100.", int),
        in_query("status", "What they are doing.", _choice(*STATES)),
    ],
)
create_instance = described(
    Access.FULL_TOKEN,
    name="instances_create",
    summary="Start an instance",
    result=CreatedInstanceBody,
    example=_CREATED,
    refused=[BAD, TOO_LARGE],
    body=_INSTANCE,
    body_example={"instance_id": "order-7", "params": '{"order":7}'},
)
create_instances = described(
    Access.FULL_TOKEN,
    name="instances_createMany",
    summary="Start many instances; `messages` tells whose ids are taken",
    result=list[CreatedInstanceBody],
    example=[_CREATED],
    refused=[BAD, TOO_LARGE],
    body={"type": "array", "items": _INSTANCE, "minItems": 1, "maxItems": MOST_IN_BATCH},
    body_example=[{"instance_id": "order-7", "params": '{"order":7}'}],
)
show_instance = described(
    Access.ANY_TOKEN,
    name="instances_get",
    summary="One instance with its steps",
    result=InstanceBody,
    example=_DETAIL,
    refused=[BAD],
    parameters=[
        in_query("order", '"asc" (oldest steps first) or "desc".', _choice("asc", "desc")),
        in_query("simple", '"true" leaves the steps out.', _choice("true", "false")),
    ],
)
show_step = described(
    Access.ANY_TOKEN,
    name="instances_getStep",
    summary="The whole output of one step",
    result=StepOutputBody,
    example=_STEP,
    refused=[BAD],
    parameters=[
        in_query("attempt", "Which attempt, from 1; the newest one if it is left out.", int),
        in_query("name", "With its number, as in charge-1.", required=True),
        in_query("type", "What it is.", _choice("step", "waitForEvent"), required=True),
    ],
    raw=RAW,
)
change_status = described(
    Access.FULL_TOKEN,
    name="instances_changeStatus",
    summary="Pause, resume, terminate or restart an instance",
    result=StatusChangeBody,
    example={"status": "paused", "timestamp": "2030-01-02T12:05:00.000Z"},
    refused=[BAD, CONFLICT, TOO_LARGE],
    body=_COMMAND,
    body_example={"status": "pause"},
)
send_event = described(
    Access.FULL_TOKEN,
    name="instances_sendEvent",
    summary="Send an event to an instance, which may wait for it later",
    result=InstanceChangeBody,
    example=_CHANGED,
    refused=[BAD, TOO_LARGE],
    body={"description": "The payload of the event."},
    body_example={"approved": True},
)
delete_instance = described(
    Access.FULL_TOKEN,
    name="instances_delete",
    summary="Delete an instance; what is live of it ends, and is not rolled back",
    result=InstanceChangeBody,
    example=_CHANGED,
    refused=[CONFLICT],
)
delete_instances = described(
    Access.FULL_TOKEN,
    name="instances_deleteMany",
    summary="Delete many instances, each on its own",
    result=DeletedInstancesBody,
    example={
        "deleted": [{"id": "order-7"}],
        "errors": [
            {
                "id": "order-8",
                "code": 10400,
                "message": "workflows.api.error.instance.not_found",
            }
        ],
    },
    refused=[BAD, TOO_LARGE],
    body={"type": "object", "properties": {"instances": _IDS}, "required": ["instances"]},
    body_example={"instances": ["order-7", "order-8"]},
)
terminate_instances = described(
    Access.FULL_TOKEN,
    name="instances_terminateMany",
    summary="Terminate those of many instances that have not ended",
    result=BatchTerminatedBody,
    example={"status": "ok", "instancesTerminated": 2},
    refused=[BAD, TOO_LARGE],
    body=_IDS,
    body_example=["order-7", "order-8"],
)
terminate_all = described(
    Access.FULL_TOKEN,
    name="instances_terminateAll",
    summary="Have all instances of a workflow terminated, or all that do something",
    result=TerminatingBody,
    example={"status": "ok"},
    refused=[BAD],
    parameters=[
        in_query(
            "status",
            "What they are doing; without it, all that have not ended.",
            _choice("queued", "running", "paused", "waitingForPause", "waiting"),
        )
    ],
)
show_termination = described(
    Access.ANY_TOKEN,
    name="instances_getTermination",
    summary="Whether instances are still to be terminated",
    result=TerminationStateBody,
    example={"status": "not_running"},
)
