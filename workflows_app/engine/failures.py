"""Telling a failure function or failure URL that its run has failed."""

from __future__ import annotations

import itertools
from datetime import datetime
from http import HTTPStatus

from workflows_app.engine import clock
from workflows_app.engine.database import settling
from workflows_app.engine.history import add_attempts
from workflows_app.engine.leases import Lease
from workflows_app.engine.outcomes import (
    NON_RETRYABLE_STATUS,
    Delivered,
    RetryAt,
    classify,
    readable,
)
from workflows_app.engine.ports import Exchange, get_transport
from workflows_app.engine.requests import failure_policy, failure_request
from workflows_app.engine.settling import retry
from workflows_app.errors import LeaseLost, WorkflowNonRetryableError
from workflows_app.models import Attempt, DeadLetter, Message, Run
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.exchange import Answer
from workflows_app.protocol.faults import describe_answer, describe_error
from workflows_app.protocol.runs import FailedAttempt

KEY = "(failure function)"
"""The key of its attempts; no step's name can be mistaken for it in the journal, which it never
enters.
"""


def failure_exchange(lease: Lease) -> Exchange | None:
    """Call the failure function and settle how that went; a failure URL is an exchange."""
    telling = _Telling(lease)
    if lease.run.failure_url:
        return Exchange(
            request=failure_request(lease.run, telling.attempt), settle=telling.answered
        )
    try:
        answer = get_transport().call_failure_function(lease.run, telling.attempt)
    except Exception as raised:  # noqa: BLE001 - a failure function may raise anything
        telling.settle(_answer_for(raised), describe_error(raised))
    else:
        telling.answered(answer)
    return None


class _Telling:
    """One attempt to tell of a failure."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._policy = failure_policy(lease.run)
        self._started_at = clock.now()
        self.attempt = _next_attempt(lease.run)

    def answered(self, answer: Answer) -> None:
        self.settle(answer, _describe(self._lease.run, answer))

    def settle(self, answer: Answer, error: str) -> None:
        """Record the answer or owe the next attempt by the run's policy. Raises LeaseLost."""
        outcome = classify(answer, self._policy, self.attempt, clock.now())
        if isinstance(outcome, Delivered):
            _end(self._lease, _told(answer), answer, None)
            return
        failed = FailedAttempt(
            key=KEY,
            number=self.attempt,
            error=error,
            started_at=self._started_at,
            ended_at=clock.now(),
            retry_at=outcome.moment if isinstance(outcome, RetryAt) else None,
        )
        if isinstance(outcome, RetryAt):
            _retry(self._lease, failed, outcome.moment)
        else:
            _end(self._lease, DeadLetter.CallbackState.FAILED, answer, failed)


def _next_attempt(run: Run) -> int:
    """Its number since telling was last asked for: it was given up by then, or had not begun."""
    attempts = Attempt.objects.filter(run=run, key=KEY).order_by("-id")
    retried = itertools.takewhile(bool, attempts.values_list("retry_at", flat=True))
    return 1 + sum(1 for _ in retried)


def _told(answer: Answer) -> DeadLetter.CallbackState:
    """An endpoint may say that it has no failure function (Upstash reference 4.1)."""
    if answer.headers.get("Upstash-Workflow-Failure-Callback-Notfound") == ["true"]:
        return DeadLetter.CallbackState.NONE
    return DeadLetter.CallbackState.SUCCEEDED


def _describe(run: Run, answer: Answer) -> str:
    message = f"{run.failure_url} answered {answer.status}"
    return describe_answer(answer.status, answer.headers, readable(answer.body), message)


def _answer_for(error: Exception) -> Answer:
    """An exception of a failure function, as the answer that an SDK's endpoint gives for one."""
    final = isinstance(error, WorkflowNonRetryableError)
    status = NON_RETRYABLE_STATUS if final else HTTPStatus.INTERNAL_SERVER_ERROR.value
    body = encode_json({"error": type(error).__name__, "message": str(error)})
    return Answer(status=status, headers={}, body=body.encode())


def give_up_telling(lease: Lease, answer: Answer, error: str) -> None:
    """Without an attempt more, whatever the policy says. Raises LeaseLost."""
    now = clock.now()
    failed = FailedAttempt(
        key=KEY,
        number=_next_attempt(lease.run),
        error=error,
        started_at=now,
        ended_at=now,
        retry_at=None,
    )
    _end(lease, DeadLetter.CallbackState.FAILED, answer, failed)


def _retry(lease: Lease, failed: FailedAttempt, moment: datetime) -> None:
    with settling():
        retry(lease, moment)
        add_attempts(lease.run_id, [failed])


def _end(
    lease: Lease,
    state: DeadLetter.CallbackState,
    answer: Answer,
    failed: FailedAttempt | None,
) -> None:
    response = {
        "status": answer.status,
        "headers": dict(answer.headers),
        "body": readable(answer.body),
    }
    with settling():
        if not Message.objects.held(lease.message_id, lease.token).delete()[0]:
            raise LeaseLost
        if failed is not None:
            add_attempts(lease.run_id, [failed])
        DeadLetter.objects.filter(run_id=lease.run_id).update(
            callback_state=state, callback_response=encode_json(response)
        )
