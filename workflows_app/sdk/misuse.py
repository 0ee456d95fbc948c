"""What authors do wrong with steps, each in a sentence that says where and what to do."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from workflows_app.errors import InvalidInput, StepMisuse

_NOT_THE_AUTHORS = {
    "workflows_app",
    "asgiref",
    "asyncio",
    "concurrent",
    "contextlib",
    "contextvars",
    "functools",
    "threading",
}
"""Packages between an author's code and ours."""


_DRIVER = "workflows_app.sdk.turn"
"""Whoever has called this is not the author."""


def place_of(file: str, line: int) -> str:
    """As "orders/workflows.py:12", below the working directory."""
    below = os.path.relpath(file) if os.path.isabs(file) else file
    return f"{file if below.startswith(os.pardir) else below}:{line}"


def calling_place() -> str:
    """Where the author's code has called ours, as ", at orders/workflows.py:12"; empty where that
    cannot be seen, as in a task of its own.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name == _DRIVER:
            break
        if name.partition(".")[0] not in _NOT_THE_AUTHORS:
            return f", at {place_of(frame.f_code.co_filename, frame.f_lineno)}"
        frame = frame.f_back
    return ""


def nested(name: str, run_id: str, outer: str) -> StepMisuse:
    return StepMisuse(
        f'step "{name}" was called inside step "{outer}" of run {run_id}{calling_place()}. Steps '
        "are called by the workflow function itself: return a value from the outer step and call "
        "the inner one after it."
    )


def after_the_turn(name: str, run_id: str) -> StepMisuse:
    return StepMisuse(
        f'step "{name}" was called outside of a run: on the context of run {run_id}, whose turn '
        f"is over{calling_place()}. A context serves one call of the workflow function; do not "
        "keep it in a global variable or an object that outlives the call."
    )


def in_another_thread(name: str, run_id: str) -> StepMisuse:
    return StepMisuse(
        f'step "{name}" of run {run_id} was called in a thread that is no branch of the run'
        f"{calling_place()}. Have context.parallel start the threads; or do the whole work in one "
        "step, and start threads there that call no steps."
    )


def out_of_the_loop(name: str, run_id: str) -> StepMisuse:
    return StepMisuse(
        f'step "{name}" of run {run_id} was awaited where the run cannot be told{calling_place()}: '
        "in another thread, another event loop or a task with another context. Await steps in the "
        "workflow function, or in tasks that it creates."
    )


def not_awaited(what: str, run_id: str, place: str) -> StepMisuse:
    return StepMisuse(
        f"{what} of run {run_id} was called at {place} and not awaited, so it did nothing. Write "
        '"await" before the call.'
    )


def check_plain(
    functions: tuple[Callable[..., Any], ...], step: str, run_id: str, workflow: str
) -> None:
    """Raises StepMisuse for an `async def` function in a plain workflow."""
    for function in functions:
        if inspect.iscoroutinefunction(function):
            raise StepMisuse(
                f'step "{step}" of run {run_id} was given {_name(function)}, which is async'
                f'{calling_place()}, but workflow "{workflow}" is a plain function. Write the '
                "workflow as async def and await its steps, or give the step a plain function."
            )


def check_atomic(function: Callable[..., Any], step: str, run_id: str) -> None:
    """Raises StepMisuse for an `async def` function."""
    if inspect.iscoroutinefunction(function):
        raise StepMisuse(
            f'step "{step}" of run {run_id} was given {_name(function)}, which is async'
            f"{calling_place()}, but context.atomic takes a plain function, because a transaction "
            "of Django lives in one thread. Write it without async."
        )


def check_result(value: object, step: str, run_id: str) -> None:
    """Raises StepMisuse for a coroutine that the function of a step returned."""
    if inspect.iscoroutine(value):
        value.close()
        raise StepMisuse(
            f'the function of step "{step}" of run {run_id} returned a coroutine, which nobody '
            "awaits. In an async def workflow give the step the async function itself, and its "
            f'arguments: await context.run("{step}", {_called(value)}, …).'
        )


def check_returned(value: object, workflow: str, run_id: str) -> None:
    """Raises StepMisuse for a workflow function that returned what is to be awaited."""
    if inspect.iscoroutine(value):
        value.close()
        raise StepMisuse(
            f'the function of workflow "{workflow}" returned a coroutine in run {run_id}, which '
            "nobody awaits. Decorate the async def function itself, or await what it returns."
        )


def check_same_workflow(name: str, before: Any, now: Any) -> None:
    """Raises InvalidInput for another function than the one that has the name; a module that is
    loaded again defines the same.
    """
    if before.__module__ != now.__module__:
        raise InvalidInput(
            f'workflow "{name}" is defined in {before.__module__} and again in {now.__module__}'
        )
    names = [_name(function) for function in (before, now)]
    if names[0] != names[1] and not any("<" in each for each in names):
        raise InvalidInput(
            f'workflow "{name}" is defined twice: by {names[0]}{_definition(before)}, and by '
            f"{names[1]}{_definition(now)}. Give one of them another name."
        )


def _definition(function: Any) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f", at {place_of(code.co_filename, code.co_firstlineno)}" if code else ""


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", repr(function)))


def _called(coroutine: Any) -> str:
    return str(coroutine.__name__)
