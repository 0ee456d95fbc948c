"""How /schema/ describes each route of the dialect."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from drf_spectacular.utils import OpenApiParameter

from workflows_app.rest.schema import Access, Description, Schema, in_header, in_query, operation
from workflows_app.rest.upstash import examples
from workflows_app.rest.upstash.bodies import (
    CancelledBody,
    DeadLetterBody,
    DeadLettersBody,
    DeletedBody,
    FlowControlKeyBody,
    GlobalParallelismBody,
    KeysBody,
    NotifiedBody,
    PublishedBody,
    RawStepBody,
    RunEventsBody,
    RunsBody,
    RunStateBody,
    SuccessorsBody,
    TriggeredBody,
    WaiterBody,
)

_BAD = HTTPStatus.BAD_REQUEST
_UNKNOWN = HTTPStatus.NOT_FOUND
_TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

_OPTIONS = [
    in_header("Upstash-Retries", "How often a failed step is tried again.", int),
    in_header("Upstash-Retry-Delay", "Milliseconds, as arithmetic over `retried`."),
    in_header("Upstash-Delay", 'How long to wait before the start, such as "1h30m".'),
    in_header("Upstash-Label", "One label, or several with commas between them."),
    in_header("Upstash-Failure-Callback", "Who is told, by POST, that the run has failed."),
    in_header("Upstash-Flow-Control-Key", "Runs with the same key share its limits."),
    in_header("Upstash-Flow-Control-Value", 'Such as "parallelism=2, rate=5, period=1m".'),
]
_ONLY_NEW = [
    in_header("Upstash-Workflow-RunId", "The run's id; a live run of this id is returned."),
    in_header("Upstash-Not-Before", "Unix seconds before which the run does not start."),
    in_header("Upstash-Timeout", "How long one attempt of a step may take."),
    in_header("Upstash-Forward-*", "A header that the workflow is given, without this prefix."),
]
_RUNS = [
    in_query("workflowRunId", "The run's id. This and most filters can be repeated."),
    in_query("workflowUrl", "The workflow's URL."),
    in_query("workflowCreatedAt", "Unix milliseconds.", int),
    in_query("label", "Any of the run's labels."),
    in_query("fromDate", "Unix milliseconds.", int),
    in_query("toDate", "Unix milliseconds, inclusive.", int),
    in_query("callerIp", "Who triggered the run."),
    in_query("flowControlKey", "The run's flow control."),
    in_query("host", "The host in the workflow's URL, with or without its port."),
    in_query("path", "The path in the workflow's URL."),
]
_PAGE = [
    in_query("count", "How many at most.", int),
    in_query("cursor", "Where the page before said that the next begins."),
]
_LOGGED = [
    *_RUNS,
    *_PAGE,
    in_query(
        "state",
        "RUN_STARTED, RUN_SUCCESS, RUN_FAILED or RUN_CANCELED; for single events also "
        "STEP_PROGRESS, STEP_SUCCESS, STEP_RETRY, STEP_FAILED or STEP_CANCELED.",
    ),
    in_query("messageId", "The id of a message of the run."),
    in_query("workflowRuns", "ID@createdAt, for ids that were used more than once."),
    in_query("trimBody", "Cuts payloads and results to this many characters.", int),
]
_LETTERS = [
    *_RUNS,
    *_PAGE,
    in_query("url", "As workflowUrl."),
    in_query("responseStatus", "The status that the run failed with.", int),
    in_query("failureFunctionState", "CALLBACK_INPROGRESS, _SUCCESS, _FAIL or _CANCELED."),
]
_NAMED_LETTERS = [in_query("dlqIds", "Ids of entries; repeated or with commas."), *_LETTERS]
_DESTINATION = OpenApiParameter(
    "destination",
    str,
    OpenApiParameter.PATH,
    description="The workflow's URL, raw: https://host/path?its=query.",
)
_ANY_JSON: Schema = {}
_FILTERS: Schema = {
    "type": "object",
    "additionalProperties": True,
    "description": "The filters of the query can be sent here as well.",
}
_TARGET: Schema = {
    "type": "object",
    "properties": {
        "step": {"type": "string"},
        "count": {"type": "integer", "minimum": 1},
        "kind": {"enum": ["work", "sleep", "wait"]},
    },
    "description": "The parameters of the query can be sent here as well.",
}
_BATCH: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "destination": {"type": "string"},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "body": {"description": "A text is sent as it is, any other value as its JSON."},
        },
        "required": ["destination"],
    },
}

_MESSAGE_ID = {"messageId": "msg_s42"}
_LIMIT = HTTPStatus.PRECONDITION_FAILED

publish = operation(
    Access.FULL_TOKEN,
    name="publish_one",
    summary="Publish a message to a URL or a URL group; the body is the message's",
    answer=PublishedBody | list[PublishedBody],
    example=_MESSAGE_ID,
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    parameters=[_DESTINATION, *_OPTIONS],
    body=_ANY_JSON,
    body_example=examples.PAYLOAD,
)
enqueue = operation(
    Access.FULL_TOKEN,
    name="publish_to_queue",
    summary="Publish a message through a queue, which is made when there is none",
    answer=PublishedBody | list[PublishedBody],
    example=_MESSAGE_ID,
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    parameters=[_DESTINATION, *_OPTIONS],
    body=_ANY_JSON,
    body_example=examples.PAYLOAD,
)
batch = operation(
    Access.FULL_TOKEN,
    name="publish_many",
    summary="Publish many messages, all or none",
    answer=list[PublishedBody | list[PublishedBody]],
    example=[_MESSAGE_ID],
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    body=_BATCH,
    body_example=examples.BATCH,
)
list_raw_steps = operation(
    Access.ANY_TOKEN,
    name="runs_steps",
    summary="The step list of a live run, as its endpoint gets it",
    answer=list[RawStepBody],
    example=[{"messageId": "msg_r7", "body": "eyJvcmRlciI6MX0=", "callType": "step"}],
    refused=(_BAD, _UNKNOWN),
)
wait = operation(
    Access.FULL_TOKEN,
    name="events_wait",
    summary="Have a step of a run wait for an event",
    answer=PublishedBody,
    example={"messageId": "msg_w3"},
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    body=_ANY_JSON,
)
notify = operation(
    Access.FULL_TOKEN,
    name="events_notify",
    summary="Send an event to all that wait for it, or to one run; the body is its data",
    answer=list[NotifiedBody],
    example=[examples.NOTIFIED],
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    body=_ANY_JSON,
)
list_waiters = operation(
    Access.ANY_TOKEN,
    name="events_waiters",
    summary="Who waits for an event",
    answer=list[WaiterBody],
    example=[examples.WAITER],
    refused=(_BAD, _UNKNOWN),
)


def _webhook(method: str) -> Description:
    return operation(
        Access.ANYONE,
        name=f"webhooks_{method}",
        summary="Call a webhook of a run",
        answer=dict[str, str],
        example={},
        refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    )


webhook_get = _webhook("get")
webhook_post = _webhook("post")
webhook_put = _webhook("put")
webhook_patch = _webhook("patch")
webhook_delete = _webhook("delete")
webhook_options = _webhook("options")
trigger = operation(
    Access.FULL_TOKEN,
    name="trigger_one",
    summary="Start a run; the body is its payload",
    answer=TriggeredBody,
    example=examples.TRIGGERED,
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    parameters=[_DESTINATION, *_ONLY_NEW, *_OPTIONS],
    body=_ANY_JSON,
    body_example=examples.PAYLOAD,
)
batch_trigger = operation(
    Access.FULL_TOKEN,
    name="trigger_many",
    summary="Start many runs, all or none",
    answer=list[TriggeredBody],
    example=[examples.TRIGGERED],
    status=HTTPStatus.CREATED,
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    body=_BATCH,
    body_example=examples.BATCH,
)
cancel_run = operation(
    Access.FULL_TOKEN,
    name="runs_cancel",
    summary="Cancel a run; with cancel=false, its endpoint ends it with a response as the body",
    answer=CancelledBody,
    example={"cancelled": 1},
    refused=(_BAD, _UNKNOWN),
)
pause_run = operation(
    Access.FULL_TOKEN,
    name="runs_pause",
    summary="Have nothing of a run start until it is resumed; a step in flight goes on to its end",
    answer=RunStateBody,
    example={"workflowRunId": "order-7", "state": "paused"},
    refused=(_BAD, _UNKNOWN),
)
resume_run = operation(
    Access.FULL_TOKEN,
    name="runs_resume",
    summary="Have a paused run go on, with as much time left of what it waits for as it had",
    answer=RunStateBody,
    example={"workflowRunId": "order-7", "state": "queued"},
    refused=(_BAD, _UNKNOWN),
)
restart_run = operation(
    Access.FULL_TOKEN,
    name="runs_restart",
    summary="Have a run begin again under its id, ended or not: whole, or from one of its steps",
    answer=RunStateBody,
    example={"workflowRunId": "order-7", "state": "queued"},
    refused=(_BAD, _UNKNOWN, _TOO_LARGE),
    parameters=[
        in_query("step", "The name of the step; what began before it keeps its result."),
        in_query("count", "Which of the steps of that name and kind, from 1.", int),
        in_query("kind", "Of the step: work, sleep or wait; work unless given."),
    ],
    body=_TARGET,
)
cancel_runs = operation(
    Access.FULL_TOKEN,
    name="runs_cancel_many",
    summary="Cancel the live runs that all filters match; without filters, any",
    answer=CancelledBody,
    example={"cancelled": 2},
    refused=(_BAD, _TOO_LARGE),
    parameters=[
        in_query("workflowRunIds", "Ids of runs; repeated or with commas."),
        in_query("workflowUrlExactMatch", "Without it, workflowUrl is a prefix.", bool),
        *_RUNS,
        in_query("count", "How many at most; 100 unless given.", int),
    ],
    body=_FILTERS,
)


def _listing(name: str, summary: str, parameters: list[OpenApiParameter]) -> Description:
    return operation(
        Access.ANY_TOKEN,
        name=name,
        summary=summary,
        answer=RunsBody,
        example=examples.RUNS,
        refused=(_BAD,),
        parameters=parameters,
    )


list_logs = _listing("runs_logs", "Runs with their steps, newest first", _LOGGED)
list_events = operation(
    Access.ANY_TOKEN,
    name="runs_events",
    summary="What happened to runs, newest first; with groupBy, the same as the logs",
    answer=RunEventsBody | RunsBody,
    example=examples.RUN_EVENTS,
    refused=(_BAD,),
    parameters=[
        in_query("groupBy", '"workflowRunId", or absent for single events.'),
        *_LOGGED,
    ],
)


def _letters(name: str, summary: str, parameters: list[OpenApiParameter]) -> Description:
    return operation(
        Access.ANY_TOKEN,
        name=name,
        summary=summary,
        answer=DeadLettersBody,
        example={"messages": [examples.DEAD_LETTER]},
        refused=(_BAD,),
        parameters=parameters,
    )


list_dead_letters = _letters("dlq_list", "Failed runs that wait for a decision", _NAMED_LETTERS)
show_dead_letter = operation(
    Access.ANY_TOKEN,
    name="dlq_show",
    summary="One failed run",
    answer=DeadLetterBody,
    example=examples.DEAD_LETTER,
    refused=(_UNKNOWN,),
)
delete_dead_letter = operation(
    Access.FULL_TOKEN,
    name="dlq_delete",
    summary="Delete an entry; its run stays, as failed",
    answer=DeletedBody,
    example={"deleted": 1},
    refused=(_UNKNOWN,),
)
delete_dead_letters = operation(
    Access.FULL_TOKEN,
    name="dlq_delete_many",
    summary="Delete the entries that all filters match; without filters, any",
    answer=DeletedBody,
    example={"deleted": 100, "cursor": examples.CURSOR},
    refused=(_BAD, _TOO_LARGE),
    parameters=_NAMED_LETTERS,
    body=_FILTERS,
)


def _successor(name: str, summary: str) -> Description:
    return operation(
        Access.FULL_TOKEN,
        name=name,
        summary=summary,
        answer=TriggeredBody,
        example=examples.TRIGGERED,
        refused=(_BAD, _UNKNOWN),
        parameters=_OPTIONS,
    )


def _successors(name: str, summary: str) -> Description:
    return operation(
        Access.FULL_TOKEN,
        name=name,
        summary=summary,
        answer=SuccessorsBody,
        example={"workflowRuns": [examples.TRIGGERED]},
        refused=(_BAD, _UNKNOWN, _TOO_LARGE),
        parameters=[*_NAMED_LETTERS, *_OPTIONS],
        body=_FILTERS,
    )


resume = _successor("dlq_resume", "Go on where a run failed: finished steps keep their results")
restart = _successor("dlq_restart", "Run all steps of a failed run again")
resume_many = _successors("dlq_resume_many", "Resume up to 50 failed runs, all or none")
restart_many = _successors("dlq_restart_many", "Restart up to 50 failed runs, all or none")


def _callback(name: str, summary: str) -> Description:
    return operation(
        Access.FULL_TOKEN,
        name=name,
        summary=summary,
        answer=TriggeredBody,
        example=examples.TRIGGERED,
        refused=(_BAD, _UNKNOWN),
    )


retry_callback = _callback("dlq_callback_retry", "Tell the failure function or URL again")
cancel_callback = _callback("dlq_callback_cancel", "Stop telling the failure function or URL")

show_keys = operation(
    Access.ANY_TOKEN,
    name="keys_show",
    summary="The keys that deliveries are signed with",
    answer=KeysBody,
    example=examples.KEYS,
)
rotate_keys = operation(
    Access.FULL_TOKEN,
    name="keys_rotate",
    summary="The next key becomes the current one",
    answer=KeysBody,
    example=examples.KEYS,
)
liveness = operation(
    Access.ANYONE,
    name="health_liveness",
    summary="Whether the server answers",
    answer=dict[str, str],
    example={},
)


list_flow_controls = operation(
    Access.ANY_TOKEN,
    name="flowControl_list",
    summary="The flow control keys of the account, with how far they are used",
    answer=list[FlowControlKeyBody],
    example=[examples.FLOW_CONTROL],
    refused=(_BAD,),
    parameters=[in_query("search", "A part of the key.")],
)
show_flow_control = operation(
    Access.ANY_TOKEN,
    name="flowControl_show",
    summary="One flow control key",
    answer=FlowControlKeyBody,
    example=examples.FLOW_CONTROL,
    refused=(_BAD, _UNKNOWN),
)


def _flow_control_verb(
    name: str, summary: str, parameters: Sequence[OpenApiParameter] = ()
) -> Description:
    return operation(
        Access.FULL_TOKEN,
        name=f"flowControl_{name}",
        summary=summary,
        answer=dict[str, str],
        example={},
        refused=(_BAD, _UNKNOWN),
        parameters=parameters,
    )


pause_flow_control = _flow_control_verb("pause", "Start nothing of this key until it is resumed")
resume_flow_control = _flow_control_verb("resume", "Start messages of this key again")
pin_flow_control = _flow_control_verb(
    "pin",
    "Set limits that what is published does not change",
    [
        in_query("parallelism", "Deliveries at once.", int),
        in_query("rate", "Starts per period.", int),
        in_query("period", 'Seconds, or a duration such as "1m"; "1s" unless given.'),
    ],
)
unpin_flow_control = _flow_control_verb(
    "unpin",
    "Have limits set by what is published again",
    [
        in_query("parallelism", "Whether to unpin the parallelism.", bool),
        in_query("rate", "Whether to unpin rate and period.", bool),
    ],
)
reset_flow_control_rate = _flow_control_verb("resetRate", "Begin a new period of the rate")
show_global_parallelism = operation(
    Access.ANY_TOKEN,
    name="flowControl_global",
    summary="How many deliveries of the account are under way, and may be at once",
    answer=GlobalParallelismBody,
    example={"parallelismMax": 100, "parallelismCount": 2},
)
