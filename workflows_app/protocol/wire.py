"""A turn on its way to a serve endpoint of ours and back, as JSON.

A delivery carries the run and its history; the answer carries what the endpoint executed and how
the turn ended. Both are signed and checked as any delivery is.
"""

from __future__ import annotations

from dataclasses import dataclass

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.runs import (
    Canceled,
    ContinuedAsNew,
    Failed,
    FailedAttempt,
    Failures,
    Finished,
    History,
    RunInfo,
    StepKind,
    StepRecord,
    Suspended,
    TurnOutcome,
)
from workflows_app.protocol.wire_requests import (
    read_call,
    read_invocation,
    read_notification,
    read_wait,
    write_call,
    write_invocation,
    write_notification,
    write_wait,
)
from workflows_app.protocol.wire_values import (
    MALFORMED,
    Json,
    read_bytes,
    read_count,
    read_headers,
    read_kind,
    read_moment,
    read_optional,
    read_seconds,
    read_text,
    read_texts,
    write_bytes,
    write_moment,
    write_seconds,
)

TURN_CONTENT_TYPE = "application/vnd.workflows.turn+json"
ANSWER_CONTENT_TYPE = "application/vnd.workflows.answer+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnAnswer:
    """What an endpoint did in one turn."""

    steps: tuple[StepRecord, ...]
    attempts: tuple[FailedAttempt, ...]
    outcome: TurnOutcome


def encode_turn(run: RunInfo, history: History) -> bytes:
    failures = {key: _failures(failure) for key, failure in history.failures.items()}
    wire = {
        "run": {
            "runId": run.run_id,
            "workflow": run.workflow,
            "url": run.url,
            "payload": write_bytes(run.payload),
            "contentType": run.content_type,
            "headers": dict(run.headers),
            "labels": list(run.labels),
            "retries": run.retries,
            "retryDelay": run.retry_delay,
            "timeout": write_seconds(run.timeout),
            "createdAt": write_moment(run.created_at),
            "schedule": run.schedule,
            "stepLimit": run.step_limit,
        },
        "steps": [_step(step) for step in history.steps],
        "failures": failures,
        "observed": history.observed,
        "rollBack": history.roll_back,
        "isCutShort": history.is_cut_short,
    }
    return encode_json(wire).encode()


def decode_turn(body: bytes) -> tuple[RunInfo, History]:
    """Raises InvalidInput for anything that `encode_turn` does not make."""
    try:
        wire = decode_json(body)
        run: Json = wire["run"]
        info = RunInfo(
            run_id=read_text(run, "runId"),
            workflow=read_text(run, "workflow"),
            url=read_text(run, "url"),
            payload=read_bytes(run, "payload"),
            content_type=read_text(run, "contentType"),
            headers=read_headers(run),
            labels=tuple(read_texts(run["labels"])),
            retries=read_count(run, "retries"),
            retry_delay=read_text(run, "retryDelay"),
            timeout=read_seconds(run["timeout"]),
            created_at=read_moment(run, "createdAt"),
            schedule=read_text(run, "schedule"),
            step_limit=None if run["stepLimit"] is None else read_count(run, "stepLimit"),
        )
        failures = {key: _read_failures(each) for key, each in wire["failures"].items()}
        steps = tuple(_read_step(step) for step in wire["steps"])
        history = History(
            steps=steps,
            failures=failures,
            observed=read_text(wire, "observed"),
            roll_back=read_kind(bool, wire["rollBack"]),
            is_cut_short=read_kind(bool, wire["isCutShort"]),
        )
        return info, history
    except MALFORMED as error:
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
    except MALFORMED as error:
        raise InvalidInput(f"the endpoint's answer is not that of a turn: {error!r}") from None


def _failures(failures: Failures) -> Json:
    return {
        "count": failures.count,
        "retryAt": write_moment(failures.retry_at),
        "startedAt": write_moment(failures.started_at),
        "config": failures.config,
    }


def _read_failures(wire: Json) -> Failures:
    return Failures(
        count=read_count(wire, "count"),
        retry_at=read_optional(read_moment, wire, "retryAt"),
        started_at=read_optional(read_moment, wire, "startedAt"),
        config=read_optional(read_text, wire, "config"),
    )


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
        "startedAt": write_moment(step.started_at),
        "endedAt": write_moment(step.ended_at),
        "sensitive": step.sensitive,
        "config": step.config,
    }


def _read_step(wire: Json) -> StepRecord:
    return StepRecord(
        key=read_text(wire, "key"),
        name=read_text(wire, "name"),
        kind=StepKind(wire["kind"]),
        branch=read_text(wire, "branch"),
        input=read_optional(read_text, wire, "input"),
        result=read_optional(read_text, wire, "result"),
        error=read_optional(read_text, wire, "error"),
        attempts=read_count(wire, "attempts"),
        started_at=read_moment(wire, "startedAt"),
        ended_at=read_moment(wire, "endedAt"),
        sensitive=read_kind(bool, wire["sensitive"]),
        config=read_optional(read_text, wire, "config"),
    )


def _attempt(attempt: FailedAttempt) -> Json:
    return {
        "key": attempt.key,
        "number": attempt.number,
        "error": attempt.error,
        "startedAt": write_moment(attempt.started_at),
        "endedAt": write_moment(attempt.ended_at),
        "retryAt": write_moment(attempt.retry_at),
        "config": attempt.config,
    }


def _read_attempt(wire: Json) -> FailedAttempt:
    return FailedAttempt(
        key=read_text(wire, "key"),
        number=read_count(wire, "number"),
        error=read_text(wire, "error"),
        started_at=read_moment(wire, "startedAt"),
        ended_at=read_moment(wire, "endedAt"),
        retry_at=read_optional(read_moment, wire, "retryAt"),
        config=read_optional(read_text, wire, "config"),
    )


def _outcome(outcome: TurnOutcome) -> Json:
    match outcome:
        case Suspended():
            return {
                "type": "suspended",
                "calls": [write_call(call) for call in outcome.calls],
                "invocations": [write_invocation(each) for each in outcome.invocations],
                "waits": [write_wait(wait) for wait in outcome.waits],
                "notifications": [write_notification(each) for each in outcome.notifications],
                "wakeAt": write_moment(outcome.wake_at),
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
                "payload": write_bytes(outcome.payload),
                "contentType": outcome.content_type,
            }


def _read_outcome(wire: Json) -> TurnOutcome:
    match wire["type"]:
        case "suspended":
            return Suspended(
                calls=tuple(read_call(call) for call in wire["calls"]),
                invocations=tuple(read_invocation(each) for each in wire["invocations"]),
                waits=tuple(read_wait(wait) for wait in wire["waits"]),
                notifications=tuple(read_notification(each) for each in wire["notifications"]),
                wake_at=read_optional(read_moment, wire, "wakeAt"),
                observed=read_optional(read_text, wire, "observed"),
            )
        case "finished":
            return Finished(result=read_optional(read_text, wire, "result"))
        case "failed":
            return Failed(error=read_text(wire, "error"))
        case "canceled":
            return Canceled()
        case "continued as new":
            return ContinuedAsNew(
                payload=read_bytes(wire, "payload"), content_type=read_text(wire, "contentType")
            )
        case other:
            raise ValueError(f"unknown outcome {other!r}")
