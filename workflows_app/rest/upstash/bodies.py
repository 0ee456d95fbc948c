"""The JSON bodies of the answers (Upstash reference 1.3 to 1.5, 6.1 to 6.5); /schema/ is made from
them.

Annotations are evaluated here, so that `NotRequired` is seen at runtime.
"""

from typing import Literal, NotRequired, TypedDict

from workflows_app.engine.states import State
from workflows_app.protocol.published import CallType
from workflows_app.rest.upstash.vocabulary import CallbackState, Headers, RunState, StepState


class TriggeredBody(TypedDict):
    workflowRunId: str
    workflowCreatedAt: int
    deduplicated: NotRequired[bool]


class PublishedBody(TypedDict):
    messageId: str
    url: NotRequired[str]
    deduplicated: NotRequired[bool]


class RawStepBody(TypedDict):
    messageId: str
    body: str
    callType: CallType


class WaiterBody(TypedDict):
    url: str
    headers: Headers
    deadline: int
    timeoutUrl: str
    timeoutHeaders: Headers


class NotifiedBody(TypedDict):
    waiter: NotRequired[WaiterBody]
    messageId: str
    deduplicated: bool
    error: str
    workflowRunId: str
    workflowCreatedAt: int


class CancelledBody(TypedDict):
    cancelled: int


class DeletedBody(TypedDict):
    deleted: int
    cursor: NotRequired[str]


class KeysBody(TypedDict):
    current: str
    next: str


class FlowControlKeyBody(TypedDict):
    flowControlKey: str
    waitListSize: int
    waitlistSize: int
    isPaused: bool
    isPinnedParallelism: bool
    isPinnedRate: bool
    parallelismMax: NotRequired[int]
    parallelismCount: int
    rateMax: NotRequired[int]
    rateCount: int
    ratePeriod: NotRequired[int]
    ratePeriodStart: NotRequired[int]


class GlobalParallelismBody(TypedDict):
    parallelismMax: int
    parallelismCount: int


class FailedAttemptBody(TypedDict):
    error: str
    body: str
    headers: Headers
    status: int
    time: int


class StepDetailsBody(TypedDict, total=False):
    stepId: int
    stepName: str
    stepType: str
    callType: CallType
    concurrent: int
    targetStep: int
    createdAt: int
    headers: Headers
    out: str
    retries: int
    retryDelay: str
    errors: list[FailedAttemptBody]
    nextDeliveryTime: int
    sleepFor: int
    sleepUntil: int
    callUrl: str
    callMethod: str
    callHeaders: Headers
    callBody: str
    callResponseStatus: int
    callResponseBody: str
    callResponseHeaders: Headers
    waitEventId: str
    waitTimeoutDuration: str
    waitTimeoutDeadline: int
    waitTimeout: bool
    invokedWorkflowRunId: str
    invokedWorkflowUrl: str
    invokedWorkflowCreatedAt: int
    invokedWorkflowRunBody: str
    invokedWorkflowRunHeaders: Headers


class StepBody(StepDetailsBody):
    messageId: str
    state: StepState


class StepGroupBody(TypedDict):
    type: Literal["sequential", "parallel", "next"]
    steps: list[StepBody]


class LabelsBody(TypedDict, total=False):
    label: str
    labels: list[str]


class FlowControlBody(TypedDict, total=False):
    flowControlKey: str
    parallelism: int
    rate: int
    period: int


class CallbackInfoBody(TypedDict):
    state: CallbackState
    responseStatus: NotRequired[int]
    responseBody: NotRequired[str]
    responseHeaders: NotRequired[Headers]


class FailureFunctionBody(CallbackInfoBody):
    messageId: str
    url: str
    failHeaders: Headers
    failStatus: int
    failResponse: str
    dlqId: str
    maxRetries: int
    errors: NotRequired[list[FailedAttemptBody]]
    nextDeliveryTime: NotRequired[int]


class InvokerBody(TypedDict):
    workflowRunId: str
    workflowUrl: str
    workflowRunCreatedAt: int


class RunBody(LabelsBody):
    workflowRunId: str
    workflowUrl: str
    workflowState: RunState
    workflowRunCreatedAt: int
    steps: list[StepGroupBody]
    workflowRunCompletedAt: NotRequired[int]
    workflowRunCallerIp: NotRequired[str]
    workflowRunResponse: NotRequired[str]
    invoker: NotRequired[InvokerBody]
    failureFunction: NotRequired[FailureFunctionBody]
    dlqId: NotRequired[str]
    flowControlKey: NotRequired[str]
    workflowRunPausedAt: NotRequired[int]


class RunStateBody(TypedDict):
    workflowRunId: str
    state: State


class RunsBody(TypedDict):
    runs: list[RunBody]
    cursor: NotRequired[str]


class StepInfoBody(StepDetailsBody, total=False):
    messageId: str


class RunEventBody(LabelsBody):
    time: int
    state: RunState | StepState
    workflowRunId: str
    workflowUrl: str
    workflowCreatedAt: int
    stepInfo: NotRequired[StepInfoBody]
    nextDeliveryTime: NotRequired[int]
    error: NotRequired[str]
    responseStatus: NotRequired[int]
    responseBody: NotRequired[str]
    responseHeaders: NotRequired[Headers]
    headers: NotRequired[Headers]
    invokerWorkflowRunId: NotRequired[str]
    invokerWorkflowUrl: NotRequired[str]
    invokerWorkflowCreatedAt: NotRequired[int]
    workflowRunResponse: NotRequired[str]
    dlqId: NotRequired[str]
    callerIp: NotRequired[str]


class RunEventsBody(TypedDict):
    events: list[RunEventBody]
    cursor: NotRequired[str]


class CallbackBody(TypedDict, total=False):
    failureCallback: str
    failureCallbackHeader: Headers
    failureCallbackInfo: CallbackInfoBody
    failureFunctionState: CallbackState


class PayloadBody(TypedDict, total=False):
    body: str
    bodyBase64: str


class DeadLetterBody(PayloadBody, CallbackBody, LabelsBody, FlowControlBody):
    dlqId: str
    messageId: str
    url: str
    method: str
    header: Headers
    maxRetries: int
    notBefore: int
    createdAt: int
    callerIP: str
    workflowRunId: str
    workflowCreatedAt: int
    workflowUrl: str
    responseStatus: int
    responseHeader: Headers
    responseBody: str
    retryDelayExpression: NotRequired[str]


class DeadLettersBody(TypedDict):
    messages: list[DeadLetterBody]
    cursor: NotRequired[str]


class SuccessorsBody(TypedDict):
    workflowRuns: list[TriggeredBody]
    cursor: NotRequired[str]
