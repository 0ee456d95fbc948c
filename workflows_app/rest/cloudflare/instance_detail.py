"""An instance with its steps (Cloudflare reference 2.6)."""

from __future__ import annotations

from typing import Any

from workflows_app.conf import get_settings
from workflows_app.engine.outcomes import readable
from workflows_app.engine.undoing import rollback_of
from workflows_app.errors import InvalidInput
from workflows_app.models import Definition, Run
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import UNDO
from workflows_app.rest.cloudflare.instance_bodies import (
    EntryBody,
    InstanceBody,
    RollbackBody,
)
from workflows_app.rest.cloudflare.instance_rows import InstanceRows, read_rows
from workflows_app.rest.cloudflare.instance_runs import version_ids
from workflows_app.rest.cloudflare.instance_times import times_of
from workflows_app.rest.cloudflare.rendered_steps import render_entry
from workflows_app.rest.cloudflare.step_entries import entries_of
from workflows_app.rest.cloudflare.step_texts import as_value, head_for, shown_error
from workflows_app.rest.cloudflare.times import write_optional_time, write_time
from workflows_app.rest.cloudflare.vocabulary import SOURCES, STATUSES

_NO_OUTPUT = ""
"""Clients that check what they are sent take a text or a number, and no null."""


def render_instance(definition: Definition, run: Run) -> InstanceBody:
    """With its steps, oldest first."""
    most = get_settings().SHOWN_OUTPUT
    rows = read_rows(run, None if most is None else head_for(most))
    steps: list[EntryBody] = [render_entry(rows, entry, most) for entry in entries_of(rows)]
    began_at = times_of([run])[run.pk].began_at
    body: InstanceBody = {
        "status": STATUSES[rows.state],
        "params": _params(rows),
        "trigger": {"source": SOURCES[run.source]},
        "versionId": version_ids(definition, [run])[run.pk],
        "queued": write_time(run.created_at),
        "start": write_optional_time(began_at),
        "end": write_optional_time(run.ended_at),
        "success": None if run.is_live else run.status == Run.Status.SUCCEEDED,
        "error": shown_error(_error(rows), rows.redactor),
        "output": _output(rows),
        "rollback": _rollback(rows),
        "step_count": len(steps),
        "steps": steps,
    }
    if run.schedule:
        body["schedule"] = decode_json(run.schedule)
    if run.status == Run.Status.CANCELED:
        # Nothing tells who has asked for it.
        steps.append({"type": "termination", "trigger": {"source": "unknown"}})
    return body


def _params(rows: InstanceRows) -> Any:
    """Runs that were not started as instances may have payloads that are no JSON."""
    payload = bytes(rows.run.payload)
    hidden = rows.redactor.content(payload)
    if hidden is not None:
        return hidden
    try:
        return decode_json(payload) if payload else None
    except InvalidInput:
        return readable(payload)


def _error(rows: InstanceRows) -> str | None:
    """What it failed with before it was rolled back; how that went is told beside it."""
    failed = rows.run.error is not None
    led_to_it = (step.error for step in rows.steps if failed and step.key == UNDO)
    return next(led_to_it, None) or rows.run.error


def _output(rows: InstanceRows) -> str | float:
    """A text or a number as it is, anything else as its JSON."""
    if rows.run.result is None:
        return _NO_OUTPUT
    shown = rows.redactor.body(rows.run.result)
    value = as_value(shown)
    return value if isinstance(value, str | float | int) and not isinstance(value, bool) else shown


def _rollback(rows: InstanceRows) -> RollbackBody | None:
    """How it ended; None while it goes on, and where nothing was to be undone."""
    ended = rollback_of(rows.run)
    if ended is None:
        return None
    return {
        "outcome": "complete" if ended.is_complete else "failed",
        "error": shown_error(ended.error, rows.redactor),
    }
