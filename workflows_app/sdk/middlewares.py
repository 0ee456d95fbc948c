"""Middlewares: what is told how runs and their steps get on, and changes nothing of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from asgiref.sync import AsyncToSync

from workflows_app.errors import InvalidInput

if TYPE_CHECKING:
    from workflows_app.sdk.base_context import BaseContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """In the life of a run. `context` tells what the workflow function may know; it has no steps.

    Inside the callbacks about a step, its `attempt` and `idempotency_key` are those of the step.
    """

    workflow: str
    context: BaseContext

    @property
    def workflow_run_id(self) -> str:
        return self.context.workflow_run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Moment):
    """The workflow function is about to be called for the first time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCompleted(Moment):
    """The workflow function has returned `result`, here as JSON holds it."""

    result: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted(Moment):
    """A step's function is about to be called, or the run is about to wait for what ends the step.

    `key` tells steps of the same name apart.
    """

    step_name: str
    key: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished(Moment):
    """A step has ended, and the workflow function is about to be given `result`.

    For `context.notify` the result is the runs that were told.
    """

    step_name: str
    key: str
    attempt: int
    result: Any
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRaised(Moment):
    """By a step's function, or by the workflow function: then there is no step.

    `retry_at` says when the next attempt falls due; None when there is none.
    """

    error: Exception
    step_name: str | None
    key: str
    attempt: int
    retry_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Moment):
    """Something to know about the run, or to look after."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """Plain or `async` functions of one argument; what they return counts for nothing."""

    run_started: Callable[[RunStarted], object] | None = None
    before_execution: Callable[[StepStarted], object] | None = None
    after_execution: Callable[[StepFinished], object] | None = None
    run_completed: Callable[[RunCompleted], object] | None = None
    on_error: Callable[[ErrorRaised], object] | None = None
    on_warning: Callable[[Notice], object] | None = None
    on_info: Callable[[Notice], object] | None = None


Prepare = Callable[[], Callbacks | Awaitable[Callbacks]]


class Middleware:
    """Callbacks under a name; or an `init` that returns them, called when they are first needed."""

    def __init__(
        self, name: str, *, callbacks: Callbacks | None = None, init: Prepare | None = None
    ) -> None:
        if (callbacks is None) == (init is None):
            raise InvalidInput(
                f'middleware "{name}" takes either its callbacks, or an init that returns them'
            )
        self.name = name
        self._given = callbacks
        self._init = init
        self._prepared: tuple[int, Callbacks] | None = None
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<Middleware {self.name}>"

    @property
    def ready(self) -> Callbacks | None:
        """The callbacks; None when they have to be prepared."""
        if self._prepared is not None and self._prepared[0] == os.getpid():
            return self._prepared[1]
        return self._given

    def prepare(self) -> Callbacks:
        """The callbacks, from `init` once in each process. Raises what it raises; then it is called
        again.
        """
        with self._lock:
            callbacks = self.ready
            if callbacks is None:
                callbacks = self._call_init()
                # What was opened before a fork is not to be shared.
                self._prepared = (os.getpid(), callbacks)
            return callbacks

    def _call_init(self) -> Callbacks:
        assert self._init is not None  # noqa: S101 - without callbacks there is one
        returned = self._init()
        if isawaitable(returned):
            returned = AsyncToSync(_result_of, force_new_loop=True)(returned)
        if not isinstance(returned, Callbacks):
            raise InvalidInput(
                f'the init of middleware "{self.name}" must return Callbacks, not '
                f"{type(returned).__name__}"
            )
        return returned


async def _result_of(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def check_middlewares(workflow: str, given: Sequence[object]) -> tuple[Middleware, ...]:
    """Raises InvalidInput for what is none."""
    checked: list[Middleware] = []
    for each in given:
        if not isinstance(each, Middleware):
            raise InvalidInput(
                f'the middlewares of workflow "{workflow}" must each be a Middleware, not '
                f"{each!r:.80}"
            )
        checked.append(each)
    return tuple(checked)
