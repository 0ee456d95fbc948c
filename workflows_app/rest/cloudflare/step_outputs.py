"""What a step has come to, with all of its output (Cloudflare reference 2.9)."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.errors import RunNotFound
from workflows_app.models import Step
from workflows_app.protocol.codec import bytes_in
from workflows_app.rest.authentication import account_of
from workflows_app.rest.cloudflare import instance_operations as operations
from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.envelope import raw, success
from workflows_app.rest.cloudflare.errors import ApiError
from workflows_app.rest.cloudflare.instance_bodies import StepOutputBody
from workflows_app.rest.cloudflare.instance_rows import InstanceRows, read_rows
from workflows_app.rest.cloudflare.instance_runs import find_instance
from workflows_app.rest.cloudflare.names import find_workflow
from workflows_app.rest.cloudflare.reading import Query
from workflows_app.rest.cloudflare.rendered_steps import attempts_of, error_of_wait
from workflows_app.rest.cloudflare.step_entries import Entry, EntryType, entries_of
from workflows_app.rest.cloudflare.step_texts import (
    as_value,
    event_type_of,
    shown_event,
    shown_result,
)
from workflows_app.rest.cloudflare.views import CloudflareView
from workflows_app.rest.cloudflare.vocabulary import STATUSES, Status

_TYPES = (EntryType.STEP, EntryType.WAIT)


class StepOutputView(CloudflareView):
    @operations.show_step
    def get(
        self, request: Request, workflow_name: str, instance_id: str
    ) -> Response | HttpResponse:
        """Bytes that a step returned are the whole answer (Cloudflare reference 2.9)."""
        query = Query(request)
        name = query.required_text("name")
        wanted = query.required_choice("type", _TYPES)
        number = query.number("attempt")
        definition = find_workflow(account_of(request), workflow_name)
        rows = read_rows(find_instance(definition, instance_id), head=0)
        for entry in entries_of(rows):
            if (entry.type, entry.name) == (wanted, name):
                body = _render(rows, entry, number)
                content = body["output"]
                return raw(content) if isinstance(content, bytes) else success(body)
        raise ApiError(
            Code.UNKNOWN_STEP,
            f'instance "{instance_id}" has no {wanted} "{name:.300}", or none that is known yet',
        )


def _render(rows: InstanceRows, entry: Entry, number: int | None) -> StepOutputBody:
    if entry.type is EntryType.WAIT:
        return _wait(rows, entry)
    return _step(rows, entry, number)


def _step(rows: InstanceRows, entry: Entry, number: int | None) -> StepOutputBody:
    """Its newest attempt, or another one, which has failed then."""
    attempts = list(attempts_of(rows, entry))
    if number is not None and number > len(attempts):
        raise ApiError(
            Code.UNKNOWN_STEP,
            f'attempt {number} of step "{entry.name}" is not known; it has {len(attempts)}',
        )
    if number is not None and number < len(attempts):
        return {"status": "errored", "error": attempts[number - 1]["error"], "output": None}
    step = entry.step
    if step is not None and step.error is None:
        return {"status": "complete", "error": None, "output": _output(rows, step)}
    failed = [each["error"] for each in attempts if each["error"] is not None]
    status: Status = "errored" if step is not None else _while_live(rows, "running")
    return {"status": status, "error": failed[-1] if failed else None, "output": None}


def _output(rows: InstanceRows, step: Step) -> object:
    found = Step.objects.values_list("result", flat=True).filter(pk=step.pk)[:1]
    if not found:
        raise RunNotFound(f'instance "{rows.run.run_id}" has just been deleted')
    (result,) = found
    if result is None:
        return None
    shown = shown_result(rows, step, result)
    content = bytes_in(shown)
    return as_value(shown) if content is None else content


def _wait(rows: InstanceRows, entry: Entry) -> StepOutputBody:
    if entry.waiter is not None:
        status = _while_live(rows, "waiting")
        event_type = entry.waiter.event_id
        return {"status": status, "error": None, "output": None, "event_type": event_type}
    step = entry.step
    assert step is not None  # noqa: S101 - what waits has one of the two
    error = error_of_wait(rows, step)
    return {
        "status": "complete" if error is None else "errored",
        "error": error,
        "output": None if error is not None else as_value(shown_event(rows, step)),
        "event_type": event_type_of(step),
    }


def _while_live(rows: InstanceRows, status: Status) -> Status:
    return status if rows.run.is_live else STATUSES[rows.state]
