"""The entries of an instance's detail (Cloudflare reference 2.7)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from workflows_app.models import Attempt, Step, Waiter
from workflows_app.protocol.byte_texts import begins_as_bytes, preview_of_bytes, size_of_bytes
from workflows_app.rest.cloudflare.instance_bodies import (
    AttemptBody,
    ConfigBody,
    ErrorBody,
    SleepBody,
    StepBody,
    WaitBody,
)
from workflows_app.rest.cloudflare.instance_rows import InstanceRows
from workflows_app.rest.cloudflare.step_configs import config_of, policy
from workflows_app.rest.cloudflare.step_entries import Entry, EntryType
from workflows_app.rest.cloudflare.step_texts import (
    as_text,
    cut,
    event_type_of,
    has_timed_out,
    shown_error,
    shown_event,
    shown_result,
    timeout_error,
)
from workflows_app.rest.cloudflare.times import write_time


def render_entry(
    rows: InstanceRows, entry: Entry, most: int | None
) -> StepBody | SleepBody | WaitBody:
    """Outputs have at most so many characters."""
    match entry:
        case Entry(type=EntryType.SLEEP, step=Step() as step):
            return _sleep(rows, entry, step)
        case Entry(type=EntryType.WAIT, step=Step() as step):
            return _ended_wait(rows, entry, step, most)
        case Entry(waiter=Waiter() as waiter):
            return _open_wait(entry, waiter)
    return _step(rows, entry, most)


# -- steps and their undoing


def _step(rows: InstanceRows, entry: Entry, most: int | None) -> StepBody:
    step = entry.step
    kind: Literal["step", "rollback"] = "rollback" if entry.type is EntryType.ROLLBACK else "step"
    return {
        "type": kind,
        "name": entry.name,
        "start": write_time(entry.started_at),
        "end": None if step is None else write_time(step.ended_at),
        "success": None if step is None else step.error is None,
        "output": None if step is None else _output(rows, step, most),
        "config": _config(rows, entry),
        "attempts": list(attempts_of(rows, entry)),
    }


def _output(rows: InstanceRows, step: Step, most: int | None) -> str | None:
    result = rows.results[step.key]
    if step.error is not None or result is None:
        return None
    shown = shown_result(rows, step, result)
    if begins_as_bytes(shown):
        said = preview_of_bytes(shown)
        if said is None:
            return f"[{rows.sizes.get(step.key) or size_of_bytes(len(shown), shown[-4:])} bytes]"
        return cut(said, most)
    return cut(as_text(shown), most)


def _config(rows: InstanceRows, entry: Entry) -> ConfigBody:
    if entry.call is not None:
        return policy(entry.call.retries, entry.call.retry_delay, entry.call.timeout)
    own = entry.step.config if entry.step else entry.attempts[0].config if entry.attempts else None
    config = config_of(rows.run, own)
    if entry.step is not None and entry.step.sensitive:
        config["sensitive"] = "output"
    return config


def attempts_of(rows: InstanceRows, entry: Entry) -> Iterator[AttemptBody]:
    """The oldest first; one that succeeds has left only its step."""
    for each in entry.attempts:
        error = shown_error(each.error, rows.redactor)
        yield _attempt(each.started_at, each.ended_at, error)
    step = entry.step
    if step is not None and not (step.error and _has_failed_for_good(entry)):
        error = shown_error(step.error, rows.redactor)
        yield _attempt(step.started_at, step.ended_at, error)
    if entry.working_since is not None:
        yield {
            "start": write_time(entry.working_since),
            "end": None,
            "success": None,
            "error": None,
        }


def _has_failed_for_good(entry: Entry) -> bool:
    last = entry.attempts[-1] if entry.attempts else None
    return last is not None and last.outcome == Attempt.Outcome.FAILED and last.retry_at is None


def _attempt(start: datetime, end: datetime, error: ErrorBody | None) -> AttemptBody:
    return {
        "start": write_time(start),
        "end": write_time(end),
        "success": error is None,
        "error": error,
    }


# -- sleeps and waits: of those that are not over, the end is the planned one


def _sleep(rows: InstanceRows, entry: Entry, step: Step) -> SleepBody:
    return {
        "type": "sleep",
        "name": entry.name,
        "start": write_time(step.started_at),
        "end": write_time(step.ended_at),
        "finished": step.ended_at <= rows.told_until,
        "error": shown_error(step.error, rows.redactor),
    }


def _ended_wait(rows: InstanceRows, entry: Entry, step: Step, most: int | None) -> WaitBody:
    body: WaitBody = {
        "type": "waitForEvent",
        "name": entry.name,
        "start": write_time(step.started_at),
        "end": write_time(step.ended_at),
        "finished": True,
        "error": error_of_wait(rows, step),
        "event_type": event_type_of(step),
    }
    if body["error"] is None:
        body["output"] = cut(as_text(shown_event(rows, step)), most)
    return body


def error_of_wait(rows: InstanceRows, step: Step) -> ErrorBody | None:
    if has_timed_out(rows, step):
        return timeout_error(step)
    return shown_error(step.error, rows.redactor)


def _open_wait(entry: Entry, waiter: Waiter) -> WaitBody:
    return {
        "type": "waitForEvent",
        "name": entry.name,
        "start": write_time(waiter.created_at),
        "end": write_time(waiter.deadline),
        "finished": False,
        "error": None,
        "event_type": waiter.event_id,
    }
