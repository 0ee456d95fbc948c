"""What a resumed remote run begins with: the step list of the run that failed, without work that
came to nothing, which is owed again (Upstash reference 4.11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from workflows_app.engine import clock
from workflows_app.engine.remote.journal import owe_delivery
from workflows_app.engine.remote.publishing import owe_call
from workflows_app.engine.triggering import first_message
from workflows_app.models import Run, Step
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.header_values import parse_flow_control
from workflows_app.protocol.runs import CallRequest, FlowControlSpec, StepKind


@dataclass(frozen=True, slots=True)
class Remains:
    """Steps to copy, in this order, and those of them that are to be delivered again."""

    kept: Sequence[Step]
    again: Sequence[Step]


def what_remains(steps: Sequence[Step]) -> Remains:
    """Of a failed run's steps, oldest first. Plans without a result come last, as a delivery's list
    ends with the step that is delivered.
    """
    numbers = {step.key for step in steps if ":" not in step.key}
    open_plans = [
        step
        for step in steps
        if step.kind == StepKind.PLAN and step.key.partition(":")[0] not in numbers
    ]
    if not open_plans:
        return Remains(steps, steps[-1:])
    begun = {step.key.partition(":")[0] for step in open_plans}
    kept = [step for step in steps if step.key.partition(":")[0] not in begun]
    return Remains([*kept, *open_plans], open_plans)


def resume(old: Run, new: Run, delay: timedelta) -> None:
    """Give the stored run `new` what remains of `old`, and owe what is to be done."""
    remains = what_remains(list(Step.objects.filter(run=old).order_by("id")))
    now = clock.now()
    due_at = now + delay
    again = {step.key for step in remains.again}
    for step in remains.kept:
        step.pk, step.run = None, new
        # What slept sleeps on; what is not delivered again is over.
        end = max(due_at, step.ended_at) if step.key in again else min(step.ended_at, now)
        step.ended_at = max(step.started_at, end)
    Step.objects.bulk_create(remains.kept)
    for step in remains.again:
        if step.kind == StepKind.CALL_SENT:
            owe_call(new, step, _call_of(step), _limits_of(step))
        else:
            owe_delivery(new, step)
    if not remains.kept:
        first_message(new, due_at, now).save(force_insert=True)


def _call_of(step: Step) -> CallRequest:
    asked = decode_json(step.input or "{}")
    timeout = asked.get("timeout")
    return CallRequest(
        key=step.key,
        name=step.name,
        branch="",
        url=asked["url"],
        method=asked["method"],
        headers=asked["headers"],
        body=bytes(step.raw or b"") or None,
        retries=asked["retries"],
        retry_delay=asked.get("retryDelay", ""),
        timeout=None if timeout is None else timedelta(seconds=timeout),
    )


def _limits_of(call: Step) -> FlowControlSpec | None:
    asked = decode_json(call.input or "{}").get("flowControl")
    return None if asked is None else parse_flow_control(asked["key"], asked["value"])
