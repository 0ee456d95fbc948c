"""The requests that an endpoint sends to the workflow server (Upstash reference 2.4, 4.2 to 4.9).

All are built here as values; `Message` is an item of `/v2/batch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.ids import invoked_run_id
from workflows_app.protocol.message_options import flow_control_value
from workflows_app.protocol.runs import (
    CallRequest,
    EventWait,
    InvocationRequest,
    Notification,
    RunInfo,
    RunRequest,
)
from workflows_app.serving.numbering import Numbered
from workflows_app.serving.published_steps import announced, whole_seconds

VERSION = "1"
VERSION_HEADER = "Upstash-Workflow-Sdk-Version"
_FEATURES = "LazyFetch,InitialBody,WF_DetectTrigger,WF_TriggerOnConfig"
_JSON = {"Content-Type": "application/json"}
_INVOKE_COUNT = "Upstash-Workflow-Invoke-Count"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    destination: str
    headers: Mapping[str, str]
    body: str | None = None

    def encode(self) -> dict[str, Any]:
        said = {"destination": self.destination, "headers": dict(self.headers)}
        return said if self.body is None else {**said, "body": self.body}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request to the server. `headers` come beside its authorization."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The run that publishes. `depth` counts the runs above it, each of which invoked the next."""

    run: RunInfo
    depth: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """Of every step. The run's own are kept by the server."""
        return workflow_headers(self.run.run_id, self.run.url, self.depth)


def workflow_headers(run_id: str, url: str, depth: int) -> dict[str, str]:
    common = {
        "Upstash-Method": "POST",
        "Upstash-Workflow-Init": "false",
        "Upstash-Workflow-RunId": run_id,
        "Upstash-Workflow-Url": url,
        "Upstash-Feature-Set": _FEATURES,
        VERSION_HEADER: VERSION,
        f"Upstash-Forward-{VERSION_HEADER}": VERSION,
        **_JSON,
    }
    return {**common, f"Upstash-Forward-{_INVOKE_COUNT}": str(depth)} if depth else common


def batch(messages: list[Message]) -> Sent:
    body = encode_json([message.encode() for message in messages]).encode()
    return Sent(method="POST", path="/v2/batch", headers=_JSON, body=body)


# -- runs


def started(run: RunRequest, run_id: str, depth: int = 0) -> Message:
    """The start of a run. What the run says of itself holds for all its later messages."""
    own = {
        **{f"Forward-{name}": value for name, value in run.headers.items()},
        **_policy(run),
    }
    headers = {
        **workflow_headers(run_id, run.url, depth),
        "Upstash-Workflow-Init": "true",
        "Content-Type": run.content_type,
        **{f"Upstash-{name}": value for name, value in own.items()},
        **_label(run, "Upstash-"),
    }
    if run.failure_url:
        headers |= _failure(run, run_id, own)
    return Message(destination=run.url, headers=headers, body=_text(run.body))


def _policy(run: RunRequest) -> dict[str, str]:
    said = {"Retry-Delay": run.retry_delay or ""}
    if run.retries is not None:
        said["Retries"] = str(run.retries)
    if run.flow_control is not None:
        said["Flow-Control-Key"] = run.flow_control.key
        said["Flow-Control-Value"] = flow_control_value(run.flow_control)
    return {name: value for name, value in said.items() if value}


def _label(run: RunRequest, prefix: str) -> dict[str, str]:
    label = ",".join(run.labels)
    forwarded = {f"{prefix}Forward-Upstash-Label": label}
    return {f"{prefix}Label": label, **forwarded} if label else {}


def _failure(run: RunRequest, run_id: str, own: Mapping[str, str]) -> dict[str, str]:
    said = {
        **own,
        "Forward-Upstash-Workflow-Is-Failure": "true",
        "Forward-Upstash-Workflow-Failure-Callback": "true",
        "Workflow-Runid": run_id,
        "Workflow-Init": "false",
        "Workflow-Url": run.url,
        "Workflow-Calltype": "failureCall",
        "Feature-Set": _FEATURES,
    }
    prefix = "Upstash-Failure-Callback-"
    return {
        "Upstash-Failure-Callback": run.failure_url or "",
        **{f"{prefix}{name}": value for name, value in said.items()},
        **_label(run, prefix),
    }


def _text(body: bytes) -> str | None:
    """Messages in a batch are texts."""
    try:
        return body.decode() or None
    except UnicodeDecodeError:
        raise InvalidInput(
            "a payload that is not UTF-8 cannot be sent over the protocol; encode it first, "
            "as base64 for example"
        ) from None


def ended(run_id: str, result: str | None) -> Sent:
    body = None if result is None else result.encode()
    return Sent(method="DELETE", path=f"{_run(run_id)}?cancel=false", headers=_JSON, body=body)


