"""How a plain workflow function finds, executes and stores its steps: the synchronous shell round
the replay core.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from workflows_app.protocol.runs import FailedAttempt, StepKind, StepRecord
from workflows_app.sdk.asked_delays import with_asked_delay
from workflows_app.sdk.base_context import (
    BaseContext,
    Ports,
    current_scope,
    current_step,
)
from workflows_app.sdk.branches import Branches
from workflows_app.sdk.events import Timeout, event_wait
from workflows_app.sdk.groups import Groups
from workflows_app.sdk.interrupts import Halt, Suspend, ending_by, ordinary_errors
from workflows_app.sdk.misuse import in_another_thread
from workflows_app.sdk.outcomes import asleep
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask, StepOptions, cause_of_failure, describe_input
from workflows_app.sdk.telling import tell


class Shell(BaseContext):
    """What the verbs of `Context` stand on."""

    def __init__(
        self,
        replay: Replay,
        ports: Ports,
        options: StepOptions | None = None,
        branches: Branches | None = None,
    ) -> None:
        super().__init__(replay, ports, options)
        self._branches = branches or Branches(ports.thread_ends)
        self._groups = Groups(replay, ports, self._branches, self._record)

    def _scope(self) -> Scope:
        return current_scope.get() or self._replay.root

    def _find(self, scope: Scope, name: str, kind: StepKind) -> tuple[str, StepRecord | None]:
        key, recorded = self._replay.find(scope, name, kind, self._options)
        tell(self._observers.found(scope, key, name, kind, recorded, self._replay.now))
        return key, recorded

    def _refuse_nesting(self, name: str) -> None:
        super()._refuse_nesting(name)
        if current_scope.get() is None and not self._branches.is_own_thread:
            error = in_another_thread(name, self.workflow_run_id)
            self._replay.stop(Halt(error))  # in case that nobody looks at the thread
            raise error

    def _wait(self, scope: Scope, moment: datetime | None) -> Suspend:
        self._replay.wait(scope, moment)
        return Suspend()

    def _record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        """Store on the run's own thread; what goes wrong there ends the turn."""
        try:
            return self._branches.store(self._scope(), self._store, steps, attempts)
        except Exception as error:
            raise self._replay.stop(ending_by(error)) from error

    def _store(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        stood = self._ports.recorder.record(steps, attempts)
        self._replay.settled(steps, attempts)
        return stood

    def _step(
        self,
        name: str,
        kind: StepKind,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, kind)
        if recorded is not None:
            return self._replay.kept(function, recorded)
        ask = self._replay.prepare(scope, key, name, kind, self._options)
        if not isinstance(ask, Ask):
            raise self._wait(scope, ask)
        called = partial(self._ports.stand_in(ask) or function, *args, **kwargs)
        given = describe_input(ask, args, kwargs)
        if kind is StepKind.ATOMIC:
            return self._execute_atomic(scope, ask, called, given)
        return self._execute(scope, ask, called, given)

    def _execute(
        self, scope: Scope, ask: Ask, function: Callable[[], Any], given: str | None
    ) -> Any:
        tell(self._observers.step_starts(ask))
        started_at = self._replay.now()
        try:
            value = self._invoke(ask, function)
            text, value = self._encode(ask, value)
            record = self._replay.succeeded(ask, started_at, given, text)
        except Exception as error:  # noqa: BLE001 - a step may raise anything
            return self._fail(scope, ask, started_at, given, error)
        stood = self._record([record], [])
        tell(self._observers.step_finished(ask, stood.get(ask.key, record)))
        return self._replay.value_of(stood[ask.key]) if ask.key in stood else value

    def _execute_atomic(
        self, scope: Scope, ask: Ask, function: Callable[[], Any], given: str | None
    ) -> Any:
        tell(self._observers.step_starts(ask))
        started_at = self._replay.now()
        raised: list[Exception] = []

        def execute() -> StepRecord:
            try:
                text, _ = self._encode(ask, self._invoke(ask, function))
                return self._replay.succeeded(ask, started_at, given, text)
            except Exception as error:
                raised.append(error)
                raise

        try:
            record = self._branches.on_own_thread(
                scope, lambda: self._ports.recorder.atomic(execute)
            )
        except Exception as error:
            if raised:
                return self._fail(scope, ask, started_at, given, raised[0])
            raise self._replay.stop(ending_by(error)) from error
        tell(self._observers.step_finished(ask, record))
        return self._replay.value_of(record)

    def _fail(
        self, scope: Scope, ask: Ask, started_at: datetime, given: str | None, error: Exception
    ) -> Any:
        ask, error = with_asked_delay(ask, error, self._ports.thread_ends)
        attempt, record = self._replay.failed(ask, started_at, given, error)
        stood = self._record([] if record is None else [record], [attempt])
        tell(self._observers.step_failed(ask, error, attempt))
        if record is None:
            raise self._wait(scope, attempt.retry_at)
        try:
            return self._replay.value_of(stood.get(ask.key, record))
        except Exception as failure:
            raise failure from cause_of_failure(ask, error)

    def _invoke(self, ask: Ask, function: Callable[[], Any]) -> Any:
        token = current_step.set(ask)
        try:
            with ordinary_errors:
                if ask.timeout is None or not self._ports.threads or ask.kind is StepKind.ATOMIC:
                    return function()
                return self._invoke_with_timeout(ask, ask.timeout, function)
        finally:
            current_step.reset(token)

    def _invoke_with_timeout(
        self, ask: Ask, timeout: timedelta, function: Callable[[], Any]
    ) -> Any:
        """Python cannot stop a thread: after a timeout the step's thread may go on, its result
        dropped.
        """
        copy = contextvars.copy_context()
        outcome: list[tuple[Any, BaseException | None]] = []

        def work() -> None:
            try:
                outcome.append((copy.run(function), None))
            except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
                outcome.append((None, error))
            finally:
                self._ports.thread_ends()

        thread = threading.Thread(target=work, name=f"step-{ask.key}", daemon=True)
        thread.start()
        thread.join(min(timeout.total_seconds(), threading.TIMEOUT_MAX))
        if not outcome:
            tell(self._observers.leaves_behind(ask))
            raise ask.timed_out(timeout)
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def _await_event(
        self, name: str, kind: StepKind, event_id: str, timeout: Timeout
    ) -> StepRecord:
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, kind)
        if recorded is not None:
            return recorded
        self._replay.waits.append(
            event_wait(self._replay, scope, key, name, kind, event_id, timeout)
        )
        raise self._wait(scope, None)

    def _sleep(self, name: str, end: Callable[[], tuple[datetime, str]]) -> StepRecord:
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, StepKind.SLEEP)
        if recorded is None:
            until, given = end()
            recorded = asleep(scope, key, name, self._replay.now(), until, given)
            recorded = self._record([recorded], []).get(key, recorded)
            kind, now = StepKind.SLEEP, self._replay.now
            tell(self._observers.found(scope, key, name, kind, recorded, now))
        if recorded.ended_at > self._replay.now():
            raise self._wait(scope, recorded.ended_at)
        return recorded
