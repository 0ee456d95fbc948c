"""Instances: list and create (Cloudflare reference 2.4 and 2.5)."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine.creating import create
from workflows_app.engine.deleting import delete
from workflows_app.engine.states import in_state
from workflows_app.errors import Refused
from workflows_app.rest.authentication import account_of
from workflows_app.rest.cloudflare import instance_operations as operations
from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.envelope import MessageBody, success
from workflows_app.rest.cloudflare.errors import ApiError
from workflows_app.rest.cloudflare.instance_detail import render_instance
from workflows_app.rest.cloudflare.instance_items import (
    render_change,
    render_created,
    render_items,
)
from workflows_app.rest.cloudflare.instance_requests import read_batch, read_instance
from workflows_app.rest.cloudflare.instance_runs import find_instance, instances_of
from workflows_app.rest.cloudflare.names import find_workflow
from workflows_app.rest.cloudflare.paging import by_cursor
from workflows_app.rest.cloudflare.reading import Query
from workflows_app.rest.cloudflare.views import CloudflareView
from workflows_app.rest.cloudflare.vocabulary import STATES

_PER_PAGE = 50


class InstancesView(CloudflareView):
    @operations.list_instances
    def get(self, request: Request, workflow_name: str) -> Response:
        definition, query = find_workflow(account_of(request), workflow_name), Query(request)
        runs = instances_of(definition)
        if (status := query.choice("status", STATES)) is not None:
            runs = in_state(runs, STATES[status])
        if (since := query.moment("date_start")) is not None:
            runs = runs.filter(created_at__gte=since)
        if (until := query.moment("date_end")) is not None:
            runs = runs.filter(created_at__lte=until)
        page = by_cursor(runs, query, default=_PER_PAGE)
        return success(render_items(definition, page.rows), page=page.info)

    @operations.create_instance
    def post(self, request: Request, workflow_name: str) -> Response:
        definition = find_workflow(account_of(request), workflow_name)
        wanted = read_instance(definition.name, request)
        created = create(account_of(request), [wanted])
        if created.existing:
            raise ApiError(
                Code.INSTANCE_EXISTS,
                f'workflow "{workflow_name}" has an instance "{wanted.run_id}" already; '
                "its id is free again once that one is deleted",
            )
        (body,) = render_created(definition, created.runs)
        return success(body)


class InstanceBatchView(CloudflareView):
    @operations.create_instances
    def post(self, request: Request, workflow_name: str) -> Response:
        """Those whose ids are taken are left out, and told of beside the others."""
        definition = find_workflow(account_of(request), workflow_name)
        created = create(account_of(request), read_batch(definition.name, request))
        left_out = [
            *(_left_out(Code.INSTANCE_EXISTS, each) for each in created.existing),
            *(_left_out(Code.REPEATED, each) for each in created.repeated),
        ]
        return success(render_created(definition, created.runs), messages=left_out)


class InstanceView(CloudflareView):
    @operations.show_instance
    def get(self, request: Request, workflow_name: str, instance_id: str) -> Response:
        query = Query(request)
        is_newest_first = query.choice("order", ("asc", "desc")) == "desc"
        is_simple = query.choice("simple", ("true", "false")) == "true"
        definition = find_workflow(account_of(request), workflow_name)
        body = render_instance(definition, find_instance(definition, instance_id))
        if is_newest_first:
            body["steps"].reverse()
        if is_simple:
            body["steps"] = []
        return success(body)

    @operations.delete_instance
    def delete(self, request: Request, workflow_name: str, instance_id: str) -> Response:
        """What is live of it ends, and is not rolled back."""
        definition = find_workflow(account_of(request), workflow_name)
        try:
            delete(find_instance(definition, instance_id))
        except Refused as error:
            raise ApiError(Code.CANNOT_DELETE, error.message) from None
        return success(render_change(instance_id))


def _left_out(code: Code, instance_id: str) -> MessageBody:
    return {"code": code.number, "message": f"{code.text}: {instance_id}"}
