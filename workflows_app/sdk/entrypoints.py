"""Workflows as classes, in the shape of Cloudflare's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from functools import update_wrapper
from typing import Any, ClassVar, Literal, TypedDict, Unpack

from workflows_app.protocol.delays import Backoff
from workflows_app.protocol.runs import FlowControlSpec, TriggeredRun
from workflows_app.sdk.async_context import AsyncContext
from workflows_app.sdk.authoring import Body, FailureFunction, Workflow, workflow
from workflows_app.sdk.context import Context
from workflows_app.sdk.given import event_of
from workflows_app.sdk.handles import RunHandle, get_run
from workflows_app.sdk.middlewares import Middleware
from workflows_app.sdk.plain_workflow_steps import PlainWorkflowStep
from workflows_app.sdk.workflow_steps import WorkflowStep


class Options(TypedDict, total=False):
    """See `@workflow`."""

    retries: int
    retry_delay: timedelta | str
    backoff: Backoff
    timeout: timedelta | str
    failure_function: FailureFunction
    failure_url: str
    flow_control: FlowControlSpec
    transport: Literal["local", "http"]
    middlewares: Sequence[Middleware]


class WorkflowEntrypoint:
    """A durable class: each run calls `run` of a new instance, with what started it and its steps.

    A subclass with a `run` is registered under its name, or `class Order(WorkflowEntrypoint,
    name="order")`, with the options of `@workflow`; those for steps hold where a step says nothing
    itself. What `run` raises fails the run at once.
    """

    workflow: ClassVar[Workflow]
    """The workflow that the class has made."""

    def __init_subclass__(cls, *, name: str | None = None, **options: Unpack[Options]) -> None:
        super().__init_subclass__()
        if cls.run is WorkflowEntrypoint.run or getattr(cls.run, "__isabstractmethod__", False):
            return
        cls.workflow = workflow(name or cls.__name__, **options)(_body_of(cls))
        cls.workflow.entrypoint = cls

    def __init__(self, ctx: Any = None, env: Any = None) -> None:
        self.ctx = ctx
        """The context of the run, as functions are given it."""
        self.env = env
        """`Context.env`."""

    def run(self, event: Any, step: Any) -> Any:
        """What a run does, plain or async. What it returns is the run's result."""
        raise NotImplementedError

    @classmethod
    def trigger(cls, payload: Any = None, **options: Any) -> TriggeredRun:
        """See `Workflow.trigger`."""
        return cls.workflow.trigger(payload, **options)

    @classmethod
    def trigger_many(cls, payloads: Iterable[Any], **options: Any) -> list[TriggeredRun]:
        """See `Workflow.trigger_many`."""
        return cls.workflow.trigger_many(payloads, **options)

    @classmethod
    def get(cls, workflow_run_id: str) -> RunHandle:
        """The live run of this id, else the newest that had it. Raises RunNotFound."""
        return get_run(workflow_run_id, cls.workflow.name)


def _body_of(made: type[WorkflowEntrypoint]) -> Body:
    """The function that a run of the class calls. Its source is that of the class."""
    body: Callable[[Any], Any] = _async_body(made) if _is_async(made) else _plain_body(made)
    return update_wrapper(body, made, updated=())


def _is_async(made: type[WorkflowEntrypoint]) -> bool:
    return inspect.iscoroutinefunction(made.run)


def _async_body(made: type[WorkflowEntrypoint]) -> Callable[[AsyncContext], Any]:
    async def body(context: AsyncContext) -> Any:
        return await made(context, context.env).run(event_of(context), WorkflowStep(context))

    return body


def _plain_body(made: type[WorkflowEntrypoint]) -> Callable[[Context], Any]:
    def body(context: Context) -> Any:
        return made(context, context.env).run(event_of(context), PlainWorkflowStep(context))

    return body
