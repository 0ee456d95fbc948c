"""What people are to see of a remote run that was canceled while it waited."""

from __future__ import annotations

from datetime import datetime

from workflows_app.engine.remote.journal import shown_name
from workflows_app.engine.remote.reading import Wait
from workflows_app.models import Step, Waiter
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.published import abandoned_key, step_of, waited

_CANCELED = encode_json({"type": "Canceled", "message": "The run was canceled while it waited."})


def keep_waits(run_pk: int, now: datetime) -> None:
    """Add what a locked run waits for to its journal, as steps without a result; its waiters go."""
    waiters = Waiter.objects.filter(run=run_pk, run__workflow="").order_by("id")
    Step.objects.bulk_create(_abandoned(waiter, now) for waiter in waiters)


def _abandoned(waiter: Waiter, now: datetime) -> Step:
    said = step_of(decode_json(waiter.step))
    assert said is not None, "as it was when the wait was accepted"  # noqa: S101
    lasted = Wait(since=waiter.created_at, deadline=waiter.deadline)
    return Step(
        run_id=waiter.run_id,
        key=abandoned_key(waiter.key),
        name=shown_name(said.name),
        kind=said.kind.value,
        input=lasted.encode(),
        error=_CANCELED,
        raw=waited(waiter.step, waiter.event_id, b""),
        started_at=min(waiter.created_at, now),
        ended_at=now,
    )
