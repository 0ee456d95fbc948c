"""What crosses between the surfaces, the SDK and the engine: runs, steps and the outcome of a turn.

A *turn* is one delivery of a run to its workflow function: the function is replayed over its
history and goes on until it has to wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from workflows_app.protocol.delivery_options import DeliveryOptions

UNDO = "@undo"
"""Ends the key of the undoing of a step; alone it is the key of what says what is to be undone."""


class StepKind(StrEnum):
    RUN = "run"
    ATOMIC = "atomic"
    SLEEP = "sleep"
    CALL = "call"
    WAIT = "wait"
    NOTIFY = "notify"
    INVOKE = "invoke"
    ROLLBACK = "rollback"
    CREATE_WEBHOOK = "create webhook"
    WAIT_FOR_WEBHOOK = "wait for webhook"
    PATCHED = "patched"
    RACE = "race"
    PLAN = "plan"
    CALL_SENT = "call sent"
    CALL_ANSWERED = "call answered"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControlSpec:
    """At most `parallelism` deliveries at once and `rate` starts per `period`, among all with this
    key.
    """

    key: str
    parallelism: int | None = None
    rate: int | None = None
    period: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run to be started. What is None is decided by the workflow, then by the settings."""

    url: str
    workflow: str = ""
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    delay: timedelta | None = None
    not_before: datetime | None = None
    labels: tuple[str, ...] = ()
    retries: int | None = None
    retry_delay: str | None = None
    timeout: timedelta | None = None
    flow_control: FlowControlSpec | None = None
    failure_url: str | None = None
    failure_options: DeliveryOptions = field(default_factory=DeliveryOptions)
    endpoint_check: str = ""
    """Whether a 2xx answer must show that a workflow endpoint gave it: "detect" or "api"; "" for
    no. "api" is for a run that this server starts without an SDK's help.
    """
    redaction: str = ""
    caller_ip: str = ""
    source: str = "api"
    """What starts it: "api", "python", "schedule" or "run"."""
    schedule: str = ""
    """JSON: `cron`, and `scheduledTime`, the slot in unix ms, of a run that a schedule starts."""
    named_within: bool = False
    """Whether its id tells it from other runs of its workflow alone, ended ones included, and not
    from all live runs of its account.
    """
    success_retention: timedelta | None = None
    error_retention: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggeredRun:
    """A run that now exists. `deduplicated` says that a live run with this id was there before."""

    workflow_run_id: str
    created_at: datetime
    deduplicated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineRun:
    """How far an inline run got: "succeeded", "canceled", or "running" when workers go on."""

    workflow_run_id: str
    status: str
    result: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """What a workflow function may know about its run."""

    run_id: str
    workflow: str
    url: str
    payload: bytes
    content_type: str
    headers: Mapping[str, str]
    labels: tuple[str, ...]
    retries: int
    retry_delay: str
    timeout: timedelta | None
    created_at: datetime
    schedule: str = ""
    """See `RunRequest.schedule`."""
    step_limit: int | None = None
    """How many steps with functions it may have; None for any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One entry of the journal. `result`, `error` and `input` are JSON texts.

    `ended_at` of a sleep may lie in the future. `error` is set when the step used up its retries.
    The result of a `sensitive` one is never shown. `config` is JSON: the policy that the step was
    given; None when it has that of its run.
    """

    key: str
    name: str
    kind: StepKind
    branch: str
    input: str | None
    result: str | None
    error: str | None
    attempts: int
    started_at: datetime
    ended_at: datetime
    sensitive: bool = False
    config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """An attempt of a step, or of the function itself (`key` is empty), that raised.

    `error` is JSON: {"type", "message", "stack"}. `retry_at` is None when it was the last.
    `config` is that of its step.
    """

    key: str
    number: int
    error: str
    started_at: datetime
    ended_at: datetime
    retry_at: datetime | None
    config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How often a step has failed so far, and when it may be tried again. `config` is that of its
    first attempt, which began at `started_at`.
    """

    count: int
    retry_at: datetime | None
    started_at: datetime | None = None
    config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInFlight:
    """A step that is being executed, and when this attempt at it began."""

    key: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a run has recorded, oldest first."""

    steps: tuple[StepRecord, ...] = ()
    failures: Mapping[str, Failures] = field(default_factory=dict)
    observed: str = ""
    """What its last turn left as `Suspended.observed`; empty when there was none."""
    roll_back: bool = False
    """Whether someone has asked for the run to be rolled back."""
    is_cut_short: bool = False
    """Whether its last turn ended by a crash, so that a step may have begun that is not recorded.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """The HTTP request of a `context.call`, sent by the server while the run waits."""

    key: str
    name: str
    branch: str
    url: str
    method: str
    headers: Mapping[str, str]
    body: bytes | None
    retries: int
    retry_delay: str
    timeout: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationRequest:
    """The run of a `context.invoke`, started by the server; the step ends when it does."""

    key: str
    name: str
    branch: str
    run: RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class EventWait:
    """A step that waits for an event, or for the next call of a webhook, while the run does."""

    key: str
    name: str
    branch: str
    kind: StepKind
    event_id: str
    timeout: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """An event that a step sends: to all that wait for it, or to one run."""

    key: str
    name: str
    branch: str
    event_id: str
    data: bytes
    run_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspended:
    """The function waits: for `calls` to be answered, for the ends of `invocations`, for the
    events of `waits`, for `notifications` to be sent, for `wake_at`, whichever comes first.
    """

    calls: tuple[CallRequest, ...] = ()
    invocations: tuple[InvocationRequest, ...] = ()
    waits: tuple[EventWait, ...] = ()
    notifications: tuple[Notification, ...] = ()
    wake_at: datetime | None = None
    observed: str | None = None
    """What middlewares have been told, for the next turn; None when the run has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The function returned; `result` is JSON, None when it returned nothing."""

    result: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The function cannot go on; `error` is JSON: {"type", "message", "stack", "step"?}."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Canceled:
    """The function cancelled its own run, or someone had it rolled back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuedAsNew:
    """The function ended its run in order to have it begin anew, with this payload."""

    payload: bytes
    content_type: str


TurnOutcome = Suspended | Finished | Failed | Canceled | ContinuedAsNew
