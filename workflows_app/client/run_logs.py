"""Runs and their steps as the server's logs tell them.

What has no field here is in `raw`, as the server said it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from workflows_app.client.reading import Fields, json_or_text


class RunState(StrEnum):
    STARTED = "RUN_STARTED"
    SUCCEEDED = "RUN_SUCCESS"
    FAILED = "RUN_FAILED"
    CANCELED = "RUN_CANCELED"


class StepState(StrEnum):
    IN_PROGRESS = "STEP_PROGRESS"
    SUCCEEDED = "STEP_SUCCESS"
    RETRYING = "STEP_RETRY"
    FAILED = "STEP_FAILED"
    CANCELED = "STEP_CANCELED"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    error: str
    body: str
    status: int | None
    time: datetime | None

    @classmethod
    def read(cls, said: Any) -> FailedAttempt:
        answer = Fields(said)
        return cls(
            error=answer.content("error") or "",
            body=answer.content("body") or "",
            status=answer.number("status"),
            time=answer.milliseconds("time"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLog:
    """A step, or a delivery whose step is not known yet, which has neither name nor type."""

    state: str
    """One of `StepState`, unless the server knows more."""
    message_id: str
    name: str = ""
    type: str = ""
    """Such as "Run", "SleepFor", "Call", "Wait" or "Invoke"; "Initial" is the run's start."""
    step_id: int | None = None
    created_at: datetime | None = None
    out: str | None = None
    """Its result as it is stored; of the start, the payload."""
    errors: tuple[FailedAttempt, ...] = ()
    next_delivery_at: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def result(self) -> Any:
        """What it returned: decoded JSON where it is JSON, else text."""
        return json_or_text(self.out)

    @classmethod
    def read(cls, said: Any) -> StepLog:
        answer = Fields(said)
        return cls(
            state=answer.required("state"),
            message_id=answer.text("messageId") or "",
            name=answer.text("stepName") or "",
            type=answer.text("stepType") or "",
            step_id=answer.number("stepId"),
            created_at=answer.milliseconds("createdAt"),
            out=answer.content("out"),
            errors=answer.each("errors", FailedAttempt.read),
            next_delivery_at=answer.milliseconds("nextDeliveryTime"),
            raw=answer.all,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StepGroup:
    """`type` is "sequential", "parallel", or "next" for what is at work and has no result yet."""

    type: str
    steps: tuple[StepLog, ...]

    @classmethod
    def read(cls, said: Any) -> StepGroup:
        answer = Fields(said)
        return cls(type=answer.required("type"), steps=answer.each("steps", StepLog.read))


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoker:
    """The run that waits for this one's end."""

    workflow_run_id: str
    workflow_url: str

    @classmethod
    def read(cls, said: Any) -> Invoker:
        answer = Fields(said)
        return cls(
            workflow_run_id=answer.required("workflowRunId"),
            workflow_url=answer.text("workflowUrl") or "",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLog:
    """A run with all its steps. A run id can be used again; with `created_at` it names one run."""

    workflow_run_id: str
    workflow_url: str
    state: str
    """One of `RunState`, unless the server knows more."""
    created_at: datetime
    completed_at: datetime | None = None
    paused_at: datetime | None = None
    """Since when it is paused; None unless it is."""
    response: str | None = None
    """What the function returned, as it is stored."""
    groups: tuple[StepGroup, ...] = ()
    labels: tuple[str, ...] = ()
    flow_control_key: str | None = None
    caller_ip: str | None = None
    dlq_id: str | None = None
    """Of its entry in the dead letter queue, once it has failed."""
    failure_function_state: str | None = None
    invoker: Invoker | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_live(self) -> bool:
        return self.state == RunState.STARTED

    @property
    def result(self) -> Any:
        """What the function returned: decoded JSON where it is JSON, else text."""
        return json_or_text(self.response)

    @property
    def steps(self) -> tuple[StepLog, ...]:
        """Of all groups, in their order."""
        return tuple(step for group in self.groups for step in group.steps)

    @classmethod
    def read(cls, said: Any) -> RunLog:
        answer = Fields(said)
        label = answer.text("label")
        failure = answer.one("failureFunction", Fields)
        return cls(
            workflow_run_id=answer.required("workflowRunId"),
            workflow_url=answer.text("workflowUrl") or "",
            state=answer.required("workflowState"),
            created_at=answer.required_milliseconds("workflowRunCreatedAt"),
            completed_at=answer.milliseconds("workflowRunCompletedAt"),
            paused_at=answer.milliseconds("workflowRunPausedAt"),
            response=answer.content("workflowRunResponse"),
            groups=answer.each("steps", StepGroup.read),
            labels=answer.texts("labels") or ((label,) if label else ()),
            flow_control_key=answer.text("flowControlKey"),
            caller_ip=answer.text("workflowRunCallerIp"),
            dlq_id=answer.text("dlqId"),
            failure_function_state=failure.text("state") if failure else None,
            invoker=answer.one("invoker", Invoker.read),
            raw=answer.all,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Newest first."""

    runs: tuple[RunLog, ...]
    cursor: str | None
    """Where the next page begins; None when this is the last."""

    @classmethod
    def read(cls, said: Any) -> RunPage:
        answer = Fields(said)
        return cls(runs=answer.each("runs", RunLog.read), cursor=answer.text("cursor"))
