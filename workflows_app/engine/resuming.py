"""What a resumed run keeps of the journal of the run that failed.

That is all but the step which failed the run and what came because of it. Failures that the
function handled are kept, as what it went on with rests on them. A run that was being rolled back
goes on with that: it keeps all but the failures to undo something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workflows_app.models import Step
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.faults import is_cancellation
from workflows_app.protocol.runs import UNDO


def steps_to_keep(steps: Sequence[Step], error: Mapping[str, Any]) -> list[Step]:
    """Those of `steps`, oldest first, that a run which failed with `error` is resumed with."""
    if _rollback_in(steps) is not None:
        return [step for step in steps if step.error is None or not _undoes(step)]
    culprit = next((step for step in steps if step.key == error.get("key")), None)
    if culprit is None:
        return list(steps)
    opened: Mapping[str, int] = error.get("opened", {})
    kept = [
        step
        for step in steps
        if step.kind == Step.Kind.PATCHED
        or is_cancellation(step.error)
        or (_came_before(step, culprit, opened) and not _failed_beside(step, culprit, steps))
    ]
    return without_open_races(kept)


def without_open_races(steps: Sequence[Step]) -> list[Step]:
    """A race whose end is not kept is run again, also by the branches that had lost it."""
    decided = {step.key for step in steps if step.kind == Step.Kind.RACE}
    return [
        step
        for step in steps
        if not is_cancellation(step.error) or (step.error_info or {})["lost"] in decided
    ]


def is_all_undone(steps: Sequence[Step]) -> bool:
    """Whether the run was rolled back, and nothing of that is left to be done."""
    rollback = _rollback_in(steps)
    if rollback is None:
        return False
    undone = {step.key for step in steps if step.error is None and _undoes(step)}
    return all(f"{key}{UNDO}" in undone for key in decode_json(rollback.result or "[]"))


def _rollback_in(steps: Sequence[Step]) -> Step | None:
    return next((step for step in steps if step.key == UNDO), None)


def _undoes(step: Step) -> bool:
    return step.kind == Step.Kind.ROLLBACK and step.key != UNDO


def waits_to_keep(
    branches: Mapping[str, str], steps: Sequence[Step], error: Mapping[str, Any]
) -> set[str]:
    """The keys of steps that a run which failed with `error` still waited for and that it is
    resumed with; `branches` are those of all that it waited for, by key.
    """
    culprit = next((step for step in steps if step.key == error.get("key")), None)
    opened: Mapping[str, int] = error.get("opened", {})
    return {
        key
        for key, branch in branches.items()
        if culprit is None or _opened_before(branch, culprit.branch, opened)
    }


def _came_before(step: Step, culprit: Step, opened: Mapping[str, int]) -> bool:
    """Not because of the culprit, that is: as later steps of its branch and of those that it is
    part of, and branches that were opened after its end, may have come.
    """
    return step.pk < culprit.pk or _opened_before(step.branch, culprit.branch, opened)


def _opened_before(branch: str, culprit: str, opened: Mapping[str, int]) -> bool:
    if _contains(branch, culprit):
        return False
    parent, number, _ = _parting(branch, culprit)
    return number <= opened.get(parent, 0)


def _failed_beside(step: Step, culprit: Step, steps: Sequence[Step]) -> bool:
    """Whether its branch failed beside that of the culprit, which of several errors was the one
    that was raised.
    """
    if step.error is None or step is culprit or _contains(step.branch, culprit.branch):
        return False
    if any(other.pk > step.pk and _contains(step.branch, other.branch) for other in steps):
        return False
    _, _, beside = _parting(step.branch, culprit.branch)
    first = next((other for other in steps if beside and _contains(beside, other.branch)), None)
    return first is not None and (step.pk > first.pk or step.ended_at > first.started_at)


def _parting(branch: str, other: str) -> tuple[str, int, str]:
    """Where a branch parts from another that it does not contain: the branch that both are part of,
    the number of the part of it that only the first is in, and the part that the other is in.
    """
    ours, theirs = branch.split("."), other.split(".") if other else []
    shared = 0
    while shared < len(theirs) and ours[shared] == theirs[shared]:
        shared += 1
    return ".".join(ours[:shared]), int(ours[shared]), ".".join(theirs[: shared + 1])


def _contains(branch: str, other: str) -> bool:
    return branch in ("", other) or other.startswith(f"{branch}.")
