"""Steps and failed attempts of a run: as rows, and as the SDK knows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from workflows_app.engine.database import aware, read_moment
from workflows_app.engine.prepared import fetch_prepared
from workflows_app.models import Attempt, Run, Step
from workflows_app.protocol.runs import FailedAttempt, Failures, History, StepKind, StepRecord

_STEPS = """
    SELECT key, name, kind, branch, input, result, error, attempts, started_at, ended_at, sensitive,
        config
    FROM workflows_app_step WHERE run_id = %s ORDER BY id + 0
"""
_FAILURES = """
    SELECT key, retry_at, started_at, config FROM workflows_app_attempt
    WHERE run_id = %s AND outcome = 'failed' ORDER BY id + 0
"""


def load_history(run: Run, observed: str = "") -> History:
    """What the run has recorded, oldest first; with what its last turn left for middlewares."""
    failures: dict[str, Failures] = {}
    for key, retry_at, started_at, config in fetch_prepared(_FAILURES, [run.pk]):
        first = failures.get(key) or Failures(
            count=0, retry_at=None, started_at=read_moment(started_at), config=config
        )
        failures[key] = replace(first, count=first.count + 1, retry_at=read_moment(retry_at))
    return History(steps=load_steps(run.pk), failures=failures, observed=observed)


def load_steps(run_id: int) -> tuple[StepRecord, ...]:
    return tuple(_read_step(*row) for row in fetch_prepared(_STEPS, [run_id]))


def _read_step(  # noqa: PLR0913 - the columns of a step
    key: str,
    name: str,
    kind: str,
    branch: str,
    given: str | None,
    result: str | None,
    error: str | None,
    attempts: int,
    started_at: datetime,
    ended_at: datetime,
    sensitive: int,
    config: str | None,
) -> StepRecord:
    return StepRecord(
        key=key,
        name=name,
        kind=StepKind(kind),
        branch=branch,
        input=given,
        result=result,
        error=error,
        attempts=attempts,
        started_at=aware(started_at),
        ended_at=aware(ended_at),
        sensitive=bool(sensitive),
        config=config,
    )


def as_row(run_id: int, record: StepRecord) -> Step:
    return Step(
        run_id=run_id,
        key=record.key,
        branch=record.branch,
        name=record.name,
        kind=record.kind,
        input=record.input,
        result=record.result,
        error=record.error,
        attempts=record.attempts,
        started_at=record.started_at,
        ended_at=record.ended_at,
        sensitive=record.sensitive,
        config=record.config,
    )


def add_attempts(run_id: int, attempts: Sequence[FailedAttempt]) -> None:
    Attempt.objects.bulk_create(
        Attempt(
            run_id=run_id,
            key=attempt.key,
            number=attempt.number,
            error=attempt.error,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            retry_at=attempt.retry_at,
            config=attempt.config,
        )
        for attempt in attempts
    )
