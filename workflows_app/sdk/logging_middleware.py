"""A middleware that logs: a line for each moment, whose parts are fields of the log record too.

What may hold secrets is left out: payloads, results, and the messages of errors.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from workflows_app.protocol.codec import encode_json
from workflows_app.sdk.middlewares import (
    Callbacks,
    ErrorRaised,
    Middleware,
    Moment,
    Notice,
    RunCompleted,
    RunStarted,
    StepFinished,
    StepStarted,
)

logger = logging.getLogger("workflows_app.runs")


def _run_started(moment: RunStarted) -> None:
    _log(logging.INFO, "run started", moment)


def _before_execution(moment: StepStarted) -> None:
    _log(logging.DEBUG, "step started", moment, step=moment.key, attempt=moment.attempt)


def _after_execution(moment: StepFinished) -> None:
    ms = round(moment.took / timedelta(milliseconds=1), 1)
    _log(logging.INFO, "step finished", moment, step=moment.key, attempt=moment.attempt, ms=ms)


def _run_completed(moment: RunCompleted) -> None:
    _log(logging.INFO, "run completed", moment)


def _on_error(moment: ErrorRaised) -> None:
    step = {"step": moment.key} if moment.key else {}
    retry = {} if moment.retry_at is None else {"retry_at": moment.retry_at.isoformat()}
    error = type(moment.error).__name__
    level = logging.ERROR if moment.retry_at is None else logging.WARNING
    _log(level, "error", moment, **step, attempt=moment.attempt, error=error, **retry)


def _on_warning(moment: Notice) -> None:
    _log(logging.WARNING, moment.text, moment)


def _on_info(moment: Notice) -> None:
    _log(logging.INFO, moment.text, moment)


def _log(level: int, what: str, moment: Moment, **more: Any) -> None:
    if not logger.isEnabledFor(level):
        return
    fields = {"run": moment.workflow_run_id, "workflow": moment.workflow, **more}
    shown = " ".join(f"{name}={_value(value)}" for name, value in fields.items())
    logger.log(level, "%s: %s", what, shown, extra=fields)


def _value(value: object) -> str:
    """Quoted where it would not be read as one value on one line."""
    text = str(value)
    plain = text.isprintable() and not set(' "=') & set(text) and text
    return text if plain else encode_json(text)


logging_middleware = Middleware(
    "logging",
    callbacks=Callbacks(
        run_started=_run_started,
        before_execution=_before_execution,
        after_execution=_after_execution,
        run_completed=_run_completed,
        on_error=_on_error,
        on_warning=_on_warning,
        on_info=_on_info,
    ),
)
