"""Processes that end in the middle of a run, as far as a test can have them end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NoReturn

from workflows_app.protocol.runs import FailedAttempt, StepKind, StepRecord
from workflows_app.sdk.replay import Recorder
from workflows_app.testing.steps import StepName

_STORED_BY_THE_SERVER = (
    StepKind.CALL,
    StepKind.INVOKE,
    StepKind.NOTIFY,
    StepKind.WAIT,
    StepKind.WAIT_FOR_WEBHOOK,
)


class Died(Exception):
    """Unwinds the workflow function; nothing that it does meanwhile is stored."""


class ProcessDied(BaseException):
    """Unwinds the engine, which settles nothing: the lease is left to run out."""


class Moment(Enum):
    """When the process ends: a step's function has returned, and its result is stored or not."""

    BEFORE_STORING = auto()
    AFTER_STORING = auto()


@dataclass(frozen=True, slots=True)
class _Crash:
    name: StepName
    moment: Moment


class Crashes:
    """Those that are still to come; each happens once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: list[_Crash] = []

    def plan(self, name: StepName, moment: Moment) -> None:
        self._coming.append(_Crash(name, moment))

    def strike(self, moment: Moment, workflow: str, steps: Iterable[StepRecord]) -> None:
        """Raises Died if the process is to end now."""
        for step in steps:
            self._strike_at(moment, workflow, step)

    def strike_at_replay(self, workflow: str, steps: Iterable[StepRecord]) -> None:
        """The same after steps whose results the server stores between turns."""
        others = (step for step in steps if step.kind in _STORED_BY_THE_SERVER)
        self.strike(Moment.AFTER_STORING, workflow, others)

    def unused(self) -> list[str]:
        return [
            f"the process was to end at {crash.name}, which was never stored"
            for crash in self._coming
        ]

    def _strike_at(self, moment: Moment, workflow: str, step: StepRecord) -> None:
        with self._lock:
            for crash in self._coming:
                if crash.moment is moment and crash.name.names(workflow, step.name, step.key):
                    self._coming.remove(crash)
                    _die(step)


def _die(step: StepRecord) -> NoReturn:
    raise Died(f'the process ended at step "{step.key}"')


class CrashingRecorder:
    """The journal of a process that may end before or after it has stored something."""

    def __init__(self, recorder: Recorder, crashes: Crashes, workflow: str) -> None:
        self._recorder = recorder
        self._crashes = crashes
        self._workflow = workflow

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        self._crashes.strike(Moment.BEFORE_STORING, self._workflow, steps)
        stood = self._recorder.record(steps, attempts)
        self._crashes.strike(Moment.AFTER_STORING, self._workflow, steps)
        return stood

    def atomic(self, execute: Callable[[], StepRecord]) -> StepRecord:
        def executed() -> StepRecord:
            record = execute()
            self._crashes.strike(Moment.BEFORE_STORING, self._workflow, [record])
            return record

        record = self._recorder.atomic(executed)
        self._crashes.strike(Moment.AFTER_STORING, self._workflow, [record])
        return record
