"""Commands to instances, and events for them (Cloudflare reference 3 and 4.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from rest_framework.request import Request
from rest_framework.response import Response

from workflows_app.engine import clock, pausing, run_moves
from workflows_app.engine.events import notify_run
from workflows_app.engine.restarting import restart
from workflows_app.engine.states import State, state_of
from workflows_app.engine.step_targets import StepTarget, TargetKind
from workflows_app.errors import InvalidInput, Refused
from workflows_app.models import Run
from workflows_app.protocol.codec import encode_json
from workflows_app.rest.authentication import account_of
from workflows_app.rest.cloudflare import instance_operations as operations
from workflows_app.rest.cloudflare.codes import Code
from workflows_app.rest.cloudflare.envelope import success
from workflows_app.rest.cloudflare.errors import ApiError
from workflows_app.rest.cloudflare.instance_bodies import StatusChangeBody
from workflows_app.rest.cloudflare.instance_items import render_change
from workflows_app.rest.cloudflare.instance_requests import check_size
from workflows_app.rest.cloudflare.instance_runs import find_instance
from workflows_app.rest.cloudflare.names import check_name, find_workflow
from workflows_app.rest.cloudflare.reading import Fields, read_fields, read_json
from workflows_app.rest.cloudflare.times import write_time
from workflows_app.rest.cloudflare.views import CloudflareView
from workflows_app.rest.cloudflare.vocabulary import STATUSES

_LONGEST_EVENT_TYPE = 100
_LONGEST_STEP_NAME = 256
_TARGETS: Mapping[str, TargetKind] = {
    "do": TargetKind.WORK,
    "sleep": TargetKind.SLEEP,
    "waitForEvent": TargetKind.WAIT,
}


class Command(NamedTuple):
    give: Callable[[Run, Fields], State]
    """Raises Refused."""
    refusal: Code


def _resume(run: Run, _: Fields) -> State:
    """What was paused is queued, in Cloudflare's words, before it waits again."""
    was_paused = state_of(run) is State.PAUSED
    state = pausing.resume(run)
    return State.QUEUED if was_paused and state is State.WAITING else state


def _restart(run: Run, fields: Fields) -> State:
    """A worker may have taken it already."""
    restart(run, _read_target(fields))
    return State.QUEUED


def _read_target(fields: Fields) -> StepTarget | None:
    """Raises InvalidInput."""
    if fields.value("from") is None:
        return None
    said = fields.object("from")
    return StepTarget(
        name=said.required_text("name", most=_LONGEST_STEP_NAME),
        count=said.number("count") or 1,
        kind=_TARGETS[said.choice("type", _TARGETS) or "do"],
    )


def _terminate(run: Run, fields: Fields) -> State:
    return run_moves.cancel(run, roll_back=fields.flag("rollback"))


_COMMANDS: Mapping[str, Command] = {
    "pause": Command(lambda run, _: pausing.pause(run), Code.CANNOT_PAUSE),
    "resume": Command(_resume, Code.CANNOT_RESUME),
    "terminate": Command(_terminate, Code.CANNOT_TERMINATE),
    "restart": Command(_restart, Code.CANNOT_RESTART),
}


class InstanceStatusView(CloudflareView):
    @operations.change_status
    def patch(self, request: Request, workflow_name: str, instance_id: str) -> Response:
        fields = read_fields(request)
        command = _read_command(fields)
        run = find_instance(find_workflow(account_of(request), workflow_name), instance_id)
        try:
            state = command.give(run, fields)
        except Refused as error:
            raise ApiError(command.refusal, error.message) from None
        body: StatusChangeBody = {
            "status": STATUSES[state],
            "timestamp": write_time(clock.now()),
        }
        return success(body)


class InstanceEventView(CloudflareView):
    @operations.send_event
    def post(
        self, request: Request, workflow_name: str, instance_id: str, event_type: str
    ) -> Response:
        """The body is the payload; without one it is null."""
        check_name("the type of an event", event_type, most=_LONGEST_EVENT_TYPE)
        data = encode_json(read_json(request, absent=None)).encode()
        definition = find_workflow(account_of(request), workflow_name)
        run = find_instance(definition, instance_id)
        if notify_run(run, event_type, check_size("the event", data)) is None:
            # It may have been deleted as well.
            state = state_of(find_instance(definition, instance_id))
            raise ApiError(
                Code.BODY,
                f'instance "{instance_id}" is {STATUSES[state]}; only one that has not '
                "ended takes events",
            )
        return success(render_change(instance_id))


def _read_command(fields: Fields) -> Command:
    word = fields.choice("status", _COMMANDS)
    if word is None:
        raise InvalidInput(f"status is missing; it is one of {', '.join(_COMMANDS)}")
    return _COMMANDS[word]
