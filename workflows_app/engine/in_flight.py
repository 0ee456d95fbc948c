"""Which steps workers are at in this moment, as they said when they renewed their leases."""

from __future__ import annotations

from collections.abc import Iterable

from workflows_app.engine import clock
from workflows_app.models import Message, Step
from workflows_app.protocol.runs import StepInFlight


def steps_in_flight(messages: Iterable[Message]) -> dict[int, StepInFlight]:
    """By the runs' primary keys, of those whose messages are worked on. Steps that begin and end
    between two renewals are not known.
    """
    now = clock.now()
    found = {
        message.run_id: StepInFlight(key=message.at_step, since=message.at_step_since)
        for message in messages
        if message.run_id is not None
        and message.at_step_since is not None
        and message.token is not None
        and message.due_at is not None
        and message.due_at > now
    }
    if not found:
        return {}
    keys = {step.key for step in found.values()}
    recorded = Step.objects.filter(run_id__in=found, key__in=keys).values_list("run_id", "key")
    ended = set(recorded)
    return {run_pk: step for run_pk, step in found.items() if (run_pk, step.key) not in ended}
