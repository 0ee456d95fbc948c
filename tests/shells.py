"""Writing a workflow once and running it by both shells: as `async def`, with `await` at each step.

The synchronous shell is given a function that drives the coroutine to its end at one go: none of
its steps ever waits there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar, cast

import pytest

from workflows_app import (
    Context,
    PlainWorkflowStep,
    Workflow,
    WorkflowEntrypoint,
    WorkflowEvent,
    WorkflowStep,
    workflow,
)
from workflows_app.sdk.async_context import AsyncContext
from workflows_app.sdk.authoring import registered_workflows
from workflows_app.sdk.vendors import Api

T = TypeVar("T")

Story = Callable[[Any], Coroutine[Any, Any, Any]]
"""A workflow function for both shells; its context has `await context.parallel(*branches)`."""
ClassStory = Callable[[WorkflowEvent, Any], Coroutine[Any, Any, Any]]
"""The same with what `run` is given; its `step` has `parallel` as well."""
Define = Callable[..., Callable[[Story], Workflow]]


class Shell(StrEnum):
    SYNC = "sync"
    ASYNC = "async"


class Awaitable:
    """The context of a synchronous workflow, with steps that can be awaited."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def options(self, **changes: Any) -> Awaitable:
        return Awaitable(self._context.options(**changes))

    async def run(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.run(*args, **kwargs)

    async def atomic(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.atomic(*args, **kwargs)

    async def sleep(self, *args: Any) -> None:
        self._context.sleep(*args)

    async def sleep_until(self, *args: Any) -> None:
        self._context.sleep_until(*args)

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.call(*args, **kwargs)

    @property
    def api(self) -> Any:
        return Api(self.call)

    async def invoke(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.invoke(*args, **kwargs)

    async def wait_for_event(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.wait_for_event(*args, **kwargs)

    async def notify(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.notify(*args, **kwargs)

    async def create_webhook(self, name: str) -> Any:
        return self._context.create_webhook(name)

    async def wait_for_webhook(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.wait_for_webhook(*args, **kwargs)

    async def patched(self, change_id: str) -> bool:
        return self._context.patched(change_id)

    async def continue_as_new(self, payload: Any = None) -> None:
        self._context.continue_as_new(payload)

    async def cancel(self) -> None:
        self._context.cancel()

    async def roll_back(self, reason: str = "") -> None:
        self._context.roll_back(reason)

    async def parallel(self, *branches: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        return self._context.parallel(*(partial(_finish_call, branch) for branch in branches))

    async def race(self, *branches: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return self._context.race(*(partial(_finish_call, branch) for branch in branches))

    async def map(
        self, function: Callable[[Any], Coroutine[Any, Any, Any]], items: Any, **options: Any
    ) -> list[Any]:
        return self._context.map(lambda item: _finish(function(item)), items, **options)


class AwaitableSteps:
    """The `step` of a plain class-based workflow, whose steps can be awaited."""

    def __init__(self, step: PlainWorkflowStep) -> None:
        self._step = step

    def do(self, name: Any = None, function: Any = None, config: Any = None, **options: Any) -> Any:
        if function is not None:
            return self._called(partial(self._step.do, name, function, config, **options))
        options["depends"] = [each.step for each in options.get("depends", ())]
        decorate: Any = self._step.do(name, config=config, **options)

        def make(function: Any) -> Any:
            step = decorate(function)

            def call(*args: Any, **kwargs: Any) -> Any:
                return self._called(partial(step, *args, **kwargs))

            call.step = step  # type: ignore[attr-defined]
            return call

        return make

    async def _called(self, call: Callable[[], Any]) -> Any:
        return call()

    async def sleep(self, *args: Any) -> None:
        self._step.sleep(*args)

    async def sleep_until(self, *args: Any) -> None:
        self._step.sleep_until(*args)

    async def wait_for_event(self, *args: Any, **kwargs: Any) -> Any:
        return self._step.wait_for_event(*args, **kwargs)

    async def parallel(self, *branches: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        return self._step.parallel(*(partial(_finish_call, branch) for branch in branches))


class GatheringSteps:
    """The `step` of an async class-based workflow, with `parallel`."""

    def __init__(self, step: WorkflowStep) -> None:
        self._step = step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._step, name)

    async def parallel(self, *branches: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        return await asyncio.gather(*(branch() for branch in branches))


class Gathering:
    """The context of an asynchronous workflow, with `parallel`."""

    def __init__(self, context: AsyncContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def options(self, **changes: Any) -> Gathering:
        return Gathering(self._context.options(**changes))

    async def parallel(self, *branches: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
        return await asyncio.gather(*(branch() for branch in branches))


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("a step of a synchronous context waited")


def _finish_call(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return _finish(function())


def body_for(shell: Shell, story: Story) -> Callable[[Any], Any]:
    """The story as the function that a workflow of this shell is made of."""
    if shell is Shell.SYNC:

        def synchronous(context: Context) -> Any:
            return _finish(story(Awaitable(context)))

        return synchronous

    async def asynchronous(context: AsyncContext) -> Any:
        return await story(Gathering(context))

    return asynchronous


def class_for(shell: Shell, story: ClassStory, name: str, **options: Any) -> Workflow:
    """The same of a class, of whose `run` the story is what it does."""
    if shell is Shell.SYNC:

        class Plain(WorkflowEntrypoint, name=name, **options):
            def run(self, event: WorkflowEvent, step: PlainWorkflowStep) -> Any:
                return _finish(story(event, AwaitableSteps(step)))

        return Plain.workflow

    class Async(WorkflowEntrypoint, name=name, **options):
        async def run(self, event: WorkflowEvent, step: WorkflowStep) -> Any:
            return await story(event, GatheringSteps(step))

    return Async.workflow


@pytest.fixture(params=list(Shell), ids=str)
def shell(request: pytest.FixtureRequest) -> Shell:
    """Which of the two shells runs the test's workflows."""
    return cast(Shell, request.param)


@pytest.fixture
def registry() -> Iterator[dict[str, Workflow]]:
    """The registered workflows, as they were before once the test has ended."""
    registered = cast("dict[str, Workflow]", registered_workflows())
    before = dict(registered)
    try:
        yield registered
    finally:
        registered.clear()
        registered.update(before)


@pytest.fixture
def define(shell: Shell, registry: dict[str, Workflow]) -> Define:
    """`@define(retries=1)` is `@workflow("story", retries=1)`, for a story in either shell."""

    def define(name: str = "story", **options: Any) -> Callable[[Story], Workflow]:
        return lambda story: workflow(name, **options)(body_for(shell, story))

    return define
