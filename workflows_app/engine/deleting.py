"""Deleting runs, with all that belongs to them."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef

from workflows_app.engine.database import joining
from workflows_app.errors import Refused
from workflows_app.models import (
    Attempt,
    DeadLetter,
    Event,
    Invocation,
    Message,
    Run,
    RunLabel,
    Step,
    Waiter,
)


def delete(run: Run) -> None:
    """Forget all runs of its workflow that have its id, so that it is free. What is live of them
    ends at once, and is not rolled back; runs that it has invoked go on as their own.

    Raises Refused while another run waits for its end.
    """
    with joining():
        pks = _lock_all_named(run)
        if _is_awaited(pks):
            raise Refused(
                f"another run waits for the end of run {run.run_id}: cancel it, so that the other "
                "is told, and delete it then"
            )
        forget(pks)


def forget(pks: Collection[int]) -> None:
    """Delete runs that nobody works on or waits for. In a transaction."""
    for rows in (Step, Attempt, RunLabel, Message, Waiter, Event, DeadLetter):
        rows.objects.filter(run_id__in=pks).delete()
    Run.objects.filter(pk__in=pks).delete()


def _lock_all_named(run: Run) -> set[int]:
    """Also what has gone on meanwhile in its place."""
    named = Run.objects.filter(account=run.account_id, workflow=run.workflow, run_id=run.run_id)
    locked: set[int] = set()
    while new := set(named.values_list("pk", flat=True)) - locked:
        Message.objects.lock_turns(new)
        # Ended ones too: from these on, a run could begin again meanwhile.
        list(Run.objects.filter(pk__in=new).order_by("pk").locked())
        locked |= new
    return locked


def _is_awaited(pks: Collection[int]) -> bool:
    """Whoever invoked a run is told of its end by the invocation, which goes with it."""
    told = Step.objects.filter(run=OuterRef("parent"), key=OuterRef("key"))
    invocations = Invocation.objects.filter(child__in=pks, parent__status=Run.Status.RUNNING)
    return invocations.exclude(Exists(told)).exists()
