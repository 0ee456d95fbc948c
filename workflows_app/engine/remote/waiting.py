"""Steps of remote runs that wait for events (Upstash reference 4.6, 4.7)."""

from __future__ import annotations

from datetime import timedelta

from workflows_app.engine.database import joining
from workflows_app.engine.remote.journal import accepted_as, append, due_at, lock_live, owe_delivery
from workflows_app.engine.remote.reading import Wait
from workflows_app.engine.waiting import end_wait, owe_timeout, take_event
from workflows_app.errors import LimitExceeded
from workflows_app.models import Account, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.delivery_options import decode_options
from workflows_app.protocol.ids import step_message_id, waiter_message_id
from workflows_app.protocol.published import step_of, timed_out, waited
from workflows_app.protocol.publishing import Accepted, WaitRequest


def wait(account: Account, request: WaitRequest) -> Accepted:
    """Have a step wait for an event; an event that came before is taken at once.

    Raises RunEnded, and LimitExceeded for what the endpoint must not try again.
    """
    said = step_of(decode_json(request.step))
    if said is None or not said.step_id:
        raise LimitExceeded('a wait needs a "step" with stepId, stepName and stepType')
    deadline = due_at(request.timeout, None)
    since = deadline - max(request.timeout, timedelta())
    with joining():
        run = lock_live(account, request.run_id)
        if (done := accepted_as(run, said.key)) is not None:
            return done
        waiter, new = Waiter.objects.get_or_create(
            run=run,
            key=said.key,
            defaults={
                "account": account,
                "event_id": request.event_id,
                "step": request.step,
                "options": request.options.encode(),
                "deadline": deadline,
                "created_at": since,
            },
        )
        if not new:
            return Accepted(message_id=waiter_message_id(waiter.pk), deduplicated=True)
        data = take_event(run, request.event_id)
        if data is not None:
            step = complete(run, waiter, data)
            return Accepted(message_id=step_message_id(step.pk))
        owe_timeout(waiter)
    return Accepted(message_id=waiter_message_id(waiter.pk))


def complete(run: Run, waiter: Waiter, data: bytes | None) -> Step:
    """Turn a waiter of a locked run into the result of its step: with the data of its event, or
    None when its deadline has come.
    """
    raw = (
        timed_out(waiter.step, waiter.event_id)
        if data is None
        else waited(waiter.step, waiter.event_id, data)
    )
    said = step_of(decode_json(raw))
    assert said is not None, "as it was when the wait was accepted"  # noqa: S101
    end_wait(run, waiter.key)
    if (known := Step.objects.filter(run=run, key=said.key).first()) is not None:
        # Its endpoint published it in the moment in which the wait began: see `recording`.
        return known
    lasted = Wait(since=waiter.created_at, deadline=waiter.deadline)
    step = append(
        run, key=said.key, name=said.name, kind=said.kind, raw=raw, details=lasted.encode()
    )
    owe_delivery(run, step, decode_options(waiter.options))
    return step
