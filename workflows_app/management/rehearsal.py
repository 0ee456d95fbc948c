"""Replaying a run against the code as it is now, without running a step or writing anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.journal import load_history
from workflows_app.errors import IncompatibleHistory
from workflows_app.models import Message, Run
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import Failed, FailedAttempt, History, StepRecord, Suspended
from workflows_app.sdk.authoring import Workflow
from workflows_app.sdk.base_context import Ports
from workflows_app.sdk.replay import Extent
from workflows_app.sdk.turn import run_turn
from workflows_app.worker.local import run_info


class ForgetfulRecorder:
    """Takes what a turn would store and keeps only how the function itself failed."""

    def __init__(self) -> None:
        self.failures: list[FailedAttempt] = []

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        self.failures += attempts
        return {}

    def atomic(self, execute: Callable[[], StepRecord]) -> NoReturn:
        raise AssertionError("no step is run in a rehearsal")


def misfit(workflow: Workflow, run: Run) -> str | None:
    """Why the run could not go on with the workflow's code; None when it could."""
    # Before the history: what is answered in between is then in both, not in neither.
    owed = set(_owed_calls(run))
    history = load_history(run)
    recorder = ForgetfulRecorder()
    outcome = run_turn(
        workflow,
        run_info(run),
        history,
        Ports(recorder=recorder),
        now=clock.now,
        max_result_bytes=get_settings().MAX_RESULT_BYTES,
        extent=Extent.RECORDED,
    )
    if isinstance(outcome, Failed):
        error = decode_json(outcome.error)
        if error["type"] == IncompatibleHistory.__name__:
            return str(error["message"])
    for attempt in recorder.failures:
        error = decode_json(attempt.error)
        return f"between its steps the code raises {error['type']}: {error['message']}"
    asked = {call.key for call in outcome.calls} if isinstance(outcome, Suspended) else set()
    return _left_behind(owed - asked, history)


def _owed_calls(run: Run) -> list[str]:
    calls = Message.objects.filter(run=run, kind=Message.Kind.CALL)
    return list(calls.values_list("key", flat=True))


def _left_behind(calls: set[str], history: History) -> str | None:
    for key in sorted(calls - {step.key for step in history.steps}):
        return f'its call "{key}" is under way, and the code does not ask for it at this place'
    return None
