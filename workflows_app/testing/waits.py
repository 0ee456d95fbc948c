"""What a run waits for, as a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from workflows_app.engine import clock
from workflows_app.engine.withdrawing import Lost
from workflows_app.models import Attempt, Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.wire_requests import decode_call


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Something that a run waits for.

    `kind` is that of the step, such as "sleep", "wait" or "call"; "retry" when a step, or the
    function (then `step` is empty), is to be tried again. `until` is when the wait ends by itself;
    None when it does not.
    """

    step: str
    kind: str
    until: datetime | None = None
    event_id: str | None = None


def waits_of(run: Run) -> list[Wait]:
    """In the order in which they began, as far as that is known."""
    if not run.is_live:
        return []
    found = [*_sleeps(run), *_events(run), *_calls(run), *_invocations(run), *_retries(run)]
    return found or list(_start(run))


def _sleeps(run: Run) -> Iterator[Wait]:
    lost = [Lost.of(race) for race in run.steps.filter(kind=Step.Kind.RACE)]
    asleep = run.steps.filter(kind=Step.Kind.SLEEP, ended_at__gt=clock.now())
    for step in asleep.order_by("pk"):
        if not any(each.include(step.branch) for each in lost):
            yield Wait(step=step.name, kind="sleep", until=step.ended_at)


def _events(run: Run) -> Iterator[Wait]:
    for waiter in Waiter.objects.filter(run=run).order_by("pk"):
        said = decode_json(waiter.step)
        yield Wait(
            step=said["stepName"],
            kind=said["kind"],
            until=waiter.deadline,
            event_id=waiter.event_id,
        )


def _calls(run: Run) -> Iterator[Wait]:
    calls = run.messages.filter(kind=Message.Kind.CALL).order_by("pk")
    for message in calls:
        yield Wait(step=decode_call(message.request).name, kind="call", until=message.due_at)


def _invocations(run: Run) -> Iterator[Wait]:
    ended = run.steps.values("key")
    for invocation in Invocation.objects.filter(parent=run).exclude(key__in=ended).order_by("pk"):
        yield Wait(step=decode_json(invocation.step)["stepName"], kind="invoke")


def _retries(run: Run) -> Iterator[Wait]:
    ended = run.steps.values("key")
    # The attempts of calls are among them; those are told as calls.
    called = run.messages.filter(kind=Message.Kind.CALL).values("key")
    tried = Attempt.objects.filter(run=run, retry_at__gt=clock.now())
    for attempt in tried.exclude(key__in=ended).exclude(key__in=called).order_by("pk"):
        yield Wait(step=attempt.key, kind="retry", until=attempt.retry_at)


def _start(run: Run) -> Iterator[Wait]:
    turns = run.messages.filter(kind=Message.Kind.TURN, claims=0, due_at__gt=clock.now())
    for turn in turns:
        yield Wait(step="", kind="start", until=turn.due_at)
