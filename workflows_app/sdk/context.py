"""What a plain workflow function is given: its steps, in turn or in branches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.delays import Backoff
from workflows_app.protocol.durations import (
    parse_moment,
)
from workflows_app.protocol.runs import FlowControlSpec, StepKind
from workflows_app.sdk.base_context import (
    sleep_until,
)
from workflows_app.sdk.events import (
    DEFAULT_TIMEOUT,
    EventResult,
    NotifyResult,
    Timeout,
    Webhook,
    WebhookResult,
    new_webhook,
    notification,
    notify_result,
    webhook_of,
)
from workflows_app.sdk.interrupts import CancelRun
from workflows_app.sdk.invoking import run_to_invoke
from workflows_app.sdk.misuse import check_plain
from workflows_app.sdk.payloads import CallResponse, InvokeResponse
from workflows_app.sdk.rollback import RollbackFunction, refuse_async
from workflows_app.sdk.shell import Shell
from workflows_app.sdk.steps import StepOptions
from workflows_app.sdk.vendors import Api

if TYPE_CHECKING:
    from workflows_app.sdk.authoring import Workflow

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")


class Context(Shell):
    """Given to a workflow written as a plain function.

    Each step's name, with its occurrence, is its identity: keep names and order while runs are in
    flight. Outside of `atomic`, a step runs at least once: it may run again if the process dies
    before its result is stored.
    """

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
        return self._with(changed)

    def _with(self, options: StepOptions) -> Context:
        return Context(self._replay, self._ports, options, self._branches)

    def run(self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` once and keep its result, which must be JSON.

        Raises StepError when its retries are used up.
        """
        check_plain((function,), name, self.workflow_run_id, self._info.workflow)
        result: T = self._step(name, StepKind.RUN, function, args, kwargs)
        return result

    def atomic(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `run`, but in one database transaction with the step's result: exactly once.

        Holds for what `function` writes through Django to the database of the workflow tables.
        """
        check_plain((function,), name, self.workflow_run_id, self._info.workflow)
        result: T = self._step(name, StepKind.ATOMIC, function, args, kwargs)
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
        came = self._await_event(name, StepKind.WAIT, event_id, timeout)
        return EventResult.from_result(self._replay.value_of(came))

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
        came = self._await_event(name, StepKind.WAIT_FOR_WEBHOOK, webhook.event_id, timeout)
        return WebhookResult.from_result(self._replay.value_of(came))

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


def _call(branch: Callable[[], T]) -> T:
    return branch()
