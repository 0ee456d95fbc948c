"""How an async workflow function finds, executes and stores its steps: the asynchronous shell round
the replay core.

A step that has to wait never returns to the function: its task is parked. When nothing else can
move, the driver ends the turn and cancels what is parked. So no interrupt passes through
`asyncio.gather`, and `return_exceptions=True` is safe.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NoReturn, Self

from asgiref.sync import sync_to_async

from workflows_app.errors import StepError, StepMisuse, StepTimeout
from workflows_app.protocol.runs import FailedAttempt, StepKind, StepRecord
from workflows_app.sdk.asked_delays import with_asked_delay
from workflows_app.sdk.async_groups import AsyncGroups
from workflows_app.sdk.awaiting import Calls, returns_awaitable
from workflows_app.sdk.base_context import BaseContext, Ports, current_step
from workflows_app.sdk.branches import call_in_thread
from workflows_app.sdk.driving import Driver
from workflows_app.sdk.events import Timeout, event_wait
from workflows_app.sdk.interrupts import (
    Halt,
    Interrupt,
    Suspend,
    Unrecorded,
    ending_by,
    ordinary_errors,
)
from workflows_app.sdk.misuse import out_of_the_loop
from workflows_app.sdk.observers import Told
from workflows_app.sdk.outcomes import asleep
from workflows_app.sdk.replay import Replay
from workflows_app.sdk.scopes import Scope
from workflows_app.sdk.steps import Ask, StepOptions, cause_of_failure
from workflows_app.sdk.telling import tell_async
from workflows_app.sdk.traffic import Traffic, async_scope


class AsyncShell(BaseContext):
    """What the verbs of `AsyncContext` stand on."""

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

    async def drive(self, function: Callable[[Self], Awaitable[Any]]) -> Any:
        """See `Driver.drive`."""
        return await Driver(self._replay, self._traffic).drive(partial(function, self))

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

    async def _kept(self, function: Callable[..., Any], recorded: StepRecord) -> Any:
        """See `Replay.kept`."""
        try:
            return self._replay.kept(function, recorded)
        except Halt as halt:
            await self._interrupt(halt)

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
            await self._interrupt(ending_by(error))

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
        with self._traffic.execution():
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

        with self._traffic.execution():
            try:
                record = await sync_to_async(self._ports.recorder.atomic)(execute)
            except Exception as error:  # noqa: BLE001 - a step may raise anything
                if not raised:
                    await self._interrupt(ending_by(error))
                outcome = await self._fail(ask, started_at, given, raised[0])
            else:
                await self._tell(self._observers.step_finished(ask, record))
                self._replay.settled([record], [])
                return self._replay.value_of(record)
        return await self._after_failure(scope, outcome, cause_of_failure(ask, raised[0]))

    async def _fail(
        self, ask: Ask, started_at: datetime, given: str | None, error: Exception
    ) -> StepRecord | datetime:
        """The step's failure as recorded, or when it may be tried again."""
        if ask.delay is not None:
            ends = self._ports.thread_ends
            ask, error = await call_in_thread(partial(with_asked_delay, ask, error, ends), ends)
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

    async def _invoke(
        self, ask: Ask, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        token = current_step.set(ask)
        try:
            with ordinary_errors:
                work = self._start(ask, function, args, kwargs)
                return await (work if ask.timeout is None else _within(ask, ask.timeout, work))
        except StepTimeout:
            if not inspect.iscoroutinefunction(function):
                await self._tell(self._observers.leaves_behind(ask))
            raise
        finally:
            current_step.reset(token)

    def _start(
        self,
        ask: Ask,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Awaitable[Any]:
        if returns_awaitable(function):
            coroutine: Awaitable[Any] = function(*args, **kwargs)
            return coroutine
        plain = partial(_call_plain, function, args, kwargs)
        work = self._in_own_thread(plain) if self._ports.threads else sync_to_async(plain)()
        return _and_what_it_returns(work) if ask.may_return_awaitables else work

    async def _in_own_thread(self, function: Callable[[], Any]) -> Any:
        async with self._traffic.threads:
            return await call_in_thread(function, self._ports.thread_ends)

    async def _await_event(
        self, name: str, kind: StepKind, event_id: str, timeout: Timeout
    ) -> StepRecord:
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, kind)
        if recorded is not None:
            return recorded
        self._replay.waits.append(
            event_wait(self._replay, scope, key, name, kind, event_id, timeout)
        )
        return await self._wait(scope, None)

    async def _sleep(self, name: str, end: Callable[[], tuple[datetime, str]]) -> StepRecord:
        scope = self._enter(name)
        key, recorded = await self._find(scope, name, StepKind.SLEEP)
        if recorded is None:
            until, given = end()
            recorded = asleep(scope, key, name, self._replay.now(), until, given)
            self._traffic.busy += 1
            try:
                recorded = (await self._record([recorded], [])).get(key, recorded)
                kind, now = StepKind.SLEEP, self._replay.now
                await self._tell(self._observers.found(scope, key, name, kind, recorded, now))
            finally:
                self._traffic.leave()
        if recorded.ended_at > self._replay.now():
            await self._wait(scope, recorded.ended_at)
        return recorded


def _call_plain(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with ordinary_errors:
        return function(*args, **kwargs)


async def _and_what_it_returns(work: Awaitable[Any]) -> Any:
    value = await work
    return await value if inspect.iscoroutine(value) else value


async def _within(ask: Ask, timeout: timedelta, work: Awaitable[Any]) -> Any:
    limit = asyncio.timeout(timeout.total_seconds())
    try:
        async with limit:
            return await work
    except TimeoutError as error:
        if not limit.expired():
            raise  # the step's own
        raise ask.timed_out(timeout) from error
