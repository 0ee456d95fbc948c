"""The steps of a run whose function lives elsewhere, in groups (Upstash reference 6.2)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from workflows_app.engine.remote.reading import (
    ProgramStep,
    Progress,
    Situation,
    Standing,
    grouped,
    program_of,
)
from workflows_app.errors import InvalidDuration
from workflows_app.models import Attempt, Run, Step
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.delivery_options import decode_options
from workflows_app.protocol.durations import (
    format_duration,
    parse_duration,
    parse_moment,
    unix_milliseconds,
)
from workflows_app.protocol.ids import start_message_id, step_message_id, waiter_message_id
from workflows_app.protocol.redaction import without_credentials
from workflows_app.rest.upstash.bodies import StepBody, StepDetailsBody, StepGroupBody
from workflows_app.rest.upstash.failings import render_attempts, render_failing
from workflows_app.rest.upstash.invocations import ended_out, invocation_details
from workflows_app.rest.upstash.run_rows import RunRows
from workflows_app.rest.upstash.vocabulary import StepState, header_map, readable

ERROR_STEP_NAME = "Upstash-Error-Step-Name"
"""How endpoints name the step that raised (Upstash reference 4.1)."""
WAITS = ("Wait", "WaitForWebhook")

_STATES: Mapping[Progress, StepState] = {
    Progress.DONE: "STEP_SUCCESS",
    Progress.UNDER_WAY: "STEP_PROGRESS",
    Progress.RETRYING: "STEP_RETRY",
    Progress.FAILED: "STEP_FAILED",
    Progress.CANCELED: "STEP_CANCELED",
}


def render_remote_steps(rows: RunRows, now: datetime) -> list[StepGroupBody]:
    """All but the first, which is the run's own start."""
    run = rows.run
    program = program_of(rows.steps, run.waiters.all(), run.invocations.all())
    situation = Situation(run=run, now=now, program=program, owed=rows.owed, failed=rows.failed)
    groups: list[StepGroupBody] = [
        {
            "type": "parallel" if group[0].concurrent > 1 else "sequential",
            "steps": [_step(rows, step, situation.standing(step)) for step in group],
        }
        for group in grouped(program)
    ]
    upcoming = [_upcoming(rows, element, how) for element, how in situation.upcoming()]
    return [*groups, {"type": "next", "steps": upcoming}] if upcoming else groups


def _upcoming(rows: RunRows, element: Step | None, standing: Standing) -> StepBody:
    run = rows.run
    body: StepBody = {
        "messageId": start_message_id(run.pk) if element is None else step_message_id(element.pk),
        "state": _STATES[standing.progress],
        **_policy(run, standing),
        **_attempts(run, standing),
    }
    name = _name_in(standing.failed)
    if name and standing.progress in (Progress.RETRYING, Progress.FAILED):
        body["stepName"] = name
    return body


def _name_in(failed: Sequence[Attempt]) -> str:
    """The step that raised, as the endpoint's last answer names it."""
    headers = failed[-1].error_info.get("headers", {}) if failed else {}
    return str(next(iter(headers.get(ERROR_STEP_NAME, [])), ""))


def _step(rows: RunRows, step: ProgramStep, standing: Standing) -> StepBody:
    body: StepBody = {
        "messageId": message_id(step),
        "state": _STATES[standing.progress],
        "headers": rows.headers,
        **_policy(rows.run, standing),
        **step_details(step),
    }
    if standing.progress != Progress.DONE:
        body = {**body, **_attempts(rows.run, standing)}
    elif (out := out_of(step)) is not None:
        body["out"] = out
    return body


def message_id(step: ProgramStep) -> str:
    """Of what moved it last."""
    if step.waiter is not None:
        return waiter_message_id(step.waiter.pk)
    if step.invocation is not None and step.is_waiting:
        return start_message_id(step.invocation.child_id)
    assert step.newest is not None, "it waits for nothing, so it is in the journal"  # noqa: S101
    return step_message_id(step.newest.pk)


# -- what is known of a step


def step_details(step: ProgramStep) -> StepDetailsBody:
    """Without how it is getting on, and without its result."""
    details: StepDetailsBody = {
        "stepName": step.name,
        "stepType": step.type or "Run",
        "callType": "step",
        "concurrent": step.concurrent,
        "createdAt": unix_milliseconds(step.began_at),
    }
    if step.number:
        details["stepId"] = step.number
    if step.plan is not None:
        details["targetStep"] = step.number
    match step.type:
        case "SleepFor" | "SleepUntil":
            return {**details, **_sleep(step)}
        case "Call":
            return {**details, **_call(step)}
        case "Wait" | "WaitForWebhook":
            return {**details, **_wait(step)}
        case "Invoke" if step.invocation is not None:
            return {**details, **invocation_details(step.invocation)}
    return details


