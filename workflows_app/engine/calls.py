"""The HTTP requests of `context.call`: sent while the run waits, answered as steps."""

from __future__ import annotations

from datetime import datetime

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import settling
from workflows_app.engine.history import add_attempts, as_row
from workflows_app.engine.leases import Lease
from workflows_app.engine.outcomes import Outcome, RetryAt, classify, readable
from workflows_app.engine.ports import Exchange, get_dispatcher
from workflows_app.engine.step_inputs import input_of_call
from workflows_app.errors import LeaseLost
from workflows_app.models import Attempt, Message
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.faults import describe_answer
from workflows_app.protocol.runs import CallRequest, FailedAttempt, StepKind, StepRecord
from workflows_app.protocol.wire_requests import decode_call


def call_exchange(lease: Lease) -> Exchange:
    """The request of a call; settled by recording its answer, or by owing the next attempt."""
    call = decode_call(lease.request)
    started_at = clock.now()
    failed = Attempt.objects.filter(
        run_id=lease.run_id, key=call.key, outcome=Attempt.Outcome.FAILED
    )
    attempt = 1 + failed.count()
    policy = RetryPolicy(retries=call.retries, delay_expression=call.retry_delay)

    def settle(answer: Answer) -> None:
        outcome = classify(answer, policy, attempt, clock.now())
        _settle(lease, call, outcome, attempt, started_at)

    request = Outgoing(
        method=call.method,
        url=call.url,
        headers=call.headers,
        body=call.body,
        timeout=call.timeout or get_settings().HTTP_TIMEOUT,
    )
    return Exchange(request=request, settle=settle)


def _settle(
    lease: Lease, call: CallRequest, outcome: Outcome, attempt: int, started_at: datetime
) -> None:
    now = clock.now()
    message = Message.objects.held(lease.message_id, lease.token)
    with settling():
        if isinstance(outcome, RetryAt):
            Message.objects.lock_turn(lease.run_id)
            if not message.update(token=None, due_at=outcome.moment):
                raise LeaseLost
            add_attempts(
                lease.run_id, [_failed(call, outcome.answer, attempt, started_at, outcome.moment)]
            )
        else:
            # This locks the turn too, before the call.
            Message.objects.wake_run(lease.run_id, now)
            if not message.delete()[0]:
                raise LeaseLost
            record = _answered(call, outcome.answer, attempt, started_at, now)
            as_row(lease.run_id, record).save(force_insert=True)
        get_dispatcher().ring()


def _answered(
    call: CallRequest, answer: Answer, attempt: int, started_at: datetime, now: datetime
) -> StepRecord:
    result = {"status": answer.status, "header": answer.headers, "body": readable(answer.body)}
    return StepRecord(
        key=call.key,
        name=call.name,
        kind=StepKind.CALL,
        branch=call.branch,
        input=input_of_call(call),
        result=encode_json(result),
        error=None,
        attempts=attempt,
        started_at=started_at,
        ended_at=now,
    )


def _failed(
    call: CallRequest, answer: Answer, attempt: int, started_at: datetime, retry_at: datetime
) -> FailedAttempt:
    message = f"{call.method} {call.url} answered {answer.status}"
    return FailedAttempt(
        key=call.key,
        number=attempt,
        error=describe_answer(answer.status, answer.headers, readable(answer.body), message),
        started_at=started_at,
        ended_at=clock.now(),
        retry_at=retry_at,
    )
