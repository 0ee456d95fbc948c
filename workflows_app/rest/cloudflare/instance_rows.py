"""An instance with all that its detail shows, read in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, F, TextField, When
from django.db.models.functions import Length, Right, Substr

from workflows_app.engine import clock
from workflows_app.engine.in_flight import steps_in_flight
from workflows_app.engine.states import State, state_of
from workflows_app.models import Attempt, Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.byte_texts import is_cut_bytes, size_of_bytes
from workflows_app.protocol.redaction import Redactor, redactor_of
from workflows_app.protocol.runs import CallRequest, StepInFlight
from workflows_app.protocol.wire_requests import decode_call

_BOOKKEEPING = (
    Step.Kind.PATCHED,
    Step.Kind.RACE,
    Step.Kind.PLAN,
    Step.Kind.CALL_SENT,
    Step.Kind.CALL_ANSWERED,
)
"""Rows of the journal that nobody wrote a step for."""
WAITS = (Step.Kind.WAIT, Step.Kind.WAIT_FOR_WEBHOOK)
_READ_WHOLE = (*WAITS, Step.Kind.INVOKE, Step.Kind.ROLLBACK)
"""What is shown of their results is not their begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRows:
    run: Run
    state: State
    steps: list[Step]
    """Oldest first, without their results."""
    results: Mapping[str, str | None]
    """By the keys of the steps: JSON, or as much of it as was asked for."""
    sizes: Mapping[str, int]
    """In bytes, of those results that are bytes and were not read whole."""
    attempts: Mapping[str, list[Attempt]]
    """Those that did not succeed, oldest first, by the keys of their steps."""
    waiters: list[Waiter]
    calls: list[tuple[CallRequest, datetime]]
    """Those under way, and since when."""
    in_flight: StepInFlight | None
    """The step that a worker is at, if that is known."""
    invocations: Mapping[str, Invocation]
    """By the keys of the steps that wait, or waited, for the ends of other runs."""

    @property
    def redactor(self) -> Redactor:
        return redactor_of(self.run.redaction)

    @property
    def told_until(self) -> datetime:
        """Up to when the times of its steps can have come: nothing ends while it is paused."""
        return self.run.ended_at or self.run.paused_at or clock.now()


def read_rows(run: Run, head: int | None) -> InstanceRows:
    """With so many characters of each result, or with all of them. Results that are to be hidden
    are read whole, as what is shown is their hash.

    While this is read the run goes on: what comes first, the state, is told with all that had led
    to it, as that is read later; the steps come last, as what was waited for becomes one.
    """
    state = state_of(run)
    kinds = (Message.Kind.CALL, Message.Kind.TURN)
    owed = list(Message.objects.filter(run=run, kind__in=kinds).order_by("pk"))
    waiters = list(Waiter.objects.filter(run=run).order_by("pk"))
    attempts: dict[str, list[Attempt]] = {}
    for attempt in Attempt.objects.filter(run=run).order_by("pk"):
        attempts.setdefault(attempt.key, []).append(attempt)
    invocations = Invocation.objects.filter(parent=run).select_related("child")
    invoked = {each.key: each for each in invocations.defer("child__payload")}
    steps = _read_steps(run, None if redactor_of(run.redaction).hides_anything else head)
    known = {step.key for step in steps}
    return InstanceRows(
        run=run,
        state=state,
        steps=steps,
        results={step.key: step.head for step in steps},
        sizes=_sizes([step.pk for step in steps if step.head and is_cut_bytes(step.head)]),
        attempts=attempts,
        waiters=[each for each in waiters if each.key not in known],
        calls=[
            (decode_call(each.request), each.created_at)
            for each in owed
            if each.kind == Message.Kind.CALL and each.key not in known
        ],
        in_flight=steps_in_flight(owed).get(run.pk),
        invocations=invoked,
    )


def _sizes(pks: list[int]) -> dict[str, int]:
    if not pks:
        return {}
    steps = Step.objects.filter(pk__in=pks).values_list("key", Length("result"), Right("result", 4))
    return {key: size_of_bytes(length, end) for key, length, end in steps}


def _read_steps(run: Run, head: int | None) -> list[Any]:
    steps = Step.objects.filter(run=run).exclude(kind__in=_BOOKKEEPING)
    part = F("result") if head is None else Substr("result", 1, head)
    whole = When(kind__in=_READ_WHOLE, then=F("result"))
    read = Case(whole, default=part, output_field=TextField())
    return list(steps.annotate(head=read).defer("raw", "result").order_by("pk"))
