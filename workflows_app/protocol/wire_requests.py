"""What steps ask of the server, as JSON: on its way from an endpoint of ours, and calls as they are
stored until they are sent.
"""

from __future__ import annotations

from datetime import timedelta

from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.delivery_options import decode_options
from workflows_app.protocol.ids import check_event_id
from workflows_app.protocol.runs import (
    CallRequest,
    EventWait,
    FlowControlSpec,
    InvocationRequest,
    Notification,
    RunRequest,
    StepKind,
)
from workflows_app.protocol.wire_values import (
    Json,
    read_bytes,
    read_count,
    read_headers,
    read_optional,
    read_seconds,
    read_text,
    read_texts,
    write_bytes,
    write_seconds,
)


def encode_call(call: CallRequest) -> str:
    return encode_json(write_call(call))


def decode_call(text: str) -> CallRequest:
    return read_call(decode_json(text))


def write_call(call: CallRequest) -> Json:
    return {
        "key": call.key,
        "name": call.name,
        "branch": call.branch,
        "url": call.url,
        "method": call.method,
        "headers": dict(call.headers),
        "body": None if call.body is None else write_bytes(call.body),
        "retries": call.retries,
        "retryDelay": call.retry_delay,
        "timeout": write_seconds(call.timeout),
    }


def read_call(wire: Json) -> CallRequest:
    return CallRequest(
        key=read_text(wire, "key"),
        name=read_text(wire, "name"),
        branch=read_text(wire, "branch"),
        url=read_text(wire, "url"),
        method=read_text(wire, "method"),
        headers=read_headers(wire),
        body=read_optional(read_bytes, wire, "body"),
        retries=read_count(wire, "retries"),
        retry_delay=read_text(wire, "retryDelay"),
        timeout=read_seconds(wire["timeout"]),
    )


def write_invocation(invocation: InvocationRequest) -> Json:
    """Of a run that a step starts now: it begins at once, and hides what its workflow says."""
    run = invocation.run
    return {
        "key": invocation.key,
        "name": invocation.name,
        "branch": invocation.branch,
        "url": run.url,
        "workflow": run.workflow,
        "body": write_bytes(run.body),
        "contentType": run.content_type,
        "headers": dict(run.headers),
        "runId": run.run_id,
        "labels": list(run.labels),
        "retries": run.retries,
        "retryDelay": run.retry_delay,
        "timeout": write_seconds(run.timeout),
        "flowControl": None if run.flow_control is None else _flow_control(run.flow_control),
        "failureUrl": run.failure_url,
        "failureOptions": run.failure_options.encode(),
        "endpointCheck": run.endpoint_check,
    }


def read_invocation(wire: Json) -> InvocationRequest:
    run = RunRequest(
        url=read_text(wire, "url"),
        workflow=read_text(wire, "workflow"),
        body=read_bytes(wire, "body"),
        content_type=read_text(wire, "contentType"),
        headers=read_headers(wire),
        run_id=read_optional(read_text, wire, "runId"),
        labels=tuple(read_texts(wire["labels"])),
        retries=read_optional(read_count, wire, "retries"),
        retry_delay=read_optional(read_text, wire, "retryDelay"),
        timeout=read_seconds(wire["timeout"]),
        flow_control=read_optional(_read_flow_control, wire, "flowControl"),
        failure_url=read_optional(read_text, wire, "failureUrl"),
        failure_options=decode_options(read_text(wire, "failureOptions")),
        endpoint_check=read_text(wire, "endpointCheck"),
    )
    return InvocationRequest(
        key=read_text(wire, "key"),
        name=read_text(wire, "name"),
        branch=read_text(wire, "branch"),
        run=run,
    )


def _flow_control(control: FlowControlSpec) -> Json:
    return {
        "key": control.key,
        "parallelism": control.parallelism,
        "rate": control.rate,
        "period": write_seconds(control.period),
    }


def _read_flow_control(wire: Json, name: str) -> FlowControlSpec:
    said = wire[name]
    return FlowControlSpec(
        key=read_text(said, "key"),
        parallelism=read_optional(read_count, said, "parallelism"),
        rate=read_optional(read_count, said, "rate"),
        period=timedelta(seconds=said["period"]),
    )


def write_wait(wait: EventWait) -> Json:
    return {
        "key": wait.key,
        "name": wait.name,
        "branch": wait.branch,
        "kind": wait.kind.value,
        "eventId": wait.event_id,
        "timeout": write_seconds(wait.timeout),
    }


def read_wait(wire: Json) -> EventWait:
    return EventWait(
        key=read_text(wire, "key"),
        name=read_text(wire, "name"),
        branch=read_text(wire, "branch"),
        kind=StepKind(wire["kind"]),
        event_id=check_event_id(read_text(wire, "eventId")),
        timeout=read_seconds(wire["timeout"]) or timedelta(),
    )


def write_notification(notification: Notification) -> Json:
    return {
        "key": notification.key,
        "name": notification.name,
        "branch": notification.branch,
        "eventId": notification.event_id,
        "data": write_bytes(notification.data),
        "runId": notification.run_id,
    }


def read_notification(wire: Json) -> Notification:
    return Notification(
        key=read_text(wire, "key"),
        name=read_text(wire, "name"),
        branch=read_text(wire, "branch"),
        event_id=check_event_id(read_text(wire, "eventId")),
        data=read_bytes(wire, "data"),
        run_id=read_optional(read_text, wire, "runId"),
    )
