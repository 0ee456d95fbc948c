"""What a call of the function did, kept for whoever stores it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NoReturn

from workflows_app.errors import StepMisuse
from workflows_app.protocol.runs import FailedAttempt, StepRecord


class Collecting:
    """A `Recorder` that stores nothing, so that no step can be atomic: `NO_ATOMIC` says why not."""

    NO_ATOMIC: ClassVar[str]

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []
        self.attempts: list[FailedAttempt] = []

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        self.steps += steps
        self.attempts += attempts
        return {}

    def atomic(self, execute: Callable[[], StepRecord]) -> NoReturn:
        raise StepMisuse(self.NO_ATOMIC)
