"""What an answer to a delivery means: decided here, purely, and acted on elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.durations import parse_retry_after
from workflows_app.protocol.exchange import Answer, SendFailed

NON_RETRYABLE_STATUS = 489
NON_RETRYABLE_HEADER = "Upstash-Nonretryable-Error"
_RETRY_HEADERS = (
    "Retry-After",
    "X-Ratelimit-Reset",
    "X-Ratelimit-Reset-Requests",
    "X-Ratelimit-Reset-Tokens",
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The answer stands."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The attempt failed; the next one is due at `moment`."""

    moment: datetime
    answer: Answer


@dataclass(frozen=True, slots=True)
class Dead:
    """The attempt failed and was the last."""

    answer: Answer


Outcome = Delivered | RetryAt | Dead


def answer_for(failure: SendFailed) -> Answer:
    """What stands for an answer that never came (Upstash reference 4.5(7): 504 or 502, never 0)."""
    status = HTTPStatus.GATEWAY_TIMEOUT if failure.kind == "timeout" else HTTPStatus.BAD_GATEWAY
    return Answer(status=status, headers={}, body=failure.message.encode(), came=False)


def classify(answer: Answer, policy: RetryPolicy, attempt: int, now: datetime) -> Outcome:
    """Success is 2xx. A retry comes after the policy's delay, or when the answer says so; 489 and
    the
    non-retryable header end it (Upstash reference 4.1, 5.4)."""
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered(answer)
    if answer.status == NON_RETRYABLE_STATUS or NON_RETRYABLE_HEADER in answer.headers:
        return Dead(answer)
    delay = policy.delay_after(attempt)
    if delay is None:
        return Dead(answer)
    asked = _asked_delay(answer, now)
    return RetryAt(now + (delay if asked is None else asked), answer)


def _asked_delay(answer: Answer, now: datetime) -> timedelta | None:
    for name in _RETRY_HEADERS:
        for value in answer.headers.get(name, []):
            asked = parse_retry_after(value, now)
            if asked is not None:
                return asked
    return None


def readable(body: bytes) -> str:
    """Bytes as text; one character per byte if not UTF-8 (Upstash reference 4.5(5))."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("latin-1")
