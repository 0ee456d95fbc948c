"""What a delivery leads to: requests to the workflow server, or an answer that tells a fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import Failed, FailedAttempt
from workflows_app.sdk.observers import Told
from workflows_app.serving.messages import Sender, Sent
from workflows_app.serving.numbering import Numbered


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """The run goes on, or ends, by these."""

    requests: tuple[Sent, ...]
    then: Told | None = None
    """What middlewares are told once the server has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """An event is sent; the answer is the step's result."""

    request: Sent
    sender: Sender
    step: Numbered


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Another delivery goes on, or has gone on. `condition` is the protocol's word for it."""

    condition: str = "success"


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """The function returned before its first step: the SDKs take that for a failed login."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """The delivery has failed; unless `is_final`, the server may try it again."""

    error: Mapping[str, Any]
    is_final: bool
    step: str | None = None
    retry_after: timedelta | None = None


Work = Send | Notify | Nothing | Denied | Failing


def failed_for_good(outcome: Failed) -> Failing:
    error = decode_json(outcome.error)
    return Failing(error=error, is_final=True, step=error.get("step"))


def to_be_retried(attempt: FailedAttempt, step: str | None, *, own_delay: bool) -> Failing:
    """How long the server waits is up to the run, unless the step or its error says so."""
    error = decode_json(attempt.error)
    says_when = own_delay or error["type"] == "WorkflowRetryAfterError"
    wait = None if attempt.retry_at is None else attempt.retry_at - attempt.ended_at
    return Failing(
        error=error,
        is_final=attempt.retry_at is None,
        step=step,
        retry_after=wait if says_when else None,
    )
