"""Calls of remote runs: a signed request to a third party, and its answer as a callback to the
endpoint (Upstash reference 4.5).
"""

from __future__ import annotations

from datetime import datetime

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import settling
from workflows_app.engine.history import add_attempts
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.outcomes import Delivered, Outcome, RetryAt, classify, readable
from workflows_app.engine.ports import Exchange
from workflows_app.engine.remote.journal import append, owe_delivery
from workflows_app.engine.requests import overlaid, signed
from workflows_app.engine.settling import retry
from workflows_app.models import Attempt, Message, Run, Step
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.exchange import Answer
from workflows_app.protocol.faults import describe_answer
from workflows_app.protocol.ids import step_message_id
from workflows_app.protocol.published import answered_key, base64_text
from workflows_app.protocol.runs import CallRequest, FailedAttempt, StepKind
from workflows_app.protocol.wire_requests import decode_call


def call_exchange(lease: Lease) -> Exchange:
    """The request of a call, with nothing of the run's own headers: they may hold credentials."""
    call = decode_call(lease.request)
    sent = Step.objects.get(run_id=lease.run_id, key=lease.key)
    failed = Attempt.objects.filter(
        run_id=lease.run_id, key=lease.key, outcome=Attempt.Outcome.FAILED
    )
    attempt = 1 + (failed.count() if lease.claims > 1 else 0)
    started_at = clock.now()
    own = {
        "Upstash-Message-Id": step_message_id(sent.pk),
        "Upstash-Retried": str(attempt - 1),
        "Upstash-Caller-Ip": lease.run.caller_ip,
    }
    request = signed(
        lease.run.account,
        method=call.method,
        url=call.url,
        body=call.body,
        headers=overlaid(call.headers, own),
        timeout=call.timeout or get_settings().HTTP_TIMEOUT,
    )

    def settle(answer: Answer) -> None:
        policy = RetryPolicy(retries=call.retries, delay_expression=call.retry_delay)
        outcome = classify(answer, policy, attempt, clock.now())
        if isinstance(outcome, RetryAt):
            _try_again(lease, call, outcome, attempt, started_at)
        else:
            _answered(lease, call, sent, answer, _retries_made(outcome, call, attempt))

    return Exchange(request=request, settle=settle)


def _retries_made(outcome: Outcome, call: CallRequest, attempt: int) -> int:
    """The SDKs take a failed answer for final only when no retry is left (Upstash reference
    4.5 (3)).
    """
    return attempt - 1 if isinstance(outcome, Delivered) else call.retries


def _try_again(
    lease: Lease, call: CallRequest, outcome: RetryAt, attempt: int, started_at: datetime
) -> None:
    answer = outcome.answer
    message = f"{call.method} {call.url} answered {answer.status}"
    failed = FailedAttempt(
        key=lease.key,
        number=attempt,
        error=describe_answer(answer.status, answer.headers, readable(answer.body), message),
        started_at=started_at,
        ended_at=clock.now(),
        retry_at=outcome.moment,
    )
    with settling():
        Run.objects.lock(lease.run_id)
        retry(lease, outcome.moment)
        add_attempts(lease.run_id, [failed])


def _answered(lease: Lease, call: CallRequest, sent: Step, answer: Answer, retried: int) -> None:
    asked = decode_json(sent.input or "{}")
    body = _callback_body(lease.run, call, sent, answer, retried)
    with settling():
        run = Run.objects.lock(lease.run_id)
        hold(lease)
        Message.objects.filter(pk=lease.message_id).delete()
        if run is None or not run.is_live:
            return
        step = append(
            run,
            key=answered_key(lease.key.partition(":")[0]),
            name=call.name,
            kind=StepKind.CALL_ANSWERED,
            raw=body,
            details=encode_json({"headers": asked.get("callback", {})}),
        )
        owe_delivery(run, step)


def _callback_body(run: Run, call: CallRequest, sent: Step, answer: Answer, retried: int) -> bytes:
    """Upstash reference 4.5 (4), (7), (9)."""
    body = {
        "status": answer.status,
        "header": dict(answer.headers),
        "body": base64_text(answer.body),
        "retried": retried,
        "maxRetries": call.retries,
        "sourceMessageId": step_message_id(sent.pk),
        "url": call.url,
        "method": call.method,
        "sourceHeader": {name: [value] for name, value in call.headers.items()},
        "sourceBody": base64_text(call.body or b""),
        "notBefore": unix_milliseconds(sent.started_at),
        "createdAt": unix_milliseconds(sent.started_at),
        "callerIP": run.caller_ip,
        "workflowRunId": run.run_id,
        "workflowCreatedAt": unix_milliseconds(run.created_at),
    }
    return encode_json(body).encode()
