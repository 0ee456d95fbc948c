"""What became of a step, as it is recorded."""

from __future__ import annotations

from datetime import datetime

from workflows_app.errors import InvalidDuration
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.faults import describe_error
from workflows_app.protocol.runs import FailedAttempt, StepKind, StepRecord
from workflows_app.protocol.step_policies import StepPolicy
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask, delay_before_retry


def outcome_of(  # noqa: PLR0913 - what differs from step to step
    ask: Ask,
    started_at: datetime,
    ended_at: datetime,
    given: str | None,
    *,
    result: str | None = None,
    error: str | None = None,
) -> StepRecord:
    return StepRecord(
        key=ask.key,
        name=ask.name,
        kind=ask.kind,
        branch=ask.branch,
        input=given,
        result=result,
        error=error,
        attempts=ask.attempt,
        started_at=started_at,
        ended_at=ended_at,
        sensitive=ask.sensitive,
        config=ask.config,
    )


def failed_attempt(  # noqa: PLR0913 - of a step or of the function
    key: str,
    number: int,
    policy: RetryPolicy | StepPolicy,
    started_at: datetime,
    ended_at: datetime,
    error: Exception,
) -> FailedAttempt:
    """With the time of the next one, which the error may say itself."""
    try:
        delay = delay_before_retry(policy, number, error)
    except InvalidDuration as wrong:
        error, delay = wrong, None
    return FailedAttempt(
        key=key,
        number=number,
        error=describe_error(error),
        started_at=started_at,
        ended_at=ended_at,
        retry_at=None if delay is None else ended_at + delay,
    )


def asleep(  # noqa: PLR0913 - what differs from sleep to sleep
    scope: Scope, key: str, name: str, now: datetime, until: datetime, given: str
) -> StepRecord:
    """A sleep that begins."""
    return StepRecord(
        key=key,
        name=name,
        kind=StepKind.SLEEP,
        branch=scope.path,
        input=given,
        result=None,
        error=None,
        attempts=1,
        started_at=now,
        ended_at=until,
    )