def canceled(run_id: str) -> Sent:
    return Sent(method="DELETE", path=f"{_run(run_id)}?cancel=true")


def fetched(run_id: str) -> Sent:
    """For its step list."""
    return Sent(method="GET", path=_run(run_id))


def _run(run_id: str) -> str:
    return f"/v2/workflows/runs/{quote(run_id, safe='')}"


# -- steps


def published(sender: Sender, body: str, headers: Mapping[str, str] | None = None) -> Message:
    """A plan or a result."""
    return Message(
        destination=sender.run.url, headers={**sender.headers, **(headers or {})}, body=body
    )


def called(sender: Sender, step: Numbered, call: CallRequest) -> Message:
    """The request of a call, whose answer comes back as a callback (Upstash reference 4.5)."""
    run, headers = sender.run, dict(call.headers)
    content_type = _taken(headers, "content-type") or "application/json"
    return Message(
        destination=call.url,
        headers={
            "Upstash-Method": call.method,
            "Upstash-Workflow-Init": "false",
            "Upstash-Workflow-RunId": run.run_id,
            "Upstash-Workflow-Url": run.url,
            "Upstash-Workflow-CallType": "toCallback",
            "Upstash-Feature-Set": "WF_NoDelete,InitialBody",
            VERSION_HEADER: VERSION,
            "Content-Type": content_type,
            **_policy_of(call),
            **{f"Upstash-Forward-{name}": value for name, value in headers.items()},
            "Upstash-Callback": run.url,
            **_callback(sender, step, content_type),
        },
        body=None if call.body is None else _text(call.body),
    )


def _callback(sender: Sender, step: Numbered, content_type: str) -> dict[str, str]:
    said = {
        "Workflow-RunId": sender.run.run_id,
        "Workflow-CallType": "fromCallback",
        "Workflow-Init": "false",
        "Workflow-Url": sender.run.url,
        "Feature-Set": _FEATURES,
        "Forward-Upstash-Workflow-Callback": "true",
        "Forward-Upstash-Workflow-StepId": str(step.number),
        "Forward-Upstash-Workflow-StepName": step.name,
        "Forward-Upstash-Workflow-StepType": "Call",
        "Forward-Upstash-Workflow-Concurrent": str(step.concurrent),
        "Forward-Upstash-Workflow-ContentType": content_type,
        **({f"Forward-{_INVOKE_COUNT}": str(sender.depth)} if sender.depth else {}),
    }
    return {f"Upstash-Callback-{name}": value for name, value in said.items()}


def _taken(headers: dict[str, str], wanted: str) -> str | None:
    for name in headers:
        if name.lower() == wanted:
            return headers.pop(name)
    return None


def _policy_of(call: CallRequest) -> dict[str, str]:
    said = {"Upstash-Retries": str(call.retries)}
    if call.retry_delay:
        said["Upstash-Retry-Delay"] = call.retry_delay
    if call.timeout is not None:
        said["Upstash-Timeout"] = f"{whole_seconds(call.timeout)}s"
    return said


def awaited(sender: Sender, step: Numbered, wait: EventWait) -> Sent:
    """A wait for an event (Upstash reference 4.6)."""
    headers = {**sender.headers, "Upstash-Workflow-CallType": "step"}
    body = {
        "url": sender.run.url,
        "timeout": f"{whole_seconds(wait.timeout)}s",
        "timeoutUrl": sender.run.url,
        "timeoutHeaders": {name: [value] for name, value in headers.items()},
        "step": announced(step),
    }
    path = f"/v2/wait/{quote(wait.event_id, safe='')}"
    return Sent(method="POST", path=path, headers=headers, body=encode_json(body).encode())


def notified(notification: Notification) -> Sent:
    names = [notification.event_id]
    if notification.run_id is not None:
        names.insert(0, notification.run_id)
    path = "/".join(quote(name, safe="") for name in names)
    return Sent(method="POST", path=f"/v2/notify/{path}", body=notification.data)


def invoked(sender: Sender, step: Numbered, asked: InvocationRequest) -> Sent:
    """The start of another run, for whose end the step waits (Upstash reference 4.8).

    The run has the same id on every attempt.
    """
    run, own = asked.run, sender.run
    created = unix_milliseconds(own.created_at)
    child = started(
        run, run.run_id or invoked_run_id(own.run_id, created, step.key), sender.depth + 1
    )
    envelope = {
        **({} if child.body is None else {"body": child.body}),
        "headers": {name: [value] for name, value in sender.headers.items()},
        "workflowRunId": own.run_id,
        "workflowRunCreatedAt": created,
        "workflowUrl": own.url,
        "step": announced(step),
    }
    return Sent(
        method="POST",
        path=f"/v2/publish/{run.url}",
        headers={**child.headers, "Upstash-Workflow-Invoke": "true"},
        body=encode_json(envelope).encode(),
    )
