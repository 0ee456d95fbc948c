"""Replaying a run against the code as it is now, without running a step or writing anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.begun import begun_steps
from workflows_app.engine.history import load_history
from workflows_app.engine.withdrawing import Lost
from workflows_app.errors import IncompatibleHistory
from workflows_app.models import Message, Run
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import (
    Failed,
    FailedAttempt,
    History,
    StepKind,
    StepRecord,
    Suspended,
    TurnOutcome,
)
from workflows_app.sdk.authoring import Workflow
from workflows_app.sdk.base_context import Ports
from workflows_app.sdk.replay import Extent
from workflows_app.sdk.sagas import is_being_rolled_back
from workflows_app.sdk.turn import run_turn
from workflows_app.worker.local import run_info


class ForgetfulRecorder:
    """Takes what a turn would store and keeps only how the function itself failed, the marks of
    changes, and which branches have lost.
    """

    def __init__(self) -> None:
        self.failures: list[FailedAttempt] = []
        self.marks: list[StepRecord] = []
        self.lost: list[Lost] = []

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        self.failures += attempts
        self.marks += [step for step in steps if step.kind is StepKind.PATCHED]
        self.lost += [Lost.of(step) for step in steps if step.kind is StepKind.RACE]
        return {}

    def atomic(self, execute: Callable[[], StepRecord]) -> NoReturn:
        raise AssertionError("no step is run in a rehearsal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """Why the run could not go on with the code, None when it could; and which of the changes that
    it has come to it follows.
    """

    misfit: str | None
    patches: Mapping[str, bool]


def rehearse(workflow: Workflow, run: Run) -> Rehearsed:
    # Before the history: what is answered in between is then in both, not in neither.
    owed = set(_owed_calls(run))
    rehearsal = _Rehearsal(workflow, run)
    outcome = rehearsal.turn()
    # What shows only at the end of a turn is known in the next.
    while isinstance(outcome, Suspended) and rehearsal.has_learned():
        outcome = rehearsal.turn()
    return Rehearsed(misfit=rehearsal.misfit(outcome, owed), patches=rehearsal.patches)


class _Rehearsal:
    def __init__(self, workflow: Workflow, run: Run) -> None:
        self._workflow = workflow
        self._run = run
        self._history = load_history(run)
        self._recorder = ForgetfulRecorder()
        self.patches: dict[str, bool] = {}

    def turn(self) -> TurnOutcome:
        return run_turn(
            self._workflow,
            run_info(self._run),
            self._history,
            Ports(
                recorder=self._recorder,
                begun=partial(begun_steps, [self._run.pk]),
                on_patched=self.patches.__setitem__,
            ),
            now=clock.now,
            max_result_bytes=get_settings().MAX_RESULT_BYTES,
            extent=Extent.RECORDED,
        )

    def has_learned(self) -> bool:
        marks = tuple(self._recorder.marks)
        self._recorder.marks.clear()
        self._history = replace(self._history, steps=self._history.steps + marks)
        return bool(marks)

    def misfit(self, outcome: TurnOutcome, owed: set[str]) -> str | None:
        if isinstance(outcome, Failed):
            error = decode_json(outcome.error)
            if error["type"] == IncompatibleHistory.__name__:
                return str(error["message"])
        if is_being_rolled_back(self._history):
            return None
        for attempt in self._recorder.failures:
            error = decode_json(attempt.error)
            return f"between its steps the code raises {error['type']}: {error['message']}"
        asked = {call.key for call in outcome.calls} if isinstance(outcome, Suspended) else set()
        lost = {key for key in owed if any(each.include_step(key) for each in self._recorder.lost)}
        return _left_behind(owed - asked - lost, self._history)


def _owed_calls(run: Run) -> list[str]:
    calls = Message.objects.filter(run=run, kind=Message.Kind.CALL)
    return list(calls.values_list("key", flat=True))


def _left_behind(calls: set[str], history: History) -> str | None:
    for key in sorted(calls - {step.key for step in history.steps}):
        return f'its call "{key}" is under way, and the code does not ask for it at this place'
    return None
