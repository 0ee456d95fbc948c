"""Runs that end in order to begin anew under their id: `context.continue_as_new`, and restarts.

The end of the one and the start of the other are one transaction, so that their id always has a
live run, and whoever knows the id need not know how often it has begun anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.successors import store, successor
from workflows_app.engine.triggering import first_message
from workflows_app.errors import PayloadTooLarge
from workflows_app.models import Event, Invocation, Run, Step
from workflows_app.protocol.runs import ContinuedAsNew

_APART = timedelta(milliseconds=1)
"""The moment of its creation tells a run from others of its id, in idempotency keys."""


def check(continued: ContinuedAsNew) -> None:
    """Raises PayloadTooLarge."""
    size, most = len(continued.payload), get_settings().MAX_PAYLOAD_BYTES
    if size > most:
        raise PayloadTooLarge(
            f"the payload to continue with has {size} bytes; this server accepts {most}"
        )


def hand_over(old: Run, continued: ContinuedAsNew) -> Run:
    """Store what goes on in the place of a locked run, which ends next: with the events that came
    for it and were not waited for, and with the runs that wait for its end.
    """
    new = _successor(old)
    new.payload, new.content_type = continued.payload, continued.content_type
    # It may have been paused while the function came to its end.
    new.paused_at = Run.objects.values_list("paused_at", flat=True).get(pk=old.pk)
    store(new)
    Event.objects.filter(run=old).update(run=new)
    Invocation.objects.filter(child=old).update(child=new)
    return new


def stored_successor(old: Run) -> Run:
    """What goes on in the place of a locked run with the same payload, once that has ended."""
    new = _successor(old)
    store(new)
    return new


def _successor(old: Run) -> Run:
    return successor(old, old.run_id, max(clock.now(), old.created_at + _APART))


def begin(new: Run, kept: Sequence[Step] = ()) -> None:
    """With these steps of the other one, which has ended in the same transaction, so that its id is
    free. Raises IntegrityError when a third run has it.
    """
    now = clock.now()
    Run.objects.filter(pk=new.pk).update(live_id=new.id_while_live)
    message = first_message(new, now, now)
    message.claims = 1 if kept else 0  # so that its first delivery reads the journal
    message.save(force_insert=True)
    for step in kept:
        step.pk, step.run = None, new
    Step.objects.bulk_create(kept)
    get_dispatcher().ring()


def continuation_of(run: Run) -> Run | None:
    """The run that has gone on in its place; one that is made of a dead letter has another id."""
    return Run.objects.filter(origin=run, run_id=run.run_id).first()


def has_continued(old: Run, new: Run) -> bool:
    """Whether the function of a run has begun it anew, in the moment of its end, or someone has
    restarted it, later or by ending it.
    """
    if old.status != Run.Status.SUCCEEDED or old.ended_at is None:
        return False
    return new.created_at <= old.ended_at + _APART
