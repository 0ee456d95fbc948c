"""Pausing runs: nothing of a paused run starts, and what it waits for takes as much longer.

A pause parks what the run is owed. What falls due later, by an event or when a step in flight has
ended, is parked by whoever claims it; so nobody else who owes something needs to know of pauses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F, Q, QuerySet, Value

from workflows_app.engine import clock
from workflows_app.engine.continuing import continuation_of
from workflows_app.engine.database import joining, settling
from workflows_app.engine.leases import Lease, new_token
from workflows_app.engine.locks import lock, lock_live
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.states import State, state_of
from workflows_app.errors import RunEnded
from workflows_app.models import Attempt, Message, Run, Step, Waiter


def pause(run: Run) -> State:
    """Have nothing of the run start until it is resumed; a step in flight goes on to its end, and
    so do runs that it has invoked. Raises RunEnded.
    """
    with joining():
        live = _lock(run)
        if live.paused_at is None:
            now = clock.now()
            Run.objects.filter(pk=live.pk).update(paused_at=now)
            owed = Message.objects.filter(run=live, token=None, due_at__isnull=False)
            owed.update(parked_for=F("due_at") - Value(now), due_at=None, lapses=0)
            Message.objects.tell_turn(live.pk)
            live.paused_at = now
        return state_of(live)


def resume(run: Run) -> State:
    """Have a paused run go on: sleeps, retries and deadlines that were pending when it was paused
    have as much time left as they had then. Raises RunEnded.
    """
    with joining():
        live = _lock(run)
        lift(live.pk)
        live.paused_at = None
        return state_of(live)


def _lock(run: Run) -> Run:
    """It, or what has gone on in its place since it was read."""
    asked, live = run, lock_live([run.pk]).get(run.pk)
    while live is None and (new := continuation_of(run)) is not None:
        run, live = new, lock_live([new.pk]).get(new.pk)
    if live is None:
        raise RunEnded(f"run {asked.run_id} has ended, and can be neither paused nor resumed")
    return live


def lift(run_pk: int) -> None:
    """End the pause of a locked run, if it is paused."""
    now, locked = clock.now(), Run.objects.filter(pk=run_pk)
    since = locked.values_list("paused_at", flat=True).get()
    if since is None:
        return
    locked.update(paused_at=None)
    moments = _postpone_all(run_pk, since, now)
    owed = Message.objects.filter(run=run_pk, token=None)
    messages = list(owed.exclude(due_at=None, parked_for=None))
    for message in messages:
        _unpark(message, now, moments)
    Message.objects.bulk_update(messages, ["due_at", "parked_for", "token", "lapses"])
    # A turn that is still in flight knows the times as they were.
    Message.objects.tell_turn(run_pk)
    get_dispatcher().ring()


def _unpark(message: Message, now: datetime, moments: Mapping[str, datetime]) -> None:
    left = message.parked_for if message.due_at is None else None
    message.due_at = _later(now, left or timedelta())
    if message.kind != Message.Kind.TURN:  # which looks for itself what it is to wait for
        message.due_at = max(message.due_at, moments.get(message.key, now))
    elif message.parked_for is not None and message.lapses:
        # Who takes it next is to know that a worker has died over it: as from a lapsed lease.
        message.token, message.lapses = new_token(), message.lapses - 1
    message.parked_for = None


def _postpone_all(run_pk: int, since: datetime, now: datetime) -> dict[str, datetime]:
    """Move what is pending by the time for which it was paused; until when, by the key of its step.
    What a step in flight began after the pause was paused from then on.
    """
    owed = Message.objects.filter(run=run_pk, kind=Message.Kind.DELIVERY, token=None)
    is_open = Q(kind=Step.Kind.SLEEP) | Q(key__in=owed.values("key"))
    asleep = Step.objects.filter(is_open, Q(ended_at__gt=F("started_at")), run=run_pk, error=None)
    pending: tuple[tuple[QuerySet[Any], str, str], ...] = (
        (asleep, "ended_at", "started_at"),
        (Attempt.objects.filter(run=run_pk), "retry_at", "ended_at"),
        (Waiter.objects.filter(run=run_pk), "deadline", "created_at"),
    )
    moments: dict[str, datetime] = {}
    for rows, end, began in pending:
        found = list(rows.filter(**{f"{end}__gt": since}).only("key", began, end))
        for row in found:
            moments[row.key] = _later(getattr(row, end), now - max(since, getattr(row, began)))
            setattr(row, end, moments[row.key])
        rows.model._default_manager.bulk_update(found, [end])
    return moments


def _later(moment: datetime, by: timedelta) -> datetime:
    """Or the last moment that there is."""
    last = datetime.max.replace(tzinfo=UTC)
    return moment + min(by, last - moment)


def park(lease: Lease) -> None:
    """Give a claimed message of a paused run up until that is resumed."""
    with settling():
        lock(lease.run_id)
        paused = Run.objects.filter(pk=lease.run_id, paused_at__isnull=False).exists()
        held = Message.objects.held(lease.message_id, lease.token)
        if paused:
            held.update(token=None, due_at=None, parked_for=timedelta())
        else:
            held.update(token=None, due_at=clock.now())
            get_dispatcher().ring()
