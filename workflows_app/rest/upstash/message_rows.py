"""Plain messages as callers see them: without what is to be hidden (Upstash reference 1.8, 6.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from workflows_app.models import FlowControl, Publication, PublicationEvent
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.headers import MessageOptions
from workflows_app.protocol.message_options import decode_message_options
from workflows_app.protocol.redaction import Redactor, redactor_of
from workflows_app.protocol.runs import FlowControlSpec
from workflows_app.rest.upstash.bodies import FlowControlBody, LabelsBody, PayloadBody
from workflows_app.rest.upstash.message_bodies import (
    AnsweredBody,
    CallbackHeadersBody,
    DeadMessageBody,
    MessageBody,
    MessageEventBody,
    MessageState,
    OptionsBody,
    OriginBody,
)
from workflows_app.rest.upstash.redacting import redacted
from workflows_app.rest.upstash.vocabulary import (
    Headers,
    base64_of,
    header_map,
    readable,
    text_of,
)

State = PublicationEvent.State

STATES: dict[str, MessageState] = {
    State.CREATED: "CREATED",
    State.ACTIVE: "ACTIVE",
    State.ERROR: "ERROR",
    State.RETRY: "RETRY",
    State.DELIVERED: "DELIVERED",
    State.FAILED: "FAILED",
    State.CANCEL_REQUESTED: "CANCEL_REQUESTED",
    State.CANCELED: "CANCELED",
}


def render_message(publication: Publication) -> MessageBody:
    """Its queue and its flow control are to be there already."""
    redactor = redactor_of(publication.redaction)
    return redacted(_message(publication, redactor), redactor)


def _message(publication: Publication, redactor: Redactor) -> MessageBody:
    body: MessageBody = {
        "messageId": publication.public_id,
        "url": publication.url,
        "method": publication.method,
        "header": headers_of(publication.content_type, publication.header_map),
        "maxRetries": publication.retries,
        "notBefore": unix_milliseconds(publication.not_before),
        "createdAt": unix_milliseconds(publication.created_at),
        "callerIP": publication.caller_ip,
    }
    add_payload(body, bytes(publication.body), redactor)
    _add_origin(body, publication)
    _add_options(body, publication)
    add_callback_headers(
        body,
        decode_message_options(publication.callback_options),
        decode_message_options(publication.failure_options),
    )
    return body


def headers_of(content_type: str, headers: Mapping[str, str]) -> Headers:
    named = {"Content-Type": content_type} if content_type else {}
    return header_map({**named, **headers})


def add_payload(body: PayloadBody, content: bytes, redactor: Redactor) -> None:
    """Nothing, where there is no body."""
    text = redactor.content(content) or text_of(content)
    if text is None:
        body["bodyBase64"] = base64_of(content)
    elif text:
        body["body"] = text


def _add_origin(body: OriginBody, publication: Publication) -> None:
    if publication.url_group:
        body["topicName"] = publication.url_group
    if publication.endpoint_name:
        body["endpointName"] = publication.endpoint_name
    if publication.queue is not None:
        body["queueName"] = publication.queue.name
    if publication.schedule_id:
        body["scheduleId"] = publication.schedule_id


def _add_options(body: OptionsBody, publication: Publication) -> None:
    add_labels(body, publication.label_list)
    add_flow_control(body, publication.flow_control)
    if publication.callback_url:
        body["callback"] = publication.callback_url
    if publication.failure_url:
        body["failureCallback"] = publication.failure_url
    if publication.timeout is not None:
        body["timeout"] = int(publication.timeout.total_seconds())
    if publication.retry_delay:
        body["retryDelayExpression"] = publication.retry_delay


def add_labels(body: LabelsBody, labels: Sequence[str]) -> None:
    if labels:
        body["label"] = labels[0]
        body["labels"] = list(labels)


def add_flow_control(body: FlowControlBody, control: FlowControl | FlowControlSpec | None) -> None:
    if control is None:
        return
    body["flowControlKey"] = control.key
    if control.parallelism is not None:
        body["parallelism"] = control.parallelism
    if control.rate is not None:
        body["rate"] = control.rate
    body["period"] = int(control.period.total_seconds())


def add_callback_headers(
    body: CallbackHeadersBody, callback: MessageOptions, failure: MessageOptions
) -> None:
    """What their endpoints are given."""
    if callback.forward:
        body["callbackHeader"] = header_map(callback.forward)
    if failure.forward:
        body["failureCallbackHeader"] = header_map(failure.forward)


# -- dead letters


def render_dead_message(publication: Publication, failed: PublicationEvent) -> DeadMessageBody:
    """`failed` is the end of its log."""
    redactor = redactor_of(publication.redaction)
    answered: AnsweredBody = {
        "dlqId": publication.dead_letter_id,
        "responseStatus": failed.response_status or 0,
        "responseHeader": _response_headers(failed),
    }
    content = bytes(failed.response_body or b"")
    text = redactor.content(content) or text_of(content)
    if text is None:
        answered["responseBodyBase64"] = base64_of(content)
    else:
        answered["responseBody"] = text
    body = cast(DeadMessageBody, {**_message(publication, redactor), **answered})
    return redacted(body, redactor)


def _response_headers(event: PublicationEvent) -> Headers:
    headers: Headers = decode_json(event.response_headers or "{}")
    return headers


# -- the log


def render_event(event: PublicationEvent, trim: int | None = None) -> MessageEventBody:
    """Its publication, with queue and flow control, is to be there already. `trim` bodies to so
    many bytes.
    """
    publication = event.publication
    redactor = redactor_of(publication.redaction)
    body: MessageEventBody = {
        "time": unix_milliseconds(event.at),
        "state": STATES[event.state],
        "messageId": publication.public_id,
        "url": publication.url,
        "method": publication.method,
        "header": headers_of(publication.content_type, publication.header_map),
        "maxRetries": publication.retries,
        "callerIp": publication.caller_ip,
    }
    content = bytes(publication.body)
    if content:
        body["body"] = redactor.content(content) or base64_of(content[:trim])
    _add_origin(body, publication)
    _add_options(body, publication)
    _add_callbacks_of_event(body, publication)
    if publication.retry_delay:
        body["retryDelayExpr"] = publication.retry_delay
    if event.error:
        body["error"] = event.error
    if event.next_attempt_at is not None:
        body["nextDeliveryTime"] = unix_milliseconds(event.next_attempt_at)
    if event.response_status is not None:
        _add_response(body, event, redactor, trim)
    return redacted(body, redactor)


def _add_callbacks_of_event(body: MessageEventBody, publication: Publication) -> None:
    headers: CallbackHeadersBody = {}
    add_callback_headers(
        headers,
        decode_message_options(publication.callback_options),
        decode_message_options(publication.failure_options),
    )
    if "callbackHeader" in headers:
        body["callbackHeaders"] = headers["callbackHeader"]
    if "failureCallbackHeader" in headers:
        body["failureCallbackHeaders"] = headers["failureCallbackHeader"]


def _add_response(
    body: MessageEventBody, event: PublicationEvent, redactor: Redactor, trim: int | None
) -> None:
    content = bytes(event.response_body or b"")
    body["responseStatus"] = event.response_status or 0
    body["responseBody"] = redactor.content(content) or readable(content)[:trim]
    body["responseHeader"] = body["responseHeaders"] = _response_headers(event)
