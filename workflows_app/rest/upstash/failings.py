"""How failures read: each as the HTTP answer that it was, or would have been."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from workflows_app.models import Attempt
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.rest.upstash.bodies import FailedAttemptBody
from workflows_app.rest.upstash.vocabulary import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    summary: str
    status: int
    headers: Headers
    body: str


def read_failing(error: Mapping[str, Any]) -> Failing:
    """From a stored error (`protocol.faults`). Its stack is for the admin, not for callers."""
    status = error.get("status")
    if status is not None:
        return Failing(
            summary=_summary(status, str(error.get("message", ""))),
            status=status,
            headers=error.get("headers", {}),
            body=error.get("body", ""),
        )
    shown = {"error": error["type"], "message": error["message"]}
    return Failing(
        summary=f"{error['type']}: {error['message']}",
        status=HTTPStatus.INTERNAL_SERVER_ERROR.value,
        headers={},
        body=encode_json(shown),
    )


def render_failing(error: Mapping[str, Any], time: int) -> FailedAttemptBody:
    failing = read_failing(error)
    return {
        "error": failing.summary,
        "body": failing.body,
        "headers": failing.headers,
        "status": failing.status,
        "time": time,
    }


def render_attempts(attempts: Iterable[Attempt]) -> list[FailedAttemptBody]:
    return [
        render_failing(attempt.error_info, unix_milliseconds(attempt.ended_at))
        for attempt in attempts
    ]


def _summary(status: int, message: str) -> str:
    """Of an answer its status says enough; a message says why there was none, or why one that
    claims success is none.
    """
    is_answer = not message or message.endswith(f" answered {status}")
    return f"{status} {_phrase(status)}".strip() if is_answer else message


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
