"""The error that ended a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workflows_app.admin.values import ErrorShown, show_error
from workflows_app.errors import StepError
from workflows_app.models import Run, Step
from workflows_app.protocol.hiding import hidden_error
from workflows_app.protocol.redaction import Redactor, redactor_of


def read_error(run: Run) -> ErrorShown | None:
    """Where it is a step's, as the step recorded it: that traceback leads into the step."""
    redactor = redactor_of(run.redaction)
    error = show_error(hidden_error(run.error, redactor))
    info = run.error_info or {}
    if error is None or info.get("type") != StepError.__name__:
        return error
    failed = Step.objects.filter(run=run, key=info.get("key"))
    own = show_error(hidden_error(failed.values_list("error", flat=True).first(), redactor))
    if own is None:
        return error
    return replace(own, step=error.step, message=f"{own.message}{_not_undone(info, redactor)}")


def _not_undone(info: dict[str, Any], redactor: Redactor) -> str:
    """What the error of a run that was rolled back adds to that of the step."""
    return "" if redactor.hides_bodies else str(info.get("undo", ""))
