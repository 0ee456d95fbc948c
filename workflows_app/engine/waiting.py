"""Steps that wait for events, and events that came before.

Of event, deadline and end of the run, the one that deletes the waiter resolves it, holding the
run's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from workflows_app.engine import clock
from workflows_app.engine.database import run_sql
from workflows_app.engine.history import as_row
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.step_inputs import input_of_wait
from workflows_app.models import Event, Message, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json, encode_json, text_or_value
from workflows_app.protocol.durations import format_duration
from workflows_app.protocol.runs import EventWait, StepKind, StepRecord

_FORGET_WAITER = "DELETE FROM workflows_app_waiter WHERE run_id = %s AND key = %s"


def take_event(run: Run, event_id: str) -> bytes | None:
    """The data of the oldest such event that came before a locked run waited, if one did."""
    event = Event.objects.filter(run=run, event_id=event_id).order_by("id").first()
    if event is None:
        return None
    event.delete()
    return bytes(event.data)


def owe_timeout(waiter: Waiter) -> None:
    Message.objects.create(
        account_id=waiter.account_id,
        run_id=waiter.run_id,
        kind=Message.Kind.TIMEOUT,
        key=waiter.key,
        due_at=waiter.deadline,
        created_at=waiter.created_at,
    )
    get_dispatcher().ring()


def end_wait(run: Run, key: str) -> None:
    """Of a step of a locked run that has its result: its event, or what its endpoint published
    itself because its code changed meanwhile.
    """
    if run_sql(_FORGET_WAITER, [run.pk, key]):
        Message.objects.filter(run=run, kind=Message.Kind.TIMEOUT, key=key).delete()


# -- of runs that are worked on here


def begin(run: Run, waits: Sequence[EventWait]) -> None:
    """Have steps of a locked run wait, each once; one whose event came before has its result."""
    if not waits:
        return
    now = clock.now()
    keys = [wait.key for wait in waits]
    known = {
        *Step.objects.filter(run=run, key__in=keys).values_list("key", flat=True),
        *Waiter.objects.filter(run=run, key__in=keys).values_list("key", flat=True),
    }
    for wait in waits:
        if wait.key not in known:
            _begin(run, wait, now)


def _begin(run: Run, wait: EventWait, now: datetime) -> None:
    waiter = Waiter(
        account_id=run.account_id,
        run=run,
        key=wait.key,
        event_id=wait.event_id,
        step=_encode(wait),
        deadline=now + wait.timeout,
        created_at=now,
    )
    data = take_event(run, wait.event_id)
    if data is not None:
        _record(run, waiter, _came(data))
        return
    waiter.save(force_insert=True)
    owe_timeout(waiter)


def complete(run: Run, waiter: Waiter, data: bytes | None) -> Step:
    """End the wait of a step of a locked run: with the data of its event, or None when its deadline
    has come.
    """
    end_wait(run, waiter.key)
    return _record(run, waiter, {"timeout": True} if data is None else _came(data))


def _came(data: bytes) -> dict[str, object]:
    return {"timeout": False, "data": text_or_value(data)} if data else {"timeout": False}


def _record(run: Run, waiter: Waiter, result: dict[str, object]) -> Step:
    now = clock.now()
    said = decode_json(waiter.step)
    record = StepRecord(
        key=waiter.key,
        name=said["stepName"],
        kind=StepKind(said["kind"]),
        branch=said["branch"],
        input=input_of_wait(waiter.event_id, said["timeout"]),
        result=encode_json(result),
        error=None,
        attempts=1,
        started_at=waiter.created_at,
        ended_at=now,
    )
    step = as_row(run.pk, record)
    step.save(force_insert=True)
    Message.objects.wake_run(run.pk, now)
    get_dispatcher().ring()
    return step


def _encode(wait: EventWait) -> str:
    """What a waiter keeps of its step."""
    return encode_json(
        {
            "stepName": wait.name,
            "kind": wait.kind.value,
            "branch": wait.branch,
            "timeout": format_duration(wait.timeout),
        }
    )
