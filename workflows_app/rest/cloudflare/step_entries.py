"""What an instance's detail lists: each step, sleep, wait and undoing that is known, by its name.

A name ends in the number of the entry among those of its type and name, in the order in which they
began (Cloudflare reference 4.3): as a run is restarted from one of them.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from workflows_app.engine.failures import KEY as FAILURE_KEY
from workflows_app.engine.states import State
from workflows_app.models import Attempt, Step, Waiter
from workflows_app.protocol.codec import decode_json
from workflows_app.protocol.runs import UNDO, CallRequest
from workflows_app.protocol.step_keys import name_and_branch
from workflows_app.rest.cloudflare.instance_rows import WAITS, InstanceRows

_FUNCTION_KEY = ""


class EntryType(StrEnum):
    STEP = "step"
    ROLLBACK = "rollback"
    SLEEP = "sleep"
    WAIT = "waitForEvent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`step` tells of its end, once that is known; `waiter` or `call` of what it waits for."""

    type: EntryType
    key: str
    name: str
    branch: str
    started_at: datetime
    attempts: Sequence[Attempt] = ()
    step: Step | None = None
    waiter: Waiter | None = None
    call: CallRequest | None = None
    working_since: datetime | None = None
    """When the attempt began that is under way."""

    @property
    def position(self) -> tuple[datetime, int]:
        """Of entries that began at once, those that are recorded come first."""
        return self.started_at, sys.maxsize if self.step is None else self.step.pk


def entries_of(rows: InstanceRows) -> list[Entry]:
    """In the order in which they began, with the names that callers know."""
    ended = [_ended(rows, step) for step in rows.steps if step.key != UNDO]
    known = sorted([*ended, *_unfinished(rows)], key=lambda entry: entry.position)
    names = _names(known)
    return [replace(entry, name=names[entry.key]) for entry in known]


def _names(entries: Sequence[Entry]) -> dict[str, str]:
    """By key. The undoing of a step goes by the name of that step."""
    names: dict[str, str] = {}
    counts: Counter[tuple[EntryType, str]] = Counter()
    for entry in entries:
        if entry.type is not EntryType.ROLLBACK:
            counts[entry.type, entry.name] += 1
            names[entry.key] = f"{entry.name}-{counts[entry.type, entry.name]}"
    for entry in entries:
        if entry.type is EntryType.ROLLBACK:
            names[entry.key] = names.get(entry.key.removesuffix(UNDO), f"{entry.name}-1")
    return names


def _ended(rows: InstanceRows, step: Step) -> Entry:
    attempts = rows.attempts.get(step.key, [])
    return Entry(
        type=_type_of(step),
        key=step.key,
        name=step.name,
        branch=step.branch,
        started_at=min([step.started_at, *(each.started_at for each in attempts[:1])]),
        attempts=attempts,
        step=step,
    )


def _type_of(step: Step) -> EntryType:
    match step.kind:
        case Step.Kind.ROLLBACK:
            return EntryType.ROLLBACK
        case Step.Kind.SLEEP:
            return EntryType.SLEEP
        case kind if kind in WAITS:
            return EntryType.WAIT
    return EntryType.STEP


def _unfinished(rows: InstanceRows) -> Iterator[Entry]:
    """A step that is at work on its first attempt is known once a worker has said so."""
    ended = {step.key for step in rows.steps}
    waiting = [*_waiting(rows), *_calling(rows), *_invoking(rows, ended)]
    yield from waiting
    known = {_FUNCTION_KEY, FAILURE_KEY, *ended, *(entry.key for entry in waiting)}
    for key, attempts in rows.attempts.items():
        if key not in known:
            since = _working_since(rows, attempts)
            yield _begun(key, ended, attempts[0].started_at, attempts, since)
    at = rows.in_flight
    if at is not None and at.key not in known and at.key not in rows.attempts:
        yield _begun(at.key, ended, at.since, [], at.since)


def _waiting(rows: InstanceRows) -> Iterator[Entry]:
    for waiter in rows.waiters:
        said = decode_json(waiter.step)
        yield Entry(
            type=EntryType.WAIT,
            key=waiter.key,
            name=said["stepName"],
            branch=said["branch"],
            started_at=waiter.created_at,
            waiter=waiter,
        )


def _calling(rows: InstanceRows) -> Iterator[Entry]:
    for call, since in rows.calls:
        attempts = rows.attempts.get(call.key, [])
        yield Entry(
            type=EntryType.STEP,
            key=call.key,
            name=call.name,
            branch=call.branch,
            started_at=since,
            attempts=attempts,
            call=call,
            working_since=_working_since(rows, attempts) if attempts else since,
        )


def _invoking(rows: InstanceRows, ended: set[str]) -> Iterator[Entry]:
    for invocation in rows.invocations.values():
        if invocation.key in ended:
            continue
        said = decode_json(invocation.step)
        yield Entry(
            type=EntryType.STEP,
            key=invocation.key,
            name=said["stepName"],
            branch=said["branch"],
            started_at=invocation.created_at,
            working_since=invocation.created_at,
        )


def _begun(
    key: str,
    ended: set[str],
    started_at: datetime,
    attempts: Sequence[Attempt],
    working_since: datetime | None,
) -> Entry:
    forward = key.removesuffix(UNDO)
    name, branch = name_and_branch(forward, ended)
    return Entry(
        type=EntryType.STEP if forward == key else EntryType.ROLLBACK,
        key=key,
        name=name,
        branch=branch,
        started_at=started_at,
        attempts=attempts,
        working_since=working_since,
    )


def _working_since(rows: InstanceRows, attempts: Sequence[Attempt]) -> datetime | None:
    """When the attempt began that follows these, if it has."""
    last, at = attempts[-1], rows.in_flight
    if at is not None and at.key == last.key and at.since > last.started_at:
        return at.since
    at_work = rows.state in (State.RUNNING, State.PAUSING, State.ROLLING_BACK)
    is_due = last.retry_at is not None and last.retry_at <= rows.told_until
    return last.retry_at if at_work and is_due else None
