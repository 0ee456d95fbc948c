"""Answers without what their run, or message, asked to be hidden (Upstash reference 5.8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from workflows_app.protocol.redaction import Redactor

Body = TypeVar("Body")

BODIES = frozenset(
    {
        "body",
        "bodyBase64",
        "callBody",
        "callResponseBody",
        "failResponse",
        "invokedWorkflowRunBody",
        "out",
        "responseBody",
        "responseBodyBase64",
        "workflowRunResponse",
    }
)
"""Fields that hold a payload, a result, or the body of a request or an answer."""
HEADERS = frozenset(
    {
        "callHeaders",
        "callResponseHeaders",
        "callbackHeader",
        "callbackHeaders",
        "failHeaders",
        "failureCallbackHeader",
        "failureCallbackHeaders",
        "header",
        "headers",
        "invokedWorkflowRunHeaders",
        "responseHeader",
        "responseHeaders",
    }
)
_HTTP_ERROR = re.compile("[0-9]{3}( [A-Z].*)?")


def redacted(body: Body, redactor: Redactor) -> Body:
    """With hashes in place of what is to be hidden, at whatever depth."""
    return cast(Body, _redacted(body, redactor)) if redactor.hides_anything else body


def _redacted(value: Any, redactor: Redactor, name: str = "") -> Any:
    if isinstance(value, Mapping):
        if name in HEADERS:
            return redactor.headers(value)
        return {key: _redacted(item, redactor, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, redactor) for item in value]
    if not isinstance(value, str):
        return value
    if name == "error":
        return hidden_error(value, redactor)
    return redactor.body(value) if name in BODIES else value


def hidden_error(summary: str, redactor: Redactor) -> str:
    """The message of an exception may hold anything; a status of HTTP does not."""
    kind, colon, message = summary.partition(": ")
    if not redactor.hides_bodies or not colon or _HTTP_ERROR.fullmatch(summary):
        return summary
    return f"{kind}: {redactor.body(message)}"
