"""The `step` that a plain `run` of a class-based workflow is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, Protocol, TypeVar, overload

from workflows_app.errors import StepError, WorkflowFatalError
from workflows_app.protocol.runs import StepKind
from workflows_app.sdk.base_context import current_scope
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
from workflows_app.sdk.context import Context
from workflows_app.sdk.given import Given
from workflows_app.sdk.misuse import check_plain
from workflows_app.sdk.raised import as_raised
from workflows_app.sdk.rollback import refuse_async
from workflows_app.sdk.step_configs import Config, Duration, check_step_name
from workflows_app.sdk.step_definitions import Definition, name_of

T = TypeVar("T")


class Called(Protocol):
    """Makes a step of a function."""

    def __call__(self, function: Callable[..., T], /) -> Callable[..., T]: ...


class PlainWorkflowStep(Steps):
    """Given to a `run` without `async`. As `WorkflowStep`, without `await`; steps go on side by
    side in `parallel`.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context
        self._results: dict[Definition, Any] = {}

    @overload
    def do(
        self,
        name: str,
        function: Callable[..., T],
        config: Config | None = None,
        *,
        rollback: Rollback | None = None,
    ) -> T: ...

    @overload
    def do(
        self,
        name: str | None = None,
        *,
        config: Config | None = None,
        rollback: Rollback | None = None,
        depends: Sequence[Callable[..., Any]] | None = None,
        concurrent: bool = False,
    ) -> Called: ...

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
        """Call `function` once and keep its result; or decorate it. See `WorkflowStep.do`."""
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
            return self._call(define(name=name, function=function), (), {})

        def make(function: Callable[..., Any]) -> Callable[..., Any]:
            definition = define(name=name_of(function) if name is None else name, function=function)

            @wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                return self._call(definition, args, kwargs)

            self._definitions.add(definition, call)
            return call

        return make

    def sleep(self, name: str, duration: Duration) -> None:
        """Wait, for up to years, without holding a worker."""
        self._context.sleep(name, self._sleep_of(name, duration))

    def sleep_until(self, name: str, moment: Moment) -> None:
        """Wait until a moment; see `WorkflowStep.sleep_until`."""
        end = partial(end_of_sleep, moment_of(name, moment))
        check_sleep(self._context._sleep(name, end))

    def wait_for_event(
        self, name: str, event_type: str, timeout: Duration = DEFAULT_TIMEOUT
    ) -> Given:
        """Wait for an event that is sent to this run; see `WorkflowStep.wait_for_event`."""
        length = check_wait(name, event_type, timeout)
        came = self._context._await_event(name, StepKind.WAIT, event_type, length)
        return self._event_of(event_type, came, length)

    def parallel(self, *branches: Callable[[], T]) -> list[T]:
        """Run each function in a thread of its own; see `Context.parallel`."""
        return self._context.parallel(*branches)

    def _call(self, definition: Definition, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        self._context._refuse_nesting(definition.name)
        check_plain((definition.function,), definition.name, self._info.run_id, self._info.workflow)
        call = self._prepare(definition)
        refuse_async(call.options.rollback)
        given = definition.bind(args, kwargs)
        needed = self._definitions.dependencies(definition, given)
        has_result = self._results.__contains__
        for generation in self._definitions.generations(definition, needed.values(), has_result):
            self._call_all(definition, generation)
        given |= {name: self._results[each] for name, each in needed.items()}
        arguments = definition.arguments(given)
        context = self._context._with(call.options)
        try:
            result = context.run(call.name, call.function, *arguments.args, **arguments.kwargs)
        except StepError as failure:
            raise as_raised(failure) from failure.__cause__
        self._results[definition] = result
        return result

    def _call_all(self, definition: Definition, needed: Sequence[Definition]) -> None:
        """What is called for another step has its results before any branch asks for them."""
        if current_scope.get() is not None:
            names = ", ".join(f'"{each.name}"' for each in needed)
            raise WorkflowFatalError(
                f'step "{definition.name}" of a branch needs the result of {names}: other branches '
                "may need it, too, so call that before the branches begin"
            )
        calls = [partial(self._call, each, (), {}) for each in needed]
        if definition.concurrent:
            self._context.parallel(*calls)
        else:
            for call in calls:
                call()
