"""What branches that have lost a race wait for is withdrawn, and stays in the journal as steps that
were cancelled.

Both come with the record of who has won, in one transaction. Runs that were invoked go on, as runs
of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from django.db.models import Max, Min, Value
from django.db.models.functions import Greatest

from workflows_app.engine import clock
from workflows_app.engine.step_inputs import input_of_call, input_of_invocation, input_of_wait
from workflows_app.models import Attempt, Invocation, Message, Step, Waiter
from workflows_app.protocol.branches import paths_above
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.faults import LOST, describe_cancellation
from workflows_app.protocol.runs import StepKind, StepRecord
from workflows_app.protocol.wire_requests import decode_call

_SERVES_STEPS = (Message.Kind.CALL, Message.Kind.TIMEOUT, Message.Kind.REPORT)
_KEY = re.compile(r"(?P<name>.+)@(?P<branch>[0-9.]+)(#[0-9]+)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The branches that have lost a race: `race` is the key of the step that decided it, `within`
    the branch that it is part of.
    """

    race: str
    within: str
    branches: frozenset[str]

    @classmethod
    def of(cls, race: StepRecord | Step) -> Lost:
        winner = decode_json(race.result or "{}")["winner"]
        branches = decode_json(race.input or "{}")["branches"]
        lost = frozenset(branch for branch in branches if branch != winner)
        return cls(race=race.key, within=race.branch, branches=lost)

    def include(self, branch: str) -> bool:
        """Whether this is one of them, or part of one."""
        return not self.branches.isdisjoint(paths_above(branch))

    def include_step(self, key: str) -> bool:
        said = _KEY.fullmatch(key)
        return said is not None and self.include(said["branch"])

    @property
    def mark(self) -> str:
        """What the keys of their steps contain, and those of some others."""
        return f"@{self.within}." if self.within else "@"


def withdraw(run_pk: int, race: StepRecord) -> list[StepRecord]:
    """What the losers wait for, as steps to be recorded. The run's turn is locked."""
    lost = Lost.of(race)
    reading = (_retries, _calls, _waits, _invocations)
    waiting = [step for read in reading for step in read(run_pk, lost)]
    canceled = {
        step.key: replace(step, error=describe_cancellation(race.key))
        for step in waiting
        if lost.include(step.branch)
    }
    Waiter.objects.filter(run=run_pk, key__in=canceled).delete()
    Message.objects.filter(run=run_pk, kind__in=_SERVES_STEPS, key__in=canceled).delete()
    _end_sleeps(run_pk, lost, race)
    return list(canceled.values())


def is_withdrawn(run_pk: int, key: str) -> bool:
    """Whether the step has been cancelled so."""
    return Step.objects.filter(run=run_pk, key=key, error__startswith=LOST).exists()


def _end_sleeps(run_pk: int, lost: Lost, race: StepRecord) -> None:
    """They are in the journal from their beginning."""
    asleep = Step.objects.filter(run=run_pk, kind=Step.Kind.SLEEP, key__contains=lost.mark)
    asleep = asleep.filter(ended_at__gt=race.ended_at)
    keys = [key for key, branch in asleep.values_list("key", "branch") if lost.include(branch)]
    asleep.filter(key__in=keys).update(
        error=describe_cancellation(race.key), ended_at=Greatest("started_at", Value(race.ended_at))
    )


def _retries(run_pk: int, lost: Lost) -> Iterator[StepRecord]:
    """Of steps that are called here; their attempts do not tell an atomic one."""
    failed = Attempt.objects.filter(run=run_pk, key__contains=lost.mark).values_list("key")
    failed = failed.filter(outcome=Attempt.Outcome.FAILED).order_by("key")
    told = failed.annotate(Min("started_at"), Max("number"), Max("config"))
    for key, began, number, config in told:
        said = _KEY.fullmatch(key)
        if said is not None:
            yield StepRecord(
                key=key,
                name=said["name"],
                kind=StepKind.RUN,
                branch=said["branch"],
                input=None,
                result=None,
                error=None,
                attempts=number,
                started_at=began,
                ended_at=clock.now(),
                config=config,
            )


def _calls(run_pk: int, lost: Lost) -> Iterator[StepRecord]:
    owed = Message.objects.filter(run=run_pk, kind=Message.Kind.CALL, key__contains=lost.mark)
    for message in owed:
        call = decode_call(message.request)
        yield StepRecord(
            key=call.key,
            name=call.name,
            kind=StepKind.CALL,
            branch=call.branch,
            input=input_of_call(call),
            result=None,
            error=None,
            attempts=1,
            started_at=message.created_at,
            ended_at=clock.now(),
        )


def _waits(run_pk: int, lost: Lost) -> Iterator[StepRecord]:
    for waiter in Waiter.objects.filter(run=run_pk, key__contains=lost.mark):
        said = decode_json(waiter.step)
        yield StepRecord(
            key=waiter.key,
            name=said["stepName"],
            kind=StepKind(said["kind"]),
            branch=said["branch"],
            input=input_of_wait(waiter.event_id, said["timeout"]),
            result=None,
            error=None,
            attempts=1,
            started_at=waiter.created_at,
            ended_at=clock.now(),
        )


def _invocations(run_pk: int, lost: Lost) -> Iterator[StepRecord]:
    invoked = Invocation.objects.filter(parent=run_pk, key__contains=lost.mark)
    for invocation in invoked.select_related("child").defer("child__payload"):
        said = decode_json(invocation.step)
        yield StepRecord(
            key=invocation.key,
            name=said["stepName"],
            kind=StepKind.INVOKE,
            branch=said["branch"],
            input=input_of_invocation(invocation.child),
            result=None,
            error=None,
            attempts=1,
            started_at=invocation.created_at,
            ended_at=clock.now(),
        )
