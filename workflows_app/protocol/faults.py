"""Exceptions as they are stored and sent."""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from workflows_app.errors import StepError
from workflows_app.protocol.codec import encode_json
from workflows_app.protocol.redaction import SENSITIVE


def describe_error(error: BaseException, step: StepError | None = None) -> str:
    """JSON {"type", "message", "stack"}, with "step" and "key" of the step that led to it, and
    "opened", the number of branches by path, where there were any; "cause" is the type of what a
    StepError stands for.
    """
    info: dict[str, object] = {
        "type": type(error).__name__,
        "message": str(error),
        "stack": "".join(traceback.format_exception(error)),
    }
    if isinstance(error, StepError):
        info["cause"] = error.error_type
    if step is not None:
        info |= {"step": step.step, "key": step.key}
        info |= {"opened": step.opened} if step.opened else {}
    return encode_json(info)


def describe_hidden_error(error: BaseException) -> str:
    """The same without what the error says: its type, and the lines of code that led to it."""
    kind = type(error).__name__
    stack = "".join(traceback.format_tb(error.__traceback__))
    info = {"type": kind, "message": SENSITIVE, "stack": f"{stack}{kind}: {SENSITIVE}\n"}
    return encode_json(info)


def describe_answer(status: int, headers: Mapping[str, list[str]], body: str, message: str) -> str:
    """The same for an HTTP answer that counts as a failure."""
    return encode_json(
        {
            "type": "HttpError",
            "message": message,
            "stack": "",
            "status": status,
            "headers": dict(headers),
            "body": body,
        }
    )


LOST = '{"lost":'
"""How the error of a step begins that was given up because its branch has lost a race."""


def describe_cancellation(race: str) -> str:
    """The same for such a step; `race` is the key of the step that says who has won."""
    message = f'another branch of "{race}" was first'
    return encode_json({"lost": race, "type": "Canceled", "message": message, "stack": ""})


def is_cancellation(error: str | None) -> bool:
    return error is not None and error.startswith(LOST)
