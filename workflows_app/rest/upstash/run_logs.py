"""A run as its log shows it (Upstash reference 6.1, 6.3)."""

from __future__ import annotations

from datetime import datetime

from workflows_app.engine.requests import failure_policy
from workflows_app.models import DeadLetter, Run
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.redaction import redactor_of
from workflows_app.rest.upstash.bodies import (
    CallbackInfoBody,
    FailureFunctionBody,
    InvokerBody,
    LabelsBody,
    RunBody,
)
from workflows_app.rest.upstash.failings import read_failing, render_attempts
from workflows_app.rest.upstash.redacting import redacted
from workflows_app.rest.upstash.run_rows import RunRows
from workflows_app.rest.upstash.step_logs import render_steps
from workflows_app.rest.upstash.vocabulary import (
    CALLBACK_STATES,
    RUN_STATES,
    CallbackState,
    failure_message_id,
)


def render_run(run: Run, now: datetime) -> RunBody:
    """A run that was read through `with_rows`, without what is to be hidden."""
    return redacted(_render(run, now), redactor_of(run.redaction))


def _render(run: Run, now: datetime) -> RunBody:
    rows = RunRows(run)
    body: RunBody = {
        "workflowRunId": run.run_id,
        "workflowUrl": run.url,
        "workflowState": RUN_STATES[run.status],
        "workflowRunCreatedAt": unix_milliseconds(run.created_at),
        "steps": render_steps(rows, now),
    }
    add_labels(body, run)
    if run.ended_at is not None:
        body["workflowRunCompletedAt"] = unix_milliseconds(run.ended_at)
    if run.is_paused and run.paused_at is not None:
        body["workflowRunPausedAt"] = unix_milliseconds(run.paused_at)
    if run.result is not None:
        body["workflowRunResponse"] = run.result
    if run.caller_ip:
        body["workflowRunCallerIp"] = run.caller_ip
    if run.flow_control is not None:
        body["flowControlKey"] = run.flow_control.key
    if rows.invoker is not None:
        body["invoker"] = render_invoker(rows.invoker)
    if rows.dead_letter is not None:
        body["dlqId"] = rows.dead_letter.public_id
        if rows.dead_letter.callback_state:
            body["failureFunction"] = _failure_function(rows, rows.dead_letter)
    return body


def render_invoker(parent: Run) -> InvokerBody:
    return {
        "workflowRunId": parent.run_id,
        "workflowUrl": parent.url,
        "workflowRunCreatedAt": unix_milliseconds(parent.created_at),
    }


def add_labels(body: LabelsBody, run: Run) -> None:
    """The first label stands for all where there can be only one (Upstash reference 9 (12))."""
    labels = run.label_list
    if labels:
        body["label"], body["labels"] = labels[0], labels


def callback_state(letter: DeadLetter) -> CallbackState:
    return CALLBACK_STATES[letter.callback_state]


def callback_url(run: Run) -> str:
    """A failure function is reached at the workflow's own URL."""
    return run.failure_url or run.url


def add_callback_answer(body: CallbackInfoBody, letter: DeadLetter) -> None:
    """What the failure function returned, or its URL answered, the last time."""
    if not letter.callback_response:
        return
    answer = decode_json(letter.callback_response)
    body["responseStatus"] = answer["status"]
    body["responseHeaders"] = answer["headers"]
    body["responseBody"] = answer["body"]


def _failure_function(rows: RunRows, letter: DeadLetter) -> FailureFunctionBody:
    run = rows.run
    failing = read_failing(run.error_info or {})
    body: FailureFunctionBody = {
        "messageId": failure_message_id(run.pk),
        "url": callback_url(run),
        "state": callback_state(letter),
        "failHeaders": failing.headers,
        "failStatus": failing.status,
        "failResponse": failing.body,
        "dlqId": letter.public_id,
        "maxRetries": failure_policy(run).retries,
    }
    add_callback_answer(body, letter)
    failed = rows.failed_calling_back
    if failed:
        body["errors"] = render_attempts(failed)
        if letter.callback_state == DeadLetter.CallbackState.IN_PROGRESS and failed[-1].retry_at:
            body["nextDeliveryTime"] = unix_milliseconds(failed[-1].retry_at)
    return body
