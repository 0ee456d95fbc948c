"""Accepting what endpoints publish while they work on a delivery (Upstash reference 4.2)."""

from __future__ import annotations

import secrets
from datetime import datetime

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.engine.flow_control import flow_control_of
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.remote.journal import (
    accepted_as,
    append,
    due_at,
    encode_options,
    lock_live,
    owe_delivery,
    shown_name,
)
from workflows_app.engine.remote.recording import NewElement, record
from workflows_app.engine.triggering import check_policy
from workflows_app.engine.waiting import end_wait
from workflows_app.errors import InvalidInput, LimitExceeded
from workflows_app.models import Account, Message, Run, Step
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.ids import step_message_id
from workflows_app.protocol.message_options import flow_control_value
from workflows_app.protocol.published import PublishedStep, read_step, sent_key
from workflows_app.protocol.publishing import Accepted, CallStepRequest, StepRequest
from workflows_app.protocol.runs import CallRequest, FlowControlSpec, StepKind
from workflows_app.protocol.wire_requests import encode_call


def publish_step(account: Account, request: StepRequest) -> Accepted:
    """Record a plan or a result and owe its delivery. A step that is there already stays as it is.

    Raises RunEnded, and LimitExceeded for what the endpoint must not try again.
    """
    check_step_policy(request.options.retries, request.options.retry_delay, request.flow_control)
    due = due_at(request.delay, request.not_before)
    said = _read(request.raw)
    key = said.key if said else f"other {secrets.token_hex(8)}"
    if request.flow_control is None:
        element = _element(account, request, said, key, due)
        if (accepted := record(element)) is not None:
            return accepted
    with joining():
        run = lock_live(account, request.run_id)
        if (known := accepted_as(run, key)) is not None:
            return known
        if said and said.step_id:
            end_wait(run, key)
        step = append(
            run,
            key=key,
            name=said.name if said else "",
            kind=said.kind if said else StepKind.OTHER,
            raw=request.raw,
            due_at=due,
        )
        control = flow_control_of(account, request.flow_control)
        owe_delivery(run, step, request.options, control)
    return Accepted(message_id=step_message_id(step.pk))


def _element(
    account: Account, request: StepRequest, said: PublishedStep | None, key: str, due: datetime
) -> NewElement:
    now = clock.now()
    return NewElement(
        account_id=account.pk,
        run_id=request.run_id,
        key=key,
        name=shown_name(said.name if said else ""),
        kind=(said.kind if said else StepKind.OTHER).value,
        raw=request.raw,
        options=encode_options(request.options),
        started_at=now,
        due_at=max(now, due),
    )


def publish_call(account: Account, request: CallStepRequest) -> Accepted:
    """Record a request to a third party, and owe it. Raises as `publish_step` does."""
    check_step_policy(request.retries, request.retry_delay, request.flow_control)
    key = sent_key(request.step_id)
    call = CallRequest(
        key=key,
        name=request.step_name,
        branch="",
        url=request.url,
        method=request.method,
        headers=request.headers,
        body=request.body,
        retries=request.retries,
        retry_delay=request.retry_delay,
        timeout=request.timeout,
    )
    with joining():
        run = lock_live(account, request.run_id)
        if (known := accepted_as(run, key)) is not None:
            return known
        step = append(
            run,
            key=key,
            name=request.step_name,
            kind=StepKind.CALL_SENT,
            raw=request.body or b"",
            details=_shown(request),
        )
        owe_call(run, step, call, request.flow_control)
    return Accepted(message_id=step_message_id(step.pk))


def owe_call(run: Run, step: Step, call: CallRequest, control: FlowControlSpec | None) -> None:
    """A call has its own flow control; the run's is for its own steps (Upstash reference 5.5)."""
    limits = flow_control_of(run.account, control)
    Message.objects.create(
        account_id=run.account_id,
        run=run,
        kind=Message.Kind.CALL,
        key=step.key,
        request=encode_call(call),
        due_at=step.ended_at,
        flow_control=limits,
        created_at=step.started_at,
    )
    get_dispatcher().ring()


def check_step_policy(
    retries: int | None, retry_delay: str | None, control: FlowControlSpec | None
) -> None:
    """Raises LimitExceeded for every fault: of the refusals, the SDKs take only this one for final
    (Upstash reference 1.2).
    """
    try:
        check_policy(
            retries=retries,
            retry_delay=retry_delay,
            failure_url=None,
            labels=(),
            flow_control=control,
        )
    except InvalidInput as error:
        raise LimitExceeded(error.message) from None


def _read(raw: bytes) -> PublishedStep | None:
    """None for what only its SDK understands. Raises LimitExceeded for what cannot be stored."""
    most = get_settings().MAX_PAYLOAD_BYTES
    if len(raw) > most:
        raise LimitExceeded(f"a step has at most {most} bytes, not {len(raw)}")
    return read_step(raw)


def _shown(request: CallStepRequest) -> str:
    details: dict[str, object] = {
        "url": request.url,
        "method": request.method,
        "headers": dict(request.headers),
        "retries": request.retries,
        "callback": dict(request.callback_headers),
    }
    if request.retry_delay:
        details["retryDelay"] = request.retry_delay
    if request.timeout is not None:
        details["timeout"] = request.timeout.total_seconds()
    if request.flow_control is not None:
        limits = flow_control_value(request.flow_control)
        details["flowControl"] = {"key": request.flow_control.key, "value": limits}
    return encode_json(details)