def _sleep(step: ProgramStep) -> StepDetailsBody:
    """In milliseconds (Upstash reference 6.2). What its SDK alone understands is left out."""
    said = step.planned or step.said
    asked: Mapping[str, Any] = said.details if said is not None else {}
    try:
        if asked.get("sleepFor") is not None:
            return {"sleepFor": parse_duration(asked["sleepFor"]) // timedelta(milliseconds=1)}
        return {"sleepUntil": unix_milliseconds(parse_moment(asked["sleepUntil"]))}
    except (InvalidDuration, KeyError):
        return {}


def _call(step: ProgramStep) -> StepDetailsBody:
    details: StepDetailsBody = {}
    if step.sent is not None:
        details = _request(step.sent)
    if step.answered is not None:
        details = {**details, **_answer(step.answered)}
    if step.result is not None or step.rows == [step.plan]:
        return details
    if step.answered is not None:
        return {**details, "callType": "fromCallback"}
    return {**details, "callType": "toCallback", **_policy_of_call(step)}


def _request(sent: Step) -> StepDetailsBody:
    asked = decode_json(sent.input or "{}")
    details: StepDetailsBody = {
        "callUrl": asked["url"],
        "callMethod": asked["method"],
        "callHeaders": header_map(without_credentials(asked["headers"])),
    }
    return {**details, "callBody": readable(bytes(sent.raw))} if sent.raw else details


def _policy_of_call(step: ProgramStep) -> StepDetailsBody:
    asked = decode_json((step.sent and step.sent.input) or "{}")
    details: StepDetailsBody = {"retries": asked.get("retries", 0)}
    return {**details, "retryDelay": asked["retryDelay"]} if asked.get("retryDelay") else details


def _answer(answered: Step) -> StepDetailsBody:
    answer = decode_json(bytes(answered.raw or b"{}"))
    return {
        "callResponseStatus": answer["status"],
        "callResponseHeaders": answer["header"],
        "callResponseBody": readable(base64.b64decode(answer.get("body", ""))),
    }


def _wait(step: ProgramStep) -> StepDetailsBody:
    details: StepDetailsBody = {}
    if step.wait is not None:
        length = step.wait.deadline - step.wait.since
        details["waitTimeoutDuration"] = format_duration(length)
        details["waitTimeoutDeadline"] = unix_milliseconds(step.wait.deadline)
    if step.wait is not None or step.said is not None:
        details["waitEventId"] = step.event_id
        said = step.said
        details["waitTimeout"] = said is not None and said.details.get("waitTimeout") is True
    return details


def out_of(step: ProgramStep) -> str | None:
    said = step.said
    if step.invocation is not None and (step.result is None or step.invocation.child.redaction):
        return ended_out(step.invocation)
    if said is None or said.out is None:
        return None
    return _event(said.out) if said.type in WAITS else said.out


def _event(out: str) -> str:
    """Event data is published in base64."""
    try:
        return readable(base64.b64decode(out, validate=True))
    except ValueError:
        return out


# -- how it is getting on


def _policy(run: Run, standing: Standing) -> StepDetailsBody:
    """What is owed may differ from its run."""
    message = standing.message
    deliver = message is not None and message.kind == message.Kind.DELIVERY
    options = decode_options(message.request if message is not None and deliver else "")
    delay = options.retry_delay or run.retry_delay
    details: StepDetailsBody = {
        "retries": run.retries if options.retries is None else options.retries
    }
    return {**details, "retryDelay": delay} if delay else details


def _attempts(run: Run, standing: Standing) -> StepDetailsBody:
    errors = render_attempts(standing.failed)
    last = standing.failed[-1].retry_at if standing.failed else None
    if standing.progress == Progress.FAILED and (not errors or last is not None):
        ended_at = run.ended_at or run.created_at
        errors.append(render_failing(run.error_info or {}, unix_milliseconds(ended_at)))
    details: StepDetailsBody = {"errors": errors} if errors else {}
    if standing.progress == Progress.RETRYING and last is not None:
        details["nextDeliveryTime"] = unix_milliseconds(last)
    return details
