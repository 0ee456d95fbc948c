"""The asynchronous shell round the replay core.

A step that has to wait never returns to the function: its task is parked. When nothing else can
move, the driver ends the turn and cancels what is parked. So no interrupt passes through
`asyncio.gather`, and `return_exceptions=True` is safe.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload

from asgiref.sync import sync_to_async

from workflows_app.errors import NotSerializable, StepError, StepMisuse, StepTimeout
from workflows_app.protocol.codec import encode_json, round_trip
from workflows_app.protocol.delays import Backoff
from workflows_app.protocol.durations import format_duration, parse_moment
from workflows_app.protocol.runs import FailedAttempt, FlowControlSpec, StepKind, StepRecord
from workflows_app.sdk.async_groups import AsyncGroups
from workflows_app.sdk.awaiting import CALLED, Calls, returns_awaitable, steps_are_awaited
from workflows_app.sdk.base_context import BaseContext, Ports, current_step, sleep_until
from workflows_app.sdk.branches import call_in_thread
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
from workflows_app.sdk.interrupts import (
    CancelRun,
    Halt,
    Interrupt,
    Suspend,
    Unrecorded,
    ordinary_errors,
)
from workflows_app.sdk.invoking import run_to_invoke
from workflows_app.sdk.misuse import check_atomic, check_result, out_of_the_loop
from workflows_app.sdk.observers import Told
from workflows_app.sdk.payloads import CallResponse, InvokeResponse
from workflows_app.sdk.racing import NAME, Race, check_branches
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.rollback import RollbackFunction
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask, StepOptions, cause_of_failure, describe_input
from workflows_app.sdk.telling import tell_async
from workflows_app.sdk.traffic import (
    GRACE,
    QUIET_ROUNDS,
    Traffic,
    async_scope,
    this_task,
    with_scope,
)
from workflows_app.sdk.vendors import Api

if TYPE_CHECKING:
    from workflows_app.sdk.authoring import Workflow

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")


@steps_are_awaited
class AsyncContext(BaseContext):
    """Given to a workflow written as `async def`. As `Context`, with `await`.

    Parallel steps are tasks: `asyncio.gather`, `TaskGroup`. Each task is a branch, numbered in the
    order in which they are created; those that a step creates for its own work are none.
    """

    def __init__(
        self,
        replay: Replay,
        ports: Ports,
        options: StepOptions | None = None,
        traffic: Traffic | None = None,
    ) -> None:
        super().__init__(replay, ports, options)
        self._traffic = traffic or Traffic(Calls(replay.run.run_id, self._stop_for))
        self._groups = AsyncGroups(replay, self._traffic, partial(self._record, attempts=[]))

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
        return AsyncContext(self._replay, self._ports, changed, self._traffic)

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
            return self._replay.value_of(recorded)
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
            value: T = self._replay.value_of(recorded)
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
        result = await self._await_event(name, StepKind.WAIT, event_id, timeout)
        return EventResult.from_result(result)

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
        result = await self._await_event(name, kind, webhook.event_id, timeout)
        return WebhookResult.from_result(result)

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

    # -- the shell

    @property
    def _calls(self) -> Calls:
        return self._traffic.calls

    def _stop_for(self, misuse: StepMisuse) -> None:
        self._replay.stop(Halt(misuse))

    def _enter(self, name: str) -> Scope:
        self._refuse_nesting(name)
        self._traffic.move()
        scope = async_scope.get(None)
        if scope is None:
            raise out_of_the_loop(name, self.workflow_run_id)
        return scope

    async def _find(self, scope: Scope, name: str, kind: StepKind) -> tuple[str, StepRecord | None]:
        options = StepOptions() if kind is StepKind.RACE else self._options
        try:
            key, recorded = self._replay.find(scope, name, kind, options)
        except Halt as halt:
            if self._traffic.interrupt is not None:
                raise
            await self._interrupt(halt)
        except Unrecorded:
            await self._traffic.park()
        now = self._replay.now
        await self._tell(self._observers.found(scope, key, name, kind, recorded, now))
        return key, recorded

    async def _tell(self, told: Told | None) -> None:
        if told is None:
            return
        self._traffic.busy += 1
        try:
            await tell_async(told)
        finally:
            self._traffic.leave()

    async def _wait(self, scope: Scope, moment: datetime | None) -> NoReturn:
        self._replay.wait(scope, moment)
        await self._traffic.park()

    async def _interrupt(self, interrupt: Interrupt) -> NoReturn:
        if not isinstance(interrupt, Suspend):
            self._traffic.interrupt = self._replay.stop(interrupt)
        await self._traffic.park()

    async def _record(
        self, steps: list[StepRecord], attempts: list[FailedAttempt]
    ) -> dict[str, StepRecord]:
        """Store in the run's own thread, together with what other branches have ready by then."""
        future: asyncio.Future[dict[str, StepRecord]] = asyncio.get_running_loop().create_future()
        self._traffic.pending.append((steps, attempts, future))
        self._replay.settled(steps, attempts)
        if self._traffic.flusher is None:
            self._traffic.flusher = asyncio.create_task(
                self._flush(), context=contextvars.Context()
            )
        try:
            return await future
        except Exception as error:  # noqa: BLE001 - re-raised by the driver
            await self._interrupt(Halt(error))

    async def _flush(self) -> None:
        traffic = self._traffic
        while traffic.pending:
            batch, traffic.pending = traffic.pending, []
            steps = [step for some, _, _ in batch for step in some]
            attempts = [attempt for _, some, _ in batch for attempt in some]
            try:
                stood = await sync_to_async(self._ports.recorder.record)(steps, attempts)
            except Exception as error:  # noqa: BLE001 - raised in each branch
                for _, _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for _, _, future in batch:
                    if not future.done():
                        future.set_result(stood)
        traffic.flusher = None

    async def _execute(  # noqa: PLR0913 - a step and what it was called with
        self,
        scope: Scope,
        ask: Ask,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        given: str | None,
    ) -> Any:
        await self._tell(self._observers.step_starts(ask))
        started_at = self._replay.now()
        self._traffic.busy += 1
        try:
            try:
                text, value = self._encode(ask, await self._invoke(ask, function, args, kwargs))
                record = self._replay.succeeded(ask, started_at, given, text)
            except Exception as error:  # noqa: BLE001 - a step may raise anything
                cause = error
                outcome = await self._fail(ask, started_at, given, error)
            else:
                stood = await self._record([record], [])
                await self._tell(self._observers.step_finished(ask, stood.get(ask.key, record)))
                return self._replay.value_of(stood[ask.key]) if ask.key in stood else value
        finally:
            self._traffic.leave()
        return await self._after_failure(scope, outcome, cause_of_failure(ask, cause))

    async def _execute_atomic(
        self, scope: Scope, ask: Ask, function: Callable[[], Any], given: str | None
    ) -> Any:
        await self._tell(self._observers.step_starts(ask))
        started_at = self._replay.now()
        raised: list[Exception] = []

        def execute() -> StepRecord:
            token = current_step.set(ask)
            try:
                with ordinary_errors:
                    text, _ = self._encode(ask, function())
                return self._replay.succeeded(ask, started_at, given, text)
            except Exception as error:
                raised.append(error)
                raise
            finally:
                current_step.reset(token)

        self._traffic.busy += 1
        try:
            try:
                record = await sync_to_async(self._ports.recorder.atomic)(execute)
            except Exception as error:  # noqa: BLE001 - a step may raise anything
                if not raised:
                    await self._interrupt(Halt(error))
                outcome = await self._fail(ask, started_at, given, raised[0])
            else:
                await self._tell(self._observers.step_finished(ask, record))
                self._replay.settled([record], [])
                return self._replay.value_of(record)
        finally:
            self._traffic.leave()
        return await self._after_failure(scope, outcome, cause_of_failure(ask, raised[0]))

    async def _fail(
        self, ask: Ask, started_at: datetime, given: str | None, error: Exception
    ) -> StepRecord | datetime:
        """The step's failure as recorded, or when it may be tried again."""
        attempt, record = self._replay.failed(ask, started_at, given, error)
        stood = await self._record([] if record is None else [record], [attempt])
        await self._tell(self._observers.step_failed(ask, error, attempt))
        if record is not None:
            return stood.get(ask.key, record)
        assert attempt.retry_at is not None  # noqa: S101 - the only other outcome of `failed`
        return attempt.retry_at

    async def _after_failure(
        self, scope: Scope, outcome: StepRecord | datetime, cause: Exception | None
    ) -> Any:
        if not isinstance(outcome, StepRecord):
            return await self._wait(scope, outcome)
        try:
            return self._replay.value_of(outcome)
        except StepError as failure:
            raise failure from cause

    def _encode(self, ask: Ask, value: Any) -> tuple[str, Any]:
        try:
            return round_trip(value)
        except NotSerializable as error:
            check_result(value, ask.name, self.workflow_run_id)
            raise NotSerializable(
                f'the result of step "{ask.name}" cannot be stored: {error}'
            ) from None

    async def _invoke(
        self, ask: Ask, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        token = current_step.set(ask)
        try:
            with ordinary_errors:
                work = self._start(function, args, kwargs)
                return await (work if ask.timeout is None else _within(ask, ask.timeout, work))
        except StepTimeout:
            if not inspect.iscoroutinefunction(function):
                await self._tell(self._observers.leaves_behind(ask))
            raise
        finally:
            current_step.reset(token)

    def _start(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        if returns_awaitable(function):
            coroutine: Awaitable[Any] = function(*args, **kwargs)
            return coroutine
        plain = partial(_call_plain, function, args, kwargs)
        return self._in_own_thread(plain) if self._ports.threads else sync_to_async(plain)()

    async def _in_own_thread(self, function: Callable[[], Any]) -> Any:
        async with self._traffic.threads:
            return await call_in_thread(function, self._ports.thread_ends)

    async def _await_event(self, name: str, kind: StepKind, event_id: str, timeout: Timeout) -> Any:
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, kind)
        if recorded is not None:
            return self._replay.value_of(recorded)
        self._replay.waits.append(
            event_wait(self._replay, scope, key, name, kind, event_id, timeout)
        )
        return await self._wait(scope, None)

    async def _sleep(self, name: str, end: Callable[[], tuple[datetime, str]]) -> None:
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, StepKind.SLEEP)
        if recorded is None:
            until, given = end()
            recorded = self._replay.sleep_record(scope, key, name, until, given)
            self._traffic.busy += 1
            try:
                recorded = (await self._record([recorded], [])).get(key, recorded)
                kind, now = StepKind.SLEEP, self._replay.now
                await self._tell(self._observers.found(scope, key, name, kind, recorded, now))
            finally:
                self._traffic.leave()
        if recorded.ended_at > self._replay.now():
            await self._wait(scope, recorded.ended_at)

    # -- the driver

    async def drive(self, function: Callable[[AsyncContext], Awaitable[Any]]) -> Any:
        """Run the function until it returns, raises, or nothing in it can move; then raises
        Suspend.
        """
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._new_task)
        root = loop.create_task(_call(function, self), context=with_scope(self._replay.root))
        root.add_done_callback(lambda _: self._traffic.stirred.set())
        try:
            while (
                not root.done() and self._traffic.interrupt is None and not await self._quiet(root)
            ):
                await self._traffic.stirred.wait()
                self._traffic.stirred.clear()
            if self._traffic.interrupt is not None:
                raise self._traffic.interrupt
            if not root.done():
                raise Suspend
            if self._replay.root.replays:
                await self._traffic.settle_down(self._traffic.branches)
            if self._traffic.has_left_branches:
                self._replay.leave_branches()
            return self._result_of(root)
        finally:
            self._calls.end()
            await self._abandon(root)
            self._calls.close()

    def _result_of(self, root: asyncio.Task[Any]) -> Any:
        error = root.exception()
        # What was not awaited has been used as if it had been.
        if error is None or CALLED in str(error):
            self._calls.check()
        return root.result()

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        """Tasks that the function creates are branches, numbered before they compete."""
        if "context" in options or current_step.get() is not None or async_scope.get(None) is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        scope = self._replay.branch(async_scope.get())
        task = asyncio.Task(coroutine, loop=loop, context=with_scope(scope), **options)
        self._traffic.branches[task] = scope
        return task

    async def _quiet(self, root: asyncio.Task[Any]) -> bool:
        """Whether something is parked and nothing else moves."""
        traffic = self._traffic
        if not traffic.parked or traffic.busy:
            return False
        moves = traffic.moves
        for _ in range(QUIET_ROUNDS):
            await asyncio.sleep(0)
        if asyncio.all_tasks() - traffic.parked - {root, this_task()}:
            await asyncio.sleep(GRACE)
        return traffic.still(moves) and not root.done()

    async def _abandon(self, root: asyncio.Task[Any]) -> None:
        tasks = asyncio.all_tasks() - {this_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(root, *tasks, return_exceptions=True)


def _call_plain(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with ordinary_errors:
        return function(*args, **kwargs)


async def _within(ask: Ask, timeout: timedelta, work: Awaitable[Any]) -> Any:
    limit = asyncio.timeout(timeout.total_seconds())
    try:
        async with limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise  # the step's own
        raise StepTimeout(
            f'step "{ask.name}" did not finish within its timeout of {format_duration(timeout)}'
        ) from error


async def _call(function: Callable[[AsyncContext], Awaitable[Any]], context: AsyncContext) -> Any:
    with ordinary_errors:
        return await function(context)
