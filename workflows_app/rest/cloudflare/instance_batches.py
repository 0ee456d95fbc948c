"""Deleting instances, and doing something to many at once (Cloudflare reference 1.7)."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import run_moves, terminating
from workflows_app.engine.deleting import delete
from workflows_app.errors import InvalidInput, Refused, RunNotFound
from workflows_app.models import Definition
from workflows_app.protocol.texts import check_storable
from workflows_app.rest.authentication import account_of
from workflows_app.rest.cloudflare import instance_operations as operations
from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.envelope import success
from workflows_app.rest.cloudflare.instance_bodies import (
    BatchTerminatedBody,
    DeletedInstancesBody,
    NotDeletedBody,
    TerminatingBody,
    TerminationStateBody,
)
from workflows_app.rest.cloudflare.instance_requests import MOST_IN_BATCH
from workflows_app.rest.cloudflare.instance_runs import all_runs_of, find_instance
from workflows_app.rest.cloudflare.names import find_workflow
from workflows_app.rest.cloudflare.reading import Query, read_fields, read_json
from workflows_app.rest.cloudflare.views import CloudflareView
from workflows_app.rest.cloudflare.vocabulary import STATES

_LONGEST_ID = 271
_FILTERS = ("queued", "running", "paused", "waitingForPause", "waiting")


class BatchDeleteView(CloudflareView):
    @operations.delete_instances
    def post(self, request: Request, workflow_name: str) -> Response:
        """Each on its own; an id that is given twice is deleted once, and told of twice."""
        ids = _read_ids("instances", read_fields(request).value("instances"))
        definition = find_workflow(account_of(request), workflow_name)
        failed = {each: _delete(definition, each) for each in dict.fromkeys(ids)}
        body: DeletedInstancesBody = {
            "deleted": [{"id": each} for each in ids if failed[each] is None],
            "errors": [error for each in ids if (error := failed[each]) is not None],
        }
        return success(body)


class BatchTerminateView(CloudflareView):
    @operations.terminate_instances
    def post(self, request: Request, workflow_name: str) -> Response:
        """Those that have not ended; ids of others change nothing."""
        ids = _read_ids("the body", read_json(request, absent=None))
        definition = find_workflow(account_of(request), workflow_name)
        ended = run_moves.cancel_all(all_runs_of(definition).filter(run_id__in=ids))
        body: BatchTerminatedBody = {"status": "ok", "instancesTerminated": ended}
        return success(body)


class TerminationView(CloudflareView):
    @operations.show_termination
    def get(self, request: Request, workflow_name: str) -> Response:
        definition = find_workflow(account_of(request), workflow_name)
        is_running = terminating.is_terminating(definition)
        body: TerminationStateBody = {"status": "running" if is_running else "not_running"}
        return success(body)

    @operations.terminate_all
    def put(self, request: Request, workflow_name: str) -> Response:
        """Done by workers, some at a time."""
        status = Query(request).choice("status", _FILTERS)
        definition = find_workflow(account_of(request), workflow_name)
        was_running = terminating.is_terminating(definition)
        if status is None:
            terminating.terminate(definition)
        else:
            terminating.terminate(definition, [STATES[status]])
        body: TerminatingBody = {"status": "already_running" if was_running else "ok"}
        return success(body)


def _delete(definition: Definition, instance_id: str) -> NotDeletedBody | None:
    try:
        delete(find_instance(definition, instance_id))
    except RunNotFound:
        code = Code.UNKNOWN_INSTANCE
    except Refused:
        code = Code.CANNOT_DELETE
    else:
        return None
    return {"id": instance_id, "code": code.number, "message": code.text}


def _read_ids(what: str, given: Any) -> list[str]:
    """Raises InvalidInput for all of them when one cannot be an id."""
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_IN_BATCH:
        raise InvalidInput(f"{what} must be a JSON array of 1 to {MOST_IN_BATCH} ids of instances")
    for index, each in enumerate(given):
        if not isinstance(each, str) or not 1 <= len(each) <= _LONGEST_ID:
            raise InvalidInput(
                f"item {index} is {each!r:.80} but must be the id of an instance, a text of 1 to "
                f"{_LONGEST_ID} characters"
            )
        check_storable(f"item {index}", each)
    return given
