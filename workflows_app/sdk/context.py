"""What a workflow function is given: the synchronous shell round the replay core."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from workflows_app.errors import NotSerializable, StepTimeout
from workflows_app.protocol.codec import encode_json, round_trip
from workflows_app.protocol.delays import Backoff
from workflows_app.protocol.durations import (
    format_duration,
    parse_moment,
)
from workflows_app.protocol.runs import FailedAttempt, FlowControlSpec, StepKind, StepRecord
from workflows_app.sdk.base_context import (
    BaseContext,
    Ports,
    current_scope,
    current_step,
    sleep_until,
)
from workflows_app.sdk.branches import Branches
from workflows_app.sdk.events import (
    DEFAULT_TIMEOUT,
    EventResult,
    NotifyResult,
    Timeout,
    Webhook,
    WebhookResult,
    event_wait,
    new_webhook,
    notification,
    notify_result,
    webhook_of,
)
from workflows_app.sdk.groups import Groups
from workflows_app.sdk.interrupts import CancelRun, Halt, Suspend, ordinary_errors
from workflows_app.sdk.invoking import run_to_invoke
from workflows_app.sdk.misuse import check_plain, check_result, in_another_thread
from workflows_app.sdk.payloads import CallResponse, InvokeResponse
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.rollback import RollbackFunction, refuse_async
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask, StepOptions, cause_of_failure, describe_input
from workflows_app.sdk.telling import tell
from workflows_app.sdk.vendors import Api

if TYPE_CHECKING:
    from workflows_app.sdk.authoring import Workflow

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")


class Context(BaseContext):
    """Given to a workflow written as a plain function.

    Each step's name, with its occurrence, is its identity: keep names and order while runs are in
    flight. Outside of `atomic`, a step runs at least once: it may run again if the process dies
    before its result is stored.
    """

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

    def options(  # noqa: PLR0913 - one keyword per option
        self,
        *,
        retries: int | None = None,
        retry_delay: timedelta | str | None = None,
        backoff: Backoff | None = None,
        timeout: timedelta | str | None = None,
        sensitive: bool | None = None,
        rollback: RollbackFunction | None = None,
    ) -> Context:
        """This context with another policy for the steps called on it.

        `retry_delay` is a duration, which `backoff` lets grow from retry to retry, or an expression
        in milliseconds over `retried`; `timeout` holds per attempt. What a `sensitive` step is
        called with is not stored, and what it returns, or raises, is never shown. `rollback` is
        called with an `Undo` of the step when the run fails, or rolls back.
        """
        refuse_async(rollback)
        changed = self._options.changed(
            retries=retries,
            retry_delay=retry_delay,
            backoff=backoff,
            timeout=timeout,
            sensitive=sensitive,
            rollback=rollback,
        )
        return Context(self._replay, self._ports, changed, self._branches)

    def run(self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` once and keep its result, which must be JSON.

        Raises StepError when its retries are used up.
        """
        check_plain((function,), name, self.workflow_run_id, self._info.workflow)
        result: T = self._step(name, StepKind.RUN, lambda: function(*args, **kwargs), args, kwargs)
        return result

    def atomic(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `run`, but in one database transaction with the step's result: exactly once.

        Holds for what `function` writes through Django to the database of the workflow tables.
        """
        check_plain((function,), name, self.workflow_run_id, self._info.workflow)
        result: T = self._step(
            name, StepKind.ATOMIC, lambda: function(*args, **kwargs), args, kwargs
        )
        return result

    def sleep(self, name: str, duration: timedelta | str) -> None:
        """Wait, even for years, without holding a worker. The end is fixed at the beginning."""
        self._sleep(name, lambda: sleep_until(self._replay, duration))

    def sleep_until(self, name: str, moment: datetime | str | float) -> None:
        """Like `sleep`, to a datetime, an ISO 8601 text or unix seconds; what has no time zone is
        UTC.
        """

        def end() -> tuple[datetime, str]:
            until = parse_moment(moment)
            return until, encode_json(until.isoformat())

        self._sleep(name, end)

    def call(  # noqa: PLR0913 - the parts of an HTTP request
        self,
        name: str,
        *,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retries: int = 0,
        retry_delay: timedelta | str | None = None,
        timeout: timedelta | str | None = None,
    ) -> CallResponse:
        """Have the server send an HTTP request while the run waits and holds no worker.

        An answer with any status is a result; no answer becomes status 502 or 504. Unlike other
        steps a call is not retried unless `retries` says so.
        """
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, StepKind.CALL)
        if recorded is not None:
            return CallResponse.from_result(self._replay.value_of(recorded))
        context = self.options(retries=retries, retry_delay=retry_delay, timeout=timeout)
        self._replay.calls.append(
            context._call_request(scope, key, name, url, method, body, headers)
        )
        raise self._wait(scope, None)

    @property
    def api(self) -> Api[CallResponse]:
        """Calls of OpenAI, Anthropic and Resend: `context.api.openai.call(...)`."""
        return Api(self.call)

    def invoke(  # noqa: PLR0913 - one keyword per option of a run
        self,
        name: str,
        *,
        workflow: Workflow | str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        workflow_run_id: str | None = None,
        labels: str | Iterable[str] = (),
        retries: int | None = None,
        retry_delay: timedelta | str | None = None,
        flow_control: FlowControlSpec | None = None,
    ) -> InvokeResponse:
        """Start a run of another workflow, and wait for its end without holding a worker.

        `workflow` is one that `@workflow` made, its name, or the URL of one that another service
        serves. All else is as in `Workflow.trigger`; what is not given is up to that workflow.
        """
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, StepKind.INVOKE)
        if recorded is not None:
            return InvokeResponse.from_result(self._replay.value_of(recorded))
        run = run_to_invoke(
            self.workflow_run_id,
            name,
            workflow,
            body=body,
            headers=headers,
            workflow_run_id=workflow_run_id,
            labels=labels,
            retries=retries,
            retry_delay=retry_delay,
            flow_control=flow_control,
            complete=self._ports.complete,
        )
        self._replay.invoke(scope, key, name, run)
        raise self._wait(scope, None)

    def wait_for_event(
        self, name: str, event_id: str, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> EventResult:
        """Wait for an event, without holding a worker, at the longest for `timeout`.

        An event that was sent to this run before is found.
        """
        result = self._await_event(name, StepKind.WAIT, event_id, timeout)
        return EventResult.from_result(result)

    def notify(
        self, name: str, event_id: str, event_data: Any = None, workflow_run_id: str | None = None
    ) -> NotifyResult:
        """Send an event to all runs that wait for it; or to one run, which may wait for it later.

        It is sent once: in the transaction that records this step.
        """
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, StepKind.NOTIFY)
        if recorded is not None:
            return notify_result(event_id, event_data, self._replay.value_of(recorded))
        self._replay.notifications.append(
            notification(scope, key, name, event_id, event_data, workflow_run_id)
        )
        raise self._wait(scope, None)

    def create_webhook(self, name: str) -> Webhook:
        """A URL of this run alone: each request to it is kept until `wait_for_webhook` takes it."""
        create = partial(new_webhook, self._ports.webhook_url)
        return webhook_of(self._step(name, StepKind.CREATE_WEBHOOK, create, (), {}))

    def wait_for_webhook(
        self, name: str, webhook: Webhook, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> WebhookResult:
        """Take the oldest request to the webhook; wait for one, at the longest for `timeout`."""
        result = self._await_event(name, StepKind.WAIT_FOR_WEBHOOK, webhook.event_id, timeout)
        return WebhookResult.from_result(result)

    def patched(self, change_id: str) -> bool:
        """Whether this run follows a change of its code, for ever after the same.

        True if it gets here for the first time with the new code, False if it had passed here
        before.
        """
        self._refuse_nesting(change_id)
        scope, patches = self._scope(), self._replay.patches
        if patches.needs_begun(change_id):
            patches.add_begun(self._branches.on_own_thread(scope, self._ports.begun))
        known = self._replay.ask_patched(scope, change_id)
        if known is None:
            raise self._wait(scope, self._replay.now())
        stood = self._record([known.mark], []) if known.mark else {}
        return self._answer_patched(change_id, known, stood)

    def continue_as_new(self, payload: Any = None) -> NoReturn:
        """End this run and have its workflow begin anew with this payload, under the same id and
        with an empty journal. Does not return.
        """
        self._refuse_nesting("continue_as_new")
        scope = self._scope()
        raise self._replay.end(scope, self._new_beginning(scope, payload))

    def cancel(self) -> NoReturn:
        """End this run as cancelled. Does not return."""
        self._refuse_nesting("cancel")
        raise self._replay.end(self._scope(), CancelRun())

    def roll_back(self, reason: str = "") -> NoReturn:
        """Undo the steps with a `rollback`, the latest first; then end this run as cancelled.

        Does not return. When a step cannot be undone, the others are, and the run fails.
        """
        raise self._replay.end(self._scope(), self._rolling_back(reason))

    def parallel(self, *branches: Callable[[], T]) -> list[T]:
        """Run each function in a thread of its own and return their results in order.

        The functions call steps on this context. If one fails, its exception is raised once all
        have
        finished or wait.
        """
        self._refuse_nesting("parallel")
        check_plain(branches, "parallel", self.workflow_run_id, self._info.workflow)
        return self._groups.map(self._scope(), _call, branches, None)

    def race(self, *branches: Callable[[], T]) -> T:
        """Run each function in a thread of its own; the first that ends gives the result, or the
        exception.

        The others are given up. Who has won is recorded, and stays so. A function may be called
        again to find that out, so what it does outside of steps must not add up.
        """
        self._refuse_nesting("race")
        result: T = self._groups.race(self._scope(), branches)
        return result

    def map(
        self,
        function: Callable[[Item], T],
        items: Iterable[Item],
        *,
        concurrency: int | None = None,
    ) -> list[T]:
        """Call `function`, which calls steps on this context, with each item, as a branch.

        No more than `concurrency` items are between their first step and their last at once. The
        results have the order of the items. If one fails, no other begins, and its exception is
        raised once those that have begun have finished or wait.
        """
        self._refuse_nesting("map")
        return self._groups.map(self._scope(), function, items, concurrency)

    # -- the shell

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
            raise self._replay.stop(Halt(error)) from error

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
        function: Callable[[], Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, kind)
        if recorded is not None:
            return self._replay.value_of(recorded)
        ask = self._replay.prepare(scope, key, name, kind, self._options)
        if not isinstance(ask, Ask):
            raise self._wait(scope, ask)
        stand_in = self._ports.stand_in(ask)
        if stand_in is not None:
            function = partial(stand_in, *args, **kwargs)
        given = describe_input(ask, args, kwargs)
        if kind is StepKind.ATOMIC:
            return self._execute_atomic(scope, ask, function, given)
        return self._execute(scope, ask, function, given)

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
            raise self._replay.stop(Halt(error)) from error
        tell(self._observers.step_finished(ask, record))
        return self._replay.value_of(record)

    def _fail(
        self, scope: Scope, ask: Ask, started_at: datetime, given: str | None, error: Exception
    ) -> Any:
        attempt, record = self._replay.failed(ask, started_at, given, error)
        stood = self._record([] if record is None else [record], [attempt])
        tell(self._observers.step_failed(ask, error, attempt))
        if record is None:
            raise self._wait(scope, attempt.retry_at)
        try:
            return self._replay.value_of(stood.get(ask.key, record))
        except Exception as failure:
            raise failure from cause_of_failure(ask, error)

    def _encode(self, ask: Ask, value: Any) -> tuple[str, Any]:
        try:
            return round_trip(value)
        except NotSerializable as error:
            check_result(value, ask.name, self.workflow_run_id)
            raise NotSerializable(
                f'the result of step "{ask.name}" cannot be stored: {error}'
            ) from None

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
        thread.join(timeout.total_seconds())
        if not outcome:
            tell(self._observers.leaves_behind(ask))
            raise StepTimeout(
                f'step "{ask.name}" did not finish within its timeout of {format_duration(timeout)}'
            )
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def _await_event(self, name: str, kind: StepKind, event_id: str, timeout: Timeout) -> Any:
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, kind)
        if recorded is not None:
            return self._replay.value_of(recorded)
        self._replay.waits.append(
            event_wait(self._replay, scope, key, name, kind, event_id, timeout)
        )
        raise self._wait(scope, None)

    def _sleep(self, name: str, end: Callable[[], tuple[datetime, str]]) -> None:
        self._refuse_nesting(name)
        scope = self._scope()
        key, recorded = self._find(scope, name, StepKind.SLEEP)
        if recorded is None:
            until, given = end()
            recorded = self._replay.sleep_record(scope, key, name, until, given)
            recorded = self._record([recorded], []).get(key, recorded)
            kind, now = StepKind.SLEEP, self._replay.now
            tell(self._observers.found(scope, key, name, kind, recorded, now))
        if recorded.ended_at > self._replay.now():
            raise self._wait(scope, recorded.ended_at)


def _call(branch: Callable[[], T]) -> T:
    return branch()
