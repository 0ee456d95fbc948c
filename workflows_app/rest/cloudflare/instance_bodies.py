"""What is answered about instances (Cloudflare reference 2.4 to 2.9).

Annotations are evaluated here, so that `NotRequired` is seen at runtime.
"""

from typing import Any, Literal, NotRequired, TypedDict

from workflows_app.rest.cloudflare.vocabulary import Source, Status


class ErrorBody(TypedDict):
    name: str
    message: str


class InstanceItemBody(TypedDict):
    id: str
    workflow_id: str
    version_id: str
    status: Status
    created_on: str
    modified_on: str
    started_on: str | None
    ended_on: str | None
    trigger_source: Source


class CreatedInstanceBody(TypedDict):
    id: str
    workflow_id: str
    version_id: str
    status: Status
    trigger_source: Source


class TriggerBody(TypedDict):
    source: Source


class InstanceScheduleBody(TypedDict):
    cron: str
    scheduledTime: int


class RollbackBody(TypedDict):
    outcome: Literal["complete", "failed"]
    error: ErrorBody | None


class RetriesBody(TypedDict):
    limit: int
    delay: str | float
    backoff: NotRequired[Literal["constant", "linear", "exponential"]]


class ConfigBody(TypedDict):
    retries: RetriesBody
    timeout: str | float
    sensitive: NotRequired[Literal["output"]]


class AttemptBody(TypedDict):
    start: str
    end: str | None
    success: bool | None
    error: ErrorBody | None


class StepBody(TypedDict):
    type: Literal["step", "rollback"]
    name: str
    start: str
    end: str | None
    success: bool | None
    output: str | None
    config: ConfigBody
    attempts: list[AttemptBody]


class SleepBody(TypedDict):
    type: Literal["sleep"]
    name: str
    start: str
    end: str
    finished: bool
    error: ErrorBody | None


class WaitBody(TypedDict):
    type: Literal["waitForEvent"]
    name: str
    start: str
    end: str
    finished: bool
    error: ErrorBody | None
    event_type: str
    output: NotRequired[str]


class TerminationTriggerBody(TypedDict):
    source: str


class TerminationBody(TypedDict):
    type: Literal["termination"]
    trigger: TerminationTriggerBody


EntryBody = StepBody | SleepBody | WaitBody | TerminationBody


class InstanceBody(TypedDict):
    status: Status
    params: Any
    trigger: TriggerBody
    schedule: NotRequired[InstanceScheduleBody]
    versionId: str
    queued: str
    start: str | None
    end: str | None
    success: bool | None
    error: ErrorBody | None
    output: str | float
    rollback: RollbackBody | None
    step_count: int
    steps: list[EntryBody]


class StepOutputBody(TypedDict):
    status: Status
    error: ErrorBody | None
    output: Any
    event_type: NotRequired[str]


class StatusChangeBody(TypedDict):
    status: Status
    timestamp: str


class InstanceChangeBody(TypedDict):
    instanceId: str
    timestamp: str


class DeletedInstanceBody(TypedDict):
    id: str


class NotDeletedBody(TypedDict):
    id: str
    code: int
    message: str


class DeletedInstancesBody(TypedDict):
    deleted: list[DeletedInstanceBody]
    errors: list[NotDeletedBody]


class BatchTerminatedBody(TypedDict):
    status: Literal["ok", "already_running"]
    instancesTerminated: int


class TerminatingBody(TypedDict):
    status: Literal["ok", "already_running"]


class TerminationStateBody(TypedDict):
    status: Literal["running", "not_running"]
