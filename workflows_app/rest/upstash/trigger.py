"""Starting runs: `POST /v2/trigger/{workflow URL}` and `POST /v2/batch/trigger` (Upstash reference
1.2).
"""

from __future__ import annotations

from http import HTTPStatus

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import triggering
from workflows_app.engine.triggering import Started
from workflows_app.errors import WorkflowsError
from workflows_app.models import Run
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.headers import parse_headers
from workflows_app.protocol.runs import RunRequest
from workflows_app.rest.authentication import account_of
from workflows_app.rest.callers import caller_ip
from workflows_app.rest.upstash import operations
from workflows_app.rest.upstash.bodies import TriggeredBody
from workflows_app.rest.upstash.items import Item, about_item, read_item, read_items
from workflows_app.rest.upstash.run_requests import triggered_request
from workflows_app.rest.views import ApiView

ROUTE = "/v2/trigger/"


class TriggerView(ApiView):
    @operations.trigger
    def post(self, request: Request, destination: str) -> Response:
        wanted = read_trigger(read_item(request, ROUTE), caller_ip(request))
        started = triggering.trigger(account_of(request), [wanted])
        return Response(render_started(started[0]))


class BatchTriggerView(ApiView):
    @operations.batch_trigger
    def post(self, request: Request) -> Response:
        wanted = read_batch(request)
        started = triggering.trigger(account_of(request), wanted)
        return Response(list(map(render_started, started)), status=HTTPStatus.CREATED)


# -- reading


def read_trigger(item: Item, ip: str) -> RunRequest:
    return triggered_request(item.destination, parse_headers(item.headers), item.body or b"", ip)


def read_batch(request: Request) -> list[RunRequest]:
    ip, wanted = caller_ip(request), []
    for index, item in enumerate(read_items(request)):
        try:
            wanted.append(read_trigger(item, ip))
        except WorkflowsError as error:
            raise about_item(index, error) from None
    return wanted


# -- rendering


def render_run_id(run: Run) -> TriggeredBody:
    return {
        "workflowRunId": run.run_id,
        "workflowCreatedAt": unix_milliseconds(run.created_at),
    }


def render_started(started: Started) -> TriggeredBody:
    body = render_run_id(started.run)
    return {**body, "deduplicated": True} if started.deduplicated else body
