"""How control leaves a workflow function: by `BaseException`, which `except Exception` lets
through.
"""

from __future__ import annotations

import asyncio

from workflows_app.errors import RollbackAsked, Stopping


class Interrupt(BaseException):
    """Unwinds the workflow function. Must not be swallowed; the next step would raise it again."""

    lets_steps_end = False
    """Whether the turn ends only after the steps that are in flight."""


class Suspend(Interrupt):
    """The run has to wait. What it waits for stands in the turn."""


class Unrecorded(Suspend):
    """A branch that only replays what is recorded has come to the end of it."""


class EndRun(Interrupt):
    """The function ends its own run without returning."""


class CancelRun(EndRun):
    """The function asked for its own run to be cancelled."""


class RollBack(CancelRun):
    """The same, once what the run has done has been undone."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ContinueAsNew(EndRun):
    """The function asked for its run to begin anew, with this payload."""

    def __init__(self, payload: bytes, content_type: str) -> None:
        super().__init__()
        self.payload = payload
        self.content_type = content_type


class Halt(Interrupt):
    """The turn cannot be continued, for a reason that is not the workflow's: `cause` is raised by
    the driver.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def ending_by(error: Exception) -> Interrupt:
    """What the turn ends with when its recorder raises this."""
    ending = RollBack("") if isinstance(error, RollbackAsked) else Halt(error)
    ending.lets_steps_end = isinstance(error, RollbackAsked | Stopping)
    return ending


class _OrdinaryErrors:
    """Turns what is more than an error to Python, when an author's code raises it, into one.

    A `sys.exit()` must not end the worker, a StopIteration what calls or awaits the code, nor the
    cancellation of something that the code awaits the turn.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case SystemExit(code=code):
                raise RuntimeError(f"sys.exit({code!r}) was called") from error
            case StopIteration():
                raise RuntimeError("StopIteration was raised") from error
            case asyncio.CancelledError() if not _is_being_cancelled():
                raise RuntimeError("CancelledError was raised") from error


def _is_being_cancelled() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return False
    return task is not None and task.cancelling() > 0


ordinary_errors = _OrdinaryErrors()
