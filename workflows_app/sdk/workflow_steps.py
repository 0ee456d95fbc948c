"""The `step` that an `async def run` of a class-based workflow is given."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from functools import partial, wraps
from types import FrameType
from typing import Any, Protocol, TypeVar, overload

from workflows_app.errors import StepError
from workflows_app.protocol.runs import StepKind
from workflows_app.sdk.async_context import AsyncContext
from workflows_app.sdk.awaiting import Calls, steps_are_awaited
from workflows_app.sdk.class_steps import (
    DEFAULT_TIMEOUT,
    Moment,
    Rollback,
    Steps,
    check_sleep,
    check_wait,
    end_of_sleep,
    moment_of,
)
from workflows_app.sdk.given import Given
from workflows_app.sdk.raised import as_raised
from workflows_app.sdk.step_configs import Config, Duration, check_step_name
from workflows_app.sdk.step_definitions import Definition, name_of

T = TypeVar("T")


class Awaited(Protocol):
    """Makes a step, which is awaited, of a function, which may be plain."""

    @overload
    def __call__(
        self, function: Callable[..., Coroutine[Any, Any, T]], /
    ) -> Callable[..., Coroutine[Any, Any, T]]: ...

    @overload
    def __call__(self, function: Callable[..., T], /) -> Callable[..., Coroutine[Any, Any, T]]: ...


@steps_are_awaited
class WorkflowStep(Steps):
    """Given to an `async def run`. Each step is awaited; steps go on side by side in tasks, such as
    those of `asyncio.gather`.
    """

    def __init__(self, context: AsyncContext) -> None:
        super().__init__(context)
        self._context = context
        self._results: dict[Definition, asyncio.Future[Any]] = {}

    @property
    def _calls(self) -> Calls:
        return self._context._calls

    def _refuse_nesting(self, name: str) -> None:
        self._context._refuse_nesting(name)

    @overload
    def do(
        self,
        name: str,
        function: Callable[..., Coroutine[Any, Any, T]],
        config: Config | None = None,
        *,
        rollback: Rollback | None = None,
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def do(
        self,
        name: str,
        function: Callable[..., T],
        config: Config | None = None,
        *,
        rollback: Rollback | None = None,
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def do(
        self,
        name: str | None = None,
        *,
        config: Config | None = None,
        rollback: Rollback | None = None,
        depends: Sequence[Callable[..., Any]] | None = None,
        concurrent: bool = False,
    ) -> Awaited: ...

    def do(  # noqa: PLR0913 - one keyword per option
        self,
        name: Any = None,
        function: Any = None,
        config: Config | None = None,
        *,
        rollback: Rollback | None = None,
        depends: Sequence[Callable[..., Any]] | None = None,
        concurrent: bool = False,
    ) -> Any:
        """Call `function` once and keep its result, which must be JSON.

        Without a function, a decorator: whoever calls what it makes, calls the step. Parameters
        with the names of other steps are given their results; those steps are called for it if
        they have not been before, one by one or all `concurrent`. A parameter `ctx` is told of the
        attempt. Raises what the function raised last once its retries are used up.
        """
        if callable(name):
            check_step_name(name)
        define = partial(
            Definition,
            config=config,
            rollback=rollback,
            depends=tuple(depends or ()),
            concurrent=concurrent,
        )
        if function is not None:
            definition = define(name=name, function=function)
            return self._called(definition, (), {}, sys._getframe(1))

        def make(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
            definition = define(name=name_of(function) if name is None else name, function=function)

            @wraps(function)
            def call(*args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
                return self._called(definition, args, kwargs, sys._getframe(1))

            self._definitions.add(definition, call)
            return call

        return make

    async def sleep(self, name: str, duration: Duration) -> None:
        """Wait, for up to years, without holding a worker."""
        await self._context.sleep(name, self._sleep_of(name, duration))

    async def sleep_until(self, name: str, moment: Moment) -> None:
        """Wait until a moment; what has no time zone is UTC. Raises InvalidInput for the past."""
        end = partial(end_of_sleep, moment_of(name, moment))
        check_sleep(await self._context._sleep(name, end))

    async def wait_for_event(
        self, name: str, event_type: str, timeout: Duration = DEFAULT_TIMEOUT
    ) -> Given:
        """Wait for an event that is sent to this run: its `type`, `payload` and `timestamp`.

        Those that came before are found, the oldest first; each is given to one step.
        Raises WorkflowTimeoutError when none comes in time.
        """
        length = check_wait(name, event_type, timeout)
        came = await self._context._await_event(name, StepKind.WAIT, event_type, length)
        return self._event_of(event_type, came, length)

    def _called(
        self,
        definition: Definition,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        caller: FrameType,
    ) -> Coroutine[Any, Any, Any]:
        self._context._refuse_nesting(definition.name)
        place = (caller.f_code.co_filename, caller.f_lineno)
        coroutine = self._call(definition, args, kwargs)
        return self._calls.add(coroutine, f'step "{definition.name}"', place)

    async def _call(
        self, definition: Definition, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Whoever needs the result meanwhile waits for this call of the step."""
        result = asyncio.get_running_loop().create_future()
        self._results[definition] = result
        try:
            result.set_result(await self._execute(definition, args, kwargs))
        except asyncio.CancelledError:
            result.cancel()
            if self._results[definition] is result:
                del self._results[definition]
            raise
        except Exception as error:
            result.set_exception(error)
            result.exception()  # or asyncio would miss somebody who hears of it
            raise
        return result.result()

    async def _execute(
        self, definition: Definition, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        call = self._prepare(definition)
        given = definition.bind(args, kwargs)
        needed = self._definitions.dependencies(definition, given)
        has_result = self._results.__contains__
        for generation in self._definitions.generations(definition, needed.values(), has_result):
            if definition.concurrent:
                await asyncio.gather(*map(self._result_of, generation))
            else:
                for each in generation:
                    await self._result_of(each)
        given |= {name: await self._result_of(each) for name, each in needed.items()}
        arguments = definition.arguments(given)
        context = self._context._with(call.options)
        try:
            return await context.run(call.name, call.function, *arguments.args, **arguments.kwargs)
        except StepError as failure:
            raise as_raised(failure) from failure.__cause__

    async def _result_of(self, definition: Definition) -> Any:
        if definition not in self._results:
            return await self._call(definition, (), {})
        # Where only who waits is cancelled, the step goes on.
        return await asyncio.shield(self._results[definition])
