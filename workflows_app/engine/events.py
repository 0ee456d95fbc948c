"""Sending events to what waits for them, and the deadlines of what waits in vain (Upstash reference
4.6).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from workflows_app.conf import get_settings
from workflows_app.engine import clock, waiting
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.database import joining, settling
from workflows_app.engine.history import as_row
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.locks import lock_live
from workflows_app.engine.remote import waiting as remote_waiting
from workflows_app.errors import InvalidInput, LimitExceeded, PayloadTooLarge
from workflows_app.models import Account, Event, Message, Run, Step, Waiter
from workflows_app.protocol.codec import encode_json, text_or_value
from workflows_app.protocol.faults import describe_error
from workflows_app.protocol.ids import check_event_id, step_message_id
from workflows_app.protocol.runs import Notification, StepKind, StepRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """A run that was notified. Without a waiter, the event is kept until the run waits for it."""

    run: Run
    waiter: Waiter | None = None
    step: Step | None = None

    @property
    def message_id(self) -> str:
        return "" if self.step is None else step_message_id(self.step.pk)


def notify(
    account: Account, event_id: str, data: bytes, *, workflows: Collection[str] | None = None
) -> list[Notified]:
    """Wake all that wait for the event, or those of some workflows; nobody does, and it is lost.
    Joins the caller's transaction.
    """
    _check(event_id, data)
    with joining():
        waiting_for = _waiting_for(account.pk, event_id)
        if workflows is not None:
            waiting_for = waiting_for.filter(run__workflow__in=workflows)
        runs = lock_live(waiting_for.values_list("run_id", flat=True))
        return _notify_all(runs, account.pk, event_id, data)


def notify_run(run: Run, event_id: str, data: bytes) -> Notified | None:
    """Wake what waits in this run; while nothing does, keep the event for it. None when the run
    has ended. Each event wakes one wait. Joins the caller's transaction.

    Raises LimitExceeded when too many events are kept.
    """
    _check(event_id, data)
    with joining():
        live = lock_live([run.pk]).get(run.pk)
        while live is None and (new := continuation_of(run)) is not None:
            run, live = new, lock_live([new.pk]).get(new.pk)
        return None if live is None else _notify_one(live, event_id, data)


def notify_named(account: Account, run_id: str, event_id: str, data: bytes) -> list[Notified]:
    """As `notify_run`, for the live run of this id; nobody, if there is none."""
    run = Run.objects.live_named(account, run_id).first()
    notified = None if run is None else notify_run(run, event_id, data)
    return [] if notified is None else [notified]


def settle_timeout(lease: Lease) -> None:
    """The deadline of a waiter has come. Raises LeaseLost."""
    with settling():
        run = lock_live([lease.run_id]).get(lease.run_id)
        hold(lease)
        Message.objects.filter(pk=lease.message_id).delete()
        waiter = Waiter.objects.filter(run=lease.run_id, key=lease.key).first()
        if run is not None and waiter is not None:
            _complete(run, waiter, None)


# -- events that steps of local runs send


def lock_for(run: Run, notifications: Sequence[Notification]) -> dict[int, Run]:
    """Lock the run and all that its steps are to notify, before anything else of it is locked."""
    pks = _addressees(run, notifications)
    runs = lock_live(pks)
    # One that has begun anew meanwhile is another row.
    while pks - runs.keys() and (now := _addressees(run, notifications)) - pks:
        pks, runs = now, lock_live(now)
    return runs


def _addressees(run: Run, notifications: Sequence[Notification]) -> set[int]:
    pks = {run.pk}
    for each in notifications:
        if each.run_id is None:
            waiting_for = _waiting_for(run.account_id, each.event_id)
            pks.update(waiting_for.values_list("run_id", flat=True))
        else:
            named = Run.objects.live_named(run.account_id, each.run_id)
            pks.update(named.values_list("pk", flat=True)[:1])
    return pks


def send(run: Run, notifications: Sequence[Notification], runs: Mapping[int, Run]) -> None:
    """Send what steps of a run ask for, to those of the locked `runs`, and record that they did."""
    now = clock.now()
    for each in notifications:
        result, error = None, None
        try:
            result = encode_json([told(one) for one in _send(run, each, runs)])
        except InvalidInput as refused:
            error = describe_error(refused)
        record = StepRecord(
            key=each.key,
            name=each.name,
            kind=StepKind.NOTIFY,
            branch=each.branch,
            input=_input(each),
            result=result,
            error=error,
            attempts=1,
            started_at=now,
            ended_at=now,
        )
        as_row(run.pk, record).save(force_insert=True)
    Message.objects.wake_run(run.pk, now)


def _send(run: Run, each: Notification, runs: Mapping[int, Run]) -> list[Notified]:
    _check(each.event_id, each.data)
    if each.run_id is None:
        return _notify_all(runs, run.account_id, each.event_id, each.data)
    named = next((one for one in runs.values() if one.run_id == each.run_id), None)
    return [] if named is None else [_notify_one(named, each.event_id, each.data)]


def _input(each: Notification) -> str:
    said = {"event": each.event_id, "data": text_or_value(each.data), "run": each.run_id}
    return encode_json({name: value for name, value in said.items() if value})


def told(notified: Notified) -> dict[str, str | None]:
    """As the SDK is told of it."""
    return {
        "workflowRunId": notified.run.run_id,
        "workflowUrl": notified.run.url,
        "step": None if notified.step is None else notified.step.name,
    }


# -- under the locks


def _waiting_for(account_id: int, event_id: str) -> QuerySet[Waiter]:
    return Waiter.objects.filter(account=account_id, event_id=event_id)


def _notify_all(
    runs: Mapping[int, Run], account_id: int, event_id: str, data: bytes
) -> list[Notified]:
    found = _waiting_for(account_id, event_id).filter(run__in=list(runs)).order_by("id")
    return [_deliver(runs[waiter.run_id], waiter, data) for waiter in found]


def _notify_one(run: Run, event_id: str, data: bytes) -> Notified:
    waiter = Waiter.objects.filter(run=run, event_id=event_id).order_by("id").first()
    if waiter is not None:
        return _deliver(run, waiter, data)
    most = get_settings().MAX_EVENTS
    if Event.objects.filter(run=run).count() >= most:
        raise LimitExceeded(f"run {run.run_id} has {most} events already that wait for it")
    Event.objects.create(run=run, event_id=event_id, data=data, created_at=clock.now())
    Message.objects.tell_turn(run.pk)
    return Notified(run=run)


def _deliver(run: Run, waiter: Waiter, data: bytes) -> Notified:
    return Notified(run=run, waiter=waiter, step=_complete(run, waiter, data))


def _complete(run: Run, waiter: Waiter, data: bytes | None) -> Step:
    if run.is_remote:
        return remote_waiting.complete(run, waiter, data)
    return waiting.complete(run, waiter, data)


def _check(event_id: str, data: bytes) -> None:
    check_event_id(event_id)
    most = get_settings().MAX_PAYLOAD_BYTES
    if len(data) > most:
        raise PayloadTooLarge(f"the event has {len(data)} bytes; this server accepts {most}")
