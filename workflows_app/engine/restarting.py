"""Runs that begin again under their id, from their beginning or from a step.

As with `continue_as_new`, another row goes on in the place of the first, which ends in the same
transaction if it is live. It has an empty journal, or that part of it which came before the step.
"""

from __future__ import annotations

from django.db import IntegrityError

from workflows_app.engine import clock, continuing, dead_letters
from workflows_app.engine.database import joining
from workflows_app.engine.locks import lock
from workflows_app.engine.settling import end
from workflows_app.engine.step_targets import StepTarget, copy_invocations, steps_before
from workflows_app.errors import Refused, RunNotFound
from workflows_app.models import DeadLetter, Invocation, Message, Run


def restart(run: Run, target: StepTarget | None = None) -> Run:
    """Have the run begin again, with its payload and options; what is live of it is cancelled.

    With a target it keeps what it has recorded of steps that began before that one. Events that
    were sent and not waited for are dropped; runs that it has invoked go on as their own.

    Raises InvalidInput for a step that the run has not begun; Refused while it is rolled back, or
    when another run goes on in its place or has its id; RunNotFound when it has been deleted.
    """
    with joining():
        lock(run.pk)
        old = Run.objects.select_related("account").filter(pk=run.pk).first()
        if old is None:
            raise RunNotFound(f"run {run.run_id} has been deleted and cannot be restarted")
        _check(old, target)
        kept = [] if target is None else steps_before(old, target)
        new = continuing.stored_successor(old)
        dead_letters.delete(DeadLetter.objects.filter(run=old))
        if old.is_live:
            Invocation.objects.filter(child=old).update(child=new)
            end(old.pk, Run.Status.CANCELED, clock.now())
        try:
            with joining():
                continuing.begin(new, kept)
        except IntegrityError:
            raise Refused(f"another run has the id {run.run_id} now: end that one first") from None
        copy_invocations(old, new, kept)
    return new


def _check(run: Run, target: StepTarget | None) -> None:
    if continuing.continuation_of(run) is not None:
        raise Refused(f"run {run.run_id} has begun again already: restart the run in its place")
    if run.is_live and run.undoing_at is not None:
        raise Refused(f"run {run.run_id} is being rolled back: restart it once that has ended")
    if not run.is_remote:
        return
    if target is not None:
        raise Refused(
            f"run {run.run_id} is worked on by another service, so that it can only be restarted "
            "from its beginning"
        )
    if Message.objects.leased(clock.now()).filter(run=run).exists():
        # What its endpoint publishes then would be taken for steps of the new run.
        raise Refused(
            f"the endpoint of run {run.run_id} is at work on it: pause the run, or wait until that "
            "has ended, and restart it then"
        )
