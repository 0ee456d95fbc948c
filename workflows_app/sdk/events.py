"""Events and webhooks as workflow authors see them, and as steps ask the server for them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows_app.errors import InvalidInput, NotSerializable
from workflows_app.protocol.codec import encode_value
from workflows_app.protocol.durations import parse_duration
from workflows_app.protocol.ids import check_event_id, check_run_id, new_event_id
from workflows_app.protocol.runs import EventWait, Notification, StepKind
from workflows_app.sdk.payloads import decode_body, value_or_text
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.scopes import Scope

Timeout = timedelta | str | float
"""Such as "7d"; a number counts seconds."""
DEFAULT_TIMEOUT = "7d"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventResult:
    """How a `context.wait_for_event` ended.

    `event_data` is what was sent: decoded JSON where it is JSON, else text, else bytes; None when
    there was none. `timeout` says that the event did not come in time.
    """

    event_data: Any
    timeout: bool

    @classmethod
    def from_result(cls, result: Any) -> EventResult:
        data = result.get("data")
        return cls(
            event_data=None if data is None else value_or_text(data), timeout=result["timeout"]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifiedRun:
    """A run that was sent an event."""

    workflow_run_id: str
    workflow_url: str
    step: str | None
    """The name of the step that waited for it; None when the event is kept until one does."""

    @classmethod
    def from_result(cls, result: Any) -> NotifiedRun:
        return cls(
            workflow_run_id=result["workflowRunId"],
            workflow_url=result["workflowUrl"],
            step=result["step"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyResult:
    """What a `context.notify` has sent, and to which runs."""

    event_id: str
    event_data: Any
    notify_response: tuple[NotifiedRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL whose calls one run can wait for. Whoever knows it may call it."""

    webhook_url: str
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """A request to a webhook. Names of headers are written as in `Content-Type`."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def payload(self) -> Any:
        """The body: decoded JSON where it is JSON, else text, else bytes; None when empty."""
        return decode_body(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookResult:
    """How a `context.wait_for_webhook` ended. `request` is None after a timeout."""

    request: WebhookRequest | None
    timeout: bool

    @classmethod
    def from_result(cls, result: Any) -> WebhookResult:
        if result["timeout"]:
            return cls(request=None, timeout=True)
        return cls(request=_read_request(value_or_text(result.get("data") or "")), timeout=False)


def _read_request(said: Any) -> WebhookRequest:
    """From the data of the event (Upstash reference 4.7). A notification by the event's id, which
    is no request, is taken for one with this body.
    """
    if not isinstance(said, Mapping) or not {"method", "header", "host", "url"} <= said.keys():
        body = said if isinstance(said, bytes) else encode_event(said)
        return WebhookRequest(method="", url="", headers={}, body=body)
    headers = {name: ", ".join(values) for name, values in said["header"].items()}
    return WebhookRequest(
        method=said["method"],
        url=f"{said.get('proto', 'http')}://{said['host']}{said['url']}",
        headers=headers,
        body=base64.b64decode(said.get("body", "")),
    )


# -- what steps ask for


def encode_event(data: Any) -> bytes:
    """None as no bytes, all else as the JSON of the value."""
    try:
        return b"" if data is None else encode_value(data).encode()
    except NotSerializable as error:
        raise NotSerializable(f"the event data cannot be sent: {error}") from None


def event_wait(  # noqa: PLR0913 - the parts of a step
    replay: Replay,
    scope: Scope,
    key: str,
    name: str,
    kind: StepKind,
    event_id: str,
    timeout: Timeout,
) -> EventWait:
    """Raises InvalidInput."""
    length = parse_duration(timeout)
    try:
        replay.now() + length
    except OverflowError:
        raise InvalidInput(f'the timeout of step "{name}" ends after the year 9999') from None
    return EventWait(
        key=key,
        name=name,
        branch=scope.path,
        kind=kind,
        event_id=check_event_id(event_id),
        timeout=length,
    )


def notification(  # noqa: PLR0913 - the parts of a step
    scope: Scope, key: str, name: str, event_id: str, data: Any, run_id: str | None
) -> Notification:
    """Raises InvalidInput."""
    return Notification(
        key=key,
        name=name,
        branch=scope.path,
        event_id=check_event_id(event_id),
        data=encode_event(data),
        run_id=None if run_id is None else check_run_id(run_id),
    )


def notify_result(event_id: str, event_data: Any, notified: Iterable[Any]) -> NotifyResult:
    return NotifyResult(
        event_id=event_id,
        event_data=event_data,
        notify_response=tuple(map(NotifiedRun.from_result, notified)),
    )


def new_webhook(url_of: Callable[[str], str]) -> dict[str, str]:
    """As the step that creates it records it."""
    event_id = new_event_id()
    return {"webhookUrl": url_of(event_id), "eventId": event_id}


def webhook_of(result: Any) -> Webhook:
    return Webhook(webhook_url=result["webhookUrl"], event_id=result["eventId"])
