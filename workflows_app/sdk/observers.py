"""What the middlewares of a run are told in one turn, each of it once.

A step that the server ends spans turns. So the keys of those whose beginning was told, and whose
end was not, are handed from turn to turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from workflows_app.errors import StepError
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.runs import (
    Canceled,
    ContinuedAsNew,
    FailedAttempt,
    Finished,
    History,
    StepKind,
    StepRecord,
    Suspended,
    TurnOutcome,
)
from workflows_app.sdk.events import EventResult, NotifiedRun, WebhookResult, webhook_of
from workflows_app.sdk.middlewares import (
    ErrorRaised,
    Middleware,
    Moment,
    Notice,
    RunCompleted,
    RunStarted,
    StepFinished,
    StepStarted,
)
from workflows_app.sdk.payloads import CallResponse, InvokeResponse
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask

if TYPE_CHECKING:
    from workflows_app.sdk.base_context import BaseContext

_RETURNED: Mapping[StepKind, Callable[[Any], Any]] = {
    StepKind.CALL: CallResponse.from_result,
    StepKind.CREATE_WEBHOOK: webhook_of,
    StepKind.INVOKE: InvokeResponse.from_result,
    StepKind.NOTIFY: lambda runs: tuple(map(NotifiedRun.from_result, runs)),
    StepKind.SLEEP: lambda result: result,
    StepKind.WAIT: EventResult.from_result,
    StepKind.WAIT_FOR_WEBHOOK: WebhookResult.from_result,
}
"""What the workflow function is given for the result that is recorded; else that itself."""
_ENDED_BY_THE_SERVER = _RETURNED.keys() - {StepKind.CREATE_WEBHOOK}
"""Steps that span turns; all others begin and end within one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A moment, and who is to be told of it by which of their callbacks."""

    middlewares: Sequence[Middleware]
    callback: str
    moment: Moment
    step: Ask | None = None


class Observers:
    """The middlewares of one run, in one turn. Without any, there is never anything to tell."""

    def __init__(
        self, middlewares: Sequence[Middleware], workflow: str, context: BaseContext | None
    ) -> None:
        self._middlewares = middlewares
        self._workflow = workflow
        self._context = context
        self._waiting: set[str] = set()

    def run_starts(self, history: History) -> Told | None:
        """Unless it has: in an earlier turn, or before it had middlewares."""
        if history.observed:
            self._waiting.update(decode_json(history.observed))
        elif not history.steps and not history.failures:
            return self._told("run_started", RunStarted)
        return None

    def turn_ends(self, outcome: TurnOutcome, now: datetime) -> Told | None:
        match outcome:
            case Finished(result=result):
                value = None if result is None else decode_json(result)
                return self._told("run_completed", RunCompleted, result=value)
            case Canceled():
                return self._told("on_info", Notice, text="the run ends as cancelled")
            case ContinuedAsNew():
                return self._told("on_info", Notice, text="the run begins anew")
            case Suspended(wake_at=None):
                return self._told("on_info", Notice, text="the run waits")
            case Suspended(wake_at=datetime() as moment) if moment > now:
                text = f"the run waits until {moment.isoformat()} at the latest"
                return self._told("on_info", Notice, text=text)
        return None

    def memory(self) -> str | None:
        """For the next turn; None without middlewares."""
        return encode_json(sorted(self._waiting)) if self._middlewares else None

    # -- steps that the server ends

    def found(  # noqa: PLR0913 - a step and what is recorded of it
        self,
        scope: Scope,
        key: str,
        name: str,
        kind: StepKind,
        recorded: StepRecord | None,
        now: Callable[[], datetime],
    ) -> Told | None:
        """The function asks for a step: it begins to wait for its end, or has seen it."""
        if not self._middlewares or kind not in _ENDED_BY_THE_SERVER:
            return None
        # Only a sleep is recorded before it ends; the clocks of servers may differ.
        if recorded is None or (kind is StepKind.SLEEP and recorded.ended_at > now()):
            return self._begins(_ask(scope, key, name, kind, 1), recorded)
        if key not in self._waiting or recorded.error is not None:
            return None
        self._waiting.discard(key)
        return self.step_finished(_ask(scope, key, name, kind, recorded.attempts), recorded)

    def _begins(self, ask: Ask, recorded: StepRecord | None) -> Told | None:
        known = ask.key in self._waiting or recorded is not None
        self._waiting.add(ask.key)
        return None if known else self.step_starts(ask)

    # -- steps that a turn executes

    def step_starts(self, ask: Ask) -> Told | None:
        return self._told("before_execution", StepStarted, ask, **_identity(ask))

    def step_finished(self, ask: Ask, record: StepRecord) -> Told | None:
        if not self._middlewares or record.error is not None:
            return None
        hidden = record.result is None or record.sensitive
        result = None if hidden else decode_json(record.result or "null")
        returned = _RETURNED.get(ask.kind)
        return self._told(
            "after_execution",
            StepFinished,
            ask,
            **_identity(ask),
            result=result if returned is None else returned(result),
            took=max(record.ended_at - record.started_at, timedelta()),
        )

    # -- what goes wrong

    def step_failed(self, ask: Ask, error: Exception, attempt: FailedAttempt) -> Told | None:
        shown = _hidden(ask, attempt) if ask.hides_errors else error
        retry = {"retry_at": attempt.retry_at}
        return self._told("on_error", ErrorRaised, ask, **_identity(ask), error=shown, **retry)

    def function_failed(
        self, error: Exception, attempt: int, retry_at: datetime | None = None
    ) -> Told | None:
        return self._told(
            "on_error",
            ErrorRaised,
            error=error,
            step_name=None,
            key="",
            attempt=attempt,
            retry_at=retry_at,
        )

    def leaves_behind(self, ask: Ask) -> Told | None:
        text = f'step "{ask.key}" is too late; its thread goes on, and what it returns is dropped'
        return self._told("on_warning", Notice, ask, text=text)

    def _told(
        self, callback: str, kind: type[Moment], step: Ask | None = None, **said: Any
    ) -> Told | None:
        if not self._middlewares or self._context is None:
            return None
        moment = kind(workflow=self._workflow, context=self._context, **said)
        return Told(middlewares=self._middlewares, callback=callback, moment=moment, step=step)


NOBODY = Observers((), "", None)


def _identity(ask: Ask) -> dict[str, Any]:
    return {"step_name": ask.name, "key": ask.key, "attempt": ask.attempt}


def _hidden(ask: Ask, attempt: FailedAttempt) -> StepError:
    said = decode_json(attempt.error)
    return StepError(ask.name, said["type"], said["message"], attempt.number, ask.key)


def _ask(scope: Scope, key: str, name: str, kind: StepKind, attempt: int) -> Ask:
    return Ask(
        key=key,
        name=name,
        kind=kind,
        branch=scope.path,
        policy=RetryPolicy(retries=0),
        timeout=None,
        attempt=attempt,
    )
