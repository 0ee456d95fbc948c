"""Runs that are rolled back, as the server sees them: asked for, begun, and how that ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from workflows_app.engine.leases import Lease
from workflows_app.models import Message, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.runs import UNDO


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackEnd:
    """Whether all was undone. `error` is JSON, the first of what could not be; else None."""

    error: str | None

    @property
    def is_complete(self) -> bool:
        return self.error is None


def begin(run_pk: int, now: datetime) -> None:
    """The run, whose turn is locked, does nothing more but undo: it calls nobody and waits for
    nothing. What is in flight may still end.
    """
    Run.objects.filter(pk=run_pk, undoing_at=None).update(undoing_at=now)
    owed = Message.objects.filter(run=run_pk, token=None)
    owed.filter(kind__in=[Message.Kind.CALL, Message.Kind.TIMEOUT]).delete()
    Waiter.objects.filter(run=run_pk).delete()


def ask_for(run_pk: int, now: datetime) -> bool:
    """Have a locked run rolled back by its turn, from now on or as it is already. False for a run
    that has no turn, or none that has begun: there is nothing to undo.
    """
    turn = Message.objects.filter(run=run_pk, kind=Message.Kind.TURN, claims__gt=0)
    if not turn.exists():
        return False
    if Run.objects.filter(pk=run_pk, undoing_at=None).update(undoing_at=now):
        Message.objects.wake_run(run_pk, now)
    return True


def was_asked_for(lease: Lease) -> bool:
    """Whether that came since the lease was taken, and has not been heeded yet."""
    if lease.run.undoing_at is not None or not is_asked_for(lease.run_id):
        return False
    return not Step.objects.filter(run=lease.run_id, key=UNDO).exists()


def is_asked_for(run_pk: int) -> bool:
    """Or has begun without that."""
    return Run.objects.filter(pk=run_pk, undoing_at__isnull=False).exists()


def rollback_of(run: Run) -> RollbackEnd | None:
    """How the rollback of an ended run has ended; None where there was none."""
    entries = list(Step.objects.filter(run=run, kind=Step.Kind.ROLLBACK).order_by("pk"))
    if run.is_live or not entries:
        return None
    begun, *undone = entries
    errors = (step.error for step in undone if step.error is not None)
    if (error := next(errors, None)) is not None:
        return RollbackEnd(error=error)
    if len(undone) < len(decode_json(begun.result or "[]")):
        return RollbackEnd(error=_cut_off(run))
    return RollbackEnd(error=None)


def _cut_off(run: Run) -> str:
    """It ended before all was undone: it was cancelled, or its code could not be called."""
    return run.error or encode_json(
        {"type": "Canceled", "message": "The run was canceled while it was rolled back."}
    )
