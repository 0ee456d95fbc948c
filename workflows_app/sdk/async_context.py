"""What an async workflow function is given: its steps, awaited in turn or side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload

from asgiref.sync import sync_to_async

from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.delays import Backoff
from workflows_app.protocol.durations import parse_moment
from workflows_app.protocol.runs import FlowControlSpec, StepKind
from workflows_app.sdk.async_shell import AsyncShell
from workflows_app.sdk.awaiting import steps_are_awaited
from workflows_app.sdk.base_context import sleep_until
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
from workflows_app.sdk.interrupts import (
    CancelRun,
    Halt,
    Unrecorded,
)
from workflows_app.sdk.invoking import run_to_invoke
from workflows_app.sdk.misuse import check_atomic
from workflows_app.sdk.payloads import CallResponse, InvokeResponse
from workflows_app.sdk.racing import NAME, Race, check_branches
from workflows_app.sdk.rollback import RollbackFunction
from workflows_app.sdk.steps import Ask, StepOptions, describe_input
from workflows_app.sdk.vendors import Api

if TYPE_CHECKING:
    from workflows_app.sdk.authoring import Workflow

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")


@steps_are_awaited
class AsyncContext(AsyncShell):
    """Given to a workflow written as `async def`. As `Context`, with `await`.

    Parallel steps are tasks: `asyncio.gather`, `TaskGroup`. Each task is a branch, numbered in the
    order in which they are created; those that a step creates for its own work are none.
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
    ) -> AsyncContext:
        """This context with another policy for the steps called on it; see `Context.options`."""
        changed = self._options.changed(
            retries=retries,
            retry_delay=retry_delay,
            backoff=backoff,
            timeout=timeout,
            sensitive=sensitive,
            rollback=rollback,
        )
        return self._with(changed)

    def _with(self, options: StepOptions) -> AsyncContext:
        return AsyncContext(self._replay, self._ports, options, self._traffic)

    @overload
    async def run(
        self,
        name: str,
        function: Callable[P, Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...

    @overload
    async def run(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...

    async def run(
        self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Call `function`, plain or async, once and keep its result; see `Context.run`.

        A plain function runs in a thread of its own, so that it does not hold up other branches.
        """
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, StepKind.RUN)
        if recorded is not None:
            return await self._kept(function, recorded)
        ask = self._replay.prepare(scope, key, name, StepKind.RUN, self._options)
        if not isinstance(ask, Ask):
            return await self._wait(scope, ask)
        given = describe_input(ask, args, kwargs)
        function = self._ports.stand_in(ask) or function
        return await self._execute(scope, ask, function, args, kwargs, given)

    async def atomic(
        self, name: str, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a plain `function` in one transaction with its result; see `Context.atomic`."""
        check_atomic(function, name, self.workflow_run_id)
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, StepKind.ATOMIC)
        if recorded is not None:
            value: T = await self._kept(function, recorded)
            return value
        ask = self._replay.prepare(scope, key, name, StepKind.ATOMIC, self._options)
        if not isinstance(ask, Ask):
            return await self._wait(scope, ask)
        given = describe_input(ask, args, kwargs)
        called = partial(self._ports.stand_in(ask) or function, *args, **kwargs)
        result: T = await self._execute_atomic(scope, ask, called, given)
        return result

    async def sleep(self, name: str, duration: timedelta | str) -> None:
        """Wait, for up to years, without holding a worker; see `Context.sleep`."""
        await self._sleep(name, lambda: sleep_until(self._replay, duration))

    async def sleep_until(self, name: str, moment: datetime | str | float) -> None:
        """Wait until a moment; see `Context.sleep_until`."""

        def end() -> tuple[datetime, str]:
            until = parse_moment(moment)
            return until, encode_json(until.isoformat())

        await self._sleep(name, end)

    async def call(  # noqa: PLR0913 - the parts of an HTTP request
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
        """Have the server send an HTTP request while the run waits; see `Context.call`."""
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, StepKind.CALL)
        if recorded is not None:
            return CallResponse.from_result(self._replay.value_of(recorded))
        context = self.options(retries=retries, retry_delay=retry_delay, timeout=timeout)
        self._replay.calls.append(
            context._call_request(scope, key, name, url, method, body, headers)
        )
        return await self._wait(scope, None)

    @property
    def api(self) -> Api[Coroutine[Any, Any, CallResponse]]:
        """Calls of OpenAI, Anthropic and Resend; see `Context.api`."""
        return Api(self.call)

    async def invoke(  # noqa: PLR0913 - one keyword per option of a run
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
        """Start a run of another workflow, and wait for its end; see `Context.invoke`."""
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, StepKind.INVOKE)
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
        return await self._wait(scope, None)

    async def wait_for_event(
        self, name: str, event_id: str, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> EventResult:
        """Wait for an event; see `Context.wait_for_event`."""
        came = await self._await_event(name, StepKind.WAIT, event_id, timeout)
        return EventResult.from_result(self._replay.value_of(came))

    async def notify(
        self, name: str, event_id: str, event_data: Any = None, workflow_run_id: str | None = None
    ) -> NotifyResult:
        """Send an event; see `Context.notify`."""
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, StepKind.NOTIFY)
        if recorded is not None:
            return notify_result(event_id, event_data, self._replay.value_of(recorded))
        self._replay.notifications.append(
            notification(scope, key, name, event_id, event_data, workflow_run_id)
        )
        return await self._wait(scope, None)

    async def create_webhook(self, name: str) -> Webhook:
        """A URL of this run alone; see `Context.create_webhook`."""
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, StepKind.CREATE_WEBHOOK)
        if recorded is not None:
            return webhook_of(self._replay.value_of(recorded))
        ask = self._replay.prepare(scope, key, name, StepKind.CREATE_WEBHOOK, self._options)
        if not isinstance(ask, Ask):
            return await self._wait(scope, ask)
        urls = (self._ports.webhook_url,)
        return webhook_of(await self._execute(scope, ask, new_webhook, urls, {}, None))

    async def wait_for_webhook(
        self, name: str, webhook: Webhook, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> WebhookResult:
        """Take the oldest request to the webhook; see `Context.wait_for_webhook`."""
        kind = StepKind.WAIT_FOR_WEBHOOK
        came = await self._await_event(name, kind, webhook.event_id, timeout)
        return WebhookResult.from_result(self._replay.value_of(came))

    async def patched(self, change_id: str) -> bool:
        """Whether this run follows a change of its code; see `Context.patched`."""
        scope, patches = self._enter(change_id), self._replay.patches
        self._traffic.busy += 1
        try:
            if patches.needs_begun(change_id):
                patches.add_begun(await sync_to_async(self._ports.begun)())
            known = self._replay.ask_patched(scope, change_id)
            if known is not None:
                stood = await self._record([known.mark], []) if known.mark else {}
                return self._answer_patched(change_id, known, stood)
        except Unrecorded:
            pass
        finally:
            self._traffic.leave()
        return await self._wait(scope, self._replay.now())

    async def continue_as_new(self, payload: Any = None) -> NoReturn:
        """Have the workflow begin anew with this payload; see `Context.continue_as_new`."""
        scope = self._enter("continue_as_new")
        await self._interrupt(self._replay.end(scope, self._new_beginning(scope, payload)))

    async def cancel(self) -> NoReturn:
        """End this run as cancelled. Does not return."""
        await self._interrupt(self._replay.end(self._enter("cancel"), CancelRun()))

    async def race(self, *branches: Callable[[], Awaitable[T]]) -> T:
        """The first of these functions to end gives the result; see `Context.race`.

        The tasks of the others are cancelled.
        """
        scope = self._enter("race")
        check_branches(branches)
        key, recorded = await self._find(scope, NAME, StepKind.RACE)
        try:
            race = Race(self._replay, scope, key, recorded, len(branches))
        except Halt as halt:
            await self._interrupt(halt)
        result: T = await self._groups.race(scope, race, branches)
        return result

    async def map(
        self,
        function: Callable[[Item], Awaitable[T]],
        items: Iterable[Item],
        *,
        concurrency: int | None = None,
    ) -> list[T]:
        """Await `function` with each item, as a branch; see `Context.map`.

        An exception is raised at once, as by `asyncio.gather`.
        """
        return await self._groups.map(self._enter("map"), function, items, concurrency)

    async def roll_back(self, reason: str = "") -> NoReturn:
        """Undo the steps with a `rollback`, and end this run; see `Context.roll_back`."""
        how = self._rolling_back(reason)
        await self._interrupt(self._replay.end(self._enter("roll_back"), how))
