"""Single steps of a run, as its journal, its owed calls and its failed attempts tell them (Upstash
reference 6.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows_app.errors import InvalidDuration
from workflows_app.models import Attempt, Invocation, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.durations import parse_duration, parse_moment, unix_milliseconds
from workflows_app.protocol.faults import is_cancellation
from workflows_app.protocol.redaction import SENSITIVE, without_credentials
from workflows_app.protocol.runs import CallRequest
from workflows_app.protocol.step_keys import name_and_branch
from workflows_app.rest.upstash.bodies import StepDetailsBody
from workflows_app.rest.upstash.failings import render_attempts, render_failing
from workflows_app.rest.upstash.invocations import ended_out, invocation_details
from workflows_app.rest.upstash.run_rows import FUNCTION_KEY, RunRows
from workflows_app.rest.upstash.vocabulary import StepState, header_map, readable
from workflows_app.rest.upstash.waits import STEP_TYPES, waited_details, waiting_details


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A step that still lacks its place: its number, its message id, its group."""

    state: StepState
    details: StepDetailsBody
    branch: str = ""
    is_next: bool = False
    """Sequential and without a result: shown in the group "next"."""


def entries_of(rows: RunRows, now: datetime) -> list[Entry]:
    """All but the first, which is the run's own start."""
    known = [
        *(_recorded(rows, step, now) for step in rows.steps),
        *(_under_way(rows, call) for call in rows.calls),
        *_invoking(rows),
        *(_waiting(rows, waiter) for waiter in rows.waiters),
        *(_retrying(rows, key, failed) for key, failed in rows.retrying.items()),
    ]
    return [*known, *_unknown(rows, known)]


def initial_details(rows: RunRows) -> StepDetailsBody:
    payload = bytes(rows.run.payload)
    return {
        "stepName": "init",
        "stepType": "Initial",
        "callType": "step",
        "concurrent": 1,
        "createdAt": unix_milliseconds(rows.run.created_at),
        "headers": rows.headers,
        "out": rows.redactor.content(payload) or readable(payload),
        **_retries(rows),
    }


# -- what the journal says


def _recorded(rows: RunRows, step: Step, now: datetime) -> Entry:
    state = _state(rows.run, step, now)
    details: StepDetailsBody = {"stepName": step.name, **_retries(rows), **_errors(rows, step)}
    if state == "STEP_FAILED" and not step.branch and _failed_the_run(rows, step):
        return Entry(state=state, details=details, is_next=True)
    details = {**details, "headers": rows.headers, **recorded_details(step)}
    if step.key in rows.invocations:
        invocation = rows.invocations[step.key]
        known = invocation_details if is_cancellation(step.error) else _ended_invocation
        details = {**details, **known(invocation)}
    return Entry(state=state, details=details, branch=step.branch)


def recorded_details(step: Step) -> StepDetailsBody:
    """What its row alone tells of it."""
    details: StepDetailsBody = {
        "stepName": step.name,
        "stepType": STEP_TYPES.get(step.kind, "Run"),
        "callType": "step",
        "createdAt": unix_milliseconds(step.started_at),
    }
    if step.kind in (Step.Kind.WAIT, Step.Kind.WAIT_FOR_WEBHOOK):
        return {**details, **waited_details(step)}
    if step.sensitive and step.error is None:
        details["out"] = SENSITIVE
    elif step.result is not None:
        details["out"] = step.result
    match step.kind:
        case Step.Kind.SLEEP:
            return {**details, **_sleep(step)}
        case Step.Kind.CALL:
            return {**details, **_answered_call(step)}
        case Step.Kind.INVOKE:
            return {**details, "stepType": "Invoke"}
    return details


def _state(run: Run, step: Step, now: datetime) -> StepState:
    if is_cancellation(step.error):
        return "STEP_CANCELED"
    if step.has_failed:
        return "STEP_FAILED"
    if step.has_ended(run, now):
        return "STEP_SUCCESS"
    return "STEP_PROGRESS" if run.is_live else "STEP_CANCELED"


def _failed_the_run(rows: RunRows, step: Step) -> bool:
    error = rows.run.error_info
    return error is not None and error.get("step") == step.name and step == rows.steps[-1]


def _errors(rows: RunRows, step: Step) -> StepDetailsBody:
    if step.error_info is None or not step.has_failed:
        return {}
    failed = rows.failed.get(step.key)
    if failed:
        return {"errors": render_attempts(failed)}
    if is_cancellation(step.error):
        return {}
    return {"errors": [render_failing(step.error_info, unix_milliseconds(step.ended_at))]}


def _sleep(step: Step) -> StepDetailsBody:
    """In milliseconds (Upstash reference 6.2). The journal keeps what the workflow asked for."""
    asked = decode_json(step.input or "null")
    try:
        length = parse_duration(asked) // timedelta(milliseconds=1)
        return {"stepType": "SleepFor", "sleepFor": length}
    except InvalidDuration:
        until = unix_milliseconds(parse_moment(asked))
        return {"stepType": "SleepUntil", "sleepUntil": until}


def _answered_call(step: Step) -> StepDetailsBody:
    asked = decode_json(step.input or "{}")
    details: StepDetailsBody = {
        "stepType": "Call",
        "callUrl": asked["url"],
        "callMethod": asked["method"],
        "callHeaders": header_map(without_credentials(asked["headers"])),
    }
    if step.result is not None:
        answer = decode_json(step.result)
        details["callResponseStatus"] = answer["status"]
        details["callResponseBody"] = answer["body"]
        details["callResponseHeaders"] = answer["header"]
    if "body" in asked:
        details["callBody"] = asked["body"]
    return details


# -- what is under way


