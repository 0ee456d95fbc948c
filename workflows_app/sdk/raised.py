"""Errors that the journal tells of, raised again under their names."""

from __future__ import annotations

import builtins
from functools import cache
from typing import Any

from workflows_app import errors
from workflows_app.errors import StepError, WorkflowsError

_OURS = (
    errors.NonRetryableDelayError,
    errors.NonRetryableError,
    errors.StepTimeout,
    errors.WorkflowFatalError,
    errors.WorkflowNonRetryableError,
    errors.WorkflowTimeoutError,
)
_END_ITERATIONS = (StopIteration, StopAsyncIteration)
"""Python takes them for something else where they are raised in a coroutine."""


class _Raised(StepError):
    """The error of a step, with the name and the words of what its function raised last."""

    def __init__(self, failure: StepError) -> None:
        super().__init__(
            failure.step,
            failure.error_type,
            failure.error_message,
            failure.attempts,
            failure.key,
        )
        self.opened = failure.opened
        self.args = (failure.error_message,)

    def __str__(self) -> str:
        return self.error_message


class _Told(WorkflowsError):
    """What failed a run, in the words that the journal has."""

    def __str__(self) -> str:
        return self.message


def as_raised(failure: StepError) -> StepError:
    """The error that the step's function raised, as far as the journal knows it: whatever its type,
    it is caught by that name if it is one of Python's, and as a StepError.
    """
    made: StepError = _class_of(failure.error_type, _Raised)(failure)
    return made


def error_named(error_type: str, message: str) -> Exception:
    """An error of this name; one of Python's, if it is the name of one."""
    made: Exception = _class_of(error_type, _Told)(message)
    return made


@cache
def _class_of(error_type: str, base: type[WorkflowsError]) -> Any:
    known = _surviving().get(error_type)
    bases = (base,) if known is None or issubclass(base, known) else (base, known)
    return type(error_type, bases, {"__module__": __name__})


@cache
def _surviving() -> dict[str, type[Exception]]:
    """What can be raised again, by name: errors that are made of one text, and for others of
    Python's the next more general one.
    """
    kinds = [kind for kind in vars(builtins).values() if _is_error(kind)]
    python = {kind.__name__: next(filter(_is_made_of_a_text, kind.__mro__)) for kind in kinds}
    return python | {kind.__name__: kind for kind in _OURS}


def _is_error(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Exception)


def _is_made_of_a_text(kind: type[Exception]) -> bool:
    if kind in _END_ITERATIONS:
        return False
    try:
        kind("")
    except TypeError:
        return False
    return True
