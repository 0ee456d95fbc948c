"""Runs that end in order to begin anew, with an empty journal: `context.continue_as_new`.

The end of the one and the start of the other are one transaction, so that their id always has a
live run, and whoever knows the id need not know how often it has begun anew.
"""

from __future__ import annotations

from datetime import timedelta

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.ports import get_dispatcher
from workflows_app.engine.successors import store, successor
from workflows_app.engine.triggering import first_message
from workflows_app.errors import PayloadTooLarge
from workflows_app.models import Event, Invocation, Run
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
    new = successor(old, old.run_id, max(clock.now(), old.created_at + _APART))
    new.payload, new.content_type = continued.payload, continued.content_type
    store(new)
    Event.objects.filter(run=old).update(run=new)
    Invocation.objects.filter(child=old).update(child=new)
    return new


def begin(new: Run) -> None:
    """The other one has ended, in the same transaction, so that its id is free."""
    now = clock.now()
    Run.objects.filter(pk=new.pk).update(live_id=new.run_id)
    first_message(new, now, now).save(force_insert=True)
    get_dispatcher().ring()


def continuation_of(run: Run) -> Run | None:
    """The run that has gone on in its place; those that resume or restart a run have other ids."""
    return Run.objects.filter(origin=run, run_id=run.run_id).first()
