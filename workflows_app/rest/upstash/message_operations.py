"""How /schema/ describes the routes of plain messages."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiParameter

from workflows_app.rest.schema import Access, Description, Schema, in_header, in_query, operation
from workflows_app.rest.upstash import examples
from workflows_app.rest.upstash import message_examples as shown
from workflows_app.rest.upstash.bodies import CancelledBody, DeletedBody
from workflows_app.rest.upstash.message_bodies import (
    AllRepublishedBody,
    DeadMessageBody,
    ListedDeadBodies,
    MessageBody,
    MessageEventsBody,
    MessageLogsBody,
    QueueBody,
    RepublishedBody,
    ScheduleBody,
    ScheduledBody,
    UrlGroupBody,
)

_BAD = HTTPStatus.BAD_REQUEST
_UNKNOWN = HTTPStatus.NOT_FOUND
_LIMIT = HTTPStatus.PRECONDITION_FAILED
_TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

_EMPTY = dict[str, str]
_FILTERED = [
    in_query("messageId", "The message's id. This and most filters can be repeated."),
    in_query("messageIds", "The same, for many."),
    in_query("url", "The destination."),
    in_query("topicName", "The URL group that the message was published to."),
    in_query("queueName", "The queue that it came through."),
    in_query("scheduleId", "The schedule that published it."),
    in_query("label", "Any of its labels."),
    in_query("flowControlKey", "Its flow control."),
    in_query("callerIp", "Who published it."),
    in_query("fromDate", "Unix milliseconds.", int),
    in_query("toDate", "Unix milliseconds, inclusive.", int),
]
_PLACE = [
    in_query("host", "The host of the destination, with or without its port."),
    in_query("path", "The path of the destination."),
]
_COUNT = in_query("count", "How many at most.", int)
_PAGE = [
    _COUNT,
    in_query("cursor", "Where the page before said that the next begins."),
    in_query("order", '"latestFirst", unless it is "earliestFirst".'),
]
_DEAD = [
    in_query("dlqIds", "Ids of entries; repeated or with commas."),
    in_query("responseStatus", "The status of the last answer.", int),
    *_FILTERED,
    *_PAGE,
]
_LOGGED = [
    *_FILTERED,
    *_PLACE,
    *_PAGE,
    in_query("state", "A state of the log, or IN_PROGRESS for messages that are not finished."),
    in_query("trimBody", "Cuts bodies to this many bytes.", int),
    in_query("groupBy", '"messageId" pages by message, and keeps its events together.'),
]
_FILTERS: Schema = {
    "type": "object",
    "additionalProperties": True,
    "description": "The filters of the query can be sent here as well.",
}


def _many(  # noqa: PLR0913 - the parts that differ
    name: str,
    summary: str,
    answer: Any,
    example: Any,
    parameters: list[OpenApiParameter],
    status: HTTPStatus = HTTPStatus.OK,
    refused: tuple[HTTPStatus, ...] = (_BAD, _TOO_LARGE),
) -> Description:
    return operation(
        Access.FULL_TOKEN,
        name=name,
        summary=summary,
        answer=answer,
        example=example,
        status=status,
        refused=refused,
        parameters=parameters,
        body=_FILTERS,
    )


def _shown(name: str, summary: str, answer: Any, example: Any) -> Description:
    return operation(
        Access.ANY_TOKEN,
        name=name,
        summary=summary,
        answer=answer,
        example=example,
        refused=(_UNKNOWN,),
    )


def _done(name: str, summary: str, answer: Any = _EMPTY, example: Any = None) -> Description:
    return operation(
        Access.FULL_TOKEN,
        name=name,
        summary=summary,
        answer=answer,
        example=example or {},
        refused=(_UNKNOWN,),
    )


# -- messages and their log

show_message = _shown(
    "messages_show", "One message, also after its end", MessageBody, shown.MESSAGE
)
cancel_message = _done("messages_cancel", "Cancel a message", CancelledBody, {"cancelled": 1})
cancel_messages = _many(
    "messages_cancel_many",
    "Cancel the waiting messages that all filters match; without filters, any",
    CancelledBody,
    {"cancelled": 2},
    [*_FILTERED, *_PLACE, _COUNT],
)


def _log(name: str, summary: str, answer: Any, example: Any) -> Description:
    return operation(
        Access.ANY_TOKEN,
        name=name,
        summary=summary,
        answer=answer,
        example=example,
        refused=(_BAD,),
        parameters=_LOGGED,
    )


list_events = _log(
    "messages_events",
    "What happened to messages, newest first",
    MessageEventsBody,
    {"events": [shown.EVENT], "cursor": examples.CURSOR},
)
list_logs = _log(
    "messages_logs",
    "The same as the events, under another name",
    MessageLogsBody,
    {"logs": [shown.EVENT]},
)

# -- dead letters

list_dead_messages = operation(
    Access.ANY_TOKEN,
    name="dlq_list_by_source",
    summary="Messages that were given up; with source=workflow, failed runs",
    answer=ListedDeadBodies,
    example={"messages": [shown.DEAD_MESSAGE]},
    refused=(_BAD,),
    parameters=[in_query("source", '"workflow" for failed runs.'), *_DEAD],
)
show_dead_message = _shown(
    "dlq_message_show", "One message that was given up", DeadMessageBody, shown.DEAD_MESSAGE
)
delete_dead_message = _done(
    "dlq_message_delete", "Take a message out of the queue", DeletedBody, {"deleted": 1}
)
delete_dead_messages = _many(
    "dlq_message_delete_many",
    "Take out the messages that all filters match; without filters, any",
    DeletedBody,
    {"deleted": 100, "cursor": examples.CURSOR},
    _DEAD,
)
retry_dead_message = operation(
    Access.FULL_TOKEN,
    name="dlq_message_retry",
    summary="Publish a message again, as another one",
    answer=RepublishedBody,
    example=shown.REPUBLISHED,
    status=HTTPStatus.CREATED,
    refused=(_UNKNOWN,),
)
retry_dead_messages = _many(
    "dlq_message_retry_many",
    "Publish the messages again that all filters match; without filters, any",
    AllRepublishedBody,
    {"responses": [shown.REPUBLISHED]},
    _DEAD,
    HTTPStatus.CREATED,
    (_BAD, _UNKNOWN, _TOO_LARGE),
)

# -- queues

list_queues = operation(
    Access.ANY_TOKEN,
    name="queues_list",
    summary="Queues, and how much each has yet to deliver",
    answer=list[QueueBody],
    example=[shown.QUEUE],
)
upsert_queue = operation(
    Access.FULL_TOKEN,
    name="queues_upsert",
    summary="Make a queue, or change it",
    answer=QueueBody,
    example=shown.QUEUE,
    refused=(_BAD, _LIMIT, _TOO_LARGE),
    body={
        "type": "object",
        "properties": {
            "queueName": {"type": "string"},
            "parallelism": {"type": "integer", "minimum": 1},
            "paused": {"type": "boolean"},
        },
        "required": ["queueName"],
    },
    body_example={"queueName": "orders", "parallelism": 2},
)
show_queue = _shown("queues_show", "One queue", QueueBody, shown.QUEUE)
delete_queue = _done("queues_delete", "Delete a queue; what it has yet to deliver is cancelled")
pause_queue = _done("queues_pause", "Start nothing more", QueueBody, shown.QUEUE)
resume_queue = _done("queues_resume", "Go on after a pause", QueueBody, shown.QUEUE)

# -- URL groups

_ENDPOINTS: Schema = {
    "type": "object",
    "properties": {
        "endpoints": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"url": {"type": "string"}, "name": {"type": "string"}},
            },
        }
    },
    "required": ["endpoints"],
}

list_url_groups = operation(
    Access.ANY_TOKEN,
    name="topics_list",
    summary="URL groups with their endpoints",
    answer=list[UrlGroupBody],
    example=[shown.URL_GROUP],
)
show_url_group = _shown("topics_show", "One URL group", UrlGroupBody, shown.URL_GROUP)
change_url_group = operation(
    Access.FULL_TOKEN,
    name="topics_change",
    summary="Set the headers of every publication that does not set them itself",
    answer=UrlGroupBody,
    example=shown.URL_GROUP,
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    body={
        "type": "object",
        "properties": {"headers": {"type": "object", "additionalProperties": True}},
        "required": ["headers"],
    },
    body_example={"headers": {"Upstash-Retries": "5"}},
)
delete_url_group = operation(
    Access.FULL_TOKEN,
    name="topics_delete",
    summary="Delete a URL group, if there is one",
    answer=_EMPTY,
    example={},
)
add_endpoints = operation(
    Access.FULL_TOKEN,
    name="topics_endpoints_add",
    summary="Add endpoints; the group is made when there is none",
    answer=UrlGroupBody,
    example=shown.URL_GROUP,
    refused=(_BAD, _LIMIT, _TOO_LARGE),
    body=_ENDPOINTS,
    body_example=shown.ENDPOINTS,
)
remove_endpoints = operation(
    Access.FULL_TOKEN,
    name="topics_endpoints_remove",
    summary="Remove endpoints; with its last one, the group is gone",
    answer=_EMPTY,
    example={},
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    body=_ENDPOINTS,
    body_example=shown.ENDPOINTS,
)

# -- schedules

_SCHEDULE = OpenApiParameter(
    "schedule",
    str,
    OpenApiParameter.PATH,
    description="The schedule's id; to create one, its destination: a raw URL or a URL group.",
)
list_schedules = operation(
    Access.ANY_TOKEN,
    name="schedules_list",
    summary="Schedules, and when each publishes next",
    answer=list[ScheduleBody],
    example=[shown.SCHEDULE],
)
create_schedule = operation(
    Access.FULL_TOKEN,
    name="schedules_create",
    summary="Publish again and again; headers and body are those of each message",
    answer=ScheduledBody,
    example={"scheduleId": "scd_c0ffee"},
    refused=(_BAD, _UNKNOWN, _LIMIT, _TOO_LARGE),
    parameters=[
        _SCHEDULE,
        in_header("Upstash-Cron", 'Such as "CRON_TZ=Europe/Berlin 0 9 * * 1-5".'),
        in_header("Upstash-Schedule-Id", "A schedule of this id is replaced."),
        in_header("Upstash-Queue-Name", "The queue to publish through."),
    ],
    body={},
    body_example=examples.PAYLOAD,
)
show_schedule = _shown("schedules_show", "One schedule", ScheduleBody, shown.SCHEDULE)
delete_schedule = _done("schedules_delete", "Delete a schedule")
pause_schedule = _done("schedules_pause", "Let its times pass by")
resume_schedule = _done("schedules_resume", "Go on after a pause")
patch_to_pause_schedule = _done("schedules_pause_by_patch", "The same as POST")
patch_to_resume_schedule = _done("schedules_resume_by_patch", "The same as POST")
