"""The failure function of a workflow that is served (Upstash reference 4.10)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from asgiref.sync import AsyncToSync

from workflows_app.errors import InvalidInput
from workflows_app.protocol.codec import decode_json
from workflows_app.sdk.authoring import Failure, FailureFunction
from workflows_app.sdk.interrupts import ordinary_errors
from workflows_app.sdk.payloads import decode_payload
from workflows_app.serving.deliveries import Delivery
from workflows_app.serving.step_list import readable

NOT_FOUND = {"Upstash-Workflow-Failure-Callback-Notfound": "true"}


def failure_of(delivery: Delivery) -> Failure:
    """What a failure callback tells. Raises InvalidInput.

    The payload is given as it came: what did not fit the schema may be what the run failed by.
    """
    said = decode_json(delivery.body)
    if not isinstance(said, Mapping) or not isinstance(said.get("workflowRunId"), str):
        raise InvalidInput("a failure callback is an object that names the run")
    error = _error(_decoded(said, "body"))
    return Failure(
        workflow_run_id=said["workflowRunId"],
        request_payload=decode_payload(_decoded(said, "sourceBody")),
        headers=delivery.users_headers,
        labels=delivery.labels,
        error_type=str(error.get("error", "HttpError")),
        error_message=str(error.get("message", "")),
        step=error.get("step"),
        attempt=delivery.retried + 1,
    )


def payload_of(delivery: Delivery) -> bytes:
    """Of the run that has failed."""
    return _decoded(decode_json(delivery.body), "sourceBody")


def _decoded(said: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(said.get(name) or "", validate=True)
    except (ValueError, TypeError):
        raise InvalidInput(f'"{name}" of a failure callback is base64') from None


def _error(answer: bytes) -> Mapping[str, Any]:
    """As an endpoint says it; any other answer is its own message."""
    try:
        said = decode_json(answer)
    except InvalidInput:
        said = None
    return said if isinstance(said, Mapping) else {"message": readable(answer)}


def call_failure_function(function: FailureFunction, failure: Failure, *, is_async: bool) -> Any:
    with ordinary_errors:
        if is_async:
            return AsyncToSync(function, force_new_loop=True)(failure)
        return function(failure)
