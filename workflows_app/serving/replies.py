"""Answers of an endpoint to the workflow server (Upstash reference 4.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from workflows_app.protocol.codec import encode_json
from workflows_app.serving.messages import VERSION, VERSION_HEADER
from workflows_app.serving.work import Failing

FINAL = 489
"""The protocol's status for what must not be tried again."""
_HEADERS = {
    "Content-Type": "application/json",
    VERSION_HEADER: VERSION,
    "Upstash-Workflow-Sdk": "workflows_app",
}
_DENIED = (
    "the workflow function returned before its first step, which is how it refuses a run; "
    "a function without steps cannot be served"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


def reply(
    body: Mapping[str, object],
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    return Reply(
        status=status, headers={**_HEADERS, **(headers or {})}, body=encode_json(body).encode()
    )


def delivered(run_id: str, condition: str) -> Reply:
    return reply({"workflowRunId": run_id, "finishCondition": condition})


def denied(run_id: str) -> Reply:
    return reply({"message": _DENIED, "workflowRunId": run_id}, HTTPStatus.BAD_REQUEST)


def failed(failing: Failing) -> Reply:
    headers = _named(failing.step)
    status: int = HTTPStatus.INTERNAL_SERVER_ERROR
    if failing.is_final:
        status, headers["Upstash-NonRetryable-Error"] = FINAL, "true"
    elif failing.retry_after is not None:
        seconds = failing.retry_after.total_seconds()
        status, headers["Retry-After"] = HTTPStatus.TOO_MANY_REQUESTS, str(math.ceil(seconds))
    error = failing.error
    body = {"error": error["type"], "message": error["message"], "stack": error.get("stack", "")}
    named = {} if failing.step is None else {"step": failing.step}
    return reply({**body, **named}, status, headers)


def refused(error_type: str, message: str, status: int) -> Reply:
    headers = {"Upstash-NonRetryable-Error": "true"} if status == FINAL else {}
    return reply({"error": error_type, "message": message, "stack": ""}, status, headers)


def _named(step: str | None) -> dict[str, str]:
    """A header cannot hold every name; the body does."""
    return {"Upstash-Error-Step-Name": step} if step and step.isascii() else {}
