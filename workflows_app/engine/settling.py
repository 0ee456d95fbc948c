"""How a delivery ends: what happened and what is owed next, in one transaction, under the lease."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Case, DateTimeField, F, Value, When

from workflows_app.engine import clock, continuing, events, waiting
from workflows_app.engine.database import settling
from workflows_app.engine.invoking import invoke
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.ports import get_dispatcher, get_transport
from workflows_app.engine.remote.canceling import keep_waits
from workflows_app.engine.turn_writes import end_run, owe_reports
from workflows_app.engine.undoing import was_asked_for
from workflows_app.errors import LeaseLost, LimitExceeded, PayloadTooLarge, RollbackAsked
from workflows_app.models import DeadLetter, Event, Message, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.faults import describe_error
from workflows_app.protocol.runs import (
    CallRequest,
    Canceled,
    ContinuedAsNew,
    Failed,
    Finished,
    Suspended,
    TurnOutcome,
)
from workflows_app.protocol.wire_requests import encode_call


def settle_turn(lease: Lease, run: Run, outcome: TurnOutcome) -> None:
    """Raises LeaseLost when another worker has taken over; RollbackAsked when the run is not to end
    so, but to be rolled back. Then nothing was written.
    """
    match outcome:
        case Suspended(calls=(), invocations=(), waits=(), notifications=()):
            _wait(lease, outcome)
        case Suspended() as suspended:
            _suspend(lease, run, suspended)
        case Finished(result=result):
            end_run(lease, Run.Status.SUCCEEDED, result, clock.now())
        case Canceled():
            end_run(lease, Run.Status.CANCELED, None, clock.now())
        case ContinuedAsNew() as continued:
            _continue_as_new(lease, run, continued)
        case Failed(error=error):
            with settling():
                _hold_to_end(lease)
                fail(run, error)


def _hold_to_end(lease: Lease) -> None:
    hold(lease)
    if was_asked_for(lease):
        raise RollbackAsked


def _continue_as_new(lease: Lease, run: Run, continued: ContinuedAsNew) -> None:
    """End the run, and begin the one that goes on in its place."""
    with settling():
        _hold_to_end(lease)
        try:
            continuing.check(continued)
        except PayloadTooLarge as error:
            fail(run, describe_error(error))
            return
        new = continuing.hand_over(run, continued)
        end(run.pk, Run.Status.SUCCEEDED, clock.now())
        continuing.begin(new)


def _suspend(lease: Lease, run: Run, suspended: Suspended) -> None:
    """Give the lease up, and owe what the run waits for."""
    try:
        with settling():
            to_notify = suspended.notifications
            notified = events.lock_for(run, to_notify) if to_notify else {}
            _wait(lease, suspended)
            _owe_calls(run, suspended.calls)
            invoke(run, suspended.invocations)
            waiting.begin(run, suspended.waits)
            if to_notify:
                events.send(run, to_notify, notified)
    except LimitExceeded as error:
        with settling():
            hold(lease)
            fail(run, describe_error(error))


def _wait(lease: Lease, suspended: Suspended) -> None:
    """Give the lease up until the run is to wake; at once if something has come for it since the
    lease was taken.
    """
    wake_at, observed = suspended.wake_at, suspended.observed
    changed = Message.objects.held(lease.message_id, lease.token).update(
        token=None,
        due_at=Case(When(wakes=lease.wakes, then=Value(wake_at)), default=Value(clock.now())),
        **({} if observed is None else {"request": observed}),
    )
    if not changed:
        raise LeaseLost
    get_dispatcher().ring()


def _owe_calls(run: Run, calls: tuple[CallRequest, ...]) -> None:
    """Owe each call once: not if it is under way, nor if its answer has come meanwhile."""
    now = clock.now()
    answered = set(
        Step.objects.filter(run=run, key__in=[call.key for call in calls]).values_list(
            "key", flat=True
        )
    )
    Message.objects.bulk_create(
        [
            Message(
                account_id=run.account_id,
                run=run,
                kind=Message.Kind.CALL,
                key=call.key,
                request=encode_call(call),
                due_at=now,
                created_at=now,
            )
            for call in calls
            if call.key not in answered
        ],
        ignore_conflicts=True,
    )


def fail(run: Run, error: str) -> None:
    """End the run as failed: to the dead letter queue, and to whoever wants to be told. In a
    transaction.
    """
    now = clock.now()
    if not end(run.pk, Run.Status.FAILED, now, error=error):
        return
    told = get_transport().handles_failure(run)
    state = DeadLetter.CallbackState.IN_PROGRESS if told else DeadLetter.CallbackState.NONE
    DeadLetter.objects.create(
        account_id=run.account_id,
        run=run,
        workflow=run.workflow,
        callback_state=state,
        created_at=now,
        **_kind_of(error),
    )
    if told:
        owe_failure_callback(run, now)


def _kind_of(error: str) -> dict[str, str]:
    """What a failed run has in common with others of its workflow."""
    info = decode_json(error)
    return {
        "error_type": str(info.get("cause") or info.get("type") or "")[:200],
        "step": str(info.get("step") or info.get("key") or "")[:256],
    }


def end(
    run_pk: int,
    status: Run.Status,
    now: datetime,
    *,
    result: str | None = None,
    error: str | None = None,
) -> bool:
    """End a live run, and all that it is owed and waits for; those that invoked it will be told.
    In a transaction. False when it had ended already.
    """
    live = Run.objects.live().filter(pk=run_pk)
    retention = "error_retention" if status == Run.Status.FAILED else "success_retention"
    if not live.update(
        status=status,
        live_id=None,
        ended_at=now,
        result=result,
        error=error,
        expires_at=Value(now, output_field=DateTimeField()) + F(retention),
    ):
        return False
    Message.objects.filter(run_id=run_pk).delete()
    if status == Run.Status.CANCELED:
        keep_waits(run_pk, now)
    Waiter.objects.filter(run_id=run_pk).delete()
    Event.objects.filter(run_id=run_pk).delete()
    if owe_reports(run_pk, now):
        get_dispatcher().ring()
    return True


def owe_failure_callback(run: Run, now: datetime) -> None:
    Message.objects.create(
        account_id=run.account_id,
        run=run,
        kind=Message.Kind.FAILURE,
        due_at=now,
        flow_control_id=run.flow_control_id,
        created_at=now,
    )
    get_dispatcher().ring()


def retry(lease: Lease, at: datetime) -> None:
    """Give the message up until its next attempt."""
    if not Message.objects.held(lease.message_id, lease.token).update(token=None, due_at=at):
        raise LeaseLost
    get_dispatcher().ring()
