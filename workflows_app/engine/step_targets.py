"""The steps that a run may begin again from, and what it keeps of its journal then.

Restarts and forks share this: all that began before the step keeps its result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django.db.models import Min

from workflows_app.engine.resuming import without_open_races
from workflows_app.errors import InvalidInput, Refused
from workflows_app.models import Attempt, Invocation, Message, Run, Step, Waiter
from workflows_app.protocol.runs import UNDO

_LATEST = float("inf")


class TargetKind(StrEnum):
    """What kind of step a run begins again from."""

    WORK = "work"
    """A function, a call, another run: all but the following."""
    SLEEP = "sleep"
    WAIT = "wait"
    """For an event, or for the call of a webhook."""


_WAITS = (Step.Kind.WAIT, Step.Kind.WAIT_FOR_WEBHOOK)
_NO_TARGETS = (Step.Kind.ROLLBACK, Step.Kind.PATCHED, Step.Kind.RACE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTarget:
    """The `count`th step of this name and kind, in the order in which they began."""

    name: str
    count: int = 1
    kind: TargetKind = TargetKind.WORK


def step_target(name: str, count: int = 1, kind: str = TargetKind.WORK) -> StepTarget:
    """As callers say it. Raises InvalidInput for another kind."""
    if kind not in list(TargetKind):
        raise InvalidInput(
            f"a run begins again from a step of the kind {', '.join(TargetKind)}, not {kind!r:.80}"
        )
    return StepTarget(name=name, count=count, kind=TargetKind(kind))


def may_be_target(step: Step) -> bool:
    return _kind_of(step) is not None


def target_of(step: Step) -> StepTarget:
    """What names a recorded step that may be one."""
    kind = _kind_of(step)
    assert kind is not None, f"nothing begins with a step of the kind {step.kind}"  # noqa: S101
    steps, tried = list(Step.objects.filter(run=step.run_id)), _first_attempts(step.run)
    begun = {each.key: _begun(each, tried) for each in steps}
    target = StepTarget(name=step.name, kind=kind)
    found = _begun_like(step.run, target, steps, begun, tried)
    return replace(target, count=1 + found.index(begun[step.key]))


@dataclass(frozen=True, slots=True)
class _Begun:
    """A step that has begun: when, and of those that began at once, which came first."""

    key: str
    at: datetime
    number: float

    def comes_before(self, other: _Begun) -> bool:
        return (self.at, self.number) < (other.at, other.number)


def steps_before(run: Run, target: StepTarget) -> list[Step]:
    """What the run has recorded of steps that began before the target did."""
    steps = list(Step.objects.filter(run=run).order_by("pk"))
    tried = _first_attempts(run)
    begun = {step.key: _begun(step, tried) for step in steps}
    cut = _find(run, target, steps, begun, tried)
    kept, left = [], set[str]()
    for step in steps:
        if step.kind == Step.Kind.ROLLBACK:
            continue
        is_decided = step.kind != Step.Kind.RACE or step.ended_at <= cut.at
        if is_decided and step.branch not in left and begun[step.key].comes_before(cut):
            kept.append(step)
        elif step.kind != Step.Kind.PATCHED:
            # Whatever the clocks of two workers said: steps of a branch follow one another.
            left.add(step.branch)
    kept = without_open_races(kept)
    _check_not_undone(run, steps, kept)
    return kept


def _first_attempts(run: Run) -> dict[str, datetime]:
    failed = Attempt.objects.filter(run=run, outcome=Attempt.Outcome.FAILED).exclude(key="")
    return dict(failed.values_list("key").annotate(Min("started_at")))


def _begun(step: Step, tried: Mapping[str, datetime]) -> _Begun:
    """A step that was retried tells when its last attempt began."""
    return _Begun(step.key, min(step.started_at, tried.get(step.key, step.started_at)), step.pk)


def _find(
    run: Run,
    target: StepTarget,
    steps: Sequence[Step],
    begun: Mapping[str, _Begun],
    tried: Mapping[str, datetime],
) -> _Begun:
    found = _begun_like(run, target, steps, begun, tried)
    if not 1 <= target.count <= len(found):
        raise InvalidInput(
            f'run {run.run_id} has begun {len(found)} steps of the kind "{target.kind}" that are '
            f'called "{target.name[:100]}", so it cannot begin again from number {target.count}'
        )
    return found[target.count - 1]


def _begun_like(
    run: Run,
    target: StepTarget,
    steps: Sequence[Step],
    begun: Mapping[str, _Begun],
    tried: Mapping[str, datetime],
) -> list[_Begun]:
    """Those of its name and kind, in the order in which they began."""
    ended = [
        begun[step.key]
        for step in steps
        if step.name == target.name and _kind_of(step) == target.kind
    ]
    named = re.compile(re.escape(target.name) + r"(@[\d.]+)?(#\d+)?")
    going_on = [
        _Begun(key, at, _LATEST)
        for key, at in _going_on(run, target.kind, tried)
        if key not in begun and named.fullmatch(key)
    ]
    return sorted([*ended, *going_on], key=lambda each: (each.at, each.number))


def _kind_of(step: Step) -> TargetKind | None:
    """None for what is no step to those who wrote the workflow."""
    if step.kind in _NO_TARGETS:
        return None
    if step.kind == Step.Kind.SLEEP:
        return TargetKind.SLEEP
    return TargetKind.WAIT if step.kind in _WAITS else TargetKind.WORK


def _going_on(
    run: Run, kind: TargetKind, tried: Mapping[str, datetime]
) -> Iterator[tuple[str, datetime]]:
    """Steps without an entry in the journal, and since when."""
    match kind:
        case TargetKind.WAIT:
            yield from Waiter.objects.filter(run=run).values_list("key", "created_at")
        case TargetKind.WORK:
            calls = Message.objects.filter(run=run, kind=Message.Kind.CALL)
            yield from {
                **dict(calls.values_list("key", "created_at")),
                **dict(Invocation.objects.filter(parent=run).values_list("key", "created_at")),
                **{key: at for key, at in tried.items() if not key.endswith(UNDO)},
            }.items()


def _check_not_undone(run: Run, steps: Sequence[Step], kept: Sequence[Step]) -> None:
    keys = {step.key for step in steps}
    undone = next((step for step in kept if f"{step.key}{UNDO}" in keys), None)
    if undone is not None:
        raise Refused(
            f'run {run.run_id} was rolled back: what step "{undone.key}" had done has been undone, '
            "so its result cannot be kept; it may begin again from there, or from its beginning"
        )


def copy_invocations(old: Run, new: Run, kept: Sequence[Step]) -> None:
    """For people to see which runs the kept steps started."""
    keys = [step.key for step in kept if step.kind == Step.Kind.INVOKE]
    invocations = list(Invocation.objects.filter(parent=old, key__in=keys)) if keys else []
    for each in invocations:
        each.pk, each.parent = None, new
    Invocation.objects.bulk_create(invocations)
