"""How /schema/ describes the routes of workflows, and of an account's settings."""

from __future__ import annotations

from workflows_app.rest.cloudflare.bodies import (
    DeletedBody,
    SettingsBody,
    UpdatedBody,
    WorkflowBody,
)
from workflows_app.rest.cloudflare.describing import (
    BAD,
    PAGE_PARAMETERS,
    TOO_LARGE,
    described,
)
from workflows_app.rest.schema import Access, Schema, in_query

_RETENTION: Schema = {
    "oneOf": [
        {"type": "integer", "minimum": 0, "description": "Milliseconds."},
        {
            "type": "string",
            "pattern": r"^(\d+)\s+(second|minute|hour|day|week|month|year)s?$",
        },
    ]
}
_RETENTIONS: Schema = {
    "type": "object",
    "properties": {"success_retention": _RETENTION, "error_retention": _RETENTION},
}
_SETTABLE: Schema = {
    "type": "object",
    "properties": {
        name: {**_RETENTION, "nullable": True} for name in ("success_retention", "error_retention")
    },
}
_UPDATE: Schema = {
    "type": "object",
    "properties": {
        "class_name": {"type": "string", "minLength": 1, "maxLength": 255},
        "script_name": {"type": "string", "minLength": 1, "maxLength": 255},
        "concurrency": {
            "type": "object",
            "properties": {"limit": {"type": "integer", "minimum": 1}},
        },
        "default_retention": _RETENTIONS,
        "limits": {"type": "object", "properties": {"steps": {"type": "integer", "minimum": 1}}},
        "schedules": {
            "type": "array",
            "maxItems": 200,
            "items": {
                "type": "object",
                "properties": {"cron": {"type": "string", "minLength": 1, "maxLength": 256}},
                "required": ["cron"],
            },
        },
    },
    "required": ["class_name", "script_name"],
}
_WORKFLOW: WorkflowBody = {
    "id": "0d1f6d3c-92c5-4f0e-9f0a-6a4f2a6d5a01",
    "name": "order-fulfillment",
    "class_name": "order_fulfillment",
    "script_name": "shop.workflows",
    "created_on": "2030-01-01T12:00:00.000Z",
    "modified_on": "2030-01-02T12:00:00.000Z",
    "triggered_on": "2030-01-02T12:30:00.000Z",
    "instances": {"complete": 41, "running": 1},
    "schedules": [{"cron": "0 9 * * 1", "next_instance": "2030-01-07T09:00:00.000Z"}],
    "script_deleted": False,
}
_UPDATED: UpdatedBody = {
    "id": _WORKFLOW["id"],
    "version_id": "5b1c2f4e-7d0a-4c58-8a64-0f5f3a1f6b02",
    "name": "order-fulfillment",
    "class_name": "order_fulfillment",
    "script_name": "shop.workflows",
    "created_on": "2030-01-01T12:00:00.000Z",
    "modified_on": "2030-01-02T12:00:00.000Z",
    "triggered_on": None,
    "is_deleted": 0,
    "terminator_running": 0,
}
_SETTINGS: SettingsBody = {
    "default_retention": {"success_retention": 604800000, "error_retention": 2592000000}
}

list_workflows = described(
    Access.ANY_TOKEN,
    name="workflows_list",
    summary="The workflows registered here, newest first",
    result=list[WorkflowBody],
    example=[_WORKFLOW],
    page={"count": 1, "per_page": 10, "total_count": 1, "page": 1, "total_pages": 1},
    refused=[BAD],
    parameters=[*PAGE_PARAMETERS, in_query("search", "A part of the name, in capitals or not.")],
)
show_workflow = described(
    Access.ANY_TOKEN,
    name="workflows_get",
    summary="One workflow",
    result=WorkflowBody,
    example=_WORKFLOW,
)
update_workflow = described(
    Access.FULL_TOKEN,
    name="workflows_update",
    summary="Set limits, retention and schedules anew: what is left out is cleared",
    result=UpdatedBody,
    example=_UPDATED,
    refused=[BAD, TOO_LARGE],
    body=_UPDATE,
    body_example={
        "class_name": "order_fulfillment",
        "script_name": "shop.workflows",
        "concurrency": {"limit": 10},
        "default_retention": {"success_retention": "3 days", "error_retention": 2592000000},
        "limits": {"steps": 500},
        "schedules": [{"cron": "0 9 * * 1"}],
    },
)
delete_workflow = described(
    Access.FULL_TOKEN,
    name="workflows_delete",
    summary="Hide a workflow, and end what runs of it",
    result=DeletedBody,
    example={"status": "ok", "success": True},
)
show_settings = described(
    Access.ANY_TOKEN,
    name="workflows_settings",
    summary="How long ended instances are kept unless their workflow says otherwise",
    result=SettingsBody,
    example=_SETTINGS,
)
change_settings = described(
    Access.FULL_TOKEN,
    name="workflows_changeSettings",
    summary="Set how long ended instances are kept; null stands for the server's own setting",
    result=SettingsBody,
    example=_SETTINGS,
    refused=[BAD, TOO_LARGE],
    body={"type": "object", "properties": {"default_retention": _SETTABLE}},
    body_example={"default_retention": {"success_retention": "7 days"}},
)
