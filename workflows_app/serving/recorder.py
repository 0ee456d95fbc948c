"""What a call of the function did, kept until it is published."""

from __future__ import annotations

from collections.abc import Callable

from workflows_app.errors import StepMisuse
from workflows_app.protocol.runs import FailedAttempt, StepRecord


class Collector:
    """A `Recorder` that stores nothing: what it is given becomes messages."""

    def __init__(self) -> None:
        self.steps: list[StepRecord] = []
        self.attempts: list[FailedAttempt] = []

    def record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        self.steps += steps
        self.attempts += attempts
        return {}

    def atomic(self, execute: Callable[[], StepRecord]) -> StepRecord:
        raise StepMisuse(
            "context.atomic cannot be served: the step's result is stored by the workflow server, "
            "which cannot commit it together with your database. Use context.run with the "
            "idempotency key, or have a worker beside your database run this workflow"
        )
