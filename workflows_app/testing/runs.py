"""A run, as a test looks at it: read anew from the database each time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflows_app.engine.continuing import continuation_of
from workflows_app.errors import NotFound
from workflows_app.models import Attempt, Run, Step
from workflows_app.protocol.codec import decode_json, decode_value
from workflows_app.sdk.events import Webhook, webhook_of
from workflows_app.testing.steps import NOT_GIVEN
from workflows_app.testing.waits import Wait, waits_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RunError:
    """Why a run, a step or an attempt failed. `step` is None when no step led to it."""

    type: str
    message: str
    step: str | None
    stack: str

    def __str__(self) -> str:
        at = "" if self.step is None else f'step "{self.step}": '
        return f"{at}{self.type}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedStep:
    """A step whose end is known. `result` is decoded; `kind` is such as "run" or "sleep"."""

    name: str
    key: str
    kind: str
    result: Any
    error: RunError | None
    attempts: int
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedAttempt:
    """An attempt of a step, or of the function (then `step` is empty), that failed."""

    step: str
    number: int
    error: RunError
    retry_at: datetime | None


class RunUnderTest:
    """What `flows.start` returns. A run that begins anew is looked at as it is now."""

    def __init__(self, pk: int) -> None:
        self._first = pk

    def __repr__(self) -> str:
        return f"<RunUnderTest: {self._tell()}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunUnderTest) and other._first == self._first

    def __hash__(self) -> int:
        return hash(self._first)

    @property
    def row(self) -> Run:
        """The model instance."""
        run = Run.objects.get(pk=self._first)
        while (new := continuation_of(run)) is not None:
            run = new
        return run

    @property
    def workflow_run_id(self) -> str:
        return self.row.run_id

    @property
    def workflow(self) -> str:
        """Its name."""
        return self.row.workflow

    @property
    def status(self) -> str:
        """ "running" while it is at work or waits, then "succeeded", "failed" or "canceled"."""
        return self.row.status

    @property
    def result(self) -> Any:
        """What the function returned. Raises AssertionError unless the run has succeeded."""
        __tracebackhide__ = True
        run = self.row
        if run.status != Run.Status.SUCCEEDED:
            raise AssertionError(f"{self._tell()}, so it has no result{_stack(run)}")
        return None if run.result is None else decode_value(run.result)

    @property
    def error(self) -> RunError | None:
        """Why it failed; None unless it has."""
        return _error(self.row.error)

    @property
    def steps(self) -> list[RecordedStep]:
        """In the order in which they were recorded; a sleep is recorded when it begins."""
        return [_step(row) for row in self.row.steps.order_by("pk")]

    @property
    def failed_attempts(self) -> list[FailedAttempt]:
        failed = self.row.attempts.filter(outcome=Attempt.Outcome.FAILED)
        return [
            FailedAttempt(
                step=attempt.key,
                number=attempt.number,
                error=_read_error(attempt.error_info),
                retry_at=attempt.retry_at,
            )
            for attempt in failed.order_by("pk")
        ]

    @property
    def waits(self) -> list[Wait]:
        return waits_of(self.row)

    @property
    def waits_for(self) -> list[str]:
        """The names of the steps that it waits for."""
        return [wait.step for wait in self.waits]

    def step(self, name: str) -> RecordedStep:
        """The recorded step of this name, or of this key, such as "mail#2". Raises AssertionError
        when there is none.
        """
        __tracebackhide__ = True
        for step in self.steps:
            if name in (step.name, step.key):
                return step
        raise AssertionError(f'step "{name}" is not recorded: {self._tell()}')

    def invoked(self, step: str) -> RunUnderTest:
        """The run that a `context.invoke` of this name has started. Raises NotFound."""
        for invocation in self.row.invocations.select_related("child").order_by("pk"):
            if step in (invocation.key, decode_json(invocation.step)["stepName"]):
                return under_test(invocation.child)
        raise NotFound(f'no step "{step}" has started a run: {self._tell()}')

    def webhook(self, step: str | None = None) -> Webhook:
        """What this step has created; without a name, the webhook that the run waits for, or else
        its only one. Raises NotFound.
        """
        made = [each for each in self.steps if each.kind == Step.Kind.CREATE_WEBHOOK]
        if step is not None:
            made = [each for each in made if step in (each.name, each.key)]
        found = [webhook_of(each.result) for each in made if each.error is None]
        awaited = {wait.event_id for wait in self.waits}
        of_waits = [webhook for webhook in found if webhook.event_id in awaited]
        for several in (found, of_waits):
            if len(several) == 1:
                return several[0]
        if found:
            raise NotFound(f"there are {len(found)} webhooks, name the step of one: {self._tell()}")
        raise NotFound(f"there is no such webhook: {self._tell()}")

    # -- assertions

    def assert_steps(self, *names: str) -> None:
        """These steps are recorded, in this order, and no others. Names or keys."""
        __tracebackhide__ = True
        steps = self.steps
        matched = len(steps) == len(names) and all(
            name in (step.name, step.key) for name, step in zip(names, steps, strict=True)
        )
        if not matched:
            raise AssertionError(f"the steps are not {_listed(names)}: {self._tell()}")

    def assert_step(
        self,
        name: str,
        *,
        result: Any = NOT_GIVEN,
        attempts: int | None = None,
        error: str | type[BaseException] | None = None,
    ) -> None:
        """The step is recorded: with this result, after so many attempts, failed by this type of
        error, as far as they are given.
        """
        __tracebackhide__ = True
        step = self.step(name)
        if result is not NOT_GIVEN and (step.error is not None or step.result != result):
            raise AssertionError(f'step "{name}" has not returned {result!r}: {_outcome(step)}')
        if attempts is not None and step.attempts != attempts:
            raise AssertionError(f'step "{name}" ended at attempt {step.attempts}, not {attempts}')
        wanted = error.__name__ if isinstance(error, type) else error
        if wanted is not None and (step.error is None or step.error.type != wanted):
            raise AssertionError(f'step "{name}" has not failed by {wanted}: {_outcome(step)}')

    # -- telling

    def _tell(self) -> str:
        run = self.row
        names = [step.name for step in self.steps]
        return (
            f'run {run.run_id} of workflow "{run.workflow}" {self._tell_state(run)}; '
            f"its steps are {_listed(names)}"
        )

    def _tell_state(self, run: Run) -> str:
        if run.is_paused:
            return "is paused"
        if run.is_live:
            waits = ", ".join(_tell_wait(wait) for wait in waits_of(run))
            return f"waits for {waits}" if waits else "is due"
        error = _error(run.error)
        return f"has {run.status}" if error is None else f"has failed: {error}"


def under_test(run: Run) -> RunUnderTest:
    while run.origin is not None and run.origin.run_id == run.run_id:
        run = run.origin
    return RunUnderTest(run.pk)


def _tell_wait(wait: Wait) -> str:
    event = "" if wait.event_id is None else f' (event "{wait.event_id}")'
    until = "" if wait.until is None else f" until {wait.until:%Y-%m-%d %H:%M:%S}"
    return f"{_what(wait)}{event}{until}"


def _what(wait: Wait) -> str:
    match wait.kind:
        case "start":
            return "its start"
        case "retry":
            tried = f'step "{wait.step}"' if wait.step else "the function"
            return f"the next attempt of {tried}"
    return f'step "{wait.step}"'


def _outcome(step: RecordedStep) -> str:
    return f"it returned {step.result!r}" if step.error is None else f"it failed by {step.error}"


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names) or "none"


def _stack(run: Run) -> str:
    error = _error(run.error)
    return f"\n\n{error.stack}" if error is not None and error.stack else ""


def _step(row: Step) -> RecordedStep:
    return RecordedStep(
        name=row.name,
        key=row.key,
        kind=row.kind,
        result=None if row.result is None else decode_value(row.result),
        error=_error(row.error),
        attempts=row.attempts,
        started_at=row.started_at,
        ended_at=row.ended_at,
    )


def _error(text: str | None) -> RunError | None:
    return None if text is None else _read_error(decode_json(text))


def _read_error(info: Any) -> RunError:
    return RunError(
        type=info["type"],
        message=info["message"],
        step=info.get("step"),
        stack=info.get("stack", ""),
    )