def _under_way(rows: RunRows, call: CallRequest) -> Entry:
    failed = rows.failed.get(call.key, [])
    details: StepDetailsBody = {
        "stepName": call.name,
        "stepType": "Call",
        "callType": "toCallback",
        "headers": rows.headers,
        "retries": call.retries,
        "callUrl": call.url,
        "callMethod": call.method,
        "callHeaders": header_map(without_credentials(call.headers)),
        **_attempts(failed),
    }
    if call.retry_delay:
        details["retryDelay"] = call.retry_delay
    if call.body is not None:
        details["callBody"] = readable(call.body)
    state: StepState = "STEP_RETRY" if failed else "STEP_PROGRESS"
    return Entry(state=state, details=details, branch=call.branch)


def _waiting(rows: RunRows, waiter: Waiter) -> Entry:
    details: StepDetailsBody = {
        **_retries(rows),
        "headers": rows.headers,
        **waiting_details(waiter),
    }
    branch = decode_json(waiter.step)["branch"]
    return Entry(state="STEP_PROGRESS", details=details, branch=branch)


def _invoking(rows: RunRows) -> Iterator[Entry]:
    """What was invoked goes on when its invoker has ended (Upstash reference 4.10 (6))."""
    ended = {step.key for step in rows.steps}
    for invocation in rows.invocations.values():
        if invocation.key in ended:
            continue
        details: StepDetailsBody = {
            **_retries(rows),
            "headers": rows.headers,
            **invoking_details(invocation),
        }
        state: StepState = "STEP_PROGRESS"
        if not rows.run.is_live and not invocation.child.is_live:
            state, details = "STEP_SUCCESS", {**details, **_ended_invocation(invocation)}
        elif rows.run.status == Run.Status.CANCELED:
            state = "STEP_CANCELED"
        yield Entry(state=state, details=details, branch=decode_json(invocation.step)["branch"])


def invoking_details(invocation: Invocation) -> StepDetailsBody:
    """Of a step of a run that is worked on here, while it waits."""
    return {
        "stepName": decode_json(invocation.step)["stepName"],
        "stepType": "Invoke",
        "callType": "step",
        "createdAt": unix_milliseconds(invocation.created_at),
        **invocation_details(invocation),
    }


def _ended_invocation(invocation: Invocation) -> StepDetailsBody:
    return {**invocation_details(invocation), "out": ended_out(invocation)}


def _retrying(rows: RunRows, key: str, failed: list[Attempt]) -> Entry:
    name, branch = name_and_branch(key, {step.key for step in rows.steps})
    state: StepState = "STEP_RETRY" if rows.run.is_live else "STEP_CANCELED"
    details: StepDetailsBody = {"stepName": name, **_retries(rows)}
    if not rows.run.is_live:
        details["errors"] = render_attempts(failed)
    else:
        details = {**details, **_attempts(failed)}
    if not branch:
        return Entry(state=state, details=details, is_next=True)
    details = {
        **details,
        "stepType": "Run",
        "callType": "step",
        "createdAt": unix_milliseconds(failed[0].started_at),
        "headers": rows.headers,
    }
    return Entry(state=state, details=details, branch=branch)


def _unknown(rows: RunRows, known: list[Entry]) -> Iterator[Entry]:
    """The delivery whose step nobody knows yet, unless a known one says how far the run is."""
    states = {entry.state for entry in known}
    match rows.run.status:
        case Run.Status.RUNNING if not states & {"STEP_PROGRESS", "STEP_RETRY"}:
            yield _function(rows)
        case Run.Status.CANCELED if "STEP_CANCELED" not in states:
            yield Entry(state="STEP_CANCELED", details=_retries(rows), is_next=True)
        case Run.Status.FAILED if not _is_step_failure(rows):
            yield Entry(
                state="STEP_FAILED", details={**_retries(rows), **_run_error(rows)}, is_next=True
            )


def _function(rows: RunRows) -> Entry:
    failed = rows.failed.get(FUNCTION_KEY, [])
    if not failed or _went_on_after(rows, failed[-1]):
        return Entry(state="STEP_PROGRESS", details=_retries(rows), is_next=True)
    details: StepDetailsBody = {**_retries(rows), **_attempts(failed)}
    return Entry(state="STEP_RETRY", details=details, is_next=True)


def _went_on_after(rows: RunRows, failed: Attempt) -> bool:
    return any(step.started_at >= failed.ended_at for step in rows.steps)


def _is_step_failure(rows: RunRows) -> bool:
    name = (rows.run.error_info or {}).get("step")
    return any(step.error is not None and step.name == name for step in rows.steps)


def _run_error(rows: RunRows) -> StepDetailsBody:
    """All failed attempts of the function; the run's own error is mostly that of the last."""
    failed = rows.failed.get(FUNCTION_KEY, [])
    errors = render_attempts(failed)
    error, ended_at = rows.run.error_info, rows.run.ended_at
    if error is not None and ended_at is not None and not (failed and failed[-1].retry_at is None):
        errors.append(render_failing(error, unix_milliseconds(ended_at)))
    return {"errors": errors}


# -- parts


def _retries(rows: RunRows) -> StepDetailsBody:
    if not rows.run.retry_delay:
        return {"retries": rows.run.retries}
    return {"retries": rows.run.retries, "retryDelay": rows.run.retry_delay}


def _attempts(failed: list[Attempt]) -> StepDetailsBody:
    """Of something that will be tried again."""
    if not failed:
        return {}
    details: StepDetailsBody = {"errors": render_attempts(failed)}
    retry_at = failed[-1].retry_at
    if retry_at is not None:
        details["nextDeliveryTime"] = unix_milliseconds(retry_at)
    return details
