"""One call of a workflow function, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from workflows_app.protocol.runs import FailedAttempt, StepKind, StepRecord, TurnOutcome
from workflows_app.sdk.sagas import Rollback
from workflows_app.serving.asking import Asked, AskingReplay, asked_of
from workflows_app.serving.recorder import Collector


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The function, called once: what it asked for, what was executed, how it ended."""

    replay: AskingReplay
    done: Collector
    outcome: TurnOutcome
    rollback: Rollback | None = None
    """What is to be undone before the run ends."""

    def attempt(self, key: str) -> FailedAttempt | None:
        return next((each for each in self.done.attempts if each.key == key), None)

    def record(self, key: str) -> StepRecord | None:
        return next((each for each in self.done.steps if each.key == key), None)

    @property
    def asked(self) -> dict[str, Asked]:
        """The next steps by key. A race is one once it is decided; a mark may come at the end."""
        found = {
            key: each
            for key, each in self.replay.asked.items()
            if each.kind is not StepKind.RACE or self.record(key) is not None
        }
        marks = [asked_of(each) for each in self.done.steps if each.kind is StepKind.PATCHED]
        return {**found, **{each.key: each for each in marks}}

    def has_executed(self, key: str) -> bool:
        return self.attempt(key) is not None or self.record(key) is not None
