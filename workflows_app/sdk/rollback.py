"""What an author gives to have a step undone, and what that function is given."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from workflows_app.errors import StepError, StepMisuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Given to a rollback function: the step that it is to undo, and how far that came.

    A step that has not finished may have done its work all the same, wholly or in part.
    """

    step: str
    key: str
    """The step's identity in the run, which tells it from others of its name."""
    finished: bool
    result: Any
    """What the step returned; None if it has not finished."""
    error: StepError | None
    """Why it has not: its last attempt. None as well for a step that was cut short."""
    cause: Exception | None = field(default=None, compare=False)
    """What has failed the run, under its name; None when the run was not failed."""


RollbackFunction = Callable[[Undo], Any] | Callable[[Undo], Awaitable[Any]]


def check_rollback(function: RollbackFunction | None) -> None:
    """Raises StepMisuse for what cannot be called."""
    if function is not None and not callable(function):
        raise StepMisuse(
            f"rollback is a function, which is given an Undo, not {function!r:.80}; values of the "
            "workflow reach it by a lambda: rollback=lambda undo: refund(order)"
        )


def refuse_async(function: RollbackFunction | None) -> None:
    """For a workflow that is a plain function."""
    if inspect.iscoroutinefunction(function):
        raise StepMisuse(
            f"the rollback function {_name(function)} is async and its workflow is not, so nothing "
            "would await it: write it without async, or the workflow with it"
        )


def without_result(function: RollbackFunction, undo: Undo) -> Callable[[], Any]:
    """What calls it, async if it is; what it returns need not be JSON, as it is not kept."""
    if inspect.iscoroutinefunction(function):

        async def call() -> None:
            await function(undo)

        return call

    def call_plain() -> None:
        if inspect.isawaitable(function(undo)):
            raise StepMisuse(
                f"the rollback function {_name(function)} returned something to be awaited and is "
                "not async itself; write it as async def, in an async workflow"
            )

    return call_plain


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
