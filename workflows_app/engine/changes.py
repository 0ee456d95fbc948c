"""What happens to runs, as it is told to people and programs that follow them: without what is to
be hidden from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import F
from django.db.models.functions import Length, Substr

from workflows_app.models import Attempt, Run, Step, Waiter
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.durations import unix_milliseconds
from workflows_app.protocol.faults import is_cancellation
from workflows_app.protocol.hiding import hidden_error, hidden_exchange, hidden_value
from workflows_app.protocol.redaction import SENSITIVE, Redactor, redactor_of
from workflows_app.protocol.step_keys import name_and_branch

MOST_SHOWN = 16_384
"""Characters of a result that is told; of a longer one, only its length is."""


class Kind(StrEnum):
    RUN_ACCEPTED = "run.accepted"
    RUN_STARTED = "run.started"
    STEP_SLEEPING = "step.sleeping"
    STEP_WAITING = "step.waiting"
    """For an event."""
    ATTEMPT_FAILED = "attempt.failed"
    STEP_FINISHED = "step.finished"
    STEP_FAILED = "step.failed"
    """With its last attempt."""
    STEP_CANCELED = "step.canceled"
    """As its branch has lost a race."""
    RUN_PAUSED = "run.paused"
    RUN_RESUMED = "run.resumed"
    RUN_ENDED = "run.ended"


_RANKS = {
    Kind.RUN_ACCEPTED: 0,
    Kind.RUN_STARTED: 1,
    Kind.STEP_FINISHED: 2,
    Kind.STEP_CANCELED: 2,
    Kind.STEP_SLEEPING: 2,
    Kind.ATTEMPT_FAILED: 3,
    Kind.STEP_FAILED: 4,
    Kind.STEP_WAITING: 5,
    Kind.RUN_PAUSED: 6,
    Kind.RUN_RESUMED: 7,
    Kind.RUN_ENDED: 8,
}
"""Of what happens at the same moment."""

RUN_FIELDS = (
    *("account", "run_id", "workflow", "url", "status", "redaction", "error"),
    *("created_at", "ended_at", "paused_at"),
)
"""What of a run is told, or decides what is."""


def head() -> Substr:
    """As much of a result as is told, and one character more when there is more."""
    return Substr(F("result"), 1, MOST_SHOWN + 1)


def size() -> Length:
    return Length(F("result"))


def size_of_raw() -> Length:
    return Length(F("raw"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    kind: Kind
    at: datetime
    run: Run
    step: str = ""
    """Its name; empty for the function between the steps."""
    key: str = ""
    step_kind: str = ""
    attempt: int | None = None
    began_at: datetime | None = None
    """Of a step, or of an attempt, that has ended at `at`."""
    result: str | None = None
    """JSON, as it is shown."""
    result_size: int | None = None
    """Of a result that is too long to be told."""
    error: Mapping[str, str] | None = None
    until: datetime | None = None
    event_id: str = ""
    number: int = 0
    """Of its row, among those of its kind."""

    @property
    def order(self) -> tuple[datetime, int, int]:
        return self.at, _RANKS[self.kind], self.number

    def body(self) -> dict[str, Any]:
        """As JSON; without what does not apply."""
        result = None if self.result is None else decode_json(self.result)
        said = {
            "step": self.step,
            "key": self.key,
            "kind": self.step_kind,
            "attempt": self.attempt,
            "startedAt": self.began_at and unix_milliseconds(self.began_at),
            "status": self.run.status if self.kind is Kind.RUN_ENDED else None,
            "resultSize": self.result_size,
            "error": self.error,
            "until": self.until and unix_milliseconds(self.until),
            "eventId": self.event_id,
        }
        return {
            "type": self.kind.value,
            "time": unix_milliseconds(self.at),
            "runId": self.run.run_id,
            "workflow": self.run.workflow or self.run.url,
            "createdAt": unix_milliseconds(self.run.created_at),
            **{name: value for name, value in said.items() if value not in (None, "")},
            **({} if self.result is None else {"result": result}),
        }


def run_ended(run: Any) -> Change:
    """The run has a `head` and a `size`."""
    shown = _Shown(run, redactor_of(run.redaction))
    return Change(
        kind=Kind.RUN_ENDED,
        at=run.ended_at,
        run=run,
        error=_error(run.error, shown.redactor),
        **shown.result(run.head, run.size),
    )


def step_begun(step: Step, run: Run) -> Change:
    """Of a sleep."""
    return Change(
        kind=Kind.STEP_SLEEPING,
        at=step.started_at,
        run=run,
        step=step.name,
        key=step.key,
        step_kind=step.kind,
        until=step.ended_at,
        number=step.pk,
    )


def step_ended(step: Any, run: Run, child: Run | None) -> Change:
    """The step has a `head` and a `size`; `child` is the run that it waited for, if any."""
    redactor = redactor_of(run.redaction)
    kind = Kind.STEP_FAILED if step.has_failed else Kind.STEP_FINISHED
    return Change(
        kind=Kind.STEP_CANCELED if is_cancellation(step.error) else kind,
        at=step.ended_at,
        run=run,
        step=step.name,
        key=step.key,
        step_kind=step.kind,
        attempt=step.attempts,
        began_at=step.started_at,
        error=_error(step.error, redactor) if step.has_failed else None,
        number=step.pk,
        **_Shown(run, redactor, step, child).result(step.head, step.size),
    )


def attempt_failed(attempt: Attempt, run: Run) -> Change:
    return Change(
        kind=Kind.ATTEMPT_FAILED,
        at=attempt.ended_at,
        run=run,
        step=name_and_branch(attempt.key, ())[0],
        key=attempt.key,
        attempt=attempt.number,
        began_at=attempt.started_at,
        error=_error(attempt.error, redactor_of(run.redaction)),
        until=attempt.retry_at,
        number=attempt.pk,
    )


def step_waiting(waiter: Waiter, run: Run) -> Change:
    return Change(
        kind=Kind.STEP_WAITING,
        at=waiter.created_at,
        run=run,
        step=decode_json(waiter.step)["stepName"],
        key=waiter.key,
        step_kind=Step.Kind.WAIT,
        until=waiter.deadline,
        event_id=waiter.event_id,
        number=waiter.pk,
    )


@dataclass(frozen=True, slots=True)
class _Shown:
    """How results are shown, of a run or of one of its steps."""

    run: Run
    redactor: Redactor
    step: Step | None = None
    child: Run | None = None

    def result(self, head: str | None, size: int | None) -> dict[str, Any]:
        """As arguments of a change."""
        if head is None:
            return {}
        if self.step is not None and self.step.sensitive:
            return {"result": encode_json(SENSITIVE)}
        if size is not None and size > MOST_SHOWN:
            return {"result_size": size}
        return {"result": self._hidden(head)}

    def _hidden(self, text: str) -> str:
        shown = text
        if self.child is not None and redactor_of(self.child.redaction).hides_anything:
            shown = SENSITIVE
        elif self.redactor.hides_bodies:
            shown = hidden_value(text, self.redactor) or ""
        elif self.step is not None and self.step.kind == Step.Kind.CALL:
            return hidden_exchange(text, self.redactor) or ""
        # What stands for a hidden value is a text, and no JSON yet.
        return text if shown is text else encode_json(shown)


def _error(text: str | None, redactor: Redactor) -> Mapping[str, str] | None:
    """Its stack is for the admin."""
    if text is None:
        return None
    info = decode_json(hidden_error(text, redactor) or "{}")
    return {name: str(info[name]) for name in ("type", "message", "step") if info.get(name)}
