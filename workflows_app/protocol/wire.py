"""A turn on its way to a serve endpoint of ours and back, and a stored call; all JSON.

A delivery carries the run and its history; the answer carries what the endpoint executed and how
the turn ended. Both are signed and checked as any delivery is.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.delivery_options import decode_options
from workflows_app.protocol.ids import check_event_id
from workflows_app.protocol.runs import (
    CallRequest,
    Canceled,
    ContinuedAsNew,
    EventWait,
    Failed,
    FailedAttempt,
    Failures,
    Finished,
    FlowControlSpec,
    History,
    InvocationRequest,
    Notification,
    RunInfo,
    RunRequest,
    StepKind,
    StepRecord,
    Suspended,
    TurnOutcome,
)

TURN_CONTENT_TYPE = "application/vnd.workflows.turn+json"
ANSWER_CONTENT_TYPE = "application/vnd.workflows.answer+json"

Json = dict[str, Any]
T = TypeVar("T")

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading raises when a part is missing or not of its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnAnswer:
    """What an endpoint did in one turn."""

    steps: tuple[StepRecord, ...]
    attempts: tuple[FailedAttempt, ...]
    outcome: TurnOutcome


def encode_turn(run: RunInfo, history: History) -> bytes:
    failures = {
        key: {"count": failure.count, "retryAt": _moment(failure.retry_at)}
        for key, failure in history.failures.items()
    }
    wire = {
        "run": {
            "runId": run.run_id,
            "workflow": run.workflow,
            "url": run.url,
            "payload": _bytes(run.payload),
            "contentType": run.content_type,
            "headers": dict(run.headers),
            "labels": list(run.labels),
            "retries": run.retries,
            "retryDelay": run.retry_delay,
            "timeout": _seconds(run.timeout),
            "createdAt": _moment(run.created_at),
        },
        "steps": [_step(step) for step in history.steps],
        "failures": failures,
        "observed": history.observed,
    }
    return encode_json(wire).encode()


def decode_turn(body: bytes) -> tuple[RunInfo, History]:
    """Raises InvalidInput for anything that `encode_turn` does not make."""
    try:
        wire = decode_json(body)
        run: Json = wire["run"]
        info = RunInfo(
            run_id=_text(run, "runId"),
            workflow=_text(run, "workflow"),
            url=_text(run, "url"),
            payload=_read_bytes(run, "payload"),
            content_type=_text(run, "contentType"),
            headers=_headers(run),
            labels=tuple(_texts(run["labels"])),
            retries=_count(run, "retries"),
            retry_delay=_text(run, "retryDelay"),
            timeout=_read_seconds(run["timeout"]),
            created_at=_read_moment(run, "createdAt"),
        )
        failures = {
            key: Failures(
                count=_count(failure, "count"), retry_at=_optional(_read_moment, failure, "retryAt")
            )
            for key, failure in wire["failures"].items()
        }
        steps = tuple(_read_step(step) for step in wire["steps"])
        return info, History(steps=steps, failures=failures, observed=_text(wire, "observed"))
    except _MALFORMED as error:
        raise InvalidInput(f"the body is not a delivery of a turn: {error!r}") from None


def encode_answer(answer: TurnAnswer) -> bytes:
    wire = {
        "steps": [_step(step) for step in answer.steps],
        "attempts": [_attempt(attempt) for attempt in answer.attempts],
        "outcome": _outcome(answer.outcome),
    }
    return encode_json(wire).encode()


def decode_answer(body: bytes) -> TurnAnswer:
    """Raises InvalidInput for anything that `encode_answer` does not make."""
    try:
        wire: Json = decode_json(body)
        return TurnAnswer(
            steps=tuple(_read_step(step) for step in wire["steps"]),
            attempts=tuple(_read_attempt(attempt) for attempt in wire["attempts"]),
            outcome=_read_outcome(wire["outcome"]),
        )
    except _MALFORMED as error:
        raise InvalidInput(f"the endpoint's answer is not that of a turn: {error!r}") from None


def encode_call(call: CallRequest) -> str:
    return encode_json(_call(call))


def decode_call(text: str) -> CallRequest:
    return _read_call(decode_json(text))


# -- parts


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _optional(read: Callable[[Json, str], T], wire: Json, name: str) -> T | None:
    return None if wire[name] is None else read(wire, name)


def _text(wire: Json, name: str) -> str:
    return _kind(str, wire[name])


def _count(wire: Json, name: str) -> int:
    count = _kind(int, wire[name])
    if count < 0 or isinstance(count, bool):
        raise ValueError(f"{name} is {count}")
    return count


def _texts(values: object) -> list[str]:
    return [_kind(str, value) for value in _kind(list, values)]


def _headers(wire: Json) -> dict[str, str]:
    headers = _kind(dict, wire["headers"])
    _texts(list(headers.values()))
    return headers


def _read_bytes(wire: Json, name: str) -> bytes:
    return base64.b64decode(_text(wire, name), validate=True)


def _read_moment(wire: Json, name: str) -> datetime:
    moment = datetime.fromisoformat(_text(wire, name))
    if moment.tzinfo is None:
        raise ValueError(f"{name} has no time zone")
    return moment


def _kind(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.80} is not of the type {kind.__name__}")
    return value


def _seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def _read_seconds(value: float | None) -> timedelta | None:
    duration = None if value is None else timedelta(seconds=value)
    if duration is not None and duration < timedelta():
        raise ValueError(f"{value} seconds are no timeout")
    return duration


def _step(step: StepRecord) -> Json:
    return {
        "key": step.key,
        "name": step.name,
        "kind": step.kind.value,
        "branch": step.branch,
        "input": step.input,
        "result": step.result,
        "error": step.error,
        "attempts": step.attempts,
        "startedAt": _moment(step.started_at),
        "endedAt": _moment(step.ended_at),
        "sensitive": step.sensitive,
    }


def _read_step(wire: Json) -> StepRecord:
    return StepRecord(
        key=_text(wire, "key"),
        name=_text(wire, "name"),
        kind=StepKind(wire["kind"]),
        branch=_text(wire, "branch"),
        input=_optional(_text, wire, "input"),
        result=_optional(_text, wire, "result"),
        error=_optional(_text, wire, "error"),
        attempts=_count(wire, "attempts"),
        started_at=_read_moment(wire, "startedAt"),
        ended_at=_read_moment(wire, "endedAt"),
        sensitive=_kind(bool, wire["sensitive"]),
    )


def _attempt(attempt: FailedAttempt) -> Json:
    return {
        "key": attempt.key,
        "number": attempt.number,
        "error": attempt.error,
        "startedAt": _moment(attempt.started_at),
        "endedAt": _moment(attempt.ended_at),
        "retryAt": _moment(attempt.retry_at),
    }


def _read_attempt(wire: Json) -> FailedAttempt:
    return FailedAttempt(
        key=_text(wire, "key"),
        number=_count(wire, "number"),
        error=_text(wire, "error"),
        started_at=_read_moment(wire, "startedAt"),
        ended_at=_read_moment(wire, "endedAt"),
        retry_at=_optional(_read_moment, wire, "retryAt"),
    )


def _call(call: CallRequest) -> Json:
    return {
        "key": call.key,
        "name": call.name,
        "branch": call.branch,
        "url": call.url,
        "method": call.method,
        "headers": dict(call.headers),
        "body": None if call.body is None else _bytes(call.body),
        "retries": call.retries,
        "retryDelay": call.retry_delay,
        "timeout": _seconds(call.timeout),
    }


def _read_call(wire: Json) -> CallRequest:
    return CallRequest(
        key=_text(wire, "key"),
        name=_text(wire, "name"),
        branch=_text(wire, "branch"),
        url=_text(wire, "url"),
        method=_text(wire, "method"),
        headers=_headers(wire),
        body=_optional(_read_bytes, wire, "body"),
        retries=_count(wire, "retries"),
        retry_delay=_text(wire, "retryDelay"),
        timeout=_read_seconds(wire["timeout"]),
    )


def _invocation(invocation: InvocationRequest) -> Json:
    """Of a run that a step starts now: it begins at once, and hides what its workflow says."""
    run = invocation.run
    return {
        "key": invocation.key,
        "name": invocation.name,
        "branch": invocation.branch,
        "url": run.url,
        "workflow": run.workflow,
        "body": _bytes(run.body),
        "contentType": run.content_type,
        "headers": dict(run.headers),
        "runId": run.run_id,
        "labels": list(run.labels),
        "retries": run.retries,
        "retryDelay": run.retry_delay,
        "timeout": _seconds(run.timeout),
        "flowControl": None if run.flow_control is None else _flow_control(run.flow_control),
        "failureUrl": run.failure_url,
        "failureOptions": run.failure_options.encode(),
        "endpointCheck": run.endpoint_check,
    }


def _read_invocation(wire: Json) -> InvocationRequest:
    run = RunRequest(
        url=_text(wire, "url"),
        workflow=_text(wire, "workflow"),
        body=_read_bytes(wire, "body"),
        content_type=_text(wire, "contentType"),
        headers=_headers(wire),
        run_id=_optional(_text, wire, "runId"),
        labels=tuple(_texts(wire["labels"])),
        retries=_optional(_count, wire, "retries"),
        retry_delay=_optional(_text, wire, "retryDelay"),
        timeout=_read_seconds(wire["timeout"]),
        flow_control=_optional(_read_flow_control, wire, "flowControl"),
        failure_url=_optional(_text, wire, "failureUrl"),
        failure_options=decode_options(_text(wire, "failureOptions")),
        endpoint_check=_text(wire, "endpointCheck"),
    )
    return InvocationRequest(
        key=_text(wire, "key"), name=_text(wire, "name"), branch=_text(wire, "branch"), run=run
    )


def _flow_control(control: FlowControlSpec) -> Json:
    return {
        "key": control.key,
        "parallelism": control.parallelism,
        "rate": control.rate,
        "period": _seconds(control.period),
    }


def _read_flow_control(wire: Json, name: str) -> FlowControlSpec:
    said = wire[name]
    return FlowControlSpec(
        key=_text(said, "key"),
        parallelism=_optional(_count, said, "parallelism"),
        rate=_optional(_count, said, "rate"),
        period=timedelta(seconds=said["period"]),
    )


def _wait(wait: EventWait) -> Json:
    return {
        "key": wait.key,
        "name": wait.name,
        "branch": wait.branch,
        "kind": wait.kind.value,
        "eventId": wait.event_id,
        "timeout": _seconds(wait.timeout),
    }


def _read_wait(wire: Json) -> EventWait:
    return EventWait(
        key=_text(wire, "key"),
        name=_text(wire, "name"),
        branch=_text(wire, "branch"),
        kind=StepKind(wire["kind"]),
        event_id=check_event_id(_text(wire, "eventId")),
        timeout=_read_seconds(wire["timeout"]) or timedelta(),
    )


def _notification(notification: Notification) -> Json:
    return {
        "key": notification.key,
        "name": notification.name,
        "branch": notification.branch,
        "eventId": notification.event_id,
        "data": _bytes(notification.data),
        "runId": notification.run_id,
    }


def _read_notification(wire: Json) -> Notification:
    return Notification(
        key=_text(wire, "key"),
        name=_text(wire, "name"),
        branch=_text(wire, "branch"),
        event_id=check_event_id(_text(wire, "eventId")),
        data=_read_bytes(wire, "data"),
        run_id=_optional(_text, wire, "runId"),
    )


def _outcome(outcome: TurnOutcome) -> Json:
    match outcome:
        case Suspended():
            return {
                "type": "suspended",
                "calls": [_call(call) for call in outcome.calls],
                "invocations": [_invocation(each) for each in outcome.invocations],
                "waits": [_wait(wait) for wait in outcome.waits],
                "notifications": [_notification(each) for each in outcome.notifications],
                "wakeAt": _moment(outcome.wake_at),
                "observed": outcome.observed,
            }
        case Finished(result=result):
            return {"type": "finished", "result": result}
        case Failed(error=error):
            return {"type": "failed", "error": error}
        case Canceled():
            return {"type": "canceled"}
        case ContinuedAsNew():
            return {
                "type": "continued as new",
                "payload": _bytes(outcome.payload),
                "contentType": outcome.content_type,
            }


def _read_outcome(wire: Json) -> TurnOutcome:
    match wire["type"]:
        case "suspended":
            return Suspended(
                calls=tuple(_read_call(call) for call in wire["calls"]),
                invocations=tuple(_read_invocation(each) for each in wire["invocations"]),
                waits=tuple(_read_wait(wait) for wait in wire["waits"]),
                notifications=tuple(_read_notification(each) for each in wire["notifications"]),
                wake_at=_optional(_read_moment, wire, "wakeAt"),
                observed=_optional(_text, wire, "observed"),
            )
        case "finished":
            return Finished(result=_optional(_text, wire, "result"))
        case "failed":
            return Failed(error=_text(wire, "error"))
        case "canceled":
            return Canceled()
        case "continued as new":
            return ContinuedAsNew(
                payload=_read_bytes(wire, "payload"), content_type=_text(wire, "contentType")
            )
        case other:
            raise ValueError(f"unknown outcome {other!r}")
