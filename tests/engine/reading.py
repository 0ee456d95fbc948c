"""What tests read of runs, as plain values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from workflows_app.models import Attempt, DeadLetter, Message, Run, Step
from workflows_app.protocol.codec import decode_json


def only_run() -> Run:
    return Run.objects.get()


def loaded(text: str | None) -> Any:
    return None if text is None else decode_json(text)


def result_of(run: Run) -> Any:
    """The result of a run that has succeeded."""
    run.refresh_from_db()
    assert run.status == Run.Status.SUCCEEDED, f"{run.status}: {run.error}"
    return loaded(run.result)


def error_of(run: Run) -> tuple[str, str]:
    """Type and message of what failed the run."""
    run.refresh_from_db()
    assert run.status == Run.Status.FAILED, run.status
    assert run.error_info is not None
    return run.error_info["type"], run.error_info["message"]


def journal_of(run: Run) -> dict[str, Any]:
    """The result of each recorded step by key, in order."""
    return {step.key: loaded(step.result) for step in Step.objects.filter(run=run).order_by("pk")}


def attempts_of(run: Run) -> list[tuple[str, int, str, datetime | None]]:
    """Key, number, message and time of the retry of each attempt that did not succeed."""
    attempts = Attempt.objects.filter(run=run).order_by("pk")
    return [
        (attempt.key, attempt.number, attempt.error_info["message"], attempt.retry_at)
        for attempt in attempts
    ]


def owed_to(run: Run) -> list[tuple[str, str, datetime | None]]:
    """Kind, step and due time of each message."""
    messages = Message.objects.filter(run=run).order_by("pk")
    return [(message.kind, message.key, message.due_at) for message in messages]


def letter_of(run: Run) -> DeadLetter:
    return DeadLetter.objects.get(run=run)
