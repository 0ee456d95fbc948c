"""Workflows: list, show, update, delete (Cloudflare reference 2.1 to 2.3)."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.conf import get_settings
from workflows_app.engine import definitions
from workflows_app.engine.definitions import VersionOptions
from workflows_app.engine.ports import get_catalogue
from workflows_app.errors import InvalidInput
from workflows_app.rest.authentication import account_of
from workflows_app.rest.cloudflare import workflow_operations as operations
from workflows_app.rest.cloudflare.bodies import DeletedBody
from workflows_app.rest.cloudflare.envelope import success
from workflows_app.rest.cloudflare.names import (
    LONGEST_OF_WORKFLOW,
    OF_WORKFLOW,
    check_name,
    find_workflow,
)
from workflows_app.rest.cloudflare.paging import numbered
from workflows_app.rest.cloudflare.reading import Fields, Query, fields_of, read_fields
from workflows_app.rest.cloudflare.retention import read_retention
from workflows_app.rest.cloudflare.views import CloudflareView
from workflows_app.rest.cloudflare.workflow_rows import render_update, render_workflows

_PER_PAGE = 10
_LONGEST_CODE_NAME = 255
_LONGEST_CRON = 256


class WorkflowsView(CloudflareView):
    @operations.list_workflows
    def get(self, request: Request) -> Response:
        query = Query(request)
        found = definitions.definitions_of(account_of(request)).filter(name__regex=OF_WORKFLOW)
        search = query.text("search")
        if search is not None:
            found = found.filter(
                name__icontains=check_name("search", search, most=LONGEST_OF_WORKFLOW)
            )
        page = numbered(found.order_by("-pk"), query, default=_PER_PAGE)
        return success(render_workflows(account_of(request), page.rows), page=page.info)


class WorkflowView(CloudflareView):
    @operations.show_workflow
    def get(self, request: Request, workflow_name: str) -> Response:
        account = account_of(request)
        (body,) = render_workflows(account, [find_workflow(account, workflow_name)])
        return success(body)

    @operations.update_workflow
    def put(self, request: Request, workflow_name: str) -> Response:
        check_name("the name of a workflow", workflow_name, most=LONGEST_OF_WORKFLOW)
        fields = read_fields(request)
        _check_code(workflow_name, fields)
        version = definitions.update(account_of(request), workflow_name, _read_options(fields))
        terminating = definitions.is_terminating(version.definition)
        return success(render_update(version, is_terminating=terminating))

    @operations.delete_workflow
    def delete(self, request: Request, workflow_name: str) -> Response:
        definitions.delete(find_workflow(account_of(request), workflow_name))
        body: DeletedBody = {"status": "ok", "success": True}
        return success(body)


def _check_code(name: str, fields: Fields) -> None:
    """What runs is the code that is registered here: to name other code would change nothing."""
    named = (
        fields.required_text("class_name", most=_LONGEST_CODE_NAME),
        fields.required_text("script_name", most=_LONGEST_CODE_NAME),
    )
    code = get_catalogue().code_of(name)
    if code is not None and named != (code.class_name, code.script_name):
        raise InvalidInput(
            f'the workflow "{name}" is class_name "{code.class_name}" of script_name '
            f'"{code.script_name}" here; name these, or register other code under its name'
        )


def _read_options(fields: Fields) -> VersionOptions:
    """All of them: what is left out is cleared."""
    retention = fields.object("default_retention")
    return VersionOptions(
        step_limit=fields.object("limits").number("steps"),
        parallelism=fields.object("concurrency").number("limit"),
        success_retention=read_retention(retention, "success_retention"),
        error_retention=read_retention(retention, "error_retention"),
        crons=_read_crons(fields),
    )


def _read_crons(fields: Fields) -> tuple[str, ...]:
    schedules = fields.items("schedules", most=get_settings().MAX_SCHEDULES)
    return tuple(
        fields_of(f"schedules[{index}]", each, f"schedules[{index}].").required_text(
            "cron", most=_LONGEST_CRON
        )
        for index, each in enumerate(schedules)
    )
