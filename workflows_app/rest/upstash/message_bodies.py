"""The JSON bodies of plain messages (Upstash reference 1.8, 6.6); /schema/ is made from them.

Annotations are evaluated here, so that `NotRequired` is seen at runtime.
"""

from typing import Literal, NotRequired, TypedDict

from workflows_app.rest.upstash.bodies import (
    CallbackInfoBody,
    FlowControlBody,
    LabelsBody,
    PayloadBody,
)
from workflows_app.rest.upstash.vocabulary import CallbackState, Headers

MessageState = Literal[
    "CREATED", "ACTIVE", "ERROR", "RETRY", "DELIVERED", "FAILED", "CANCEL_REQUESTED", "CANCELED"
]
SlotState = Literal["IN_PROGRESS", "SUCCESS", "FAIL"]


class OriginBody(TypedDict, total=False):
    """How a message came to be."""

    topicName: str
    endpointName: str
    queueName: str
    scheduleId: str


class OptionsBody(LabelsBody, FlowControlBody, TypedDict, total=False):
    callback: str
    failureCallback: str
    timeout: int
    retryDelayExpression: str


class CallbackHeadersBody(TypedDict, total=False):
    callbackHeader: Headers
    failureCallbackHeader: Headers


class MessageBody(OriginBody, OptionsBody, PayloadBody, CallbackHeadersBody):
    messageId: str
    url: str
    method: str
    header: Headers
    maxRetries: int
    notBefore: int
    createdAt: int
    callerIP: str


class AnsweredBody(TypedDict):
    """What made a message a dead one."""

    dlqId: str
    responseStatus: int
    responseHeader: Headers
    responseBody: NotRequired[str]
    responseBodyBase64: NotRequired[str]


class DeadMessageBody(MessageBody, AnsweredBody):
    pass


class DeadMessagesBody(TypedDict):
    messages: list[DeadMessageBody]
    cursor: NotRequired[str]


class ListedDeadBody(DeadMessageBody):
    """Also of a failed run."""

    workflowRunId: NotRequired[str]
    workflowCreatedAt: NotRequired[int]
    workflowUrl: NotRequired[str]
    failureCallbackInfo: NotRequired[CallbackInfoBody]
    failureFunctionState: NotRequired[CallbackState]


class ListedDeadBodies(TypedDict):
    messages: list[ListedDeadBody]
    cursor: NotRequired[str]


class RepublishedBody(TypedDict):
    messageId: str


class AllRepublishedBody(TypedDict):
    responses: list[RepublishedBody]
    cursor: NotRequired[str]


class MessageEventBody(OriginBody, OptionsBody):
    time: int
    state: MessageState
    messageId: str
    url: str
    method: str
    header: Headers
    body: NotRequired[str]
    maxRetries: int
    callerIp: str
    callbackHeaders: NotRequired[Headers]
    failureCallbackHeaders: NotRequired[Headers]
    retryDelayExpr: NotRequired[str]
    error: NotRequired[str]
    nextDeliveryTime: NotRequired[int]
    responseStatus: NotRequired[int]
    responseBody: NotRequired[str]
    responseHeader: NotRequired[Headers]
    responseHeaders: NotRequired[Headers]


class MessageEventsBody(TypedDict):
    events: list[MessageEventBody]
    cursor: NotRequired[str]


class MessageLogsBody(TypedDict):
    logs: list[MessageEventBody]
    cursor: NotRequired[str]


class QueueBody(TypedDict):
    name: str
    createdAt: int
    updatedAt: int
    parallelism: int
    lag: int
    paused: bool


class EndpointBody(TypedDict):
    url: str
    name: NotRequired[str]


class UrlGroupBody(TypedDict):
    name: str
    createdAt: int
    updatedAt: int
    endpoints: list[EndpointBody]
    headers: NotRequired[Headers]


class ScheduledBody(TypedDict):
    scheduleId: str


class ScheduleBody(OptionsBody, PayloadBody, CallbackHeadersBody):
    scheduleId: str
    createdAt: int
    cron: str
    destination: str
    method: str
    header: Headers
    retries: int
    callerIP: str
    isPaused: bool
    delay: NotRequired[int]
    queueName: NotRequired[str]
    lastScheduleTime: NotRequired[int]
    nextScheduleTime: NotRequired[int]
    lastScheduleStates: NotRequired[dict[str, SlotState]]
    error: NotRequired[str]
