"""Runs that begin as copies of others, under an id of their own: whole, or from a step.

Unlike a restart this takes nothing from the first run, which stays as it is, live or ended: who
waits for its end, its events and its dead letter stay its own.
"""

from __future__ import annotations

from django.db import IntegrityError

from workflows_app.engine import clock, continuing
from workflows_app.engine.database import joining
from workflows_app.engine.locks import lock
from workflows_app.engine.step_targets import StepTarget, copy_invocations, steps_before
from workflows_app.engine.successors import store, successor
from workflows_app.engine.triggering import check_payload
from workflows_app.errors import Refused, RunNotFound
from workflows_app.models import Run
from workflows_app.protocol.ids import check_run_id, new_run_id


def fork(
    run: Run,
    target: StepTarget | None = None,
    *,
    payload: tuple[bytes, str] | None = None,
    run_id: str | None = None,
) -> Run:
    """Start another run with the same options, and the same payload unless another one is given,
    with its content type. It names the first as its origin.

    With a target it keeps what the first has recorded of steps that began before that one. Joins
    the caller's transaction.

    Raises InvalidInput for a step that the run has not begun, an id or a payload that cannot be;
    Refused for an id in use, and for steps that cannot be kept; RunNotFound when the run has been
    deleted.
    """
    if payload is not None:
        check_payload(payload[0])
    if run_id is not None:
        check_run_id(run_id)
    with joining():
        lock(run.pk)
        old = Run.objects.select_related("account").filter(pk=run.pk).first()
        if old is None:
            raise RunNotFound(f"run {run.run_id} has been deleted and cannot be forked")
        _check(old, target, run_id)
        kept = [] if target is None else steps_before(old, target)
        new = successor(old, run_id or new_run_id(), clock.now())
        new.forked = True
        if payload is not None:
            new.payload, new.content_type = payload
        store(new)
        try:
            with joining():
                continuing.begin(new, kept)
        except IntegrityError:
            raise _taken(new.run_id) from None
        if new.named_within and _has_namesake(new):
            raise _taken(new.run_id)
        copy_invocations(old, new, kept)
    return new


def _check(run: Run, target: StepTarget | None, run_id: str | None) -> None:
    if run_id == run.run_id:
        # It would count as what goes on in the place of the first.
        raise Refused(f"a fork has an id of its own, not {run_id}: restart the run to keep its id")
    if target is None:
        return
    if run.is_remote:
        raise Refused(
            f"run {run.run_id} is worked on by another service, so that it can only be forked from "
            "its beginning"
        )
    if run.is_live and run.undoing_at is not None:
        raise Refused(
            f"run {run.run_id} is being rolled back, so that it can only be forked from its "
            "beginning"
        )


def _has_namesake(new: Run) -> bool:
    """Ended ones count where an id is named within its workflow."""
    namesakes = Run.objects.filter(account=new.account_id, workflow=new.workflow, run_id=new.run_id)
    return namesakes.exclude(pk=new.pk).exists()


def _taken(run_id: str) -> Refused:
    return Refused(f"another run has the id {run_id}: give the fork one of its own")
